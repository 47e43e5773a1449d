// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt doctor": everything that must be right, and what to type where it is not. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "../lib/config.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "../lib/version.h"
#include "bus.h"
#include "checks.h"
#include "host.h"
#include "out.h"
#include "provider.h"
#include "render.h"
#include "table.h"
#include "verbs.h"

/* What c->err says, as a finding. */
static void add_error(struct cli *c, json_t *list, const char *check, enum finding result)
{
	finding_add(list, check, result, c->err.hint, "%s", c->err.text);
}

static pid_t daemon_pid(struct cli *c)
{
	sd_bus_creds *creds = NULL;
	pid_t pid = 0;

	if (sd_bus_get_name_creds(c->bus, BUS_NAME, SD_BUS_CREDS_PID, &creds) < 0 ||
	    sd_bus_creds_get_pid(creds, &pid) < 0)
		pid = 0;
	sd_bus_creds_unref(creds);
	return pid;
}

static size_t secure_heap(json_t *list)
{
	struct vmc_config cfg;
	struct vmc_error err;

	if (!config_load(&cfg, NULL, &err)) {
		finding_add(list, "configuration", FIND_OK, "", "the configuration can be read");
		return cfg.secure_heap;
	}
	finding_add(list, "configuration", err.code == VMC_EPERM ? FIND_WARN : FIND_FAIL,
		    err.code == VMC_EPERM ? "sudo vmcrypt doctor" : err.hint, "%s", err.text);
	return 1 << 20;
}

/* Bus and daemon; false when there is no daemon to ask more. */
static bool check_daemon(struct cli *c, json_t *list)
{
	VMC_CLEANUP(free_string) char *version = NULL;
	size_t heap = secure_heap(list);

	if (bus_connect(c)) {
		add_error(c, list, "bus", FIND_FAIL);
		return false;
	}
	finding_add(list, "bus", FIND_OK, "", "connected");
	if (bus_property(c, BUS_ROOT, IFACE_MANAGER, "Version", &version)) {
		add_error(c, list, "daemon", FIND_FAIL);
		return false;
	}
	if (strcmp(version, VMC_VERSION) != 0)
		finding_add(list, "daemon", FIND_WARN, "systemctl restart vmcryptd",
			    "vmcryptd is version %s, this is %s", version, VMC_VERSION);
	else
		finding_add(list, "daemon", FIND_OK, "", "vmcryptd is running, version %s", version);
	checks_memlock(list, "", daemon_pid(c), heap);
	return true;
}

static void check_certificate(json_t *list, const char *check, const char *whose, const json_t *days,
			      const char *fix)
{
	json_int_t left = json_integer_value(days);

	if (!json_is_integer(days))
		return;
	if (left < 0)
		finding_add(list, check, FIND_FAIL, fix, "%s has expired", whose);
	else if (left < 30)
		finding_add(list, check, FIND_WARN, fix, "%s expires in %lld days", whose,
			    (long long)left);
}

static void check_server(json_t *list, const char *check, const char *name, const json_t *server,
			 bool reachable)
{
	const char *host = json_string_value(json_object_get(server, "host")) ?: "?";
	char fix[256], whose[320];

	snprintf(fix, sizeof(fix), _("vmcrypt provider test %s, once the server is up again"), name);
	if (!json_is_true(json_object_get(server, "ok")))
		/* one server of several that is down is no emergency */
		finding_add(list, check, reachable ? FIND_WARN : FIND_FAIL, fix, "%s",
			    json_string_value(json_object_get(server, "error")) ?: host);
	snprintf(whose, sizeof(whose), _("the certificate of server %s"), host);
	check_certificate(list, check, whose, json_object_get(server, "cert_days_left"),
			  _("have the key server's side renew it"));
}

/* One without servers. Its warnings say themselves what to type. */
static void check_native(json_t *list, const char *check, const json_t *report, bool reachable)
{
	const json_t *warning;
	size_t i;

	if (reachable)
		finding_add(list, check, FIND_OK, "", "its keys can be derived");
	else
		finding_add(list, check, FIND_FAIL, json_string_value(json_object_get(report, "hint")) ?: "", "%s",
			    json_string_value(json_object_get(report, "error")) ?: "?");
	json_array_foreach(json_object_get(report, "warnings"), i, warning)
		finding_add(list, check, FIND_WARN, "", "%s", json_string_value(warning) ?: "?");
}

