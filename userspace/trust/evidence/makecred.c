// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TPM2_MakeCredential without a TPM, see makecred.h. A seed that only the EK can
 * learn gives two keys: one encrypts the secret, the other authenticates it
 * together with the AK's name.
 */
#include "makecred.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/secmem.h"
#include "pubkey.h"

#define HASH_MAX	48
#define COORD_MAX	48
#define POINT_MAX	(1 + 2 * COORD_MAX)
#define LABEL		"IDENTITY"	/* its closing NUL counts in the TPM's labels */

/* What nobody but the TPM may learn; in the secure heap. */
struct secrets {
	uint8_t seed[HASH_MAX], z[COORD_MAX], aes[32], hmac[HASH_MAX];
	uint8_t plain[2 + MAKECRED_SECRET];
};

struct work {
	const struct ek *ek;
	const TPM2B_NAME *name;
	EVP_PKEY *key;		/* of the EK */
	const char *hash;	/* its nameAlg */
	size_t n_hash;
	struct secrets *s;
};

static int no_crypto(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot make a credential");
}

static int derive(const char *kdf_name, const OSSL_PARAM *params, uint8_t *out, size_t n, struct vmc_error *err)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : no_crypto(err);
}

/* KDFa (part 1, 11.4.10.2): SP 800-108 in counter mode with HMAC. */
static int kdfa(const struct work *w, const char *label, const TPM2B_NAME *context, uint8_t *out, size_t n,
		struct vmc_error *err)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, (char *)"HMAC", 0),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)w->hash, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, (char *)"counter", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, w->s->seed, w->n_hash),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (char *)label, strlen(label)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, context ? (void *)context->name : (void *)label,
						  context ? context->size : 0),
		OSSL_PARAM_construct_end(),
	};

	return derive("KBKDF", params, out, n, err);
}

/* KDFe (part 1, 11.4.10.3): SP 800-56A, one step, over Z, label, and the x of both sides. */
static int kdfe(const struct work *w, const uint8_t *ours, const uint8_t *theirs, size_t n, struct vmc_error *err)
{
	uint8_t info[sizeof(LABEL) + 2 * COORD_MAX];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)w->hash, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, w->s->z, n),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(LABEL) + 2 * n),
		OSSL_PARAM_construct_end(),
	};

	memcpy(info, LABEL, sizeof(LABEL));
	memcpy(info + sizeof(LABEL), ours, n);
	memcpy(info + sizeof(LABEL) + n, theirs, n);
	return derive("SSKDF", params, w->s->seed, w->n_hash, err);
}

/* ---- the seed, and how the EK learns it --------------------------------- */

static int seed_rsa(struct work *w, struct credential *out, struct vmc_error *err)
{
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	size_t n = sizeof(enc.secret);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(w->key, NULL);
	char *label = OPENSSL_strdup(LABEL);
	int ok;

	ok = c && label && RAND_bytes(w->s->seed, (int)w->n_hash) == 1 && EVP_PKEY_encrypt_init(c) == 1 &&
	     EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	     EVP_PKEY_CTX_set_rsa_oaep_md_name(c, w->hash, NULL) == 1 &&
	     EVP_PKEY_CTX_set0_rsa_oaep_label(c, label, sizeof(LABEL)) == 1;
	if (ok)
		label = NULL;	/* the context has it */
	ok = ok && EVP_PKEY_encrypt(c, enc.secret, &n, w->s->seed, w->n_hash) == 1;
	OPENSSL_free(label);
	EVP_PKEY_CTX_free(c);
	enc.size = (UINT16)n;
	out->n_secret = 0;
	if (!ok || Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(&enc, out->secret, sizeof(out->secret), &out->n_secret))
		return no_crypto(err);
	return 0;
}

static int agree(struct work *w, EVP_PKEY *ours, size_t n, struct vmc_error *err)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(ours, NULL);
	size_t len = n;
	int ok = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, w->key) == 1 &&
		 EVP_PKEY_derive(c, w->s->z, &len) == 1 && len == n;

	EVP_PKEY_CTX_free(c);
	return ok ? 0 : no_crypto(err);
}

static int point_of(EVP_PKEY *key, size_t n, uint8_t out[POINT_MAX], struct vmc_error *err)
{
	size_t len = 0;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, POINT_MAX, &len) == 1 && len == 1 + 2 * n)
		return 0;
	return no_crypto(err);
}

static int put_point(const uint8_t *point, size_t n, struct credential *out, struct vmc_error *err)
{
	TPMS_ECC_POINT p = { .x.size = (UINT16)n, .y.size = (UINT16)n };
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	size_t len = 0;

	memcpy(p.x.buffer, point + 1, n);
	memcpy(p.y.buffer, point + 1 + n, n);
	out->n_secret = 0;
	if (Tss2_MU_TPMS_ECC_POINT_Marshal(&p, enc.secret, sizeof(enc.secret), &len))
		return no_crypto(err);
	enc.size = (UINT16)len;
	if (Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(&enc, out->secret, sizeof(out->secret), &out->n_secret))
		return no_crypto(err);
	return 0;
}

