// SPDX-License-Identifier: GPL-2.0-or-later
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "command.h"
#include "mount_unit.h"

#define MKFS_DEADLINE_MS	(120 * 1000)

int home_make_filesystem(const char *device, struct vmc_error *err)
{
	const char *const argv[] = {
		"mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-L", "vmcrypt-home",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", device, NULL,
	};

	return command_run(argv, MKFS_DEADLINE_MS, err);
}

bool home_is_mounted(const char *where)
{
	struct statx stx;

	return !statx(AT_FDCWD, where, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0, &stx) &&
	       (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* systemd mounts in the host's namespace; what it mounts must come through to this one. */
static int must_be_visible(const char *where, struct vmc_error *err)
{
	if (home_is_mounted(where))
		return 0;
	mount_unit_stop(where, NULL);
	vmc_fail(err, VMC_EINTERNAL, "the home volume was mounted at '%s', but vmcryptd's mount namespace does "
		 "not get to see it", where);
	vmc_hint(err, "Mounts of the host must propagate: 'mount --make-rshared /', then 'systemctl restart vmcryptd'");
	return VMC_EINTERNAL;
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
	int r;

	if (home_is_mounted(where))
		return 0;
	r = make_way(where, err);
	if (r)
		return r;
	fs_crashpoint("home: before mount");
	if (mount_unit_wanted())
		r = mount_unit_start(device, where, err);
	else if (mount(device, where, "ext4", MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL))
		r = vmc_fail_errno(err, errno, "cannot mount '%s' at '%s'", device, where);
	fs_crashpoint("home: mounted");
	if (!r)
		r = must_be_visible(where, err);
	if (r)
		return r;
	r = make_folders(where, err);
	if (r)
		home_unmount(where, NULL);
	return r;
}

static int unmount(const char *where, struct vmc_error *err)
{
	if (!umount2(where, UMOUNT_NOFOLLOW))
		return 0;
	vmc_fail_errno(err, errno, "cannot unmount the home volume at '%s'", where);
	if (errno != EBUSY)
		return err ? err->code : VMC_EIO;
	vmc_hint(err, "End what still uses it ('fuser -vm %s' tells), swtpm for instance", where);
	return VMC_EBUSY;
}

int home_unmount(const char *where, struct vmc_error *err)
{
	int r = 0;

	if (home_is_mounted(where)) {
		fs_crashpoint("home: before unmount");
		r = mount_unit_wanted() ? mount_unit_stop(where, err) : unmount(where, err);
		fs_crashpoint("home: unmounted");
	}
	if (!r)
		rmdir(where);
	return r;
}
