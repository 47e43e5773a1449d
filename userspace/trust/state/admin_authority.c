// SPDX-License-Identifier: GPL-2.0-or-later
/* The authorities of a cluster: what this one shows, who is in, and whether all have the same state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "../../lib/version.h"
#include "../http/identity.h"
#include "admin_priv.h"
#include "sign.h"
#include "tstate.h"

/* ---- this one ------------------------------------------------------------------------ */

static int dir_of(const struct trust_admin *a, const char *name, char out[PATH_MAX], struct vmc_error *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", trust_state_dir(a->state), name) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", trust_state_dir(a->state));
	return fs_mkdirs(out, 0700, err);
}

/* The certificate that a service shows, made when the service has not run yet. */
static int certificate_of(struct trust_admin *a, const char *service, char **pem, struct vmc_error *err)
{
	struct http_identity id = { 0 };
	char dir[PATH_MAX];
	int rc = dir_of(a, service, dir, err);

	if (!rc)
		rc = http_identity_open(dir, a->host, &id, err);
	if (rc)
		return rc;
	rc = http_identity_pem(&id, pem, err);
	http_identity_close(&id);
	return rc;
}

static int token_key(struct trust_admin *a, char **pem, struct vmc_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX + sizeof(TOKEN_KEY)];
	EVP_PKEY *key = NULL;
	int rc = dir_of(a, ATTESTD_DIR, dir, err);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/" TOKEN_KEY, dir);
	rc = cert_key_load(path, &key, err);
	if (rc == VMC_ENOENT) {
		rc = cert_key_new(&key, err);
		if (!rc)
			rc = cert_key_save(key, path, err);
	}
	if (!rc)
		rc = sign_public_pem(key, pem, err);
	EVP_PKEY_free(key);
	return rc;
}

static void where(const char *address, uint16_t port, char out[300])
{
	bool v6 = strchr(address, ':') && *address != '[';

	snprintf(out, 300, v6 ? "[%.250s]:%u" : "%.250s:%u", address, port);
}

int authority_self(struct trust_admin *a, const char *address, json_t **self, struct vmc_error *err)
{
	char *attest = NULL, *kmx = NULL, *key = NULL, attest_at[300], kmx_at[300];
	int rc = certificate_of(a, ATTESTD_DIR, &attest, err);

	if (!rc)
		rc = certificate_of(a, KMXD_DIR, &kmx, err);
	if (!rc)
		rc = token_key(a, &key, err);
	if (!rc) {
		where(address ? address : a->host, a->o.attest_port, attest_at);
		where(address ? address : a->host, a->o.kmx_port, kmx_at);
		*self = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", a->host, "attest", attest_at,
				  "attest_cert", attest, "kmx", kmx_at, "kmx_cert", kmx, "token_key", key, "version",
				  VMC_VERSION);
		if (!*self)
			rc = vmc_fail(err, VMC_EINVAL, "the address '%.80s' is not one", address ? address : a->host);
	}
	free(attest);
	free(kmx);
	free(key);
	return rc;
}

bool authority_is_self(struct trust_admin *a, const json_t *authority)
{
	const char *theirs = json_string_value(json_object_get(authority, "attest_cert"));
	const char *also = json_string_value(json_object_get(authority, "attest_also"));
	char *mine;
	bool same;

	if (!theirs || certificate_of(a, ATTESTD_DIR, &mine, NULL))
		return false;
	same = !strcmp(mine, theirs) || (also && !strcmp(mine, also));
	free(mine);
	return same;
}

int verb_authority_show(struct trust_call *c)
{
	json_t *self;
	int rc = authority_self(c->a, call_text_or_null(c, "address"), &self, c->err);

	return rc ? rc : call_give(c, self);
}

/* ---- who is in ------------------------------------------------------------------------ */

static int edit_add(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *all = json_object_get(state, "authorities"), *it = json_object_get(c->params, "authority");
	const char *name = json_string_value(json_object_get(it, "name"));
	size_t at;

	if (!name)
		return vmc_fail(err, VMC_EINVAL, "the authority has no name: give what 'vmcrypt trust authority show' tells there");
	/* One that comes back, upgraded or reverted, takes its own place. */
	if (tstate_find(all, "name", name, &at))
		json_array_remove(all, at);
	return json_array_append(all, it) ? call_no_memory(c) : 0;
}

