/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TTLV, the encoding of KMIP (KMIP 1.4 section 9.1; Date Time Extended from
 * KMIP 2.0 section 5.1): tag (3 bytes), type (1), length (4), value, padded
 * with zeros to a multiple of eight. Pure functions on bytes: no I/O, no
 * allocation, no state of their own.
 */
#ifndef VMC_KMIP_TTLV_H
#define VMC_KMIP_TTLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

enum ttlv_type {
	TTLV_STRUCTURE = 1, TTLV_INTEGER, TTLV_LONG, TTLV_BIGINT, TTLV_ENUM,
	TTLV_BOOL, TTLV_TEXT, TTLV_BYTES, TTLV_DATE, TTLV_INTERVAL,
	TTLV_DATE_EXT,
};
const char *ttlv_type_name(unsigned int type);	/* "Integer"; "unknown type" */

#define TTLV_HEADER	8	/* tag, type and length */
#define TTLV_DEPTH_MAX	16	/* structures within structures */
#define TTLV_ITEMS_MAX	65536	/* in one message */

/* Bytes that an item with a value of @len bytes takes, header and padding included. */
static inline size_t ttlv_size(size_t len)
{
	return TTLV_HEADER + ((len + 7) & ~(size_t)7);
}

/* ---- writing ---------------------------------------------------------- */

/* Writes into memory of the caller's choice. The first fault sticks: later
 * calls do nothing, and ttlv_finish() tells. */
struct ttlv_writer {
	uint8_t *buf;
	size_t len, max;
	unsigned int depth;
	size_t open[TTLV_DEPTH_MAX];	/* where the open structures begin */
	bool full, broken;
};

void ttlv_writer_init(struct ttlv_writer *w, void *buf, size_t max);
void ttlv_begin(struct ttlv_writer *w, uint32_t tag);	/* a structure */
void ttlv_end(struct ttlv_writer *w);
void ttlv_int(struct ttlv_writer *w, uint32_t tag, int32_t v);
void ttlv_long(struct ttlv_writer *w, uint32_t tag, int64_t v);
/* Two's complement, big endian; @n a multiple of eight, at least eight. */
void ttlv_bigint(struct ttlv_writer *w, uint32_t tag, const uint8_t *v, size_t n);
void ttlv_enum(struct ttlv_writer *w, uint32_t tag, uint32_t v);
void ttlv_bool(struct ttlv_writer *w, uint32_t tag, bool v);
void ttlv_text(struct ttlv_writer *w, uint32_t tag, const char *v);
void ttlv_bytes(struct ttlv_writer *w, uint32_t tag, const void *v, size_t n);
void ttlv_date(struct ttlv_writer *w, uint32_t tag, int64_t seconds);
void ttlv_date_ext(struct ttlv_writer *w, uint32_t tag, int64_t microseconds);
void ttlv_interval(struct ttlv_writer *w, uint32_t tag, uint32_t seconds);
/* Length of the whole; VMC_ENOSPC when it did not fit, VMC_EINTERNAL when structures do not pair up. */
int ttlv_finish(const struct ttlv_writer *w, size_t *len, struct vmc_error *err);

/* ---- reading ---------------------------------------------------------- */

/* One item; @value points into the message. */
struct ttlv {
	uint32_t tag;
	uint8_t type;
	uint32_t len;
	const uint8_t *value;
};

/* Walks the items of one structure. */
struct ttlv_cursor {
	const uint8_t *p, *end;
};

/*
 * Check a whole message (exactly one item, @len bytes) before anything in it is
 * used: every length inside its structure, every fixed length right, padding
 * zero, types known, booleans 0 or 1, text valid UTF-8 without NUL, depth and
 * number of items bounded. 0 and @root, or VMC_EPROTO naming the offset.
 */
int ttlv_parse(const void *buf, size_t len, struct ttlv *root, struct vmc_error *err);

/* Length of the whole message from its first eight bytes; VMC_EPROTO unless it is a structure @tag. */
int ttlv_peek(const uint8_t head[TTLV_HEADER], uint32_t tag, size_t *total, struct vmc_error *err);

/* These work on what ttlv_parse() accepted, and stay inside it whatever they are given. */
struct ttlv_cursor ttlv_children(const struct ttlv *structure);	/* empty for other types */
bool ttlv_next(struct ttlv_cursor *c, struct ttlv *item);
bool ttlv_find(const struct ttlv *structure, uint32_t tag, struct ttlv *item);	/* the first one */
bool ttlv_find_type(const struct ttlv *structure, uint32_t tag, enum ttlv_type type, struct ttlv *item);

/* False when the item has another type, or the text does not fit in @max bytes with its NUL. */
bool ttlv_get_int(const struct ttlv *i, int32_t *v);
bool ttlv_get_long(const struct ttlv *i, int64_t *v);	/* Long Integer, Date Time, Date Time Extended */
bool ttlv_get_enum(const struct ttlv *i, uint32_t *v);	/* Enumeration, Interval */
bool ttlv_get_bool(const struct ttlv *i, bool *v);
bool ttlv_get_text(const struct ttlv *i, char *out, size_t max);
bool ttlv_text_equal(const struct ttlv *i, const char *s);

#endif
