// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Power. The inventory says "on" after the last volume is open, and "off"
 * before the first is closed; home is opened first and closed last. So home
 * open and "off" is a power change that was cut short, and closing finishes it.
 * The one volume of a datastore is opened, mounted and closed the same way.
 */
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "device.h"
#include "home.h"
#include "store.h"
#include "vm_priv.h"

/* Also of one whose bundle cannot be read. */
static const char *first_volume(const struct vm *vm)
{
	return vm_is_store(vm) ? VOLUME_DATASTORE : VOLUME_HOME;
}

static int unmount_first(struct vmm *m, const struct vm *vm, struct vmc_error *err)
{
	char where[PATH_MAX];

	if (vm_is_store(vm))
		return store_unmount_it(m, vm, err);
	vm_mount_point(m, vm, where);
	return home_unmount(where, err);
}

static int close_all(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r;

	r = unmount_first(m, vm, err);
	for (i = vm->b.n; !r && i-- > 1;)
		r = volume_close(m->k, &vm->uuid, vm->b.v[i].name, false, true, err);
	if (!r)
		r = volume_close(m->k, &vm->uuid, first_volume(vm), false, true, err);
	if (!r)
		vmk_vm_del(m->k, &vm->uuid, true, NULL);
	return r;
}

void power_recover(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;
	bool open = volume_is_open(&vm->uuid, first_volume(vm));
	bool on = open && vm->row.on;

	if (open && !on && close_all(m, vm, &err)) {
		log_warn("VM '%s': a power change was cut short and cannot be finished: %s",
			 vm->row.name, err.text);
		on = true;
	}
	if (on != vm->row.on && vm_set_power(m, vm, on, &err))
		log_err("VM '%s': %s", vm->row.name, err.text);
}

static int open_one(struct vmm *m, struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	char path[PATH_MAX];
	int r = vm_volume_path(vm, v, path, err);

	return r ? r : volume_open(m->k, &vm->b, v, path, 0, err);
}

int power_mount_first(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX], device[PATH_MAX], where[PATH_MAX];

	volume_mapping(&vm->uuid, first_volume(vm), false, name);
	device_of_mapping(name, device);
	if (vm_is_store(vm))
		return store_mount_it(m, vm, device, err);
	vm_mount_point(m, vm, where);
	return home_mount(device, where, err);
}

/* @were: bit i is set when volume i was open before, by hand. */
static uint64_t open_before(const struct vm *vm)
{
	uint64_t were = 0;
	size_t i;

	for (i = 1; i < vm->b.n; i++)
		if (volume_is_open(&vm->uuid, vm->b.v[i].name))
			were |= 1ull << i;
	return were;
}

static void close_again(struct vmm *m, struct vm *vm, uint64_t were)
{
	size_t i;

	unmount_first(m, vm, NULL);
	for (i = vm->b.n; i-- > 0;)
		if (!(were & (1ull << i)))
			volume_close(m->k, &vm->uuid, vm->b.v[i].name, false, true, NULL);
}

static int open_all(struct vmm *m, struct vm *vm, struct progress *p, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < vm->b.n; i++) {
		progress_report(p, "open", i, vm->b.n);
		r = progress_canceled(p) ? vmc_fail(err, VMC_ECANCELED, "power-on was canceled") :
			open_one(m, vm, &vm->b.v[i], err);
	}
	if (!r)
		r = power_mount_first(m, vm, err);
	if (!r)
		progress_report(p, "open", i, i);
	return r;
}

static json_t *devices(const struct vmm *m, const struct vm *vm)
{
	char name[VOLUME_MAPPING_MAX], device[PATH_MAX];
	json_t *disks = json_object();
	size_t i;

	for (i = 1; i < vm->b.n; i++) {
		volume_mapping(&vm->uuid, vm->b.v[i].name, false, name);
		device_of_mapping(name, device);
		json_object_set_new(disks, vm->b.v[i].name, json_string(device));
	}
	vm_mount_point(m, vm, device);
	return json_pack("{s:s, s:o}", "home", device, "disks", disks);
}

/* What it lies on first: its bundle, and the volumes that this names. */
static int open_below(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r = store_open_below(m, vm, err);

	if (!r)
		r = vm_read(m, vm, err);
	return r ? r : store_open_below(m, vm, err);
}

int power_on(struct vmm *m, struct vm *vm, struct progress *p, struct vmc_error *err)
{
	uint64_t were;
	int r;

	if (vm->row.on)
		return vmc_fail(err, VMC_ESTATE, vm_is_store(vm) ? N_("datastore '%s' is open already") :
				N_("VM '%s' is on already"), vm->row.name);
	progress_report(p, "keys", 0, 1);
	r = open_below(m, vm, err);
	if (!r)
		r = vm_load(m, vm, true, err);
	if (r)
		return r;
	were = open_before(vm);
	r = open_all(m, vm, p, err);
	if (!r)
		r = vm_set_power(m, vm, true, err);
	if (r)
		close_again(m, vm, were);
	return r;
}

void power_tell_on(struct vmm *m, const struct vm *vm)
{
	vmm_emit(m, VMM_EV_VM_POWERED_ON, VMC_MSG_VM_POWERED_ON, vm->id, NULL, "VM '%s' is on", vm->row.name);
}

int vmm_power_on(struct vmm *m, const char *ref, struct progress *p, json_t **out, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "power-on", TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = power_on(m, vm, p, err);
	if (!r) {
		if (out)
			*out = devices(m, vm);
		autostart_settle(m, vm);
		power_tell_on(m, vm);
	}
	vm_drop(m, vm);
	return r;
}

/* Somebody still uses a volume: what was closed before it is opened again. */
static void on_again(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (open_all(m, vm, NULL, &err))
		log_warn("'%s' stays on with not all volumes open: %s", vm->row.name, err.text);
	if (vm_set_power(m, vm, true, &err))
		log_err("VM '%s': %s", vm->row.name, err.text);
}

int power_off(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r;

	if (!vm->row.on)
		return vmc_fail(err, VMC_ESTATE, vm_is_store(vm) ? N_("datastore '%s' is closed already") :
				N_("VM '%s' is off already"), vm->row.name);
	if (vm->row.suspended)	/* an unmount would wait for what waits for the keys */
		return vm_must_be_unlocked(m, vm, "power-off", err);
	if (!vm->b.n) {
		r = vm_read(m, vm, err);
		if (r)
			return r;
	}
	r = vm_set_power(m, vm, false, err);
	if (r)
		return r;
	r = close_all(m, vm, err);
	if (r)
		on_again(m, vm);
	else if (!vm_is_store(vm))
		vmm_emit(m, VMM_EV_VM_POWERED_OFF, VMC_MSG_VM_POWERED_OFF, vm->id, NULL,
			 "VM '%s' is off", vm->row.name);
	return r;
}

int vmm_power_off(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "power-off", TAKE_ANY | TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = power_off(m, vm, err);
	if (!r)
		autostart_settle(m, vm);
	vm_drop(m, vm);
	return r;
}
