// SPDX-License-Identifier: GPL-2.0-or-later
/* The codec: the examples of KMIP 1.4 section 9.1.2, bounds, and everything that must be refused. */
#include <stdlib.h>
#include <string.h>

#include "../../testing/testing.h"
#include "ttlv.h"

static uint8_t buf[4096];

#define ENCODES(call, ...) do { \
	static const uint8_t want[] = { __VA_ARGS__ }; \
	struct ttlv_writer w; \
	size_t len; \
	ttlv_writer_init(&w, buf, sizeof(buf)); \
	call; \
	assert_int_equal(ttlv_finish(&w, &len, NULL), 0); \
	assert_int_equal(len, sizeof(want)); \
	assert_memory_equal(buf, want, len); \
} while (0)

/* KMIP 1.4 section 9.1.2 */
static void test_examples(void **state)
{
	static const uint8_t big[16] = { [7] = 0x03, 0xfd, 0x35, 0xeb, 0x6b, 0xc2, 0xdf, 0x46, 0x18 };
	static const uint8_t bytes[] = { 1, 2, 3 };

	(void)state;
	ENCODES(ttlv_int(&w, 0x420020, 8),
		0x42, 0x00, 0x20, 0x02, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0);
	ENCODES(ttlv_long(&w, 0x420020, 123456789000000000),
		0x42, 0x00, 0x20, 0x03, 0, 0, 0, 8, 0x01, 0xb6, 0x9b, 0x4b, 0xa5, 0x74, 0x92, 0x00);
	ENCODES(ttlv_bigint(&w, 0x420020, big, 16),
		0x42, 0x00, 0x20, 0x04, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x03, 0xfd, 0x35, 0xeb,
		0x6b, 0xc2, 0xdf, 0x46, 0x18);
	ENCODES(ttlv_enum(&w, 0x420020, 255),
		0x42, 0x00, 0x20, 0x05, 0, 0, 0, 4, 0, 0, 0, 0xff, 0, 0, 0, 0);
	ENCODES(ttlv_bool(&w, 0x420020, true),
		0x42, 0x00, 0x20, 0x06, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1);
	ENCODES(ttlv_text(&w, 0x420020, "Hello World"),
		0x42, 0x00, 0x20, 0x07, 0, 0, 0, 0x0b, 'H', 'e', 'l', 'l', 'o', ' ', 'W', 'o', 'r',
		'l', 'd', 0, 0, 0, 0, 0);
	ENCODES(ttlv_bytes(&w, 0x420020, bytes, 3),
		0x42, 0x00, 0x20, 0x08, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0);
	ENCODES(ttlv_date(&w, 0x420020, 1205495800),
		0x42, 0x00, 0x20, 0x09, 0, 0, 0, 8, 0, 0, 0, 0, 0x47, 0xda, 0x67, 0xf8);
	ENCODES(ttlv_interval(&w, 0x420020, 864000),
		0x42, 0x00, 0x20, 0x0a, 0, 0, 0, 4, 0, 0x0d, 0x2f, 0, 0, 0, 0, 0);
	ENCODES((ttlv_begin(&w, 0x420020), ttlv_enum(&w, 0x420004, 254),
		 ttlv_int(&w, 0x420005, 255), ttlv_end(&w)),
		0x42, 0x00, 0x20, 0x01, 0, 0, 0, 0x20, 0x42, 0x00, 0x04, 0x05, 0, 0, 0, 4, 0, 0, 0,
		0xfe, 0, 0, 0, 0, 0x42, 0x00, 0x05, 0x02, 0, 0, 0, 4, 0, 0, 0, 0xff, 0, 0, 0, 0);
	/* KMIP 2.0: Date-Time Extended */
	ENCODES(ttlv_date_ext(&w, 0x420020, 1),
		0x42, 0x00, 0x20, 0x0b, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1);
	ENCODES(ttlv_text(&w, 0x420020, ""), 0x42, 0x00, 0x20, 0x07, 0, 0, 0, 0);
}

/* Random trees, written, parsed, and every value found again. */
static unsigned int rnd(unsigned int n)
{
	return (unsigned int)rand() % n;
}

