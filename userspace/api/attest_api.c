// SPDX-License-Identifier: GPL-2.0-or-later
/* Attestation of this host: how it stands, do it now, and what this host booted. */
#include "attest_api.h"

#include <string.h>

#include "../keys/trusted/host_image.h"
#include "../keys/trusted/trusted.h"

static int answer_status(struct call *c, struct provider *p, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = trusted_status(p, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

int provider_run_attestation(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct provider *p;
	int rc = providers_get(b->ps, c->key, &p, err);

	if (rc)
		return rc;
	rc = answer_status(c, p, err);
	provider_put(p);
	return rc;
}

static int parse_how(const char *s, enum agent_how *how, struct vmc_error *err)
{
	static const char *const names[] = { [AGENT_IF_DUE] = "due", [AGENT_NOW] = "now", [AGENT_ENROL] = "enroll" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(s, names[i]))
			continue;
		*how = (enum agent_how)i;
		return 0;
	}
	vmc_fail(err, VMC_EINVAL, "'%.40s' is no way to attest", s);
	vmc_hint(err, "one of: due, now, enroll");
	return VMC_EINVAL;
}

int provider_run_attest(struct call *c, struct backend *b, struct vmc_error *err)
{
	enum agent_how how;
	struct provider *p;
	int rc = parse_how(c->s[0], &how, err);

	if (!rc)
		rc = providers_get(b->ps, c->key, &p, err);
	if (rc)
		return rc;
	rc = trusted_attest(p, how, err);
	if (!rc)
		rc = answer_status(c, p, err);
	provider_put(p);
	call_poke(c);		/* VMs unlock, or keys go */
	return rc;
}

int host_run_export_image(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *image = NULL;
	int rc = host_image(&b->cfg, b->k ? b->info.module_version : NULL, &image, err);

	return rc ? rc : call_answer_json(c, image, err);
}
