/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of token/ share. Nobody else includes it. */
#ifndef VMC_TRUST_JOSE_PRIV_H
#define VMC_TRUST_JOSE_PRIV_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* @text cut at its dots into exactly @n parts, none with characters outside of base64url; parts may be empty. */
struct jose_part {
	const char *at;
	size_t len;
};
bool jose_split(const char *text, size_t max, struct jose_part *parts, size_t n);

/* A part's bytes, with a NUL after them that *@n does not count; free() them. NULL when it is none. */
uint8_t *jose_bytes(const struct jose_part *p, size_t *n);
/* A part that is a JSON object; NULL when it is none. */
json_t *jose_object(const struct jose_part *p);
/* Exactly @n bytes. */
bool jose_exactly(const struct jose_part *p, uint8_t *out, size_t n);

/* The base64url of @o as compact JSON; free() it. NULL: no memory. */
char *jose_text(const json_t *o);

/* Is the string member @name of @o just that? */
bool jose_is(const json_t *o, const char *name, const char *want);

#endif
