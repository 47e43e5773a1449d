// SPDX-License-Identifier: GPL-2.0-or-later
/* The provider: requests to the Key Provider Service. See trusted.h. */
#include "trusted.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../trust/http/message.h"
#include "../../trust/token/jwe.h"
#include "../registry.h"

#define LIST_MAX	65536	/* ids */
#define HEALTH_MS	5000u	/* for the answer of one service */

struct trusted {
	struct provider_base base;
	struct agent *agent;
	unsigned int timeout_ms;
	atomic_uint first;		/* authority whose service answered last */
};

static struct trusted *of(struct provider *p)
{
	return (struct trusted *)p;
}

static trusted_world_fn make_world = trusted_world_real;

void trusted_set_world(trusted_world_fn fn)
{
	make_world = fn ? fn : trusted_world_real;
}

/* ---- asking ------------------------------------------------------------------- */

static bool reason_is(const struct refusal *r, const char *reason)
{
	return !strcmp(r->reason, reason);
}

/* What a service has in its log, too, under the same number. */
static void log_refused(const struct trusted *t, const struct trusted_request *r, const struct refusal *why)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", r->correlation }, { "VMCRYPT_PROVIDER", t->base.p.name },
		{ "VMCRYPT_REASON", why->reason }, { NULL, NULL }
	};

	if (!reason_is(why, REASON_UNAVAILABLE))
		log_event(LOG_WARNING, NULL, fields, "provider %s: %s: %s", t->base.p.name, r->path, why->err.text);
}

/*
 * Each service in turn, from the one that answered last, until one does not only say that it, or a key server, is not to
 * be had. Of those that do, what the first said of a key server counts. @token's use is with its jti.
 */
static int ask_each(struct trusted *t, const char *path, const json_t *body, const struct agent_token *token,
		    json_t **answer, struct refusal *why)
{
	const struct trusted_world *w = agent_world(t->agent);
	const struct trusted_conf *c = agent_conf(t->agent);
	char who[TRUSTED_NAME_MAX + 64], correlation[HTTP_CORRELATION];
	struct trusted_request r = {
		.who = who, .path = path, .body = body, .bearer = token->jwt, .correlation = correlation,
		.timeout_ms = t->timeout_ms,
	};
	unsigned int first = atomic_load(&t->first), i;
	struct refusal kept = { .details = NULL }, now;
	int rc = VMC_EINTERNAL;

	http_correlation_new(correlation);
	memset(&kept.err, 0, sizeof(kept.err));
	for (i = 0; i < c->n; i++) {
		const struct trusted_authority *a = &c->a[(first + i) % c->n];

		memset(&now, 0, sizeof(now));
		r.server = &a->kmx;
		snprintf(who, sizeof(who), _("key provider service of '%s'"), a->name);
		log_debug("provider %s: %s at %s:%u (correlation %s)", t->base.p.name, path, r.server->host,
			  r.server->port, correlation);
		rc = w->ask(w->data, &r, answer, &now);
		if (rc)
			log_refused(t, &r, &now);
		if (!rc || !(reason_is(&now, REASON_UNAVAILABLE) || reason_is(&now, REASON_KEY_PROVIDER))) {
			refusal_clear(&kept);
			kept = now;
			atomic_store(&t->first, (first + i) % c->n);
			break;
		}
		if (kept.err.code && !reason_is(&kept, REASON_UNAVAILABLE)) {
			refusal_clear(&now);
			continue;
		}
		refusal_clear(&kept);
		kept = now;
	}
	refusal_clear(why);
	*why = kept;
	return rc ? why->err.code : 0;
}

/* It is not this host that does not know the provider or has a fault, nor this host's caller that may not. */
static int code_here(int code)
{
	return code == VMC_ENOENT || code == VMC_EPERM || code == VMC_EINTERNAL ? VMC_EREFUSED : code;
}

