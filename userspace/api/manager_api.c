// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Manager: the host's VMs, providers, keys, jobs and events. */
#include "manager_api.h"

#include <string.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/version.h"
#include "../vm/datastore.h"
#include "audit_api.h"
#include "alarm_api.h"
#include "call.h"
#include "guest.h"
#include "event_api.h"
#include "hints.h"
#include "job_api.h"
#include "metrics_api.h"
#include "migrate_api.h"
#include "model.h"
#include "peer_api.h"
#include "provider_api.h"
#include "provider_backup.h"

/* ---- the host --------------------------------------------------------- */

json_t *describe_module(struct backend *b)
{
	struct vmk_info i;

	if (!b->k || vmk_info(b->k, &i, NULL))
		return json_pack("{s:b, s:s, s:s}", "loaded", 0, "error", b->no_module.text,
				 "hint", b->no_module.hint);
	return json_pack("{s:b, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
		"loaded", 1, "version", i.module_version, "protocol", (int)i.protocol_version,
		"wrap_cipher", i.wrap_cipher, "keks", (int)i.keks, "max_keks", (int)i.max_keks, "vms", (int)i.vms, "deks", (int)i.deks,
		"stats", "wraps", (json_int_t)i.stats.wraps, "loads", (json_int_t)i.stats.loads,
		"rewraps", (json_int_t)i.stats.rewraps, "macs", (json_int_t)i.stats.macs,
		"auth_failures", (json_int_t)i.stats.auth_failures,
		"lease_ends", (json_int_t)i.stats.lease_ends);
}

/* Name, kind and state: the rest is for those who may see key servers (ListProviders). */
static json_t *providers_in_short(const json_t *list)
{
	json_t *out = json_array(), *p;
	size_t i;

	json_array_foreach(list, i, p)
		json_array_append_new(out, json_pack("{s:O*, s:O*, s:O*, s:O*}", "name", json_object_get(p, "name"),
			"kind", json_object_get(p, "kind"), "default", json_object_get(p, "default"),
			"state", json_object_get(p, "state")));
	return out;
}

static int run_describe(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *vms = vmm_list(b->m, err), *stores = NULL, *providers = NULL, *keys, *jobs, *alarms, *o;
	int rc = vms ? providers_list(b->ps, &providers, err) : err->code;

	if (!rc) {
		stores = vmm_datastore_list(b->m, err);
		rc = stores ? 0 : err->code;
	}
	if (rc) {
		json_decref(vms);
		json_decref(providers);
		return rc;
	}
	keys = vmm_key_list(b->m, NULL);
	jobs = vmm_jobs_pending(b->m, NULL);
	alarms = vmm_alarms(b->m, false, NULL);
	o = json_pack("{s:s, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:O?, s:s, s:s}", "version", VMC_VERSION,
		      "module", describe_module(b), "vms", (json_int_t)json_array_size(vms),
		      "datastores", (json_int_t)json_array_size(stores),
		      "providers", providers_in_short(providers), "keys", (json_int_t)json_array_size(keys),
		      "jobs_pending", (json_int_t)json_array_size(jobs),
		      "alarms", (json_int_t)json_array_size(alarms), "health", c->noted,
		      "config_dir", b->cfg.config_dir, "state_dir", b->cfg.state_dir);
	json_decref(vms);
	json_decref(stores);
	json_decref(providers);
	json_decref(keys);
	json_decref(jobs);
	json_decref(alarms);
	return call_answer_json(c, o, err);
}

/* ---- VMs -------------------------------------------------------------- */

