// SPDX-License-Identifier: GPL-2.0-or-later
/* Mutual TLS to a key server. See tls.h. */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../net/tcp.h"
#include "../../net/tls_io.h"

/* TLS 1.2: AEAD with forward secrecy first, then what old servers offer. */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:RSA+AES:" \
		   "!aNULL:!eNULL:!PSK:!SRP:!MD5:!SHA1"

struct tls_context {
	SSL_CTX *ssl;
	char provider[64];
	char *server_name;
	bool has_ca, has_cert;
	char client_subject[CERT_NAME_MAX];
	int64_t client_not_after;
	int client_days;
	struct cert_pin pins[CERT_PINS_MAX];
	unsigned int n_pins;
};

struct tls {
	struct tls_context *ctx;
	struct tls_io io;
	char where[300];		/* host:port */
	bool inspect;			/* only look, never trust */
	bool pinned;
	bool verified;			/* the verify callback ran */
	int verify_error;		/* X509_V_... */
	STACK_OF(X509) *seen;		/* what the server presented */
};

/* ---- context ------------------------------------------------------------------ */

/*
 * Stands in for OpenSSL's chain building: a pinned certificate is trusted as
 * it is, whatever its name, dates and issuer; all others go the usual way.
 */
static int verify(X509_STORE_CTX *store, void *data)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	int ok = 0;

	(void)data;
	t->verified = true;
	cert_chain_free(t->seen);
	t->seen = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store));
	t->verify_error = X509_V_OK;
	if (leaf && cert_pin_match(t->ctx->pins, t->ctx->n_pins, leaf)) {
		t->pinned = true;
		X509_STORE_CTX_set_error(store, X509_V_OK);
		ok = 1;
	} else if (t->ctx->has_ca) {
		ok = X509_verify_cert(store) > 0;
		t->verify_error = X509_STORE_CTX_get_error(store);
	} else {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		t->verify_error = X509_V_ERR_APPLICATION_VERIFICATION;
	}
	if (!ok && t->verify_error == X509_V_OK)
		t->verify_error = X509_V_ERR_UNSPECIFIED;
	return t->inspect ? 0 : ok;
}

static int load_ca(struct tls_context *c, const char *path, struct vmc_error *err)
{
	STACK_OF(X509) *chain;
	int rc;

	if (!path || access(path, F_OK))
		return 0;
	rc = cert_chain_load(path, &chain, err);
	/* an intermediate CA, or the server's own certificate, may be all that is trusted */
	X509_STORE_set_flags(SSL_CTX_get_cert_store(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	for (int i = 0; !rc && i < sk_X509_num(chain); i++)
		if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ssl), sk_X509_value(chain, i)))
			rc = vmc_fail(err, VMC_ENOMEM, "cannot use '%s': %s", path, tls_io_reason());
	cert_chain_free(chain);
	c->has_ca = !rc;
	return rc;
}

static int use_cert(struct tls_context *c, const char *path, STACK_OF(X509) *chain,
		    EVP_PKEY *key, struct vmc_error *err)
{
	X509 *leaf = sk_X509_value(chain, 0);
	int code;

	if (!cert_fits_key(leaf, key)) {
		code = vmc_fail(err, VMC_ETRUST, "client certificate '%s' was not made for the private key beside it",
				path);
		vmc_hint(err, "vmcrypt provider trust %s csr, have the request signed, then upload the certificate",
			 c->provider);
		return code;
	}
	if (SSL_CTX_use_certificate(c->ssl, leaf) != 1 || SSL_CTX_use_PrivateKey(c->ssl, key) != 1)
		return vmc_fail(err, VMC_EINVAL, "cannot use client certificate '%s': %s", path,
				tls_io_reason());
	for (int i = 1; i < sk_X509_num(chain); i++)
		if (!SSL_CTX_add1_chain_cert(c->ssl, sk_X509_value(chain, i)))
			return vmc_fail(err, VMC_ENOMEM, "cannot use '%s': %s", path, tls_io_reason());
	c->has_cert = true;
	cert_subject(leaf, c->client_subject);
	c->client_not_after = cert_not_after(leaf);
	c->client_days = cert_days_left(leaf);
	return 0;
}

