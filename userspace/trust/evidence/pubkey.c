// SPDX-License-Identifier: GPL-2.0-or-later
/* Public keys of a TPM, see pubkey.h. */
#include "pubkey.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define EC_MAX		48	/* bytes of a coordinate */
#define EXPONENT	65537	/* what a TPM means by 0 */

static int no_crypto(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot do what it is asked for");
}

const char *pubkey_hash(TPMI_ALG_HASH alg, size_t *n)
{
	switch (alg) {
	case TPM2_ALG_SHA256:
		*n = TPM2_SHA256_DIGEST_SIZE;
		return "SHA256";
	case TPM2_ALG_SHA384:
		*n = TPM2_SHA384_DIGEST_SIZE;
		return "SHA384";
	default:
		*n = 0;
		return NULL;
	}
}

static int make(const char *kind, OSSL_PARAM *params, EVP_PKEY **key, struct vmc_error *err)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	int ok = c && params && EVP_PKEY_fromdata_init(c) == 1 &&
		 EVP_PKEY_fromdata(c, key, EVP_PKEY_PUBLIC_KEY, params) == 1;

	EVP_PKEY_CTX_free(c);
	return ok ? 0 : vmc_fail(err, VMC_EINVAL, "a public key of a TPM is not a key: its numbers do not make one");
}

static int from_ecc(const TPMT_PUBLIC *pub, EVP_PKEY **key, struct vmc_error *err)
{
	const TPMS_ECC_POINT *p = &pub->unique.ecc;
	uint8_t point[1 + 2 * EC_MAX] = { POINT_CONVERSION_UNCOMPRESSED };
	bool p384 = pub->parameters.eccDetail.curveID == TPM2_ECC_NIST_P384;
	size_t n = p384 ? 48 : 32;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, p384 ? "P-384" : "P-256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n),
		OSSL_PARAM_construct_end(),
	};

	if (!p384 && pub->parameters.eccDetail.curveID != TPM2_ECC_NIST_P256)
		return vmc_fail(err, VMC_ENOTSUP, "a key of a TPM is on curve 0x%x: P-256 and P-384 are supported",
				pub->parameters.eccDetail.curveID);
	if (p->x.size > n || p->y.size > n)
		return vmc_fail(err, VMC_EINVAL, "a public key of a TPM is not a key: its numbers are too long");
	memcpy(point + 1 + n - p->x.size, p->x.buffer, p->x.size);
	memcpy(point + 1 + 2 * n - p->y.size, p->y.buffer, p->y.size);
	return make("EC", params, key, err);
}

static int from_rsa(const TPMT_PUBLIC *pub, EVP_PKEY **key, struct vmc_error *err)
{
	UINT32 e = pub->parameters.rsaDetail.exponent;
	OSSL_PARAM_BLD *b;
	OSSL_PARAM *params = NULL;
	BIGNUM *n;
	int rc;

	if (pub->unique.rsa.size && !(pub->unique.rsa.buffer[pub->unique.rsa.size - 1] & 1))
		return vmc_fail(err, VMC_EINVAL, "a public key of a TPM is not a key: its numbers do not make one");
	if (pub->parameters.rsaDetail.keyBits != 2048 || pub->unique.rsa.size != 256 || !(pub->unique.rsa.buffer[0] & 0x80))
		return vmc_fail(err, VMC_ENOTSUP, "an RSA key of a TPM is of %u bits: 2048 are supported",
				pub->parameters.rsaDetail.keyBits);
	b = OSSL_PARAM_BLD_new();
	n = BN_bin2bn(pub->unique.rsa.buffer, pub->unique.rsa.size, NULL);
	if (b && n && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_uint32(b, OSSL_PKEY_PARAM_RSA_E, e ? e : EXPONENT) == 1)
		params = OSSL_PARAM_BLD_to_param(b);
	rc = make("RSA", params, key, err);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	return rc;
}

int pubkey_from_tpm(const TPMT_PUBLIC *pub, EVP_PKEY **key, struct vmc_error *err)
{
	*key = NULL;
	if (pub->type == TPM2_ALG_ECC)
		return from_ecc(pub, key, err);
	if (pub->type == TPM2_ALG_RSA)
		return from_rsa(pub, key, err);
	return vmc_fail(err, VMC_ENOTSUP, "a key of a TPM is of kind 0x%x: ECC and RSA are supported", pub->type);
}

int pubkey_spki(EVP_PKEY *key, uint8_t out[PUBKEY_SPKI_MAX], size_t *n, struct vmc_error *err)
{
	int len = i2d_PUBKEY(key, NULL);

	*n = 0;
	if (len <= 0 || len > (int)PUBKEY_SPKI_MAX)
		return no_crypto(err);
	*n = (size_t)i2d_PUBKEY(key, &out);
	return 0;
}

int pubkey_name(const TPMT_PUBLIC *pub, TPM2B_NAME *name, struct vmc_error *err)
{
	uint8_t bytes[sizeof(*pub)];
	size_t len = 0, n;
	const char *hash = pubkey_hash(pub->nameAlg, &n);

	*name = (TPM2B_NAME){ 0 };
	if (!hash || Tss2_MU_TPMT_PUBLIC_Marshal(pub, bytes, sizeof(bytes), &len))
		return vmc_fail(err, VMC_ENOTSUP, "a key of a TPM is named by hash 0x%x: SHA-256 and SHA-384 are supported",
				pub->nameAlg);
	name->name[0] = (BYTE)(pub->nameAlg >> 8);
	name->name[1] = (BYTE)pub->nameAlg;
	if (EVP_Q_digest(NULL, hash, NULL, bytes, len, name->name + 2, NULL) != 1)
		return no_crypto(err);
	name->size = (UINT16)(2 + n);
	return 0;
}
