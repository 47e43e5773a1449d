/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copy and verify as part of a job: journal "phase" ("copy", "verify", "copied"), "done", "total". */
#ifndef VMC_VM_COPY_JOB_H
#define VMC_VM_COPY_JOB_H

#include "source.h"
#include "vm_priv.h"

/* From wherever the journal says, until both passes are done. */
int copy_job_run(struct vmm *m, struct inv_job *job, struct source *from, const char *device,
		 struct progress *p, struct vmc_error *err);
/* From the start again. Not saved. */
int copy_job_restart(struct inv_job *job, struct vmc_error *err);

#endif
