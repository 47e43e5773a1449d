/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the doctor asks about keys that this host keeps. */
#ifndef VMC_CLI_HOST_H
#define VMC_CLI_HOST_H

#include <jansson.h>

#include "cli.h"

/* Append the findings about key persistence and the TPM to @list, see checks.h. */
void host_check_persistence(struct cli *c, json_t *list);

#endif
