// SPDX-License-Identifier: GPL-2.0-or-later
/* Compact JWS with ES256. */
#include "jwt.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "b64url.h"
#include "jose_priv.h"

#define SIG_TEXT	87	/* 64 bytes in base64url, with the NUL */

/* ---- signatures -------------------------------------------------------- */

int jwt_sig_to_der(const uint8_t sig[JWT_SIGNATURE], uint8_t **der, size_t *n)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(sig, JWT_SIGNATURE / 2, NULL);
	BIGNUM *v = BN_bin2bn(sig + JWT_SIGNATURE / 2, JWT_SIGNATURE / 2, NULL);
	unsigned char *p = NULL;
	int len;

	if (!s || !r || !v || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		ECDSA_SIG_free(s);
		return VMC_ENOMEM;
	}
	len = i2d_ECDSA_SIG(s, NULL);
	*der = p = len > 0 ? malloc((size_t)len) : NULL;
	if (p)
		*n = (size_t)i2d_ECDSA_SIG(s, &p);
	ECDSA_SIG_free(s);
	return *der ? 0 : VMC_ENOMEM;
}

int jwt_sig_from_der(const uint8_t *der, size_t n, uint8_t sig[JWT_SIGNATURE])
{
	const unsigned char *p = der;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	const BIGNUM *r, *v;
	int rc = VMC_EPROTO;

	if (s && p == der + n) {
		ECDSA_SIG_get0(s, &r, &v);
		if (BN_bn2binpad(r, sig, JWT_SIGNATURE / 2) > 0 &&
		    BN_bn2binpad(v, sig + JWT_SIGNATURE / 2, JWT_SIGNATURE / 2) > 0)
			rc = 0;
	}
	ECDSA_SIG_free(s);
	ERR_clear_error();
	return rc;
}

