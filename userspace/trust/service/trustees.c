// SPDX-License-Identifier: GPL-2.0-or-later
/* Token keys and CAs of one desired state. */
#include "trustees.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "../state/sign.h"

void trustees_init(struct trustees_cache *c)
{
	pthread_mutex_init(&c->lock, NULL);
	c->now = NULL;
}

static void trustees_free(struct trustees *t)
{
	for (size_t i = 0; i < t->n_keys; i++)
		EVP_PKEY_free(t->keys[i]);
	ek_cas_free(t->cas);
	json_decref(t->state);
	free(t);
}

/* Under the lock. */
static void drop(struct trustees *t)
{
	if (t && !--t->refs)
		trustees_free(t);
}

void trustees_end(struct trustees_cache *c)
{
	drop(c->now);
	pthread_mutex_destroy(&c->lock);
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static int add_cas(struct trustees *t, struct vmc_error *err)
{
	const json_t *ca, *list = json_object_get(json_object_get(t->state, "tpm2"), "ca_certificates");
	int rc = ek_cas_new(&t->cas, err);
	size_t i;

	json_array_foreach(list, i, ca) {
		if (rc)
			break;
		rc = ek_cas_add(t->cas, text(ca, "name"), text(ca, "pem"), err);
		if (rc == VMC_EEXIST)	/* under another name: the first one counts */
			rc = 0;
	}
	return rc;
}

static int add_keys(struct trustees *t, struct vmc_error *err)
{
	const json_t *a;
	int rc = 0;
	size_t i;

	json_array_foreach(json_object_get(t->state, "authorities"), i, a) {
		EVP_PKEY *key;

		if (rc || t->n_keys == TRUSTEES_KEYS)
			break;
		rc = sign_public_load(text(a, "token_key"), &key, err);
		if (rc)
			vmc_prefix(err, "the token key of authority '%s': ", text(a, "name"));
		else
			t->keys[t->n_keys++] = key;
	}
	return rc;
}

static int hash_services(struct trustees *t, struct vmc_error *err)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	json_t *o = json_pack("{s:O*, s:O*}", "authorities", json_object_get(t->state, "authorities"), "key_providers",
			      json_object_get(t->state, "key_providers"));
	char *dump = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(o);
	if (!dump)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	SHA256((uint8_t *)dump, strlen(dump), hash);
	free(dump);
	vmc_hex_encode(hash, sizeof(hash), t->services);
	return 0;
}

static int trustees_new(const json_t *state, EVP_PKEY *own, struct trustees **out, struct vmc_error *err)
{
	struct trustees *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the token keys");
	t->state = json_incref((json_t *)state);
	t->refs = 1;
	if (own && EVP_PKEY_up_ref(own) == 1)
		t->keys[t->n_keys++] = own;
	rc = add_keys(t, err);
	if (!rc)
		rc = add_cas(t, err);
	if (!rc)
		rc = hash_services(t, err);
	if (rc)
		trustees_free(t);
	else
		*out = t;
	return rc;
}

int trustees_get(struct trustees_cache *c, const json_t *state, EVP_PKEY *own, struct trustees **out,
		 struct vmc_error *err)
{
	struct trustees *t = NULL;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	/* a snapshot that is held is not freed, so that another one has another address */
	if (!c->now || c->now->state != state) {
		rc = trustees_new(state, own, &t, err);
		if (!rc) {
			drop(c->now);
			c->now = t;
		}
	}
	if (!rc) {
		*out = c->now;
		c->now->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void trustees_put(struct trustees_cache *c, struct trustees *t)
{
	pthread_mutex_lock(&c->lock);
	drop(t);
	pthread_mutex_unlock(&c->lock);
}
