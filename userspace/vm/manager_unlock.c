// SPDX-License-Identifier: GPL-2.0-or-later
/* Reload one VM; unlock many at once: one fetch for all KEKs, one batch for all DEKs. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/log.h"
#include "vm_priv.h"

/* ---- reload ------------------------------------------------------------------ */

static bool same_token(const struct luks_token *a, const struct luks_token *b)
{
	return vmc_uuid_equal(&a->vm, &b->vm) && !strcmp(a->volume, b->volume) &&
	       volume_same_keys(a, b) && a->generation == b->generation;
}

/* The bundle is authentic and no older: make the header say the same. */
static int sync_token(struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	struct luks_token t;
	struct luks_header h;
	char path[PATH_MAX];
	int r;

	r = vm_volume_path(vm, v, path, err);
	if (!r)
		r = luks_read(path, &h, err);
	if (r)
		return r;
	if (strcasecmp(h.uuid, v->luks_uuid))
		return vmc_fail(err, VMC_EAUTH, "'%s' has LUKS UUID %s, the bundle says %s", path, h.uuid,
				v->luks_uuid);
	volume_token(&vm->uuid, v, &t);
	if (h.has_token && same_token(&t, &h.token))
		return 0;
	if (h.has_token && vmc_uuid_equal(&h.token.vm, &vm->uuid) && h.token.generation > t.generation)
		return 0;	/* the bundle is an older copy: the newer key is in the header only */
	return luks_set_token(path, &t, err);
}

static void sync_tokens(struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->b.n; i++) {
		struct vmc_error err = VMC_ERROR_INIT;

		if (sync_token(vm, &vm->b.v[i], &err))
			log_warn("VM '%s', volume '%s': %s", vm->row.name, vm->b.v[i].name, err.text);
	}
}

int vmm_reload(struct vmm *m, const char *ref, struct vmc_error *err)
{
	struct vmc_error keys = VMC_ERROR_INIT;
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "reload", TAKE_ANY | TAKE_LOCKED, &vm, err);
	if (r)
		return r;
	r = vm_read(m, vm, err);
	if (!r) {
		r = vm_authenticate(m, vm, true, &keys);
		if (!r)
			sync_tokens(vm);
		else if (vm->row.key_state != VM_KEYS_OK)
			r = 0;	/* said by the VM's state */
		else if (err)
			*err = keys;
	}
	if (!r)
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, NULL, "VM '%s' was reloaded",
			 vm->row.name);
	vm_drop(m, vm);
	return r;
}

/* ---- unlock ------------------------------------------------------------------- */

struct unlock {
	const char *ref;		/* id */
	struct vm *vm;			/* taken, or NULL */
	struct vmc_error err;
	size_t first;			/* of its loads */
};

struct batch {
	struct unlock *u;
	size_t n;
	struct key_set keys;
	struct vmk_load *loads;
	size_t n_loads, deks;
	uint64_t bundles_ms, kms_ms;
};

static void take_all(struct vmm *m, struct batch *b, struct progress *p)
{
	uint64_t start = vmc_now_ms();
	size_t i;

	for (i = 0; i < b->n; i++) {
		struct unlock *u = &b->u[i];

		progress_report(p, "bundles", i, b->n);
		if (vm_take(m, u->ref, "unlock", TAKE_ANY | TAKE_LOCKED | TAKE_EITHER, &u->vm, &u->err)) {
			u->vm = NULL;
			continue;
		}
		if (!vm_read(m, u->vm, &u->err))
			keys_add_bundle(&b->keys, &u->vm->b, &u->err);
	}
	b->bundles_ms = vmc_now_ms() - start;
}

/* VMs whose keys are all there and whose bundle is authentic get their volumes into the batch. */
static int gather(struct vmm *m, struct batch *b, struct vmc_error *err)
{
	size_t i, j, n = 0;

	for (i = 0; i < b->n; i++) {
		struct unlock *u = &b->u[i];

		if (u->vm && !u->err.code)
			vm_check_keys(m, u->vm, &b->keys, true, &u->err);
		if (u->vm && !u->err.code)
			n += u->vm->b.n;
	}
	b->loads = calloc(n ? n : 1, sizeof(*b->loads));
	if (!b->loads)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < b->n; i++) {
		struct unlock *u = &b->u[i];

		u->first = b->n_loads;
		for (j = 0; u->vm && !u->err.code && j < u->vm->b.n; j++) {
			struct vmk_load *l = &b->loads[b->n_loads++];

			l->vm = u->vm->uuid;
			l->volume = u->vm->b.v[j].name;
			l->kek_id = u->vm->b.v[j].kek_id;
			l->wrapped = u->vm->b.v[j].wrapped;
		}
	}
	return 0;
}

