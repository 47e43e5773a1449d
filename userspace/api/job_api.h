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

int bus_jobs_new(struct jobs **j, struct api *a, struct vmc_error *err);
void bus_jobs_free(struct jobs *j);		/* NULL is fine */
/* The vtable on the bus. */
int job_api_add(struct api *a, struct vmc_error *err);

/* An object for @c, its signal, and the timer that tells of progress. */
int bus_job_begin(struct call *c, struct job **job, struct vmc_error *err);
void bus_job_end(struct job *job);
struct progress *bus_job_progress(struct job *job);
uint64_t bus_job_age_ms(const struct job *job);
const char *bus_job_operation(const struct job *job);

/* UID that began the job of this object path; (uid_t)-1: no such job, or the daemon's own. */
uid_t bus_job_uid(struct api *a, const char *path);
bool bus_job_resumes(struct jobs *j, const char *id);	/* is there a job for this pending one? */
unsigned int bus_jobs_count(const struct jobs *j);
bool bus_jobs_have_copies(const struct jobs *j);
void bus_jobs_cancel_short(struct jobs *j);			/* all but copies */
/* What Manager.ListJobs says of running ones. Takes its own picture: call it in the loop, use the result anywhere. */
json_t *bus_jobs_describe(struct jobs *j);

#endif
