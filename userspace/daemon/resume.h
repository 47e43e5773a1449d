/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that a kill left behind go on by themselves; what fails for want of a server or a key is tried again. */
#ifndef VMC_DAEMON_RESUME_H
#define VMC_DAEMON_RESUME_H

#include "../api/api.h"

struct resume;

int resume_new(struct resume **r, struct api *a, struct vmc_error *err);
void resume_free(struct resume *r);	/* NULL is fine */

/* Look for pending jobs, and give each that has none a Job object. */
void resume_jobs(struct resume *r);

/* A resumed job failed: try again later, if that may help. */
void resume_again(struct resume *r, const struct vmc_error *err);

#endif
