// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Health: are the providers there, and would they give the keys that VMs use? Asked
 * before it matters, so that an outage is an alarm while all VMs still have their
 * keys, and so that VMs unlock when it is over.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "alarm.h"
#include "missing.h"
#include "store.h"
#include "vm_priv.h"

#define CHUNK 256	/* keys in one question */

struct checkup {
	struct key_set keys;		/* of all VMs; what their providers say of them */
	char **ids;			/* of all VMs */
	size_t n;
	json_t *providers;		/* name: {name, kind, ok, error?, hint?, code, cert_days_left, latency_ms} */
};

/* ---- providers ------------------------------------------------------------------- */

static void min_days(int *least, const json_t *days)
{
	if (json_is_integer(days) && json_integer_value(days) < *least)
		*least = (int)json_integer_value(days);
}

static void read_attestation(json_t *o, const json_t *report)
{
	json_t *at = json_object_get(report, "attestation"), *next = json_object_get(report, "next");
	const char *state = json_string_value(json_object_get(at, "state"));

	if (!state)
		return;
	json_object_set(o, "attestation", at);
	json_object_set_new(o, "attested", json_boolean(!strcmp(state, "attested")));
	if (next)
		json_object_set(o, "next", next);
}

/* The shortest-lived certificate, and how fast the fastest server was. */
static void read_report(json_t *o, const json_t *report)
{
	const json_t *server, *latency, *servers = json_object_get(report, "servers");
	json_int_t fastest = -1;
	int days = INT_MAX;
	size_t i;

	min_days(&days, json_object_get(json_object_get(report, "client_cert"), "days_left"));
	json_array_foreach(servers, i, server) {
		min_days(&days, json_object_get(server, "cert_days_left"));
		latency = json_object_get(server, "latency_ms");
		if (json_is_true(json_object_get(server, "ok")) && json_is_integer(latency) &&
		    (fastest < 0 || json_integer_value(latency) < fastest))
			fastest = json_integer_value(latency);
	}
	json_object_set_new(o, "cert_days_left", days == INT_MAX ? json_null() : json_integer(days));
	json_object_set_new(o, "latency_ms", fastest < 0 ? json_null() : json_integer(fastest));
	read_attestation(o, report);
}

static const char *first_error(const json_t *report)
{
	const json_t *server;
	const char *error;
	size_t i;

	json_array_foreach(json_object_get(report, "servers"), i, server) {
		error = json_string_value(json_object_get(server, "error"));
		if (error)
			return error;
	}
	return NULL;
}

static int test(struct provider *p, json_t *o, struct vmc_error *err)
{
	json_t *report = NULL;
	const char *said, *own;
	int r;

	if (!p->ops->test)
		return 0;
	r = p->ops->test(p, &report, err);
	if (!r)
		read_report(o, report);
	own = json_string_value(json_object_get(report, "error"));
	if (!r && own) {		/* one without servers tells for itself */
		r = vmc_fail(err, vmc_code_from_name(json_string_value(json_object_get(report, "code"))), "%s", own);
		vmc_hint(err, "%s", json_string_value(json_object_get(report, "hint")) ?: "");
	} else if (!r && json_is_false(json_object_get(report, "reachable"))) {
		said = first_error(report);
		r = vmc_fail(err, VMC_EUNREACH, "no server of key provider '%s' answers%s%s", p->name,
			     said ? ": " : "", said ? said : "");
		vmc_hint(err, "'vmcrypt provider test %s' shows each server", p->name);
	}
	json_decref(report);
	return r;
}

static json_t *check_provider(struct vmm *m, const char *name)
{
	json_t *o = json_pack("{s:s, s:n, s:n, s:n}", "name", name, "kind", "cert_days_left", "latency_ms");
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *p;
	int r;

	r = providers_get(m->ps, name, &p, &err);
	if (!r) {
		json_object_set_new(o, "kind", json_string(p->ops->kind));
		r = test(p, o, &err);
		provider_put(p);
	}
	json_object_set_new(o, "ok", json_boolean(!r));
	if (r) {
		err.code = r;
		json_set_error(o, &err);
	}
	return o;
}

