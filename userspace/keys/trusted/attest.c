// SPDX-License-Identifier: GPL-2.0-or-later
/* One attestation: what was booted, quoted by the TPM together with the key that the token is for. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "../../trust/token/b64url.h"
#include "../../trust/token/jwk.h"
#include "agent_priv.h"

#define NONCE_LEN	32
#define MARGIN_MS	10000u	/* a token that ends sooner is not used any more */
#define LIFETIME_MAX	3600u	/* seconds; who says more is not believed */

struct challenge {
	struct trusted_blob nonce;
	uint32_t pcrs;
	json_t *context;	/* borrowed from the answer */
};

/* What the token is for, and the proof of it. */
struct evidence {
	EVP_PKEY *key;
	struct trusted_blob spki, log;
	struct trusted_quote quote;
	struct trusted_boot boot;
	char audience[sizeof(TRUSTED_AUDIENCE) + TRUSTED_NAME_MAX];
};

static void evidence_clear(struct evidence *e)
{
	EVP_PKEY_free(e->key);
	trusted_blob_free(&e->spki);
	trusted_blob_free(&e->log);
	trusted_quote_clear(&e->quote);
}

static int read_challenge(struct walk *w, const json_t *answer, struct challenge *c)
{
	const json_t *list = json_object_get(answer, "pcrs"), *o;
	const char *bank = json_string_value(json_object_get(answer, "bank"));
	size_t i;

	c->context = json_object_get(answer, "context");
	if (!bank || strcmp(bank, "sha256"))
		return walk_nonsense(w, N_("a bank of PCRs other than SHA-256"));
	if (b64url_from_json(json_object_get(answer, "nonce"), 64, &c->nonce.p, &c->nonce.n) || c->nonce.n != NONCE_LEN)
		return walk_nonsense(w, N_("no nonce of 32 bytes"));
	json_array_foreach(list, i, o) {
		if (!json_is_integer(o) || json_integer_value(o) < 0 || json_integer_value(o) > 23)
			return walk_nonsense(w, N_("a PCR that there is not"));
		c->pcrs |= 1u << json_integer_value(o);
	}
	return c->pcrs && json_is_string(c->context) ? 0 : walk_nonsense(w, N_("no PCRs, or no context"));
}

/* SHA-256(nonce || SPKI || audience). */
static int bind(const struct challenge *c, const struct evidence *e, uint8_t extra[32])
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();
	bool ok = h && EVP_DigestInit_ex(h, EVP_sha256(), NULL) && EVP_DigestUpdate(h, c->nonce.p, c->nonce.n) &&
		  EVP_DigestUpdate(h, e->spki.p, e->spki.n) &&
		  EVP_DigestUpdate(h, e->audience, strlen(e->audience)) && EVP_DigestFinal_ex(h, extra, NULL);

	EVP_MD_CTX_free(h);
	return ok ? 0 : VMC_EINTERNAL;
}

static int gather(struct walk *w, const struct challenge *c, struct evidence *e)
{
	const struct trusted_world *world = &w->a->w;
	struct vmc_error err = VMC_ERROR_INIT;
	uint8_t extra[32];
	int rc;

	snprintf(e->audience, sizeof(e->audience), TRUSTED_AUDIENCE "%s", w->a->conf.cluster);
	rc = cert_key_new(&e->key, &err);
	if (!rc)
		rc = jwk_key_to_spki(e->key, &e->spki.p, &e->spki.n, &err);
	if (!rc && bind(c, e, extra))
		rc = vmc_fail(&err, VMC_EINTERNAL, "the evidence cannot be hashed");
	if (!rc)
		rc = world->quote(world->data, c->pcrs, extra, &e->quote, &err);
	if (!rc)
		rc = world->event_log(world->data, &e->log, &err);
	if (!rc)
		rc = world->boot(world->data, &e->boot, &err);
	return rc ? walk_fail(w, &err) : 0;
}

static json_t *pcrs_json(const struct trusted_quote *q)
{
	json_t *o = json_object();
	char name[4], hex[65];

	for (unsigned int i = 0; i < 24; i++) {
		if (!(q->pcrs & 1u << i))
			continue;
		snprintf(name, sizeof(name), "%u", i);
		vmc_hex_encode(q->pcr[i], 32, hex);
		json_object_set_new(o, name, json_string(hex));
	}
	return o;
}

static json_t *blob_json(const struct trusted_blob *b)
{
	return b64url_json(b->p, b->n);
}

static json_t *attest_body(const struct walk *w, const struct challenge *c, const struct evidence *e)
{
	return json_pack("{s:O, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:{s:b, s:s, s:s}, s:s*}",
			 "context", c->context, "ak_receipt", w->a->ak_receipt,
			 "quote", blob_json(&e->quote.quote), "signature", blob_json(&e->quote.signature),
			 "pcrs", pcrs_json(&e->quote), "event_log", blob_json(&e->log),
			 "ephemeral", blob_json(&e->spki), "audience", e->audience,
			 "boot", "quick_boot", e->boot.quick, "kernel", e->boot.kernel, "boot_id", e->boot.id,
			 "boot_receipt", w->a->boot_receipt);
}

