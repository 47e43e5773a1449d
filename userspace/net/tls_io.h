/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS on a non-blocking socket: a deadline (vmc_now_ms() clock) on every step, no SIGPIPE. What goes wrong is sorted here;
 * whoever owns the connection knows who is at the other end, and finds the words.
 */
#ifndef VMC_NET_TLS_IO_H
#define VMC_NET_TLS_IO_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

struct tls_fault {
	enum {
		TLS_LATE,	/* the deadline came */
		TLS_CLOSED,	/* the other side ended it; @error is errno, or 0 */
		TLS_ALERT,	/* the other side said why: @alert, SSL_AD_...; also when no version is in common */
		TLS_ALIEN,	/* what came is not TLS */
		TLS_BROKEN,	/* anything else: @reason */
	} kind;
	int alert, error;
	const char *reason;	/* OpenSSL's, never NULL */
	const char *doing;	/* "in the TLS handshake": N_(), for message_say() */
};

struct tls_io {
	SSL *ssl;
	int fd;				/* -1: none */
	bool broken;			/* a step has failed: all that is left is tls_io_end() */
	/* vmc_fail() for @f and return its code. NULL: tls_io_words() with "the other side" and no address */
	int (*words)(void *owner, const struct tls_fault *f, struct vmc_error *err);
	void *owner;			/* also SSL_get_app_data() of @ssl */
};

#define TLS_IO_INIT { .fd = -1 }

/* What OpenSSL gives as the reason of the last failure of this thread; forgets it. Never NULL. */
const char *tls_io_reason(void);

/* A context's settings that all connections here share: no tickets, no session cache, plain text wiped once read. */
void tls_io_context(SSL_CTX *ctx);

/* Make @io->ssl for @io->fd, which is set and non-blocking. VMC_ENOMEM. Whatever comes of it: tls_io_end(). */
int tls_io_begin(struct tls_io *io, SSL_CTX *ctx, struct vmc_error *err);
int tls_io_handshake(struct tls_io *io, bool accept, uint64_t deadline, struct vmc_error *err);

/* All @n bytes. @doing is for the words. VMC_EUNREACH when the other side ends before. */
int tls_io_read(struct tls_io *io, void *buf, size_t n, uint64_t deadline, const char *doing, struct vmc_error *err);
int tls_io_write(struct tls_io *io, const void *buf, size_t n, uint64_t deadline, const char *doing,
		 struct vmc_error *err);
/* At least one byte and at most @max. 0 and *@got 0: the other side ended properly (close_notify). */
int tls_io_read_some(struct tls_io *io, void *buf, size_t max, size_t *got, uint64_t deadline, const char *doing,
		     struct vmc_error *err);

/*
 * Wait until @until at most for what the other side says by itself: a TLS 1.3 server refuses a certificate only after
 * the handshake, and what it says then is lost when a request is under way already. 0 when it says nothing.
 */
int tls_io_settle(struct tls_io *io, uint64_t until, const char *doing, struct vmc_error *err);
/* An idle connection whose other side neither ended it nor said something unasked. */
bool tls_io_idle(struct tls_io *io);

/* Say goodbye if the socket takes it until @deadline (0: at once), without an answer; free and close. */
void tls_io_end(struct tls_io *io, uint64_t deadline);

/* Plain words: "%s closed the connection in the TLS handshake". @who: "10.0.0.7:5700", as it is. */
int tls_io_words(const char *who, const struct tls_fault *f, struct vmc_error *err);

#endif