/* Those that are configured, and those that VMs name. */
static int check_providers(struct vmm *m, struct checkup *c, struct vmc_error *err)
{
	char name[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	json_t *list, *o;
	size_t i;
	int r;

	r = providers_list(m->ps, &list, err);
	if (r)
		return r;
	json_array_foreach(list, i, o) {
		const char *configured = json_string_value(json_object_get(o, "name"));

		json_object_set_new(c->providers, configured, check_provider(m, configured));
	}
	json_decref(list);
	for (i = 0; i < c->keys.n; i++)
		if (!kek_id_split(c->keys.needs[i].id, name, key, NULL) && !json_object_get(c->providers, name))
			json_object_set_new(c->providers, name, check_provider(m, name));
	return 0;
}

/* ---- keys ------------------------------------------------------------------------ */

static void all_fail(struct kek_need *needs, size_t n, const struct vmc_error *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		needs[i].code = err->code;
		needs[i].err = *err;
	}
}

/* As a fetch would end: what is not Active is not given. */
static void take_answer(struct kek_need *need, const struct provider_key *k)
{
	need->state = k->state;
	need->code = k->code;
	need->err = k->err;
	if (need->code)
		return;
	if (k->state != PKS_ACTIVE)
		need->code = vmc_fail(&need->err, VMC_EKEYSTATE, "key '%s' is %s on its provider, not Active", need->id,
				      provider_key_state_name(k->state));
}

static void ask_chunk(struct provider *p, struct kek_need *needs, size_t n)
{
	struct provider_key *keys = calloc(n, sizeof(*keys));
	struct vmc_error err = VMC_ERROR_INIT;
	char name[PROVIDER_NAME_MAX + 1];
	bool said = false;
	size_t i;
	int r;

	if (!keys) {
		vmc_fail(&err, VMC_ENOMEM, "out of memory");
		all_fail(needs, n, &err);
		return;
	}
	for (i = 0; i < n; i++)
		kek_id_split(needs[i].id, name, keys[i].id, NULL);
	r = p->ops->state(p, keys, n, &err);
	for (i = 0; i < n; i++)
		said |= keys[i].code || keys[i].state != PKS_UNKNOWN;
	if (r && !said) {	/* nobody spoke for any of them */
		err.code = r;
		all_fail(needs, n, &err);
	} else {
		for (i = 0; i < n; i++)
			take_answer(&needs[i], &keys[i]);
	}
	for (i = 0; i < n; i++)
		needs[i].trusted = !strcmp(p->ops->kind, "trusted");
	provider_keys_clear(keys, n);
	free(keys);
}

/* All of one provider. */
static void ask_group(struct vmm *m, const struct checkup *c, const char *name, struct kek_need *needs, size_t n)
{
	const json_t *health = json_object_get(c->providers, name);
	const char *said = json_string_value(json_object_get(health, "error"));
	const char *hint = json_string_value(json_object_get(health, "hint"));
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *p;
	size_t i, size;

	if (said) {	/* it was asked a moment ago: no second wait for its deadline */
		vmc_fail(&err, vmc_code_from_name(json_string_value(json_object_get(health, "code"))), "%s", said);
		if (hint)
			vmc_hint(&err, "%s", hint);
		all_fail(needs, n, &err);
		return;
	}
	if (providers_get(m->ps, name, &p, &err)) {
		all_fail(needs, n, &err);
		return;
	}
	for (i = 0; i < n; i += size) {
		size = n - i < CHUNK ? n - i : CHUNK;
		ask_chunk(p, needs + i, size);
	}
	provider_put(p);
}

