// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shallow recrypt: each old KEK gets a successor, each VM's DEKs are rewrapped
 * in the kernel. For one VM: tokens first, bundle last. Both wrapped forms are
 * good until the end, since the old KEK stays on its provider; so wherever it
 * is cut short, each volume opens, and doing it again does what is missing.
 *
 * A volume may be wrapped twice, see wrap.h: each wrap gets its successor, or,
 * with "provider", the first one does. In the mode "add" the first one's
 * successor becomes the second wrap; in the mode "remove" one of two goes. A new
 * wrap is made from that whose key is there.
 *
 * Journal: "vms", "mode" (or none), "provider" (or none), "keys" {old: new},
 * "kek_for" (the old one whose successor "kek" is being made).
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "vm_priv.h"

static const char *const modes[] = { "rotate", "add", "remove" };

struct rotate {
	enum recrypt_mode mode;
	const char *provider;		/* "" none; lives in the job */
	struct vmm *m;
	struct inv_job *job;
	json_t *keys;			/* of the job */
	json_t *results;
};

static const char *successor(const struct rotate *ro, const char *old)
{
	return json_string_value(json_object_get(ro->keys, old));
}

static bool is_successor(const struct rotate *ro, const char *id)
{
	const char *old;
	json_t *to;

	json_object_foreach(ro->keys, old, to)
		if (!strcmp(json_string_value(to), id))
			return true;
	return false;
}

/* What job_make_kek() put into the journal becomes the successor of "kek_for". */
static int keep_successor(struct rotate *ro, struct vmc_error *err)
{
	const char *old = job_text(ro->job, "kek_for"), *id = job_text(ro->job, "kek");
	int r;

	if (old[0] && id[0] && json_object_set_new(ro->keys, old, json_string(id)))
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	if (id[0])
		job_keep_kek(ro->job);
	r = job_settle_kek(ro->m, ro->job, err);
	if (r)
		return r;
	json_object_del(ro->job->state, "kek_for");
	return job_save(ro->m, ro->job, err);
}

static int make_successor(struct rotate *ro, const struct vm *vm, const char *volume, const char *kek_id,
			  struct vmc_error *err)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1], id[VMK_KEK_ID_MAX + 1];
	int r;

	r = kek_id_split(kek_id, provider, key, err);
	if (!r)
		r = job_set_text(ro->job, "kek_for", kek_id, err);
	if (!r)
		r = job_make_kek(ro->m, ro->job, ro->provider[0] ? ro->provider : provider, vm->row.name, volume,
				 id, err);
	return r ? r : keep_successor(ro, err);
}

/* ---- one VM ------------------------------------------------------------------------------ */

/* The successor of @kek_id is there, and in the cache. */
static int need_successor(struct rotate *ro, const struct vm *vm, const char *volume, const char *kek_id,
			  struct vmc_error *err)
{
	int r = 0;

	if (!kek_id[0] || is_successor(ro, kek_id))
		return 0;
	if (!successor(ro, kek_id))
		r = make_successor(ro, vm, volume, kek_id, err);
	/* after a restart of the host it is not in the cache any more */
	return r ? r : keys_ensure(ro->m, successor(ro, kek_id), err);
}

static int successors_of(struct rotate *ro, const struct vm *vm, const struct bundle_volume *v,
			 struct vmc_error *err)
{
	struct key_wrap first, second;
	int r;

	if (ro->mode == RECRYPT_REMOVE || (ro->mode == RECRYPT_ADD && wrap_on(v, ro->provider)))
		return 0;
	wrap_in_order(v, &first, &second);
	r = need_successor(ro, vm, v->name, first.kek_id, err);
	if (!r && !ro->provider[0])
		r = need_successor(ro, vm, v->name, second.kek_id, err);
	return r;
}

static int successors(struct rotate *ro, const struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < vm->b.n; i++)
		r = successors_of(ro, vm, &vm->b.v[i], err);
	return r;
}

static const char *verb(const struct vm *vm)
{
	return vm_is_store(vm) ? "vmcrypt datastore recrypt" : "vmcrypt vm recrypt";
}

