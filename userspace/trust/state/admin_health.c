// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The health of a cluster: its elements one after the other, each standing on
 * those before, up to the first that is not healthy. That one is to be mended
 * first, because what comes after it cannot be judged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "admin_priv.h"

struct walk {
	struct trust_call *c;
	json_t *state, *base;		/* base: what every authority should tell of its state */
	json_t *elements;
	bool broken;
	const char *element;		/* where the walk is */
	char text[160];			/* of the first that is not healthy */
};

/* One element, @name NULL: the only one of its kind. False: stop here. */
static bool tell(struct walk *w, const char *name, const struct vmc_error *bad)
{
	json_t *o = json_pack("{s:s, s:s*, s:b}", "element", w->element, "name", name, "healthy", (int)!bad);

	if (bad) {
		w->broken = true;
		json_object_set_new(o, "error", json_string(bad->text));
		json_object_set_new(o, "hint", json_string(bad->hint));
		/* programs of old look for these very words: never translated */
		snprintf(w->text, sizeof(w->text), "The %s is not healthy, please fix it first!", w->element);
	}
	json_array_append_new(w->elements, o);
	return !bad;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *v = json_string_value(json_object_get(o, name));

	return v ? v : "?";
}

/* ---- the services ------------------------------------------------------------------------ */

static int check_service(struct walk *w, const json_t *authority, const char *service, json_t **health,
			 struct vmc_error *err)
{
	const char *name = text_of(authority, "name"), *status;
	int rc = authority_health(w->c->a, authority, service, health, err);

	if (rc) {
		vmc_hint(err, "on '%s': vmcrypt trust service status %s", name,
			 strcmp(service, "attest") ? "key-provider" : "attestation");
		return rc;
	}
	status = text_of(*health, "status");
	if (strcmp(status, "ok"))
		return vmc_fail(err, VMC_ESTATE, "authority '%s' says of itself: %.80s", name, status);
	if (authority_in_step(w->base, *health))
		return 0;
	vmc_fail(err, VMC_ESTATE, "authority '%s' has the state of serial %lld, and not that of serial %lld", name,
		 (long long)json_integer_value(json_object_get(*health, "serial")),
		 (long long)json_integer_value(json_object_get(w->base, "serial")));
	vmc_hint(err, "vmcrypt trust remediate");
	return VMC_ESTATE;
}

/* @keep (may be NULL) gets what each answered. */
static void walk_services(struct walk *w, const char *service, json_t *keep)
{
	json_t *authority, *health;
	size_t i;

	json_array_foreach(json_object_get(w->state, "authorities"), i, authority) {
		struct vmc_error err = VMC_ERROR_INIT;

		health = NULL;
		if (!w->broken)
			tell(w, text_of(authority, "name"), check_service(w, authority, service, &health, &err) ? &err : NULL);
		if (keep && health)
			json_object_set(keep, text_of(authority, "name"), health);
		json_decref(health);
	}
}

/* ---- the key providers --------------------------------------------------------------------- */

/* What to do when the keys of one authority are not given to all. */
static int not_shared(const char *name, struct vmc_error *err)
{
	vmc_hint(err, "on the key server, have all authorities use the same keys: their certificates in one group, or of one user; or one certificate on all of them: 'vmcrypt trust key-provider trust %s import CERT KEYFILE'",
		 name);
	return err->code;
}

static const json_t *provider_told(const json_t *told, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(told, "providers"), i, e)
		if (!strcmp(text_of(e, "name"), name))
			return e;
	return NULL;
}

static int check_provider(const json_t *told, const char *authority, const char *name, struct vmc_error *err)
{
	const json_t *e = provider_told(told, name), *server;
	size_t k;

	if (e) {
		json_array_foreach(json_object_get(e, "servers"), k, server) {
			if (json_is_true(json_object_get(server, "ok")))
				continue;
			vmc_fail(err, VMC_EUNREACH, "authority '%s' cannot use server %s:%lld of key provider '%s': %s",
				 authority, text_of(server, "host"),
				 (long long)json_integer_value(json_object_get(server, "port")), name,
				 text_of(server, "error"));
			vmc_hint(err, "on '%s': vmcrypt trust key-provider trust %s show", authority, name);
			return VMC_EUNREACH;
		}
		if (json_object_get(e, "refused")) {
			vmc_fail(err, VMC_EREFUSED, "authority '%s' does not get a key any more that it made with key provider '%s': %s",
				 authority, name, text_of(e, "refused"));
			return not_shared(name, err);
		}
		if (json_is_true(json_object_get(e, "reachable")))
			return 0;
		vmc_fail(err, VMC_EUNREACH, "authority '%s' cannot use key provider '%s': %s", authority, name,
			 text_of(e, "error"));
		vmc_hint(err, "on '%s': vmcrypt trust key-provider list", authority);
		return VMC_EUNREACH;
	}
	vmc_fail(err, VMC_ENOENT, "authority '%s' does not have key provider '%s'", authority, name);
	vmc_hint(err, "vmcrypt trust remediate");
	return VMC_ENOENT;
}

