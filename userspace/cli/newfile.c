// SPDX-License-Identifier: GPL-2.0-or-later
#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make(const char *path, int how, mode_t mode, int *fd, struct vmc_error *err)
{
	*fd = open(path, how | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	return *fd >= 0 ? 0 : vmc_fail_errno(err, errno, "cannot make '%s'", path);
}

static int sync_folder(const char *path, struct vmc_error *err)
{
	char copy[PATH_MAX];
	int r = 0, fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		r = vmc_fail_errno(err, errno, "cannot sync the folder of '%s'", path);
	if (fd >= 0)
		close(fd);
	return r;
}

/* The folder is synced too: what is backed up counts as backed up from here on. */
int newfile_backup(const char *path, int *fd, struct vmc_error *err)
{
	int r = make(path, O_RDWR, 0600, fd, err);

	if (r) {
		if (r == VMC_EEXIST)
			vmc_hint(err, "a backup is never overwritten; give the name of a new file");
		return r;
	}
	r = sync_folder(path, err);
	if (r) {
		close(*fd);
		unlink(path);
	}
	return r;
}

int newfile_write(const char *path, const char *text, struct vmc_error *err)
{
	size_t n = strlen(text), at = 0;
	ssize_t w;
	int fd, r = make(path, O_WRONLY, 0644, &fd, err);

	if (r) {
		if (r == VMC_EEXIST)
			vmc_hint(err, "give the name of a new file");
		return r;
	}
	for (; !r && at < n; at += (size_t)w) {
		w = write(fd, text + at, n - at);
		if (w < 0)
			r = vmc_fail_errno(err, errno, "cannot write '%s'", path);
	}
	if (!r && fsync(fd))
		r = vmc_fail_errno(err, errno, "cannot write '%s'", path);
	close(fd);
	if (!r)
		r = sync_folder(path, err);
	if (r)
		unlink(path);
	return r;
}
