// SPDX-License-Identifier: GPL-2.0-or-later
/* What is known of VMs and datastores, from memory; no server and no disk is asked. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "../kernel/dm.h"
#include "../lib/message.h"
#include "alarm.h"
#include "datastore.h"
#include "device.h"
#include "home.h"
#include "store.h"
#include "store_fs.h"
#include "vm_priv.h"

static const char *const key_states[] = { "ok", "locked", "disk-key-missing" };

/* What the kernel has, asked once for a whole list; sorted. */
struct present {
	struct vmk_kek *keks;
	size_t n_keks;
	struct vmk_vm *vms;
	size_t n_vms;
	char **mappings;
	size_t n_mappings;
	json_t *alarms;			/* VM id: how many are raised */
};

/* A VM as it was at one moment, so that the kernel is asked about it without the manager's lock. */
struct look {
	const struct present *p;
	struct vm vm;
	struct vmk_vm loaded;		/* what the kernel has of it */
};

static int kek_compare(const void *a, const void *b)
{
	return strcmp(((const struct vmk_kek *)a)->id, ((const struct vmk_kek *)b)->id);
}

static int vm_compare(const void *a, const void *b)
{
	return memcmp(&((const struct vmk_vm *)a)->id, &((const struct vmk_vm *)b)->id, sizeof(vmc_uuid));
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void present_mappings(struct present *p)
{
	if (dm_list(VOLUME_MAPPING_PREFIX, &p->mappings, &p->n_mappings, NULL))
		p->n_mappings = 0;
	if (p->n_mappings)
		qsort(p->mappings, p->n_mappings, sizeof(*p->mappings), name_compare);
}

static void present_get(struct vmm *m, struct present *p)
{
	memset(p, 0, sizeof(*p));
	if (vmk_kek_list(m->k, &p->keks, &p->n_keks, NULL))
		p->n_keks = 0;
	if (p->n_keks)
		qsort(p->keks, p->n_keks, sizeof(*p->keks), kek_compare);
	if (vmk_vm_list(m->k, &p->vms, &p->n_vms, NULL))
		p->n_vms = 0;
	if (p->n_vms)
		qsort(p->vms, p->n_vms, sizeof(*p->vms), vm_compare);
	present_mappings(p);
	p->alarms = alarm_counts(m);
}

/* The same with no more than one VM's KEKs in it, and of VMs only that one. */
static void present_get_one(struct vmm *m, const struct vm *vm, struct present *p)
{
	size_t i;

	memset(p, 0, sizeof(*p));
	p->keks = calloc(vm->b.n + 1, sizeof(*p->keks));
	for (i = 0; p->keks && i < vm->b.n; i++)
		if (!vmk_kek_get(m->k, vm->b.v[i].kek_id, &p->keks[p->n_keks], NULL))
			p->n_keks++;
	if (p->n_keks)
		qsort(p->keks, p->n_keks, sizeof(*p->keks), kek_compare);
	p->vms = calloc(1, sizeof(*p->vms));
	if (p->vms) {
		p->vms->id = vm->uuid;
		p->vms->n_volumes = 1;	/* perhaps: it is asked for */
		p->n_vms = 1;
	}
	present_mappings(p);
	p->alarms = alarm_counts(m);
}

static void present_clear(struct present *p)
{
	size_t i;

	for (i = 0; i < p->n_mappings; i++)
		free(p->mappings[i]);
	free(p->mappings);
	free(p->keks);
	free(p->vms);
	json_decref(p->alarms);
}

static bool cached(const struct present *p, const char *kek)
{
	struct vmk_kek key;

	snprintf(key.id, sizeof(key.id), "%s", kek);
	return p->n_keks && bsearch(&key, p->keks, p->n_keks, sizeof(*p->keks), kek_compare);
}

static bool is_open(const struct present *p, const char *mapping)
{
	return p->n_mappings &&
	       bsearch(&mapping, p->mappings, p->n_mappings, sizeof(*p->mappings), name_compare);
}

static bool loaded(const struct look *l, const char *volume)
{
	uint32_t i;

	for (i = 0; l->loaded.volumes && i < l->loaded.n_volumes; i++)
		if (!strcmp(l->loaded.volumes[i].name, volume))
			return true;
	return false;
}

static void look_clear(struct look *l)
{
	bundle_clear(&l->vm.b);
	json_decref(l->vm.row.missing);
	vmk_vm_clear(&l->loaded);
	memset(l, 0, sizeof(*l));
}

/* Copy the VM @id. VMC_ENOENT when it is gone. */
static int look_copy(struct vmm *m, const char *id, struct look *l, struct vmc_error *err)
{
	struct vm *vm;
	vmc_uuid uuid;
	int r = 0;

	memset(l, 0, sizeof(*l));
	if (vmc_uuid_parse(id, &uuid))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not a UUID", id);
	pthread_mutex_lock(&m->lock);
	vm = vm_find(m, &uuid);
	if (vm) {
		l->vm = *vm;
		memset(&l->vm.b, 0, sizeof(l->vm.b));
		r = bundle_copy(&vm->b, &l->vm.b, err);
		l->vm.row.missing = json_deep_copy(vm->row.missing);
	}
	pthread_mutex_unlock(&m->lock);
	if (r)
		look_clear(l);
	return vm ? r : vmc_fail(err, VMC_ENOENT, "there is no VM '%s' on this host", id);
}

/* The kernel lists VMs with a count only; what is loaded is asked where there is something. */
static void look_at_kernel(struct vmm *m, const struct present *p, struct look *l)
{
	const struct vmk_vm *there;
	struct vmk_vm key;

	l->p = p;
	key.id = l->vm.uuid;
	there = p->n_vms ? bsearch(&key, p->vms, p->n_vms, sizeof(*p->vms), vm_compare) : NULL;
	if (!there || !there->n_volumes || vmk_vm_get(m->k, &l->vm.uuid, &l->loaded, NULL))
		memset(&l->loaded, 0, sizeof(l->loaded));
}

static json_t *volume_json(const struct look *l, const struct bundle_volume *v)
{
	char path[PATH_MAX], name[VOLUME_MAPPING_MAX], device[PATH_MAX];
	char kcv[2 * VMK_KCV_LEN + 1], flags[256];
	bool open;
	struct key_wrap first, second;

	if (vm_volume_path(&l->vm, v, path, NULL))
		path[0] = '\0';
	volume_mapping(&l->vm.uuid, v->name, false, name);
	open = is_open(l->p, name);
	device_of_mapping(name, device);
	dm_flags_format(v->flags, flags, sizeof(flags));
	wrap_in_order(v, &first, &second);
	vmc_hex_encode(first.kcv, VMK_KCV_LEN, kcv);
	return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:I, s:s, s:s, s:b, s:s?, s:b, s:b}", "name", v->name,
			 "path", path, "key", first.kek_id, "second_key", second.kek_id[0] ? second.kek_id : NULL,
			 "kcv", kcv,
			 "generation", (json_int_t)v->generation, "luks_uuid", v->luks_uuid,
			 "dm_flags", flags, "open", open, "device", open ? device : NULL,
			 "loaded", loaded(l, v->name), "cached", cached(l->p, v->kek_id));
}

