// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ordered, parallel work on records.
 *
 * A job goes into the queue of its direction when its number is known. Whoever
 * empties the queue waits for the first job only: order is kept whichever job
 * is done first. Who would wait works instead, which saves waking up anybody
 * else; what comes while he is busy goes to workers on other CPUs, and each of
 * them calls one more while there is more to do. Workers never wait for anything
 * but memory and the cipher; a slow peer leaves jobs in the queue, and a queue
 * with enough of them gives no new one.
 */

#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pipeline.h"
#include "wrap.h"

static struct workqueue_struct *crypt_wq;

/* Keys */

/**
 * vmcrypt_key_new - make the key of an epoch
 * @secret: secret of the epoch
 * @epoch: its number
 *
 * Return: the key, with one reference, or an ERR_PTR.
 */
struct vmcrypt_key *vmcrypt_key_new(const u8 secret[VMCRYPT_SECRET_LEN],
				    u32 epoch)
{
	u8 bytes[VMCRYPT_GCM_KEY_LEN];
	struct vmcrypt_key *key;
	int ret;

	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	kref_init(&key->ref);
	ret = vmcrypt_schedule_epoch(secret, epoch, bytes, key->nonce);
	if (ret)
		goto err_free;
	key->aead = vmcrypt_aead_new(bytes);
	if (IS_ERR(key->aead)) {
		ret = PTR_ERR(key->aead);
		goto err_free;
	}
	memzero_explicit(bytes, sizeof(bytes));
	return key;

err_free:
	memzero_explicit(bytes, sizeof(bytes));
	kfree_sensitive(key);
	return ERR_PTR(ret);
}

static void key_release(struct kref *ref)
{
	struct vmcrypt_key *key = container_of(ref, struct vmcrypt_key, ref);

	crypto_free_aead(key->aead);
	kfree_sensitive(key);
}

/**
 * vmcrypt_key_get - take a reference
 * @key: the key
 *
 * Return: @key.
 */
struct vmcrypt_key *vmcrypt_key_get(struct vmcrypt_key *key)
{
	kref_get(&key->ref);
	return key;
}

/**
 * vmcrypt_key_put - give a reference back; the last one wipes the key
 * @key: the key, or NULL
 */
void vmcrypt_key_put(struct vmcrypt_key *key)
{
	if (key)
		kref_put(&key->ref, key_release);
}

/* Jobs */

/*
 * Pages come in pieces of several where memory has such at hand: fewer to
 * allocate, and less for the cipher to go through. The first is by itself, as
 * all that a short record keeps.
 *
 * The large pieces of a record that is done with stay with its pipeline, for
 * those that come: many kernels clear memory each time it is allocated.
 */
#define PIECE_ORDER	PAGE_ALLOC_COSTLY_ORDER
#define PIECE_PAGES	BIT(PIECE_ORDER)

static void free_pieces(struct list_head *pieces)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, pieces, lru) {
		list_del(&page->lru);
		put_page(page);
	}
}

/*
 * With the lock: from what is spare, all large pieces of a job of @n pages, and
 * those for which there is no room beside it.
 */
static void take_spare(struct vmcrypt_pipeline *pipe, unsigned int n,
		       struct list_head *pieces)
{
	unsigned int want = (n - 1) / PIECE_PAGES;

	while (!list_empty(&pipe->spare) &&
	       (want || pipe->pages + pipe->spare_pages > pipe->max_pages)) {
		list_move_tail(pipe->spare.next, pieces);
		pipe->spare_pages -= PIECE_PAGES;
		if (want)
			want--;
	}
}

/* With the lock: keep those for which there is room, and somebody to need them. */
static void keep_spare(struct vmcrypt_pipeline *pipe, struct list_head *pieces)
{
	while (!list_empty(pieces) && !pipe->stopped &&
	       pipe->pages + pipe->spare_pages + PIECE_PAGES <=
	       pipe->max_pages) {
		list_move(pieces->next, &pipe->spare);
		pipe->spare_pages += PIECE_PAGES;
	}
}

