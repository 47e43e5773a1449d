// SPDX-License-Identifier: GPL-2.0-or-later
#include "luks.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../testing/testing.h"

static struct luks_token sample(void)
{
	struct luks_token t = { .volume = "root", .kek_id = "kmip1/42/a", .generation = 7 };

	for (size_t i = 0; i < VMK_WRAPPED_LEN; i++)
		t.wrapped[i] = (uint8_t)(i * 3);
	for (size_t i = 0; i < VMK_KCV_LEN; i++)
		t.kcv[i] = (uint8_t)(0xf0 + i);
	for (size_t i = 0; i < 16; i++)
		t.vm.b[i] = (uint8_t)(i + 1);
	return t;
}

static void both_ways(void **state)
{
	struct luks_token t = sample(), got;
	struct vmc_error e = VMC_ERROR_INIT;
	char *json = luks_token_format(&t);

	(void)state;
	assert_non_null(json);
	assert_ok(luks_token_parse(json, &got, &e), &e);
	assert_true(vmc_uuid_equal(&got.vm, &t.vm));
	assert_string_equal(got.volume, t.volume);
	assert_string_equal(got.kek_id, t.kek_id);
	assert_memory_equal(got.wrapped, t.wrapped, sizeof(t.wrapped));
	assert_memory_equal(got.kcv, t.kcv, sizeof(t.kcv));
	assert_true(got.generation == 7);
	free(json);
}

