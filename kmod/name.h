/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of KEKs, VMs and volumes: which are valid, how keys are called. */
#ifndef _VMCRYPT_NAME_H
#define _VMCRYPT_NAME_H

#include <linux/types.h>
#include <linux/uuid.h>
#include <uapi/linux/vmcrypt.h>

/* "vmcrypt:UUID:VOLUME" with its NUL. */
#define VMCRYPT_DESC_SIZE \
	(sizeof("vmcrypt::") + UUID_STRING_LEN + VMCRYPT_VOLUME_MAX)

bool vmcrypt_kek_id_valid(const char *id);
bool vmcrypt_volume_valid(const char *volume);
bool vmcrypt_vm_id_valid(const u8 *id);
void vmcrypt_key_desc(char desc[VMCRYPT_DESC_SIZE], const u8 *vm_id,
		      const char *volume);

#endif /* _VMCRYPT_NAME_H */
