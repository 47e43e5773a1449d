/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attestation keys: ECDSA over P-256 with SHA-256, restricted, so that the TPM
 * signs with it only what the TPM itself says. Pure.
 */
#ifndef VMC_EVIDENCE_AK_H
#define VMC_EVIDENCE_AK_H

#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "../../lib/error.h"

#define AK_PUBLIC_MAX	256	/* bytes of TPMT_PUBLIC; those that are taken have 88 and a policy */

struct ak {
	TPMT_PUBLIC pub;
	TPM2B_NAME name;
};

/* @bytes: TPMT_PUBLIC, whole. VMC_EINVAL: malformed; VMC_ETRUST: another kind of key, the text says in what. */
int ak_parse(const uint8_t *bytes, size_t len, struct ak *ak, struct vmc_error *err);

#endif
