// SPDX-License-Identifier: GPL-2.0-or-later
/* A trusted host without a TPM. */
#include "mock_host.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../evidence/ek.h"
#include "../evidence/image.h"
#include "../evidence/makecred.h"
#include "../evidence/pubkey.h"
#include "../evidence/quote.h"
#include "../state/sign.h"
#include "../token/b64url.h"
#include "../token/jwk.h"

#define COORD	32
#define POINT	(1 + 2 * COORD)
#define LABEL	"IDENTITY"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "mock host: %s\n", what);
	abort();
}

/* ---- keys as a TPM has them ----------------------------------------------- */

static void point_of(EVP_PKEY *key, uint8_t out[POINT])
{
	size_t n = 0;

	must(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, POINT, &n) == 1 && n == POINT, "point");
}

static void public_of(EVP_PKEY *key, TPMT_PUBLIC *p)
{
	uint8_t point[POINT];

	point_of(key, point);
	p->type = TPM2_ALG_ECC;
	p->nameAlg = TPM2_ALG_SHA256;
	p->objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
			      TPMA_OBJECT_RESTRICTED;
	p->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
	p->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
	p->unique.ecc.x.size = p->unique.ecc.y.size = COORD;
	memcpy(p->unique.ecc.x.buffer, point + 1, COORD);
	memcpy(p->unique.ecc.y.buffer, point + 1 + COORD, COORD);
}

static void make_ek(struct mock_host *h)
{
	TPM2B_PUBLIC pub = { 0 };
	TPMT_PUBLIC *p = &pub.publicArea;
	struct vmc_error err = VMC_ERROR_INIT;
	struct ek ek;

	h->ek = EVP_EC_gen("P-256");
	public_of(h->ek, p);
	p->objectAttributes |= TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_DECRYPT;
	p->authPolicy.size = 32;
	p->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
	p->parameters.eccDetail.symmetric.keyBits.aes = 128;
	p->parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
	p->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
	must(!Tss2_MU_TPM2B_PUBLIC_Marshal(&pub, h->ek_pub, sizeof(h->ek_pub), &h->n_ek_pub), "EK");
	must(!ek_parse(h->ek_pub, h->n_ek_pub, &ek, &err), err.text);
	snprintf(h->ek_id, sizeof(h->ek_id), "%s", ek.id);
}

static void make_ak(struct mock_host *h)
{
	TPMT_PUBLIC p = { 0 };

	h->ak = EVP_EC_gen("P-256");
	public_of(h->ak, &p);
	p.objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH;
	p.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
	p.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
	p.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
	must(!Tss2_MU_TPMT_PUBLIC_Marshal(&p, h->ak_pub, sizeof(h->ak_pub), &h->n_ak_pub), "AK");
}

struct mock_host *mock_host_new(const char *name, enum mock_log log)
{
	struct mock_host *h = calloc(1, sizeof(*h));

	must(h, "no memory");
	snprintf(h->name, sizeof(h->name), "%s", name);
	h->log = log;
	h->reset_count = 7;
	make_ek(h);
	make_ak(h);
	h->ephemeral = EVP_EC_gen("P-256");
	return h;
}

void mock_host_free(struct mock_host *h)
{
	EVP_PKEY_free(h->ek);
	EVP_PKEY_free(h->ak);
	EVP_PKEY_free(h->ephemeral);
	free(h->receipt);
	free(h->boot);
	free(h->token);
	free(h);
}

/* ---- enrolment: TPM2_ActivateCredential ------------------------------------- */

json_t *mock_host_enroll(struct mock_host *h)
{
	return json_pack("{s:s, s:o, s:o}", "host", h->name, "ek_pub", b64url_json(h->ek_pub, h->n_ek_pub), "ak_pub",
			 b64url_json(h->ak_pub, h->n_ak_pub));
}

static void derive(const char *name, const OSSL_PARAM *params, uint8_t *out, size_t n)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

	must(EVP_KDF_derive(ctx, out, n, params) == 1, name);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static EVP_PKEY *key_of_point(const TPMS_ECC_POINT *p)
{
	TPMT_PUBLIC pub = { .type = TPM2_ALG_ECC };
	EVP_PKEY *key = NULL;

	pub.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
	pub.unique.ecc = *p;
	must(!pubkey_from_tpm(&pub, &key, NULL), "a point that is none");
	return key;
}

/* The seed that the credential's point and the EK agree on. */
static void seed_of(struct mock_host *h, const TPMS_ECC_POINT *p, uint8_t seed[32])
{
	EVP_PKEY *theirs = key_of_point(p);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(h->ek, NULL);
	uint8_t z[COORD], own[POINT], info[sizeof(LABEL) + 2 * COORD];
	size_t n = sizeof(z);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z, sizeof(z)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
		OSSL_PARAM_construct_end(),
	};

	must(EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, theirs) == 1 &&
	     EVP_PKEY_derive(c, z, &n) == 1, "ECDH");
	point_of(h->ek, own);
	memcpy(info, LABEL, sizeof(LABEL));
	memcpy(info + sizeof(LABEL), p->x.buffer, COORD);
	memcpy(info + sizeof(LABEL) + COORD, own + 1, COORD);
	derive("SSKDF", params, seed, 32);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(theirs);
}