/* @body is consumed. *@token stays the caller's also after a failure; NULL: none. */
static int ask(struct trusted *t, const char *path, json_t *body, json_t **answer, struct agent_token **token,
	       struct vmc_error *err)
{
	struct refusal why = { .details = NULL };
	int rc = body ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a request to provider '%s'", t->base.p.name);

	*answer = NULL;
	*token = NULL;
	memset(&why.err, 0, sizeof(why.err));
	for (int i = 0; !rc && i < 2; i++) {
		rc = agent_token(t->agent, token, err);
		if (rc)
			break;
		rc = ask_each(t, path, body, *token, answer, &why);
		if (!rc)
			break;
		rc = reason_is(&why, REASON_NOT_AUTHORIZED) ? VMC_ENOTATTESTED : code_here(rc);
		why.err.code = rc;
		if (err)
			*err = why.err;
		if (i || rc != VMC_ENOTATTESTED)
			break;
		/* it ended on the way, or the authority's key is another now: one more, with another token */
		agent_drop(t->agent, *token);
		agent_put(t->agent, *token);
		*token = NULL;
		rc = 0;
	}
	refusal_clear(&why);
	json_decref(body);
	return rc;
}

static void done(struct trusted *t, json_t *answer, struct agent_token *token)
{
	json_decref(answer);
	if (token)
		agent_put(t->agent, token);
}

static json_t *request(const struct trusted *t)
{
	return json_pack("{s:s}", "provider", agent_conf(t->agent)->key_provider);
}

static int nonsense(const struct trusted *t, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EPROTO, "the key provider service of provider '%s' gives an answer that makes no sense",
			t->base.p.name);
}

/* ---- keys ----------------------------------------------------------------------- */

static enum provider_key_state state_of(const char *name)
{
	for (enum provider_key_state s = PKS_UNKNOWN; name && s <= PKS_MISSING; s++)
		if (!strcmp(provider_key_state_name(s), name))
			return s;
	return PKS_UNKNOWN;
}

static json_t *find_key(const json_t *answer, const char *id)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(answer, "keys"), i, o) {
		const char *s = json_string_value(json_object_get(o, "id"));

		if (s && !strcmp(s, id))
			return o;
	}
	return NULL;
}

static int own_error(struct provider_key *k, const json_t *e)
{
	const char *text = json_string_value(json_object_get(e, "text"));
	const char *hint = json_string_value(json_object_get(e, "hint"));

	k->code = code_here(vmc_code_from_name(json_string_value(json_object_get(e, "code"))));
	vmc_fail(&k->err, k->code, "%s", text ? text : _("the key provider service does not say why"));
	if (hint)
		vmc_hint(&k->err, "%s", hint);
	return k->code;
}

static int open_key(struct provider_key *k, const char *jwe, const struct agent_token *token)
{
	size_t n = 0;
	int rc;

	k->material = secmem_alloc(PROVIDER_KEY_LEN);
	if (!k->material)
		return vmc_fail(&k->err, VMC_ENOMEM, "the secure heap is full; key '%s' was not taken", k->id);
	rc = jwe_open(token->key, token->id, jwe, k->material, PROVIDER_KEY_LEN, &n, &k->err);
	if (!rc && n != PROVIDER_KEY_LEN)
		rc = vmc_fail(&k->err, VMC_EPROTO, "key '%s' has %zu bytes, not %d", k->id, n, PROVIDER_KEY_LEN);
	if (rc) {
		secmem_free(k->material, PROVIDER_KEY_LEN);
		k->material = NULL;
	}
	return rc;
}

