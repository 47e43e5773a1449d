// SPDX-License-Identifier: GPL-2.0-only
/*
 * Channels: a plain side, a wire side, and two directions between them.
 *
 * To the wire: the plain reader (or write(2) on a stream) fills jobs and
 * numbers them, workers seal them, the wire writer sends them in order. From
 * the wire: the wire reader fills jobs, workers open them, the plain writer
 * (or read(2)) passes on in order what is authentic.
 *
 * Life: each direction ends with an authentic end, for itself (half-close).
 * When both have, the channel is completed. Whatever else happens ends it with
 * the first reason that comes up: the direction to the wire is told to end with
 * an abort, so that the other host learns of it, and gets GRACE to do so. Then
 * the channel is taken apart by reap, which is the only one to free anything.
 */

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <net/af_unix.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "channel.h"
#include "compat.h"
#include "stream.h"
#include "trace.h"

/* How long an end may take that is not a clean one. */
#define GRACE		(5 * HZ)

/* Part of the format: the payload of VMCRYPT_RECORD_END. */
#define END_LEN		1

unsigned int vmcrypt_max_channels = 1024;
module_param_named(max_channels, vmcrypt_max_channels, uint, 0444);
MODULE_PARM_DESC(max_channels, "Limit of channels");

static unsigned int record_kib = 512;
module_param(record_kib, uint, 0644);
MODULE_PARM_DESC(record_kib, "KiB in one record that is sent, 4 to 1024");

static unsigned int channel_kib = 4096;
module_param(channel_kib, uint, 0644);
MODULE_PARM_DESC(channel_kib, "KiB of records in each direction of a channel");

unsigned int vmcrypt_key_update_mib;
module_param_named(key_update_mib, vmcrypt_key_update_mib, uint, 0644);
MODULE_PARM_DESC(key_update_mib, "MiB sent under one key; 0, as many as is safe");

static DEFINE_MUTEX(channels_lock);
static LIST_HEAD(channels);
static u32 count;
static unsigned int generation;
static struct workqueue_struct *channel_wq;

/* Ends */

static enum vmcrypt_end reason_of(int error)
{
	switch (error) {
	case -EBADMSG:
		return VMCRYPT_END_AUTH_FAILED;
	case -EPROTO:
		return VMCRYPT_END_MALFORMED;
	case -EKEYEXPIRED:
		return VMCRYPT_END_POLICY;
	case -ENODATA:
		return VMCRYPT_END_TRUNCATED;
	default:
		return VMCRYPT_END_ERROR;
	}
}

/* Why a socket failed: this host had no memory for it, or @otherwise. */
static enum vmcrypt_end reason_of_socket(int error, enum vmcrypt_end otherwise)
{
	if (error == -ENOMEM || error == -ENOBUFS)
		return VMCRYPT_END_ERROR;
	return otherwise;
}

static void plain_failed(struct vmcrypt_channel *ch, int error)
{
	enum vmcrypt_end reason;

	reason = reason_of_socket(error, VMCRYPT_END_PLAIN_CLOSED);
	vmcrypt_channel_end(ch, reason, error);
}

static bool is_ending(struct vmcrypt_channel *ch)
{
	bool ending;

	spin_lock(&ch->lock);
	ending = ch->ending;
	spin_unlock(&ch->lock);
	return ending;
}

/* With the lock. */
static void reap(struct vmcrypt_channel *ch)
{
	if (ch->reaping)
		return;
	ch->reaping = true;
	queue_work(channel_wq, &ch->reap);
}

static void direction_done(struct vmcrypt_direction *dir)
{
	struct vmcrypt_channel *ch = dir->channel;

	spin_lock(&ch->lock);
	dir->done = true;
	if (ch->tx.done && (ch->rx.done || ch->ending))
		reap(ch);
	spin_unlock(&ch->lock);
}

/* It cannot go on; but what is on its way may still tell a better reason. */
static void doom(struct vmcrypt_channel *ch, enum vmcrypt_end reason,
		 int error)
{
	spin_lock(&ch->lock);
	if (!ch->doomed && !ch->ending) {
		ch->doomed = true;
		ch->doom = reason;
		ch->error = error;
		queue_delayed_work(channel_wq, &ch->deadline, GRACE);
	}
	spin_unlock(&ch->lock);
}

static void interrupt(struct vmcrypt_channel *ch, int thread)
{
	if (ch->threads[thread])
		send_sig(SIGKILL, ch->threads[thread], 1);
}

/* With the lock of the direction: give a record its number and its key. */
static int tx_number(struct vmcrypt_direction *tx, struct vmcrypt_job *job,
		     enum vmcrypt_record_type type, u32 len)
{
	struct vmcrypt_record record = {
		.type = type,
		.epoch = tx->state.epoch,
		.len = len,
	};
	int ret;

