// SPDX-License-Identifier: GPL-2.0-or-later
/* Bundle, power and key state of a VM that was taken; events. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "alarm.h"
#include "missing.h"
#include "store.h"
#include "vm_priv.h"

static void name_of(struct vmm *m, const char *vm, char out[sizeof(((struct inv_vm *)NULL)->name)])
{
	vmc_uuid id;
	size_t i;

	out[0] = '\0';
	if (!vm || vmc_uuid_parse(vm, &id))
		return;
	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++)
		if (vmc_uuid_equal(&m->vms[i]->uuid, &id))
			memcpy(out, m->vms[i]->row.name, sizeof(m->vms[i]->row.name));
	pthread_mutex_unlock(&m->lock);
}

void vmm_emit(struct vmm *m, const char *type, const char *message_id, const char *vm, json_t *details,
	      const char *fmt, ...)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char text[MESSAGE_MAX], name[sizeof(((struct inv_vm *)NULL)->name)];
	struct inv_event e;
	int64_t id = 0;
	json_t *message;
	va_list ap;

	va_start(ap, fmt);
	message = message_tell(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!details)
		details = json_object();
	if (message)
		json_object_set_new(details, "message", message);
	name_of(m, vm, name);
	e = (struct inv_event){ type, message_id, vm, name, text, details };
	if (inventory_event(m->inv, &e, &id, &err))
		log_err("an event was not recorded: %s", err.text);
	if (m->fn) {
		struct vmm_event out = { type, message_id, vm, text, details, name[0] ? name : NULL, id };

		m->fn(&out, m->data);
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
	if (vm_is_store(vm))
		snprintf(out, PATH_MAX, "%s", vm->row.mount);
	else
		snprintf(out, PATH_MAX, "%s/home/%s", m->cfg->runtime_dir, vm->id);
}

int vm_put_row(struct vmm *m, struct vm *vm, const struct inv_vm *row, struct vmc_error *err)
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
	if (r == VMC_ENOENT)
		return store_explain(m, vm, r, err);
	if (r == VMC_EAUTH)
		vmm_emit(m, VMM_EV_BUNDLE_ALTERED, VMC_MSG_BUNDLE_ALTERED, vm->id, NULL, vm_is_store(vm) ?
			 N_("The bundle of datastore '%s' was altered or damaged") :
			 N_("The bundle of VM '%s' was altered or damaged"), vm->row.name);
	if (r)
		return r;
	if (!vmc_uuid_equal(&b.id, &vm->uuid) || bundle_is_datastore(&b) != vm_is_store(vm)) {
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
	if (vm_put_row(m, vm, &row, &err))
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
	return vm_put_row(m, vm, &row, err);
}

/* ---- key state ---------------------------------------------------------------- */

void vm_remedy(const struct vm *vm, char *out, size_t n)
{
	if (vm->row.key_state != VM_KEYS_LOCKED || vm->row.cause == VM_CAUSE_NONE) {
		message_unpack(vm->row.key_hint, out, n);
		return;
	}
	missing_remedy(vm_is_store(vm), (enum vm_cause)vm->row.cause, vm->row.name, vm->row.missing, out, n);
}

const char *vm_why_locked(const struct vmm *m, const struct vm *vm)
{
	enum vm_cause cause = (enum vm_cause)vm->row.cause;

	return vm_is_store(vm) ? store_cause_text(cause) : vm_cause_text(cause, m->cfg->wording);
}

/* What an administrator of keys needs: which, where, in what state. Kept, so English. */
static json_t *locked_details(const struct vm *vm)
{
	char provider[PROVIDER_NAME_MAX + 1], todo[768], reason[768];
	locale_t before = i18n_speak((locale_t)0);

	missing_provider(vm->row.missing, provider);
	vm_remedy(vm, todo, sizeof(todo));
	message_unpack(vm->row.key_error, reason, sizeof(reason));
	i18n_restore(before);
	return json_pack("{s:s, s:s?, s:s, s:s, s:s?, s:s?, s:O?}", "name", vm->row.name,
			 "cause", vm_cause_name((enum vm_cause)vm->row.cause), "reason", reason, "remedy", todo,
			 "provider", provider[0] ? provider : NULL, "key", missing_first(vm->row.missing),
			 "missing_keys", vm->row.missing);
}

static void tell_locked(struct vmm *m, struct vm *vm)
{
	if (vm_is_store(vm))
		vmm_emit(m, VMM_EV_DATASTORE_LOCKED, VMC_MSG_DATASTORE_LOCKED, vm->id, locked_details(vm), "%s",
			 vm_why_locked(m, vm));
	else
		vmm_emit(m, VMM_EV_VM_LOCKED, vm_cause_message_id((enum vm_cause)vm->row.cause), vm->id,
			 locked_details(vm), "%s", vm_why_locked(m, vm));
}

static void tell_disk_missing(struct vmm *m, struct vm *vm)
{
	const json_t *first = json_array_get(vm->row.missing, 0);
	json_t *details = locked_details(vm);
	char text[768];

	message_unpack(vm->row.key_error, text, sizeof(text));
	json_object_set(details, "disk", json_array_get(json_object_get(first, "volumes"), 0));
	vmm_emit(m, VMM_EV_DISK_KEY_MISSING, VMC_MSG_DISK_KEY_MISSING, vm->id, details, "%s", text);
}

