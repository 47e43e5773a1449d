// SPDX-License-Identifier: GPL-2.0-or-later
/* TTLV, the encoding of KMIP. See ttlv.h. */
#include "ttlv.h"

#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
static void put32(uint8_t *p, uint32_t v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, v >> 32);
	put32(p + 4, v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

const char *ttlv_type_name(unsigned int type)
{
	static const char *const names[] = {
		[TTLV_STRUCTURE] = "Structure", [TTLV_INTEGER] = "Integer",
		[TTLV_LONG] = "Long Integer", [TTLV_BIGINT] = "Big Integer",
		[TTLV_ENUM] = "Enumeration", [TTLV_BOOL] = "Boolean",
		[TTLV_TEXT] = "Text String", [TTLV_BYTES] = "Byte String",
		[TTLV_DATE] = "Date-Time", [TTLV_INTERVAL] = "Interval",
		[TTLV_DATE_EXT] = "Date-Time Extended",
	};

	if (type < TTLV_STRUCTURE || type > TTLV_DATE_EXT)
		return "unknown type";
	return names[type];
}

/* ---- writing ---------------------------------------------------------- */

void ttlv_writer_init(struct ttlv_writer *w, void *buf, size_t max)
{
	*w = (struct ttlv_writer){ .buf = buf, .max = max };
}

/* Room for an item with @len bytes of value, header written, padding zeroed. */
static uint8_t *item(struct ttlv_writer *w, uint32_t tag, uint8_t type, size_t len)
{
	uint8_t *p;

	if (w->broken || w->full)
		return NULL;
	if (tag > 0xffffff) {
		w->broken = true;
		return NULL;
	}
	if (len > INT32_MAX || ttlv_size(len) > w->max - w->len) {
		w->full = true;
		return NULL;
	}
	p = w->buf + w->len;
	put32(p, tag << 8 | type);
	put32(p + 4, len);
	/* a value never covers the padding, so zero the last word first */
	if (len % 8)
		memset(p + ttlv_size(len) - 8, 0, 8);
	w->len += ttlv_size(len);
	return p + TTLV_HEADER;
}

void ttlv_begin(struct ttlv_writer *w, uint32_t tag)
{
	size_t at = w->len;

	if (w->depth == TTLV_DEPTH_MAX)
		w->broken = true;
	if (item(w, tag, TTLV_STRUCTURE, 0))
		w->open[w->depth++] = at;
}

void ttlv_end(struct ttlv_writer *w)
{
	size_t at;

	if (w->broken || w->full)
		return;
	if (!w->depth) {
		w->broken = true;
		return;
	}
	at = w->open[--w->depth];
	put32(w->buf + at + 4, w->len - at - TTLV_HEADER);
}

static void item32(struct ttlv_writer *w, uint32_t tag, uint8_t type, uint32_t v)
{
	uint8_t *p = item(w, tag, type, 4);

	if (p)
		put32(p, v);
}

static void item64(struct ttlv_writer *w, uint32_t tag, uint8_t type, uint64_t v)
{
	uint8_t *p = item(w, tag, type, 8);

	if (p)
		put64(p, v);
}

static void item_bytes(struct ttlv_writer *w, uint32_t tag, uint8_t type,
		       const void *v, size_t n)
{
	uint8_t *p = item(w, tag, type, n);

	if (p && n)
		memcpy(p, v, n);
}

void ttlv_int(struct ttlv_writer *w, uint32_t tag, int32_t v)
{
	item32(w, tag, TTLV_INTEGER, v);
}

void ttlv_long(struct ttlv_writer *w, uint32_t tag, int64_t v)
{
	item64(w, tag, TTLV_LONG, v);
}

void ttlv_bigint(struct ttlv_writer *w, uint32_t tag, const uint8_t *v, size_t n)
{
	if (!n || n % 8)
		w->broken = true;
	item_bytes(w, tag, TTLV_BIGINT, v, n);
}

void ttlv_enum(struct ttlv_writer *w, uint32_t tag, uint32_t v)
{
	item32(w, tag, TTLV_ENUM, v);
}

void ttlv_bool(struct ttlv_writer *w, uint32_t tag, bool v)
{
	item64(w, tag, TTLV_BOOL, v);
}

void ttlv_text(struct ttlv_writer *w, uint32_t tag, const char *v)
{
	item_bytes(w, tag, TTLV_TEXT, v, strlen(v));
}

void ttlv_bytes(struct ttlv_writer *w, uint32_t tag, const void *v, size_t n)
{
	item_bytes(w, tag, TTLV_BYTES, v, n);
}

void ttlv_date(struct ttlv_writer *w, uint32_t tag, int64_t seconds)
{
	item64(w, tag, TTLV_DATE, seconds);
}

void ttlv_date_ext(struct ttlv_writer *w, uint32_t tag, int64_t microseconds)
{
	item64(w, tag, TTLV_DATE_EXT, microseconds);
}

void ttlv_interval(struct ttlv_writer *w, uint32_t tag, uint32_t seconds)
{
	item32(w, tag, TTLV_INTERVAL, seconds);
}

int ttlv_finish(const struct ttlv_writer *w, size_t *len, struct vmc_error *err)
{
	if (w->full)
		return vmc_fail(err, VMC_ENOSPC,
				"the KMIP message does not fit in %zu bytes", w->max);
	if (w->broken || w->depth)
		return vmc_fail(err, VMC_EINTERNAL,
				"the KMIP message was not put together properly");
	*len = w->len;
	return 0;
}

/* ---- reading ---------------------------------------------------------- */

/* RFC 3629, section 4; and no NUL, so that a C string holds all of it. */
static bool utf8_ok(const uint8_t *p, size_t n)
{
	while (n) {
		unsigned int more;
		uint32_t c = *p, min;

		if (!c)
			return false;
		if (c < 0x80) {
			p++;
			n--;
			continue;
		}
		if ((c & 0xe0) == 0xc0) {
			more = 1;
			min = 0x80;
			c &= 0x1f;
		} else if ((c & 0xf0) == 0xe0) {
			more = 2;
			min = 0x800;
			c &= 0x0f;
		} else if ((c & 0xf8) == 0xf0) {
			more = 3;
			min = 0x10000;
			c &= 0x07;
		} else {
			return false;
		}
		if (n <= more)
			return false;
		for (unsigned int i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		p += more + 1;
		n -= more + 1;
	}
	return true;
}

static bool zeros(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* What is wrong with the value of one item, or NULL. */
static const char *value_fault(const struct ttlv *i)
{
	switch (i->type) {
	case TTLV_STRUCTURE:
		return i->len % 8 ? N_("a structure's length is not a multiple of eight") : NULL;
	case TTLV_INTEGER:
	case TTLV_ENUM:
	case TTLV_INTERVAL:
		return i->len != 4 ? N_("a four-byte value has another length") : NULL;
	case TTLV_LONG:
	case TTLV_DATE:
	case TTLV_DATE_EXT:
		return i->len != 8 ? N_("an eight-byte value has another length") : NULL;
	case TTLV_BOOL:
		if (i->len != 8)
			return N_("an eight-byte value has another length");
		return get64(i->value) > 1 ? N_("a boolean is neither 0 nor 1") : NULL;
	case TTLV_BIGINT:
		return !i->len || i->len % 8 ?
		       N_("a big integer's length is not a multiple of eight") : NULL;
	case TTLV_TEXT:
		return utf8_ok(i->value, i->len) ? NULL : N_("a text is not UTF-8");
	case TTLV_BYTES:
		return NULL;
	default:
		return N_("an item has a type that KMIP does not know");
	}
}

/* Take one item off [*p, end); returns what is wrong with it, or NULL. */
static const char *take(const uint8_t **p, const uint8_t *end, struct ttlv *i)
{
	size_t left = end - *p;

	if (left < TTLV_HEADER)
		return N_("an item's header is cut off");
	i->tag = get32(*p) >> 8;
	i->type = (*p)[3];
	i->len = get32(*p + 4);
	i->value = *p + TTLV_HEADER;
	/* compare before any rounding up: a length near 2^32 must not wrap */
	if (i->len > left - TTLV_HEADER || ttlv_size(i->len) > left)
		return N_("an item is longer than what contains it");
	*p += ttlv_size(i->len);
	return NULL;
}

int ttlv_parse(const void *buf, size_t len, struct ttlv *root, struct vmc_error *err)
{
	const uint8_t *p = buf, *ends[TTLV_DEPTH_MAX + 1];
	unsigned int depth = 0, items = 0;
	const char *fault = NULL;
	const uint8_t *at;
	struct ttlv i;

	ends[0] = p + len;
	do {
		at = p;
		fault = take(&p, ends[depth], &i);
		if (!fault)
			fault = value_fault(&i);
		if (!fault && !zeros(i.value + i.len, (8 - i.len % 8) % 8))
			fault = N_("the padding is not zero");
		if (!fault && ++items > TTLV_ITEMS_MAX)
			fault = N_("there are too many items");
		if (fault)
			break;
		if (at == buf) {
			*root = i;
			if (p != ends[0]) {
				fault = N_("there are bytes after the message");
				break;
			}
		}
		if (i.type == TTLV_STRUCTURE) {
			if (depth == TTLV_DEPTH_MAX) {
				fault = N_("structures are nested too deep");
				break;
			}
			ends[++depth] = p;
			p = i.value;
		}
		while (depth && p == ends[depth])
			depth--;
	} while (depth);

	if (fault)
		return vmc_fail(err, VMC_EPROTO, "not a KMIP message: at byte %zu %s",
				(size_t)(at - (const uint8_t *)buf), message_say(fault));
	return 0;
}

int ttlv_peek(const uint8_t head[TTLV_HEADER], uint32_t tag, size_t *total,
	      struct vmc_error *err)
{
	uint32_t len = get32(head + 4);

	if (get32(head) != (tag << 8 | TTLV_STRUCTURE))
		return vmc_fail(err, VMC_EPROTO,
				"not a KMIP message: it begins with %02x%02x%02x%02x instead of %06x01",
				head[0], head[1], head[2], head[3], tag);
	if (len % 8)
		return vmc_fail(err, VMC_EPROTO,
				"not a KMIP message: its length of %u is not a multiple of eight", len);
	*total = (size_t)len + TTLV_HEADER;
	return 0;
}

struct ttlv_cursor ttlv_children(const struct ttlv *s)
{
	if (s->type != TTLV_STRUCTURE)
		return (struct ttlv_cursor){ NULL, NULL };
	return (struct ttlv_cursor){ s->value, s->value + s->len };
}

bool ttlv_next(struct ttlv_cursor *c, struct ttlv *i)
{
	return c->p && c->p != c->end && !take(&c->p, c->end, i);
}

bool ttlv_find(const struct ttlv *s, uint32_t tag, struct ttlv *i)
{
	struct ttlv_cursor c = ttlv_children(s);

	while (ttlv_next(&c, i))
		if (i->tag == tag)
			return true;
	return false;
}

bool ttlv_find_type(const struct ttlv *s, uint32_t tag, enum ttlv_type type,
		    struct ttlv *i)
{
	return ttlv_find(s, tag, i) && i->type == type;
}

bool ttlv_get_int(const struct ttlv *i, int32_t *v)
{
	if (i->type != TTLV_INTEGER)
		return false;
	*v = (int32_t)get32(i->value);
	return true;
}

bool ttlv_get_long(const struct ttlv *i, int64_t *v)
{
	if (i->type != TTLV_LONG && i->type != TTLV_DATE && i->type != TTLV_DATE_EXT)
		return false;
	*v = (int64_t)get64(i->value);
	return true;
}

bool ttlv_get_enum(const struct ttlv *i, uint32_t *v)
{
	if (i->type != TTLV_ENUM && i->type != TTLV_INTERVAL)
		return false;
	*v = get32(i->value);
	return true;
}

bool ttlv_get_bool(const struct ttlv *i, bool *v)
{
	if (i->type != TTLV_BOOL)
		return false;
	*v = get64(i->value);
	return true;
}

bool ttlv_get_text(const struct ttlv *i, char *out, size_t max)
{
	if (i->type != TTLV_TEXT || i->len >= max)
		return false;
	memcpy(out, i->value, i->len);
	out[i->len] = '\0';
	return true;
}

bool ttlv_text_equal(const struct ttlv *i, const char *s)
{
	return i->type == TTLV_TEXT && i->len == strlen(s) &&
	       !memcmp(i->value, s, i->len);
}
