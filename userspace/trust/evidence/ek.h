/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endorsement keys: what tells that a TPM is a TPM, and which one. Pure: bytes
 * in, facts out. The certificate is what the TPM's maker signed (TCG EK
 * Credential Profile for TPM 2.0); without one an operator vouches for the key.
 *
 *	rc = ek_parse(ek_pub, n, &ek, err);
 *	if (!rc)
 *		rc = ek_check_certificate(&ek, &cert, chain, n_chain, cas, now, ca, err);
 *	... ek.id names the TPM
 */
#ifndef VMC_EVIDENCE_EK_H
#define VMC_EVIDENCE_EK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

#include "../../lib/error.h"

#define EK_ID_LEN	65	/* with the closing NUL */
#define EK_DER_MAX	8192u	/* bytes of one certificate */
#define EK_CHAIN_MAX	8u	/* certificates between the EK's and a CA's */
#define EK_CAS_MAX	1024u
#define EK_CA_NAME_MAX	128	/* with the closing NUL */
#define EK_CA_ID_LEN	65	/* the same: hex SHA-256 of a CA's certificate */

/* One of the standard templates: restricted decryption key, fixed to its TPM and parent. */
struct ek {
	TPMT_PUBLIC pub;
	char id[EK_ID_LEN];	/* hex SHA-256 of the SubjectPublicKeyInfo */
	const char *kind;	/* "ECC P-256", "ECC P-384", "RSA 2048" */
};

struct ek_der {
	const uint8_t *der;
	size_t len;
};

/* The CAs whose certificates of TPMs are believed, roots or not: what is listed ends a chain. */
struct ek_cas;

/* hex SHA-256 of a SubjectPublicKeyInfo, lower case. */
void ek_id(const uint8_t *spki, size_t len, char id[EK_ID_LEN]);

/* @bytes: TPM2B_PUBLIC, whole. VMC_EINVAL: malformed; VMC_ETRUST: not an EK by a standard template. */
int ek_parse(const uint8_t *bytes, size_t len, struct ek *ek, struct vmc_error *err);

int ek_cas_new(struct ek_cas **cas, struct vmc_error *err);
void ek_cas_free(struct ek_cas *cas);
/*
 * One certificate, PEM, called @name in texts. VMC_EINVAL: not one certificate in
 * PEM; VMC_ETRUST: not that of a CA; VMC_EEXIST: it is listed; VMC_ENOSPC.
 */
int ek_cas_add(struct ek_cas *cas, const char *name, const char *pem, struct vmc_error *err);
size_t ek_cas_count(const struct ek_cas *cas);
/* Hex SHA-256 of the certificate of the CA that is called @name; NULL: there is none. */
const char *ek_cas_fingerprint(const struct ek_cas *cas, const char *name);
/* Is the CA whose certificate has this SHA-256 in the list, whatever it is called? */
bool ek_cas_has(const struct ek_cas *cas, const char *sha256);

/*
 * Is @cert that of @ek, is it for an EK, valid at @now (seconds since 1970), and
 * does it chain to one of @cas, by way of @chain (any order)? @ca: the name of the
 * CA that it ends at. VMC_EINVAL: malformed; VMC_ETRUST: all else, its own text each.
 * @cas is not changed: many threads may ask of one list.
 */
int ek_check_certificate(const struct ek *ek, const struct ek_der *cert, const struct ek_der *chain, size_t n_chain,
			 const struct ek_cas *cas, int64_t now, char ca[EK_CA_NAME_MAX], struct vmc_error *err);

#endif
