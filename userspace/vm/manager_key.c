// SPDX-License-Identifier: GPL-2.0-or-later
/* KEKs as this host knows them: cached, used by VMs, left over. */
#include <stdlib.h>
#include <string.h>

#include "../audit/audit.h"
#include "../lib/i18n.h"
#include "alarm.h"

static json_t *key_json(const char *id)
{
	char provider[PROVIDER_NAME_MAX + 1] = "", key[PROVIDER_KEY_ID_MAX + 1] = "";

	kek_id_split(id, provider, key, NULL);
	return json_pack("{s:s, s:s, s:s, s:b, s:n, s:i, s:[]}", "id", id, "provider", provider, "key", key,
			 "cached", 0, "kcv", "users", 0, "vms");
}

/* The entry of @id in @keys (an object by id), made when missing. Borrowed. */
static json_t *entry(json_t *keys, const char *id)
{
	json_t *o = json_object_get(keys, id);

	if (o)
		return o;
	o = key_json(id);
	json_object_set_new(keys, id, o);
	return o;
}

static void set_kcv(json_t *o, const uint8_t kcv[VMK_KCV_LEN])
{
	char hex[2 * VMK_KCV_LEN + 1];

	vmc_hex_encode(kcv, VMK_KCV_LEN, hex);
	json_object_set_new(o, "kcv", json_string(hex));
}

static int add_cached(struct vmm *m, json_t *keys, struct vmc_error *err)
{
	struct vmk_kek *keks;
	size_t i, n;
	int r;

	r = vmk_kek_list(m->k, &keks, &n, err);
	if (r)
		return r;
	for (i = 0; i < n; i++) {
		json_t *o = entry(keys, keks[i].id);

		json_object_set_new(o, "cached", json_true());
		json_object_set_new(o, "users", json_integer(keks[i].users));
		set_kcv(o, keks[i].kcv);
		if (keks[i].has_lease)
			json_object_set_new(o, "lease_left", json_integer(keks[i].lease_left));
	}
	free(keks);
	return 0;
}

static void add_key_use(json_t *keys, const struct vm *vm, const struct bundle_volume *v, const char *kek_id,
			const uint8_t kcv[VMK_KCV_LEN])
{
	json_t *o = entry(keys, kek_id), *vms = json_object_get(o, "vms");
	json_t *last = json_array_get(vms, json_array_size(vms) - 1);
	const char *id = json_string_value(json_object_get(last, "id"));

	if (json_is_null(json_object_get(o, "kcv")))
		set_kcv(o, kcv);
	if (!id || strcmp(id, vm->id)) {	/* the VMs come one after another */
		last = json_pack("{s:s, s:s, s:s, s:[]}", "id", vm->id, "name", vm->row.name, "kind",
				 alarm_entity(vm), "volumes");
		json_array_append_new(vms, last);
	}
	json_array_append_new(json_object_get(last, "volumes"), json_string(v->name));
}

static void add_use(json_t *keys, const struct vm *vm, const struct bundle_volume *v)
{
	add_key_use(keys, vm, v, v->kek_id, v->kcv);
	if (wrap_is_double(v))
		add_key_use(keys, vm, v, v->second.kek_id, v->second.kcv);
}

static void add_used(struct vmm *m, json_t *keys)
{
	size_t i, j;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->vms[i]->b.n; j++)
			add_use(keys, m->vms[i], &m->vms[i]->b.v[j]);
	pthread_mutex_unlock(&m->lock);
}

/* Keys whose id is not known have no place in @keys: they go to @nameless. */
static int add_noted(struct vmm *m, json_t *keys, json_t *nameless, struct vmc_error *err)
{
	struct inv_key *notes;
	size_t i, n;
	int r;

	r = inventory_keys(m->inv, &notes, &n, err);
	if (r)
		return r;
	for (i = 0; i < n; i++) {
		const struct inv_key *k = &notes[i];

		if (k->id[0])
			json_object_set_new(entry(keys, k->id), "note", json_string(k->note[0] ? _(k->note) : ""));
		else
			json_array_append_new(nameless, json_pack("{s:n, s:s, s:s, s:s, s:b, s:i, s:[]}", "id",
					      "provider", k->provider, "label", k->label, "note", k->note[0] ? _(k->note) : "",
					      "cached", 0, "users", 0, "vms"));
	}
	free(notes);
	return 0;
}

static int gather(struct vmm *m, json_t *keys, json_t *nameless, struct vmc_error *err)
{
	int r = add_cached(m, keys, err);

	/* Without the module nothing is cached; what is known is known all the same. */
	if (r && r != VMC_ENOMODULE)
		return r;
	add_used(m, keys);
	return add_noted(m, keys, nameless, err);
}

json_t *vmm_key_list(struct vmm *m, struct vmc_error *err)
{
	json_t *keys = json_object(), *nameless = json_array(), *list = json_array(), *o;
	const char *id;

	if (gather(m, keys, nameless, err)) {
		json_decref(list);
		list = NULL;
	} else {
		json_object_foreach(keys, id, o)
			json_array_append(list, o);
		json_array_extend(list, nameless);
	}
	json_decref(keys);
	json_decref(nameless);
	return list;
}

