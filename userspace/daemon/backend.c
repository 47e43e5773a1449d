// SPDX-License-Identifier: GPL-2.0-or-later
/* What the bus objects act upon, opened from one configuration. */
#include "backend.h"

#include <stdlib.h>

#include "../lib/log.h"

/* No module is no failure: providers and the inventory are there without it. */
static void open_module(struct backend *b)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (vmk_open(&b->k, &b->no_module)) {
		b->k = NULL;
		return;
	}
	if (!vmk_info(b->k, &b->info, &b->no_module)) {
		if (vmk_events_open(b->k, &err))
			log_warn("no word from the kernel module about keys that go away: %s",
				 err.text);
		return;
	}
	vmk_close(b->k);
	b->k = NULL;
}

int backend_open(struct backend **ret, const struct vmc_config *cfg,
		 vmm_event_fn fn, void *data, struct vmc_error *err)
{
	struct backend *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the manager of VMs");
	b->cfg = *cfg;
	open_module(b);
	rc = providers_open(&b->ps, &b->cfg, err);
	if (!rc)
		rc = vmm_open(&b->m, &b->cfg, b->k, b->ps, fn, data, err);
	if (rc) {
		backend_close(b);
		return rc;
	}
	*ret = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	if (b->m)
		vmm_close(b->m);
	if (b->ps)
		providers_close(b->ps);
	if (b->k)
		vmk_close(b->k);
	free(b);
}
