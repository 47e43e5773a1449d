// SPDX-License-Identifier: GPL-2.0-or-later
/* This host's side of all links: identity and trust store, opened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer_priv.h"

int peers_open(struct peers **out, const struct vmc_config *cfg, struct vmc_error *err)
{
	struct peers *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return vmc_fail(err, VMC_ENOMEM, "no memory for what is known of other hosts");
	pthread_mutex_init(&p->lock, NULL);
	snprintf(p->state, sizeof(p->state), "%s/peer", cfg->state_dir);
	snprintf(p->store, sizeof(p->store), "%s/peers", cfg->config_dir);
	if (gethostname(p->host, sizeof(p->host) - 1) || !p->host[0])
		strcpy(p->host, "localhost");
	rc = identity_open(p, err);
	if (rc)
		peers_close(p);
	else
		*out = p;
	return rc;
}

void peers_close(struct peers *p)
{
	if (!p)
		return;
	EVP_PKEY_free(p->key);
	cert_chain_free(p->chain);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