/* @want: its bytes, too. */
static void take_key(const struct trusted *t, struct provider_key *k, const json_t *answer,
		     const struct agent_token *token, bool want)
{
	const json_t *o = find_key(answer, k->id), *e = json_object_get(o, "error");
	const char *jwe = json_string_value(json_object_get(o, "key"));

	k->err = (struct vmc_error)VMC_ERROR_INIT;
	k->lease = token->lease;
	if (!o) {
		k->code = nonsense(t, &k->err);
		return;
	}
	k->state = state_of(json_string_value(json_object_get(o, "state")));
	if (json_is_object(e))
		own_error(k, e);
	else if (!want)
		k->code = 0;
	else
		k->code = jwe ? open_key(k, jwe, token) : nonsense(t, &k->err);
}

static int fetch(struct provider *p, struct provider_key *keys, size_t n, bool want, struct vmc_error *err)
{
	struct trusted *t = of(p);
	json_t *body = request(t), *ids = json_array(), *answer;
	struct vmc_error why = VMC_ERROR_INIT;
	struct agent_token *token;
	int rc;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(ids, json_string(keys[i].id));
	if (json_array_size(ids) != n || json_object_set(body, "ids", ids)) {
		json_decref(body);
		body = NULL;
	}
	json_decref(ids);
	rc = ask(t, want ? "/v1/keys/get" : "/v1/keys/state", body, &answer, &token, &why);
	for (size_t i = 0; i < n; i++) {
		if (!rc) {
			take_key(t, &keys[i], answer, token, want);
			continue;
		}
		keys[i].code = rc;
		keys[i].err = why;
	}
	done(t, answer, token);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = keys[i].code;
		why = keys[i].err;
	}
	if (rc && err)
		*err = why;
	return rc;
}

static int trusted_get(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	return fetch(p, keys, n, true, err);
}

static int trusted_key_states(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	return fetch(p, keys, n, false, err);
}

static int trusted_create(struct provider *p, const char *label, char id[PROVIDER_KEY_ID_MAX + 1],
			  struct vmc_error *err)
{
	struct trusted *t = of(p);
	json_t *body = request(t), *answer;
	struct agent_token *token;
	const char *s;
	int rc;

	json_object_set_new(body, "label", json_string(label ? label : ""));
	rc = ask(t, "/v1/keys/create", body, &answer, &token, err);
	s = json_string_value(json_object_get(answer, "id"));
	if (!rc && (!s || !*s || strlen(s) > PROVIDER_KEY_ID_MAX))
		rc = nonsense(t, err);
	if (!rc)
		snprintf(id, PROVIDER_KEY_ID_MAX + 1, "%s", s);
	done(t, answer, token);
	return rc;
}

static int trusted_list(struct provider *p, char ***ids, size_t *n, struct vmc_error *err)
{
	struct trusted *t = of(p);
	struct agent_token *token;
	json_t *answer, *list, *o;
	size_t i;
	int rc;

	*ids = NULL;
	*n = 0;
	rc = ask(t, "/v1/keys/list", request(t), &answer, &token, err);
	list = json_object_get(answer, "ids");
	if (!rc && (!json_is_array(list) || json_array_size(list) > LIST_MAX))
		rc = nonsense(t, err);
	if (!rc) {
		*ids = calloc(json_array_size(list) + 1, sizeof(**ids));
		if (!*ids)
			rc = vmc_fail(err, VMC_ENOMEM, "no memory for the list of keys");
	}
	json_array_foreach(list, i, o) {
		if (rc || !json_string_value(o))
			continue;
		(*ids)[*n] = strdup(json_string_value(o));
		if ((*ids)[*n])
			(*n)++;
	}
	done(t, answer, token);
	return rc;
}

static int trusted_destroy(struct provider *p, const char *id, struct vmc_error *err)
{
	struct trusted *t = of(p);
	json_t *body = request(t), *answer;
	struct agent_token *token;
	int rc;

	json_object_set_new(body, "id", json_string(id));
	rc = ask(t, "/v1/keys/destroy", body, &answer, &token, err);
	done(t, answer, token);
	return rc;
}

static const struct provider_ops trusted_ops;

/* ---- what people see -------------------------------------------------------------- */

