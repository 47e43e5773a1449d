// SPDX-License-Identifier: GPL-2.0-or-later
/* Is this migration encrypted, in clear, or refused? */
#include "policy.h"

#include <string.h>

static enum migration_way refuse(const struct migration_facts *f, struct vmc_error *why)
{
	if (f->local_cannot)
		vmc_fail(why, VMC_EREFUSED, "VM '%s' may be migrated encrypted only, which this host cannot: %s", f->vm,
			 f->local_cannot);
	else
		vmc_fail(why, VMC_EREFUSED, "VM '%s' may be migrated encrypted only, which host '%s' cannot: %s", f->vm,
			 f->peer, f->peer_cannot);
	if (f->vm_encrypted)
		vmc_hint(why, "its policy is 'required' because it is encrypted: mend that host, or migrate to another");
	else
		vmc_hint(why, "mend that host, or migrate to another; or, with the VM off, vmcrypt vm set %s "
			 "--migration-encryption opportunistic", f->vm);
	return MIGRATION_REFUSE;
}

enum migration_way migration_decide(const struct migration_facts *f, struct vmc_error *why)
{
	enum migration_encryption policy = f->vm_encrypted ? MIGRATION_REQUIRED : f->policy;

	memset(why, 0, sizeof(*why));
	if (policy == MIGRATION_DISABLED) {
		vmc_fail(why, VMC_OK, "VM '%s' is migrated in clear because its policy is 'disabled'", f->vm);
		return MIGRATION_CLEAR;
	}
	if (!f->local_cannot && !f->peer_cannot)
		return MIGRATION_ENCRYPT;
	if (policy == MIGRATION_REQUIRED)
		return refuse(f, why);
	if (f->local_cannot)
		vmc_fail(why, VMC_OK, "VM '%s' is migrated in clear because this host cannot encrypt: %s", f->vm,
			 f->local_cannot);
	else
		vmc_fail(why, VMC_OK, "VM '%s' is migrated in clear because host '%s' cannot encrypt: %s", f->vm, f->peer,
			 f->peer_cannot);
	return MIGRATION_CLEAR;
}
