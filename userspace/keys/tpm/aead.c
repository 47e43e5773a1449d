// SPDX-License-Identifier: GPL-2.0-or-later
/* AES-256-GCM and HKDF, see aead.h. */
#include "aead.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>

static int no_crypto(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot do what it is asked for");
}

int aead_derive(const uint8_t *key, const char *label, uint8_t *out, struct vmc_error *err)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, AEAD_KEY),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	int ok = ctx && EVP_KDF_derive(ctx, out, AEAD_KEY, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : no_crypto(err);
}

int aead_seal(const uint8_t *key, const void *aad, size_t n_aad, const uint8_t *in, size_t n,
	      uint8_t nonce[AEAD_NONCE], uint8_t *out, uint8_t tag[AEAD_TAG], struct vmc_error *err)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len, ok;

	ok = c && RAND_bytes(nonce, AEAD_NONCE) == 1 &&
	     EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	     EVP_EncryptUpdate(c, NULL, &len, aad, (int)n_aad) == 1 &&
	     EVP_EncryptUpdate(c, out, &len, in, (int)n) == 1 &&
	     EVP_EncryptFinal_ex(c, out + len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, AEAD_TAG, tag) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : no_crypto(err);
}

int aead_open(const uint8_t *key, const void *aad, size_t n_aad, const uint8_t *in, size_t n,
	      const uint8_t nonce[AEAD_NONCE], const uint8_t tag[AEAD_TAG], uint8_t *out, struct vmc_error *err)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len, ok;

	ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	     EVP_DecryptUpdate(c, NULL, &len, aad, (int)n_aad) == 1 &&
	     EVP_DecryptUpdate(c, out, &len, in, (int)n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, AEAD_TAG, (void *)tag) == 1 &&
	     EVP_DecryptFinal_ex(c, out + len, &len) == 1;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		return 0;
	OPENSSL_cleanse(out, n);
	return vmc_fail(err, VMC_EAUTH, "a stored key was altered, or belongs to another store");
}
