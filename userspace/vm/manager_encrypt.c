// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * disk encrypt: the image is copied into a new container beside it, read back
 * and compared; then the bundle gets the disk, and only then the image goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "copy_job.h"
#include "device.h"
#include "disk.h"

#define UNDONE N_("made for the encryption of a disk that was undone")
#define SLACK (1024 * 1024)	/* what a file system may want besides */

static int check_space(const char *path, uint64_t size, struct vmc_error *err)
{
	uint64_t need = size + VOLUME_HEADER_BYTES + SLACK, have;
	char dir[PATH_MAX], n[32], h[32], missing[32];
	int r;

	if (!access(path, F_OK))	/* a block device: volume_make() looks at its size */
		return 0;
	if (vm_dir(path, dir))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", path);
	r = fs_free_bytes(dir, &have, err);
	if (r || have >= need)
		return r;
	vmc_size_format(need, n);
	vmc_size_format(have, h);
	vmc_size_format(need - have, missing);
	vmc_fail(err, VMC_ENOSPC, "the encrypted copy '%s' needs %s, '%s' has %s free: %s are missing", path, n,
		 dir, h, missing);
	vmc_hint(err, "Source and copy exist side by side until the copy is checked. Make room, or give a path elsewhere");
	return VMC_ENOSPC;
}

static int check_source(const struct vmm_disk *d, char real[PATH_MAX], char format[SOURCE_FORMAT_MAX],
			struct vmc_error *err)
{
	char probed[SOURCE_FORMAT_MAX];
	uint64_t size;
	bool block;
	int r;

	if (!d->source || d->source[0] != '/')
		return vmc_fail(err, VMC_EINVAL, "'%s' is not the absolute path of an image",
				d->source ? d->source : "");
	if (!realpath(d->source, real))
		return vmc_fail_errno(err, errno, "cannot use '%s'", d->source);
	if (d->source_format && (strlen(d->source_format) >= SOURCE_FORMAT_MAX ||
				 !vmc_name_ok(d->source_format, SOURCE_FORMAT_MAX)))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not the name of an image format", d->source_format);
	r = device_inspect(real, &block, &size, err);
	if (!r && block && !d->keep_source)
		r = vmc_fail(err, VMC_EINVAL, "'%s' is a block device, which cannot be removed afterwards; say that it is to be kept",
			     real);
	/* A named format still has what makes a qcow2 unfit checked. */
	if (!r && (!d->source_format || !strcmp(d->source_format, "qcow2")))
		r = source_probe(real, probed, err);
	if (!r && d->source_format && !strcmp(d->source_format, "qcow2") && strcmp(probed, "qcow2"))
		r = vmc_fail(err, VMC_EINVAL, "image '%s' is not qcow2", real);
	if (!r)
		snprintf(format, SOURCE_FORMAT_MAX, "%.31s", d->source_format ? d->source_format : probed);
	return r;
}

static json_t *begin_state(const struct vmm_disk *d, const char *path, const char *bundle, const char *source,
			   const char *format, const char *id, struct vmc_error *err)
{
	json_t *state = make_state(d->name, path, bundle, err);

	if (!state)
		return NULL;
	json_object_set_new(state, "source", json_string(source));
	json_object_set_new(state, "source_id", json_string(id));
	json_object_set_new(state, "format", json_string(format));
	json_object_set_new(state, "keep_source", json_boolean(d->keep_source));
	json_object_set_new(state, "rate", json_integer((json_int_t)d->rate));
	return state;
}

/* ---- the copy ------------------------------------------------------------------------ */

/* The source is whole and ours to remove only while it is what was copied. */
static int check_unchanged(struct inv_job *job, bool *changed, struct vmc_error *err)
{
	char id[SOURCE_ID_MAX];
	int r = source_identify(job_text(job, "source"), id, err);

	if (r)
		return r;
	*changed = strcmp(id, job_text(job, "source_id"));
	return *changed ? job_set_text(job, "source_id", id, err) : 0;
}

static int copy_into(struct vmm *m, struct vm *vm, struct inv_job *job, const struct bundle_volume *v,
		     struct progress *p, struct vmc_error *err)
{
	char name[VOLUME_MAPPING_MAX], device[PATH_MAX];
	struct source *from;
	int r, r2;

	r = source_open(&from, job_text(job, "source"), job_text(job, "format"), err);
	if (r)
		return r;
	r = volume_open(m->k, &vm->b, v, job_text(job, "path"), 0, err);
	if (!r) {
		volume_mapping(&vm->uuid, v->name, false, name);
		device_of_mapping(name, device);
		r = copy_job_run(m, job, from, device, p, err);
		r2 = volume_close(m->k, &vm->uuid, v->name, false, true, r ? NULL : err);
		r = r ? r : r2;
	}
	source_close(from);
	return r;
}

static int remove_source(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	bool changed = false;
	int r;

	if (json_is_true(json_object_get(job->state, "keep_source")))
		return 0;
	r = check_unchanged(job, &changed, err);
	if (r == VMC_ENOENT)
		return 0;
	if (!r && changed) {
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, job->vm, NULL,
			 "Image '%s' was written to after it was copied, and is kept", job_text(job, "source"));
		return 0;
	}
	return r ? r : fs_unlink(job_text(job, "source"), err);
}

/* The bundle has the disk: the rest cannot fail it any more. */
static int finish(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;

	if (remove_source(m, job, &why))
		vmm_emit(m, VMM_EV_VM_CHANGED, VMC_MSG_VM_CHANGED, job->vm, NULL,
			 "Image '%s' is encrypted now but could not be removed: %s",
			 job_text(job, "source"), why.text);
	return job_end(m, job, err);
}

