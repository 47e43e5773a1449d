// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust service ...": the services of an authority, by systemd. */
#include <jansson.h>
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

/* In the order in which they start: the second reads what the first one keeps. */
static const struct service {
	const char *name, *unit;
} services[] = {
	{ "attestation", "vmcrypt-attestd.service" }, { "key-provider", "vmcrypt-kmxd.service" },
};

/* Does the operand, if there is one, mean @s? */
static bool is_meant(const struct cli *c, const struct service *s)
{
	return !c->n_operands || !strcmp(c->operands[0], s->name);
}

/* Connect, once it is clear that there is something to ask. */
static int begin(struct cli *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		if (!is_meant(c, &services[i]))
			continue;
		c->foreign = true;
		return bus_connect(c);
	}
	vmc_fail(&c->err, VMC_EINVAL, "'%s' is no service of an authority: attestation, key-provider", c->operands[0]);
	vmc_hint(&c->err, "'vmcrypt trust service status' shows them");
	return VMC_EINVAL;
}

/* What systemd says, in its own words. */
static int systemd_says(struct cli *c, const char *unit, sd_bus_error *e, int r)
{
	bool refused = sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) ||
		       sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
	int code = refused ? VMC_EPERM : VMC_ESTATE;

	vmc_fail(&c->err, code, "systemd: %s", e->message ? e->message : strerror(-r));
	if (refused)
		vmc_hint(&c->err, "call it as root (sudo), or have a rule in /etc/polkit-1/rules.d grant it (polkit(8))");
	else if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
		vmc_hint(&c->err, "the services of a Trust Authority are not installed on this machine (%s)", unit);
	sd_bus_error_free(e);
	return code;
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

static int run_job(struct cli *c, const char *method, const char *unit)
{
	struct job j = { .path = "" };
	sd_bus_slot *slot = NULL;
	int r = sd_bus_match_signal(c->bus, &slot, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", on_removed, &j);

	r = r < 0 ? bus_fail(c, r, N_("hear from systemd")) : start_job(c, method, unit, &j);
	if (!r)
		r = wait_job(c, &j);
	sd_bus_slot_unref(slot);
	if (r || !strcmp(j.result, "done"))
		return r;
	vmc_fail(&c->err, VMC_ESTATE, "%s: systemd's job ended with '%s'", unit, j.result);
	vmc_hint(&c->err, "'journalctl -u %s' says why", unit);
	return VMC_ESTATE;
}

/* systemd tells of jobs to those who subscribed: once, it refuses a second time. */
static int subscribe(struct cli *c)
{
	int r = sd_bus_call_method(c->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL, "");

	return r < 0 ? bus_fail(c, r, N_("hear from systemd")) : 0;
}

/* @done: what is said of each, of N_(). */
static int run_jobs(struct cli *c, const char *method, const char *done)
{
	json_t *names = json_array();
	int r = begin(c);

	if (!r)
		r = subscribe(c);
	for (size_t i = 0; !r && i < ARRAY_SIZE(services); i++) {
		if (!is_meant(c, &services[i]))
			continue;
		r = run_job(c, method, services[i].unit);
		if (r)
			break;
		out_say(c, "%s: %s", services[i].name, _(done));
		json_array_append_new(names, json_string(services[i].name));
	}
	if (!r && c->json) {
		json_t *o = json_pack("{s:s, s:O}", "done", c->verb->pattern, "services", names);

		out_json(o);
		json_decref(o);
	}
	json_decref(names);
	return r;
}

int verb_trust_service_start(struct cli *c)
{
	return run_jobs(c, "StartUnit", N_("runs"));
}

int verb_trust_service_stop(struct cli *c)
{
	return run_jobs(c, "StopUnit", N_("is stopped"));
}

int verb_trust_service_restart(struct cli *c)
{
	return run_jobs(c, "RestartUnit", N_("was started anew"));
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

static int describe_object(struct cli *c, const char *path, const char *unit, json_t *o)
{
	int r = property(c, path, "LoadState", unit, o, "load");

	if (!r)
		r = property(c, path, "ActiveState", unit, o, "state");
	if (!r)
		r = property(c, path, "SubState", unit, o, "substate");
	return r ? r : since(c, path, o);
}

static int describe(struct cli *c, const char *unit, json_t *o)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	int r = sd_bus_call_method(c->bus, SYSTEMD, MANAGER_PATH, MANAGER, "LoadUnit", &e, &reply, "s", unit);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	r = r < 0 ? systemd_says(c, unit, &e, r) : describe_object(c, path, unit, o);
	sd_bus_message_unref(reply);
	return r;
}

/* One as it is: {service, unit, load, state, substate, since?}. */
static int look_at(struct cli *c, const struct service *s, json_t *list)
{
	json_t *o = json_pack("{s:s, s:s}", "service", s->name, "unit", s->unit);
	int r = describe(c, s->unit, o);

	if (!r && strcmp(json_string_value(json_object_get(o, "state")), "active") != 0)
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_array_append_new(list, o);
	return r;
}

int verb_trust_service_status(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("SERVICE"), "service" }, { N_("UNIT"), "unit" }, { N_("STATE"), "state" },
		{ N_("SUBSTATE"), "substate" }, { N_("SINCE"), "since" },
	};
	json_t *list = json_array();
	int r = begin(c);

	for (size_t i = 0; !r && i < ARRAY_SIZE(services); i++)
		if (is_meant(c, &services[i]))
			r = look_at(c, &services[i], list);
	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols), NULL);
	json_decref(list);
	return r;
}
