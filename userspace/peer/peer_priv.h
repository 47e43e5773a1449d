/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of peer/ share. Nobody else includes it. */
#ifndef VMC_PEER_PRIV_H
#define VMC_PEER_PRIV_H

#include <limits.h>
#include <pthread.h>

#include "../net/tls_io.h"
#include "peer.h"

#define PEER_HANDSHAKE_MS	10000

/* As its file has it. */
struct peer_entry {
	char name[PEER_NAME_MAX + 1];
	char host[256];
	uint16_t port;
	bool by_ca;
	struct cert_pin pin;			/* without a CA */
	char ca[PATH_MAX];			/* file */
};

struct peers {
	char state[PATH_MAX], store[PATH_MAX];	/* folders */
	char host[256];
	pthread_mutex_t lock;			/* guards what follows, and the files */
	EVP_PKEY *key;
	STACK_OF(X509) *chain;			/* this host's certificate first */
	char fingerprint[CERT_FINGERPRINT];
};

int identity_open(struct peers *p, struct vmc_error *err);
/* Key and certificate into @ctx. */
int identity_use(struct peers *p, SSL_CTX *ctx, struct vmc_error *err);

/* VMC_ENOENT with a hint. */
int store_find(struct peers *p, const char *name, struct peer_entry *e, struct vmc_error *err);
/* All that can be read; those that cannot are left out. Free them. */
int store_all(struct peers *p, struct peer_entry **all, size_t *n, struct vmc_error *err);
/*
 * Is @leaf the certificate of @e? With a CA: signed by it (with what is in @untrusted), valid now, and for the host of
 * the address or for its name.
 */
bool store_trusts(const struct peer_entry *e, X509 *leaf, STACK_OF(X509) *untrusted);

struct peer_link {
	struct peers *peers;
	SSL_CTX *ctx;
	struct tls_io io;
	bool accepted;
	struct peer_entry entry;		/* who it is, once the handshake is done */
	struct peer_entry *candidates;		/* who it may be, until then */
	size_t n_candidates;
	bool verified, trusted;			/* a certificate was seen, and is one of theirs */
	char fingerprint[CERT_FINGERPRINT], subject[CERT_NAME_MAX];
	char address[64], where[300];		/* numeric; HOST:PORT as it was dialed, for words */
	uint32_t last_id;
	void *slot;
};

/* Shake hands with who connected to @fd, which is taken over. */
int link_accept(struct peers *p, int fd, uint64_t deadline, struct peer_link **link, struct vmc_error *err);
int link_read(struct peer_link *l, void *buf, size_t n, uint64_t deadline, struct vmc_error *err);
int link_write(struct peer_link *l, const void *buf, size_t n, uint64_t deadline, struct vmc_error *err);
/* A frame without its header; *@n bytes, to be freed. VMC_ECANCELED: it ended where one might have begun. */
int link_read_frame(struct peer_link *l, uint8_t **bytes, size_t *n, uint64_t deadline, struct vmc_error *err);

#endif
