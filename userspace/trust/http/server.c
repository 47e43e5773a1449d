// SPDX-License-Identifier: GPL-2.0-or-later
/* The side that listens. */
#include "server.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "../../lib/util.h"
#include "../../net/acceptor.h"
#include "../../net/tcp.h"
#include "link.h"

#define HANDSHAKE_MS	5000
#define NEW_MS		5000	/* for the head of a first request, and once more for its body */
#define IDLE_MS		10000	/* for a whole head; also between two requests */
#define BODY_MS		20000
#define WRITE_MS	20000

struct http_server {
	http_handler handler;
	void *data;
	struct acceptor *acceptor;
	uint16_t port;
	pthread_mutex_t lock;
	SSL_CTX *ctx;			/* under @lock */
};

/* One connection. */
struct session {
	struct http_server *server;
	struct accepted *accepted;
	bool known;			/* a request of it that changes or gives something was done */
	struct http_link link;
	char address[64], fingerprint[CERT_FINGERPRINT];
};

/* ---- one request ------------------------------------------------------- */

/* VMC_EINVAL: @body is longer than an answer may be, and nothing was sent. */
static int reply(struct session *s, const struct http_request *q, int status, const json_t *body, bool last,
		 struct vmc_error *err)
{
	struct http_response a = { .status = status, .close = last };
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *bytes = NULL;
	size_t n;
	int rc;

	memcpy(a.correlation, q->correlation, sizeof(a.correlation));
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for an answer");
	rc = http_response_format(&a, text, strlen(text), &bytes, &n, err);
	free(text);
	if (!rc)
		rc = http_link_write(&s->link, bytes, n, vmc_now_ms() + WRITE_MS, err);
	free(bytes);
	return rc;
}

static int reply_refusal(struct session *s, const struct http_request *q, struct refusal *r, bool last,
			 struct vmc_error *err)
{
	json_t *body;
	int rc;

	log_debug("%s from %s is refused: %s (correlation %s)", q->path, s->address, r->err.text, q->correlation);
	body = refusal_json(r, q->correlation);
	rc = reply(s, q, refusal_status(r), body, last, err);
	json_decref(body);
	refusal_clear(r);
	return rc;
}

/* The other side does not speak as we do: say so, and hang up. */
static int turn_away(struct session *s, struct http_request *q, const struct vmc_error *why, struct vmc_error *err)
{
	struct refusal r = { .err = *why };

	refuse(&r, REASON_BAD_REQUEST);
	if (!q->correlation[0])
		http_correlation_new(q->correlation);
	reply_refusal(s, q, &r, true, err);
	return VMC_EPROTO;
}

static int answer(struct session *s, struct http_request *q, const json_t *body, struct vmc_error *err)
{
	const struct http_call call = { .head = q, .body = body, .address = s->address,
					.fingerprint = s->fingerprint, .correlation = q->correlation };
	struct refusal r = { .details = NULL };
	json_t *result = NULL;
	int rc = s->server->handler(&call, &result, &r, s->server->data);

	if (rc)
		return reply_refusal(s, q, &r, q->close, err);
	if (q->method == HTTP_POST && !s->known) {
		s->known = true;
		accepted_vouch(s->accepted);
	}
	rc = reply(s, q, 200, result, q->close, err);
	json_decref(result);
	if (rc != VMC_EINVAL)
		return rc;
	/* nothing of it was sent; and who hears nothing asks again, and the next authority */
	vmc_fail(&r.err, VMC_ENOSPC, "the answer would be longer than %u bytes", HTTP_BODY_MAX);
	return reply_refusal(s, q, &r, q->close, err);
}

static int read_request(struct session *s, struct http_request *q, char **body, struct vmc_error *err)
{
	size_t n;
	int rc = http_link_head(&s->link, &n, vmc_now_ms() + (s->known ? IDLE_MS : NEW_MS), err);

	if (rc)
		return rc;
	rc = http_request_parse(s->link.buf, n, q, err);
	if (rc)
		return turn_away(s, q, err, NULL);
	if (!q->correlation[0])
		http_correlation_new(q->correlation);
	return http_link_body(&s->link, n, q->body, body, vmc_now_ms() + (s->known ? BODY_MS : NEW_MS), err);
}

/* NULL, and why. */
static json_t *body_of(const struct http_request *q, const char *text, struct vmc_error *err)
{
	json_t *body;

	if (q->method == HTTP_GET)
		return json_object();
	if (!http_body_light(text, q->body)) {
		vmc_fail(err, VMC_EPROTO, "a request of more than %u values", HTTP_VALUES_MAX);
		return NULL;
	}
	body = json_loadb(text, q->body, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(body))
		return body;
	json_decref(body);
	vmc_fail(err, VMC_EPROTO, "a request that is no JSON object");
	return NULL;
}

