// SPDX-License-Identifier: GPL-2.0-or-later
/* Attestation: a challenge, the evidence for it, and what follows of it. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "../evidence/image.h"
#include "../evidence/quote.h"
#include "../token/b64url.h"
#include "../token/ear.h"
#include "../token/jwk.h"
#include "../token/jwt.h"
#include "attest_priv.h"

#define BANK		"sha256"
#define SPKI_MAX	256
#define PCR_SECURE_BOOT	7
#define LIFETIME_MIN	300
#define LIFETIME_MAX	600

/* All that is known of one attestation, in the order in which it is found out. */
struct attestation {
	struct attest_service *s;
	const struct attest_call *c;
	struct attest_note *note;
	struct refusal *r;

	struct receipt receipt;
	uint8_t nonce[NONCE_LEN], *spki;
	size_t n_spki;
	EVP_PKEY *ephemeral;
	const char *audience;
	uint32_t mask;
	struct pcrs pcrs;
	struct quote_facts facts;
	struct eventlog *log;
	enum secure_boot secure_boot;
	json_t *image;			/* {id, name} */
};

static const json_t *policy(const struct attest_call *c, const char *name)
{
	return json_object_get(json_object_get(c->state, "policy"), name);
}

static int no_memory(struct refusal *r)
{
	return refuse_as(vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer"), r, REASON_UNAVAILABLE);
}

/* ---- the challenge -------------------------------------------------------- */

int attest_challenge(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		     struct refusal *r)
{
	int64_t expires = c->now + ATTEST_ANSWER_SECONDS;
	uint8_t nonce[NONCE_LEN];
	struct receipt x;
	json_t *state, *pcrs = json_incref((json_t *)policy(c, "pcrs"));
	char audience[128], *context = NULL;
	int rc = receipt_read(s, c, &x, note, r);

	if (!rc && RAND_bytes(nonce, sizeof(nonce)) != 1)
		rc = refuse_as(vmc_fail(&r->err, VMC_EINTERNAL, "no random numbers for a challenge"), r, REASON_UNAVAILABLE);
	if (rc) {
		json_decref(pcrs);
		return rc;
	}
	state = json_pack("{s:o, s:o, s:O}", "nonce", b64url_json(nonce, sizeof(nonce)), "ak",
			  b64url_json(x.ak_digest, sizeof(x.ak_digest)), "pcrs", pcrs);
	rc = state ? refuse_as(context_seal(s->contexts, ATTEST_PURPOSE_ATTEST, state, expires, &context, &r->err), r,
			       REASON_UNAVAILABLE) : no_memory(r);
	json_decref(state);
	receipt_clear(&x);
	if (!rc) {
		audience_of(c->state, audience);
		*result = json_pack("{s:o, s:O, s:s, s:I, s:s, s:s}", "nonce", b64url_json(nonce, sizeof(nonce)), "pcrs",
				    pcrs, "bank", BANK, "expires", (json_int_t)expires, "audience", audience, "context",
				    context);
		rc = *result ? 0 : no_memory(r);
	}
	json_decref(pcrs);
	free(context);
	return rc;
}

/* ---- what was asked -------------------------------------------------------- */

static bool exactly(const json_t *o, const char *name, uint8_t *out, size_t n)
{
	const json_t *v = json_object_get(o, name);
	size_t len;

	return json_is_string(v) && !b64url_decode(json_string_value(v), json_string_length(v), out, n, &len) && len == n;
}

/* Nonce and mask of the challenge, which was given for this key and under the policy as it still is. */
static int open_challenge(struct attestation *a)
{
	uint8_t digest[32];
	const char *text;
	json_t *asked;
	int rc = param_text(a->c->body, "context", &text, a->r);

	if (rc)
		return rc;
	rc = context_open(a->s->contexts, ATTEST_PURPOSE_ATTEST, text, a->c->now, &asked, &a->r->err);
	if (rc)
		return refuse_as(rc, a->r, REASON_NONCE_EXPIRED);
	if (!exactly(asked, "nonce", a->nonce, sizeof(a->nonce)) || !exactly(asked, "ak", digest, sizeof(digest)) ||
	    CRYPTO_memcmp(digest, a->receipt.ak_digest, sizeof(digest)))
		rc = vmc_fail(&a->r->err, VMC_EAUTH, "the challenge was given to another attestation key");
	else if (!json_equal(json_object_get(asked, "pcrs"), policy(a->c, "pcrs")))
		rc = vmc_fail(&a->r->err, VMC_ETIMEDOUT, "the policy was changed since the challenge was given: ask for another");
	else
		rc = pcrs_mask_from_json(json_object_get(asked, "pcrs"), &a->mask, &a->r->err);
	json_decref(asked);
	return refuse_as(rc, a->r, REASON_NONCE_EXPIRED);
}

static int read_binding(struct attestation *a)
{
	char want[128];
	int rc = param_text(a->c->body, "audience", &a->audience, a->r);

	if (rc)
		return rc;
	audience_of(a->c->state, want);
	if (strcmp(a->audience, want)) {
		vmc_fail(&a->r->err, VMC_ETRUST, "the evidence is for '%.100s', this Trust Authority is of '%s'", a->audience,
			 want);
		return refuse(a->r, REASON_EVIDENCE_INVALID);
	}
	rc = param_bytes(a->c->body, "ephemeral", SPKI_MAX, &a->spki, &a->n_spki, a->r);
	if (!rc)
		rc = refuse_as(jwk_key_from_spki(a->spki, a->n_spki, &a->ephemeral, &a->r->err), a->r,
			       REASON_EVIDENCE_INVALID);
	return rc;
}

/* ---- the evidence ----------------------------------------------------------- */

/* SHA-256(nonce || SPKI of the ephemeral key || audience) */
static int extra_data(const struct attestation *a, uint8_t extra[QUOTE_EXTRA])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(ctx, a->nonce, sizeof(a->nonce)) == 1 &&
		  EVP_DigestUpdate(ctx, a->spki, a->n_spki) == 1 &&
		  EVP_DigestUpdate(ctx, a->audience, strlen(a->audience)) == 1 &&
		  EVP_DigestFinal_ex(ctx, extra, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : no_memory(a->r);
}

static int check_quote(struct attestation *a)
{
	uint8_t extra[QUOTE_EXTRA], *quote = NULL, *signature = NULL;
	struct quote_evidence q = { .ak = &a->receipt.ak, .extra = extra, .pcrs = &a->pcrs };
	int rc = param_bytes(a->c->body, "quote", QUOTE_ATTEST_MAX, &quote, &q.n_attest, a->r);

	if (!rc)
		rc = param_bytes(a->c->body, "signature", QUOTE_SIGNATURE_MAX, &signature, &q.n_signature, a->r);
	if (!rc)
		rc = extra_data(a, extra);
	if (!rc)
		rc = refuse_as(pcrs_from_json(json_object_get(a->c->body, "pcrs"), pcrs_bank(BANK), a->mask, &a->pcrs,
					      &a->r->err), a->r, REASON_EVIDENCE_INVALID);
	q.attest = quote;
	q.signature = signature;
	if (!rc)
		rc = refuse_as(quote_check(&q, &a->facts, &a->r->err), a->r, REASON_EVIDENCE_INVALID);
	free(quote);
	free(signature);
	return rc;
}

static int check_log(struct attestation *a)
{
	uint8_t *bytes;
	size_t n;
	int rc = param_bytes(a->c->body, "event_log", EVENTLOG_MAX, &bytes, &n, a->r);

	if (rc)
		return rc;
	rc = eventlog_parse(bytes, n, &a->log, &a->r->err);
	free(bytes);
	if (!rc)
		rc = eventlog_check(a->log, &a->pcrs, &a->r->err);
	return refuse_as(rc, a->r, REASON_EVIDENCE_INVALID);
}

/* ---- the policy -------------------------------------------------------------- */

static int check_secure_boot(struct attestation *a)
{
	if (a->mask & 1u << PCR_SECURE_BOOT)
		a->secure_boot = eventlog_secure_boot(a->log, a->pcrs.bank);
	if (!json_is_true(policy(a->c, "secure_boot")) || a->secure_boot == SECURE_BOOT_YES)
		return 0;
	if (a->secure_boot == SECURE_BOOT_NO)
		vmc_fail(&a->r->err, VMC_ETRUST, "host '%s' was started with Secure Boot turned off", a->receipt.host);
	else
		vmc_fail(&a->r->err, VMC_ETRUST, "host '%s' does not prove that it was started with Secure Boot",
			 a->receipt.host);
	vmc_hint(&a->r->err, "turn Secure Boot on in the firmware of the host and restart it, or do without: vmcrypt trust policy set");
	return refuse(a->r, REASON_SECURE_BOOT_OFF);
}

static int check_image(struct attestation *a)
{
	const json_t *images = json_object_get(a->c->state, "images");
	int rc = image_match(images, a->log, a->pcrs.bank, a->mask, &a->image, &a->r->err);

	if (!rc) {
		snprintf(a->note->image, sizeof(a->note->image), "%s",
			 json_string_value(json_object_get(a->image, "id")));
		snprintf(a->note->image_name, sizeof(a->note->image_name), "%s",
			 json_string_value(json_object_get(a->image, "name")));
		return 0;
	}
	if (rc == VMC_ETPMPOLICY || rc == VMC_ENOENT) {
		vmc_hint(&a->r->err, "when the host was upgraded, export its base image there (vmcrypt trust host-image export), import it (vmcrypt trust base-image import), and when all hosts are upgraded, remove the old one (vmcrypt trust base-image remove); when it was not, find out what changed");
		a->r->details = a->image;
		a->image = NULL;
		rc = a->r->err.code = VMC_ETPMPOLICY;
	}
	return refuse_as(rc, a->r, REASON_POLICY_MISMATCH);
}

static void boot_of(const struct attestation *a, struct boot *b)
{
	*b = (struct boot){
		.quick = a->note->quick_boot, .reset_count = a->facts.reset_count, .ek = a->receipt.ek,
		.image = a->note->image,
	};
}

static int check_boot(struct attestation *a)
{
	const json_t *quick = json_object_get(json_object_get(a->c->body, "boot"), "quick_boot");
	struct boot b;

	if (!json_is_boolean(quick)) {
		vmc_fail(&a->r->err, VMC_EINVAL, "the request does not say whether the host was started by kexec (boot.quick_boot)");
		return refuse(a->r, REASON_BAD_REQUEST);
	}
	a->note->quick_boot = json_is_true(quick);
	boot_of(a, &b);
	return boot_check(a->s, a->c, &b, a->r);
}

/* ---- what it is worth -------------------------------------------------------- */

static unsigned int lifetime_of(const struct attest_call *c)
{
	json_int_t v = json_integer_value(policy(c, "token_lifetime"));

	return v < LIFETIME_MIN ? LIFETIME_MIN : v > LIFETIME_MAX ? LIFETIME_MAX : (unsigned int)v;
}

static int sign_claims(const struct attestation *a, const struct ear_facts *f, const char *typ, char **token)
{
	json_t *claims;
	int rc = ear_claims(f, &claims, &a->r->err);

	if (rc)
		return rc;
	rc = jwt_sign(a->s->token_key, typ, claims, token, &a->r->err);
	json_decref(claims);
	return rc;
}

struct documents {
	char *token, *report, *boot;
	unsigned int lifetime;
};

static int sign_documents(const struct attestation *a, struct documents *d)
{
	uint8_t chance[16];
	char jti[2 * sizeof(chance) + 1];
	struct ear_facts f = {
		.issuer = a->s->authority, .subject = a->receipt.ek, .audience = a->audience, .jti = jti,
		.now = a->c->now, .lifetime = lifetime_of(a->c), .nonce = a->nonce, .nonce_len = sizeof(a->nonce),
		.host = a->receipt.host, .image_id = a->note->image, .image_name = a->note->image_name,
		.quick_boot = a->note->quick_boot, .reset_count = a->facts.reset_count,
		.secure_boot = a->secure_boot == SECURE_BOOT_YES, .ek_by_certificate = a->receipt.by_certificate,
		.lease = (uint32_t)json_integer_value(policy(a->c, "lease")), .confirmation = a->ephemeral,
	};
	struct boot b;
	int rc;

	if (RAND_bytes(chance, sizeof(chance)) != 1)
		return vmc_fail(&a->r->err, VMC_EINTERNAL, "no random numbers for a token");
	vmc_hex_encode(chance, sizeof(chance), jti);
	d->lifetime = f.lifetime;
	rc = sign_claims(a, &f, JWT_TYP_TOKEN, &d->token);
	f.confirmation = NULL;
	if (!rc)
		rc = sign_claims(a, &f, JWT_TYP_REPORT, &d->report);
	boot_of(a, &b);
	if (!rc)
		rc = boot_receipt(a->s, &b, a->c->now, &d->boot, &a->r->err);
	return rc;
}

static int grant(const struct attestation *a, json_t **result)
{
	struct documents d = { .token = NULL };
	struct trustees *t = NULL;
	json_int_t until;
	int rc = refuse_as(sign_documents(a, &d), a->r, REASON_UNAVAILABLE);

	if (!rc)
		rc = refuse_as(trustees_get(&a->s->trustees, a->c->state, a->s->token_key, &t, &a->r->err), a->r,
			       REASON_UNAVAILABLE);

	if (!rc) {
		until = a->c->now + d.lifetime;
		/* twice in the life of a token, so that one authority may be away in between */
		*result = json_pack("{s:s, s:s, s:s, s:I, s:O, s:I, s:s}", "token", d.token, "report", d.report,
				    "boot_receipt", d.boot, "attested_until", until,
				    "image", a->image, "next", (json_int_t)(d.lifetime / 2), "services", t->services);
		rc = *result ? 0 : no_memory(a->r);
		trustees_put(&a->s->trustees, t);
	}
	free(d.token);
	free(d.report);
	free(d.boot);
	return rc;
}

int attest_evidence(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		    struct refusal *r)
{
	static int (*const steps[])(struct attestation *) = {
		open_challenge, read_binding, check_quote, check_log, check_secure_boot, check_image, check_boot,
	};
	struct attestation a = { .s = s, .c = c, .note = note, .r = r, .secure_boot = SECURE_BOOT_UNKNOWN };
	int rc = receipt_read(s, c, &a.receipt, note, r);

	for (size_t i = 0; !rc && i < ARRAY_SIZE(steps); i++)
		rc = steps[i](&a);
	if (!rc)
		rc = grant(&a, result);
	receipt_clear(&a.receipt);
	free(a.spki);
	EVP_PKEY_free(a.ephemeral);
	eventlog_free(a.log);
	json_decref(a.image);
	return rc;
}
