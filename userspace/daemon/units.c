// SPDX-License-Identifier: GPL-2.0-or-later
/* Start units of systemd. */
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "../lib/util.h"

#define SYSTEMD		"org.freedesktop.systemd1"
#define SYSTEMD_PATH	"/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER	SYSTEMD ".Manager"
#define CANCEL_MS	500			/* how soon a cancel is seen */
#define CALL_US		(25 * 1000000ull)	/* for systemd to take a job */

struct units {
	struct unit *u;
	size_t n, waiting;
};

static void fail_unit(struct unit *u, int code, const char *why)
{
	vmc_fail(&u->err, code, "unit '%s' did not start: %s", u->name, why);
	vmc_hint(&u->err, "'journalctl -u %s' tells why; then 'systemctl start %s'", u->name, u->name);
}

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *job, *unit, *result;
	struct units *all = data;
	uint32_t id;
	size_t i;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
		return 0;
	for (i = 0; i < all->n; i++) {
		struct unit *u = &all->u[i];

		if (!u->job || strcmp(job, u->job))
			continue;
		if (strcmp(result, "done"))
			fail_unit(u, VMC_EIO, result);
		free(u->job);
		u->job = NULL;
		all->waiting--;
	}
	return 0;
}

static void start(sd_bus *bus, struct units *all, struct unit *u)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *job;
	int r;

	r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartUnit", &e, &reply, "ss", u->name,
			       "replace");
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job);
	if (r >= 0) {
		u->job = strdup(job);
		r = u->job ? 0 : -ENOMEM;
	}
	if (r < 0)
		fail_unit(u, VMC_EIO, e.message ? e.message : strerror(-r));
	else
		all->waiting++;
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
}

static int await(sd_bus *bus, struct units *all, uint64_t until, const struct progress *p)
{
	uint64_t now;
	int r;

	while (all->waiting) {
		r = sd_bus_process(bus, NULL);
		if (r < 0)
			return r;
		if (r)
			continue;
		now = vmc_now_ms();
		if (now >= until)
			return -ETIMEDOUT;
		if (progress_canceled(p))
			return -ECANCELED;
		r = sd_bus_wait(bus, (until - now < CANCEL_MS ? until - now : CANCEL_MS) * 1000);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static int open_bus(const char *address, struct units *all, sd_bus **bus)
{
	int r = sd_bus_new(bus);

	if (r >= 0)
		r = sd_bus_set_address(*bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*bus, 1);
	if (r >= 0)
		r = sd_bus_start(*bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(*bus, CALL_US);
	if (r >= 0)
		r = sd_bus_match_signal(*bus, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_removed, all);
	if (r >= 0)
		r = sd_bus_call_method(*bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL, NULL, "");
	return r;
}

/* One that several name is one job. */
static struct unit *same(const struct units *all, const struct unit *u)
{
	struct unit *o = all->u;

	while (o != u && strcmp(o->name, u->name))
		o++;
	return o;
}

void units_start(const char *address, struct unit *u, size_t n, unsigned int deadline_ms,
		 const struct progress *p)
{
	uint64_t until = vmc_now_ms() + deadline_ms;
	struct units all = { u, n, 0 };
	sd_bus *bus = NULL;
	size_t i;
	int r;

	r = open_bus(address, &all, &bus);
	for (i = 0; i < n; i++) {
		u[i].err = (struct vmc_error)VMC_ERROR_INIT;
		u[i].job = NULL;
		u[i].of = same(&all, &u[i]);
		if (r < 0)
			fail_unit(&u[i], VMC_EIO, strerror(-r));
		else if (u[i].of == &u[i])
			start(bus, &all, &u[i]);
	}
	r = await(bus, &all, until, p);
	for (i = 0; i < n; i++) {
		if (u[i].job)
			fail_unit(&u[i], r == -ETIMEDOUT ? VMC_ETIMEDOUT : VMC_EIO, strerror(r < 0 ? -r : EIO));
		free(u[i].job);
		u[i].job = NULL;
		u[i].err = u[i].of->err;
	}
	sd_bus_flush_close_unref(bus);
}