/* One request and its answer; not 0: the connection ends. */
static int serve_one(struct session *s, struct http_request *q, struct vmc_error *err)
{
	char *text = NULL;
	json_t *body;
	int rc;

	memset(q, 0, sizeof(*q));
	rc = read_request(s, q, &text, err);
	if (rc)
		return rc;
	body = body_of(q, text, err);
	free(text);
	rc = body ? answer(s, q, body, err) : turn_away(s, q, err, NULL);
	json_decref(body);
	return rc ? rc : q->close;
}

/* ---- one connection ----------------------------------------------------- */

/* Whoever it is: the handshake shows that it holds the key of this certificate, the handler knows what that is worth. */
static int look(X509_STORE_CTX *store, void *data)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct session *s = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	(void)data;
	if (!leaf || cert_fingerprint(leaf, s->fingerprint))
		return 0;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static void set_address(struct session *s, int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getpeername(fd, (struct sockaddr *)&a, &n) ||
	    getnameinfo((struct sockaddr *)&a, n, s->address, sizeof(s->address), NULL, 0, NI_NUMERICHOST))
		snprintf(s->address, sizeof(s->address), "unknown");
	snprintf(s->link.where, sizeof(s->link.where), "%s", s->address);
}

static SSL_CTX *context_of(struct http_server *h)
{
	SSL_CTX *ctx;

	pthread_mutex_lock(&h->lock);
	ctx = h->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&h->lock);
	return ctx;
}

static void run(struct session *s, int fd)
{
	struct vmc_error err = VMC_ERROR_INIT;
	SSL_CTX *ctx = context_of(s->server);
	struct http_request *q = calloc(1, sizeof(*q));

	set_address(s, fd);
	if (!http_link_begin(&s->link, fd, ctx, true, s, vmc_now_ms() + HANDSHAKE_MS, &err))
		while (q && !serve_one(s, q, &err))
			;
	if (err.code && err.code != VMC_ECANCELED)
		log_debug("the connection with %s ends: %s", s->address, err.text);
	http_link_end(&s->link);
	SSL_CTX_free(ctx);
	free(q);
}

static void serve(struct accepted *a, int fd, void *data)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return;
	}
	s->server = data;
	s->accepted = a;
	run(s, fd);
	free(s);
}

/* ---- all of them -------------------------------------------------------- */

static int new_context(const struct http_identity *id, SSL_CTX **out, struct vmc_error *err)
{
	int rc = http_context(id, out, err);

	if (rc)
		return rc;
	SSL_CTX_set_verify(*out, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(*out, look, NULL);
	return 0;
}

static void server_free(struct http_server *h)
{
	SSL_CTX_free(h->ctx);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int http_server_start(const char *where, uint16_t port, const struct http_identity *id, http_handler handler,
		      void *data, struct http_server **out, struct vmc_error *err)
{
	struct http_server *h = calloc(1, sizeof(*h));
	struct acceptor_setup setup = { .what = "a connection", .max = HTTP_LINKS_MAX,
					.max_source = HTTP_LINKS_SOURCE, .max_new = HTTP_LINKS_NEW, .serve = serve,
					.data = h };
	int fd, rc;

	if (!h)
		return vmc_fail(err, VMC_ENOMEM, "no memory to listen with");
	h->handler = handler;
	h->data = data;
	pthread_mutex_init(&h->lock, NULL);
	rc = new_context(id, &h->ctx, err);
	if (!rc)
		rc = net_listen(where, port, &fd, &h->port, err);
	if (!rc)
		rc = acceptor_start(fd, &setup, &h->acceptor, err);
	if (rc)
		server_free(h);
	else
		*out = h;
	return rc;
}

uint16_t http_server_port(const struct http_server *h)
{
	return h->port;
}

int http_server_identity(struct http_server *h, const struct http_identity *id, struct vmc_error *err)
{
	SSL_CTX *ctx = NULL, *old;
	int rc = new_context(id, &ctx, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&h->lock);
	old = h->ctx;
	h->ctx = ctx;
	pthread_mutex_unlock(&h->lock);
	SSL_CTX_free(old);
	return 0;
}

void http_server_stop(struct http_server *h)
{
	if (!h)
		return;
	acceptor_stop(h->acceptor);
	server_free(h);
}
