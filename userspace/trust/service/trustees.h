/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose word counts, read from one desired state: the authorities' token keys and
 * the CAs of TPMs. Made once for each state and shared by all threads.
 */
#ifndef VMC_TRUST_TRUSTEES_H
#define VMC_TRUST_TRUSTEES_H

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "../../lib/error.h"
#include "../evidence/ek.h"

#define TRUSTEES_KEYS	17	/* of all authorities, and the own one */

struct trustees {
	json_t *state;			/* the snapshot that it was made of */
	struct ek_cas *cas;
	EVP_PKEY *keys[TRUSTEES_KEYS];
	size_t n_keys;
	char services[65];		/* SHA-256 of what hosts know of the services: another one is worth asking for */
	unsigned int refs;
};

/* The newest one. */
struct trustees_cache {
	pthread_mutex_t lock;
	struct trustees *now;
};

void trustees_init(struct trustees_cache *c);
void trustees_end(struct trustees_cache *c);
/*
 * Of @state, counted; trustees_put() it. @own: a token key that counts beside those of the state, or NULL. A CA or key
 * that cannot be read is an error: the state was checked when it was taken.
 */
int trustees_get(struct trustees_cache *c, const json_t *state, EVP_PKEY *own, struct trustees **t,
		 struct vmc_error *err);
void trustees_put(struct trustees_cache *c, struct trustees *t);

#endif
