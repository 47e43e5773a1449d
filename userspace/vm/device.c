// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"

#define HEAD (1024 * 1024)

int device_inspect(const char *path, bool *block, uint64_t *size, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st)) {
		r = vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	} else if (S_ISBLK(st.st_mode)) {
		*block = true;
		if (ioctl(fd, BLKGETSIZE64, size))
			r = vmc_fail_errno(err, errno, "cannot learn the size of '%s'", path);
	} else if (S_ISREG(st.st_mode)) {
		*block = false;
		*size = (uint64_t)st.st_size;
	} else {
		r = vmc_fail(err, VMC_EINVAL, "'%s' is neither a file nor a block device", path);
	}
	close(fd);
	return r;
}

static int pread_all(int fd, void *buf, size_t n, off_t at)
{
	char *p = buf;

	while (n) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? errno : ENODATA;
		p += got;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static bool all_zero(const unsigned char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

int device_must_be_empty(const char *path, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *buf = malloc(HEAD);
	int e, r = 0;

	if (fd < 0 || !buf) {
		r = vmc_fail_errno(err, buf ? errno : ENOMEM, "cannot read '%s'", path);
		goto out;
	}
	e = pread_all(fd, buf, HEAD, 0);
	if (e) {
		r = vmc_fail_errno(err, e, "cannot read the first MiB of '%s'", path);
	} else if (!all_zero(buf, HEAD)) {
		r = vmc_fail(err, VMC_EEXIST, "block device '%s' is not empty", path);
		vmc_hint(err, "If nothing on it is needed any more: blkdiscard -z %s, or "
			 "dd if=/dev/zero of=%s bs=1M count=1", path, path);
	}
out:
	if (fd >= 0)
		close(fd);
	free(buf);
	return r;
}

int device_wipe_header(const char *path, struct vmc_error *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char *zeros = calloc(1, HEAD);
	int r = 0;

	if (fd < 0 || !zeros)
		r = vmc_fail_errno(err, zeros ? errno : ENOMEM, "cannot write '%s'", path);
	else if (pwrite(fd, zeros, HEAD, 0) != HEAD)
		r = vmc_fail_errno(err, errno, "cannot wipe the header of '%s'", path);
	else
		r = fs_sync(fd, path, err);
	if (fd >= 0)
		close(fd);
	free(zeros);
	return r;
}

static int sync_folder(const char *path, struct vmc_error *err)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, r;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", path);
	slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open folder '%s'", dir);
	r = fs_sync(fd, dir, err);
	close(fd);
	return r;
}

int device_make_file(const char *path, uint64_t size, bool reserve, struct vmc_error *err)
{
	int fd, e, r = 0;

	if (size > INT64_MAX)
		return vmc_fail(err, VMC_EINVAL, "'%s' would be too large", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot make '%s'", path);
	fs_crashpoint("volume file: made");
	e = ftruncate(fd, (off_t)size) ? errno : 0;
	if (!e && reserve)
		e = posix_fallocate(fd, 0, (off_t)size);
	if (e)
		r = vmc_fail_errno(err, e, "cannot give '%s' its size of %llu bytes", path,
				   (unsigned long long)size);
	if (!r)
		r = fs_sync(fd, path, err);
	close(fd);
	if (!r)
		r = sync_folder(path, err);
	if (r)
		fs_unlink(path, NULL);
	return r;
}
