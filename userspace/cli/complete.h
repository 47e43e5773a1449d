/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "vmcrypt __complete WORD...": what may stand in the place of the last word. */
#ifndef VMC_CLI_COMPLETE_H
#define VMC_CLI_COMPLETE_H

#include <stdio.h>

#include "cli.h"

/*
 * Print one candidate a line, from the tables and, for names of VMs, disks,
 * providers, keys and jobs, from the daemon. "<file>" and "<dir>" ask the shell
 * for files and folders. @words: what was typed so far, the last one unfinished.
 */
void complete(struct cli *c, FILE *f, char *const *words, size_t n);

#endif
