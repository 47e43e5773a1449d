// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64url without padding. */
#include "b64url.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t b64url_len(size_t n)
{
	return n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0) + 1;
}

void b64url_encode(const uint8_t *in, size_t n, char *out)
{
	uint32_t bits = 0;
	unsigned int have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = alphabet[bits >> (have - 6) & 63];
	}
	if (have)
		*out++ = alphabet[bits << (6 - have) & 63];
	*out = '\0';
}

/* -1: not of the alphabet. */
static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

int b64url_decode(const char *in, size_t len, uint8_t *out, size_t max, size_t *n)
{
	uint32_t bits = 0;
	unsigned int have = 0;
	size_t at = 0;

	if (len % 4 == 1 || len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0) > max)
		return VMC_EINVAL;
	for (size_t i = 0; i < len; i++) {
		int v = value(in[i]);

		if (v < 0)
			return VMC_EINVAL;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		out[at++] = (uint8_t)(bits >> have);
	}
	if (bits & ((1u << have) - 1))
		return VMC_EINVAL;
	*n = at;
	return 0;
}

json_t *b64url_json(const uint8_t *in, size_t n)
{
	char *text = malloc(b64url_len(n));
	json_t *s;

	if (!text)
		return NULL;
	b64url_encode(in, n, text);
	s = json_string(text);
	free(text);
	return s;
}

int b64url_from_json(const json_t *s, size_t max, uint8_t **out, size_t *n)
{
	const char *text = json_string_value(s);
	size_t len = text ? strlen(text) : 0;
	uint8_t *b;

	if (!len || len > b64url_len(max) || strlen(text) != json_string_length(s))
		return VMC_EINVAL;
	b = malloc(len);
	if (!b)
		return VMC_ENOMEM;
	if (b64url_decode(text, len, b, max, n) || !*n) {
		free(b);
		return VMC_EINVAL;
	}
	*out = b;
	return 0;
}