static void write_tree(struct ttlv_writer *w, unsigned int depth)
{
	static const uint8_t raw[64] = { 0xff, 1, 2, 3 };
	unsigned int n = rnd(6);

	ttlv_begin(w, 0x420000 + rnd(256));
	while (n--) {
		uint32_t tag = 0x420000 + rnd(256);

		switch (rnd(11)) {
		case 0:
			if (depth < 5)
				write_tree(w, depth + 1);
			break;
		case 1:
			ttlv_int(w, tag, rand() - RAND_MAX / 2);
			break;
		case 2:
			ttlv_long(w, tag, -(int64_t)rand() * rand());
			break;
		case 3:
			ttlv_bigint(w, tag, raw, 8 * (1 + rnd(8)));
			break;
		case 4:
			ttlv_enum(w, tag, rand());
			break;
		case 5:
			ttlv_bool(w, tag, rnd(2));
			break;
		case 6:
			ttlv_text(w, tag, &"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91 key of a VM"[rnd(2) * 2]);
			break;
		case 7:
			ttlv_bytes(w, tag, raw, rnd(64));
			break;
		case 8:
			ttlv_date(w, tag, rand());
			break;
		case 9:
			ttlv_interval(w, tag, rand());
			break;
		case 10:
			ttlv_date_ext(w, tag, rand());
			break;
		}
	}
	ttlv_end(w);
}

/* Reading takes as many steps, and ends where writing ended. */
static size_t count(const struct ttlv *i)
{
	struct ttlv_cursor c = ttlv_children(i);
	size_t n = TTLV_HEADER;
	struct ttlv child;

	if (i->type != TTLV_STRUCTURE)
		return ttlv_size(i->len);
	while (ttlv_next(&c, &child))
		n += count(&child);
	assert_ptr_equal(c.p, c.end);
	return n;
}

static void test_round_trip(void **state)
{
	static uint8_t big[65536];
	struct ttlv_writer w;
	struct ttlv root;
	size_t len;

	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		ttlv_writer_init(&w, big, sizeof(big));
		write_tree(&w, 0);
		assert_int_equal(ttlv_finish(&w, &len, NULL), 0);
		assert_int_equal(ttlv_parse(big, len, &root, NULL), 0);
		assert_int_equal(count(&root), len);
	}
}

static void test_values(void **state)
{
	struct ttlv_writer w;
	struct ttlv root, i;
	char text[12];
	int32_t n;
	uint32_t e;
	int64_t l;
	size_t len;
	bool b;

	(void)state;
	ttlv_writer_init(&w, buf, sizeof(buf));
	ttlv_begin(&w, 1);
	ttlv_int(&w, 2, INT32_MIN);
	ttlv_long(&w, 3, INT64_MIN);
	ttlv_enum(&w, 4, UINT32_MAX);
	ttlv_bool(&w, 5, true);
	ttlv_text(&w, 6, "Hello World");
	ttlv_end(&w);
	assert_int_equal(ttlv_finish(&w, &len, NULL), 0);
	assert_int_equal(ttlv_parse(buf, len, &root, NULL), 0);
	assert_true(ttlv_find(&root, 2, &i) && ttlv_get_int(&i, &n) && n == INT32_MIN);
	assert_false(ttlv_get_enum(&i, &e));
	assert_true(ttlv_find(&root, 3, &i) && ttlv_get_long(&i, &l) && l == INT64_MIN);
	assert_true(ttlv_find(&root, 4, &i) && ttlv_get_enum(&i, &e) && e == UINT32_MAX);
	assert_false(ttlv_get_int(&i, &n));
	assert_true(ttlv_find(&root, 5, &i) && ttlv_get_bool(&i, &b) && b);
	assert_true(ttlv_find(&root, 6, &i) && ttlv_get_text(&i, text, 12));
	assert_string_equal(text, "Hello World");
	assert_false(ttlv_get_text(&i, text, 11));
	assert_true(ttlv_text_equal(&i, "Hello World"));
	assert_false(ttlv_text_equal(&i, "Hello"));
	assert_false(ttlv_find(&root, 7, &i));
	assert_false(ttlv_find_type(&root, 6, TTLV_BYTES, &i));
}

