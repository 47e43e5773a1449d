// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust service ...": the services of an authority, by systemd. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

#define SYSTEMD		"org.freedesktop.systemd1"
#define MANAGER_PATH	"/org/freedesktop/systemd1"
#define MANAGER		"org.freedesktop.systemd1.Manager"
#define UNIT		"org.freedesktop.systemd1.Unit"
#define JOB_MS		120000u
#define CALL_USEC	(120ull * 1000000)	/* a person may be asked for a password */

static int find_unit(struct cli *c, const char **unit)
{
	static const struct { const char *name, *unit; } units[] = {
		{ "attestation", "vmcrypt-attestd.service" }, { "key-provider", "vmcrypt-kmxd.service" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(c->operands[0], units[i].name) != 0)
			continue;
		*unit = units[i].unit;
		return 0;
	}
	return vmc_fail(&c->err, VMC_EINVAL, "'%s' is no service of an authority: attestation, key-provider", c->operands[0]);
}

/* What systemd says, in its own words. */
static int systemd_says(struct cli *c, const char *unit, sd_bus_error *e, int r)
{
	vmc_fail(&c->err, VMC_ESTATE, "systemd: %s", e->message ? e->message : strerror(-r));
	if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
		vmc_hint(&c->err, "the services of a Trust Authority are not installed on this machine (%s)", unit);
	else if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
		 sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
		c->err.code = VMC_EPERM;
	sd_bus_error_free(e);
	return c->err.code;
}

/* ---- jobs ------------------------------------------------------------------------------ */

struct job {
	char path[160];
	char result[32];		/* "done", "failed" ... once it ended */
};

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *path, *unit, *result;
	struct job *j = data;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	/* what came while the call was waited for is kept until sd_bus_process(): the path is known here */
	if (!strcmp(path, j->path))
		snprintf(j->result, sizeof(j->result), "%s", result);
	return 0;
}

static int wait_job(struct cli *c, struct job *j)
{
	uint64_t end = vmc_now_ms() + JOB_MS, now;
	int r = 0;

	while (!*j->result && r >= 0) {
		r = sd_bus_process(c->bus, NULL);
		now = vmc_now_ms();
		if (!r && !*j->result) {
			if (now >= end)
				return vmc_fail(&c->err, VMC_ETIMEDOUT, "systemd did not finish in %u seconds", JOB_MS / 1000);
			r = sd_bus_wait(c->bus, (end - now) * 1000);
		}
	}
	return r < 0 ? bus_fail(c, r, N_("hear from systemd")) : 0;
}

static int start_job(struct cli *c, const char *method, const char *unit, struct job *j)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL, *m = NULL;
	const char *path;
	int r = sd_bus_message_new_method_call(c->bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, method);

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_call(c->bus, m, CALL_USEC, &e, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		snprintf(j->path, sizeof(j->path), "%s", path);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	return r < 0 ? systemd_says(c, unit, &e, r) : 0;
}

static int run_job(struct cli *c, const char *method, const char *done)
{
	struct job j = { .path = "" };
	sd_bus_slot *slot = NULL;
	const char *unit;
	int r = find_unit(c, &unit);

	c->foreign = true;
	if (!r)
		r = bus_connect(c);
	if (r)
		return r;
	r = sd_bus_match_signal(c->bus, &slot, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", on_removed, &j);
	if (r >= 0)	/* systemd tells of jobs to those who subscribed */
		r = sd_bus_call_method(c->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL, "");
	r = r < 0 ? bus_fail(c, r, N_("hear from systemd")) : start_job(c, method, unit, &j);
	if (!r)
		r = wait_job(c, &j);
	sd_bus_slot_unref(slot);
	if (!r && strcmp(j.result, "done") != 0) {
		r = vmc_fail(&c->err, VMC_ESTATE, "%s: systemd's job ended with '%s'", unit, j.result);
		vmc_hint(&c->err, "'journalctl -u %s' says why", unit);
	}
	if (r)
		return r;
	out_say(c, "%s", _(done));
	out_done(c, "service", c->operands[0]);
	return 0;
}

int verb_trust_service_start(struct cli *c)
{
	return run_job(c, "StartUnit", N_("the service runs"));
}

int verb_trust_service_stop(struct cli *c)
{
	return run_job(c, "StopUnit", N_("the service is stopped"));
}

int verb_trust_service_restart(struct cli *c)
{
	return run_job(c, "RestartUnit", N_("the service was started anew"));
}

/* ---- status ---------------------------------------------------------------------------- */

static int property(struct cli *c, const char *path, const char *name, const char *unit, json_t *o, const char *key)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	char *text = NULL;
	int r = sd_bus_get_property_string(c->bus, SYSTEMD, path, UNIT, name, &e, &text);

	if (r < 0)
		return systemd_says(c, unit, &e, r);
	json_object_set_new(o, key, json_string(text));
	free(text);
	return 0;
}

static int since(struct cli *c, const char *path, json_t *o)
{
	char when[32];
	uint64_t usec;
	int r = sd_bus_get_property_trivial(c->bus, SYSTEMD, path, UNIT, "StateChangeTimestamp", NULL, 't', &usec);

	if (r < 0)
		return bus_fail(c, r, N_("hear from systemd"));
	if (usec) {
		vmc_time_format((int64_t)(usec / 1000000), when);
		json_object_set_new(o, "since", json_string(when));
	}
	return 0;
}

static int describe(struct cli *c, const char *unit, json_t *o)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	int r = sd_bus_call_method(c->bus, SYSTEMD, MANAGER_PATH, MANAGER, "LoadUnit", &e, &reply, "s", unit);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		r = systemd_says(c, unit, &e, r);
	else
		r = property(c, path, "LoadState", unit, o, "load");
	if (!r)
		r = property(c, path, "ActiveState", unit, o, "state");
	if (!r)
		r = property(c, path, "SubState", unit, o, "substate");
	if (!r)
		r = since(c, path, o);
	sd_bus_message_unref(reply);
	return r;
}

int verb_trust_service_status(struct cli *c)
{
	const char *unit;
	json_t *o;
	int r = find_unit(c, &unit);

	c->foreign = true;
	if (!r)
		r = bus_connect(c);
	if (r)
		return r;
	o = json_pack("{s:s, s:s}", "service", c->operands[0], "unit", unit);
	r = describe(c, unit, o);
	if (!r && c->json)
		out_json(o);
	else if (!r)
		r = render_object(stdout, o, 0);
	if (!r && strcmp(json_string_value(json_object_get(o, "state")), "active") != 0)
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_decref(o);
	return r;
}
