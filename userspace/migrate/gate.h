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
	const char *dir;	/* exists, see gate_dir_make() */
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

/* RUNTIME_DIR/migrate/ID for @uid alone; and gone with all that is in it. */
int gate_dir_make(const char *runtime_dir, const vmc_uuid *migration, uid_t uid, char *dir, size_t n,
		  struct vmc_error *err);
void gate_dir_remove(const char *dir);

/* Connect to the unix socket @path until @deadline (vmc_now_ms()). */
int gate_connect(const char *path, uint64_t deadline, int *fd, struct vmc_error *err);

#endif
