// SPDX-License-Identifier: GPL-2.0-or-later
/* What other hosts may ask of this one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "hello.h"
#include "migrate.h"
#include "migrate_priv.h"

static int on_hello(struct migrations *m, json_t **result, struct vmc_error *err)
{
	struct hello h;

	hello_here(m->s.k, m->s.no_module, peers_host(m->s.peers), &h);
	*result = hello_json(&h);
	return *result ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

static int on_call(struct peer_link *link, const char *method, const json_t *params, json_t **result, void *data,
		   struct vmc_error *err)
{
	struct migrations *m = data;

	return strcmp(method, "hello") ? incoming_call(m, link, method, params, result, err) : on_hello(m, result, err);
}

static void on_closed(struct peer_link *link, void *data)
{
	incoming_closed(data, link);
}

static void listen_here(struct migrations *m)
{
	const struct peer_handler h = { .call = on_call, .closed = on_closed, .data = m };
	struct vmc_error *e = &m->no_listen;

	if (!m->s.cfg->migration_listen[0]) {
		vmc_fail(e, VMC_ESTATE, "this host does not listen for others");
		vmc_hint(e, "set listen = ADDRESS below [migration] in vmcrypt.conf, then systemctl reload vmcryptd");
	} else if (data_listen(m, e) || peer_listen(m->s.peers, m->s.cfg->migration_listen, PEER_PORT, &h, &m->server, e)) {
		log_err("no migration can come to this host: %s. Hint: %s", e->text, e->hint);
		data_stop(m);
	}
}

static int open_driver(const char *vm, const char *qmp, struct hypervisor **h, struct vmc_error *err)
{
	return qmp ? qemu_open(h, qmp, err) : libvirt_open(h, vm, NULL, err);
}

int migrations_open(struct migrations **out, const struct migrations_setup *s, struct vmc_error *err)
{
	struct migrations *m = calloc(1, sizeof(*m));

	if (!m)
		return vmc_fail(err, VMC_ENOMEM, "no memory for migrations");
	m->s = *s;
	if (!m->s.hypervisor)
		m->s.hypervisor = open_driver;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	listen_here(m);
	*out = m;
	return 0;
}

void migrations_close(struct migrations *m)
{
	if (!m)
		return;
	peer_server_stop(m->server);
	data_stop(m);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

json_t *migrations_listening(struct migrations *m)
{
	if (m->server)
		return json_pack("{s:s}", "listen", m->s.cfg->migration_listen);
	return json_pack("{s:n, s:s, s:s}", "listen", "error", m->no_listen.text, "hint", m->no_listen.hint);
}

bool migrations_busy(struct migrations *m)
{
	bool busy;

	pthread_mutex_lock(&m->lock);
	busy = m->coming;
	pthread_mutex_unlock(&m->lock);
	return busy;
}

/* ---- the kernel's word ---------------------------------------------------- */

void migrations_kernel_event(struct migrations *m, const struct vmk_event *e)
{
	pthread_mutex_lock(&m->lock);
	for (struct watch *w = m->watches; w; w = w->next)
		if (flow_event(w->flow, e))
			break;
	pthread_mutex_unlock(&m->lock);
}

void migrate_watch(struct migrations *m, struct watch *w, struct flow *f)
{
	pthread_mutex_lock(&m->lock);
	w->flow = f;
	w->next = m->watches;
	m->watches = w;
	pthread_mutex_unlock(&m->lock);
}

void migrate_unwatch(struct migrations *m, struct watch *w)
{
	struct watch **at;

	pthread_mutex_lock(&m->lock);
	for (at = &m->watches; *at && *at != w; at = &(*at)->next)
		;
	if (*at)
		*at = w->next;
	pthread_mutex_unlock(&m->lock);
}

/* ---- the other way ------------------------------------------------------ */

int migrate_hello(struct migrations *m, struct peer_link *link, uint64_t deadline, struct hello *there,
		  struct vmc_error *err)
{
	json_t *answer = NULL;
	int rc = peer_call(link, "hello", NULL, &answer, deadline, err);

	(void)m;
	if (!rc && hello_parse(answer, there, err))
		rc = vmc_prefix(err, "host '%s': ", peer_name(link));
	json_decref(answer);
	return rc;
}

static json_t *report(struct migrations *m, struct peer_link *link, const struct hello *there, uint64_t ms)
{
	struct vmc_error why = VMC_ERROR_INIT;
	json_t *o = peer_describe(link);
	struct hello here;

	hello_here(m->s.k, m->s.no_module, peers_host(m->s.peers), &here);
	hello_match(&here, there, peer_name(link), &why);
	json_object_update_new(o, json_pack("{s:b, s:I, s:s, s:s, s:s, s:s, s:I, s:s*, s:s*}", "ok", !why.code, "latency_ms",
		(json_int_t)ms, "host", there->host, "version", there->version, "module", there->module, "cannot",
		there->cannot, "clock_s", (json_int_t)(there->time - here.time), "error", why.code ? why.text : NULL, "hint",
		why.code ? why.hint : NULL));
	return o;
}

int migrations_test(struct migrations *m, const char *peer, json_t **out, struct vmc_error *err)
{
	uint64_t start = vmc_now_ms(), deadline = start + MIGRATE_ASK_MS;
	struct peer_link *link = NULL;
	struct hello there;
	int rc = peer_dial(m->s.peers, peer, deadline, &link, err);

	if (rc)
		return rc;
	rc = migrate_hello(m, link, deadline, &there, err);
	if (!rc)
		*out = report(m, link, &there, vmc_now_ms() - start);
	peer_close(link);
	return rc;
}
