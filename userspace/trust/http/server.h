/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTPS, the side that listens: TLS 1.3 only, one thread per connection, 64 of
 * them at most, a deadline on everything, a short one until a request was done. A client certificate is asked for;
 * whoever comes may shake hands, what it may do is for the handler to decide.
 */
#ifndef VMC_TRUST_HTTP_SERVER_H
#define VMC_TRUST_HTTP_SERVER_H

#include <jansson.h>

#include "../../lib/error.h"
#include "identity.h"
#include "message.h"
#include "refusal.h"

#define HTTP_LINKS_MAX	64
#define HTTP_LINKS_SOURCE	32	/* from one address */
#define HTTP_LINKS_NEW	16	/* of these, that have had no request done yet */

/* One request. */
struct http_call {
	const struct http_request *head;
	const json_t *body;			/* an object; empty for GET */
	const char *address;			/* numeric, of the client; no port */
	const char *fingerprint;		/* of its certificate, SHA-256 in hex; "": it has shown none */
	const char *correlation;		/* its own, or one made here */
};

/* 0 and *@result (an object, consumed), or the code of @r. From many threads at once. */
typedef int (*http_handler)(const struct http_call *c, json_t **result, struct refusal *r, void *data);

struct http_server;

/* @where: ADDRESS[:PORT]; port 0 takes any. @id is used for this call only. */
int http_server_start(const char *where, uint16_t port, const struct http_identity *id, http_handler handler,
		      void *data, struct http_server **s, struct vmc_error *err);
uint16_t http_server_port(const struct http_server *s);
/* Another certificate, for connections that come from now on. */
int http_server_identity(struct http_server *s, const struct http_identity *id, struct vmc_error *err);
/* Cuts all connections; no handler runs after it. NULL is fine. */
void http_server_stop(struct http_server *s);

#endif
