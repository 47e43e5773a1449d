/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates and private keys on disk: making, reading, telling about them. Knows no provider. */
#ifndef VMC_KEYS_CERT_H
#define VMC_KEYS_CERT_H

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/error.h"

#define CERT_FILE_MAX		(256u << 10)	/* bytes of a PEM file */
#define CERT_FINGERPRINT	65		/* SHA-256 in hex, with the NUL */
#define CERT_NAME_MAX		256
#define CERT_PINS_MAX		32

/* The private key in @path. VMC_EPERM unless it is a regular file, owned by root or by us, that nobody else may read. */
int cert_key_load(const char *path, EVP_PKEY **key, struct vmc_error *err);
int cert_key_from_pem(const char *pem, EVP_PKEY **key, struct vmc_error *err);
int cert_key_new(EVP_PKEY **key, struct vmc_error *err);		/* P-256 */
int cert_key_save(EVP_PKEY *key, const char *path, struct vmc_error *err);	/* 0600, atomically */

/* All certificates in a PEM file or text, in their order; at least one. Free with cert_chain_free(). */
int cert_chain_load(const char *path, STACK_OF(X509) **chain, struct vmc_error *err);
int cert_chain_from_pem(const char *pem, const char *what, STACK_OF(X509) **chain, struct vmc_error *err);
void cert_chain_free(STACK_OF(X509) *chain);

enum cert_use {
	CERT_CLIENT,	/* of TLS */
	CERT_PEER,	/* client and server */
};

/* A request for, or a self-signed, certificate for @key with the common name @cn. free() the text. */
int cert_csr(EVP_PKEY *key, const char *cn, enum cert_use use, char **pem, struct vmc_error *err);
int cert_self_signed(EVP_PKEY *key, const char *cn, enum cert_use use, unsigned int days, char **pem,
		     struct vmc_error *err);

bool cert_fits_key(const X509 *cert, EVP_PKEY *key);
/* False when the certificate says what it is for, and a TLS client is not among it. */
bool cert_for_client(X509 *cert);
bool cert_for_peer(X509 *cert);				/* the same of both a client and a server */
void cert_subject(const X509 *cert, char out[CERT_NAME_MAX]);
int64_t cert_not_after(const X509 *cert);		/* seconds since 1970 */
int cert_days_left(const X509 *cert);			/* less than zero: expired */
int cert_fingerprint(const X509 *cert, char out[CERT_FINGERPRINT]);
int cert_spki_fingerprint(const X509 *cert, char out[CERT_FINGERPRINT]);	/* RFC 7469 section 2.4, in hex */
/* {subject, issuer, not_before, not_after, days_left, sha256, spki_sha256, self_signed, pem} */
json_t *cert_json(X509 *cert);

/* Fingerprints that stand for trust: of the certificate or of its public key. */
struct cert_pin {
	bool spki;
	char hex[CERT_FINGERPRINT];
};
/* "sha256:AA:BB..." or "AABB..." is a certificate's, "spki:..." a public key's. 0 or VMC_EINVAL. */
int cert_pin_parse(const char *s, struct cert_pin *pin, struct vmc_error *err);
/* One a line, # starts a comment; no such file: none. */
int cert_pins_load(const char *path, struct cert_pin pins[CERT_PINS_MAX], unsigned int *n, struct vmc_error *err);
bool cert_pin_match(const struct cert_pin *pins, unsigned int n, const X509 *cert);

#endif
