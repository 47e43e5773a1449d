// SPDX-License-Identifier: GPL-2.0-or-later
/* Enrolment: the attestation key is in the TPM of an endorsement key that is trusted. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../evidence/makecred.h"
#include "../token/b64url.h"
#include "../token/jwt.h"
#include "attest_priv.h"

#define PUBLIC_MAX	1024	/* bytes of TPM2B_PUBLIC */

/* ---- is the endorsement key one to trust? -------------------------------- */

/* The CA that vouches for a TPM; no name: an operator does. */
struct ca {
	char name[EK_CA_NAME_MAX], sha256[EK_CA_ID_LEN];
};

struct certificates {
	struct ek_der leaf, chain[EK_CHAIN_MAX];
	size_t n_chain;
};

static void certificates_free(struct certificates *x)
{
	free((void *)x->leaf.der);
	for (size_t i = 0; i < x->n_chain; i++)
		free((void *)x->chain[i].der);
}

static int one_certificate(const json_t *v, struct ek_der *out, struct refusal *r)
{
	uint8_t *der;

	if (b64url_from_json(v, EK_DER_MAX, &der, &out->len)) {
		vmc_fail(&r->err, VMC_EINVAL, "a certificate that is not base64url of 1 to %u bytes", EK_DER_MAX);
		return refuse(r, REASON_BAD_REQUEST);
	}
	out->der = der;
	return 0;
}

static int read_certificates(const json_t *body, struct certificates *x, struct refusal *r)
{
	const json_t *one, *chain = json_object_get(body, "ek_chain");
	int rc = one_certificate(json_object_get(body, "ek_cert"), &x->leaf, r);
	size_t i;

	if (!rc && json_array_size(chain) > EK_CHAIN_MAX) {
		vmc_fail(&r->err, VMC_EINVAL, "more than %u certificates in a chain", EK_CHAIN_MAX);
		rc = refuse(r, REASON_BAD_REQUEST);
	}
	json_array_foreach(chain, i, one) {
		if (rc)
			break;
		rc = one_certificate(one, &x->chain[i], r);
		if (!rc)
			x->n_chain++;
	}
	return rc;
}

static int check_certificate(struct attest_service *s, const struct attest_call *c, const struct ek *ek, struct ca *ca,
			     struct refusal *r)
{
	struct certificates x = { .n_chain = 0 };
	struct trustees *t;
	int rc = read_certificates(c->body, &x, r);

	if (!rc) {
		rc = refuse_as(trustees_get(&s->trustees, c->state, s->token_key, &t, &r->err), r, REASON_UNAVAILABLE);
		if (!rc) {
			rc = ek_check_certificate(ek, &x.leaf, x.chain, x.n_chain, t->cas, c->now, ca->name, &r->err);
			refuse_as(rc, r, REASON_EK_UNTRUSTED);
			if (!rc)
				snprintf(ca->sha256, sizeof(ca->sha256), "%s", ek_cas_fingerprint(t->cas, ca->name));
			trustees_put(&s->trustees, t);
		}
	}
	certificates_free(&x);
	return rc;
}

static const json_t *tpm2(const json_t *state, const char *name)
{
	return json_object_get(json_object_get(state, "tpm2"), name);
}

static bool listed(const json_t *list, const char *member, const char *value)
{
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		const char *v = json_string_value(json_object_get(o, member));

		if (v && !strcmp(v, value))
			return true;
	}
	return false;
}

static bool public_is_good(const json_t *state, const char *ek)
{
	return !json_is_true(tpm2(state, "require_ek_certificate")) && listed(tpm2(state, "eks"), "ek", ek);
}

static int not_listed(const json_t *state, const struct ek *ek, struct refusal *r)
{
	vmc_fail(&r->err, VMC_ETRUST, "the endorsement key %s (%s) is not one that this Trust Authority trusts", ek->id,
		 ek->kind);
	if (json_is_true(tpm2(state, "require_ek_certificate")))
		vmc_hint(&r->err, "its TPM has to show a certificate of a CA that is imported: vmcrypt trust ca add");
	else
		vmc_hint(&r->err, "import the key or the CA of its maker: 'vmcrypt trust ek add' or 'vmcrypt trust ca add'");
	return refuse(r, REASON_EK_UNTRUSTED);
}

