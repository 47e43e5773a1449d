/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a VM's migrations are encrypted: what its owner wants. */
#ifndef VMC_VM_POLICY_H
#define VMC_VM_POLICY_H

#include "../lib/error.h"

/* In the order of strictness; the numbers are those of enum vmcrypt_policy. */
enum migration_encryption {
	MIGRATION_DISABLED,		/* in clear, always */
	MIGRATION_OPPORTUNISTIC,	/* encrypted when both hosts can */
	MIGRATION_REQUIRED,		/* encrypted, or not at all */
};

#define MIGRATION_DEFAULT MIGRATION_OPPORTUNISTIC

const char *migration_encryption_name(enum migration_encryption p);	/* "disabled", "opportunistic", "required" */
int migration_encryption_parse(const char *name, enum migration_encryption *p, struct vmc_error *err);

#endif
