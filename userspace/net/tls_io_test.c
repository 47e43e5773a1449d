// SPDX-License-Identifier: GPL-2.0-or-later
/* Two ends of a socket pair: whole and partial reads, deadlines, and each way that the other end may go wrong. */
#include <fcntl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/util.h"
#include "../testing/testing.h"
#include "tls_io.h"

#define SOON	(vmc_now_ms() + 10000)
#define DOING	"in a test"
#define BIG	(256 * 1024)		/* more than a socket takes at once */

struct world {
	SSL_CTX *ctx[2];		/* 0 connects, 1 accepts */
	struct tls_io io[2];
};

static SSL_CTX *context(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_method());

	assert_non_null(c);
	tls_io_context(c);
	return c;
}

static void use_certificate(SSL_CTX *c)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	assert_non_null(key);
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(c, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(c, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	for (int i = 0; i < 2; i++) {
		w->ctx[i] = context();
		w->io[i] = (struct tls_io)TLS_IO_INIT;
		w->io[i].fd = fd[i];
	}
	use_certificate(w->ctx[1]);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		tls_io_end(&w->io[i], 0);
		SSL_CTX_free(w->ctx[i]);
	}
	free(w);
	return 0;
}

static void begin(struct world *w, int i)
{
	struct vmc_error e = VMC_ERROR_INIT;

	assert_ok(tls_io_begin(&w->io[i], w->ctx[i], &e), &e);
}

/* ---- the accepting end, in a thread -------------------------------------------- */

struct far {
	pthread_t thread;
	struct tls_io *io;
	int (*after)(struct tls_io *io, struct vmc_error *err);
	struct vmc_error err;
};

static void *far_thread(void *data)
{
	struct far *f = data;

	if (!tls_io_handshake(f->io, true, SOON, &f->err) && f->after)
		f->after(f->io, &f->err);
	return NULL;
}

static void far_start(struct world *w, struct far *f)
{
	f->io = &w->io[1];
	begin(w, 1);
	assert_int_equal(pthread_create(&f->thread, NULL, far_thread, f), 0);
}

static int far_join(struct far *f)
{
	pthread_join(f->thread, NULL);
	return f->err.code;
}

static int send_back(struct tls_io *io, struct vmc_error *err)
{
	uint8_t *b = malloc(BIG);
	int rc = tls_io_read(io, b, BIG, SOON, DOING, err);

	if (!rc)
		rc = tls_io_write(io, b, BIG, SOON, DOING, err);
	free(b);
	tls_io_end(io, SOON);
	return rc;
}

static int cut(struct tls_io *io, struct vmc_error *err)
{
	(void)err;
	return shutdown(io->fd, SHUT_RDWR);
}

static void shake(struct world *w, struct far *f)
{
	struct vmc_error e = VMC_ERROR_INIT;

	far_start(w, f);
	begin(w, 0);
	assert_ok(tls_io_handshake(&w->io[0], false, SOON, &e), &e);
}

/* ---- tests ----------------------------------------------------------------- */

