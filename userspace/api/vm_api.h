/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.VM */
#ifndef VMC_API_VM_API_H
#define VMC_API_VM_API_H

#include "api.h"

extern const struct interface vm_interface;
int vm_api_add(struct api *a, struct vmc_error *err);

#endif
