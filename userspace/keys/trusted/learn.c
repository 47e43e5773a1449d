// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the services of an authority are from now on: addresses, and the certificates that they show, or will show. Learned
 * from one that this host trusts, so that certificates can be exchanged without anybody going from host to host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "agent_priv.h"

static int ask(struct walk *w, json_t **info, struct refusal *why)
{
	char who[TRUSTED_NAME_MAX + 32];
	const struct trusted_request r = {
		.who = who, .server = &w->au->attest, .path = "/v1/services", .correlation = w->correlation,
		.timeout_ms = REQUEST_TIMEOUT_MS,
	};

	snprintf(who, sizeof(who), "attestation service of '%s'", w->au->name);
	return w->a->w.ask(w->a->w.data, &r, info, why);
}

static bool is_newer(const struct trusted_conf *old, const struct trusted_conf *new)
{
	return !strcmp(old->cluster, new->cluster) && !strcmp(old->key_provider, new->key_provider) &&
	       new->serial >= old->serial;
}

/* What only the serial tells apart is the same. */
static bool is_same(const struct trusted_conf *a, const struct trusted_conf *b)
{
	return a->n == b->n && !memcmp(a->a, b->a, a->n * sizeof(a->a[0]));
}

static int keep(struct agent *a, const struct trusted_conf *new, struct vmc_error *err)
{
	struct trusted_conf old;
	char *text;
	int rc = trusted_conf_load(&old, a->conf_path, err);

	if (rc)
		return rc;
	if (!is_newer(&old, new))
		return vmc_fail(err, VMC_EREPLAY, "they are of another cluster or key provider, or older than what there is");
	if (is_same(&old, new))
		return 0;
	text = trusted_conf_text(new);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", a->name);
	rc = fs_replace(a->conf_path, text, strlen(text), 0600, err);
	free(text);
	if (!rc)
		log_info("provider %s: learned new certificates or addresses of the services of cluster '%s', serial %lld",
			 a->name, new->cluster, new->serial);
	return rc;
}

void learn(struct walk *w, const char *hash)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct refusal why = { .details = NULL };
	struct agent *a = w->a;
	struct trusted_conf *new;
	json_t *info = NULL;
	char *text = NULL;
	int rc;

	if (!hash || strlen(hash) >= sizeof(a->services) || !strcmp(hash, a->services))
		return;
	new = calloc(1, sizeof(*new));
	rc = new ? ask(w, &info, &why) : VMC_ENOMEM;
	if (rc)
		err = why.err;
	else
		text = json_dumps(info, JSON_COMPACT);
	if (text)
		rc = trusted_conf_from_info(new, a->conf.key_provider, text, strlen(text), &err);
	if (text && !rc)
		rc = keep(a, new, &err);
	if (text && !rc)
		snprintf(a->services, sizeof(a->services), "%s", hash);
	else
		log_warn("provider %s: what the services of '%s' are now is not taken: %s", a->name, w->au->name, err.text);
	refusal_clear(&why);
	json_decref(info);
	free(text);
	free(new);
}