static struct page *alloc_large(struct list_head *spare)
{
	struct page *page = list_first_entry_or_null(spare, struct page, lru);

	if (!page)
		return alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_NORETRY |
				   __GFP_COMP, PIECE_ORDER);
	list_del(&page->lru);
	return page;
}

/* Next: as many as @want. */
static bool alloc_piece(struct vmcrypt_job *job, unsigned int want,
			struct list_head *spare)
{
	struct page *page = NULL;
	unsigned int order = 0, i;

	if (job->n_pages)
		order = min_t(unsigned int, ilog2(want), PIECE_ORDER);
	if (order == PIECE_ORDER)
		page = alloc_large(spare);
	else if (order)
		page = alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_NORETRY |
				   __GFP_COMP, order);
	if (!page) {
		order = 0;
		page = alloc_page(GFP_KERNEL | __GFP_NOWARN);
	}
	if (!page)
		return false;
	for (i = 0; i < 1U << order; i++)
		job->pages[job->n_pages++] = page + i;
	return true;
}

/* Does nobody else have it, and may anybody? */
static bool is_reusable(struct page *page)
{
	return compound_nr(page) == PIECE_PAGES &&
	       page_ref_count(page) == 1 && !page_is_pfmemalloc(page);
}

/*
 * All pieces from that on that starts with page @from, or after it: those that
 * can be used again go to @spare.
 */
static void drop_pieces(struct vmcrypt_job *job, unsigned int from,
			struct list_head *spare)
{
	unsigned int i, nr, kept = 0;
	struct page *page;

	for (i = 0; i < job->n_pages; i += nr) {
		page = job->pages[i];
		nr = compound_nr(page);
		if (i < from)
			kept = i + nr;
		else if (is_reusable(page))
			list_add(&page->lru, spare);
		else
			put_page(page);
	}
	job->n_pages = kept;
}

/* As drop_pieces(), to the pipeline's account. */
static void release(struct vmcrypt_job *job, unsigned int from)
{
	struct vmcrypt_pipeline *pipe = job->pipe;
	unsigned int had = job->n_pages;
	LIST_HEAD(pieces);

	drop_pieces(job, from, &pieces);
	spin_lock(&pipe->lock);
	pipe->pages -= had - job->n_pages;
	keep_spare(pipe, &pieces);
	/* Who waits for room gets plenty, not to wait again for each job. */
	if (pipe->pages <= pipe->max_pages / 2)
		wake_up(&pipe->room);
	spin_unlock(&pipe->lock);
	free_pieces(&pieces);
}

/**
 * vmcrypt_job_new - make a job
 * @pipe: pipeline it is for
 * @len: length of its payload
 *
 * Does not ask whether there is room, see vmcrypt_pipeline_wait_room().
 *
 * Return: the job, or NULL without memory.
 */
struct vmcrypt_job *vmcrypt_job_new(struct vmcrypt_pipeline *pipe, u32 len)
{
	unsigned int n = VMCRYPT_JOB_PAGES(len);
	struct vmcrypt_job *job;
	LIST_HEAD(pieces);

	job = kzalloc(struct_size(job, pages, n), GFP_KERNEL);
	if (!job)
		return NULL;
	INIT_LIST_HEAD(&job->node);
	INIT_LIST_HEAD(&job->todo);
	job->pipe = pipe;
	spin_lock(&pipe->lock);
	pipe->pages += n;
	take_spare(pipe, n, &pieces);
	spin_unlock(&pipe->lock);
	while (job->n_pages < n)
		if (!alloc_piece(job, n - job->n_pages, &pieces))
			goto err_free;
	free_pieces(&pieces);
	return job;

err_free:
	free_pieces(&pieces);
	spin_lock(&pipe->lock);
	pipe->pages -= n - job->n_pages;
	spin_unlock(&pipe->lock);
	vmcrypt_job_free(job);
	return NULL;
}

/**
 * vmcrypt_job_free - free a job that is in no pipeline
 * @job: the job
 */