static int seed_ecc(struct work *w, struct credential *out, struct vmc_error *err)
{
	bool p384 = w->ek->pub.parameters.eccDetail.curveID == TPM2_ECC_NIST_P384;
	size_t n = p384 ? 48 : 32;
	uint8_t point[POINT_MAX], theirs[POINT_MAX];
	EVP_PKEY *ours = EVP_EC_gen(p384 ? "P-384" : "P-256");
	int rc = ours ? 0 : no_crypto(err);

	if (!rc)
		rc = agree(w, ours, n, err);
	if (!rc)
		rc = point_of(ours, n, point, err);
	if (!rc)
		rc = point_of(w->key, n, theirs, err);
	if (!rc)
		rc = kdfe(w, point + 1, theirs + 1, n, err);
	EVP_PKEY_free(ours);
	return rc ? rc : put_point(point, n, out, err);
}

/* ---- what is wrapped by it ------------------------------------------------ */

static unsigned int aes_bits(const TPMT_PUBLIC *p)
{
	return p->type == TPM2_ALG_RSA ? p->parameters.rsaDetail.symmetric.keyBits.aes :
					 p->parameters.eccDetail.symmetric.keyBits.aes;
}

static int encrypt(struct work *w, const uint8_t *secret, uint8_t *out, struct vmc_error *err)
{
	static const uint8_t iv[16];
	unsigned int bits = aes_bits(&w->ek->pub);
	EVP_CIPHER_CTX *c;
	int n = 0, ok, rc;

	rc = kdfa(w, "STORAGE", w->name, w->s->aes, bits / 8, err);
	if (rc)
		return rc;
	w->s->plain[0] = 0;
	w->s->plain[1] = MAKECRED_SECRET;
	memcpy(w->s->plain + 2, secret, MAKECRED_SECRET);
	c = EVP_CIPHER_CTX_new();
	ok = c && EVP_EncryptInit_ex(c, bits == 256 ? EVP_aes_256_cfb128() : EVP_aes_128_cfb128(), NULL, w->s->aes, iv) == 1 &&
	     EVP_EncryptUpdate(c, out, &n, w->s->plain, sizeof(w->s->plain)) == 1 && n == sizeof(w->s->plain);
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : no_crypto(err);
}

static int wrap(struct work *w, const uint8_t *secret, struct credential *out, struct vmc_error *err)
{
	uint8_t covered[2 + MAKECRED_SECRET + sizeof(w->name->name)];
	const size_t n = 2 + MAKECRED_SECRET;
	TPM2B_DIGEST mac = { 0 };
	TPM2B_ID_OBJECT id = { 0 };
	size_t len = 0;
	int rc;

	rc = encrypt(w, secret, covered, err);
	if (!rc)
		rc = kdfa(w, "INTEGRITY", NULL, w->s->hmac, w->n_hash, err);
	if (rc)
		return rc;
	memcpy(covered + n, w->name->name, w->name->size);
	if (!EVP_Q_mac(NULL, "HMAC", NULL, w->hash, NULL, w->s->hmac, w->n_hash, covered, n + w->name->size, mac.buffer,
		       sizeof(mac.buffer), &len))
		return no_crypto(err);
	mac.size = (UINT16)len;
	len = 0;
	if (Tss2_MU_TPM2B_DIGEST_Marshal(&mac, id.credential, sizeof(id.credential), &len))
		return no_crypto(err);
	memcpy(id.credential + len, covered, n);
	id.size = (UINT16)(len + n);
	out->n_id_object = 0;
	if (Tss2_MU_TPM2B_ID_OBJECT_Marshal(&id, out->id_object, sizeof(out->id_object), &out->n_id_object))
		return no_crypto(err);
	return 0;
}

int make_credential(const struct ek *ek, const TPM2B_NAME *name, const uint8_t *secret, struct credential *out,
		    struct vmc_error *err)
{
	struct work w = { .ek = ek, .name = name };
	int rc;

	*out = (struct credential){ 0 };
	w.hash = pubkey_hash(ek->pub.nameAlg, &w.n_hash);
	rc = w.hash ? pubkey_from_tpm(&ek->pub, &w.key, err) : no_crypto(err);
	if (rc)
		return rc;
	w.s = secmem_alloc(sizeof(*w.s));
	if (!w.s)
		rc = vmc_fail(err, VMC_ENOMEM, "no locked memory is left to make a credential");
	if (!rc)
		rc = ek->pub.type == TPM2_ALG_RSA ? seed_rsa(&w, out, err) : seed_ecc(&w, out, err);
	if (!rc)
		rc = wrap(&w, secret, out, err);
	secmem_free(w.s, sizeof(*w.s));
	EVP_PKEY_free(w.key);
	return rc;
}
