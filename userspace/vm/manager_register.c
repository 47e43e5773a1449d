// SPDX-License-Identifier: GPL-2.0-or-later
/* Register from a bundle, unregister. From headers: manager_rebuild.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "alarm.h"
#include "register.h"

int register_commit(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	struct inv_vm row = vm->row;
	int r;

	row.serial = vm->b.serial;
	memcpy(row.bundle, vm->bundle, sizeof(row.bundle));
	r = inventory_vm_put(m->inv, &row, err);
	if (r)
		return r;
	pthread_mutex_lock(&m->lock);
	vm->row = row;
	pthread_mutex_unlock(&m->lock);
	vmm_emit(m, VMM_EV_VM_REGISTERED, VMC_MSG_VM_REGISTERED, vm->id,
		 json_pack("{s:s}", "bundle", vm->bundle), "VM '%s' was registered from '%s'",
		 vm->row.name, vm->bundle);
	return 0;
}

static int authenticate(struct vmm *m, struct vm *vm, const struct key_set *keys, struct vmc_error *err)
{
	if (!keys || vm_locked_by_hand(vm))
		return vm_authenticate(m, vm, true, err);
	return vm_check_keys(m, vm, keys, true, err);
}

/* Locked is a state that a registered VM may be in; an altered bundle is not. */
static int check(struct vmm *m, struct vm *vm, const struct key_set *keys, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	int r;

	r = vm_read(m, vm, err);
	if (r)
		return r;
	r = authenticate(m, vm, keys, &why);
	if (!r || vm->row.key_state != VM_KEYS_OK)
		return 0;
	if (err)
		*err = why;
	return r;
}

static int add_new(struct vmm *m, const struct bundle *b, const char *path, const struct key_set *keys,
		   char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_add(m, INV_VM, &b->id, b->name, path, "register", &vm, err);
	if (r)
		return r;
	r = check(m, vm, keys, err);
	if (!r)
		r = register_commit(m, vm, err);
	if (r) {
		inventory_vm_del(m->inv, vm->id, NULL);
		alarm_clear_vm(m, vm);
		vm_forget(m, vm);
		return r;
	}
	memcpy(id, vm->id, VMC_UUID_STR);
	vm_drop(m, vm);
	return 0;
}

/* It is registered: from here (a reload), or from a place that it has left. */
static int add_again(struct vmm *m, const struct bundle *b, const char *path, const struct key_set *keys,
		     char id[VMC_UUID_STR], struct vmc_error *err)
{
	char uuid[VMC_UUID_STR], old[PATH_MAX];
	struct vm *vm;
	int r;

	vmc_uuid_format(&b->id, uuid);
	r = vm_take(m, uuid, "register", TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	memcpy(old, vm->bundle, sizeof(old));
	if (strcmp(old, path) && (vm->row.on || !access(old, F_OK))) {
		r = vmc_fail(err, VMC_EEXIST, "VM '%s' (%s) is registered already, from '%s'%s",
			     vm->row.name, vm->id, old, vm->row.on ? ", and is on" : "");
		vmc_hint(err, "'vmcrypt vm unregister %s' first, if '%s' is the one to use from now on",
			 vm->id, path);
		goto out;
	}
	pthread_mutex_lock(&m->lock);
	snprintf(vm->bundle, sizeof(vm->bundle), "%s", path);
	pthread_mutex_unlock(&m->lock);
	r = check(m, vm, keys, err);
	if (!r)
		r = register_commit(m, vm, err);
	if (r) {
		pthread_mutex_lock(&m->lock);
		memcpy(vm->bundle, old, sizeof(old));
		pthread_mutex_unlock(&m->lock);
	}
	memcpy(id, vm->id, VMC_UUID_STR);
out:
	vm_drop(m, vm);
	return r;
}

int register_refuse_datastore(const char *path, struct vmc_error *err)
{
	vmc_fail(err, VMC_EINVAL, "'%s' is of a datastore, not of a VM", path);
	vmc_hint(err, "'vmcrypt datastore register NAME DEVICE' makes a datastore known to this host");
	return VMC_EINVAL;
}

int register_from_bundle(struct vmm *m, const char *path, const struct key_set *keys, char id[VMC_UUID_STR],
			 struct vmc_error *err)
{
	char uuid[VMC_UUID_STR], there[VMC_UUID_STR];
	struct bundle b;
	int r;

	r = bundle_read(path, &b, err);
	if (r)
		return r;
	vmc_uuid_format(&b.id, uuid);
	if (bundle_is_datastore(&b))
		r = register_refuse_datastore(path, err);
	else
		r = vmm_resolve(m, uuid, there, NULL) ? add_new(m, &b, path, keys, id, err) :
			add_again(m, &b, path, keys, id, err);
	bundle_clear(&b);
	return r;
}

int vmm_register(struct vmm *m, const char *path, bool from_headers, char id[VMC_UUID_STR],
		 struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	char real[PATH_MAX];

	if (!err)
		err = &mine;
	if (!path || path[0] != '/')
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", path ? path : "");
	if (!realpath(path, real))
		return vmc_fail_errno(err, errno, "cannot use '%s'", path);
	return from_headers ? register_from_headers(m, real, id, err) :
	       register_from_bundle(m, real, NULL, id, err);
}

/* What was encrypted goes nowhere in clear until somebody wants so. */
static int forget_row(struct vmm *m, const struct vm *vm, struct vmc_error *err)
{
	struct inv_policy p = { .migration = MIGRATION_REQUIRED };
	int r;

	memcpy(p.vm, vm->id, sizeof(vm->id));
	snprintf(p.name, sizeof(p.name), "%s", vm->row.name);
	r = inventory_begin(m->inv, err);
	if (r)
		return r;
	r = inventory_policy_put(m->inv, &p, err);
	if (!r)
		r = inventory_vm_del(m->inv, vm->id, err);
	if (!r)
		return inventory_commit(m->inv, err);
	inventory_rollback(m->inv);
	return r;
}

static int unregister(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r;

	r = vm_must_be_off(vm, "unregister", err);
	for (i = vm->b.n; !r && i-- > 0;)
		r = volume_close(m->k, &vm->uuid, vm->b.v[i].name, false, true, err);
	if (r)
		return r;
	vmk_vm_del(m->k, &vm->uuid, true, NULL);
	return forget_row(m, vm, err);
}

int register_forget(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r = unregister(m, vm, err);

	if (r)
		return r;
	alarm_clear_vm(m, vm);
	vmm_emit(m, VMM_EV_VM_UNREGISTERED, VMC_MSG_VM_UNREGISTERED, vm->id, NULL,
		 "VM '%s' was unregistered; its files stay in place", vm->row.name);
	vm_forget(m, vm);
	return 0;
}

int vmm_unregister(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "unregister", TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = register_forget(m, vm, err);
	if (r)
		vm_drop(m, vm);
	return r;
}
