// SPDX-License-Identifier: GPL-2.0-or-later
/* KEKs of one or many VMs: gathered, fetched in one go, checked. */
#include <stdlib.h>
#include <string.h>

#include "missing.h"
#include "vm_priv.h"

int keys_add(struct key_set *s, const char *kek_id, struct vmc_error *err)
{
	struct kek_need *more;
	size_t room;

	if (s->n == s->room) {
		room = s->room ? 2 * s->room : 8;
		more = realloc(s->needs, room * sizeof(*more));
		if (!more)
			return vmc_fail(err, VMC_ENOMEM, "out of memory");
		s->needs = more;
		s->room = room;
	}
	memset(&s->needs[s->n], 0, sizeof(s->needs[s->n]));
	snprintf(s->needs[s->n].id, sizeof(s->needs[s->n].id), "%s", kek_id);
	s->n++;
	return 0;
}

int keys_add_bundle(struct key_set *s, const struct bundle *b, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < b->n; i++)
		if (!i || strcmp(b->v[i].kek_id, b->v[0].kek_id))
			r = keys_add(s, b->v[i].kek_id, err);
	return r;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct kek_need *)a)->id, ((const struct kek_need *)b)->id);
}

void keys_sort(struct key_set *s)
{
	size_t i, n = 0;

	if (!s->n)
		return;
	qsort(s->needs, s->n, sizeof(*s->needs), by_id);
	for (i = 1; i < s->n; i++)
		if (strcmp(s->needs[i].id, s->needs[n].id))
			s->needs[++n] = s->needs[i];
	s->n = n + 1;
}

int keys_fetch(struct vmm *m, struct key_set *s, struct vmc_error *err)
{
	uint64_t start = vmc_now_ms();
	bool told = false;
	size_t i;
	int r;

	keys_sort(s);
	r = s->n ? cache_ensure(m->k, m->ps, s->needs, s->n, err) : 0;
	s->ms = vmc_now_ms() - start;
	for (i = 0; i < s->n; i++) {
		told |= s->needs[i].code != 0;
		s->fetched += !s->needs[i].code && !s->needs[i].was_cached;
	}
	return told ? 0 : r;
}

const struct kek_need *keys_find(const struct key_set *s, const char *kek_id)
{
	struct kek_need key;

	snprintf(key.id, sizeof(key.id), "%s", kek_id);
	return s->n ? bsearch(&key, s->needs, s->n, sizeof(*s->needs), by_id) : NULL;
}

int keys_check(const struct key_set *s, const struct bundle_volume *v, struct vmc_error *err)
{
	const struct kek_need *need = keys_find(s, v->kek_id);

	if (!need)
		return vmc_fail(err, VMC_EINTERNAL, "key '%s' was not asked for", v->kek_id);
	if (!need->code)
		return s->states_only ? 0 : volume_check_kcv(v, need->kcv, err);
	if (err) {
		*err = need->err;
		err->code = need->code;
	}
	return need->code;
}

void keys_clear(struct key_set *s)
{
	free(s->needs);
	memset(s, 0, sizeof(*s));
}

int keys_ensure(struct vmm *m, const char *kek_id, struct vmc_error *err)
{
	struct key_set s = { 0 };
	int r;

	r = keys_add(&s, kek_id, err);
	if (!r)
		r = keys_fetch(m, &s, err);
	if (!r && s.needs[0].code) {
		r = s.needs[0].code;
		if (err)
			*err = s.needs[0].err;
	}
	keys_clear(&s);
	return r;
}

int keys_ensure_volume(struct vmm *m, const struct bundle_volume *v, struct vmc_error *err)
{
	struct key_set s = { 0 };
	int r;

	r = keys_add(&s, v->kek_id, err);
	if (!r)
		r = keys_fetch(m, &s, err);
	if (!r)
		r = keys_check(&s, v, err);
	keys_clear(&s);
	return r;
}

/* VM_CAUSE_NONE: not a matter of keys, says nothing about whether the VM is locked. */
static enum vm_cause cause_of(const struct key_set *s, const struct bundle_volume *v, int code)
{
	const struct kek_need *need = keys_find(s, v->kek_id);

	return vm_cause_of(code, need && need->code && need->trusted);
}

static void set_missing(struct vmm *m, struct vm *vm, const struct key_set *s, enum vm_key_state state,
			enum vm_cause cause, const struct vmc_error *why)
{
	struct key_verdict v = {
		.state = state, .cause = cause, .why = why, .missing = missing_keys(s, &vm->b),
	};