void vmcrypt_job_free(struct vmcrypt_job *job)
{
	vmcrypt_key_put(job->key);
	release(job, 0);
	kfree(job);
}

/**
 * vmcrypt_job_trim - give back what a shorter payload does not need
 * @job: job that is in no pipeline
 * @len: length of its payload
 */
void vmcrypt_job_trim(struct vmcrypt_job *job, u32 len)
{
	unsigned int n = VMCRYPT_JOB_PAGES(len);

	if (n < job->n_pages)
		release(job, n);
}

/**
 * vmcrypt_job_header - where the header of a record is
 * @job: its job
 *
 * Return: VMCRYPT_RECORD_HEADER bytes.
 */
u8 *vmcrypt_job_header(const struct vmcrypt_job *job)
{
	return (u8 *)page_address(job->pages[0]) + VMCRYPT_JOB_HEADER;
}

/* How many bytes from @start on, of @len, are in one piece of memory. */
static size_t job_run(const struct vmcrypt_job *job, size_t start, size_t len)
{
	unsigned int first = start / PAGE_SIZE, i = first + 1;

	while (i * PAGE_SIZE < start + len &&
	       job->pages[i] == job->pages[first] + (i - first))
		i++;
	return min_t(size_t, len, i * PAGE_SIZE - start);
}

/**
 * vmcrypt_job_bvec - describe a part of a record for I/O
 * @job: its job
 * @start: where the part starts, from that of the first page
 * @len: its length in bytes
 * @bvec: receives the description, VMCRYPT_JOB_PAGES_MAX elements at most
 *
 * Return: the number of elements.
 */
unsigned int vmcrypt_job_bvec(const struct vmcrypt_job *job, size_t start,
			      size_t len, struct bio_vec *bvec)
{
	unsigned int n = 0;
	size_t part;

	for (; len; len -= part, start += part, n++) {
		part = job_run(job, start, len);
		bvec[n].bv_page = job->pages[start / PAGE_SIZE];
		bvec[n].bv_offset = start % PAGE_SIZE;
		bvec[n].bv_len = part;
	}
	return n;
}

/* The whole record for the cipher: header, and then payload and tag. */
static struct scatterlist *job_sg(const struct vmcrypt_job *job)
{
	size_t left = job->record.len + VMCRYPT_RECORD_TAG;
	size_t start = VMCRYPT_JOB_TEXT, part;
	struct scatterlist *sg;
	unsigned int n = 1;

	sg = kmalloc_array(job->n_pages + 1, sizeof(*sg), GFP_KERNEL);
	if (!sg)
		return NULL;
	sg_init_table(sg, job->n_pages + 1);
	sg_set_page(&sg[0], job->pages[0], VMCRYPT_RECORD_HEADER,
		    VMCRYPT_JOB_HEADER);
	for (; left; left -= part, start += part, n++) {
		part = job_run(job, start, left);
		sg_set_page(&sg[n], job->pages[start / PAGE_SIZE], part,
			    start % PAGE_SIZE);
	}
	sg_mark_end(&sg[n - 1]);
	return sg;
}

static int job_gcm(struct vmcrypt_job *job, bool seal)
{
	u8 nonce[VMCRYPT_GCM_NONCE_LEN];
	struct aead_request *req;
	struct scatterlist *sg;
	DECLARE_CRYPTO_WAIT(wait);
	int ret = -ENOMEM;

	sg = job_sg(job);
	req = aead_request_alloc(job->key->aead, GFP_KERNEL);
	if (!sg || !req)
		goto out;
	vmcrypt_record_nonce(job->key->nonce, job->seq, nonce);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, VMCRYPT_RECORD_HEADER);
	aead_request_set_crypt(req, sg, sg, seal ? job->record.len :
			       job->record.len + VMCRYPT_RECORD_TAG, nonce);
	ret = crypto_wait_req(seal ? crypto_aead_encrypt(req) :
			      crypto_aead_decrypt(req), &wait);
out:
	if (req)
		aead_request_free(req);
	kfree(sg);
	return ret;
}

