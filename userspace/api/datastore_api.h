/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Datastores, at the root object. */
#ifndef VMC_API_DATASTORE_API_H
#define VMC_API_DATASTORE_API_H

#include "call.h"

extern const struct interface datastore_interface;

int datastore_api_add(struct api *a, struct vmc_error *err);

#endif
