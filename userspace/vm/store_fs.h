/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file system of a datastore: made, known again, mounted nosuid and nodev, unmounted. */
#ifndef VMC_VM_STORE_FS_H
#define VMC_VM_STORE_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/error.h"

#define STORE_FS_DEFAULT "ext4"

/* Of a kind that can be made here: "ext4" or "xfs". VMC_EINVAL. */
int store_fs_check(const char *fs, struct vmc_error *err);
int store_fs_make(const char *device, const char *fs, struct vmc_error *err);
/* Which one is on the device: one of those above, or VMC_ENOTSUP. */
int store_fs_probe(const char *device, char *fs, size_t n, struct vmc_error *err);

struct store_mount {
	const char *device, *where, *fs;
	const char *link;		/* as in mount.h */
};
/* Makes the mount point when missing (its folder is there). Mounted there already: fine; something else: VMC_EBUSY. */
int store_mount(const struct store_mount *s, struct vmc_error *err);
/* VMC_EBUSY when somebody uses it. Not mounted: fine. */
int store_unmount(const char *where, struct vmc_error *err);
/* @device, and nothing else, is mounted at @where. */
bool store_is_mounted(const char *device, const char *where);

#endif
