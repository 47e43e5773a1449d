// SPDX-License-Identifier: GPL-2.0-or-later
/* Worker threads with a bounded queue. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct pool {
	struct mailbox *box;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct pool_task *first, **last;
	unsigned int waiting, waiting_max;
	bool closed;
	unsigned int pending;	/* submitted, not yet done(); loop thread only */
	unsigned int n_threads;
	pthread_t threads[];
};

static void finish(struct mail *m)
{
	struct pool_task *t = (struct pool_task *)((char *)m - offsetof(struct pool_task, mail));

	t->pool->pending--;
	t->done(t, t->ran);
}

/* With the lock held. */
static struct pool_task *take(struct pool *p)
{
	struct pool_task *t = p->first;

	p->first = t->next;
	if (!p->first)
		p->last = &p->first;
	p->waiting--;
	return t;
}

static void hand_back(struct pool *p, struct pool_task *t, bool ran)
{
	t->ran = ran;
	mailbox_post(p->box, &t->mail);
}

static void *work(void *data)
{
	struct pool *p = data;
	struct pool_task *t;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->first && !p->closed)
			pthread_cond_wait(&p->wake, &p->lock);
		if (!p->first)
			break;
		t = take(p);
		pthread_mutex_unlock(&p->lock);
		t->run(t);
		hand_back(p, t, true);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are the loop's: a worker must not take one. */
static int start_thread(struct pool *p, const char *name)
{
	sigset_t all, before;
	char title[16];
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->threads[p->n_threads], NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return r;
	snprintf(title, sizeof(title), "%.12s/%02u", name, p->n_threads % 100);
	pthread_setname_np(p->threads[p->n_threads], title);
	p->n_threads++;
	return 0;
}

int pool_new(struct pool **ret, const char *name, unsigned int threads,
	     unsigned int queue_max, struct mailbox *box, struct vmc_error *err)
{
	struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
	int r;

	if (!p)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the worker pool '%s'", name);
	p->box = box;
	p->last = &p->first;
	p->waiting_max = queue_max;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	while (p->n_threads < threads) {
		r = start_thread(p, name);
		if (!r)
			continue;
		pool_free(p);
		return vmc_fail_errno(err, r, "cannot start a thread of the worker pool '%s'",
				      name);
	}
	*ret = p;
	return 0;
}

int pool_submit(struct pool *p, struct pool_task *t, struct vmc_error *err)
{
	int rc = 0;

	t->pool = p;
	t->next = NULL;
	t->mail.deliver = finish;
	pthread_mutex_lock(&p->lock);
	if (p->closed) {
		rc = vmc_fail(err, VMC_ECANCELED, "vmcryptd is stopping");
		vmc_hint(err, "try again when it is back");
	} else if (p->waiting >= p->waiting_max) {
		rc = vmc_fail(err, VMC_EBUSY, "%u calls wait for a worker already", p->waiting);
		vmc_hint(err, "wait for some to end (vmcrypt status), or raise workers in [daemon] of vmcrypt.conf");
	} else {
		*p->last = t;
		p->last = &t->next;
		p->waiting++;
		p->pending++;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void pool_close(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->closed = true;
	while (p->first)
		hand_back(p, take(p), false);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

bool pool_idle(const struct pool *p)
{
	return !p->pending;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_close(p);
	for (unsigned int i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