/* What cannot be done with @v is refused before anything is. */
static int refuse_volume(const struct rotate *ro, const struct vm *vm, const struct bundle_volume *v,
			 struct vmc_error *err)
{
	bool on = ro->provider[0] && wrap_on(v, ro->provider);
	struct key_wrap first, second;

	wrap_in_order(v, &first, &second);
	if (ro->mode == RECRYPT_ADD && wrap_is_double(v) && !on) {
		vmc_fail(err, VMC_EEXIST, "volume '%s' is locked by two providers already (%s, %s)", v->name,
			 first.kek_id, second.kek_id);
		vmc_hint(err, "take one of them out first: %s --shallow --remove-provider NAME %s", verb(vm),
			 vm->row.name);
		return VMC_EEXIST;
	}
	if (ro->mode == RECRYPT_REMOVE && on && !wrap_is_double(v)) {
		vmc_fail(err, VMC_ESTATE, "provider '%s' is the only one that opens volume '%s'", ro->provider, v->name);
		vmc_hint(err, "move it to another one: %s --shallow --provider NAME %s", verb(vm), vm->row.name);
		return VMC_ESTATE;
	}
	if (ro->mode == RECRYPT_REMOVE && on)	/* what stays must open it */
		return keys_ensure(ro->m, wrap_is_on(first.kek_id, ro->provider) ? second.kek_id : first.kek_id, err);
	if (ro->mode == RECRYPT_ROTATE && on && wrap_is_double(v)) {
		vmc_fail(err, VMC_EEXIST, "provider '%s' opens volume '%s' already, beside another one", ro->provider,
			 v->name);
		vmc_hint(err, "take the other one out instead: %s --shallow --remove-provider NAME %s", verb(vm),
			 vm->row.name);
		return VMC_EEXIST;
	}
	return 0;
}

static int refuse_volumes(const struct rotate *ro, const struct vm *vm, struct vmc_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < vm->b.n; i++)
		r = refuse_volume(ro, vm, &vm->b.v[i], err);
	return r;
}

/* The DEK of @v under @to as well. */
static int wrap_under(const struct rotate *ro, const struct vm *vm, const struct bundle_volume *v, const char *to,
		      struct key_wrap *w, struct vmc_error *err)
{
	int r = vmk_dek_rewrap(ro->m->k, &vm->uuid, v->name, v->kek_id, to, v->wrapped, w->wrapped, w->kcv, err);

	if (r)
		return vmc_prefix(err, "volume '%s': ", v->name), r;
	snprintf(w->kek_id, sizeof(w->kek_id), "%s", to);
	return 0;
}

static int rotate_wraps(const struct rotate *ro, const struct vm *vm, struct bundle_volume *v, bool *changed,
			struct vmc_error *err)
{
	struct key_wrap w[2];
	const char *to;
	int r = 0;

	wrap_in_order(v, &w[0], &w[1]);
	for (int i = 0; !r && i < 2; i++) {
		to = w[i].kek_id[0] && (!i || !ro->provider[0]) ? successor(ro, w[i].kek_id) : NULL;
		if (!to)
			continue;
		r = wrap_under(ro, vm, v, to, &w[i], err);
		*changed = true;
	}
	if (!r && *changed)
		wrap_set(v, &w[0], &w[1]);
	return r;
}

static int add_wrap(const struct rotate *ro, const struct vm *vm, struct bundle_volume *v, bool *changed,
		    struct vmc_error *err)
{
	struct key_wrap first, second;
	int r;

	if (wrap_on(v, ro->provider))
		return 0;
	wrap_in_order(v, &first, &second);
	r = wrap_under(ro, vm, v, successor(ro, first.kek_id), &second, err);
	if (r)
		return r;
	wrap_set(v, &first, &second);
	*changed = true;
	return 0;
}

