// SPDX-License-Identifier: GPL-2.0-or-later
/* State that is sealed and handed to the client. See context.h. */
#include "context.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/tpm/aead.h"
#include "../../lib/secmem.h"
#include "b64url.h"
#include "jose_priv.h"

#define VERSION		1
#define LABEL		"vmcrypt trust context 1"
#define PURPOSE_MAX	32
#define OVERHEAD	(1 + AEAD_NONCE + AEAD_TAG)

struct context_key {
	uint8_t k[AEAD_KEY];
};

int context_key_new(const uint8_t *secret, struct context_key **out, struct vmc_error *err)
{
	struct context_key *k = secmem_alloc(sizeof(*k));
	int rc;

	if (!k)
		return vmc_fail(err, VMC_ENOMEM, "no locked memory for the key of contexts");
	rc = aead_derive(secret, LABEL, k->k, err);
	if (rc)
		context_key_free(k);
	else
		*out = k;
	return rc;
}

void context_key_free(struct context_key *k)
{
	secmem_free(k, sizeof(*k));
}

/* version | purpose */
static size_t associated(const char *purpose, uint8_t aad[1 + PURPOSE_MAX])
{
	size_t n = strnlen(purpose, PURPOSE_MAX);

	aad[0] = VERSION;
	memcpy(aad + 1, purpose, n);
	return 1 + n;
}

int context_seal(const struct context_key *k, const char *purpose, const json_t *state, int64_t expires, char **out,
		 struct vmc_error *err)
{
	json_t *o = json_pack("{s:I, s:O}", "exp", (json_int_t)expires, "s", (json_t *)state);
	char *plain = o ? json_dumps(o, JSON_COMPACT) : NULL, *text = NULL;
	size_t n = plain ? strlen(plain) : 0;
	uint8_t aad[1 + PURPOSE_MAX], *b = plain ? malloc(n + OVERHEAD) : NULL;
	int rc;

	json_decref(o);
	text = b ? malloc(b64url_len(n + OVERHEAD)) : NULL;
	if (!text) {
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for a context");
	} else if (b64url_len(n + OVERHEAD) > CONTEXT_MAX) {
		rc = vmc_fail(err, VMC_EINVAL, "a context of %zu bytes is too long", n);
	} else {
		b[0] = VERSION;
		rc = aead_seal(k->k, aad, associated(purpose, aad), (const uint8_t *)plain, n, b + 1, b + 1 + AEAD_NONCE,
			       b + 1 + AEAD_NONCE + n, err);
	}
	if (!rc)
		b64url_encode(b, n + OVERHEAD, text);
	free(plain);
	free(b);
	if (rc)
		free(text);
	else
		*out = text;
	return rc;
}

static int foreign(struct vmc_error *err)
{
	vmc_fail(err, VMC_EAUTH, "the context is not one of this service, or it was altered");
	vmc_hint(err, "begin anew at this service; a context of another one is not good here");
	return VMC_EAUTH;
}

/* The JSON that was sealed. */
static json_t *unseal(const struct context_key *k, const char *purpose, const uint8_t *b, size_t n)
{
	size_t len = n - OVERHEAD;
	uint8_t aad[1 + PURPOSE_MAX], *plain = malloc(len + 1);
	json_t *o = NULL;

	if (plain && b[0] == VERSION &&
	    !aead_open(k->k, aad, associated(purpose, aad), b + 1 + AEAD_NONCE, len, b + 1, b + n - AEAD_TAG, plain, NULL))
		o = json_loadb((const char *)plain, len, JSON_REJECT_DUPLICATES, NULL);
	free(plain);
	return o;
}

int context_open(const struct context_key *k, const char *purpose, const char *context, int64_t now, json_t **state,
		 struct vmc_error *err)
{
	struct jose_part p;
	uint8_t *b = NULL;
	size_t n = 0;
	json_t *o;

	if (jose_split(context, CONTEXT_MAX, &p, 1))
		b = jose_bytes(&p, &n);
	o = b && n > OVERHEAD ? unseal(k, purpose, b, n) : NULL;
	free(b);
	if (!o)
		return foreign(err);
	if (now >= json_integer_value(json_object_get(o, "exp"))) {
		json_decref(o);
		vmc_fail(err, VMC_ETIMEDOUT, "the answer came too late: the challenge has expired");
		vmc_hint(err, "begin anew; when it happens again, look at the load of both hosts and at their clocks");
		return VMC_ETIMEDOUT;
	}
	*state = json_incref(json_object_get(o, "s"));
	json_decref(o);
	return 0;
}