	/* Nobody would send it. */
	if (!tx->key || READ_ONCE(tx->pipe.stopped))
		return -EPIPE;
	job->seq = tx->state.seq;
	ret = vmcrypt_record_next(&tx->state, &record);
	if (ret)
		return ret;
	job->record = record;
	job->key = vmcrypt_key_get(tx->key);
	vmcrypt_pipeline_put(job, vmcrypt_job_seal);
	return 0;
}

static int next_key(struct vmcrypt_direction *dir, u32 epoch)
{
	struct vmcrypt_key *key;
	int ret;

	/* Whatever happens, it is not used beyond its epoch. */
	vmcrypt_key_put(dir->key);
	dir->key = NULL;
	ret = vmcrypt_schedule_next(dir->secret, epoch);
	if (ret)
		return ret;
	key = vmcrypt_key_new(dir->secret, epoch + 1);
	if (IS_ERR(key))
		return PTR_ERR(key);
	dir->key = key;
	return 0;
}

static int tx_update(struct vmcrypt_direction *tx)
{
	u32 epoch = tx->state.epoch;
	struct vmcrypt_job *job;
	int ret;

	job = vmcrypt_job_new(&tx->pipe, 0);
	if (!job)
		return -ENOMEM;
	ret = tx_number(tx, job, VMCRYPT_RECORD_KEY_UPDATE, 0);
	if (ret) {
		vmcrypt_job_free(job);
		return ret;
	}
	return next_key(tx, epoch);
}

/**
 * vmcrypt_channel_send - send data
 * @ch: channel
 * @job: job with the data, which is given away
 * @len: length of the data
 *
 * Return: 0, -EPIPE after the end, -ENOMEM, or another negative errno.
 */
int vmcrypt_channel_send(struct vmcrypt_channel *ch, struct vmcrypt_job *job,
			 u32 len)
{
	u64 limit = (u64)READ_ONCE(vmcrypt_key_update_mib) << 20;
	struct vmcrypt_direction *tx = &ch->tx;
	int ret = 0;

	mutex_lock(&tx->lock);
	if (tx->state.ended)
		ret = -EPIPE;
	else if (vmcrypt_record_update_due(&tx->state, len, limit))
		ret = tx_update(tx);
	if (!ret)
		ret = tx_number(tx, job, VMCRYPT_RECORD_DATA, len);
	mutex_unlock(&tx->lock);
	if (ret)
		vmcrypt_job_free(job);
	else
		atomic64_add(len, &tx->bytes);
	return ret;
}

static int tx_end(struct vmcrypt_channel *ch, enum vmcrypt_record_end end)
{
	struct vmcrypt_direction *tx = &ch->tx;
	struct vmcrypt_job *job;
	int ret = 0;

	mutex_lock(&tx->lock);
	if (tx->state.ended)
		goto out;
	job = vmcrypt_job_new(&tx->pipe, END_LEN);
	if (!job) {
		ret = -ENOMEM;
		goto out;
	}
	vmcrypt_job_header(job)[VMCRYPT_RECORD_HEADER] = end;
	ret = tx_number(tx, job, VMCRYPT_RECORD_END, END_LEN);
	if (ret)
		vmcrypt_job_free(job);
out:
	mutex_unlock(&tx->lock);
	return ret;
}

/**
 * vmcrypt_channel_finish - nothing more comes from the plain side
 * @ch: channel
 *
 * Return: 0, also when that was said before, or a negative errno.
 */
int vmcrypt_channel_finish(struct vmcrypt_channel *ch)
{
	return tx_end(ch, VMCRYPT_RECORD_END_WHOLE);
}

/**
 * vmcrypt_channel_end - end a channel
 * @ch: channel
 * @reason: why; the first one counts
 * @error: negative errno that belongs to it, or 0
 */
void vmcrypt_channel_end(struct vmcrypt_channel *ch, enum vmcrypt_end reason,
			 int error)
{
	spin_lock(&ch->lock);
	if (ch->ending) {
		spin_unlock(&ch->lock);
		return;
	}
	ch->ending = true;
	ch->reason = reason;
	ch->error = error;
	if (ch->tx.done)
		reap(ch);
	else
		mod_delayed_work(channel_wq, &ch->deadline, GRACE);
	spin_unlock(&ch->lock);

	/* Nothing more for the plain side; the other host is told why. */
	vmcrypt_pipeline_stop(&ch->rx.pipe);
	interrupt(ch, VMCRYPT_PLAIN_READER);
	interrupt(ch, VMCRYPT_WIRE_READER);
	interrupt(ch, VMCRYPT_PLAIN_WRITER);
	if (tx_end(ch, VMCRYPT_RECORD_END_ABORT)) {
		spin_lock(&ch->lock);
		reap(ch);
		spin_unlock(&ch->lock);
	}
}

static void deadline(struct work_struct *work)
{
	struct vmcrypt_channel *ch = container_of(to_delayed_work(work),
						  struct vmcrypt_channel,
						  deadline);

	if (!is_ending(ch))
		vmcrypt_channel_end(ch, ch->doom, ch->error);
	spin_lock(&ch->lock);
	reap(ch);
	spin_unlock(&ch->lock);
}

