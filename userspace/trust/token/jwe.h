/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys encrypted to a public key: compact JWE (RFC 7516) with ECDH-ES on P-256
 * and A256GCM, and nothing else. The sender's ephemeral key is new each time, so
 * that no content key is used twice.
 */
#ifndef VMC_TRUST_JWE_H
#define VMC_TRUST_JWE_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define JWE_PLAIN_MAX	4096	/* bytes */

/* @apv, the recipient's mark (a token's "jti"), goes into the content key. free() the text. */
int jwe_seal(EVP_PKEY *recipient, const char *apv, const uint8_t *plain, size_t n, char **jwe, struct vmc_error *err);

/*
 * *@n bytes at @out (secure heap, @max of them). VMC_EPROTO: no such JWE;
 * VMC_EAUTH, and @out wiped: altered, of another key, or for another @apv.
 */
int jwe_open(EVP_PKEY *own, const char *apv, const char *jwe, uint8_t *out, size_t max, size_t *n,
	     struct vmc_error *err);

/* NIST SP 800-56A concat KDF as RFC 7518 section 4.6.2 has it; 16 or 32 bytes at @out. */
struct jwe_kdf {
	const uint8_t *z;		/* shared secret */
	size_t n_z;
	const char *alg;		/* "A256GCM" */
	const uint8_t *apu, *apv;
	size_t n_apu, n_apv;
};
int jwe_concat_kdf(const struct jwe_kdf *k, uint8_t *out, size_t n, struct vmc_error *err);

#endif
