// SPDX-License-Identifier: GPL-2.0-only
/* AES-256-GCM by its known answers; the format, and what it refuses. */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "wrap.h"

/* McGrew and Viega, The Galois/Counter Mode of Operation, appendix B */

static const u8 zeros[32];

static const u8 key_15[] = {
	0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
	0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
	0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
	0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
};

static const u8 iv_15[] = {
	0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad,
	0xde, 0xca, 0xf8, 0x88,
};

static const u8 aad_16[] = {
	0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef,
	0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef,
	0xab, 0xad, 0xda, 0xd2,
};

static const u8 plain_15[] = {
	0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5,
	0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26, 0x9a,
	0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda,
	0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a, 0x72,
	0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53,
	0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, 0x25,
	0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57,
	0xba, 0x63, 0x7b, 0x39, 0x1a, 0xaf, 0xd2, 0x55,
};

static const u8 sealed_13[] = {
	0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
	0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b,
};

static const u8 sealed_14[] = {
	0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
	0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
	0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
	0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19,
};

static const u8 sealed_15[] = {
	0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07,
	0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d,
	0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9,
	0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa,
	0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d,
	0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
	0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a,
	0xbc, 0xc9, 0xf6, 0x62, 0x89, 0x80, 0x15, 0xad,
	0xb0, 0x94, 0xda, 0xc5, 0xd9, 0x34, 0x71, 0xbd,
	0xec, 0x1a, 0x50, 0x22, 0x70, 0xe3, 0xcc, 0x6c,
};

static const u8 sealed_16[] = {
	0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07,
	0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d,
	0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9,
	0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa,
	0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d,
	0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
	0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a,
	0xbc, 0xc9, 0xf6, 0x62, 0x76, 0xfc, 0x6e, 0xce,
	0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53,
	0xbb, 0x2d, 0x55, 0x1b,
};

struct gcm_case {
	const char *name;
	const u8 *key;
	const u8 *iv;
	const u8 *aad;
	const u8 *plain;
	const u8 *sealed;
	size_t aad_len;
	size_t len;
};

static const struct gcm_case gcm_cases[] = {
	{
		.name = "13, nothing",
		.key = zeros, .iv = zeros, .plain = zeros, .len = 0,
		.sealed = sealed_13,
	},
	{
		.name = "14, one block",
		.key = zeros, .iv = zeros, .plain = zeros, .len = 16,
		.sealed = sealed_14,
	},
	{
		.name = "15, four blocks",
		.key = key_15, .iv = iv_15, .plain = plain_15, .len = 64,
		.sealed = sealed_15,
	},
	{
		.name = "16, with associated data",
		.key = key_15, .iv = iv_15, .plain = plain_15, .len = 60,
		.aad = aad_16, .aad_len = sizeof(aad_16),
		.sealed = sealed_16,
	},
};

static void gcm_case_name(const struct gcm_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(gcm, gcm_cases, gcm_case_name);

static struct crypto_aead *aead_new(struct kunit *test, const u8 *kek)
{
	struct crypto_aead *aead = vmcrypt_aead_new(kek);

	KUNIT_ASSERT_FALSE(test, IS_ERR(aead));
	return aead;
}

static void gcm_gives_the_known_answer(struct kunit *test)
{
	const struct gcm_case *c = test->param_value;
	struct crypto_aead *aead = aead_new(test, c->key);
	u8 *buf, *text;

	buf = kunit_kzalloc(test, 128, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	text = buf + c->aad_len;
	memcpy(buf, c->aad, c->aad_len);
	memcpy(text, c->plain, c->len);
	KUNIT_EXPECT_EQ(test, vmcrypt_gcm(aead, true, c->iv, buf, c->aad_len,
					  c->len), 0);
	KUNIT_EXPECT_MEMEQ(test, text, c->sealed, c->len + 16);
	KUNIT_EXPECT_EQ(test, vmcrypt_gcm(aead, false, c->iv, buf, c->aad_len,
					  c->len), 0);
	KUNIT_EXPECT_MEMEQ(test, text, c->plain, c->len);
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
