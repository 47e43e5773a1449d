// SPDX-License-Identifier: GPL-2.0-or-later
/* What one side of a connection shows. */
#include "identity.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../keys/identity.h"
#include "../../lib/fs.h"

int http_identity_open(const char *dir, const char *cn, struct http_identity *id, struct vmc_error *err)
{
	int rc;

	memset(id, 0, sizeof(*id));
	rc = identity_load(dir, cn, &id->key, &id->chain, err);
	if (!rc && cert_fingerprint(sk_X509_value(id->chain, 0), id->fingerprint)) {
		http_identity_close(id);
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for a fingerprint");
	}
	return rc;
}

void http_identity_close(struct http_identity *id)
{
	EVP_PKEY_free(id->key);
	if (id->chain)
		cert_chain_free(id->chain);
	memset(id, 0, sizeof(*id));
}

/* ---- another one ---------------------------------------------------------------------- */

#define KEY	"host.key"
#define CERT	"host.pem"
#define NEXT	"next"

static void path_of(const char *dir, const char *name, char out[PATH_MAX])
{
	/* who has a longer path has no identity there */
	snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

int http_identity_next(const char *dir, const char *cn, struct http_identity *id, struct vmc_error *err)
{
	char next[PATH_MAX], making[PATH_MAX];
	int rc = 0;

	memset(id, 0, sizeof(*id));
	path_of(dir, NEXT, next);
	path_of(dir, NEXT ".new", making);
	if (access(next, F_OK)) {
		/* whole or not there */
		rc = fs_remove_tree(making, err);
		if (!rc)
			rc = http_identity_open(making, cn, id, err);
		if (!rc)
			rc = fs_rename(making, next, err);
		if (rc)
			http_identity_close(id);
		return rc;
	}
	return http_identity_open(next, cn, id, err);
}

int http_identity_pem(const struct http_identity *id, char **pem, struct vmc_error *err)
{
	json_t *o = cert_json(sk_X509_value(id->chain, 0));

	*pem = o ? strdup(json_string_value(json_object_get(o, "pem"))) : NULL;
	json_decref(o);
	return *pem ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a certificate");
}

int http_identity_drop_next(const char *dir, struct vmc_error *err)
{
	char next[PATH_MAX];

	path_of(dir, NEXT, next);
	return fs_remove_tree(next, err);
}

static bool is_next(const char *path, const char *pem)
{
	char a[CERT_FINGERPRINT], b[CERT_FINGERPRINT];
	STACK_OF(X509) *x = NULL, *y = NULL;
	bool same = pem && !access(path, F_OK) && !cert_chain_load(path, &x, NULL) &&
		    !cert_chain_from_pem(pem, "certificate", &y, NULL) && !cert_fingerprint(sk_X509_value(x, 0), a) &&
		    !cert_fingerprint(sk_X509_value(y, 0), b) && !strcmp(a, b);

	cert_chain_free(x);
	cert_chain_free(y);
	return same;
}

/* The certificate goes first: a key alone in "next" is what a crash in between leaves. */
int http_identity_follow(const char *dir, const char *pem, struct vmc_error *err)
{
	char cert[PATH_MAX], key[PATH_MAX], to[PATH_MAX];
	int rc = 0;

	path_of(dir, NEXT "/" CERT, cert);
	path_of(dir, NEXT "/" KEY, key);
	if (is_next(cert, pem)) {
		path_of(dir, CERT, to);
		rc = fs_rename(cert, to, err);
	}
	if (rc || access(key, F_OK) || !access(cert, F_OK))
		return rc;
	path_of(dir, KEY, to);
	rc = fs_rename(key, to, err);
	return rc ? rc : http_identity_drop_next(dir, err);
}

int http_identity_use(const struct http_identity *id, SSL_CTX *ctx, struct vmc_error *err)
{
	return identity_set(ctx, id->key, id->chain) ? 0 :
	       vmc_fail(err, VMC_ETRUST, "this host's own certificate cannot be used");
}
