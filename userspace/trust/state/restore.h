/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a backup in place of those of an authority. */
#ifndef VMC_TRUST_RESTORE_H
#define VMC_TRUST_RESTORE_H

#include "admin_priv.h"
#include "backup.h"

/*
 * @b is checked already. What fails leaves all files as they were. One that is cut short by a crash leaves an authority
 * without a state, which says so and takes the same restore again.
 */
int restore_files(struct trust_admin *a, const struct backup_body *b, struct vmc_error *err);

#endif
