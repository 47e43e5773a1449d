// SPDX-License-Identifier: GPL-2.0-or-later
/* Paths of the Key Provider Service. */
#include "routes.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/events.h"
#include "../../lib/log.h"
#include "../../lib/prom.h"
#include "../../lib/util.h"
#include "../state/admin.h"
#include "service.h"

#define KEYS	"/v1/keys/"

/* ---- the log ----------------------------------------------------------------- */

static void log_released(const struct http_call *c, const char *verb, const struct kmx_note *n)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_PROVIDER", n->provider }, { "VMCRYPT_TOKEN", n->jti }, { "VMCRYPT_ADDRESS", c->address },
		{ NULL, NULL }
	};

	log_event(LOG_INFO, VMC_MSG_TA_KEYS_RELEASED, fields,
		  "host '%s' at %s got %u keys of key provider '%s' (%s) (correlation %s)", n->host, c->address, n->keys,
		  n->provider, verb, c->correlation);
}

/* Whatever becomes of the answer: the key is gone, and with it what it encrypts. */
static void log_destroyed(const struct http_call *c, const struct kmx_note *n)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_PROVIDER", n->provider }, { "VMCRYPT_KEY", n->destroyed }, { "VMCRYPT_TOKEN", n->jti },
		{ "VMCRYPT_ADDRESS", c->address }, { NULL, NULL }
	};

	log_event(LOG_NOTICE, NULL, fields, "host '%s' at %s destroyed key '%s' of key provider '%s' (correlation %s)",
		  n->host, c->address, n->destroyed, n->provider, c->correlation);
}

/* A key that no host has: gone, or left over on the key server for its administrator to remove. */
static void log_orphan(const struct http_call *c, const struct kmx_note *n)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_PROVIDER", n->provider }, { "VMCRYPT_KEY", n->orphan }, { "VMCRYPT_TOKEN", n->jti },
		{ "VMCRYPT_ADDRESS", c->address }, { NULL, NULL }
	};

	if (n->orphan_gone)
		log_event(LOG_NOTICE, NULL, fields, "new key '%s' of key provider '%s' did not reach host '%s' and was destroyed again (correlation %s)",
			  n->orphan, n->provider, n->host, c->correlation);
	else
		log_event(LOG_ERR, VMC_MSG_TA_KEY_ORPHAN, fields, "new key '%s' of key provider '%s' did not reach host '%s' and is left over on the key server (correlation %s)",
			  n->orphan, n->provider, n->host, c->correlation);
}

static void log_refused(const struct http_call *c, const char *verb, const struct kmx_note *n, const struct refusal *r)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_PROVIDER", n->provider }, { "VMCRYPT_REASON", r->reason }, { "VMCRYPT_ADDRESS", c->address },
		{ NULL, NULL }
	};

	log_event(LOG_WARNING, VMC_MSG_TA_KEYS_REFUSED, fields,
		  "host '%s' at %s got no key (%s): %s: %s (correlation %s)", *n->host ? n->host : "(unknown)",
		  c->address, verb, r->reason, r->err.text, c->correlation);
}

/* ---- requests ------------------------------------------------------------------ */

static void count(struct unit *u, const char *verb, int rc, unsigned int released)
{
	static const struct stats_counter operations = {
		.name = "trust_key_operations_total", .help = "Requests of hosts about keys.", .label = "operation",
		.label2 = "result",
	}, keys = {
		.name = "trust_keys_released_total", .help = "Keys that hosts got, encrypted.", .label = "operation",
	};

	stats_count(u->stats, &operations, verb, rc ? "refused" : "ok", 1);
	if (released)
		stats_count(u->stats, &keys, verb, NULL, released);
}

