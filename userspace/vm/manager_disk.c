// SPDX-License-Identifier: GPL-2.0-or-later
/* Disks: create, attach, detach, open, close, flags. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "device.h"
#include "disk.h"
#include "store.h"
#include "vm_priv.h"

#define UNDONE N_("made for a new disk that was not finished")

int disk_find(const struct vm *vm, const char *disk, struct bundle_volume **v, struct vmc_error *err)
{
	*v = disk && strcmp(disk, VOLUME_HOME) ? bundle_find(&vm->b, disk) : NULL;
	if (*v)
		return 0;
	vmc_fail(err, VMC_ENOENT, "VM '%s' has no disk '%s'", vm->row.name, disk ? disk : "");
	vmc_hint(err, "'vmcrypt vm show %s' lists its disks", vm->row.name);
	return VMC_ENOENT;
}

int disk_check_new(const struct vm *vm, const char *name, struct vmc_error *err)
{
	if (!name || !bundle_volume_name_ok(name) || !strcmp(name, VOLUME_HOME) || !strcmp(name, VOLUME_DATASTORE))
		return vmc_fail(err, VMC_EINVAL, "'%s' cannot be the name of a disk: letters, digits, '.', '_' and '-', %d at most, and not '%s'",
				name ? name : "", VMK_VOLUME_MAX, VOLUME_HOME);
	if (bundle_find(&vm->b, name))
		return vmc_fail(err, VMC_EEXIST, "VM '%s' has a disk '%s' already", vm->row.name, name);
	if (vm->b.n == BUNDLE_VOLUMES_MAX)
		return vmc_fail(err, VMC_EINVAL, "VM '%s' has %zu disks, which is the most it can have",
				vm->row.name, vm->b.n - 1);
	return 0;
}

/* The folder is resolved, so that one place has one name; the file need not be there. */
int disk_place(const struct vm *vm, const struct vmm_disk *d, char out[PATH_MAX], struct vmc_error *err)
{
	char want[PATH_MAX], dir[PATH_MAX], real[PATH_MAX];
	const char *base;

	if (d->path)
		snprintf(want, sizeof(want), "%s", d->path);
	else if (vm_dir(vm->bundle, dir) ||
		 snprintf(want, sizeof(want), "%s/%s-%s.img", dir, vm->row.name, d->name) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of disk '%s' is too long", d->name);
	if (want[0] != '/' || strlen(want) >= BUNDLE_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path of at most %d bytes", want,
				BUNDLE_PATH_MAX - 1);
	if (realpath(want, out))
		return 0;
	base = strrchr(want, '/') + 1;
	if (!*base || vm_dir(want, dir) || !realpath(dir, real))
		return vmc_fail_errno(err, errno ? errno : EINVAL, "cannot use the folder of '%s'", want);
	if (snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", base) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%s' is too long", want);
	return 0;
}

int disk_kek(struct vmm *m, struct vm *vm, struct inv_job *job, const char *provider,
	     char kek[VMK_KEK_ID_MAX + 1], struct vmc_error *err)
{
	if (provider)
		return job_make_kek(m, job, provider, vm->row.name, job_text(job, "volume"), kek, err);
	snprintf(kek, VMK_KEK_ID_MAX + 1, "%s", vm->b.v[0].kek_id);
	return 0;
}

/* The bundle with @v in it is the moment from which the disk is there. */
int disk_commit(struct vmm *m, struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	struct bundle b;
	int r;

	r = bundle_copy(&vm->b, &b, err);
	if (r)
		return r;
	r = bundle_add(&b, v, err);
	if (r) {
		bundle_clear(&b);
		return r;
	}
	return vm_save(m, vm, &b, err);
}

void disk_tell(struct vmm *m, struct vm *vm, const struct bundle_volume *v, const char *how)
{
	vmm_emit(m, VMM_EV_DISK_ADDED, VMC_MSG_DISK_ADDED, vm->id,
		 json_pack("{s:s, s:s, s:s}", "disk", v->name, "path", v->path, "key", v->kek_id),
		 "Disk '%s' of VM '%s' was %s", v->name, vm->row.name, how);
}

/* ---- create ---------------------------------------------------------------- */

static int make(struct vmm *m, struct vm *vm, const struct vmm_disk *d, struct inv_job *job,
		struct progress *p, struct bundle_volume *v, struct vmc_error *err)
{
	char kek[VMK_KEK_ID_MAX + 1];
	struct make_spec s = {
		.vm = &vm->uuid, .kek_id = kek, .dm_flags = d->dm_flags, .size = d->size, .generation = 1,
	};
	int r;

	progress_report(p, "key", 0, 3);
	r = disk_kek(m, vm, job, d->provider, kek, err);
	progress_report(p, "format", 1, 3);
	if (!r)
		r = make_volume(m, job, &s, v, err);
	progress_report(p, "bundle", 2, 3);
	return r ? r : disk_commit(m, vm, v, err);
}

static int create(struct vmm *m, struct vm *vm, const struct vmm_disk *d, struct progress *p,
		  struct vmc_error *err)
{
	struct bundle_volume v;
	struct inv_job job;
	char path[PATH_MAX];
	json_t *state;
	int r;

	r = vm_load(m, vm, false, err);
	if (!r)
		r = disk_check_new(vm, d->name, err);
	if (!r)
		r = disk_place(vm, d, path, err);
	if (r)
		return r;
	state = make_state(d->name, path, vm->bundle, err);
	if (!state)
		return err->code;
	r = job_begin(m, JOB_DISK_CREATE, vm->id, state, &job, err);
	if (r)
		return r;
	r = make(m, vm, d, &job, p, &v, err);
	if (r) {
		if (!make_committed(&job, NULL))	/* else the next start finishes it */
			make_undo(m, &job, UNDONE, NULL);
		job_clear(&job);
		return r;
	}
	progress_report(p, "done", 3, 3);
	disk_tell(m, vm, &v, "created");
	return job_end(m, &job, err);
}

/* Read from the bundle whether the disk is there: the bundle was the last to be written. */
static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	int r = make_committed(job, err);

	*pending = false;
	if (r < 0)
		return r;
	return r ? job_end(m, job, err) : make_undo(m, job, UNDONE, err);
}

