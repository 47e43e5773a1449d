/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS2 headers with no keyslot and a "vmcrypt" token, by libcryptsetup. */
#ifndef VMC_KERNEL_LUKS_H
#define VMC_KERNEL_LUKS_H

#include <stdint.h>

#include "../lib/error.h"
#include "../lib/util.h"
#include "client.h"

#define LUKS_SECTOR_SIZE	4096

/* What the token says. JSON: type "vmcrypt", keyslots [], version 1, vm, volume, kek, wrapped (base64), kcv (hex), generation. */
/* The DEK under one KEK. */
struct key_wrap {
	char kek_id[VMK_KEK_ID_MAX + 1];	/* provider/key-id; "" none */
	uint8_t wrapped[VMK_WRAPPED_LEN];
	uint8_t kcv[VMK_KCV_LEN];
};

struct luks_token {
	vmc_uuid vm;
	char volume[VMK_VOLUME_MAX + 1];
	char kek_id[VMK_KEK_ID_MAX + 1];	/* provider/key-id */
	uint8_t wrapped[VMK_WRAPPED_LEN];
	uint8_t kcv[VMK_KCV_LEN];
	uint64_t generation;			/* grows with every rewrap */
	struct key_wrap second;			/* of another provider; opens as well */
};

struct luks_header {
	char uuid[40];
	uint64_t offset_sectors;	/* 512-byte sectors */
	uint64_t data_sectors;		/* what is left of the device or file */
	bool has_token;
	struct luks_token token;
	unsigned int keyslots;		/* recovery passphrases, normally 0 */
};

/* Format with @dek (VMK_DEK_LEN bytes, secure heap). The digest makes a wrong DEK detectable. */
int luks_format(const char *path, const uint8_t *dek, const struct luks_token *t,
		char uuid[40], struct vmc_error *err);
int luks_read(const char *path, struct luks_header *h, struct vmc_error *err);	/* VMC_ENOENT: no LUKS2 header */
int luks_set_token(const char *path, const struct luks_token *t, struct vmc_error *err);	/* replaces ours */

/* The token's JSON, both ways: pure, for tests and the fuzzer. */
int luks_token_parse(const char *json, struct luks_token *t, struct vmc_error *err);
char *luks_token_format(const struct luks_token *t);

#endif
