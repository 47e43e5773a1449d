/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for an answer: progress, Ctrl-C, and what a stopped call leaves. */
#ifndef VMC_CLI_WAIT_H
#define VMC_CLI_WAIT_H

#include <systemd/sd-bus.h>

#include "cli.h"

/*
 * Send @m and wait for its answer. Meanwhile shows the progress of the Job
 * whose Sender we are; SIGINT or SIGTERM calls the Job's Cancel(), a second one
 * leaves the work to the daemon. 0, or a vmc_code with c->err filled in.
 */
int wait_call(struct cli *c, sd_bus_message *m, sd_bus_message **reply);

#endif
