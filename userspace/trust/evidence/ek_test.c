// SPDX-License-Identifier: GPL-2.0-or-later
/* Endorsement keys and their certificates, and each reason to refuse one. */
#include "ek.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../testing/testing.h"
#include "mock_ekca.h"
#include "pubkey.h"

static struct {
	struct mock_ca root, maker, stranger;
	uint8_t pub[1024], cert[EK_DER_MAX], maker_der[EK_DER_MAX];
	size_t n_pub, n_cert;
	EVP_PKEY *key;
	struct ek ek;
	struct ek_cas *cas;
	struct ek_der chain;
	char ca[EK_CA_NAME_MAX];
	struct vmc_error err;
} w;

static void trust(const struct mock_ca *ca, const char *name)
{
	char *pem = mock_ca_pem(ca);

	assert_ok(ek_cas_add(w.cas, name, pem, &w.err), &w.err);
	OPENSSL_free(pem);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	mock_ca_new(&w.root, "Maker Root", NULL);
	mock_ca_new(&w.maker, "Maker CA 7", &w.root);
	mock_ca_new(&w.stranger, "Maker CA 7", NULL);
	w.key = mock_ek(w.pub, sizeof(w.pub), &w.n_pub);
	assert_ok(ek_parse(w.pub, w.n_pub, &w.ek, &w.err), &w.err);
	assert_ok(ek_cas_new(&w.cas, &w.err), &w.err);
	w.chain = (struct ek_der){ w.maker_der, mock_ca_der(&w.maker, w.maker_der, sizeof(w.maker_der)) };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ek_cas_free(w.cas);
	mock_ca_free(&w.root);
	mock_ca_free(&w.maker);
	mock_ca_free(&w.stranger);
	EVP_PKEY_free(w.key);
	return 0;
}

static int check(const struct mock_ca *by, enum mock_oddity odd, size_t n_chain)
{
	struct ek_der cert = { w.cert, mock_ca_issue(by, w.key, odd, w.cert, sizeof(w.cert)) };

	w.n_cert = cert.len;
	return ek_check_certificate(&w.ek, &cert, &w.chain, n_chain, w.cas, time(NULL), w.ca, &w.err);
}

static void refuse(enum mock_oddity odd, const char *part)
{
	assert_code(check(&w.maker, odd, 1), VMC_ETRUST, &w.err);
	assert_contains(w.err.text, part);
	assert_string_equal(w.ca, "");
}

/* ---- certificates ------------------------------------------------------------------------- */

static void a_chain_that_came_along_leads_to_the_root(void **state)
{
	(void)state;
	trust(&w.root, "root");
	assert_ok(check(&w.maker, ODD_NONE, 1), &w.err);
	assert_string_equal(w.ca, "root");
}

static void a_ca_below_the_root_may_be_the_one_that_is_trusted(void **state)
{
	(void)state;
	trust(&w.maker, "maker-ca-7");
	assert_ok(check(&w.maker, ODD_NONE, 0), &w.err);
	assert_string_equal(w.ca, "maker-ca-7");
}

static void a_stranger_of_the_same_name_is_refused(void **state)
{
	(void)state;
	trust(&w.root, "root");
	assert_code(check(&w.stranger, ODD_NONE, 1), VMC_ETRUST, &w.err);
	assert_code(check(&w.maker, ODD_NONE, 0), VMC_ETRUST, &w.err);
	assert_contains(w.err.text, "does not lead to a trusted CA: none signed as '/CN=Maker CA 7'");
	assert_contains(w.err.hint, "import that CA's certificate");
}

static void nothing_is_trusted_when_no_ca_is(void **state)
{
	(void)state;
	assert_int_equal(ek_cas_count(w.cas), 0);
	assert_code(check(&w.maker, ODD_NONE, 1), VMC_ETRUST, &w.err);
}

static void each_oddity_has_its_text(void **state)
{
	(void)state;
	trust(&w.root, "root");
	refuse(ODD_NO_EKU, "2.23.133.8.1 is not among its uses");
	refuse(ODD_IS_CA, "it is that of a CA");
	refuse(ODD_NO_TPM_NAME, "does not name maker, model and version");
	refuse(ODD_USAGE, "its key usage does not fit");
	refuse(ODD_EXPIRED, "has expired");
	refuse(ODD_EARLY, "is not valid yet");
}

static void a_certificate_of_another_key_is_refused(void **state)
{
	uint8_t pub[1024];
	size_t n;
	EVP_PKEY *other = mock_ek(pub, sizeof(pub), &n);

	(void)state;
	trust(&w.root, "root");
	assert_ok(ek_parse(pub, n, &w.ek, &w.err), &w.err);
	refuse(ODD_NONE, "it is for another key");
	EVP_PKEY_free(other);
}