/* Can the service use its key servers? It says so to hosts that are attested. */
static int check_provider(const struct trusted *t, const char *who, const json_t *answer, struct vmc_error *err)
{
	const char *want = agent_conf(t->agent)->key_provider, *name, *error;
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(answer, "providers"), i, o) {
		name = json_string_value(json_object_get(o, "name"));
		if (!name || strcmp(name, want) || json_is_true(json_object_get(o, "reachable")))
			continue;
		error = json_string_value(json_object_get(o, "error"));
		return vmc_fail(err, VMC_EREFUSED, "the %s cannot use its key provider '%s': %s", who, want,
				error ? error : _("no server answers"));
	}
	return 0;
}

/* One service, into the list; true: it is well. @token: NULL, or for what only hosts that are attested are told. */
static bool look(const struct trusted *t, const struct trusted_authority *a, bool kmx, const struct agent_token *token,
		 json_t *list)
{
	const struct trusted_world *w = agent_world(t->agent);
	char who[TRUSTED_NAME_MAX + 64], correlation[HTTP_CORRELATION];
	struct trusted_request r = {
		.who = who, .server = kmx ? &a->kmx : &a->attest, .path = "/v1/health", .correlation = correlation,
		.bearer = kmx && token ? token->jwt : NULL, .timeout_ms = HEALTH_MS,
	};
	struct refusal why = { .details = NULL };
	uint64_t start = vmc_now_ms();
	json_t *answer = NULL, *o;
	const char *status;
	bool ok;

	memset(&why.err, 0, sizeof(why.err));
	snprintf(who, sizeof(who), kmx ? _("key provider service of '%s'") : _("attestation service of '%s'"), a->name);
	http_correlation_new(correlation);
	ok = !w->ask(w->data, &r, &answer, &why);
	status = json_string_value(json_object_get(answer, "status"));
	if (ok && (!status || strcmp(status, "ok"))) {
		ok = false;
		vmc_fail(&why.err, VMC_EREFUSED, "the %s says that it is not well: %s", who, status ? status : "?");
	}
	ok = ok && !check_provider(t, who, answer, &why.err);
	o = json_pack("{s:s, s:i, s:s, s:s, s:b, s:I, s:O*}", "host", r.server->host, "port", (int)r.server->port,
		      "authority", a->name, "service", kmx ? "key provider" : "attestation", "ok", (int)ok,
		      "latency_ms", (json_int_t)(vmc_now_ms() - start), "version", json_object_get(answer, "version"));
	if (o && !ok)
		json_object_set_new(o, "error", json_string(why.err.text));
	json_array_append_new(list, o);
	json_decref(answer);
	refusal_clear(&why);
	return ok;
}

static int trusted_test(struct provider *p, json_t **report, struct vmc_error *err)
{
	struct trusted *t = of(p);
	const struct trusted_conf *c = agent_conf(t->agent);
	struct vmc_error why = VMC_ERROR_INIT;
	json_t *list = json_array(), *o;
	struct agent_token *token = NULL;
	bool reachable = false;
	int rc = agent_attest(t->agent, AGENT_IF_DUE, &why), r;

	if (agent_is_good(t->agent))
		agent_token(t->agent, &token, NULL);
	for (unsigned int i = 0; i < c->n; i++) {
		look(t, &c->a[i], false, NULL, list);
		reachable |= look(t, &c->a[i], true, token, list);
	}
	if (token)
		agent_put(t->agent, token);
	/* a token that is good is good, whatever became of the next one */
	if (rc && rc != VMC_ENOTATTESTED && agent_is_good(t->agent))
		rc = 0;
	o = json_pack("{s:s, s:b, s:o, s:n, s:o*, s:I}", "kind", TRUSTED_KIND, "reachable", reachable && !rc, "servers", list,
		      "client_cert", "attestation", agent_status(t->agent), "next", (json_int_t)agent_due(t->agent));
	if (!o)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the report about provider '%s'", p->name);
	r = 0;
	if (rc)
		r = json_object_set_new(o, "error", json_string(why.text)) |
		    json_object_set_new(o, "code", json_string(vmc_code_name(rc))) |
		    json_object_set_new(o, "hint", json_string(why.hint));
	if (r) {
		json_decref(o);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the report about provider '%s'", p->name);
	}
	*report = o;
	return 0;
}

