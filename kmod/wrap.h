/* SPDX-License-Identifier: GPL-2.0-only */
/* Wrapping of DEKs under KEKs: AES-256-GCM, bound to where the DEK belongs. */
#ifndef _VMCRYPT_WRAP_H
#define _VMCRYPT_WRAP_H

#include <crypto/aead.h>
#include <linux/types.h>
#include <uapi/linux/vmcrypt.h>

#include "kdf.h"

#define VMCRYPT_NONCE_LEN	12

struct netlink_ext_ack;

/**
 * struct vmcrypt_bind - what a wrapped DEK is bound to
 * @kek_id: id of the KEK that wraps it
 * @vm_id: id of its VM
 * @volume: name of its volume
 */
struct vmcrypt_bind {
	const char *kek_id;
	const u8 *vm_id;
	const char *volume;
};

/**
 * struct vmcrypt_moved_dek - what a sealed DEK holds
 * @dek: the DEK
 * @kek_check: vmcrypt_kek_check() of the KEK that wraps it
 */
struct vmcrypt_moved_dek {
	u8 dek[VMCRYPT_DEK_LEN];
	u8 kek_check[VMCRYPT_HASH_LEN];
};

struct crypto_aead *vmcrypt_aead_new(const u8 *kek);
int vmcrypt_gcm(struct crypto_aead *aead, bool seal, const u8 *nonce, u8 *buf,
		size_t aad_len, size_t len);
int vmcrypt_wrap_ready(void);
int vmcrypt_wrap(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		 const u8 *dek, u8 wrapped[VMCRYPT_WRAPPED_LEN]);
int vmcrypt_wrap_nonce(struct crypto_aead *aead,
		       const struct vmcrypt_bind *bind, const u8 *nonce,
		       const u8 *dek, u8 wrapped[VMCRYPT_WRAPPED_LEN]);
int vmcrypt_unwrap(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		   const u8 wrapped[VMCRYPT_WRAPPED_LEN], u8 *dek,
		   struct netlink_ext_ack *extack);
int vmcrypt_seal_dek(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		     const struct vmcrypt_moved_dek *moved,
		     u8 sealed[VMCRYPT_SEALED_LEN]);
int vmcrypt_open_dek(struct crypto_aead *aead, const struct vmcrypt_bind *bind,
		     const u8 sealed[VMCRYPT_SEALED_LEN],
		     struct vmcrypt_moved_dek *moved,
		     struct netlink_ext_ack *extack);

#endif /* _VMCRYPT_WRAP_H */
