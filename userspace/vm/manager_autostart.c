// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMs that start with the host. The inventory has for each the start of the host in
 * which that was done, or in which somebody powered it on: so each is started once,
 * however often the helper is, and one whose keys come late is not forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "vm_priv.h"

#define SERVICE ".service"

/* ---- setting it ---------------------------------------------------------------- */

/* As systemd has it; a template needs its instance. */
static bool unit_name_ok(const char *unit)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
	size_t n = strlen(unit), suffix = strlen(SERVICE);
	const char *at = strchr(unit, '@');

	return n > suffix && n <= INVENTORY_UNIT_MAX && strspn(unit, plain) == n && unit[0] != '.' &&
	       !strcmp(unit + n - suffix, SERVICE) && (!at || (at != unit && at + 1 != unit + n - suffix));
}

static void clear_alarm(struct vmm *m, const struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (vmm_alarm_clear(m, VMM_ALARM_AUTOSTART, "vm", vm->id, &err))
		log_err("an alarm of VM '%s' was not cleared: %s", vm->row.name, err.text);
}

static int set_autostart(struct vmm *m, struct vm *vm, bool on, const char *unit, struct vmc_error *err)
{
	struct inv_vm row = vm->row;
	int r;

	if (on && !row.autostart)	/* from the next start on */
		memcpy(row.boot, m->boot, sizeof(row.boot));
	row.autostart = on;
	snprintf(row.unit, sizeof(row.unit), "%s", on ? unit : "");
	r = vm_put_row(m, vm, &row, err);
	if (r)
		return r;
	if (!on)
		clear_alarm(m, vm);
	if (on)
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL,
			 "VM '%s' starts with the host from now on", row.name);
	else
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL,
			 "VM '%s' does not start with the host any more", row.name);
	return 0;
}

int vmm_set_autostart(struct vmm *m, const char *ref, bool on, const char *unit, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	unit = unit ? unit : "";
	if (*unit && !unit_name_ok(unit)) {
		vmc_fail(err, VMC_EINVAL, "'%.80s' is not the name of a systemd service", unit);
		vmc_hint(err, "a name such as qemu-web.service or qemu@web.service; 'systemctl list-unit-files --type=service' shows those there are");
		return VMC_EINVAL;
	}
	if (*unit && !on)
		return vmc_fail(err, VMC_EINVAL, "a unit goes with autostart only");
	r = vm_take(m, ref, "autostart", TAKE_ANY | TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = set_autostart(m, vm, on, unit, err);
	vm_drop(m, vm);
	return r;
}

/* ---- doing it ------------------------------------------------------------------ */

void autostart_settle(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct inv_vm row = vm->row;

	if (!row.autostart)
		return;
	if (strcmp(row.boot, m->boot)) {
		memcpy(row.boot, m->boot, sizeof(row.boot));
		if (vm_put_row(m, vm, &row, &err))
			log_err("VM '%s': %s", row.name, err.text);
	}
	clear_alarm(m, vm);
}

/* One that is locked has an alarm that says more. @first: not one more try. */
static void tell_failed(struct vmm *m, const struct vm *vm, const struct vmc_error *why, bool first)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmm_alarm a = {
		.type = VMM_ALARM_AUTOSTART, .severity = VMM_CRITICAL, .entity_kind = "vm", .entity_id = vm->id,
		.entity_name = vm->row.name, .reason = why->text,
		.text = N_("The VM was to start with the host, and did not."),
		.remedy = N_("Mend what the reason says, then 'vmcrypt vm power-on {vm}', and start what runs it: 'vmcrypt vm show {vm}' names its unit"),
	};

	if (vm->row.key_state == VM_KEYS_OK && vmm_alarm_raise(m, &a, &err))
		log_err("an alarm of VM '%s' was not raised: %s", vm->row.name, err.text);
	if (first)
		vmm_emit(m, VMM_EV_VM_NOT_STARTED, VMC_MSG_VM_NOT_STARTED, vm->id, NULL,
			 "VM '%s' did not start with the host: %s", vm->row.name, why->text);
}

struct start {
	char id[VMC_UUID_STR], name[64], unit[INVENTORY_UNIT_MAX + 1];
	bool on, by_hand;		/* locked by hand */
	struct vmc_error err;
};

struct starts {
	struct start *s;
	size_t n;
};

static bool is_due(const struct vmm *m, const struct vm *vm, bool ask)
{
	return vm->row.autostart && strcmp(vm->row.boot, m->boot) && (ask || vm->row.key_state == VM_KEYS_OK);
}

