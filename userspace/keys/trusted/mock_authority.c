// SPDX-License-Identifier: GPL-2.0-or-later
/* A Trust Authority and a TPM for tests. See mock_authority.h. */
#include "mock_authority.h"

#include <assert.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../trust/http/message.h"
#include "../../trust/token/b64url.h"
#include "../../trust/token/jwe.h"
#include "../../trust/token/jwk.h"

static struct mock_authority *the;

/* ---- answers -------------------------------------------------------------------- */

static int refused(struct refusal *why, int code, const char *reason, const char *text)
{
	vmc_fail(&why->err, code, "%s", text);
	return refuse(why, reason);
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static bool is_bytes(const json_t *o, const char *name, const void *want, size_t n)
{
	uint8_t *got;
	size_t len;
	bool same;

	if (b64url_from_json(json_object_get(o, name), 4096, &got, &len))
		return false;
	same = len == n && !memcmp(got, want, n);
	free(got);
	return same;
}

static int enroll(const json_t *body, json_t **answer, struct refusal *why)
{
	if (!is_bytes(body, "ek_pub", "ek-pub", 6) || !is_bytes(body, "ak_pub", "ak-pub", 6) ||
	    !is_bytes(body, "ek_cert", "ek-cert", 7))
		return refused(why, VMC_EPROTO, REASON_BAD_REQUEST, "no keys");
	snprintf(the->host, sizeof(the->host), "%s", text_of(body, "host"));
	*answer = json_pack("{s:{s:o, s:o}, s:s}", "credential", "id_object", b64url_json((const uint8_t *)"id", 2),
			    "secret", b64url_json((const uint8_t *)"enc", 3), "context", "c1");
	return 0;
}

static int confirm(const json_t *body, json_t **answer, struct refusal *why)
{
	if (strcmp(text_of(body, "context"), "c1") || !is_bytes(body, "secret", "solved", 6))
		return refused(why, VMC_EREFUSED, REASON_EK_UNTRUSTED, "that is not the secret");
	the->enrolled++;
	the->other_ak = false;
	*answer = json_pack("{s:s}", "ak_receipt", "receipt");
	return 0;
}

static int challenge(const json_t *body, json_t **answer, struct refusal *why)
{
	if (strcmp(text_of(body, "ak_receipt"), "receipt"))
		return refused(why, VMC_EREFUSED, REASON_AK_UNKNOWN, "no such receipt");
	the->challenged++;
	RAND_bytes(the->nonce, sizeof(the->nonce));
	*answer = json_pack("{s:o, s:[i,i], s:s, s:i, s:s}", "nonce", b64url_json(the->nonce, sizeof(the->nonce)), "pcrs", 0, 4,
			    "bank", "sha256", "expires", 60, "context", "c2");
	return 0;
}

/* Is the quote of the challenge, of this key, for this audience? */
static bool is_bound(const json_t *body, const uint8_t *spki, size_t n)
{
	const char *audience = text_of(body, "audience");
	EVP_MD_CTX *h = EVP_MD_CTX_new();
	uint8_t want[32];

	EVP_DigestInit_ex(h, EVP_sha256(), NULL);
	EVP_DigestUpdate(h, the->nonce, sizeof(the->nonce));
	EVP_DigestUpdate(h, spki, n);
	EVP_DigestUpdate(h, audience, strlen(audience));
	EVP_DigestFinal_ex(h, want, NULL);
	EVP_MD_CTX_free(h);
	return !strcmp(audience, "vmcrypt-kmxd:ta") && !memcmp(want, the->extra, sizeof(want));
}

static json_t *token(void)
{
	char jti[16], *claims, *text = NULL;
	int64_t now = vmc_time() - 7000;	/* its clock is wrong */
	json_t *o;

	snprintf(jti, sizeof(jti), "t%u", ++the->jti);
	o = json_pack("{s:I, s:I, s:s, s:{s:o*}}", "iat", the->backwards ? (json_int_t)-1 : (json_int_t)now, "exp",
		      the->backwards ? (json_int_t)INT64_MAX : (json_int_t)now + the->lifetime, "jti", jti, "vmcrypt",
		      "lease", the->no_lease ? NULL : json_integer(the->lease));
	claims = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	text = malloc(b64url_len(strlen(claims)));
	b64url_encode((const uint8_t *)claims, strlen(claims), text);
	o = json_sprintf("h.%s.%s", text, jti);
	free(claims);
	free(text);
	return o;
}

static int attested(const json_t *body, json_t **answer, struct refusal *why)
{
	uint8_t *spki;
	size_t n;

	the->had_boot_receipt = !strcmp(text_of(body, "boot_receipt"), "booted");
	if (the->reason && strcmp(the->reason, REASON_AK_UNKNOWN)) {
		if (!strcmp(the->reason, REASON_POLICY_MISMATCH))
			why->details = json_pack("{s:[i]}", "pcrs", 4);
		refused(why, VMC_EREFUSED, the->reason, "PCR 4 differs: another kernel");
		if (the->reason_times && !--the->reason_times)
			the->reason = NULL;
		return VMC_EREFUSED;
	}
	if (b64url_from_json(json_object_get(body, "ephemeral"), 256, &spki, &n) || !is_bound(body, spki, n) ||
	    strcmp(text_of(body, "context"), "c2") || !is_bytes(body, "event_log", "log", 3) ||
	    json_object_size(json_object_get(body, "pcrs")) != 2)
		return refused(why, VMC_EREFUSED, REASON_EVIDENCE_INVALID, "the quote is not bound to the key");
	EVP_PKEY_free(the->key);
	assert(!jwk_key_from_spki(spki, n, &the->key, NULL));
	free(spki);
	the->attested++;
	the->no_tokens = false;
	*answer = json_pack("{s:o, s:s, s:s, s:i, s:i, s:{s:s, s:s}}", "token", token(), "report", "r", "boot_receipt",
			    "booted", "attested_until", 5, "next", the->next, "image", "id", "i1", "name", "debian 12");
	return 0;
}

/* ---- keys -------------------------------------------------------------------------- */

static json_t *seal(const uint8_t *material)
{
	char jti[16], *jwe = NULL;
	EVP_PKEY *key = the->key, *other = NULL;
	json_t *o;

	snprintf(jti, sizeof(jti), "t%u", the->jti);
	if (the->foreign_key)
		assert(!cert_key_new(&other, NULL));
	assert(!jwe_seal(other ? other : key, jti, material, 32, &jwe, NULL));
	o = json_string(jwe);
	free(jwe);
	EVP_PKEY_free(other);
	return o;
}

static json_t *one_key(const char *id, bool want)
{
	for (unsigned int i = 0; i < the->n; i++) {
		if (strcmp(the->k[i].id, id))
			continue;
		if (the->k[i].code)
			return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "id", id, "state", the->k[i].state, "error",
					 "code", the->k[i].code, "text", "it is not active", "hint", "reactivate it");
		return json_pack("{s:s, s:s, s:o*}", "id", id, "state", the->k[i].state, "key",
				 want ? seal(the->k[i].material) : NULL);
	}
	return json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "state", "Missing", "error", "code", "KeyMissing", "text",
			 "there is no such key");
}

