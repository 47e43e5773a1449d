/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of the host as figures, in the text format 0.0.4 of Prometheus. A pure function. */
#ifndef VMC_API_METRICS_H
#define VMC_API_METRICS_H

#include <jansson.h>
#include <stdint.h>

#include "../lib/error.h"

/* What is not known is NULL; then the figures from it are left out, or say so. */
struct metrics {
	const char *version;
	const json_t *module;		/* as Describe has it */
	const json_t *vms;		/* vmm_list() */
	const json_t *stores;		/* vmm_datastore_list() */
	const json_t *alarms;		/* vmm_alarms(), those that are raised */
	const json_t *health;		/* the last vmm_health() */
	int64_t health_time;		/* when that was; 0 never */
	uint64_t health_ms;		/* and how long it took */
};

/* *@text is the caller's to free. */
int metrics_format(const struct metrics *m, char **text, struct vmc_error *err);

#endif
