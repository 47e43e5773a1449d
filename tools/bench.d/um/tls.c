// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS 1.3 with AES-256-GCM: by the kernel, by GnuTLS as QEMU uses it, and by
 * OpenSSL.
 */
#include <gnutls/gnutls.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "path.h"

#ifndef SOL_TLS
#define SOL_TLS	282
#endif

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM"
#define PAGE	4096

/* kTLS: both ends are given the same keys, in place of a handshake. */

static void ktls_key(int fd, int way, unsigned char fill)
{
	struct tls12_crypto_info_aes_gcm_256 key = {
		.info = { .version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_256 },
	};

	memset(key.key, fill, sizeof(key.key));
	if (setsockopt(fd, SOL_TLS, way, &key, sizeof(key)))
		die("the kernel's TLS refuses a key");
}

static void ktls_start(struct end *end)
{
	if (setsockopt(end->fd, SOL_TCP, TCP_ULP, "tls", sizeof("tls")))
		die("the kernel has no TLS");
	ktls_key(end->fd, TLS_TX, end->side == SENDER);
	ktls_key(end->fd, TLS_RX, end->side != SENDER);
}

/* A certificate, signed by itself, that nobody checks. */

static X509 *certificate(EVP_PKEY **key)
{
	X509 *x = X509_new();

	*key = EVP_EC_gen("P-256");
	if (!x || !*key)
		die("no memory for a certificate");
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)"bench", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, *key);
	if (!X509_sign(x, *key, EVP_sha256()))
		die("cannot sign a certificate");
	return x;
}

/* GnuTLS */

static void gtls_credentials(gnutls_session_t session, int side)
{
	gnutls_certificate_credentials_t cred;
	gnutls_datum_t cert, key;
	EVP_PKEY *pkey;
	BIO *bc, *bk;
	X509 *x;

	gnutls_certificate_allocate_credentials(&cred);
	if (side == RECEIVER) {
		x = certificate(&pkey);
		bc = BIO_new(BIO_s_mem());
		bk = BIO_new(BIO_s_mem());
		PEM_write_bio_X509(bc, x);
		PEM_write_bio_PrivateKey(bk, pkey, NULL, NULL, 0, NULL, NULL);
		cert.size = BIO_get_mem_data(bc, &cert.data);
		key.size = BIO_get_mem_data(bk, &key.data);
		if (gnutls_certificate_set_x509_key_mem(cred, &cert, &key, GNUTLS_X509_FMT_PEM) < 0)
			die("GnuTLS refuses the certificate");
		BIO_free(bc);
		BIO_free(bk);
		X509_free(x);
		EVP_PKEY_free(pkey);
	}
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, cred);
}

static void gtls_start(struct end *end)
{
	gnutls_session_t session;
	int r;

	gnutls_init(&session, (end->side == SENDER ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NO_TICKETS);
	gnutls_priority_set_direct(session, PRIORITY, NULL);
	gtls_credentials(session, end->side);
	gnutls_transport_set_int(session, end->fd);
	do {
		r = gnutls_handshake(session);
	} while (r < 0 && !gnutls_error_is_fatal(r));
	if (r < 0)
		die("GnuTLS: %s", gnutls_strerror(r));
	end->session = session;
}

static ssize_t gtls_again(ssize_t r)
{
	if (r < 0 && gnutls_error_is_fatal(r))
		die("GnuTLS: %s", gnutls_strerror(r));
	return r < 0 ? 0 : r;
}

/* A page is a record: QEMU before 11. */
static ssize_t gtls_send(struct end *end, const void *buf, size_t len)
{
	return gtls_again(gnutls_record_send(end->session, buf, len < PAGE ? len : PAGE));
}

/* Pages, corked into full records: QEMU 11. */
static ssize_t gtls_send_corked(struct end *end, const void *buf, size_t len)
{
	size_t at = 0;

	gnutls_record_cork(end->session);
	while (at < len && at < 4 * PAGE)
		at += gtls_again(gnutls_record_send(end->session, (const char *)buf + at, PAGE));
	if (gnutls_record_uncork(end->session, GNUTLS_RECORD_WAIT) < 0)
		die("GnuTLS cannot send");
	return at;
}

static ssize_t gtls_recv_page(struct end *end, void *buf, size_t len)
{
	return gtls_again(gnutls_record_recv(end->session, buf, len < PAGE ? len : PAGE));
}

static ssize_t gtls_recv(struct end *end, void *buf, size_t len)
{
	return gtls_again(gnutls_record_recv(end->session, buf, len));
}

/* OpenSSL */

static void ossl_start(struct end *end)
{
	bool sender = end->side == SENDER;
	SSL_CTX *ctx = SSL_CTX_new(sender ? TLS_client_method() : TLS_server_method());
	EVP_PKEY *key;
	X509 *x;
	SSL *ssl;

	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384");
	if (!sender) {
		x = certificate(&key);
		SSL_CTX_use_certificate(ctx, x);
		SSL_CTX_use_PrivateKey(ctx, key);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, end->fd);
	if ((sender ? SSL_connect(ssl) : SSL_accept(ssl)) != 1)
		die("OpenSSL: %s", ERR_error_string(ERR_get_error(), NULL));
	end->session = ssl;
}

static ssize_t ossl_send(struct end *end, const void *buf, size_t len)
{
	return SSL_write(end->session, buf, len);
}

static ssize_t ossl_recv(struct end *end, void *buf, size_t len)
{
	return SSL_read(end->session, buf, len);
}

const struct path tls_paths[] = {
	{ "ktls", tcp_pair, ktls_start, plain_send, plain_recv, socket_finish },
	{ "gnutls-4k", tcp_pair, gtls_start, gtls_send, gtls_recv_page, socket_finish },
	{ "gnutls-16k", tcp_pair, gtls_start, gtls_send_corked, gtls_recv, socket_finish },
	{ "openssl", tcp_pair, ossl_start, ossl_send, ossl_recv, socket_finish },
	{ .name = NULL },
};
