// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ordered, parallel work on records.
 *
 * A job goes into the queue of its direction when its number is known, and to
 * a worker on any CPU at the same time. Whoever empties the queue waits for
 * the first job only: order is kept whichever job is done first. Workers never
 * wait for anything but memory and the cipher; a slow peer leaves jobs in the
 * queue, and a queue with enough of them gives no new one.
 */

#include <linux/err.h>
#include <linux/kernel.h>
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

static void free_pages_of(struct vmcrypt_job *job, unsigned int from)
{
	while (job->n_pages > from)
		put_page(job->pages[--job->n_pages]);
}

static void account(struct vmcrypt_pipeline *pipe, int pages)
{
	spin_lock(&pipe->lock);
	pipe->pages += pages;
	if (pages < 0)
		wake_up(&pipe->room);
	spin_unlock(&pipe->lock);
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

	job = kzalloc(struct_size(job, pages, n), GFP_KERNEL);
	if (!job)
		return NULL;
	INIT_LIST_HEAD(&job->node);
	job->pipe = pipe;
	while (job->n_pages < n) {
		job->pages[job->n_pages] = alloc_page(GFP_KERNEL |
						      __GFP_NOWARN);
		if (!job->pages[job->n_pages])
			goto err_free;
		job->n_pages++;
	}
	account(pipe, n);
	return job;

err_free:
	free_pages_of(job, 0);
	kfree(job);
	return NULL;
}

/**
 * vmcrypt_job_free - free a job that is in no pipeline
 * @job: the job
 */
void vmcrypt_job_free(struct vmcrypt_job *job)
{
	unsigned int n = job->n_pages;

	free_pages_of(job, 0);
	vmcrypt_key_put(job->key);
	account(job->pipe, -n);
	kfree(job);
}

/**
 * vmcrypt_job_trim - give back what a shorter payload does not need
 * @job: job that is in no pipeline
 * @len: length of its payload
 */
void vmcrypt_job_trim(struct vmcrypt_job *job, u32 len)
{
	unsigned int n = job->n_pages;

	free_pages_of(job, VMCRYPT_JOB_PAGES(len));
	if (job->n_pages != n)
		account(job->pipe, (int)job->n_pages - (int)n);
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
		part = min_t(size_t, len, PAGE_SIZE - start % PAGE_SIZE);
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
	unsigned int i;

	sg = kmalloc_array(job->n_pages + 1, sizeof(*sg), GFP_KERNEL);
	if (!sg)
		return NULL;
	sg_init_table(sg, job->n_pages + 1);
	sg_set_page(&sg[0], job->pages[0], VMCRYPT_RECORD_HEADER,
		    VMCRYPT_JOB_HEADER);
	for (i = 0; i < job->n_pages; i++) {
		part = min_t(size_t, left, PAGE_SIZE - start);
		sg_set_page(&sg[i + 1], job->pages[i], part, start);
		left -= part;
		start = 0;
	}
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

static void job_work(struct work_struct *work)
{
	struct vmcrypt_job *job = container_of(work, struct vmcrypt_job, work);
	struct vmcrypt_pipeline *pipe = job->pipe;

	job->error = job->fn(job);
	/* After that the job is not ours, and after the lock the pipeline. */
	spin_lock(&pipe->lock);
	job->done = true;
	pipe->undone--;
	if (is_first(job) || (pipe->stopped && !pipe->undone))
		wake_up(&pipe->ready);
	spin_unlock(&pipe->lock);
}

/**
 * vmcrypt_pipeline_start - make a pipeline
 * @pipe: the pipeline
 * @max_pages: pages in it before nobody gets a new job; one job may go beyond
 */
void vmcrypt_pipeline_start(struct vmcrypt_pipeline *pipe,
			    unsigned int max_pages)
{
	spin_lock_init(&pipe->lock);
	INIT_LIST_HEAD(&pipe->jobs);
	pipe->pages = 0;
	pipe->max_pages = max_pages;
	pipe->undone = 0;
	pipe->stopped = false;
	init_waitqueue_head(&pipe->room);
	init_waitqueue_head(&pipe->ready);
}

/**
 * vmcrypt_pipeline_has_room - may there be a new job?
 * @pipe: the pipeline
 *
 * Return: true when there may, or when it is stopped.
 */
bool vmcrypt_pipeline_has_room(struct vmcrypt_pipeline *pipe)
{
	bool room;

	spin_lock(&pipe->lock);
	room = pipe->pages < pipe->max_pages || pipe->stopped;
	spin_unlock(&pipe->lock);
	return room;
}

/**
 * vmcrypt_pipeline_wait_room - wait until there may be a new job
 * @pipe: the pipeline; one caller at a time
 *
 * Return: 0, -EPIPE when it is stopped, or -ERESTARTSYS.
 */
int vmcrypt_pipeline_wait_room(struct vmcrypt_pipeline *pipe)
{
	int ret;

	ret = wait_event_interruptible(pipe->room,
				       vmcrypt_pipeline_has_room(pipe));
	if (ret)
		return ret;
	return READ_ONCE(pipe->stopped) ? -EPIPE : 0;
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
	INIT_WORK(&job->work, job_work);
	spin_lock(&pipe->lock);
	list_add_tail(&job->node, &pipe->jobs);
	pipe->undone++;
	spin_unlock(&pipe->lock);
	queue_work(crypt_wq, &job->work);
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

/**
 * vmcrypt_pipeline_wait - wait until the first job is done
 * @pipe: the pipeline; one caller at a time
 *
 * Return: 0, -EPIPE when it is stopped, or -ERESTARTSYS.
 */
int vmcrypt_pipeline_wait(struct vmcrypt_pipeline *pipe)
{
	int ret;

	ret = wait_event_interruptible(pipe->ready,
				       READ_ONCE(pipe->stopped) ||
				       vmcrypt_pipeline_first(pipe));
	if (ret)
		return ret;
	return READ_ONCE(pipe->stopped) ? -EPIPE : 0;
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

static bool all_done(struct vmcrypt_pipeline *pipe)
{
	bool done;

	spin_lock(&pipe->lock);
	done = !pipe->undone;
	spin_unlock(&pipe->lock);
	return done;
}

/**
 * vmcrypt_pipeline_end - free all jobs
 * @pipe: the pipeline; nobody else may be in it any more, but workers
 */
void vmcrypt_pipeline_end(struct vmcrypt_pipeline *pipe)
{
	struct vmcrypt_job *job, *next;

	vmcrypt_pipeline_stop(pipe);
	wait_event(pipe->ready, all_done(pipe));
	list_for_each_entry_safe(job, next, &pipe->jobs, node)
		vmcrypt_pipeline_pop(job);
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
