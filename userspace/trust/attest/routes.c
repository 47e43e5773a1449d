// SPDX-License-Identifier: GPL-2.0-or-later
/* Paths of the Attestation Service. */
#include "routes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/events.h"
#include "../../lib/log.h"
#include "../../lib/prom.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "../state/admin.h"
#include "../state/bus.h"
#include "../state/remote.h"
#include "../state/store.h"
#include "service.h"

#define ADMIN	"/v1/admin/"

struct attestd {
	pthread_rwlock_t lock;		/* guards @service: its keys may become others */
	struct attest_service *service;
	struct trust_admin *admin;
	struct trust_bus *bus;
	struct trust_store *store;	/* NULL: the state is in files alone */
	struct care *sync;		/* looks at it */
};

typedef int (*message_fn)(struct attest_service *s, const struct attest_call *c, json_t **result,
			  struct attest_note *note, struct refusal *r);

/* ---- the log ----------------------------------------------------------------- */

static const char *or_unknown(const char *s)
{
	return *s ? s : "(unknown)";
}

static void log_passed(const struct http_call *c, const struct attest_note *n)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_IMAGE", n->image }, { "VMCRYPT_ADDRESS", c->address }, { NULL, NULL }
	};

	log_event(LOG_INFO, VMC_MSG_TA_HOST_ATTESTED, fields,
		  "host '%s' at %s is attested with base image '%s'%s (correlation %s)", n->host, c->address,
		  n->image_name, n->quick_boot ? ", of its last full boot" : "", c->correlation);
}

static void log_enrolled(const struct http_call *c, const struct attest_note *n)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_ADDRESS", c->address }, { NULL, NULL }
	};

	log_event(LOG_INFO, VMC_MSG_TA_HOST_ENROLLED, fields, "host '%s' at %s is enrolled, endorsement key %s (correlation %s)",
		  n->host, c->address, n->ek, c->correlation);
}

static void log_failed(const struct http_call *c, const struct attest_note *n, const struct refusal *r)
{
	const struct log_field fields[] = {
		{ "VMCRYPT_CORRELATION", c->correlation }, { "VMCRYPT_HOST", n->host }, { "VMCRYPT_EK", n->ek },
		{ "VMCRYPT_REASON", r->reason }, { "VMCRYPT_ADDRESS", c->address }, { NULL, NULL }
	};

	log_event(LOG_WARNING, VMC_MSG_TA_HOST_REFUSED, fields, "host '%s' at %s is not attested: %s: %s (correlation %s)",
		  or_unknown(n->host), c->address, r->reason, r->err.text, c->correlation);
}

/* ---- requests ------------------------------------------------------------------ */

static int message(struct unit *u, const struct http_call *c, message_fn f, json_t **result, struct attest_note *n,
		   struct refusal *r)
{
	struct attestd *d = u->data;
	struct attest_call call = { .body = c->body, .now = vmc_time() };
	enum trust_role role;
	json_t *state;
	int rc = unit_state(u, c, &state, &role, r);

	if (rc)
		return rc;
	/* whoever asks: what it can prove is what counts, not the certificate that it shows */
	call.state = state;
	pthread_rwlock_rdlock(&d->lock);
	rc = f(d->service, &call, result, n, r);
	pthread_rwlock_unlock(&d->lock);
	json_decref(state);
	if (rc) {
		log_failed(c, n, r);
		unit_count_refusal(u, r);
	}
	return rc;
}

static void count(struct unit *u, const char *what, bool passed)
{
	static const struct stats_counter steps = {
		.name = "trust_attestations_total", .help = "What hosts asked the Attestation Service for.",
		.label = "step", .label2 = "result",
	};

	stats_count(u->stats, &steps, what, passed ? "passed" : "refused", 1);
}

static int enroll(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attest_note n = { .quick_boot = false };

	return message(u, c, attest_enroll, result, &n, r);
}