static bool trusted_distrusts(struct provider *p)
{
	return agent_is_refused(of(p)->agent);
}

int trusted_status(struct provider *p, json_t **status, struct vmc_error *err)
{
	if (p->ops != &trusted_ops) {
		int rc = vmc_fail(err, VMC_ENOTSUP, "key provider '%s' is of kind %s: there is nobody to attest this host",
				  p->name, p->ops->kind);

		vmc_hint(err, "'vmcrypt provider add trusted NAME --services-info FILE' adds one that is");
		return rc;
	}
	*status = agent_status(of(p)->agent);
	return *status ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the state of provider '%s'", p->name);
}

int trusted_attest(struct provider *p, enum agent_how how, struct vmc_error *err)
{
	json_t *status = NULL;
	int rc = trusted_status(p, &status, err);

	json_decref(status);
	return rc ? rc : agent_attest(of(p)->agent, how, err);
}

/* ---- life -------------------------------------------------------------------------- */

static void trusted_free(struct provider *p)
{
	agent_free(of(p)->agent);
	free(p);
}

static const struct provider_ops trusted_ops = {
	.kind = TRUSTED_KIND,
	.create = trusted_create,
	.get = trusted_get,
	.state = trusted_key_states,
	.list = trusted_list,
	.destroy = trusted_destroy,
	.test = trusted_test,
	.distrusts = trusted_distrusts,
	.free = trusted_free,
};

static int trusted_make(const char *name, const char *dir, const struct vmc_config *cfg, struct provider_base **out,
			struct vmc_error *err)
{
	struct trusted *t = calloc(1, sizeof(*t));
	struct trusted_world world;
	struct trusted_conf conf;
	char path[PATH_MAX];
	int rc;

