// SPDX-License-Identifier: GPL-2.0-or-later
#include "mount_unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"

#define DEADLINE_MS	(90 * 1000)
#define SYSTEMD		"org.freedesktop.systemd1"
#define SYSTEMD_PATH	"/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER	SYSTEMD ".Manager"
#define UNIT_MAX	256

bool mount_unit_wanted(void)
{
	return !access("/run/systemd/system", F_OK);
}

int mount_unit_name(const char *where, char *out, size_t n, struct vmc_error *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.";
	const char *s = where + (*where == '/');
	size_t used = 0;

	for (; *s && used + sizeof("\\x00.mount") < n; s++) {
		bool first = !used;

		if (*s == '/')
			out[used++] = '-';
		else if (strchr(plain, *s) && !(first && *s == '.'))
			out[used++] = *s;
		else
			used += (size_t)snprintf(out + used, n - used, "\\x%02x", (unsigned char)*s);
	}
	if (*s || !used)
		return vmc_fail(err, VMC_EINVAL, "'%s' cannot be a mount unit", where);
	snprintf(out + used, n - used, ".mount");
	return 0;
}

struct wait {
	char *job;
	char result[64];
};

static int job_removed(sd_bus_message *msg, void *data, sd_bus_error *error)
{
	struct wait *w = data;
	const char *job, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(msg, "uoss", &id, &job, &unit, &result) < 0)
		return 0;
	if (w->job && !strcmp(job, w->job))
		snprintf(w->result, sizeof(w->result), "%s", result);
	return 0;
}

/* Until the job in @w ends; the match was there before the job was. */
static int await(sd_bus *bus, struct wait *w)
{
	uint64_t until = vmc_now_ms() + DEADLINE_MS, now;
	int r;

	while (!w->result[0]) {
		r = sd_bus_process(bus, NULL);
		if (r < 0)
			return r;
		if (r)
			continue;
		now = vmc_now_ms();
		if (now >= until)
			return -ETIMEDOUT;
		r = sd_bus_wait(bus, (until - now) * 1000);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

/*
 * Without the default dependencies, by which a shutdown of the host would unmount it
 * at once, under a VM that is still being shut down. Power-off does it, or, for a VM
 * that stays on to the last, systemd when all processes are gone.
 */
static int call_start(sd_bus *bus, const char *unit, const struct mount_spec *s, sd_bus_error *e,
		      sd_bus_message **reply)
{
	char options[64], description[128];

	snprintf(options, sizeof(options), "nodev,nosuid%s", s->flags & MS_NOEXEC ? ",noexec" : "");
	snprintf(description, sizeof(description), "vmcrypt: %s", s->what);
	return sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit", e,
				  reply, "ssa(sv)a(sa(sv))", unit, "fail",
				  6, "Description", "s", description,
				  "DefaultDependencies", "b", 0,
				  "What", "s", s->link, "Type", "s", s->fs,
				  "Options", "s", options,
				  "CollectMode", "s", "inactive-or-failed", 0);
}

static int call_stop(sd_bus *bus, const char *unit, sd_bus_error *e, sd_bus_message **reply)
{
	return sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", e, reply,
				  "ss", unit, "fail");
}

/* Start (@s given) or stop the unit and wait for the job's end; 0, or a negative errno. */
static int run_job(sd_bus *bus, const char *unit, const struct mount_spec *s, struct wait *w, sd_bus_error *e)
{
	sd_bus_message *reply = NULL;
	const char *job;
	int r;

	r = sd_bus_match_signal(bus, NULL, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
				job_removed, w);
	if (r >= 0)
		r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", e, NULL, "");
	if (r >= 0)
		r = s ? call_start(bus, unit, s, e, &reply) : call_stop(bus, unit, e, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job);
	if (r >= 0) {
		w->job = strdup(job);
		r = w->job ? await(bus, w) : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return r;
}

static int change(const char *where, const struct mount_spec *s, struct vmc_error *err)
{
	const char *verb = s ? "mount" : "unmount";
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct wait w = { NULL, "" };
	char unit[UNIT_MAX];
	sd_bus *bus = NULL;
	int r;

	r = mount_unit_name(where, unit, sizeof(unit), err);
	if (r)
		return r;
	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = run_job(bus, unit, s, &w, &e);
	if (r < 0)
		r = vmc_fail_errno(err, -r, "cannot %s '%s' by systemd%s%s", verb, where,
				   e.message ? ": " : "", e.message ? e.message : "");
	else if (strcmp(w.result, "done"))
		r = vmc_fail(err, s ? VMC_EIO : VMC_EBUSY, "cannot %s '%s': job of unit '%s' ended with '%s'",
			     verb, where, unit, w.result);
	else
		r = 0;
	if (r)
		vmc_hint(err, s ? N_("'journalctl -u %s' tells why") :
			 N_("End what still uses it, swtpm for instance; 'journalctl -u %s' tells more"), unit);
	free(w.job);
	sd_bus_error_free(&e);
	sd_bus_flush_close_unref(bus);
	return r;
}

/*
 * Our mappings tell udev to leave them alone, since what is on them is a
 * guest's; so systemd never calls them ready, and would wait for that with a
 * unit whose What= is below /dev. A link elsewhere is not waited for.
 */
int mount_unit_start(const struct mount_spec *s, struct vmc_error *err)
{
	int r;

	unlink(s->link);
	if (symlink(s->device, s->link))
		return vmc_fail_errno(err, errno, "cannot make the link '%s'", s->link);
	r = change(s->where, s, err);
	unlink(s->link);
	return r;
}

int mount_unit_stop(const char *where, struct vmc_error *err)
{
	return change(where, NULL, err);
}