static int create(const json_t *body, json_t **answer)
{
	unsigned int i = the->n++;

	snprintf(the->k[i].id, sizeof(the->k[i].id), "k-%u", i);
	snprintf(the->k[i].label, sizeof(the->k[i].label), "%s", text_of(body, "label"));
	RAND_bytes(the->k[i].material, 32);
	the->k[i].state = "Active";
	*answer = json_pack("{s:s, s:o}", "id", the->k[i].id, "key", seal(the->k[i].material));
	return 0;
}

static int destroy(const json_t *body, json_t **answer, struct refusal *why)
{
	for (unsigned int i = 0; i < the->n; i++) {
		if (strcmp(the->k[i].id, text_of(body, "id")))
			continue;
		the->k[i].state = "Destroyed";
		the->k[i].code = "KeyMissing";
		*answer = json_object();
		return 0;
	}
	return refused(why, VMC_ENOKEY, REASON_NOT_FOUND, "there is no such key");
}

static int keys(const char *what, const json_t *body, json_t **answer, struct refusal *why)
{
	json_t *list = json_array(), *id;
	size_t i;

	if (strcmp(text_of(body, "provider"), "kms"))
		return json_decref(list), refused(why, VMC_ENOENT, REASON_NOT_FOUND, "no such key provider");
	if (!strcmp(what, "create") || !strcmp(what, "destroy")) {
		json_decref(list);
		return *what == 'c' ? create(body, answer) : destroy(body, answer, why);
	}
	if (!strcmp(what, "list")) {
		for (i = 0; i < the->n; i++)
			json_array_append_new(list, json_string(the->k[i].id));
		*answer = json_pack("{s:o}", "ids", list);
		return 0;
	}
	json_array_foreach(json_object_get(body, "ids"), i, id)
		json_array_append_new(list, one_key(json_string_value(id), !strcmp(what, "get")));
	*answer = json_pack("{s:o}", "keys", list);
	return 0;
}

