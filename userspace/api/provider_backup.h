/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about backups of native providers: Provider.Export and Manager.ImportProvider. */
#ifndef VMC_API_PROVIDER_BACKUP_H
#define VMC_API_PROVIDER_BACKUP_H

#include "call.h"

extern const struct option_spec provider_import_options[];

int provider_run_export(struct call *c, struct backend *b, struct vmc_error *err);
int provider_run_import(struct call *c, struct backend *b, struct vmc_error *err);

#endif
