// SPDX-License-Identifier: GPL-2.0-or-later
/* What the figures are made from. */
#include "metrics_api.h"

#include "../lib/version.h"
#include "../vm/datastore.h"
#include "manager_api.h"
#include "metrics.h"

json_t *health_copy(const struct api *a)
{
	return a->health ? json_deep_copy(a->health) : NULL;
}

int metrics_collect(struct backend *b, const json_t *health, char **text, struct vmc_error *err)
{
	json_t *module = describe_module(b), *vms = vmm_list(b->m, err), *alarms = vmm_alarms(b->m, false, err);
	json_t *stores = vmm_datastore_list(b->m, err);
	struct metrics m = {
		.version = VMC_VERSION, .module = module, .vms = vms, .stores = stores, .alarms = alarms, .health = health,
		.health_time = json_integer_value(json_object_get(health, "time")),
		.health_ms = (uint64_t)json_integer_value(json_object_get(health, "ms")),
	};
	int rc = vms && stores && alarms ? metrics_format(&m, text, err) : err->code;

	json_decref(module);
	json_decref(vms);
	json_decref(stores);
	json_decref(alarms);
	return rc;
}
