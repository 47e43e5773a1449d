/* SPDX-License-Identifier: GPL-2.0-only */
/* Channels: a plain side, a wire side, and two directions between them. */
#ifndef _VMCRYPT_CHANNEL_H
#define _VMCRYPT_CHANNEL_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <uapi/linux/vmcrypt.h>

#include "migration.h"
#include "pipeline.h"
#include "record.h"

struct netlink_ext_ack;

/* Threads of a channel; a direct one has no VMCRYPT_PLAIN_READER. */
enum vmcrypt_channel_thread {
	VMCRYPT_PLAIN_READER,
	VMCRYPT_WIRE_WRITER,
	VMCRYPT_WIRE_READER,
	VMCRYPT_PLAIN_WRITER,
	VMCRYPT_CHANNEL_THREADS,
};

/**
 * struct vmcrypt_direction - one direction of a channel
 * @channel: its channel
 * @pipe: records on their way
 * @lock: guards @secret, @key and @state of the direction to the wire
 * @secret: secret of the epoch
 * @key: key of the epoch; NULL when all is over
 * @state: where it is
 * @bytes: payload so far
 * @done: it ended, or broke
 */
struct vmcrypt_direction {
	struct vmcrypt_channel *channel;
	struct vmcrypt_pipeline pipe;
	struct mutex lock;	/* numbers and keys of records */
	u8 secret[VMCRYPT_SECRET_LEN];
	struct vmcrypt_key *key;
	struct vmcrypt_record_state state;
	atomic64_t bytes;
	bool done;
};

/**
 * struct vmcrypt_channel - one connection of a migration
 * @node: in the table
 * @ref: one for the table, one for a stream, one for who looked it up
 * @migration: its migration
 * @number: its number, once in a migration
 * @wire: socket to the other host
 * @plain: socket of whoever speaks in clear; NULL with a stream
 * @tx: from the plain side to the wire
 * @rx: from the wire to the plain side
 * @threads: what moves the records
 * @bvecs: VMCRYPT_JOB_PAGES_MAX elements for each thread
 * @lock: guards all below, and @done of the directions
 * @ending: it ends, for @reason
 * @doomed: it will end, for @doom, when @deadline comes
 * @dead: it has ended
 * @reaping: @reap is queued, or has run
 * @reason: why it ends
 * @doom: why it will end
 * @error: negative errno that belongs to @reason or @doom, or 0
 * @deadline: ends what does not end by itself
 * @reap: takes it apart
 * @read_lock: one reader of a stream at a time
 * @write_lock: one writer of a stream at a time
 * @closed: who waits for a stream to be closed
 * @stream_closed: the stream is closed
 */
struct vmcrypt_channel {
	struct list_head node;
	struct kref ref;
	struct vmcrypt_migration *migration;
	u32 number;
	struct socket *wire;
	struct socket *plain;
	struct vmcrypt_direction tx;
	struct vmcrypt_direction rx;
	struct task_struct *threads[VMCRYPT_CHANNEL_THREADS];
	struct bio_vec *bvecs;
	spinlock_t lock;	/* how it ends */
	bool ending;
	bool doomed;
	bool dead;
	bool reaping;
	enum vmcrypt_end reason;
	enum vmcrypt_end doom;
	int error;
	struct delayed_work deadline;
	struct work_struct reap;
	struct mutex read_lock;		/* one reader of a stream */
	struct mutex write_lock;	/* one writer of a stream */
	wait_queue_head_t closed;
	bool stream_closed;
};

/**
 * struct vmcrypt_channel_new - what a channel is made with
 * @migration: number of its migration, which is agreed
 * @number: its number
 * @wire: connected stream socket to the other host
 * @plain: connected stream socket; NULL, the kernel makes a stream
 */
struct vmcrypt_channel_new {
	u32 migration;
	u32 number;
	struct socket *wire;
	struct socket *plain;
};

/**
 * struct vmcrypt_channel_event - a channel ended
 * @channel: the channel
 * @reason: why
 * @error: negative errno that belongs to it, or 0
 */
struct vmcrypt_channel_event {
	const struct vmcrypt_channel *channel;
	enum vmcrypt_end reason;
	int error;
};

typedef int (*vmcrypt_channel_fn)(const struct vmcrypt_channel *channel,
				  void *ctx);

extern unsigned int vmcrypt_max_channels;
extern unsigned int vmcrypt_key_update_mib;

int vmcrypt_channel_add(const struct vmcrypt_channel_new *new,
			struct file **stream, struct netlink_ext_ack *extack);
int vmcrypt_channel_del(u32 migration, u32 number,
			struct netlink_ext_ack *extack);
void vmcrypt_channels_end(u32 migration, enum vmcrypt_end reason);
int vmcrypt_channel_show(u32 migration, u32 number, vmcrypt_channel_fn fn,
			 void *ctx, struct netlink_ext_ack *extack);
int vmcrypt_channel_walk(struct vmcrypt_cursor *cursor, unsigned int *gen,
			 vmcrypt_channel_fn fn, void *ctx);
u32 vmcrypt_channels(void);
u32 vmcrypt_channel_record(void);

/* For stream.c */
void vmcrypt_channel_end(struct vmcrypt_channel *ch, enum vmcrypt_end reason,
			 int error);
int vmcrypt_channel_send(struct vmcrypt_channel *ch, struct vmcrypt_job *job,
			 u32 len);
int vmcrypt_channel_finish(struct vmcrypt_channel *ch);
int vmcrypt_channel_failed(struct vmcrypt_channel *ch,
			   const struct vmcrypt_job *job);
int vmcrypt_channel_ended(struct vmcrypt_channel *ch, struct vmcrypt_job *job);
void vmcrypt_channel_put(struct vmcrypt_channel *ch);

int vmcrypt_channel_init(void);
void vmcrypt_channel_exit(void);

#endif /* _VMCRYPT_CHANNEL_H */
