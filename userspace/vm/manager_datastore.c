// SPDX-License-Identifier: GPL-2.0-or-later
/* Datastores: the verbs. What they share with VMs is in store.h. */
#include "datastore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "alarm.h"
#include "create.h"
#include "device.h"
#include "register.h"
#include "store.h"
#include "store_fs.h"

#define REMOVED N_("its datastore was removed")

/* ---- what may be asked for ------------------------------------------------------ */

static int check_name(const char *name, struct vmc_error *err)
{
	if (name && vmc_name_ok(name, BUNDLE_NAME_MAX))
		return 0;
	return vmc_fail(err, VMC_EINVAL, "'%s' cannot be the name of a datastore: letters, digits, '.', '_' and '-', %d at most",
			name ? name : "", BUNDLE_NAME_MAX);
}

/* The folder of @path is resolved, so that one place has one name; the last part may be a link, as LVM makes them. */
static int resolve_folder(const char *path, char out[PATH_MAX], struct vmc_error *err)
{
	char dir[PATH_MAX], real[PATH_MAX];
	const char *base;

	if (!path || path[0] != '/' || strlen(path) >= BUNDLE_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", path ? path : "");
	base = strrchr(path, '/') + 1;
	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return vmc_fail(err, VMC_EINVAL, "'%s' does not end in a name", path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(base - path), path);
	if (!realpath(dir, real))
		return vmc_fail_errno(err, errno, "cannot use folder '%s'", dir);
	if (snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", base) >= BUNDLE_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of folder '%s' is too long", dir);
	return 0;
}

static bool mount_taken(struct vmm *m, const struct vm *but, const char *where, char name[BUNDLE_NAME_MAX + 1])
{
	bool taken = false;
	size_t i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !taken && i < m->n; i++) {
		if (m->vms[i] == but || !vm_is_store(m->vms[i]) || strcmp(m->vms[i]->row.mount, where))
			continue;
		snprintf(name, BUNDLE_NAME_MAX + 1, "%s", m->vms[i]->row.name);
		taken = true;
	}
	pthread_mutex_unlock(&m->lock);
	return taken;
}

/* @want NULL or "": the default. @but may be NULL. */
static int choose_mount(struct vmm *m, const struct vm *but, const char *name, const char *want, char out[PATH_MAX],
			struct vmc_error *err)
{
	char other[BUNDLE_NAME_MAX + 1];
	struct stat st;
	int r = 0;

	if (want && *want)
		r = resolve_folder(want, out, err);
	else
		store_default_mount(m, name, out);
	if (!r && !lstat(out, &st) && !S_ISDIR(st.st_mode))
		r = vmc_fail(err, VMC_EINVAL, "'%s' is not a folder", out);
	if (!r && mount_taken(m, but, out, other))
		r = vmc_fail(err, VMC_EEXIST, "'%s' is the mount point of datastore '%s'", out, other);
	return r;
}

