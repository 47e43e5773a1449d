// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Locking by hand. The inventory says so before the first key is wiped, and that
 * it is over after the last mapping goes on: whatever a kill leaves is locked as a
 * whole by the next start. What a running VM writes meanwhile waits in the kernel.
 */
#include <string.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/log.h"
#include "missing.h"
#include "vm_priv.h"

static int suspend_one(const struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX];

	volume_mapping(&vm->uuid, v->name, false, name);
	return dm_exists(name) ? dm_suspend_wipe(name, err) : 0;
}

/* Home is last: what its file system still writes while it freezes needs the key. */
static int suspend_all(struct vmm *m, struct vm *vm, struct progress *p, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = vm->b.n; !r && i-- > 0;) {
		progress_report(p, "suspend", vm->b.n - 1 - i, vm->b.n);
		fs_crashpoint("lock: before suspend");
		r = suspend_one(vm, &vm->b.v[i], err);
		fs_crashpoint("lock: suspended");
	}
	if (!r)
		r = vmk_vm_lock(m->k, &vm->uuid, err);
	return r == VMC_ENOENT ? 0 : r;
}

static int resume_one(struct vmm *m, const struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX], desc[VMK_DESC_MAX];
	struct vmk_volume loaded;
	int32_t keyring;
	int r;

	volume_mapping(&vm->uuid, v->name, false, name);
	if (!dm_exists(name))
		return 0;
	r = vmk_dek_get(m->k, &vm->uuid, v->name, &loaded, &keyring, err);
	if (r)
		return r;
	snprintf(desc, sizeof(desc), "vmcrypt:%s:%s", vm->id, v->name);
	return dm_set_resume(name, loaded.key_desc[0] ? loaded.key_desc : desc, keyring, err);
}

/* Home first: the disks of a VM are of no use to it without. */
static int resume_all(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < vm->b.n; i++) {
		fs_crashpoint("unlock: before resume");
		r = resume_one(m, vm, &vm->b.v[i], err);
		fs_crashpoint("unlock: resumed");
	}
	return r;
}

int lock_lift(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r = vm->row.suspended ? resume_all(m, vm, err) : 0;

	if (r)
		return r;
	vm_set_keys_ok(m, vm);
	return vm_locked_by_hand(vm) ?
	       vmc_fail(err, VMC_EIO, "VM '%s' goes on, but that could not be recorded in the inventory", vm->row.name) : 0;
}

static bool any_open(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->b.n; i++)
		if (volume_is_open(&vm->uuid, vm->b.v[i].name))
			return true;
	return false;
}

static int close_disks(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = vm->b.n; !r && i-- > 0;)
		r = volume_close(m->k, &vm->uuid, vm->b.v[i].name, false, true, err);
	return r;
}

/* Does a VM other than @but need @kek while it is not locked by hand itself? */
static bool needed_by_others(struct vmm *m, const struct vm *but, const char *kek)
{
	bool needed = false;
	size_t i, j;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !needed && i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		for (j = 0; vm != but && !vm_locked_by_hand(vm) && !needed && j < vm->b.n; j++)
			needed = wrap_uses(&vm->b.v[j], kek);
	}
	pthread_mutex_unlock(&m->lock);
	return needed;
}

/* One that others need stays in the cache: they did nothing. */
static void forget_kek(struct vmm *m, const struct vm *vm, const char *kek)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int r;

	if (!kek[0] || needed_by_others(m, vm, kek))
		return;
	r = vmk_kek_del(m->k, kek, false, &err);
	if (!r || r == VMC_ENOKEY || r == VMC_ENOENT)
		cache_forget(kek);	/* nor is it to be back after a reboot */
	else if (r != VMC_EBUSY)
		log_warn("VM '%s' is locked, and its key stays in the cache: %s", vm->row.name, err.text);
}

static void forget_keks(struct vmm *m, struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->b.n; i++) {
		forget_kek(m, vm, vm->b.v[i].kek_id);
		forget_kek(m, vm, vm->b.v[i].second.kek_id);
	}
}

/* @vm is locked as of now, whatever happens next. */
static int record(struct vmm *m, struct vm *vm, bool suspended, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct key_verdict v = {
		.state = VM_KEYS_LOCKED, .cause = VM_CAUSE_BY_HAND, .suspended = suspended, .why = &why,
		.missing = missing_all(&vm->b),
	};

	vmc_fail(&why, VMC_ESTATE, "its keys were taken from this host by hand");
	vm_set_keys(m, vm, &v);
	if (vm_locked_by_hand(vm) && vm->row.suspended == suspended)
		return 0;
	return vmc_fail(err, VMC_EIO, "VM '%s' was not locked: that could not be recorded in the inventory",
			vm->row.name);
}

