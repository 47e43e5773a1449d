/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other hosts: who they are, and talking with them. Each host has a key and
 * a certificate (identity.c); it talks only with those in its trust store
 * (store.c), over TLS 1.3 with certificates on both sides (link.c), by framed
 * JSON (message.h). Knows no VMs. Any function may be called from any thread.
 */
#ifndef VMC_PEER_PEER_H
#define VMC_PEER_PEER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../keys/cert.h"
#include "../lib/config.h"
#include "../lib/error.h"

#define PEER_PORT		5698
#define PEER_NAME_MAX		63
#define PEER_EXPORT_LEN		32
#define PEER_LINKS_MAX		32	/* that are accepted at once */
#define PEER_LINKS_HOST		24	/* of these, from one address */
#define PEER_LINKS_NEW		16	/* of these, that have not shaken hands yet */

struct peers;

/* Makes the identity when there is none: P-256, self-signed, STATE_DIR/peer/. */
int peers_open(struct peers **p, const struct vmc_config *cfg, struct vmc_error *err);
void peers_close(struct peers *p);	/* nothing of it may be in use; NULL is fine */

/* ---- who this host is: identity.c ------------------------------------------- */

/* {host, subject, issuer, not_before, not_after, days_left, sha256, spki_sha256, self_signed, pem} */
int peers_identity(struct peers *p, json_t **out, struct vmc_error *err);
/* A request for a certificate for the key in use; free() it. */
int peers_csr(struct peers *p, char **pem, struct vmc_error *err);
/* The certificate that came back, and its chain after it, to be used from now on. VMC_ETRUST: of another key. */
int peers_upload(struct peers *p, const char *pem, struct vmc_error *err);
/* SHA-256 of the certificate in use, in hex. */
void peers_fingerprint(struct peers *p, char out[CERT_FINGERPRINT]);
const char *peers_host(const struct peers *p);		/* this host's own name */

/* ---- who the others are: store.c -------------------------------------------- */

struct peer_add {
	const char *name;		/* 1 to PEER_NAME_MAX of A-Z a-z 0-9 . _ - */
	const char *address;		/* HOST[:PORT] */
	const char *fingerprint;	/* of the certificate, or "spki:..." of its key; or else */
	const char *ca_pem;		/* the CA: the certificate must have the name of the address, or NAME */
};
/* Into CONFIG_DIR/peers/NAME.conf. VMC_EEXIST. */
int peers_add(struct peers *p, const struct peer_add *a, struct vmc_error *err);
int peers_remove(struct peers *p, const char *name, struct vmc_error *err);	/* VMC_ENOENT */
/* [{name, address, port, trust: "fingerprint"|"ca", fingerprint?, error?}]; error: its file cannot be read */
int peers_list(struct peers *p, json_t **out, struct vmc_error *err);
/* The one, with "ca": [certificates] when it is trusted by one. */
int peers_show(struct peers *p, const char *name, json_t **out, struct vmc_error *err);

/* ---- talking: link.c -------------------------------------------------------- */

struct peer_link;

/*
 * Connect to the peer @name and shake hands until @deadline (vmc_now_ms()). VMC_EUNREACH, VMC_ETIMEDOUT, VMC_EPROTO;
 * VMC_ETRUST: one side's certificate is not what the other trusts.
 */
int peer_dial(struct peers *p, const char *name, uint64_t deadline, struct peer_link **link, struct vmc_error *err);
/*
 * Ask and wait for the answer; the side that dialed only. @params may be NULL. On success *@result (may be NULL) is
 * the caller's. The other side's errors come with its code and words; any other error has made the link useless.
 */
int peer_call(struct peer_link *link, const char *method, const json_t *params, json_t **result, uint64_t deadline,
	      struct vmc_error *err);
/* No peer_call() over it will succeed any more. After one that failed: whether that was the link. */
bool peer_broken(const struct peer_link *link);
/* The TLS exporter (RFC 8446 section 7.5): the same at both ends of a link, and nowhere else. */
int peer_exporter(struct peer_link *link, const char *label, const uint8_t *context, size_t n,
		  uint8_t out[PEER_EXPORT_LEN], struct vmc_error *err);
const char *peer_name(const struct peer_link *link);		/* as in the trust store of this host */
const char *peer_address(const struct peer_link *link);		/* that it came from, or was dialed at; no port */
const char *peer_fingerprint(const struct peer_link *link);	/* of the certificate it has shown */
/* {name, address, fingerprint, tls, cipher, group} */
json_t *peer_describe(const struct peer_link *link);
void peer_close(struct peer_link *link);	/* NULL is fine; not for links that a server has */

/* ---- listening: server.c ----------------------------------------------------- */

/*
 * One thread for each link. call() answers: 0 and *@result (NULL: null), or a code and @err. closed() is the last call
 * for a link, whichever way it ended. peer_slot() is the handler's own, NULL at first.
 */
struct peer_handler {
	int (*call)(struct peer_link *link, const char *method, const json_t *params, json_t **result, void *data,
		    struct vmc_error *err);
	void (*closed)(struct peer_link *link, void *data);	/* may be NULL */
	void *data;
};
void **peer_slot(struct peer_link *link);

/* A listening socket; @port: when @where, ADDRESS[:PORT], has none. */
int peer_bind(const char *where, uint16_t port, int *fd, uint16_t *bound, struct vmc_error *err);

struct peer_server;
int peer_listen(struct peers *p, const char *where, uint16_t port, const struct peer_handler *h,
		struct peer_server **s, struct vmc_error *err);
uint16_t peer_server_port(const struct peer_server *s);
/* Cuts all links and waits for their closed(). NULL is fine. */
void peer_server_stop(struct peer_server *s);

#endif