static int gather(struct vmm *m, bool ask, struct starts *all, struct vmc_error *err)
{
	size_t i;

	pthread_mutex_lock(&m->lock);
	all->n = 0;
	all->s = calloc(m->n + 1, sizeof(*all->s));
	for (i = 0; all->s && i < m->n; i++) {
		const struct vm *vm = m->vms[i];
		struct start *s = &all->s[all->n];

		if (!is_due(m, vm, ask))
			continue;
		memcpy(s->id, vm->id, sizeof(s->id));
		memcpy(s->name, vm->row.name, sizeof(s->name));
		memcpy(s->unit, vm->row.unit, sizeof(s->unit));
		s->on = vm->row.on;
		s->by_hand = vm_locked_by_hand(vm);
		all->n++;
	}
	pthread_mutex_unlock(&m->lock);
	return all->s ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

static void take_failure(struct start *s, const json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "error"));
	const char *hint = json_string_value(json_object_get(o, "hint"));

	vmc_fail(&s->err, vmc_code_from_name(json_string_value(json_object_get(o, "code"))), "%s", text ? text : "?");
	if (hint)
		vmc_hint(&s->err, "%s", hint);
}

/* What was locked by hand stays so; the power-on says why. */
static int fetch_keys(struct vmm *m, struct starts *all, struct progress *p, struct vmc_error *err)
{
	const char **ids = calloc(all->n + 1, sizeof(*ids));
	json_t *out = NULL, *o;
	size_t i, j = 0, n = 0;
	int r = 0;

	if (!ids)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < all->n; i++)
		if (!all->s[i].on && !all->s[i].by_hand)
			ids[n++] = all->s[i].id;
	if (n)
		r = vmm_unlock(m, ids, n, p, &out, err);
	for (i = 0; !r && i < all->n; i++) {
		if (all->s[i].on || all->s[i].by_hand)
			continue;
		o = json_array_get(json_object_get(out, "results"), j++);
		if (!json_is_true(json_object_get(o, "ok")))
			take_failure(&all->s[i], o);
	}
	json_decref(out);
	free(ids);
	return r;
}

/* Its keys were to be fetched, and were not if s->err says so. */
static void start_one(struct vmm *m, struct start *s, bool ask, struct progress *p)
{
	struct vmc_error failed = s->err;
	struct vm *vm;

	if (vm_take(m, s->id, "autostart", TAKE_LOCKED, &vm, &s->err))
		return;		/* somebody is at it; the next call sees what came of that */
	if (!is_due(m, vm, true)) {
		vm_drop(m, vm);
		return;
	}
	/* on: a kill came before its unit was started */
	if (!vm->row.on && !failed.code && !power_on(m, vm, p, &failed))
		power_tell_on(m, vm);
	if (failed.code)
		tell_failed(m, vm, &failed, ask);
	else if (!s->unit[0])
		autostart_settle(m, vm);
	s->err = failed;
	vm_drop(m, vm);
}

static json_t *answer(const struct starts *all)
{
	json_t *results = json_array(), *o;
	size_t i;

	for (i = 0; i < all->n; i++) {
		const struct start *s = &all->s[i];

		o = json_pack("{s:s, s:s, s:b, s:s*}", "vm", s->id, "name", s->name, "ok", !s->err.code,
			      "unit", s->unit[0] ? s->unit : NULL);
		if (o && s->err.code)
			json_set_error(o, &s->err);
		json_array_append_new(results, o);
	}
	return json_pack("{s:o}", "results", results);
}

int vmm_autostart(struct vmm *m, bool ask, struct progress *p, json_t **out, struct vmc_error *err)
{
	struct starts all;
	size_t i;
	int r;

	r = gather(m, ask, &all, err);
	if (!r && ask)
		r = fetch_keys(m, &all, p, err);
	for (i = 0; !r && i < all.n; i++) {
		progress_report(p, "open", i, all.n);
		if (progress_canceled(p) || atomic_load(&m->stopping))
			r = vmc_fail(err, VMC_ECANCELED, "starting VMs with the host was canceled");
		else
			start_one(m, &all.s[i], ask, p);
	}
	if (!r && out)
		*out = answer(&all);
	free(all.s);
	return r;
}

int vmm_autostart_done(struct vmm *m, const char *ref, const struct vmc_error *failed, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "autostart", TAKE_ANY | TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	autostart_settle(m, vm);
	if (failed)
		tell_failed(m, vm, failed, true);
	vm_drop(m, vm);
	return 0;
}
