// SPDX-License-Identifier: GPL-2.0-only
/* Pipelines: order, bounds, and records sealed and opened in pages. */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/string.h>

#include "pipeline.h"
#include "vectors.h"

#define ROUNDS		200

static struct vmcrypt_pipeline pipe;

static int pipeline_test_init(struct kunit *test)
{
	vmcrypt_pipeline_start(&pipe, 64);
	return 0;
}

static void pipeline_test_exit(struct kunit *test)
{
	vmcrypt_pipeline_end(&pipe);
	KUNIT_EXPECT_EQ(test, pipe.pages, 0);
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&pipe.spare));
	KUNIT_EXPECT_TRUE(test, list_empty(&pipe.jobs));
}

static struct vmcrypt_job *job(struct kunit *test, u32 len)
{
	struct vmcrypt_job *new = vmcrypt_job_new(&pipe, len);

	KUNIT_ASSERT_NOT_NULL(test, new);
	new->record.type = VMCRYPT_RECORD_DATA;
	new->record.len = len;
	return new;
}

/* The later a job comes, the sooner it is done, in every group of eight. */
static int dawdle(struct vmcrypt_job *one)
{
	usleep_range(10 * (8 - one->seq % 8), 20 * (8 - one->seq % 8));
	return one->seq % 16 == 15 ? -EIO : 0;
}

static void order_is_kept(struct kunit *test)
{
	struct vmcrypt_job *one;
	u64 in = 0, out = 0;

	while (out < ROUNDS) {
		while (in < ROUNDS && in < out + 32) {
			one = job(test, 1);
			one->seq = in++;
			vmcrypt_pipeline_put(one, dawdle);
		}
		KUNIT_ASSERT_EQ(test, 0, vmcrypt_pipeline_wait(&pipe));
		one = vmcrypt_pipeline_first(&pipe);
		KUNIT_ASSERT_NOT_NULL(test, one);
		KUNIT_EXPECT_EQ(test, one->seq, out);
		KUNIT_EXPECT_EQ(test, one->error, out % 16 == 15 ? -EIO : 0);
		vmcrypt_pipeline_pop(one);
		out++;
	}
	KUNIT_EXPECT_NULL(test, vmcrypt_pipeline_first(&pipe));
}

/* Puts jobs in as fast as there is room for them. */
static int feed(void *data)
{
	struct completion *fed = data;
	struct vmcrypt_job *one;
	u64 seq;

	for (seq = 0; seq < ROUNDS; seq++) {
		if (vmcrypt_pipeline_wait_room(&pipe))
			break;
		one = vmcrypt_job_new(&pipe, 7 * PAGE_SIZE);
		if (!one)
			break;
		one->seq = seq;
		vmcrypt_pipeline_put(one, dawdle);
	}
	if (seq < ROUNDS)
		vmcrypt_pipeline_stop(&pipe);
	complete(fed);
	return 0;
}

static void both_ends_work(struct kunit *test)
{
	DECLARE_COMPLETION_ONSTACK(fed);
	struct task_struct *task;
	struct vmcrypt_job *one;
	u64 out;

	task = kthread_run(feed, &fed, "vmcrypt-kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (out = 0; out < ROUNDS; out++) {
		if (vmcrypt_pipeline_wait(&pipe))
			break;
		one = vmcrypt_pipeline_first(&pipe);
		KUNIT_EXPECT_EQ(test, one->seq, out);
		KUNIT_EXPECT_LT(test, READ_ONCE(pipe.pages), 64 + 8);
		vmcrypt_pipeline_pop(one);
	}
	KUNIT_EXPECT_EQ(test, out, ROUNDS);
	wait_for_completion(&fed);
}

static void what_is_done_waits_for_its_turn(struct kunit *test)
{
	struct vmcrypt_job *slow = job(test, 1), *done = job(test, 0);

	vmcrypt_pipeline_put(slow, dawdle);
	vmcrypt_pipeline_put_done(done, -EPROTO);
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_pipeline_wait(&pipe));
	KUNIT_EXPECT_PTR_EQ(test, slow, vmcrypt_pipeline_first(&pipe));
	vmcrypt_pipeline_pop(slow);
	KUNIT_EXPECT_PTR_EQ(test, done, vmcrypt_pipeline_first(&pipe));
	KUNIT_EXPECT_EQ(test, -EPROTO, done->error);
	vmcrypt_pipeline_pop(done);
}

static void memory_is_bounded(struct kunit *test)
{
	struct vmcrypt_job *one;
	int n = 0;

	while (vmcrypt_pipeline_has_room(&pipe)) {
		one = job(test, 4 * PAGE_SIZE);
		vmcrypt_pipeline_put_done(one, 0);
		n++;
	}
	KUNIT_EXPECT_EQ(test, n, DIV_ROUND_UP(64, 5));
	/* One out, one in. */
	vmcrypt_pipeline_pop(vmcrypt_pipeline_first(&pipe));
	KUNIT_EXPECT_TRUE(test, vmcrypt_pipeline_has_room(&pipe));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_pipeline_wait_room(&pipe));
}

