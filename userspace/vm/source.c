// SPDX-License-Identifier: GPL-2.0-or-later
#include "source.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"
#include "device.h"

#define NBD_DEADLINE_MS	(60 * 1000)

struct source {
	char *path;
	int fd;				/* raw */
	struct nbd_handle *nbd;		/* else */
	uint64_t size;
};

/* ---- what it is ------------------------------------------------------------------ */

struct qcow2_header {
	uint32_t magic, version;
	uint64_t backing_file_offset;
	uint32_t backing_file_size, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_size;
	uint64_t l1_table_offset, refcount_table_offset;
	uint32_t refcount_table_clusters, nb_snapshots;
	uint64_t snapshots_offset, incompatible_features;
} __attribute__((packed));

#define QCOW2_DIRTY		1ull
#define QCOW2_CORRUPT		2ull
#define QCOW2_DATA_FILE		4ull

static int refuse_qcow2(const char *path, const char *why, const char *hint, struct vmc_error *err)
{
	vmc_fail(err, VMC_EINVAL, "image '%s' %s", path, message_say(why));
	vmc_hint(err, "%s", message_say(hint));
	return VMC_EINVAL;
}

static int check_qcow2(const char *path, const struct qcow2_header *h, struct vmc_error *err)
{
	uint64_t features = be32toh(h->version) >= 3 ? be64toh(h->incompatible_features) : 0;

	if (h->backing_file_offset || (features & QCOW2_DATA_FILE))
		return refuse_qcow2(path, N_("has a backing file or a data file of its own"),
				    N_("Make one image of it with qemu-img convert"), err);
	if (h->nb_snapshots)
		return refuse_qcow2(path, N_("has internal snapshots, which would be lost"),
				    N_("Delete them with qemu-img snapshot, or convert the state you want"), err);
	if (h->crypt_method)
		return refuse_qcow2(path, N_("is encrypted by QEMU"),
				    N_("Decrypt it first with qemu-img convert"), err);
	if (features & QCOW2_CORRUPT)
		return refuse_qcow2(path, N_("is marked as corrupt"), N_("Look at it with qemu-img check"), err);
	return 0;
}

static int read_head(const char *path, void *buf, size_t n, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got;

	memset(buf, 0, n);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	got = pread(fd, buf, n, 0);
	close(fd);
	return got < 0 ? vmc_fail_errno(err, errno, "cannot read '%s'", path) : 0;
}

int source_probe(const char *path, char format[SOURCE_FORMAT_MAX], struct vmc_error *err)
{
	static const struct {
		const char magic[9], name[8];
	} others[] = { { "KDMV", "vmdk" }, { "vhdxfile", "vhdx" }, { "QED", "qed" }, { "conectix", "vpc" },
		       { "LUKS\xba\xbe", "luks" }, { "# Disk D", "vmdk" } };
	struct qcow2_header h;
	size_t i;
	int r;

	r = read_head(path, &h, sizeof(h), err);
	if (r)
		return r;
	if (be32toh(h.magic) == 0x514649fb) {
		snprintf(format, SOURCE_FORMAT_MAX, "qcow2");
		return check_qcow2(path, &h, err);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (memcmp(&h, others[i].magic, strlen(others[i].magic)))
			continue;
		vmc_fail(err, VMC_EINVAL, "image '%s' looks like format '%s'", path, others[i].name);
		vmc_hint(err, "Name the format (--format raw|qcow2|vmdk|...) if that is what it is");
		return VMC_EINVAL;
	}
	snprintf(format, SOURCE_FORMAT_MAX, "raw");
	return 0;
}

/* QEMU holds OFD locks on bytes 100 to 300 of an image that it has open. */
static bool qemu_has_it(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 200 };

	return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
}

int source_identify(const char *path, char id[SOURCE_ID_MAX], struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st))
		r = vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	else if (qemu_has_it(fd))
		r = vmc_fail(err, VMC_EBUSY, "image '%s' is in use by QEMU", path);
	else
		snprintf(id, SOURCE_ID_MAX, "%llx:%llx:%llu:%lld.%09ld", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	close(fd);
	return r;
}

/* ---- raw --------------------------------------------------------------------------- */

