// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain side of a direct channel: a file that is read and written like a
 * stream socket. What is written goes into records at once, what is read comes
 * out of them: one copy, and no other process.
 */

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/uio.h>

#include "channel.h"
#include "stream.h"

static bool nonblocking(const struct kiocb *iocb)
{
	return (iocb->ki_flags & IOCB_NOWAIT) ||
	       (iocb->ki_filp->f_flags & O_NONBLOCK);
}

static int lock(struct mutex *mutex, bool nonblock)
{
	if (!nonblock)
		return mutex_lock_interruptible(mutex) ? -ERESTARTSYS : 0;
	return mutex_trylock(mutex) ? 0 : -EAGAIN;
}

/* One record of what is written: its length, or an errno. */
static ssize_t write_record(struct vmcrypt_channel *ch, struct iov_iter *from,
			    bool nonblock)
{
	u32 len = min_t(size_t, vmcrypt_channel_record(),
			iov_iter_count(from));
	size_t at = VMCRYPT_JOB_TEXT, left = len, part;
	struct vmcrypt_job *job;
	int ret;

	if (nonblock && !vmcrypt_pipeline_has_room(&ch->tx.pipe))
		return -EAGAIN;
	ret = vmcrypt_pipeline_wait_room(&ch->tx.pipe);
	if (ret)
		return ret;
	job = vmcrypt_job_new(&ch->tx.pipe, len);
	if (!job)
		return -ENOMEM;
	for (; left; left -= part, at += part) {
		part = min_t(size_t, left, PAGE_SIZE - at % PAGE_SIZE);
		if (copy_page_from_iter(job->pages[at / PAGE_SIZE],
					at % PAGE_SIZE, part, from) != part) {
			vmcrypt_job_free(job);
			return -EFAULT;
		}
	}
	ret = vmcrypt_channel_send(ch, job, len);
	if (ret)
		return ret;
	return len;
}

static ssize_t stream_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct vmcrypt_channel *ch = iocb->ki_filp->private_data;
	bool nonblock = nonblocking(iocb);
	ssize_t done = 0, ret;

	ret = lock(&ch->write_lock, nonblock);
	if (ret)
		return ret;
	while (iov_iter_count(from)) {
		ret = write_record(ch, from, nonblock);
		if (ret < 0)
			break;
		done += ret;
	}
	mutex_unlock(&ch->write_lock);
	/* Whoever closes it now must not make a whole stream of a part. */
	if (ret == -ENOMEM)
		vmcrypt_channel_end(ch, VMCRYPT_END_ERROR, ret);
	if (ret == -EPIPE && !done)
		send_sig(SIGPIPE, current, 0);
	return done ?: ret;
}

/* What is left of a data record: the bytes that were taken, or an errno. */
static ssize_t read_record(struct vmcrypt_job *job, struct iov_iter *to)
{
	size_t left = min_t(size_t, iov_iter_count(to),
			    job->record.len - job->offset);
	size_t at, part, n;
	ssize_t done = 0;

	for (; left; left -= part) {
		at = VMCRYPT_JOB_TEXT + job->offset;
		part = min_t(size_t, left, PAGE_SIZE - at % PAGE_SIZE);
		n = copy_page_to_iter(job->pages[at / PAGE_SIZE],
				      at % PAGE_SIZE, part, to);
		job->offset += n;
		done += n;
		if (n != part)
			return done ?: -EFAULT;
	}
	return done;
}

/* The first record: the bytes that were taken, 0 for none, or an errno. */
static ssize_t read_job(struct vmcrypt_channel *ch, struct vmcrypt_job *job,
			struct iov_iter *to)
{
	ssize_t ret;

	ret = vmcrypt_channel_failed(ch, job);
	if (ret)
		return ret;
	if (job->record.type == VMCRYPT_RECORD_END)
		return vmcrypt_channel_ended(ch, job);
	if (job->record.type != VMCRYPT_RECORD_DATA) {
		vmcrypt_pipeline_pop(job);
		return 0;
	}
	ret = read_record(job, to);
	if (ret > 0)
		atomic64_add(ret, &ch->rx.bytes);
	if (job->offset == job->record.len)
		vmcrypt_pipeline_pop(job);
	return ret;
}

