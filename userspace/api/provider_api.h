/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.vmcrypt1.Provider */
#ifndef VMC_API_PROVIDER_API_H
#define VMC_API_PROVIDER_API_H

#include <jansson.h>

#include "api.h"

extern const struct interface provider_interface;
int provider_api_add(struct api *a, struct vmc_error *err);

/* Refuses arguments with a secret in them: monitors and the bus itself would see it. */
int provider_refuse_secrets(const json_t *o, struct vmc_error *err);

#endif
