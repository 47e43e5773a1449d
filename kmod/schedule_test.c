// SPDX-License-Identifier: GPL-2.0-only
/* ECDH and the key schedule, against what OpenSSL finds. */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/string.h>

#include "ecdh.h"
#include "schedule.h"
#include "vectors.h"

static const struct vmcrypt_transcript transcript = {
	.vm_id = vector_vm_id,
	.policy = VECTOR_POLICY,
	.source = vector_source_public,
	.destination = vector_destination_public,
	.binding = vector_binding,
	.binding_len = sizeof(vector_binding),
};

/* Kernels before 6.10 want the private half back to front. */
static struct crypto_kpp *known_key(struct kunit *test, const u8 *private,
				    const u8 *public)
{
	u8 turned[VMCRYPT_SECRET_LEN], found[VMCRYPT_PUBLIC_LEN];
	struct crypto_kpp *kpp;
	int i;

	kpp = vmcrypt_ecdh_new(private, VMCRYPT_SECRET_LEN, found);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kpp));
	if (!memcmp(found, public, sizeof(found)))
		return kpp;
	crypto_free_kpp(kpp);
	for (i = 0; i < sizeof(turned); i++)
		turned[i] = private[sizeof(turned) - 1 - i];
	kpp = vmcrypt_ecdh_new(turned, sizeof(turned), found);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kpp));
	KUNIT_EXPECT_MEMEQ(test, found, public, sizeof(found));
	return kpp;
}

static void ecdh_finds_what_openssl_finds(struct kunit *test)
{
	u8 shared[VMCRYPT_SECRET_LEN];
	struct crypto_kpp *kpp;

	kpp = known_key(test, vector_source_private, vector_source_public);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_ecdh_shared(kpp,
						     vector_destination_public,
						     shared));
	KUNIT_EXPECT_MEMEQ(test, shared, vector_shared, sizeof(shared));
	crypto_free_kpp(kpp);
	kpp = known_key(test, vector_destination_private,
			vector_destination_public);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_ecdh_shared(kpp, vector_source_public,
						     shared));
	KUNIT_EXPECT_MEMEQ(test, shared, vector_shared, sizeof(shared));
	crypto_free_kpp(kpp);
}

static void two_kernels_agree(struct kunit *test)
{
	u8 public_a[VMCRYPT_PUBLIC_LEN], public_b[VMCRYPT_PUBLIC_LEN];
	u8 shared_a[VMCRYPT_SECRET_LEN], shared_b[VMCRYPT_SECRET_LEN];
	struct crypto_kpp *a, *b;

	a = vmcrypt_ecdh_new(NULL, 0, public_a);
	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	b = vmcrypt_ecdh_new(NULL, 0, public_b);
	KUNIT_ASSERT_FALSE(test, IS_ERR(b));
	KUNIT_EXPECT_NE(test, 0, memcmp(public_a, public_b,
					sizeof(public_a)));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_ecdh_shared(a, public_b, shared_a));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_ecdh_shared(b, public_a, shared_b));
	KUNIT_EXPECT_MEMEQ(test, shared_a, shared_b, sizeof(shared_a));
	crypto_free_kpp(a);
	crypto_free_kpp(b);
}

static void what_is_no_point_is_refused(struct kunit *test)
{
	u8 public[VMCRYPT_PUBLIC_LEN], shared[VMCRYPT_SECRET_LEN] = {};
	u8 bad[VMCRYPT_PUBLIC_LEN] = {};
	struct crypto_kpp *kpp;

	kpp = vmcrypt_ecdh_new(NULL, 0, public);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kpp));
	/* The point at infinity, as zeros. */
	KUNIT_EXPECT_NE(test, 0, vmcrypt_ecdh_shared(kpp, bad, shared));
	/* Beside the curve. */
	memcpy(bad, vector_source_public, sizeof(bad));
	bad[63] ^= 1;
	KUNIT_EXPECT_NE(test, 0, vmcrypt_ecdh_shared(kpp, bad, shared));
	/* Not in the field. */
	memset(bad, 0xff, sizeof(bad));
	KUNIT_EXPECT_NE(test, 0, vmcrypt_ecdh_shared(kpp, bad, shared));
	KUNIT_EXPECT_NULL(test, memchr_inv(shared, 0, sizeof(shared)));
	crypto_free_kpp(kpp);
}

