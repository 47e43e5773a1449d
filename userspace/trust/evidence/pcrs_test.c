// SPDX-License-Identifier: GPL-2.0-or-later
/* PCR values and lists of PCRs as JSON and as words. */
#include "pcrs.h"

#include <string.h>

#include "../../testing/testing.h"

static struct vmc_error err;

static void values_come_back(void **state)
{
	struct pcrs p = { .bank = TPM2_ALG_SHA384, .mask = 1u << 0 | 1u << 23 }, again;
	json_t *o;

	(void)state;
	memset(p.value[0], 1, 48);
	memset(p.value[23], 2, 48);
	o = pcrs_to_json(&p);
	assert_int_equal(json_object_size(o), 2);
	assert_ok(pcrs_from_json(o, TPM2_ALG_SHA384, p.mask, &again, &err), &err);
	assert_memory_equal(&p, &again, sizeof(p));
	json_decref(o);
}

static void refuse(const char *text, const char *part)
{
	json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
	struct pcrs p;

	assert_non_null(o);
	assert_code(pcrs_from_json(o, TPM2_ALG_SHA1, 1u << 7, &p, &err), VMC_EINVAL, &err);
	assert_contains(err.text, part);
	json_decref(o);
}

static void other_values_are_refused(void **state)
{
	(void)state;
	refuse("[]", "not an object");
	refuse("{}", "there are no values of PCR 7");
	refuse("{\"07\": \"00\"}", "'07', which is no PCR");
	refuse("{\"24\": \"00\"}", "'24', which is no PCR");
	refuse("{\"-1\": \"00\"}", "'-1', which is no PCR");
	refuse("{\"6\": \"00\"}", "PCR 6, which was not asked for");
	refuse("{\"7\": \"00\"}", "is not 20 bytes in hex");
	refuse("{\"7\": 7}", "is not 20 bytes in hex");
	refuse("{\"7\": \"000000000000000000000000000000000000000000\"}", "is not 20 bytes in hex");
}

static void lists_are_masks(void **state)
{
	static const char *const bad[] = { "[]", "[24]", "[-1]", "[7, 7]", "[\"7\"]", "{}" };
	json_t *a = json_loads("[7, 0, 23]", 0, NULL), *back;
	uint32_t mask;

	(void)state;
	assert_ok(pcrs_mask_from_json(a, &mask, &err), &err);
	assert_int_equal(mask, 1u << 0 | 1u << 7 | 1u << 23);
	json_decref(a);
	back = pcrs_mask_to_json(mask);
	assert_int_equal(json_integer_value(json_array_get(back, 1)), 7);
	json_decref(back);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = json_loads(bad[i], 0, NULL);
		assert_code(pcrs_mask_from_json(a, &mask, &err), VMC_EINVAL, &err);
		json_decref(a);
	}
}

static void masks_read_well(void **state)
{
	char text[64];

	(void)state;
	pcrs_mask_text(0x9f, text);
	assert_string_equal(text, "0-4, 7");
	pcrs_mask_text(0x3, text);
	assert_string_equal(text, "0, 1");
	pcrs_mask_text(0xffffff, text);
	assert_string_equal(text, "0-23");
	pcrs_mask_text(0x555555, text);
	assert_string_equal(text, "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22");
	pcrs_mask_text(0, text);
	assert_string_equal(text, "");
}

static void banks_have_names(void **state)
{
	(void)state;
	assert_int_equal(pcrs_bank("sha256"), TPM2_ALG_SHA256);
	assert_int_equal(pcrs_bank("md5"), 0);
	assert_int_equal(pcrs_bank(NULL), 0);
	assert_string_equal(pcrs_bank_name(TPM2_ALG_SHA512), "sha512");
	assert_string_equal(pcrs_bank_name(1), "?");
	assert_int_equal(pcrs_size(TPM2_ALG_SHA384), 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(other_values_are_refused),
		cmocka_unit_test(lists_are_masks),
		cmocka_unit_test(masks_read_well),
		cmocka_unit_test(banks_have_names),
	};

	return cmocka_run_group_tests_name("pcrs", tests, NULL, NULL);
}
