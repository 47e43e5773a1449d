// SPDX-License-Identifier: GPL-2.0-or-later
/* What the bus objects act upon, opened from one configuration. */
#include "backend.h"

#include <stdlib.h>

#include "../keys/trusted/agent.h"
#include "../lib/i18n.h"
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

static int open_migrations(struct backend *b, const struct backend_hooks *hooks, struct vmc_error *err)
{
	const struct migrations_setup s = {
		.cfg = &b->cfg, .peers = b->peers, .m = b->m, .k = b->k, .no_module = &b->no_module,
		.ended = hooks->migration_ended, .data = hooks->migration_data,
	};

	return migrations_open(&b->migrations, &s, err);
}

/* An alarm while the seal of the stored keys is broken. */
static void on_persist_fault(const struct vmc_error *e, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct backend *b = data;
	struct vmm_alarm a = {
		.type = VMM_ALARM_PERSISTENCE, .severity = VMM_WARNING, .entity_kind = "host", .entity_id = "host",
		.text = N_("The keys that this host keeps do not open; it fetches them from their providers"),
		.remedy = N_("'vmcrypt host persistence status' tells what is wrong and what to do"),
		.reason = e ? e->text : NULL,
	};
	int rc;

	rc = e ? vmm_alarm_raise(b->m, &a, &err) : vmm_alarm_clear(b->m, a.type, a.entity_kind, a.entity_id, &err);
	if (rc)
		log_warn("the alarm about key persistence cannot be changed: %s", err.text);
}

/* Of this host, by the authority of a trusted provider. */
static void on_attested(const char *provider, const char *what, const struct vmc_error *why, const char *correlation,
			void *data)
{
	struct backend *b = data;

	vmm_attested(b->m, &(struct vmm_attestation){ provider, what, why, correlation });
}

int backend_open(struct backend **ret, const struct vmc_config *cfg, const struct backend_hooks *hooks,
		 struct vmc_error *err)
{
	struct backend *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the manager of VMs");
	b->cfg = *cfg;
	open_module(b);
	rc = providers_open(&b->ps, &b->cfg, err);
	if (!rc)
		rc = persist_open(&b->persist, &b->cfg, b->ps, err);
	if (!rc) {	/* before anything asks a provider */
		persist_restore(b->persist, b->k);
		rc = vmm_open(&b->m, &b->cfg, b->k, b->ps, hooks->event, hooks->event_data, err);
	}
	if (!rc)
		rc = peers_open(&b->peers, &b->cfg, err);
	if (!rc)
		rc = open_migrations(b, hooks, err);
	if (rc) {
		backend_close(b);
		return rc;
	}
	agent_set_hook(&(struct agent_hook){ on_attested, b });
	persist_set_hooks(b->persist, &(struct persist_hooks){ on_persist_fault, b });
	*ret = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	agent_set_hook(NULL);
	migrations_close(b->migrations);
	peers_close(b->peers);
	if (b->persist && b->m)
		persist_set_hooks(b->persist, NULL);
	if (b->m)
		vmm_close(b->m);
	persist_close(b->persist);
	if (b->ps)
		providers_close(b->ps);
	if (b->k)
		vmk_close(b->k);
	free(b);
}
