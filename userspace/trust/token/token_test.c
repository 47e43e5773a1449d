// SPDX-License-Identifier: GPL-2.0-or-later
/* Tokens, encrypted keys, contexts: vectors of the RFCs, and everything that must be refused. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/secmem.h"
#include "../../testing/testing.h"
#include "b64url.h"
#include "context.h"
#include "ear.h"
#include "jwe.h"
#include "jwt.h"

#define NOW 1800000000

static EVP_PKEY *key, *other;

/* ---- base64url ---------------------------------------------------------- */

static void base64url(void **state)
{
	/* RFC 7515 appendix C */
	static const uint8_t bytes[] = { 3, 236, 255, 224, 193 };
	static const char *const bad[] = { "A", "A-zg4E", "A-z/4ME", "A-z+4ME", "A-z_4MF", "A-z_4ME=", "A-z_ 4ME", "A\n==" };
	char text[16];
	uint8_t out[8];
	size_t n;

	(void)state;
	b64url_encode(bytes, sizeof(bytes), text);
	assert_string_equal(text, "A-z_4ME");
	assert_int_equal(b64url_len(sizeof(bytes)), strlen(text) + 1);
	assert_int_equal(b64url_decode(text, 7, out, 5, &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(out, bytes, 5);
	assert_int_equal(b64url_decode(text, 7, out, 4, &n), VMC_EINVAL);
	assert_int_equal(b64url_decode("", 0, out, 0, &n), 0);
	assert_int_equal(n, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!b64url_decode(bad[i], strlen(bad[i]), out, sizeof(out), &n))
			fail_msg("'%s' was taken", bad[i]);
}

/* ---- keys --------------------------------------------------------------- */

static EVP_PKEY *jwk(const char *text)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o = json_loads(text, 0, NULL);
	EVP_PKEY *k = NULL;

	assert_ok(jwk_to_key(o, &k, &e), &e);
	json_decref(o);
	return k;
}

#define X_A3 "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"	/* RFC 7515 appendix A.3 */
#define Y_A3 "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static void thumbprints(void **state)
{
	EVP_PKEY *k = jwk("{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"x\":\"" X_A3 "\",\"y\":\"" Y_A3 "\"}");
	struct vmc_error e = VMC_ERROR_INIT;
	char kid[JWK_KID];
	json_t *back;

	(void)state;
	assert_ok(jwk_thumbprint(k, kid, &e), &e);
	/* sha256 of {"crv":"P-256","kty":"EC","x":...,"y":...}, by another program */
	assert_string_equal(kid, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
	assert_ok(jwk_from_key(k, &back, &e), &e);
	assert_string_equal(json_string_value(json_object_get(back, "x")), X_A3);
	assert_string_equal(json_string_value(json_object_get(back, "y")), Y_A3);
	assert_int_equal(json_object_size(back), 4);
	json_decref(back);
	EVP_PKEY_free(k);
}

static void refuses_keys(void **state)
{
	static const char *const bad[] = {
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X_A3 "\",\"y\":\"" X_A3 "\"}",	/* not on the curve */
		"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X_A3 "\",\"y\":\"" Y_A3 "\"}",
		"{\"kty\":\"RSA\",\"crv\":\"P-256\",\"x\":\"" X_A3 "\",\"y\":\"" Y_A3 "\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" Y_A3 "\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X_A3 "\"}", "[]",
	};
	EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), *out;
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *der;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *o = json_loads(bad[i], 0, NULL);

		assert_code(jwk_to_key(o, &out, &e), VMC_EPROTO, &e);
		json_decref(o);
	}
	assert_code(jwk_check(k, &e), VMC_EINVAL, &e);
	assert_ok(jwk_key_to_spki(k, &der, &n, &e), &e);
	assert_code(jwk_key_from_spki(der, n, &out, &e), VMC_EPROTO, &e);
	free(der);
	EVP_PKEY_free(k);
	assert_ok(jwk_key_to_spki(key, &der, &n, &e), &e);
	assert_code(jwk_key_from_spki(der, n - 1, &out, &e), VMC_EPROTO, &e);
	assert_ok(jwk_key_from_spki(der, n, &out, &e), &e);
	assert_int_equal(EVP_PKEY_eq(key, out), 1);
	EVP_PKEY_free(out);
	der = realloc(der, n + 1);
	der[n] = 0;
	assert_code(jwk_key_from_spki(der, n + 1, &out, &e), VMC_EPROTO, &e);
	free(der);
}

