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
/*
 * The one that is to take its place, in @dir/next, made when not there. Nothing shows it before http_identity_follow().
 */
int http_identity_next(const char *dir, const char *cn, struct http_identity *id, struct vmc_error *err);
/* It takes the place of the one in @dir when its certificate is @pem; and what was cut short in that is brought to its end. */
int http_identity_follow(const char *dir, const char *pem, struct vmc_error *err);
/* There is none to come any more. */
int http_identity_drop_next(const char *dir, struct vmc_error *err);
/* The certificate of @id in PEM; free() it. */
int http_identity_pem(const struct http_identity *id, char **pem, struct vmc_error *err);
int http_identity_use(const struct http_identity *id, SSL_CTX *ctx, struct vmc_error *err);

#endif
