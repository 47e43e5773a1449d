// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors on the bus: name, text, hint, and nothing that the bus would refuse. */
#include "../testing/testing.h"

#include <string.h>

#include "bus_error.h"

static void test_name_text_and_hint(void **state)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	vmc_fail(&err, VMC_ENOKEY, "no key 'a/1'");
	vmc_hint(&err, "look there");
	assert_true(bus_error_set(&e, &err) < 0);
	assert_string_equal(e.name, "org.vmcrypt1.Error.KeyMissing");
	assert_string_equal(e.message, "no key 'a/1'\nHint: look there");
	sd_bus_error_free(&e);
}

static void test_no_hint(void **state)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	vmc_fail(&err, VMC_EBUSY, "in use");
	bus_error_set(&e, &err);
	assert_string_equal(e.message, "in use");
	sd_bus_error_free(&e);
}

/* Every code has a name of its own, that the bus takes and that leads back. */
static void test_every_code(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	for (int code = VMC_ENOTATTESTED; code < 0; code++) {
		sd_bus_error e = SD_BUS_ERROR_NULL;

		vmc_fail(&err, code, "x");
		bus_error_set(&e, &err);
		assert_true(sd_bus_interface_name_is_valid(e.name));
		assert_int_equal(vmc_code_from_name(e.name + strlen(BUS_ERROR_PREFIX)), code);
		sd_bus_error_free(&e);
	}
}

static void becomes(const char *in, const char *out)
{
	char s[64];

	snprintf(s, sizeof(s), "%s", in);
	utf8_make_valid(s);
	assert_string_equal(s, out);
}

static void test_utf8(void **state)
{
	(void)state;
	becomes("", "");
	becomes("plain", "plain");
	becomes("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91");
	becomes("\xff", "?");
	becomes("a\xc3", "a?");				/* cut short */
	becomes("\xc3(", "?(");
	becomes("\xc0\xaf", "??");			/* not the shortest form */
	becomes("\xe0\x80\xaf", "???");
	becomes("\xf0\x80\x80\xaf", "????");
	becomes("\xed\xa0\x80", "???");			/* a surrogate */
	becomes("\xf4\x90\x80\x80", "????");		/* above U+10FFFF */
	becomes("\x80z", "?z");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_text_and_hint),
		cmocka_unit_test(test_no_hint),
		cmocka_unit_test(test_every_code),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
