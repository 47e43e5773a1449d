// SPDX-License-Identifier: GPL-2.0-or-later
/* A maker of TPMs for tests, see mock_ekca.h. */
#include "mock_ekca.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../testing/testing.h"

#define DAY	86400L

static const char sections[] =
	"[tpm]\n"
	"dirName = tpm_name\n"
	"[tpm_name]\n"
	"1.2.23.133.2.1 = id:00001014\n"
	"2.2.23.133.2.2 = model\n"
	"3.2.23.133.2.3 = id:20191023\n";

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	BIO *b = BIO_new_mem_buf(sections, -1);
	CONF *conf = NCONF_new(NULL);
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	assert_true(NCONF_load_bio(conf, b, NULL) > 0);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, conf);
	e = X509V3_EXT_nconf_nid(conf, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	NCONF_free(conf);
	BIO_free(b);
}

static X509 *begin(EVP_PKEY *key, const char *name, const X509_NAME *issuer, long from, long to)
{
	static long serial;
	X509 *x = X509_new();

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), to);
	if (name)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
					   0);
	X509_set_issuer_name(x, issuer ? issuer : X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	return x;
}

void mock_ca_new(struct mock_ca *ca, const char *name, const struct mock_ca *issuer)
{
	ca->key = EVP_EC_gen("P-256");
	ca->cert = begin(ca->key, name, issuer ? X509_get_subject_name(issuer->cert) : NULL, -DAY, 100 * DAY);
	add_ext(ca->cert, issuer ? issuer->cert : ca->cert, NID_basic_constraints, "critical,CA:TRUE");
	add_ext(ca->cert, issuer ? issuer->cert : ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	assert_true(X509_sign(ca->cert, issuer ? issuer->key : ca->key, EVP_sha256()) > 0);
}

void mock_ca_free(struct mock_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

char *mock_ca_pem(const struct mock_ca *ca)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text, *copy;
	long n;

	PEM_write_bio_X509(b, ca->cert);
	n = BIO_get_mem_data(b, &text);
	copy = OPENSSL_strndup(text, (size_t)n);
	assert_non_null(copy);
	BIO_free(b);
	return copy;
}

static size_t to_der(X509 *x, uint8_t *out, size_t max)
{
	int n = i2d_X509(x, NULL);

	assert_true(n > 0 && (size_t)n <= max);
	return (size_t)i2d_X509(x, &out);
}

size_t mock_ca_der(const struct mock_ca *ca, uint8_t *out, size_t max)
{
	return to_der(ca->cert, out, max);
}

size_t mock_ca_issue(const struct mock_ca *ca, EVP_PKEY *key, enum mock_oddity odd, uint8_t *out, size_t max)
{
	long from = odd == ODD_EARLY ? DAY : -2 * DAY, to = odd == ODD_EXPIRED ? -DAY : 50 * DAY;
	X509 *x = begin(key, NULL, X509_get_subject_name(ca->cert), from, to);
	size_t n;

	add_ext(x, ca->cert, NID_basic_constraints, odd == ODD_IS_CA ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add_ext(x, ca->cert, NID_key_usage, odd == ODD_USAGE ? "critical,digitalSignature" : "critical,keyAgreement");
	if (odd != ODD_NO_EKU)
		add_ext(x, ca->cert, NID_ext_key_usage, "2.23.133.8.1");
	add_ext(x, ca->cert, NID_subject_alt_name, odd == ODD_NO_TPM_NAME ? "critical,DNS:host" : "critical,@tpm");
	assert_true(X509_sign(x, ca->key, EVP_sha256()) > 0);
	n = to_der(x, out, max);
	X509_free(x);
	return n;
}

/* ---- keys -------------------------------------------------------------------------------- */

void mock_ek_template(TPM2B_PUBLIC *pub)
{
	*pub = (TPM2B_PUBLIC){
		.publicArea = {
			.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
					    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
			.authPolicy.size = 32,
			.parameters.eccDetail = {
				.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
				.scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL,
			},
		},
	};
}

size_t mock_ek_write(TPM2B_PUBLIC *pub, EVP_PKEY *key, uint8_t *out, size_t max)
{
	TPMS_ECC_POINT *p = &pub->publicArea.unique.ecc;
	uint8_t point[65];
	size_t n = 0;

	if (key) {
		assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n), 1);
		p->x.size = p->y.size = 32;
		memcpy(p->x.buffer, point + 1, 32);
		memcpy(p->y.buffer, point + 33, 32);
	}
	n = 0;
	pub->size = 0;
	assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Marshal(pub, out, max, &n), 0);
	return n;
}

EVP_PKEY *mock_ek(uint8_t *out, size_t max, size_t *n)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	TPM2B_PUBLIC pub;

	mock_ek_template(&pub);
	*n = mock_ek_write(&pub, key, out, max);
	return key;
}