/* What of @answer is an error of one of the keys, "" when none is; *@id: which. */
static const char *key_error(const json_t *answer, const char **id)
{
	const json_t *k;
	size_t i;

	json_array_foreach(json_object_get(answer, "keys"), i, k) {
		*id = text_of(k, "id");
		if (json_object_get(k, "error"))
			return text_of(json_object_get(k, "error"), "text");
	}
	return "";
}

/* Does @authority get the key @id that @maker made? */
static int check_key(struct walk *w, const json_t *authority, const char *name, const char *id, const char *maker,
		     struct vmc_error *err)
{
	json_t *body = json_pack("{s:s, s:[s]}", "provider", name, "ids", id), *answer = NULL;
	int rc = authority_ask(w->c->a, authority, false, "/v1/health/keys", body, &answer, err);
	const char *why = key_error(answer, &id);

	if (rc == VMC_ENOENT)	/* of a version that cannot tell */
		rc = 0;
	else if (rc)
		vmc_prefix(err, "authority '%s' does not tell whether it gets the keys of key provider '%s': ",
			   text_of(authority, "name"), name);
	if (!rc && *why) {
		vmc_fail(err, VMC_EREFUSED, "authority '%s' does not get key '%s' of key provider '%s', which authority '%s' made: %s",
			 text_of(authority, "name"), id, name, maker, why);
		rc = not_shared(name, err);
	}
	json_decref(body);
	json_decref(answer);
	return rc;
}

/* A VM is to start whichever authority is left: each gets what another one made. */
static int check_shared(struct walk *w, const json_t *kmx, const char *name, struct vmc_error *err)
{
	const json_t *authority, *told;
	const char *maker, *id;
	size_t i;
	int rc = 0;

	json_object_foreach((json_t *)kmx, maker, told) {
		id = json_string_value(json_object_get(provider_told(told, name), "made"));
		json_array_foreach(json_object_get(w->state, "authorities"), i, authority)
			if (!rc && id && strcmp(text_of(authority, "name"), maker))
				rc = check_key(w, authority, name, id, maker, err);
	}
	return rc;
}

static void walk_providers(struct walk *w, const json_t *kmx)
{
	struct vmc_error err = VMC_ERROR_INIT;
	const char *authority, *name;
	json_t *p, *told;
	size_t i;

	json_array_foreach(json_object_get(w->state, "key_providers"), i, p) {
		bool bad = false;

		name = text_of(p, "name");
		json_object_foreach((json_t *)kmx, authority, told)
			bad = bad || check_provider(told, authority, name, &err);
		bad = bad || check_shared(w, kmx, name, &err);
		if (w->broken || !tell(w, name, bad ? &err : NULL))
			return;
	}
}

/* ---- what is in the state -------------------------------------------------------------------- */

static int check_settings(const json_t *state, struct vmc_error *err)
{
	const json_t *tpm2 = json_object_get(state, "tpm2");
	size_t cas = json_array_size(json_object_get(tpm2, "ca_certificates"));
	size_t eks = json_array_size(json_object_get(tpm2, "eks"));

	if (cas || (eks && json_is_false(json_object_get(tpm2, "require_ek_certificate"))))
		return 0;
	if (eks) {
		vmc_fail(err, VMC_ESTATE, "an EK certificate is required of hosts, and there is no CA certificate to check it by");
		vmc_hint(err, "vmcrypt trust ca add NAME FILE, or vmcrypt trust policy set --require-ek-certificate no");
	} else {
		vmc_fail(err, VMC_ESTATE, "no TPM is believed: there is neither a CA certificate nor an endorsement key");
		vmc_hint(err, "vmcrypt trust ca add NAME FILE, or vmcrypt trust ek add NAME FILE");
	}
	return VMC_ESTATE;
}

static int check_ca(const json_t *ca, struct vmc_error *err)
{
	STACK_OF(X509) *chain;
	int days, rc = cert_chain_from_pem(text_of(ca, "pem"), N_("CA certificate"), &chain, err);

	if (rc)
		return rc;
	days = cert_days_left(sk_X509_value(chain, 0));
	cert_chain_free(chain);
	if (days >= 0)
		return 0;
	vmc_fail(err, VMC_ETRUST, "CA certificate '%s' has expired", text_of(ca, "name"));
	vmc_hint(err, "vmcrypt trust ca remove %s, and add its successor", text_of(ca, "name"));
	return VMC_ETRUST;
}

static int check_image(const json_t *image, struct vmc_error *err)
{
	if (json_array_size(json_object_get(image, "events")))
		return 0;
	return vmc_fail(err, VMC_ESTATE, "base image '%s' has no events", text_of(image, "name"));
}

