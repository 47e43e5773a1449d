// SPDX-License-Identifier: GPL-2.0-or-later
/* Tokens in, encrypted keys out. */
#include "service.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../lib/util.h"
#include "../service/trustees.h"
#include "../token/ear.h"
#include "../token/jwe.h"
#include "../token/jwt.h"
#include "made.h"

#define AUDIENCE	"vmcrypt-kmxd:"
#define LABEL_MAX	200
#define HEALTH_MS	5000	/* that one look at the key servers is good for */

struct kmx_service {
	struct vmc_config cfg;
	pthread_mutex_t lock;		/* guards @providers */
	struct providers *providers;
	uint64_t files;			/* mark of the files that they were read from */
	struct trustees_cache trustees;
	struct made *made;
	pthread_mutex_t health_lock;	/* guards what follows */
	json_t *health, *health_state;	/* the state that it is of */
	uint64_t health_at;
	atomic_bool look_again;		/* the providers were read anew */
};

/* One request with a good token. */
struct request {
	struct kmx_service *s;
	const struct kmx_call *c;
	struct kmx_note *note;
	struct refusal *r;
	struct ear_result host;
	struct provider *provider;
};

/* ---- the providers' files ---------------------------------------------------- */

static uint64_t mix(uint64_t mark, const struct stat *st)
{
	mark = (mark ^ (uint64_t)st->st_ino) * 0x100000001b3u;
	mark = (mark ^ (uint64_t)st->st_mtim.tv_sec) * 0x100000001b3u;
	return (mark ^ (uint64_t)st->st_mtim.tv_nsec) * 0x100000001b3u;
}

/* Other when a provider came, went, or had a file replaced: that changes the folder it is in. */
static uint64_t mark_of(const struct kmx_service *s)
{
	uint64_t mark = 0xcbf29ce484222325u, sum = 0;
	char path[512];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/providers", s->cfg.config_dir);
	d = opendir(path);
	if (!d)
		return mark;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, 0))
			sum += mix(mark, &st);
	if (!fstat(dirfd(d), &st))
		mark = mix(mark ^ sum, &st);
	closedir(d);
	return mark;
}

int kmx_open(struct kmx_service **out, const struct vmc_config *cfg, struct vmc_error *err)
{
	struct kmx_service *s = calloc(1, sizeof(*s));
	char dir[sizeof(cfg->config_dir) + sizeof("/made")];
	int rc;

	snprintf(dir, sizeof(dir), "%s/made", cfg->config_dir);
	if (s)
		s->made = made_new(dir);
	if (!s || !s->made) {
		free(s);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the Key Provider Service");
	}
	s->cfg = *cfg;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->health_lock, NULL);
	trustees_init(&s->trustees);
	s->files = mark_of(s);
	rc = providers_open(&s->providers, &s->cfg, err);
	if (rc)
		kmx_close(s);
	else
		*out = s;
	return rc;
}

