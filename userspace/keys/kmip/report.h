/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What "provider test" tells: each server asked afresh, all at the same time. */
#ifndef VMC_KMIP_REPORT_H
#define VMC_KMIP_REPORT_H

#include <jansson.h>

#include "pool.h"

/* The report of provider_ops.test; fails only for want of memory. */
int kmip_report(struct pool *p, unsigned int warn_days, json_t **report, struct vmc_error *err);

#endif