static int load_client(struct tls_context *c, const struct tls_settings *s, struct vmc_error *err)
{
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	int rc;

	if (!s->cert_file)
		return 0;
	rc = cert_key_load(s->key_file, &key, err);
	if (!rc)
		rc = cert_chain_load(s->cert_file, &chain, err);
	if (!rc)
		rc = use_cert(c, s->cert_file, chain, key, err);
	cert_chain_free(chain);
	EVP_PKEY_free(key);
	return rc;
}

int tls_context_new(const struct tls_settings *s, struct tls_context **ctx, struct vmc_error *err)
{
	struct tls_context *c = calloc(1, sizeof(*c));
	int rc;

	*ctx = NULL;
	if (!c || !(c->ssl = SSL_CTX_new(TLS_client_method()))) {
		free(c);
		return vmc_fail(err, VMC_ENOMEM, "cannot set TLS up: %s", tls_io_reason());
	}
	snprintf(c->provider, sizeof(c->provider), "%s", s->provider ? s->provider : "NAME");
	if (s->server_name && !(c->server_name = strdup(s->server_name)))
		goto nomem;
	SSL_CTX_set_min_proto_version(c->ssl, s->tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	if (SSL_CTX_set_cipher_list(c->ssl, CIPHERS_12) != 1)
		goto nomem;
	tls_io_context(c->ssl);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(c->ssl, verify, NULL);

	rc = load_ca(c, s->ca_file, err);
	if (!rc && s->pin_file)
		rc = cert_pins_load(s->pin_file, c->pins, &c->n_pins, err);
	if (!rc)
		rc = load_client(c, s, err);
	if (rc)
		goto fail;
	*ctx = c;
	return 0;
nomem:
	rc = vmc_fail(err, VMC_ENOMEM, "cannot set TLS up: %s", tls_io_reason());
fail:
	tls_context_free(c);
	return rc;
}

void tls_context_free(struct tls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c->server_name);
	free(c);
}

bool tls_context_client(const struct tls_context *c, char subject[CERT_NAME_MAX],
			int64_t *not_after, int *days_left)
{
	if (!c->has_cert)
		return false;
	memcpy(subject, c->client_subject, CERT_NAME_MAX);
	*not_after = c->client_not_after;
	*days_left = c->client_days;
	return true;
}

/* ---- what went wrong, in words ---------------------------------------------------- */

static int fail_pin(const struct tls *t, const char *why, struct vmc_error *err)
{
	char fp[CERT_FINGERPRINT] = "", subject[CERT_NAME_MAX] = "";
	X509 *leaf = sk_X509_num(t->seen) > 0 ? sk_X509_value(t->seen, 0) : NULL;
	int code;

	if (leaf) {
		cert_fingerprint(leaf, fp);
		cert_subject(leaf, subject);
	}
	code = vmc_fail(err, VMC_ETRUST, "key server %s presents the certificate '%s' with fingerprint sha256:%s, %s",
			t->where, subject, fp, message_say(why));
	vmc_hint(err, "compare the fingerprint with what the server's administrator tells you; if it is right: vmcrypt provider trust %s pin --fingerprint %s",
		 t->ctx->provider, fp);
	return code;
}

static int fail_dates(const struct tls *t, bool expired, struct vmc_error *err)
{
	X509 *leaf = sk_X509_num(t->seen) > 0 ? sk_X509_value(t->seen, 0) : NULL;
	int code, days = leaf ? cert_days_left(leaf) : 0;

	if (expired && days < 0)
		code = vmc_fail(err, VMC_ETRUST, "the certificate of key server %s expired %d days ago", t->where, -days);
	else
		code = vmc_fail(err, VMC_ETRUST, "the certificate of key server %s, or of its CA, %s", t->where,
				message_say(expired ? N_("has expired") : N_("is not valid yet")));
	vmc_hint(err, "check this host's clock; else have the certificate of the key server renewed");
	return code;
}

