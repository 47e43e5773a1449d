// SPDX-License-Identifier: GPL-2.0-or-later
/* What one side of a connection shows. */
#include "identity.h"

#include <string.h>

#include "../../keys/identity.h"

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

int http_identity_use(const struct http_identity *id, SSL_CTX *ctx, struct vmc_error *err)
{
	return identity_set(ctx, id->key, id->chain) ? 0 :
	       vmc_fail(err, VMC_ETRUST, "this host's own certificate cannot be used");
}
