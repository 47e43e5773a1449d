/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who signs PCR policies: an RSA key, as a PEM file has it and as the TPM wants it. */
#ifndef VMC_TPM_SIGNER_H
#define VMC_TPM_SIGNER_H

#include <tss2/tss2_tpm2_types.h>

#include "policy.h"

/* SubjectPublicKeyInfo of the key in the PEM file @path. VMC_ENOTSUP: not RSA of 2048 to 4096 bits. */
int signer_read(const char *path, uint8_t der[POLICY_SIGNER_MAX], size_t *n, struct vmc_error *err);
/* The TPM's form of it. */
int signer_public(const uint8_t *der, size_t n, TPM2B_PUBLIC *pub, struct vmc_error *err);
/* systemd's "pkfp": SHA-256 of the PKCS#1 form. */
int signer_fingerprint(const uint8_t *der, size_t n, uint8_t fp[32], struct vmc_error *err);

#endif
