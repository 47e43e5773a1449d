// SPDX-License-Identifier: GPL-2.0-or-later
/* What "provider test" tells. See report.h. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"

struct probe {
	struct pool *pool;
	unsigned int i;
	bool running;
	pthread_t thread;
	int code;
	struct vmc_error err;
	uint64_t latency_ms;
	struct kmip_version version;
	struct kmip_query_info info;
	struct tls_peer peer;
};

static void *probe_thread(void *data)
{
	struct probe *t = data;
	struct pool *p = t->pool;
	struct kmip_server *s = &p->servers[t->i].kmip;
	uint64_t start = vmc_now_ms(), deadline = start + p->set->request_timeout_ms;
	struct kmip_client *c = NULL;

	kmip_server_forget(s);
	t->code = kmip_open(p->set, s, deadline, &c, &t->err);
	if (!t->code)
		t->code = kmip_query(c, deadline, &t->err);
	t->latency_ms = vmc_now_ms() - start;
	if (c) {
		tls_peer(kmip_tls(c), &t->peer);
		t->version = kmip_client_version(c);
	}
	if (!t->code) {
		pthread_mutex_lock(&s->lock);
		t->info = s->info;
		pthread_mutex_unlock(&s->lock);
	}
	pool_note(p, t->i, !t->code, &t->err);
	kmip_close(c);
	return NULL;
}

static json_t *server_json(const struct probe *t)
{
	const struct kmip_server *s = &t->pool->servers[t->i].kmip;
	char version[KMIP_VERSION_STR], until[32];
	json_t *j = json_pack("{s:s, s:i, s:b, s:s?, s:s?, s:I}", "host", s->host, "port",
			      (int)s->port, "ok", !t->code, "error", t->code ? t->err.text : NULL,
			      "hint", t->code && t->err.hint[0] ? t->err.hint : NULL, "latency_ms",
			      (json_int_t)t->latency_ms);

	if (!j || !t->peer.version[0])
		return j;
	snprintf(version, sizeof(version), "%d.%d", t->version.major, t->version.minor);
	vmc_time_format(t->peer.not_after, until);
	json_object_set_new(j, "version", json_string(version));
	json_object_set_new(j, "vendor", json_string(t->info.vendor));
	json_object_set_new(j, "cert_subject", json_string(t->peer.subject));
	json_object_set_new(j, "cert_sha256", json_string(t->peer.sha256));
	json_object_set_new(j, "cert_not_after", json_string(until));
	json_object_set_new(j, "cert_days_left", json_integer(t->peer.days_left));
	json_object_set_new(j, "pinned", json_boolean(t->peer.pinned));
	json_object_set_new(j, "tls", json_string(t->peer.version));
	json_object_set_new(j, "cipher", json_string(t->peer.cipher));
	return j;
}

static void warn_cert(json_t *w, const char *whose, int days, unsigned int warn_days)
{
	if (days < 0)
		json_array_append_new(w, json_sprintf(_("the certificate of %s has expired"), whose));
	else if (days < (int)warn_days)
		json_array_append_new(w, json_sprintf(P_("the certificate of %s expires in %d day",
							 "the certificate of %s expires in %d days", days),
						      whose, days));
}

static void warn_operations(json_t *w, const char *server, uint64_t has)
{
	static const uint32_t needed[] = {
		KMIP_CREATE, KMIP_GET, KMIP_GET_ATTRIBUTES, KMIP_LOCATE, KMIP_ACTIVATE,
		KMIP_REVOKE, KMIP_DESTROY,
	};

	/* a server that lists none does not answer Query, which says nothing about the rest */
	for (size_t i = 0; has && i < ARRAY_SIZE(needed); i++)
		if (!(has & 1ULL << needed[i]))
			json_array_append_new(w, json_sprintf(_("key server %s does not offer %s"), server,
							      kmip_op_name(needed[i])));
}

static void warn_server(json_t *w, const struct probe *t, unsigned int warn_days)
{
	const char *name = t->pool->servers[t->i].kmip.name;
	char whose[320];

	if (t->code)
		return;
	snprintf(whose, sizeof(whose), "key server %s", name);
	warn_cert(w, whose, t->peer.days_left, warn_days);
	if (!t->peer.aead || !t->peer.forward_secret)
		json_array_append_new(w, json_sprintf(_("key server %s chose the TLS cipher %s: %s"), name,
						      t->peer.cipher, t->peer.forward_secret ?
						      _("not an authenticated one (AEAD)") :
						      _("who gets its private key can read recorded traffic")));
	warn_operations(w, name, t->info.operations);
}

static json_t *client_json(const struct pool *p, json_t *w, unsigned int warn_days)
{
	char subject[CERT_NAME_MAX], until[32];
	int64_t not_after;
	int days;

	if (!tls_context_client(p->set->tls, subject, &not_after, &days))
		return json_null();
	vmc_time_format(not_after, until);
	warn_cert(w, _("this host"), days, warn_days);
	return json_pack("{s:s, s:s, s:i}", "subject", subject, "not_after", until, "days_left", days);
}

int kmip_report(struct pool *p, unsigned int warn_days, json_t **report, struct vmc_error *err)
{
	json_t *servers = json_array(), *warnings = json_array(), *client;
	struct probe t[KMIP_SERVERS_MAX];
	unsigned int reachable = 0;

	memset(t, 0, sizeof(t));
	for (unsigned int i = 0; i < p->n; i++) {
		t[i].pool = p;
		t[i].i = i;
		t[i].running = !pthread_create(&t[i].thread, NULL, probe_thread, &t[i]);
		if (!t[i].running)
			probe_thread(&t[i]);
	}
	for (unsigned int i = 0; i < p->n; i++) {
		if (t[i].running)
			pthread_join(t[i].thread, NULL);
		reachable += !t[i].code;
		json_array_append_new(servers, server_json(&t[i]));
		warn_server(warnings, &t[i], warn_days);
	}
	if (reachable && reachable < p->n)
		json_array_append_new(warnings, json_sprintf(_("%u of %u servers cannot be used"),
							     p->n - reachable, p->n));
	client = client_json(p, warnings, warn_days);
	*report = json_pack("{s:b, s:o, s:o, s:o}", "reachable", reachable > 0, "servers", servers,
			    "client_cert", client, "warnings", warnings);
	return *report ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a report");
}