/* Every length of buffer but the right one is refused, and nothing is written past it. */
static void test_writer_bounds(void **state)
{
	uint8_t small[128];
	struct ttlv_writer w;
	size_t len;

	(void)state;
	for (size_t max = 0; max <= 64; max++) {
		memset(small, 0xee, sizeof(small));
		ttlv_writer_init(&w, small, max);
		ttlv_begin(&w, 1);
		ttlv_text(&w, 2, "Hello World");
		ttlv_int(&w, 3, 1);
		ttlv_bytes(&w, 4, "", 0);
		ttlv_end(&w);
		assert_int_equal(ttlv_finish(&w, &len, NULL), max < 56 ? VMC_ENOSPC : 0);
		for (size_t i = max; i < sizeof(small); i++)
			assert_int_equal(small[i], 0xee);
	}
}

static void test_writer_misuse(void **state)
{
	struct ttlv_writer w;
	size_t len;

	(void)state;
	ttlv_writer_init(&w, buf, sizeof(buf));
	ttlv_begin(&w, 1);
	assert_int_equal(ttlv_finish(&w, &len, NULL), VMC_EINTERNAL);
	ttlv_end(&w);
	ttlv_end(&w);
	assert_int_equal(ttlv_finish(&w, &len, NULL), VMC_EINTERNAL);
	ttlv_writer_init(&w, buf, sizeof(buf));
	ttlv_bigint(&w, 1, buf, 7);
	assert_int_equal(ttlv_finish(&w, &len, NULL), VMC_EINTERNAL);
	ttlv_writer_init(&w, buf, sizeof(buf));
	ttlv_int(&w, 0x1000000, 7);
	assert_int_equal(ttlv_finish(&w, &len, NULL), VMC_EINTERNAL);
	ttlv_writer_init(&w, buf, sizeof(buf));
	for (int i = 0; i <= TTLV_DEPTH_MAX; i++)
		ttlv_begin(&w, 1);
	assert_int_equal(ttlv_finish(&w, &len, NULL), VMC_EINTERNAL);
}

#define REFUSES(why, ...) do { \
	static const uint8_t bad[] = { __VA_ARGS__ }; \
	struct vmc_error err = VMC_ERROR_INIT; \
	uint8_t *exact = malloc(sizeof(bad)); \
	struct ttlv top; \
	memcpy(exact, bad, sizeof(bad)); \
	assert_code(ttlv_parse(exact, sizeof(bad), &top, &err), VMC_EPROTO, &err); \
	assert_contains(err.text, why); \
	free(exact); \
} while (0)

