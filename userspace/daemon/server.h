/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmcryptd's life: start, reload, the module that comes and goes, and the end. */
#ifndef VMC_DAEMON_SERVER_H
#define VMC_DAEMON_SERVER_H

#include <stdbool.h>

#include "../lib/config.h"
#include "../lib/error.h"

struct server_options {
	const char *config;		/* file; NULL: the default one */
	const char *bus_address;	/* NULL: the system bus, or with @session the user's */
	bool session, foreground;
	unsigned int stop_seconds;	/* for jobs to reach a safe point at the end; 0: 30 */
};

/* Returns the exit status. @cfg is what was read from @o->config at start. Signals are blocked by the caller. */
int server_run(const struct server_options *o, const struct vmc_config *cfg);

#endif
