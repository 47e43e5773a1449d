// SPDX-License-Identifier: GPL-2.0-or-later
/* Disks of the source, copied to the destination's while the guest runs: NBD, one connection a disk. */
#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "qemu_priv.h"

#define PREFIX "vmcrypt-mirror-"

/* Of job and node alike. */
static void mirror_id(char id[32], unsigned int i)
{
	snprintf(id, 32, PREFIX "%u", i);
}

static int start_one(struct qemu *m, const char *disk, const char *path, unsigned int i, struct vmc_error *err)
{
	char id[32];
	int r;

	mirror_id(id, i);
	r = qemu_ask(m, "blockdev-add",
		     json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s}", "driver", "nbd", "node-name", id, "server", "type",
			       "unix", "path", path, "export", disk, "discard", "unmap"), NULL, err);
	if (r)
		return vmc_prefix(err, "disk '%s': ", disk);
	r = qemu_ask(m, "blockdev-mirror",
		     json_pack("{s:s, s:s, s:s, s:s, s:b}", "job-id", id, "device", disk, "target", id, "sync", "full",
			       "auto-dismiss", false), NULL, err);
	if (!r)
		return 0;
	qemu_ask(m, "blockdev-del", json_pack("{s:s}", "node-name", id), NULL, NULL);
	return vmc_prefix(err, "disk '%s': ", disk);
}

int qemu_mirrors_start(struct qemu *m, const char *dir, struct qemu_mirrors *s, struct vmc_error *err)
{
	char path[HV_SOCKET_PATH_MAX];
	struct hv_info info = { 0 };
	int r;

	memset(s, 0, sizeof(*s));
	snprintf(path, sizeof(path), "%s/%s", dir, HV_SOCKET_DISKS);
	r = qemu_disks(m, &info, err);
	for (unsigned int i = 0; i < info.n && !r; i++) {
		if (info.disks[i].read_only)
			continue;
		r = start_one(m, info.disks[i].name, path, s->n, err);
		if (!r)
			s->n++;
	}
	return r;
}

static const json_t *find_job(const json_t *jobs, unsigned int i)
{
	const json_t *j;
	char id[32];
	size_t k;

	mirror_id(id, i);
	json_array_foreach(jobs, k, j) {
		const char *s = json_string_value(json_object_get(j, "id"));

		if (s && !strcmp(s, id))
			return j;
	}
	return NULL;
}

static bool job_is(const json_t *job, const char *status)
{
	const char *s = json_string_value(json_object_get(job, "status"));

	return s && !strcmp(s, status);
}

/* The error of one that ended; "" none. */
static const char *job_error(const json_t *job)
{
	const char *s = json_string_value(json_object_get(job, "error"));

	return s ? s : "";
}

/* What is known of one. An error of it is told once, in *@failed. */
static void take_job(struct qemu *m, struct qemu_mirrors *s, const json_t *j, struct vmc_error *failed)
{
	s->done += (uint64_t)json_integer_value(json_object_get(j, "current-progress"));
	s->total += (uint64_t)json_integer_value(json_object_get(j, "total-progress"));
	s->ready = s->ready && job_is(j, "ready");
	if (!job_is(j, "concluded"))
		return;
	s->ended++;
	if (!*job_error(j) || failed->code)
		return;
	vmc_fail(failed, VMC_EIO, "copying a disk of VM '%s' failed: %s", m->vm, job_error(j));
	vmc_hint(failed, "look at the other host's storage, and at the network between");
}

/* An error of a job is no error of this, but *@failed. */
static int look(struct qemu *m, struct qemu_mirrors *s, struct vmc_error *failed, struct vmc_error *err)
{
	const json_t *j;
	json_t *jobs;
	int r;

	s->ended = 0;
	s->done = s->total = 0;
	s->ready = true;
	r = qemu_ask(m, "query-jobs", NULL, &jobs, err);
	for (unsigned int i = 0; i < s->n && !r; i++) {
		j = find_job(jobs, i);
		if (j)
			take_job(m, s, j, failed);
		else
			r = vmc_fail(err, VMC_EPROTO, "QEMU forgot the copy of a disk of VM '%s'", m->vm);
	}
	json_decref(jobs);
	return r;
}

static int hand_on(struct vmc_error *err, const struct vmc_error *failed)
{
	if (err)
		*err = *failed;
	return failed->code;
}

int qemu_mirrors_look(struct qemu *m, struct qemu_mirrors *s, struct vmc_error *err)
{
	struct vmc_error failed = VMC_ERROR_INIT;
	int r;

	if (!s->n) {
		s->ready = true;
		return 0;
	}
	r = look(m, s, &failed, err);
	if (!r && failed.code)
		return hand_on(err, &failed);
	if (!r && s->ended)
		r = vmc_fail(err, VMC_EIO, "copying a disk of VM '%s' ended too early", m->vm);
	return r;
}

/* Until all have ended, also when one has failed. */
static int wait_ended(struct qemu *m, struct qemu_mirrors *s, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + QEMU_SETTLE_MS;
	struct vmc_error failed = VMC_ERROR_INIT;
	bool came;
	int r;

	for (;;) {
		r = look(m, s, &failed, err);
		if (r)
			return r;
		if (s->ended == s->n)
			return failed.code ? hand_on(err, &failed) : 0;
		if (vmc_now_ms() >= until)
			return vmc_fail(err, VMC_ETIMEDOUT, "copying the disks of VM '%s' does not end", m->vm);
		r = qmp_wait(m->q, QEMU_POLL_MS, &came, err);
		if (r)
			return r;
	}
}

/* Give back what they hold; what is gone already is fine. */
static void forget(struct qemu *m, const struct qemu_mirrors *s)
{
	char id[32];

	for (unsigned int i = 0; i < s->n; i++) {
		mirror_id(id, i);
		qemu_ask(m, "job-dismiss", json_pack("{s:s}", "id", id), NULL, NULL);
		qemu_ask(m, "blockdev-del", json_pack("{s:s}", "node-name", id), NULL, NULL);
	}
}

int qemu_mirrors_end(struct qemu *m, struct qemu_mirrors *s, bool whole, struct vmc_error *err)
{
	struct vmc_error ignored = VMC_ERROR_INIT;
	char id[32];
	int r = 0, c;

	if (!s->n)
		return 0;
	for (unsigned int i = 0; i < s->n; i++) {
		mirror_id(id, i);
		/* One that is in step ends in step: its last writes are there. */
		c = qemu_ask(m, "block-job-cancel", json_pack("{s:s, s:b}", "device", id, "force", !whole), NULL,
			     whole ? err : &ignored);
		if (whole && c)
			r = c;
	}
	c = wait_ended(m, s, whole ? err : &ignored);
	if (whole && !r)
		r = c;
	forget(m, s);
	s->n = 0;
	return r;
}
