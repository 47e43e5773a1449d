// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Alarms: raised when something needs an administrator, acknowledged by one (which
 * changes nothing else), cleared when it is over. One of a type and entity at a time.
 */
#include "alarm.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "cause.h"
#include "missing.h"

static const char *const severities[] = { "warning", "critical" };

/* ---- as others see one ---------------------------------------------------- */

static json_t *when(int64_t time)
{
	char text[32];

	if (!time)
		return json_null();
	vmc_time_format(time, text);
	return json_string(text);
}

/* What is kept is a packed message, or a text of our own that the catalog knows. */
static const char *say(const char *kept, char *out, size_t n)
{
	if (*kept == 1)
		return message_unpack(kept, out, n);
	snprintf(out, n, "%s", *kept ? message_say(kept) : "");
	return out;
}

static bool is_store(const struct inv_alarm *a)
{
	return !strcmp(a->kind, ENTITY_STORE);
}

static bool is_lock(const struct inv_alarm *a)
{
	return !strcmp(a->type, VMM_ALARM_VM_LOCKED) || !strcmp(a->type, VMM_ALARM_STORE_LOCKED);
}

/* In the reader's language: what came from a cause is said anew. */
static const char *words(const struct vmm *m, const struct inv_alarm *a, char *out, size_t n)
{
	enum vm_cause cause = (enum vm_cause)a->cause;

	if (!is_lock(a))
		return say(a->text, out, n);
	snprintf(out, n, "%s", is_store(a) ? store_cause_text(cause) : vm_cause_text(cause, m->cfg->wording));
	return out;
}

static void remedy(const struct inv_alarm *a, char *out, size_t n)
{
	char text[MESSAGE_MAX];

	if (!is_lock(a)) {
		vm_fill_names(say(a->remedy, text, sizeof(text)), a->name, a->name, NULL, out, n);
		return;
	}
	missing_remedy(is_store(a), (enum vm_cause)a->cause, a->name, a->keys, out, n);
}

static json_t *alarm_json(const struct vmm *m, const struct inv_alarm *a)
{
	char id[24], todo[1024], text[MESSAGE_MAX];
	json_t *o;

	snprintf(id, sizeof(id), "%lld", (long long)a->id);
	remedy(a, todo, sizeof(todo));
	o = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:s?, s:s, s:s, s:O, s:o, s:o, s:o, s:s?}", "id", id,
		      "type", a->type, "severity", severities[a->severity == VMM_CRITICAL],
		      "entity", "kind", a->kind, "id", a->entity, "name", a->name,
		      "cause", vm_cause_name((enum vm_cause)a->cause), "text", words(m, a, text, sizeof(text)), "remedy", todo,
		      "keys", a->keys, "raised", when(a->raised), "cleared", when(a->cleared),
		      "acknowledged", when(a->acknowledged),
		      "acknowledged_by", a->acknowledged_by[0] ? a->acknowledged_by : NULL);
	if (o && a->reason[0])
		json_object_set_new(o, "reason", json_string(say(a->reason, text, sizeof(text))));
	return o;
}

json_t *vmm_alarms(struct vmm *m, bool history, struct vmc_error *err)
{
	struct inv_alarm *alarms;
	json_t *list;
	size_t i, n;

	if (inventory_alarms(m->inv, history, &alarms, &n, err))
		return NULL;
	list = json_array();
	for (i = 0; list && i < n; i++)
		json_array_append_new(list, alarm_json(m, &alarms[i]));
	inventory_alarms_free(alarms, n);
	if (!list)
		vmc_fail(err, VMC_ENOMEM, "out of memory");
	return list;
}

json_t *alarm_counts(struct vmm *m)
{
	json_t *counts = json_object();
	struct inv_alarm *alarms;
	size_t i, n;

	if (!counts || inventory_alarms(m->inv, false, &alarms, &n, NULL))
		return counts;
	for (i = 0; i < n; i++) {
		json_int_t was = json_integer_value(json_object_get(counts, alarms[i].entity));

		if (!strcmp(alarms[i].kind, ENTITY_VM) || is_store(&alarms[i]))
			json_object_set_new(counts, alarms[i].entity, json_integer(was + 1));
	}
	inventory_alarms_free(alarms, n);
	return counts;
}

