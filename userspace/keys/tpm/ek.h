/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This TPM's endorsement key: its maker's key, by a standard template (TCG EK
 * Credential Profile), and the certificate that the maker left in the TPM.
 * Of the keys that have one: ECC P-256 before P-384 before RSA 2048; when none
 * has, ECC P-256 without.
 */
#ifndef VMC_TPM_EK_H
#define VMC_TPM_EK_H

#include "tpm.h"

#define TPM_EK_CHAIN_MAX	8
#define TPM_EK_CERT_MAX		4096

enum tpm_ek_kind { TPM_EK_P256, TPM_EK_P384, TPM_EK_RSA, TPM_EK_ANY };

struct tpm_ek {
	enum tpm_ek_kind kind;
	ESYS_TR handle;			/* ESYS_TR_NONE when it is not open */
	uint8_t pub[sizeof(TPM2B_PUBLIC)];	/* TPM2B_PUBLIC, marshalled */
	size_t n_pub;
	uint8_t cert[TPM_EK_CERT_MAX];	/* DER */
	size_t n_cert;			/* 0: the maker left none */
	uint8_t chain[TPM_EK_CHAIN_MAX][TPM_EK_CERT_MAX];	/* DER, as the TPM has them */
	size_t n_chain_der[TPM_EK_CHAIN_MAX], n_chain;
};

/*
 * @kind: TPM_EK_ANY, or the one that is wanted, with its certificate or without.
 * Needs srk_open() (tpm_ak_open() does that). Makes the key, which takes some TPMs seconds.
 */
int tpm_ek_open(struct tpm *t, enum tpm_ek_kind kind, struct tpm_ek *ek, struct vmc_error *err);
void tpm_ek_close(struct tpm *t, struct tpm_ek *ek);

#endif