/**
 * vmcrypt_job_seal - seal a record in place, header and all
 * @job: its job, with its key, number and what its header says
 *
 * Return: 0, -ENOMEM, or a negative errno of the crypto API.
 */
int vmcrypt_job_seal(struct vmcrypt_job *job)
{
	vmcrypt_record_put(&job->record, vmcrypt_job_header(job));
	return job_gcm(job, true);
}

/**
 * vmcrypt_job_open - open a record in place
 * @job: its job, with its key, number and what its header says
 *
 * Return: 0, -EBADMSG when it is not authentic, -ENOMEM, or another negative
 * errno of the crypto API.
 */
int vmcrypt_job_open(struct vmcrypt_job *job)
{
	return job_gcm(job, false);
}

/* Pipelines */

static bool is_first(const struct vmcrypt_job *job)
{
	return list_first_entry(&job->pipe->jobs, struct vmcrypt_job, node) ==
	       job;
}

/* With the lock: a job that is the caller's to do, or NULL. */
static struct vmcrypt_job *claim(struct vmcrypt_pipeline *pipe)
{
	struct vmcrypt_job *job;

	job = list_first_entry_or_null(&pipe->todo, struct vmcrypt_job, todo);
	if (job)
		list_del_init(&job->todo);
	return job;
}

/* With the lock: one more worker, if there is a CPU for it. */
static void call_worker(struct vmcrypt_pipeline *pipe)
{
	unsigned int i = find_first_zero_bit(pipe->working, VMCRYPT_WORKERS);

	if (i >= min_t(unsigned int, num_online_cpus(), VMCRYPT_WORKERS))
		return;
	__set_bit(i, pipe->working);
	queue_work(crypt_wq, &pipe->workers[i].work);
}

/* With the lock: what there is to do is done by somebody. */
static void delegate(struct vmcrypt_pipeline *pipe)
{
	if (!list_empty(&pipe->todo) &&
	    bitmap_empty(pipe->working, VMCRYPT_WORKERS))
		call_worker(pipe);
}

/* With the lock, which it gives up meanwhile. */
static void do_job(struct vmcrypt_pipeline *pipe, struct vmcrypt_job *job)
	__must_hold(&pipe->lock)
{
	spin_unlock(&pipe->lock);
	job->error = job->fn(job);
	spin_lock(&pipe->lock);
	/* After the lock the job is not ours any more. */
	job->done = true;
	if (is_first(job))
		wake_up(&pipe->ready);
}

static void worker(struct work_struct *work)
{
	struct vmcrypt_worker *me = container_of(work, struct vmcrypt_worker,
						 work);
	struct vmcrypt_pipeline *pipe = me->pipe;
	struct vmcrypt_job *job;

	spin_lock(&pipe->lock);
	while (!pipe->stopped) {
		job = claim(pipe);
		if (!job)
			break;
		if (!list_empty(&pipe->todo))
			call_worker(pipe);
		do_job(pipe, job);
		cond_resched_lock(&pipe->lock);
	}
	__clear_bit(me - pipe->workers, pipe->working);
	spin_unlock(&pipe->lock);
}

/**
 * vmcrypt_pipeline_start - make a pipeline
 * @pipe: the pipeline
 * @max_pages: pages in it before nobody gets a new job; one job may go beyond.
 *	As many may stay with it while there are fewer jobs, until its end.
 */
void vmcrypt_pipeline_start(struct vmcrypt_pipeline *pipe,
			    unsigned int max_pages)
{
	int i;

	spin_lock_init(&pipe->lock);
	INIT_LIST_HEAD(&pipe->jobs);
	INIT_LIST_HEAD(&pipe->todo);
	for (i = 0; i < VMCRYPT_WORKERS; i++) {
		INIT_WORK(&pipe->workers[i].work, worker);
		pipe->workers[i].pipe = pipe;
	}
	bitmap_zero(pipe->working, VMCRYPT_WORKERS);
	pipe->waiting = false;
	pipe->pages = 0;
	pipe->max_pages = max_pages;
	INIT_LIST_HEAD(&pipe->spare);
	pipe->spare_pages = 0;
	pipe->stopped = false;
	init_waitqueue_head(&pipe->room);
	init_waitqueue_head(&pipe->ready);
}