/* Input and output */

static struct bio_vec *bvecs_of(struct vmcrypt_channel *ch, int thread)
{
	return ch->bvecs + thread * VMCRYPT_JOB_PAGES_MAX;
}

static int send_part(struct vmcrypt_channel *ch, int thread,
		     const struct vmcrypt_job *job, size_t start, size_t len)
{
	struct socket *sock = thread == VMCRYPT_WIRE_WRITER ? ch->wire :
							      ch->plain;
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | VMCRYPT_MSG_SPLICE };
	struct bio_vec *bvec = bvecs_of(ch, thread);
	unsigned int n;
	int ret;

	n = vmcrypt_job_bvec(job, start, len, bvec);
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bvec, n, len);
	while (msg_data_left(&msg)) {
		ret = sock_sendmsg(sock, &msg);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* All that @msg wants; -ENODATA when the stream ends before. */
static int receive(struct socket *sock, struct msghdr *msg)
{
	int ret;

	while (msg_data_left(msg)) {
		ret = sock_recvmsg(sock, msg, MSG_WAITALL);
		if (ret < 0)
			return ret;
		if (!ret)
			return -ENODATA;
	}
	return 0;
}

/* Threads */

/* One record's worth of the plain side: 0, 1 at its end, or an errno. */
static int read_plain(struct vmcrypt_channel *ch)
{
	struct bio_vec *bvec = bvecs_of(ch, VMCRYPT_PLAIN_READER);
	u32 len = vmcrypt_channel_record();
	struct msghdr msg = {};
	struct vmcrypt_job *job;
	unsigned int n;
	int ret;

	ret = vmcrypt_pipeline_wait_room(&ch->tx.pipe);
	if (ret)
		return ret;
	job = vmcrypt_job_new(&ch->tx.pipe, len);
	if (!job)
		return -ENOMEM;
	n = vmcrypt_job_bvec(job, VMCRYPT_JOB_TEXT, len, bvec);
	iov_iter_bvec(&msg.msg_iter, ITER_DEST, bvec, n, len);
	ret = sock_recvmsg(ch->plain, &msg, 0);
	if (ret <= 0) {
		vmcrypt_job_free(job);
		return ret ?: 1;
	}
	vmcrypt_job_trim(job, ret);
	return vmcrypt_channel_send(ch, job, ret);
}

static int plain_reader(void *data)
{
	struct vmcrypt_channel *ch = data;
	int ret;

	allow_kernel_signal(SIGKILL);
	do {
		ret = read_plain(ch);
	} while (!ret);
	if (ret == 1)
		ret = vmcrypt_channel_finish(ch);
	/* A pipeline that is stopped: whoever did that has the reason. */
	if (ret && !is_ending(ch) && !READ_ONCE(ch->tx.pipe.stopped))
		plain_failed(ch, ret);
	return 0;
}

/* The first record to the wire: 0, 1 after the end, or an errno. */
static int write_wire(struct vmcrypt_channel *ch)
{
	struct vmcrypt_job *job;
	bool end;
	int ret;

	ret = vmcrypt_pipeline_wait(&ch->tx.pipe);
	if (ret)
		return ret;
	job = vmcrypt_pipeline_first(&ch->tx.pipe);
	ret = job->error;
	if (!ret)
		ret = send_part(ch, VMCRYPT_WIRE_WRITER, job,
				VMCRYPT_JOB_HEADER, VMCRYPT_RECORD_HEADER +
				job->record.len + VMCRYPT_RECORD_TAG);
	end = job->record.type == VMCRYPT_RECORD_END;
	vmcrypt_pipeline_pop(job);
	return ret ?: end;
}

static void wire_failed(struct vmcrypt_channel *ch, int error)
{
	enum vmcrypt_end reason = reason_of_socket(error,
						   VMCRYPT_END_TRUNCATED);

	/* What came from the other host may tell more than that. */
	if (reason == VMCRYPT_END_TRUNCATED)
		doom(ch, reason, error);
	vmcrypt_pipeline_stop(&ch->tx.pipe);
	interrupt(ch, VMCRYPT_PLAIN_READER);
	if (reason != VMCRYPT_END_TRUNCATED)
		vmcrypt_channel_end(ch, reason, error);
}

static int wire_writer(void *data)
{
	struct vmcrypt_channel *ch = data;
	int ret;

	allow_kernel_signal(SIGKILL);
	do {
		ret = write_wire(ch);
	} while (!ret);
	if (ret == 1)
		kernel_sock_shutdown(ch->wire, SHUT_WR);
	else
		wire_failed(ch, ret);
	direction_done(&ch->tx);
	return 0;
}

static int rx_open(struct vmcrypt_job *job)
{
	struct vmcrypt_direction *rx = container_of(job->pipe,
						    struct vmcrypt_direction,
						    pipe);
	int ret = vmcrypt_job_open(job);

	/* Also when nobody reads what comes before it. */
	if (ret)
		doom(rx->channel, reason_of(ret), ret);
	return ret;
}

/* However the wire failed, it ended too early; but for want of memory. */
static int receive_error(int error)
{
	return error == -ENOMEM || error == -ENOBUFS ? error : -ENODATA;
}

/* The rest of a record whose header came: as read_wire(). */
static int read_body(struct vmcrypt_channel *ch, const u8 *header,
		     const struct vmcrypt_record *record, u64 seq)
{
	struct bio_vec *bvec = bvecs_of(ch, VMCRYPT_WIRE_READER);
	size_t len = record->len + VMCRYPT_RECORD_TAG;
	struct msghdr msg = {};
	struct vmcrypt_job *job;
	unsigned int n;
	int ret;

	job = vmcrypt_job_new(&ch->rx.pipe, record->len);
	if (!job)
		return -ENOMEM;
	memcpy(vmcrypt_job_header(job), header, VMCRYPT_RECORD_HEADER);
	n = vmcrypt_job_bvec(job, VMCRYPT_JOB_TEXT, len, bvec);
	iov_iter_bvec(&msg.msg_iter, ITER_DEST, bvec, n, len);
	ret = receive(ch->wire, &msg);
	if (ret) {
		vmcrypt_job_free(job);
		return receive_error(ret);
	}
	job->record = *record;
	job->seq = seq;
	job->key = vmcrypt_key_get(ch->rx.key);
	vmcrypt_pipeline_put(job, rx_open);
	return 0;
}

/* One record from the wire: 0, 1 at the end, or an errno for reason_of(). */
static int read_wire(struct vmcrypt_channel *ch)
{
	struct vmcrypt_direction *rx = &ch->rx;
	u8 header[VMCRYPT_RECORD_HEADER];
	struct kvec vec = { .iov_base = header, .iov_len = sizeof(header) };
	struct vmcrypt_record record;
	struct msghdr msg = {};
	u64 seq = rx->state.seq;
	int ret;

	ret = vmcrypt_pipeline_wait_room(&rx->pipe);
	if (ret)
		return ret;
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, sizeof(header));
	ret = receive(ch->wire, &msg);
	if (ret)
		return receive_error(ret);
	ret = vmcrypt_record_get(header, &record);
	if (!ret)
		ret = vmcrypt_record_next(&rx->state, &record);
	if (!ret)
		ret = read_body(ch, header, &record, seq);
	if (!ret && record.type == VMCRYPT_RECORD_KEY_UPDATE)
		ret = next_key(rx, record.epoch);
	return ret ?: record.type == VMCRYPT_RECORD_END;
}