/* Nothing is wiped that cannot be given back: the DEKs are in the keyring until all mappings are suspended. */
static int undo(struct vmm *m, struct vm *vm, int r)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (lock_lift(m, vm, &err))
		log_err("VM '%s' was not locked as a whole, and does not go on as a whole: %s", vm->row.name,
			err.text);
	return r;
}

static int lock_now(struct vmm *m, struct vm *vm, struct progress *p, struct vmc_error *err)
{
	bool was = vm->row.suspended;
	int r;

	r = record(m, vm, true, err);
	if (r)
		return r;
	r = suspend_all(m, vm, p, err);
	return r && !was ? undo(m, vm, r) : r;
}

static int lock_off(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r = 0;

	if (vm->row.on)
		r = power_off(m, vm, err);
	if (!r)
		r = close_disks(m, vm, err);
	if (!r)
		r = record(m, vm, false, err);
	if (!r)
		vmk_vm_del(m->k, &vm->uuid, true, NULL);
	return r;
}

static int lock(struct vmm *m, struct vm *vm, bool now, struct progress *p, struct vmc_error *err)
{
	int r = vm->b.n ? 0 : vm_read(m, vm, err);

	if (r)
		return r;
	if (vm->row.suspended && !now)
		return vm_must_be_unlocked(m, vm, "lock with power-off", err);
	r = now && any_open(vm) ? lock_now(m, vm, p, err) : lock_off(m, vm, err);
	if (!r)
		forget_keks(m, vm);
	return r;
}

int vmm_lock(struct vmm *m, const char *ref, bool now, struct progress *p, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "lock", TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = lock(m, vm, now, p, err);
	vm_drop(m, vm);
	return r;
}

void lock_recover(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (!vm_locked_by_hand(vm))
		return;
	if (!any_open(vm)) {	/* also after the host went down: nothing waits any more */
		vmk_vm_del(m->k, &vm->uuid, true, NULL);
		if (vm->row.suspended && record(m, vm, false, &err))
			log_err("VM '%s': %s", vm->row.name, err.text);
	} else if (suspend_all(m, vm, NULL, &err)) {
		log_err("VM '%s' is locked by hand, and not all of its keys could be wiped: %s", vm->row.name,
			err.text);
	}
	forget_keks(m, vm);
}

/* ---- a key that was taken away ------------------------------------------------ */

/* A volume that has another key, too, does not need this one. */
static bool needs(const struct vm *vm, const char *kek_id)
{
	size_t i;

	for (i = 0; i < vm->b.n; i++)
		if (!strcmp(vm->b.v[i].kek_id, kek_id) && !wrap_is_double(&vm->b.v[i]))
			return true;
	return false;
}

static void take_from(struct vmm *m, struct vm *vm, const char *kek_id, bool destroyed)
{
	struct kek_need need = { .state = destroyed ? PKS_DESTROYED : PKS_UNKNOWN };
	struct key_set s = { .needs = &need, .n = 1 };

	if (vm->row.on || vm->row.key_state == VM_KEYS_LOCKED || !needs(vm, kek_id))
		return;
	snprintf(need.id, sizeof(need.id), "%s", kek_id);
	if (destroyed)
		need.code = vmc_fail(&need.err, VMC_ENOKEY, "key '%s' was destroyed on its provider", kek_id);
	else
		need.code = vmc_fail(&need.err, VMC_EPERM, "key '%s' was removed from this host", kek_id);
	vm_judge_keys(m, vm, &s);
}

void lock_for_want_of(struct vmm *m, const char *kek_id, bool destroyed)
{
	struct vm *vm;
	size_t i, n;
	char **ids;

	if (vm_ids(m, WHICH_EITHER, NULL, 0, &ids, &n, NULL))
		return;
	for (i = 0; i < n; i++) {
		if (vm_take(m, ids[i], "key remove", TAKE_ANY | TAKE_LOCKED | TAKE_EITHER, &vm, NULL))
			continue;	/* busy: its verb finds out */
		take_from(m, vm, kek_id, destroyed);
		vm_drop(m, vm);
	}
	ids_free(ids, n);
}
