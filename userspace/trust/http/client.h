/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTPS, the side that asks: TLS 1.3, the server known by its certificate as
 * the services info has it, never by a CA. One connection, kept open between
 * calls and made anew when the server has closed it. Not for two threads at once.
 */
#ifndef VMC_TRUST_HTTP_CLIENT_H
#define VMC_TRUST_HTTP_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "../../keys/cert.h"
#include "../../lib/error.h"
#include "identity.h"
#include "refusal.h"

/* Where, and who that is; copied. One of @fingerprint and @cert_pem is given. */
struct http_target {
	const char *name;		/* for words: "attestation service 'ta1'" */
	const char *where;		/* HOST[:PORT] */
	uint16_t port;			/* when @where has none */
	const char *fingerprint;	/* as cert_pin_parse() takes it */
	const char *also;		/* another one that is believed; NULL or "": none */
	const char *cert_pem;		/* the certificate itself */
};

struct http_client;

/* @id: shown to the server, used for this call only; NULL: none. Connects to nobody yet. */
int http_client_new(const struct http_target *t, const struct http_identity *id, struct http_client **c,
		    struct vmc_error *err);
void http_client_free(struct http_client *c);

/*
 * POST @body (GET when NULL) and wait for the answer until @deadline (vmc_now_ms()). @bearer: a token, or NULL.
 * @correlation: 16 hex digits, or NULL for new ones; the texts of errors end with it. *@result is the caller's.
 * The service's own refusal comes with its code, words, reason and details; otherwise VMC_EUNREACH, VMC_ETIMEDOUT,
 * VMC_ETRUST (not the certificate of the services info), VMC_EPROTO, with reason "unavailable": ask another authority.
 */
int http_client_call(struct http_client *c, const char *path, const json_t *body, const char *bearer,
		     const char *correlation, uint64_t deadline, json_t **result, struct refusal *r);

#endif
