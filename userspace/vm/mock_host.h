/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host without root: kernel module, device-mapper, LUKS2 headers, mounts and
 * key providers in a file that outlives the process, so that one may be killed
 * and the next finds what a kernel and a key server would still have. The
 * cryptography is real: AES-GCM wraps DEKs, AES-XTS encrypts containers.
 * A "mapping" is a plain file in DIR/dm that is encrypted back on close.
 */
#ifndef VMC_VM_MOCK_HOST_H
#define VMC_VM_MOCK_HOST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../keys/provider.h"

#define MOCK_KEKS	4096
#define MOCK_DEKS	8192
#define MOCK_MAPS	128
#define MOCK_KEYS	4096
#define MOCK_MOUNTS	64
#define MOCK_PROVIDERS	2

struct mock_kek {
	char id[VMK_KEK_ID_MAX + 1];
	uint8_t key[VMK_KEK_LEN];
};

struct mock_dek {
	vmc_uuid vm;
	char volume[VMK_VOLUME_MAX + 1], kek_id[VMK_KEK_ID_MAX + 1];
	uint8_t key[VMK_DEK_LEN];
	int32_t serial;			/* 0: free */
};

struct mock_map {
	char name[128], path[PATH_MAX];
	uint8_t key[VMK_DEK_LEN];
	uint64_t offset, size;		/* bytes */
	bool busy, suspended;
};

struct mock_key {
	char provider[PROVIDER_NAME_MAX + 1], id[64], label[256];
	uint8_t key[PROVIDER_KEY_LEN];
	enum provider_key_state state;
};

struct mock_host {
	char dir[PATH_MAX];
	struct mock_kek keks[MOCK_KEKS];
	size_t n_keks;
	struct mock_dek deks[MOCK_DEKS];
	int32_t serial;
	struct mock_map maps[MOCK_MAPS];
	char mounts[MOCK_MOUNTS][PATH_MAX];
	struct mock_key keys[MOCK_KEYS];
	size_t n_keys;
	bool unreachable[MOCK_PROVIDERS];	/* "kms", "kms2" */
	bool renamed;				/* "kms" is not configured */
	int cert_days[MOCK_PROVIDERS];		/* 0: a year */
	unsigned int gets;			/* requests to providers */
};

extern struct mock_host *mock;
extern const char *const mock_providers[MOCK_PROVIDERS];

/* Map DIR/mock.host, made when missing. */
void mock_attach(const char *dir);
void mock_detach(void);
/* Crash points that this process has passed. */
unsigned long mock_crashpoints(void);
struct mock_key *mock_key_find(const char *provider, const char *id);

#endif
