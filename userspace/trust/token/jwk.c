// SPDX-License-Identifier: GPL-2.0-or-later
/* P-256 public keys as JSON and as DER. */
#include "jwk.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b64url.h"

#define GROUP	"prime256v1"
#define POINT	(1 + 2 * JWK_COORDINATE)	/* uncompressed */

static bool on_p256(const EVP_PKEY *key)
{
	char group[32] = "";
	size_t n;

	return key && EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), &n) == 1 &&
	       !strcmp(group, GROUP);
}

int jwk_check(const EVP_PKEY *key, struct vmc_error *err)
{
	bool ok = on_p256(key);

	ERR_clear_error();
	return ok ? 0 : vmc_fail(err, VMC_EINVAL, "the key is not on the curve P-256");
}

/* X and Y of @key in base64url. */
static int coordinates(const EVP_PKEY *key, char x[JWK_KID], char y[JWK_KID], struct vmc_error *err)
{
	uint8_t point[JWK_COORDINATE];
	BIGNUM *bx = NULL, *by = NULL;
	int rc = jwk_check(key, err);

	if (rc)
		return rc;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &bx) == 1 &&
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &by) == 1 &&
	    BN_bn2binpad(bx, point, sizeof(point)) == JWK_COORDINATE) {
		b64url_encode(point, sizeof(point), x);
		rc = BN_bn2binpad(by, point, sizeof(point)) == JWK_COORDINATE ? 0 : VMC_ENOMEM;
		b64url_encode(point, sizeof(point), y);
	} else {
		rc = VMC_ENOMEM;
	}
	BN_free(bx);
	BN_free(by);
	ERR_clear_error();
	return rc ? vmc_fail(err, rc, "a public key cannot be taken apart") : 0;
}

int jwk_from_key(const EVP_PKEY *key, json_t **jwk, struct vmc_error *err)
{
	char x[JWK_KID], y[JWK_KID];
	int rc = coordinates(key, x, y, err);

	if (rc)
		return rc;
	*jwk = json_pack("{s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "x", x, "y", y);
	return *jwk ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a public key");
}

int jwk_thumbprint(const EVP_PKEY *key, char kid[JWK_KID], struct vmc_error *err)
{
	char x[JWK_KID], y[JWK_KID], text[256];
	uint8_t digest[32];
	int n, rc = coordinates(key, x, y, err);

	if (rc)
		return rc;
	/* the members in this order, with no blanks: RFC 7638 section 3 */
	n = snprintf(text, sizeof(text), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	if (EVP_Digest(text, (size_t)n, digest, NULL, EVP_sha256(), NULL) != 1)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a fingerprint");
	b64url_encode(digest, sizeof(digest), kid);
	return 0;
}

static EVP_PKEY *key_of_point(uint8_t point[POINT])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	char group[] = GROUP;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, POINT),
		OSSL_PARAM_construct_end()
	};
	EVP_PKEY *key = NULL;

	/* a point that is not on the curve is refused by fromdata */
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return key;
}

static bool coordinate(const json_t *jwk, const char *name, uint8_t out[JWK_COORDINATE])
{
	const json_t *v = json_object_get(jwk, name);
	size_t n;

	return json_is_string(v) &&
	       !b64url_decode(json_string_value(v), json_string_length(v), out, JWK_COORDINATE, &n) &&
	       n == JWK_COORDINATE;
}

static bool member_is(const json_t *o, const char *name, const char *want)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s && !strcmp(s, want);
}

int jwk_to_key(const json_t *jwk, EVP_PKEY **key, struct vmc_error *err)
{
	uint8_t point[POINT] = { POINT_CONVERSION_UNCOMPRESSED };

	if (!member_is(jwk, "kty", "EC") || !member_is(jwk, "crv", "P-256") ||
	    !coordinate(jwk, "x", point + 1) || !coordinate(jwk, "y", point + 1 + JWK_COORDINATE))
		return vmc_fail(err, VMC_EPROTO, "a JSON object that is no public key on the curve P-256");
	*key = key_of_point(point);
	return *key ? 0 : vmc_fail(err, VMC_EPROTO, "a public key that is not on its curve");
}

int jwk_key_from_spki(const uint8_t *der, size_t n, EVP_PKEY **key, struct vmc_error *err)
{
	const unsigned char *p = der;
	EVP_PKEY *k = n <= 1024 ? d2i_PUBKEY(NULL, &p, (long)n) : NULL;
	bool ok = k && p == der + n && on_p256(k);

	ERR_clear_error();
	if (!ok) {
		EVP_PKEY_free(k);
		return vmc_fail(err, VMC_EPROTO, "the %zu bytes given are no public key on the curve P-256 in DER", n);
	}
	*key = k;
	return 0;
}

int jwk_key_to_spki(const EVP_PKEY *key, uint8_t **der, size_t *n, struct vmc_error *err)
{
	int len = i2d_PUBKEY(key, NULL);
	unsigned char *p;

	p = len > 0 ? malloc((size_t)len) : NULL;
	if (!p)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a public key");
	*der = p;
	*n = (size_t)len;
	i2d_PUBKEY(key, &p);
	return 0;
}