/* What this host knows of @id; a new reference. */
static json_t *known(struct vmm *m, const char *id, struct vmc_error *err)
{
	json_t *keys = json_object(), *nameless = json_array(), *o = NULL;

	if (!gather(m, keys, nameless, err)) {
		o = json_incref(json_object_get(keys, id));
		if (!o) {
			vmc_fail(err, VMC_ENOENT, "this host knows no key '%s'", id);
			vmc_hint(err, "'vmcrypt key list' shows those it knows");
		}
	}
	json_decref(keys);
	json_decref(nameless);
	return o;
}

static void ask_state(struct vmm *m, const char *id, json_t *o)
{
	char name[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider_key pk = { 0 };
	struct provider *p;
	int r;

	r = kek_id_split(id, name, key, &err);
	if (!r)
		r = providers_get(m->ps, name, &p, &err);
	if (!r) {
		snprintf(pk.id, sizeof(pk.id), "%s", key);
		r = p->ops->state(p, &pk, 1, &err);
		if (!r && pk.code && pk.state == PKS_UNKNOWN) {
			r = pk.code;
			err = pk.err;
		}
		provider_keys_clear(&pk, 1);
		provider_put(p);
	}
	json_object_set_new(o, "state", r ? json_null() : json_string(provider_key_state_name(pk.state)));
	if (r)
		json_object_set_new(o, "state_error", json_string(err.text));
}

json_t *vmm_key_show(struct vmm *m, const char *kek_id, struct vmc_error *err)
{
	json_t *o = known(m, kek_id, err);

	if (o)
		ask_state(m, kek_id, o);
	return o;
}

/* ---- remove --------------------------------------------------------------------- */

static bool mentions(const json_t *o, const char *text)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_string(o))
		return !strcmp(json_string_value(o), text);
	json_array_foreach(o, i, value)
		if (mentions(value, text))
			return true;
	json_object_foreach((json_t *)o, key, value)
		if (!strcmp(key, text) || mentions(value, text))
			return true;
	return false;
}

/* A job that is not finished may have encrypted with it what no bundle tells of yet. */
static int check_jobs(struct vmm *m, const char *id, struct vmc_error *err)
{
	struct inv_job *jobs;
	size_t i, n;
	int r;

	r = inventory_jobs(m->inv, &jobs, &n, err);
	if (r)
		return r;
	for (i = 0; !r && i < n; i++)
		if (mentions(jobs[i].state, id))
			r = vmc_fail(err, VMC_EBUSY, "key '%s' is needed by the unfinished job %s (%s)", id,
				     jobs[i].id, jobs[i].kind);
	inventory_jobs_free(jobs, n);
	return r;
}

static int check_unused(const json_t *o, const char *id, struct vmc_error *err)
{
	const json_t *vms = json_object_get(o, "vms");
	char names[512] = "";
	size_t i, used = 0;
	json_t *vm;

	if (!json_array_size(vms))
		return 0;
	json_array_foreach(vms, i, vm) {
		if (used + BUNDLE_NAME_MAX + 8 > sizeof(names)) {
			snprintf(names + used, sizeof(names) - used, ", ...");
			break;
		}
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 json_string_value(json_object_get(vm, "name")));
	}
	vmc_fail(err, VMC_EBUSY, "key '%s' is in use by VMs (%zu): %s", id, json_array_size(vms),
		 names);
	vmc_hint(err, "'vmcrypt vm recrypt --shallow' moves VMs to a new key; --force removes it all the same, "
		 "and the VMs lock");
	return VMC_EBUSY;
}

static int destroy_key(struct vmm *m, const char *id, struct vmc_error *err)
{
	char name[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct provider *p;
	int r;

	r = kek_id_split(id, name, key, err);
	if (!r)
		r = providers_get(m->ps, name, &p, err);
	if (r)
		return r;
	r = p->ops->destroy(p, key, err);
	audit_record(&(struct audit_entry){ .action = "kek-destroy", .key = id, .object = p->name, .code = r,
					    .text = r && err ? err->text : NULL });
	provider_put(p);
	return r ? r : inventory_key_del(m->inv, id, err);
}

int vmm_key_remove(struct vmm *m, const char *kek_id, bool destroy, bool force, struct vmc_error *err)
{
	json_t *o = known(m, kek_id, err), *details;
	int r = 0;

	if (!o)
		return VMC_ENOENT;
	if (!force)
		r = check_unused(o, kek_id, err);
	if (!r && (destroy || !force))
		r = check_jobs(m, kek_id, err);
	if (!r && json_is_true(json_object_get(o, "cached")))
		r = vmk_kek_del(m->k, kek_id, force, err);
	json_decref(o);
	if (!r)
		cache_forget(kek_id);	/* or a reboot would bring it back */
	if (!r && destroy)
		r = destroy_key(m, kek_id, err);
	if (r)
		return r;
	details = json_pack("{s:s, s:b}", "key", kek_id, "destroyed", destroy);
	if (destroy)
		vmm_emit(m, VMM_EV_KEY_REMOVED, VMC_MSG_KEY_REMOVED, NULL, details,
			 "Key '%s' was removed from this host and destroyed on its provider", kek_id);
	else
		vmm_emit(m, VMM_EV_KEY_REMOVED, VMC_MSG_KEY_REMOVED, NULL, details,
			 "Key '%s' was removed from this host", kek_id);
	if (force)
		lock_for_want_of(m, kek_id, destroy);
	return 0;
}