int verb_authority_add(struct trust_call *c)
{
	return call_edit(c, edit_add);
}

static int edit_remove(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *all = json_object_get(state, "authorities");
	const char *name;
	size_t at;
	int rc = call_text(c, "name", &name);

	if (rc)
		return rc;
	if (!tstate_find(all, "name", name, &at))
		return no_such(err, N_("authority"), name, "authority list");
	if (json_array_size(all) == 1) {
		vmc_fail(err, VMC_ESTATE, "authority '%s' is the last one of the cluster", name);
		vmc_hint(err, "without one no host gets a key; add another one first: vmcrypt trust authority add FILE");
		return VMC_ESTATE;
	}
	return json_array_remove(all, at) ? call_no_memory(c) : 0;
}

/* @body: state_body() */
static int push(struct trust_admin *a, const json_t *authority, const json_t *body, struct vmc_error *err)
{
	json_t *answer = NULL;
	int rc = authority_ask(a, authority, true, "/v1/admin/state-put", body, &answer, err);

	json_decref(answer);
	return rc;
}

/* The state as it is signed, for others. */
static int state_body(struct trust_admin *a, json_t **body, struct vmc_error *err)
{
	char *jws = NULL;
	int rc = trust_state_get(a->state, &jws, err);

	if (rc)
		return rc;
	*body = json_pack("{s:s}", "state", jws);
	free(jws);
	return *body ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
}

/*
 * Who is not told goes on with the state that it has, for hosts that have heard of no other: that is for the administrator
 * to know.
 */
static int tell_removed(struct trust_call *c, const json_t *authority)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *body = NULL;
	int rc = authority_is_self(c->a, authority) ? 0 : state_body(c->a, &body, &e);

	if (!rc && body)
		rc = push(c->a, authority, body, &e);
	json_decref(body);
	return call_give(c, json_pack("{s:b, s:s*}", "told", (int)!rc, "error", rc ? e.text : NULL));
}

int verb_authority_remove(struct trust_call *c)
{
	const char *name = call_text_or_null(c, "name");
	json_t *state = trust_state_json(c->a->state);
	const json_t *gone = tstate_find(json_object_get(state, "authorities"), "name", name, NULL);
	int rc = call_edit(c, edit_remove);

	if (!rc)
		rc = tell_removed(c, gone);
	json_decref(state);
	return rc;
}

/* ---- drift ------------------------------------------------------------------------------ */

int authority_ask(struct trust_admin *a, const json_t *authority, bool attest, const char *path, const json_t *body,
		  json_t **answer, struct vmc_error *err)
{
	const char *where = json_string_value(json_object_get(authority, attest ? "attest" : "kmx"));
	const char *also = json_string_value(json_object_get(authority, attest ? "attest_also" : "kmx_also"));
	struct vmc_error e = VMC_ERROR_INIT;
	int rc = a->o.remote(a->o.remote_data, where,
			     json_string_value(json_object_get(authority, attest ? "attest_cert" : "kmx_cert")), path, body,
			     answer, &e);

	if (rc == VMC_ETRUST && also)
		return a->o.remote(a->o.remote_data, where, also, path, body, answer, err);
	if (rc && err)
		*err = e;
	return rc;
}

int authority_health(struct trust_admin *a, const json_t *authority, const char *service, json_t **health,
		     struct vmc_error *err)
{
	bool attest = !strcmp(service, "attest");
	int rc;

	if (attest && authority_is_self(a, authority))
		return trust_admin_health(a, health, err);
	rc = authority_ask(a, authority, attest, "/v1/health", NULL, health, err);
	if (rc || json_is_object(*health))
		return rc;
	json_decref(*health);
	return vmc_fail(err, VMC_EPROTO, "the service at %s does not tell its health",
			json_string_value(json_object_get(authority, service)));
}

bool authority_in_step(const json_t *base, const json_t *health)
{
	return json_equal(json_object_get(base, "serial"), json_object_get(health, "serial")) &&
	       json_equal(json_object_get(base, "hash"), json_object_get(health, "hash"));
}

