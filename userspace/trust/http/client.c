// SPDX-License-Identifier: GPL-2.0-or-later
/* The side that asks. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "link.h"

#define CLIENT_NAME_MAX	128
#define CONNECT_MS	5000

struct http_client {
	char name[CLIENT_NAME_MAX], host[256];
	uint16_t port;
	struct cert_pin pin[2];
	int pins;
	SSL_CTX *ctx;
	struct http_link link;
	bool linked;
	bool seen, trusted;		/* the server's certificate */
	char fingerprint[CERT_FINGERPRINT];
};

/* Stands in for OpenSSL's own: the pin says who is who. */
static int verify(X509_STORE_CTX *store, void *data)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct http_client *c = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	(void)data;
	if (!leaf)
		return 0;
	c->seen = true;
	cert_fingerprint(leaf, c->fingerprint);
	c->trusted = cert_pin_match(c->pin, c->pins, leaf);
	X509_STORE_CTX_set_error(store, c->trusted ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
	return c->trusted;
}

static int pin_of(const struct http_target *t, struct cert_pin *pin, struct vmc_error *err)
{
	STACK_OF(X509) *chain;
	int rc;

	if (!t->cert_pem)
		return cert_pin_parse(t->fingerprint ? t->fingerprint : "", pin, err);
	rc = cert_chain_from_pem(t->cert_pem, t->name, &chain, err);
	if (rc)
		return rc;
	pin->spki = false;
	rc = cert_fingerprint(sk_X509_value(chain, 0), pin->hex);
	cert_chain_free(chain);
	return rc ? vmc_fail(err, VMC_ENOMEM, "no memory for a fingerprint") : 0;
}

int http_client_new(const struct http_target *t, const struct http_identity *id, struct http_client **out,
		    struct vmc_error *err)
{
	struct http_client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a connection");
	snprintf(c->name, sizeof(c->name), "%s", t->name);
	c->port = t->port;
	c->link.io.fd = -1;
	rc = net_split(t->where, c->host, sizeof(c->host), &c->port, err);
	if (!rc)
		rc = pin_of(t, &c->pin[0], err);
	c->pins = 1;
	if (!rc && t->also && *t->also)
		rc = cert_pin_parse(t->also, &c->pin[c->pins++], err);
	if (!rc)
		rc = http_context(id, &c->ctx, err);
	if (rc) {
		vmc_prefix(err, "%s: ", t->name);
		http_client_free(c);
		return rc;
	}
	snprintf(c->link.where, sizeof(c->link.where), strchr(c->host, ':') ? "[%s]:%u" : "%s:%u", c->host, c->port);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(c->ctx, verify, NULL);
	*out = c;
	return 0;
}

static void hang_up(struct http_client *c)
{
	if (c->linked)
		http_link_end(&c->link);
	c->linked = false;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	hang_up(c);
	SSL_CTX_free(c->ctx);
	free(c);
}

/* ---- one call ---------------------------------------------------------- */

static int untrusted(struct http_client *c, struct vmc_error *err)
{
	vmc_fail(err, VMC_ETRUST, "%s shows another certificate (SHA-256 %s) than the services info has", c->link.where,
		 c->fingerprint);
	vmc_hint(err, "when its certificate was exchanged on purpose, import the services info of the Trust Authority anew");
	return VMC_ETRUST;
}

static int dial(struct http_client *c, uint64_t deadline, struct vmc_error *err)
{
	uint64_t connect_by = vmc_now_ms() + CONNECT_MS;
	int fd, rc = net_connect(c->host, c->port, connect_by < deadline ? connect_by : deadline, &fd, err);

	if (rc) {
		vmc_hint(err, "check that the service runs there ('vmcrypt trust status' on that host), and that no firewall is between");
		return rc;
	}
	c->seen = c->trusted = false;
	c->linked = true;
	rc = http_link_begin(&c->link, fd, c->ctx, false, c, deadline, err);
	if (!rc)
		return 0;
	hang_up(c);
	return c->seen && !c->trusted ? untrusted(c, err) : rc;
}

