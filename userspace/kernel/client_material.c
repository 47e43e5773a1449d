// SPDX-License-Identifier: GPL-2.0-or-later
/* Key material on its way into the kernel, by add_key(2). */
#include <errno.h>
#include <keyutils.h>

#include "client_priv.h"

#define DESCRIPTION	"vmcrypt-in:material"

int vmk_material_add(const uint8_t *bytes, size_t n, int32_t *serial,
		     struct vmc_error *err)
{
	key_serial_t key = add_key("logon", DESCRIPTION, bytes, n, KEY_SPEC_THREAD_KEYRING);

	if (key < 0) {
		int rc = vmc_fail_errno(err, errno, "cannot hand a key to the kernel");

		if (errno == EDQUOT)
			vmc_hint(err, "the user's key quota is full: see /proc/key-users and /proc/sys/kernel/keys/maxkeys");
		return rc;
	}
	*serial = key;
	return 0;
}

/* Revoking wipes the payload; unlinking, the last link being gone, the key. */
void vmk_material_drop(int32_t serial)
{
	keyctl_revoke(serial);
	keyctl_unlink(serial, KEY_SPEC_THREAD_KEYRING);
}