static void storage_key(struct mock_host *h, uint8_t seed[32], uint8_t aes[16])
{
	TPMT_PUBLIC pub = { 0 };
	TPM2B_NAME name;
	size_t used = 0;

	must(!Tss2_MU_TPMT_PUBLIC_Unmarshal(h->ak_pub, h->n_ak_pub, &used, &pub) && !pubkey_name(&pub, &name, NULL),
	     "name of the AK");
	derive("KBKDF", (const OSSL_PARAM[]){
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, (char *)"HMAC", 0),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, (char *)"counter", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, seed, 32),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (char *)"STORAGE", 7),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, name.name, name.size),
		OSSL_PARAM_construct_end(),
	}, aes, 16);
}

json_t *mock_host_confirm(struct mock_host *h, const json_t *answer)
{
	static const uint8_t zero[16];
	const json_t *cred = json_object_get(answer, "credential");
	uint8_t *id = NULL, *secret = NULL, seed[32], aes[16], plain[64];
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	TPMS_ECC_POINT p = { 0 };
	size_t n_id, n_secret, used = 0;
	int len = 0;
	json_t *o;

	must(!b64url_from_json(json_object_get(cred, "id_object"), MAKECRED_ID_MAX, &id, &n_id) &&
	     !b64url_from_json(json_object_get(cred, "secret"), MAKECRED_ENC_MAX, &secret, &n_secret) &&
	     !Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret, n_secret, &used, &enc), "credential");
	used = 0;
	must(!Tss2_MU_TPMS_ECC_POINT_Unmarshal(enc.secret, enc.size, &used, &p), "point of the credential");
	seed_of(h, &p, seed);
	storage_key(h, seed, aes);
	/* size (2) | HMAC: size (2) and 32 bytes | encrypted: size (2) and 32 bytes */
	must(n_id == 2 + 34 + 34 && EVP_DecryptInit_ex(c, EVP_aes_128_cfb128(), NULL, aes, zero) == 1 &&
	     EVP_DecryptUpdate(c, plain, &len, id + 36, 34) == 1 && len == 34, "identity object");
	o = json_pack("{s:O, s:o}", "context", json_object_get(answer, "context"), "secret",
		      b64url_json(plain + 2, MAKECRED_SECRET));
	EVP_CIPHER_CTX_free(c);
	free(id);
	free(secret);
	return o;
}

static void keep(char **to, const json_t *answer, const char *name)
{
	const char *s = json_string_value(json_object_get(answer, name));

	free(*to);
	*to = s ? strdup(s) : NULL;
}

void mock_host_enrolled(struct mock_host *h, const json_t *answer)
{
	keep(&h->receipt, answer, "ak_receipt");
}

void mock_host_attested(struct mock_host *h, const json_t *answer)
{
	keep(&h->token, answer, "token");
	keep(&h->boot, answer, "boot_receipt");
}

/* ---- attestation: TPM2_Quote -------------------------------------------------- */

json_t *mock_host_challenge(struct mock_host *h)
{
	return json_pack("{s:s}", "ak_receipt", h->receipt ? h->receipt : "none");
}

static void digest_of(EVP_MD_CTX *md, const void *data, size_t n)
{
	must(EVP_DigestUpdate(md, data, n) == 1, "digest");
}

static void pcr_digest(const struct pcrs *pcrs, TPM2B_DIGEST *d)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned int n;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (unsigned int i = 0; i < PCRS; i++)
		if (pcrs->mask & 1u << i)
			digest_of(md, pcrs->value[i], 32);
	EVP_DigestFinal_ex(md, d->buffer, &n);
	d->size = (UINT16)n;
	EVP_MD_CTX_free(md);
}

static size_t quote(struct mock_host *h, const struct pcrs *pcrs, const uint8_t extra[32], uint8_t *out, size_t max)
{
	TPMS_ATTEST a = { .magic = TPM2_GENERATED_VALUE, .type = TPM2_ST_ATTEST_QUOTE };
	TPMS_PCR_SELECTION *s = &a.attested.quote.pcrSelect.pcrSelections[0];
	size_t n = 0;

	a.extraData.size = 32;
	memcpy(a.extraData.buffer, extra, 32);
	a.clockInfo.resetCount = h->reset_count;
	a.clockInfo.safe = 1;
	a.attested.quote.pcrSelect.count = 1;
	s->hash = TPM2_ALG_SHA256;
	s->sizeofSelect = 3;
	for (unsigned int i = 0; i < 3; i++)
		s->pcrSelect[i] = (uint8_t)(pcrs->mask >> (8 * i));
	pcr_digest(pcrs, &a.attested.quote.pcrDigest);
	must(!Tss2_MU_TPMS_ATTEST_Marshal(&a, out, max, &n), "quote");
	return n;
}

