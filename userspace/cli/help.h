/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help, made from the tables of verbs and options. */
#ifndef VMC_CLI_HELP_H
#define VMC_CLI_HELP_H

#include <stddef.h>
#include <stdio.h>

#include "verbs.h"

/* "vm create NAME --dir DIR [--provider PROVIDER] ..." */
void help_usage(const struct verb *v, char *out, size_t n);

/* Help on what @words begin: everything, a family, or one verb. VMC_EINVAL: no such words. */
int help_print(FILE *f, const char *const *words, size_t n, struct vmc_error *err);

#endif