static void tell(struct vmm *m, const char *type, const char *message_id, const struct inv_alarm *a)
{
	const char *vm = !strcmp(a->kind, ENTITY_VM) || is_store(a) ? a->entity : NULL;
	locale_t before = i18n_speak((locale_t)0);
	json_t *details = alarm_json(m, a);	/* is kept, so it is English */
	char text[MESSAGE_MAX];
	const char *said;

	i18n_restore(before);
	said = words(m, a, text, sizeof(text));

	if (is_store(a))
		vmm_emit(m, type, message_id, vm, details, "Datastore '%s': %s", a->name, said);
	else if (vm)
		vmm_emit(m, type, message_id, vm, details, "VM '%s': %s", a->name, said);
	else if (!strcmp(a->kind, "provider"))
		vmm_emit(m, type, message_id, NULL, details, "Key provider '%s': %s", a->name, said);
	else
		vmm_emit(m, type, message_id, NULL, details, "Host '%s': %s", a->name, said);
}

/* ---- raise, clear, acknowledge ----------------------------------------------- */

static bool same_keys(const json_t *a, const json_t *b)
{
	return a && b ? json_equal(a, b) : json_array_size(a) == json_array_size(b);
}

/* @now: what @a is to say. False: it says so already. */
static bool revise(struct inv_alarm *a, const struct inv_alarm *now)
{
	if (!strcmp(a->text, now->text) && !strcmp(a->reason, now->reason) && !strcmp(a->remedy, now->remedy) && a->severity == now->severity &&
	    !strcmp(a->name, now->name) && same_keys(a->keys, now->keys))
		return false;
	memcpy(a->text, now->text, sizeof(a->text));
	memcpy(a->remedy, now->remedy, sizeof(a->remedy));
	memcpy(a->reason, now->reason, sizeof(a->reason));
	memcpy(a->name, now->name, sizeof(a->name));
	a->severity = now->severity;
	json_decref(a->keys);
	a->keys = json_incref(now->keys);
	return true;
}

static void from_caller(const struct vmm_alarm *in, struct inv_alarm *a)
{
	memset(a, 0, sizeof(*a));
	snprintf(a->type, sizeof(a->type), "%s", in->type);
	snprintf(a->kind, sizeof(a->kind), "%s", in->entity_kind);
	snprintf(a->entity, sizeof(a->entity), "%s", in->entity_id);
	snprintf(a->name, sizeof(a->name), "%s", in->entity_name ? in->entity_name : in->entity_id);
	snprintf(a->text, sizeof(a->text), "%s", in->text ? in->text : "");
	snprintf(a->remedy, sizeof(a->remedy), "%s", in->remedy ? in->remedy : "");
	if (in->reason && *in->reason == 1)	/* packed already */
		snprintf(a->reason, sizeof(a->reason), "%s", in->reason);
	else
		message_pack(in->reason ? in->reason : "", a->reason, sizeof(a->reason));
	a->severity = in->severity;
	a->cause = in->cause;
	a->keys = in->keys ? json_incref((json_t *)in->keys) : json_array();
	a->raised = vmc_time();
}

/*
 * Of the same cause it stays the same alarm, and whoever acknowledged it need not
 * do so again; another cause is another alarm. *@old gets an id when one was cleared
 * for that, @a when it is new.
 */
static int raise_locked(struct vmm *m, struct inv_alarm *a, struct inv_alarm *old, struct vmc_error *err)
{
	int r = inventory_alarm_find(m->inv, a->type, a->kind, a->entity, old, err);

	if (r == VMC_ENOENT)
		return inventory_alarm_put(m->inv, a, err);
	if (r)
		return r;
	if (old->cause == a->cause) {
		r = revise(old, a) ? inventory_alarm_put(m->inv, old, err) : 0;
		old->id = 0;
		return r;
	}
	old->cleared = a->raised;
	r = inventory_begin(m->inv, err);
	if (r) {
		old->id = 0;
		return r;
	}
	r = inventory_alarm_put(m->inv, old, err);
	if (!r)
		r = inventory_alarm_put(m->inv, a, err);
	if (!r)
		return inventory_commit(m->inv, err);
	inventory_rollback(m->inv);
	return r;
}

int vmm_alarm_raise(struct vmm *m, const struct vmm_alarm *in, struct vmc_error *err)
{
	struct inv_alarm a, old = { 0 };
	int r;

	from_caller(in, &a);
	pthread_mutex_lock(&m->alarm_lock);
	r = a.keys ? raise_locked(m, &a, &old, err) : vmc_fail(err, VMC_ENOMEM, "out of memory");
	pthread_mutex_unlock(&m->alarm_lock);
	if (!r && old.id)
		tell(m, VMM_EV_ALARM_CLEARED, VMC_MSG_ALARM_CLEARED, &old);
	if (!r && a.id)
		tell(m, VMM_EV_ALARM_RAISED, VMC_MSG_ALARM_RAISED, &a);
	json_decref(old.keys);
	json_decref(a.keys);
	return r;
}

