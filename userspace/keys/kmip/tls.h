/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mutual TLS to a key server, by OpenSSL on a non-blocking socket: a deadline on every step, no SIGPIPE. */
#ifndef VMC_KMIP_TLS_H
#define VMC_KMIP_TLS_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"
#include "../cert.h"

struct tls_settings {
	const char *provider;		/* for hints: "vmcrypt provider trust PROVIDER ..." */
	const char *ca_file;		/* may be NULL or not exist */
	const char *pin_file;		/* likewise; see cert_pins_load() */
	const char *cert_file, *key_file;	/* NULL: no client certificate */
	const char *server_name;	/* the name to look for in the certificate; NULL: the host */
	bool tls13;			/* refuse TLS 1.2 */
};

/* Settings read and checked once; used by any number of threads and connections. */
struct tls_context;
int tls_context_new(const struct tls_settings *s, struct tls_context **ctx, struct vmc_error *err);
void tls_context_free(struct tls_context *ctx);
/* Our own certificate: subject and days left; false without one. */
bool tls_context_client(const struct tls_context *ctx, char subject[CERT_NAME_MAX], int64_t *not_after,
			int *days_left);

struct tls;
/*
 * Connect until @connect_by, shake hands until @deadline. Errors name @host and
 * @port: VMC_EUNREACH, VMC_ETIMEDOUT, VMC_ETRUST (either side's certificate),
 * VMC_EPROTO (not TLS).
 */
int tls_open(struct tls_context *ctx, const char *host, uint16_t port, uint64_t connect_by,
	     uint64_t deadline, struct tls **t, struct vmc_error *err);
void tls_close(struct tls *t);

/*
 * Wait until @until at most for what the server says by itself: a TLS 1.3
 * server refuses a certificate only after the handshake, and what it says then
 * is lost when a request is under way already. 0 when it says nothing.
 */
int tls_settle(struct tls *t, uint64_t until, struct vmc_error *err);
/* All @n bytes. VMC_EUNREACH when the other side closes; VMC_ETRUST when it refuses our certificate only now (TLS 1.3). */
int tls_write(struct tls *t, const void *buf, size_t n, uint64_t deadline, struct vmc_error *err);
int tls_read(struct tls *t, void *buf, size_t n, uint64_t deadline, struct vmc_error *err);
/* An idle connection that neither closed nor said something unasked. */
bool tls_idle(struct tls *t);

struct tls_peer {
	char version[16], cipher[64];
	char subject[CERT_NAME_MAX], sha256[CERT_FINGERPRINT];
	int64_t not_after;
	int days_left;
	bool pinned;			/* trusted by a pin, not by a CA */
	bool aead, forward_secret;
};
void tls_peer(const struct tls *t, struct tls_peer *p);

/*
 * What the server presents, whether trusted or not, without going on to talk
 * to it. @verdict is 0 and empty, or the error that tls_open() would give.
 * @chain: free with cert_chain_free().
 */
int tls_inspect(struct tls_context *ctx, const char *host, uint16_t port, uint64_t deadline,
		STACK_OF(X509) **chain, bool *pinned, struct vmc_error *verdict, struct vmc_error *err);

#endif