/* A server may have closed what was idle; a request that is under way is never sent twice. */
static int ready(struct http_client *c, uint64_t deadline, struct vmc_error *err)
{
	if (c->linked && !c->link.have && tls_io_idle(&c->link.io))
		return 0;
	hang_up(c);
	return dial(c, deadline, err);
}

static int send_request(struct http_client *c, struct http_request *q, const json_t *body, uint64_t deadline,
			struct vmc_error *err)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *bytes = NULL;
	size_t n;
	int rc;

	if (body && !text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a request");
	rc = http_request_format(q, c->link.where, text, text ? strlen(text) : 0, &bytes, &n, err);
	free(text);
	if (!rc)
		rc = http_link_write(&c->link, bytes, n, deadline, err);
	free(bytes);
	return rc;
}

static int receive(struct http_client *c, struct http_response *a, json_t **body, uint64_t deadline,
		   struct vmc_error *err)
{
	char *text = NULL;
	size_t n;
	int rc = http_link_head(&c->link, &n, deadline, err);

	if (!rc)
		rc = http_response_parse(c->link.buf, n, a, err);
	if (!rc)
		rc = http_link_body(&c->link, n, a->body, &text, deadline, err);
	if (rc)
		return rc;
	if (!http_body_light(text, a->body)) {
		free(text);
		return vmc_fail(err, VMC_EPROTO, "an answer of more than %u values", HTTP_VALUES_MAX);
	}
	*body = json_loadb(text, a->body, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (json_is_object(*body))
		return 0;
	json_decref(*body);
	*body = NULL;
	return vmc_fail(err, VMC_EPROTO, "an answer that is no JSON object (status %d)", a->status);
}

static int exchange(struct http_client *c, struct http_request *q, const json_t *body, uint64_t deadline,
		    struct http_response *a, json_t **answer, struct vmc_error *err)
{
	int rc = ready(c, deadline, err);

	if (!rc)
		rc = send_request(c, q, body, deadline, err);
	if (!rc)
		rc = receive(c, a, answer, deadline, err);
	if (rc || a->close)
		hang_up(c);
	return rc;
}

/* What went wrong below HTTP: whose service it was, and by what to find it in both logs. */
static int unavailable(const struct http_client *c, const char *correlation, struct refusal *r)
{
	char text[sizeof(r->err.text)], hint[sizeof(r->err.hint)];

	/* both are arguments of what they go to */
	snprintf(text, sizeof(text), "%s", r->err.text);
	snprintf(hint, sizeof(hint), "%s", r->err.hint);
	vmc_fail(&r->err, r->err.code == VMC_ECANCELED ? VMC_EUNREACH : r->err.code, "%s: %s (correlation %s)", c->name,
		 text, correlation);
	if (hint[0])
		vmc_hint(&r->err, "%s", hint);
	return refuse(r, REASON_UNAVAILABLE);
}

int http_client_call(struct http_client *c, const char *path, const json_t *body, const char *bearer,
		     const char *correlation, uint64_t deadline, json_t **result, struct refusal *r)
{
	struct http_request q = { .method = body ? HTTP_POST : HTTP_GET };
	struct http_response a;
	json_t *answer = NULL;
	int rc;

	memset(r, 0, sizeof(*r));
	if (correlation && http_correlation_ok(correlation))
		memcpy(q.correlation, correlation, sizeof(q.correlation));
	else
		http_correlation_new(q.correlation);
	if (strlen(path) > HTTP_PATH_MAX || (bearer && strlen(bearer) > HTTP_BEARER_MAX)) {
		vmc_fail(&r->err, VMC_EINVAL, "a token or path that is too long");
		return unavailable(c, q.correlation, r);
	}
	snprintf(q.path, sizeof(q.path), "%s", path);
	snprintf(q.bearer, sizeof(q.bearer), "%s", bearer ? bearer : "");
	if (exchange(c, &q, body, deadline, &a, &answer, &r->err))
		return unavailable(c, q.correlation, r);
	if (a.status == 200) {
		*result = answer;
		return 0;
	}
	rc = refusal_from_json(answer, a.status, c->name, q.correlation, r);
	json_decref(answer);
	return rc;
}
