/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start units of systemd, all at once, and hear how that went. */
#ifndef VMC_DAEMON_UNITS_H
#define VMC_DAEMON_UNITS_H

#include <stddef.h>

#include "../lib/error.h"
#include "../lib/progress.h"

struct unit {
	const char *name;
	struct vmc_error err;		/* out: code 0 when it was started */
	char *job;			/* private */
	struct unit *of;		/* private: the one that stands for all of its name */
};

/*
 * Over a connection of its own to the bus at @address. Waits until systemd is done with each, for @deadline_ms at the most,
 * or until @p is canceled; one that fails does not stop the others.
 */
void units_start(const char *address, struct unit *u, size_t n, unsigned int deadline_ms,
		 const struct progress *p);

#endif
