/* SPDX-License-Identifier: GPL-2.0-only */
/* Keys and check values from keys: HMAC-SHA-256 and HKDF-SHA-256. */
#ifndef _VMCRYPT_KDF_H
#define _VMCRYPT_KDF_H

#include <linux/types.h>

#define VMCRYPT_HASH_LEN	32

int vmcrypt_hmac(const u8 *key, size_t key_len, const u8 *data,
		 size_t data_len, u8 mac[VMCRYPT_HASH_LEN]);
int vmcrypt_hkdf(const u8 *ikm, size_t ikm_len, const u8 *salt,
		 size_t salt_len, const u8 *info, size_t info_len,
		 u8 *okm, size_t okm_len);
int vmcrypt_kek_check(const u8 *kek, u8 check[VMCRYPT_HASH_LEN]);
int vmcrypt_dek_mac_digest(const u8 *dek, const u8 *digest, size_t digest_len,
			   u8 mac[VMCRYPT_HASH_LEN]);

#endif /* _VMCRYPT_KDF_H */