static void ask_keys(struct vmm *m, struct checkup *c)
{
	char name[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct kek_need *needs = c->keys.needs;
	struct vmc_error err = VMC_ERROR_INIT;
	size_t i, end, len;

	for (i = 0; i < c->keys.n; i = end) {
		end = i + 1;
		if (kek_id_split(needs[i].id, name, key, &err)) {
			all_fail(&needs[i], 1, &err);
			continue;
		}
		len = strlen(name);
		while (end < c->keys.n && !strncmp(needs[end].id, needs[i].id, len + 1))
			end++;
		ask_group(m, c, name, needs + i, end - i);
	}
}

static int each_vm(struct vmm *m, int (*fn)(const struct vm *vm, void *data, struct vmc_error *err), void *data,
		   struct vmc_error *err)
{
	size_t i;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !r && i < m->n; i++)
		r = fn(m->vms[i], data, err);
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int gather_keys(const struct vm *vm, void *data, struct vmc_error *err)
{
	struct checkup *c = data;
	int r = keys_add_bundle(&c->keys, &vm->b, err);

	for (size_t i = 0; !r && i < c->keys.n_spares; i++)
		r = keys_add(&c->keys, c->keys.spares[i].second, err);
	c->keys.n_spares = 0;	/* they are asked about like the others */
	return r;
}

static void checkup_clear(struct checkup *c)
{
	keys_clear(&c->keys);
	ids_free(c->ids, c->n);
	json_decref(c->providers);
}

static int examine(struct vmm *m, struct checkup *c, struct vmc_error *err)
{
	int r;

	memset(c, 0, sizeof(*c));
	c->keys.states_only = true;
	c->providers = json_object();
	if (!c->providers)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	r = vm_ids(m, WHICH_EITHER, NULL, 0, &c->ids, &c->n, err);
	if (!r)
		r = each_vm(m, gather_keys, c, err);
	if (r)
		return r;
	keys_sort(&c->keys);
	r = check_providers(m, c, err);
	if (!r) {
		ask_keys(m, c);
		cache_kept(c->keys.needs, c->keys.n);
	}
	return r;
}

/* ---- what it means for a VM ------------------------------------------------------- */

/* What it would come to if no key were on this host. */
struct outlook {
	char id[VMC_UUID_STR], name[64];
	enum vm_cause cause;		/* NONE: it would have all its keys */
	enum vm_cause on_provider;	/* the same if no key were kept on this host */
	bool disk_only;			/* the VM key is to be had, that of a disk is not */
	bool unlock;			/* it lacks keys now, and they are to be had */
	bool locked;			/* it is locked now: that has an alarm of its own */
	bool store;			/* it is a datastore */
	json_t *missing;
};

/* @kept: those that are back after a reboot with no provider count as to be had. */
static bool is_had(const struct kek_need *need, bool kept)
{
	return !need->code || (kept && need->kept);
}

static enum vm_cause lacks(const struct key_set *s, const struct bundle_volume *v, bool kept)
{
	const struct kek_need *need = keys_find(s, v->kek_id);
	const struct kek_need *second = wrap_is_double(v) ? keys_find(s, v->second.kek_id) : NULL;

	if (!need || is_had(need, kept) || (second && is_had(second, kept)))
		return VM_CAUSE_NONE;
	return vm_cause_of(need->code, need->trusted);
}

/* @disk_only: it is not the VM key. */
static enum vm_cause lacks_any(const struct key_set *s, const struct vm *vm, bool kept, bool *disk_only)
{
	enum vm_cause cause = lacks(s, &vm->b.v[0], kept);
	size_t i;

	*disk_only = cause == VM_CAUSE_NONE;
	for (i = 1; cause == VM_CAUSE_NONE && i < vm->b.n; i++)
		cause = lacks(s, &vm->b.v[i], kept);
	*disk_only &= cause != VM_CAUSE_NONE;
	return cause;
}

static int look_ahead(const struct checkup *c, const struct vm *vm, struct outlook *o)
{
	bool disk_only;

	memset(o, 0, sizeof(*o));
	memcpy(o->id, vm->id, sizeof(o->id));
	memcpy(o->name, vm->row.name, sizeof(o->name));
	o->locked = vm->row.key_state != VM_KEYS_OK;
	o->store = vm_is_store(vm);
	if (!vm->b.n)
		return 0;
	o->on_provider = lacks_any(&c->keys, vm, false, &disk_only);
	o->cause = lacks_any(&c->keys, vm, true, &o->disk_only);
	o->unlock = !vm_locked_by_hand(vm) && !vm->row.on &&
		((vm->row.key_state == VM_KEYS_LOCKED && (o->on_provider == VM_CAUSE_NONE || disk_only)) ||
		 (vm->row.key_state == VM_KEYS_DISK_MISSING && o->on_provider == VM_CAUSE_NONE));
	if (vm_locked_by_hand(vm)) {
		o->cause = o->on_provider = VM_CAUSE_BY_HAND;
		o->disk_only = false;
	}
	o->missing = missing_keys(&c->keys, &vm->b);
	return o->missing ? 0 : VMC_ENOMEM;
}

struct outlooks {
	const struct checkup *c;
	struct outlook *o;
	size_t n, room;
};

static int add_outlook(const struct vm *vm, void *data, struct vmc_error *err)
{
	struct outlooks *all = data;

	if (all->n < all->room && !look_ahead(all->c, vm, &all->o[all->n])) {
		all->n++;
		return 0;
	}
	/* one that came meanwhile is for the next time */
	return all->n < all->room ? vmc_fail(err, VMC_ENOMEM, "out of memory") : 0;
}

static void outlooks_clear(struct outlooks *all)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		json_decref(all->o[i].missing);
	free(all->o);
}