static void sort_out(struct vmm *m, struct batch *b)
{
	size_t i, j;

	for (i = 0; i < b->n; i++) {
		struct unlock *u = &b->u[i];

		for (j = 0; u->vm && !u->err.code && j < u->vm->b.n; j++)
			if (!volume_load_error(&u->vm->b.v[j], &b->loads[u->first + j], &u->err))
				b->deks++;
		if (u->vm && !u->err.code && vm_locked_by_hand(u->vm))
			lock_lift(m, u->vm, &u->err);
	}
}

static uint64_t ms_between(uint64_t from_ns, uint64_t to_ns, uint64_t at_most)
{
	uint64_t ms = (to_ns - from_ns) / 1000000;

	return ms < at_most ? ms : at_most;
}

static int load_all(struct vmm *m, struct batch *b, struct progress *p, struct vmc_error *err)
{
	struct vmk_times before, after;
	int r;

	progress_report(p, "keys", 0, b->keys.n);
	vmk_times(&before);
	r = keys_fetch(m, &b->keys, err);
	vmk_times(&after);
	if (r)
		return r;
	/* looking into the kernel's cache and filling it is not the key servers' time */
	b->kms_ms = b->keys.ms - ms_between(before.total_ns, after.total_ns, b->keys.ms);
	progress_report(p, "keys", b->keys.n, b->keys.n);
	r = gather(m, b, err);
	if (!r && b->n_loads)
		r = vmk_dek_load_many(m->k, b->loads, b->n_loads, err);
	if (!r)
		sort_out(m, b);
	return r;
}

static json_t *result_json(const struct unlock *u)
{
	json_t *o = json_pack("{s:s, s:s?, s:b}", "vm", u->ref, "name", u->vm ? u->vm->row.name : NULL,
			      "ok", !u->err.code);

	if (o && u->err.code)
		json_set_error(o, &u->err);
	return o;
}

static json_t *answer(const struct batch *b, const struct vmk_times *before, uint64_t total_ms)
{
	json_t *results = json_array();
	struct vmk_times t;
	size_t i, vms = 0;

	vmk_times(&t);
	t.total_ns -= before->total_ns;
	t.kernel_ns -= before->kernel_ns;

	for (i = 0; i < b->n; i++) {
		vms += !b->u[i].err.code;
		json_array_append_new(results, result_json(&b->u[i]));
	}
	return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "results", results,
			 "timing", "bundles_ms", (json_int_t)b->bundles_ms, "kms_ms", (json_int_t)b->kms_ms,
			 "netlink_ms", (json_int_t)((t.total_ns - t.kernel_ns) / 1000000),
			 "kernel_ms", (json_int_t)(t.kernel_ns / 1000000),
			 "kernel_requests", (json_int_t)(t.requests - before->requests),
			 "total_ms", (json_int_t)total_ms, "vms", (json_int_t)vms,
			 "deks", (json_int_t)b->deks, "keks", (json_int_t)b->keys.n,
			 "keks_fetched", (json_int_t)b->keys.fetched);
}

static void drop_all(struct vmm *m, struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->u[i].vm)
			vm_drop(m, b->u[i].vm);
}

int unlock_many(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, struct progress *p,
		json_t **out, struct vmc_error *err)
{
	uint64_t start = vmc_now_ms();
	struct vmk_times before;
	struct batch b = { 0 };
	char **ids;
	size_t i;
	int r;

	vmk_times(&before);
	r = vm_ids(m, which, refs, n, &ids, &b.n, err);
	if (r)
		return r;
	b.u = calloc(b.n + 1, sizeof(*b.u));
	if (!b.u) {
		ids_free(ids, b.n);
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	for (i = 0; i < b.n; i++)
		b.u[i].ref = ids[i];
	take_all(m, &b, p);
	r = load_all(m, &b, p, err);
	if (!r && out)
		*out = answer(&b, &before, vmc_now_ms() - start);
	drop_all(m, &b);
	keys_clear(&b.keys);
	free(b.loads);
	free(b.u);
	ids_free(ids, b.n);
	return r;
}

int vmm_unlock(struct vmm *m, const char *const *refs, size_t n, struct progress *p, json_t **out,
	       struct vmc_error *err)
{
	return unlock_many(m, WHICH_VMS, refs, n, p, out, err);
}
