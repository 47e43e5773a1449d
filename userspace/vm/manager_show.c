// SPDX-License-Identifier: GPL-2.0-or-later
/* What is known of VMs, from memory; no server and no disk is asked. */
#include <stdlib.h>
#include <string.h>

#include "../kernel/dm.h"
#include "../lib/message.h"
#include "alarm.h"
#include "device.h"
#include "home.h"
#include "vm_priv.h"

static const char *const key_states[] = { "ok", "locked", "disk-key-missing" };

/* What the kernel has, asked once for a whole list. */
struct present {
	struct vmk_kek *keks;
	size_t n_keks;
	struct vmk_vm *vms;
	size_t n_vms;
	json_t *alarms;			/* VM id: how many are raised */
};

static void present_get(struct vmm *m, struct present *p)
{
	memset(p, 0, sizeof(*p));
	if (vmk_kek_list(m->k, &p->keks, &p->n_keks, NULL))
		p->n_keks = 0;
	if (vmk_vm_list(m->k, &p->vms, &p->n_vms, NULL))
		p->n_vms = 0;
	p->alarms = alarm_counts(m);
}

static void present_clear(struct present *p)
{
	free(p->keks);
	free(p->vms);
	json_decref(p->alarms);
}

static bool cached(const struct present *p, const char *kek)
{
	size_t i;

	for (i = 0; i < p->n_keks; i++)
		if (!strcmp(p->keks[i].id, kek))
			return true;
	return false;
}

/* The kernel lists VMs with a count only; what is loaded is asked where there is something. */
static bool loaded(struct vmm *m, const struct present *p, const struct vm *vm, const char *volume)
{
	struct vmk_volume v;
	int32_t keyring;
	size_t i;

	for (i = 0; i < p->n_vms; i++)
		if (vmc_uuid_equal(&p->vms[i].id, &vm->uuid) && p->vms[i].n_volumes)
			return !vmk_dek_get(m->k, &vm->uuid, volume, &v, &keyring, NULL);
	return false;
}

static json_t *volume_json(struct vmm *m, const struct present *p, const struct vm *vm,
			   const struct bundle_volume *v)
{
	char path[PATH_MAX], name[VOLUME_MAPPING_MAX], device[PATH_MAX];
	char kcv[2 * VMK_KCV_LEN + 1], flags[256];
	bool open = volume_is_open(&vm->uuid, v->name);

	if (vm_volume_path(vm, v, path, NULL))
		path[0] = '\0';
	volume_mapping(&vm->uuid, v->name, false, name);
	device_of_mapping(name, device);
	vmc_hex_encode(v->kcv, VMK_KCV_LEN, kcv);
	dm_flags_format(v->flags, flags, sizeof(flags));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:b, s:s?, s:b, s:b}", "name", v->name,
			 "path", path, "key", v->kek_id, "kcv", kcv,
			 "generation", (json_int_t)v->generation, "luks_uuid", v->luks_uuid,
			 "dm_flags", flags, "open", open, "device", open ? device : NULL,
			 "loaded", loaded(m, p, vm, v->name), "cached", cached(p, v->kek_id));
}

static void add_volumes(struct vmm *m, const struct present *p, const struct vm *vm, json_t *o)
{
	json_t *disks = json_array();
	size_t i;

	for (i = 1; i < vm->b.n; i++)
		json_array_append_new(disks, volume_json(m, p, vm, &vm->b.v[i]));
	json_object_set_new(o, "home", vm->b.n ? volume_json(m, p, vm, &vm->b.v[0]) : json_null());
	json_object_set_new(o, "disks", disks);
}

static const char *shows_as(const struct vm *vm)
{
	if (vm->row.suspended)
		return "suspended";
	return vm->row.key_state == VM_KEYS_LOCKED ? "invalid" :
	       vm->row.key_state == VM_KEYS_DISK_MISSING ? "disk-key-missing" : "ok";
}

