// SPDX-License-Identifier: GPL-2.0-or-later
/* Who signs PCR policies, see signer.h. */
#include "signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"

#define PEM_MAX		16384
#define RSA_MIN		2048
#define RSA_MAX		4096
#define RSA_DEFAULT_E	65537

static int check(EVP_PKEY *key, const char *path, struct vmc_error *err)
{
	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_MIN && EVP_PKEY_get_bits(key) <= RSA_MAX)
		return 0;
	vmc_fail(err, VMC_ENOTSUP, "the key in '%s' is not RSA of %d to %d bits", path, RSA_MIN, RSA_MAX);
	vmc_hint(err, "sign PCR policies with an RSA key of 2048 bits, as systemd-measure does");
	return VMC_ENOTSUP;
}

int signer_read(const char *path, uint8_t der[POLICY_SIGNER_MAX], size_t *n, struct vmc_error *err)
{
	EVP_PKEY *key = NULL;
	char *text;
	size_t len;
	BIO *bio;
	int rc, size;

	rc = fs_read(path, PEM_MAX, &text, &len, err);
	if (rc)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	if (bio)
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	free(text);
	if (!key) {
		vmc_fail(err, VMC_EINVAL, "there is no public key in '%s'", path);
		vmc_hint(err, "it must be a PEM file with BEGIN PUBLIC KEY: openssl pkey -in KEY -pubout");
		return VMC_EINVAL;
	}
	rc = check(key, path, err);
	size = rc ? 0 : i2d_PUBKEY(key, NULL);
	if (!rc && (size <= 0 || size > POLICY_SIGNER_MAX))
		rc = vmc_fail(err, VMC_EINVAL, "the key in '%s' cannot be encoded", path);
	if (!rc)
		*n = (size_t)i2d_PUBKEY(key, &der);
	EVP_PKEY_free(key);
	return rc;
}

static EVP_PKEY *decode(const uint8_t *der, size_t n)
{
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)n);

	if (key && !check(key, "", NULL))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static int bad(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINVAL, "the key that signs PCR policies is damaged");
}

int signer_public(const uint8_t *der, size_t n, TPM2B_PUBLIC *pub, struct vmc_error *err)
{
	EVP_PKEY *key = decode(der, n);
	BIGNUM *m = NULL, *e = NULL;
	TPMT_PUBLIC *p = &pub->publicArea;
	bool ok;

	*pub = (TPM2B_PUBLIC){ 0 };
	ok = key && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &m) &&
	     EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) &&
	     BN_num_bytes(m) <= TPM2_MAX_RSA_KEY_BYTES && BN_num_bits(e) <= 32;
	if (ok) {
		p->type = TPM2_ALG_RSA;
		p->nameAlg = TPM2_ALG_SHA256;
		p->objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH;
		p->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
		p->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
		p->parameters.rsaDetail.keyBits = (TPMI_RSA_KEY_BITS)BN_num_bits(m);
		/* the TPM writes its usual exponent as 0 */
		if (BN_get_word(e) != RSA_DEFAULT_E)
			p->parameters.rsaDetail.exponent = (UINT32)BN_get_word(e);
		p->unique.rsa.size = (UINT16)BN_bn2bin(m, p->unique.rsa.buffer);
	}
	BN_free(m);
	BN_free(e);
	EVP_PKEY_free(key);
	return ok ? 0 : bad(err);
}

int signer_fingerprint(const uint8_t *der, size_t n, uint8_t fp[32], struct vmc_error *err)
{
	EVP_PKEY *key = decode(der, n);
	unsigned char *pkcs1 = NULL;
	int len = key ? i2d_PublicKey(key, &pkcs1) : 0;
	bool ok = len > 0 && EVP_Digest(pkcs1, (size_t)len, fp, NULL, EVP_sha256(), NULL);

	OPENSSL_free(pkcs1);
	EVP_PKEY_free(key);
	return ok ? 0 : bad(err);
}
