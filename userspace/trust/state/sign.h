/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signed documents of a cluster: compact JWS (RFC 7515 section 3.1), ES256 and nothing else. Pure. */
#ifndef VMC_TRUST_SIGN_H
#define VMC_TRUST_SIGN_H

#include <openssl/evp.h>
#include <stddef.h>

#include "../../lib/error.h"
#include "state.h"

/* Bytes of a document with its signature, without the NUL. */
#define SIGN_MAX	(TRUST_STATE_MAX / 3 * 4 + 512)

/* @type: what the document is, "vmcrypt-state+jws" for one; a document of another type is refused. free() *@jws. */
int sign_make(EVP_PKEY *key, const char *type, const void *payload, size_t len, char **jws, struct vmc_error *err);
/* VMC_EAUTH: not signed by @key, or altered. @payload is closed by a NUL; free() it. */
int sign_open(EVP_PKEY *key, const char *type, const char *jws, char **payload, size_t *len, struct vmc_error *err);

/* The PEM of the public half of @key, free() it; and back, P-256 only. */
int sign_public_pem(EVP_PKEY *key, char **pem, struct vmc_error *err);
int sign_public_load(const char *pem, EVP_PKEY **key, struct vmc_error *err);

#endif