int vmm_alarm_clear(struct vmm *m, const char *type, const char *entity_kind, const char *entity_id,
		    struct vmc_error *err)
{
	struct inv_alarm a = { 0 };
	int r;

	pthread_mutex_lock(&m->alarm_lock);
	r = inventory_alarm_find(m->inv, type, entity_kind, entity_id, &a, err);
	if (!r) {
		a.cleared = vmc_time();
		r = inventory_alarm_put(m->inv, &a, err);
	}
	pthread_mutex_unlock(&m->alarm_lock);
	if (!r)
		tell(m, VMM_EV_ALARM_CLEARED, VMC_MSG_ALARM_CLEARED, &a);
	json_decref(a.keys);
	return r == VMC_ENOENT ? 0 : r;
}

static int acknowledge(struct vmm *m, struct inv_alarm *a, const char *who, struct vmc_error *err)
{
	int r;

	if (a->acknowledged)
		return 0;
	a->acknowledged = vmc_time();
	snprintf(a->acknowledged_by, sizeof(a->acknowledged_by), "%s", who ? who : "");
	r = inventory_alarm_put(m->inv, a, err);
	if (!r)
		tell(m, VMM_EV_ALARM_ACKNOWLEDGED, VMC_MSG_ALARM_ACKNOWLEDGED, a);
	return r;
}

static int no_alarm(const char *id, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOENT, "there is no raised alarm '%.40s'", id);
	vmc_hint(err, "'vmcrypt alarm list' shows those that are raised");
	return VMC_ENOENT;
}

int vmm_alarm_acknowledge(struct vmm *m, const char *id, const char *who, struct vmc_error *err)
{
	struct inv_alarm *alarms;
	bool found = !id;
	size_t i, n;
	int r;

	pthread_mutex_lock(&m->alarm_lock);
	r = inventory_alarms(m->inv, false, &alarms, &n, err);
	if (r) {
		pthread_mutex_unlock(&m->alarm_lock);
		return r;
	}
	for (i = 0; !r && i < n; i++) {
		char text[24];

		snprintf(text, sizeof(text), "%lld", (long long)alarms[i].id);
		if (id && strcmp(id, text))
			continue;
		found = true;
		r = acknowledge(m, &alarms[i], who, err);
	}
	inventory_alarms_free(alarms, n);
	pthread_mutex_unlock(&m->alarm_lock);
	return r || found ? r : no_alarm(id, err);
}

/* ---- of a VM --------------------------------------------------------------------- */

static void clear(struct vmm *m, const char *type, const struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (vmm_alarm_clear(m, type, alarm_entity(vm), vm->id, &err))
		log_err("an alarm of %s '%s' was not cleared: %s", alarm_entity(vm), vm->row.name, err.text);
}

static void raise_vm(struct vmm *m, const char *type, const struct vm *vm)
{
	bool locked = vm->row.key_state == VM_KEYS_LOCKED;
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmm_alarm a = {
		.type = type, .severity = VMM_CRITICAL, .entity_kind = alarm_entity(vm), .entity_id = vm->id,
		.entity_name = vm->row.name, .cause = (enum vm_cause)vm->row.cause,
		.text = locked ? NULL : vm->row.key_error, .remedy = locked ? NULL : vm->row.key_hint,
		.reason = locked ? vm->row.key_error : NULL, .keys = vm->row.missing,
	};

	if (vmm_alarm_raise(m, &a, &err))
		log_err("an alarm of %s '%s' was not raised: %s", alarm_entity(vm), vm->row.name, err.text);
}

static const char *lock_alarm(const struct vm *vm)
{
	return vm_is_store(vm) ? VMM_ALARM_STORE_LOCKED : VMM_ALARM_VM_LOCKED;
}

void alarm_follow_vm(struct vmm *m, const struct vm *vm)
{
	if (vm->row.key_state == VM_KEYS_LOCKED)
		raise_vm(m, lock_alarm(vm), vm);
	else
		clear(m, lock_alarm(vm), vm);
	if (vm->row.key_state == VM_KEYS_DISK_MISSING)
		raise_vm(m, VMM_ALARM_DISK_KEY, vm);
	else
		clear(m, VMM_ALARM_DISK_KEY, vm);
}

void alarm_clear_vm(struct vmm *m, const struct vm *vm)
{
	clear(m, lock_alarm(vm), vm);
	clear(m, VMM_ALARM_DISK_KEY, vm);
	clear(m, VMM_ALARM_KEY_STATE, vm);
	clear(m, VMM_ALARM_AUTOSTART, vm);
}
