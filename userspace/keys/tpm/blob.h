/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a sealed secret looks like in a file. Nothing in it is secret. Parsing is
 * pure and takes no byte that it does not know.
 */
#ifndef VMC_TPM_BLOB_H
#define VMC_TPM_BLOB_H

#include <tss2/tss2_tpm2_types.h>

#include "policy.h"

#define BLOB_MAX	8192

struct blob {
	struct seal_policy policy;
	TPM2B_NAME srk;			/* it was sealed under this one */
	TPM2B_DIGEST pcr[POLICY_PCRS];	/* POLICY_PCR: their values then, to tell which has changed */
	size_t n_pcr;
	TPM2B_PUBLIC pub;
	TPM2B_PRIVATE priv;
};

/* VMC_EINVAL when it is not one, or cut, or longer. */
int blob_parse(const uint8_t *data, size_t len, struct blob *b, struct vmc_error *err);
int blob_write(const struct blob *b, uint8_t out[BLOB_MAX], size_t *len, struct vmc_error *err);

#endif