	*out = NULL;
	if (!t)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	t->base.p.ops = &trusted_ops;
	t->timeout_ms = cfg->connect_timeout_ms + cfg->request_timeout_ms;
	atomic_init(&t->base.refs, 1);
	snprintf(t->base.p.name, sizeof(t->base.p.name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", dir, PROVIDER_CONF);
	rc = trusted_conf_load(&conf, path, err);
	if (!rc)
		rc = make_world(&world, cfg, err);
	if (!rc)
		rc = agent_new(&t->agent, name, &conf, cfg, &world, err);
	if (rc) {
		free(t);
		return vmc_prefix(err, "provider '%s': ", name);
	}
	*out = &t->base;
	return 0;
}

/* It is made whole. */
static void trusted_lacks(const struct providers *ps, const char *name, char out[256])
{
	(void)ps, (void)name;
	out[0] = '\0';
}

static json_t *server_list(const struct trusted_conf *c)
{
	char text[TRUSTED_HOST_MAX + 16];
	json_t *a = json_array();

	for (unsigned int i = 0; i < c->n; i++) {
		trusted_server_text(&c->a[i].kmx, text);
		json_array_append_new(a, json_string(text));
	}
	return a;
}

/* How it stands with this host, without asking anybody. */
static json_t *attestation(struct providers *ps, const char *name)
{
	struct provider *p;
	json_t *o = NULL;

	if (providers_get(ps, name, &p, NULL))
		return NULL;
	trusted_status(p, &o, NULL);
	provider_put(p);
	return o;
}

static json_t *trusted_describe(struct providers *ps, const char *name)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct trusted_conf conf;
	char path[PATH_MAX];
	json_t *status;

	if (registry_path(ps, name, PROVIDER_CONF, path, &err) || trusted_conf_load(&conf, path, &err))
		return json_pack("{s:[], s:n, s:o}", "servers", "client_cert", "state",
				 json_sprintf(_("cannot be used: %s"), err.text));
	status = attestation(ps, name);
	return json_pack("{s:o, s:n, s:s, s:s, s:s, s:I, s:o*}", "servers", server_list(&conf), "client_cert", "state",
			 json_string_value(json_object_get(status, "state")) ?: "unknown", "cluster", conf.cluster,
			 "key_provider", conf.key_provider, "serial", (json_int_t)conf.serial, "attestation", status);
}

static void trusted_forget(const struct providers *ps, const char *name)
{
	agent_forget(&ps->cfg, name);
}

const struct provider_kind trusted_kind = {
	.name = TRUSTED_KIND,
	.lacks = trusted_lacks,
	.make = trusted_make,
	.describe = trusted_describe,
	.forget = trusted_forget,
};

/* ---- adding one ---------------------------------------------------------------------- */

static int refuse_other(struct providers *ps, const char *name, const struct trusted_conf *c, struct vmc_error *err)
{
	const struct provider_kind *kind;
	struct trusted_conf old;
	char path[PATH_MAX];
	int rc = registry_kind(ps, name, &kind, err);

	if (!rc && kind != &trusted_kind)
		rc = vmc_fail(err, VMC_EEXIST, "there is a key provider '%s' already, of kind %s", name, kind->name);
	if (!rc)
		rc = registry_path(ps, name, PROVIDER_CONF, path, err);
	if (!rc)
		rc = trusted_conf_load(&old, path, err);
	if (rc)
		return rc;
	if (strcmp(old.cluster, c->cluster) || strcmp(old.key_provider, c->key_provider)) {
		rc = vmc_fail(err, VMC_EEXIST, "key provider '%s' is key provider '%s' of authority '%s', the file is of '%s' of '%s'",
			      name, old.key_provider, old.cluster, c->key_provider, c->cluster);
		vmc_hint(err, "add it under a name of its own");
		return rc;
	}
	if (c->serial < old.serial) {
		rc = vmc_fail(err, VMC_EREPLAY, "the services-info file is of serial %lld, provider '%s' has %lld already",
			      c->serial, name, old.serial);
		vmc_hint(err, "have the authority export a new one: 'vmcrypt trust services-info --out FILE'");
		return rc;
	}
	return 0;
}

/* What is there learns where the services are now. Under ps->change. */
static int add_or_renew(struct providers *ps, const char *name, const struct trusted_conf *c, struct vmc_error *err)
{
	char *text = trusted_conf_text(c), path[PATH_MAX];
	struct registry_file file = { PROVIDER_CONF, text, text ? strlen(text) : 0 };
	int rc;

	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	if (registry_find(ps, name, NULL)) {
		rc = registry_add(ps, name, &file, 1, err);
	} else {
		rc = refuse_other(ps, name, c, err);
		if (!rc)
			rc = registry_path(ps, name, PROVIDER_CONF, path, err);
		if (!rc)
			rc = fs_replace(path, text, strlen(text), 0600, err);
	}
	free(text);
	return rc;
}

int providers_add_trusted(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err)
{
	const char *info = json_string_value(json_object_get(options, "services_info"));
	struct trusted_conf conf;
	const char *member;
	json_t *v;
	int rc;

	json_object_foreach((json_t *)options, member, v)
		if (strcmp(member, "services_info"))
			return vmc_fail(err, VMC_EINVAL, "a trusted key provider has no option '%.60s'", member);
	if (!info)
		return vmc_fail(err, VMC_EINVAL, "the services-info file of the Trust Authority is missing");
	rc = trusted_conf_from_info(&conf, name, info, strlen(info), err);
	if (rc)
		return rc;
	pthread_mutex_lock(&ps->change);
	rc = add_or_renew(ps, name, &conf, err);
	pthread_mutex_unlock(&ps->change);
	return rc;
}
