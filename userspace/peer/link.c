// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A link: TLS 1.3, certificates on both sides. The side that accepted says one byte once it trusts the other, since
 * in TLS 1.3 whoever dialed is done with the handshake before.
 */
#include <netdb.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"
#include "../net/tcp.h"
#include "message.h"
#include "peer_priv.h"

#define WELCOME		0x01

/* ---- TLS --------------------------------------------------------------- */

/* Stands in for OpenSSL's own: the trust store says who is who. */
static int verify(X509_STORE_CTX *store, void *data)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	struct peer_link *l = SSL_get_app_data(ssl);

	(void)data;
	if (!leaf)
		return 0;
	l->verified = true;
	cert_fingerprint(leaf, l->fingerprint);
	cert_subject(leaf, l->subject);
	for (size_t i = 0; i < l->n_candidates && !l->trusted; i++) {
		if (!store_trusts(&l->candidates[i], leaf, X509_STORE_CTX_get0_untrusted(store)))
			continue;
		l->entry = l->candidates[i];
		l->trusted = true;
	}
	X509_STORE_CTX_set_error(store, l->trusted ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
	return l->trusted;
}

static int context_new(struct peers *p, SSL_CTX **out, struct vmc_error *err)
{
	/* the first list is for an OpenSSL that knows the hybrid with ML-KEM */
	static const char *const groups[] = { "X25519MLKEM768:X25519:P-256", "X25519:P-256" };
	SSL_CTX *c = SSL_CTX_new(TLS_method());
	bool ok = c && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
		  (SSL_CTX_set1_groups_list(c, groups[0]) == 1 || SSL_CTX_set1_groups_list(c, groups[1]) == 1);
	int rc;

	if (!ok) {
		SSL_CTX_free(c);
		return vmc_fail(err, VMC_ENOMEM, "cannot set TLS up: %s", tls_io_reason());
	}
	ERR_clear_error();
	tls_io_context(c);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(c, verify, NULL);
	rc = identity_use(p, c, err);
	if (rc)
		SSL_CTX_free(c);
	else
		*out = c;
	return rc;
}

/* ---- what went wrong, in words ------------------------------------------ */

static int fail_untrusted(const struct peer_link *l, struct vmc_error *err)
{
	if (l->accepted) {
		vmc_fail(err, VMC_ETRUST, "a host at %s, with the certificate '%s' of fingerprint sha256:%s, is not trusted here",
			 l->where, l->subject, l->fingerprint);
		vmc_hint(err, "if it is one of yours: vmcrypt peer add NAME --address %s --fingerprint %s", l->address,
			 l->fingerprint);
		return VMC_ETRUST;
	}
	vmc_fail(err, VMC_ETRUST, "host '%s' at %s presents the certificate '%s' with fingerprint sha256:%s, which is not the one that is trusted",
		 l->candidates->name, l->where, l->subject, l->fingerprint);
	vmc_hint(err, "compare it with 'vmcrypt host identity show' on that host; if it is right: vmcrypt peer remove %s, then add it again",
		 l->candidates->name);
	return VMC_ETRUST;
}

static int fail_alert(const struct peer_link *l, int alert, struct vmc_error *err)
{
	char own[CERT_FINGERPRINT];

	switch (alert) {
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_CERTIFICATE_REQUIRED:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_HANDSHAKE_FAILURE:	/* what OpenSSL says when a verify callback of one's own refuses */
		peers_fingerprint(l->peers, own);
		vmc_fail(err, VMC_ETRUST, "the host at %s does not trust this host (TLS alert '%s')", l->where,
			 SSL_alert_desc_string_long(alert));
		vmc_hint(err, "there: vmcrypt peer add %s --address ADDRESS --fingerprint %s", l->peers->host, own);
		return VMC_ETRUST;
	case SSL_AD_PROTOCOL_VERSION:
		vmc_fail(err, VMC_EPROTO, "the host at %s does not speak TLS 1.3", l->where);
		vmc_hint(err, "is it vmcryptd that listens there? See [migration] listen in its vmcrypt.conf");
		return VMC_EPROTO;
	default:
		return vmc_fail(err, VMC_EPROTO, "the host at %s broke the link off (TLS alert '%s')", l->where,
				SSL_alert_desc_string_long(alert));
	}
}

static int fail_closed(const struct peer_link *l, const struct tls_fault *f, struct vmc_error *err)
{
	vmc_fail(err, VMC_EUNREACH, "the host at %s closed the link %s%s%s", l->where, message_say(f->doing),
		 f->error ? ": " : "", f->error ? strerror(f->error) : "");
	vmc_hint(err, "see what its vmcryptd says: journalctl -u vmcryptd");
	return VMC_EUNREACH;
}