static void tell_keys(struct vmm *m, struct vm *vm, enum vm_key_state was)
{
	enum vm_key_state now = (enum vm_key_state)vm->row.key_state;

	if (now == VM_KEYS_LOCKED) {
		tell_locked(m, vm);
		return;
	}
	if (vm_is_store(vm)) {
		vmm_emit(m, VMM_EV_DATASTORE_UNLOCKED, VMC_MSG_DATASTORE_UNLOCKED, vm->id, NULL,
			 "Datastore is unlocked.");
		return;
	}
	if (was == VM_KEYS_LOCKED)
		vmm_emit(m, VMM_EV_VM_UNLOCKED, VMC_MSG_VM_UNLOCKED, vm->id, NULL, "Virtual machine is unlocked.");
	if (now == VM_KEYS_DISK_MISSING)
		tell_disk_missing(m, vm);
	else if (was != VM_KEYS_LOCKED)
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL,
			 "The key state of VM '%s' changed", vm->row.name);
}

static bool same_keys(const struct inv_vm *a, const struct inv_vm *b)
{
	return a->key_state == b->key_state && a->cause == b->cause && a->suspended == b->suspended &&
	       !strcmp(a->key_error, b->key_error) && !strcmp(a->key_hint, b->key_hint) &&
	       (a->missing && b->missing ? json_equal(a->missing, b->missing) :
		json_array_size(a->missing) == json_array_size(b->missing));
}

/* @row is @vm's with other keys; its missing is taken over. */
static void change_keys(struct vmm *m, struct vm *vm, const struct inv_vm *row)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct inv_vm was = vm->row;

	if (same_keys(row, &was)) {
		json_decref(row->missing);
		return;
	}
	if (vm_put_row(m, vm, row, &err)) {
		log_err("VM '%s': the key state was not recorded: %s", vm->row.name, err.text);
		json_decref(row->missing);
		return;
	}
	if (was.key_state != row->key_state || was.cause != row->cause)
		tell_keys(m, vm, (enum vm_key_state)was.key_state);
	alarm_follow_vm(m, vm);
	json_decref(was.missing);
}

void vm_set_keys(struct vmm *m, struct vm *vm, const struct key_verdict *v)
{
	bool by_hand = vm_locked_by_hand(vm);
	struct inv_vm row = vm->row;

	if (v->state != VM_KEYS_OK && row.on && v->cause != VM_CAUSE_BY_HAND) {
		json_decref(v->missing);
		return;
	}
	row.key_state = v->state;
	row.cause = v->cause;
	if (by_hand && (v->state == VM_KEYS_LOCKED || (row.suspended && v->state != VM_KEYS_OK))) {
		row.key_state = VM_KEYS_LOCKED;
		row.cause = VM_CAUSE_BY_HAND;
	}
	if (v->state == VM_KEYS_OK || v->cause == VM_CAUSE_BY_HAND)
		row.suspended = v->suspended;
	row.missing = v->missing;
	message_pack(v->why ? v->why->text : "", row.key_error, sizeof(row.key_error));
	message_pack(v->why ? v->why->hint : "", row.key_hint, sizeof(row.key_hint));
	change_keys(m, vm, &row);
}

void vm_set_keys_ok(struct vmm *m, struct vm *vm)
{
	vm_set_keys(m, vm, &(struct key_verdict){ .state = VM_KEYS_OK });
}

/* The cause without its full stop, and what to do about it. */
struct lock_words {
	char why[768], todo[768];
};

static void lock_words(const struct vmm *m, const struct vm *vm, struct lock_words *w)
{
	size_t n;

	if (vm->row.cause != VM_CAUSE_NONE)
		snprintf(w->why, sizeof(w->why), "%s", vm_why_locked(m, vm));
	else
		message_unpack(vm->row.key_error, w->why, sizeof(w->why));
	n = strlen(w->why);
	if (n && w->why[n - 1] == '.')
		w->why[n - 1] = '\0';
	vm_remedy(vm, w->todo, sizeof(w->todo));
}

int vm_must_be_unlocked(const struct vmm *m, const struct vm *vm, const char *what, struct vmc_error *err)
{
	struct lock_words w;

	if (vm->row.key_state != VM_KEYS_LOCKED)
		return 0;
	lock_words(m, vm, &w);
	vmc_fail(err, VMC_ESTATE, vm_is_store(vm) ? N_("datastore '%s' is locked, so no %s now: %s") :
		 N_("VM '%s' is locked, so no %s now: %s"), vm->row.name, what, w.why);
	vmc_hint(err, "%s", w.todo);
	return VMC_ESTATE;
}

void vm_explain_lock(const struct vmm *m, const struct vm *vm, struct vmc_error *err)
{
	struct lock_words w;

	lock_words(m, vm, &w);
	vmc_prefix(err, vm_is_store(vm) ? N_("datastore '%s' is locked. %s: ") : N_("VM '%s' is locked. %s: "),
		   vm->row.name, w.why);
	vmc_hint(err, "%s", w.todo);
}

bool vm_locked_by_hand(const struct vm *vm)
{
	return vm->row.key_state == VM_KEYS_LOCKED && vm->row.cause == VM_CAUSE_BY_HAND;
}

int vm_must_be_off(const struct vm *vm, const char *what, struct vmc_error *err)
{
	if (!vm->row.on)
		return 0;
	vmc_fail(err, VMC_ESTATE, "VM '%s' is on; %s needs it off", vm->row.name, what);
	vmc_hint(err, "'vmcrypt vm power-off %s' first", vm->row.name);
	return VMC_ESTATE;
}