const struct job_kind job_kind_disk_create = { .kind = JOB_DISK_CREATE, .recover = recover };

/* ---- the small ones ---------------------------------------------------------- */

static int check_foreign(const struct vm *vm, const struct luks_token *t, const char *path,
			 struct vmc_error *err)
{
	char id[VMC_UUID_STR];

	if (vmc_uuid_equal(&t->vm, &vm->uuid))
		return 0;
	vmc_uuid_format(&t->vm, id);
	vmc_fail(err, VMC_EINVAL, "'%s' is volume '%s' of VM %s, not of '%s' (%s)", path, t->volume, id,
		 vm->row.name, vm->id);
	vmc_hint(err, "A disk's key is bound to its VM; copy the data through an open mapping instead");
	return VMC_EINVAL;
}

static int volume_from_token(const struct vm *vm, const char *path, const struct luks_header *h,
			     struct bundle_volume *v, struct vmc_error *err)
{
	const struct luks_token *t = &h->token;

	memset(v, 0, sizeof(*v));
	snprintf(v->name, sizeof(v->name), "%s", t->volume);
	snprintf(v->luks_uuid, sizeof(v->luks_uuid), "%.36s", h->uuid);
	volume_keys_of_token(t, v);
	return bundle_relative(vm->bundle, path, v->path, err);
}

/* That the key opens it, or its second one, before the bundle says that it is a disk of this VM. */
static int try_key(struct vmm *m, struct vm *vm, struct bundle_volume *v, struct vmc_error *err)
{
	struct vmk_load l;
	int r;

	r = keys_ensure_volume(m, v, err);
	if (r && wrap_is_double(v)) {
		wrap_swap(v);
		if (keys_ensure_volume(m, v, NULL))
			wrap_swap(v);
		else
			r = 0;
	}
	if (!r)
		r = volume_load(m->k, &vm->uuid, v, &l, err);
	if (!r)
		vmk_dek_del(m->k, &vm->uuid, v->name, NULL);
	return r;
}

static int attach(struct vmm *m, struct vm *vm, const char *path, struct vmc_error *err)
{
	struct bundle_volume v;
	char real[PATH_MAX];
	struct luks_header h;
	int r;

	if (!path || path[0] != '/' || !realpath(path, real))
		return vmc_fail_errno(err, path && path[0] == '/' ? errno : EINVAL, "cannot use '%s'",
				      path ? path : "");
	r = vm_load(m, vm, false, err);
	if (!r)
		r = luks_read(real, &h, err);
	if (!r && !h.has_token)
		r = vmc_fail(err, VMC_EINVAL, "'%s' has no vmcrypt token in its LUKS2 header", real);
	if (!r)
		r = check_foreign(vm, &h.token, real, err);
	if (!r)
		r = disk_check_new(vm, h.token.volume, err);
	if (!r)
		r = volume_from_token(vm, real, &h, &v, err);
	if (!r)
		r = dm_flags_parse(m->cfg->dm_flags, &v.flags, err);
	if (!r)
		r = try_key(m, vm, &v, err);
	if (!r)
		r = disk_commit(m, vm, &v, err);
	if (!r)
		disk_tell(m, vm, &v, "attached");
	return r;
}

static int detach(struct vmm *m, struct vm *vm, const char *disk, struct vmc_error *err)
{
	struct bundle_volume *v;
	struct bundle b;
	int r;

	r = vm_must_be_off(vm, "disk detach", err);
	if (!r)
		r = vm_load(m, vm, false, err);
	if (!r)
		r = disk_find(vm, disk, &v, err);
	if (!r)
		r = volume_close(m->k, &vm->uuid, disk, false, true, err);
	if (!r)
		r = bundle_copy(&vm->b, &b, err);
	if (r)
		return r;
	bundle_remove(&b, disk, NULL);
	r = vm_save(m, vm, &b, err);
	if (r)
		return r;
	if (vm->row.key_state == VM_KEYS_DISK_MISSING)	/* perhaps this was the one; power-on finds out */
		vm_set_keys_ok(m, vm);
	vmm_emit(m, VMM_EV_DISK_REMOVED, VMC_MSG_DISK_REMOVED, vm->id, json_pack("{s:s}", "disk", disk),
		 "Disk '%s' was detached from VM '%s'; its file stays", disk, vm->row.name);
	return 0;
}

