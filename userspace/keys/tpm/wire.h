/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes in and out of a bounded buffer, big endian. After the first thing that does not fit, nothing does. */
#ifndef VMC_TPM_WIRE_H
#define VMC_TPM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_in {
	const uint8_t *at, *end;
	bool bad;
};

struct wire_out {
	uint8_t *at, *end;
	bool bad;
};

/* @n bytes, or NULL. */
static inline const uint8_t *wire_get(struct wire_in *w, size_t n)
{
	const uint8_t *p = w->at;

	if (w->bad || n > (size_t)(w->end - w->at)) {
		w->bad = true;
		return NULL;
	}
	w->at += n;
	return p;
}

/* An unsigned number of @n bytes, at most 8. */
static inline uint64_t wire_get_uint(struct wire_in *w, size_t n)
{
	const uint8_t *p = wire_get(w, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Bytes behind a length of two bytes, at most @max. */
static inline const uint8_t *wire_get_bytes(struct wire_in *w, size_t max, size_t *n)
{
	*n = (size_t)wire_get_uint(w, 2);
	if (*n > max)
		w->bad = true;
	return wire_get(w, *n);
}

static inline bool wire_at_end(const struct wire_in *w)
{
	return !w->bad && w->at == w->end;
}

static inline void wire_put(struct wire_out *w, const void *p, size_t n)
{
	if (w->bad || n > (size_t)(w->end - w->at)) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->at, p, n);
	w->at += n;
}

static inline void wire_put_uint(struct wire_out *w, uint64_t v, size_t n)
{
	uint8_t b[8];

	for (size_t i = 0; i < n && i < sizeof(b); i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	wire_put(w, b, n);
}

static inline void wire_put_bytes(struct wire_out *w, const void *p, size_t n)
{
	if (n > UINT16_MAX)
		w->bad = true;
	wire_put_uint(w, n, 2);
	wire_put(w, p, n);
}

#endif
