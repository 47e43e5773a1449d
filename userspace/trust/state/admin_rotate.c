// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A service gets another certificate while hosts go on: it is announced in the desired state, beside the one that is shown;
 * then the two change places, which the service follows; in the end the old one is believed no longer.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "../http/identity.h"
#include "admin_priv.h"
#include "tstate.h"

static const struct service {
	const char *name, *folder, *cert, *also;
} services[] = {
	{ "attestation", ATTESTD_DIR, "attest_cert", "attest_also" },
	{ "key-provider", KMXD_DIR, "kmx_cert", "kmx_also" },
};

struct rotation {
	struct trust_call *c;
	const struct service *s;
	char dir[PATH_MAX];
	json_t *state;
	json_t *self;			/* this authority as it is to be */
	char *next;			/* the certificate to come; NULL: none is asked for */
};

/* ---- steps ---------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *name)
{
	const char *v = json_string_value(json_object_get(o, name));

	return v ? v : "";
}

static int load_next(struct rotation *r)
{
	struct http_identity id;
	int rc = http_identity_next(r->dir, r->c->a->host, &id, r->c->err);

	if (rc)
		return rc;
	rc = http_identity_pem(&id, &r->next, r->c->err);
	http_identity_close(&id);
	return rc;
}

static int set(struct rotation *r, const char *name, const char *pem)
{
	return json_object_set_new(r->self, name, json_string(pem)) ? call_no_memory(r->c) : 0;
}

static int announce(struct rotation *r)
{
	const char *also = text_of(r->self, r->s->also);
	int rc = load_next(r);

	if (rc)
		return rc;
	if (*also && strcmp(also, r->next) != 0) {
		vmc_fail(r->c->err, VMC_ESTATE, "another certificate of the service is being exchanged already");
		vmc_hint(r->c->err, "end that first: vmcrypt trust service rotate-certificate %s finish", r->s->name);
		return VMC_ESTATE;
	}
	return set(r, r->s->also, r->next);
}

/* Has every authority the announcement, and had every host time to hear of it? */
static int check_heard(struct rotation *r)
{
	json_int_t lifetime = json_integer_value(json_object_get(json_object_get(r->state, "policy"), "token_lifetime"));
	json_int_t left = json_integer_value(json_object_get(r->state, "changed")) + lifetime - vmc_time();
	json_t *peers, *e;
	size_t i;
	int rc = trust_admin_peers(r->c->a, NULL, NULL, &peers, r->c->err);

	if (rc)
		return rc;
	json_array_foreach(peers, i, e) {
		if (rc || !strcmp(text_of(e, "state"), "in step"))
			continue;
		rc = vmc_fail(r->c->err, VMC_ESTATE, "authority '%s' may not have heard of the new certificate yet",
			      text_of(e, "name"));
		vmc_hint(r->c->err, "vmcrypt trust remediate; with --force it is not waited for");
	}
	json_decref(peers);
	if (rc || left <= 0)
		return rc;
	vmc_fail(r->c->err, VMC_ESTATE, "the desired state was changed a short while ago: hosts may not have heard of the new certificate yet");
	vmc_hint(r->c->err, "again in %lld seconds, when each has attested once; with --force it is not waited for", (long long)left);
	return VMC_ESTATE;
}

static int change_places(struct rotation *r)
{
	char *now = strdup(text_of(r->self, r->s->cert));
	int rc;

	if (!now)
		return call_no_memory(r->c);
	rc = load_next(r);
	if (rc || !strcmp(now, r->next)) {
		free(now);
		return rc;
	}
	if (strcmp(text_of(r->self, r->s->also), r->next) != 0) {
		rc = vmc_fail(r->c->err, VMC_ESTATE, "no new certificate of the service was announced");
		vmc_hint(r->c->err, "vmcrypt trust service rotate-certificate %s announce", r->s->name);
	}
	if (!rc && !call_flag(r->c, "force"))
		rc = check_heard(r);
	if (!rc)
		rc = set(r, r->s->cert, r->next);
	if (!rc)
		rc = set(r, r->s->also, now);
	free(now);
	return rc;
}

