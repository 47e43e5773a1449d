/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Disk: properties only; what is done to a disk is a method of its VM. */
#ifndef VMC_API_DISK_API_H
#define VMC_API_DISK_API_H

#include "api.h"

int disk_api_add(struct api *a, struct vmc_error *err);

#endif
