// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key providers of a cluster: that they are there, and by what their servers
 * are trusted, is in the state; what the servers know this authority by is in the
 * folder of its Key Provider Service, and nowhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "admin_priv.h"
#include "tstate.h"

/* ---- from the state to the folders --------------------------------------------------- */

/* @only: and by nothing else of its kind. */
static int trust_by(struct trust_admin *a, const char *name, const char *key, const json_t *value, bool only,
		    struct vmc_error *err)
{
	json_t *args = json_pack("{s:O, s:b}", key, value, "replace", (int)only), *out = NULL;
	int rc = args ? providers_trust(a->providers, name, "pin", args, &out, err) : VMC_ENOMEM;

	json_decref(args);
	json_decref(out);
	return rc;
}

static int make_one(struct trust_admin *a, const json_t *p, struct vmc_error *err)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	json_t *options = json_pack("{s:O, s:O*, s:O*, s:O*}", "servers", json_object_get(p, "servers"), "username",
				    json_object_get(p, "username"), "tls_min", json_object_get(p, "tls_min"),
				    "operation_policy", json_object_get(p, "operation_policy"));
	int rc = options ? providers_add_kmip(a->providers, name, options, err) :
		 vmc_fail(err, VMC_ENOMEM, "no memory for key provider '%s'", name);

	json_decref(options);
	return rc;
}

static int apply_one(struct trust_admin *a, const json_t *have, const json_t *p, struct vmc_error *err)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	const json_t *ca = json_object_get(p, "ca_pem"), *pin;
	size_t i;
	int rc = tstate_find(have, "name", name, NULL) ? 0 : make_one(a, p, err);

	if (!rc && ca)
		rc = trust_by(a, name, "ca_pem", ca, true, err);
	json_array_foreach(json_object_get(p, "pins"), i, pin)
		if (!rc)
			rc = trust_by(a, name, "fingerprint", pin, !i, err);
	if (!rc && json_is_true(json_object_get(p, "default")))
		rc = providers_set_default(a->providers, name, err);
	return rc;
}

int providers_apply(struct trust_admin *a, struct vmc_error *err)
{
	json_t *state = trust_state_json(a->state), *have = NULL, *p;
	const json_t *want = json_object_get(state, "key_providers");
	const char *name;
	size_t i;
	int rc = providers_list(a->providers, &have, err);

	json_array_foreach(want, i, p)
		if (!rc)
			rc = apply_one(a, have, p, err);
	json_array_foreach(have, i, p) {
		name = json_string_value(json_object_get(p, "name"));
		if (!rc && name && !tstate_find(want, "name", name, NULL))
			rc = providers_remove(a->providers, name, err);
	}
	json_decref(have);
	json_decref(state);
	return rc;
}

static bool same(const json_t *a, const json_t *b)
{
	return a == b || json_equal(a, b);
}

static bool gone(const json_t *was, const json_t *is, const char *member)
{
	return json_object_get(was, member) && !json_object_get(is, member);
}

/* No verb changes the servers of one, or leaves nothing that they are trusted by: it was removed, and added again. */
static bool is_another(const json_t *was, const json_t *is)
{
	static const char *const fixed[] = { "servers", "username", "tls_min", "operation_policy" };

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (!same(json_object_get(was, fixed[i]), json_object_get(is, fixed[i])))
			return true;
	return gone(was, is, "ca_pem") || gone(was, is, "pins");
}

int providers_follow(struct trust_admin *a, const json_t *before, struct vmc_error *err)
{
	json_t *state = trust_state_json(a->state);
	const json_t *was, *is, *now = json_object_get(state, "key_providers");
	const char *name;
	int rc = 0;
	size_t i;

	if (state == before) {		/* nothing came */
		json_decref(state);
		return 0;
	}
	json_array_foreach(json_object_get(before, "key_providers"), i, was) {
		name = json_string_value(json_object_get(was, "name"));
		is = tstate_find(now, "name", name, NULL);
		if (!rc && is && is_another(was, is))
			rc = providers_remove(a->providers, name, err);
		if (rc == VMC_ENOENT)
			rc = 0;
	}
	json_decref(state);
	return rc ? rc : providers_apply(a, err);
}

/* ---- add, list, remove ------------------------------------------------------------------ */

static int edit_add(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *all = json_object_get(state, "key_providers"), *p, *e;
	const char *name = call_text_or_null(c, "name");
	bool first = !json_array_size(all), def = first || call_flag(c, "default");
	size_t i;

	if (tstate_find(all, "name", name, NULL))
		return vmc_fail(err, VMC_EEXIST, "there is a key provider '%.80s' already", name);
	p = json_pack("{s:s, s:s, s:O, s:b, s:O*, s:O*, s:O*}", "name", name, "kind", "kmip", "servers",
		      json_object_get(c->params, "servers"), "default", (int)def, "username",
		      json_object_get(c->params, "username"), "tls_min", json_object_get(c->params, "tls_min"),
		      "operation_policy", json_object_get(c->params, "operation_policy"));
	json_array_foreach(all, i, e)
		if (def)
			json_object_set_new(e, "default", json_false());
	return p && !json_array_append_new(all, p) ? 0 : call_no_memory(c);
}

