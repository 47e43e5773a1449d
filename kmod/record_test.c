// SPDX-License-Identifier: GPL-2.0-only
/* Records: the format, against what OpenSSL finds, and every refusal. */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/string.h>

#include "record.h"
#include "vectors.h"
#include "wrap.h"

#define TEXT_LEN	(sizeof(vector_record) - VMCRYPT_RECORD_HEADER - \
			 VMCRYPT_RECORD_TAG)

static const struct vmcrypt_record known = {
	.type = VMCRYPT_RECORD_DATA,
	.epoch = 1,
	.len = TEXT_LEN,
};

static struct crypto_aead *cipher(struct kunit *test)
{
	struct crypto_aead *aead = vmcrypt_aead_new(vector_key_1);

	KUNIT_ASSERT_FALSE(test, IS_ERR(aead));
	return aead;
}

static u8 *copy(struct kunit *test)
{
	u8 *buf = kunit_kmalloc(test, sizeof(vector_record), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memcpy(buf, vector_record, sizeof(vector_record));
	return buf;
}

static int open_as(struct crypto_aead *aead, u8 *buf, u64 seq)
{
	u8 nonce[VMCRYPT_GCM_NONCE_LEN];

	vmcrypt_record_nonce(vector_nonce_1, seq, nonce);
	return vmcrypt_gcm(aead, false, nonce, buf, VMCRYPT_RECORD_HEADER,
			   TEXT_LEN);
}

static void a_sealed_record_is_that_of_openssl(struct kunit *test)
{
	struct crypto_aead *aead = cipher(test);
	u8 nonce[VMCRYPT_GCM_NONCE_LEN];
	u8 *buf = copy(test);
	int i;

	memset(buf, 0xee, sizeof(vector_record));
	vmcrypt_record_put(&known, buf);
	for (i = 0; i < TEXT_LEN; i++)
		buf[VMCRYPT_RECORD_HEADER + i] = i;
	vmcrypt_record_nonce(vector_nonce_1, VECTOR_SEQ, nonce);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_gcm(aead, true, nonce, buf,
					     VMCRYPT_RECORD_HEADER, TEXT_LEN));
	KUNIT_EXPECT_MEMEQ(test, buf, vector_record, sizeof(vector_record));
	crypto_free_aead(aead);
}

static void a_record_of_openssl_opens(struct kunit *test)
{
	struct crypto_aead *aead = cipher(test);
	struct vmcrypt_record record;
	u8 *buf = copy(test);
	int i;

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_get(buf, &record));
	KUNIT_EXPECT_EQ(test, record.type, known.type);
	KUNIT_EXPECT_EQ(test, record.epoch, known.epoch);
	KUNIT_EXPECT_EQ(test, record.len, known.len);
	KUNIT_EXPECT_EQ(test, 0, open_as(aead, buf, VECTOR_SEQ));
	for (i = 0; i < TEXT_LEN; i++)
		KUNIT_EXPECT_EQ(test, buf[VMCRYPT_RECORD_HEADER + i], i);
	crypto_free_aead(aead);
}

/* Header, ciphertext and tag: not one bit may change. */
static void a_flipped_bit_is_not_authentic(struct kunit *test)
{
	struct crypto_aead *aead = cipher(test);
	u8 *buf = copy(test);
	size_t bit;

	for (bit = 0; bit < 8 * sizeof(vector_record); bit++) {
		memcpy(buf, vector_record, sizeof(vector_record));
		buf[bit / 8] ^= 1 << bit % 8;
		KUNIT_EXPECT_EQ_MSG(test, -EBADMSG,
				    open_as(aead, buf, VECTOR_SEQ),
				    "bit %zu", bit);
	}
	crypto_free_aead(aead);
}

/* Repeated, left out or moved: it stands at another number than its own. */
static void a_record_opens_in_its_place_only(struct kunit *test)
{
	struct crypto_aead *aead = cipher(test);
	u8 *buf = copy(test);
	u64 seq;

	for (seq = 0; seq < 20; seq++) {
		memcpy(buf, vector_record, sizeof(vector_record));
		KUNIT_EXPECT_EQ(test, seq == VECTOR_SEQ ? 0 : -EBADMSG,
				open_as(aead, buf, seq));
	}
	memcpy(buf, vector_record, sizeof(vector_record));
	KUNIT_EXPECT_EQ(test, -EBADMSG, open_as(aead, buf, BIT_ULL(32) |
						VECTOR_SEQ));
	crypto_free_aead(aead);
}