void kmx_close(struct kmx_service *s)
{
	if (!s)
		return;
	if (s->providers)
		providers_close(s->providers);
	trustees_end(&s->trustees);
	made_free(s->made);
	json_decref(s->health);
	json_decref(s->health_state);
	pthread_mutex_destroy(&s->health_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int kmx_reload(struct kmx_service *s, struct vmc_error *err)
{
	uint64_t files = mark_of(s);
	struct providers *fresh, *old;
	int rc = providers_open(&fresh, &s->cfg, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	old = s->providers;
	s->providers = fresh;
	s->files = files;
	pthread_mutex_unlock(&s->lock);
	providers_close(old);	/* those in use live on until they are put back */
	atomic_store(&s->look_again, true);
	return 0;
}

/* A provider as its files are now; counted. */
static int get_provider(struct kmx_service *s, const char *name, struct provider **p, struct vmc_error *err)
{
	uint64_t files = mark_of(s);
	bool changed;
	int rc;

	pthread_mutex_lock(&s->lock);
	changed = files != s->files;
	pthread_mutex_unlock(&s->lock);
	rc = changed ? kmx_reload(s, err) : 0;
	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = providers_get(s->providers, name, p, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int no_memory(struct refusal *r)
{
	vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer");
	return refuse(r, REASON_UNAVAILABLE);
}

/* ---- who asks -------------------------------------------------------------- */

static int not_authorized(struct refusal *r)
{
	vmc_prefix(&r->err, "no key without attestation: ");
	vmc_hint(&r->err, "attest the host anew: vmcrypt trust host attest");
	return refuse(r, REASON_NOT_AUTHORIZED);
}

static int verify(struct kmx_service *s, const struct kmx_call *c, json_t **claims, struct refusal *r)
{
	char audience[128];
	const struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .aud = audience, .now = c->now, .lives = true };
	const char *cluster = json_string_value(json_object_get(c->state, "cluster"));
	struct trustees *t;
	int rc = trustees_get(&s->trustees, c->state, NULL, &t, &r->err);

	if (rc) {
		refuse(r, REASON_UNAVAILABLE);
		return rc;
	}
	snprintf(audience, sizeof(audience), "%s%s", AUDIENCE, cluster ? cluster : "");
	rc = jwt_verify(c->token, t->keys, t->n_keys, &want, claims, &r->err);
	trustees_put(&s->trustees, t);
	return rc ? not_authorized(r) : 0;
}

/* @host points into @claims. */
static int authorize(struct kmx_service *s, const struct kmx_call *c, json_t **claims, struct ear_result *host,
		     struct kmx_note *note, struct refusal *r)
{
	int rc;

	*claims = NULL;
	if (!c->token || !*c->token) {
		vmc_fail(&r->err, VMC_EAUTH, "the request carries no token");
		return not_authorized(r);
	}
	rc = verify(s, c, claims, r);
	if (rc)
		return rc;
	rc = ear_read(*claims, host, &r->err);
	if (rc)
		return not_authorized(r);
	snprintf(note->host, sizeof(note->host), "%s", host->host);
	snprintf(note->ek, sizeof(note->ek), "%s", host->subject);
	snprintf(note->jti, sizeof(note->jti), "%s", host->jti);
	if (host->confirmation)
		return 0;
	vmc_fail(&r->err, VMC_ETRUST, "the token names no key that keys could be encrypted to");
	return not_authorized(r);
}

int kmx_token(struct kmx_service *s, const struct kmx_call *c, struct kmx_note *note, struct refusal *r)
{
	struct ear_result host = { .confirmation = NULL };
	json_t *claims;
	int rc = authorize(s, c, &claims, &host, note, r);

	ear_clear(&host);
	json_decref(claims);
	return rc;
}

/* ---- which provider --------------------------------------------------------- */

static const json_t *listed(const json_t *state, const char *name)
{
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(state, "key_providers"), i, p)
		if (name ? json_is_string(json_object_get(p, "name")) &&
			   !strcmp(json_string_value(json_object_get(p, "name")), name) :
			   json_is_true(json_object_get(p, "default")))
			return p;
	return NULL;
}

static int find_provider(struct request *q)
{
	const json_t *name = json_object_get(q->c->body, "provider"), *p;
	int rc;

	p = name && !json_is_string(name) ? NULL : listed(q->c->state, json_string_value(name));
	if (!p) {
		if (json_is_string(name))
			vmc_fail(&q->r->err, VMC_ENOENT, "this Trust Authority has no key provider '%.63s'",
				 json_string_value(name));
		else
			vmc_fail(&q->r->err, VMC_ENOENT, "this Trust Authority has no default key provider");
		vmc_hint(&q->r->err, "see what it has on an authority: vmcrypt trust key-provider list");
		return refuse(q->r, REASON_NOT_FOUND);
	}
	snprintf(q->note->provider, sizeof(q->note->provider), "%s", json_string_value(json_object_get(p, "name")));
	rc = get_provider(q->s, q->note->provider, &q->provider, &q->r->err);
	return rc ? refuse(q->r, REASON_KEY_PROVIDER) : 0;
}

/* ---- keys -------------------------------------------------------------------- */

static int bad_request(struct request *q, const char *what)
{
	vmc_fail(&q->r->err, VMC_EINVAL, "the request has no good '%s'", what);
	return refuse(q->r, REASON_BAD_REQUEST);
}

static bool id_ok(const json_t *id)
{
	const char *s = json_string_value(id);

	return s && *s && strlen(s) <= PROVIDER_KEY_ID_MAX;
}

static int read_ids(struct request *q, struct provider_key **keys, size_t *n)
{
	const json_t *ids = json_object_get(q->c->body, "ids"), *id;
	size_t i;

	*n = json_array_size(ids);
	if (!*n || *n > KMX_IDS_MAX)
		return bad_request(q, "ids");
	json_array_foreach(ids, i, id)
		if (!id_ok(id))
			return bad_request(q, "ids");
	*keys = calloc(*n, sizeof(**keys));
	if (!*keys)
		return no_memory(q->r);
	json_array_foreach(ids, i, id)
		snprintf((*keys)[i].id, sizeof((*keys)[i].id), "%s", json_string_value(id));
	return 0;
}

static json_t *error_of(const struct provider_key *k)
{
	struct refusal r = { .err = k->err };
	json_t *whole, *e;

	r.err.code = k->code;
	refuse(&r, REASON_KEY_PROVIDER);
	whole = refusal_json(&r, "");
	e = json_incref(json_object_get(whole, "error"));
	json_decref(whole);
	return e;
}

/* {id, state, key?, error?}; @with_key: the key itself, to the host only. */
static json_t *key_json(struct request *q, const struct provider_key *k, bool with_key)
{
	json_t *o = json_pack("{s:s, s:s}", "id", k->id, "state", provider_key_state_name(k->state));
	struct vmc_error err = VMC_ERROR_INIT;
	char *jwe = NULL;
	int rc = 0;

	if (k->code) {
		rc = json_object_set_new(o, "error", error_of(k));
	} else if (with_key) {
		rc = k->material ? jwe_seal(q->host.confirmation, q->host.jti, k->material, PROVIDER_KEY_LEN, &jwe, &err) :
		     VMC_EINTERNAL;
		if (!rc)
			rc = json_object_set_new(o, "key", json_string(jwe));
		if (!rc)
			q->note->keys++;
	}
	free(jwe);
	if (!rc)
		return o;
	json_decref(o);
	return NULL;
}

static int answer_keys(struct request *q, const struct provider_key *keys, size_t n, bool with_keys, json_t **result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, key_json(q, &keys[i], with_keys))) {
			json_decref(list);
			return no_memory(q->r);
		}
	*result = json_pack("{s:s, s:o}", "provider", q->note->provider, "keys", list);
	return *result ? 0 : no_memory(q->r);
}

/* The call failed for what is wrong with one of the keys: then each is told on its own. */
static bool about_keys(int rc, const struct provider_key *keys, size_t n)
{
	if (!keys || (rc != VMC_ENOKEY && rc != VMC_EKEYSTATE && rc != VMC_EREFUSED))
		return false;
	for (size_t i = 0; i < n; i++)
		if (keys[i].code == rc)
			return true;
	return false;
}

/* HAS: whether the key server gives them, which nobody else is told. */
enum about { STATE, GET, HAS };

static int about(struct request *q, enum about what, json_t **result)
{
	struct provider_key *keys = NULL;
	size_t n;
	int rc = read_ids(q, &keys, &n);

	if (!rc) {
		rc = (what == STATE ? q->provider->ops->state : q->provider->ops->get)(q->provider, keys, n, &q->r->err);
		if (about_keys(rc, keys, n))
			rc = 0;
		if (rc)
			refuse(q->r, REASON_KEY_PROVIDER);
	}
	if (!rc)
		rc = answer_keys(q, keys, n, what == GET, result);
	if (keys)
		provider_keys_clear(keys, n);
	free(keys);
	return rc;
}

static int do_get(struct request *q, json_t **result)
{
	return about(q, GET, result);
}

static int do_state(struct request *q, json_t **result)
{
	return about(q, STATE, result);
}

/*
 * The key @id was made and reaches no host: nobody would know of it but the key server. It is destroyed; when that fails,
 * too, the words name it.
 */
static void take_back(struct request *q, const char *id)
{
	struct vmc_error e = VMC_ERROR_INIT;

	snprintf(q->note->orphan, sizeof(q->note->orphan), "%s", id);
	q->note->orphan_gone = !q->provider->ops->destroy(q->provider, id, &e);
	if (q->note->orphan_gone)
		vmc_prefix(&q->r->err, "a new key could not be handed out, and was destroyed again: ");
	else
		vmc_prefix(&q->r->err, "a new key, '%s', could not be handed out, and not be destroyed either (%s): ", id, e.text);
}

/* The new key with the id in @k, for the host. */
static int hand_out(struct request *q, struct provider_key *k, json_t **result)
{
	int rc = q->provider->ops->get(q->provider, k, 1, &q->r->err);
	json_t *o;

	if (!rc && k->code) {
		q->r->err = k->err;
		rc = q->r->err.code = k->code;
	}
	if (rc)
		return refuse(q->r, REASON_KEY_PROVIDER);
	o = key_json(q, k, true);
	*result = o ? json_pack("{s:s, s:O, s:O}", "provider", q->note->provider, "id", json_object_get(o, "id"), "key",
				json_object_get(o, "key")) : NULL;
	json_decref(o);
	return *result ? 0 : no_memory(q->r);
}

static int do_create(struct request *q, json_t **result)
{
	const json_t *label = json_object_get(q->c->body, "label");
	struct provider_key k = { .code = 0 };
	int rc;

	if (!json_is_string(label) || json_string_length(label) > LABEL_MAX)
		return bad_request(q, "label");
	rc = q->provider->ops->create(q->provider, json_string_value(label), k.id, &q->r->err);
	if (rc)
		return refuse(q->r, REASON_KEY_PROVIDER);
	rc = hand_out(q, &k, result);
	if (rc)
		take_back(q, k.id);
	else
		made_set(q->s->made, q->note->provider, k.id);
	provider_keys_clear(&k, 1);
	return rc;
}

static int do_list(struct request *q, json_t **result)
{
	json_t *list = json_array();
	char **ids = NULL;
	size_t n = 0;
	int rc = q->provider->ops->list(q->provider, &ids, &n, &q->r->err);

	if (rc)
		refuse(q->r, REASON_KEY_PROVIDER);
	for (size_t i = 0; ids && i < n; i++) {
		json_array_append_new(list, json_string(ids[i]));
		free(ids[i]);
	}
	free(ids);
	if (!rc) {
		*result = json_pack("{s:s, s:O}", "provider", q->note->provider, "ids", list);
		rc = *result ? 0 : no_memory(q->r);
	}
	json_decref(list);
	return rc;
}

/* What a key encrypted is lost on every host, so one attested host alone is not to have it done. */
static bool may_destroy(struct request *q)
{
	if (json_is_true(json_object_get(json_object_get(q->c->state, "policy"), "hosts_destroy_keys")))
		return true;
	vmc_fail(&q->r->err, VMC_EPERM, "hosts of this Trust Authority may not destroy keys");
	vmc_hint(&q->r->err, "destroy it on the key server, or, on an authority: vmcrypt trust policy set --hosts-destroy-keys yes");
	return false;
}

static int do_destroy(struct request *q, json_t **result)
{
	const json_t *id = json_object_get(q->c->body, "id");
	int rc;

	if (!id_ok(id))
		return bad_request(q, "id");
	if (!may_destroy(q))
		return refuse(q->r, REASON_NOT_ALLOWED);
	rc = q->provider->ops->destroy(q->provider, json_string_value(id), &q->r->err);
	if (rc)
		return refuse(q->r, REASON_KEY_PROVIDER);
	snprintf(q->note->destroyed, sizeof(q->note->destroyed), "%s", json_string_value(id));
	made_forget(q->s->made, q->note->provider, q->note->destroyed);
	*result = json_pack("{s:s}", "provider", q->note->provider);
	return *result ? 0 : no_memory(q->r);
}

static int do_providers(struct request *q, json_t **result)
{
	json_t *list = json_array(), *p;
	size_t i;

	json_array_foreach(json_object_get(q->c->state, "key_providers"), i, p)
		json_array_append_new(list, json_pack("{s:O, s:O}", "name", json_object_get(p, "name"), "default",
						      json_object_get(p, "default")));
	*result = json_pack("{s:o}", "providers", list);
	return *result ? 0 : no_memory(q->r);
}

static const struct verb {
	const char *name;
	bool provider;
	int (*run)(struct request *q, json_t **result);
} verbs[] = {
	{ "create", true, do_create }, { "get", true, do_get }, { "state", true, do_state }, { "list", true, do_list },
	{ "destroy", true, do_destroy }, { "providers", false, do_providers },
};

int kmx_keys(struct kmx_service *s, const char *verb, const struct kmx_call *c, json_t **result,
	     struct kmx_note *note, struct refusal *r)
{
	struct request q = { .s = s, .c = c, .note = note, .r = r };
	const struct verb *v = NULL;
	json_t *claims = NULL;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, verb))
			v = &verbs[i];
	if (!v) {
		vmc_fail(&r->err, VMC_ENOENT, "the Key Provider Service knows no request 'keys/%.40s'", verb);
		return refuse(r, REASON_NOT_FOUND);
	}
	snprintf(note->verb, sizeof(note->verb), "%s", v->name);
	rc = authorize(s, c, &claims, &q.host, note, r);
	if (!rc && v->provider)
		rc = find_provider(&q);
	if (!rc)
		rc = v->run(&q, result);
	if (q.provider)
		provider_put(q.provider);
	ear_clear(&q.host);
	json_decref(claims);
	return rc;
}