static int fail_late(const struct peer_link *l, const struct tls_fault *f, struct vmc_error *err)
{
	vmc_fail(err, VMC_ETIMEDOUT, "the host at %s did not answer in time (%s)", l->where, message_say(f->doing));
	vmc_hint(err, "see whether that host is overloaded, and what its vmcryptd says: journalctl -u vmcryptd");
	return VMC_ETIMEDOUT;
}

static int words(void *owner, const struct tls_fault *f, struct vmc_error *err)
{
	const struct peer_link *l = owner;

	if (f->kind == TLS_LATE)
		return fail_late(l, f, err);
	if (l->verified && !l->trusted)
		return fail_untrusted(l, err);
	if (f->kind == TLS_CLOSED)
		return fail_closed(l, f, err);
	if (f->kind == TLS_ALERT)
		return fail_alert(l, f->alert, err);
	if (f->kind == TLS_ALIEN) {
		vmc_fail(err, VMC_EPROTO, "what listens at %s does not speak TLS", l->where);
		vmc_hint(err, "vmcryptd listens on port %d unless told otherwise; check the port", PEER_PORT);
		return VMC_EPROTO;
	}
	return vmc_fail(err, VMC_EPROTO, "TLS with the host at %s failed %s: %s", l->where, message_say(f->doing),
			f->reason);
}

/* ---- bytes ------------------------------------------------------------- */

int link_read(struct peer_link *l, void *buf, size_t n, uint64_t deadline, struct vmc_error *err)
{
	return tls_io_read(&l->io, buf, n, deadline, N_("while it was waited for its answer"), err);
}

int link_write(struct peer_link *l, const void *buf, size_t n, uint64_t deadline, struct vmc_error *err)
{
	return tls_io_write(&l->io, buf, n, deadline, N_("while something was sent to it"), err);
}

int link_read_frame(struct peer_link *l, uint8_t **bytes, size_t *n, uint64_t deadline, struct vmc_error *err)
{
	uint8_t header[PEER_HEADER], *b;
	int rc = link_read(l, header, sizeof(header), deadline, err);

	if (!rc)
		rc = peer_frame_length(header, n, err);
	if (rc)
		return rc;
	b = malloc(*n);
	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a message");
	rc = link_read(l, b, *n, deadline, err);
	if (rc)
		free(b);
	else
		*bytes = b;
	return rc;
}

/* ---- beginning and end ------------------------------------------------- */

static void set_address(struct peer_link *l)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getpeername(l->io.fd, (struct sockaddr *)&a, &len) ||
	    getnameinfo((struct sockaddr *)&a, len, l->address, sizeof(l->address), NULL, 0, NI_NUMERICHOST))
		strcpy(l->address, "?");
}

static int handshake(struct peer_link *l, uint64_t deadline, struct vmc_error *err)
{
	int rc = context_new(l->peers, &l->ctx, err);

	if (!rc)
		rc = tls_io_begin(&l->io, l->ctx, err);
	return rc ? rc : tls_io_handshake(&l->io, l->accepted, deadline, err);
}

/* The candidates are for the handshake only. */
static void settle(struct peer_link *l)
{
	free(l->candidates);
	l->candidates = NULL;
	l->n_candidates = 0;
}

static int welcome(struct peer_link *l, uint64_t deadline, struct vmc_error *err)
{
	uint8_t byte = WELCOME;
	int rc;

	if (l->accepted)
		return link_write(l, &byte, 1, deadline, err);
	rc = link_read(l, &byte, 1, deadline, err);
	if (!rc && byte != WELCOME)
		rc = vmc_fail(err, VMC_EPROTO, "the host at %s does not begin as vmcryptd does", l->where);
	return rc;
}

static int begin(struct peer_link *l, uint64_t deadline, struct vmc_error *err)
{
	int rc;

	net_set_timers(l->io.fd);
	set_address(l);
	if (!l->where[0])
		snprintf(l->where, sizeof(l->where), "%s", l->address);
	rc = handshake(l, deadline, err);
	if (!rc)
		rc = welcome(l, deadline, err);
	settle(l);
	return rc;
}

static struct peer_link *link_new(struct peers *p, bool accepted, int fd)
{
	struct peer_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->peers = p;
	l->accepted = accepted;
	l->io = (struct tls_io){ .fd = fd, .words = words, .owner = l };
	return l;
}

int link_accept(struct peers *p, int fd, uint64_t deadline, struct peer_link **out, struct vmc_error *err)
{
	struct peer_link *l = link_new(p, true, fd);
	int rc;

	if (!l) {
		close(fd);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a link");
	}
	rc = store_all(p, &l->candidates, &l->n_candidates, err);
	if (!rc)
		rc = begin(l, deadline, err);
	if (rc)
		peer_close(l);
	else
		*out = l;
	return rc;
}

