// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Job: what runs, how far it is, and a way to stop it. */
#include "job_api.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "auth.h"
#include "call.h"
#include "model.h"

#define TICK_US		250000ull	/* progress is told four times a second */
#define JOBS_MAX	1024

struct job {
	struct object self;
	struct job *next;
	struct jobs *jobs;
	struct call *call;
	char path[40];
	char operation[40];
	char *vm, *sender;
	uid_t uid;
	int64_t start_time;
	uint64_t start_ms;
	struct progress progress;
	/* what the worker says; the lock is held for a copy only */
	pthread_mutex_t lock;
	char phase[64];
	uint64_t done, total;
	bool news;
	/* what the bus shows */
	char *shown_phase;
	uint64_t shown_done, shown_total;
};

struct jobs {
	struct api *api;
	struct job *first;
	unsigned int n;
	uint64_t last_number;
	sd_event_source *tick;
};

/* ---- progress --------------------------------------------------------- */

/* In the worker. */
static void on_report(struct progress *p, const char *phase, uint64_t done, uint64_t total)
{
	struct job *j = p->data;

	pthread_mutex_lock(&j->lock);
	snprintf(j->phase, sizeof(j->phase), "%s", phase ? phase : "");
	j->done = done;
	j->total = total;
	j->news = true;
	pthread_mutex_unlock(&j->lock);
}

static void tell(struct job *j)
{
	char phase[sizeof(j->phase)], *copy;
	uint64_t done, total;
	char *names[4];
	size_t n = 0;

	pthread_mutex_lock(&j->lock);
	if (!j->news) {
		pthread_mutex_unlock(&j->lock);
		return;
	}
	j->news = false;
	memcpy(phase, j->phase, sizeof(phase));
	done = j->done;
	total = j->total;
	pthread_mutex_unlock(&j->lock);

	if (strcmp(phase, j->shown_phase)) {
		copy = strdup(phase);
		if (copy) {
			free(j->shown_phase);
			j->shown_phase = copy;
			names[n++] = (char *)"Phase";
		}
	}
	if (done != j->shown_done)
		names[n++] = (char *)"Done";
	if (total != j->shown_total)
		names[n++] = (char *)"Total";
	names[n] = NULL;
	j->shown_done = done;
	j->shown_total = total;
	if (n)
		sd_bus_emit_properties_changed_strv(j->self.api->bus, j->path, "org.vmcrypt1.Job", names);
}