static int confirm(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attest_note n = { .quick_boot = false };
	int rc = message(u, c, attest_confirm, result, &n, r);

	count(u, "enroll", !rc);
	if (!rc)
		log_enrolled(c, &n);
	return rc;
}

static int challenge(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attest_note n = { .quick_boot = false };

	return message(u, c, attest_challenge, result, &n, r);
}

static int evidence(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attest_note n = { .quick_boot = false };
	struct attestd *d = u->data;
	int rc = message(u, c, attest_evidence, result, &n, r);

	count(u, "attest", !rc);
	if (rc)
		return rc;
	log_passed(c, &n);
	trust_admin_attested(d->admin, n.ek, n.host, n.image, n.quick_boot);
	return 0;
}

static int keys(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attestd *d = u->data;
	int rc;

	(void)c;
	pthread_rwlock_rdlock(&d->lock);
	rc = attest_keys(d->service, result, r);
	pthread_rwlock_unlock(&d->lock);
	return rc;
}

/* What hosts ran is for auditors; that the service is there, and with which state, for everybody. */
static int health(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attestd *d = u->data;
	enum trust_role role = TRUST_ROLE_NONE;
	json_t *state = NULL;

	if (!unit_state(u, c, &state, &role, r) && role >= TRUST_ROLE_AUDITOR) {
		json_decref(state);
		return trust_admin_health(d->admin, result, &r->err);
	}
	json_decref(state);
	refusal_clear(r);
	*result = trust_health_base(u->state, "attestation");
	return *result ? 0 : vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer");
}

/* Where the services are and what they show, for whoever asks. */
static int services(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attestd *d = u->data;

	(void)c;
	return trust_admin_services_info(d->admin, result, &r->err);
}

static int admin(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r)
{
	struct attestd *d = u->data;
	enum trust_role role = TRUST_ROLE_NONE;
	json_t *state = trust_state_json(u->state);
	int rc = 0;

	if (state && *c->fingerprint)
		rc = trust_state_role(state, c->fingerprint, &role);
	json_decref(state);
	if (!rc)
		rc = trust_admin(d->admin, role, c->head->path + strlen(ADMIN), c->body, result, &r->err);
	if (rc == VMC_EPERM)
		refuse(r, REASON_NOT_AUTHORIZED);
	return rc;
}

static const struct route {
	enum http_method method;
	const char *path;
	int (*run)(struct unit *u, const struct http_call *c, json_t **result, struct refusal *r);
} routes[] = {
	{ HTTP_POST, "/v1/enroll", enroll },
	{ HTTP_POST, "/v1/enroll/confirm", confirm },
	{ HTTP_POST, "/v1/attest/challenge", challenge },
	{ HTTP_POST, "/v1/attest", evidence },
	{ HTTP_GET, "/v1/health", health },
	{ HTTP_GET, "/v1/keys", keys },
	{ HTTP_GET, "/v1/services", services },
};

static int handle(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (routes[i].method == c->head->method && !strcmp(routes[i].path, c->head->path))
			return routes[i].run(data, c, result, r);
	if (c->head->method == HTTP_POST && !strncmp(c->head->path, ADMIN, strlen(ADMIN)))
		return admin(data, c, result, r);
	return unit_unknown(c, r);
}

/* ---- start and end ---------------------------------------------------------------- */

static uint16_t port_of(const char *listen, uint16_t standard)
{
	char host[256];

	/* as trust_conf_load() has checked it */
	(void)net_split(listen, host, sizeof(host), &standard, NULL);
	return standard;
}

