/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an attestation key looks like in a file. Nothing in it is secret: the TPM has encrypted what is. Pure. */
#ifndef VMC_TPM_AKFILE_H
#define VMC_TPM_AKFILE_H

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "../../lib/error.h"

#define AKFILE_MAX	4096

struct akfile {
	TPM2B_NAME parent;	/* the key that it is below */
	TPM2B_PUBLIC pub;
	TPM2B_PRIVATE priv;
};

/* VMC_EINVAL: it is not one, or cut, or longer. */
int akfile_parse(const uint8_t *data, size_t len, struct akfile *f, struct vmc_error *err);
int akfile_write(const struct akfile *f, uint8_t out[AKFILE_MAX], size_t *len, struct vmc_error *err);

#endif
