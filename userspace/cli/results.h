/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers about many VMs at once. */
#ifndef VMC_CLI_RESULTS_H
#define VMC_CLI_RESULTS_H

#include <jansson.h>

#include "cli.h"

/*
 * Print {results: [{vm, name, ok, code?, error?, hint?}], timing?}, or the array alone: those that
 * failed, and how many were @did. Returns 0, and sets c->exit_status from the
 * first failure when there is one.
 */
int results_show(struct cli *c, const json_t *answer, const char *did);

#endif
