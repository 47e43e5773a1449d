/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TPM2_MakeCredential without a TPM (TPM 2.0 Library, part 1, 24, B.10.4, C.6.4):
 * a secret that only the TPM with that EK gives back, and only while it holds the
 * key of that name.
 */
#ifndef VMC_EVIDENCE_MAKECRED_H
#define VMC_EVIDENCE_MAKECRED_H

#include "ek.h"

#define MAKECRED_SECRET		32	/* bytes of secret; every EK has room for so many */
#define MAKECRED_ID_MAX		132	/* TPM2B_ID_OBJECT */
#define MAKECRED_ENC_MAX	260	/* TPM2B_ENCRYPTED_SECRET */

struct credential {		/* as they go on the wire, each with its own length in front */
	uint8_t id_object[MAKECRED_ID_MAX], secret[MAKECRED_ENC_MAX];
	size_t n_id_object, n_secret;
};

/* @name: that of the AK (struct ak). @secret: MAKECRED_SECRET bytes, secure heap. VMC_ENOMEM, VMC_EINTERNAL. */
int make_credential(const struct ek *ek, const TPM2B_NAME *name, const uint8_t *secret, struct credential *out,
		    struct vmc_error *err);

#endif
