// SPDX-License-Identifier: GPL-2.0-or-later
/* Mounts of home volumes: a file system is a word at the start of the device. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "home.h"
#include "store_fs.h"
#include "mock_host.h"

#define FS_WORD "mock-ext4"

int home_make_filesystem(const char *device, struct vmc_error *err)
{
	int fd = open(device, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, FS_WORD, sizeof(FS_WORD), 0);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (fd >= 0)
		close(fd);
	if (size < 65536)
		return vmc_fail(err, VMC_EIO, "mkfs.ext4 failed (status 1)");
	return n == sizeof(FS_WORD) ? 0 : vmc_fail(err, VMC_EIO, "cannot write '%s'", device);
}

static char *mount_slot(const char *where)
{
	size_t i;

	for (i = 0; i < MOCK_MOUNTS; i++)
		if (!strcmp(mock->mounts[i], where))
			return mock->mounts[i];
	return NULL;
}

bool home_is_mounted(const char *where)
{
	return mount_slot(where) != NULL;
}

int home_mount(const char *device, const char *where, struct vmc_error *err)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	char word[sizeof(FS_WORD)] = "";
	ssize_t n = fd < 0 ? -1 : pread(fd, word, sizeof(word), 0);

	if (fd >= 0)
		close(fd);
	if (n != sizeof(word) || memcmp(word, FS_WORD, sizeof(word)))
		return vmc_fail(err, VMC_EIO, "cannot mount '%s': no file system", device);
	if (!home_is_mounted(where))
		snprintf(mount_slot(""), PATH_MAX, "%s", where);
	return 0;
}

int home_unmount(const char *where, struct vmc_error *err)
{
	char *slot = mount_slot(where);

	(void)err;
	if (slot)
		slot[0] = '\0';
	return 0;
}

/* ---- file systems of datastores: the same, at other places ------------------ */

int store_fs_check(const char *fs, struct vmc_error *err)
{
	return strcmp(fs, "ext4") ? vmc_fail(err, VMC_EINVAL, "no file system '%s'", fs) : 0;
}

int store_fs_make(const char *device, const char *fs, struct vmc_error *err)
{
	(void)fs;
	return home_make_filesystem(device, err);
}

int store_fs_probe(const char *device, char *fs, size_t n, struct vmc_error *err)
{
	(void)device, (void)err;
	snprintf(fs, n, "ext4");
	return 0;
}

/* What is below is there while it is mounted, and only then. */
static void hidden(const char *where, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s.unmounted", where);
}

int store_mount(const struct store_mount *s, struct vmc_error *err)
{
	char away[PATH_MAX];
	int r = home_mount(s->device, s->where, err);

	hidden(s->where, away);
	if (!r && rename(away, s->where) && mkdir(s->where, 0755) && errno != EEXIST)
		r = vmc_fail_errno(err, errno, "cannot make '%s'", s->where);
	return r;
}

int store_unmount(const char *where, struct vmc_error *err)
{
	char away[PATH_MAX];

	hidden(where, away);
	rename(where, away);
	return home_unmount(where, err);
}

bool store_is_mounted(const char *device, const char *where)
{
	(void)device;
	return home_is_mounted(where);
}
