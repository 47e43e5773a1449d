// SPDX-License-Identifier: GPL-2.0-or-later
#include "mock_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "device.h"
#include "home.h"

struct mock_host *mock;
const char *const mock_providers[MOCK_PROVIDERS] = { "kms", "kms2" };

void mock_attach(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/mock.host", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*mock)))
		abort();
	mock = mmap(NULL, sizeof(*mock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mock == MAP_FAILED)
		abort();
	snprintf(mock->dir, sizeof(mock->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/dm", dir);
	mkdir(path, 0700);
}

void mock_detach(void)
{
	munmap(mock, sizeof(*mock));
	mock = NULL;
}

void mock_reboot(void)
{
	size_t i;

	memset(mock->mounts, 0, sizeof(mock->mounts));
	for (i = 0; i < MOCK_MAPS; i++) {
		mock->maps[i].busy = false;
		if (mock->maps[i].name[0] && dm_crypt_close(mock->maps[i].name, NULL))
			abort();
	}
	mock->n_keks = 0;
	memset(mock->deks, 0, sizeof(mock->deks));
}

void device_of_mapping(const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.4000s/dm/%s", mock->dir, name);
}

/* ---- mounts: a file system is a word at the start of the device ---------------- */

#define FS_WORD "mock-ext4"

int home_make_filesystem(const char *device, struct vmc_error *err)
{
	int fd = open(device, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, FS_WORD, sizeof(FS_WORD), 0);

	if (fd >= 0)
		close(fd);
	if (mock->no_mkfs)
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
