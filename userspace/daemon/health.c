// SPDX-License-Identifier: GPL-2.0-or-later
/* Providers and keys are looked at all the time. */
#include "health.h"

#include <stdlib.h>
#include <string.h>

#include "../api/event_api.h"
#include "../api/model.h"
#include "../lib/events.h"
#include "../lib/log.h"
#include "../lib/util.h"

#define USEC	1000000ull
#define SOON	(1 * USEC)	/* changes come in groups: provider, certificate, trust */

struct health {
	struct api *api;
	struct pool *pool;
	void (*checked)(void *data);
	void *data;
	sd_event_source *timer;
	uint64_t interval, retry;	/* usec */
	uint64_t wait;			/* when something is not well */
	bool failed;
	/* the check */
	struct pool_task task;
	bool busy, again;
	json_t *report;
	uint64_t ms;
	struct vmc_error err;
};

/* Up to a tenth more. */
static uint64_t jitter(uint64_t usec)
{
	vmc_uuid u;
	uint32_t r = 0;

	if (!vmc_uuid_new(&u))
		memcpy(&r, u.b, sizeof(r));
	return usec + usec / 10 * (r % 1024) / 1024;
}

static void set_timer(struct health *h, uint64_t usec)
{
	sd_event_source_set_time_relative(h->timer, usec);
	sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static bool all_ok(const json_t *report)
{
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(report, "providers"), i, p)
		if (!json_is_true(json_object_get(p, "ok")))
			return false;
	return !json_array_size(json_object_get(report, "would_lock"));
}

/* In the worker. The backend stays: the task counts as a user. */
static void check_run(struct pool_task *t)
{
	struct health *h = (struct health *)((char *)t - offsetof(struct health, task));
	struct backend *b = h->api->backend;
	uint64_t start = vmc_now_ms();

	h->err = (struct vmc_error)VMC_ERROR_INIT;
	vmm_health(b->m, &h->report, &h->err);
	h->ms = vmc_now_ms() - start;
	model_look_providers(h->api->model, b);	/* their states */
	if (json_array_size(json_object_get(h->report, "unlocked")))
		model_look_vm(h->api->model, b, NULL);
}

static void tell(struct health *h)
{
	/* somebody else is at it */
	bool bad = h->err.code && h->err.code != VMC_EBUSY;

	if (bad && !h->failed)
		event_tell(h->api, "health-failed", VMC_MSG_HEALTH_FAILED, NULL, NULL,
			   "key providers and keys cannot be checked: %s", h->err.text);
	h->failed = bad;
}

static void take_report(struct health *h)
{
	if (!h->report)
		return;
	json_object_set_new(h->report, "time", json_integer(vmc_time()));
	json_object_set_new(h->report, "ms", json_integer((json_int_t)h->ms));
	json_decref(h->api->health);
	h->api->health = h->report;
	h->report = NULL;
	h->checked(h->data);
}

/* A token of a trusted provider, and the leases of its keys, are renewed before they end. */
static uint64_t until_due(const struct health *h)
{
	const json_t *p, *next;
	uint64_t wait = h->interval;
	size_t i;

	json_array_foreach(json_object_get(h->api->health, "providers"), i, p) {
		next = json_object_get(p, "next");
		if (json_is_true(json_object_get(p, "ok")) && json_is_integer(next) &&
		    (uint64_t)json_integer_value(next) * USEC < wait)
			wait = (uint64_t)json_integer_value(next) * USEC;
	}
	return wait > SOON ? wait : SOON;
}

static uint64_t next_wait(struct health *h, bool well)
{
	uint64_t due = until_due(h), wait = well ? due : h->wait;

	if (well)
		h->wait = h->retry;
	else
		h->wait = h->wait * 2 < h->interval ? h->wait * 2 : h->interval;
	if (wait > h->interval)
		wait = h->interval;
	return wait < h->interval && wait == due ? due : jitter(wait);
}

static void check_done(struct pool_task *t, bool ran)
{
	struct health *h = (struct health *)((char *)t - offsetof(struct health, task));
	struct api *a = h->api;
	bool well = ran && !h->err.code && all_ok(h->report);

	h->busy = false;
	a->users--;
	a->long_users--;
	if (ran)
		tell(h);
	take_report(h);
	set_timer(h, h->again ? SOON : next_wait(h, well));
	h->again = false;
	if (a->ended)
		a->ended(a, a->hook_data);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *data)
{
	struct health *h = data;
	struct api *a = h->api;
	struct vmc_error err = VMC_ERROR_INIT;

	(void)s, (void)usec;
	if (h->busy || a->stopping)
		return 0;
	h->task.run = check_run;
	h->task.done = check_done;
	if (a->hold || !a->backend || pool_submit(h->pool, &h->task, &err)) {
		set_timer(h, SOON);
		return 0;
	}
	h->busy = true;
	/* It may wait for servers for long: a reload waits for it, and new calls do not wait for the reload. */
	a->users++;
	a->long_users++;
	return 0;
}

void health_poke(struct health *h)
{
	h->wait = h->retry;
	if (h->busy)
		h->again = true;
	else
		set_timer(h, SOON);
}

void health_configure(struct health *h, const struct vmc_config *cfg)
{
	h->interval = cfg->health_interval * USEC;
	h->retry = cfg->health_retry * USEC;
	health_poke(h);
}

void health_stop(struct health *h)
{
	pool_close(h->pool);
}

bool health_idle(const struct health *h)
{
	return pool_idle(h->pool);
}

int health_new(struct health **ret, struct api *a, void (*checked)(void *data), void *data, struct vmc_error *err)
{
	struct health *h = calloc(1, sizeof(*h));
	int e, rc;

	if (!h)
		return vmc_fail(err, VMC_ENOMEM, "no memory for checks of providers");
	h->api = a;
	h->checked = checked;
	h->data = data;
	rc = pool_new(&h->pool, "health", 1, 1, a->box, err);
	if (rc)
		goto fail;
	e = sd_event_add_time(a->event, &h->timer, CLOCK_MONOTONIC, 0, 0, on_timer, h);
	if (e >= 0)
		e = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	if (e >= 0) {
		*ret = h;
		return 0;
	}
	rc = vmc_fail_errno(err, -e, "cannot make a timer for checks of providers");
fail:
	health_free(h);
	return rc;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	sd_event_source_disable_unref(h->timer);
	pool_free(h->pool);
	json_decref(h->report);
	free(h);
}
