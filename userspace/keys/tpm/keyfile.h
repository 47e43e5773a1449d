/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of stored keys: each encrypted by itself, all of it authenticated as
 * a whole, under keys that come of one master key. Parsing is pure, and needs
 * no key; what was parsed is to be believed only after keyfile_check().
 */
#ifndef VMC_TPM_KEYFILE_H
#define VMC_TPM_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define KEYFILE_KEY_LEN		32	/* of the master key and of each stored one */
#define KEYFILE_ID_MAX		255
#define KEYFILE_RECORDS_MAX	65536u
#define KEYFILE_MAX		(32u << 20)	/* bytes of file */
#define KEYFILE_NONCE		12
#define KEYFILE_TAG		16
#define KEYFILE_MAC		32

struct record {
	char id[KEYFILE_ID_MAX + 1];	/* "provider/key-id" */
	uint64_t generation;		/* that of the file when it was stored */
	uint64_t end_clock;		/* lease: TPM clock (ms) when it ends, 0 none */
	int64_t end_time;		/* lease: seconds since 1970 when it ends, 0 none; the earlier holds */
	uint8_t nonce[KEYFILE_NONCE], sealed[KEYFILE_KEY_LEN], tag[KEYFILE_TAG];
};

struct keyfile {
	uint8_t id[16];			/* of this store: records of another do not open */
	uint64_t generation;
	uint64_t clock;			/* TPM clock when it was written */
	bool enabled;
	struct record *records;		/* by id, each once */
	size_t n;
	uint8_t mac[KEYFILE_MAC];	/* as read */
};

int keyfile_parse(const uint8_t *data, size_t len, struct keyfile *f, struct vmc_error *err);
/* Authenticated under @master. Caller frees *@out. */
int keyfile_write(const struct keyfile *f, const uint8_t *master, uint8_t **out, size_t *len, struct vmc_error *err);
/* VMC_EAUTH: not what was written under @master. */
int keyfile_check(const struct keyfile *f, const uint8_t *master, struct vmc_error *err);
void keyfile_clear(struct keyfile *f);

struct record *keyfile_find(const struct keyfile *f, const char *id);
/* Room for the record of @id, at its place; the one that is there if there is one. VMC_ENOSPC, VMC_EINVAL, VMC_ENOMEM. */
int keyfile_add(struct keyfile *f, const char *id, struct record **r, struct vmc_error *err);
void keyfile_remove(struct keyfile *f, struct record *r);

/* Encrypt @key into @r, whose other fields are set; and back, into the secure heap. VMC_EAUTH. */
int record_seal(const struct keyfile *f, struct record *r, const uint8_t *master, const uint8_t *key,
		struct vmc_error *err);
int record_open(const struct keyfile *f, const struct record *r, const uint8_t *master, uint8_t *key,
		struct vmc_error *err);

#endif
