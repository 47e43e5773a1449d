// SPDX-License-Identifier: GPL-2.0-or-later
/* Mounts of home volumes: a file system is a word at the start of the device. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "home.h"
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
