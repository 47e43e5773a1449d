/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes out of a bounded buffer, little endian. After the first thing that is not there, nothing is. */
#ifndef VMC_EVIDENCE_LE_H
#define VMC_EVIDENCE_LE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct le_in {
	const uint8_t *at, *end;
	bool bad;
};

static inline size_t le_left(const struct le_in *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

/* @n bytes, or NULL. */
static inline const uint8_t *le_get(struct le_in *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > (size_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return p;
}

/* An unsigned number of @n bytes, at most 8. */
static inline uint64_t le_uint(struct le_in *r, size_t n)
{
	const uint8_t *p = le_get(r, n);
	uint64_t v = 0;

	for (size_t i = n; p && i; i--)
		v = v << 8 | p[i - 1];
	return v;
}

#endif