static int look_at_all(struct vmm *m, const struct checkup *c, struct outlooks *all, struct vmc_error *err)
{
	memset(all, 0, sizeof(*all));
	all->c = c;
	all->o = calloc(c->n + 1, sizeof(*all->o));
	if (!all->o)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	all->room = c->n;
	return each_vm(m, add_outlook, all, err);
}

static json_t *outlook_json(const struct vmm *m, const struct outlook *o)
{
	char todo[1536];

	missing_remedy(o->store, o->cause, o->name, o->missing, todo, sizeof(todo));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "id", o->id, "name", o->name,
			 "kind", o->store ? ENTITY_STORE : ENTITY_VM,
			 "cause", vm_cause_name(o->cause), "text",
			 o->disk_only ? _("A disk would lack its key, and the VM could not be powered on with it.") :
			 o->store ? store_cause_text(o->cause) : vm_cause_text(o->cause, m->cfg->wording),
			 "remedy", todo, "disk_only", o->disk_only, "keys", o->missing);
}

static json_t *would_lock(const struct vmm *m, const struct outlooks *all)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->o[i].cause != VM_CAUSE_NONE)
			json_array_append_new(list, outlook_json(m, &all->o[i]));
	return list;
}

static json_int_t count_well(const struct outlooks *all)
{
	json_int_t well = 0;
	size_t i;

	for (i = 0; i < all->n; i++)
		well += !all->o[i].store && all->o[i].cause == VM_CAUSE_NONE;
	return well;
}

json_t *vmm_forecast(struct vmm *m, struct vmc_error *err)
{
	struct outlooks all = { 0 };
	struct checkup c;
	json_t *out = NULL;

	if (!examine(m, &c, err) && !look_at_all(m, &c, &all, err)) {
		out = json_pack("{s:o, s:I}", "vms", would_lock(m, &all), "ok", count_well(&all));
	}
	outlooks_clear(&all);
	checkup_clear(&c);
	return out;
}

/* ---- alarms ------------------------------------------------------------------------- */

static void set_alarm(struct vmm *m, bool raised, const struct vmm_alarm *a)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int r = raised ? vmm_alarm_raise(m, a, &err) :
		vmm_alarm_clear(m, a->type, a->entity_kind, a->entity_id, &err);

	if (r)
		log_err("alarm '%s' of '%s': %s", a->type, a->entity_id, err.text);
}