static bool room(const struct vmcrypt_pipeline *pipe)
{
	return pipe->pages < pipe->max_pages || pipe->stopped;
}

/**
 * vmcrypt_pipeline_has_room - may there be a new job?
 * @pipe: the pipeline
 *
 * Return: true when there may, or when it is stopped.
 */
bool vmcrypt_pipeline_has_room(struct vmcrypt_pipeline *pipe)
{
	bool ret;

	spin_lock(&pipe->lock);
	ret = room(pipe);
	spin_unlock(&pipe->lock);
	return ret;
}

/* With the lock, which it gives up meanwhile: work, or wait for room. */
static int work_or_wait_room(struct vmcrypt_pipeline *pipe)
	__must_hold(&pipe->lock)
{
	struct vmcrypt_job *job = claim(pipe);
	int ret;

	if (job) {
		do_job(pipe, job);
		return 0;
	}
	spin_unlock(&pipe->lock);
	ret = wait_event_interruptible(pipe->room,
				       vmcrypt_pipeline_has_room(pipe));
	spin_lock(&pipe->lock);
	return ret;
}

/**
 * vmcrypt_pipeline_wait_room - wait until there may be a new job
 * @pipe: the pipeline; one caller at a time
 *
 * Does jobs itself, rather than sleep.
 *
 * Return: 0, -EPIPE when it is stopped, or -ERESTARTSYS.
 */
int vmcrypt_pipeline_wait_room(struct vmcrypt_pipeline *pipe)
{
	int ret = 0;

	spin_lock(&pipe->lock);
	while (!ret && !room(pipe))
		ret = work_or_wait_room(pipe);
	if (!ret && pipe->stopped)
		ret = -EPIPE;
	spin_unlock(&pipe->lock);
	return ret;
}

/**
 * vmcrypt_pipeline_put - put a job at the end, and to work
 * @job: the job
 * @fn: what to do with it
 */
void vmcrypt_pipeline_put(struct vmcrypt_job *job, vmcrypt_job_fn fn)
{
	struct vmcrypt_pipeline *pipe = job->pipe;

	job->fn = fn;
	spin_lock(&pipe->lock);
	list_add_tail(&job->node, &pipe->jobs);
	list_add_tail(&job->todo, &pipe->todo);
	if (pipe->waiting) {
		/* It is his; the next one may be somebody else's. */
		pipe->waiting = false;
		wake_up(&pipe->ready);
	} else {
		delegate(pipe);
	}
	spin_unlock(&pipe->lock);
}

/**
 * vmcrypt_pipeline_put_done - put a job at the end with which nothing is to do
 * @job: the job
 * @error: negative errno that it tells, or 0
 */
void vmcrypt_pipeline_put_done(struct vmcrypt_job *job, int error)
{
	struct vmcrypt_pipeline *pipe = job->pipe;

	job->error = error;
	job->done = true;
	spin_lock(&pipe->lock);
	list_add_tail(&job->node, &pipe->jobs);
	if (is_first(job))
		wake_up(&pipe->ready);
	spin_unlock(&pipe->lock);
}

static bool first_is_done(struct vmcrypt_pipeline *pipe)
{
	const struct vmcrypt_job *job;

	job = list_first_entry_or_null(&pipe->jobs, struct vmcrypt_job, node);
	return job && job->done;
}

/**
 * vmcrypt_pipeline_first - the first job, once it is done
 * @pipe: the pipeline
 *
 * Return: the job, which stays where it is, or NULL.
 */
struct vmcrypt_job *vmcrypt_pipeline_first(struct vmcrypt_pipeline *pipe)
{
	struct vmcrypt_job *job;

	spin_lock(&pipe->lock);
	job = list_first_entry_or_null(&pipe->jobs, struct vmcrypt_job, node);
	if (job && !job->done)
		job = NULL;
	spin_unlock(&pipe->lock);
	return job;
}

