/* SPDX-License-Identifier: GPL-2.0-only */
/* Ordered, parallel work on records. */
#ifndef _VMCRYPT_PIPELINE_H
#define _VMCRYPT_PIPELINE_H

#include <crypto/aead.h>
#include <linux/bitmap.h>
#include <linux/bvec.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/vmcrypt.h>

#include "record.h"

/*
 * A record lies in pages so that its payload starts at a multiple of the
 * cipher's block, and its header right before.
 */
#define VMCRYPT_JOB_HEADER	4
#define VMCRYPT_JOB_TEXT	(VMCRYPT_JOB_HEADER + VMCRYPT_RECORD_HEADER)
#define VMCRYPT_JOB_PAGES(len)	\
	DIV_ROUND_UP(VMCRYPT_JOB_TEXT + (len) + VMCRYPT_RECORD_TAG, PAGE_SIZE)
#define VMCRYPT_JOB_PAGES_MAX	VMCRYPT_JOB_PAGES(VMCRYPT_RECORD_MAX)

/* How many CPUs work for one direction at most, besides who empties it. */
#define VMCRYPT_WORKERS		8

/**
 * struct vmcrypt_key - key of one epoch of one direction
 * @ref: one for the direction, one for each job
 * @aead: cipher
 * @nonce: nonce base
 */
struct vmcrypt_key {
	struct kref ref;
	struct crypto_aead *aead;
	u8 nonce[VMCRYPT_GCM_NONCE_LEN];
};

struct vmcrypt_pipeline;
struct vmcrypt_job;

/* Works on a job, on any CPU; 0, or a negative errno that the job then has. */
typedef int (*vmcrypt_job_fn)(struct vmcrypt_job *job);

/**
 * struct vmcrypt_job - one record on its way
 * @node: in the pipeline, in order
 * @todo: with those that nobody works on yet, in order
 * @pipe: pipeline
 * @fn: what to do with it
 * @key: key of its epoch, or NULL
 * @record: what its header says
 * @seq: its number
 * @done: @fn has run
 * @error: what @fn returned
 * @offset: bytes of the payload that are taken
 * @n_pages: number of @pages
 * @pages: header, payload and tag
 */
struct vmcrypt_job {
	struct list_head node;
	struct list_head todo;
	struct vmcrypt_pipeline *pipe;
	vmcrypt_job_fn fn;
	struct vmcrypt_key *key;
	struct vmcrypt_record record;
	u64 seq;
	bool done;
	int error;
	u32 offset;
	unsigned int n_pages;
	struct page *pages[];
};

/**
 * struct vmcrypt_worker - works on the jobs of a pipeline
 * @work: does, until there are none
 * @pipe: pipeline
 */
struct vmcrypt_worker {
	struct work_struct work;
	struct vmcrypt_pipeline *pipe;
};

/**
 * struct vmcrypt_pipeline - jobs of one direction, in order
 * @lock: guards all below
 * @jobs: jobs that were put in and not taken out
 * @todo: those of them that nobody works on yet
 * @workers: who works on them, but for who waits for the first one
 * @working: which of @workers are at it, or about to
 * @waiting: who waits for the first job has nothing to do
 * @pages: pages of the jobs that there are
 * @max_pages: how many before nobody gets a new job
 * @spare: pieces of memory that jobs have left, for those that come
 * @spare_pages: pages in @spare, together with @pages up to @max_pages
 * @stopped: nobody waits any more
 * @room: who wants a new job waits here
 * @ready: who wants the first job done waits here
 */
struct vmcrypt_pipeline {
	spinlock_t lock;	/* the queue */
	struct list_head jobs;
	struct list_head todo;
	struct vmcrypt_worker workers[VMCRYPT_WORKERS];
	DECLARE_BITMAP(working, VMCRYPT_WORKERS);
	bool waiting;
	unsigned int pages;
	unsigned int max_pages;
	struct list_head spare;
	unsigned int spare_pages;
	bool stopped;
	wait_queue_head_t room;
	wait_queue_head_t ready;
};

struct vmcrypt_key *vmcrypt_key_new(const u8 secret[VMCRYPT_SECRET_LEN],
				    u32 epoch);
struct vmcrypt_key *vmcrypt_key_get(struct vmcrypt_key *key);
void vmcrypt_key_put(struct vmcrypt_key *key);

struct vmcrypt_job *vmcrypt_job_new(struct vmcrypt_pipeline *pipe, u32 len);
void vmcrypt_job_free(struct vmcrypt_job *job);
void vmcrypt_job_trim(struct vmcrypt_job *job, u32 len);
u8 *vmcrypt_job_header(const struct vmcrypt_job *job);
unsigned int vmcrypt_job_bvec(const struct vmcrypt_job *job, size_t start,
			      size_t len, struct bio_vec *bvec);
int vmcrypt_job_seal(struct vmcrypt_job *job);
int vmcrypt_job_open(struct vmcrypt_job *job);

void vmcrypt_pipeline_start(struct vmcrypt_pipeline *pipe,
			    unsigned int max_pages);
bool vmcrypt_pipeline_has_room(struct vmcrypt_pipeline *pipe);
int vmcrypt_pipeline_wait_room(struct vmcrypt_pipeline *pipe);
void vmcrypt_pipeline_put(struct vmcrypt_job *job, vmcrypt_job_fn fn);
void vmcrypt_pipeline_put_done(struct vmcrypt_job *job, int error);
struct vmcrypt_job *vmcrypt_pipeline_first(struct vmcrypt_pipeline *pipe);
int vmcrypt_pipeline_wait(struct vmcrypt_pipeline *pipe);
void vmcrypt_pipeline_pop(struct vmcrypt_job *job);
void vmcrypt_pipeline_stop(struct vmcrypt_pipeline *pipe);
void vmcrypt_pipeline_end(struct vmcrypt_pipeline *pipe);

int vmcrypt_pipeline_init(void);
void vmcrypt_pipeline_exit(void);

#endif /* _VMCRYPT_PIPELINE_H */
