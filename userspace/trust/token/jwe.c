// SPDX-License-Identifier: GPL-2.0-or-later
/* Compact JWE: ECDH-ES on P-256, A256GCM. */
#include "jwe.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../keys/tpm/aead.h"
#include "../../lib/secmem.h"
#include "b64url.h"
#include "jose_priv.h"
#include "jwk.h"

#define ALG		"ECDH-ES"
#define ENC		"A256GCM"
#define SHARED		32
#define APV_MAX		128
#define JWE_MAX		(16u << 10)

static void be32(uint8_t out[4], size_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Each piece of OtherInfo that has a length: that, and the bytes. */
static bool with_length(EVP_MD_CTX *ctx, const void *data, size_t n)
{
	uint8_t len[4];

	be32(len, n);
	return EVP_DigestUpdate(ctx, len, 4) == 1 && (!n || EVP_DigestUpdate(ctx, data, n) == 1);
}

int jwe_concat_kdf(const struct jwe_kdf *k, uint8_t *out, size_t n, struct vmc_error *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t one[4], bits[4], *digest = secmem_alloc(32);
	bool ok;

	be32(one, 1);
	be32(bits, n * 8);
	ok = ctx && digest && n <= 32 && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, one, 4) == 1 && EVP_DigestUpdate(ctx, k->z, k->n_z) == 1 &&
	     with_length(ctx, k->alg, strlen(k->alg)) && with_length(ctx, k->apu, k->n_apu) &&
	     with_length(ctx, k->apv, k->n_apv) && EVP_DigestUpdate(ctx, bits, 4) == 1 &&
	     EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	if (ok)
		memcpy(out, digest, n);
	secmem_free(digest, 32);
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a key");
}

/* The content key: @out in the secure heap. */
static int agree(EVP_PKEY *own, EVP_PKEY *peer, const char *apv, uint8_t *out, struct vmc_error *err)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	struct jwe_kdf k = { .n_z = SHARED, .alg = ENC, .apv = (const uint8_t *)apv, .n_apv = strlen(apv) };
	uint8_t *z = secmem_alloc(SHARED);
	bool ok = ctx && z && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		  EVP_PKEY_derive(ctx, z, &k.n_z) == 1 && k.n_z == SHARED;
	int rc;

	ERR_clear_error();
	k.z = z;
	rc = ok ? jwe_concat_kdf(&k, out, AEAD_KEY, err) : vmc_fail(err, VMC_ENOMEM, "two keys do not agree on a third");
	secmem_free(z, SHARED);
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

/* ---- making ------------------------------------------------------------ */

/* {alg, enc, epk, apv} in base64url. */
static int header(EVP_PKEY *ephemeral, const char *apv, char **out, struct vmc_error *err)
{
	json_t *epk, *o;
	int rc = jwk_from_key(ephemeral, &epk, err);

	if (rc)
		return rc;
	o = json_pack("{s:s, s:s, s:o, s:o}", "alg", ALG, "enc", ENC, "epk", epk, "apv",
		      b64url_json((const uint8_t *)apv, strlen(apv)));
	*out = jose_text(o);
	json_decref(o);
	return *out ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for an encrypted key");
}

static int assemble(const char *head, const uint8_t nonce[AEAD_NONCE], const uint8_t *cipher, size_t n,
		    const uint8_t tag[AEAD_TAG], char **jwe, struct vmc_error *err)
{
	char iv[b64url_len(AEAD_NONCE)], mark[b64url_len(AEAD_TAG)], *body = malloc(b64url_len(n));
	int len = -1;

	if (body) {
		b64url_encode(nonce, AEAD_NONCE, iv);
		b64url_encode(tag, AEAD_TAG, mark);
		b64url_encode(cipher, n, body);
		/* no encrypted key: it is agreed on, directly */
		len = asprintf(jwe, "%s..%s.%s.%s", head, iv, body, mark);
	}
	free(body);
	return len < 0 ? vmc_fail(err, VMC_ENOMEM, "no memory for an encrypted key") : 0;
}

