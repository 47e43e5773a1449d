// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.h"

#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "../testing/testing.h"

#define NO_MODULE "the module is not loaded"

enum { BOTH, NOT_HERE, NOT_THERE, NEITHER };

static enum migration_way decide(enum migration_encryption policy, bool encrypted, int who, struct vmc_error *why)
{
	struct migration_facts f = { .policy = policy, .vm_encrypted = encrypted, .vm = "web", .peer = "b" };

	if (who == NOT_HERE || who == NEITHER)
		f.local_cannot = NO_MODULE;
	if (who == NOT_THERE || who == NEITHER)
		f.peer_cannot = "it is too old";
	return migration_decide(&f, why);
}

static void every_case(void **state)
{
	static const enum migration_way want[3][4] = {
		[MIGRATION_DISABLED] = { MIGRATION_CLEAR, MIGRATION_CLEAR, MIGRATION_CLEAR, MIGRATION_CLEAR },
		[MIGRATION_OPPORTUNISTIC] = { MIGRATION_ENCRYPT, MIGRATION_CLEAR, MIGRATION_CLEAR, MIGRATION_CLEAR },
		[MIGRATION_REQUIRED] = { MIGRATION_ENCRYPT, MIGRATION_REFUSE, MIGRATION_REFUSE, MIGRATION_REFUSE },
	};
	struct vmc_error why;

	(void)state;
	for (int p = MIGRATION_DISABLED; p <= MIGRATION_REQUIRED; p++)
		for (int who = BOTH; who <= NEITHER; who++) {
			assert_int_equal(decide(p, false, who, &why), want[p][who]);
			assert_int_equal(!why.text[0], want[p][who] == MIGRATION_ENCRYPT);
			/* A VM with keys never goes in clear. */
			assert_int_equal(decide(p, true, who, &why), want[MIGRATION_REQUIRED][who]);
		}
}

static void reasons(void **state)
{
	struct vmc_error why;

	(void)state;
	decide(MIGRATION_OPPORTUNISTIC, false, NOT_THERE, &why);
	assert_string_equal(why.text,
			    "VM 'web' is migrated in clear because host 'b' cannot encrypt: it is too old");
	decide(MIGRATION_OPPORTUNISTIC, false, NEITHER, &why);
	assert_contains(why.text, "this host cannot encrypt: " NO_MODULE);
	decide(MIGRATION_DISABLED, false, BOTH, &why);
	assert_contains(why.text, "its policy is 'disabled'");
	decide(MIGRATION_REQUIRED, false, NOT_THERE, &why);
	assert_int_equal(why.code, VMC_EREFUSED);
	assert_contains(why.text, "host 'b' cannot: it is too old");
	assert_contains(why.hint, "vmcrypt vm set web --migration-encryption opportunistic");
	decide(MIGRATION_DISABLED, true, NOT_HERE, &why);
	assert_contains(why.text, "this host cannot: " NO_MODULE);
	assert_null(strstr(why.hint, "vm set"));
}

static void names(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	enum migration_encryption p;

	(void)state;
	for (int i = MIGRATION_DISABLED; i <= MIGRATION_REQUIRED; i++) {
		assert_ok(migration_encryption_parse(migration_encryption_name(i), &p, &err), &err);
		assert_int_equal(p, i);
	}
	assert_string_equal(migration_encryption_name(3), "");
	assert_code(migration_encryption_parse("Required", &p, &err), VMC_EINVAL, &err);
	assert_code(migration_encryption_parse("", &p, &err), VMC_EINVAL, &err);
	assert_contains(err.hint, "opportunistic");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case),
		cmocka_unit_test(reasons),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
