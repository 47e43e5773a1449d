// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of the attestation of this host: an event, an alarm while it fails, and keys whose leases follow it. */
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "vm_priv.h"

static json_t *details_of(const struct vmm_attestation *at)
{
	return json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "provider", at->provider, "outcome", at->outcome,
			 "reason", at->why ? at->why->text : NULL, "hint", at->why ? at->why->hint : NULL,
			 "correlation", at->correlation && *at->correlation ? at->correlation : NULL);
}

static void set_alarm(struct vmm *m, const struct vmm_attestation *at)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmm_alarm a = {
		.type = VMM_ALARM_ATTESTATION, .severity = VMM_CRITICAL, .entity_kind = "provider",
		.entity_id = at->provider, .cause = VM_CAUSE_ATTESTATION_FAILED,
		.text = N_("Trusted Host attestation failed. VMs that run go on; those under the trusted key provider cannot be powered on or created."),
		.remedy = N_("'vmcrypt trust host status {provider}' says what differs; import what this host boots at the authority ('vmcrypt trust host-image export' here), or boot what it trusts; then 'vmcrypt trust host attest {provider}'"),
		.reason = at->why ? at->why->text : NULL,
	};
	int rc;

	rc = !strcmp(at->outcome, "failed") ? vmm_alarm_raise(m, &a, &err) :
	     vmm_alarm_clear(m, a.type, a.entity_kind, a.entity_id, &err);
	if (rc)
		log_warn("the alarm about the attestation of this host cannot be changed: %s", err.text);
}

void vmm_attested(struct vmm *m, const struct vmm_attestation *at)
{
	if (!strcmp(at->outcome, "passed"))
		vmm_emit(m, VMM_EV_ATTESTATION, VMC_MSG_ATTESTATION_PASSED, NULL, details_of(at),
			 "Trusted Host attestation passed.");
	else if (!strcmp(at->outcome, "failed"))
		vmm_emit(m, VMM_EV_ATTESTATION, VMC_MSG_ATTESTATION_FAILED, NULL, details_of(at),
			 "Trusted Host attestation failed.");
	else
		vmm_emit(m, VMM_EV_ATTESTATION, VMC_MSG_ATTESTATION_UNSET, NULL, details_of(at),
			 "Trusted Host attestation status unset.");
	set_alarm(m, at);
}

static void renew(struct vmm *m, const char *name)
{
	struct provider *p;
	size_t n;

	if (providers_get(m->ps, name, &p, NULL))
		return;
	n = cache_renew(m->k, p);
	provider_put(p);
	if (n)
		log_debug("provider %s: the leases of %zu keys were renewed", name, n);
}

void vm_follow_attestation(struct vmm *m, const json_t *health)
{
	const char *name = json_string_value(json_object_get(health, "name"));
	const json_t *at = json_object_get(health, "attestation");
	const char *state = json_string_value(json_object_get(at, "state"));
	size_t n;

	if (!m->k || !name || !state)
		return;
	if (!strcmp(state, "failed")) {
		n = cache_drop(m->k, name);
		if (n)
			log_warn("provider %s does not trust this host any more: %zu of its keys were taken out of the kernel",
				 name, n);
	} else if (!strcmp(state, "attested") && json_integer_value(json_object_get(at, "lease"))) {
		renew(m, name);
	}
}