static void a_malformed_certificate_is_refused(void **state)
{
	struct ek_der cert = { w.cert, 0 };

	(void)state;
	trust(&w.root, "root");
	assert_ok(check(&w.maker, ODD_NONE, 1), &w.err);
	w.cert[w.n_cert] = 0;
	cert.len = w.n_cert + 1;
	assert_code(ek_check_certificate(&w.ek, &cert, NULL, 0, w.cas, time(NULL), w.ca, &w.err), VMC_EINVAL, &w.err);
	cert.len = w.n_cert - 1;
	assert_code(ek_check_certificate(&w.ek, &cert, NULL, 0, w.cas, time(NULL), w.ca, &w.err), VMC_EINVAL, &w.err);
	cert.len = w.n_cert;
	w.cert[w.n_cert - 1] ^= 1;	/* of the signature */
	assert_code(ek_check_certificate(&w.ek, &cert, &w.chain, 1, w.cas, time(NULL), w.ca, &w.err), VMC_ETRUST, &w.err);
	assert_code(ek_check_certificate(&w.ek, &cert, &w.chain, EK_CHAIN_MAX + 1, w.cas, time(NULL), w.ca, &w.err),
		    VMC_EINVAL, &w.err);
}

static void only_cas_are_listed_and_once(void **state)
{
	struct ek_der cert = { w.cert, 0 };
	char *pem = mock_ca_pem(&w.root), *two = NULL;
	struct mock_ca leaf = { .key = w.key };
	const uint8_t *at = w.cert;

	(void)state;
	assert_ok(ek_cas_add(w.cas, "one", pem, &w.err), &w.err);
	assert_code(ek_cas_add(w.cas, "two", pem, &w.err), VMC_EEXIST, &w.err);
	assert_contains(w.err.text, "as 'one'");
	assert_true(asprintf(&two, "%s%s", pem, pem) > 0);
	assert_code(ek_cas_add(w.cas, "two", two, &w.err), VMC_EINVAL, &w.err);
	assert_code(ek_cas_add(w.cas, "none", "no certificate", &w.err), VMC_EINVAL, &w.err);
	free(two);
	OPENSSL_free(pem);
	cert.len = mock_ca_issue(&w.maker, w.key, ODD_NONE, w.cert, sizeof(w.cert));
	leaf.cert = d2i_X509(NULL, &at, (long)cert.len);
	pem = mock_ca_pem(&leaf);
	assert_code(ek_cas_add(w.cas, "leaf", pem, &w.err), VMC_ETRUST, &w.err);
	OPENSSL_free(pem);
	X509_free(leaf.cert);
	assert_int_equal(ek_cas_count(w.cas), 1);
}

/* ---- the key itself ------------------------------------------------------------------------ */

static void an_id_is_that_of_the_key(void **state)
{
	uint8_t spki[PUBKEY_SPKI_MAX];
	char id[EK_ID_LEN];
	size_t n;

	(void)state;
	assert_ok(pubkey_spki(w.key, spki, &n, &w.err), &w.err);
	ek_id(spki, n, id);
	assert_string_equal(id, w.ek.id);
	assert_int_equal(strlen(id), 64);
	assert_string_equal(w.ek.kind, "ECC P-256");
}

static void refuse_public(TPM2B_PUBLIC *pub, int code, const char *part)
{
	uint8_t bytes[1024];
	size_t n = mock_ek_write(pub, NULL, bytes, sizeof(bytes));

	assert_code(ek_parse(bytes, n, &w.ek, &w.err), code, &w.err);
	assert_contains(w.err.text, part);
}

static void other_templates_are_refused(void **state)
{
	TPM2B_PUBLIC good, pub;
	uint8_t bytes[1024];

	(void)state;
	mock_ek_template(&good);
	mock_ek_write(&good, w.key, bytes, sizeof(bytes));

	pub = good;
	pub.publicArea.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_RESTRICTED;
	refuse_public(&pub, VMC_ETRUST, "not a restricted decryption key");
	pub = good;
	pub.publicArea.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_FIXEDTPM;
	refuse_public(&pub, VMC_ETRUST, "not a restricted decryption key");
	pub = good;
	pub.publicArea.objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
	refuse_public(&pub, VMC_ETRUST, "for more than an endorsement key may");
	pub = good;
	pub.publicArea.parameters.eccDetail.symmetric.keyBits.aes = 256;
	refuse_public(&pub, VMC_ETRUST, "of another kind");
	pub = good;
	pub.publicArea.parameters.eccDetail.curveID = TPM2_ECC_NIST_P521;
	refuse_public(&pub, VMC_ETRUST, "of another kind");
	pub = good;
	pub.publicArea.unique.ecc.y.buffer[31] ^= 1;
	refuse_public(&pub, VMC_EINVAL, "its numbers do not make one");
	assert_code(ek_parse(w.pub, w.n_pub - 1, &w.ek, &w.err), VMC_EINVAL, &w.err);
	assert_code(ek_parse(w.pub, w.n_pub + 1, &w.ek, &w.err), VMC_EINVAL, &w.err);
	assert_code(ek_parse(NULL, 0, &w.ek, &w.err), VMC_EINVAL, &w.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chain_that_came_along_leads_to_the_root, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ca_below_the_root_may_be_the_one_that_is_trusted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stranger_of_the_same_name_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_trusted_when_no_ca_is, setup, teardown),
		cmocka_unit_test_setup_teardown(each_oddity_has_its_text, setup, teardown),
		cmocka_unit_test_setup_teardown(a_certificate_of_another_key_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_malformed_certificate_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(only_cas_are_listed_and_once, setup, teardown),
		cmocka_unit_test_setup_teardown(an_id_is_that_of_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(other_templates_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("ek", tests, NULL, NULL);
}
