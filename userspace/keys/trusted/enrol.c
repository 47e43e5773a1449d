// SPDX-License-Identifier: GPL-2.0-or-later
/* Enrolment: the authority gets to know this host's TPM, and gives a receipt for its attestation key. */
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../trust/token/b64url.h"
#include "agent_priv.h"

static bool add(json_t *o, const char *name, const struct trusted_blob *b)
{
	return !json_object_set_new(o, name, b64url_json(b->p, b->n));
}

static json_t *enroll_body(const struct walk *w, const struct trusted_identity *id)
{
	json_t *o = json_pack("{s:s}", "host", w->a->host), *chain = json_array();
	bool ok = o && add(o, "ek_pub", &id->ek_pub) && add(o, "ak_pub", &id->ak_pub);

	if (id->ek_cert.n)
		ok = ok && add(o, "ek_cert", &id->ek_cert);
	for (unsigned int i = 0; i < TRUSTED_CHAIN_MAX && id->ek_chain[i].n; i++)
		ok = ok && !json_array_append_new(chain, b64url_json(id->ek_chain[i].p, id->ek_chain[i].n));
	if (ok && json_array_size(chain))
		ok = !json_object_set(o, "ek_chain", chain);
	json_decref(chain);
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

static int blob_of(const json_t *o, const char *name, size_t max, struct trusted_blob *b)
{
	return b64url_from_json(json_object_get(o, name), max, &b->p, &b->n);
}

/* The answer to the credential: only the TPM that has both keys finds the secret in it. */
static int solve(struct walk *w, const json_t *answer, json_t **body)
{
	const json_t *c = json_object_get(answer, "credential");
	struct trusted_blob id_object = { NULL, 0 }, encrypted = { NULL, 0 };
	uint8_t *secret = secmem_alloc(TRUSTED_SECRET_MAX);
	struct vmc_error err = VMC_ERROR_INIT;
	size_t n = 0;
	int rc = 0;

	*body = NULL;
	if (!secret)
		vmc_fail(&err, VMC_ENOMEM, "the secure heap is full");
	else if (blob_of(c, "id_object", 1024, &id_object) || blob_of(c, "secret", 1024, &encrypted) ||
		 !json_is_string(json_object_get(answer, "context")))
		rc = walk_nonsense(w, N_("no credential"));
	else if (!w->a->w.activate(w->a->w.data, &id_object, &encrypted, secret, &n, &err))
		*body = json_pack("{s:o, s:O}", "secret", b64url_json(secret, n), "context",
				  json_object_get(answer, "context"));
	if (err.code)
		rc = walk_fail(w, &err);
	trusted_blob_free(&id_object);
	trusted_blob_free(&encrypted);
	secmem_free(secret, TRUSTED_SECRET_MAX);
	return rc;
}

static int keep(struct walk *w, const json_t *answer)
{
	const char *receipt = json_string_value(json_object_get(answer, "ak_receipt"));
	struct vmc_error err = VMC_ERROR_INIT;

	if (!receipt || strlen(receipt) > RECEIPT_MAX)
		return walk_nonsense(w, N_("no receipt"));
	if (receipt_keep(w->a, AK_RECEIPT, receipt, &w->a->ak_receipt, &err))
		return walk_fail(w, &err);
	log_info("provider %s: enrolled with authority '%s' (correlation %s)", w->a->name, w->au->name, w->correlation);
	return 0;
}

int enrol(struct walk *w)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct trusted_identity id;
	json_t *answer = NULL, *body = NULL;
	int rc;

	memset(&id, 0, sizeof(id));
	if (w->a->w.identify(w->a->w.data, &id, &err)) {
		trusted_identity_clear(&id);
		return walk_fail(w, &err);
	}
	rc = walk_ask(w, "/v1/enroll", enroll_body(w, &id), &answer);
	trusted_identity_clear(&id);
	if (!rc)
		rc = solve(w, answer, &body);
	json_decref(answer);
	answer = NULL;
	if (!rc)
		rc = walk_ask(w, "/v1/enroll/confirm", body, &answer);
	if (!rc)
		rc = keep(w, answer);
	json_decref(answer);
	return rc;
}
