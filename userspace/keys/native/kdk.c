// SPDX-License-Identifier: GPL-2.0-or-later
/* The key derivation key of a native provider. See kdk.h. */
#include "kdk.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/secmem.h"

#define SALT		"vmcrypt native provider 1"
#define RANDOM_LEN	16
#define TAG_LEN		8

/* Labels never begin one another: the byte 0 ends them. */
#define LABEL_KEK	"key encryption key"
#define LABEL_TAG	"tag of a key id"
#define LABEL_CHECK	"check value"

static int no_openssl(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINTERNAL, "HKDF-SHA-256 of OpenSSL failed");
}

static int hkdf(const struct kdk *k, const char *label, const char *what, uint8_t *out, size_t len,
		struct vmc_error *err)
{
	uint8_t salt[sizeof(SALT) - 1 + sizeof(k->id.b)], info[128];
	size_t n_info = strlen(label) + 1 + strlen(what);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM p[5];
	int ok;

	EVP_KDF_free(kdf);
	if (!ctx || n_info >= sizeof(info)) {
		EVP_KDF_CTX_free(ctx);
		return no_openssl(err);
	}
	memcpy(salt, SALT, sizeof(SALT) - 1);
	memcpy(salt + sizeof(SALT) - 1, k->id.b, sizeof(k->id.b));
	snprintf((char *)info, sizeof(info), "%s%c%s", label, '\0', what);
	p[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0);
	p[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, k->key, KDK_LEN);
	p[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt));
	p[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n_info);
	p[4] = OSSL_PARAM_construct_end();
	ok = EVP_KDF_derive(ctx, out, len, p) == 1;
	EVP_KDF_CTX_free(ctx);	/* wipes its copies */
	return ok ? 0 : no_openssl(err);
}

int kdk_set(struct kdk *k, const vmc_uuid *id, const uint8_t key[KDK_LEN], struct vmc_error *err)
{
	memset(k, 0, sizeof(*k));
	k->id = *id;
	k->key = secmem_alloc(KDK_LEN);
	if (!k->key)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a key derivation key");
	memcpy(k->key, key, KDK_LEN);
	return 0;
}

int kdk_new(struct kdk *k, struct vmc_error *err)
{
	memset(k, 0, sizeof(*k));
	k->key = secmem_alloc(KDK_LEN);
	if (!k->key)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a key derivation key");
	if (!vmc_uuid_new(&k->id) && RAND_priv_bytes(k->key, KDK_LEN) == 1)
		return 0;
	kdk_clear(k);
	return vmc_fail(err, VMC_EINTERNAL, "no random numbers for a key derivation key");
}

void kdk_clear(struct kdk *k)
{
	secmem_free(k->key, KDK_LEN);
	memset(k, 0, sizeof(*k));
}

int kdk_check(const struct kdk *k, uint8_t check[KDK_CHECK_LEN], struct vmc_error *err)
{
	return hkdf(k, LABEL_CHECK, "", check, KDK_CHECK_LEN, err);
}

/* The end of @id after the random part that it begins with. */
static int add_tag(const struct kdk *k, char id[NATIVE_ID_LEN + 1], struct vmc_error *err)
{
	uint8_t tag[TAG_LEN];
	int rc;

	id[2 * RANDOM_LEN] = '\0';
	rc = hkdf(k, LABEL_TAG, id, tag, sizeof(tag), err);
	id[2 * RANDOM_LEN] = '-';
	vmc_hex_encode(tag, sizeof(tag), id + 2 * RANDOM_LEN + 1);
	return rc;
}

int kdk_new_id(const struct kdk *k, char id[NATIVE_ID_LEN + 1], struct vmc_error *err)
{
	uint8_t random[RANDOM_LEN];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "no random numbers for a key id");
	vmc_hex_encode(random, sizeof(random), id);
	return add_tag(k, id, err);
}

int kdk_own_id(const struct kdk *k, const char *id, struct vmc_error *err)
{
	char own[NATIVE_ID_LEN + 1] = "", uuid[VMC_UUID_STR];
	int rc = 0;

	if (strlen(id) == NATIVE_ID_LEN) {
		memcpy(own, id, 2 * RANDOM_LEN);
		rc = add_tag(k, own, err);
	}
	if (rc)
		return rc;
	if (own[0] && !CRYPTO_memcmp(own, id, NATIVE_ID_LEN))
		return 0;
	vmc_uuid_format(&k->id, uuid);
	rc = vmc_fail(err, VMC_ENOKEY, "key '%.180s' was not derived from the KDK %s", id, uuid);
	vmc_hint(err, "the key comes from another native provider of that name, or its id was altered: import the backup of the provider that made it");
	return rc;
}

int kdk_derive(const struct kdk *k, const char *id, uint8_t kek[32], struct vmc_error *err)
{
	return hkdf(k, LABEL_KEK, id, kek, 32, err);
}
