/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The base image of this host: what its firmware measured, for the administrator of a Trust Authority to import. */
#ifndef VMC_TRUSTED_HOST_IMAGE_H
#define VMC_TRUSTED_HOST_IMAGE_H

#include <jansson.h>

#include "../../lib/config.h"
#include "../../lib/error.h"

/* As trust/evidence/image.h has it; "quick_boot" true: it is of the last full boot, the kernel that runs came by kexec. */
int host_image(const struct vmc_config *cfg, const char *module, json_t **image, struct vmc_error *err);

#endif