/* Why there is nothing to read any more: 0 after a clean end, or an errno. */
static int over(struct vmcrypt_channel *ch)
{
	int ret = 0;

	spin_lock(&ch->lock);
	if (!ch->rx.done)
		ret = ch->error ?: -ECONNRESET;
	spin_unlock(&ch->lock);
	return ret;
}

static ssize_t read_some(struct vmcrypt_channel *ch, struct iov_iter *to,
			 bool nonblock)
{
	struct vmcrypt_job *job;
	ssize_t done = 0, ret;

	while (iov_iter_count(to) && !READ_ONCE(ch->rx.done)) {
		job = vmcrypt_pipeline_first(&ch->rx.pipe);
		if (READ_ONCE(ch->rx.pipe.stopped))
			return done ?: over(ch);
		if (!job) {
			/* A stream gives what there is. */
			if (done)
				break;
			if (nonblock)
				return -EAGAIN;
			ret = vmcrypt_pipeline_wait(&ch->rx.pipe);
			if (ret == -ERESTARTSYS)
				return ret;
			continue;
		}
		/* What is authentic comes first, then the error. */
		if (job->error && done)
			break;
		ret = read_job(ch, job, to);
		if (ret < 0)
			return done ?: ret;
		done += ret;
	}
	return done;
}

static ssize_t stream_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct vmcrypt_channel *ch = iocb->ki_filp->private_data;
	bool nonblock = nonblocking(iocb);
	ssize_t ret;

	ret = lock(&ch->read_lock, nonblock);
	if (ret)
		return ret;
	ret = read_some(ch, to, nonblock);
	mutex_unlock(&ch->read_lock);
	return ret;
}

static __poll_t stream_poll(struct file *file, poll_table *wait)
{
	struct vmcrypt_channel *ch = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &ch->tx.pipe.room, wait);
	poll_wait(file, &ch->rx.pipe.ready, wait);
	if (vmcrypt_pipeline_has_room(&ch->tx.pipe))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (READ_ONCE(ch->rx.done) || READ_ONCE(ch->rx.pipe.stopped) ||
	    vmcrypt_pipeline_first(&ch->rx.pipe))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(ch->rx.done))
		mask |= EPOLLRDHUP;
	if (READ_ONCE(ch->tx.pipe.stopped))
		mask |= EPOLLHUP;
	if (READ_ONCE(ch->rx.pipe.stopped) && over(ch))
		mask |= EPOLLERR;
	return mask;
}

static long stream_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	if (cmd != VMCRYPT_STREAM_END)
		return -ENOTTY;
	return vmcrypt_channel_finish(file->private_data);
}

/* A signal ended the process, which may have had more to say. */
static bool killed(void)
{
	return (current->flags & PF_EXITING) && (current->exit_code & 0x7f);
}

static int stream_release(struct inode *inode, struct file *file)
{
	struct vmcrypt_channel *ch = file->private_data;
	int ret;

	if (killed()) {
		vmcrypt_channel_end(ch, VMCRYPT_END_OWNER_DIED, 0);
	} else {
		ret = vmcrypt_channel_finish(ch);
		if (ret)
			vmcrypt_channel_end(ch, VMCRYPT_END_ERROR, ret);
	}
	/* The rest is the plain writer's. */
	WRITE_ONCE(ch->stream_closed, true);
	wake_up(&ch->closed);
	vmcrypt_channel_put(ch);
	return 0;
}

static const struct file_operations stream_fops = {
	.owner = THIS_MODULE,
	.read_iter = stream_read,
	.write_iter = stream_write,
	.poll = stream_poll,
	.unlocked_ioctl = stream_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = stream_release,
};

/**
 * vmcrypt_stream_new - make the plain side of a direct channel
 * @ch: channel; the file holds a reference
 *
 * Return: the file, or an ERR_PTR.
 */
struct file *vmcrypt_stream_new(struct vmcrypt_channel *ch)
{
	struct file *file;

	kref_get(&ch->ref);
	file = anon_inode_getfile("[vmcrypt]", &stream_fops, ch, O_RDWR);
	if (IS_ERR(file)) {
		vmcrypt_channel_put(ch);
		return file;
	}
	stream_open(file_inode(file), file);
	return file;
}
