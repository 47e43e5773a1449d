/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the authorities of a cluster share their signed desired state, beside the file that each has (state.h). Nobody
 * trusts such a store: what comes of it is taken like what another authority pushes, by its signature and serial.
 */
#ifndef VMC_TRUST_STORE_H
#define VMC_TRUST_STORE_H

#include <stdint.h>

#include "../../lib/error.h"

#define STORE_MS	5000	/* for each question, all servers together */

struct trust_store;

struct trust_store_ops {
	/*
	 * The document, free() it; with @jws NULL only *@mark, which is another one after each change, and never 0.
	 * VMC_ENOENT: there is none.
	 */
	int (*load)(struct trust_store *s, char **jws, uint64_t *mark, struct vmc_error *err);
	/* @jws in place of the one with @mark (0: there is none). VMC_EREPLAY: there is another one by now. */
	int (*put)(struct trust_store *s, const char *jws, uint64_t mark, struct vmc_error *err);
	void (*close)(struct trust_store *s);
};

/* Any function of one from any thread. */
struct trust_store {
	const struct trust_store_ops *ops;
};

#define STORE_SERVERS_MAX	8

/* An etcd v3 cluster, by the JSON gateway that its servers have. Files are PEM; NULL or "": none. */
struct store_etcd_options {
	const char *endpoints;		/* "https://etcd1:2379,https://etcd2:2379" */
	const char *prefix;		/* the document is PREFIX/state */
	const char *ca, *cert, *key;
};
int store_etcd_open(struct trust_store **s, const struct store_etcd_options *o, struct vmc_error *err);

#endif
