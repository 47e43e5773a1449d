/* SPDX-License-Identifier: GPL-2.0-only */
/* Ephemeral keys on P-256. */
#ifndef _VMCRYPT_ECDH_H
#define _VMCRYPT_ECDH_H

#include <crypto/kpp.h>
#include <linux/types.h>
#include <uapi/linux/vmcrypt.h>

#include "schedule.h"

struct crypto_kpp *vmcrypt_ecdh_new(const u8 *private, size_t len,
				    u8 public[VMCRYPT_PUBLIC_LEN]);
int vmcrypt_ecdh_shared(struct crypto_kpp *kpp,
			const u8 peer[VMCRYPT_PUBLIC_LEN],
			u8 shared[VMCRYPT_SECRET_LEN]);

#endif /* _VMCRYPT_ECDH_H */