/* ---- health ------------------------------------------------------------------ */

/* Into @o: "made", the last key that was made here, if this authority still gets it; "refused": why it does not. */
static void look_at_made(struct kmx_service *s, struct provider *p, const char *name, json_t *o)
{
	struct provider_key k = { .code = 0 };
	struct vmc_error err = VMC_ERROR_INIT;

	if (!made_get(s->made, name, k.id))
		return;
	switch (p->ops->get(p, &k, 1, &err)) {
	case 0:
		json_object_set_new(o, "made", json_string(k.id));
		break;
	case VMC_ENOKEY:	/* destroyed, by another authority or on the key server */
	case VMC_EKEYSTATE:
		made_forget(s->made, name, k.id);
		break;
	case VMC_EREFUSED:
		json_object_set_new(o, "refused", json_string(err.text));
		break;
	default:
		break;		/* says nothing about keys */
	}
	provider_keys_clear(&k, 1);
}

static json_t *provider_health(struct kmx_service *s, const char *name)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *p = NULL;
	json_t *report = NULL, *o;
	int rc;

	rc = get_provider(s, name, &p, &err);
	if (!rc)
		rc = p->ops->test(p, &report, &err);
	if (rc && p)
		provider_put(p);
	if (rc)
		return json_pack("{s:s, s:b, s:s, s:[]}", "name", name, "reachable", 0, "error", err.text, "servers");
	o = json_pack("{s:s, s:O*, s:O*, s:O*, s:O*, s:O*}", "name", name, "reachable", json_object_get(report, "reachable"),
		      "servers", json_object_get(report, "servers"), "client_cert", json_object_get(report, "client_cert"),
		      "warnings", json_object_get(report, "warnings"), "error", json_object_get(report, "error"));
	if (json_is_true(json_object_get(report, "reachable")))
		look_at_made(s, p, name, o);
	provider_put(p);
	json_decref(report);
	return o;
}

