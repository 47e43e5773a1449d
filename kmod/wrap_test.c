// SPDX-License-Identifier: GPL-2.0-only
/* AES-256-GCM by its known answers; the format, and what it refuses. */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/hex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "wrap.h"

struct gcm_case {
	const char *name;
	const char *key;
	const char *iv;
	const char *aad;
	const char *plain;
	const char *sealed;
};

/* McGrew and Viega, The Galois/Counter Mode of Operation, appendix B */
static const struct gcm_case gcm_cases[] = {
	{
		.name = "13, nothing",
		.key = "0000000000000000000000000000000000000000000000000000"
		       "000000000000",
		.iv = "000000000000000000000000",
		.aad = "",
		.plain = "",
		.sealed = "530f8afbc74536b9a963b4f1c4cb738b",
	},
	{
		.name = "14, one block",
		.key = "0000000000000000000000000000000000000000000000000000"
		       "000000000000",
		.iv = "000000000000000000000000",
		.aad = "",
		.plain = "00000000000000000000000000000000",
		.sealed = "cea7403d4d606b6e074ec5d3baf39d18"
			  "d0d1c8a799996bf0265b98b5d48ab919",
	},
	{
		.name = "15, four blocks",
		.key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a"
		       "8f9467308308",
		.iv = "cafebabefacedbaddecaf888",
		.aad = "",
		.plain = "d9313225f88406e5a55909c5aff5269a"
			 "86a7a9531534f7da2e4c303d8a318a72"
			 "1c3c0c95956809532fcf0e2449a6b525"
			 "b16aedf5aa0de657ba637b391aafd255",
		.sealed = "522dc1f099567d07f47f37a32a84427d"
			  "643a8cdcbfe5c0c97598a2bd2555d1aa"
			  "8cb08e48590dbb3da7b08b1056828838"
			  "c5f61e6393ba7a0abcc9f662898015ad"
			  "b094dac5d93471bdec1a502270e3cc6c",
	},
	{
		.name = "16, with associated data",
		.key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a"
		       "8f9467308308",
		.iv = "cafebabefacedbaddecaf888",
		.aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		.plain = "d9313225f88406e5a55909c5aff5269a"
			 "86a7a9531534f7da2e4c303d8a318a72"
			 "1c3c0c95956809532fcf0e2449a6b525"
			 "b16aedf5aa0de657ba637b39",
		.sealed = "522dc1f099567d07f47f37a32a84427d"
			  "643a8cdcbfe5c0c97598a2bd2555d1aa"
			  "8cb08e48590dbb3da7b08b1056828838"
			  "c5f61e6393ba7a0abcc9f66276fc6ece"
			  "0f4e1768cddf8853bb2d551b",
	},
};

static void gcm_case_name(const struct gcm_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(gcm, gcm_cases, gcm_case_name);

static size_t from_hex(struct kunit *test, u8 *bin, const char *hex)
{
	size_t len = strlen(hex) / 2;

	KUNIT_ASSERT_EQ(test, hex2bin(bin, hex, len), 0);
	return len;
}

static struct crypto_aead *aead_new(struct kunit *test, const u8 *kek)
{
	struct crypto_aead *aead = vmcrypt_aead_new(kek);

	KUNIT_ASSERT_FALSE(test, IS_ERR(aead));
	return aead;
}

static void gcm_gives_the_known_answer(struct kunit *test)
{
	const struct gcm_case *c = test->param_value;
	u8 key[VMCRYPT_KEK_LEN], iv[VMCRYPT_NONCE_LEN], plain[64], sealed[80];
	size_t aad_len, len, sealed_len;
	struct crypto_aead *aead;
	u8 *buf;

	buf = kunit_kzalloc(test, 128, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	from_hex(test, key, c->key);
	from_hex(test, iv, c->iv);
	aad_len = from_hex(test, buf, c->aad);
	len = from_hex(test, plain, c->plain);
	sealed_len = from_hex(test, sealed, c->sealed);
	memcpy(buf + aad_len, plain, len);
	aead = aead_new(test, key);

	KUNIT_EXPECT_EQ(test, vmcrypt_gcm(aead, true, iv, buf, aad_len, len),
			0);
	KUNIT_EXPECT_MEMEQ(test, buf + aad_len, sealed, sealed_len);
	KUNIT_EXPECT_EQ(test, vmcrypt_gcm(aead, false, iv, buf, aad_len, len),
			0);
	KUNIT_EXPECT_MEMEQ(test, buf + aad_len, plain, len);
	crypto_free_aead(aead);
}

/* Computed by pyca/cryptography on OpenSSL. */
static const u8 golden[VMCRYPT_WRAPPED_LEN] = {
	0x01, 0x01, 0x00, 0x00, 0xa0, 0xa1, 0xa2, 0xa3,
	0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab,
	0xa6, 0x59, 0x3e, 0x6e, 0x01, 0x8e, 0x44, 0xf8,
	0x2a, 0x2c, 0xcd, 0x98, 0x4b, 0x37, 0x8e, 0x91,
	0x20, 0xfd, 0x0b, 0x43, 0xc6, 0xe2, 0x14, 0x3b,
	0xc4, 0x57, 0x7c, 0xdd, 0x23, 0xf6, 0x2b, 0x5e,
	0xb2, 0x17, 0x25, 0x9c, 0xcb, 0x47, 0x35, 0x5a,
	0x37, 0xf5, 0x6e, 0xa3, 0x65, 0x17, 0xed, 0x96,
	0x37, 0x6a, 0x34, 0x3b, 0x16, 0xa5, 0x6c, 0x09,
	0x39, 0x27, 0x71, 0x25, 0xd8, 0x0d, 0xfb, 0xcf,
	0x0d, 0x6f, 0x99, 0x14, 0x1e, 0xc3, 0x9b, 0xf0,
	0x02, 0x55, 0x7d, 0x18, 0xba, 0xfc, 0x19, 0x23,
};

static const u8 vm_id[VMCRYPT_VM_ID_LEN] = {
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
};

static const struct vmcrypt_bind bind = {
	.kek_id = "prov/key-1",
	.vm_id = vm_id,
	.volume = "disk0",
};

struct fixture {
	struct crypto_aead *aead;
	u8 dek[VMCRYPT_DEK_LEN];
	u8 wrapped[VMCRYPT_WRAPPED_LEN];
	u8 out[VMCRYPT_DEK_LEN];
};

static int wrap_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u8 kek[VMCRYPT_KEK_LEN];
	int i;

	if (!f)
		return -ENOMEM;
	for (i = 0; i < sizeof(kek); i++)
		kek[i] = i;
	for (i = 0; i < sizeof(f->dek); i++)
		f->dek[i] = 0x40 + i;
	f->aead = vmcrypt_aead_new(kek);
	if (IS_ERR(f->aead))
		return PTR_ERR(f->aead);
	memcpy(f->wrapped, golden, sizeof(golden));
	test->priv = f;
	return 0;
}

static void wrap_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (f)
		crypto_free_aead(f->aead);
}

