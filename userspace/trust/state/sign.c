// SPDX-License-Identifier: GPL-2.0-or-later
/* ES256 over documents. See sign.h. */
#include "sign.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../token/b64url.h"
#include "../token/jwt.h"

#define RAW64		86	/* characters of JWT_SIGNATURE bytes */
#define HEADER_MAX	96
#define DER_MAX		80

/* ---- signatures ----------------------------------------------------------------------- */

static int openssl_failed(struct vmc_error *err)
{
	ERR_clear_error();
	return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot sign or verify a document");
}

static int sign_raw(EVP_PKEY *key, const void *data, size_t len, uint8_t raw[JWT_SIGNATURE], struct vmc_error *err)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t der[DER_MAX];
	size_t n = sizeof(der);
	bool ok = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(c, der, &n, data, len) == 1 && !jwt_sig_from_der(der, n, raw);

	EVP_MD_CTX_free(c);
	return ok ? 0 : openssl_failed(err);
}

static bool verify_raw(EVP_PKEY *key, const void *data, size_t len, const uint8_t raw[JWT_SIGNATURE])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	size_t n = 0;
	bool ok = c && !jwt_sig_to_der(raw, &der, &n) && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(c, der, n, data, len) == 1;

	free(der);
	EVP_MD_CTX_free(c);
	ERR_clear_error();
	return ok;
}

/* ---- documents -------------------------------------------------------------------------- */

/* The same bytes for every document of @type, so that comparing them is reading them. */
static void make_header(const char *type, char out[HEADER_MAX * 2])
{
	char json[HEADER_MAX];
	int n = snprintf(json, sizeof(json), "{\"alg\":\"ES256\",\"typ\":\"%.40s\"}", type);

	b64url_encode((const uint8_t *)json, n, out);
}

int sign_make(EVP_PKEY *key, const char *type, const void *payload, size_t len, char **jws, struct vmc_error *err)
{
	char header[HEADER_MAX * 2], *text, *at;
	uint8_t raw[JWT_SIGNATURE];
	int rc;

	make_header(type, header);
	text = malloc(strlen(header) + 1 + b64url_len(len) + 1 + b64url_len(JWT_SIGNATURE));
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory to sign a document");
	at = text + sprintf(text, "%s.", header);
	b64url_encode(payload, len, at);
	rc = sign_raw(key, text, strlen(text), raw, err);
	if (rc) {
		free(text);
		return rc;
	}
	at += strlen(at);
	*at++ = '.';
	b64url_encode(raw, JWT_SIGNATURE, at);
	*jws = text;
	return 0;
}

static int not_signed(struct vmc_error *err, const char *why)
{
	return vmc_fail(err, VMC_EAUTH, "the signed document is refused: %s", message_say(why));
}

int sign_open(EVP_PKEY *key, const char *type, const char *jws, char **payload, size_t *len, struct vmc_error *err)
{
	char header[HEADER_MAX * 2];
	uint8_t raw[JWT_SIGNATURE];
	const char *body, *sig;
	size_t n = 0, max;
	char *text;

	make_header(type, header);
	body = jws + strlen(header) + 1;
	if (strnlen(jws, SIGN_MAX + 1) > SIGN_MAX || strncmp(jws, header, strlen(header)) || body[-1] != '.')
		return not_signed(err, N_("it is of another kind, or longer than any"));
	sig = strchr(body, '.');
	if (!sig || strlen(sig + 1) != RAW64)
		return not_signed(err, N_("it has no signature"));
	if (b64url_decode(sig + 1, RAW64, raw, sizeof(raw), &n) || n != sizeof(raw) || !verify_raw(key, jws, sig - jws, raw))
		return not_signed(err, N_("its signature was not made with the cluster's key, or it was altered since"));
	max = (size_t)(sig - body);
	text = malloc(max + 1);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a signed document");
	if (b64url_decode(body, max, (uint8_t *)text, max, len)) {
		free(text);
		return not_signed(err, N_("it is not base64url"));
	}
	text[*len] = '\0';
	*payload = text;
	return 0;
}

/* ---- keys -------------------------------------------------------------------------------- */

int sign_public_pem(EVP_PKEY *key, char **pem, struct vmc_error *err)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text = NULL;
	const char *data;
	long n;

	if (b && PEM_write_bio_PUBKEY(b, key)) {
		n = BIO_get_mem_data(b, &data);
		text = strndup(data, n);
	}
	BIO_free(b);
	ERR_clear_error();
	*pem = text;
	return text ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a public key");
}

int sign_public_load(const char *pem, EVP_PKEY **key, struct vmc_error *err)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *k = b ? PEM_read_bio_PUBKEY(b, NULL, NULL, NULL) : NULL;
	char group[32] = "";

	BIO_free(b);
	if (k && EVP_PKEY_is_a(k, "EC"))
		EVP_PKEY_get_group_name(k, group, sizeof(group), NULL);
	ERR_clear_error();
	if (!strcmp(group, "prime256v1")) {
		*key = k;
		return 0;
	}
	EVP_PKEY_free(k);
	return vmc_fail(err, VMC_EINVAL, "this is not the public key of a cluster (PEM, P-256)");
}
