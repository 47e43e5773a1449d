// SPDX-License-Identifier: GPL-2.0-only
/* Keys and check values from keys: HMAC-SHA-256 and HKDF-SHA-256. */

#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <uapi/linux/vmcrypt.h>

#include "kdf.h"

/* The infos of HKDF, without their NULs: part of the format. */
static const char kcv_info[] = "vmcrypt kcv 1";
static const char bundle_info[] = "vmcrypt bundle 1";

static struct crypto_shash *hmac_new(const u8 *key, size_t key_len)
{
	struct crypto_shash *tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	int ret;

	if (IS_ERR(tfm))
		return tfm;
	ret = crypto_shash_setkey(tfm, key, key_len);
	if (ret) {
		crypto_free_shash(tfm);
		return ERR_PTR(ret);
	}
	return tfm;
}

/**
 * vmcrypt_hmac - HMAC-SHA-256 (RFC 2104)
 * @key: key
 * @key_len: its length in bytes, not 0
 * @data: message
 * @data_len: its length in bytes
 * @mac: receives the code
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_hmac(const u8 *key, size_t key_len, const u8 *data,
		 size_t data_len, u8 mac[VMCRYPT_HASH_LEN])
{
	struct crypto_shash *tfm = hmac_new(key, key_len);
	int ret;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	ret = crypto_shash_tfm_digest(tfm, data, data_len, mac);
	crypto_free_shash(tfm);
	return ret;
}

/* One block: T(n) = HMAC(PRK, T(n-1) | info | n), n from 1. */
static int hkdf_block(struct crypto_shash *tfm, u8 t[VMCRYPT_HASH_LEN],
		      const u8 *info, size_t info_len, u8 n)
{
	SHASH_DESC_ON_STACK(desc, tfm);
	int ret;

	desc->tfm = tfm;
	ret = crypto_shash_init(desc);
	if (!ret && n > 1)
		ret = crypto_shash_update(desc, t, VMCRYPT_HASH_LEN);
	if (!ret)
		ret = crypto_shash_update(desc, info, info_len);
	if (!ret)
		ret = crypto_shash_update(desc, &n, 1);
	if (!ret)
		ret = crypto_shash_final(desc, t);
	shash_desc_zero(desc);
	return ret;
}

static int hkdf_expand(const u8 prk[VMCRYPT_HASH_LEN], const u8 *info,
		       size_t info_len, u8 *okm, size_t okm_len)
{
	struct crypto_shash *tfm = hmac_new(prk, VMCRYPT_HASH_LEN);
	u8 t[VMCRYPT_HASH_LEN];
	size_t done, part;
	int ret = 0;
	u8 n = 1;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	for (done = 0; !ret && done < okm_len; done += part) {
		part = min_t(size_t, okm_len - done, sizeof(t));
		ret = hkdf_block(tfm, t, info, info_len, n++);
		if (!ret)
			memcpy(okm + done, t, part);
	}
	memzero_explicit(t, sizeof(t));
	crypto_free_shash(tfm);
	return ret;
}

/**
 * vmcrypt_hkdf - HKDF-SHA-256 (RFC 5869), extract and expand
 * @ikm: input keying material
 * @ikm_len: its length in bytes
 * @salt: salt, or NULL
 * @salt_len: its length in bytes; 0 means RFC 5869's string of zeros
 * @info: context
 * @info_len: its length in bytes
 * @okm: receives the output keying material
 * @okm_len: its length, 1 to 255 * 32 bytes
 *
 * Return: 0, -EINVAL for an @okm_len out of range, or a negative errno of the
 * crypto API; @okm is all zero then.
 */
int vmcrypt_hkdf(const u8 *ikm, size_t ikm_len, const u8 *salt,
		 size_t salt_len, const u8 *info, size_t info_len,
		 u8 *okm, size_t okm_len)
{
	static const u8 zeros[VMCRYPT_HASH_LEN];
	u8 prk[VMCRYPT_HASH_LEN];
	int ret;

	if (!okm_len || okm_len > 255 * VMCRYPT_HASH_LEN)
		return -EINVAL;
	if (!salt_len) {
		salt = zeros;
		salt_len = sizeof(zeros);
	}
	ret = vmcrypt_hmac(salt, salt_len, ikm, ikm_len, prk);
	if (!ret)
		ret = hkdf_expand(prk, info, info_len, okm, okm_len);
	memzero_explicit(prk, sizeof(prk));
	if (ret)
		memzero_explicit(okm, okm_len);
	return ret;
}

/**
 * vmcrypt_kek_check - a value that tells KEKs apart and tells nothing of them
 * @kek: VMCRYPT_KEK_LEN bytes
 * @check: receives the value; its first VMCRYPT_KCV_LEN bytes are the KEK's
 *	key check value, the rest never leaves the kernel
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_kek_check(const u8 *kek, u8 check[VMCRYPT_HASH_LEN])
{
	return vmcrypt_hkdf(kek, VMCRYPT_KEK_LEN, NULL, 0,
			    (const u8 *)kcv_info, strlen(kcv_info),
			    check, VMCRYPT_HASH_LEN);
}

/**
 * vmcrypt_dek_mac_digest - authenticate a digest under a subkey of a DEK
 * @dek: VMCRYPT_DEK_LEN bytes
 * @digest: digest
 * @digest_len: its length in bytes
 * @mac: receives HMAC-SHA-256 of @digest
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_dek_mac_digest(const u8 *dek, const u8 *digest, size_t digest_len,
			   u8 mac[VMCRYPT_HASH_LEN])
{
	u8 key[VMCRYPT_HASH_LEN];
	int ret;

	ret = vmcrypt_hkdf(dek, VMCRYPT_DEK_LEN, NULL, 0,
			   (const u8 *)bundle_info, strlen(bundle_info),
			   key, sizeof(key));
	if (!ret)
		ret = vmcrypt_hmac(key, sizeof(key), digest, digest_len, mac);
	memzero_explicit(key, sizeof(key));
	return ret;
}