static void add_volumes(const struct look *l, json_t *o)
{
	const struct vm *vm = &l->vm;
	json_t *disks = json_array();
	size_t i;

	for (i = 1; i < vm->b.n; i++)
		json_array_append_new(disks, volume_json(l, &vm->b.v[i]));
	json_object_set_new(o, "home", vm->b.n ? volume_json(l, &vm->b.v[0]) : json_null());
	json_object_set_new(o, "disks", disks);
}

static const char *shows_as(const struct vm *vm)
{
	if (vm->row.suspended)
		return "suspended";
	return vm->row.key_state == VM_KEYS_LOCKED ? "invalid" :
	       vm->row.key_state == VM_KEYS_DISK_MISSING ? "disk-key-missing" : "ok";
}

static void add_state(struct vmm *m, const struct look *l, json_t *o)
{
	const struct vm *vm = &l->vm;
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
	json_object_set_new(o, "cause_text", json_string(locked && cause ? vm_why_locked(m, vm) : why));
	json_object_set_new(o, "remedy", json_string(todo));
	json_object_set_new(o, "missing_keys", vm->row.missing ? json_deep_copy(vm->row.missing) : json_array());
	json_object_set_new(o, "autostart", json_boolean(vm->row.autostart));
	if (vm->row.autostart && vm->row.unit[0])
		json_object_set_new(o, "unit", json_string(vm->row.unit));
	json_object_set_new(o, "alarms", json_integer(json_integer_value(json_object_get(l->p->alarms, vm->id))));
}

static json_t *vm_json(struct vmm *m, const struct look *l)
{
	const struct vm *vm = &l->vm;
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
	add_state(m, l, o);
	add_volumes(l, o);
	return o;
}

