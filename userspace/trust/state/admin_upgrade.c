// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * May this be upgraded now? First the authorities, gradually, one by one, then the
 * trusted hosts, each kind of them after its new base image was imported.
 */
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "../../lib/version.h"
#include "admin_priv.h"
#include "tstate.h"

struct check {
	struct trust_call *c;
	json_t *state, *base, *order, *refusals, *warnings;
	const char *to;
};

/* The text of @e, as one more of @list. */
static void say(json_t *list, const struct vmc_error *e)
{
	json_array_append_new(list, json_string(e->text));
}

/* @target: the authority that is to be upgraded, or NULL: all of them must be done already. */
static void look_at(struct check *k, const json_t *authority, const char *target)
{
	const char *name = json_string_value(json_object_get(authority, "name")), *version = NULL;
	bool is_target = target && !strcmp(target, name);
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *health = NULL, *o;
	int rc = authority_health(k->c->a, authority, "attest", &health, &err);

	if (!rc)
		version = json_string_value(json_object_get(health, "version"));
	o = json_pack("{s:s, s:s, s:s*, s:s}", "element", "authority", "name", name, "version", version, "state",
		      rc ? "unreachable" : strverscmp(version ? version : "", k->to) < 0 ? "to be upgraded" : "done");
	json_array_append_new(k->order, o);
	if (is_target) {
		json_decref(health);
		return;
	}
	if (rc)
		vmc_prefix(&err, "authority '%s' cannot be reached: ", name);
	else if (!authority_in_step(k->base, health))
		rc = vmc_fail(&err, VMC_ESTATE, "authority '%s' has drifted: 'vmcrypt trust remediate' first", name);
	else if (!target && strverscmp(version ? version : "", k->to) < 0)
		rc = vmc_fail(&err, VMC_ESTATE, "authority '%s' runs version %s: upgrade the Trust Authority hosts before the trusted hosts",
			      name, version ? version : "?");
	if (rc)
		say(k->refusals, &err);
	json_decref(health);
}

static void look_at_image(struct check *k, const char *image)
{
	const json_t *images = json_object_get(k->state, "images");
	struct vmc_error err = VMC_ERROR_INIT;

	if (!image) {
		vmc_fail(&err, VMC_ESTATE, "import the new base image before the hosts are upgraded, or their attestation fails until it is");
		say(k->warnings, &err);
	} else if (!tstate_find(images, "id", image, NULL) && !tstate_find(images, "name", image, NULL)) {
		vmc_fail(&err, VMC_ESTATE, "base image '%s' is not imported: hosts that boot it do not attest", image);
		say(k->refusals, &err);
	}
}

static void look_at_last(struct check *k)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (json_array_size(json_object_get(k->state, "authorities")) != 1)
		return;
	vmc_fail(&err, VMC_ESTATE, "it is the only authority: while it is upgraded no host attests and no key is released");
	say(k->warnings, &err);
}

static int check_step(struct check *k, const char **target)
{
	struct trust_call *c = k->c;
	const char *step;
	int rc = call_text(c, "step", &step);

	*target = NULL;
	if (rc)
		return rc;
	if (!strcmp(step, "host"))
		return 0;
	if (strcmp(step, "authority"))
		return vmc_fail(c->err, VMC_EINVAL, "'%.40s' is nothing to be upgraded: authority, host", step);
	rc = call_text(c, "name", target);
	if (!rc && !tstate_find(json_object_get(k->state, "authorities"), "name", *target, NULL))
		rc = no_such(c->err, N_("authority"), *target, "authority list");
	return rc;
}

static int decide(struct check *k, const char *target)
{
	bool allowed, force = call_flag(k->c, "force");
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(k->state, "authorities"), i, e)
		look_at(k, e, target);
	json_array_append_new(k->order, json_pack("{s:s, s:s}", "element", "trusted hosts", "state", "to be upgraded"));
	if (!target)
		look_at_image(k, call_text_or_null(k->c, "image"));
	else
		look_at_last(k);
	allowed = !json_array_size(k->refusals);
	if (!allowed && force) {
		json_array_extend(k->warnings, k->refusals);
		json_array_clear(k->refusals);
		allowed = true;
	}
	return call_give(k->c, json_pack("{s:b, s:O, s:O, s:O}", "allowed", (int)allowed, "order", k->order, "refusals",
					 k->refusals, "warnings", k->warnings));
}

int verb_upgrade_check(struct trust_call *c)
{
	struct check k = { .c = c, .to = call_text_or_null(c, "to") };
	const char *target;
	int rc = call_state(c, &k.state);

	if (rc)
		return rc;
	if (!k.to)
		k.to = VMC_VERSION;
	rc = check_step(&k, &target);
	if (!rc) {
		k.base = trust_health_base(c->a->state, "attestation");
		k.order = json_array();
		k.refusals = json_array();
		k.warnings = json_array();
		rc = decide(&k, target);
	}
	json_decref(k.base);
	json_decref(k.order);
	json_decref(k.refusals);
	json_decref(k.warnings);
	json_decref(k.state);
	return rc;
}
