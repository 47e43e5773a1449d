// SPDX-License-Identifier: GPL-2.0-or-later
#include "util.h"

#include <stdio.h>
#include <string.h>

#include "../testing/testing.h"

static void uuid_both_ways(void **state)
{
	static const char text[] = "0123abcd-4567-89ef-fedc-ba9876543210";
	char out[VMC_UUID_STR];
	vmc_uuid u, v;

	(void)state;
	assert_int_equal(vmc_uuid_parse(text, &u), 0);
	assert_int_equal(u.b[0], 0x01);
	assert_int_equal(u.b[15], 0x10);
	vmc_uuid_format(&u, out);
	assert_string_equal(out, text);
	assert_int_equal(vmc_uuid_parse("0123ABCD-4567-89EF-FEDC-BA9876543210", &v), 0);
	assert_true(vmc_uuid_equal(&u, &v));
	v.b[7] ^= 1;
	assert_false(vmc_uuid_equal(&u, &v));
}

static void uuid_refuses(void **state)
{
	static const char *const bad[] = {
		"", "0123abcd-4567-89ef-fedc-ba987654321", "0123abcd-4567-89ef-fedc-ba98765432100",
		"0123abcd_4567-89ef-fedc-ba9876543210", "0123abcg-4567-89ef-fedc-ba9876543210",
		"0123abcd4567-89ef-fedc-ba98765432100", "{123abcd-4567-89ef-fedc-ba987654321}",
		"0123abcd-4567-89ef-fedc-ba987654321\n",
	};
	vmc_uuid u;

	(void)state;
	memset(&u, 0x55, sizeof(u));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vmc_uuid_parse(bad[i], &u), VMC_EINVAL);
	assert_int_equal(vmc_uuid_parse(NULL, &u), VMC_EINVAL);
	assert_int_equal(u.b[3], 0x55);
}

static void uuid_new_is_version_4(void **state)
{
	vmc_uuid a, b;

	(void)state;
	assert_int_equal(vmc_uuid_new(&a), 0);
	assert_int_equal(vmc_uuid_new(&b), 0);
	assert_false(vmc_uuid_equal(&a, &b));
	assert_int_equal(a.b[6] >> 4, 4);
	assert_int_equal(a.b[8] >> 6, 2);
}

/* RFC 4648 section 10 */
static void base64_vectors(void **state)
{
	static const struct { const char *plain, *coded; } v[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	uint8_t out[16];
	char text[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		size_t len = strlen(v[i].plain);

		assert_true(vmc_base64_len(len) <= sizeof(text));
		vmc_base64_encode((const uint8_t *)v[i].plain, len, text);
		assert_string_equal(text, v[i].coded);
		assert_int_equal(strlen(text) + 1, vmc_base64_len(len));
		assert_int_equal(vmc_base64_decode(v[i].coded, out, sizeof(out), &n), 0);
		assert_int_equal(n, len);
		assert_memory_equal(out, v[i].plain, len);
	}
}

static void base64_all_bytes(void **state)
{
	uint8_t in[256], out[256];
	char text[400];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	vmc_base64_encode(in, sizeof(in), text);
	assert_int_equal(vmc_base64_decode(text, out, sizeof(out), &n), 0);
	assert_int_equal(n, sizeof(in));
	assert_memory_equal(in, out, n);
	assert_int_equal(vmc_base64_decode(text, out, sizeof(out) - 1, &n), VMC_EINVAL);
}

static void base64_refuses(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm8=Zm9v",
		"Zm 9v", "Zm9v\n", "Zm-v", "Z===", "=Zm9", "Zm=v",
	};
	uint8_t out[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vmc_base64_decode(bad[i], out, sizeof(out), &n), VMC_EINVAL);
}