static int keys(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	const char *verb = c->head->path + strlen(KEYS);
	struct kmx_call call = { .body = c->body, .token = c->head->bearer, .now = vmc_time() };
	struct kmx_note n = { .keys = 0 };
	enum trust_role role;
	json_t *state;
	int rc = unit_state(u, c, &state, &role, r);

	if (rc)
		return rc;
	/* the token tells who it is; no role makes up for it */
	call.state = state;
	rc = kmx_keys(u->data, verb, &call, result, &n, r);
	json_decref(state);
	if (*n.destroyed)
		log_destroyed(c, &n);
	if (*n.orphan)
		log_orphan(c, &n);
	count(u, *n.verb ? n.verb : "unknown", rc, n.keys);
	if (rc)
		unit_count_refusal(u, r);
	if (rc)
		log_refused(c, verb, &n, r);
	else if (n.keys)
		log_released(c, verb, &n);
	else
		log_debug("host '%s': keys/%s (correlation %s)", n.host, verb, c->correlation);
	return rc;
}

/* May it see how the key servers are? Auditors, and hosts that are attested. */
static bool may_look(struct unit *u, const struct http_call *c, const json_t *state, enum trust_role role)
{
	const struct kmx_call call = { .state = state, .body = c->body, .token = c->head->bearer, .now = vmc_time() };
	struct refusal r = { .details = NULL };
	struct kmx_note n;
	bool may = role >= TRUST_ROLE_AUDITOR || !kmx_token(u->data, &call, &n, &r);

	refusal_clear(&r);
	return may;
}

static int health(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	enum trust_role role = TRUST_ROLE_NONE;
	json_t *state = NULL, *providers = NULL;
	int rc = 0;

	if (unit_state(u, c, &state, &role, r))
		refusal_clear(r);
	*result = trust_health_base(u->state, "key-provider");
	if (*result && state && may_look(u, c, state, role)) {
		rc = kmx_health(u->data, state, &providers, &r->err);
		if (!rc)
			json_object_set_new(*result, "providers", providers);
	}
	json_decref(state);
	if (!*result)
		rc = vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer");
	return rc;
}

/* Does this authority get these keys? For those who look after the cluster. */
static int gets(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct kmx_call call = { .body = c->body };
	enum trust_role role;
	json_t *state;
	int rc = unit_state(u, c, &state, &role, r);

	if (rc)
		return rc;
	call.state = state;
	rc = unit_allow(role, TRUST_ROLE_AUDITOR, r);
	if (!rc)
		rc = kmx_gets(u->data, &call, result, r);
	json_decref(state);
	return rc;
}

static int handle(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	if (c->head->method == HTTP_POST && !strncmp(c->head->path, KEYS, strlen(KEYS)))
		return keys(data, c, result, r);
	if (c->head->method == HTTP_GET && !strcmp(c->head->path, "/v1/health"))
		return health(data, c, result, r);
	if (c->head->method == HTTP_POST && !strcmp(c->head->path, "/v1/health/keys"))
		return gets(data, c, result, r);
	return unit_unknown(c, r);
}

/* ---- start and end ---------------------------------------------------------------- */

static int open_unit(struct unit *u, struct vmc_error *err)
{
	struct vmc_config cfg = { .connect_timeout_ms = 3000, .request_timeout_ms = 10000, .tls_min = "1.2",
				  .cert_warn_days = 30, .workers = 1 };
	struct kmx_service *s;
	int rc;

	snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s", u->dir);
	snprintf(cfg.state_dir, sizeof(cfg.state_dir), "%s", u->dir);
	rc = kmx_open(&s, &cfg, err);
	if (!rc)
		u->data = s;
	return rc;
}

static int reload_unit(struct unit *u, struct vmc_error *err)
{
	return kmx_reload(u->data, err);
}

static void close_unit(struct unit *u)
{
	kmx_close(u->data);
	u->data = NULL;
}

/* ---- what it stands on -------------------------------------------------------------- */

#define ALARM_KMS	"kms-unreachable"

/* Of each server of @p, as "host:port". */
static void each_server(const json_t *p, void (*fn)(const json_t *server, const char *where, void *data), void *data)
{
	const json_t *server;
	char where[300];
	size_t i;

	json_array_foreach(json_object_get(p, "servers"), i, server) {
		snprintf(where, sizeof(where), "%s:%lld", json_string_value(json_object_get(server, "host")),
			 (long long)json_integer_value(json_object_get(server, "port")));
		fn(server, where, data);
	}
}

/* What a server, or the client's certificate, is to be told of. */
struct look {
	struct unit *u;
	FILE *f;
	const char *provider;
};

