// SPDX-License-Identifier: GPL-2.0-or-later
/* Heads and bodies over TLS. */
#include "link.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../net/tcp.h"

int http_context(const struct http_identity *id, SSL_CTX **out, struct vmc_error *err)
{
	SSL_CTX *c = SSL_CTX_new(TLS_method());
	int rc = 0;

	if (!c || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1) {
		SSL_CTX_free(c);
		return vmc_fail(err, VMC_ENOMEM, "cannot set TLS up: %s", tls_io_reason());
	}
	tls_io_context(c);
	if (id)
		rc = http_identity_use(id, c, err);
	if (rc)
		SSL_CTX_free(c);
	else
		*out = c;
	return rc;
}

static int words(void *owner, const struct tls_fault *f, struct vmc_error *err)
{
	const struct http_link *l = owner;

	return tls_io_words(l->where, f, err);
}

int http_link_begin(struct http_link *l, int fd, SSL_CTX *ctx, bool accept, void *data, uint64_t deadline,
		    struct vmc_error *err)
{
	int rc;

	l->io = (struct tls_io)TLS_IO_INIT;
	l->io.fd = fd;
	l->io.words = words;
	l->io.owner = l;
	l->have = 0;
	net_set_timers(fd);
	rc = tls_io_begin(&l->io, ctx, err);
	if (rc)
		return rc;
	SSL_set_app_data(l->io.ssl, data);
	return tls_io_handshake(&l->io, accept, deadline, err);
}

void http_link_end(struct http_link *l)
{
	tls_io_end(&l->io, 0);
	l->have = 0;
}

int http_link_head(struct http_link *l, size_t *n, uint64_t deadline, struct vmc_error *err)
{
	for (;;) {
		size_t got;
		int rc = http_head_length(l->buf, l->have, n, err);

		if (rc || *n)
			return rc;
		rc = tls_io_read_some(&l->io, l->buf + l->have, sizeof(l->buf) - l->have, &got, deadline,
				      N_("waiting for a message"), err);
		if (rc)
			return rc;
		if (!got && !l->have)
			return vmc_fail(err, VMC_ECANCELED, "%s closed the connection", l->where);
		if (!got)
			return vmc_fail(err, VMC_EPROTO, "%s ended in the middle of a message", l->where);
		l->have += got;
	}
}

int http_link_body(struct http_link *l, size_t head, size_t n, char **body, uint64_t deadline, struct vmc_error *err)
{
	size_t here = l->have - head < n ? l->have - head : n;
	char *b = malloc(n + 1);
	int rc = 0;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a message of %zu bytes", n);
	memcpy(b, l->buf + head, here);
	l->have -= head + here;
	memmove(l->buf, l->buf + head + here, l->have);
	if (here < n)
		rc = tls_io_read(&l->io, b + here, n - here, deadline, N_("reading a message"), err);
	b[n] = '\0';
	if (rc)
		free(b);
	else
		*body = b;
	return rc;
}

int http_link_write(struct http_link *l, const char *b, size_t n, uint64_t deadline, struct vmc_error *err)
{
	return tls_io_write(&l->io, b, n, deadline, N_("sending a message"), err);
}
