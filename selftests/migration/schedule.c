// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key schedule of a migration and its records, by OpenSSL: are the known
 * answers that the module's own tests use what another implementation finds?
 *
 *	vmcrypt_schedule		compare; TAP on stdout
 *	vmcrypt_schedule --print	print kmod/vectors.h
 */

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kmod/vectors.h"

#define POINT	65
#define RECORD	40

struct answers {
	uint8_t source_public[64], destination_public[64];
	uint8_t shared[32], master[32], dek_key[32];
	uint8_t secret_0[32], key_0[32], nonce_0[12];
	uint8_t secret_1[32], key_1[32], nonce_1[12];
	uint8_t back_secret[32];
	uint8_t record[12 + RECORD + 16];
};

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! OpenSSL: %s\n", what);
	exit(1);
}

static EVP_PKEY *private_key(const uint8_t private[32])
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *bn = BN_bin2bn(private, 32, NULL);
	OSSL_PARAM *params;
	EVP_PKEY *key = NULL;

	check(bld && ctx && bn, "out of memory");
	OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
					"prime256v1", 0);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, bn);
	params = OSSL_PARAM_BLD_to_param(bld);
	check(EVP_PKEY_fromdata_init(ctx) == 1 &&
	      EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1,
	      "private key");
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	BN_free(bn);
	return key;
}

/* The point that belongs to a private key: generator times the number. */
static void public_of(const uint8_t private[32], uint8_t out[64])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *bn = BN_bin2bn(private, 32, NULL);
	EC_POINT *point = EC_POINT_new(group);
	uint8_t raw[POINT];

	check(EC_POINT_mul(group, point, bn, NULL, NULL, NULL) == 1 &&
	      EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
				 raw, sizeof(raw), NULL) == sizeof(raw),
	      "public key");
	memcpy(out, raw + 1, 64);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	BN_free(bn);
}

static EVP_PKEY *public_key(const uint8_t public[64])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	char group[] = "prime256v1";
	uint8_t raw[POINT] = { 4 };
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, raw,
					sizeof(raw)),
		OSSL_PARAM_END,
	};

	memcpy(raw + 1, public, 64);
	check(ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	      EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1,
	      "public key");
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void ecdh(const uint8_t private[32], const uint8_t peer[64],
		 uint8_t out[32])
{
	EVP_PKEY *own = private_key(private), *other = public_key(peer);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	size_t len = 32;

	check(EVP_PKEY_derive_init(ctx) == 1 &&
	      EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
	      EVP_PKEY_derive(ctx, out, &len) == 1 && len == 32, "ECDH");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
	EVP_PKEY_free(other);
}

static void hkdf(const uint8_t key[32], const void *salt, size_t salt_len,
		 const void *info, size_t info_len, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	OSSL_PARAM params[5], *p = params;

	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest,
						0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						 (void *)key, 32);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
						 (void *)info, info_len);
	if (salt_len)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
							 (void *)salt,
							 salt_len);
	*p = OSSL_PARAM_construct_end();
	check(ctx && EVP_KDF_derive(ctx, out, len, params) == 1, "HKDF");
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* @label, then @number in network byte order, then one byte unless negative. */
static void labelled(const uint8_t secret[32], const char *label,
		     uint32_t number, int byte, uint8_t *out, size_t len)
{
	uint8_t info[64];
	size_t n = strlen(label);

	number = htonl(number);
	memcpy(info, label, n);
	memcpy(info + n, &number, 4);
	n += 4;
	if (byte >= 0)
		info[n++] = byte;
	hkdf(secret, NULL, 0, info, n, out, len);
}

static void master_secret(struct answers *a)
{
	static const char label[] = "vmcrypt migration 1";
	static const char dek_label[] = "vmcrypt dek key 1";
	uint8_t transcript[16 + 1 + 128 + 2 + sizeof(vector_binding)];
	uint8_t *to = transcript;

	memcpy(to, vector_vm_id, 16);
	to += 16;
	*to++ = VECTOR_POLICY;
	memcpy(to, a->source_public, 64);
	memcpy(to + 64, a->destination_public, 64);
	to += 128;
	*to++ = sizeof(vector_binding) >> 8;
	*to++ = sizeof(vector_binding) & 255;
	memcpy(to, vector_binding, sizeof(vector_binding));
	hkdf(a->shared, transcript, sizeof(transcript), label, strlen(label),
	     a->master, 32);
	hkdf(a->master, NULL, 0, dek_label, strlen(dek_label), a->dek_key, 32);
}