static void schedule_finds_what_openssl_finds(struct kunit *test)
{
	u8 master[VMCRYPT_SECRET_LEN], secret[VMCRYPT_SECRET_LEN];
	u8 key[VMCRYPT_GCM_KEY_LEN], nonce[VMCRYPT_GCM_NONCE_LEN];

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_master(vector_shared,
							 &transcript, master));
	KUNIT_EXPECT_MEMEQ(test, master, vector_master, sizeof(master));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_dek(master, key));
	KUNIT_EXPECT_MEMEQ(test, key, vector_dek_key, sizeof(key));

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_channel(master,
							  VECTOR_CHANNEL,
							  VMCRYPT_WAY_BACK,
							  secret));
	KUNIT_EXPECT_MEMEQ(test, secret, vector_back_secret, sizeof(secret));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_channel(master,
							  VECTOR_CHANNEL,
							  VMCRYPT_WAY_THERE,
							  secret));
	KUNIT_EXPECT_MEMEQ(test, secret, vector_secret_0, sizeof(secret));

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_epoch(secret, 0, key,
							nonce));
	KUNIT_EXPECT_MEMEQ(test, key, vector_key_0, sizeof(key));
	KUNIT_EXPECT_MEMEQ(test, nonce, vector_nonce_0, sizeof(nonce));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_next(secret, 0));
	KUNIT_EXPECT_MEMEQ(test, secret, vector_secret_1, sizeof(secret));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_epoch(secret, 1, key,
							nonce));
	KUNIT_EXPECT_MEMEQ(test, key, vector_key_1, sizeof(key));
	KUNIT_EXPECT_MEMEQ(test, nonce, vector_nonce_1, sizeof(nonce));
}

static void expect_other_master(struct kunit *test,
				const struct vmcrypt_transcript *other)
{
	u8 master[VMCRYPT_SECRET_LEN];

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_schedule_master(vector_shared, other,
							 master));
	KUNIT_EXPECT_NE(test, 0, memcmp(master, vector_master,
					sizeof(master)));
}

static void all_of_the_transcript_counts(struct kunit *test)
{
	struct vmcrypt_transcript other = transcript;
	u8 binding[sizeof(vector_binding)];

	other.policy = VMCRYPT_POLICY_OPPORTUNISTIC;
	expect_other_master(test, &other);
	other = transcript;
	other.vm_id = vector_source_private;
	expect_other_master(test, &other);
	other = transcript;
	swap(other.source, other.destination);
	expect_other_master(test, &other);
	other = transcript;
	other.binding_len--;
	expect_other_master(test, &other);
	memcpy(binding, vector_binding, sizeof(binding));
	binding[0] ^= 1;
	other = transcript;
	other.binding = binding;
	expect_other_master(test, &other);
}

static void a_binding_has_a_length(struct kunit *test)
{
	struct vmcrypt_transcript other = transcript;
	u8 master[VMCRYPT_SECRET_LEN];

	other.binding_len = VMCRYPT_BINDING_MIN - 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, vmcrypt_schedule_master(vector_shared,
							       &other,
							       master));
	other.binding_len = VMCRYPT_BINDING_MAX + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, vmcrypt_schedule_master(vector_shared,
							       &other,
							       master));
}

static void no_two_channels_share_a_secret(struct kunit *test)
{
	u8 secret[4][VMCRYPT_SECRET_LEN];
	int i, j;

	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, 0,
				vmcrypt_schedule_channel(vector_master, i / 2,
							 i % 2, secret[i]));
	for (i = 0; i < 4; i++)
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, 0, memcmp(secret[i], secret[j],
							sizeof(secret[i])));
}

static struct kunit_case schedule_cases[] = {
	KUNIT_CASE(ecdh_finds_what_openssl_finds),
	KUNIT_CASE(two_kernels_agree),
	KUNIT_CASE(what_is_no_point_is_refused),
	KUNIT_CASE(schedule_finds_what_openssl_finds),
	KUNIT_CASE(all_of_the_transcript_counts),
	KUNIT_CASE(a_binding_has_a_length),
	KUNIT_CASE(no_two_channels_share_a_secret),
	{}
};

static struct kunit_suite schedule_suite = {
	.name = "vmcrypt_schedule",
	.test_cases = schedule_cases,
};

kunit_test_suite(schedule_suite);
