/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Public keys as JSON (RFC 7517, RFC 7518 section 6.2): P-256 and nothing else. */
#ifndef VMC_TRUST_JWK_H
#define VMC_TRUST_JWK_H

#include <jansson.h>
#include <openssl/evp.h>

#include "../../lib/error.h"

#define JWK_COORDINATE	32
#define JWK_KID		44	/* a thumbprint in base64url, with the NUL */

/* VMC_EINVAL unless @key is on P-256. What may be said of any key here. */
int jwk_check(const EVP_PKEY *key, struct vmc_error *err);

/* {"kty":"EC","crv":"P-256","x":...,"y":...}. Never the private half. */
int jwk_from_key(const EVP_PKEY *key, json_t **jwk, struct vmc_error *err);
/* The key of @jwk, whose other members ("kid", "use" ...) are passed over; VMC_EPROTO when it is none, or not on the curve. */
int jwk_to_key(const json_t *jwk, EVP_PKEY **key, struct vmc_error *err);
/* RFC 7638, SHA-256. */
int jwk_thumbprint(const EVP_PKEY *key, char kid[JWK_KID], struct vmc_error *err);

/* A public key in DER (SubjectPublicKeyInfo), which must be on P-256 and have nothing after it. VMC_EPROTO. */
int jwk_key_from_spki(const uint8_t *der, size_t n, EVP_PKEY **key, struct vmc_error *err);
/* The other way; free() it. */
int jwk_key_to_spki(const EVP_PKEY *key, uint8_t **der, size_t *n, struct vmc_error *err);

#endif
