// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_create(): home volume with a key of its own, then the bundle, then the inventory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "create.h"
#include "device.h"
#include "home.h"
#include "vm_priv.h"

#define UNDONE N_("made for the creation of a VM that did not finish")
#define UNDONE_STORE N_("made for a datastore that was not finished")

static int check_dir(const char *dir, char real[PATH_MAX], struct vmc_error *err)
{
	struct stat st;

	if (dir[0] != '/')
		return vmc_fail(err, VMC_EINVAL, "folder '%s' is not an absolute path", dir);
	if (!realpath(dir, real) || stat(real, &st))
		return vmc_fail_errno(err, errno, "cannot use folder '%s'", dir);
	if (!S_ISDIR(st.st_mode))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not a folder", dir);
	return 0;
}

static int place(const char *dir, const char *name, const char *suffix, char out[PATH_MAX],
		 struct vmc_error *err)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", strcmp(dir, "/") ? dir : "", name, suffix);

	if (n < 0 || n >= BUNDLE_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of folder '%s' is too long", dir);
	if (!access(out, F_OK) || errno != ENOENT)
		return vmc_fail(err, VMC_EEXIST, "'%s' exists already", out);
	return 0;
}

static int fill_home(const struct creation *c, const char *device, struct vmc_error *err)
{
	(void)c;
	return home_make_filesystem(device, err);
}

static int fill(struct vmm *m, struct vm *vm, const struct creation *c, const char *path, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX], device[PATH_MAX];
	int r, r2;

	r = volume_open(m->k, &vm->b, &vm->b.v[0], path, 0, err);
	if (r)
		return r;
	volume_mapping(&vm->uuid, c->volume, false, name);
	device_of_mapping(name, device);
	r = c->fill(c, device, err);
	fs_crashpoint("home: filesystem made");
	r2 = volume_close(m->k, &vm->uuid, c->volume, false, true, r ? NULL : err);
	return r ? r : r2;
}

static int commit(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err)
{
	int r;

	vm->b.serial = 1;
	r = bundle_sign(&vm->b, m->k, err);
	if (!r)
		r = bundle_write(vm->bundle, &vm->b, err);
	if (!r)
		r = inventory_begin(m->inv, err);
	if (r)
		return r;
	vm->row.serial = vm->b.serial;
	r = inventory_vm_put(m->inv, &vm->row, err);
	if (!r)
		r = inventory_job_del(m->inv, job->id, err);
	if (!r)
		return inventory_commit(m->inv, err);
	inventory_rollback(m->inv);
	return r;
}

static int create(struct vmm *m, struct vm *vm, const struct creation *c, struct inv_job *job,
		  struct progress *p, struct vmc_error *err)
{
	char kek[VMK_KEK_ID_MAX + 1];
	struct make_spec s = {
		.vm = &vm->uuid, .kek_id = kek, .generation = 1, .size = c->size, .dm_flags = c->dm_flags,
	};
	struct bundle_volume v;
	int r;

	progress_report(p, "key", 0, 3);
	r = job_make_kek(m, job, c->provider, vm->row.name, c->volume, kek, err);
	if (r)
		return r;
	progress_report(p, "format", 1, 3);
	r = make_volume(m, job, &s, &v, err);
	if (r)
		return r;
	vm->b.id = vm->uuid;
	snprintf(vm->b.name, sizeof(vm->b.name), "%s", vm->row.name);
	strcpy(vm->b.migration, "required");
	r = bundle_add(&vm->b, &v, err);
	if (r)
		return r;
	progress_report(p, "filesystem", 2, 3);
	r = fill(m, vm, c, job_text(job, "path"), err);
	if (!r)
		r = commit(m, vm, job, err);
	if (!r)
		progress_report(p, "done", 3, 3);
	return r;
}

static int undo(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	int r = fs_unlink(job_text(job, "bundle"), err);

	return r ? r : make_undo(m, job, strcmp(job->kind, JOB_STORE_CREATE) ? UNDONE : UNDONE_STORE, err);
}

int create_run(struct vmm *m, struct vm *vm, const struct creation *c, struct progress *p, struct vmc_error *err)
{
	json_t *state = make_state(c->volume, c->path, vm->bundle, err);
	struct inv_job job;
	int r;

	if (!state)
		return err ? err->code : VMC_EEXIST;
	r = job_begin(m, vm_is_store(vm) ? JOB_STORE_CREATE : JOB_VM_CREATE, vm->id, state, &job, err);
	if (r)
		return r;
	r = create(m, vm, c, &job, p, err);
	if (r)
		undo(m, &job, NULL);
	job_clear(&job);
	return r;
}

static int choose_id(const char *given, vmc_uuid *id, struct vmc_error *err)
{
	int r = given ? vmc_uuid_parse(given, id) : vmc_uuid_new(id);

	if (r && given)
		return vmc_fail(err, VMC_EINVAL, "'%s' is not a UUID", given);
	return r ? vmc_fail(err, r, "no random bytes for a UUID") : 0;
}

int vmm_create(struct vmm *m, const struct vmm_create *c, struct progress *p, char id[VMC_UUID_STR],
	       struct vmc_error *err)
{
	char dir[PATH_MAX], bundle[PATH_MAX], home[PATH_MAX];
	struct creation how = {
		.volume = VOLUME_HOME, .path = home, .provider = c->provider, .fill = fill_home,
		.size = c->home_size ? c->home_size : m->cfg->home_size,
	};
	struct vmc_error mine = VMC_ERROR_INIT;
	struct vm *vm;
	vmc_uuid uuid;
	int r;

	if (!err)
		err = &mine;
	if (!c->name || !c->dir || !vmc_name_ok(c->name, BUNDLE_NAME_MAX))
		return vmc_fail(err, VMC_EINVAL, "'%s' cannot be the name of a VM: letters, digits, '.', '_' and '-', %d at most",
				c->name ? c->name : "", BUNDLE_NAME_MAX);
	r = check_dir(c->dir, dir, err);
	if (!r)
		r = place(dir, c->name, BUNDLE_SUFFIX, bundle, err);
	if (!r)
		r = place(dir, c->name, ".home", home, err);
	if (!r)
		r = choose_id(c->id, &uuid, err);
	if (!r)
		r = vm_add(m, INV_VM, &uuid, c->name, bundle, "create", &vm, err);
	if (r)
		return r;
	r = create_run(m, vm, &how, p, err);
	if (r) {
		vm_forget(m, vm);
		return r;
	}
	memcpy(id, vm->id, VMC_UUID_STR);
	vmm_emit(m, VMM_EV_VM_CREATED, VMC_MSG_VM_CREATED, vm->id,
		 json_pack("{s:s, s:s}", "bundle", vm->bundle, "key", vm->b.v[0].kek_id),
		 "VM '%s' was created in '%s'", c->name, dir);
	vm_drop(m, vm);
	return 0;
}

/* The commit of the inventory drops the job: one that is there still did not get so far. */
static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	char dir[PATH_MAX];

	*pending = false;
	if (!vm_dir(job_text(job, "bundle"), dir))
		fs_remove_temps(dir, NULL);
	return undo(m, job, err);
}

const struct job_kind job_kind_vm_create = { .kind = JOB_VM_CREATE, .recover = recover };
const struct job_kind job_kind_store_create = { .kind = JOB_STORE_CREATE, .recover = recover };
