/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the figures of metrics.h are made from. */
#ifndef VMC_API_METRICS_API_H
#define VMC_API_METRICS_API_H

#include "api.h"

/* A copy of what the last check of providers and keys saw, for a worker; NULL when there was none. Loop thread. */
json_t *health_copy(const struct api *a);

/* In a worker: asks the manager and the module, no server. @health: from health_copy(). *@text is the caller's to free. */
int metrics_collect(struct backend *b, const json_t *health, char **text, struct vmc_error *err);

#endif