static int wire_reader(void *data)
{
	struct vmcrypt_channel *ch = data;
	struct vmcrypt_job *job;
	int ret;

	allow_kernel_signal(SIGKILL);
	do {
		ret = read_wire(ch);
	} while (!ret);
	if (ret == 1 || is_ending(ch))
		return 0;
	/* In order: what came before is authentic, or tells a reason itself. */
	doom(ch, reason_of(ret), ret);
	job = vmcrypt_job_new(&ch->rx.pipe, 0);
	if (job)
		vmcrypt_pipeline_put_done(job, ret);
	else
		vmcrypt_channel_end(ch, reason_of(ret), ret);
	return 0;
}

/**
 * vmcrypt_channel_failed - is this where a channel ends badly?
 * @ch: channel
 * @job: first job from the wire
 *
 * Return: 0, or the negative errno with which the channel was ended.
 */
int vmcrypt_channel_failed(struct vmcrypt_channel *ch,
			   const struct vmcrypt_job *job)
{
	if (job->error)
		vmcrypt_channel_end(ch, reason_of(job->error), job->error);
	return job->error;
}

/**
 * vmcrypt_channel_ended - take the authentic end of the other host
 * @ch: channel
 * @job: first job from the wire, which is an end; it is taken out
 *
 * Return: 0, or -ECONNRESET when the other host gave up.
 */
int vmcrypt_channel_ended(struct vmcrypt_channel *ch, struct vmcrypt_job *job)
{
	u8 end = vmcrypt_job_header(job)[VMCRYPT_RECORD_HEADER];

	vmcrypt_pipeline_pop(job);
	if (end != VMCRYPT_RECORD_END_WHOLE) {
		vmcrypt_channel_end(ch, VMCRYPT_END_PEER_CLOSED, -ECONNRESET);
		return -ECONNRESET;
	}
	direction_done(&ch->rx);
	return 0;
}

