// SPDX-License-Identifier: GPL-2.0-or-later
/* A new volume under a job: journalled before it is made, removed when the job is undone. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "device.h"
#include "vm_priv.h"

json_t *make_state(const char *volume, const char *path, const char *bundle, struct vmc_error *err)
{
	uint64_t size;
	bool block = false;
	json_t *state;
	int r;

	r = device_inspect(path, &block, &size, err);
	if (!r && !block) {
		vmc_fail(err, VMC_EEXIST, "'%s' exists already", path);
		vmc_hint(err, "Give another path, or 'vmcrypt disk attach' it if it is a disk of this VM");
		return NULL;
	}
	if (r && r != VMC_ENOENT)
		return NULL;
	if (block && device_must_be_empty(path, err))
		return NULL;
	state = json_pack("{s:s, s:s, s:b, s:s}", "volume", volume, "path", path, "block", block,
			  "bundle", bundle);
	if (!state)
		vmc_fail(err, VMC_EINVAL, "'%s' is not a path in UTF-8", path);
	return state;
}

static int flags_of(struct vmm *m, const char *csv, uint32_t *flags, struct vmc_error *err)
{
	return dm_flags_parse(csv ? csv : m->cfg->dm_flags, flags, err);
}

int make_volume(struct vmm *m, struct inv_job *job, const struct make_spec *s, struct bundle_volume *v,
		struct vmc_error *err)
{
	struct volume_make vol = {
		.vm = s->vm, .name = job_text(job, "volume"), .kek_id = s->kek_id,
		.path = job_text(job, "path"), .block = json_is_true(json_object_get(job->state, "block")),
		.size = s->size, .reserve = s->reserve, .generation = s->generation,
	};
	int r;

	memset(v, 0, sizeof(*v));
	r = flags_of(m, s->dm_flags, &v->flags, err);
	if (!r)
		r = bundle_relative(job_text(job, "bundle"), vol.path, v->path, err);
	if (!r)
		r = volume_make(m->k, &vol, v, err);
	if (r) {
		/* Nothing of ours is there: what made it fail must not be removed. */
		json_object_set_new(job->state, "nothing", json_true());
		return r;
	}
	if (json_object_set_new(job->state, "v", bundle_volume_json(v)))
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	return job_save(m, job, err);
}

int make_made(const struct inv_job *job, struct bundle_volume *v, struct vmc_error *err)
{
	const json_t *o = json_object_get(job->state, "v");

	if (!o)
		return vmc_fail(err, VMC_ENOENT, "job '%s' has made no volume yet", job->id);
	memset(v, 0, sizeof(*v));
	return bundle_volume_parse(o, v, err);
}

int make_undo(struct vmm *m, struct inv_job *job, const char *why, struct vmc_error *err)
{
	const char *path = job_text(job, "path"), *volume = job_text(job, "volume");
	bool fresh = json_is_true(json_object_get(job->state, "fresh"));
	vmc_uuid vm;
	int r = 0;

	if (!vmc_uuid_parse(job->vm, &vm))
		r = volume_close(m->k, &vm, volume, fresh, true, err);
	if (!r && !json_is_true(json_object_get(job->state, "nothing"))) {
		if (json_is_true(json_object_get(job->state, "block")))
			r = device_wipe_header(path, err);
		else
			r = fs_unlink(path, err);
	}
	if (r)
		return r;
	return job_end_undone(m, job, why, err);
}

int make_committed(const struct inv_job *job, struct vmc_error *err)
{
	const struct bundle_volume *there;
	struct bundle_volume v;
	struct bundle b;
	int r;

	if (make_made(job, &v, NULL))
		return 0;	/* its LUKS UUID was not known yet, so no bundle can have it */
	r = bundle_read(job_text(job, "bundle"), &b, err);
	if (r)
		return r;
	there = bundle_find(&b, v.name);
	r = there && !strcmp(there->luks_uuid, v.luks_uuid);
	bundle_clear(&b);
	return r;
}