static int unwrap(struct fixture *f, const struct vmcrypt_bind *b)
{
	return vmcrypt_unwrap(f->aead, b, f->wrapped, f->out, NULL);
}

static void a_wrapped_dek_looks_as_the_format_says(struct kunit *test)
{
	struct fixture *f = test->priv;

	memset(f->wrapped, 0xff, sizeof(f->wrapped));
	KUNIT_ASSERT_EQ(test, vmcrypt_wrap_nonce(f->aead, &bind, golden + 4,
						 f->dek, f->wrapped), 0);
	KUNIT_EXPECT_MEMEQ(test, f->wrapped, golden, sizeof(golden));
}

static void a_wrapped_dek_is_unwrapped(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, unwrap(f, &bind), 0);
	KUNIT_EXPECT_MEMEQ(test, f->out, f->dek, sizeof(f->dek));
}

static void every_wrap_has_another_nonce(struct kunit *test)
{
	struct fixture *f = test->priv;
	u8 again[VMCRYPT_WRAPPED_LEN];

	KUNIT_ASSERT_EQ(test, vmcrypt_wrap(f->aead, &bind, f->dek,
					   f->wrapped), 0);
	KUNIT_ASSERT_EQ(test, vmcrypt_wrap(f->aead, &bind, f->dek, again), 0);
	KUNIT_EXPECT_MEMNEQ(test, f->wrapped + 4, again + 4,
			    VMCRYPT_NONCE_LEN);
	KUNIT_EXPECT_MEMNEQ(test, f->wrapped + 16, again + 16,
			    VMCRYPT_DEK_LEN);
	KUNIT_EXPECT_EQ(test, unwrap(f, &bind), 0);
}

static void a_flipped_bit_anywhere_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	int bit;

	/* After the header, which has cases of its own. */
	for (bit = 4 * 8; bit < VMCRYPT_WRAPPED_LEN * 8; bit++) {
		f->wrapped[bit / 8] ^= 1 << (bit % 8);
		KUNIT_EXPECT_EQ_MSG(test, unwrap(f, &bind), -EKEYREJECTED,
				    "bit %d", bit);
		f->wrapped[bit / 8] ^= 1 << (bit % 8);
	}
}

static void nothing_of_a_refused_dek_gets_out(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->wrapped[VMCRYPT_WRAPPED_LEN - 1] ^= 1;
	KUNIT_ASSERT_EQ(test, unwrap(f, &bind), -EKEYREJECTED);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->out, 0, sizeof(f->out)));
}

static void the_dek_of_another_vm_is_refused(struct kunit *test)
{
	struct vmcrypt_bind other = bind;
	u8 id[VMCRYPT_VM_ID_LEN];

	memcpy(id, vm_id, sizeof(id));
	id[15] ^= 1;
	other.vm_id = id;
	KUNIT_EXPECT_EQ(test, unwrap(test->priv, &other), -EKEYREJECTED);
}

static void the_dek_of_another_volume_is_refused(struct kunit *test)
{
	struct vmcrypt_bind other = bind;

	other.volume = "disk1";
	KUNIT_EXPECT_EQ(test, unwrap(test->priv, &other), -EKEYREJECTED);
	other.volume = "disk";
	KUNIT_EXPECT_EQ(test, unwrap(test->priv, &other), -EKEYREJECTED);
}

