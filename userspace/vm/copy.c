// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"

#define CHUNK		(1024 * 1024)
#define SECTOR		4096
#define NAP_MS		100		/* so that a cancel is heard while the rate limit holds us */

struct run {
	struct copy *c;
	int fd;
	char *buf, *other;		/* CHUNK bytes each */
	const char *phase;
	uint64_t started_ms, started_at;
	uint64_t saved_ms, saved_at;
};

static int stopped(const struct copy *c, struct vmc_error *err)
{
	if (progress_canceled(c->progress))
		return vmc_fail(err, VMC_ECANCELED, "the copy was canceled");
	if (c->stop && atomic_load(c->stop))
		return vmc_fail(err, VMC_ECANCELED, "the copy was interrupted; it goes on when the helper starts again");
	return 0;
}

static int save(struct run *r, struct vmc_error *err)
{
	int rc = fs_sync(r->fd, r->c->device, err);

	if (rc)
		return rc;
	r->saved_ms = vmc_now_ms();
	r->saved_at = r->c->done;
	return r->c->checkpoint(r->c, r->c->data, err);
}

static bool save_is_due(const struct run *r)
{
	return r->c->done - r->saved_at >= r->c->checkpoint_bytes ||
	       vmc_now_ms() - r->saved_ms >= COPY_CHECKPOINT_MS;
}

/* Wait until @c->done is no more than the rate allows since the start. */
static int keep_rate(const struct run *r, struct vmc_error *err)
{
	uint64_t bytes = r->c->done - r->started_at, due, now;

	if (!r->c->rate)
		return 0;
	due = r->started_ms + (uint64_t)((double)bytes * 1000.0 / (double)r->c->rate);
	while ((now = vmc_now_ms()) < due) {
		uint64_t ms = due - now < NAP_MS ? due - now : NAP_MS;
		struct timespec ts = { .tv_nsec = (long)ms * 1000000 };
		int rc = stopped(r->c, err);

		if (rc)
			return rc;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	}
	return 0;
}

static int write_all(const struct run *r, size_t n, struct vmc_error *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = pwrite(r->fd, r->buf + done, n - done, (off_t)(r->c->done + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return vmc_fail_errno(err, put ? errno : EIO, "cannot write '%s'", r->c->device);
		done += (size_t)put;
	}
	return 0;
}

static int read_all(const struct run *r, size_t n, struct vmc_error *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(r->fd, r->other + done, n - done, (off_t)(r->c->done + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return vmc_fail_errno(err, got ? errno : EIO, "cannot read '%s' back", r->c->device);
		done += (size_t)got;
	}
	return 0;
}

static int copy_chunk(struct run *r, size_t n, struct vmc_error *err)
{
	return write_all(r, n, err);
}

static int verify_chunk(struct run *r, size_t n, struct vmc_error *err)
{
	size_t i;
	int rc;

	rc = read_all(r, n, err);
	if (rc || !memcmp(r->buf, r->other, n))
		return rc;
	for (i = 0; r->buf[i] == r->other[i]; i++)
		;
	vmc_fail(err, VMC_EIO, "the copy on '%s' differs from its source at byte %llu", r->c->device,
		 (unsigned long long)(r->c->done + i));
	vmc_hint(err, "The source is whole. Check the storage (dmesg, SMART) before another try");
	return VMC_EIO;
}

/* One chunk at c->done; a last sector that the source does not fill ends in zeros. */
static int step(struct run *r, int (*fn)(struct run *r, size_t n, struct vmc_error *err), struct vmc_error *err)
{
	uint64_t left = source_size(r->c->from) - r->c->done;
	size_t n = left < CHUNK ? (size_t)left : CHUNK;
	size_t padded = (n + SECTOR - 1) / SECTOR * SECTOR;
	int rc;

	memset(r->buf + n, 0, padded - n);
	rc = source_read(r->c->from, r->buf, n, r->c->done, err);
	if (!rc)
		rc = fn(r, padded, err);
	if (!rc)
		r->c->done += n;
	return rc;
}

static int loop(struct run *r, int (*fn)(struct run *r, size_t n, struct vmc_error *err), struct vmc_error *err)
{
	uint64_t size = source_size(r->c->from);
	int rc = 0, saved;

	while (!rc && r->c->done < size) {
		progress_report(r->c->progress, r->phase, r->c->done, size);
		rc = stopped(r->c, err);
		if (!rc)
			rc = step(r, fn, err);
		if (!rc && save_is_due(r))
			rc = save(r, err);
		if (!rc)
			rc = keep_rate(r, err);
	}
	progress_report(r->c->progress, r->phase, r->c->done, size);
	if (rc && rc != VMC_ECANCELED)
		return rc;
	saved = save(r, rc ? NULL : err);
	return rc ? rc : saved;
}

static int run(struct copy *c, const char *phase,
	       int (*fn)(struct run *r, size_t n, struct vmc_error *err), struct vmc_error *err)
{
	struct run r = {
		.c = c, .phase = phase, .started_ms = vmc_now_ms(), .started_at = c->done,
		.saved_ms = vmc_now_ms(), .saved_at = c->done,
	};
	void *buf = NULL;
	int rc;

	if (c->done % SECTOR || c->done > source_size(c->from))
		c->done = 0;
	r.fd = open(c->device, O_RDWR | O_CLOEXEC);
	if (r.fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", c->device);
	if (posix_memalign(&buf, SECTOR, 2 * CHUNK)) {
		close(r.fd);
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	r.buf = buf;
	r.other = r.buf + CHUNK;
	/* What is verified comes from below the mapping, not from the page cache. */
	posix_fadvise(r.fd, 0, 0, POSIX_FADV_DONTNEED);
	rc = loop(&r, fn, err);
	OPENSSL_cleanse(buf, 2 * CHUNK);
	free(buf);
	close(r.fd);
	return rc;
}

int copy_run(struct copy *c, struct vmc_error *err)
{
	return run(c, N_("copy"), copy_chunk, err);
}

int copy_verify(struct copy *c, struct vmc_error *err)
{
	return run(c, N_("verify"), verify_chunk, err);
}
