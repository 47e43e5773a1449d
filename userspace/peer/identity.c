// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who this host is to the others: one key for good, host.key, and the newest certificate for it, host.pem. A
 * certificate is replaced atomically, so that both belong together after a crash at any moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../keys/identity.h"
#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "peer_priv.h"

#define COMMON_NAME_MAX	64

static int path_of(const struct peers *p, const char *name, char out[PATH_MAX], struct vmc_error *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", p->state, name) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", p->state);
	return 0;
}

static void common_name(const struct peers *p, char out[COMMON_NAME_MAX + 1])
{
	snprintf(out, COMMON_NAME_MAX + 1, "%.*s", COMMON_NAME_MAX, p->host);
}

/* Take @chain over. */
static int adopt(struct peers *p, STACK_OF(X509) *chain, struct vmc_error *err)
{
	char fp[CERT_FINGERPRINT];
	int rc = cert_fingerprint(sk_X509_value(chain, 0), fp);

	if (rc) {
		cert_chain_free(chain);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a fingerprint");
	}
	cert_chain_free(p->chain);
	p->chain = chain;
	memcpy(p->fingerprint, fp, sizeof(fp));
	return 0;
}

int identity_open(struct peers *p, struct vmc_error *err)
{
	STACK_OF(X509) *chain;
	int rc = identity_load(p->state, p->host, &p->key, &chain, err);

	return rc ? rc : adopt(p, chain, err);
}

int identity_use(struct peers *p, SSL_CTX *ctx, struct vmc_error *err)
{
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = identity_set(ctx, p->key, p->chain);
	pthread_mutex_unlock(&p->lock);
	return ok ? 0 : vmc_fail(err, VMC_ETRUST, "this host's own certificate cannot be used");
}

int peers_identity(struct peers *p, json_t **out, struct vmc_error *err)
{
	json_t *o;

	pthread_mutex_lock(&p->lock);
	o = cert_json(sk_X509_value(p->chain, 0));
	pthread_mutex_unlock(&p->lock);
	if (!o || json_object_set_new(o, "host", json_string(p->host))) {
		json_decref(o);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
	}
	*out = o;
	return 0;
}

int peers_csr(struct peers *p, char **pem, struct vmc_error *err)
{
	char cn[COMMON_NAME_MAX + 1];

	common_name(p, cn);
	return cert_csr(p->key, cn, CERT_PEER, pem, err);
}

static int check_upload(struct peers *p, X509 *x, struct vmc_error *err)
{
	if (!cert_fits_key(x, p->key)) {
		vmc_fail(err, VMC_ETRUST, "the certificate given was not made for this host's key");
		vmc_hint(err, "it must answer the request of 'vmcrypt host identity csr', and come first in the file");
		return VMC_ETRUST;
	}
	if (!cert_for_peer(x)) {
		vmc_fail(err, VMC_EINVAL, "the certificate given is not for both TLS clients and servers (its extended key usage)");
		vmc_hint(err, "have the request signed again with clientAuth and serverAuth: vmcrypt host identity csr");
		return VMC_EINVAL;
	}
	if (cert_days_left(x) < 0)
		return vmc_fail(err, VMC_ETRUST, "the certificate given has expired");
	return 0;
}

int peers_upload(struct peers *p, const char *pem, struct vmc_error *err)
{
	STACK_OF(X509) *chain = NULL;
	char path[PATH_MAX];
	int rc;

	rc = cert_chain_from_pem(pem, N_("the certificate given"), &chain, err);
	if (rc)
		return rc;
	rc = check_upload(p, sk_X509_value(chain, 0), err);
	if (!rc)
		rc = path_of(p, "host.pem", path, err);
	pthread_mutex_lock(&p->lock);
	if (!rc)
		rc = fs_replace(path, pem, strlen(pem), 0600, err);
	if (!rc)
		rc = adopt(p, chain, err);
	else
		cert_chain_free(chain);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void peers_fingerprint(struct peers *p, char out[CERT_FINGERPRINT])
{
	pthread_mutex_lock(&p->lock);
	memcpy(out, p->fingerprint, CERT_FINGERPRINT);
	pthread_mutex_unlock(&p->lock);
}

const char *peers_host(const struct peers *p)
{
	return p->host;
}
