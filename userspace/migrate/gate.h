/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source's sockets for its hypervisor: who connects to one of them is joined with the other host, in the order of
 * coming. A folder and a thread for one migration.
 */
#ifndef VMC_MIGRATE_GATE_H
#define VMC_MIGRATE_GATE_H

#include <stdint.h>
#include <sys/types.h>

#include "../hypervisor/hypervisor.h"
#include "../lib/error.h"
#include "../lib/util.h"
#include "flow.h"

struct gate_setup {
	const char *dir;	/* of gate_dir_make(), not shared: it is when the sockets are there */
	uid_t uid;		/* who connects */
	const char *host;	/* the other one's address for data */
	uint16_t port;
	vmc_uuid migration;
	struct flow *flow;
};

struct gate;
int gate_open(struct gate **g, const struct gate_setup *s, struct vmc_error *err);
/* Why the first connection that was not joined was not; 0: all were. */
int gate_failed(struct gate *g, struct vmc_error *err);
void gate_close(struct gate *g);	/* NULL is fine */

/* RUNTIME_DIR/migrate/ID, for us alone; @dir is "" when it cannot be made. */
int gate_dir_make(const char *runtime_dir, const vmc_uuid *migration, char *dir, size_t n, struct vmc_error *err);
/* @uid may make sockets in it, too: nothing in there is to be used by its path alone, see gate_connect(). */
int gate_dir_share(const char *dir, uid_t uid, struct vmc_error *err);
/* With the sockets in it. */
void gate_dir_remove(const char *dir);

/* Connect to the unix socket @path, which is no link, until @deadline (vmc_now_ms()). */
int gate_connect(const char *path, uint64_t deadline, int *fd, struct vmc_error *err);

#endif
