/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mount as a transient systemd unit: made in the host's mount namespace, not in this service's own. */
#ifndef VMC_VM_MOUNT_UNIT_H
#define VMC_VM_MOUNT_UNIT_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/error.h"
#include "mount.h"

bool mount_unit_wanted(void);	/* systemd is what runs this host */
int mount_unit_start(const struct mount_spec *s, struct vmc_error *err);
int mount_unit_stop(const char *where, struct vmc_error *err);
/* systemd.unit(5): "/run/a-b" gives "run-a\x2db.mount". VMC_EINVAL when it does not fit. */
int mount_unit_name(const char *where, char *out, size_t n, struct vmc_error *err);

#endif
