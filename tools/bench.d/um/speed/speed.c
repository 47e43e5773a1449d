// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module alone: records into a pipeline of vmcrypt, and out of it, against
 * the cipher by itself on the same CPUs. Linked with the module's own objects.
 *
 * Loading it measures, and prints for each size
 *
 *	vmcrypt_speed: CPUS WHAT KIB CIPHER SPREAD MODULE WORK
 *
 * WHAT is "seal", or "both": sealed and opened. The rest is in 10^6 bytes a
 * second, on all CPUs. CIPHER: one buffer a CPU, sealed (and opened) over and
 * over, which stays in the cache next to the CPU. SPREAD: together as many
 * buffers as a queue holds, in turn. MODULE: records that are allocated, sealed
 * (and opened) and freed, in order. WORK: how many percent of the CPUs' time
 * went into sealing (and opening) meanwhile.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "pipeline.h"

#define QUEUE_KIB	4096	/* as the default of vmcrypt.channel_kib */

static unsigned int ms = 200;
module_param(ms, uint, 0444);
MODULE_PARM_DESC(ms, "Milliseconds that each measurement takes");

/* What one thread does, until the deadline. */
struct load {
	struct task_struct *task;
	struct vmcrypt_pipeline *pipe;
	struct vmcrypt_key *key;
	u32 len;
	u32 buffers;
	bool both;
	ktime_t deadline;
	u64 bytes;
	int error;
};

static atomic64_t work_ns;

static bool over(const struct load *load)
{
	return load->error || ktime_after(ktime_get(), load->deadline);
}

/* A thread that is to be stopped by whoever made it. */
static int rest(const struct load *load)
{
	wait_event_interruptible(load->pipe->ready, kthread_should_stop());
	return load->error;
}

/* The cipher by itself */

static int cipher_once(struct load *load, struct aead_request *req,
		       struct scatterlist *sg)
{
	u8 nonce[VMCRYPT_GCM_NONCE_LEN] = {};
	int ret;

	aead_request_set_ad(req, VMCRYPT_RECORD_HEADER);
	aead_request_set_crypt(req, sg, sg, load->len, nonce);
	ret = crypto_aead_encrypt(req);
	if (ret || !load->both)
		return ret;
	aead_request_set_crypt(req, sg, sg, load->len + VMCRYPT_RECORD_TAG,
			       nonce);
	return crypto_aead_decrypt(req);
}

static void cipher_loop(struct load *load, struct aead_request *req, u8 *buf)
{
	size_t stride = load->len + PAGE_SIZE;
	struct scatterlist sg;
	u32 i = 0;

	do {
		sg_init_one(&sg, buf + i * stride + VMCRYPT_JOB_HEADER,
			    VMCRYPT_RECORD_HEADER + load->len +
			    VMCRYPT_RECORD_TAG);
		load->error = cipher_once(load, req, &sg);
		load->bytes += load->len;
		i = (i + 1) % load->buffers;
		cond_resched();
	} while (!over(load));
}

static int cipher_thread(void *data)
{
	struct load *load = data;
	size_t size = load->buffers * (load->len + PAGE_SIZE);
	u8 *buf = alloc_pages_exact(size, GFP_KERNEL);
	struct aead_request *req;

	req = aead_request_alloc(load->key->aead, GFP_KERNEL);
	if (buf && req)
		cipher_loop(load, req, buf);
	else
		load->error = -ENOMEM;
	aead_request_free(req);
	if (buf)
		free_pages_exact(buf, size);
	return rest(load);
}

/* Records */

static int timed(struct vmcrypt_job *job, bool both)
{
	u64 since = ktime_get_ns();
	int ret = vmcrypt_job_seal(job);

	if (!ret && both)
		ret = vmcrypt_job_open(job);
	atomic64_add(ktime_get_ns() - since, &work_ns);
	return ret;
}

static int seal(struct vmcrypt_job *job)
{
	return timed(job, false);
}

static int seal_and_open(struct vmcrypt_job *job)
{
	return timed(job, true);
}

static int feed(struct load *load, u64 seq)
{
	struct vmcrypt_job *job;
	int ret;

	ret = vmcrypt_pipeline_wait_room(load->pipe);
	if (ret)
		return ret;
	job = vmcrypt_job_new(load->pipe, load->len);
	if (!job)
		return -ENOMEM;
	job->record.type = VMCRYPT_RECORD_DATA;
	job->record.len = load->len;
	job->seq = seq;
	job->key = vmcrypt_key_get(load->key);
	vmcrypt_pipeline_put(job, load->both ? seal_and_open : seal);
	return 0;
}

static int feed_thread(void *data)
{
	struct load *load = data;
	u64 seq = 0;

	while (!over(load))
		load->error = feed(load, seq++);
	return rest(load);
}

