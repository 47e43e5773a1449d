// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whatever ttlv_parse() accepts can be walked to its end, and written again
 * gives the same bytes: the encoding has one form only.
 */
#include <stdlib.h>
#include <string.h>

#include "ttlv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy(struct ttlv_writer *w, const struct ttlv *i)
{
	struct ttlv_cursor c = ttlv_children(i);
	struct ttlv child;
	char text[256];
	int64_t l;
	uint32_t e;
	int32_t n;
	bool b;

	switch (i->type) {
	case TTLV_STRUCTURE:
		ttlv_begin(w, i->tag);
		while (ttlv_next(&c, &child))
			copy(w, &child);
		ttlv_end(w);
		break;
	case TTLV_INTEGER:
		ttlv_get_int(i, &n);
		ttlv_int(w, i->tag, n);
		break;
	case TTLV_LONG:
		ttlv_get_long(i, &l);
		ttlv_long(w, i->tag, l);
		break;
	case TTLV_BIGINT:
		ttlv_bigint(w, i->tag, i->value, i->len);
		break;
	case TTLV_ENUM:
		ttlv_get_enum(i, &e);
		ttlv_enum(w, i->tag, e);
		break;
	case TTLV_BOOL:
		ttlv_get_bool(i, &b);
		ttlv_bool(w, i->tag, b);
		break;
	case TTLV_TEXT:
		if (ttlv_get_text(i, text, sizeof(text))) {
			if (!ttlv_text_equal(i, text))
				abort();
			ttlv_text(w, i->tag, text);
		} else {
			char *s = strndup((const char *)i->value, i->len);

			ttlv_text(w, i->tag, s);
			free(s);
		}
		break;
	case TTLV_BYTES:
		ttlv_bytes(w, i->tag, i->value, i->len);
		break;
	case TTLV_DATE:
		ttlv_get_long(i, &l);
		ttlv_date(w, i->tag, l);
		break;
	case TTLV_DATE_EXT:
		ttlv_get_long(i, &l);
		ttlv_date_ext(w, i->tag, l);
		break;
	case TTLV_INTERVAL:
		ttlv_get_enum(i, &e);
		ttlv_interval(w, i->tag, e);
		break;
	default:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* memory of just that size, so that a read past the end is seen */
	uint8_t *in = malloc(size ? size : 1), *out = malloc(size ? size : 1);
	struct ttlv_writer w;
	struct ttlv root;
	size_t len, total;

	memcpy(in, data, size);
	if (size >= TTLV_HEADER)
		ttlv_peek(in, 0x42007b, &total, NULL);
	if (!ttlv_parse(in, size, &root, NULL)) {
		ttlv_writer_init(&w, out, size);
		copy(&w, &root);
		if (ttlv_finish(&w, &len, NULL) || len != size || memcmp(in, out, size))
			abort();
	}
	free(in);
	free(out);
	return 0;
}