static void provider_alarms(struct vmm *m, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const json_t *days = json_object_get(o, "cert_days_left");
	bool configured = strcmp("NotFound", json_string_value(json_object_get(o, "code")) ?: "");
	struct vmm_alarm down = {
		.type = VMM_ALARM_PROVIDER_DOWN, .severity = VMM_CRITICAL, .entity_kind = "provider",
		.entity_id = name, .reason = json_string_value(json_object_get(o, "error")),
		.text = N_("The key provider does not give keys. VMs that have theirs keep them; those that need one lock."),
		.remedy = N_("'vmcrypt provider test {provider}' says what is wrong; 'vmcrypt doctor' says which VMs would lock if this host rebooted now"),
	};
	struct vmm_alarm cert = {
		.type = VMM_ALARM_PROVIDER_CERT, .severity = VMM_WARNING, .entity_kind = "provider", .entity_id = name,
		.text = N_("A certificate for the key provider expires soon, and with it the connection to it."),
		.remedy = N_("'vmcrypt provider show {provider}' names the certificate; 'vmcrypt provider trust {provider} csr' begins its renewal"),
	};

	/* A name that only VMs know is those VMs' alarm. */
	set_alarm(m, json_is_false(json_object_get(o, "ok")) && configured, &down);
	if (json_is_integer(days))
		set_alarm(m, json_integer_value(days) <= (json_int_t)m->cfg->cert_warn_days, &cert);
}

/* Of providers that are not configured any more. */
static void clear_strangers(struct vmm *m, const struct checkup *c)
{
	struct inv_alarm *alarms;
	size_t i, n;

	if (inventory_alarms(m->inv, false, &alarms, &n, NULL))
		return;
	for (i = 0; i < n; i++)
		if (!strcmp(alarms[i].kind, "provider") && !json_object_get(c->providers, alarms[i].entity))
			vmm_alarm_clear(m, alarms[i].type, "provider", alarms[i].entity, NULL);
	inventory_alarms_free(alarms, n);
}

/* Only a provider that answered says anything about its keys. */
static void key_alarm(struct vmm *m, const struct outlook *o)
{
	struct vmm_alarm a = {
		.type = VMM_ALARM_KEY_STATE, .severity = VMM_WARNING, .entity_kind = o->store ? ENTITY_STORE : ENTITY_VM,
		.entity_id = o->id, .entity_name = o->name, .cause = o->on_provider, .keys = o->missing,
		.text = o->store ? N_("The key of this datastore is gone from its provider, or not active. It stays open, and locks when it needs the key anew.") :
		N_("Keys of this VM are gone from its provider, or not active. It keeps those that it has, and locks when it needs them anew."),
		.remedy = o->store ? N_("Ask the KMS administrator to restore or reactivate the key, or move the datastore to a new one: 'vmcrypt datastore recrypt --shallow {vm}'") :
		N_("Ask the KMS administrator to restore or reactivate the keys, or move the VM to a new key: 'vmcrypt vm recrypt --shallow {vm}'"),
	};

	if (o->locked || o->on_provider == VM_CAUSE_NONE)
		set_alarm(m, false, &a);
	else if (o->on_provider == VM_CAUSE_KEYS_MISSING_KMS)
		set_alarm(m, true, &a);
}

static void raise_all(struct vmm *m, const struct checkup *c, const struct outlooks *all)
{
	const char *name;
	json_t *o;
	size_t i;

	json_object_foreach(c->providers, name, o) {
		provider_alarms(m, o);
		vm_follow_attestation(m, o);
	}
	clear_strangers(m, c);
	for (i = 0; i < all->n; i++)
		key_alarm(m, &all->o[i]);
}

/* ---- health ----------------------------------------------------------------------------- */