/* The first record to the plain side: 0, 1 after the end, or an errno. */
static int write_plain(struct vmcrypt_channel *ch)
{
	struct vmcrypt_job *job;
	int ret;

	ret = vmcrypt_pipeline_wait(&ch->rx.pipe);
	if (ret)
		return ret;
	job = vmcrypt_pipeline_first(&ch->rx.pipe);
	ret = vmcrypt_channel_failed(ch, job);
	if (ret)
		return ret;
	switch (job->record.type) {
	case VMCRYPT_RECORD_END:
		if (ch->plain && vmcrypt_job_header(job)[VMCRYPT_RECORD_HEADER]
				 == VMCRYPT_RECORD_END_WHOLE)
			kernel_sock_shutdown(ch->plain, SHUT_WR);
		return vmcrypt_channel_ended(ch, job) ?: 1;
	case VMCRYPT_RECORD_DATA:
		/* Without a socket there is nobody to take it any more. */
		ret = ch->plain ? send_part(ch, VMCRYPT_PLAIN_WRITER, job,
					    VMCRYPT_JOB_TEXT,
					    job->record.len) : -EPIPE;
		if (ret) {
			plain_failed(ch, ret);
			return ret;
		}
		atomic64_add(job->record.len, &ch->rx.bytes);
		break;
	default:
		break;
	}
	vmcrypt_pipeline_pop(job);
	return 0;
}

/* With a stream it has to do only once that is closed. */
static int plain_writer(void *data)
{
	struct vmcrypt_channel *ch = data;
	int ret = 0;

	allow_kernel_signal(SIGKILL);
	if (!ch->plain)
		ret = wait_event_interruptible(ch->closed,
					       READ_ONCE(ch->stream_closed) ||
					       kthread_should_stop());
	while (!ret && !READ_ONCE(ch->rx.done))
		ret = write_plain(ch);
	return 0;
}

/* Making and taking apart */

static void channel_release(struct kref *ref)
{
	struct vmcrypt_channel *ch = container_of(ref, struct vmcrypt_channel,
						  ref);

	int i;

	for (i = 0; i < VMCRYPT_CHANNEL_THREADS; i++)
		if (ch->threads[i])
			put_task_struct(ch->threads[i]);
	kfree(ch->bvecs);
	kfree_sensitive(ch);
}

/**
 * vmcrypt_channel_put - give a reference back
 * @ch: channel
 */
void vmcrypt_channel_put(struct vmcrypt_channel *ch)
{
	kref_put(&ch->ref, channel_release);
}

static void stop_threads(struct vmcrypt_channel *ch)
{
	int i;

	for (i = 0; i < VMCRYPT_CHANNEL_THREADS; i++) {
		if (!ch->threads[i])
			continue;
		/* One that just starts may miss it: see its sockets shut. */
		interrupt(ch, i);
		kthread_stop(ch->threads[i]);
	}
}

static void direction_wipe(struct vmcrypt_direction *dir)
{
	mutex_lock(&dir->lock);
	vmcrypt_key_put(dir->key);
	dir->key = NULL;
	memzero_explicit(dir->secret, sizeof(dir->secret));
	mutex_unlock(&dir->lock);
	vmcrypt_pipeline_end(&dir->pipe);
}

/* The other end of a local socket, or NULL; sock_put() it. */
static struct sock *local_peer(struct sock *sk)
{
	struct sock *peer;

	unix_state_lock(sk);
	peer = unix_peer(sk);
	if (peer)
		sock_hold(peer);
	unix_state_unlock(sk);
	return peer;
}

/* Whoever reads the plain side must not take it for a clean end. */
static void plain_reset(struct socket *plain)
{
	struct sock *peer = NULL;

	if (sk_is_tcp(plain->sk))
		sock_no_linger(plain->sk);
	else if (plain->sk->sk_family == AF_UNIX)
		peer = local_peer(plain->sk);
	if (peer) {
		WRITE_ONCE(peer->sk_err, ECONNRESET);
		sk_error_report(peer);
		sock_put(peer);
	}
	kernel_sock_shutdown(plain, SHUT_RDWR);
}

