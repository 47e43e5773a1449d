// SPDX-License-Identifier: GPL-2.0-or-later
/* KEKs of one or many VMs: gathered, fetched in one go, checked. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
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

static int add_spare(struct key_set *s, const struct key_wrap *first, const char *second, struct vmc_error *err)
{
	struct key_spare *more;
	size_t room;

	if (s->n_spares == s->spare_room) {
		room = s->spare_room ? 2 * s->spare_room : 8;
		more = realloc(s->spares, room * sizeof(*more));
		if (!more)
			return vmc_fail(err, VMC_ENOMEM, "out of memory");
		s->spares = more;
		s->spare_room = room;
	}
	more = &s->spares[s->n_spares++];
	snprintf(more->first, sizeof(more->first), "%s", first->kek_id);
	memcpy(more->kcv, first->kcv, sizeof(more->kcv));
	snprintf(more->second, sizeof(more->second), "%s", second);
	return 0;
}

int keys_add_volume(struct key_set *s, const struct bundle_volume *v, struct vmc_error *err)
{
	struct key_wrap first, second;
	int r;

	wrap_in_order(v, &first, &second);
	r = keys_add(s, first.kek_id, err);
	return r || !second.kek_id[0] ? r : add_spare(s, &first, second.kek_id, err);
}

static bool same_keys(const struct bundle_volume *a, const struct bundle_volume *b)
{
	return !strcmp(a->kek_id, b->kek_id) && !strcmp(a->second.kek_id, b->second.kek_id);
}

int keys_add_bundle(struct key_set *s, const struct bundle *b, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < b->n; i++)
		if (!i || !same_keys(&b->v[i], &b->v[0]))
			r = keys_add_volume(s, &b->v[i], err);
	return r;
}

/* Is the right key of that id there? */
static bool has_key(const struct key_set *s, const struct key_wrap *w)
{
	const struct kek_need *need = keys_find(s, w->kek_id);

	return need && !need->code && (s->states_only || !memcmp(need->kcv, w->kcv, sizeof(w->kcv)));
}

static void pick(const struct key_set *s, struct bundle_volume *v)
{
	struct key_wrap first, second;
	bool other;

	if (!wrap_is_double(v))
		return;
	wrap_in_order(v, &first, &second);
	if (!keys_find(s, first.kek_id))	/* not asked for: nothing new is known */
		return;
	other = !has_key(s, &first) && has_key(s, &second);
	if (other != v->swapped)
		wrap_swap(v);
}

void keys_pick(const struct key_set *s, struct bundle *b)
{
	for (size_t i = 0; i < b->n; i++)
		pick(s, &b->v[i]);
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

/* The second keys of those whose first did not come, each once. */
static int spares_needed(const struct key_set *s, struct key_set *more, struct vmc_error *err)
{
	const struct kek_need *need;
	int r = 0;

	for (size_t i = 0; !r && i < s->n_spares; i++) {
		const struct key_spare *spare = &s->spares[i];

		need = keys_find(s, spare->first);
		if (need && (need->code || memcmp(need->kcv, spare->kcv, sizeof(spare->kcv))) &&
		    !keys_find(s, spare->second))
			r = keys_add(more, spare->second, err);
	}
	keys_sort(more);
	return r;
}

static int fetch_spares(struct vmm *m, struct key_set *s, struct vmc_error *err)
{
	struct key_set more = { 0 };
	size_t i;
	int r;

	r = spares_needed(s, &more, err);
	if (!r && more.n)
		cache_ensure(m->k, m->ps, more.needs, more.n, NULL);	/* each tells for itself */
	for (i = 0; !r && i < more.n; i++) {
		r = keys_add(s, more.needs[i].id, err);
		if (!r)
			s->needs[s->n - 1] = more.needs[i];
	}
	keys_clear(&more);
	keys_sort(s);
	return r;
}

int keys_fetch(struct vmm *m, struct key_set *s, struct vmc_error *err)
{
	uint64_t start = vmc_now_ms();
	bool told = false;
	size_t i;
	int r, r2;

	keys_sort(s);
	r = s->n ? cache_ensure(m->k, m->ps, s->needs, s->n, err) : 0;
	if (s->n_spares) {
		r2 = fetch_spares(m, s, err);
		if (r2)
			return r2;
	}
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

const struct kek_need *keys_find_any(const struct key_set *s, const char *kek_id)
{
	const struct kek_need *need = keys_find(s, kek_id), *spare;

	for (size_t i = 0; need && need->code && i < s->n_spares; i++) {
		if (strcmp(s->spares[i].first, kek_id))
			continue;
		spare = keys_find(s, s->spares[i].second);
		if (spare && !spare->code)
			return spare;
	}
	return need;
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
	free(s->spares);
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
		vmc_prefix(err, vm_is_store(vm) ? N_("the key of datastore '%s' cannot be had: ") :
			   N_("the keys of VM '%s' cannot be had: "), vm->row.name);
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

	pthread_mutex_lock(&m->lock);
	keys_pick(s, &vm->b);
	pthread_mutex_unlock(&m->lock);
	r = check_home(m, vm, s, err);
	if (r)
		return r;
	r = bundle_verify(&vm->b, m->k, vm->bundle, err);
	if (r == VMC_EAUTH)
		vmm_emit(m, VMM_EV_BUNDLE_ALTERED, VMC_MSG_BUNDLE_ALTERED, vm->id, NULL,
			 vm_is_store(vm) ? N_("The bundle '%s' of datastore '%s' was altered") :
			 N_("The bundle '%s' of VM '%s' was altered"), vm->bundle, vm->row.name);
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
	r = all ? keys_add_bundle(&s, &vm->b, err) : keys_add_volume(&s, &vm->b.v[0], err);
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