static int open_admin(struct unit *u, struct attestd *d, struct vmc_error *err)
{
	const struct trust_admin_options o = {
		.host = u->conf.name, .attest_port = port_of(u->conf.attest_listen, TRUST_ATTEST_PORT),
		.kmx_port = port_of(u->conf.kmx_listen, TRUST_KMX_PORT), .remote = remote_https,
		.remote_data = (void *)trust_state_dir(u->state), .config = u->conf_path, .named = u->conf.named,
		.config_check = trust_conf_check,
	};
	struct vmc_error bus = VMC_ERROR_INIT;
	int rc = trust_admin_open(&d->admin, u->state, &o, err);

	if (!rc && trust_bus_start(&d->bus, d->admin, &bus))
		log_warn("not to be had over D-Bus, so that 'vmcrypt trust' does not reach it here: %s", bus.text);
	return rc;
}

/* ---- a shared store ------------------------------------------------------------- */

static void below(const struct unit *u, const char *file, char out[512])
{
	out[0] = '\0';
	if (*file)
		snprintf(out, 512, "%s/%s", trust_state_dir(u->state), file);
}

static void on_sync(struct care *c, FILE *f, void *data)
{
	static const struct stats_alarm alarm = { "state-store", VMC_MSG_TA_STORE, "etcd" };
	struct unit *u = data;
	struct attestd *d = u->data;
	struct vmc_error err = VMC_ERROR_INIT;
	int rc = trust_admin_sync(d->admin, &err);

	(void)c;
	(void)f;
	/* before it joins a cluster there is nobody whose signature it would know */
	stats_alarm(u->stats, &alarm, rc && rc != VMC_ENOENT, err.text);
}

static int open_store(struct unit *u, struct attestd *d, struct vmc_error *err)
{
	char ca[512], cert[512], key[512];
	const struct store_etcd_options o = { .endpoints = u->conf.etcd_endpoints, .prefix = u->conf.etcd_prefix, .ca = ca,
					      .cert = cert, .key = key };
	const struct care_setup s = { .path = "", .interval = u->conf.etcd_interval, .stats = u->stats, .look = on_sync,
				      .data = u };
	int rc;

	if (!u->conf.etcd)
		return 0;
	below(u, u->conf.etcd_ca, ca);
	below(u, u->conf.etcd_cert, cert);
	below(u, u->conf.etcd_key, key);
	rc = store_etcd_open(&d->store, &o, err);
	if (rc)
		return rc;
	trust_state_share(u->state, d->store);
	return care_start(&d->sync, &s, err);
}

static void close_store(struct unit *u, struct attestd *d)
{
	if (!d->store)
		return;
	trust_state_share(u->state, NULL);
	d->store->ops->close(d->store);
}

static void close_unit(struct unit *u)
{
	struct attestd *d = u->data;

	care_stop(d->sync);
	trust_bus_stop(d->bus);
	trust_admin_close(d->admin);
	close_store(u, d);
	attest_close(d->service);
	pthread_rwlock_destroy(&d->lock);
	free(d);
	u->data = NULL;
}

static int open_unit(struct unit *u, struct vmc_error *err)
{
	struct attestd *d = calloc(1, sizeof(*d));
	pthread_rwlockattr_t a;
	int rc;

	if (!d)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the Attestation Service");
	u->data = d;
	/* however many ask, the keys change when they are to */
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&d->lock, &a);
	pthread_rwlockattr_destroy(&a);
	rc = attest_open(&d->service, u->dir, u->conf.name, err);
	if (!rc)
		rc = open_admin(u, d, err);
	return rc ? rc : open_store(u, d, err);
}

/* A restore brings the token key that the other authorities know, and the one that was made here is worth nothing. */
static int reload_unit(struct unit *u, struct vmc_error *err)
{
	struct attest_service *fresh, *old;
	struct attestd *d = u->data;
	int rc = attest_open(&fresh, u->dir, u->conf.name, err);

	if (rc)
		return rc;
	pthread_rwlock_wrlock(&d->lock);
	old = d->service;
	d->service = fresh;
	pthread_rwlock_unlock(&d->lock);
	attest_close(old);
	return 0;
}

/* ---- what it stands on ------------------------------------------------------------ */

