// SPDX-License-Identifier: GPL-2.0-or-later
/* What vmcryptd does by itself once the host has started. */
#include "boot.h"

#include <stdlib.h>
#include <string.h>

#include "../api/event_api.h"
#include "../api/model.h"
#include "../lib/events.h"
#include "../lib/log.h"
#include "../vm/datastore.h"
#include "units.h"

#define UNITS_MS	(180 * 1000)	/* for the units of all VMs together; systemd's own deadline is 90 s */

struct boot {
	struct api *api;
	struct pool *pool;
	struct progress progress;	/* to cancel by */
	char *address;			/* of the bus */
	bool begun;			/* in this life of vmcryptd */
	/* the run */
	struct pool_task task;
	bool busy, ask, again;
	json_t *results;
	struct vmc_error err;
};

/* ---- the steps, in the worker: the backend stays, the task counts as a user ------------ */

/* Of the results that are well, those with a unit. */
static size_t collect(const json_t *results, struct unit *units, const char **vms)
{
	const json_t *o, *unit;
	size_t i, n = 0;

	json_array_foreach(results, i, o) {
		unit = json_object_get(o, "unit");
		if (!json_is_true(json_object_get(o, "ok")) || !json_is_string(unit))
			continue;
		vms[n] = json_string_value(json_object_get(o, "vm"));
		units[n++].name = json_string_value(unit);
	}
	return n;
}

static void start_units(struct boot *b, const json_t *results)
{
	size_t i, n = json_array_size(results);
	struct unit *units = calloc(n + 1, sizeof(*units));
	const char **vms = calloc(n + 1, sizeof(*vms));
	struct vmc_error err = VMC_ERROR_INIT;

	n = units && vms ? collect(results, units, vms) : 0;
	if (n)
		units_start(b->address, units, n, UNITS_MS, &b->progress);
	for (i = 0; i < n; i++)
		if (vmm_autostart_done(b->api->backend->m, vms[i], units[i].err.code ? &units[i].err : NULL, &err))
			log_warn("VM %s: %s", vms[i], err.text);
	free(units);
	free(vms);
}

/* Those that cannot be opened now are opened by the health check, when their key is to be had. */
static void open_datastores(struct boot *b)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (b->ask && vmm_datastores_autoopen(b->api->backend->m, &err))
		log_warn("datastores are not opened: %s", err.text);
}

/* VMs come after everything that they need. */
static void start_vms(struct boot *b)
{
	struct backend *backend = b->api->backend;
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *out = NULL;

	if (vmm_autostart(backend->m, b->ask, &b->progress, &out, &err)) {
		b->err = err;
		return;
	}
	b->results = json_incref(json_object_get(out, "results"));
	json_decref(out);
	if (!json_array_size(b->results))
		return;
	start_units(b, b->results);
	model_look_vm(b->api->model, backend, NULL);
}

static void (*const steps[])(struct boot *b) = { open_datastores, start_vms };

static void run(struct pool_task *t)
{
	struct boot *b = (struct boot *)((char *)t - offsetof(struct boot, task));

	b->err = (struct vmc_error)VMC_ERROR_INIT;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		steps[i](b);
}

/* ---- the loop -------------------------------------------------------------------------- */

static void tell(struct boot *b)
{
	size_t i, n = json_array_size(b->results), ok = 0;
	const json_t *o;

	if (b->err.code && b->err.code != VMC_ECANCELED)
		log_err("VMs cannot be started with the host: %s", b->err.text);
	json_array_foreach(b->results, i, o)
		ok += json_is_true(json_object_get(o, "ok"));
	if (n && (b->ask || ok))
		event_tell(b->api, "autostart", VMC_MSG_DAEMON_BOOT, NULL, NULL,
			   "%zu of %zu VMs that start with the host were powered on", ok, n);
}

static void submit(struct boot *b, bool ask);

static void done(struct pool_task *t, bool ran)
{
	struct boot *b = (struct boot *)((char *)t - offsetof(struct boot, task));
	struct api *a = b->api;

	b->busy = false;
	a->users--;
	a->long_users--;
	if (ran)
		tell(b);
	json_decref(b->results);
	b->results = NULL;
	if (a->ended)
		a->ended(a, a->hook_data);
	if (b->again)
		submit(b, false);
}

static void submit(struct boot *b, bool ask)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct api *a = b->api;

	b->again = b->busy;
	if (b->busy || a->stopping || a->hold || !a->backend || !a->backend->k)
		return;
	b->ask = ask;
	b->task.run = run;
	b->task.done = done;
	if (pool_submit(b->pool, &b->task, &err)) {
		log_warn("VMs are not started with the host now: %s", err.text);
		return;
	}
	b->busy = true;
	/* It may wait for servers for long: a reload waits for it, and new calls do not wait for the reload. */
	a->users++;
	a->long_users++;
}

void boot_begin(struct boot *b)
{
	if (b->begun || !b->api->backend || !b->api->backend->k)
		return;
	submit(b, true);
	b->begun = b->busy;
}

void boot_again(struct boot *b)
{
	if (b->begun)
		submit(b, false);
}

void boot_stop(struct boot *b)
{
	atomic_store(&b->progress.cancel, true);
	pool_close(b->pool);
}

bool boot_idle(const struct boot *b)
{
	return pool_idle(b->pool);
}

int boot_new(struct boot **ret, struct api *a, struct vmc_error *err)
{
	struct boot *b = calloc(1, sizeof(*b));
	const char *address = NULL;
	int rc;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for VMs that start with the host");
	b->api = a;
	if (sd_bus_get_address(a->bus, &address) >= 0)
		b->address = strdup(address);
	rc = b->address ? pool_new(&b->pool, "boot", 1, 1, a->box, err) :
		vmc_fail(err, VMC_ENOMEM, "no memory for VMs that start with the host");
	if (rc)
		boot_free(b);
	else
		*ret = b;
	return rc;
}

void boot_free(struct boot *b)
{
	if (!b)
		return;
	pool_free(b->pool);
	free(b->address);
	json_decref(b->results);
	free(b);
}