static void channel_reap(struct work_struct *work)
{
	struct vmcrypt_channel *ch = container_of(work, struct vmcrypt_channel,
						  reap);
	struct vmcrypt_channel_event event = { .channel = ch };

	spin_lock(&ch->lock);
	if (!ch->ending) {
		ch->ending = true;
		ch->reason = ch->doomed ? ch->doom : VMCRYPT_END_COMPLETED;
	}
	ch->dead = true;
	event.reason = ch->reason;
	event.error = ch->error;
	spin_unlock(&ch->lock);
	/* Nobody starts it any more. */
	cancel_delayed_work_sync(&ch->deadline);

	vmcrypt_pipeline_stop(&ch->tx.pipe);
	vmcrypt_pipeline_stop(&ch->rx.pipe);
	if (event.reason != VMCRYPT_END_COMPLETED) {
		if (ch->plain)
			plain_reset(ch->plain);
		kernel_sock_shutdown(ch->wire, SHUT_RDWR);
	}
	stop_threads(ch);
	/* Whoever is in read(2) or write(2) leaves; the next one is refused. */
	mutex_lock(&ch->write_lock);
	mutex_lock(&ch->read_lock);
	direction_wipe(&ch->tx);
	direction_wipe(&ch->rx);
	mutex_unlock(&ch->read_lock);
	mutex_unlock(&ch->write_lock);

	/* First: who hears of the end may delete the migration at once. */
	vmcrypt_migration_closed(ch->migration, event.reason);
	mutex_lock(&channels_lock);
	list_del(&ch->node);
	count--;
	generation++;
	trace_vmcrypt_channel_close(ch->migration->id, ch->number,
				    event.reason, event.error);
	blocking_notifier_call_chain(&vmcrypt_events,
				     VMCRYPT_CMD_CHANNEL_CLOSE_NTF, &event);
	mutex_unlock(&channels_lock);
	vmcrypt_migration_put(ch->migration);

	sockfd_put(ch->wire);
	if (ch->plain)
		sockfd_put(ch->plain);
	vmcrypt_channel_put(ch);
	/* module_exit() waits for this work. */
	module_put(THIS_MODULE);
}

static int direction_start(struct vmcrypt_direction *dir,
			   struct vmcrypt_channel *ch, enum vmcrypt_way way)
{
	int ret;

	dir->channel = ch;
	mutex_init(&dir->lock);
	vmcrypt_pipeline_start(&dir->pipe,
			       max_t(unsigned int, 1,
				     READ_ONCE(channel_kib) >>
				     (PAGE_SHIFT - 10)));
	ret = vmcrypt_schedule_channel(ch->migration->master, ch->number, way,
				       dir->secret);
	if (ret)
		return ret;
	dir->key = vmcrypt_key_new(dir->secret, 0);
	if (IS_ERR(dir->key)) {
		ret = PTR_ERR(dir->key);
		dir->key = NULL;
	}
	return ret;
}

static int start_directions(struct vmcrypt_channel *ch)
{
	bool source = ch->migration->role == VMCRYPT_ROLE_SOURCE;
	int ret;

	ret = direction_start(&ch->tx, ch, source ? VMCRYPT_WAY_THERE :
						    VMCRYPT_WAY_BACK);
	if (ret)
		return ret;
	return direction_start(&ch->rx, ch, source ? VMCRYPT_WAY_BACK :
						     VMCRYPT_WAY_THERE);
}

static int make_threads(struct vmcrypt_channel *ch)
{
	static int (* const fns[])(void *data) = {
		[VMCRYPT_PLAIN_READER] = plain_reader,
		[VMCRYPT_WIRE_WRITER] = wire_writer,
		[VMCRYPT_WIRE_READER] = wire_reader,
		[VMCRYPT_PLAIN_WRITER] = plain_writer,
	};
	struct task_struct *task;
	int i;

	for (i = 0; i < VMCRYPT_CHANNEL_THREADS; i++) {
		if (i == VMCRYPT_PLAIN_READER && !ch->plain)
			continue;
		task = kthread_create(fns[i], ch, "vmcrypt/%u.%u%c",
				      ch->migration->id, ch->number, "srRS"[i]);
		if (IS_ERR(task))
			return PTR_ERR(task);
		/* It may have returned when it is asked to stop. */
		get_task_struct(task);
		ch->threads[i] = task;
	}
	return 0;
}

/* A channel that never started. */
static void channel_free(struct vmcrypt_channel *ch)
{
	stop_threads(ch);
	vmcrypt_key_put(ch->tx.key);
	vmcrypt_key_put(ch->rx.key);
	vmcrypt_channel_put(ch);
}

static struct vmcrypt_channel *
channel_alloc(const struct vmcrypt_channel_new *new,
	      struct vmcrypt_migration *migration)
{
	struct vmcrypt_channel *ch;
	int ret;

	ch = kzalloc(sizeof(*ch), GFP_KERNEL);
	if (!ch)
		return ERR_PTR(-ENOMEM);
	kref_init(&ch->ref);
	INIT_LIST_HEAD(&ch->node);
	ch->migration = migration;
	ch->number = new->number;
	ch->wire = new->wire;
	ch->plain = new->plain;
	spin_lock_init(&ch->lock);
	INIT_DELAYED_WORK(&ch->deadline, deadline);
	INIT_WORK(&ch->reap, channel_reap);
	mutex_init(&ch->read_lock);
	mutex_init(&ch->write_lock);
	init_waitqueue_head(&ch->closed);
	ch->bvecs = kmalloc_array(VMCRYPT_CHANNEL_THREADS *
				  VMCRYPT_JOB_PAGES_MAX, sizeof(*ch->bvecs),
				  GFP_KERNEL);
	ret = ch->bvecs ? start_directions(ch) : -ENOMEM;
	if (!ret)
		ret = make_threads(ch);
	if (!ret)
		return ch;
	channel_free(ch);
	return ERR_PTR(ret);
}

