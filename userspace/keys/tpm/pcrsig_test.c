// SPDX-License-Identifier: GPL-2.0-or-later
/* systemd's file of signed PCR policies: what is taken and what is not. No TPM. */
#include "pcrsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../testing/testing.h"

#define H64 "1ef4407995031b423fce46e9eff60bb8a3fb6c5863aa455c1fff480f389d2174"
#define ENTRY(pcrs) "{\"pcrs\":" pcrs ",\"pkfp\":\"" H64 "\",\"pol\":\"" H64 "\",\"sig\":\"AQI=\"}"

static struct vmc_error err;

static int parse(const char *text, struct pcrsig **out, size_t *n)
{
	return pcrsig_parse(text, strlen(text), "sha256", out, n, &err);
}

static void what_is_taken(void **state)
{
	struct pcrsig *s;
	size_t n;

	(void)state;
	assert_ok(parse("{\"sha1\":3,\"sha256\":[" ENTRY("[11]") "," ENTRY("[0,7,23]") "]}", &s, &n), &err);
	assert_int_equal(n, 2);
	assert_int_equal(s[0].pcrs, 1 << 11);
	assert_int_equal(s[1].pcrs, 1 | 1 << 7 | 1 << 23);
	assert_int_equal(s[0].pkfp[0], 0x1e);
	assert_int_equal(s[0].pol[31], 0x74);
	assert_int_equal(s[0].n_sig, 2);
	assert_int_equal(s[0].sig[1], 2);
	free(s);
	assert_ok(parse("{\"sha384\":[]}", &s, &n), &err);
	assert_int_equal(n, 0);
	free(s);
}

static void what_is_not(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{", "{\"sha256\":{}}", "{\"sha256\":[1]}", "{\"sha256\":[{}]}",
		"{\"sha256\":[" ENTRY("[24]") "]}", "{\"sha256\":[" ENTRY("[-1]") "]}", "{\"sha256\":[" ENTRY("[]") "]}",
		"{\"sha256\":[" ENTRY("11") "]}", "{\"sha256\":[" ENTRY("[\"7\"]") "]}",
		"{\"sha256\":[{\"pcrs\":[7],\"pkfp\":\"1e\",\"pol\":\"" H64 "\",\"sig\":\"AQI=\"}]}",
		"{\"sha256\":[{\"pcrs\":[7],\"pkfp\":\"" H64 "\",\"pol\":\"zz\",\"sig\":\"AQI=\"}]}",
		"{\"sha256\":[{\"pcrs\":[7],\"pkfp\":\"" H64 "\",\"pol\":\"" H64 "\",\"sig\":\"\"}]}",
		"{\"sha256\":[],\"sha256\":[]}",
	};
	struct pcrsig *s;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_code(parse(bad[i], &s, &n), VMC_EINVAL, &err);
		assert_null(s);
	}
}

static void too_many(void **state)
{
	size_t max = 64 + (PCRSIG_MAX + 1) * 256, at;
	char *text = malloc(max);
	struct pcrsig *s;
	size_t n;

	(void)state;
	at = (size_t)snprintf(text, max, "{\"sha256\":[" ENTRY("[1]"));
	for (int i = 0; i < PCRSIG_MAX; i++)
		at += (size_t)snprintf(text + at, max - at, "," ENTRY("[1]"));
	snprintf(text + at, max - at, "]}");
	assert_code(parse(text, &s, &n), VMC_EINVAL, &err);
	assert_contains(err.text, "at most");
	free(text);
	assert_code(pcrsig_parse("{}", PCRSIG_FILE_MAX + 1, "sha256", &s, &n, &err), VMC_EINVAL, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(what_is_not),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests_name("pcrsig", tests, NULL, NULL);
}