static void look_certs(struct unit *u, const json_t *state)
{
	char name[TRUST_NAME_MAX + 32];
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(state, "authorities"), i, e) {
		const char *authority = json_string_value(json_object_get(e, "name"));

		snprintf(name, sizeof(name), "attestation %s", authority);
		unit_look_cert(u, name, trust_cert_days(json_string_value(json_object_get(e, "attest_cert"))));
		snprintf(name, sizeof(name), "key-provider %s", authority);
		unit_look_cert(u, name, trust_cert_days(json_string_value(json_object_get(e, "kmx_cert"))));
	}
	json_array_foreach(json_object_get(json_object_get(state, "tpm2"), "ca_certificates"), i, e) {
		snprintf(name, sizeof(name), "ca %s", json_string_value(json_object_get(e, "name")));
		unit_look_cert(u, name, trust_cert_days(json_string_value(json_object_get(e, "pem"))));
	}
	stats_alarms_end(u->stats, UNIT_ALARM_CERT, VMC_MSG_TA_CERT_EXPIRES);
}

static bool is_over(void *care)
{
	return care_over(care);
}

#define ALARM_DRIFT	"state-drift"

static void look_peer(struct unit *u, const json_t *peer, json_int_t serial)
{
	const char *state = json_string_value(json_object_get(peer, "state"));
	const struct stats_alarm a = { ALARM_DRIFT, VMC_MSG_TA_STATE_DRIFT,
				       json_string_value(json_object_get(peer, "name")) };
	char text[160];

	if (!strcmp(state, "unreachable")) {
		stats_alarm_keep(u->stats, ALARM_DRIFT, a.name);
		return;
	}
	snprintf(text, sizeof(text), "it has the desired state of serial %lld, and this authority that of serial %lld",
		 (long long)json_integer_value(json_object_get(peer, "serial")), (long long)serial);
	stats_alarm(u->stats, &a, !strcmp(state, "drifted"), text);
}

static void look_peers(struct unit *u, struct care *c, const json_t *state, FILE *f)
{
	struct attestd *d = u->data;
	json_t *peers = NULL, *e;
	size_t i;

	if (trust_admin_peers(d->admin, is_over, c, &peers, NULL))
		return;
	prom_head(f, "trust_authority_up", "gauge", "Whether the Attestation Service of an authority answers.");
	json_array_foreach(peers, i, e)
		prom_value(f, "trust_authority_up", "name", json_string_value(json_object_get(e, "name")), NULL, NULL,
			   !!strcmp(json_string_value(json_object_get(e, "state")), "unreachable"));
	prom_head(f, "trust_authority_in_step", "gauge", "Whether an authority has the same desired state.");
	json_array_foreach(peers, i, e) {
		prom_value(f, "trust_authority_in_step", "name", json_string_value(json_object_get(e, "name")), NULL, NULL,
			   !strcmp(json_string_value(json_object_get(e, "state")), "in step"));
		look_peer(u, e, json_integer_value(json_object_get(state, "serial")));
	}
	if (!care_over(c))
		stats_alarms_end(u->stats, ALARM_DRIFT, VMC_MSG_TA_STATE_DRIFT);
	json_decref(peers);
}

static void look_unit(struct unit *u, struct care *c, FILE *f)
{
	json_t *state = trust_state_json(u->state);
	struct attestd *d = u->data;
	char *text;

	if (!trust_admin_metrics(d->admin, &text, NULL)) {
		fputs(text, f);
		free(text);
	}
	if (state) {
		look_certs(u, state);
		look_peers(u, c, state, f);
	}
	json_decref(state);
}

static const char *listen_at(const struct trust_conf *c)
{
	return c->attest_listen;
}

const struct unit_kind attest_unit = {
	.name = "vmcrypt-attestd", .folder = "attestd", .usage = "Attest the hosts of a Trust Authority cluster.",
	.certificate = "attest_cert", .port = ATTEST_PORT, .listen = listen_at, .open = open_unit, .reload = reload_unit,
	.close = close_unit, .handle = handle, .look = look_unit,
};