static void a_short_record_gives_pages_back(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, VMCRYPT_RECORD_MAX);

	KUNIT_EXPECT_EQ(test, pipe.pages, VMCRYPT_JOB_PAGES_MAX);
	vmcrypt_job_trim(one, 10);
	KUNIT_EXPECT_EQ(test, pipe.pages, 1);
	vmcrypt_job_free(one);
}

/* A record of eight pages after its first, in one piece where there is one. */
#define LARGE		(8 * PAGE_SIZE)

static void memory_is_used_again(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, LARGE);
	struct page *page = one->pages[1];
	bool whole = compound_nr(page) == 8;

	vmcrypt_job_free(one);
	if (!whole)
		kunit_skip(test, "no eight pages in one piece");
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 8);
	one = job(test, LARGE);
	KUNIT_EXPECT_PTR_EQ(test, page, one->pages[1]);
	KUNIT_EXPECT_PTR_EQ(test, page + 7, one->pages[8]);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 0);
	vmcrypt_job_free(one);
}

static void what_a_socket_has_is_not_used_again(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, LARGE);
	struct page *page = one->pages[1];

	get_page(page);
	vmcrypt_job_free(one);
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 0);
	one = job(test, LARGE);
	KUNIT_EXPECT_PTR_NE(test, page, one->pages[1]);
	vmcrypt_job_free(one);
	put_page(page);
}

static void what_a_short_record_gives_back_is_used_again(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, 2 * LARGE);
	unsigned int pieces = (compound_nr(one->pages[1]) == 8) +
			      (compound_nr(one->pages[9]) == 8);

	vmcrypt_job_trim(one, LARGE);
	KUNIT_EXPECT_EQ(test, pipe.pages, 9);
	vmcrypt_job_free(one);
	if (pieces < 2)
		kunit_skip(test, "no eight pages in one piece");
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 16);
}

/* A queue that is full has a little more than it may, but for one record. */
static void a_full_queue_uses_memory_again(struct kunit *test)
{
	struct vmcrypt_job *some[3];
	bool whole = true;
	int i;

	for (i = 0; i < 3; i++) {
		some[i] = job(test, 3 * LARGE);
		whole &= compound_nr(some[i]->pages[1]) == 8;
	}
	KUNIT_EXPECT_EQ(test, pipe.pages, 75);
	for (i = 0; i < 3; i++) {
		vmcrypt_job_free(some[i]);
		KUNIT_EXPECT_LE(test, pipe.pages + pipe.spare_pages, 64);
		if (whole)
			KUNIT_EXPECT_GE(test, pipe.spare_pages, 8);
	}
}

/* Whatever is put in and taken out: pages and spare ones are within the bound. */
static void spare_memory_is_bounded(struct kunit *test)
{
	struct vmcrypt_job *some[32];
	int i;

	for (i = 0; i < 16; i++)
		some[i] = job(test, LARGE);
	for (i = 0; i < 16; i++)
		vmcrypt_job_free(some[i]);
	KUNIT_EXPECT_EQ(test, pipe.pages, 0);
	KUNIT_EXPECT_LE(test, pipe.spare_pages, 64);
	for (i = 0; i < 32; i++) {
		some[i] = job(test, 1);
		KUNIT_EXPECT_LE(test, pipe.pages + pipe.spare_pages, 64);
	}
	for (i = 0; i < 32; i++)
		vmcrypt_job_free(some[i]);
}

static void a_stopped_pipeline_keeps_no_memory(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, LARGE);

	vmcrypt_pipeline_stop(&pipe);
	vmcrypt_job_free(one);
	KUNIT_EXPECT_EQ(test, pipe.spare_pages, 0);
}

static int stop_soon(void *data)
{
	usleep_range(1000, 2000);
	vmcrypt_pipeline_stop(&pipe);
	complete(data);
	return 0;
}

static void a_stop_lets_nobody_wait(struct kunit *test)
{
	DECLARE_COMPLETION_ONSTACK(stopped);
	struct task_struct *task;

	task = kthread_run(stop_soon, &stopped, "vmcrypt-kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	KUNIT_EXPECT_EQ(test, -EPIPE, vmcrypt_pipeline_wait(&pipe));
	KUNIT_EXPECT_EQ(test, -EPIPE, vmcrypt_pipeline_wait_room(&pipe));
	wait_for_completion(&stopped);
}

/* Byte @at of the payload of a job. */
static u8 *text(const struct vmcrypt_job *one, size_t at)
{
	at += VMCRYPT_JOB_TEXT;
	return (u8 *)page_address(one->pages[at / PAGE_SIZE]) + at % PAGE_SIZE;
}

static void known_key(struct kunit *test, struct vmcrypt_job *one)
{
	one->key = vmcrypt_key_new(vector_secret_1, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(one->key));
	one->record.epoch = 1;
	one->seq = VECTOR_SEQ;
}

static void a_record_in_pages_is_that_of_openssl(struct kunit *test)
{
	u32 len = sizeof(vector_record) - VMCRYPT_RECORD_HEADER -
		  VMCRYPT_RECORD_TAG;
	struct vmcrypt_job *one = job(test, len);
	int i;

	known_key(test, one);
	for (i = 0; i < len; i++)
		*text(one, i) = i;
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_job_seal(one));
	KUNIT_EXPECT_MEMEQ(test, vmcrypt_job_header(one), vector_record,
			   sizeof(vector_record));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_job_open(one));
	for (i = 0; i < len; i++)
		KUNIT_EXPECT_EQ(test, *text(one, i), i);
	vmcrypt_job_free(one);
}