static size_t sign(struct mock_host *h, const uint8_t *text, size_t n_text, uint8_t *out, size_t max)
{
	TPMT_SIGNATURE sig = { .sigAlg = TPM2_ALG_ECDSA };
	TPMS_SIGNATURE_ECC *e = &sig.signature.ecdsa;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t der[128];
	const uint8_t *p = der;
	size_t n_der = sizeof(der), n = 0;
	const BIGNUM *r, *s;
	ECDSA_SIG *x;

	must(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, h->ak) == 1 &&
	     EVP_DigestSign(md, der, &n_der, text, n_text) == 1, "signature");
	x = d2i_ECDSA_SIG(NULL, &p, (long)n_der);
	ECDSA_SIG_get0(x, &r, &s);
	e->hash = TPM2_ALG_SHA256;
	e->signatureR.size = e->signatureS.size = COORD;
	BN_bn2binpad(r, e->signatureR.buffer, COORD);
	BN_bn2binpad(s, e->signatureS.buffer, COORD);
	must(!Tss2_MU_TPMT_SIGNATURE_Marshal(&sig, out, max, &n), "signature");
	ECDSA_SIG_free(x);
	EVP_MD_CTX_free(md);
	return n;
}

static void extra_of(const json_t *challenge, const uint8_t *spki, size_t n_spki, const char *audience,
		     uint8_t extra[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t *nonce;
	size_t n;

	must(!b64url_from_json(json_object_get(challenge, "nonce"), 64, &nonce, &n), "nonce");
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	digest_of(md, nonce, n);
	digest_of(md, spki, n_spki);
	digest_of(md, audience, strlen(audience));
	EVP_DigestFinal_ex(md, extra, NULL);
	EVP_MD_CTX_free(md);
	free(nonce);
}

json_t *mock_host_evidence(struct mock_host *h, const json_t *challenge)
{
	const char *audience = json_string_value(json_object_get(challenge, "audience"));
	uint8_t extra[32], attest[QUOTE_ATTEST_MAX], sig[QUOTE_SIGNATURE_MAX], *spki;
	size_t n_attest, n_sig, n_spki, n_log;
	const uint8_t *log = mock_log_bytes(h->log, &n_log);
	struct pcrs pcrs;
	uint32_t mask;
	json_t *o;

	must(!pcrs_mask_from_json(json_object_get(challenge, "pcrs"), &mask, NULL), "mask");
	mock_log_pcrs(h->log, mask, &pcrs);
	must(!jwk_key_to_spki(h->ephemeral, &spki, &n_spki, NULL), "ephemeral key");
	extra_of(challenge, spki, n_spki, audience, extra);
	n_attest = quote(h, &pcrs, extra, attest, sizeof(attest));
	n_sig = sign(h, attest, n_attest, sig, sizeof(sig));
	o = json_pack("{s:O, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:{s:b, s:s, s:s}, s:s*}", "context",
		      json_object_get(challenge, "context"), "ak_receipt", h->receipt, "quote",
		      b64url_json(attest, n_attest), "signature", b64url_json(sig, n_sig), "pcrs", pcrs_to_json(&pcrs),
		      "event_log", b64url_json(log, n_log), "ephemeral", b64url_json(spki, n_spki), "audience", audience,
		      "boot", "quick_boot", h->quick_boot, "kernel", "6.1", "boot_id",
		      "00000000-0000-0000-0000-000000000000", "boot_receipt", h->boot);
	free(spki);
	must(o, "evidence");
	return o;
}

/* ---- a state for them ---------------------------------------------------------- */

json_t *mock_state(EVP_PKEY *key)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *pem = NULL;
	json_t *o;

	must(!sign_public_pem(key, &pem, &err), err.text);
	o = json_pack("{s:i, s:s, s:i, s:i, s:[{s:s, s:s}], s:{s:b, s:[], s:[]}, s:{s:[i,i,i,i,i], s:b, s:i, s:i}, s:[], s:[], s:[]}",
		      "v", 1, "cluster", "lab", "serial", 1, "changed", 0, "authorities", "name", "ta1", "token_key", pem,
		      "tpm2", "require_ek_certificate", 0, "ca_certificates", "eks", "policy", "pcrs", 0, 2, 3, 4, 7,
		      "secure_boot", 0, "token_lifetime", 300, "lease", 0, "images", "key_providers", "principals");
	free(pem);
	must(o, "state");
	return o;
}

void mock_state_ek(json_t *state, const struct mock_host *h)
{
	json_array_append_new(json_object_get(json_object_get(state, "tpm2"), "eks"),
			      json_pack("{s:s, s:s}", "name", h->name, "ek", h->ek_id));
}

void mock_state_image(json_t *state, enum mock_log which, const char *name)
{
	struct image_meta meta = { .name = name, .kernel = "6.1", .os = "test" };
	struct vmc_error err = VMC_ERROR_INIT;
	struct eventlog *log = mock_log(which);
	json_t *image = NULL;

	must(!image_from_eventlog(log, TPM2_ALG_SHA256, &meta, &image, &err), err.text);
	json_array_append_new(json_object_get(state, "images"), image);
	eventlog_free(log);
}