/* ---- tokens ------------------------------------------------------------- */

static char *token_of(EVP_PKEY *k, const char *typ, const char *claims)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o = json_loads(claims, 0, NULL);
	char *t = NULL;

	assert_non_null(o);
	assert_ok(jwt_sign(k, typ, o, &t, &e), &e);
	json_decref(o);
	return t;
}

static int check(const char *token, const struct jwt_expect *want, struct vmc_error *err)
{
	EVP_PKEY *const keys[] = { other, key };
	json_t *claims = NULL;
	int rc = jwt_verify(token, keys, 2, want, &claims, err);

	assert_int_equal(!rc, !!claims);
	json_decref(claims);
	return rc;
}

#define GOOD "{\"iss\":\"ta1\",\"aud\":\"kmx\",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800000300}"

static void signs_and_verifies(void **state)
{
	struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .aud = "kmx", .iss = "ta1", .now = NOW, .lives = true };
	struct vmc_error e = VMC_ERROR_INIT;
	char *t = token_of(key, JWT_TYP_TOKEN, GOOD), kid[JWK_KID];
	json_t *head;
	uint8_t b[512];
	size_t n;

	(void)state;
	assert_ok(check(t, &want, &e), &e);
	assert_ok(jwk_thumbprint(key, kid, &e), &e);
	assert_int_equal(b64url_decode(t, (size_t)(strchr(t, '.') - t), b, sizeof(b), &n), 0);
	head = json_loadb((char *)b, n, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(head, "alg")), "ES256");
	assert_string_equal(json_string_value(json_object_get(head, "kid")), kid);
	json_decref(head);
	want = (struct jwt_expect){ .typ = JWT_TYP_TOKEN, .now = NOW };
	assert_ok(check(t, &want, &e), &e);
	free(t);
	t = token_of(key, JWT_TYP_TOKEN, "{\"aud\":[\"a\",\"kmx\"]}");
	want.aud = "kmx";
	assert_ok(check(t, &want, &e), &e);
	free(t);
}

static void keeps_time(void **state)
{
	static const struct {
		int64_t now;
		int code;
	} at[] = { { NOW - 61, VMC_ETIMEDOUT }, { NOW - 60, 0 }, { NOW + 300, 0 }, { NOW + 359, 0 }, { NOW + 360, VMC_ETIMEDOUT } };
	struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .lives = true };
	struct vmc_error e = VMC_ERROR_INIT;
	char *t = token_of(key, JWT_TYP_TOKEN, GOOD);

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		want.now = at[i].now;
		assert_code(check(t, &want, &e), at[i].code, &e);
	}
	free(t);
	t = token_of(key, JWT_TYP_TOKEN, "{\"iss\":\"ta1\"}");
	assert_code(check(t, &want, &e), VMC_EPROTO, &e);
	want.lives = false;
	assert_ok(check(t, &want, &e), &e);
	free(t);
	t = token_of(key, JWT_TYP_TOKEN, "{\"exp\":9223372036854775807}");
	assert_code(check(t, &want, &e), VMC_EPROTO, &e);
	free(t);
	t = token_of(key, JWT_TYP_TOKEN, "{\"exp\":\"never\"}");
	assert_code(check(t, &want, &e), VMC_EPROTO, &e);
	free(t);
}

