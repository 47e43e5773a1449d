/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A maker of TPMs for tests: a root CA, a CA below it, and certificates of endorsement keys. */
#ifndef VMC_EVIDENCE_MOCK_EKCA_H
#define VMC_EVIDENCE_MOCK_EKCA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <tss2/tss2_tpm2_types.h>

#include "ek.h"

struct mock_ca {
	X509 *cert;
	EVP_PKEY *key;
};

/* What is odd about a certificate. */
enum mock_oddity {
	ODD_NONE, ODD_NO_EKU, ODD_IS_CA, ODD_NO_TPM_NAME, ODD_USAGE, ODD_EXPIRED, ODD_EARLY,
};

void mock_ca_new(struct mock_ca *ca, const char *name, const struct mock_ca *issuer /* NULL: a root */);
void mock_ca_free(struct mock_ca *ca);
/* Caller frees by OPENSSL_free(). */
char *mock_ca_pem(const struct mock_ca *ca);
size_t mock_ca_der(const struct mock_ca *ca, uint8_t *out, size_t max);
/* The certificate of @key; its bytes and how many. */
size_t mock_ca_issue(const struct mock_ca *ca, EVP_PKEY *key, enum mock_oddity odd, uint8_t *out, size_t max);

/* An EK of P-256 that is in no TPM: its key, and TPM2B_PUBLIC. */
EVP_PKEY *mock_ek(uint8_t *out, size_t max, size_t *n);
/* By @pub, of which the point is replaced by that of @key, if there is one. */
size_t mock_ek_write(TPM2B_PUBLIC *pub, EVP_PKEY *key, uint8_t *out, size_t max);
/* What the standard template of P-256 makes. */
void mock_ek_template(TPM2B_PUBLIC *pub);

#endif