static int dial(struct peer_link *l, uint64_t deadline, struct vmc_error *err)
{
	const struct peer_entry *e = l->candidates;
	int rc = net_connect(e->host, e->port, deadline, &l->io.fd, err);

	if (!rc)
		return begin(l, deadline, err);
	vmc_prefix(err, "host '%s' at %s: ", e->name, l->where);
	if (rc == VMC_EUNREACH)
		vmc_hint(err, "check that vmcryptd runs there and listens ([migration] listen = ADDRESS in its vmcrypt.conf), and that no firewall is between");
	return rc;
}

int peer_dial(struct peers *p, const char *name, uint64_t deadline, struct peer_link **out, struct vmc_error *err)
{
	struct peer_link *l = link_new(p, false, -1);
	char own[CERT_FINGERPRINT];
	int rc;

	if (!l)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a link");
	l->candidates = calloc(1, sizeof(*l->candidates));
	rc = l->candidates ? store_find(p, name, l->candidates, err) : vmc_fail(err, VMC_ENOMEM, "no memory for a link");
	if (!rc && l->candidates) {
		l->n_candidates = 1;
		snprintf(l->where, sizeof(l->where), strchr(l->candidates->host, ':') ? "[%s]:%u" : "%s:%u",
			 l->candidates->host, l->candidates->port);
		rc = dial(l, deadline, err);
	}
	peers_fingerprint(p, own);
	if (!rc && !strcmp(l->fingerprint, own))
		rc = vmc_fail(err, VMC_EINVAL, "host '%s' at %s is this host itself", name, l->where);
	if (rc)
		peer_close(l);
	else
		*out = l;
	return rc;
}

void peer_close(struct peer_link *l)
{
	if (!l)
		return;
	tls_io_end(&l->io, 0);
	SSL_CTX_free(l->ctx);
	free(l->candidates);
	free(l);
}

/* ---- calls ------------------------------------------------------------- */

static int receive(struct peer_link *l, struct peer_message *m, uint64_t deadline, struct vmc_error *err)
{
	uint8_t *bytes = NULL;
	size_t n = 0;
	int rc = link_read_frame(l, &bytes, &n, deadline, err);

	if (rc)
		return rc;
	rc = peer_message_parse(bytes, n, m, err);
	free(bytes);
	if (!rc && (m->type == PEER_REQUEST || m->id != l->last_id)) {
		peer_message_clear(m);
		rc = vmc_fail(err, VMC_EPROTO, "an answer to another question");
	}
	if (rc)
		vmc_prefix(err, "the host at %s sent ", l->where);
	return rc;
}

int peer_call(struct peer_link *l, const char *method, const json_t *params, json_t **result, uint64_t deadline,
	      struct vmc_error *err)
{
	struct peer_message m;
	uint8_t *frame;
	size_t n;
	int rc;

	if (l->io.broken)
		return vmc_fail(err, VMC_EUNREACH, "the link to host '%s' is broken", l->entry.name);
	rc = peer_request_frame(++l->last_id, method, params, &frame, &n, err);
	if (rc)
		return rc;
	rc = link_write(l, frame, n, deadline, err);
	free(frame);
	if (!rc)
		rc = receive(l, &m, deadline, err);
	if (rc) {
		l->io.broken = true;
		return rc;
	}
	if (m.type == PEER_ERROR)
		rc = peer_message_error(&m, l->entry.name, err);
	else if (result)
		*result = json_incref(m.body);
	peer_message_clear(&m);
	return rc;
}

bool peer_broken(const struct peer_link *l)
{
	return l->io.broken;
}

/* ---- telling ----------------------------------------------------------- */

int peer_exporter(struct peer_link *l, const char *label, const uint8_t *context, size_t n,
		  uint8_t out[PEER_EXPORT_LEN], struct vmc_error *err)
{
	ERR_clear_error();
	if (SSL_export_keying_material(l->io.ssl, out, PEER_EXPORT_LEN, label, strlen(label), context, n, 1) == 1)
		return 0;
	return vmc_fail(err, VMC_EINTERNAL, "TLS gives no value to bind keys to: %s", tls_io_reason());
}

const char *peer_name(const struct peer_link *l)
{
	return l->entry.name;
}

const char *peer_address(const struct peer_link *l)
{
	return l->address;
}

const char *peer_fingerprint(const struct peer_link *l)
{
	return l->fingerprint;
}

void **peer_slot(struct peer_link *l)
{
	return &l->slot;
}

static const char *group_name(SSL *ssl)
{
	int nid = (int)SSL_get_negotiated_group(ssl);
	const char *name = nid & TLSEXT_nid_unknown ? NULL : OBJ_nid2sn(nid);

	if ((nid & 0xffff) == 0x11ec)	/* IANA's number; OpenSSL may have no nid for it */
		return "X25519MLKEM768";
	return name ? name : "unknown";
}

json_t *peer_describe(const struct peer_link *l)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", l->entry.name, "address", l->address, "fingerprint",
			 l->fingerprint, "tls", SSL_get_version(l->io.ssl), "cipher", SSL_get_cipher_name(l->io.ssl), "group",
			 group_name(l->io.ssl));
}
