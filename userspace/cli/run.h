/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running a command as if it had been started from the shell itself. */
#ifndef VMC_CLI_RUN_H
#define VMC_CLI_RUN_H

#include <signal.h>

#include "../lib/error.h"

/* Block the signals that run_command() passes on; *@old is what was blocked before. */
void run_block_signals(sigset_t *old);

/*
 * Run @argv (searched in PATH) with @env and wait for its end; the caller has
 * blocked the signals. HUP, INT, QUIT, TERM, USR1 and USR2 sent to us go on to
 * it, except those that the terminal sends to both anyway. *@status: what it
 * exited with, 128 + the signal that ended it, 127 (not found) or 126 (cannot
 * be run); the latter two return a vmc_code as well.
 */
int run_command(char *const *argv, char *const *env, const sigset_t *mask, int *status,
		struct vmc_error *err);

#endif