/* What opens the volume from now on is the "new" of what opened it, too. */
static int remove_wrap(struct rotate *ro, struct bundle_volume *v, bool *changed, struct vmc_error *err)
{
	struct key_wrap w[2];
	int stays;

	if (!wrap_is_double(v) || !wrap_on(v, ro->provider))
		return 0;
	wrap_in_order(v, &w[0], &w[1]);
	wrap_set(v, &w[0], NULL);
	stays = wrap_on(v, ro->provider) ? 1 : 0;
	wrap_set(v, &w[stays], NULL);
	*changed = true;
	if (json_object_set_new(ro->keys, w[!stays].kek_id, json_string(w[stays].kek_id)))
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	return job_save(ro->m, ro->job, err);
}

/* The new wrapped forms into @v; *@changed is set when there are any. */
static int rewrap(struct rotate *ro, const struct vm *vm, struct bundle_volume *v, bool *changed,
		  struct vmc_error *err)
{
	bool this_one = false;
	int r = ro->mode == RECRYPT_ADD ? add_wrap(ro, vm, v, &this_one, err) :
		ro->mode == RECRYPT_REMOVE ? remove_wrap(ro, v, &this_one, err) :
		rotate_wraps(ro, vm, v, &this_one, err);

	if (this_one)
		v->generation++;
	*changed |= this_one;
	return r;
}

static int write_token(const struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	struct luks_token t;
	char path[PATH_MAX];
	int r;

	volume_token(&vm->uuid, v, &t);
	r = vm_volume_path(vm, v, path, err);
	fs_crashpoint("recrypt: before token");
	if (!r)
		r = luks_set_token(path, &t, err);
	fs_crashpoint("recrypt: token written");
	return r;
}

/* Every header is the one we mean, before any is written. */
static int check_headers(const struct vm *vm, struct vmc_error *err)
{
	struct luks_header h;
	char path[PATH_MAX];
	size_t i;
	int r = 0;

	for (i = 0; !r && i < vm->b.n; i++) {
		r = vm_volume_path(vm, &vm->b.v[i], path, err);
		if (!r)
			r = volume_check(&vm->b, &vm->b.v[i], path, &h, err);
	}
	return r;
}

static int rewrap_all(struct rotate *ro, struct vm *vm, struct vmc_error *err)
{
	bool changed = false;
	struct bundle b;
	size_t i;
	int r;

	r = bundle_copy(&vm->b, &b, err);
	for (i = 0; !r && i < b.n; i++)
		r = rewrap(ro, vm, &b.v[i], &changed, err);
	for (i = 0; !r && changed && i < b.n; i++)
		if (b.v[i].generation != vm->b.v[i].generation)
			r = write_token(vm, &b.v[i], err);
	if (r || !changed) {
		bundle_clear(&b);
		return r;
	}
	r = vm_save(ro->m, vm, &b, err);
	if (!r)
		vmm_emit(ro->m, VMM_EV_VM_RECRYPTED, VMC_MSG_VM_RECRYPTED, vm->id,
			 json_pack("{s:b, s:s}", "deep", 0, "key", vm->b.v[0].kek_id), vm_is_store(vm) ?
			 N_("The key of datastore '%s' is wrapped under a new key") :
			 N_("The disk keys of VM '%s' are wrapped under a new key"), vm->row.name);
	return r;
}

static int rotate_taken(struct rotate *ro, struct vm *vm, struct vmc_error *err)
{
	int r;

	r = vm_load(ro->m, vm, true, err);
	if (!r)
		r = check_headers(vm, err);
	if (!r)
		r = refuse_volumes(ro, vm, err);
	if (!r)
		r = successors(ro, vm, err);
	return r ? r : rewrap_all(ro, vm, err);
}