static void the_dek_of_another_kek_id_is_refused(struct kunit *test)
{
	struct vmcrypt_bind other = bind;

	other.kek_id = "prov/key-2";
	KUNIT_EXPECT_EQ(test, unwrap(test->priv, &other), -EKEYREJECTED);
}

static void the_dek_of_another_kek_is_refused(struct kunit *test)
{
	static const u8 other[VMCRYPT_KEK_LEN] = { 1 };
	struct fixture *f = test->priv;
	struct crypto_aead *aead = aead_new(test, other);

	KUNIT_EXPECT_EQ(test, vmcrypt_unwrap(aead, &bind, f->wrapped, f->out,
					     NULL), -EKEYREJECTED);
	crypto_free_aead(aead);
}

static void another_version_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->wrapped[0] = 0;
	KUNIT_EXPECT_EQ(test, unwrap(f, &bind), -EOPNOTSUPP);
	f->wrapped[0] = 2;
	KUNIT_EXPECT_EQ(test, unwrap(f, &bind), -EOPNOTSUPP);
}

static void another_algorithm_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->wrapped[1] = 2;
	KUNIT_EXPECT_EQ(test, unwrap(f, &bind), -EOPNOTSUPP);
}

static void reserved_bytes_must_be_zero(struct kunit *test)
{
	struct fixture *f = test->priv;
	int bit;

	for (bit = 2 * 8; bit < 4 * 8; bit++) {
		f->wrapped[bit / 8] ^= 1 << (bit % 8);
		KUNIT_EXPECT_EQ_MSG(test, unwrap(f, &bind), -EINVAL, "bit %d",
				    bit);
		f->wrapped[bit / 8] ^= 1 << (bit % 8);
	}
}

/* Without the lengths in the associated data these two would be the same. */
static void names_do_not_run_into_each_other(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct vmcrypt_bind one = bind, two = bind;
	u8 id[VMCRYPT_VM_ID_LEN];

	memset(id, 'x', sizeof(id));
	one.vm_id = id;
	two.vm_id = id;
	one.kek_id = "a/b";
	two.kek_id = "a/bx";
	one.volume = "xd";
	two.volume = "d";
	KUNIT_ASSERT_EQ(test, vmcrypt_wrap(f->aead, &one, f->dek, f->wrapped),
			0);
	KUNIT_EXPECT_EQ(test, unwrap(f, &two), -EKEYREJECTED);
	KUNIT_EXPECT_EQ(test, unwrap(f, &one), 0);
}

static void the_longest_names_fit(struct kunit *test)
{
	char id[VMCRYPT_KEK_ID_MAX + 1], volume[VMCRYPT_VOLUME_MAX + 1];
	struct vmcrypt_bind longest = bind;
	struct fixture *f = test->priv;

	memset(id, 'k', VMCRYPT_KEK_ID_MAX);
	id[VMCRYPT_KEK_ID_MAX] = 0;
	memset(volume, 'v', VMCRYPT_VOLUME_MAX);
	volume[VMCRYPT_VOLUME_MAX] = 0;
	longest.kek_id = id;
	longest.volume = volume;
	KUNIT_ASSERT_EQ(test, vmcrypt_wrap(f->aead, &longest, f->dek,
					   f->wrapped), 0);
	KUNIT_ASSERT_EQ(test, unwrap(f, &longest), 0);
	KUNIT_EXPECT_MEMEQ(test, f->out, f->dek, sizeof(f->dek));
}

static struct kunit_case gcm_kunit_cases[] = {
	KUNIT_CASE_PARAM(gcm_gives_the_known_answer, gcm_gen_params),
	{}
};

static struct kunit_case wrap_cases[] = {
	KUNIT_CASE(a_wrapped_dek_looks_as_the_format_says),
	KUNIT_CASE(a_wrapped_dek_is_unwrapped),
	KUNIT_CASE(every_wrap_has_another_nonce),
	KUNIT_CASE(a_flipped_bit_anywhere_is_refused),
	KUNIT_CASE(nothing_of_a_refused_dek_gets_out),
	KUNIT_CASE(the_dek_of_another_vm_is_refused),
	KUNIT_CASE(the_dek_of_another_volume_is_refused),
	KUNIT_CASE(the_dek_of_another_kek_id_is_refused),
	KUNIT_CASE(the_dek_of_another_kek_is_refused),
	KUNIT_CASE(another_version_is_refused),
	KUNIT_CASE(another_algorithm_is_refused),
	KUNIT_CASE(reserved_bytes_must_be_zero),
	KUNIT_CASE(names_do_not_run_into_each_other),
	KUNIT_CASE(the_longest_names_fit),
	{}
};

static struct kunit_suite gcm_suite = {
	.name = "vmcrypt_gcm",
	.test_cases = gcm_kunit_cases,
};

static struct kunit_suite wrap_suite = {
	.name = "vmcrypt_wrap",
	.init = wrap_init,
	.exit = wrap_exit,
	.test_cases = wrap_cases,
};

kunit_test_suites(&gcm_suite, &wrap_suite);