int kmx_gets(struct kmx_service *s, const struct kmx_call *c, json_t **result, struct refusal *r)
{
	struct kmx_note note = { .keys = 0 };
	struct request q = { .s = s, .c = c, .note = &note, .r = r };
	int rc = find_provider(&q);

	if (rc || !q.provider)
		return rc;
	rc = about(&q, HAS, result);
	provider_put(q.provider);
	return rc;
}

static json_t *look(struct kmx_service *s, const json_t *state)
{
	json_t *list = json_array(), *p;
	size_t i;

	json_array_foreach(json_object_get(state, "key_providers"), i, p)
		json_array_append_new(list, provider_health(s, json_string_value(json_object_get(p, "name"))));
	return list;
}

int kmx_health(struct kmx_service *s, const json_t *state, json_t **providers, struct vmc_error *err)
{
	bool again;

	/* who comes while somebody looks waits for what that one finds */
	pthread_mutex_lock(&s->health_lock);
	again = atomic_exchange(&s->look_again, false);
	if (again || !s->health || s->health_state != state || vmc_now_ms() - s->health_at > HEALTH_MS) {
		json_decref(s->health);
		json_decref(s->health_state);
		s->health = look(s, state);
		s->health_state = json_incref((json_t *)state);
		s->health_at = vmc_now_ms();
	}
	*providers = json_incref(s->health);
	pthread_mutex_unlock(&s->health_lock);
	return *providers ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}
