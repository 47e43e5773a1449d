// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_job.h"

#include <string.h>

#include "copy.h"

struct pass {
	struct vmm *m;
	struct inv_job *job;
};

static int checkpoint(struct copy *c, void *data, struct vmc_error *err)
{
	struct pass *pass = data;
	int r = job_set_number(pass->job, "done", c->done, err);

	return r ? r : job_save(pass->m, pass->job, err);
}

static int set_phase(struct inv_job *job, const char *phase, struct vmc_error *err)
{
	int r = job_set_text(job, "phase", phase, err);

	return r ? r : job_set_number(job, "done", 0, err);
}

int copy_job_restart(struct inv_job *job, struct vmc_error *err)
{
	return set_phase(job, "copy", err);
}

static int one_pass(struct copy *c, struct vmm *m, struct inv_job *job, const char *phase, const char *next,
		    int (*fn)(struct copy *c, struct vmc_error *err), struct vmc_error *err)
{
	int r;

	if (strcmp(job_text(job, "phase"), phase))
		return 0;
	c->done = job_number(job, "done");
	r = fn(c, err);
	if (!r)
		r = set_phase(job, next, err);
	return r ? r : job_save(m, job, err);
}

int copy_job_run(struct vmm *m, struct inv_job *job, struct source *from, const char *device,
		 struct progress *p, struct vmc_error *err)
{
	struct pass pass = { m, job };
	struct copy c = {
		.from = from, .device = device, .rate = job_number(job, "rate"), .progress = p,
		.checkpoint_bytes = m->checkpoint_bytes, .stop = &m->stopping, .checkpoint = checkpoint,
		.data = &pass,
	};
	int r;

	r = job_set_number(job, "total", source_size(from), err);
	if (!r && !job_text(job, "phase")[0])
		r = copy_job_restart(job, err);
	if (!r)
		r = one_pass(&c, m, job, "copy", "verify", copy_run, err);
	if (!r)
		r = one_pass(&c, m, job, "verify", "copied", copy_verify, err);
	return r;
}