static void all_of_the_number_is_in_the_nonce(struct kunit *test)
{
	static const u8 base[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	static const u8 want[] = { 1, 2, 3, 4, 4, 4, 4, 12, 12, 12, 12, 4 };
	u8 nonce[VMCRYPT_GCM_NONCE_LEN];

	vmcrypt_record_nonce(base, 0, nonce);
	KUNIT_EXPECT_MEMEQ(test, nonce, base, sizeof(base));
	vmcrypt_record_nonce(base, 0x0102030405060708ULL, nonce);
	KUNIT_EXPECT_MEMEQ(test, nonce, want, sizeof(want));
}

struct header_case {
	const char *desc;
	u8 header[VMCRYPT_RECORD_HEADER];
	int ret;
};

static const struct header_case header_cases[] = {
	{ "one byte", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 0 },
	{ "longest", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0 }, 0 },
	{ "last epoch", { 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 9 }, 0 },
	{ "key update", { 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0 }, 0 },
	{ "end", { 3, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1 }, 0 },
	{ "empty data", { 1 }, -EPROTO },
	{ "too long", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 1 }, -EPROTO },
	{ "4 GiB", { 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255 }, -EPROTO },
	{ "type 0", { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "type 4", { 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "type 255", { 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "reserved 1", { 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "reserved 2", { 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "reserved 3", { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "update with text", { 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, -EPROTO },
	{ "empty end", { 3 }, -EPROTO },
	{ "long end", { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2 }, -EPROTO },
};

static void header_desc(const struct header_case *c, char *desc)
{
	strscpy(desc, c->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(header, header_cases, header_desc);

static void a_header_is_read_or_refused(struct kunit *test)
{
	const struct header_case *c = test->param_value;
	struct vmcrypt_record record = { .len = 4711 };
	u8 again[VMCRYPT_RECORD_HEADER];

	KUNIT_EXPECT_EQ(test, c->ret, vmcrypt_record_get(c->header, &record));
	if (c->ret) {
		KUNIT_EXPECT_EQ(test, record.len, 4711);
		return;
	}
	vmcrypt_record_put(&record, again);
	KUNIT_EXPECT_MEMEQ(test, again, c->header, sizeof(again));
}

static void records_follow_each_other(struct kunit *test)
{
	struct vmcrypt_record record = { .type = VMCRYPT_RECORD_DATA,
					 .len = 100 };
	struct vmcrypt_record_state state = {};

	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_next(&state, &record));
	KUNIT_EXPECT_EQ(test, state.seq, 1);
	record.type = VMCRYPT_RECORD_KEY_UPDATE;
	record.len = 0;
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_next(&state, &record));
	KUNIT_EXPECT_EQ(test, state.epoch, 1);
	KUNIT_EXPECT_EQ(test, state.blocks, 0);
	KUNIT_EXPECT_EQ(test, state.records, 0);
	/* The number goes on, whatever the key. */
	KUNIT_EXPECT_EQ(test, state.seq, 2);

	record.type = VMCRYPT_RECORD_DATA;
	record.len = 100;
	KUNIT_EXPECT_EQ(test, -EPROTO, vmcrypt_record_next(&state, &record));
	record.epoch = 2;
	KUNIT_EXPECT_EQ(test, -EPROTO, vmcrypt_record_next(&state, &record));
	record.epoch = 1;
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_next(&state, &record));
	record.type = VMCRYPT_RECORD_END;
	record.len = 1;
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_next(&state, &record));
	KUNIT_EXPECT_TRUE(test, state.ended);
	KUNIT_EXPECT_EQ(test, -EPROTO, vmcrypt_record_next(&state, &record));
	KUNIT_EXPECT_EQ(test, state.seq, 4);
}

static void a_key_wears_out(struct kunit *test)
{
	struct vmcrypt_record record = { .type = VMCRYPT_RECORD_DATA,
					 .len = VMCRYPT_RECORD_MAX };
	struct vmcrypt_record_state state = {};
	u64 n = 0;

	/* The sender's time comes long before the receiver's patience ends. */
	while (!vmcrypt_record_update_due(&state, record.len, 0)) {
		KUNIT_ASSERT_EQ(test, 0, vmcrypt_record_next(&state, &record));
		n++;
	}
	KUNIT_EXPECT_EQ(test, n, VMCRYPT_EPOCH_BLOCKS / 2 / 65538);
	while (!vmcrypt_record_next(&state, &record))
		n++;
	KUNIT_EXPECT_EQ(test, n, VMCRYPT_EPOCH_BLOCKS / 65538);
	KUNIT_EXPECT_EQ(test, -EKEYEXPIRED,
			vmcrypt_record_next(&state, &record));

	memset(&state, 0, sizeof(state));
	record.len = 1;
	state.records = VMCRYPT_EPOCH_RECORDS / 2 - 1;
	KUNIT_EXPECT_FALSE(test, vmcrypt_record_update_due(&state, 1, 0));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_record_next(&state, &record));
	KUNIT_EXPECT_TRUE(test, vmcrypt_record_update_due(&state, 1, 0));
	state.records = VMCRYPT_EPOCH_RECORDS;
	KUNIT_EXPECT_EQ(test, -EKEYEXPIRED,
			vmcrypt_record_next(&state, &record));
}

static void no_number_starts_anew(struct kunit *test)
{
	struct vmcrypt_record record = { .type = VMCRYPT_RECORD_DATA,
					 .len = 1 };
	struct vmcrypt_record_state state = { .seq = U64_MAX };

	KUNIT_EXPECT_EQ(test, -EKEYEXPIRED,
			vmcrypt_record_next(&state, &record));
	state.seq = 0;
	state.epoch = U32_MAX;
	record.epoch = U32_MAX;
	record.type = VMCRYPT_RECORD_KEY_UPDATE;
	record.len = 0;
	KUNIT_EXPECT_EQ(test, -EKEYEXPIRED,
			vmcrypt_record_next(&state, &record));
}

static struct kunit_case record_cases[] = {
	KUNIT_CASE(a_sealed_record_is_that_of_openssl),
	KUNIT_CASE(a_record_of_openssl_opens),
	KUNIT_CASE(a_flipped_bit_is_not_authentic),
	KUNIT_CASE(a_record_opens_in_its_place_only),
	KUNIT_CASE(all_of_the_number_is_in_the_nonce),
	KUNIT_CASE_PARAM(a_header_is_read_or_refused, header_gen_params),
	KUNIT_CASE(records_follow_each_other),
	KUNIT_CASE(a_key_wears_out),
	KUNIT_CASE(no_number_starts_anew),
	{}
};

static struct kunit_suite record_suite = {
	.name = "vmcrypt_record",
	.test_cases = record_cases,
};

kunit_test_suite(record_suite);