/* The keys, when this is a job of an earlier process. */
static int get_ready(struct vmm *m, struct vm *vm, struct inv_job *job, struct bundle_volume *v,
		     struct vmc_error *err)
{
	bool changed = false;
	int r;

	r = vm_must_be_off(vm, "disk encrypt", err);
	if (!r)
		r = make_made(job, v, err);
	if (!r)
		r = keys_ensure_volume(m, v, err);
	if (!r)
		r = check_unchanged(job, &changed, err);
	return r || !changed ? r : copy_job_restart(job, err);
}

static int go_on(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p, struct vmc_error *err)
{
	struct bundle_volume v;
	int r;

	r = get_ready(m, vm, job, &v, err);
	if (!r)
		r = copy_into(m, vm, job, &v, p, err);
	if (!r)
		r = vm_load(m, vm, false, err);	/* the copy may have taken hours */
	if (!r)
		r = disk_commit(m, vm, &v, err);
	if (r)
		return r;
	disk_tell(m, vm, &v, "encrypted");
	return finish(m, job, err);
}

/* A stop of the helper leaves the job for the next start; all else is undone. */
static void undo_unless_stopping(struct vmm *m, struct inv_job *job, int r, const struct progress *p)
{
	bool stop = r == VMC_ECANCELED && atomic_load(&m->stopping) && !progress_canceled(p);

	if (job->state && !stop && !make_committed(job, NULL))
		make_undo(m, job, UNDONE, NULL);
}

/* ---- verbs ------------------------------------------------------------------------------ */

static int make(struct vmm *m, struct vm *vm, const struct vmm_disk *d, uint64_t size, struct inv_job *job,
		struct vmc_error *err)
{
	char kek[VMK_KEK_ID_MAX + 1];
	struct make_spec s = {
		.vm = &vm->uuid, .kek_id = kek, .dm_flags = d->dm_flags, .generation = 1, .reserve = true,
		.size = size,
	};
	struct bundle_volume v;
	int r;

	r = disk_kek(m, vm, job, d->provider, kek, err);
	if (r)
		return r;
	json_object_set_new(job->state, "resumable", json_true());	/* from when "v" is there */
	return make_volume(m, job, &s, &v, err);
}

static int look(const char *source, const char *format, char id[SOURCE_ID_MAX], uint64_t *size,
		struct vmc_error *err)
{
	struct source *s;
	int r;

	r = source_identify(source, id, err);
	if (!r)
		r = source_open(&s, source, format, err);
	if (r)
		return r;
	*size = source_size(s);
	source_close(s);
	return *size ? 0 : vmc_fail(err, VMC_EINVAL, "image '%s' is empty", source);
}

static int encrypt(struct vmm *m, struct vm *vm, const struct vmm_disk *d, struct progress *p,
		   struct vmc_error *err)
{
	char source[PATH_MAX], path[PATH_MAX], format[SOURCE_FORMAT_MAX], id[SOURCE_ID_MAX];
	char job_id[VMC_UUID_STR];
	struct inv_job job;
	uint64_t size = 0;
	json_t *state;
	int r;

	r = vm_must_be_off(vm, "disk encrypt", err);
	if (!r)
		r = vm_load(m, vm, false, err);
	if (!r)
		r = disk_check_new(vm, d->name, err);
	if (!r)
		r = check_source(d, source, format, err);
	if (!r)
		r = disk_place(vm, d, path, err);
	if (!r)
		r = look(source, format, id, &size, err);
	if (!r)
		r = check_space(path, size, err);
	if (r)
		return r;
	state = begin_state(d, path, vm->bundle, source, format, id, err);
	if (!state)
		return err->code;
	r = job_begin(m, JOB_DISK_ENCRYPT, vm->id, state, &job, err);
	if (r)
		return r;
	memcpy(job_id, job.id, sizeof(job_id));
	r = make(m, vm, d, size, &job, err);
	if (!r)
		r = go_on(m, vm, &job, p, err);
	if (r)
		undo_unless_stopping(m, &job, r, p);
	job_clear(&job);
	job_settle(m, vm, job_id);
	return r;
}

int vmm_disk_encrypt(struct vmm *m, const char *ref, const struct vmm_disk *d, struct progress *p,
		     struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	char what[192];
	struct vm *vm;
	int r;

	snprintf(what, sizeof(what), "disk encrypt of '%.63s'", d->name ? d->name : "");
	r = vm_take(m, ref, what, 0, &vm, err);
	if (r)
		return r;
	r = encrypt(m, vm, d, p, err ? err : &mine);
	vm_drop(m, vm);
	return r;
}

static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	struct bundle_volume v;
	int r;

	*pending = false;
	if (make_made(job, &v, NULL))
		return make_undo(m, job, UNDONE, err);
	r = make_committed(job, NULL);
	if (r > 0)
		return finish(m, job, err);
	*pending = true;
	return 0;
}

/* Only a cancel undoes it: a server that is away now must not cost hours of copying. */
static int resume(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p, struct vmc_error *err)
{
	int r = vm_load(m, vm, false, err);

	if (!r)
		r = go_on(m, vm, job, p, err);
	if (r == VMC_ECANCELED)
		undo_unless_stopping(m, job, r, p);
	return r;
}

static int abandon(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err)
{
	int r = make_committed(job, err);

	(void)vm;
	if (r < 0)
		return r;
	return r ? finish(m, job, err) : make_undo(m, job, UNDONE, err);
}

const struct job_kind job_kind_disk_encrypt = {
	.kind = JOB_DISK_ENCRYPT, .recover = recover, .resume = resume, .abandon = abandon,
};
