/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about many VMs, or many datastores, at once, and what came of them. */
#ifndef VMC_CLI_RESULTS_H
#define VMC_CLI_RESULTS_H

#include <jansson.h>

#include "cli.h"

/*
 * Print {results: [{vm, name, ok, code?, error?, hint?}], timing?}, or the array alone: those that
 * failed, and how many (@stores: datastores) were @did. Returns 0, and sets c->exit_status from the
 * first failure when there is one.
 */
int results_show(struct cli *c, const json_t *answer, bool stores, const char *did);

/* What the operands name: VMs or datastores, and the interface whose methods take them. */
struct many {
	const char *iface;
	bool stores;
};
/* By name, or --all: never all by leaving them out. */
int many_check(struct cli *c, const struct many *of);
/* @member takes them, and with @recrypt the options of a recrypt; its results are shown. */
int many_call(struct cli *c, const struct many *of, const char *member, bool recrypt, const char *did);
/* The same with --provider, --add-provider or --remove-provider. */
int many_recrypt(struct cli *c, const struct many *of, const char *member);

#endif