static int open_disk(struct vmm *m, struct vm *vm, const char *disk, char **device, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX], path[PATH_MAX];
	struct bundle_volume *v;
	struct key_set s = { 0 };
	int r;

	r = vm_read(m, vm, err);
	if (!r)
		r = store_open_below(m, vm, err);
	if (!r)
		r = disk_find(vm, disk, &v, err);
	if (!r)
		r = keys_add_volume(&s, &vm->b.v[0], err);
	if (!r)
		r = keys_add_volume(&s, v, err);
	if (!r)
		r = keys_fetch(m, &s, err);
	if (!r)
		r = vm_check_keys(m, vm, &s, false, err);
	if (!r)
		r = vm_check_disk_key(m, vm, &s, v, err);
	if (!r)
		r = vm_volume_path(vm, v, path, err);
	if (!r)
		r = volume_open(m->k, &vm->b, v, path, 0, err);
	keys_clear(&s);
	if (r)
		return r;
	volume_mapping(&vm->uuid, disk, false, name);
	device_of_mapping(name, path);
	*device = strdup(path);
	vmm_emit(m, VMM_EV_DISK_OPENED, VMC_MSG_DISK_OPENED, vm->id, json_pack("{s:s}", "disk", disk),
		 "Disk '%s' of VM '%s' is open", disk, vm->row.name);
	return *device ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

static int close_disk(struct vmm *m, struct vm *vm, const char *disk, struct vmc_error *err)
{
	struct bundle_volume *v;
	int r;

	r = vm_must_be_off(vm, "disk close", err);
	if (!r && !vm->b.n)
		r = vm_read(m, vm, err);
	if (!r)
		r = disk_find(vm, disk, &v, err);
	if (!r)
		r = volume_close(m->k, &vm->uuid, disk, false, true, err);
	if (!r)
		vmm_emit(m, VMM_EV_DISK_CLOSED, VMC_MSG_DISK_CLOSED, vm->id, json_pack("{s:s}", "disk", disk),
			 "Disk '%s' of VM '%s' is closed", disk, vm->row.name);
	return r;
}

static int set_flags(struct vmm *m, struct vm *vm, const char *disk, const char *csv, struct vmc_error *err)
{
	struct bundle_volume *v;
	uint32_t flags;
	struct bundle b;
	int r;

	r = dm_flags_parse(csv ? csv : "", &flags, err);
	if (!r)
		r = vm_load(m, vm, false, err);
	if (!r)
		r = disk_find(vm, disk, &v, err);
	if (!r)
		r = bundle_copy(&vm->b, &b, err);
	if (r)
		return r;
	bundle_find(&b, disk)->flags = flags;
	r = vm_save(m, vm, &b, err);
	if (!r)
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, vm->id, json_pack("{s:s}", "disk", disk),
			 "The flags of disk '%s' of VM '%s' changed, from the next time it is opened", disk,
			 vm->row.name);
	return r;
}

/* ---- the verbs: each with the VM taken ---------------------------------------- */

int vmm_disk_create(struct vmm *m, const char *ref, const struct vmm_disk *d, struct progress *p,
		    struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk create", 0, &vm, err);
	if (r)
		return r;
	r = create(m, vm, d, p, err ? err : &mine);
	vm_drop(m, vm);
	return r;
}

int vmm_disk_attach(struct vmm *m, const char *ref, const char *path, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk attach", 0, &vm, err);
	if (r)
		return r;
	r = attach(m, vm, path, err);
	vm_drop(m, vm);
	return r;
}

int vmm_disk_detach(struct vmm *m, const char *ref, const char *disk, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk detach", 0, &vm, err);
	if (r)
		return r;
	r = detach(m, vm, disk, err);
	vm_drop(m, vm);
	return r;
}

int vmm_disk_open(struct vmm *m, const char *ref, const char *disk, char **device, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk open", 0, &vm, err);
	if (r)
		return r;
	r = open_disk(m, vm, disk, device, err);
	vm_drop(m, vm);
	return r;
}

int vmm_disk_close(struct vmm *m, const char *ref, const char *disk, struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk close", TAKE_ANY, &vm, err);
	if (r)
		return r;
	r = close_disk(m, vm, disk, err);
	vm_drop(m, vm);
	return r;
}

int vmm_disk_set_flags(struct vmm *m, const char *ref, const char *disk, const char *flags,
		       struct vmc_error *err)
{
	struct vm *vm;
	int r;

	r = vm_take(m, ref, "disk flags", 0, &vm, err);
	if (r)
		return r;
	r = set_flags(m, vm, disk, flags, err);
	vm_drop(m, vm);
	return r;
}
