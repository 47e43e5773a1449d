/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads with a bounded queue. Work runs in a worker; what it made is
 * handed to the loop thread, the only one that may touch the bus.
 */
#ifndef VMC_DAEMON_POOL_H
#define VMC_DAEMON_POOL_H

#include <stdbool.h>

#include "../lib/error.h"
#include "mailbox.h"

/* Embedded in what is to be done; it belongs to the pool from submit to done. */
struct pool_task {
	void (*run)(struct pool_task *t);		/* in a worker */
	void (*done)(struct pool_task *t, bool ran);	/* in the loop thread; @ran is false when the pool closed first */
	/* private */
	struct mail mail;
	struct pool_task *next;
	struct pool *pool;
	bool ran;
};

struct pool;

/* @name: up to 12 characters, for the threads' names. @queue_max: tasks that may wait for a worker. */
int pool_new(struct pool **p, const char *name, unsigned int threads, unsigned int queue_max,
	     struct mailbox *box, struct vmc_error *err);

/* From the loop thread. VMC_EBUSY when the queue is full, VMC_ECANCELED when the pool is closed. */
int pool_submit(struct pool *p, struct pool_task *t, struct vmc_error *err);

/* No more work is taken; tasks that wait are given back through done(t, false). Running ones go on. */
void pool_close(struct pool *p);

/* No task is waiting, running, or on its way to done(). Loop thread only. */
bool pool_idle(const struct pool *p);

/* Close, and wait for the workers to end: they must not be stuck. Idle pools only. NULL is fine. */
void pool_free(struct pool *p);

#endif