/* ---- the world ----------------------------------------------------------------------- */

static int ask_attestd(const struct trusted_request *r, json_t **answer, struct refusal *why)
{
	if (the->nonsense) {
		*answer = json_pack("{s:i}", "what", 1);
		return 0;
	}
	if (!strcmp(r->path, "/v1/enroll"))
		return enroll(r->body, answer, why);
	if (!strcmp(r->path, "/v1/enroll/confirm"))
		return confirm(r->body, answer, why);
	if (!strcmp(r->path, "/v1/attest/challenge")) {
		if (the->reason && !strcmp(the->reason, REASON_AK_UNKNOWN)) {
			the->reason = NULL;
			return refused(why, VMC_EREFUSED, REASON_AK_UNKNOWN, "signed by nobody here");
		}
		return challenge(r->body, answer, why);
	}
	if (!strcmp(r->path, "/v1/attest"))
		return attested(r->body, answer, why);
	return refused(why, VMC_EPROTO, REASON_NOT_FOUND, r->path);
}

static int mock_ask(void *data, const struct trusted_request *r, json_t **answer, struct refusal *why)
{
	bool kmx = r->server->port == TRUSTED_KMX_PORT, second = !strcmp(r->server->host, "ta2");

	(void)data;
	*answer = NULL;
	snprintf(the->correlation, sizeof(the->correlation), "%s", r->correlation);
	assert(http_correlation_ok(r->correlation));
	if (kmx ? the->kmx_down[second] : the->attest_down[second])
		return refused(why, VMC_EUNREACH, REASON_UNAVAILABLE, "nobody answers");
	(kmx ? the->kmx_asked : the->asked)[second]++;
	if (!r->body) {
		*answer = json_pack("{s:s, s:s}", "status", "ok", "version", "1");
		if (kmx && r->bearer)
			json_object_set_new(*answer, "providers", json_pack("[{s:s, s:b, s:s*}]", "name", "kms", "reachable", !the->kms_code, "error",
									    the->kms_code ? "the key server is away" : NULL));
		return 0;
	}
	if (!kmx)
		return ask_attestd(r, answer, why);
	snprintf(the->bearer, sizeof(the->bearer), "%s", r->bearer ? r->bearer : "");
	if (the->no_tokens || the->no_token_ever || !the->bearer[0])
		return refused(why, VMC_EREFUSED, REASON_NOT_AUTHORIZED, "the token is not good");
	if (the->kms_code && (!the->kms_of_first || !second))
		return refused(why, the->kms_code, REASON_KEY_PROVIDER, "the key server says no");
	return keys(r->path + strlen("/v1/keys/"), r->body, answer, why);
}

