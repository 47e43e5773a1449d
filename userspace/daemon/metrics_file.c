// SPDX-License-Identifier: GPL-2.0-or-later
/* Figures for node_exporter's textfile collector. */
#include "metrics_file.h"

#include <stdlib.h>
#include <string.h>

#include "../api/event_api.h"
#include "../api/metrics_api.h"
#include "../lib/events.h"
#include "../lib/fs.h"

#define USEC	1000000ull
#define SOON	(1 * USEC)	/* many alarms come at once */

struct metrics_file {
	struct api *api;
	sd_event_source *timer;
	char path[256];
	uint64_t interval;
	bool failed;
	/* the writing */
	struct pool_task task;
	bool busy, again;
	char busy_path[256];
	json_t *health;
	struct vmc_error err;
};

static void set_timer(struct metrics_file *f, uint64_t usec)
{
	sd_event_source_set_time_relative(f->timer, usec);
	sd_event_source_set_enabled(f->timer, f->path[0] ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void write_run(struct pool_task *t)
{
	struct metrics_file *f = (struct metrics_file *)((char *)t - offsetof(struct metrics_file, task));
	char *text = NULL;

	f->err = (struct vmc_error)VMC_ERROR_INIT;
	if (!metrics_collect(f->api->backend, f->health, &text, &f->err))
		fs_replace(f->busy_path, text, strlen(text), 0644, &f->err);
	free(text);
}

static void tell(struct metrics_file *f)
{
	bool bad = f->err.code;

	if (bad && !f->failed)
		event_tell(f->api, "metrics-failed", VMC_MSG_METRICS_FAILED, NULL, NULL,
			   "the metrics are out of date from now on: %s", f->err.text);
	f->failed = bad;
}

static void write_done(struct pool_task *t, bool ran)
{
	struct metrics_file *f = (struct metrics_file *)((char *)t - offsetof(struct metrics_file, task));
	struct api *a = f->api;

	f->busy = false;
	a->users--;
	json_decref(f->health);
	f->health = NULL;
	if (ran)
		tell(f);
	set_timer(f, f->again ? SOON : f->interval);
	f->again = false;
	if (a->ended)
		a->ended(a, a->hook_data);
}

static void write_now(struct metrics_file *f)
{
	struct api *a = f->api;

	if (f->busy || a->stopping || !f->path[0])
		return;
	/* The worker may be at it before pool_submit() returns. */
	f->task.run = write_run;
	f->task.done = write_done;
	memcpy(f->busy_path, f->path, sizeof(f->path));
	json_decref(f->health);
	f->health = health_copy(a);
	if (a->hold || !a->backend || pool_submit(a->pools[POOL_READ], &f->task, NULL)) {
		set_timer(f, SOON);
		return;
	}
	f->busy = true;
	a->users++;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *data)
{
	(void)s, (void)usec;
	write_now(data);
	return 0;
}

void metrics_file_poke(struct metrics_file *f)
{
	if (f->busy)
		f->again = true;
	else
		set_timer(f, SOON);
}

void metrics_file_configure(struct metrics_file *f, const struct vmc_config *cfg)
{
	memcpy(f->path, cfg->metrics_file, sizeof(f->path));
	f->interval = cfg->metrics_interval * USEC;
	f->failed = false;
	set_timer(f, 0);
}

int metrics_file_new(struct metrics_file **ret, struct api *a, struct vmc_error *err)
{
	struct metrics_file *f = calloc(1, sizeof(*f));
	int e;

	if (!f)
		return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
	f->api = a;
	e = sd_event_add_time(a->event, &f->timer, CLOCK_MONOTONIC, 0, 0, on_timer, f);
	if (e >= 0)
		e = sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);
	if (e < 0) {
		metrics_file_free(f);
		return vmc_fail_errno(err, -e, "cannot make a timer for metrics");
	}
	*ret = f;
	return 0;
}

void metrics_file_free(struct metrics_file *f)
{
	if (!f)
		return;
	sd_event_source_disable_unref(f->timer);
	json_decref(f->health);
	free(f);
}