/* Seconds that the token is good for; 0: its times make no sense. */
static json_int_t lifetime_of(const json_t *claims)
{
	json_int_t from = json_integer_value(json_object_get(claims, "iat"));
	json_int_t to = json_integer_value(json_object_get(claims, "exp"));

	return from >= 0 && to > from && to - from <= LIFETIME_MAX ? to - from : 0;
}

/*
 * Times by this host's clock, whatever the authority's says. The claims are for others to verify: the token came from
 * the service itself. The lease is among them; without one that is there keys would stay for good.
 */
static int fill_token(struct agent_token *t, const json_t *answer, const json_t *claims, uint64_t start)
{
	const json_t *allowed = json_object_get(json_object_get(claims, "vmcrypt"), "lease");
	json_int_t next = json_integer_value(json_object_get(answer, "next")), lifetime = lifetime_of(claims);
	json_int_t lease = json_integer_value(allowed);
	const char *jti = json_string_value(json_object_get(claims, "jti"));

	if (!jti || strlen(jti) >= sizeof(t->id) || lifetime <= MARGIN_MS / 1000 || !json_is_integer(allowed) ||
	    lease < 0 || lease > UINT32_MAX)
		return VMC_EPROTO;
	snprintf(t->id, sizeof(t->id), "%s", jti);
	t->lease = (uint32_t)lease;
	t->end_ms = start + (uint64_t)lifetime * 1000 - MARGIN_MS;
	if (next <= 0 || next >= lifetime)
		next = lifetime * 2 / 3;
	/* a lease is to be renewed before it ends, with time for another try */
	if (lease && next > lease / 2)
		next = lease / 2;
	t->renew_ms = start + (uint64_t)next * 1000;
	if (t->renew_ms > t->end_ms)
		t->renew_ms = t->end_ms;
	return 0;
}

static json_t *words(const struct walk *w, const json_t *answer, const struct evidence *e, const struct agent_token *t,
		     uint64_t start)
{
	json_int_t now = vmc_time();

	return json_pack("{s:I, s:I, s:s, s:O?, s:b, s:I}", "attested_at", now, "attested_until",
			 now + (json_int_t)(t->end_ms - start) / 1000, "authority", w->au->name, "image",
			 json_object_get(answer, "image"), "quick_boot", e->boot.quick, "lease", (json_int_t)t->lease);
}

static int take_answer(struct walk *w, const json_t *answer, struct evidence *e, uint64_t start, struct agent_token **out,
		       json_t **said)
{
	const char *jwt = json_string_value(json_object_get(answer, "token"));
	const char *boot = json_string_value(json_object_get(answer, "boot_receipt"));
	struct vmc_error err = VMC_ERROR_INIT;
	struct agent_token *t;
	json_t *claims = NULL;

	if (!jwt || strlen(jwt) > JWT_MAX || !boot || strlen(boot) > RECEIPT_MAX)
		return walk_nonsense(w, N_("no token, or no receipt"));
	t = calloc(1, sizeof(*t));
	if (!t || jwt_peek(jwt, &claims, &err) || fill_token(t, answer, claims, start)) {
		json_decref(claims);
		free(t);
		return walk_nonsense(w, N_("a token that makes no sense"));
	}
	json_decref(claims);
	t->jwt = strdup(jwt);
	t->key = e->key;
	e->key = NULL;
	*said = words(w, answer, e, t, start);
	if (!t->jwt || !*said)
		vmc_fail(&err, VMC_ENOMEM, "no memory for a token");
	else
		receipt_keep(w->a, BOOT_RECEIPT, boot, &w->a->boot_receipt, &err);
	if (!err.code) {
		*out = t;
		return 0;
	}
	token_free(t);
	json_decref(*said);
	*said = NULL;
	return walk_fail(w, &err);
}

int attest(struct walk *w, struct agent_token **t, json_t **said)
{
	struct challenge c = { .pcrs = 0 };
	json_t *answer = NULL, *result = NULL;
	uint64_t start = vmc_now_ms();
	struct evidence e;
	int rc;

	memset(&e, 0, sizeof(e));
	rc = walk_ask(w, "/v1/attest/challenge", json_pack("{s:s}", "ak_receipt", w->a->ak_receipt), &answer);
	if (!rc)
		rc = read_challenge(w, answer, &c);
	if (!rc)
		rc = gather(w, &c, &e);
	if (!rc)
		rc = walk_ask(w, "/v1/attest", attest_body(w, &c, &e), &result);
	if (!rc)
		rc = take_answer(w, result, &e, start, t, said);
	if (!rc)
		learn(w, json_string_value(json_object_get(result, "services")));
	evidence_clear(&e);
	trusted_blob_free(&c.nonce);
	json_decref(answer);
	json_decref(result);
	return rc;
}