static void look_server(const json_t *server, const char *where, void *data)
{
	const json_t *days = json_object_get(server, "cert_days_left");
	const struct look *l = data;
	char what[400];

	snprintf(what, sizeof(what), "server %s of %s", where, l->provider);
	if (json_is_integer(days))
		unit_look_cert(l->u, what, (int)json_integer_value(days));
}

static void look_provider(struct unit *u, const json_t *p)
{
	const json_t *days = json_object_get(json_object_get(p, "client_cert"), "days_left");
	const char *name = json_string_value(json_object_get(p, "name"));
	const char *error = json_string_value(json_object_get(p, "error"));
	const struct stats_alarm a = { ALARM_KMS, VMC_MSG_TA_KMS_UNREACHABLE, name };
	struct look l = { .u = u, .provider = name };
	char what[400];

	stats_alarm(u->stats, &a, !json_is_true(json_object_get(p, "reachable")), error ? error : "no server answers");
	snprintf(what, sizeof(what), "client of %s", name);
	if (json_is_integer(days))
		unit_look_cert(u, what, (int)json_integer_value(days));
	each_server(p, look_server, &l);
}

static void put_server(const json_t *server, const char *where, void *data)
{
	const struct look *l = data;

	prom_value(l->f, "trust_key_server_up", "provider", l->provider, "server", where,
		   json_is_true(json_object_get(server, "ok")));
}

static void put_servers(FILE *f, const json_t *p)
{
	struct look l = { .f = f, .provider = json_string_value(json_object_get(p, "name")) };

	each_server(p, put_server, &l);
}

static void put_days_of(const struct look *l, const json_t *days, const char *of)
{
	if (json_is_integer(days))
		prom_value(l->f, "trust_key_provider_certificate_days_left", "provider", l->provider, "of", of,
			   json_integer_value(days));
}

static void put_server_days(const json_t *server, const char *where, void *data)
{
	put_days_of(data, json_object_get(server, "cert_days_left"), where);
}

static void put_days(FILE *f, const json_t *p)
{
	struct look l = { .f = f, .provider = json_string_value(json_object_get(p, "name")) };

	put_days_of(&l, json_object_get(json_object_get(p, "client_cert"), "days_left"), "client");
	each_server(p, put_server_days, &l);
}

static void look_unit(struct unit *u, struct care *c, FILE *f)
{
	json_t *state = trust_state_json(u->state), *providers = NULL, *p;
	size_t i;

	(void)c;
	if (state && !kmx_health(u->data, state, &providers, NULL)) {
		prom_head(f, "trust_key_provider_up", "gauge", "Whether a server of a key provider can be used.");
		json_array_foreach(providers, i, p)
			prom_value(f, "trust_key_provider_up", "provider", json_string_value(json_object_get(p, "name")), NULL,
				   NULL, json_is_true(json_object_get(p, "reachable")));
		prom_head(f, "trust_key_server_up", "gauge", "Whether a key server can be used.");
		json_array_foreach(providers, i, p)
			put_servers(f, p);
		prom_head(f, "trust_key_provider_certificate_days_left", "gauge", "Days that a certificate is still valid.");
		json_array_foreach(providers, i, p)
			put_days(f, p);
		json_array_foreach(providers, i, p)
			look_provider(u, p);
		stats_alarms_end(u->stats, ALARM_KMS, VMC_MSG_TA_KMS_UNREACHABLE);
		stats_alarms_end(u->stats, UNIT_ALARM_CERT, VMC_MSG_TA_CERT_EXPIRES);
	}
	json_decref(providers);
	json_decref(state);
}

static const char *listen_at(const struct trust_conf *c)
{
	return c->kmx_listen;
}

const struct unit_kind kmx_unit = {
	.name = "vmcrypt-kmxd", .folder = "kmxd",
	.usage = "Give the keys of a Trust Authority cluster to hosts that are attested.", .port = KMX_PORT,
	.certificate = "kmx_cert", .listen = listen_at, .open = open_unit, .reload = reload_unit, .close = close_unit, .handle = handle,
	.look = look_unit,
};
