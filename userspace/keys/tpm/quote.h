/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the PCRs are, in the TPM's own words. */
#ifndef VMC_TPM_QUOTE_H
#define VMC_TPM_QUOTE_H

#include "ak.h"

#define TPM_QUOTE_EXTRA		32
#define TPM_QUOTE_PCRS		24

struct tpm_quote {
	uint8_t attest[sizeof(TPMS_ATTEST)];	/* TPMS_ATTEST, marshalled: what is signed */
	size_t n_attest;
	uint8_t signature[sizeof(TPMT_SIGNATURE)];	/* TPMT_SIGNATURE, marshalled */
	size_t n_signature;
	TPMI_ALG_HASH bank;
	uint32_t mask;			/* bit n: value[n] is there */
	uint8_t value[TPM_QUOTE_PCRS][64];
};

/*
 * Quote @mask of @bank (TPM2_ALG_SHA256), with the values that were quoted: read
 * again when they changed in between. VMC_EBUSY: they did each time; VMC_ENOTSUP: no such bank.
 */
int tpm_quote(struct tpm *t, const struct tpm_ak *ak, TPMI_ALG_HASH bank, uint32_t mask,
	      const uint8_t extra[TPM_QUOTE_EXTRA], struct tpm_quote *q, struct vmc_error *err);

#endif