/* Around every place where a page begins or the cipher's block does. */
static const u32 lengths[] = {
	1, 15, 16, 17, 100, 4063, 4064, 4065, 4079, 4080, 4081, 4096, 4097,
	8175, 8176, 8177, 65536, 131072, VMCRYPT_RECORD_MAX - 1,
	VMCRYPT_RECORD_MAX,
};

static void any_length_there_and_back(struct kunit *test)
{
	struct vmcrypt_job *one;
	u32 i, len, at, wrong;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		len = lengths[i];
		one = job(test, len);
		known_key(test, one);
		for (at = 0; at < len; at++)
			*text(one, at) = at * 7 + (at >> 8);
		KUNIT_EXPECT_EQ(test, 0, vmcrypt_job_seal(one));
		for (at = 0, wrong = 0; at < len; at++)
			wrong += *text(one, at) == (u8)(at * 7 + (at >> 8));
		/* Encrypted: by chance one of 256 is as it was. */
		KUNIT_EXPECT_LT(test, wrong, 5 + len / 64);
		KUNIT_EXPECT_EQ(test, 0, vmcrypt_job_open(one));
		for (at = 0, wrong = 0; at < len; at++)
			wrong += *text(one, at) != (u8)(at * 7 + (at >> 8));
		KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "length %u", len);
		vmcrypt_job_free(one);
	}
}

static void a_record_is_what_its_pages_are(struct kunit *test)
{
	u32 len = 10000, at;
	struct vmcrypt_job *one;

	for (at = 0; at < len + VMCRYPT_RECORD_TAG; at += 997) {
		one = job(test, len);
		known_key(test, one);
		KUNIT_EXPECT_EQ(test, 0, vmcrypt_job_seal(one));
		*text(one, at) ^= 4;
		KUNIT_EXPECT_EQ(test, -EBADMSG, vmcrypt_job_open(one));
		vmcrypt_job_free(one);
	}
}

static void a_part_is_described(struct kunit *test)
{
	struct vmcrypt_job *one = job(test, 20 * PAGE_SIZE);
	size_t at = 16, end = at + 20 * PAGE_SIZE, off;
	struct bio_vec bvec[21];
	unsigned int n, i;

	KUNIT_EXPECT_EQ(test, 1, vmcrypt_job_bvec(one, 16, 10, bvec));
	KUNIT_EXPECT_PTR_EQ(test, bvec[0].bv_page, one->pages[0]);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_offset, 16);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_len, 10);
	/* In few pieces or in many: each of its pages is in its place. */
	n = vmcrypt_job_bvec(one, at, end - at, bvec);
	for (i = 0; i < n; at += bvec[i++].bv_len) {
		KUNIT_EXPECT_EQ(test, bvec[i].bv_offset, at % PAGE_SIZE);
		for (off = 0; off < bvec[i].bv_len; off += 512)
			KUNIT_EXPECT_PTR_EQ(test, bvec[i].bv_page +
					    (bvec[i].bv_offset + off) / PAGE_SIZE,
					    one->pages[(at + off) / PAGE_SIZE]);
	}
	KUNIT_EXPECT_EQ(test, at, end);
	vmcrypt_job_free(one);
}

static struct kunit_case pipeline_cases[] = {
	KUNIT_CASE(order_is_kept),
	KUNIT_CASE(both_ends_work),
	KUNIT_CASE(what_is_done_waits_for_its_turn),
	KUNIT_CASE(memory_is_bounded),
	KUNIT_CASE(a_short_record_gives_pages_back),
	KUNIT_CASE(memory_is_used_again),
	KUNIT_CASE(what_a_socket_has_is_not_used_again),
	KUNIT_CASE(what_a_short_record_gives_back_is_used_again),
	KUNIT_CASE(a_full_queue_uses_memory_again),
	KUNIT_CASE(spare_memory_is_bounded),
	KUNIT_CASE(a_stopped_pipeline_keeps_no_memory),
	KUNIT_CASE(a_stop_lets_nobody_wait),
	KUNIT_CASE(a_record_in_pages_is_that_of_openssl),
	KUNIT_CASE(any_length_there_and_back),
	KUNIT_CASE(a_record_is_what_its_pages_are),
	KUNIT_CASE(a_part_is_described),
	{}
};

static struct kunit_suite pipeline_suite = {
	.name = "vmcrypt_pipeline",
	.init = pipeline_test_init,
	.exit = pipeline_test_exit,
	.test_cases = pipeline_cases,
};

kunit_test_suite(pipeline_suite);
