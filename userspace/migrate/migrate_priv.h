/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of migrate/ share. Nobody else includes it. */
#ifndef VMC_MIGRATE_PRIV_H
#define VMC_MIGRATE_PRIV_H

#include "hello.h"
#include "migrate.h"

#define MIGRATE_ASK_MS	15000	/* for a link, and for answers that need no work */

struct migrations {
	struct migrations_setup s;
	struct peer_server *server;	/* NULL: see no_listen */
	struct vmc_error no_listen;
};

int migrate_hello(struct migrations *m, struct peer_link *link, uint64_t deadline, struct hello *there,
		  struct vmc_error *err);

#endif