	vm_set_keys(m, vm, &v);
}

static int check_home(struct vmm *m, struct vm *vm, const struct key_set *s, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	enum vm_cause cause;
	int r;

	r = keys_check(s, &vm->b.v[0], &why);
	if (!r)
		return 0;
	cause = cause_of(s, &vm->b.v[0], r);
	if (cause != VM_CAUSE_NONE)
		set_missing(m, vm, s, VM_KEYS_LOCKED, cause, &why);
	if (err)
		*err = why;
	if (vm->row.key_state == VM_KEYS_LOCKED)
		vm_explain_lock(m, vm, err);
	else
		vmc_prefix(err, "the keys of VM '%s' cannot be had: ", vm->row.name);
	return r;
}

/* The words that operators know; the reason goes where the hint is. */
static int disk_key_missing(const struct vm *vm, const struct bundle_volume *v, const struct vmc_error *why,
			    struct vmc_error *err)
{
	char path[PATH_MAX];
	int r;

	r = vm_volume_path(vm, v, path, err);
	if (r)
		return r;
	vmc_fail(err, VMC_ENOKEY, "The disk [%s] is encrypted and a required key was not found.", path);
	vmc_hint(err, "Key '%s': %s. %s%sWithout the disk ('vmcrypt disk detach %s %s') the VM can power on",
		 v->kek_id, why->text, why->hint, why->hint[0] ? ". " : "", vm->row.name, v->name);
	return VMC_ENOKEY;
}

int vm_check_disk_key(struct vmm *m, struct vm *vm, const struct key_set *s,
		      const struct bundle_volume *v, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT, told = VMC_ERROR_INIT;
	enum vm_cause cause;
	int r;

	r = keys_check(s, v, &why);
	if (!r)
		return 0;
	told = why;
	cause = cause_of(s, v, r);
	if (cause != VM_CAUSE_NONE && r != VMC_EAUTH)
		r = disk_key_missing(vm, v, &why, &told);
	if (cause != VM_CAUSE_NONE)
		set_missing(m, vm, s, VM_KEYS_DISK_MISSING, cause, &told);
	if (err)
		*err = told;
	return r;
}

int vm_check_keys(struct vmm *m, struct vm *vm, const struct key_set *s, bool all, struct vmc_error *err)
{
	size_t i;
	int r;

	r = check_home(m, vm, s, err);
	if (r)
		return r;
	r = bundle_verify(&vm->b, m->k, vm->bundle, err);
	if (r == VMC_EAUTH)
		vmm_emit(m, VMM_EV_BUNDLE_ALTERED, VMC_MSG_BUNDLE_ALTERED, vm->id, NULL,
			 "The bundle '%s' of VM '%s' was altered", vm->bundle, vm->row.name);
	for (i = 1; all && !r && i < vm->b.n; i++)
		r = vm_check_disk_key(m, vm, s, &vm->b.v[i], err);
	if (!r && (all || vm->row.key_state == VM_KEYS_LOCKED) && !vm_locked_by_hand(vm))
		vm_set_keys_ok(m, vm);
	return r;
}

void vm_judge_keys(struct vmm *m, struct vm *vm, const struct key_set *s)
{
	size_t i;

	if (keys_find(s, vm->b.v[0].kek_id) && check_home(m, vm, s, NULL))
		return;
	for (i = 1; i < vm->b.n; i++)
		if (keys_find(s, vm->b.v[i].kek_id) && vm_check_disk_key(m, vm, s, &vm->b.v[i], NULL))
			return;
}

int vm_authenticate(struct vmm *m, struct vm *vm, bool all, struct vmc_error *err)
{
	struct key_set s = { 0 };
	int r;

	if (vm_locked_by_hand(vm))
		return vm_must_be_unlocked(m, vm, vm->busy, err);
	r = all ? keys_add_bundle(&s, &vm->b, err) : keys_add(&s, vm->b.v[0].kek_id, err);
	if (!r)
		r = keys_fetch(m, &s, err);
	if (!r)
		r = vm_check_keys(m, vm, &s, all, err);
	keys_clear(&s);
	return r;
}

int vm_load(struct vmm *m, struct vm *vm, bool all, struct vmc_error *err)
{
	int r = vm_read(m, vm, err);

	return r ? r : vm_authenticate(m, vm, all, err);
}
