// SPDX-License-Identifier: GPL-2.0-or-later
/* Names, sentences and remedies of the causes; what became of a key, and the cause that makes. */
#include "../testing/testing.h"

#include <string.h>

#include "../lib/util.h"
#include "cause.h"

/* Operators search for these: byte for byte. */
static void test_texts(void **state)
{
	static const struct {
		enum vm_cause cause;
		const char *name, *classic, *newer;
	} want[] = {
		{ VM_CAUSE_KMS_ERROR, "kms-error", "Virtual machine is locked because of a KMS cluster error.",
		  "Virtual machine is locked because an error occurred on the key provider." },
		{ VM_CAUSE_KEYS_MISSING_KMS, "keys-missing-on-kms",
		  "Virtual machine is locked because keys are missing on KMS cluster.",
		  "Virtual machine is locked because keys were missing on the key provider." },
		{ VM_CAUSE_KEYS_MISSING_HOST, "keys-missing-on-host",
		  "Virtual machine is locked because keys are missing on host.",
		  "Virtual machine is locked because keys were missing on the host." },
		{ VM_CAUSE_TRUSTED_UNAVAILABLE, "trusted-provider-unavailable",
		  "Virtual machine is locked because the required Trusted Key Provider(s) is unavailable.",
		  "Virtual machine is locked because the required Trusted Key Provider(s) is unavailable." },
		{ VM_CAUSE_ATTESTATION_FAILED, "attestation-failed",
		  "Virtual machine is locked because Trust Authority managed key(s) are missing on the required host.",
		  "Virtual machine is locked because Trust Authority managed key(s) are missing on the required host." },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		assert_string_equal(vm_cause_name(want[i].cause), want[i].name);
		assert_string_equal(vm_cause_text(want[i].cause, VMC_WORDING_CLASSIC), want[i].classic);
		assert_string_equal(vm_cause_text(want[i].cause, VMC_WORDING_70U2), want[i].newer);
	}
	assert_null(vm_cause_name(VM_CAUSE_NONE));
	assert_string_equal(vm_cause_text(VM_CAUSE_NONE, VMC_WORDING_CLASSIC), "");
}

static void test_each_is_whole(void **state)
{
	char todo[1024];
	int c, d;

	(void)state;
	for (c = 1; c < VM_CAUSE_COUNT; c++) {
		assert_int_equal(vm_cause_from_name(vm_cause_name(c)), c);
		assert_int_equal(strlen(vm_cause_message_id(c)), 32);
		for (d = 0; d < c; d++)
			assert_string_not_equal(vm_cause_message_id(c), vm_cause_message_id(d));
		vm_cause_remedy_for(c, "web", "kms", "12 (Deactivated)", todo, sizeof(todo));
		assert_contains(todo, "'vmcrypt vm unlock web'");
		assert_null(strchr(todo, '{'));
	}
	assert_int_equal(vm_cause_from_name("nonsense"), VM_CAUSE_NONE);
	assert_int_equal(vm_cause_from_name(NULL), VM_CAUSE_NONE);
}

static void test_remedies(void **state)
{
	char todo[1024], cut[20];

	(void)state;
	vm_cause_remedy_for(VM_CAUSE_KEYS_MISSING_KMS, "web", "kms", "12 (Deactivated)", todo, sizeof(todo));
	assert_contains(todo, "restore or reactivate on 'kms' the key 12 (Deactivated)");
	vm_cause_remedy_for(VM_CAUSE_PROVIDER_UNKNOWN, "web", "old", NULL, todo, sizeof(todo));
	assert_contains(todo, "'vmcrypt provider add kmip old --server HOST'");
	vm_cause_remedy_for(VM_CAUSE_KMS_ERROR, NULL, NULL, NULL, todo, sizeof(todo));
	assert_contains(todo, "'vmcrypt provider test PROVIDER'");
	vm_fill_names("{vm}{vm}{other}{keys", "a-long-name-of-a-vm", NULL, NULL, cut, sizeof(cut));
	assert_string_equal(cut, "a-long-name-of-a-vm");
	vm_fill_names("{vm}{other}{keys", "x", NULL, NULL, cut, sizeof(cut));
	assert_string_equal(cut, "x{other}{keys");
}

static void test_from_codes(void **state)
{
	static const struct {
		int code;
		enum vm_cause standard, trusted;
	} want[] = {
		{ 0, VM_CAUSE_NONE, VM_CAUSE_NONE },
		{ VMC_ENOMEM, VM_CAUSE_NONE, VM_CAUSE_NONE },
		{ VMC_ENOMODULE, VM_CAUSE_NONE, VM_CAUSE_NONE },
		{ VMC_EUNREACH, VM_CAUSE_KMS_ERROR, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_ETIMEDOUT, VM_CAUSE_KMS_ERROR, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_ETRUST, VM_CAUSE_KMS_ERROR, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_EPROTO, VM_CAUSE_KMS_ERROR, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_EREFUSED, VM_CAUSE_KMS_ERROR, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_ENOTATTESTED, VM_CAUSE_ATTESTATION_FAILED, VM_CAUSE_ATTESTATION_FAILED },
		{ VMC_ENOKEY, VM_CAUSE_KEYS_MISSING_KMS, VM_CAUSE_KEYS_MISSING_KMS },
		{ VMC_EKEYSTATE, VM_CAUSE_KEYS_MISSING_KMS, VM_CAUSE_KEYS_MISSING_KMS },
		{ VMC_EAUTH, VM_CAUSE_KEYS_MISSING_KMS, VM_CAUSE_TRUSTED_UNAVAILABLE },
		{ VMC_EPERM, VM_CAUSE_KEYS_MISSING_HOST, VM_CAUSE_KEYS_MISSING_HOST },
		{ VMC_ENOENT, VM_CAUSE_PROVIDER_UNKNOWN, VM_CAUSE_PROVIDER_UNKNOWN },
		{ VMC_ETPMPOLICY, VM_CAUSE_HOST_TPM, VM_CAUSE_ATTESTATION_FAILED },
		{ VMC_ETPMLOCKOUT, VM_CAUSE_HOST_TPM, VM_CAUSE_ATTESTATION_FAILED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(vm_cause_of(want[i].code, false), want[i].standard);
		assert_int_equal(vm_cause_of(want[i].code, true), want[i].trusted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts), cmocka_unit_test(test_each_is_whole),
		cmocka_unit_test(test_remedies), cmocka_unit_test(test_from_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
