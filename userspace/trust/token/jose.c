// SPDX-License-Identifier: GPL-2.0-or-later
/* What JWS and JWE have in common: parts between dots, JSON in base64url. */
#include <stdlib.h>
#include <string.h>

#include "b64url.h"
#include "jose_priv.h"

bool jose_split(const char *text, size_t max, struct jose_part *parts, size_t n)
{
	size_t len = strnlen(text, max + 1), i = 0;
	const char *end = text + len;

	if (len > max)
		return false;
	for (;;) {
		const char *dot = memchr(text, '.', (size_t)(end - text));
		const char *stop = dot ? dot : end;

		if (i == n)
			return false;
		parts[i++] = (struct jose_part){ text, (size_t)(stop - text) };
		if (!dot)
			return i == n;
		text = dot + 1;
	}
}

uint8_t *jose_bytes(const struct jose_part *p, size_t *n)
{
	uint8_t *b = malloc(p->len + 1);

	if (b && !b64url_decode(p->at, p->len, b, p->len, n)) {
		b[*n] = 0;
		return b;
	}
	free(b);
	return NULL;
}

json_t *jose_object(const struct jose_part *p)
{
	size_t n;
	uint8_t *b = jose_bytes(p, &n);
	json_t *o = b ? json_loadb((const char *)b, n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	free(b);
	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

bool jose_exactly(const struct jose_part *p, uint8_t *out, size_t n)
{
	size_t len;

	return !b64url_decode(p->at, p->len, out, n, &len) && len == n;
}

char *jose_text(const json_t *o)
{
	char *json = o ? json_dumps(o, JSON_COMPACT) : NULL, *text;
	size_t n = json ? strlen(json) : 0;

	text = json ? malloc(b64url_len(n)) : NULL;
	if (text)
		b64url_encode((const uint8_t *)json, n, text);
	free(json);
	return text;
}

bool jose_is(const json_t *o, const char *name, const char *want)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s && !strcmp(s, want);
}