static int check_socket(const struct socket *sock,
			struct netlink_ext_ack *extack)
{
	int state = sock->sk->sk_state;

	if (sock->type != SOCK_STREAM) {
		NL_SET_ERR_MSG(extack, "socket is not a stream socket");
		return -EPROTOTYPE;
	}
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT) {
		NL_SET_ERR_MSG(extack, "socket is not connected");
		return -ENOTCONN;
	}
	return 0;
}

static bool socket_in_use(const struct socket *sock)
{
	const struct vmcrypt_channel *ch;

	list_for_each_entry(ch, &channels, node)
		if (ch->wire == sock || ch->plain == sock)
			return true;
	return false;
}

/* With the lock. */
static int check_room(const struct vmcrypt_channel_new *new,
		      struct netlink_ext_ack *extack)
{
	if (count >= vmcrypt_max_channels) {
		NL_SET_ERR_MSG(extack, "too many channels; close some, or raise max_channels");
		return -ENOSPC;
	}
	if (socket_in_use(new->wire) ||
	    (new->plain && socket_in_use(new->plain))) {
		NL_SET_ERR_MSG(extack, "socket is in use by another channel");
		return -EBUSY;
	}
	return 0;
}

static int check_sockets(const struct vmcrypt_channel_new *new,
			 struct netlink_ext_ack *extack)
{
	int ret;

	ret = check_socket(new->wire, extack);
	if (!ret && new->plain)
		ret = check_socket(new->plain, extack);
	if (ret)
		return ret;
	if (new->wire == new->plain) {
		NL_SET_ERR_MSG(extack, "wire and plain side are the same socket");
		return -EINVAL;
	}
	return 0;
}

/* A socket that is ours waits as long as it takes, and sends at once. */
static void take_over(struct socket *sock)
{
	WRITE_ONCE(sock->sk->sk_rcvtimeo, MAX_SCHEDULE_TIMEOUT);
	WRITE_ONCE(sock->sk->sk_sndtimeo, MAX_SCHEDULE_TIMEOUT);
	if (sk_is_tcp(sock->sk))
		tcp_sock_set_nodelay(sock->sk);
}

static void wake_threads(struct vmcrypt_channel *ch)
{
	int i;

	for (i = 0; i < VMCRYPT_CHANNEL_THREADS; i++)
		if (ch->threads[i])
			wake_up_process(ch->threads[i]);
}

/* With the lock: from here on the channel ends by reap only. */
static int channel_insert(const struct vmcrypt_channel_new *new,
			  struct vmcrypt_channel *ch, struct file **stream,
			  struct netlink_ext_ack *extack)
{
	struct file *file;
	int ret;

	ret = check_room(new, extack);
	if (ret)
		return ret;
	if (!new->plain) {
		file = vmcrypt_stream_new(ch);
		if (IS_ERR(file)) {
			NL_SET_ERR_MSG(extack, "stream cannot be made");
			return PTR_ERR(file);
		}
		*stream = file;
	}
	__module_get(THIS_MODULE);
	list_add_tail(&ch->node, &channels);
	count++;
	generation++;
	take_over(ch->wire);
	if (ch->plain)
		take_over(ch->plain);
	trace_vmcrypt_channel_new(ch->migration->id, ch->number, !ch->plain);
	return 0;
}

/**
 * vmcrypt_channel_add - make a channel
 * @new: what with; a channel that is made holds the files of its sockets
 * @stream: receives the file to read from and write to, when @new has no plain
 *	side
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT or -ENOKEY without an agreed migration, -EEXIST when the
 * number was in use before, -EPROTOTYPE, -ENOTCONN, -EINVAL or -EBUSY for a
 * socket that will not do, -ENOSPC when there are too many, or another
 * negative errno.
 */
int vmcrypt_channel_add(const struct vmcrypt_channel_new *new,
			struct file **stream, struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *migration;
	struct vmcrypt_channel *ch;
	int ret;

	ret = check_sockets(new, extack);
	if (ret)
		return ret;
	migration = vmcrypt_migration_take(new->migration, new->number,
					   extack);
	if (IS_ERR(migration))
		return PTR_ERR(migration);
	ch = channel_alloc(new, migration);
	if (IS_ERR(ch)) {
		NL_SET_ERR_MSG(extack, "channel cannot be made: no memory, no thread or no cipher");
		vmcrypt_migration_give(migration);
		return PTR_ERR(ch);
	}

	mutex_lock(&channels_lock);
	ret = channel_insert(new, ch, stream, extack);
	if (!ret) {
		get_file(ch->wire->file);
		if (ch->plain)
			get_file(ch->plain->file);
		/* Not before: a channel that nobody started ends by reap. */
		wake_threads(ch);
	}
	mutex_unlock(&channels_lock);
	if (ret) {
		channel_free(ch);
		vmcrypt_migration_give(migration);
	}
	return ret;
}