static int take_thread(void *data)
{
	struct load *load = data;
	struct vmcrypt_job *job;

	while (!over(load) && !vmcrypt_pipeline_wait(load->pipe)) {
		job = vmcrypt_pipeline_first(load->pipe);
		load->error = job->error;
		load->bytes += load->len;
		vmcrypt_pipeline_pop(job);
	}
	return rest(load);
}

/* Measurements */

static int start(struct load *load, int (*fn)(void *data), int cpu)
{
	load->task = kthread_create(fn, load, "vmcrypt_speed");
	if (IS_ERR(load->task)) {
		load->error = PTR_ERR(load->task);
		load->task = NULL;
		return load->error;
	}
	if (cpu >= 0)
		kthread_bind(load->task, cpu);
	wake_up_process(load->task);
	return 0;
}

/* Megabytes a second of @n threads, or a negative errno. */
static long finish(struct load *loads, unsigned int n, ktime_t since)
{
	u64 bytes = 0, ns;
	unsigned int i;
	int ret = 0;

	msleep(ms);
	ns = ktime_to_ns(ktime_sub(ktime_get(), since));
	vmcrypt_pipeline_stop(loads[0].pipe);
	for (i = 0; i < n; i++) {
		if (loads[i].task)
			kthread_stop(loads[i].task);
		if (loads[i].error != -EPIPE)
			ret = ret ?: loads[i].error;
		bytes += loads[i].bytes;
	}
	return ret ?: (long)div64_u64(bytes * 1000, ns);
}

static void prepare(struct load *load, struct vmcrypt_pipeline *pipe,
		    const struct load *like)
{
	*load = *like;
	load->pipe = pipe;
	load->deadline = ktime_add_ms(ktime_get(), ms);
}

static long measure_cipher(const struct load *like, u32 buffers)
{
	static struct vmcrypt_pipeline none;
	struct load *loads;
	unsigned int n = 0;
	long ret;
	int cpu;

	loads = kcalloc(num_online_cpus(), sizeof(*loads), GFP_KERNEL);
	if (!loads)
		return -ENOMEM;
	vmcrypt_pipeline_start(&none, 1);
	for_each_online_cpu(cpu) {
		prepare(&loads[n], &none, like);
		loads[n].buffers = buffers;
		start(&loads[n++], cipher_thread, cpu);
	}
	ret = finish(loads, n, ktime_get());
	kfree(loads);
	return ret;
}

/* Percent of the time of all CPUs. */
static unsigned int share(u64 ns)
{
	return div64_u64(100 * ns, (u64)ms * NSEC_PER_MSEC * num_online_cpus());
}

static long measure_module(const struct load *like)
{
	static struct vmcrypt_pipeline pipe;
	struct load loads[2];
	long ret;

	vmcrypt_pipeline_start(&pipe, QUEUE_KIB >> (PAGE_SHIFT - 10));
	prepare(&loads[0], &pipe, like);
	prepare(&loads[1], &pipe, like);
	atomic64_set(&work_ns, 0);
	start(&loads[0], feed_thread, -1);
	start(&loads[1], take_thread, -1);
	ret = finish(loads, 2, ktime_get());
	vmcrypt_pipeline_end(&pipe);
	return ret;
}

static int measure(const struct load *like)
{
	u32 queue = QUEUE_KIB * SZ_1K / like->len;
	u32 each = max(1U, queue / max(2U, num_online_cpus()));
	long cipher = measure_cipher(like, 1);
	long spread = measure_cipher(like, each);
	long module = measure_module(like);

	if (cipher < 0 || spread < 0 || module < 0)
		return min3(cipher, spread, module);
	pr_info("vmcrypt_speed: %u %s %u %ld %ld %ld %u\n",
		num_online_cpus(), like->both ? "both" : "seal",
		like->len >> 10, cipher, spread, module,
		share(atomic64_read(&work_ns)));
	return 0;
}

static int __init speed_init(void)
{
	u8 secret[VMCRYPT_SECRET_LEN] = {};
	struct load like = {};
	int ret;

	ret = vmcrypt_pipeline_init();
	if (ret)
		return ret;
	like.key = vmcrypt_key_new(secret, 0);
	ret = PTR_ERR_OR_ZERO(like.key);
	if (ret)
		goto out;
	for (like.len = SZ_64K; !ret && like.len <= VMCRYPT_RECORD_MAX;
	     like.len *= 2) {
		like.both = false;
		ret = measure(&like);
		like.both = true;
		ret = ret ?: measure(&like);
	}
	vmcrypt_key_put(like.key);
out:
	vmcrypt_pipeline_exit();
	return ret;
}

static void __exit speed_exit(void)
{
}

module_init(speed_init);
module_exit(speed_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("How fast the records of vmcrypt are, without sockets");
