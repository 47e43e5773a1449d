/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Public keys of a TPM, as OpenSSL has them. Pure. */
#ifndef VMC_EVIDENCE_PUBKEY_H
#define VMC_EVIDENCE_PUBKEY_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "../../lib/error.h"

#define PUBKEY_SPKI_MAX	512	/* DER of an RSA key of 2048 bits: 294 */

/* EC P-256 and P-384, RSA of 2048 bits. VMC_ENOTSUP: another; VMC_EINVAL: no such point. Caller frees *@key. */
int pubkey_from_tpm(const TPMT_PUBLIC *pub, EVP_PKEY **key, struct vmc_error *err);
/* SubjectPublicKeyInfo, DER. */
int pubkey_spki(EVP_PKEY *key, uint8_t out[PUBKEY_SPKI_MAX], size_t *n, struct vmc_error *err);
/* The TPM's name of it: nameAlg, then the digest of the public area (TPM 2.0 Library, part 1, 16). */
int pubkey_name(const TPMT_PUBLIC *pub, TPM2B_NAME *name, struct vmc_error *err);
/* "SHA256", "SHA384"; NULL when it is another. @n: bytes of digest. */
const char *pubkey_hash(TPMI_ALG_HASH alg, size_t *n);

#endif