static void there_and_back(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct far f = { .after = send_back };
	uint8_t *out = malloc(BIG), *in = calloc(1, BIG);
	size_t got;

	for (size_t i = 0; i < BIG; i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	shake(w, &f);
	assert_ok(tls_io_settle(&w->io[0], vmc_now_ms() + 20, DOING, &e), &e);
	assert_true(tls_io_idle(&w->io[0]));
	assert_ok(tls_io_write(&w->io[0], out, BIG, SOON, DOING, &e), &e);
	assert_ok(tls_io_read_some(&w->io[0], in, BIG, &got, SOON, DOING, &e), &e);
	assert_in_range(got, 1, BIG);
	assert_ok(tls_io_read(&w->io[0], in + got, BIG - got, SOON, DOING, &e), &e);
	assert_memory_equal(in, out, BIG);
	/* a proper end is told from one that is none */
	assert_ok(tls_io_read_some(&w->io[0], in, BIG, &got, SOON, DOING, &e), &e);
	assert_int_equal(got, 0);
	assert_false(w->io[0].broken);
	assert_false(tls_io_idle(&w->io[0]));
	assert_code(tls_io_read(&w->io[0], in, 1, SOON, DOING, &e), VMC_EUNREACH, &e);
	assert_true(w->io[0].broken);
	assert_int_equal(far_join(&f), 0);
	free(out);
	free(in);
}

static void cut_is_no_end(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct far f = { .after = cut };
	size_t got;
	char c;

	shake(w, &f);
	assert_int_equal(far_join(&f), 0);
	assert_code(tls_io_read_some(&w->io[0], &c, 1, &got, SOON, DOING, &e), VMC_EUNREACH, &e);
	assert_int_equal(got, 0);
	assert_contains(e.text, "the other side closed the connection in a test");
	assert_false(tls_io_idle(&w->io[0]));
}

static void deadlines_hold(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct far f = { .after = NULL };
	uint8_t *b = calloc(1, BIG);
	uint64_t start;

	begin(w, 0);
	start = vmc_now_ms();
	assert_code(tls_io_handshake(&w->io[0], false, start + 50, &e), VMC_ETIMEDOUT, &e);
	assert_in_range(vmc_now_ms() - start, 50, 5000);
	assert_true(w->io[0].broken);
	teardown(state);

	setup(state);
	w = *state;
	shake(w, &f);
	assert_int_equal(far_join(&f), 0);
	assert_code(tls_io_read(&w->io[0], b, 1, vmc_now_ms() + 20, DOING, &e), VMC_ETIMEDOUT, &e);
	assert_contains(e.text, "did not answer in time (in a test)");
	free(b);
}

static void nobody_reads(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct far f = { .after = NULL };
	uint8_t *b = calloc(4, BIG);

	shake(w, &f);
	assert_int_equal(far_join(&f), 0);
	assert_code(tls_io_write(&w->io[0], b, 4 * BIG, vmc_now_ms() + 50, DOING, &e), VMC_ETIMEDOUT, &e);
	free(b);
}

static void not_tls(void **state)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;

	begin(w, 0);
	assert_int_equal(write(w->io[1].fd, http, sizeof(http) - 1), sizeof(http) - 1);
	assert_code(tls_io_handshake(&w->io[0], false, SOON, &e), VMC_EPROTO, &e);
	assert_contains(e.text, "does not speak TLS");
}

static struct tls_fault seen;

static int remember(void *owner, const struct tls_fault *f, struct vmc_error *err)
{
	seen = *f;
	return tls_io_words(owner, f, err);
}

static void no_version_in_common(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct far f = { .after = NULL };

	SSL_CTX_set_max_proto_version(w->ctx[0], TLS1_2_VERSION);
	SSL_CTX_set_min_proto_version(w->ctx[1], TLS1_3_VERSION);
	w->io[0].words = remember;
	w->io[0].owner = (char *)"192.0.2.7:5700";
	far_start(w, &f);
	begin(w, 0);
	assert_code(tls_io_handshake(&w->io[0], false, SOON, &e), VMC_EPROTO, &e);
	assert_int_equal(seen.kind, TLS_ALERT);
	assert_int_equal(seen.alert, SSL_AD_PROTOCOL_VERSION);
	assert_contains(e.text, "192.0.2.7:5700 broke the connection off in the TLS handshake");
	/* and the other end says the same of it */
	assert_int_equal(far_join(&f), VMC_EPROTO);
	assert_contains(f.err.text, "protocol version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_is_no_end, setup, teardown),
		cmocka_unit_test_setup_teardown(deadlines_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(not_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(no_version_in_common, setup, teardown),
	};

	return cmocka_run_group_tests_name("tls_io", tests, NULL, NULL);
}
