// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any text as a token: a foreign one is never taken. The first byte chooses; text of the second kind becomes claims,
 * which are signed and must come back, or be refused for what they say.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/secmem.h"
#include "b64url.h"
#include "ear.h"
#include "jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;

static void foreign(const char *text)
{
	const struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .now = 1 };
	json_t *claims;

	if (!jwt_verify(text, &key, 1, &want, &claims, NULL))
		abort();
	if (!jwt_peek(text, &claims, NULL))
		json_decref(claims);
}

static void own(const char *text)
{
	const struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .aud = "kmx", .now = 1800000000, .lives = true };
	json_t *in = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *out;
	struct ear_result r;
	char *token;

	if (json_is_object(in) && !jwt_sign(key, JWT_TYP_TOKEN, in, &token, NULL)) {
		if (!jwt_verify(token, &key, 1, &want, &out, NULL)) {
			if (!json_equal(in, out))
				abort();
			(void)ear_read(out, &r, NULL);
			ear_clear(&r);
			json_decref(out);
		}
		free(token);
	}
	json_decref(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!key && (secmem_init(1u << 20, NULL) || cert_key_new(&key, NULL)))
		abort();
	if (!size)
		return 0;
	text = calloc(1, size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	if (data[0] == 'o')
		own(text);
	else
		foreign(text);
	free(text);
	return 0;
}