/* The folder first: what is wrong with the options is told there, and a state never names what could not be made. */
int verb_provider_add(struct trust_call *c)
{
	const char *name, *kind;
	json_t *options, *state = NULL;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_text(c, "kind", &kind);
	if (!rc && strcmp(kind, "kmip"))
		rc = vmc_fail(c->err, VMC_ENOTSUP, "a Trust Authority has no key providers of the kind '%.40s': only kmip",
			      kind);
	if (!rc && !json_array_size(json_object_get(c->params, "servers")))
		rc = vmc_fail(c->err, VMC_EINVAL, "the parameter 'servers' is missing, or is not a list");
	if (!rc)
		rc = call_state(c, &state);
	if (rc)
		return rc;
	json_decref(state);
	options = json_deep_copy(c->params);
	json_object_del(options, "name");
	json_object_del(options, "kind");
	json_object_del(options, "default");
	rc = providers_add_kmip(c->a->providers, name, options, c->err);
	json_decref(options);
	if (rc)
		return rc;
	rc = call_edit(c, edit_add);
	if (rc)
		providers_remove(c->a->providers, name, NULL);
	else
		rc = providers_apply(c->a, c->err);
	return rc;
}

/* As the state has it, with what is here: {client_cert, state}. */
static json_t *describe(const json_t *p, const json_t *here)
{
	json_t *o = json_deep_copy(p);

	json_object_set(o, "client_cert", json_object_get(here, "client_cert"));
	json_object_set(o, "state", json_object_get(here, "state"));
	json_object_set_new(o, "ca_pem", json_boolean(json_object_get(p, "ca_pem")));
	return o;
}

int verb_provider_list(struct trust_call *c)
{
	json_t *state = NULL, *have = NULL, *out, *e;
	size_t i;
	int rc = call_state(c, &state);

	if (!rc)
		rc = providers_list(c->a->providers, &have, c->err);
	if (rc) {
		json_decref(state);
		return rc;
	}
	out = json_array();
	json_array_foreach(json_object_get(state, "key_providers"), i, e)
		json_array_append_new(out, describe(e, tstate_find(have, "name", json_string_value(
							json_object_get(e, "name")), NULL)));
	json_decref(have);
	json_decref(state);
	return call_give(c, json_pack("{s:o}", "key_providers", out));
}

static json_t *find(const json_t *state, const char *name, size_t *at)
{
	return tstate_find(json_object_get(state, "key_providers"), "name", name, at);
}

static int edit_remove(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	const char *name = call_text_or_null(c, "name");
	size_t at;

	if (!find(state, name, &at))
		return no_such(err, N_("key provider"), name, "key-provider list");
	return json_array_remove(json_object_get(state, "key_providers"), at) ? call_no_memory(c) : 0;
}

int verb_provider_remove(struct trust_call *c)
{
	const char *name;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_edit(c, edit_remove);
	return rc ? rc : providers_apply(c->a, c->err);
}

/* ---- trust -------------------------------------------------------------------------------- */

static int edit_pin(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	const char *name = call_text_or_null(c, "name");
	json_t *p = find(state, name, NULL), *args = json_object_get(c->params, "args"), *pins;
	json_t *ca = json_object_get(args, "ca_pem"), *pin = json_object_get(args, "fingerprint");
	size_t i;

	if (!p)
		return no_such(err, N_("key provider"), name, "key-provider list");
	if (ca)
		return json_object_set(p, "ca_pem", ca) ? call_no_memory(c) : 0;
	if (!json_object_get(p, "pins") || json_is_true(json_object_get(args, "replace")))
		json_object_set_new(p, "pins", json_array());
	pins = json_object_get(p, "pins");
	for (i = 0; i < json_array_size(pins); i++)
		if (json_equal(json_array_get(pins, i), pin))
			return 0;
	return json_array_append(pins, pin) ? call_no_memory(c) : 0;
}

/* The private key comes as an open file, and goes into the folder. */
static int import(struct trust_call *c, const char *name, const json_t *args)
{
	json_t *with_key = args ? json_deep_copy(args) : json_object(), *text;
	char *pem;
	size_t n;
	int rc = call_file(c, c->files->key, N_("private key"));

	if (!rc)
		rc = call_secret(c, c->files->key, CERT_FILE_MAX, N_("private key"), &pem, &n);
	if (rc) {
		json_decref(with_key);
		return rc;
	}
	text = json_stringn(pem, n);
	secmem_free(pem, n + 1);
	if (!text || json_object_set(with_key, "key_pem", text))
		rc = vmc_fail(c->err, VMC_EINVAL, "the private key is not text in PEM");
	else
		rc = providers_trust(c->a->providers, name, "import", with_key, &c->result, c->err);
	if (text)
		secmem_wipe((char *)json_string_value(text), n);
	json_decref(text);
	json_decref(with_key);
	return rc;
}

int verb_provider_trust(struct trust_call *c)
{
	const json_t *args = json_object_get(c->params, "args");
	const char *name, *verb;
	json_t *state = NULL;
	int rc = call_text(c, "name", &name);

	if (!rc)
		rc = call_text(c, "verb", &verb);
	if (!rc)
		rc = call_state(c, &state);
	if (!rc && !find(state, name, NULL))
		rc = no_such(c->err, N_("key provider"), name, "key-provider list");
	json_decref(state);
	if (rc)
		return rc;
	if (!strcmp(verb, "import"))
		return import(c, name, args);
	rc = providers_trust(c->a->providers, name, verb, args, &c->result, c->err);
	return rc || strcmp(verb, "pin") ? rc : call_edit(c, edit_pin);
}
