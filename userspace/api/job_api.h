/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Job: what runs, how far it is, and a way to stop it. */
#ifndef VMC_API_JOB_API_H
#define VMC_API_JOB_API_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../lib/progress.h"
#include "api.h"

struct call;
struct job;

int jobs_new(struct jobs **j, struct api *a, struct vmc_error *err);
void jobs_free(struct jobs *j);		/* NULL is fine */
/* The vtable on the bus. */
int job_api_add(struct api *a, struct vmc_error *err);

/* An object for @c, its signal, and the timer that tells of progress. */
int job_begin(struct call *c, struct job **job, struct vmc_error *err);
void job_end(struct job *job);
struct progress *job_progress(struct job *job);
uint64_t job_age_ms(const struct job *job);
const char *job_operation(const struct job *job);

/* UID that began the job of this object path; (uid_t)-1: no such job, or the daemon's own. */
uid_t job_uid(struct api *a, const char *path);
bool job_resumes(struct jobs *j, const char *id);	/* is there a job for this pending one? */
unsigned int jobs_count(const struct jobs *j);
bool jobs_have_copies(const struct jobs *j);
void jobs_cancel_short(struct jobs *j);			/* all but copies */
/* What Manager.ListJobs says of running ones. Takes its own picture: call it in the loop, use the result anywhere. */
json_t *jobs_describe(struct jobs *j);

#endif
