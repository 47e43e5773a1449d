// SPDX-License-Identifier: GPL-2.0-or-later
#include "attention.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "words.h"

#define NAMED_MAX 5	/* VMs named in one line */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void add(json_t *list, const char *why, const char *to_do, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* @fmt is translated already. */
static void add(json_t *list, const char *why, const char *to_do, const char *fmt, ...)
{
	char *what;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "what", what, "why", why, "do", to_do));
	free(what);
}

static void add_alarm(json_t *list, const json_t *alarm)
{
	const json_t *entity = json_object_get(alarm, "entity");
	const char *kind = text_of(entity, "kind"), *name = text_of(entity, "name");
	const char *text = text_of(alarm, "text"), *reason = text_of(alarm, "reason");
	const char *severity = words_value("severity", text_of(alarm, "severity"));
	char why[2048];

	snprintf(why, sizeof(why), "%s%s%s", text, *reason ? " " : "", reason);
	add(list, why, text_of(alarm, "remedy"), !strcmp(kind, "vm") ? _("VM '%s' (%s, alarm %s)") :
	    !strcmp(kind, "datastore") ? _("Datastore '%s' (%s, alarm %s)") :
	    !strcmp(kind, "provider") ? _("Key provider '%s' (%s, alarm %s)") : _("Host '%s' (%s, alarm %s)"), name,
	    severity, text_of(alarm, "id"));
}

static bool has_alarm(const json_t *alarms, const char *id)
{
	const json_t *alarm;
	size_t i;

	json_array_foreach(alarms, i, alarm)
		if (!strcmp(text_of(json_object_get(alarm, "entity"), "id"), id))
			return true;
	return false;
}

static void add_vms(json_t *list, const json_t *vms, const json_t *alarms)
{
	const json_t *vm;
	size_t i;

	json_array_foreach(vms, i, vm) {
		const char *shows = text_of(vm, "shows_as");

		if (!*shows || !strcmp(shows, "ok") || has_alarm(alarms, text_of(vm, "id")))
			continue;
		add(list, text_of(vm, *text_of(vm, "cause_text") ? "cause_text" : "key_error"),
		    text_of(vm, *text_of(vm, "remedy") ? "remedy" : "key_hint"), _("VM '%s' shows as %s"),
		    text_of(vm, "name"), words_value("shows_as", shows));
	}
}

/* It makes no keys, and what it made dies with the host. */
static void add_backups(json_t *list, const json_t *providers)
{
	const json_t *provider;
	char to_do[256];
	size_t i;

	json_array_foreach(providers, i, provider) {
		if (strcmp(text_of(provider, "state"), "Not backed up"))
			continue;
		snprintf(to_do, sizeof(to_do), "vmcrypt provider export %s --out FILE", text_of(provider, "name"));
		add(list, _("it makes no keys until it is, and without a backup its VMs are lost with this host"), to_do,
		    _("Key provider '%s' is not backed up"), text_of(provider, "name"));
	}
}

static bool is_store(const json_t *o)
{
	return !strcmp(text_of(o, "kind"), "datastore");
}

/* Of the VMs, or the datastores. */
static void add_forecast(json_t *list, const json_t *would_lock, bool stores)
{
	char names[512] = "";
	size_t i, n = 0, used = 0;
	const json_t *o;

	json_array_foreach(would_lock, i, o) {
		if (is_store(o) != stores)
			continue;
		if (n < NAMED_MAX && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s'%s'", n ? ", " : "",
						 text_of(o, "name"));
		n++;
	}
	if (!n)
		return;
	if (n > NAMED_MAX && used < sizeof(names))
		snprintf(names + used, sizeof(names) - used, " ...");
	add(list, _("their keys are on this host, and would be gone; the key provider does not give them again"),
	    _("do not reboot; vmcrypt doctor tells which keys and why"), stores ?
	    P_("%zu datastore would be locked if this host rebooted now: %s", "%zu datastores would be locked if this host rebooted now: %s", n) :
	    P_("%zu VM would be locked if this host rebooted now: %s", "%zu VMs would be locked if this host rebooted now: %s", n),
	    n, names);
}

json_t *attention(const json_t *daemon, const json_t *vms, const json_t *alarms)
{
	const json_t *module = json_object_get(daemon, "module"), *alarm;
	json_t *list = json_array();
	size_t i;

	if (!list)
		return NULL;
	if (module && !json_is_true(json_object_get(module, "loaded")))
		add(list, text_of(module, "error"), text_of(module, "hint"), "%s", _("No encrypted VM can be powered on"));
	json_array_foreach(alarms, i, alarm)
		add_alarm(list, alarm);
	add_vms(list, vms, alarms);
	for (i = 0; i < 2; i++)
		add_forecast(list, json_object_get(json_object_get(daemon, "health"), "would_lock"), i == 1);
	add_backups(list, json_object_get(daemon, "providers"));
	if (json_is_array(json_object_get(daemon, "providers")) && !json_array_size(json_object_get(daemon, "providers")))
		add(list, _("without one there are no keys"), "vmcrypt provider add kmip NAME --server HOST --default", "%s",
		    _("There is no key provider yet"));
	return list;
}