static void hex_both_ways(void **state)
{
	uint8_t in[] = { 0x00, 0x7f, 0xff, 0xa5 }, out[4];
	char text[9];
	size_t n;

	(void)state;
	vmc_hex_encode(in, sizeof(in), text);
	assert_string_equal(text, "007fffa5");
	assert_int_equal(vmc_hex_decode("007FffA5", out, sizeof(out), &n), 0);
	assert_int_equal(n, 4);
	assert_memory_equal(in, out, 4);
	assert_int_equal(vmc_hex_decode("", out, sizeof(out), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(vmc_hex_decode("0", out, sizeof(out), &n), VMC_EINVAL);
	assert_int_equal(vmc_hex_decode("0g", out, sizeof(out), &n), VMC_EINVAL);
	assert_int_equal(vmc_hex_decode("0011223344", out, sizeof(out), &n), VMC_EINVAL);
}

static void names(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_true(vmc_name_ok("a", 63));
	assert_true(vmc_name_ok("Web_01.disk-2", 63));
	assert_false(vmc_name_ok(NULL, 63));
	assert_false(vmc_name_ok("", 63));
	assert_false(vmc_name_ok(".a", 63));
	assert_false(vmc_name_ok("-a", 63));
	assert_false(vmc_name_ok("a/b", 63));
	assert_false(vmc_name_ok("a b", 63));
	assert_false(vmc_name_ok("a\xc3\xa4", 63));
	assert_false(vmc_name_ok(longest, 63));
	assert_true(vmc_name_ok(longest, 64));
}

static void sizes(void **state)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "0", 0 }, { "4096", 4096 }, { "1K", 1024 }, { "512M", 512ull << 20 },
		{ "10G", 10ull << 30 }, { "10g", 10ull << 30 }, { "10GiB", 10ull << 30 },
		{ "2T", 2ull << 40 }, { "1P", 1ull << 50 }, { "18446744073709551615", UINT64_MAX },
		{ "16383P", 16383ull << 50 },
	};
	static const char *const bad[] = {
		"", "G", "-1", "+1", " 1", "1 ", "1.5G", "1GB", "1X", "18446744073709551616",
		"16384P", "0x10", "1GiBx", "99999999999999999999",
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(vmc_size_parse(good[i].text, &v), 0);
		assert_true(v == good[i].bytes);
	}
	v = 77;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vmc_size_parse(bad[i], &v), VMC_EINVAL);
	assert_int_equal(vmc_size_parse(NULL, &v), VMC_EINVAL);
	assert_int_equal(v, 77);
}

static void size_text(void **state)
{
	static const struct { uint64_t bytes; const char *text; } v[] = {
		{ 0, "0 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" }, { 1536, "1.5 KiB" },
		{ 10ull << 30, "10.0 GiB" }, { (1ull << 20) - 1, "1.0 MiB" },
		{ UINT64_MAX, "16.0 EiB" }, { 1000ull << 40, "1000.0 TiB" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		vmc_size_format(v[i].bytes, out);
		assert_string_equal(out, v[i].text);
	}
}

static void times(void **state)
{
	char out[32];
	uint64_t a, b;

	(void)state;
	vmc_time_format(0, out);
	assert_string_equal(out, "1970-01-01T00:00:00Z");
	vmc_time_format(1700000000, out);
	assert_string_equal(out, "2023-11-14T22:13:20Z");
	vmc_time_format(INT64_MAX, out);
	assert_true(strlen(out) > 1);
	a = vmc_now_ms();
	b = vmc_now_ms();
	assert_true(b >= a);
	assert_true(vmc_time() > 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uuid_both_ways),
		cmocka_unit_test(uuid_refuses),
		cmocka_unit_test(uuid_new_is_version_4),
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(base64_all_bytes),
		cmocka_unit_test(base64_refuses),
		cmocka_unit_test(hex_both_ways),
		cmocka_unit_test(names),
		cmocka_unit_test(sizes),
		cmocka_unit_test(size_text),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests_name("lib/util", tests, NULL, NULL);
}
