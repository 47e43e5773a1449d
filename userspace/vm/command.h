/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run another program: no shell, a closed environment, a deadline. */
#ifndef VMC_VM_COMMAND_H
#define VMC_VM_COMMAND_H

#include "../lib/error.h"

/*
 * Run argv[0] (looked for in the system's folders only) and wait for its end,
 * @deadline_ms at most, then SIGKILL and VMC_ETIMEDOUT. What it says on stderr
 * is in the error's text.
 */
int command_run(const char *const *argv, unsigned int deadline_ms, struct vmc_error *err);

#endif
