// SPDX-License-Identifier: GPL-2.0-or-later
#include "store_fs.h"

#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "mount.h"

#define MKFS_DEADLINE_MS	(600 * 1000)
#define WHAT			N_("a datastore")

static const char *const kinds[] = { "ext4", "xfs" };

int store_fs_check(const char *fs, struct vmc_error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(fs, kinds[i]))
			return 0;
	vmc_fail(err, VMC_EINVAL, "a datastore cannot have a file system '%s'", fs);
	vmc_hint(err, "ext4 or xfs");
	return VMC_EINVAL;
}

int store_fs_make(const char *device, const char *fs, struct vmc_error *err)
{
	const char *const ext4[] = { "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", device, NULL };
	const char *const xfs[] = { "mkfs.xfs", "-q", "-f", "-K", device, NULL };
	bool is_xfs = !strcmp(fs, "xfs");
	int r = child_do(is_xfs ? xfs : ext4, MKFS_DEADLINE_MS, err);

	if (r && is_xfs)
		vmc_hint(err, "mkfs.xfs is in the package xfsprogs, and wants 300 MiB at least");
	return r;
}

int store_fs_probe(const char *device, char *fs, size_t n, struct vmc_error *err)
{
	blkid_probe p = blkid_new_probe_from_filename(device);
	const char *type = NULL;
	int r = 0;

	if (!p)
		return vmc_fail_errno(err, errno, "cannot look at '%s'", device);
	blkid_probe_enable_superblocks(p, 1);
	blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE);
	if (blkid_do_safeprobe(p) || blkid_probe_lookup_value(p, "TYPE", &type, NULL) ||
	    store_fs_check(type, NULL))
		r = vmc_fail(err, VMC_ENOTSUP, "there is no file system of a datastore on '%s', but %s", device,
			     type ? type : _("nothing that is known"));
	else
		snprintf(fs, n, "%s", type);
	blkid_free_probe(p);
	return r;
}

bool store_is_mounted(const char *device, const char *where)
{
	struct stat d, w;

	return mount_is(where) && !stat(device, &d) && !stat(where, &w) && d.st_rdev == w.st_dev;
}

/* Whatever the umask: who may not look into it, the file system itself says. */
static int make_point(const char *where, struct vmc_error *err)
{
	bool made = !mkdir(where, 0755);
	int fd = -1, r = 0;

	if (made || errno == EEXIST)	/* no link, which could lead to what is not to be changed, nor mounted over */
		fd = open(where, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (made && fchmod(fd, 0755)))
		r = vmc_fail_errno(err, errno, "cannot make the mount point '%s'", where);
	if (fd >= 0)
		close(fd);
	return r;
}

int store_mount(const struct store_mount *s, struct vmc_error *err)
{
	struct mount_spec spec = {
		.device = s->device, .where = s->where, .link = s->link, .fs = s->fs,
		.flags = MS_NODEV | MS_NOSUID, .what = WHAT,
	};
	int r;

	if (store_is_mounted(s->device, s->where))
		return 0;
	if (mount_is(s->where)) {
		vmc_fail(err, VMC_EBUSY, "something else is mounted at '%s'", s->where);
		vmc_hint(err, "'findmnt %s' tells what it is", s->where);
		return VMC_EBUSY;
	}
	r = make_point(s->where, err);
	return r ? r : mount_start(&spec, err);
}

int store_unmount(const char *where, struct vmc_error *err)
{
	return mount_stop(where, WHAT, err);
}
