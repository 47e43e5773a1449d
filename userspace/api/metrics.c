// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of the host as figures. */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/prom.h"
#include "../lib/util.h"

/* Every value that a label may have is there from the start, as 0: a series that comes late raises no alarm. */
static const char *const states[] = { "ok", "invalid", "disk-key-missing", "suspended" };
static const char *const causes[] = {
	"kms-error", "keys-missing-on-kms", "keys-missing-on-host", "provider-unknown",
	"trusted-provider-unavailable", "attestation-failed", "by-hand", "host-tpm",
};
static const char *const alarm_types[] = {
	"vm-locked", "disk-key-missing", "provider-down", "provider-certificate", "host-persistence", "key-state",
	"vm-not-started", "datastore-locked", "host-attestation",
};

/* Without printf's %f, whose decimal point is the locale's. */
static void put_ms(FILE *f, json_int_t ms)
{
	fprintf(f, " %lld.%03lld\n", (long long)(ms / 1000), (long long)(ms % 1000));
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* How many objects of @list have @value as their member @key; @value NULL: any that is not null. */
static json_int_t count(const json_t *list, const char *key, const char *value)
{
	const json_t *o;
	json_int_t n = 0;
	size_t i;

	json_array_foreach(list, i, o) {
		const char *s = json_string_value(json_object_get(o, key));

		n += s && (!value || !strcmp(s, value));
	}
	return n;
}

static void by_member(FILE *f, const char *name, const char *help, const char *label, const json_t *list,
		      const char *key, const char *const *values, size_t n)
{
	prom_head(f, name, "gauge", help);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "vmcrypt_%s{", name);
		prom_label(f, label, values[i]);
		fprintf(f, "} %lld\n", (long long)count(list, key, values[i]));
	}
}

static void put_vms(FILE *f, const json_t *vms)
{
	if (!vms)
		return;
	by_member(f, "vms", "Registered VMs, by what they show as.", "state", vms, "shows_as", states,
		  ARRAY_SIZE(states));
	prom_plain(f, "vms_powered_on", "gauge", "VMs whose volumes are open.", count(vms, "power", "on"));
	by_member(f, "vm_locked", "VMs whose keys are not to be had, by the cause.", "cause", vms, "cause", causes,
		  ARRAY_SIZE(causes));
}

static void put_stores(FILE *f, const json_t *stores)
{
	static const char *const store_states[] = { "open", "closed" };

	if (!stores)
		return;
	by_member(f, "datastores", "Registered datastores.", "state", stores, "state", store_states,
		  ARRAY_SIZE(store_states));
	by_member(f, "datastore_locked", "Datastores whose key is not to be had, by the cause.", "cause", stores, "cause",
		  causes, ARRAY_SIZE(causes));
}

static void put_alarms(FILE *f, const json_t *alarms)
{
	if (!alarms)
		return;
	by_member(f, "alarms", "Alarms that are raised.", "type", alarms, "type", alarm_types,
		  ARRAY_SIZE(alarm_types));
	prom_plain(f, "alarms_unacknowledged", "gauge", "Raised alarms that nobody acknowledged.",
	      (json_int_t)json_array_size(alarms) - count(alarms, "acknowledged", NULL));
}