static void refuses_others(void **state)
{
	struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .aud = "kmx", .iss = "ta1", .now = NOW };
	struct vmc_error e = VMC_ERROR_INIT;
	EVP_PKEY *stranger = EVP_EC_gen("P-256");
	char *t;

	(void)state;
	t = token_of(key, JWT_TYP_REPORT, GOOD);
	assert_code(check(t, &want, &e), VMC_ETRUST, &e);
	assert_contains(e.text, JWT_TYP_REPORT);
	free(t);
	t = token_of(key, JWT_TYP_TOKEN, GOOD);
	want.aud = "someone";
	assert_code(check(t, &want, &e), VMC_ETRUST, &e);
	want.aud = "kmx";
	want.iss = "ta2";
	assert_code(check(t, &want, &e), VMC_ETRUST, &e);
	want.iss = "ta1";
	assert_ok(check(t, &want, &e), &e);
	free(t);
	t = token_of(stranger, JWT_TYP_TOKEN, GOOD);
	assert_code(check(t, &want, &e), VMC_EAUTH, &e);
	assert_contains(e.text, "not known here");
	free(t);
	EVP_PKEY_free(stranger);
}

/* Each character of it changed, each end cut off. */
static void refuses_altered(void **state)
{
	struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .now = NOW };
	char *t = token_of(key, JWT_TYP_TOKEN, GOOD), *copy;
	size_t n = strlen(t);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		copy = strdup(t);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		if (!check(copy, &want, NULL))
			fail_msg("taken with character %zu changed", i);
		copy[i] = t[i];
		copy[i == n - 1 ? i : i + 1] = '\0';
		if (!check(copy, &want, NULL) && i + 1 < n)
			fail_msg("taken with %zu characters only", i + 1);
		free(copy);
	}
	free(t);
}

/* A header that says something else about how it is signed, over a signature that holds. */
static void follows_no_header(void **state)
{
	static const char *const heads[] = {
		"{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"%s\"}", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
		"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\",\"crit\":[\"b64\"],\"b64\":false}",
		"{\"typ\":\"JWT\",\"kid\":\"%s\"}", "{\"alg\":\"ES256\",\"kid\":\"%s\"}",
	};
	struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .now = NOW };
	struct vmc_error e = VMC_ERROR_INIT;
	char kid[JWK_KID], head[256], text[512], *token, sig64[100];
	uint8_t der[128], sig[JWT_SIGNATURE];
	EVP_MD_CTX *md;
	size_t n;

	(void)state;
	assert_ok(jwk_thumbprint(key, kid, &e), &e);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		json_t *o;

		snprintf(text, sizeof(text), "%.*s%s%s", (int)(strstr(heads[i], "%s") - heads[i]), heads[i], kid,
			 strstr(heads[i], "%s") + 2);
		o = json_loads(text, 0, NULL);
		assert_non_null(o);
		json_decref(o);
		b64url_encode((uint8_t *)text, strlen(text), head);
		snprintf(text, sizeof(text), "%s.e30", head);
		md = EVP_MD_CTX_new();
		n = sizeof(der);
		assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key), 1);
		assert_int_equal(EVP_DigestSign(md, der, &n, (uint8_t *)text, strlen(text)), 1);
		EVP_MD_CTX_free(md);
		assert_int_equal(jwt_sig_from_der(der, n, sig), 0);
		b64url_encode(sig, sizeof(sig), sig64);
		assert_true(asprintf(&token, "%s.%s", text, sig64) > 0);
		assert_code(check(token, &want, &e), VMC_ETRUST, &e);
		free(token);
	}
	assert_code(check("a.b", &want, &e), VMC_EPROTO, &e);
	assert_code(check("", &want, &e), VMC_EPROTO, &e);
	assert_code(check("e30.e30.", &want, &e), VMC_ETRUST, &e);
}

