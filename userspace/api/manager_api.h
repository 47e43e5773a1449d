/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Manager */
#ifndef VMC_API_MANAGER_API_H
#define VMC_API_MANAGER_API_H

#include "api.h"

extern const struct interface manager_interface;
/* In a worker: the kernel module, {loaded, ...}. */
json_t *describe_module(struct backend *b);
int manager_api_add(struct api *a, struct vmc_error *err);

#endif