static int check_nothing(const json_t *e, struct vmc_error *err)
{
	(void)e, (void)err;
	return 0;
}

static void walk_list(struct walk *w, const json_t *list, int (*check)(const json_t *e, struct vmc_error *err))
{
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		struct vmc_error err = VMC_ERROR_INIT;

		if (!tell(w, text_of(e, "name"), check(e, &err) ? &err : NULL))
			return;
	}
}

static void walk_images(struct walk *w)
{
	const json_t *images = json_object_get(w->state, "images");
	struct vmc_error err = VMC_ERROR_INIT;

	if (json_array_size(images)) {
		walk_list(w, images, check_image);
		return;
	}
	vmc_fail(&err, VMC_ESTATE, "there is no base image, so that no host attests");
	vmc_hint(&err, "on a host: vmcrypt trust host-image export --out FILE; here: vmcrypt trust base-image import FILE");
	tell(w, NULL, &err);
}

/* ---- the order --------------------------------------------------------------------------------- */

enum step { CLUSTER, ATTESTATION, KEY_PROVIDER_SERVICE, PRINCIPALS, KEY_PROVIDERS, SETTINGS, EKS, CAS, IMAGES };

static const char *const elements[] = {
	[CLUSTER] = "TrustAuthorityCluster", [ATTESTATION] = "AttestationServiceStatus",
	[KEY_PROVIDER_SERVICE] = "KeyProviderServiceStatus", [PRINCIPALS] = "TrustAuthorityPrincipal",
	[KEY_PROVIDERS] = "KeyProvider", [SETTINGS] = "Tpm2AttestationSettings",
	[EKS] = "Tpm2EndorsementKey", [CAS] = "Tpm2CACertificate", [IMAGES] = "VMHostBaseImage",
};

/* Is this one of the authorities? */
static bool is_in(struct walk *w)
{
	const json_t *authority;
	size_t i;

	json_array_foreach(json_object_get(w->state, "authorities"), i, authority)
		if (authority_is_self(w->c->a, authority))
			return true;
	return false;
}

static int check_cluster(struct walk *w, struct vmc_error *err)
{
	if (!json_array_size(json_object_get(w->state, "authorities"))) {
		vmc_fail(err, VMC_ESTATE, "this authority is in no cluster, or has not got its state yet");
		vmc_hint(err, "vmcrypt trust init CLUSTER; or after 'trust join', 'vmcrypt trust remediate' on the authority that makes changes");
		return VMC_ESTATE;
	}
	if (is_in(w))
		return 0;
	vmc_fail(err, VMC_ESTATE, "this authority is not in the Trust Authority cluster '%s'", text_of(w->state, "cluster"));
	vmc_hint(err, "to take it in: 'vmcrypt trust authority show --out FILE' on it, 'vmcrypt trust authority add FILE' where changes are made");
	return VMC_ESTATE;
}

static void walk_cluster(struct walk *w)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int rc = check_cluster(w, &err);

	tell(w, w->state ? text_of(w->state, "cluster") : NULL, rc ? &err : NULL);
}

static void walk_step(struct walk *w, enum step s, json_t *kmx)
{
	const json_t *tpm2 = json_object_get(w->state, "tpm2");
	struct vmc_error err = VMC_ERROR_INIT;

	w->element = elements[s];
	switch (s) {
	case CLUSTER:
		walk_cluster(w);
		break;
	case ATTESTATION:
		walk_services(w, "attest", NULL);
		break;
	case KEY_PROVIDER_SERVICE:
		walk_services(w, "kmx", kmx);
		break;
	case PRINCIPALS:
		walk_list(w, json_object_get(w->state, "principals"), check_nothing);
		break;
	case KEY_PROVIDERS:
		walk_providers(w, kmx);
		break;
	case SETTINGS:
		tell(w, NULL, check_settings(w->state, &err) ? &err : NULL);
		break;
	case EKS:
		walk_list(w, json_object_get(tpm2, "eks"), check_nothing);
		break;
	case CAS:
		walk_list(w, json_object_get(tpm2, "ca_certificates"), check_ca);
		break;
	case IMAGES:
		walk_images(w);
		break;
	}
}

int verb_health(struct trust_call *c)
{
	struct walk w = { .c = c, .state = trust_state_json(c->a->state), .elements = json_array() };
	json_t *kmx = json_object();

	w.base = trust_health_base(c->a->state, "attestation");
	for (enum step s = CLUSTER; s <= IMAGES && !w.broken; s++)
		walk_step(&w, s, kmx);
	json_decref(kmx);
	json_decref(w.base);
	json_decref(w.state);
	return call_give(c, json_pack("{s:b, s:s*, s:o}", "healthy", (int)!w.broken, "text",
				      w.broken ? w.text : NULL, "elements", w.elements));
}
