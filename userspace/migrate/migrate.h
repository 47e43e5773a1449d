/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migrations from and to this host: what other hosts ask of it, and what it asks of them. From any thread. */
#ifndef VMC_MIGRATE_MIGRATE_H
#define VMC_MIGRATE_MIGRATE_H

#include <jansson.h>

#include "../kernel/client.h"
#include "../lib/config.h"
#include "../lib/error.h"
#include "../peer/peer.h"

struct migrations;

/* What they work with; all of it must stay until migrations_close(). */
struct migrations_setup {
	const struct vmc_config *cfg;
	struct peers *peers;
	struct vmk *k;				/* NULL: no module, then */
	const struct vmc_error *no_module;	/* says why */
};

/* Listens, if [migration] listen says so; that it cannot is no failure, see migrations_listening(). */
int migrations_open(struct migrations **m, const struct migrations_setup *s, struct vmc_error *err);
void migrations_close(struct migrations *m);	/* NULL is fine */
/* {listen: null|"ADDRESS:PORT", error?, hint?} */
json_t *migrations_listening(struct migrations *m);

/* {ok, name, address, fingerprint, tls, cipher, group, latency_ms, host, version, module, cannot, clock_s}; any error is that of the link. */
int migrations_test(struct migrations *m, const char *peer, json_t **out, struct vmc_error *err);

#endif