static int fail_verify(const struct tls *t, struct vmc_error *err)
{
	const char *name = t->ctx->server_name ? t->ctx->server_name : t->where;
	int code;

	switch (t->verify_error) {
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return fail_pin(t, t->ctx->n_pins ? N_("which is not the one that is pinned") :
						    N_("and nothing is set up to trust it by"), err);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return fail_dates(t, true, err);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return fail_dates(t, false, err);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		code = vmc_fail(err, VMC_ETRUST, "the certificate of key server %s was made for another name than '%.*s'",
				t->where, t->ctx->server_name ? (int)strlen(name) :
				(int)(strrchr(name, ':') - name), name);
		vmc_hint(err, "reach the server by a name in its certificate (vmcrypt provider trust %s show lists them), set server_name, or pin the certificate",
			 t->ctx->provider);
		return code;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return fail_pin(t, N_("which no CA that is trusted here has signed"), err);
	default:
		code = vmc_fail(err, VMC_ETRUST, "the certificate of key server %s is not trusted: %s",
				t->where, X509_verify_cert_error_string(t->verify_error));
		vmc_hint(err, "vmcrypt provider trust %s show tells what the server presents",
			 t->ctx->provider);
		return code;
	}
}

static int fail_alert(const struct tls *t, int alert, struct vmc_error *err)
{
	const char *name = SSL_alert_desc_string_long(alert);
	int code;

	switch (alert) {
	case SSL_AD_NO_CERTIFICATE:
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_CERTIFICATE_REQUIRED:
		if (t->ctx->has_cert)
			code = vmc_fail(err, VMC_ETRUST, "key server %s refused this host's client certificate '%s' (TLS alert '%s')",
					t->where, t->ctx->client_subject, name);
		else
			code = vmc_fail(err, VMC_ETRUST, "key server %s wants a client certificate and there is none (TLS alert '%s')",
					t->where, name);
		vmc_hint(err, alert == SSL_AD_CERTIFICATE_EXPIRED ?
			 "renew it: vmcrypt provider trust %s csr, have it signed, upload it" :
			 "make the certificate known on the key server, or get one from a CA that it trusts: vmcrypt provider trust %s csr",
			 t->ctx->provider);
		return code;
	case SSL_AD_PROTOCOL_VERSION:
	case SSL_AD_HANDSHAKE_FAILURE:
	case SSL_AD_INSUFFICIENT_SECURITY:
		code = vmc_fail(err, VMC_EPROTO, "key server %s and this host have no TLS version or cipher in common (TLS alert '%s')",
				t->where, name);
		vmc_hint(err, "TLS 1.2 with an AES cipher is the least that is accepted (1.3 if tls_min says so): see tls_min of the provider and the server's settings");
		return code;
	default:
		return vmc_fail(err, VMC_EPROTO, "key server %s broke the connection off (TLS alert '%s')",
				t->where, name);
	}
}

static int fail_closed(const struct tls *t, const struct tls_fault *f, struct vmc_error *err)
{
	int code;

	code = vmc_fail(err, VMC_EUNREACH, "key server %s closed the connection %s%s%s", t->where,
			message_say(f->doing), f->error ? ": " : "", f->error ? strerror(f->error) : "");
	vmc_hint(err, "see the log of the key server; some close like this when they do not accept the client certificate");
	return code;
}

static int fail_late(const struct tls *t, const struct tls_fault *f, struct vmc_error *err)
{
	int code;

	code = vmc_fail(err, VMC_ETIMEDOUT, "key server %s did not answer in time (%s)", t->where,
			message_say(f->doing));
	vmc_hint(err, "see whether the key server is overloaded; request_timeout_ms of the provider sets how long to wait");
	return code;
}

static int words(void *owner, const struct tls_fault *f, struct vmc_error *err)
{
	const struct tls *t = owner;
	int code;

	if (f->kind == TLS_LATE)
		return fail_late(t, f, err);
	if (t->verified && t->verify_error != X509_V_OK)
		return fail_verify(t, err);
	if (f->kind == TLS_CLOSED)
		return fail_closed(t, f, err);
	if (f->kind == TLS_ALERT)
		return fail_alert(t, f->alert, err);
	if (f->kind == TLS_ALIEN) {
		code = vmc_fail(err, VMC_EPROTO, "what listens at %s does not speak TLS", t->where);
		vmc_hint(err, "KMIP servers usually listen on port 5696; check the port");
		return code;
	}
	return vmc_fail(err, VMC_EPROTO, "TLS with key server %s failed %s: %s", t->where, message_say(f->doing),
			f->reason);
}

/* ---- connections ---------------------------------------------------------------------- */

