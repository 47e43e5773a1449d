// SPDX-License-Identifier: GPL-2.0-or-later
/* The files of an identity. */
#include "identity.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"

#define DAYS		3650
#define COMMON_NAME_MAX	64

static int path_of(const char *dir, const char *name, char out[PATH_MAX], struct vmc_error *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", dir);
	return 0;
}

static int load_key(const char *path, EVP_PKEY **key, struct vmc_error *err)
{
	int rc = cert_key_load(path, key, err);

	if (rc != VMC_ENOENT)
		return rc;
	rc = cert_key_new(key, err);
	return rc ? rc : cert_key_save(*key, path, err);
}

static int make_certificate(EVP_PKEY *key, const char *name, const char *path, struct vmc_error *err)
{
	char cn[COMMON_NAME_MAX + 1], *pem = NULL;
	int rc;

	snprintf(cn, sizeof(cn), "%.*s", COMMON_NAME_MAX, name);
	rc = cert_self_signed(key, cn, CERT_PEER, DAYS, &pem, err);
	if (!rc)
		rc = fs_replace(path, pem, strlen(pem), 0600, err);
	free(pem);
	return rc;
}

static int load_certificate(const char *path, const char *key_path, EVP_PKEY *key, STACK_OF(X509) **chain,
			    struct vmc_error *err)
{
	int rc = cert_chain_load(path, chain, err);

	if (rc || cert_fits_key(sk_X509_value(*chain, 0), key))
		return rc;
	cert_chain_free(*chain);
	*chain = NULL;
	vmc_fail(err, VMC_ETRUST, "the certificate '%s' was not made for the key '%s'", path, key_path);
	vmc_hint(err, "remove the certificate: a self-signed one is made at the next start");
	return VMC_ETRUST;
}

int identity_load(const char *dir, const char *cn, EVP_PKEY **key, STACK_OF(X509) **chain, struct vmc_error *err)
{
	char key_path[PATH_MAX], path[PATH_MAX];
	int rc = path_of(dir, "host.key", key_path, err);

	*key = NULL;
	*chain = NULL;
	if (!rc)
		rc = path_of(dir, "host.pem", path, err);
	if (!rc)
		rc = fs_mkdirs(dir, 0700, err);
	if (!rc)
		rc = load_key(key_path, key, err);
	if (!rc && access(path, F_OK))
		rc = make_certificate(*key, cn, path, err);
	if (!rc)
		rc = load_certificate(path, key_path, *key, chain, err);
	if (rc) {
		EVP_PKEY_free(*key);
		*key = NULL;
	}
	return rc;
}

bool identity_set(SSL_CTX *ctx, EVP_PKEY *key, STACK_OF(X509) *chain)
{
	bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(chain, 0)) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		  SSL_CTX_clear_chain_certs(ctx) == 1;

	for (int i = 1; ok && i < sk_X509_num(chain); i++)
		ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) == 1;
	ERR_clear_error();
	return ok;
}