static int on_tick(sd_event_source *s, uint64_t now, void *data)
{
	struct jobs *jobs = data;

	for (struct job *j = jobs->first; j; j = j->next)
		tell(j);
	sd_event_source_set_time(s, now + TICK_US);
	sd_event_source_set_enabled(s, jobs->n ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return 0;
}

static void start_tick(struct jobs *jobs)
{
	uint64_t now;

	if (sd_event_now(jobs->api->event, CLOCK_MONOTONIC, &now) < 0)
		return;
	sd_event_source_set_time(jobs->tick, now + TICK_US);
	sd_event_source_set_enabled(jobs->tick, SD_EVENT_ONESHOT);
}

/* ---- begin and end ---------------------------------------------------- */

static void job_free(struct job *j)
{
	free(j->vm);
	free(j->sender);
	free(j->shown_phase);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static int job_make(struct call *c, struct job **ret)
{
	const char *sender = c->msg ? sd_bus_message_get_sender(c->msg) : NULL;
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	pthread_mutex_init(&j->lock, NULL);
	j->self.api = c->api;
	j->call = c;
	j->vm = strdup(c->vm);
	j->sender = strdup(sender ? sender : "");
	j->shown_phase = strdup("waiting");
	if (!j->vm || !j->sender || !j->shown_phase) {
		job_free(j);
		return -ENOMEM;
	}
	/* A resumed job is called what it was. */
	snprintf(j->operation, sizeof(j->operation), "%s",
		 c->resume || !c->msg ? (c->s[0] ? c->s[0] : c->method->job) : c->method->job);
	snprintf(j->phase, sizeof(j->phase), "%s", j->shown_phase);
	j->uid = c->msg ? auth_sender_uid(c->api->auth, c->msg) : (uid_t)-1;
	j->start_time = vmc_time();
	j->start_ms = vmc_now_ms();
	j->progress.report = on_report;
	j->progress.data = j;
	*ret = j;
	return 0;
}

int bus_job_begin(struct call *c, struct job **ret, struct vmc_error *err)
{
	struct jobs *jobs = c->api->jobs;
	struct job *j;

	if (jobs->n == JOBS_MAX)
		return vmc_fail(err, VMC_EBUSY, "%d jobs are there already", JOBS_MAX);
	if (job_make(c, &j))
		return vmc_fail(err, VMC_ENOMEM, "no memory for a job of %s", c->method->member);
	j->jobs = jobs;
	snprintf(j->path, sizeof(j->path), API_PATH "/job/%llu", (unsigned long long)++jobs->last_number);
	j->next = jobs->first;
	jobs->first = j;
	if (!jobs->n++)
		start_tick(jobs);
	sd_bus_emit_interfaces_added(c->api->bus, j->path, "org.vmcrypt1.Job", NULL);
	*ret = j;
	return 0;
}

void bus_job_end(struct job *j)
{
	struct jobs *jobs = j->jobs;
	struct job **at = &jobs->first;

	tell(j);
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	jobs->n--;
	sd_bus_emit_interfaces_removed(jobs->api->bus, j->path, "org.vmcrypt1.Job", NULL);
	job_free(j);
}

struct progress *bus_job_progress(struct job *j)
{
	return &j->progress;
}

uint64_t bus_job_age_ms(const struct job *j)
{
	return vmc_now_ms() - j->start_ms;
}

const char *bus_job_operation(const struct job *j)
{
	return j->operation;
}

/* ---- all of them ------------------------------------------------------ */

static struct job *find_path(struct jobs *jobs, const char *path)
{
	for (struct job *j = jobs->first; j; j = j->next)
		if (!strcmp(j->path, path))
			return j;
	return NULL;
}

uid_t bus_job_uid(struct api *a, const char *path)
{
	struct job *j = find_path(a->jobs, path);

	return j ? j->uid : (uid_t)-1;
}

bool bus_job_resumes(struct jobs *jobs, const char *id)
{
	for (struct job *j = jobs->first; j; j = j->next)
		if (j->call->resume && !strcmp(j->call->resume, id))
			return true;
	return false;
}

unsigned int bus_jobs_count(const struct jobs *jobs)
{
	return jobs->n;
}

bool bus_jobs_have_copies(const struct jobs *jobs)
{
	for (struct job *j = jobs->first; j; j = j->next)
		if (j->call->method->pool == POOL_COPY)
			return true;
	return false;
}

void bus_jobs_cancel_short(struct jobs *jobs)
{
	for (struct job *j = jobs->first; j; j = j->next)
		if (j->call->method->pool != POOL_COPY || j->call->method->ends_at_stop)
			atomic_store(&j->progress.cancel, true);
}

json_t *bus_jobs_describe(struct jobs *jobs)
{
	json_t *list = json_array();

	for (struct job *j = jobs->first; j; j = j->next) {
		pthread_mutex_lock(&j->lock);
		json_array_append_new(list, json_pack("{s:s?, s:s, s:s?, s:s, s:I, s:I, s:s, s:s}",
			"id", j->call->resume, "kind", j->operation, "vm", j->vm[0] ? j->vm : NULL,
			"what", j->phase, "done", (json_int_t)j->done, "total", (json_int_t)j->total,
			"state", "running", "object", j->path));
		pthread_mutex_unlock(&j->lock);
	}
	return list;
}

/* ---- the bus ---------------------------------------------------------- */

static int method_cancel(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct job *j = data;

	(void)e;
	atomic_store(&j->progress.cancel, true);
	return sd_bus_reply_method_return(m, "");
}

#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static int get_operation(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *data, sd_bus_error *e)
{
	struct job *j = data;

	(void)bus, (void)path, (void)interface, (void)property, (void)e;
	return sd_bus_message_append(reply, "s", j->operation);
}

static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Operation", "s", get_operation, 0, CONSTANT),
	SD_BUS_PROPERTY("VM", "s", NULL, offsetof(struct job, vm), CONSTANT),
	SD_BUS_PROPERTY("Sender", "s", NULL, offsetof(struct job, sender), CONSTANT),
	SD_BUS_PROPERTY("Phase", "s", NULL, offsetof(struct job, shown_phase), CHANGES),
	SD_BUS_PROPERTY("Done", "t", NULL, offsetof(struct job, shown_done), CHANGES),
	SD_BUS_PROPERTY("Total", "t", NULL, offsetof(struct job, shown_total), CHANGES),
	SD_BUS_PROPERTY("StartTime", "x", NULL, offsetof(struct job, start_time), CONSTANT),
	SD_BUS_METHOD("Cancel", NULL, NULL, method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static int find_job(sd_bus *bus, const char *path, const char *interface, void *data, void **found,
		    sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)interface, (void)e;
	*found = find_path(a->jobs, path);
	return !!*found;
}

static int list_jobs(sd_bus *bus, const char *prefix, void *data, char ***nodes, sd_bus_error *e)
{
	struct jobs *jobs = ((struct api *)data)->jobs;
	char **paths = calloc(jobs->n + 1, sizeof(*paths));
	size_t n = 0;

	(void)bus, (void)prefix, (void)e;
	if (!paths)
		return -ENOMEM;
	for (struct job *j = jobs->first; j; j = j->next)
		paths[n++] = strdup(j->path);
	*nodes = paths;
	return 0;
}

int job_api_add(struct api *a, struct vmc_error *err)
{
	int r;

	r = sd_bus_add_fallback_vtable(a->bus, NULL, API_PATH "/job", "org.vmcrypt1.Job", job_vtable,
				       find_job, a);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(a->bus, NULL, API_PATH "/job", list_jobs, a);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the job objects") : 0;
}

int bus_jobs_new(struct jobs **ret, struct api *a, struct vmc_error *err)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));
	int r;

	if (!jobs)
		return vmc_fail(err, VMC_ENOMEM, "no memory for jobs");
	jobs->api = a;
	r = sd_event_add_time(a->event, &jobs->tick, CLOCK_MONOTONIC, 0, 0, on_tick, jobs);
	if (r >= 0)
		r = sd_event_source_set_enabled(jobs->tick, SD_EVENT_OFF);
	if (r < 0) {
		bus_jobs_free(jobs);
		return vmc_fail_errno(err, -r, "cannot make a timer for jobs");
	}
	*ret = jobs;
	return 0;
}

void bus_jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	sd_event_source_disable_unref(jobs->tick);
	free(jobs);
}
