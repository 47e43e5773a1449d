// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a VM's migrations are encrypted: what its owner wants. */
#include "policy.h"

#include <string.h>

#include "../lib/util.h"

static const char *const names[] = {
	[MIGRATION_DISABLED] = "disabled",
	[MIGRATION_OPPORTUNISTIC] = "opportunistic",
	[MIGRATION_REQUIRED] = "required",
};

const char *migration_encryption_name(enum migration_encryption p)
{
	return (size_t)p < ARRAY_SIZE(names) ? names[p] : "";
}

int migration_encryption_parse(const char *name, enum migration_encryption *p, struct vmc_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i])) {
			*p = (enum migration_encryption)i;
			return 0;
		}
	vmc_fail(err, VMC_EINVAL, "'%s' is no policy for migrations", name);
	vmc_hint(err, "it is disabled, opportunistic or required");
	return VMC_EINVAL;
}
