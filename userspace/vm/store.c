// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who lies on which datastore. A VM that is taken looks whether its datastores are
 * open; a datastore that is taken looks whether its VMs are on or taken. So of an
 * opening and a closing that meet, at least one sees the other.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "device.h"
#include "store_fs.h"

/* ---- where one is mounted --------------------------------------------------- */

void store_default_mount(const struct vmm *m, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/datastores/%s", m->cfg->runtime_dir, name);
}

void store_device(const struct vm *store, char out[PATH_MAX])
{
	char name[VOLUME_MAPPING_MAX];

	volume_mapping(&store->uuid, VOLUME_DATASTORE, false, name);
	device_of_mapping(name, out);
}

/* It is known when it was made here; else it is what is there. */
static int know_fs(struct vmm *m, struct vm *store, const char *device, struct vmc_error *err)
{
	struct inv_vm row = store->row;
	int r;

	if (row.fs[0])
		return 0;
	r = store_fs_probe(device, row.fs, sizeof(row.fs), err);
	return r ? r : vm_put_row(m, store, &row, err);
}

int store_mount_it(struct vmm *m, struct vm *store, const char *device, struct vmc_error *err)
{
	char dir[PATH_MAX], link[PATH_MAX + 8];
	struct store_mount s = {
		.device = device, .where = store->row.mount, .fs = store->row.fs, .link = link,
	};
	int r;

	snprintf(dir, sizeof(dir), "%s/datastores", m->cfg->runtime_dir);
	snprintf(link, sizeof(link), "%s/%s.dev", dir, store->id);
	r = know_fs(m, store, device, err);
	if (!r)
		r = fs_mkdirs(dir, 0711, err);
	if (!r && chmod(dir, 0711))	/* whatever the umask: QEMU of another user passes through */
		r = vmc_fail_errno(err, errno, "cannot make folder '%s'", dir);
	return r ? r : store_mount(&s, err);
}

int store_unmount_it(struct vmm *m, const struct vm *store, struct vmc_error *err)
{
	char device[PATH_MAX], where[PATH_MAX];
	int r;

	store_device(store, device);
	r = store_is_mounted(device, store->row.mount) ? store_unmount(store->row.mount, err) : 0;
	store_default_mount(m, store->row.name, where);
	if (!r && !strcmp(where, store->row.mount))
		rmdir(where);
	return r;
}

/* ---- who lies on it ------------------------------------------------------------ */

/* With the manager's lock held. */
static bool lies_on(const struct vm *vm, const struct vm *store)
{
	char path[PATH_MAX];
	size_t i;

	if (vm == store || !vm_is_store(store))
		return false;
	if (fs_is_below(vm->bundle, store->row.mount))
		return true;
	for (i = 0; i < vm->b.n; i++)
		if (!vm_volume_path(vm, &vm->b.v[i], path, NULL) && fs_is_below(path, store->row.mount))
			return true;
	return false;
}

/* A closed one below @vm: its id and name. @sure: nor one that is about to be closed, perhaps. */
static bool find_closed(struct vmm *m, const struct vm *vm, bool sure, char id[VMC_UUID_STR],
			char name[BUNDLE_NAME_MAX + 1])
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !found && i < m->n; i++) {
		const struct vm *store = m->vms[i];

		if (!lies_on(vm, store) || (store->row.on && !(sure && store->busy[0])))
			continue;
		memcpy(id, store->id, VMC_UUID_STR);
		snprintf(name, BUNDLE_NAME_MAX + 1, "%s", store->row.name);
		found = true;
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

bool store_closed_below(struct vmm *m, const struct vm *vm)
{
	char id[VMC_UUID_STR], name[BUNDLE_NAME_MAX + 1];

	return find_closed(m, vm, false, id, name);
}

static void closed_words(const struct vm *vm, const char *name, struct vmc_error *err)
{
	vmc_prefix(err, vm_is_store(vm) ? N_("datastore '%s' lies on datastore '%s', which is closed: ") :
		   N_("VM '%s' lies on datastore '%s', which is closed: "), vm->row.name, name);
	if (!err->hint[0])
		vmc_hint(err, "vmcrypt datastore open %s", name);
}

int store_explain(struct vmm *m, const struct vm *vm, int r, struct vmc_error *err)
{
	char id[VMC_UUID_STR], name[BUNDLE_NAME_MAX + 1];

	if (err && find_closed(m, vm, false, id, name)) {
		err->hint[0] = '\0';
		closed_words(vm, name, err);
	}
	return r;
}

/* Somebody else may be opening it, or have done so meanwhile. */
static int open_one(struct vmm *m, const char *id, struct vmc_error *err)
{
	struct vm *store;
	int r;

	r = vm_take(m, id, "open", TAKE_LOCKED | TAKE_STORE, &store, err);
	if (r)
		return r;
	r = store->row.on ? 0 : store_open_it(m, store, NULL, err);
	vm_drop(m, store);
	return r;
}

int store_open_below(struct vmm *m, const struct vm *vm, struct vmc_error *err)
{
	char id[VMC_UUID_STR], name[BUNDLE_NAME_MAX + 1];
	struct vmc_error why = VMC_ERROR_INIT;
	int r = 0;

	while (!r && find_closed(m, vm, true, id, name))
		r = open_one(m, id, &why);
	if (r && err) {
		*err = why;
		err->code = r;
		closed_words(vm, name, err);
	}
	return r;
}

int store_must_be_free(struct vmm *m, const struct vm *store, bool any, struct vmc_error *err)
{
	int r = 0;
	size_t i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !r && i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		if (!lies_on(vm, store) || (!any && !vm->row.on && !vm->busy[0]))
			continue;
		r = VMC_EBUSY;
		if (any && !vm->row.on) {
			vmc_fail(err, r, "datastore '%s' is in use: '%s' lies on it", store->row.name, vm->row.name);
			vmc_hint(err, vm_is_store(vm) ? N_("'vmcrypt datastore unregister %s' first") :
				 N_("'vmcrypt vm unregister %s' first, if its images are not needed any more"),
				 vm->row.name);
		} else if (!vm->row.on) {
			vmc_fail(err, r, "datastore '%s' is in use: '%s' lies on it and is busy: %s", store->row.name,
				 vm->row.name, vm->busy);
			vmc_hint(err, "Try again when that is done");
		} else {
			vmc_fail(err, r, vm_is_store(vm) ?
				 N_("datastore '%s' is in use: datastore '%s' lies on it and is open") :
				 N_("datastore '%s' is in use: VM '%s' lies on it and is on"), store->row.name,
				 vm->row.name);
			vmc_hint(err, vm_is_store(vm) ? N_("'vmcrypt datastore close %s' first") :
				 N_("'vmcrypt vm power-off %s' first"), vm->row.name);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

json_t *store_vms(struct vmm *m, const struct vm *store)
{
	json_t *list = json_array();
	size_t i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		/* @store may be a copy */
		if (!vm_is_store(vm) && lies_on(vm, store))
			json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", vm->id, "name", vm->row.name,
							      "power", vm->row.on ? "on" : "off"));
	}
	pthread_mutex_unlock(&m->lock);
	return list;
}

