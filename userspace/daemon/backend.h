/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the bus objects act upon: the module's client, the providers and the manager, opened from one configuration. */
#ifndef VMC_DAEMON_BACKEND_H
#define VMC_DAEMON_BACKEND_H

#include "../kernel/client.h"
#include "../keys/persist.h"
#include "../keys/provider.h"
#include "../lib/config.h"
#include "../lib/error.h"
#include "../migrate/migrate.h"
#include "../peer/peer.h"
#include "../vm/manager.h"

struct backend {
	struct vmc_config cfg;
	struct vmk *k;			/* NULL: the module is not loaded, see no_module */
	struct vmc_error no_module;
	struct vmk_info info;		/* zero when k is NULL */
	struct providers *ps;
	struct persist *persist;
	struct vmm *m;
	struct peers *peers;
	struct migrations *migrations;
};

/* Blocks: network no, disk and TPM yes. Without the module it opens all the same. */
struct backend_hooks {
	vmm_event_fn event;
	void *event_data;
	/* migrations_busy() may say otherwise now. From any thread. */
	void (*migration_ended)(void *data);
	void *migration_data;
};
int backend_open(struct backend **b, const struct vmc_config *cfg, const struct backend_hooks *hooks,
		 struct vmc_error *err);
void backend_close(struct backend *b);	/* NULL is fine */

#endif