static int open_raw(struct source *s, struct vmc_error *err)
{
	bool block;
	int r;

	r = device_inspect(s->path, &block, &s->size, err);
	if (r)
		return r;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", s->path);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static int read_raw(struct source *s, char *buf, size_t n, uint64_t at, struct vmc_error *err)
{
	while (n) {
		ssize_t got = pread(s->fd, buf, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vmc_fail_errno(err, errno, "cannot read '%s' at %llu", s->path,
					      (unsigned long long)at);
		if (!got)
			return vmc_fail(err, VMC_EIO, "'%s' became shorter while it was read", s->path);
		buf += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

/* ---- by qemu-nbd --------------------------------------------------------------------- */

static int fail_nbd(struct source *s, const char *what, struct vmc_error *err)
{
	const char *why = nbd_get_error();

	vmc_fail(err, VMC_EIO, "cannot %s image '%s' by qemu-nbd: %s", what, s->path,
		 why ? why : _("no reason given"));
	vmc_hint(err, "'qemu-img info %s' and 'qemu-img check %s' may tell more; qemu-utils must be installed",
		 s->path, s->path);
	return VMC_EIO;
}

static int nbd_wait(struct source *s, const char *what, uint64_t until, struct vmc_error *err)
{
	uint64_t now = vmc_now_ms();
	int r;

	if (now >= until)
		return vmc_fail(err, VMC_ETIMEDOUT, "qemu-nbd did not %s image '%s' in %d s", what, s->path,
				NBD_DEADLINE_MS / 1000);
	r = nbd_poll(s->nbd, (int)(until - now));
	return r < 0 ? fail_nbd(s, what, err) : 0;
}

static int nbd_start(struct source *s, const char *format, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + NBD_DEADLINE_MS;
	char fmt[SOURCE_FORMAT_MAX + 16];
	char *argv[] = { "qemu-nbd", "--read-only", fmt, s->path, NULL };
	int r;

	snprintf(fmt, sizeof(fmt), "--format=%s", format);
	if (nbd_aio_connect_systemd_socket_activation(s->nbd, argv) < 0)
		return fail_nbd(s, "open", err);
	while (!nbd_aio_is_ready(s->nbd)) {
		if (nbd_aio_is_dead(s->nbd) || nbd_aio_is_closed(s->nbd))
			return fail_nbd(s, "open", err);
		r = nbd_wait(s, "open", until, err);
		if (r)
			return r;
	}
	return 0;
}

static int open_nbd(struct source *s, const char *format, struct vmc_error *err)
{
	int64_t size;
	int r;

	s->nbd = nbd_create();
	if (!s->nbd)
		return fail_nbd(s, "open", err);
	r = nbd_start(s, format, err);
	if (r)
		return r;
	size = nbd_get_size(s->nbd);
	if (size < 0)
		return fail_nbd(s, "open", err);
	s->size = (uint64_t)size;
	return 0;
}

static int read_nbd(struct source *s, void *buf, size_t n, uint64_t at, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + NBD_DEADLINE_MS;
	int64_t cookie = nbd_aio_pread(s->nbd, buf, n, at, NBD_NULL_COMPLETION, 0);
	int done, r;

	if (cookie < 0)
		return fail_nbd(s, "read", err);
	while (!(done = nbd_aio_command_completed(s->nbd, (uint64_t)cookie))) {
		if (nbd_aio_is_dead(s->nbd) || nbd_aio_is_closed(s->nbd))
			return fail_nbd(s, "read", err);
		r = nbd_wait(s, "read", until, err);
		if (r)
			return r;
	}
	return done < 0 ? fail_nbd(s, "read", err) : 0;
}

/* ---- both ------------------------------------------------------------------------------ */

int source_open(struct source **out, const char *path, const char *format, struct vmc_error *err)
{
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s || !(s->path = strdup(path))) {
		free(s);
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	s->fd = -1;
	r = strcmp(format, "raw") ? open_nbd(s, format, err) : open_raw(s, err);
	if (r)
		source_close(s);
	else
		*out = s;
	return r;
}

uint64_t source_size(const struct source *s)
{
	return s->size;
}

int source_read(struct source *s, void *buf, size_t n, uint64_t at, struct vmc_error *err)
{
	return s->nbd ? read_nbd(s, buf, n, at, err) : read_raw(s, buf, n, at, err);
}

void source_close(struct source *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->nbd)
		nbd_close(s->nbd);	/* ends qemu-nbd too */
	free(s->path);
	free(s);
}