static int run_list_vms(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_list(b->m, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_get_vm(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_resolve(b->m, c->s[0], c->vm, err);
}

static int run_create_vm(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct vmm_create v = {
		.name = c->s[0], .dir = c->s[1], .id = c->o.uuid, .provider = c->o.provider,
		.home_size = c->o.home_size,
	};

	return vmm_create(b->m, &v, c->progress, c->vm, err);
}

static int run_register_vm(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_register(b->m, c->s[0], c->o.from_headers, c->vm, err);
}

static int run_unlock_vms(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = vmm_unlock(b->m, (const char *const *)c->list, c->n_list, c->progress, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int run_register_many(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = vmm_register_many(b->m, c->s[0], c->o.from_headers, c->progress, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int run_health(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = vmm_health(b->m, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int run_forecast(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_forecast(b->m, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_recrypt_shallow(struct call *c, struct backend *b, struct vmc_error *err)
{
	const char *const *vms = (const char *const *)c->list;
	const struct call_options *with = &c->o;
	json_t *o = NULL;
	int rc;

	if (!!with->provider + !!with->add_provider + !!with->remove_provider > 1)
		return vmc_fail(err, VMC_EINVAL, "provider, add_provider and remove_provider exclude each other");
	rc = with->add_provider ? vmm_add_provider(b->m, vms, c->n_list, with->add_provider, c->progress, &o, err) :
	     with->remove_provider ?
	     vmm_remove_provider(b->m, vms, c->n_list, with->remove_provider, c->progress, &o, err) :
	     vmm_recrypt_shallow(b->m, vms, c->n_list, with->provider, c->progress, &o, err);
	return rc ? rc : call_answer_json(c, o, err);
}

static int run_set_migration_encryption(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct vmm_policy_set set = {
		.vms = (const char *const *)c->list, .n = c->n_list, .live = c->o.live, .guest = guest_look,
	};
	json_t *o = NULL;
	int rc;

	rc = migration_encryption_parse(c->s[0], &set.policy, err);
	if (!rc)
		rc = vmm_set_policy(b->m, &set, &o, err);
	return rc ? rc : call_answer_json(c, o, err);
}

static int run_list_policies(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_policies(b->m, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

/* ---- providers -------------------------------------------------------- */

static int run_list_providers(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = providers_list(b->ps, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static void tell_provider(struct call *c, const char *type, const char *message_id, const char *name,
			  const char *what)
{
	json_t *d = json_pack("{s:s}", "provider", name);

	event_tell(c->api, type, message_id, NULL, d, "key provider '%s' %s", name, message_say(what));
	json_decref(d);
}

static int run_add_provider(struct call *c, struct backend *b, struct vmc_error *err)
{
	int (*add)(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err);
	json_t *options;
	int rc;

	if (!strcmp(c->s[0], "kmip")) {
		add = providers_add_kmip;
	} else if (!strcmp(c->s[0], "native")) {
		add = providers_add_native;
	} else if (!strcmp(c->s[0], "trusted")) {
		add = providers_add_trusted;
	} else {
		vmc_fail(err, VMC_ENOTSUP, "unknown kind of key provider '%s'", c->s[0]);
		vmc_hint(err, "this vmcryptd knows: kmip, native, trusted");
		return VMC_ENOTSUP;
	}
	options = call_parse_object(c->s[2], N_("the options of AddProvider"), err);
	if (!options)
		return VMC_EINVAL;
	rc = provider_refuse_secrets(options, err);
	if (!rc)
		rc = add(b->ps, c->s[1], options, err);
	json_decref(options);
	if (!rc)
		call_poke(c);
	if (!rc)
		tell_provider(c, "provider-added", VMC_MSG_PROVIDER_ADDED, c->s[1], N_("was added"));
	return rc;
}

/* Names up to three VMs that have a key on @provider. */
static size_t name_users(json_t *keys, const char *provider, char *names, size_t size)
{
	json_t *key, *vm;
	size_t i, j, n = 0, at = 0;

	names[0] = '\0';
	json_array_foreach(keys, i, key) {
		const char *p = json_string_value(json_object_get(key, "provider"));

		if (!p || strcmp(p, provider))
			continue;
		json_array_foreach(json_object_get(key, "vms"), j, vm) {
			const char *name = json_string_value(json_object_get(vm, "name"));

			const char *kind = json_string_value(json_object_get(vm, "kind"));
			bool store = kind && !strcmp(kind, "datastore");

			if (name && n < 3 && at < size && !strstr(names, name))
				at += (size_t)snprintf(names + at, size - at, store ? _("%sdatastore '%s'") : "%s'%s'",
						       at ? ", " : "", name);
			n++;
		}
	}
	return n;
}

/* The providers know no VMs, so that they are not taken from under one is seen to here. */
static int refuse_used(struct backend *b, const char *provider, struct vmc_error *err)
{
	json_t *keys = vmm_key_list(b->m, err);
	char names[256];
	size_t n;

	if (!keys)
		return err->code;
	n = name_users(keys, provider, names, sizeof(names));
	json_decref(keys);
	if (!n)
		return 0;
	vmc_fail(err, VMC_EBUSY, "key provider '%s' holds keys of VMs of this host: %s%s", provider, names,
		 n > 3 ? " ..." : "");
	vmc_hint(err, "give them keys of another provider (vmcrypt vm recrypt --shallow --provider), or unregister them");
	return VMC_EBUSY;
}

static int run_remove_provider(struct call *c, struct backend *b, struct vmc_error *err)
{
	int rc = refuse_used(b, c->s[0], err);

	if (!rc)
		rc = providers_remove(b->ps, c->s[0], err);
	if (!rc)
		call_poke(c);
	if (!rc)
		tell_provider(c, "provider-removed", VMC_MSG_PROVIDER_REMOVED, c->s[0], N_("was removed"));
	return rc;
}

static int run_set_default(struct call *c, struct backend *b, struct vmc_error *err)
{
	int rc = providers_set_default(b->ps, c->s[0], err);

	if (!rc)
		tell_provider(c, "provider-default", VMC_MSG_PROVIDER_DEFAULT, c->s[0], N_("is the default now"));
	return rc;
}

/* ---- keys ------------------------------------------------------------- */

static int run_list_keys(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_key_list(b->m, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_show_key(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_key_show(b->m, c->s[0], err);

	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_remove_key(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_key_remove(b->m, c->s[0], c->o.destroy, c->o.force, err);
}

/* ---- jobs and events -------------------------------------------------- */

static bool listed(json_t *running, const char *id)
{
	json_t *j;
	size_t i;

	json_array_foreach(running, i, j) {
		const char *other = json_string_value(json_object_get(j, "id"));

		if (id && other && !strcmp(other, id))
			return true;
	}
	return false;
}

/* Those that run were noted when the call came in; those that wait are added. */
static int run_list_jobs(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *pending = vmm_jobs_pending(b->m, err), *job, *list;
	size_t i;

	if (!pending)
		return err->code;
	list = json_incref(c->noted);
	json_array_foreach(pending, i, job) {
		if (listed(list, json_string_value(json_object_get(job, "id"))))
			continue;
		json_object_set_new(job, "state", json_string("pending"));
		json_object_set_new(job, "object", json_null());
		json_array_append(list, job);
	}
	json_decref(pending);
	return call_answer_json(c, list, err);
}

static void note_jobs(struct call *c)
{
	c->noted = bus_jobs_describe(c->api->jobs);
}

static int run_abandon_job(struct call *c, struct backend *b, struct vmc_error *err)
{
	if (listed(c->noted, c->s[0])) {
		vmc_fail(err, VMC_EBUSY, "job '%s' is running", c->s[0]);
		vmc_hint(err, "cancel it first: method Cancel of its Job object, see ListJobs");
		return VMC_EBUSY;
	}
	return vmm_job_abandon(b->m, c->s[0], err);
}

static int run_get_metrics(struct call *c, struct backend *b, struct vmc_error *err)
{
	return metrics_collect(b, c->noted, &c->text, err);
}

static void note_health(struct call *c)
{
	c->noted = health_copy(c->api);
}

/* ---- tables ----------------------------------------------------------- */

static const struct option_spec create_vm_options[] = {
	OPTION(uuid, 's'), OPTION(provider, 's'), OPTION(home_size, 't'), OPTIONS_END
};

static const struct option_spec register_vm_options[] = { OPTION(from_headers, 'b'), OPTIONS_END };
static const struct option_spec recrypt_options[] = {
	OPTION(provider, 's'), OPTION(add_provider, 's'), OPTION(remove_provider, 's'), OPTIONS_END
};
static const struct option_spec set_policy_options[] = { OPTION(live, 'b'), OPTIONS_END };
static const struct option_spec remove_key_options[] = {
	OPTION(destroy, 'b'), OPTION(force, 'b'), OPTIONS_END
};

static const struct method manager_methods[] = {
	METHOD("Describe", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_describe, 's', .note = note_health),
	METHOD("ListVMs", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_vms, 's'),
	METHOD("GetVM", "read", POOL_READ, NULL, NULL, LOOK_VM, run_get_vm, 'o'),
	METHOD("CreateVM", "encrypt-new", POOL_ACT, "vm-create", create_vm_options, LOOK_VM,
	  run_create_vm, 'i'),
	METHOD("RegisterVM", "register-vm", POOL_ACT, NULL, register_vm_options, LOOK_VM,
	  run_register_vm, 'i'),
	METHOD("UnlockVMs", "register-vm", POOL_ACT, "unlock", NULL, LOOK_ALL_VMS, run_unlock_vms, 's'),
	METHOD("RegisterMany", "register-vm", POOL_ACT, "register-many", register_vm_options, LOOK_ALL_VMS,
	  run_register_many, 's'),
	METHOD("Health", "read-key-servers", POOL_ACT, "health", NULL, LOOK_ALL_VMS, run_health, 's'),
	METHOD("Forecast", "read", POOL_ACT, "forecast", NULL, LOOK_NOT, run_forecast, 's'),
	METHOD("RecryptShallow", "recrypt", POOL_COPY, "recrypt-shallow", recrypt_options, LOOK_ALL_VMS,
	  run_recrypt_shallow, 's'),
	METHOD("SetMigrationEncryption", "manage-encryption-policy", POOL_ACT, NULL, set_policy_options, LOOK_NOT,
	  run_set_migration_encryption, 's'),
	METHOD("ListMigrationPolicies", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_policies, 's'),
	METHOD("ListProviders", "read-key-servers", POOL_READ, NULL, NULL, LOOK_NOT, run_list_providers, 's'),
	METHOD("AddProvider", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS,
	  run_add_provider, 'p'),
	METHOD("ImportProvider", "manage-key-servers", POOL_ACT, NULL, provider_import_options, LOOK_PROVIDERS,
	  provider_run_import, 's'),
	METHOD("RemoveProvider", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS,
	  run_remove_provider, 0),
	METHOD("SetDefaultProvider", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS,
	  run_set_default, 0),
	METHOD("ListKeys", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_keys, 's'),
	METHOD("ShowKey", "read-key-servers", POOL_ACT, NULL, NULL, LOOK_NOT, run_show_key, 's'),
	METHOD("RemoveKey", "manage-keys", POOL_ACT, NULL, remove_key_options, LOOK_ALL_VMS,
	  run_remove_key, 0),
	METHOD("ListJobs", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_jobs, 's', .note = note_jobs),
	METHOD("AbandonJob", "cancel-job", POOL_ACT, NULL, NULL, LOOK_ALL_VMS, run_abandon_job, 0,
	  .note = note_jobs),
	METHOD("ListAudit", "read-audit", POOL_READ, NULL, list_audit_options, LOOK_NOT, run_list_audit, 's'),
	METHOD("VerifyAudit", "read-audit", POOL_READ, NULL, verify_audit_options, LOOK_NOT, run_verify_audit, 's'),
	METHOD("GetAuditHead", "read-audit", POOL_READ, NULL, NULL, LOOK_NOT, run_audit_head, 's'),
	METHOD("ExportAudit", "read-audit", POOL_ACT, NULL, NULL, LOOK_NOT, run_export_audit, 0),
	METHOD("ListEvents", "read", POOL_READ, NULL, list_events_options, LOOK_NOT, run_list_events, 's'),
	METHOD("ListAlarms", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_alarms, 's'),
	METHOD("AcknowledgeAlarm", "acknowledge-alarm", POOL_ACT, NULL, NULL, LOOK_NOT, run_acknowledge_alarm, 0),
	METHOD("Migrate", "migrate", POOL_COPY, "migrate", migrate_options, LOOK_ALL_VMS, run_migrate, 's',
	  .ends_at_stop = true),
	METHOD("ListPeers", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list_peers, 's'),
	METHOD("ShowPeer", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_show_peer, 's'),
	METHOD("AddPeer", "register-host", POOL_ACT, NULL, add_peer_options, LOOK_NOT, run_add_peer, 0),
	METHOD("TestPeer", "read", POOL_ACT, NULL, NULL, LOOK_NOT, run_test_peer, 's'),
	METHOD("RemovePeer", "register-host", POOL_ACT, NULL, NULL, LOOK_NOT, run_remove_peer, 0),
	METHOD("GetMetrics", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_get_metrics, 's', .note = note_health),
	{ 0 }
};

const struct interface manager_interface = { "org.vmcrypt1.Manager", manager_methods };

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *data, sd_bus_error *e)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)data, (void)e;
	return sd_bus_message_append(reply, "s", VMC_VERSION);
}

static int get_module(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *data, sd_bus_error *e)
{
	struct api *a = ((struct object *)data)->api;
	bool loaded = a->backend && a->backend->k;

	(void)bus, (void)path, (void)interface, (void)e;
	if (!strcmp(property, "ModuleLoaded"))
		return sd_bus_message_append(reply, "b", loaded);
	return sd_bus_message_append(reply, "s", loaded ? a->backend->info.module_version : "");
}

static int get_default(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *data, sd_bus_error *e)
{
	struct api *a = ((struct object *)data)->api;

	(void)bus, (void)path, (void)interface, (void)property, (void)e;
	return sd_bus_message_append(reply, "s", model_default_provider(a->model));
}

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED		/* auth.c decides, not a capability */
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define NONE SD_BUS_NO_RESULT
#define JSON SD_BUS_RESULT("s", json)

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("ModuleLoaded", "b", get_module, 0, CHANGES),
	SD_BUS_PROPERTY("ModuleVersion", "s", get_module, 0, CHANGES),
	SD_BUS_PROPERTY("DefaultProvider", "s", get_default, 0, CHANGES),
	SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListVMs", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("GetVM", SD_BUS_ARGS("s", vm), SD_BUS_RESULT("o", object), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("CreateVM", SD_BUS_ARGS("s", name, "s", directory, "a{sv}", options),
				SD_BUS_RESULT("s", id, "o", object), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RegisterVM", SD_BUS_ARGS("s", path, "a{sv}", options),
				SD_BUS_RESULT("s", id, "o", object), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("UnlockVMs", SD_BUS_ARGS("as", vms), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RegisterMany", SD_BUS_ARGS("s", directory, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Health", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Forecast", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RecryptShallow", SD_BUS_ARGS("as", vms, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("SetMigrationEncryption", SD_BUS_ARGS("as", vms, "s", policy, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListMigrationPolicies", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListProviders", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("AddProvider", SD_BUS_ARGS("s", kind, "s", name, "s", options),
				SD_BUS_RESULT("o", object), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ImportProvider", SD_BUS_ARGS("h", backup, "h", password, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RemoveProvider", SD_BUS_ARGS("s", name), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("SetDefaultProvider", SD_BUS_ARGS("s", name), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListKeys", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ShowKey", SD_BUS_ARGS("s", id), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RemoveKey", SD_BUS_ARGS("s", id, "a{sv}", options), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("AbandonJob", SD_BUS_ARGS("s", id), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListAudit", SD_BUS_ARGS("a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("VerifyAudit", SD_BUS_ARGS("a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("GetAuditHead", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ExportAudit", SD_BUS_ARGS("h", file), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListEvents", SD_BUS_ARGS("u", limit, "a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListAlarms", SD_BUS_ARGS("b", history), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("AcknowledgeAlarm", SD_BUS_ARGS("s", id), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Migrate", SD_BUS_ARGS("s", vm, "s", to, "a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ListPeers", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ShowPeer", SD_BUS_ARGS("s", name), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("AddPeer", SD_BUS_ARGS("s", name, "a{sv}", options), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("TestPeer", SD_BUS_ARGS("s", name), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RemovePeer", SD_BUS_ARGS("s", name), NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text), call_dispatch, OPEN),
	SD_BUS_SIGNAL_WITH_ARGS("Alarm", SD_BUS_ARGS("s", state, "s", id, "s", json), 0),
	SD_BUS_METHOD_WITH_ARGS("SetHints", SD_BUS_ARGS("a{ss}", hints), NONE, hints_method, OPEN),
	SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("s", type, "s", vm, "s", text, "s", json), 0),
	SD_BUS_VTABLE_END
};

int manager_api_add(struct api *a, struct vmc_error *err)
{
	int r;

	r = sd_bus_add_object_manager(a->bus, NULL, API_PATH);
	if (r >= 0)
		r = sd_bus_add_object_vtable(a->bus, NULL, API_PATH, manager_interface.name, manager_vtable,
					     &a->self);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the manager object") : 0;
}