static bool sign(EVP_PKEY *key, const char *text, uint8_t sig[JWT_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[128];
	size_t n = sizeof(der);
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(ctx, der, &n, (const uint8_t *)text, strlen(text)) == 1 &&
		  !jwt_sig_from_der(der, n, sig);

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool verify(EVP_PKEY *key, const char *text, size_t len, const uint8_t sig[JWT_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	size_t n = 0;
	bool ok = ctx && !jwt_sig_to_der(sig, &der, &n) &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, der, n, (const uint8_t *)text, len) == 1;

	free(der);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* ---- making ------------------------------------------------------------ */

/* "HEADER.CLAIMS." with room for a signature after it; @head is consumed. */
static char *unsigned_token(json_t *head, const json_t *claims)
{
	char *h = jose_text(head), *c = jose_text(claims), *text = NULL;
	size_t n;

	json_decref(head);
	if (h && c) {
		n = strlen(h) + strlen(c) + 2;
		text = malloc(n + SIG_TEXT);
		if (text)
			snprintf(text, n + 1, "%s.%s.", h, c);
	}
	free(h);
	free(c);
	return text;
}

int jwt_sign(EVP_PKEY *key, const char *typ, const json_t *claims, char **token, struct vmc_error *err)
{
	uint8_t sig[JWT_SIGNATURE];
	char kid[JWK_KID], *text;
	size_t n;
	int rc = jwk_thumbprint(key, kid, err);

	if (rc)
		return rc;
	text = unsigned_token(json_pack("{s:s, s:s, s:s}", "alg", "ES256", "typ", typ, "kid", kid), claims);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a token");
	n = strlen(text);
	if (n + SIG_TEXT > JWT_MAX)
		rc = vmc_fail(err, VMC_EINVAL, "a token of %zu characters is too long", n + SIG_TEXT);
	text[n - 1] = '\0';
	if (!rc && !sign(key, text, sig))
		rc = vmc_fail(err, VMC_EINTERNAL, "a token cannot be signed");
	if (rc) {
		free(text);
		return rc;
	}
	text[n - 1] = '.';
	b64url_encode(sig, sizeof(sig), text + n);
	*token = text;
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

static int malformed(struct vmc_error *err)
{
	return vmc_fail(err, VMC_EPROTO, "what was given as a token is none");
}

static EVP_PKEY *find_key(EVP_PKEY *const *keys, size_t n, const char *kid)
{
	char own[JWK_KID];

	for (size_t i = 0; kid && i < n; i++)
		if (!jwk_thumbprint(keys[i], own, NULL) && !strcmp(own, kid))
			return keys[i];
	return NULL;
}

static int check_typ(const json_t *head, const char *typ, struct vmc_error *err)
{
	const char *is = json_string_value(json_object_get(head, "typ"));

	/* RFC 7515 section 4.1.11: what must be understood is not */
	if (!jose_is(head, "alg", "ES256") || json_object_get(head, "crit"))
		return vmc_fail(err, VMC_ETRUST, "the token is not signed as ours are (ES256)");
	if (!is || strcmp(is, typ))
		return vmc_fail(err, VMC_ETRUST, "the token is of another kind ('%.40s') than the one that is needed ('%s')",
				is ? is : "", typ);
	return 0;
}

static int check_signature(const struct jose_part p[3], const json_t *head, EVP_PKEY *const *keys, size_t n,
			   struct vmc_error *err)
{
	EVP_PKEY *key = find_key(keys, n, json_string_value(json_object_get(head, "kid")));
	uint8_t sig[JWT_SIGNATURE];

	if (!key)
		return vmc_fail(err, VMC_EAUTH, "the token was signed by a key that is not known here");
	if (!jose_exactly(&p[2], sig, sizeof(sig)))
		return malformed(err);
	if (!verify(key, p[0].at, (size_t)(p[1].at + p[1].len - p[0].at), sig))
		return vmc_fail(err, VMC_EAUTH, "the token is not authentic: it was altered, or signed by another key");
	return 0;
}

static bool audience_ok(const json_t *aud, const char *want)
{
	json_t *one;
	size_t i;

	if (json_is_string(aud))
		return !strcmp(json_string_value(aud), want);
	json_array_foreach(aud, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), want))
			return true;
	return false;
}

static int check_names(const json_t *claims, const struct jwt_expect *want, struct vmc_error *err)
{
	if (want->aud && !audience_ok(json_object_get(claims, "aud"), want->aud))
		return vmc_fail(err, VMC_ETRUST, "the token is for somebody else, not for '%s'", want->aud);
	if (want->iss && !jose_is(claims, "iss", want->iss))
		return vmc_fail(err, VMC_ETRUST, "the token is not from '%s'", want->iss);
	return 0;
}

/* A time of the claims: 0 and *@t, or that it is no number. *@there: it is there at all. */
static int time_of(const json_t *claims, const char *name, bool *there, int64_t *t)
{
	const json_t *v = json_object_get(claims, name);

	*there = v;
	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT64_MAX - JWT_SKEW)
		return VMC_EPROTO;
	*t = json_integer_value(v);
	return 0;
}

static int check_times(const json_t *claims, const struct jwt_expect *want, struct vmc_error *err)
{
	static const char *const begins[] = { "nbf", "iat" };
	bool there;
	int64_t t;

	if (time_of(claims, "exp", &there, &t) || (want->lives && !there))
		return malformed(err);
	if (there && want->now >= t + JWT_SKEW)
		return vmc_fail(err, VMC_ETIMEDOUT, "the token has expired");
	for (size_t i = 0; i < 2; i++) {
		if (time_of(claims, begins[i], &there, &t))
			return malformed(err);
		if (!there || t <= want->now + JWT_SKEW)
			continue;
		vmc_fail(err, VMC_ETIMEDOUT, "the token is not valid yet");
		vmc_hint(err, "compare the clocks of the hosts: 'timedatectl' on each");
		return VMC_ETIMEDOUT;
	}
	return 0;
}

int jwt_verify(const char *token, EVP_PKEY *const *keys, size_t n, const struct jwt_expect *want, json_t **claims,
	       struct vmc_error *err)
{
	struct jose_part p[3];
	json_t *head = NULL, *body = NULL;
	int rc;

	if (!jose_split(token, JWT_MAX, p, 3))
		return malformed(err);
	head = jose_object(&p[0]);
	rc = head ? check_typ(head, want->typ, err) : malformed(err);
	if (!rc)
		rc = check_signature(p, head, keys, n, err);
	json_decref(head);
	if (rc)
		return rc;
	body = jose_object(&p[1]);
	rc = body ? check_names(body, want, err) : malformed(err);
	if (!rc)
		rc = check_times(body, want, err);
	if (rc)
		json_decref(body);
	else
		*claims = body;
	return rc;
}

int jwt_peek(const char *token, json_t **claims, struct vmc_error *err)
{
	struct jose_part p[3];

	*claims = jose_split(token, JWT_MAX, p, 3) ? jose_object(&p[1]) : NULL;
	return *claims ? 0 : malformed(err);
}
