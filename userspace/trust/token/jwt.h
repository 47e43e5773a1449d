/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tokens: compact JWS (RFC 7515, 7519) with ES256 and nothing else. What the
 * header says of algorithms is compared, never followed. Knows no files, no
 * network, and what time it is only from its caller.
 */
#ifndef VMC_TRUST_JWT_H
#define VMC_TRUST_JWT_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../lib/error.h"
#include "jwk.h"

#define JWT_MAX		(16u << 10)	/* characters of a token */
#define JWT_SKEW	60		/* seconds by which clocks may differ */

/* The kinds of token ("typ"): one is never taken for another. */
#define JWT_TYP_TOKEN	"JWT"			/* what the Key Provider Service takes */
#define JWT_TYP_REPORT	"vmcrypt-report+jwt"	/* tells the same; never good for keys */
#define JWT_TYP_AK	"vmcrypt-ak+jwt"	/* this attestation key is in the TPM of that endorsement key */
#define JWT_TYP_BOOT	"vmcrypt-boot+jwt"	/* this host's last full boot was of that image */

/* Header {alg, typ, kid: thumbprint of @key}; free() the token, which is NUL-terminated. */
int jwt_sign(EVP_PKEY *key, const char *typ, const json_t *claims, char **token, struct vmc_error *err);

/* What must be so. NULL: whatever it is. */
struct jwt_expect {
	const char *typ;	/* must be given */
	const char *aud;	/* equal to the claim, or in its array */
	const char *iss;
	int64_t now;		/* seconds since 1970 */
	bool lives;		/* "exp" must be there; otherwise it counts when it is */
};

/*
 * The claims, owned by the caller, of a token that one of the @n keys signed:
 * the one whose thumbprint "kid" is. Times are compared with a skew of JWT_SKEW.
 * VMC_EPROTO: no such token at all; VMC_EAUTH: none of the keys, or altered;
 * VMC_ETRUST: not of this kind, not for this audience, not by this issuer;
 * VMC_ETIMEDOUT: expired, or not valid yet.
 */
int jwt_verify(const char *token, EVP_PKEY *const *keys, size_t n, const struct jwt_expect *want, json_t **claims,
	       struct vmc_error *err);

/*
 * The claims of any well-formed token of ours, UNVERIFIED: for showing, and for
 * the client that wants to know when its token ends. VMC_EPROTO.
 */
int jwt_peek(const char *token, json_t **claims, struct vmc_error *err);

/* Parts of the above, for tests. Signatures: r||s of 64 bytes <-> DER. */
#define JWT_SIGNATURE	64
int jwt_sig_to_der(const uint8_t sig[JWT_SIGNATURE], uint8_t **der, size_t *n);		/* free() it */
int jwt_sig_from_der(const uint8_t *der, size_t n, uint8_t sig[JWT_SIGNATURE]);

#endif