static void add_state(struct vmm *m, const struct present *p, const struct vm *vm, json_t *o)
{
	char todo[1024], why[MESSAGE_MAX], hint[MESSAGE_MAX];
	enum vm_cause cause = (enum vm_cause)vm->row.cause;
	bool locked = vm->row.key_state == VM_KEYS_LOCKED;

	vm_remedy(vm, todo, sizeof(todo));
	message_unpack(vm->row.key_error, why, sizeof(why));
	if (why[0])
		json_object_set_new(o, "key_error", json_string(why));
	if (vm->row.key_hint[0])
		json_object_set_new(o, "key_hint", json_string(message_unpack(vm->row.key_hint, hint, sizeof(hint))));
	json_object_set_new(o, "crypto_state", json_string(locked ? "locked" : "unlocked"));
	json_object_set_new(o, "shows_as", json_string(shows_as(vm)));
	json_object_set_new(o, "cause", cause ? json_string(vm_cause_name(cause)) : json_null());
	json_object_set_new(o, "cause_text", json_string(locked && cause ? vm_cause_text(cause, m->cfg->wording) :
							 why));
	json_object_set_new(o, "remedy", json_string(todo));
	json_object_set_new(o, "missing_keys", vm->row.missing ? json_deep_copy(vm->row.missing) : json_array());
	json_object_set_new(o, "alarms", json_integer(json_integer_value(json_object_get(p->alarms, vm->id))));
}

static json_t *vm_json(struct vmm *m, const struct present *p, const struct vm *vm)
{
	char provider[PROVIDER_NAME_MAX + 1] = "", key[PROVIDER_KEY_ID_MAX + 1], where[PATH_MAX];
	const char *job = vm->busy[0] ? vm->busy : vm->job[0] ? vm->job_what : NULL;
	json_t *o;

	if (vm->b.n)
		kek_id_split(vm->b.v[0].kek_id, provider, key, NULL);
	vm_mount_point(m, vm, where);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s?, s:s?}", "id", vm->id,
		      "name", vm->row.name, "bundle", vm->bundle, "power", vm->row.on ? "on" : "off",
		      "key_state", key_states[(unsigned int)vm->row.key_state % ARRAY_SIZE(key_states)],
		      "provider", provider, "serial", (json_int_t)vm->row.serial,
		      "migration", vm->b.n ? vm->b.migration : "required", "job", job,
		      "mount", home_is_mounted(where) ? where : NULL);
	if (!o)
		return NULL;
	add_state(m, p, vm, o);
	add_volumes(m, p, vm, o);
	return o;
}

json_t *vmm_show(struct vmm *m, const char *ref, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct present p;
	json_t *o = NULL;
	size_t i;

	if (vmm_resolve(m, ref, id, err))
		return NULL;
	present_get(m, &p);
	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n && !o; i++)
		if (!strcmp(m->vms[i]->id, id))
			o = vm_json(m, &p, m->vms[i]);
	pthread_mutex_unlock(&m->lock);
	present_clear(&p);
	if (!o)
		vmc_fail(err, VMC_ENOENT, "there is no VM '%s' on this host", ref);
	return o;
}

json_t *vmm_list(struct vmm *m, struct vmc_error *err)
{
	json_t *list = json_array();
	struct present p;
	size_t i;

	if (!list) {
		vmc_fail(err, VMC_ENOMEM, "out of memory");
		return NULL;
	}
	present_get(m, &p);
	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++)
		json_array_append_new(list, vm_json(m, &p, m->vms[i]));
	pthread_mutex_unlock(&m->lock);
	present_clear(&p);
	return list;
}

json_t *vmm_events(struct vmm *m, unsigned int limit, struct vmc_error *err)
{
	return inventory_events(m->inv, limit, err);
}

json_t *vmm_events_since(struct vmm *m, int64_t after_id, unsigned int limit,
			 const struct vmm_event_filter *f, struct vmc_error *err)
{
	struct inv_event_filter q = { .after = after_id };
	char id[VMC_UUID_STR];

	if (f) {
		q.since = f->since;
		q.type = f->type;
		q.vm = f->vm;
		if (f->vm && !vmm_resolve(m, f->vm, id, NULL))
			q.vm = id;
	}
	return inventory_events_since(m->inv, &q, limit, err);
}
