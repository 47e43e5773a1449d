/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which start of the host this is. */
#ifndef VMC_VM_BOOT_ID_H
#define VMC_VM_BOOT_ID_H

#include "../lib/error.h"
#include "../lib/util.h"

/* The kernel's own id, another one after each start. */
int boot_id(char id[VMC_UUID_STR], struct vmc_error *err);

#endif