/* RFC 7515 appendix A.3: the signature there, by the key there. */
static void vector_es256(void **state)
{
	static const char text[] = "eyJhbGciOiJFUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const char sig64[] = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
	EVP_PKEY *k = jwk("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X_A3 "\",\"y\":\"" Y_A3 "\"}");
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sig[JWT_SIGNATURE], back[JWT_SIGNATURE], *der;
	size_t n;

	(void)state;
	assert_int_equal(b64url_decode(sig64, sizeof(sig64) - 1, sig, sizeof(sig), &n), 0);
	assert_int_equal(jwt_sig_to_der(sig, &der, &n), 0);
	assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, k), 1);
	assert_int_equal(EVP_DigestVerify(md, der, n, (const uint8_t *)text, sizeof(text) - 1), 1);
	assert_int_equal(jwt_sig_from_der(der, n, back), 0);
	assert_memory_equal(back, sig, sizeof(sig));
	assert_true(jwt_sig_from_der(der, n - 1, back) < 0);
	free(der);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(k);
}

/* ---- encrypted keys ------------------------------------------------------ */

/* RFC 7518 appendix C. */
static void vector_concat_kdf(void **state)
{
	static const uint8_t z[] = {
		158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
		251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196 };
	static const uint8_t want[] = { 86, 170, 141, 234, 248, 35, 109, 32, 92, 34, 40, 205, 113, 167, 16, 26 };
	struct jwe_kdf k = { .z = z, .n_z = sizeof(z), .alg = "A128GCM", .apu = (const uint8_t *)"Alice", .n_apu = 5,
			     .apv = (const uint8_t *)"Bob", .n_apv = 3 };
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t out[16];

	(void)state;
	assert_ok(jwe_concat_kdf(&k, out, sizeof(out), &e), &e);
	assert_memory_equal(out, want, sizeof(want));
}

static void encrypts_keys(void **state)
{
	uint8_t plain[32], *out = secmem_alloc(32);
	struct vmc_error e = VMC_ERROR_INIT;
	char *a, *b;
	size_t n;

	(void)state;
	memset(plain, 0x5a, sizeof(plain));
	assert_ok(jwe_seal(key, "token-1", plain, sizeof(plain), &a, &e), &e);
	assert_ok(jwe_seal(key, "token-1", plain, sizeof(plain), &b, &e), &e);
	assert_string_not_equal(a, b);
	assert_ok(jwe_open(key, "token-1", a, out, 32, &n, &e), &e);
	assert_int_equal(n, 32);
	assert_memory_equal(out, plain, 32);
	assert_code(jwe_open(other, "token-1", a, out, 32, &n, &e), VMC_EAUTH, &e);
	assert_code(jwe_open(key, "token-2", a, out, 32, &n, &e), VMC_EAUTH, &e);
	assert_code(jwe_open(key, "token-1", a, out, 31, &n, &e), VMC_EPROTO, &e);
	for (size_t i = 0; a[i]; i++) {
		char c = a[i];

		a[i] = c == 'A' ? 'B' : 'A';
		if (!jwe_open(key, "token-1", a, out, 32, &n, NULL))
			fail_msg("taken with character %zu changed", i);
		a[i] = c;
	}
	assert_ok(jwe_open(key, "token-1", a, out, 32, &n, &e), &e);
	free(a);
	free(b);
	secmem_free(out, 32);
}

/* ---- contexts ------------------------------------------------------------ */

