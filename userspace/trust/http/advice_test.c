// SPDX-License-Identifier: GPL-2.0-or-later
/* What the key library advises, in the words of an authority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "advice.h"

static void speaks_of_the_authority(void **state)
{
	char text[160] = "have the request of 'vmcrypt provider trust k csr' signed, then vmcrypt provider trust k upload FILE";

	(void)state;
	advice_fit(text, sizeof(text));
	assert_string_equal(text, "have the request of 'vmcrypt trust key-provider trust k csr' signed, then vmcrypt trust "
			    "key-provider trust k upload FILE");
	advice_fit(text, sizeof(text));
	assert_null(strstr(text, "trust trust"));
}

static void keeps_what_has_no_room(void **state)
{
	char exact[28] = "vmcrypt provider ", tight[27] = "vmcrypt provider ", none[] = "";

	(void)state;
	advice_fit(exact, sizeof(exact));
	assert_string_equal(exact, "vmcrypt trust key-provider ");
	advice_fit(tight, sizeof(tight));
	assert_string_equal(tight, "vmcrypt provider ");
	advice_fit(none, sizeof(none));
	assert_string_equal(none, "");
}

static void goes_through_answers_and_errors(void **state)
{
	json_t *o = json_pack("{s:[{s:s, s:i, s:s}], s:s}", "list", "state", "needs vmcrypt provider trust k csr", "n", 1, "name",
			      "k", "text", "vmcrypt status");
	const json_t *k = json_array_get(json_object_get(o, "list"), 0);
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	advice_fit_json(o);
	assert_string_equal(json_string_value(json_object_get(k, "state")), "needs vmcrypt trust key-provider trust k csr");
	assert_string_equal(json_string_value(json_object_get(k, "name")), "k");
	assert_string_equal(json_string_value(json_object_get(o, "text")), "vmcrypt status");
	json_decref(o);
	vmc_fail(&err, VMC_EINVAL, "see %s", "vmcrypt provider list");
	vmc_hint(&err, "%s", "vmcrypt provider show k");
	advice_fit_error(&err);
	assert_string_equal(err.text, "see vmcrypt trust key-provider list");
	assert_string_equal(err.hint, "vmcrypt trust key-provider show k");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speaks_of_the_authority),
		cmocka_unit_test(keeps_what_has_no_room),
		cmocka_unit_test(goes_through_answers_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
