// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread that looks after a service. */
#include "care.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/events.h"
#include "../../lib/fs.h"
#include "../../lib/log.h"

struct care {
	struct care_setup s;
	char path[256];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;			/* under @lock */
	bool failed;			/* the file was not written, which was said */
};

static void tell(struct care *c, const struct vmc_error *err)
{
	static const struct log_field none[] = { { NULL, NULL } };

	if (err->code && !c->failed)
		log_event(LOG_WARNING, VMC_MSG_METRICS_FAILED, none, "the metrics are out of date from now on: %s", err->text);
	c->failed = err->code;
}

static void look(struct care *c)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return;
	c->s.look(c, f, c->s.data);
	stats_put(c->s.stats, f);
	if (fclose(f))
		vmc_fail(&err, VMC_ENOMEM, "no memory for metrics");
	else if (*c->path)
		fs_replace(c->path, text, n, 0644, &err);
	tell(c, &err);
	free(text);
}

/* False: it is over. */
static bool wait(struct care *c)
{
	struct timespec until;
	bool stop;
	int e = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += c->s.interval;
	pthread_mutex_lock(&c->lock);
	while (!c->stop && !e)
		e = pthread_cond_timedwait(&c->wake, &c->lock, &until);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return !stop;
}

static void *care_thread(void *data)
{
	struct care *c = data;

	do
		look(c);
	while (wait(c));
	return NULL;
}

static void care_free(struct care *c)
{
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int care_start(struct care **out, const struct care_setup *s, struct vmc_error *err)
{
	struct care *c = calloc(1, sizeof(*c));
	pthread_condattr_t a;
	int e;

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
	c->s = *s;
	snprintf(c->path, sizeof(c->path), "%s", s->path);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &a);
	pthread_condattr_destroy(&a);
	e = pthread_create(&c->thread, NULL, care_thread, c);
	if (e) {
		care_free(c);
		return vmc_fail_errno(err, e, "cannot start a thread");
	}
	*out = c;
	return 0;
}

bool care_over(struct care *c)
{
	bool stop;

	pthread_mutex_lock(&c->lock);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return stop;
}

void care_stop(struct care *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	care_free(c);
}
