// SPDX-License-Identifier: GPL-2.0-or-later
/* What somebody else left on a device, by libblkid. */
#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "device.h"

static blkid_probe probe_open(int fd)
{
	blkid_probe p = blkid_new_probe();

	if (!p || blkid_probe_set_device(p, fd, 0, 0)) {
		blkid_free_probe(p);
		return NULL;
	}
	blkid_probe_enable_superblocks(p, 1);
	blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_USAGE |
					  BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(p, 1);
	blkid_probe_set_partitions_flags(p, BLKID_PARTS_MAGIC);
	return p;
}

static const char *value(blkid_probe p, const char *name)
{
	const char *s;

	return blkid_probe_lookup_value(p, name, &s, NULL) ? NULL : s;
}

static void describe(blkid_probe p, char *out, size_t n)
{
	const char *type = value(p, "TYPE"), *label = value(p, "LABEL"), *usage = value(p, "USAGE");
	const char *table = value(p, "PTTYPE");

	if (type && usage && !strcmp(usage, "filesystem"))
		snprintf(out, n, _("a file system %s%s%s"), type, label ? ", " : "", label ? label : "");
	else if (type)
		snprintf(out, n, _("what blkid calls %s"), type);
	else if (table)
		snprintf(out, n, _("a partition table (%s)"), table);
	utf8_one_line(out);	/* a label is whatever somebody wrote to the device */
}

/* O_EXCL on a block device: nobody else has it, a file system for instance. */
static int probe_fd(const char *path, int flags, struct vmc_error *err)
{
	int fd = open(path, flags | O_EXCL | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	vmc_fail_errno(err, errno, "cannot use '%s'", path);
	if (errno == EBUSY)
		vmc_hint(err, "'lsblk %s' tells what it is in use for", path);
	return -1;
}

int device_holds(const char *path, char *out, size_t n, struct vmc_error *err)
{
	int fd = probe_fd(path, O_RDONLY, err), r = 0;
	blkid_probe p;

	out[0] = '\0';
	if (fd < 0)
		return err ? err->code : VMC_EIO;
	p = probe_open(fd);
	if (!p)
		r = vmc_fail(err, VMC_EIO, "libblkid cannot look at '%s'", path);
	else if (!blkid_do_probe(p))
		describe(p, out, n);
	blkid_free_probe(p);
	close(fd);
	return r;
}

int device_wipe_signatures(const char *path, struct vmc_error *err)
{
	int fd = probe_fd(path, O_RDWR, err), r = 0;
	blkid_probe p;

	if (fd < 0)
		return err ? err->code : VMC_EIO;
	p = probe_open(fd);
	while (p && !r && !blkid_do_probe(p))
		if (blkid_do_wipe(p, 0))
			r = vmc_fail_errno(err, errno, "cannot wipe what is on '%s'", path);
	if (!p)
		r = vmc_fail(err, VMC_EIO, "libblkid cannot look at '%s'", path);
	blkid_free_probe(p);
	if (!r)
		r = fs_sync(fd, path, err);
	close(fd);
	return r;
}