static void test_refusals(void **state)
{
	struct ttlv root;

	(void)state;
	assert_int_equal(ttlv_parse(buf, 0, &root, NULL), VMC_EPROTO);
	REFUSES("header is cut off", 0x42, 0, 1, 2, 0, 0, 0);
	REFUSES("longer than what contains", 0x42, 0, 1, 2, 0, 0, 0, 4, 0, 0, 0, 1);
	REFUSES("longer than what contains", 0x42, 0, 1, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1);
	REFUSES("longer than what contains", 0x42, 0, 1, 8, 0xff, 0xff, 0xff, 0xf8, 0, 0, 0, 1);
	REFUSES("padding", 0x42, 0, 1, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1);
	REFUSES("padding", 0x42, 0, 1, 7, 0, 0, 0, 1, 'a', 0, 0, 0, 1, 0, 0, 0);
	REFUSES("four-byte", 0x42, 0, 1, 2, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0);
	REFUSES("four-byte", 0x42, 0, 1, 5, 0, 0, 0, 0);
	REFUSES("eight-byte", 0x42, 0, 1, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0);
	REFUSES("eight-byte", 0x42, 0, 1, 6, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0);
	REFUSES("boolean", 0x42, 0, 1, 6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2);
	REFUSES("boolean", 0x42, 0, 1, 6, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0);
	REFUSES("big integer", 0x42, 0, 1, 4, 0, 0, 0, 0);
	REFUSES("big integer", 0x42, 0, 1, 4, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0);
	REFUSES("type that KMIP does not know", 0x42, 0, 1, 0, 0, 0, 0, 0);
	REFUSES("type that KMIP does not know", 0x42, 0, 1, 12, 0, 0, 0, 0);
	REFUSES("after the message", 0x42, 0, 1, 8, 0, 0, 0, 0, 0);
	REFUSES("structure's length", 0x42, 0, 1, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0);
	/* a child that sticks out of its structure, into its sibling */
	REFUSES("longer than what contains", 0x42, 0, 1, 1, 0, 0, 0, 32, 0x42, 0, 2, 1, 0, 0, 0, 8,
		0x42, 0, 3, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	/* UTF-8: a lone continuation, overlong, surrogate, beyond U+10FFFF, cut off, NUL */
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0);
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 2, 0xc0, 0xaf, 0, 0, 0, 0, 0, 0);
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 3, 0xed, 0xa0, 0x80, 0, 0, 0, 0, 0);
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 4, 0xf4, 0x90, 0x80, 0x80, 0, 0, 0, 0);
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 2, 0xe2, 0x82, 0, 0, 0, 0, 0, 0);
	REFUSES("UTF-8", 0x42, 0, 1, 7, 0, 0, 0, 3, 'a', 0, 'b', 0, 0, 0, 0, 0);
}

static void test_depth_and_count(void **state)
{
	static uint8_t many[(TTLV_ITEMS_MAX + 4) * 8];
	struct vmc_error err = VMC_ERROR_INIT;
	struct ttlv root;
	size_t n = TTLV_DEPTH_MAX + 1;

	(void)state;
	/* structures in structures, each holding just the next one */
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = many + 8 * i;

		memcpy(p, (uint8_t[]){ 0x42, 0, 1, 1, 0, 0, 0, 8 * (n - 1 - i) }, 8);
	}
	assert_code(ttlv_parse(many, 8 * n, &root, &err), VMC_EPROTO, &err);
	assert_contains(err.text, "nested too deep");
	assert_int_equal(ttlv_parse(many + 8, 8 * (n - 1), &root, NULL), 0);
	/* one structure with very many empty items */
	for (size_t i = 0; i < TTLV_ITEMS_MAX + 4; i++)
		memcpy(many + 8 * i, (uint8_t[]){ 0x42, 0, 1, 8, 0, 0, 0, 0 }, 8);
	n = (TTLV_ITEMS_MAX + 3) * 8;
	memcpy(many, (uint8_t[]){ 0x42, 0, 1, 1, n >> 24, n >> 16, n >> 8, n }, 8);
	assert_code(ttlv_parse(many, sizeof(many), &root, &err), VMC_EPROTO, &err);
	assert_contains(err.text, "too many items");
}

static void test_peek(void **state)
{
	static const uint8_t good[8] = { 0x42, 0, 0x7b, 1, 0, 0, 1, 0 };
	static const uint8_t http[8] = "HTTP/1.1";
	static const uint8_t odd[8] = { 0x42, 0, 0x7b, 1, 0, 0, 1, 1 };
	static const uint8_t huge[8] = { 0x42, 0, 0x7b, 1, 0xff, 0xff, 0xff, 0xf8 };
	size_t total;

	(void)state;
	assert_int_equal(ttlv_peek(good, 0x42007b, &total, NULL), 0);
	assert_int_equal(total, 264);
	assert_int_equal(ttlv_peek(good, 0x420078, &total, NULL), VMC_EPROTO);
	assert_int_equal(ttlv_peek(http, 0x42007b, &total, NULL), VMC_EPROTO);
	assert_int_equal(ttlv_peek(odd, 0x42007b, &total, NULL), VMC_EPROTO);
	assert_int_equal(ttlv_peek(huge, 0x42007b, &total, NULL), 0);
	assert_true(total == 0x100000000ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_writer_bounds),
		cmocka_unit_test(test_writer_misuse),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_depth_and_count),
		cmocka_unit_test(test_peek),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