static json_t *describe(struct trust_admin *a, const json_t *base, const json_t *authority)
{
	json_t *o = json_pack("{s:O, s:O, s:O}", "name", json_object_get(authority, "name"), "attest",
			      json_object_get(authority, "attest"), "kmx", json_object_get(authority, "kmx"));
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *health = NULL;
	bool step;

	if (authority_health(a, authority, "attest", &health, &e)) {
		json_object_set_new(o, "state", json_string("unreachable"));
		json_object_set_new(o, "error", json_string(e.text));
		return o;
	}
	step = authority_in_step(base, health);
	json_object_set_new(o, "state", json_string(step ? "in step" : "drifted"));
	json_object_set(o, "serial", json_object_get(health, "serial"));
	json_object_set(o, "version", json_object_get(health, "version"));
	json_decref(health);
	return o;
}

int trust_admin_peers(struct trust_admin *a, bool (*over)(void *data), void *data, json_t **list, struct vmc_error *err)
{
	json_t *state = trust_state_json(a->state), *base = trust_health_base(a->state, "attestation"), *e;
	size_t i;

	*list = json_array();
	json_array_foreach(json_object_get(state, "authorities"), i, e)
		if (!over || !over(data))
			json_array_append_new(*list, describe(a, base, e));
	json_decref(base);
	json_decref(state);
	return *list ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

int verb_authority_list(struct trust_call *c)
{
	json_t *state, *list;
	int rc = call_state(c, &state);

	if (rc)
		return rc;
	json_decref(state);
	rc = trust_admin_peers(c->a, NULL, NULL, &list, c->err);
	return rc ? rc : call_give(c, json_pack("{s:o}", "authorities", list));
}

/* ---- remediation ------------------------------------------------------------------------ */

static json_int_t highest_serial(struct trust_admin *a, const json_t *authorities)
{
	json_int_t high = 0, n;
	json_t *health;
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)authorities, i, e) {
		if (authority_health(a, e, "attest", &health, NULL))
			continue;
		n = json_integer_value(json_object_get(health, "serial"));
		high = n > high ? n : high;
		json_decref(health);
	}
	return high;
}

/* trust_state_edit() adds one: with this the state comes after all that others have. */
static int edit_above(json_t *state, void *data, struct vmc_error *err)
{
	(void)err;
	return json_object_set_new(state, "serial", json_integer(*(json_int_t *)data)) ? VMC_ENOMEM : 0;
}

static int win(struct trust_call *c, const json_t *state)
{
	json_int_t high = highest_serial(c->a, json_object_get(state, "authorities"));
	json_int_t mine = json_integer_value(json_object_get(state, "serial"));

	if (high < mine || high >= INT64_MAX - 1)
		return 0;
	return trust_state_edit(c->a->state, edit_above, &high, c->err);
}

/* What was done about one authority; true when it is as it should be. */
static bool remedy(struct trust_admin *a, const json_t *base, const json_t *body, const json_t *authority,
		   json_t *results)
{
	json_t *o = json_pack("{s:O}", "name", json_object_get(authority, "name")), *health = NULL;
	struct vmc_error e = VMC_ERROR_INIT;
	const char *did = "in step";
	int rc = authority_health(a, authority, "attest", &health, &e);

	if (!rc && !authority_in_step(base, health)) {
		rc = push(a, authority, body, &e);
		did = "remediated";
	}
	json_object_set_new(o, "result", json_string(rc ? "failed" : did));
	if (rc)
		json_object_set_new(o, "error", json_string(e.text));
	if (rc && *e.hint)
		json_object_set_new(o, "hint", json_string(e.hint));
	json_array_append_new(results, o);
	json_decref(health);
	return !rc;
}

int verb_remediate(struct trust_call *c)
{
	json_t *state, *base, *body = NULL, *results = json_array(), *e;
	bool ok = true;
	size_t i;
	int rc = call_state(c, &state);

	if (!rc && call_flag(c, "force"))
		rc = win(c, state);
	if (!rc)
		rc = state_body(c->a, &body, c->err);
	if (rc) {
		json_decref(results);
		return rc;
	}
	base = trust_health_base(c->a->state, "attestation");
	json_array_foreach(json_object_get(state, "authorities"), i, e)
		ok &= remedy(c->a, base, body, e, results);
	json_decref(base);
	json_decref(body);
	json_decref(state);
	return call_give(c, json_pack("{s:b, s:o}", "ok", (int)ok, "authorities", results));
}