static struct trusted_blob blob(const char *s)
{
	return (struct trusted_blob){ (uint8_t *)strdup(s), strlen(s) };
}

static int tpm_fails(struct vmc_error *err)
{
	return the->tpm ? vmc_fail(err, the->tpm, "the TPM is not there") : 0;
}

static int mock_identify(void *data, struct trusted_identity *id, struct vmc_error *err)
{
	(void)data;
	id->ek_cert = blob("ek-cert");
	id->ek_pub = blob("ek-pub");
	id->ak_pub = blob("ak-pub");
	return tpm_fails(err);
}

static int mock_activate(void *data, const struct trusted_blob *id_object, const struct trusted_blob *encrypted,
			 uint8_t secret[TRUSTED_SECRET_MAX], size_t *n, struct vmc_error *err)
{
	(void)data;
	if (id_object->n != 2 || encrypted->n != 3 || !secmem_is_secure(secret))
		return vmc_fail(err, VMC_EAUTH, "that is no credential");
	*n = (size_t)snprintf((char *)secret, TRUSTED_SECRET_MAX, "solved");
	return 0;
}

static int mock_quote(void *data, uint32_t pcrs, const uint8_t extra[32], struct trusted_quote *q, struct vmc_error *err)
{
	(void)data;
	if (the->other_ak)
		return vmc_fail(err, VMC_ESTATE, "another AK");
	memcpy(the->extra, extra, sizeof(the->extra));
	q->quote = blob("quote");
	q->signature = blob("signature");
	q->pcrs = pcrs;
	return tpm_fails(err);
}

static int mock_log(void *data, struct trusted_blob *log, struct vmc_error *err)
{
	(void)data, (void)err;
	*log = blob("log");
	return 0;
}

static int mock_boot(void *data, struct trusted_boot *b, struct vmc_error *err)
{
	(void)data, (void)err;
	b->quick = the->quick;
	snprintf(b->kernel, sizeof(b->kernel), "6.12");
	snprintf(b->id, sizeof(b->id), "b1");
	return 0;
}

static int mock_world(struct trusted_world *w, const struct vmc_config *cfg, struct vmc_error *err)
{
	(void)cfg, (void)err;
	*w = (struct trusted_world){
		.ask = mock_ask, .identify = mock_identify, .activate = mock_activate, .quote = mock_quote,
		.event_log = mock_log, .boot = mock_boot,
	};
	return 0;
}

void mock_authority_start(struct mock_authority *m)
{
	memset(m, 0, sizeof(*m));
	m->lifetime = 300;
	m->next = 200;
	the = m;
	trusted_set_world(mock_world);
}

void mock_authority_stop(struct mock_authority *m)
{
	trusted_set_world(NULL);
	EVP_PKEY_free(m->key);
	the = NULL;
}

char *mock_services_info(const char *cluster, int serial, const char *address)
{
	EVP_PKEY *key;
	char *pem, *text;
	json_t *o;

	assert(!cert_key_new(&key, NULL));
	assert(!cert_self_signed(key, "ta", CERT_PEER, 10, &pem, NULL));
	o = json_pack("{s:i, s:s, s:i, s:[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s, s:s}], s:[{s:s, s:b}, {s:s, s:b}]}",
		      "v", 1, "cluster", cluster, "serial", serial, "authorities",
		      "name", "ta1", "attest", "ta1:5700", "attest_cert", pem, "kmx", address, "kmx_cert", pem,
		      "name", "ta2", "attest", "ta2", "attest_cert", pem, "kmx", "ta2", "kmx_cert", pem,
		      "key_providers", "name", "other", "default", 0, "name", "kms", "default", 1);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	free(pem);
	EVP_PKEY_free(key);
	return text;
}
