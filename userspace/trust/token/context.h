/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sealed contexts: what a service that keeps no state between two messages
 * hands to its client, to have it back with the second. AES-256-GCM with a
 * random 96-bit nonce; what it is for and when it ends are authenticated.
 *
 * The key comes of a secret in the folder of one attestd. A context is good at
 * that attestd only; a host that finds it gone begins anew at another one. Those
 * behind one address share the secret (a file that is copied).
 *
 * base64url( version 1 | nonce (12) | AES-256-GCM( JSON {"exp": SECONDS, "s": STATE} ) | tag (16) ),
 * associated data: version | purpose
 */
#ifndef VMC_TRUST_CONTEXT_H
#define VMC_TRUST_CONTEXT_H

#include <jansson.h>
#include <stdint.h>

#include "../../lib/error.h"

#define CONTEXT_SECRET	32
#define CONTEXT_MAX	(16u << 10)	/* characters */

struct context_key;		/* secure heap */

/* Derived of @secret (CONTEXT_SECRET bytes) by HKDF-SHA256. */
int context_key_new(const uint8_t *secret, struct context_key **k, struct vmc_error *err);
void context_key_free(struct context_key *k);	/* wipes; NULL is fine */

/* free() the text. @expires: seconds since 1970. */
int context_seal(const struct context_key *k, const char *purpose, const json_t *state, int64_t expires, char **out,
		 struct vmc_error *err);
/* *@state is the caller's. VMC_EAUTH: not one of ours, or for another purpose; VMC_ETIMEDOUT: it ended before @now. */
int context_open(const struct context_key *k, const char *purpose, const char *context, int64_t now, json_t **state,
		 struct vmc_error *err);

#endif
