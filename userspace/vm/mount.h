/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts of what is on our mappings. Where systemd runs it does the mount, so
 * that it is seen outside this service's own mount namespace.
 */
#ifndef VMC_VM_MOUNT_H
#define VMC_VM_MOUNT_H

#include <stdbool.h>

#include "../lib/error.h"

struct mount_spec {
	const char *device, *where;
	const char *link;		/* a place for a link to the device, not below /dev; its folder is there */
	const char *fs;
	unsigned long flags;		/* MS_NODEV | MS_NOSUID, perhaps MS_NOEXEC */
	const char *what;		/* for the unit, and for errors: "the home volume" */
};

/* The mount point is there. Mounted already: fine. */
int mount_start(const struct mount_spec *s, struct vmc_error *err);
/* VMC_EBUSY when somebody still uses it. Not mounted: fine. */
int mount_stop(const char *where, const char *what, struct vmc_error *err);
/* Is anything mounted there? */
bool mount_is(const char *where);

#endif
