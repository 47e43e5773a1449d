/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manager.Migrate. */
#ifndef VMC_API_MIGRATE_API_H
#define VMC_API_MIGRATE_API_H

#include "call.h"

extern const struct option_spec migrate_options[];
int run_migrate(struct call *c, struct backend *b, struct vmc_error *err);

#endif
