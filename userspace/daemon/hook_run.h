/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run one hook program: a closed environment, text on its standard input, a deadline, and a way to stop it. */
#ifndef VMC_DAEMON_HOOK_RUN_H
#define VMC_DAEMON_HOOK_RUN_H

#include <stddef.h>

#include "../lib/error.h"

struct hook_run {
	const char *path;		/* absolute */
	char *const *env;		/* whole, ends at NULL */
	const char *input;
	unsigned int deadline_ms;
	int cancel_fd;			/* ends the program when it gets readable; 0 none */
};

/*
 * May @path be run by root: an executable file that belongs to root, or to whom vmcryptd runs as, and that nobody else can
 * write? VMC_EPERM says what to type. Its folder is the caller's to check, in the same way.
 */
int hook_check(const char *path, struct vmc_error *err);

/*
 * Waits for the program's end. VMC_EIO: it ended otherwise than with status 0, the text has the last of what it said.
 * VMC_ETIMEDOUT, VMC_ECANCELED: it was killed, with all of its process group.
 */
int hook_run(const struct hook_run *r, struct vmc_error *err);

#endif
