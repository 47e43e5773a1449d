// SPDX-License-Identifier: GPL-2.0-or-later
/* Jobs that a kill left behind go on by themselves. */
#include "resume.h"

#include <stdlib.h>
#include <string.h>

#include "../api/call.h"
#include "../api/job_api.h"
#include "../lib/log.h"

#define USEC		1000000ull
#define FIRST_WAIT	(10 * USEC)
#define LAST_WAIT	(600 * USEC)
#define JOBS_MAX	64		/* at once; the rest follows when they end */

struct resume {
	struct api *api;
	sd_event_source *timer;
	uint64_t wait;
	/* the look at what is pending */
	struct pool_task task;
	bool busy;
	json_t *pending;
};

static void look_run(struct pool_task *t)
{
	struct resume *r = (struct resume *)((char *)t - offsetof(struct resume, task));
	struct vmc_error err = VMC_ERROR_INIT;

	r->pending = vmm_jobs_pending(r->api->backend->m, &err);
	if (!r->pending)
		log_warn("cannot tell which jobs are to go on: %s", err.text);
}

static void resume_one(struct resume *r, const json_t *job)
{
	const char *id = json_string_value(json_object_get(job, "id"));
	const char *kind = json_string_value(json_object_get(job, "kind"));
	const char *vm = json_string_value(json_object_get(job, "vm"));
	struct vmc_error err = VMC_ERROR_INIT;

	if (!id || bus_job_resumes(r->api->jobs, id))
		return;
	log_info("job %s (%s) goes on", id, kind ? kind : "?");
	if (call_resume(r->api, id, kind, vm, &err))
		log_warn("job %s cannot go on now: %s", id, err.text);
}

static void look_done(struct pool_task *t, bool ran)
{
	struct resume *r = (struct resume *)((char *)t - offsetof(struct resume, task));
	struct api *a = r->api;
	const json_t *job;
	size_t i;

	r->busy = false;
	a->users--;
	if (ran && !a->stopping) {
		json_array_foreach(r->pending, i, job) {
			if (i == JOBS_MAX) {
				resume_again(r, NULL);
				break;
			}
			resume_one(r, job);
		}
	}
	json_decref(r->pending);
	r->pending = NULL;
	a->ended(a, a->hook_data);
}

void resume_jobs(struct resume *r)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct api *a = r->api;

	if (r->busy || a->stopping || a->hold || !a->backend)
		return;
	r->task.run = look_run;
	r->task.done = look_done;
	if (pool_submit(a->pools[POOL_READ], &r->task, &err)) {
		resume_again(r, NULL);
		return;
	}
	r->busy = true;
	a->users++;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *data)
{
	(void)s, (void)usec;
	resume_jobs(data);
	return 0;
}

/* What time heals: a server that is away, a key that is to be activated, a VM in use. */
static bool may_help(int code)
{
	switch (code) {
	case VMC_EUNREACH:
	case VMC_ETIMEDOUT:
	case VMC_ENOKEY:
	case VMC_EKEYSTATE:
	case VMC_EBUSY:
	case VMC_ENOMODULE:
	case VMC_ENOSPC:
		return true;
	default:
		return false;
	}
}

void resume_again(struct resume *r, const struct vmc_error *err)
{
	if (r->api->stopping || (err && !may_help(err->code)))
		return;
	sd_event_source_set_time_relative(r->timer, r->wait);
	sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
	r->wait = r->wait * 2 < LAST_WAIT ? r->wait * 2 : LAST_WAIT;
}

int resume_new(struct resume **ret, struct api *a, struct vmc_error *err)
{
	struct resume *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return vmc_fail(err, VMC_ENOMEM, "no memory for jobs that are to go on");
	r->api = a;
	r->wait = FIRST_WAIT;
	e = sd_event_add_time(a->event, &r->timer, CLOCK_MONOTONIC, 0, 0, on_timer, r);
	if (e >= 0)
		e = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	if (e < 0) {
		resume_free(r);
		return vmc_fail_errno(err, -e, "cannot make a timer for jobs that are to go on");
	}
	*ret = r;
	return 0;
}

void resume_free(struct resume *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->timer);
	json_decref(r->pending);
	free(r);
}
