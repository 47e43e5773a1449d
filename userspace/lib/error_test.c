// SPDX-License-Identifier: GPL-2.0-or-later
#include "error.h"

#include <errno.h>
#include <string.h>

#include "../testing/testing.h"

static void fail_fills_in(void **state)
{
	struct vmc_error e = { VMC_EIO, "old", "old hint" };

	(void)state;
	assert_int_equal(vmc_fail(&e, VMC_EBUSY, "disk '%s'", "root"), VMC_EBUSY);
	assert_int_equal(e.code, VMC_EBUSY);
	assert_string_equal(e.text, "disk 'root'");
	assert_string_equal(e.hint, "");
}

static void fail_without_error(void **state)
{
	(void)state;
	assert_int_equal(vmc_fail(NULL, VMC_EBUSY, "x"), VMC_EBUSY);
	assert_int_equal(vmc_fail_errno(NULL, ENOSPC, "x"), VMC_ENOSPC);
	vmc_hint(NULL, "x");
}

static void arguments_may_be_its_own_text(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	vmc_fail(&e, VMC_EIO, "inner");
	vmc_hint(&e, "do this");
	vmc_fail(&e, VMC_EIO, "outer: %s", e.text);
	assert_string_equal(e.text, "outer: inner");
}

static void prefix_keeps_code_and_hint(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	vmc_fail(&e, VMC_ENOKEY, "key gone");
	vmc_hint(&e, "ask for it");
	assert_int_equal(vmc_prefix(&e, "VM '%s': ", "a"), VMC_ENOKEY);
	assert_string_equal(e.text, "VM 'a': key gone");
	assert_string_equal(e.hint, "ask for it");
}

static void long_texts_are_cut(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char s[2000];

	(void)state;
	memset(s, 'x', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	vmc_fail(&e, VMC_EIO, "%s", s);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	vmc_prefix(&e, "p: ");
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_memory_equal(e.text, "p: x", 4);
	vmc_fail_errno(&e, EIO, "%s", s);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	vmc_hint(&e, "%s", s);
	assert_int_equal(strlen(e.hint), sizeof(e.hint) - 1);
}

static void errno_picks_code(void **state)
{
	static const struct { int errnum, code; } map[] = {
		{ ENOENT, VMC_ENOENT }, { EEXIST, VMC_EEXIST }, { EBUSY, VMC_EBUSY },
		{ EPERM, VMC_EPERM }, { EACCES, VMC_EPERM }, { ENOKEY, VMC_ENOKEY },
		{ EKEYREJECTED, VMC_EAUTH }, { ENOSPC, VMC_ENOSPC }, { ENOMEM, VMC_ENOMEM },
		{ ETIMEDOUT, VMC_ETIMEDOUT }, { EINVAL, VMC_EINVAL },
		{ EOPNOTSUPP, VMC_ENOTSUP }, { EIO, VMC_EIO }, { EPIPE, VMC_EIO },
	};
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		assert_int_equal(vmc_fail_errno(&e, map[i].errnum, "x"), map[i].code);
	vmc_fail_errno(&e, ENOSPC, "cannot write '%s'", "f");
	assert_string_equal(e.text, "cannot write 'f': No space left on device");
}

static void names_go_both_ways(void **state)
{
	(void)state;
	for (int code = VMC_ENOTATTESTED; code <= VMC_OK; code++)
		assert_int_equal(vmc_code_from_name(vmc_code_name(code)), code);
	assert_string_equal(vmc_code_name(VMC_EAUTH), "NotAuthentic");
	assert_string_equal(vmc_code_name(-999), "Internal");
	assert_int_equal(vmc_code_from_name("Nonsense"), VMC_EINTERNAL);
	assert_int_equal(vmc_code_from_name(NULL), VMC_EINTERNAL);
}

static void exit_statuses(void **state)
{
	(void)state;
	assert_int_equal(vmc_code_exit(VMC_OK), 0);
	assert_int_equal(vmc_code_exit(VMC_EINVAL), 1);
	assert_int_equal(vmc_code_exit(VMC_EPERM), 2);
	assert_int_equal(vmc_code_exit(VMC_ENOMEM), 3);
	assert_int_equal(vmc_code_exit(VMC_ENOENT), 4);
	assert_int_equal(vmc_code_exit(VMC_EBUSY), 5);
	assert_int_equal(vmc_code_exit(VMC_EKEYSTATE), 6);
	assert_int_equal(vmc_code_exit(VMC_ETRUST), 7);
	assert_int_equal(vmc_code_exit(VMC_EUNREACH), 8);
	assert_int_equal(vmc_code_exit(VMC_ESTATE), 9);
	assert_int_equal(vmc_code_exit(VMC_EIO), 10);
	assert_int_equal(vmc_code_exit(12345), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_fills_in),
		cmocka_unit_test(fail_without_error),
		cmocka_unit_test(arguments_may_be_its_own_text),
		cmocka_unit_test(prefix_keeps_code_and_hint),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(errno_picks_code),
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(exit_statuses),
	};

	return cmocka_run_group_tests_name("lib/error", tests, NULL, NULL);
}
