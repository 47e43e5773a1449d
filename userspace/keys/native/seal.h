/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a native provider wants of the host's TPM: to seal one small secret to it. */
#ifndef VMC_NATIVE_SEAL_H
#define VMC_NATIVE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "../../lib/config.h"
#include "../../lib/error.h"

#define SEAL_BLOB_MAX 65536

struct native_sealer {
	/* The sealed form of @len bytes, which is no secret; free(3) it. VMC_ENOTSUP: this host has no TPM 2.0. */
	int (*seal)(const struct vmc_config *cfg, const uint8_t *secret, size_t len, char **blob,
		    size_t *blob_len, struct vmc_error *err);
	/* Back into @secret (secure heap), exactly @len bytes. */
	int (*unseal)(const struct vmc_config *cfg, const char *blob, size_t blob_len, uint8_t *secret,
		      size_t len, struct vmc_error *err);
	/* The TPM that is there is the host's from now on. */
	int (*adopt)(const struct vmc_config *cfg, struct vmc_error *err);
};

/* Who does it: the host's TPM, unless a test puts something else in its place. */
extern const struct native_sealer *native_sealer;

#endif