/* The third record of epoch 1 there, with RECORD bytes 0, 1, 2 and so on. */
static void seal_record(struct answers *a)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], plain[RECORD], *header = a->record;
	int i, len;

	header[0] = 1;
	header[7] = 1;
	header[11] = RECORD;
	memcpy(nonce, a->nonce_1, sizeof(nonce));
	nonce[11] ^= VECTOR_SEQ;
	for (i = 0; i < RECORD; i++)
		plain[i] = i;
	check(ctx &&
	      EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), a->key_1, nonce,
				  NULL) == 1 &&
	      EVP_EncryptUpdate(ctx, NULL, &len, header, 12) == 1 &&
	      EVP_EncryptUpdate(ctx, header + 12, &len, plain, RECORD) == 1 &&
	      EVP_EncryptFinal_ex(ctx, header + 12 + len, &len) == 1 &&
	      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16,
				  header + 12 + RECORD) == 1, "AES-GCM");
	EVP_CIPHER_CTX_free(ctx);
}

static void compute(struct answers *a)
{
	uint8_t again[32];

	memset(a, 0, sizeof(*a));
	public_of(vector_source_private, a->source_public);
	public_of(vector_destination_private, a->destination_public);
	ecdh(vector_source_private, a->destination_public, a->shared);
	ecdh(vector_destination_private, a->source_public, again);
	check(!memcmp(a->shared, again, 32), "both ends are not of one mind");
	master_secret(a);
	labelled(a->master, "vmcrypt channel 1", VECTOR_CHANNEL, 0,
		 a->secret_0, 32);
	labelled(a->master, "vmcrypt channel 1", VECTOR_CHANNEL, 1,
		 a->back_secret, 32);
	labelled(a->secret_0, "vmcrypt key 1", 0, -1, a->key_0, 32);
	labelled(a->secret_0, "vmcrypt nonce 1", 0, -1, a->nonce_0, 12);
	labelled(a->secret_0, "vmcrypt next 1", 0, -1, a->secret_1, 32);
	labelled(a->secret_1, "vmcrypt key 1", 1, -1, a->key_1, 32);
	labelled(a->secret_1, "vmcrypt nonce 1", 1, -1, a->nonce_1, 12);
	seal_record(a);
}

#define ANSWERS(DO)							\
	DO(source_public) DO(destination_public) DO(shared) DO(master)	\
	DO(dek_key) DO(secret_0) DO(key_0) DO(nonce_0) DO(secret_1)	\
	DO(key_1) DO(nonce_1) DO(back_secret) DO(record)

static void print_array(const char *name, const uint8_t *bytes, size_t len)
{
	size_t i;

	printf("\nstatic const unsigned char vector_%s[] = {", name);
	for (i = 0; i < len; i++)
		printf("%s0x%02x,", i % 8 ? " " : "\n\t", bytes[i]);
	printf("\n};\n");
}

int main(int argc, char **argv)
{
	struct answers a;
	int n = 0, bad = 0;

	compute(&a);
	if (argc > 1 && !strcmp(argv[1], "--print")) {
#define PRINT(what) print_array(#what, a.what, sizeof(a.what));
		ANSWERS(PRINT)
		return 0;
	}
#define COMPARE(what)							\
	do {								\
		bool ok = sizeof(vector_##what) == sizeof(a.what) &&	\
			  !memcmp(vector_##what, a.what, sizeof(a.what)); \
									\
		bad += !ok;						\
		printf("%sok %d - " #what "\n", ok ? "" : "not ", ++n);	\
	} while (0);
	ANSWERS(COMPARE)
	printf("1..%d\n", n);
	return bad ? 1 : 0;
}
