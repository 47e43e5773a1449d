// SPDX-License-Identifier: GPL-2.0-or-later
#include "home.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "mount.h"

#define MKFS_DEADLINE_MS	(120 * 1000)
#define WHAT			N_("the home volume")

int home_make_filesystem(const char *device, struct vmc_error *err)
{
	const char *const argv[] = {
		"mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-L", "vmcrypt-home",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", device, NULL,
	};

	return child_do(argv, MKFS_DEADLINE_MS, err);
}

bool home_is_mounted(const char *where)
{
	return mount_is(where);
}

static int make_folders(const char *where, struct vmc_error *err)
{
	static const char *const names[] = { "nvram", "tpm", "save" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", where, names[i]);
		if (mkdir(path, 0700) && errno != EEXIST)
			return vmc_fail_errno(err, errno, "cannot make folder '%s'", path);
	}
	return 0;
}

/* The mount point. Whatever the umask, a QEMU of another user passes through to what is its own. */
static int make_way(const char *where, struct vmc_error *err)
{
	char parent[PATH_MAX];
	int r = fs_mkdirs(where, 0711, err);

	if (r)
		return r;
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(where, '/') - where), where);
	if (chmod(parent, 0711) || chmod(where, 0711))
		return vmc_fail_errno(err, errno, "cannot make folder '%s'", where);
	return 0;
}

int home_mount(const char *device, const char *where, struct vmc_error *err)
{
	char link[PATH_MAX];
	struct mount_spec s = {
		.device = device, .where = where, .link = link, .fs = "ext4",
		.flags = MS_NODEV | MS_NOSUID | MS_NOEXEC, .what = WHAT,
	};
	int r;

	if (home_is_mounted(where))
		return 0;
	if (snprintf(link, sizeof(link), "%s.dev", where) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%s' is too long", where);
	r = make_way(where, err);
	if (!r)
		r = mount_start(&s, err);
	if (r)
		return r;
	r = make_folders(where, err);
	if (r)
		home_unmount(where, NULL);
	return r;
}

int home_unmount(const char *where, struct vmc_error *err)
{
	int r = mount_stop(where, WHAT, err);

	if (!r)
		rmdir(where);
	return r;
}