static int bundle_place(const struct vmm *m, const char *name, char out[PATH_MAX], struct vmc_error *err)
{
	char dir[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/datastores", m->cfg->state_dir);
	r = fs_mkdirs(dir, 0700, err);
	if (!r && snprintf(out, PATH_MAX, "%s/%s" BUNDLE_SUFFIX, dir, name) >= BUNDLE_PATH_MAX)
		r = vmc_fail(err, VMC_EINVAL, "the path of folder '%s' is too long", dir);
	return r;
}

/* What create and register have to find out first. */
struct plan {
	char path[PATH_MAX], mount[PATH_MAX], bundle[PATH_MAX];
};

static int make_plan(struct vmm *m, const struct vmm_datastore *d, struct plan *p, struct vmc_error *err)
{
	int r = check_name(d->name, err);

	if (!r)
		r = resolve_folder(d->path, p->path, err);
	if (!r)
		r = choose_mount(m, NULL, d->name, d->mount, p->mount, err);
	return r ? r : bundle_place(m, d->name, p->bundle, err);
}

/* It is opened with the host from the next start on. */
static void fill_row(const struct vmm *m, struct vm *store, const struct plan *p, const struct vmm_datastore *d)
{
	memcpy(store->row.mount, p->mount, sizeof(store->row.mount));
	snprintf(store->row.fs, sizeof(store->row.fs), "%s", d->fs ? d->fs : "");
	store->row.autoopen = !d->no_autoopen;
	memcpy(store->row.boot, m->boot, sizeof(store->row.boot));
}

/* ---- create ----------------------------------------------------------------------- */

static int fill(const struct creation *c, const char *device, struct vmc_error *err)
{
	return store_fs_make(device, c->data, err);
}

/* What is not there is a file that is to be made, but in the folder of devices; a tmpfs may be below. */
static bool is_place_of_devices(const char *path)
{
	return fs_is_below(path, "/dev") && !fs_is_below(path, "/dev/shm");
}

/* Is there anything on it? With @force no more. */
static int clear_device(const char *path, bool force, struct vmc_error *err)
{
	char holds[256];
	uint64_t size;
	bool block;
	int r;

	r = device_inspect(path, &block, &size, err);
	if (r == VMC_ENOENT && is_place_of_devices(path))
		return vmc_fail(err, r, "there is no device '%s'", path);
	if (r == VMC_ENOENT || (!r && !block))	/* make_state() refuses a file that is there */
		return 0;
	if (!r)
		r = device_holds(path, holds, sizeof(holds), err);
	if (r)
		return r;
	if (!force && holds[0]) {
		vmc_fail(err, VMC_EEXIST, "there is something on '%s': %s", path, holds);
		vmc_hint(err, "--force destroys it");
		return VMC_EEXIST;
	}
	if (!force) {
		r = device_must_be_empty(path, err);
		if (r)
			vmc_hint(err, "It is nothing that is known; --force destroys it");
		return r;
	}
	r = device_wipe_signatures(path, err);
	return r ? r : device_wipe_header(path, err);
}

static void tell_registered(struct vmm *m, const struct vm *store, bool created)
{
	json_t *details = json_pack("{s:s, s:s}", "path", store->b.v[0].path, "key", store->b.v[0].kek_id);

	if (created)
		vmm_emit(m, VMM_EV_DATASTORE_CREATED, VMC_MSG_DATASTORE_CREATED, store->id, details,
			 "Datastore '%s' was created on '%s'", store->row.name, store->b.v[0].path);
	else
		vmm_emit(m, VMM_EV_DATASTORE_REGISTERED, VMC_MSG_DATASTORE_REGISTERED, store->id, details,
			 "Datastore '%s' was registered from '%s'", store->row.name, store->b.v[0].path);
}

static int create(struct vmm *m, const struct vmm_datastore *d, const struct plan *plan, struct progress *p,
		  char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct creation how = {
		.volume = VOLUME_DATASTORE, .path = plan->path, .provider = d->provider, .dm_flags = d->dm_flags,
		.size = d->size, .fill = fill, .data = d->fs,
	};
	struct vm *store;
	vmc_uuid uuid;
	int r;

	r = vmc_uuid_new(&uuid);
	if (r)
		return vmc_fail(err, r, "no random bytes for a UUID");
	r = vm_add(m, INV_DATASTORE, &uuid, d->name, plan->bundle, "create", &store, err);
	if (r)
		return r;
	fill_row(m, store, plan, d);
	r = clear_device(plan->path, d->force, err);
	if (!r)
		r = create_run(m, store, &how, p, err);
	if (r) {
		vm_forget(m, store);
		return r;
	}
	memcpy(id, store->id, VMC_UUID_STR);
	tell_registered(m, store, true);
	vm_drop(m, store);
	return 0;
}

int vmm_datastore_create(struct vmm *m, const struct vmm_datastore *d, struct progress *p, char id[VMC_UUID_STR],
			 struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	struct vmm_datastore with_fs = *d;
	struct plan plan;
	int r;

	if (!err)
		err = &mine;
	if (!d->fs)
		with_fs.fs = STORE_FS_DEFAULT;
	r = make_plan(m, d, &plan, err);
	if (!r)
		r = store_fs_check(with_fs.fs, err);
	return r ? r : create(m, &with_fs, &plan, p, id, err);
}

/* ---- register, unregister, remove --------------------------------------------------- */

static int bundle_of_header(struct vmm *m, const struct vmm_datastore *d, const struct plan *plan, struct bundle *b,
			    struct vmc_error *err)
{
	struct bundle_volume v = { 0 };
	struct luks_header h;
	int r;

	memset(b, 0, sizeof(*b));
	r = luks_read(plan->path, &h, err);
	if (r)
		return r;
	if (!h.has_token || strcmp(h.token.volume, VOLUME_DATASTORE)) {
		vmc_fail(err, VMC_EINVAL, h.has_token ? N_("'%s' is a volume of a VM, not a datastore") :
			 N_("'%s' has no vmcrypt token in its LUKS2 header"), plan->path);
		vmc_hint(err, "'vmcrypt datastore create' makes a datastore; the data on it is lost");
		return VMC_EINVAL;
	}
	b->id = h.token.vm;
	snprintf(b->name, sizeof(b->name), "%s", d->name);
	strcpy(b->migration, "required");
	strcpy(v.name, VOLUME_DATASTORE);
	snprintf(v.luks_uuid, sizeof(v.luks_uuid), "%.36s", h.uuid);
	volume_keys_of_token(&h.token, &v);
	r = dm_flags_parse(d->dm_flags ? d->dm_flags : m->cfg->dm_flags, &v.flags, err);
	if (!r)
		r = bundle_relative(plan->bundle, plan->path, v.path, err);
	return r ? r : bundle_add(b, &v, err);
}

/* The bundle is there before the inventory names it; one that no datastore has is written over by the next. */
static int register_taken(struct vmm *m, struct vm *store, struct bundle *b, struct vmc_error *err)
{
	struct inv_vm row = store->row;
	struct key_set s = { 0 };
	int r;

	r = register_try_keys(m, b, &s, err);
	keys_clear(&s);
	if (!r)
		r = vm_write(m, store, b, err);
	vmk_vm_del(m->k, &store->uuid, true, NULL);
	if (r)
		return r;
	row.serial = store->b.serial;
	return vm_put_row(m, store, &row, err);
}

int vmm_datastore_register(struct vmm *m, const struct vmm_datastore *d, char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	struct plan plan;
	struct vm *store;
	struct bundle b;
	int r;

	if (!err)
		err = &mine;
	r = make_plan(m, d, &plan, err);
	if (r)
		return r;
	r = bundle_of_header(m, d, &plan, &b, err);
	if (!r)
		r = vm_add(m, INV_DATASTORE, &b.id, d->name, plan.bundle, "register", &store, err);
	if (!r) {
		fill_row(m, store, &plan, d);
		r = register_taken(m, store, &b, err);
		if (r)
			vm_forget(m, store);
	}
	bundle_clear(&b);
	if (r)
		return r;
	memcpy(id, store->id, VMC_UUID_STR);
	tell_registered(m, store, false);
	vm_drop(m, store);
	return 0;
}

static int must_be_closed(const struct vm *store, const char *what, struct vmc_error *err)
{
	if (!store->row.on)
		return 0;
	vmc_fail(err, VMC_ESTATE, "datastore '%s' is open; %s needs it closed", store->row.name, what);
	vmc_hint(err, "'vmcrypt datastore close %s' first", store->row.name);
	return VMC_ESTATE;
}

/* Its row, and with @key a note that its keys are of no use any more, at once; then its bundle. */
static int forget(struct vmm *m, struct vm *store, bool keys, struct vmc_error *err)
{
	const struct bundle_volume *v = keys && store->b.n ? &store->b.v[0] : NULL;
	struct key_wrap first, second;
	int r;

	r = inventory_begin(m->inv, err);
	if (r)
		return r;
	r = inventory_vm_del(m->inv, store->id, err);
	if (v) {
		wrap_in_order(v, &first, &second);
		if (!r)
			r = job_note_key(m, first.kek_id, REMOVED, err);
		if (!r && second.kek_id[0])
			r = job_note_key(m, second.kek_id, REMOVED, err);
	}
	if (r) {
		inventory_rollback(m->inv);
		return r;
	}
	r = inventory_commit(m->inv, err);
	if (!r && fs_unlink(store->bundle, NULL))
		log_warn("datastore '%s': '%s' cannot be removed", store->row.name, store->bundle);
	return r;
}

static int take_closed(struct vmm *m, const char *ref, const char *what, struct vm **store, struct vmc_error *err)
{
	int r = vm_take(m, ref, what, TAKE_STORE | TAKE_LOCKED, store, err);

	if (r)
		return r;
	r = must_be_closed(*store, what, err);
	if (r)
		vm_drop(m, *store);
	return r;
}

int vmm_datastore_unregister(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = take_closed(m, ref, "unregister", &store, err);
	if (r)
		return r;
	vmk_vm_del(m->k, &store->uuid, true, NULL);
	r = forget(m, store, false, err);
	if (r) {
		vm_drop(m, store);
		return r;
	}
	alarm_clear_vm(m, store);
	vmm_emit(m, VMM_EV_DATASTORE_UNREGISTERED, VMC_MSG_DATASTORE_UNREGISTERED, store->id, NULL,
		 "Datastore '%s' was unregistered; its data stays in place", store->row.name);
	vm_forget(m, store);
	return 0;
}

/* Done already when a kill came after it: fine. */
static int destroy(struct vm *store, struct vmc_error *err)
{
	const struct bundle_volume *v = &store->b.v[0];
	struct luks_header h;
	char path[PATH_MAX];
	uint64_t size;
	bool block;
	int r;

	r = vm_volume_path(store, v, path, err);
	if (!r)
		r = device_inspect(path, &block, &size, err);
	if (r)
		return r == VMC_ENOENT ? 0 : r;
	r = luks_read(path, &h, NULL);
	if (!r && strcasecmp(h.uuid, v->luks_uuid))
		return vmc_fail(err, VMC_EAUTH, "'%s' has LUKS UUID %s, the bundle says %s", path, h.uuid,
				v->luks_uuid);
	fs_crashpoint("datastore: before removal");
	return block ? device_wipe_header(path, err) : fs_unlink(path, err);
}

int vmm_datastore_remove(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = take_closed(m, ref, "remove", &store, err);
	if (r)
		return r;
	r = store_must_be_free(m, store, true, err);
	if (!r)
		r = vm_read(m, store, err);
	if (!r)
		r = destroy(store, err);
	fs_crashpoint("datastore: data removed");
	if (!r)
		r = forget(m, store, true, err);
	if (r) {
		vm_drop(m, store);
		return r;
	}
	vmk_vm_del(m->k, &store->uuid, true, NULL);
	alarm_clear_vm(m, store);
	vmm_emit(m, VMM_EV_DATASTORE_REMOVED, VMC_MSG_DATASTORE_REMOVED, store->id,
		 json_pack("{s:s}", "key", store->b.v[0].kek_id), "Datastore '%s' was removed with all its data",
		 store->row.name);
	vm_forget(m, store);
	return 0;
}

/* ---- open, close -------------------------------------------------------------------- */

int vmm_datastore_open(struct vmm *m, const char *ref, struct progress *p, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = vm_take(m, ref, "open", TAKE_STORE | TAKE_LOCKED, &store, err);
	if (r)
		return r;
	r = store_open_it(m, store, p, err);
	vm_drop(m, store);
	return r;
}

int vmm_datastore_close(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = vm_take(m, ref, "close", TAKE_STORE | TAKE_LOCKED | TAKE_ANY, &store, err);
	if (r)
		return r;
	r = store_must_be_free(m, store, false, err);
	if (!r)
		r = power_off(m, store, err);
	if (!r)
		vmm_emit(m, VMM_EV_DATASTORE_CLOSED, VMC_MSG_DATASTORE_CLOSED, store->id, NULL,
			 "Datastore '%s' is closed", store->row.name);
	vm_drop(m, store);
	return r;
}

/* Not yet open in this start of the host, however often the helper starts. */
static bool is_due(const struct vmm *m, const struct vm *store)
{
	return store->row.autoopen && !store->row.on && strcmp(store->row.boot, m->boot);
}

int vmm_datastores_autoopen(struct vmm *m, struct vmc_error *err)
{
	struct vm *store;
	size_t i, n;
	char **ids;
	int r;

	r = vm_ids(m, WHICH_STORES, NULL, 0, &ids, &n, err);
	if (r)
		return r;
	for (i = 0; i < n && !atomic_load(&m->stopping); i++) {
		struct vmc_error why = VMC_ERROR_INIT;

		if (vm_take(m, ids[i], "open", TAKE_STORE | TAKE_LOCKED, &store, NULL))
			continue;
		if (is_due(m, store) && store_open_it(m, store, NULL, &why))
			log_warn("datastore '%s' cannot be opened: %s", store->row.name, why.text);
		vm_drop(m, store);
	}
	ids_free(ids, n);
	return 0;
}

/* ---- properties and keys ------------------------------------------------------------- */

static int set(struct vmm *m, struct vm *store, const bool *autoopen, const char *mount, struct vmc_error *err)
{
	struct inv_vm row = store->row;
	int r = 0;

	if (autoopen && *autoopen && !row.autoopen)	/* from the next start on */
		memcpy(row.boot, m->boot, sizeof(row.boot));
	if (autoopen)
		row.autoopen = *autoopen;
	if (mount)
		r = must_be_closed(store, "another mount point", err);
	if (mount && !r)
		r = choose_mount(m, store, row.name, mount, row.mount, err);
	if (!r)
		r = vm_put_row(m, store, &row, err);
	if (!r)
		vmm_emit(m, VMM_EV_DATASTORE_CHANGED, VMC_MSG_DATASTORE_CHANGED, store->id, NULL,
			 "Datastore '%s': mount point '%s', opened at start: %s", row.name, row.mount,
			 row.autoopen ? "yes" : "no");
	return r;
}

int vmm_datastore_set(struct vmm *m, const char *ref, const bool *autoopen, const char *mount, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = vm_take(m, ref, "set", TAKE_STORE | TAKE_LOCKED, &store, err);
	if (r)
		return r;
	r = set(m, store, autoopen, mount, err);
	vm_drop(m, store);
	return r;
}

int vmm_datastore_unlock(struct vmm *m, const char *const *refs, size_t n, struct progress *p, json_t **out,
			 struct vmc_error *err)
{
	return unlock_many(m, WHICH_STORES, refs, n, p, out, err);
}

int vmm_datastore_recrypt(struct vmm *m, const char *const *refs, size_t n, const struct vmm_datastore_recrypt *how,
			  struct progress *p, json_t **out, struct vmc_error *err)
{
	enum recrypt_mode mode = how->add_provider ? RECRYPT_ADD : how->remove_provider ? RECRYPT_REMOVE : RECRYPT_ROTATE;
	const char *provider = how->add_provider ? how->add_provider : how->remove_provider ? how->remove_provider :
		how->provider;

	return recrypt_many(m, WHICH_STORES, refs, n, mode, provider, p, out, err);
}