static void put_stats(FILE *f, const json_t *stats)
{
	static const char *const counters[][3] = {
		{ "kernel_wraps_total", "wraps", "Data keys wrapped by the kernel module." },
		{ "kernel_loads_total", "loads", "Data keys unwrapped for dm-crypt." },
		{ "kernel_rewraps_total", "rewraps", "Data keys put under another key." },
		{ "kernel_auth_failures_total", "auth_failures", "Wrapped keys that were altered, or under another key." },
		{ "kernel_lease_ends_total", "lease_ends", "Cached keys whose lease ran out." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		prom_plain(f, counters[i][0], "counter", counters[i][2],
		      json_integer_value(json_object_get(stats, counters[i][1])));
}

static void put_module(FILE *f, const json_t *module)
{
	bool loaded = json_is_true(json_object_get(module, "loaded"));

	prom_plain(f, "module_loaded", "gauge", "Is the kernel module there?", loaded);
	if (!loaded)
		return;
	prom_plain(f, "kek_cache_keys", "gauge", "Key encryption keys in the kernel's cache.",
	      json_integer_value(json_object_get(module, "keks")));
	if (json_object_get(module, "max_keks"))
		prom_plain(f, "kek_cache_limit", "gauge", "Keys that the cache holds at most.",
		      json_integer_value(json_object_get(module, "max_keks")));
	prom_plain(f, "deks_loaded", "gauge", "Data keys in the keyrings of VMs.",
	      json_integer_value(json_object_get(module, "deks")));
	put_stats(f, json_object_get(module, "stats"));
}

/* One line for each provider whose member @key is a number. */
static void per_provider(FILE *f, const char *name, const char *help, const json_t *providers, const char *key, bool ms)
{
	const json_t *p, *v;
	size_t i;

	prom_head(f, name, "gauge", help);
	json_array_foreach(providers, i, p) {
		v = json_object_get(p, key);
		if (!json_is_integer(v) && !json_is_boolean(v))
			continue;
		fprintf(f, "vmcrypt_%s{", name);
		prom_label(f, "provider", text_of(p, "name"));
		fputc('}', f);
		if (ms)
			put_ms(f, json_integer_value(v));
		else
			fprintf(f, " %lld\n", json_is_integer(v) ? (long long)json_integer_value(v) :
				(long long)json_is_true(v));
	}
}

static void put_key_states(FILE *f, const json_t *keys)
{
	static const char *const key_states[] = {
		"Unknown", "Pre-Active", "Active", "Deactivated", "Compromised", "Destroyed", "Destroyed Compromised",
		"Missing",
	};

	by_member(f, "keys", "Keys of registered VMs, by their state on the provider.", "state", keys, "state",
		  key_states, ARRAY_SIZE(key_states));
}

static void put_health(FILE *f, const struct metrics *m)
{
	const json_t *providers = json_object_get(m->health, "providers");
	const json_t *would_lock = json_object_get(m->health, "would_lock");
	json_int_t stores;

	prom_plain(f, "health_last_check_timestamp_seconds", "gauge", "When providers and keys were checked last; 0 never.",
	      m->health_time);
	if (!m->health)
		return;
	prom_head(f, "health_check_duration_seconds", "gauge", "How long that took.");
	fputs("vmcrypt_health_check_duration_seconds", f);
	put_ms(f, (json_int_t)m->health_ms);
	per_provider(f, "provider_up", "Does the provider answer?", providers, "ok", false);
	per_provider(f, "provider_attested", "Has the authority of the trusted provider attested this host?", providers, "attested",
		     false);
	per_provider(f, "provider_latency_seconds", "How long its answer took.", providers, "latency_ms", true);
	per_provider(f, "provider_certificate_days_left", "Days until the first of its certificates or ours ends.",
		     providers, "cert_days_left", false);
	put_key_states(f, json_object_get(m->health, "keys"));
	stores = count(would_lock, "kind", "datastore");
	prom_plain(f, "vms_would_lock", "gauge", "VMs that would be locked if this host rebooted now.",
	      (json_int_t)json_array_size(would_lock) - stores);
	prom_plain(f, "datastores_would_lock", "gauge", "Datastores that would be locked if this host rebooted now.", stores);
}

int metrics_format(const struct metrics *m, char **text, struct vmc_error *err)
{
	size_t len;
	FILE *f = open_memstream(text, &len);

	if (!f)
		return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
	prom_head(f, "build_info", "gauge", "The version of vmcryptd, as a label.");
	fputs("vmcrypt_build_info{", f);
	prom_label(f, "version", m->version);
	fputs("} 1\n", f);
	put_module(f, m->module);
	put_vms(f, m->vms);
	put_stores(f, m->stores);
	put_alarms(f, m->alarms);
	put_health(f, m);
	if (!fclose(f))
		return 0;
	free(*text);
	*text = NULL;
	return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
}