/* Is there something that ends a wait, or something to do? */
static bool is_awaited(struct vmcrypt_pipeline *pipe)
{
	bool ret;

	spin_lock(&pipe->lock);
	ret = pipe->stopped || first_is_done(pipe) || !list_empty(&pipe->todo);
	spin_unlock(&pipe->lock);
	return ret;
}

/* With the lock, which it gives up meanwhile: work, or wait for some. */
static int work_or_wait(struct vmcrypt_pipeline *pipe)
	__must_hold(&pipe->lock)
{
	struct vmcrypt_job *job = claim(pipe);
	int ret;

	if (job) {
		do_job(pipe, job);
		return 0;
	}
	pipe->waiting = true;
	spin_unlock(&pipe->lock);
	ret = wait_event_interruptible(pipe->ready, is_awaited(pipe));
	spin_lock(&pipe->lock);
	pipe->waiting = false;
	return ret;
}

/**
 * vmcrypt_pipeline_wait - wait until the first job is done
 * @pipe: the pipeline; one caller at a time
 *
 * Does jobs itself, rather than sleep.
 *
 * Return: 0, -EPIPE when it is stopped, or -ERESTARTSYS.
 */
int vmcrypt_pipeline_wait(struct vmcrypt_pipeline *pipe)
{
	int ret = 0;

	spin_lock(&pipe->lock);
	while (!ret && !pipe->stopped && !first_is_done(pipe))
		ret = work_or_wait(pipe);
	if (!ret && pipe->stopped)
		ret = -EPIPE;
	/* What was left for the caller, who goes away. */
	delegate(pipe);
	spin_unlock(&pipe->lock);
	return ret;
}

/**
 * vmcrypt_pipeline_pop - take the first job out, and free it
 * @job: what vmcrypt_pipeline_first() gave
 */
void vmcrypt_pipeline_pop(struct vmcrypt_job *job)
{
	spin_lock(&job->pipe->lock);
	list_del(&job->node);
	spin_unlock(&job->pipe->lock);
	vmcrypt_job_free(job);
}

/**
 * vmcrypt_pipeline_stop - let nobody wait any more
 * @pipe: the pipeline
 */
void vmcrypt_pipeline_stop(struct vmcrypt_pipeline *pipe)
{
	spin_lock(&pipe->lock);
	pipe->stopped = true;
	wake_up_all(&pipe->room);
	wake_up_all(&pipe->ready);
	spin_unlock(&pipe->lock);
}

/**
 * vmcrypt_pipeline_end - free all jobs
 * @pipe: the pipeline; nobody else may be in it any more, but workers
 */
void vmcrypt_pipeline_end(struct vmcrypt_pipeline *pipe)
{
	struct vmcrypt_job *job, *next;
	LIST_HEAD(pieces);
	int i;

	vmcrypt_pipeline_stop(pipe);
	for (i = 0; i < VMCRYPT_WORKERS; i++)
		cancel_work_sync(&pipe->workers[i].work);
	INIT_LIST_HEAD(&pipe->todo);
	list_for_each_entry_safe(job, next, &pipe->jobs, node)
		vmcrypt_pipeline_pop(job);
	/* What is freed from now on is not kept. */
	spin_lock(&pipe->lock);
	list_splice_init(&pipe->spare, &pieces);
	pipe->spare_pages = 0;
	spin_unlock(&pipe->lock);
	free_pieces(&pieces);
}

/**
 * vmcrypt_pipeline_init - before the first pipeline
 *
 * Return: 0, or -ENOMEM.
 */
int __init vmcrypt_pipeline_init(void)
{
	/* Unbound: the scheduler finds an idle CPU for each record. */
	crypt_wq = alloc_workqueue("vmcrypt_crypt", WQ_UNBOUND, 0);
	return crypt_wq ? 0 : -ENOMEM;
}

/** vmcrypt_pipeline_exit - after the last pipeline */
void vmcrypt_pipeline_exit(void)
{
	destroy_workqueue(crypt_wq);
}