static void add_unlocked(const json_t *out, json_t *unlocked)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(out, "results"), i, o)
		if (json_is_true(json_object_get(o, "ok")))
			json_array_append_new(unlocked, json_pack("{s:O, s:O}", "id", json_object_get(o, "vm"),
								  "name", json_object_get(o, "name")));
}

/* A VM that somebody unregisters meanwhile is no reason to leave the others locked. */
static json_t *unlock_some(struct vmm *m, const struct outlooks *all)
{
	json_t *unlocked = json_array(), *out = NULL;
	const char **ids = calloc(all->n + 1, sizeof(*ids));
	struct vmc_error err = VMC_ERROR_INIT;
	char there[VMC_UUID_STR];
	size_t i, n = 0;

	for (i = 0; ids && i < all->n; i++)
		if (all->o[i].unlock && !vm_resolve(m, WHICH_EITHER, all->o[i].id, there, NULL))
			ids[n++] = all->o[i].id;
	if (n && unlock_many(m, WHICH_EITHER, ids, n, NULL, &out, &err))
		log_warn("%zu VMs could be unlocked, and were not: %s", n, err.text);
	add_unlocked(out, unlocked);
	json_decref(out);
	free(ids);
	return unlocked;
}

/* The VMs come one after another. */
static void note_use(json_t *by_key, const char *kek_id, const struct vm *vm)
{
	json_t *vms = json_object_get(by_key, kek_id);
	const json_t *last;

	if (!vms) {
		vms = json_array();
		json_object_set_new(by_key, kek_id, vms);
	}
	last = json_array_get(vms, json_array_size(vms) - 1);
	if (!last || strcmp(json_string_value(json_object_get(last, "id")), vm->id))
		json_array_append_new(vms, json_pack("{s:s, s:s, s:s}", "id", vm->id, "name", vm->row.name,
						     "kind", alarm_entity(vm)));
}

/* {id, state, vms}: one for each key that a VM uses. */
static json_t *keys_json(struct vmm *m, const struct checkup *c)
{
	json_t *list = json_array(), *by_key = json_object(), *vms;
	size_t i, j;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		for (j = 0; j < vm->b.n; j++) {
			note_use(by_key, vm->b.v[j].kek_id, vm);
			if (wrap_is_double(&vm->b.v[j]))
				note_use(by_key, vm->b.v[j].second.kek_id, vm);
		}
	}
	pthread_mutex_unlock(&m->lock);
	for (i = 0; i < c->keys.n; i++) {
		const struct kek_need *need = &c->keys.needs[i];

		vms = json_object_get(by_key, need->id);
		json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "id", need->id, "state",
						      provider_key_state_name(need->state),
						      "vms", vms ? vms : json_null()));
	}
	json_decref(by_key);
	return list;
}

static json_t *providers_json(const struct checkup *c)
{
	json_t *list = json_array(), *o;
	const char *name;

	json_object_foreach(c->providers, name, o)
		json_array_append(list, o);
	return list;
}

static int report(struct vmm *m, json_t **out, struct vmc_error *err)
{
	struct outlooks all = { 0 };
	json_t *unlocked = NULL;
	struct checkup c;
	int r;

	r = examine(m, &c, err);
	if (!r)
		r = look_at_all(m, &c, &all, err);
	if (!r) {
		raise_all(m, &c, &all);
		unlocked = unlock_some(m, &all);
		store_open_unlocked(m, unlocked);
	}
	if (!r && out)
		*out = json_pack("{s:o, s:o, s:O, s:o}", "providers", providers_json(&c), "keys",
				 keys_json(m, &c), "unlocked", unlocked, "would_lock", would_lock(m, &all));
	json_decref(unlocked);
	outlooks_clear(&all);
	checkup_clear(&c);
	return r;
}

int vmm_health(struct vmm *m, json_t **out, struct vmc_error *err)
{
	int r;

	if (atomic_exchange(&m->examining, true))
		return vmc_fail(err, VMC_EBUSY, "a health check is under way");
	r = report(m, out, err);
	atomic_store(&m->examining, false);
	return r;
}