/* Ask for @host's name in the certificate, and in the handshake (SNI; not for addresses, RFC 6066). */
static bool expect_name(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	unsigned char a[16];

	if (inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1;
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int tls_new(struct tls_context *ctx, const char *host, uint16_t port, struct tls **out,
		   struct vmc_error *err)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a connection");
	t->ctx = ctx;
	t->io = (struct tls_io){ .fd = -1, .words = words, .owner = t };
	snprintf(t->where, sizeof(t->where), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	*out = t;
	return 0;
}

static int handshake(struct tls *t, const char *host, uint64_t deadline, struct vmc_error *err)
{
	const char *name = t->ctx->server_name ? t->ctx->server_name : host;
	int rc = tls_io_begin(&t->io, t->ctx->ssl, err);

	if (rc)
		return rc;
	if (!expect_name(t->io.ssl, name))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not a name to look for in a certificate", name);
	return tls_io_handshake(&t->io, false, deadline, err);
}

static int tls_start(struct tls *t, const char *host, uint16_t port, uint64_t connect_by,
		     uint64_t deadline, struct vmc_error *err)
{
	int rc = net_connect(host, port, connect_by < deadline ? connect_by : deadline, &t->io.fd, err);

	if (rc)
		return vmc_prefix(err, "key server %s: ", t->where), rc;
	return handshake(t, host, deadline, err);
}

int tls_open(struct tls_context *ctx, const char *host, uint16_t port, uint64_t connect_by,
	     uint64_t deadline, struct tls **out, struct vmc_error *err)
{
	struct tls *t;
	int rc = tls_new(ctx, host, port, &t, err);

	*out = NULL;
	if (rc)
		return rc;
	rc = tls_start(t, host, port, connect_by, deadline, err);
	if (rc)
		tls_close(t);
	else
		*out = t;
	return rc;
}

void tls_close(struct tls *t)
{
	if (!t)
		return;
	tls_io_end(&t->io, 0);
	cert_chain_free(t->seen);
	free(t);
}

int tls_settle(struct tls *t, uint64_t until, struct vmc_error *err)
{
	return tls_io_settle(&t->io, until, N_("right after the TLS handshake"), err);
}

int tls_write(struct tls *t, const void *buf, size_t n, uint64_t deadline, struct vmc_error *err)
{
	return tls_io_write(&t->io, buf, n, deadline, N_("while a request was sent"), err);
}

int tls_read(struct tls *t, void *buf, size_t n, uint64_t deadline, struct vmc_error *err)
{
	return tls_io_read(&t->io, buf, n, deadline, N_("while its reply was read"), err);
}

bool tls_idle(struct tls *t)
{
	return tls_io_idle(&t->io);
}

void tls_peer(const struct tls *t, struct tls_peer *p)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->io.ssl);
	X509 *leaf = SSL_get0_peer_certificate(t->io.ssl);

	memset(p, 0, sizeof(*p));
	snprintf(p->version, sizeof(p->version), "%s", SSL_get_version(t->io.ssl));
	snprintf(p->cipher, sizeof(p->cipher), "%s", SSL_CIPHER_get_name(cipher));
	p->aead = SSL_CIPHER_is_aead(cipher);
	p->forward_secret = SSL_CIPHER_get_kx_nid(cipher) != NID_kx_rsa;
	p->pinned = t->pinned;
	if (!leaf)
		return;
	cert_subject(leaf, p->subject);
	cert_fingerprint(leaf, p->sha256);
	p->not_after = cert_not_after(leaf);
	p->days_left = cert_days_left(leaf);
}

int tls_inspect(struct tls_context *ctx, const char *host, uint16_t port, uint64_t deadline,
		STACK_OF(X509) **chain, bool *pinned, struct vmc_error *verdict,
		struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	struct tls *t;
	int rc = tls_new(ctx, host, port, &t, err);

	*chain = NULL;
	if (rc)
		return rc;
	t->inspect = true;
	rc = tls_start(t, host, port, deadline, deadline, &local);
	if (!t->verified) {
		if (err)
			*err = local;
		rc = rc ? rc : VMC_EPROTO;
	} else {
		rc = 0;
		*pinned = t->pinned;
		*verdict = (struct vmc_error)VMC_ERROR_INIT;
		if (t->verify_error != X509_V_OK)
			fail_verify(t, verdict);
		*chain = t->seen;
		t->seen = NULL;
	}
	tls_close(t);
	return rc;
}
