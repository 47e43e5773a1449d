// SPDX-License-Identifier: GPL-2.0-or-later
/* TLS on a non-blocking socket. See tls_io.h. */
#include "tls_io.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "sock_bio.h"
#include "tcp.h"

#define IDLE_RECORDS	16	/* that may come unasked between two requests */

static const char *reason_of(unsigned long e)
{
	const char *s = e ? ERR_reason_error_string(e) : NULL;

	return s ? s : "no reason given";
}

const char *tls_io_reason(void)
{
	const char *s = reason_of(ERR_peek_last_error());

	ERR_clear_error();
	return s;
}

void tls_io_context(SSL_CTX *ctx)
{
	/* decrypted records are wiped once read: they carry keys */
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			    SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* back to us, and to the deadline, after each record: the other side may send tickets without end */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
}

/* ---- what went wrong ----------------------------------------------------- */

int tls_io_words(const char *who, const struct tls_fault *f, struct vmc_error *err)
{
	const char *doing = message_say(f->doing);

	switch (f->kind) {
	case TLS_LATE:
		return vmc_fail(err, VMC_ETIMEDOUT, "%s did not answer in time (%s)", who, doing);
	case TLS_CLOSED:
		return vmc_fail(err, VMC_EUNREACH, "%s closed the connection %s%s%s", who, doing, f->error ? ": " : "",
				f->error ? strerror(f->error) : "");
	case TLS_ALERT:
		return vmc_fail(err, VMC_EPROTO, "%s broke the connection off %s (TLS alert '%s')", who, doing,
				SSL_alert_desc_string_long(f->alert));
	case TLS_ALIEN:
		return vmc_fail(err, VMC_EPROTO, "%s does not speak TLS", who);
	default:
		return vmc_fail(err, VMC_EPROTO, "TLS with %s failed %s: %s", who, doing, f->reason);
	}
}

static int tell(struct tls_io *io, const struct tls_fault *f, struct vmc_error *err)
{
	io->broken = true;
	if (io->words)
		return io->words(io->owner, f, err);
	return tls_io_words(message_say(N_("the other side")), f, err);
}

static void sort(struct tls_fault *f, int want, unsigned long e)
{
	int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;

	if (want == SSL_ERROR_ZERO_RETURN || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
	    (want == SSL_ERROR_SYSCALL && !e)) {
		f->kind = TLS_CLOSED;
		f->error = want == SSL_ERROR_SYSCALL ? f->error : 0;
	} else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
		f->kind = TLS_ALERT;
		f->alert = reason - SSL_AD_REASON_OFFSET;
	} else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
		   reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
		f->kind = TLS_ALIEN;
	} else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_NO_PROTOCOLS_AVAILABLE) {
		f->kind = TLS_ALERT;
		f->alert = SSL_AD_PROTOCOL_VERSION;
	} else {
		f->kind = TLS_BROKEN;
	}
}

/* An SSL call gave @want, and it is neither of the two that can be waited for. */
static int fail_ssl(struct tls_io *io, int want, int error, const char *doing, struct vmc_error *err)
{
	unsigned long e = ERR_peek_error();
	struct tls_fault f = { .error = error, .reason = reason_of(e), .doing = doing };

	sort(&f, want, e);
	ERR_clear_error();
	return tell(io, &f, err);
}

