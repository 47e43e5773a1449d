/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Host: how this host keeps keys over reboots. */
#ifndef VMC_API_HOST_API_H
#define VMC_API_HOST_API_H

#include "api.h"

extern const struct interface host_interface;
int host_api_add(struct api *a, struct vmc_error *err);

#endif