/* By its certificate, or else because it is listed; @ca: empty in the second case. */
static int check_ek(struct attest_service *s, const struct attest_call *c, const struct ek *ek, struct ca *ca,
		    struct refusal *r)
{
	int rc;

	ca->name[0] = ca->sha256[0] = '\0';
	if (json_object_get(c->body, "ek_cert")) {
		rc = check_certificate(s, c, ek, ca, r);
		if (!rc || !public_is_good(c->state, ek->id))
			return rc;
		ca->name[0] = ca->sha256[0] = '\0';
		refusal_clear(r);
	}
	return public_is_good(c->state, ek->id) ? 0 : not_listed(c->state, ek, r);
}

/* ---- the first message --------------------------------------------------- */

static int take_host(const json_t *body, struct attest_note *note, struct refusal *r)
{
	const char *host;
	int rc = param_text(body, "host", &host, r);

	if (rc)
		return rc;
	if (!vmc_name_ok(host, ATTEST_HOST_MAX - 1)) {
		vmc_fail(&r->err, VMC_EINVAL, "the request has no name of a host: 1 to %d of A-Z a-z 0-9 . _ -",
			 ATTEST_HOST_MAX - 1);
		return refuse(r, REASON_BAD_REQUEST);
	}
	snprintf(note->host, sizeof(note->host), "%s", host);
	return 0;
}

/* What the host brings; the AK's bytes are to be freed. */
static int read_keys(const json_t *body, struct ek *ek, struct ak *ak, struct refusal *r)
{
	uint8_t *b;
	size_t n;
	int rc = param_bytes(body, "ek_pub", PUBLIC_MAX, &b, &n, r);

	if (rc)
		return rc;
	rc = refuse_as(ek_parse(b, n, ek, &r->err), r, REASON_EK_UNTRUSTED);
	free(b);
	if (!rc)
		rc = param_bytes(body, "ak_pub", AK_PUBLIC_MAX, &b, &n, r);
	if (rc)
		return rc;
	rc = refuse_as(ak_parse(b, n, ak, &r->err), r, REASON_EVIDENCE_INVALID);
	free(b);
	return rc;
}

