// SPDX-License-Identifier: GPL-2.0-or-later
/* ES256 over documents. See sign.h. */
#include "sign.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"

#define HALF		32			/* bytes of R, and of S */
#define RAW		(2 * HALF)		/* RFC 7518 section 3.4 */
#define RAW64		86			/* the same as base64url */
#define HEADER_MAX	96
#define DER_MAX		80

/* ---- base64url without padding (RFC 7515 section 2) --------------------------------- */

static size_t url64_len(size_t n)
{
	return vmc_base64_len(n);
}

static void url64_encode(const void *in, size_t n, char *out)
{
	vmc_base64_encode(in, n, out);
	for (char *p = out; *p; p++) {
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
		else if (*p == '=')
			*p = '\0';
	}
}

/* A new buffer of *@n bytes and a NUL; NULL: not base64url, or no memory. */
static char *url64_decode(const char *in, size_t len, size_t *n)
{
	size_t padded = (len + 3) / 4 * 4;
	char *text = malloc(padded + 1), *out = malloc(padded + 1);
	bool ok = text && out && strspn(in, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") >= len;

	for (size_t i = 0; ok && i < padded; i++)
		text[i] = i >= len ? '=' : in[i] == '-' ? '+' : in[i] == '_' ? '/' : in[i];
	if (ok) {
		text[padded] = '\0';
		ok = !vmc_base64_decode(text, (uint8_t *)out, padded, n);
	}
	free(text);
	if (ok) {
		out[*n] = '\0';
		return out;
	}
	free(out);
	return NULL;
}

/* ---- signatures ----------------------------------------------------------------------- */

static int openssl_failed(struct vmc_error *err)
{
	ERR_clear_error();
	return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot sign or verify a document");
}

static int sign_raw(EVP_PKEY *key, const void *data, size_t len, uint8_t raw[RAW], struct vmc_error *err)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t der[DER_MAX];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *sig = NULL;
	bool ok;

	if (c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(c, der, &n, data, len) == 1)
		sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	EVP_MD_CTX_free(c);
	ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, HALF) == HALF &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + HALF, HALF) == HALF;
	ECDSA_SIG_free(sig);
	return ok ? 0 : openssl_failed(err);
}

static int raw_to_der(const uint8_t raw[RAW], uint8_t **der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, HALF, NULL), *s = BN_bin2bn(raw + HALF, HALF, NULL);
	int n = -1;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		n = i2d_ECDSA_SIG(sig, der);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return n;
}

static bool verify_raw(EVP_PKEY *key, const void *data, size_t len, const uint8_t raw[RAW])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	int n = raw_to_der(raw, &der);
	bool ok = c && n > 0 && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(c, der, n, data, len) == 1;

	OPENSSL_free(der);
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

	url64_encode(json, n, out);
}

int sign_make(EVP_PKEY *key, const char *type, const void *payload, size_t len, char **jws, struct vmc_error *err)
{
	char header[HEADER_MAX * 2], *text, *at;
	uint8_t raw[RAW];
	int rc;

	make_header(type, header);
	text = malloc(strlen(header) + 1 + url64_len(len) + 1 + url64_len(RAW));
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory to sign a document");
	at = text + sprintf(text, "%s.", header);
	url64_encode(payload, len, at);
	rc = sign_raw(key, text, strlen(text), raw, err);
	if (rc) {
		free(text);
		return rc;
	}
	at += strlen(at);
	*at++ = '.';
	url64_encode(raw, RAW, at);
	*jws = text;
	return 0;
}

static int not_signed(struct vmc_error *err, const char *why)
{
	return vmc_fail(err, VMC_EAUTH, "the signed document is refused: %s", message_say(why));
}

int sign_open(EVP_PKEY *key, const char *type, const char *jws, char **payload, size_t *len, struct vmc_error *err)
{
	char header[HEADER_MAX * 2], *raw;
	const char *body, *sig;
	size_t n = 0;
	bool ok;

	make_header(type, header);
	body = jws + strlen(header) + 1;
	if (strnlen(jws, SIGN_MAX + 1) > SIGN_MAX || strncmp(jws, header, strlen(header)) || body[-1] != '.')
		return not_signed(err, N_("it is of another kind, or longer than any"));
	sig = strchr(body, '.');
	if (!sig || strlen(sig + 1) != RAW64)
		return not_signed(err, N_("it has no signature"));
	raw = url64_decode(sig + 1, RAW64, &n);
	ok = raw && n == RAW && verify_raw(key, jws, sig - jws, (uint8_t *)raw);
	free(raw);
	if (!ok)
		return not_signed(err, N_("its signature was not made with the cluster's key, or it was altered since"));
	*payload = url64_decode(body, sig - body, len);
	return *payload ? 0 : not_signed(err, N_("it is not base64url"));
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