static void rotate_one(struct rotate *ro, const char *id)
{
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *result;
	struct vm *vm;
	int r;

	r = vm_take(ro->m, id, "recrypt --shallow", TAKE_EITHER, &vm, &err);
	if (r) {
		result = json_pack("{s:s, s:n, s:b}", "vm", id, "name", "ok", 0);
	} else {
		r = rotate_taken(ro, vm, &err);
		result = json_pack("{s:s, s:s, s:b}", "vm", id, "name", vm->row.name, "ok", !r);
		vm_drop(ro->m, vm);
	}
	if (r)
		json_set_error(result, &err);
	json_array_append_new(ro->results, result);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int note_unused(struct rotate *ro, struct vmc_error *err)
{
	const char *old;
	json_t *to;
	int r = 0;

	json_object_foreach(ro->keys, old, to) {
		const char *fresh = json_string_value(to);
		char why[256];

		snprintf(why, sizeof(why), "replaced by %.200s", fresh);
		if (!r && !kek_is_used(ro->m, old))
			r = job_note_key(ro->m, old, why, err);
		if (!r && !kek_is_used(ro->m, fresh))
			r = job_note_key(ro->m, fresh, N_("made for a shallow recrypt that did not need it"), err);
	}
	return r;
}

/* Nor is it to be back after a reboot. */
static void forget_old(struct vmm *m, const char *kek_id)
{
	int r = vmk_kek_del(m->k, kek_id, false, NULL);

	if (!r || r == VMC_ENOKEY || r == VMC_ENOENT)
		cache_forget(kek_id);
}

static void forget_unused(struct rotate *ro)
{
	const char *old;
	json_t *to;

	json_object_foreach(ro->keys, old, to)
		if (!kek_is_used(ro->m, old))
			forget_old(ro->m, old);
}

static int finish(struct rotate *ro, struct vmc_error *err)
{
	int r;

	r = inventory_begin(ro->m->inv, err);
	if (r)
		return r;
	r = note_unused(ro, err);
	if (!r)
		r = inventory_job_del(ro->m->inv, ro->job->id, err);
	if (r) {
		inventory_rollback(ro->m->inv);
		return r;
	}
	r = inventory_commit(ro->m->inv, err);
	if (!r)
		forget_unused(ro);
	return r;
}

static json_t *answer(const struct rotate *ro)
{
	json_t *keys = json_array(), *to;
	const char *old;

	json_object_foreach(ro->keys, old, to)
		json_array_append_new(keys, json_pack("{s:s, s:O}", "old", old, "new", to));
	return json_pack("{s:s, s:O, s:o}", "job", ro->job->id, "results", ro->results, "keys", keys);
}

static enum recrypt_mode mode_of(const struct inv_job *job)
{
	const char *name = job_text(job, "mode");

	return !strcmp(name, modes[RECRYPT_ADD]) ? RECRYPT_ADD :
	       !strcmp(name, modes[RECRYPT_REMOVE]) ? RECRYPT_REMOVE : RECRYPT_ROTATE;
}

static int rotate(struct vmm *m, struct inv_job *job, struct progress *p, json_t **out, struct vmc_error *err)
{
	json_t *vms = json_object_get(job->state, "vms"), *id;
	struct rotate ro = {
		.m = m, .job = job, .keys = json_object_get(job->state, "keys"), .results = json_array(),
		.mode = mode_of(job), .provider = job_text(job, "provider"),
	};
	size_t i, n = json_array_size(vms);
	int r;

	r = keep_successor(&ro, err);	/* a process that was killed may have left one */
	json_array_foreach(vms, i, id) {
		progress_report(p, "rewrap", i, n);
		if (r || progress_canceled(p) || atomic_load(&m->stopping))
			break;
		rotate_one(&ro, json_string_value(id));
	}
	if (!r && i < n && !progress_canceled(p))
		r = vmc_fail(err, VMC_ECANCELED, "the recrypt was interrupted; it goes on when the helper starts again");
	if (!r) {
		progress_report(p, "rewrap", i, n);
		r = finish(&ro, err);
		if (!r && progress_canceled(p))
			r = vmc_fail(err, VMC_ECANCELED, "the recrypt was canceled after %zu of %zu VMs", i, n);
	}
	if (!r && out)
		*out = answer(&ro);
	json_decref(ro.results);
	return r;
}

static json_t *begin_state(struct vmm *m, enum vm_which which, const char *const *refs, size_t n,
			   enum recrypt_mode mode, const char *provider, struct vmc_error *err)
{
	json_t *vms = json_array(), *state;
	char **ids;
	size_t i, n_ids;

	if (vm_ids(m, which, refs, n, &ids, &n_ids, err)) {
		json_decref(vms);
		return NULL;
	}
	for (i = 0; i < n_ids; i++)
		json_array_append_new(vms, json_string(ids[i]));
	ids_free(ids, n_ids);
	state = json_pack("{s:o, s:{}, s:s, s:b, s:I}", "vms", vms, "keys", "mode", modes[mode], "resumable", 1,
			  "total", (json_int_t)n_ids);
	if (state && provider)
		json_object_set_new(state, "provider", json_string(provider));
	if (!state)
		vmc_fail(err, VMC_ENOMEM, "out of memory");
	return state;
}

/* One at a time: two would rotate each other's keys. */
static int begin(struct vmm *m, struct vmc_error *err)
{
	if (!atomic_exchange(&m->rotating, true))
		return 0;
	vmc_fail(err, VMC_EBUSY, "another shallow recrypt is running");
	vmc_hint(err, "Try again when that is done");
	return VMC_EBUSY;
}

static int check_provider(struct vmm *m, const char *name, struct vmc_error *err)
{
	struct provider *p;
	int r;

	if (!name)
		return 0;
	r = providers_get(m->ps, name, &p, err);
	if (!r)
		provider_put(p);
	return r;
}

static int run(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, enum recrypt_mode mode,
	       const char *provider, struct progress *p, json_t **out, struct vmc_error *err)
{
	struct inv_job job;
	json_t *state;
	int r;

	r = begin(m, err);
	if (r)
		return r;
	state = begin_state(m, which, refs, n, mode, provider, err);
	if (!state) {
		r = err ? err->code : VMC_EINVAL;
	} else {
		r = job_begin(m, JOB_RECRYPT_SHALLOW, "", state, &job, err);
		if (!r) {
			r = rotate(m, &job, p, out, err);
			job_clear(&job);
		}
	}
	atomic_store(&m->rotating, false);
	return r;
}

/* A provider that is to go need not be there any more. */
int recrypt_many(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, enum recrypt_mode mode,
		 const char *provider, struct progress *p, json_t **out, struct vmc_error *err)
{
	int r = mode == RECRYPT_REMOVE ? 0 : check_provider(m, provider, err);

	return r ? r : run(m, which, refs, n, mode, provider, p, out, err);
}

int vmm_recrypt_shallow(struct vmm *m, const char *const *refs, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err)
{
	return recrypt_many(m, WHICH_VMS, refs, n, RECRYPT_ROTATE, provider, p, out, err);
}

int vmm_add_provider(struct vmm *m, const char *const *refs, size_t n, const char *provider, struct progress *p,
		     json_t **out, struct vmc_error *err)
{
	return recrypt_many(m, WHICH_VMS, refs, n, RECRYPT_ADD, provider, p, out, err);
}

int vmm_remove_provider(struct vmm *m, const char *const *refs, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err)
{
	return recrypt_many(m, WHICH_VMS, refs, n, RECRYPT_REMOVE, provider, p, out, err);
}

static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	(void)m;
	(void)job;
	(void)err;
	*pending = true;	/* nothing is half-way: each volume opens with what its bundle says */
	return 0;
}

static int resume(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p, struct vmc_error *err)
{
	int r = begin(m, err);

	(void)vm;
	if (r)
		return r;
	r = rotate(m, job, p, NULL, err);
	atomic_store(&m->rotating, false);
	return r;
}

/* What was rewrapped stays so, which is as good; the rest keeps its old key. */
static int abandon(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err)
{
	struct rotate ro = {
		.m = m, .job = job, .keys = json_object_get(job->state, "keys"), .provider = "",
	};
	int r = begin(m, err);

	(void)vm;
	if (r)
		return r;
	r = keep_successor(&ro, err);
	if (!r)
		r = finish(&ro, err);
	atomic_store(&m->rotating, false);
	return r;
}

const struct job_kind job_kind_recrypt_shallow = {
	.kind = JOB_RECRYPT_SHALLOW, .recover = recover, .resume = resume, .abandon = abandon,
};
