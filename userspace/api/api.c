// SPDX-License-Identifier: GPL-2.0-or-later
/* The bus objects of vmcryptd: made, attached to a backend, and undone. */
#include "api.h"

#include <string.h>

#include "auth.h"
#include "call.h"
#include "disk_api.h"
#include "event_api.h"
#include "hints.h"
#include "datastore_api.h"
#include "host_api.h"
#include "job_api.h"
#include "manager_api.h"
#include "model.h"
#include "provider_api.h"
#include "vm_api.h"

#define READERS		4u	/* threads for calls that only look */
#define QUEUE_MAX	512u	/* calls that wait for a thread, for each pool */

static int make_pools(struct api *a, unsigned int workers, struct vmc_error *err)
{
	int rc;

	rc = pool_new(&a->pools[POOL_READ], "read", READERS, QUEUE_MAX, a->box, err);
	if (!rc)
		rc = pool_new(&a->pools[POOL_ACT], "act", workers, QUEUE_MAX, a->box, err);
	if (!rc)
		rc = pool_new(&a->pools[POOL_COPY], "copy", workers, QUEUE_MAX, a->box, err);
	return rc;
}

static int add_objects(struct api *a, struct vmc_error *err)
{
	int rc;

	rc = manager_api_add(a, err);
	if (!rc)
		rc = host_api_add(a, err);
	if (!rc)
		rc = datastore_api_add(a, err);
	if (!rc)
		rc = vm_api_add(a, err);
	if (!rc)
		rc = disk_api_add(a, err);
	if (!rc)
		rc = provider_api_add(a, err);
	if (!rc)
		rc = job_api_add(a, err);
	return rc;
}

int api_start(struct api *a, sd_event *event, sd_bus *bus, unsigned int workers, struct vmc_error *err)
{
	int rc;

	memset(a, 0, sizeof(*a));
	a->self.api = a;
	a->event = event;
	a->bus = bus;
	a->held_last = &a->held;
	rc = mailbox_new(&a->box, event, err);
	if (!rc)
		rc = make_pools(a, workers, err);
	if (!rc)
		rc = model_new(&a->model, a, err);
	if (!rc)
		rc = bus_jobs_new(&a->jobs, a, err);
	if (!rc)
		rc = events_new(&a->events, a, err);
	if (!rc)
		rc = hints_new(&a->hints, a->bus, err);
	if (!rc)
		rc = auth_new(&a->auth, a, err);
	if (!rc)
		rc = add_objects(a, err);
	return rc;
}

void api_stop(struct api *a)
{
	a->stopping = true;
	mailbox_drain(a->box);	/* last words, while all that they are about is there */
	for (int i = 0; i < POOL_N; i++)
		pool_free(a->pools[i]);
	mailbox_free(a->box);
	json_decref(a->health);
	auth_free(a->auth);
	hints_free(a->hints);
	events_free(a->events);
	bus_jobs_free(a->jobs);
	model_free(a->model);
}

void api_quiesce(struct api *a)
{
	a->stopping = true;
	call_refuse_held(a);
	for (int i = 0; i < POOL_N; i++)
		pool_close(a->pools[i]);
	bus_jobs_cancel_short(a->jobs);
}

bool api_idle(const struct api *a)
{
	for (int i = 0; i < POOL_N; i++)
		if (!pool_idle(a->pools[i]))
			return false;
	return true;
}

static void tell_module(struct api *a)
{
	sd_bus_emit_properties_changed(a->bus, API_PATH, manager_interface.name, "ModuleLoaded",
				       "ModuleVersion", NULL);
}

void api_attach(struct api *a, struct backend *b)
{
	a->backend = b;
	a->hold = false;
	tell_module(a);
	call_release_held(a);
}

struct backend *api_detach(struct api *a)
{
	struct backend *b = a->backend;

	a->backend = NULL;
	a->hold = true;
	return b;
}
