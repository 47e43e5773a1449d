// SPDX-License-Identifier: GPL-2.0-or-later
/* Bundle, power and key state of a VM that was taken; events. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "vm_priv.h"

void vmm_emit(struct vmm *m, const char *type, const char *message_id, const char *vm, json_t *details,
	      const char *fmt, ...)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (inventory_event(m->inv, type, message_id, vm, text, details, &err))
		log_err("an event was not recorded: %s", err.text);
	if (m->fn) {
		struct vmm_event e = { type, message_id, vm, text, details };

		m->fn(&e, m->data);
	}
	json_decref(details);
}

void json_set_error(json_t *o, const struct vmc_error *err)
{
	json_object_set_new(o, "code", json_string(vmc_code_name(err->code)));
	json_object_set_new(o, "error", json_string(err->text));
	if (err->hint[0])
		json_object_set_new(o, "hint", json_string(err->hint));
}

int vm_dir(const char *bundle_path, char out[PATH_MAX])
{
	char *slash;

	snprintf(out, PATH_MAX, "%s", bundle_path);
	slash = strrchr(out, '/');
	if (!slash)
		return VMC_EINVAL;
	slash[slash == out] = '\0';
	return 0;
}

int vm_volume_path(const struct vm *vm, const struct bundle_volume *v, char out[PATH_MAX],
		   struct vmc_error *err)
{
	return bundle_volume_path(vm->bundle, v->path, out, err);
}

void vm_mount_point(const struct vmm *m, const struct vm *vm, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/home/%s", m->cfg->runtime_dir, vm->id);
}

static int put_row(struct vmm *m, struct vm *vm, const struct inv_vm *row, struct vmc_error *err)
{
	int r = inventory_vm_put(m->inv, row, err);

	if (r)
		return r;
	pthread_mutex_lock(&m->lock);
	vm->row = *row;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void use_bundle(struct vmm *m, struct vm *vm, struct bundle *b)
{
	pthread_mutex_lock(&m->lock);
	bundle_clear(&vm->b);
	vm->b = *b;
	pthread_mutex_unlock(&m->lock);
	memset(b, 0, sizeof(*b));
}

int vm_read(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct bundle b;
	int r;

	r = bundle_read(vm->bundle, &b, err);
	if (r == VMC_EAUTH)
		vmm_emit(m, VMM_EV_BUNDLE_ALTERED, VMC_MSG_BUNDLE_ALTERED, vm->id, NULL,
			 "The bundle of VM '%s' was altered or damaged", vm->row.name);
	if (r)
		return r;
	if (!vmc_uuid_equal(&b.id, &vm->uuid)) {
		vmc_uuid_format(&b.id, id);
		bundle_clear(&b);
		return vmc_fail(err, VMC_EAUTH, "bundle '%s' is of VM %s, not of '%s' (%s)", vm->bundle, id,
				vm->row.name, vm->id);
	}
	use_bundle(m, vm, &b);
	return 0;
}

/* Written is written: what the inventory says of the serial is for information. */
static void note_serial(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct inv_vm row = vm->row;

	row.serial = vm->b.serial;
	memcpy(row.name, vm->b.name, sizeof(row.name));
	if (put_row(m, vm, &row, &err))
		log_err("VM '%s': %s", vm->row.name, err.text);
}

int vm_write(struct vmm *m, struct vm *vm, struct bundle *b, struct vmc_error *err)
{
	int r;

	b->serial++;
	r = bundle_sign(b, m->k, err);
	if (!r)
		r = bundle_write(vm->bundle, b, err);
	if (r)
		bundle_clear(b);
	else
		use_bundle(m, vm, b);
	return r;
}

int vm_save(struct vmm *m, struct vm *vm, struct bundle *b, struct vmc_error *err)
{
	int r = vm_write(m, vm, b, err);

	if (!r)
		note_serial(m, vm);
	return r;
}

void vm_adopt(struct vmm *m, struct vm *vm, struct bundle *b)
{
	use_bundle(m, vm, b);
	note_serial(m, vm);
}

int vm_set_power(struct vmm *m, struct vm *vm, bool on, struct vmc_error *err)
{
	struct inv_vm row = vm->row;

	row.on = on;
	return put_row(m, vm, &row, err);
}

static void tell_keys(struct vmm *m, struct vm *vm, enum vm_key_state was, const struct vmc_error *why)
{
	if (vm->row.key_state == VM_KEYS_LOCKED)
		vmm_emit(m, VMM_EV_VM_LOCKED, VMC_MSG_VM_LOCKED, vm->id,
			 json_pack("{s:s}", "reason", why->text),
			 "VM '%s' is locked: %s", vm->row.name, why->text);
	else if (was == VM_KEYS_LOCKED)
		vmm_emit(m, VMM_EV_VM_UNLOCKED, VMC_MSG_VM_UNLOCKED, vm->id, NULL,
			 "Virtual machine is unlocked.");
	else
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL,
			 "The key state of VM '%s' changed", vm->row.name);
}

void vm_set_keys(struct vmm *m, struct vm *vm, enum vm_key_state state, const struct vmc_error *why)
{
	enum vm_key_state was = (enum vm_key_state)vm->row.key_state;
	struct vmc_error err = VMC_ERROR_INIT;
	struct inv_vm row = vm->row;

	snprintf(row.key_error, sizeof(row.key_error), "%s", state == VM_KEYS_OK ? "" : why->text);
	snprintf(row.key_hint, sizeof(row.key_hint), "%s", state == VM_KEYS_OK ? "" : why->hint);
	row.key_state = state;
	if (was == state && !strcmp(row.key_error, vm->row.key_error) &&
	    !strcmp(row.key_hint, vm->row.key_hint))
		return;
	if (put_row(m, vm, &row, &err))
		log_err("VM '%s': the key state was not recorded: %s", vm->row.name, err.text);
	else if (was != state)
		tell_keys(m, vm, was, why);
}

int vm_must_be_off(const struct vm *vm, const char *what, struct vmc_error *err)
{
	if (!vm->row.on)
		return 0;
	vmc_fail(err, VMC_ESTATE, "VM '%s' is on; %s needs it off", vm->row.name, what);
	vmc_hint(err, "'vmcrypt vm power-off %s' first", vm->row.name);
	return VMC_ESTATE;
}