/* Credential and context for the secret, whose digest alone is remembered. */
static int credential_of(struct attest_service *s, const struct attest_call *c, const struct ek *ek,
			 const struct ak *ak, const struct ca *ca, const uint8_t *secret, json_t **result,
			 const struct attest_note *note, struct refusal *r)
{
	struct credential made;
	uint8_t digest[32];
	char *context = NULL;
	json_t *state;
	int rc = make_credential(ek, &ak->name, secret, &made, &r->err);

	if (rc)
		return refuse_as(rc, r, REASON_EK_UNTRUSTED);
	if (EVP_Digest(secret, MAKECRED_SECRET, digest, NULL, EVP_sha256(), NULL) != 1)
		return refuse_as(vmc_fail(&r->err, VMC_ENOMEM, "no memory for a digest"), r, REASON_UNAVAILABLE);
	state = json_pack("{s:s, s:s, s:O, s:s, s:s, s:o}", "ek", ek->id, "host", note->host, "ak",
			  json_object_get(c->body, "ak_pub"), "ca", ca->name, "ca_sha256", ca->sha256, "digest",
			  b64url_json(digest, sizeof(digest)));
	rc = state ? context_seal(s->contexts, ATTEST_PURPOSE_ENROLL, state, c->now + ATTEST_ANSWER_SECONDS, &context,
				  &r->err) : vmc_fail(&r->err, VMC_ENOMEM, "no memory for a context");
	json_decref(state);
	if (rc)
		return refuse_as(rc, r, REASON_UNAVAILABLE);
	*result = json_pack("{s:{s:o, s:o}, s:s}", "credential", "id_object", b64url_json(made.id_object, made.n_id_object),
			    "secret", b64url_json(made.secret, made.n_secret), "context", context);
	free(context);
	return *result ? 0 : refuse_as(vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer"), r, REASON_UNAVAILABLE);
}

int attest_enroll(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		  struct refusal *r)
{
	uint8_t *secret = secmem_alloc(MAKECRED_SECRET);
	struct ca ca;
	struct ek ek;
	struct ak ak;
	int rc;

	if (!secret || RAND_priv_bytes(secret, MAKECRED_SECRET) != 1) {
		secmem_free(secret, MAKECRED_SECRET);
		return refuse_as(vmc_fail(&r->err, VMC_ENOMEM, "no locked memory for a secret"), r, REASON_UNAVAILABLE);
	}
	rc = take_host(c->body, note, r);
	if (!rc)
		rc = read_keys(c->body, &ek, &ak, r);
	if (!rc) {
		snprintf(note->ek, sizeof(note->ek), "%s", ek.id);
		rc = check_ek(s, c, &ek, &ca, r);
	}
	if (!rc)
		rc = credential_of(s, c, &ek, &ak, &ca, secret, result, note, r);
	secmem_free(secret, MAKECRED_SECRET);
	return rc;
}

/* ---- the second message --------------------------------------------------- */

static bool secret_fits(const json_t *enrolled, const uint8_t *secret, size_t n)
{
	uint8_t digest[32], want[32];
	const json_t *v = json_object_get(enrolled, "digest");
	size_t len;

	return n == MAKECRED_SECRET && EVP_Digest(secret, n, digest, NULL, EVP_sha256(), NULL) == 1 &&
	       !b64url_decode(json_string_value(v), json_string_length(v), want, sizeof(want), &len) &&
	       len == sizeof(want) && !CRYPTO_memcmp(digest, want, sizeof(want));
}

int attest_confirm(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
		   struct refusal *r)
{
	const char *context;
	uint8_t *secret = NULL;
	json_t *enrolled = NULL;
	char *token = NULL;
	size_t n = 0;
	int rc = param_text(c->body, "context", &context, r);

	if (!rc)
		rc = param_bytes(c->body, "secret", MAKECRED_SECRET, &secret, &n, r);
	if (!rc)
		rc = refuse_as(context_open(s->contexts, ATTEST_PURPOSE_ENROLL, context, c->now, &enrolled, &r->err), r,
			       REASON_NONCE_EXPIRED);
	if (!rc) {
		snprintf(note->host, sizeof(note->host), "%s", json_string_value(json_object_get(enrolled, "host")));
		snprintf(note->ek, sizeof(note->ek), "%s", json_string_value(json_object_get(enrolled, "ek")));
		if (!secret_fits(enrolled, secret, n))
			rc = refuse_as(vmc_fail(&r->err, VMC_EAUTH, "the secret is not the one of the credential: the attestation key is not in the TPM of that endorsement key"),
				       r, REASON_EVIDENCE_INVALID);
	}
	if (!rc)
		rc = refuse_as(receipt_make(s, enrolled, c->now, &token, &r->err), r, REASON_UNAVAILABLE);
	if (!rc) {
		*result = json_pack("{s:s}", "ak_receipt", token);
		if (!*result)
			rc = refuse_as(vmc_fail(&r->err, VMC_ENOMEM, "no memory for the answer"), r, REASON_UNAVAILABLE);
	}
	free(token);
	if (secret)
		OPENSSL_cleanse(secret, n);
	free(secret);
	json_decref(enrolled);
	return rc;
}

/* ---- receipts -------------------------------------------------------------- */

int receipt_make(struct attest_service *s, const json_t *enrolled, int64_t now, char **token, struct vmc_error *err)
{
	const char *ca = json_string_value(json_object_get(enrolled, "ca"));
	json_t *claims = json_pack("{s:s, s:I, s:O, s:O, s:O, s:s, s:s*, s:O*}", "iss", s->authority, "iat",
				   (json_int_t)now, "sub", json_object_get(enrolled, "ek"), "host",
				   json_object_get(enrolled, "host"), "ak", json_object_get(enrolled, "ak"), "ek_by",
				   *ca ? "certificate" : "public", "ca", *ca ? ca : NULL, "ca_sha256",
				   *ca ? json_object_get(enrolled, "ca_sha256") : NULL);
	int rc = claims ? jwt_sign(s->token_key, JWT_TYP_AK, claims, token, err) :
		 vmc_fail(err, VMC_ENOMEM, "no memory for a receipt");

	json_decref(claims);
	return rc;
}

void receipt_clear(struct receipt *x)
{
	json_decref(x->claims);
	x->claims = NULL;
}

static int enroll_anew(struct refusal *r)
{
	vmc_hint(&r->err, "enrol the host anew: vmcrypt trust host enroll");
	return refuse(r, REASON_AK_UNKNOWN);
}

/* What was trusted when it was made may have been removed since; its name may be that of another CA by now. */
static int still_trusted(const struct attest_call *c, const struct receipt *x, const struct ek_cas *cas,
			 struct refusal *r)
{
	const char *ca = json_string_value(json_object_get(x->claims, "ca"));
	const char *sha256 = json_string_value(json_object_get(x->claims, "ca_sha256"));

	if (x->by_certificate ? sha256 && ek_cas_has(cas, sha256) : public_is_good(c->state, x->ek))
		return 0;
	if (x->by_certificate)
		vmc_fail(&r->err, VMC_ETRUST, "the CA '%s' of the TPM of host '%s' was removed from this Trust Authority",
			 ca ? ca : "", x->host);
	else
		vmc_fail(&r->err, VMC_ETRUST, "the endorsement key %s of host '%s' was removed from this Trust Authority",
			 x->ek, x->host);
	vmc_hint(&r->err, "import it again, then enrol the host: vmcrypt trust host enroll");
	return refuse(r, REASON_EK_UNTRUSTED);
}

static int read_claims(struct receipt *x, struct refusal *r)
{
	const char *by = json_string_value(json_object_get(x->claims, "ek_by"));
	uint8_t *b = NULL;
	size_t n;
	int rc;

	x->ek = json_string_value(json_object_get(x->claims, "sub"));
	x->host = json_string_value(json_object_get(x->claims, "host"));
	if (!by || !x->ek || strlen(x->ek) != EK_ID_LEN - 1 || !x->host || strlen(x->host) >= ATTEST_HOST_MAX ||
	    b64url_from_json(json_object_get(x->claims, "ak"), AK_PUBLIC_MAX, &b, &n)) {
		vmc_fail(&r->err, VMC_EPROTO, "the receipt of the attestation key makes no sense");
		return enroll_anew(r);
	}
	x->by_certificate = !strcmp(by, "certificate");
	rc = ak_parse(b, n, &x->ak, &r->err);
	if (!rc && EVP_Digest(b, n, x->ak_digest, NULL, EVP_sha256(), NULL) != 1)
		rc = vmc_fail(&r->err, VMC_ENOMEM, "no memory for a digest");
	free(b);
	return rc ? enroll_anew(r) : 0;
}

int receipt_read(struct attest_service *s, const struct attest_call *c, struct receipt *x, struct attest_note *note,
		 struct refusal *r)
{
	const struct jwt_expect want = { .typ = JWT_TYP_AK, .now = c->now };
	struct trustees *t;
	const char *token;
	int rc = param_text(c->body, "ak_receipt", &token, r);

	memset(x, 0, sizeof(*x));
	if (rc)
		return rc;
	rc = refuse_as(trustees_get(&s->trustees, c->state, s->token_key, &t, &r->err), r, REASON_UNAVAILABLE);
	if (rc)
		return rc;
	rc = jwt_verify(token, t->keys, t->n_keys, &want, &x->claims, &r->err);
	if (rc) {
		vmc_prefix(&r->err, "the receipt of the attestation key: ");
		enroll_anew(r);
	} else {
		rc = read_claims(x, r);
	}
	if (!rc) {
		snprintf(note->host, sizeof(note->host), "%s", x->host);
		snprintf(note->ek, sizeof(note->ek), "%s", x->ek);
		rc = still_trusted(c, x, t->cas, r);
	}
	trustees_put(&s->trustees, t);
	if (rc)
		receipt_clear(x);
	return rc;
}
