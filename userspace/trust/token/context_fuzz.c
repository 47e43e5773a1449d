// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any text as base64url, which has one spelling for the same bytes; as a context that comes back; and as a public key.
 */
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "b64url.h"
#include "context.h"
#include "jwk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void spelling(const char *text, size_t size)
{
	uint8_t *b = malloc(size + 1);
	char *again = malloc(size + 4);
	size_t n;

	if (b && again && !b64url_decode(text, size, b, size, &n)) {
		b64url_encode(b, n, again);
		if (b64url_len(n) != size + 1 || strcmp(text, again))
			abort();
	}
	free(b);
	free(again);
}

static void keys(const char *text, size_t size)
{
	json_t *o = json_loads(text, 0, NULL), *back;
	EVP_PKEY *key;
	char kid[JWK_KID];

	if (!jwk_key_from_spki((const uint8_t *)text, size, &key, NULL)) {
		if (jwk_thumbprint(key, kid, NULL))
			abort();
		EVP_PKEY_free(key);
	}
	if (!jwk_to_key(o, &key, NULL)) {
		if (jwk_from_key(key, &back, NULL) ||
		    !json_equal(json_object_get(o, "x"), json_object_get(back, "x")))
			abort();
		json_decref(back);
		EVP_PKEY_free(key);
	}
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t secret[CONTEXT_SECRET];
	static struct context_key *k;
	char *text = calloc(1, size + 1);
	json_t *state;

	if (!k && (secmem_init(1u << 20, NULL) || context_key_new(secret, &k, NULL)))
		abort();
	if (!text)
		return 0;
	memcpy(text, data, size);
	spelling(text, size);
	keys(text, size);
	/* zeros as a key are no secret, but no fuzzer knows a tag under it either */
	if (!context_open(k, "attest", text, 0, &state, NULL))
		json_decref(state);
	free(text);
	return 0;
}
