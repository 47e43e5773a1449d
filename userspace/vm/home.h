/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in a home volume: an ext4 with nvram/, tpm/ (swtpm state) and save/,
 * mounted nosuid, nodev, noexec at RUNTIME_DIR/home/UUID while its VM is on.
 */
#ifndef VMC_VM_HOME_H
#define VMC_VM_HOME_H

#include <stdbool.h>

#include "../lib/error.h"

int home_make_filesystem(const char *device, struct vmc_error *err);
/*
 * Makes the mount point and the folders inside. Where systemd runs it does the
 * mount, so that it is seen outside this service's own mount namespace. There
 * already: fine.
 */
int home_mount(const char *device, const char *where, struct vmc_error *err);
/* VMC_EBUSY when somebody (swtpm?) still uses it. Not mounted: fine. */
int home_unmount(const char *where, struct vmc_error *err);
bool home_is_mounted(const char *where);

#endif