/* After "switch" the old one goes; before it, the new one, which nobody has seen. */
static int finish(struct rotation *r)
{
	struct http_identity id;
	int rc = http_identity_open(r->dir, r->c->a->host, &id, r->c->err);
	char *shown = NULL;

	if (!rc) {
		rc = http_identity_pem(&id, &shown, r->c->err);
		http_identity_close(&id);
	}
	if (!rc && strcmp(shown, text_of(r->self, r->s->cert)) != 0) {
		rc = vmc_fail(r->c->err, VMC_ESTATE, "the service does not show its new certificate yet");
		vmc_hint(r->c->err, "vmcrypt trust service status %s; it takes the certificate at its start, too", r->s->name);
	}
	if (!rc)
		rc = http_identity_drop_next(r->dir, r->c->err);
	if (!rc)
		json_object_del(r->self, r->s->also);
	free(shown);
	return rc;
}

static const struct step {
	const char *name;
	int (*run)(struct rotation *r);
} steps[] = {
	{ "announce", announce }, { "switch", change_places }, { "finish", finish },
};

/* ---- the verb -------------------------------------------------------------------------------- */

static int edit_self(json_t *state, void *data, struct vmc_error *err)
{
	struct rotation *r = data;
	json_t *all = json_object_get(state, "authorities");
	size_t at;

	(void)err;
	if (!tstate_find(all, "name", text_of(r->self, "name"), &at) || json_array_set(all, at, r->self))
		return call_no_memory(r->c);
	return 0;
}

static int find_self(struct rotation *r)
{
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(r->state, "authorities"), i, e) {
		if (!authority_is_self(r->c->a, e))
			continue;
		r->self = json_deep_copy(e);
		return r->self ? 0 : call_no_memory(r->c);
	}
	vmc_fail(r->c->err, VMC_ESTATE, "this authority is not in the desired state of its cluster");
	vmc_hint(r->c->err, "vmcrypt trust authority add, on the authority that makes the changes; then vmcrypt trust remediate there");
	return VMC_ESTATE;
}

static int parse(struct rotation *r, const struct step **step)
{
	const char *service, *name;
	int rc = call_text(r->c, "service", &service);

	if (!rc)
		rc = call_text(r->c, "step", &name);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (!strcmp(services[i].name, service))
			r->s = &services[i];
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (!strcmp(steps[i].name, name))
			*step = &steps[i];
	if (!r->s)
		return vmc_fail(r->c->err, VMC_EINVAL, "'%.40s' is no service of an authority: attestation, key-provider", service);
	if (!*step)
		return vmc_fail(r->c->err, VMC_EINVAL, "'%.40s' is no step of a rotation: announce, switch, finish", name);
	snprintf(r->dir, sizeof(r->dir), "%s/%s", trust_state_dir(r->c->a->state), r->s->folder);
	return 0;
}

/*
 * {authority, changed: bool}: where no changes are made, @authority is for 'authority add' on the one that makes them.
 */
int verb_rotate(struct trust_call *c)
{
	struct rotation r = { .c = c };
	const struct step *step = NULL;
	bool here = trust_state_can_change(c->a->state);
	int rc = parse(&r, &step);

	if (!rc)
		rc = call_state(c, &r.state);
	if (!rc)
		rc = find_self(&r);
	if (!rc)
		rc = step->run(&r);
	if (!rc && here)
		rc = trust_state_edit(c->a->state, edit_self, &r, c->err);
	if (!rc)
		rc = call_give(c, json_pack("{s:O, s:b}", "authority", r.self, "changed", (int)here));
	json_decref(r.self);
	json_decref(r.state);
	free(r.next);
	return rc;
}