/* A second key makes it version 2, and is as strictly read as the first. */
static void second_key_both_ways(void **state)
{
	struct luks_token t = sample(), got;
	struct vmc_error e = VMC_ERROR_INIT;
	char *json, *at;

	(void)state;
	snprintf(t.second.kek_id, sizeof(t.second.kek_id), "site/7");
	memset(t.second.wrapped, 0x55, sizeof(t.second.wrapped));
	memset(t.second.kcv, 0xaa, sizeof(t.second.kcv));
	json = luks_token_format(&t);
	assert_contains(json, "\"version\":2,");
	assert_ok(luks_token_parse(json, &got, &e), &e);
	assert_string_equal(got.kek_id, t.kek_id);
	assert_string_equal(got.second.kek_id, "site/7");
	assert_memory_equal(got.second.wrapped, t.second.wrapped, sizeof(t.second.wrapped));
	assert_memory_equal(got.second.kcv, t.second.kcv, sizeof(t.second.kcv));
	at = strstr(json, "site/7");
	at[4] = '7';
	at[5] = '/';
	assert_code(luks_token_parse(json, &got, &e), VMC_EINVAL, &e);
	at[4] = '/';
	at[5] = '7';
	at = strstr(json, "\"version\":2") + strlen("\"version\":");
	*at = '1';
	assert_code(luks_token_parse(json, &got, &e), VMC_EINVAL, &e);
	*at = '2';
	at = strstr(strstr(json, "\"second\""), "\"kcv\"");
	at[1] = 'K';
	assert_code(luks_token_parse(json, &got, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "Kcv");
	free(json);
	snprintf(t.second.kek_id, sizeof(t.second.kek_id), "%s", t.kek_id);
	json = luks_token_format(&t);
	assert_code(luks_token_parse(json, &got, &e), VMC_EINVAL, &e);
	free(json);
}

/* The format is a promise to older and newer programs: it must not drift. */
static void format_is_fixed(void **state)
{
	struct luks_token t = sample();
	char *json;

	(void)state;
	memset(t.wrapped, 0, sizeof(t.wrapped));
	json = luks_token_format(&t);
	assert_string_equal(json,
		"{\"type\":\"vmcrypt\",\"keyslots\":[],\"version\":1,"
		"\"vm\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"volume\":\"root\",\"kek\":\"kmip1/42/a\","
		"\"wrapped\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		"\"kcv\":\"f0f1f2f3f4f5f6f7\",\"generation\":7}");
	free(json);
}

static void longest_names_fit(void **state)
{
	struct luks_token t = sample(), got;
	struct vmc_error e = VMC_ERROR_INIT;
	char *json;

	(void)state;
	memset(t.volume, 'v', VMK_VOLUME_MAX);
	memset(t.kek_id, 'k', VMK_KEK_ID_MAX);
	t.kek_id[3] = '/';
	t.generation = INT64_MAX;
	json = luks_token_format(&t);
	assert_ok(luks_token_parse(json, &got, &e), &e);
	assert_string_equal(got.kek_id, t.kek_id);
	assert_true(got.generation == INT64_MAX);
	free(json);
}

/* The sample with one member set to @value (JSON text), or removed (NULL). */
static int with(const char *member, const char *value, struct vmc_error *e)
{
	struct luks_token t = sample(), got;
	char *text = luks_token_format(&t);
	json_t *j = json_loads(text, 0, NULL);
	int rc;

	free(text);
	if (value)
		json_object_set_new(j, member, json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
	else
		json_object_del(j, member);
	text = json_dumps(j, 0);
	json_decref(j);
	rc = luks_token_parse(text, &got, e);
	free(text);
	return rc;
}

static void each_member_is_needed(void **state)
{
	static const char *const names[] = {
		"type", "keyslots", "version", "vm", "volume", "kek", "wrapped", "kcv", "generation",
	};
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_code(with(names[i], NULL, &e), VMC_EINVAL, &e);
		assert_code(with(names[i], "null", &e), VMC_EINVAL, &e);
		assert_code(with(names[i], "{}", &e), VMC_EINVAL, &e);
		assert_code(with(names[i], "true", &e), VMC_EINVAL, &e);
	}
	assert_code(with("more", "1", &e), VMC_EINVAL, &e);
	assert_contains(e.text, "more");
}

static void other_versions_are_refused_whole(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_code(with("version", "3", &e), VMC_ENOTSUP, &e);
	assert_contains(e.text, "version 3");
	assert_code(with("version", "2", &e), VMC_EINVAL, &e);	/* that has a second key */
	assert_code(with("version", "0", &e), VMC_ENOTSUP, &e);
	assert_code(with("version", "-1", &e), VMC_ENOTSUP, &e);
	assert_code(with("version", "1.0", &e), VMC_EINVAL, &e);
	assert_code(with("version", "\"1\"", &e), VMC_EINVAL, &e);
}

static void bad_values_are_refused(void **state)
{
	static const struct { const char *member, *value; } bad[] = {
		{ "type", "\"vmcrypt2\"" }, { "type", "\"\"" },
		{ "keyslots", "[\"0\"]" },
		{ "vm", "\"01020304-0506-0708-090a-0b0c0d0e0f1\"" }, { "vm", "\"x\"" },
		{ "volume", "\"\"" }, { "volume", "\".hidden\"" }, { "volume", "\"a/b\"" },
		{ "volume", "\"a b\"" }, { "volume", "\"a\\u0000b\"" },
		{ "volume", "\"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\"" },
		{ "kek", "\"no-slash\"" }, { "kek", "\"/x\"" }, { "kek", "\"x/\"" },
		{ "kek", "\"a b/c\"" }, { "kek", "\"a:b/c\"" }, { "kek", "\"a/\\u00e4\"" },
		{ "wrapped", "\"AAAA\"" }, { "wrapped", "\"!\"" },
		{ "kcv", "\"f0f1f2f3f4f5f6\"" }, { "kcv", "\"f0f1f2f3f4f5f6f7f8\"" },
		{ "kcv", "\"g0f1f2f3f4f5f6f7\"" },
		{ "generation", "-1" }, { "generation", "1.5" }, { "generation", "\"1\"" },
	};
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(with(bad[i].member, bad[i].value, &e), VMC_EINVAL, &e);
}

static void not_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "[]", "1", "{", "{\"type\":\"vmcrypt\",\"type\":\"vmcrypt\"}", "\"vmcrypt\"",
		"{\"type\":\"vmcrypt\"} x",
	};
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_token t;
	char big[5000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(luks_token_parse(bad[i], &t, &e), VMC_EINVAL, &e);
	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_code(luks_token_parse(big, &t, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "longer than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(second_key_both_ways),
		cmocka_unit_test(format_is_fixed),
		cmocka_unit_test(longest_names_fit),
		cmocka_unit_test(each_member_is_needed),
		cmocka_unit_test(other_versions_are_refused_whole),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(not_json_is_refused),
	};

	return cmocka_run_group_tests_name("kernel/luks_token", tests, NULL, NULL);
}
