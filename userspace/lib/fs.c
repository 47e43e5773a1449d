// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that are whole or not there: atomic replace, bounded reads. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util.h"

#define TEMP_SUFFIX	".vmctmp"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* All of it or up to @max + 1 bytes; the number read, or -1 and errno. */
static ssize_t read_all(int fd, char *buf, size_t max)
{
	size_t got = 0;

	while (got <= max) {
		ssize_t n = read(fd, buf + got, max + 1 - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int fs_read(const char *path, size_t max, char **data, size_t *len,
	    struct vmc_error *err)
{
	int fd VMC_CLEANUP(close_fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	char *buf;
	int rc;

	if (fd < 0 || fstat(fd, &st))
		return vmc_fail_errno(err, errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return vmc_fail(err, VMC_EINVAL, "cannot read '%s': not a regular file", path);
	if (max > SSIZE_MAX - 2)
		return vmc_fail(err, VMC_EINTERNAL, "'%s': no bound was given", path);
	buf = malloc(max + 2);
	if (!buf)
		return vmc_fail(err, VMC_ENOMEM, "no memory to read '%s'", path);
	n = read_all(fd, buf, max);
	if (n < 0) {
		rc = vmc_fail_errno(err, errno, "cannot read '%s'", path);
		free(buf);
		return rc;
	}
	if ((size_t)n > max) {
		free(buf);
		return vmc_fail(err, VMC_EINVAL, "'%s' is longer than %zu bytes, the most that is accepted",
				path, max);
	}
	buf[n] = '\0';
	*data = buf;
	if (len)
		*len = (size_t)n;
	return 0;
}

int fs_sync(int fd, const char *path, struct vmc_error *err)
{
	fs_crashpoint(path);
	if (fsync(fd))
		return vmc_fail_errno(err, errno, "cannot write '%s' to the disk", path);
	return 0;
}

/* The folder of @path, into @dir of PATH_MAX bytes. */
static int parent_of(const char *path, char *dir, struct vmc_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (strlen(path) >= PATH_MAX - NAME_MAX || !*path)
		return vmc_fail(err, VMC_EINVAL, "'%.100s' is no usable path", path);
	snprintf(dir, PATH_MAX, "%.*s", slash ? (int)(n ? n : 1) : 1, slash ? path : ".");
	return 0;
}

static int sync_dir(const char *dir, struct vmc_error *err)
{
	int fd VMC_CLEANUP(close_fd) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open folder '%s'", dir);
	return fs_sync(fd, dir, err);
}

static int sync_parent(const char *path, struct vmc_error *err)
{
	char dir[PATH_MAX];
	int rc = parent_of(path, dir, err);

	return rc ? rc : sync_dir(dir, err);
}

static int write_all(int fd, const char *path, const char *data, size_t len,
		     struct vmc_error *err)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vmc_fail_errno(err, errno, "cannot write '%s'", path);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fill_temp(int fd, const char *temp, const void *data, size_t len,
		     mode_t mode, struct vmc_error *err)
{
	int rc = write_all(fd, temp, data, len, err);

	if (rc)
		return rc;
	if (fchmod(fd, mode))
		return vmc_fail_errno(err, errno, "cannot set the mode of '%s'", temp);
	return fs_sync(fd, temp, err);
}

/* DIR/.NAME.XXXXXX.vmctmp */
static int open_temp(const char *path, char *temp, struct vmc_error *err)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int rc, fd;

	rc = parent_of(path, dir, err);
	if (rc)
		return rc;
	if (snprintf(temp, PATH_MAX, "%s/.%.200s.XXXXXX" TEMP_SUFFIX, dir,
		     slash ? slash + 1 : path) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of '%.100s' is too long", path);
	fd = mkostemps(temp, strlen(TEMP_SUFFIX), O_CLOEXEC);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot make a file beside '%s'", path);
	return fd;
}

int fs_replace(const char *path, const void *data, size_t len, mode_t mode,
	       struct vmc_error *err)
{
	char temp[PATH_MAX];
	int fd, rc;

	fd = open_temp(path, temp, err);
	if (fd < 0)
		return fd;
	rc = fill_temp(fd, temp, data, len, mode, err);
	close(fd);
	if (!rc)
		rc = fs_rename(temp, path, err);
	if (rc)
		unlink(temp);
	return rc;
}

int fs_remove_temps(const char *dir, struct vmc_error *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int removed = 0;

	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return vmc_fail_errno(err, errno, "cannot list folder '%s'", dir);
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (e->d_name[0] != '.' || n < strlen(TEMP_SUFFIX) ||
		    strcmp(e->d_name + n - strlen(TEMP_SUFFIX), TEMP_SUFFIX))
			continue;
		if (!unlinkat(dirfd(d), e->d_name, 0))
			removed++;
	}
	closedir(d);
	return removed ? sync_dir(dir, err) : 0;
}

/* 1 when made, 0 when there, or an error. */
static int make_dir(const char *path, mode_t mode, struct vmc_error *err)
{
	struct stat st;

	if (!mkdir(path, mode)) {
		if (chmod(path, mode))	/* whatever the umask */
			return vmc_fail_errno(err, errno, "cannot set the mode of folder '%s'", path);
		return 1;
	}
	if (errno != EEXIST)
		return vmc_fail_errno(err, errno, "cannot make folder '%s'", path);
	if (stat(path, &st))
		return vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return vmc_fail(err, VMC_EEXIST, "'%s' is there and is no folder", path);
	return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct vmc_error *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part))
		return vmc_fail(err, VMC_EINVAL, "'%.100s' is no usable path", path);
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		int rc;

		if ((path[i] != '/' && path[i]) || path[i - 1] == '/')
			continue;
		part[i] = '\0';
		rc = make_dir(part, mode, err);
		if (rc > 0)
			rc = sync_parent(part, err);
		if (rc)
			return rc;
		part[i] = path[i];
	}
	return 0;
}

int fs_unlink(const char *path, struct vmc_error *err)
{
	fs_crashpoint(path);
	if (!unlink(path))
		return sync_parent(path, err);
	if (errno == ENOENT)
		return 0;
	return vmc_fail_errno(err, errno, "cannot remove '%s'", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	fs_crashpoint(path);
	return remove(path) && errno != ENOENT ? -1 : 0;
}

int fs_remove_tree(const char *path, struct vmc_error *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) && errno != ENOENT)
		return vmc_fail_errno(err, errno, "cannot remove '%s'", path);
	return sync_parent(path, err);
}

int fs_rename(const char *from, const char *to, struct vmc_error *err)
{
	char a[PATH_MAX], b[PATH_MAX];
	int rc;

	rc = parent_of(from, a, err);
	if (!rc)
		rc = parent_of(to, b, err);
	if (rc)
		return rc;
	fs_crashpoint(to);
	if (rename(from, to))
		return vmc_fail_errno(err, errno, "cannot rename '%s' to '%s'", from, to);
	rc = sync_dir(b, err);
	if (!rc && strcmp(a, b))
		rc = sync_dir(a, err);
	return rc;
}

bool fs_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return n && !strncmp(path, dir, n) && path[n] == '/';
}

int fs_free_bytes(const char *path, uint64_t *bytes, struct vmc_error *err)
{
	struct statvfs st;

	if (statvfs(path, &st))
		return vmc_fail_errno(err, errno, "cannot tell the free space at '%s'", path);
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