/* With the lock. */
static struct vmcrypt_channel *find(u32 migration, u32 number,
				    struct netlink_ext_ack *extack)
{
	struct vmcrypt_channel *ch;

	list_for_each_entry(ch, &channels, node)
		if (ch->migration->id == migration && ch->number == number)
			return ch;
	NL_SET_ERR_MSG(extack, "no such channel; channel-get tells of those that are open");
	return NULL;
}

/**
 * vmcrypt_channel_del - end a channel
 * @migration: number of its migration
 * @number: its number
 * @extack: receives the reason of a refusal
 *
 * Return: 0, or -ENOENT.
 */
int vmcrypt_channel_del(u32 migration, u32 number,
			struct netlink_ext_ack *extack)
{
	struct vmcrypt_channel *ch;

	mutex_lock(&channels_lock);
	ch = find(migration, number, extack);
	if (ch)
		vmcrypt_channel_end(ch, VMCRYPT_END_REMOVED, 0);
	mutex_unlock(&channels_lock);
	return ch ? 0 : -ENOENT;
}

/**
 * vmcrypt_channels_end - end the channels of a migration
 * @migration: its number; 0, all channels
 * @reason: why
 */
void vmcrypt_channels_end(u32 migration, enum vmcrypt_end reason)
{
	struct vmcrypt_channel *ch;

	mutex_lock(&channels_lock);
	list_for_each_entry(ch, &channels, node)
		if (!migration || ch->migration->id == migration)
			vmcrypt_channel_end(ch, reason, 0);
	mutex_unlock(&channels_lock);
}

/**
 * vmcrypt_channel_show - call a function with a channel
 * @migration: number of its migration
 * @number: its number
 * @fn: function; must not sleep for long, as all else waits
 * @ctx: for @fn
 * @extack: receives the reason of a refusal
 *
 * Return: what @fn returned, or -ENOENT.
 */
int vmcrypt_channel_show(u32 migration, u32 number, vmcrypt_channel_fn fn,
			 void *ctx, struct netlink_ext_ack *extack)
{
	struct vmcrypt_channel *ch;
	int ret;

	mutex_lock(&channels_lock);
	ch = find(migration, number, extack);
	ret = ch ? fn(ch, ctx) : -ENOENT;
	mutex_unlock(&channels_lock);
	return ret;
}

/**
 * vmcrypt_channel_walk - call a function with all channels
 * @cursor: where to start; tells where to go on when @fn stopped the walk
 * @gen: receives a number that grows with each change
 * @fn: function; returns other than 0 to stop before the channel it got
 * @ctx: for @fn
 *
 * Return: 0 at the end, else what @fn returned.
 */
int vmcrypt_channel_walk(struct vmcrypt_cursor *cursor, unsigned int *gen,
			 vmcrypt_channel_fn fn, void *ctx)
{
	const struct vmcrypt_channel *ch;
	unsigned long i = 0;
	int ret = 0;

	mutex_lock(&channels_lock);
	*gen = generation;
	list_for_each_entry(ch, &channels, node) {
		if (i++ < cursor->skip)
			continue;
		ret = fn(ch, ctx);
		if (ret)
			break;
		cursor->skip = i;
	}
	mutex_unlock(&channels_lock);
	return ret;
}

/**
 * vmcrypt_channel_record - how much goes into one record that is sent
 *
 * Return: bytes.
 */
u32 vmcrypt_channel_record(void)
{
	return clamp(READ_ONCE(record_kib), 4U, 1024U) << 10;
}

/**
 * vmcrypt_channels - how many there are
 *
 * Return: their number.
 */
u32 vmcrypt_channels(void)
{
	u32 ret;

	mutex_lock(&channels_lock);
	ret = count;
	mutex_unlock(&channels_lock);
	return ret;
}

/* The other host would wait for one that sleeps: tell it, and why. */
static int suspending(struct notifier_block *nb, unsigned long action,
		      void *data)
{
	if (action == PM_SUSPEND_PREPARE || action == PM_HIBERNATION_PREPARE)
		vmcrypt_channels_end(0, VMCRYPT_END_FREEZE);
	return NOTIFY_DONE;
}

static struct notifier_block pm_nb = { .notifier_call = suspending };

/**
 * vmcrypt_channel_init - before the first channel
 *
 * Return: 0, or a negative errno.
 */
int __init vmcrypt_channel_init(void)
{
	int ret;

	channel_wq = alloc_workqueue("vmcrypt_channel", WQ_UNBOUND, 0);
	if (!channel_wq)
		return -ENOMEM;
	ret = register_pm_notifier(&pm_nb);
	if (ret)
		destroy_workqueue(channel_wq);
	return ret;
}

/** vmcrypt_channel_exit - after the last channel, which keeps the module */
void vmcrypt_channel_exit(void)
{
	unregister_pm_notifier(&pm_nb);
	/* Waits for the end of the work that put the module. */
	destroy_workqueue(channel_wq);
}