int jwe_seal(EVP_PKEY *recipient, const char *apv, const uint8_t *plain, size_t n, char **jwe, struct vmc_error *err)
{
	uint8_t nonce[AEAD_NONCE], tag[AEAD_TAG], *cek = secmem_alloc(AEAD_KEY), *cipher = malloc(n ? n : 1);
	EVP_PKEY *ephemeral = NULL;
	char *head = NULL;
	int rc = jwk_check(recipient, err);

	if (!rc && (n > JWE_PLAIN_MAX || strlen(apv) > APV_MAX))
		rc = vmc_fail(err, VMC_EINVAL, "%zu bytes are too many to encrypt to a public key", n);
	if (!rc && (!cek || !cipher))
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for an encrypted key");
	if (!rc)
		rc = cert_key_new(&ephemeral, err);
	if (!rc)
		rc = header(ephemeral, apv, &head, err);
	if (!rc)
		rc = agree(ephemeral, recipient, apv, cek, err);
	if (!rc)
		rc = aead_seal(cek, head, strlen(head), plain, n, nonce, cipher, tag, err);
	if (!rc)
		rc = assemble(head, nonce, cipher, n, tag, jwe, err);
	free(head);
	free(cipher);
	secmem_free(cek, AEAD_KEY);
	EVP_PKEY_free(ephemeral);
	return rc;
}

/* ---- opening ----------------------------------------------------------- */

static int malformed(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EPROTO, "what was given as an encrypted key is none");
}

/* The sender's key, when the header is one of ours and for @apv. */
static int read_header(const struct jose_part *p, const char *apv, EVP_PKEY **ephemeral, struct vmc_error *err)
{
	json_t *head = jose_object(p), *mark = b64url_json((const uint8_t *)apv, strlen(apv));
	int rc = 0;

	if (!head || !mark || !jose_is(head, "alg", ALG) || !jose_is(head, "enc", ENC) ||
	    json_object_size(head) != 4)
		rc = malformed(err);
	else if (!json_equal(json_object_get(head, "apv"), mark))
		rc = vmc_fail(err, VMC_EAUTH, "the encrypted key is for another token");
	else
		rc = jwk_to_key(json_object_get(head, "epk"), ephemeral, err);
	json_decref(head);
	json_decref(mark);
	return rc;
}

static int decrypt(const struct jose_part p[5], const uint8_t *cek, uint8_t *out, size_t max, size_t *n,
		   struct vmc_error *err)
{
	uint8_t nonce[AEAD_NONCE], tag[AEAD_TAG], *cipher;
	size_t len;
	int rc;

	cipher = jose_bytes(&p[3], &len);
	if (!cipher || len > max || p[1].len || !jose_exactly(&p[2], nonce, sizeof(nonce)) ||
	    !jose_exactly(&p[4], tag, sizeof(tag))) {
		free(cipher);
		return malformed(err);
	}
	rc = aead_open(cek, p[0].at, p[0].len, cipher, len, nonce, tag, out, err);
	free(cipher);
	*n = rc ? 0 : len;
	if (rc)
		rc = vmc_fail(err, VMC_EAUTH, "an encrypted key was altered, or is for another one than this host's");
	return rc;
}

int jwe_open(EVP_PKEY *own, const char *apv, const char *jwe, uint8_t *out, size_t max, size_t *n,
	     struct vmc_error *err)
{
	uint8_t *cek = secmem_alloc(AEAD_KEY);
	EVP_PKEY *ephemeral = NULL;
	struct jose_part p[5];
	int rc = 0;

	if (!cek)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a key");
	if (strlen(apv) > APV_MAX || !jose_split(jwe, JWE_MAX, p, 5))
		rc = malformed(err);
	if (!rc)
		rc = read_header(&p[0], apv, &ephemeral, err);
	if (!rc)
		rc = agree(own, ephemeral, apv, cek, err);
	if (!rc)
		rc = decrypt(p, cek, out, max, n, err);
	secmem_free(cek, AEAD_KEY);
	EVP_PKEY_free(ephemeral);
	return rc;
}