/* ---- opening ---------------------------------------------------------------------- */

static bool is_unread_on(struct vmm *m, const char *id, const struct vm *store)
{
	struct vm *vm;
	vmc_uuid uuid;
	bool is;

	if (vmc_uuid_parse(id, &uuid))
		return false;
	pthread_mutex_lock(&m->lock);
	vm = vm_find(m, &uuid);
	is = vm && !vm->b.n && lies_on(vm, store);
	pthread_mutex_unlock(&m->lock);
	return is;
}

/* Their bundles could not be read while it was closed. One that is busy reads it itself. */
static void read_vms(struct vmm *m, const struct vm *store)
{
	struct vm *vm;
	size_t i, n;
	char **ids;

	if (vm_ids(m, WHICH_EITHER, NULL, 0, &ids, &n, NULL))
		return;
	for (i = 0; i < n; i++) {
		struct vmc_error err = VMC_ERROR_INIT;

		if (!is_unread_on(m, ids[i], store) ||
		    vm_take(m, ids[i], "read", TAKE_ANY | TAKE_LOCKED | TAKE_EITHER, &vm, NULL))
			continue;
		if (vm_read(m, vm, &err))
			log_warn("'%s': %s", vm->row.name, err.text);
		else if (!vm_is_store(vm))
			vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL,
				 "VM '%s' is there again: its datastore is open", vm->row.name);
		vm_drop(m, vm);
	}
	ids_free(ids, n);
}

/* One that somebody closes after that stays closed until the host starts again. */
static void note_boot(struct vmm *m, struct vm *store)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct inv_vm row = store->row;

	if (!strcmp(row.boot, m->boot))
		return;
	memcpy(row.boot, m->boot, sizeof(row.boot));
	if (vm_put_row(m, store, &row, &err))
		log_err("datastore '%s': %s", row.name, err.text);
}

int store_open_it(struct vmm *m, struct vm *store, struct progress *p, struct vmc_error *err)
{
	int r = power_on(m, store, p, err);

	if (r)
		return r;
	note_boot(m, store);
	vmm_emit(m, VMM_EV_DATASTORE_OPENED, VMC_MSG_DATASTORE_OPENED, store->id,
		 json_pack("{s:s}", "mount", store->row.mount), "Datastore '%s' is open at '%s'", store->row.name,
		 store->row.mount);
	read_vms(m, store);
	return 0;
}

void store_open_unlocked(struct vmm *m, const json_t *unlocked)
{
	const json_t *o;
	struct vm *store;
	size_t i;

	json_array_foreach(unlocked, i, o) {
		struct vmc_error err = VMC_ERROR_INIT;

		if (vm_take(m, json_string_value(json_object_get(o, "id")), "open", TAKE_STORE, &store, NULL))
			continue;	/* a VM, mostly */
		if (store->row.autoopen && !store->row.on && store_open_it(m, store, NULL, &err))
			log_warn("datastore '%s' was unlocked, and cannot be opened: %s", store->row.name, err.text);
		vm_drop(m, store);
	}
}