/* Wait for what OpenSSL needs after @rc. 0: call again. */
static int ssl_wait(struct tls_io *io, int rc, uint64_t deadline, const char *doing, struct vmc_error *err)
{
	int error = errno, want = SSL_get_error(io->ssl, rc);
	struct tls_fault f = { .kind = TLS_LATE, .reason = "", .doing = doing };

	if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
		return fail_ssl(io, want, error, doing, err);
	rc = net_wait(io->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
	if (!rc)
		return 0;
	if (rc != VMC_ETIMEDOUT) {
		f.kind = TLS_BROKEN;
		f.reason = strerror(errno);
	}
	return tell(io, &f, err);
}

/* ---- steps ---------------------------------------------------------------- */

int tls_io_begin(struct tls_io *io, SSL_CTX *ctx, struct vmc_error *err)
{
	BIO *bio = sock_bio(io->fd);

	ERR_clear_error();
	io->ssl = bio ? SSL_new(ctx) : NULL;
	if (!io->ssl) {
		BIO_free(bio);
		return vmc_fail(err, VMC_ENOMEM, "cannot set TLS up: %s", tls_io_reason());
	}
	SSL_set_bio(io->ssl, bio, bio);
	SSL_set_app_data(io->ssl, io->owner);
	return 0;
}

int tls_io_handshake(struct tls_io *io, bool accept, uint64_t deadline, struct vmc_error *err)
{
	int rc;

	do {
		ERR_clear_error();
		rc = accept ? SSL_accept(io->ssl) : SSL_connect(io->ssl);
		if (rc == 1)
			return 0;
		rc = ssl_wait(io, rc, deadline, N_("in the TLS handshake"), err);
	} while (!rc);
	return rc;
}

int tls_io_read_some(struct tls_io *io, void *buf, size_t max, size_t *got, uint64_t deadline, const char *doing,
		     struct vmc_error *err)
{
	int rc;

	do {
		ERR_clear_error();
		rc = SSL_read_ex(io->ssl, buf, max, got);
		if (rc == 1)
			return 0;
		*got = 0;
		if (SSL_get_error(io->ssl, rc) == SSL_ERROR_ZERO_RETURN)
			return 0;
		rc = ssl_wait(io, rc, deadline, doing, err);
	} while (!rc);
	return rc;
}

int tls_io_read(struct tls_io *io, void *buf, size_t n, uint64_t deadline, const char *doing, struct vmc_error *err)
{
	uint8_t *at = buf;

	while (n) {
		size_t got;
		int rc = tls_io_read_some(io, at, n, &got, deadline, doing, err);

		if (rc)
			return rc;
		if (!got)
			return fail_ssl(io, SSL_ERROR_ZERO_RETURN, 0, doing, err);
		at += got;
		n -= got;
	}
	return 0;
}

int tls_io_write(struct tls_io *io, const void *buf, size_t n, uint64_t deadline, const char *doing,
		 struct vmc_error *err)
{
	const uint8_t *at = buf;
	size_t done;
	int rc;

	while (n) {
		ERR_clear_error();
		rc = SSL_write_ex(io->ssl, at, n, &done);
		if (rc == 1) {
			at += done;
			n -= done;
			continue;
		}
		rc = ssl_wait(io, rc, deadline, doing, err);
		if (rc)
			return rc;
	}
	return 0;
}

int tls_io_settle(struct tls_io *io, uint64_t until, const char *doing, struct vmc_error *err)
{
	char c;

	for (;;) {
		int error, rc, want;

		ERR_clear_error();
		rc = SSL_peek(io->ssl, &c, 1);
		error = errno;
		if (rc == 1)
			return 0;
		want = SSL_get_error(io->ssl, rc);
		if (want != SSL_ERROR_WANT_READ)
			return fail_ssl(io, want, error, doing, err);
		if (net_wait(io->fd, POLLIN, until))
			return 0;
	}
}

bool tls_io_idle(struct tls_io *io)
{
	struct pollfd p = { .fd = io->fd, .events = POLLIN };
	char c;

	/* lets OpenSSL take session tickets and close_notify off the socket, one at a time */
	for (int i = 0; i < IDLE_RECORDS && !io->broken; i++) {
		int rc;

		ERR_clear_error();
		rc = SSL_peek(io->ssl, &c, 1);
		if (rc > 0 || SSL_get_error(io->ssl, rc) != SSL_ERROR_WANT_READ)
			return false;
		if (!poll(&p, 1, 0))
			return true;
	}
	return false;
}

static void goodbye(struct tls_io *io, uint64_t deadline)
{
	int rc;

	do {
		ERR_clear_error();
		rc = SSL_shutdown(io->ssl);
	} while (rc < 0 && deadline && SSL_get_error(io->ssl, rc) == SSL_ERROR_WANT_WRITE &&
		 !net_wait(io->fd, POLLOUT, deadline));
}

void tls_io_end(struct tls_io *io, uint64_t deadline)
{
	if (io->ssl && !io->broken && SSL_is_init_finished(io->ssl))
		goodbye(io, deadline);
	ERR_clear_error();
	SSL_free(io->ssl);
	io->ssl = NULL;
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
}
