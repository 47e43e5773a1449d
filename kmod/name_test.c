// SPDX-License-Identifier: GPL-2.0-only
/* Which names are valid. */

#include <kunit/test.h>
#include <linux/string.h>

#include "name.h"

static void a_kek_id_has_a_provider_and_a_key(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, vmcrypt_kek_id_valid("kms/1"));
	KUNIT_EXPECT_TRUE(test, vmcrypt_kek_id_valid("kms/path/to/key~!"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid(""));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("/1"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms/"));
}

static void a_kek_id_is_one_word_of_ascii(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("k ms/1"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms/1:2"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms/\n"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms/\x7f"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid("kms/\xe9"));
}

static void a_kek_id_has_at_most_255_bytes(struct kunit *test)
{
	char id[VMCRYPT_KEK_ID_MAX + 2];

	memset(id, 'x', sizeof(id));
	id[1] = '/';
	id[VMCRYPT_KEK_ID_MAX + 1] = 0;
	KUNIT_EXPECT_FALSE(test, vmcrypt_kek_id_valid(id));
	id[VMCRYPT_KEK_ID_MAX] = 0;
	KUNIT_EXPECT_TRUE(test, vmcrypt_kek_id_valid(id));
}

static void a_volume_name_has_few_characters(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, vmcrypt_volume_valid("aZ09._-"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid(""));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid(".hidden"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid("a/b"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid("a b"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid("a:b"));
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid("\xe9"));
}

static void a_volume_name_has_at_most_63_bytes(struct kunit *test)
{
	char name[VMCRYPT_VOLUME_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[VMCRYPT_VOLUME_MAX + 1] = 0;
	KUNIT_EXPECT_FALSE(test, vmcrypt_volume_valid(name));
	name[VMCRYPT_VOLUME_MAX] = 0;
	KUNIT_EXPECT_TRUE(test, vmcrypt_volume_valid(name));
}

static void the_nil_uuid_is_no_vm(struct kunit *test)
{
	u8 id[VMCRYPT_VM_ID_LEN] = { 0 };

	KUNIT_EXPECT_FALSE(test, vmcrypt_vm_id_valid(id));
	id[15] = 1;
	KUNIT_EXPECT_TRUE(test, vmcrypt_vm_id_valid(id));
}

static void the_longest_description_fits(struct kunit *test)
{
	u8 id[VMCRYPT_VM_ID_LEN] = { 0xab };
	char name[VMCRYPT_VOLUME_MAX + 1], desc[VMCRYPT_DESC_SIZE];

	memset(name, 'x', sizeof(name));
	name[VMCRYPT_VOLUME_MAX] = 0;
	vmcrypt_key_desc(desc, id, name);
	KUNIT_EXPECT_STREQ(test, desc + sizeof("vmcrypt:") + UUID_STRING_LEN,
			   name);
	KUNIT_EXPECT_MEMEQ(test, desc, "vmcrypt:ab000000-0000-0000-0000-", 32);
}

static struct kunit_case name_cases[] = {
	KUNIT_CASE(a_kek_id_has_a_provider_and_a_key),
	KUNIT_CASE(a_kek_id_is_one_word_of_ascii),
	KUNIT_CASE(a_kek_id_has_at_most_255_bytes),
	KUNIT_CASE(a_volume_name_has_few_characters),
	KUNIT_CASE(a_volume_name_has_at_most_63_bytes),
	KUNIT_CASE(the_nil_uuid_is_no_vm),
	KUNIT_CASE(the_longest_description_fits),
	{}
};

static struct kunit_suite name_suite = {
	.name = "vmcrypt_name",
	.test_cases = name_cases,
};

kunit_test_suite(name_suite);
