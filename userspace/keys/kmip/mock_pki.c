// SPDX-License-Identifier: GPL-2.0-or-later
/* Certificates for tests. See mock_pki.h. */
#include "mock_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../lib/util.h"

static int extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

static int extensions(X509 *x, X509 *issuer, const struct mock_cert *c)
{
	int ok = extension(x, issuer, NID_basic_constraints,
			   c->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");

	ok = ok && extension(x, issuer, NID_key_usage, c->ca ? "critical,keyCertSign,cRLSign" :
			     "critical,digitalSignature");
	ok = ok && extension(x, issuer, NID_subject_key_identifier, "hash");
	if (c->usage)
		ok = ok && extension(x, issuer, NID_ext_key_usage, c->usage);
	if (c->san)
		ok = ok && extension(x, issuer, NID_subject_alt_name, c->san);
	return ok;
}

static X509 *read_cert(const char *dir, const char *name)
{
	char path[512];
	X509 *x = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
	f = fopen(path, "r");
	if (f) {
		x = PEM_read_X509(f, NULL, NULL, NULL);
		fclose(f);
	}
	return x;
}

static EVP_PKEY *read_key(const char *dir, const char *name)
{
	EVP_PKEY *k = NULL;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	f = fopen(path, "r");
	if (f) {
		k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		fclose(f);
	}
	return k;
}

static int save(const char *dir, const char *name, X509 *x, EVP_PKEY *k)
{
	char path[512];
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
	f = fopen(path, "w");
	ok = f && PEM_write_X509(f, x);
	if (f)
		ok = !fclose(f) && ok;
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	f = ok ? fopen(path, "w") : NULL;
	ok = f && !chmod(path, 0600) && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
	if (f)
		ok = !fclose(f) && ok;
	return ok;
}

int mock_pki_make(const char *dir, const struct mock_cert *c)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = c->issuer ? read_key(dir, c->issuer) : NULL;
	X509 *x = X509_new(), *ca = c->issuer ? read_cert(dir, c->issuer) : NULL;
	BIGNUM *serial = BN_new();
	X509_NAME *name = X509_get_subject_name(x);
	int ok;

	ok = key && (!c->issuer || (ca && ca_key)) && X509_set_version(x, X509_VERSION_3) &&
	     BN_rand(serial, 100, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
	     BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) &&
	     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)c->cn, -1,
					-1, 0) &&
	     X509_set_issuer_name(x, ca ? X509_get_subject_name(ca) : name) &&
	     X509_time_adj_ex(X509_getm_notBefore(x), c->from_days, -60, NULL) &&
	     X509_time_adj_ex(X509_getm_notAfter(x), c->to_days, 60, NULL) && X509_set_pubkey(x, key) &&
	     extensions(x, ca ? ca : x, c) && X509_sign(x, ca_key ? ca_key : key, EVP_sha256()) &&
	     save(dir, c->name, x, key);
	if (!ok)
		fprintf(stderr, "cannot make the certificate %s in %s\n", c->name, dir);
	BN_free(serial);
	X509_free(x);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return ok ? 0 : -1;
}

int mock_pki(const char *dir)
{
	static const char local[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
	static const struct mock_cert all[] = {
		{ "ca", "test CA", NULL, NULL, NULL, -10, 100, 1 },
		{ "other-ca", "another CA", NULL, NULL, NULL, -10, 100, 1 },
		{ "server", "localhost", "ca", local, "serverAuth", -1, 90, 0 },
		{ "expired", "localhost", "ca", local, "serverAuth", -9, -2, 0 },
		{ "early", "localhost", "ca", local, "serverAuth", 2, 90, 0 },
		{ "other-name", "kms.example", "ca", "DNS:kms.example", "serverAuth", -1, 90, 0 },
		{ "stranger", "localhost", "other-ca", local, "serverAuth", -1, 90, 0 },
		{ "self", "appliance", NULL, "DNS:appliance", "serverAuth", -9, -1, 0 },
		{ "client", "host-a", "ca", NULL, "clientAuth", -1, 90, 0 },
		{ "foreign", "host-x", "other-ca", NULL, "clientAuth", -1, 90, 0 },
		{ "client-expired", "host-old", "ca", NULL, "clientAuth", -9, -2, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (mock_pki_make(dir, &all[i]))
			return -1;
	return 0;
}
