/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key and certificate that one side of a connection shows. */
#ifndef VMC_TRUST_HTTP_IDENTITY_H
#define VMC_TRUST_HTTP_IDENTITY_H

#include <openssl/ssl.h>

#include "../../keys/cert.h"
#include "../../lib/error.h"

struct http_identity {
	EVP_PKEY *key;
	STACK_OF(X509) *chain;			/* its own certificate first */
	char fingerprint[CERT_FINGERPRINT];	/* of that, SHA-256 in hex */
};

/*
 * host.key and host.pem in @dir, as userspace/peer keeps them in STATE_DIR/peer: a host shows the Trust Authority what
 * it shows other hosts. Made when not there: P-256, self-signed, common name @cn.
 */
int http_identity_open(const char *dir, const char *cn, struct http_identity *id, struct vmc_error *err);
void http_identity_close(struct http_identity *id);
int http_identity_use(const struct http_identity *id, SSL_CTX *ctx, struct vmc_error *err);

#endif
