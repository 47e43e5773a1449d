/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection as both sides of http/ have it. Nobody else includes it. */
#ifndef VMC_TRUST_HTTP_LINK_H
#define VMC_TRUST_HTTP_LINK_H

#include "../../net/tls_io.h"
#include "identity.h"
#include "message.h"

struct http_link {
	struct tls_io io;
	char where[300];			/* who is at the other end, for words */
	char buf[HTTP_HEAD_MAX];		/* what came and was not taken yet */
	size_t have;
};

/* A context for TLS 1.3 with @id (NULL: none) to show. */
int http_context(const struct http_identity *id, SSL_CTX **ctx, struct vmc_error *err);

/* TLS on @fd, which is taken over; @data: SSL_get_app_data(), for the callback that looks at certificates. */
int http_link_begin(struct http_link *l, int fd, SSL_CTX *ctx, bool accept, void *data, uint64_t deadline,
		    struct vmc_error *err);
void http_link_end(struct http_link *l);

/*
 * The next head: *@n bytes at @l->buf, to be parsed before the body is read. VMC_ECANCELED: the other side ended
 * where one might have begun.
 */
int http_link_head(struct http_link *l, size_t *n, uint64_t deadline, struct vmc_error *err);
/* Take the @head bytes away, and read @n bytes of body; a NUL is put after them. free() it. */
int http_link_body(struct http_link *l, size_t head, size_t n, char **body, uint64_t deadline, struct vmc_error *err);
int http_link_write(struct http_link *l, const char *b, size_t n, uint64_t deadline, struct vmc_error *err);

#endif
