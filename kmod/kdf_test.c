// SPDX-License-Identifier: GPL-2.0-only
/* HKDF by RFC 5869, and the values that are part of the format. */

#include <kunit/test.h>
#include <linux/hex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/vmcrypt.h>

#include "kdf.h"

struct hkdf_case {
	const char *name;
	const char *ikm;
	const char *salt;
	const char *info;
	const char *okm;
};

/* RFC 5869, A.1 to A.3 */
static const struct hkdf_case hkdf_cases[] = {
	{
		.name = "A.1, basic",
		.ikm = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.salt = "000102030405060708090a0b0c",
		.info = "f0f1f2f3f4f5f6f7f8f9",
		.okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c"
		       "5db02d56ecc4c5bf34007208d5b887185865",
	},
	{
		.name = "A.2, longer inputs and outputs",
		.ikm = "000102030405060708090a0b0c0d0e0f1011121314151617"
		       "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
		       "303132333435363738393a3b3c3d3e3f4041424344454647"
		       "48494a4b4c4d4e4f",
		.salt = "606162636465666768696a6b6c6d6e6f7071727374757677"
			"78797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
			"909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7"
			"a8a9aaabacadaeaf",
		.info = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7"
			"c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
			"e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7"
			"f8f9fafbfcfdfeff",
		.okm = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8"
		       "a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
		       "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87"
		       "c14c01d5c1f3434f1d87",
	},
	{
		.name = "A.3, no salt and no info",
		.ikm = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		.salt = "",
		.info = "",
		.okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e"
		       "c3454e5f3c738d2d9d201395faa4b61a96c8",
	},
};

static void hkdf_case_name(const struct hkdf_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(hkdf, hkdf_cases, hkdf_case_name);

static size_t from_hex(struct kunit *test, u8 *bin, const char *hex)
{
	size_t len = strlen(hex) / 2;

	KUNIT_ASSERT_EQ(test, hex2bin(bin, hex, len), 0);
	return len;
}

static void hkdf_gives_the_known_answer(struct kunit *test)
{
	const struct hkdf_case *c = test->param_value;
	u8 ikm[80], salt[80], info[80], want[82], got[82];
	size_t ikm_len = from_hex(test, ikm, c->ikm);
	size_t salt_len = from_hex(test, salt, c->salt);
	size_t info_len = from_hex(test, info, c->info);
	size_t len = from_hex(test, want, c->okm);

	KUNIT_ASSERT_EQ(test, vmcrypt_hkdf(ikm, ikm_len, salt, salt_len, info,
					   info_len, got, len), 0);
	KUNIT_EXPECT_MEMEQ(test, got, want, len);
}

static void hkdf_of_no_bytes_is_refused(struct kunit *test)
{
	u8 okm[1];

	KUNIT_EXPECT_EQ(test, vmcrypt_hkdf(okm, 1, NULL, 0, NULL, 0, okm, 0),
			-EINVAL);
}

static void hkdf_of_too_many_bytes_is_refused(struct kunit *test)
{
	size_t len = 255 * VMCRYPT_HASH_LEN;
	u8 *okm = kunit_kzalloc(test, len + 1, GFP_KERNEL);
	u8 ikm[1] = { 1 };

	KUNIT_ASSERT_NOT_NULL(test, okm);
	KUNIT_EXPECT_EQ(test, vmcrypt_hkdf(ikm, 1, NULL, 0, NULL, 0, okm, len),
			0);
	KUNIT_EXPECT_EQ(test, vmcrypt_hkdf(ikm, 1, NULL, 0, NULL, 0, okm,
					   len + 1), -EINVAL);
}

/* RFC 4231, test case 2 */
static void hmac_gives_the_known_answer(struct kunit *test)
{
	u8 want[VMCRYPT_HASH_LEN], got[VMCRYPT_HASH_LEN];
	static const char data[] = "what do ya want for nothing?";

	from_hex(test, want, "5bdcc146bf60754e6a042426089575c7"
			     "5a003f089d2739839dec58b964ec3843");
	KUNIT_ASSERT_EQ(test, vmcrypt_hmac((const u8 *)"Jefe", 4,
					   (const u8 *)data, strlen(data),
					   got), 0);
	KUNIT_EXPECT_MEMEQ(test, got, want, sizeof(want));
}

/* Both computed by pyca/cryptography on OpenSSL. */
static void the_check_value_of_a_kek_is_part_of_the_format(struct kunit *test)
{
	u8 want[VMCRYPT_HASH_LEN], got[VMCRYPT_HASH_LEN];
	u8 kek[VMCRYPT_KEK_LEN];
	int i;

	for (i = 0; i < sizeof(kek); i++)
		kek[i] = i;
	from_hex(test, want, "6ab16d188779e8236e9935b366f54433"
			     "574a31bc82f5608e20d541809e7e118b");
	KUNIT_ASSERT_EQ(test, vmcrypt_kek_check(kek, got), 0);
	KUNIT_EXPECT_MEMEQ(test, got, want, sizeof(want));
}

static void the_code_of_a_digest_is_part_of_the_format(struct kunit *test)
{
	u8 want[VMCRYPT_HASH_LEN], got[VMCRYPT_HASH_LEN];
	u8 dek[VMCRYPT_DEK_LEN];
	int i;

	for (i = 0; i < sizeof(dek); i++)
		dek[i] = 0x40 + i;
	from_hex(test, want, "2a1dadf1eb1e310ccf62395c8f1a28cf"
			     "820974c160144a861d4aee69b69cbf64");
	KUNIT_ASSERT_EQ(test, vmcrypt_dek_mac_digest(dek, (const u8 *)"digest",
						     6, got), 0);
	KUNIT_EXPECT_MEMEQ(test, got, want, sizeof(want));
}

static struct kunit_case kdf_cases[] = {
	KUNIT_CASE_PARAM(hkdf_gives_the_known_answer, hkdf_gen_params),
	KUNIT_CASE(hkdf_of_no_bytes_is_refused),
	KUNIT_CASE(hkdf_of_too_many_bytes_is_refused),
	KUNIT_CASE(hmac_gives_the_known_answer),
	KUNIT_CASE(the_check_value_of_a_kek_is_part_of_the_format),
	KUNIT_CASE(the_code_of_a_digest_is_part_of_the_format),
	{}
};

static struct kunit_suite kdf_suite = {
	.name = "vmcrypt_kdf",
	.test_cases = kdf_cases,
};

kunit_test_suite(kdf_suite);