static void seals_contexts(void **state)
{
	uint8_t secret[CONTEXT_SECRET] = { 1 };
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *in = json_pack("{s:s}", "nonce", "abc"), *out;
	struct context_key *k, *k2;
	char *a, *b;

	(void)state;
	assert_ok(context_key_new(secret, &k, &e), &e);
	secret[0] = 2;
	assert_ok(context_key_new(secret, &k2, &e), &e);
	assert_ok(context_seal(k, "attest", in, NOW, &a, &e), &e);
	assert_ok(context_seal(k, "attest", in, NOW, &b, &e), &e);
	assert_string_not_equal(a, b);
	assert_ok(context_open(k, "attest", a, NOW - 1, &out, &e), &e);
	assert_true(json_equal(in, out));
	json_decref(out);
	assert_code(context_open(k, "attest", a, NOW, &out, &e), VMC_ETIMEDOUT, &e);
	assert_code(context_open(k, "enroll", a, NOW - 1, &out, &e), VMC_EAUTH, &e);
	assert_code(context_open(k2, "attest", a, NOW - 1, &out, &e), VMC_EAUTH, &e);
	assert_code(context_open(k, "attest", "", NOW - 1, &out, &e), VMC_EAUTH, &e);
	for (size_t i = 0; a[i]; i++) {
		char c = a[i];

		a[i] = c == 'A' ? 'B' : 'A';
		if (!context_open(k, "attest", a, NOW - 1, &out, NULL))
			fail_msg("taken with character %zu changed", i);
		a[i] = c;
	}
	free(a);
	free(b);
	json_decref(in);
	context_key_free(k);
	context_key_free(k2);
}

/* ---- claims -------------------------------------------------------------- */

static void says_what_was_found(void **state)
{
	static const uint8_t nonce[32] = { 7 };
	struct ear_facts f = {
		.issuer = "ta1", .subject = "00ff", .audience = "kmx", .jti = "j1", .now = NOW, .lifetime = 300,
		.nonce = nonce, .nonce_len = 32, .host = "h1", .image_id = "i", .image_name = "n", .reset_count = 9,
		.secure_boot = true, .ek_by_certificate = true, .confirmation = key };
	struct vmc_error e = VMC_ERROR_INIT;
	struct ear_result r;
	json_t *c, *host;

	(void)state;
	assert_ok(ear_claims(&f, &c, &e), &e);
	host = json_object_get(json_object_get(c, "submods"), "host");
	assert_string_equal(json_string_value(json_object_get(host, "ear.status")), "affirming");
	assert_string_equal(json_string_value(json_object_get(c, "eat_profile")), EAR_PROFILE);
	assert_ok(ear_read(c, &r, &e), &e);
	assert_string_equal(r.host, "h1");
	assert_int_equal(r.expires, NOW + 300);
	assert_int_equal(r.reset_count, 9);
	assert_int_equal(EVP_PKEY_eq(r.confirmation, key), 1);
	ear_clear(&r);
	json_object_set_new(host, "ear.status", json_string("contraindicated"));
	assert_code(ear_read(c, &r, &e), VMC_EPROTO, &e);
	ear_clear(&r);
	json_decref(c);
	f.confirmation = NULL;
	f.quick_boot = true;
	assert_ok(ear_claims(&f, &c, &e), &e);
	host = json_object_get(json_object_get(c, "submods"), "host");
	assert_string_equal(json_string_value(json_object_get(host, "ear.status")), "warning");
	assert_ok(ear_read(c, &r, &e), &e);
	assert_null(r.confirmation);
	assert_true(r.quick_boot);
	ear_clear(&r);
	json_decref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64url), cmocka_unit_test(thumbprints), cmocka_unit_test(refuses_keys),
		cmocka_unit_test(signs_and_verifies), cmocka_unit_test(keeps_time), cmocka_unit_test(refuses_others),
		cmocka_unit_test(refuses_altered), cmocka_unit_test(follows_no_header), cmocka_unit_test(vector_es256),
		cmocka_unit_test(vector_concat_kdf), cmocka_unit_test(encrypts_keys), cmocka_unit_test(seals_contexts),
		cmocka_unit_test(says_what_was_found),
	};
	struct vmc_error e = VMC_ERROR_INIT;
	int rc;

	if (secmem_init(1u << 20, &e) || cert_key_new(&key, &e) || cert_key_new(&other, &e))
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return rc;
}
