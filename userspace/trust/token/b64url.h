/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
#ifndef VMC_TRUST_B64URL_H
#define VMC_TRUST_B64URL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

size_t b64url_len(size_t n);		/* characters of @n bytes, with the closing NUL */
void b64url_encode(const uint8_t *in, size_t n, char *out);

/*
 * Strict: @len characters of the alphabet and no others, no padding, unused bits zero, so that bytes have one
 * spelling only. 0, or VMC_EINVAL without a text; never writes more than @max bytes.
 */
int b64url_decode(const char *in, size_t len, uint8_t *out, size_t max, size_t *n);

/* As a JSON string; NULL: no memory. */
json_t *b64url_json(const uint8_t *in, size_t n);
/* The bytes of a JSON string, 1 to @max of them; free() them. VMC_EINVAL, VMC_ENOMEM; without a text. */
int b64url_from_json(const json_t *s, size_t max, uint8_t **out, size_t *n);

#endif