/* Of the file system, which always answers: a datastore is never suspended. */
static void add_room(const char *where, json_t *o)
{
	struct statvfs st;

	if (statvfs(where, &st))
		return;
	json_object_set_new(o, "size", json_integer((json_int_t)st.f_blocks * (json_int_t)st.f_frsize));
	json_object_set_new(o, "free", json_integer((json_int_t)st.f_bavail * (json_int_t)st.f_frsize));
}

/* The fields of its one volume are its own. */
static json_t *store_json(struct vmm *m, const struct look *l)
{
	const struct vm *store = &l->vm;
	const char *job = store->busy[0] ? store->busy : store->job[0] ? store->job_what : NULL;
	char provider[PROVIDER_NAME_MAX + 1] = "", key[PROVIDER_KEY_ID_MAX + 1], device[PATH_MAX];
	json_t *o = json_pack("{s:s, s:s}", "id", store->id, "name", store->row.name);
	json_t *v = store->b.n ? volume_json(l, &store->b.v[0]) : NULL;
	bool mounted;

	if (!o)
		return NULL;
	if (store->b.n)
		kek_id_split(store->b.v[0].kek_id, provider, key, NULL);
	store_device(store, device);
	mounted = store_is_mounted(device, store->row.mount);
	json_object_set(o, "path", json_object_get(v, "path"));
	json_object_update_new(o, json_pack("{s:s, s:s, s:b, s:s, s:b, s:s, s:s, s:s?, s:o}", "state",
					    store->row.on ? "open" : "closed", "mount", store->row.mount,
					    "mounted", mounted, "fs", store->row.fs, "autoopen", store->row.autoopen,
					    "provider", provider, "key_state",
					    key_states[(unsigned int)store->row.key_state % ARRAY_SIZE(key_states)],
					    "job", job, "vms", store_vms(m, store)));
	if (mounted)
		add_room(store->row.mount, o);
	add_state(m, l, o);
	json_object_del(v, "name");
	json_object_del(v, "open");
	json_object_update(o, v);
	json_decref(v);
	return o;
}

static json_t *look_json(struct vmm *m, const struct look *l)
{
	return vm_is_store(&l->vm) ? store_json(m, l) : vm_json(m, l);
}

static json_t *show(struct vmm *m, enum vm_which which, const char *ref, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct present p;
	struct look l;
	json_t *o;

	if (vm_resolve(m, which, ref, id, err) || look_copy(m, id, &l, err))
		return NULL;
	present_get_one(m, &l.vm, &p);
	look_at_kernel(m, &p, &l);
	o = look_json(m, &l);
	look_clear(&l);
	present_clear(&p);
	if (!o)
		vmc_fail(err, VMC_ENOMEM, "out of memory");
	return o;
}

json_t *vmm_show(struct vmm *m, const char *ref, struct vmc_error *err)
{
	return show(m, WHICH_VMS, ref, err);
}

json_t *vmm_datastore_show(struct vmm *m, const char *ref, struct vmc_error *err)
{
	return show(m, WHICH_STORES, ref, err);
}

/* One that was unregistered meanwhile is not in the list. */
static int list_one(struct vmm *m, const struct present *p, const char *id, json_t *list, struct vmc_error *err)
{
	struct look l;
	int r = look_copy(m, id, &l, err);

	if (!r) {
		look_at_kernel(m, p, &l);
		if (json_array_append_new(list, look_json(m, &l)))
			r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	look_clear(&l);
	return r == VMC_ENOENT ? 0 : r;
}

static json_t *list_all(struct vmm *m, enum vm_which which, struct vmc_error *err)
{
	json_t *list = json_array();
	struct present p;
	size_t i, n = 0;
	char **ids = NULL;
	int r;

	r = list ? vm_ids(m, which, NULL, 0, &ids, &n, err) : vmc_fail(err, VMC_ENOMEM, "out of memory");
	if (r) {
		json_decref(list);
		return NULL;
	}
	present_get(m, &p);
	for (i = 0; !r && i < n; i++)
		r = list_one(m, &p, ids[i], list, err);
	present_clear(&p);
	ids_free(ids, n);
	if (!r)
		return list;
	json_decref(list);
	return NULL;
}

json_t *vmm_list(struct vmm *m, struct vmc_error *err)
{
	return list_all(m, WHICH_VMS, err);
}

json_t *vmm_datastore_list(struct vmm *m, struct vmc_error *err)
{
	return list_all(m, WHICH_STORES, err);
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
		if (f->vm && !vm_resolve(m, WHICH_VMS, f->vm, id, NULL))
			q.vm = id;
	}
	return inventory_events_since(m->inv, &q, limit, err);
}
