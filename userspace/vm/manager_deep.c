// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Deep recrypt: for one volume after the other, a new container beside the old
 * one, under a new DEK and a new KEK; copied, read back, compared. The switch is
 * in the journal with the bundle that comes out of it, signed, so that it can be
 * finished without any key. The old container is whole until then.
 *
 * Journal: "volume", "path" (the new container), "old" (the volume's path),
 * "rest" (volumes still to do), "keks" {provider: new KEK}, "some" (a volume was
 * switched already), "v" (new volume), "next" (text of the next bundle).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "copy_job.h"
#include "device.h"
#include "recrypt.h"

#define UNDONE N_("made for a deep recrypt that was undone")

/* ---- one volume: the new container ------------------------------------------------------ */

static int new_path(const struct vm *vm, const struct bundle_volume *v, char old[PATH_MAX], char path[PATH_MAX],
		    struct vmc_error *err)
{
	uint64_t size;
	bool block;
	int r;

	r = vm_volume_path(vm, v, old, err);
	if (!r)
		r = device_inspect(old, &block, &size, err);
	if (r)
		return r;
	if (block) {
		vmc_fail(err, VMC_ENOTSUP, "volume '%s' is the block device '%s': a deep recrypt needs a second place of its size",
			 v->name, old);
		vmc_hint(err, "Create a disk on another device, copy the data over while both are open, and detach this one; "
			 "'vmcrypt vm recrypt --shallow' gives it a new KEK where it is");
		return VMC_ENOTSUP;
	}
	if (snprintf(path, PATH_MAX, "%s%s", old, RECRYPT_SUFFIX) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%s' is too long", old);
	return 0;
}

static int check_space(const char *old, struct vmc_error *err)
{
	char dir[PATH_MAX], n[32], missing[32];
	uint64_t have, need;
	bool block;
	int r;

	r = device_inspect(old, &block, &need, err);
	if (!r && vm_dir(old, dir))
		r = VMC_EINVAL;
	if (!r)
		r = fs_free_bytes(dir, &have, err);
	if (r || have >= need)
		return r;
	vmc_size_format(need, n);
	vmc_size_format(need - have, missing);
	vmc_fail(err, VMC_ENOSPC, "the new container for '%s' needs %s: %s are missing in '%s'", old, n, missing, dir);
	vmc_hint(err, "Old and new exist side by side until the copy is checked");
	return VMC_ENOSPC;
}

/* One new KEK for each provider that the VM's volumes use. */
static int new_kek(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *v,
		   char kek[VMK_KEK_ID_MAX + 1], struct vmc_error *err)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	json_t *keks = json_object_get(job->state, "keks");
	const char *have;
	int r;

	r = kek_id_split(v->kek_id, provider, key, err);
	if (r)
		return r;
	have = json_string_value(json_object_get(keks, provider));
	if (have) {
		snprintf(kek, VMK_KEK_ID_MAX + 1, "%s", have);
		return 0;
	}
	/* One that a process made which was killed before it used it. */
	if (job_text(job, "kek")[0] && !strcmp(job_text(job, "kek_provider"), provider))
		snprintf(kek, VMK_KEK_ID_MAX + 1, "%s", job_text(job, "kek"));
	else
		r = job_make_kek(m, job, provider, vm->row.name, v->name, kek, err);
	if (!r && json_object_set_new(keks, provider, json_string(kek)))
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	return r;
}

static int make(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *old,
		struct bundle_volume *v, struct vmc_error *err)
{
	char kek[VMK_KEK_ID_MAX + 1];
	struct make_spec s = {
		.vm = &vm->uuid, .kek_id = kek, .generation = old->generation + 1, .reserve = true,
	};
	struct luks_header h;
	int r;

	r = volume_check(&vm->b, old, job_text(job, "old"), &h, err);
	if (!r)
		r = check_space(job_text(job, "old"), err);
	if (!r)
		r = new_kek(m, vm, job, old, kek, err);
	if (!r)
		r = keys_ensure(m, kek, err);	/* the host may have lost it since */
	if (r)
		return r;
	s.size = h.data_sectors * 512 / LUKS_SECTOR_SIZE * LUKS_SECTOR_SIZE;
	return make_volume(m, job, &s, v, err);
}

/* ---- copy ---------------------------------------------------------------------------------- */

static void mapping_device(const struct vm *vm, const char *volume, bool fresh, char out[PATH_MAX])
{
	char name[VOLUME_MAPPING_MAX];

	volume_mapping(&vm->uuid, volume, fresh, name);
	device_of_mapping(name, out);
}

static int close_both(struct vmm *m, struct vm *vm, const char *volume, struct vmc_error *err)
{
	int r = volume_close(m->k, &vm->uuid, volume, true, true, err);
	int r2 = volume_close(m->k, &vm->uuid, volume, false, true, r ? NULL : err);

	return r ? r : r2;
}

/*
 * A keyring has one DEK of a name, dm-crypt keeps the copy that it took when it
 * was mapped: so the old one is opened first, the new one takes its name.
 */
static int copy(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *old,
		const struct bundle_volume *v, struct progress *p, struct vmc_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct source *s;
	int r, r2;

	mapping_device(vm, v->name, false, from);
	mapping_device(vm, v->name, true, to);
	r = volume_open(m->k, &vm->b, old, job_text(job, "old"), VOLUME_READONLY, err);
	if (!r)
		r = volume_open(m->k, &vm->b, v, job_text(job, "path"), VOLUME_FRESH, err);
	if (!r)
		r = source_open(&s, from, "raw", err);
	if (!r) {
		r = copy_job_run(m, job, s, to, p, err);
		source_close(s);
	}
	r2 = close_both(m, vm, v->name, r ? NULL : err);
	return r ? r : r2;
}

/* ---- the switch ------------------------------------------------------------------------------ */

static int next_bundle(struct vmm *m, struct vm *vm, const struct bundle_volume *v, char **text,
		       struct vmc_error *err)
{
	struct bundle_volume *slot;
	struct bundle b;
	int r;

	r = bundle_copy(&vm->b, &b, err);
	if (r)
		return r;
	slot = bundle_find(&b, v->name);
	memcpy(slot->luks_uuid, v->luks_uuid, sizeof(slot->luks_uuid));
	memcpy(slot->kek_id, v->kek_id, sizeof(slot->kek_id));
	memcpy(slot->kcv, v->kcv, sizeof(slot->kcv));
	memcpy(slot->wrapped, v->wrapped, sizeof(slot->wrapped));
	slot->generation = v->generation;
	b.serial++;
	r = bundle_sign(&b, m->k, err);
	*text = r ? NULL : bundle_format(&b);
	bundle_clear(&b);
	return r || *text ? r : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

static int journal_switch(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *v,
			  struct vmc_error *err)
{
	char *text;
	int r;

	r = next_bundle(m, vm, v, &text, err);
	if (r)
		return r;
	r = job_set_text(job, "next", text, err);
	free(text);
	if (!r)
		r = job_set_text(job, "was", bundle_find(&vm->b, v->name)->kek_id, err);
	return r ? r : job_save(m, job, err);
}

/* Both steps may be done again. */
static int do_switch(struct inv_job *job, struct vmc_error *err)
{
	const char *text = job_text(job, "next");
	int r = 0;

	if (!access(job_text(job, "path"), F_OK))
		r = fs_rename(job_text(job, "path"), job_text(job, "old"), err);
	return r ? r : fs_replace(job_text(job, "bundle"), text, strlen(text), 0600, err);
}

static void clear_volume(struct inv_job *job)
{
	static const char *const keys[] = { "v", "next", "was", "phase", "done", "total", "path", "old", "nothing" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_del(job->state, keys[i]);
}

/* To the next volume, or to the end. */
static int advance(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	json_t *rest = json_object_get(job->state, "rest"), *first;
	char was[VMK_KEK_ID_MAX + 1];
	int r;

	snprintf(was, sizeof(was), "%s", job_text(job, "was"));
	job_keep_kek(job);
	clear_volume(job);
	json_object_set_new(job->state, "some", json_true());
	first = json_incref(json_array_get(rest, 0));
	json_array_remove(rest, 0);
	r = inventory_begin(m->inv, err);
	if (r)
		goto out;
	if (was[0] && !kek_is_used(m, was))
		r = job_note_key(m, was, N_("replaced by a deep recrypt"), err);
	if (!r && first && json_object_set(job->state, "volume", first))
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	if (!r)
		r = first ? job_save(m, job, err) : inventory_job_del(m->inv, job->id, err);
	if (r)
		inventory_rollback(m->inv);
	else
		r = inventory_commit(m->inv, err);
	if (!r && !first)
		job_clear(job);
out:
	json_decref(first);
	return r;
}

/* Called with the switch in the journal: what @vm (if registered) has in memory follows. */
static int finish_volume(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err)
{
	char volume[VMK_VOLUME_MAX + 1];
	struct bundle b;
	int r;

	snprintf(volume, sizeof(volume), "%s", job_text(job, "volume"));
	r = do_switch(job, err);
	if (!r)
		r = bundle_read(job_text(job, "bundle"), &b, err);
	if (r)
		return r;
	if (vm)
		vm_adopt(m, vm, &b);
	bundle_clear(&b);
	r = advance(m, job, err);
	if (!r)
		vmm_emit(m, VMM_EV_VM_RECRYPTED, VMC_MSG_VM_RECRYPTED, vm ? vm->id : NULL,
			 json_pack("{s:s, s:b}", "volume", volume, "deep", 1),
			 "Volume '%s' of VM '%s' has a new key, and its data was encrypted anew", volume,
			 vm ? vm->row.name : "");
	return r;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static int start_volume(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *old,
			struct bundle_volume *v, struct vmc_error *err)
{
	char from[PATH_MAX], path[PATH_MAX];
	int r;

	r = new_path(vm, old, from, path, err);
	if (!r && !access(path, F_OK)) {
		r = vmc_fail(err, VMC_EEXIST, "'%s' exists already", path);
		vmc_hint(err, "It is not of an unfinished job of this host; remove it if nobody needs it");
	}
	if (!r)
		r = job_set_text(job, "old", from, err);
	if (!r)
		r = job_set_text(job, "path", path, err);
	if (!r)
		r = job_save(m, job, err);
	return r ? r : make(m, vm, job, old, v, err);
}

static int one_volume(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p,
		      struct vmc_error *err)
{
	struct bundle_volume *old, v;
	int r;

	old = bundle_find(&vm->b, job_text(job, "volume"));
	if (!old)
		return vmc_fail(err, VMC_ENOENT, "VM '%s' has no volume '%s'", vm->row.name,
				job_text(job, "volume"));
	r = volume_close(m->k, &vm->uuid, old->name, false, true, err);
	if (!r && make_made(job, &v, NULL))
		r = start_volume(m, vm, job, old, &v, err);
	if (!r)
		r = keys_ensure_volume(m, &v, err);
	if (!r)
		r = copy(m, vm, job, old, &v, p, err);
	if (!r)
		r = journal_switch(m, vm, job, &v, err);
	return r ? r : finish_volume(m, vm, job, err);
}

static int run(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p, struct vmc_error *err)
{
	int r = vm_must_be_off(vm, "recrypt --deep", err);

	if (!r && job_text(job, "next")[0])
		r = finish_volume(m, vm, job, err);
	while (!r && job->state) {
		r = vm_load(m, vm, true, err);
		if (!r)
			r = one_volume(m, vm, job, p, err);
	}
	return r;
}

/* Volumes that were switched stay so. */
static int undo(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	vmc_uuid vm;
	int r = 0;

	if (!vmc_uuid_parse(job->vm, &vm))
		r = volume_close(m->k, &vm, job_text(job, "volume"), false, true, err);
	if (r)
		return r;
	if (!job_text(job, "path")[0])
		return job_end_undone(m, job, UNDONE, err);
	return make_undo(m, job, UNDONE, err);
}

static void undo_unless_stopping(struct vmm *m, struct inv_job *job, int r, const struct progress *p)
{
	bool stop = r == VMC_ECANCELED && atomic_load(&m->stopping) && !progress_canceled(p);

	if (job->state && !stop && !job_text(job, "next")[0])
		undo(m, job, NULL);
}

static json_t *begin_state(const struct vm *vm, const char *disk, struct vmc_error *err)
{
	json_t *rest = json_array(), *state;
	char old[PATH_MAX], path[PATH_MAX];
	size_t i;

	for (i = 0; i < vm->b.n; i++) {
		if (disk && strcmp(vm->b.v[i].name, disk))
			continue;
		if (new_path(vm, &vm->b.v[i], old, path, err)) {
			json_decref(rest);
			return NULL;
		}
		json_array_append_new(rest, json_string(vm->b.v[i].name));
	}
	if (!json_array_size(rest)) {
		vmc_fail(err, VMC_ENOENT, "VM '%s' has no disk '%s'", vm->row.name, disk ? disk : "");
		json_decref(rest);
		return NULL;
	}
	state = json_pack("{s:O, s:o, s:{}, s:b, s:b, s:b, s:s}", "volume", json_array_get(rest, 0), "rest", rest,
			  "keks", "resumable", 1, "fresh", 1, "block", 0, "bundle", vm->bundle);
	json_array_remove(rest, 0);
	return state;
}

/* The copy is made under one key: silently losing the other would be losing the recovery. */
static int refuse_two_wraps(const struct vm *vm, const char *disk, struct vmc_error *err)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct key_wrap first, second;

	for (size_t i = 0; i < vm->b.n; i++) {
		const struct bundle_volume *v = &vm->b.v[i];

		if (!wrap_is_double(v) || (disk && *disk && strcmp(disk, v->name)))
			continue;
		wrap_in_order(v, &first, &second);
		kek_id_split(second.kek_id, provider, key, NULL);
		vmc_fail(err, VMC_ESTATE, "volume '%s' is locked by two providers: a deep recrypt would leave one of them out",
			 v->name);
		vmc_hint(err, "vmcrypt vm recrypt --shallow --remove-provider %s %s; after the deep recrypt, --add-provider %s",
			 provider, vm->row.name, provider);
		return VMC_ESTATE;
	}
	return 0;
}

static int deep(struct vmm *m, struct vm *vm, const char *disk, struct progress *p, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct inv_job job;
	json_t *state;
	int r;

	r = vm_must_be_off(vm, "recrypt --deep", err);
	if (!r)
		r = vm_load(m, vm, true, err);
	if (!r)
		r = refuse_two_wraps(vm, disk, err);
	if (r)
		return r;
	state = begin_state(vm, disk, err);
	if (!state)
		return err->code;
	r = job_begin(m, JOB_RECRYPT_DEEP, vm->id, state, &job, err);
	if (r)
		return r;
	memcpy(id, job.id, sizeof(id));
	r = run(m, vm, &job, p, err);
	if (r)
		undo_unless_stopping(m, &job, r, p);
	job_clear(&job);
	job_settle(m, vm, id);
	return r;
}

int vmm_recrypt_deep(struct vmm *m, const char *ref, const char *disk, struct progress *p, struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "recrypt --deep", 0, &vm, err);
	if (r)
		return r;
	r = deep(m, vm, disk, p, err ? err : &mine);
	vm_drop(m, vm);
	return r;
}

/* A container that was not finished is of no use; what comes after it is. */
static int drop_unfinished(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	vmc_uuid vm;
	int r = 0;

	if (!vmc_uuid_parse(job->vm, &vm))
		r = volume_close(m->k, &vm, job_text(job, "volume"), true, true, err);
	if (!r && job_text(job, "path")[0])
		r = fs_unlink(job_text(job, "path"), err);
	if (r)
		return r;
	clear_volume(job);
	return job_save(m, job, err);
}

static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	struct bundle_volume v;
	int r = 0;

	*pending = false;
	if (job_text(job, "next")[0])
		r = finish_volume(m, job_vm(m, job), job, err);
	else if (make_made(job, &v, NULL))
		r = json_is_true(json_object_get(job->state, "some")) ? drop_unfinished(m, job, err) :
			undo(m, job, err);
	*pending = !r && job->state;
	return r;
}

static int resume(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p, struct vmc_error *err)
{
	int r = run(m, vm, job, p, err);

	if (r == VMC_ECANCELED)
		undo_unless_stopping(m, job, r, p);
	return r;
}

static int abandon(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err)
{
	if (job_text(job, "next")[0])
		return finish_volume(m, vm, job, err);
	return undo(m, job, err);
}

const struct job_kind job_kind_recrypt_deep = {
	.kind = JOB_RECRYPT_DEEP, .recover = recover, .resume = resume, .abandon = abandon,
};