static void check_provider(struct cli *c, json_t *list, const char *name)
{
	char check[96], fix[256];
	json_t *report = NULL, *server, *client;
	bool reachable;
	size_t i;

	snprintf(check, sizeof(check), "provider %s", name);
	if (provider_json(c, &report, name, "Test")) {
		add_error(c, list, check, FIND_FAIL);
		return;
	}
	reachable = json_is_true(json_object_get(report, "reachable"));
	if (json_is_string(json_object_get(report, "kind"))) {
		check_native(list, check, report, reachable);
		json_decref(report);
		return;
	}
	if (reachable)
		finding_add(list, check, FIND_OK, "", "answers");
	json_array_foreach(json_object_get(report, "servers"), i, server)
		check_server(list, check, name, server, reachable);
	snprintf(fix, sizeof(fix), "vmcrypt provider trust %s csr > %s.csr", name, name);
	client = json_object_get(report, "client_cert");
	if (json_is_object(client))
		check_certificate(list, check, _("the certificate of this host"),
				  json_object_get(client, "days_left"), fix);
	else
		finding_add(list, check, FIND_FAIL, fix, "this host has no certificate for it");
	json_decref(report);
}

static void check_providers(struct cli *c, json_t *list)
{
	json_t *providers = NULL, *p;
	bool has_default = false;
	size_t i;

	if (bus_json(c, &providers, BUS_ROOT, IFACE_MANAGER, "ListProviders", "")) {
		add_error(c, list, "providers", FIND_FAIL);
		return;
	}
	json_array_foreach(providers, i, p) {
		has_default |= json_is_true(json_object_get(p, "default"));
		check_provider(c, list, json_string_value(json_object_get(p, "name")) ?: "?");
	}
	if (!json_array_size(providers))
		finding_add(list, "providers", FIND_WARN,
			    "vmcrypt provider add kmip NAME --server HOST --default",
			    "there is no key provider yet");
	else if (!has_default)
		finding_add(list, "providers", FIND_WARN, "vmcrypt provider default NAME",
			    "no provider is the default: every 'vm create' must name one");
	json_decref(providers);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool lacks_keys(const json_t *vm)
{
	const char *state = json_string_value(json_pick(vm, "shows_as|key_state"));

	return state && strcmp(state, "ok") != 0;
}

static void check_vms(struct cli *c, json_t *list)
{
	json_t *vms = NULL, *vm;
	size_t i, bad = 0;
	char fix[1024];

	if (bus_json(c, &vms, BUS_ROOT, IFACE_MANAGER, "ListVMs", "")) {
		add_error(c, list, "VMs", FIND_FAIL);
		return;
	}
	json_array_foreach(vms, i, vm) {
		const char *name = text_of(vm, "name");

		if (!lacks_keys(vm))
			continue;
		bad++;
		snprintf(fix, sizeof(fix), "vmcrypt vm show %s; vmcrypt vm unlock %s", name, name);
		finding_add(list, "VMs", FIND_WARN, *text_of(vm, "remedy") ? text_of(vm, "remedy") : fix, "%s: %s",
			    name, *text_of(vm, "cause_text") ? text_of(vm, "cause_text") : text_of(vm, "key_state"));
	}
	if (!bad)
		finding_add(list, "VMs", FIND_OK, "", "%zu registered, none lacks keys",
			    json_array_size(vms));
	json_decref(vms);
}

static void check_datastores(struct cli *c, json_t *list)
{
	json_t *stores = NULL, *store;
	size_t i, bad = 0;

	if (bus_json(c, &stores, BUS_ROOT, IFACE_DATASTORES, "ListDatastores", "")) {
		add_error(c, list, "datastores", FIND_FAIL);
		return;
	}
	json_array_foreach(stores, i, store) {
		if (!lacks_keys(store))
			continue;
		bad++;
		finding_add(list, "datastores", FIND_WARN, text_of(store, "remedy"), "%s: %s", text_of(store, "name"),
			    text_of(store, "cause_text"));
	}
	if (!bad && i)
		finding_add(list, "datastores", FIND_OK, "", "%zu registered, none is locked", i);
	json_decref(stores);
}

/* What would a reboot do? VMs that are on and well tell nothing of it. */
static void check_forecast(struct cli *c, json_t *list)
{
	json_t *forecast = NULL, *vm;
	size_t i;

	if (bus_json(c, &forecast, BUS_ROOT, IFACE_MANAGER, "Forecast", "")) {
		add_error(c, list, "reboot", FIND_FAIL);
		return;
	}
	json_array_foreach(json_object_get(forecast, "vms"), i, vm)
		finding_add(list, "reboot", FIND_WARN, text_of(vm, "remedy"),
			    strcmp(text_of(vm, "kind"), "datastore") ?
			    N_("VM '%s' would be locked if this host rebooted now: %s") :
			    N_("Datastore '%s' would be locked if this host rebooted now: %s"), text_of(vm, "name"),
			    text_of(vm, "text"));
	if (!i)
		finding_add(list, "reboot", FIND_OK, "", "%lld VMs would have their keys after a reboot",
			    (long long)json_integer_value(json_object_get(forecast, "ok")));
	json_decref(forecast);
}

static void check_alarms(struct cli *c, json_t *list)
{
	json_t *alarms = NULL, *alarm, *health = NULL;
	size_t i;

	/* So that they are those of now; whoever may not ask the providers sees those of the last check. */
	if (!bus_json(c, &health, BUS_ROOT, IFACE_MANAGER, "Health", ""))
		json_decref(health);
	if (bus_json(c, &alarms, BUS_ROOT, IFACE_MANAGER, "ListAlarms", "b", 0))
		add_error(c, list, "alarms", FIND_FAIL);
	json_array_foreach(alarms, i, alarm)
		finding_add(list, "alarms", FIND_WARN, text_of(alarm, "remedy"), "%s: %s",
			    text_of(json_object_get(alarm, "entity"), "name"), text_of(alarm, "text"));
	if (alarms && !i)
		finding_add(list, "alarms", FIND_OK, "", "none is raised");
	json_decref(alarms);
}

static void check_jobs(struct cli *c, json_t *list)
{
	json_t *jobs = NULL, *job;
	size_t i, pending = 0;

	if (bus_json(c, &jobs, BUS_ROOT, IFACE_MANAGER, "ListJobs", ""))
		add_error(c, list, "jobs", FIND_FAIL);
	json_array_foreach(jobs, i, job)
		pending += !strcmp(json_string_value(json_object_get(job, "state")) ?: "pending",
				   "pending");
	if (pending)
		finding_add(list, "jobs", FIND_WARN, "vmcrypt job list",
			    "%zu half done: resumed when vmcryptd starts, rolled back by 'vmcrypt job abandon'",
			    pending);
	else if (jobs)
		finding_add(list, "jobs", FIND_OK, "", "none was left half done");
	json_decref(jobs);
}

static void show(const json_t *list)
{
	bool colour = out_colour(stdout);
	const json_t *f;
	size_t i;

	json_array_foreach(list, i, f) {
		const char *result = json_string_value(json_object_get(f, "result"));
		const char *fix = json_string_value(json_object_get(f, "fix"));
		enum style s = !strcmp(result, "ok") ? STYLE_GOOD :
			       !strcmp(result, "warn") ? STYLE_WARN : STYLE_BAD;

		printf("%s%-4s%s  ", style_on(s, colour), result, style_off(s, colour));
		text_print(stdout, _(json_string_value(json_object_get(f, "check"))), false);
		fputs(": ", stdout);
		text_print(stdout, json_string_value(json_object_get(f, "text")), false);
		putchar('\n');
		if (fix && *fix) {
			fputs("      -> ", stdout);
			text_print(stdout, fix, false);
			putchar('\n');
		}
	}
	printf(_("%zu ok, %zu to look at, %zu wrong\n"), findings_count(list, "ok"),
	       findings_count(list, "warn"), findings_count(list, "fail"));
}

int verb_doctor(struct cli *c)
{
	json_t *list = json_array(), *o;
	struct utsname u;

	uname(&u);
	checks_kernel(list, "", u.release);
	if (check_daemon(c, list)) {
		check_providers(c, list);
		host_check_persistence(c, list);
		check_vms(c, list);
		check_datastores(c, list);
		check_alarms(c, list);
		check_forecast(c, list);
		check_jobs(c, list);
	}
	if (findings_count(list, "fail"))
		c->exit_status = vmc_code_exit(VMC_EIO);
	if (c->json) {
		o = json_pack("{s:b, s:O}", "ok", !c->exit_status, "checks", list);
		out_json(o);
		json_decref(o);
	} else {
		show(list);
	}
	json_decref(list);
	return 0;
}
