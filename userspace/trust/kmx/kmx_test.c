// SPDX-License-Identifier: GPL-2.0-or-later
/* The Key Provider Service without HTTP, before key servers that can do wrong. */
#include <openssl/ec.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/kmip/mock_fixture.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "../state/sign.h"
#include "../token/ear.h"
#include "../token/jwe.h"
#include "../token/jwt.h"
#include "service.h"

#define NOW 1800000000

struct world {
	struct fixture f;
	struct kmx_service *s;
	EVP_PKEY *signer, *host;
	json_t *state;
	char *token;
	struct kmx_note note;
	struct refusal r;
};

static struct ear_facts facts(struct world *w)
{
	static const uint8_t nonce[32];

	return (struct ear_facts){
		.issuer = "ta1", .subject = "00", .audience = "vmcrypt-kmxd:lab", .jti = "token-1", .now = NOW,
		.lifetime = 300, .nonce = nonce, .nonce_len = 32, .host = "host1", .image_id = "i", .image_name = "n",
		.secure_boot = true, .confirmation = w->host };
}

static char *token_of(EVP_PKEY *key, const char *typ, const struct ear_facts *f)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *claims;
	char *token;

	assert_ok(ear_claims(f, &claims, &e), &e);
	assert_ok(jwt_sign(key, typ, claims, &token, &e), &e);
	json_decref(claims);
	return token;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct vmc_error e = VMC_ERROR_INIT;
	struct ear_facts f;
	char *pem;

	fixture_start(&w->f, 1);
	fixture_provider(&w->f, NULL);
	w->signer = EVP_EC_gen("P-256");
	w->host = EVP_EC_gen("P-256");
	assert_ok(sign_public_pem(w->signer, &pem, &e), &e);
	w->state = json_pack("{s:s, s:[{s:s, s:s}], s:{s:[]}, s:[{s:s, s:b}, {s:s, s:b}]}", "cluster", "lab", "authorities",
			     "name", "ta1", "token_key", pem, "tpm2", "ca_certificates", "key_providers", "name", "kms",
			     "default", 1, "name", "away", "default", 0);
	free(pem);
	assert_ok(kmx_open(&w->s, &w->f.cfg, &e), &e);
	f = facts(w);
	w->token = token_of(w->signer, JWT_TYP_TOKEN, &f);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	refusal_clear(&w->r);
	kmx_close(w->s);
	fixture_stop(&w->f);
	EVP_PKEY_free(w->signer);
	EVP_PKEY_free(w->host);
	json_decref(w->state);
	free(w->token);
	free(w);
	return 0;
}

/* @body is consumed. */
static int ask_at(struct world *w, const char *verb, const char *token, int64_t now, json_t *body, json_t **answer)
{
	const struct kmx_call c = { .state = w->state, .body = body, .token = token, .now = now };
	int rc;

	refusal_clear(&w->r);
	memset(&w->note, 0, sizeof(w->note));
	*answer = NULL;
	rc = kmx_keys(w->s, verb, &c, answer, &w->note, &w->r);
	json_decref(body);
	assert_int_equal(!rc, !!*answer);
	if (rc)
		assert_true(w->r.reason[0] && w->r.err.text[0]);
	return rc;
}

static int ask(struct world *w, const char *verb, json_t *body, json_t **answer)
{
	return ask_at(w, verb, w->token, NOW, body, answer);
}

static const char *text(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void check_key(struct world *w, const char *id, const char *jwe)
{
	uint8_t *out = secmem_alloc(PROVIDER_KEY_LEN), want[PROVIDER_KEY_LEN];
	struct vmc_error e = VMC_ERROR_INIT;
	size_t n;

	assert_ok(jwe_open(w->host, "token-1", jwe, out, PROVIDER_KEY_LEN, &n, &e), &e);
	assert_int_equal(n, PROVIDER_KEY_LEN);
	assert_int_equal(mock_store_material(w->f.store, id, want), 0);
	assert_memory_equal(out, want, PROVIDER_KEY_LEN);
	secmem_free(out, PROVIDER_KEY_LEN);
}

/* ---- keys ------------------------------------------------------------------- */

static void creates_gets_destroys(void **state)
{
	struct world *w = *state;
	json_t *a, *b, *key;
	char id[PROVIDER_KEY_ID_MAX + 1];

	assert_ok(ask(w, "create", json_pack("{s:s}", "label", "vm 1"), &a), &w->r.err);
	snprintf(id, sizeof(id), "%s", text(a, "id"));
	assert_string_equal(text(a, "provider"), "kms");
	assert_int_equal(w->note.keys, 1);
	assert_string_equal(w->note.host, "host1");
	check_key(w, id, text(a, "key"));
	json_decref(a);
	assert_ok(ask(w, "get", json_pack("{s:s, s:[s,s]}", "provider", "kms", "ids", id, "none-such"), &b), &w->r.err);
	key = json_array_get(json_object_get(b, "keys"), 0);
	assert_string_equal(text(key, "state"), "Active");
	check_key(w, id, text(key, "key"));
	key = json_array_get(json_object_get(b, "keys"), 1);
	assert_null(json_object_get(key, "key"));
	assert_string_equal(text(json_object_get(key, "error"), "code"), "KeyMissing");
	assert_int_equal(w->note.keys, 1);
	json_decref(b);
	assert_ok(ask(w, "list", json_object(), &b), &w->r.err);
	assert_true(json_array_size(json_object_get(b, "ids")) >= 1);
	json_decref(b);
	assert_code(ask(w, "destroy", json_pack("{s:s}", "id", id), &b), VMC_EPERM, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_ALLOWED);
	assert_string_equal(w->note.destroyed, "");
	assert_int_equal(json_object_set_new(w->state, "policy", json_pack("{s:b}", "hosts_destroy_keys", 1)), 0);
	assert_ok(ask(w, "destroy", json_pack("{s:s}", "id", id), &b), &w->r.err);
	assert_string_equal(w->note.destroyed, id);
	json_decref(b);
	assert_ok(ask(w, "state", json_pack("{s:[s]}", "ids", id), &b), &w->r.err);
	key = json_array_get(json_object_get(b, "keys"), 0);
	assert_string_not_equal(text(key, "state"), "Active");
	assert_int_equal(w->note.keys, 0);
	json_decref(b);
}

static void gives_no_inactive_key(void **state)
{
	struct world *w = *state;
	char id[32];
	json_t *b, *key;

	mock_store_add(w->f.store, PKS_COMPROMISED, id);
	assert_ok(ask(w, "get", json_pack("{s:[s]}", "ids", id), &b), &w->r.err);
	key = json_array_get(json_object_get(b, "keys"), 0);
	assert_null(json_object_get(key, "key"));
	assert_string_equal(text(json_object_get(key, "error"), "code"), "KeyNotActive");
	assert_int_equal(w->note.keys, 0);
	json_decref(b);
}

/* A key that was made and reaches nobody does not stay; one that has to stay is named. */
static void leaves_no_orphan(void **state)
{
	struct world *w = *state;
	json_t *a;

	mock_kmip_script(w->f.m[0], "fail-op=10,fail-reason=4");	/* Get */
	assert_int_not_equal(ask(w, "create", json_pack("{s:s}", "label", "x"), &a), 0);
	assert_contains(w->r.err.text, "a new key could not be handed out, and was destroyed again: ");
	assert_int_equal(mock_store_count(w->f.store), 1);
	assert_true(w->note.orphan_gone && !*w->note.destroyed);
	assert_int_not_equal(mock_store_state(w->f.store, w->note.orphan), PKS_ACTIVE);
	mock_kmip_script(w->f.m[0], "wrapped=1,fail-op=19,fail-reason=4");	/* no Revoke either */
	assert_int_not_equal(ask(w, "create", json_pack("{s:s}", "label", "x"), &a), 0);
	assert_int_equal(mock_store_count(w->f.store), 2);
	assert_false(w->note.orphan_gone);
	assert_int_equal(mock_store_state(w->f.store, w->note.orphan), PKS_ACTIVE);
	assert_contains(w->r.err.text, w->note.orphan);
	assert_contains(w->r.err.text, "could not be handed out, and not be destroyed either (");
	mock_kmip_script(w->f.m[0], "");
	/* nothing is made, nothing is left over */
	fixture_kill(&w->f, 0);
	assert_int_not_equal(ask(w, "create", json_pack("{s:s}", "label", "x"), &a), 0);
	assert_string_equal(w->note.orphan, "");
}

/* ---- tokens ----------------------------------------------------------------- */

static void refused(struct world *w, const char *token, int64_t now, int code)
{
	json_t *answer;

	assert_code(ask_at(w, "create", token, now, json_pack("{s:s}", "label", "x"), &answer), code, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_AUTHORIZED);
	assert_contains(w->r.err.text, "no key without attestation");
	assert_contains(w->r.err.hint, "vmcrypt trust host attest");
	assert_int_equal(mock_store_count(w->f.store), 0);
}

static void wants_a_good_token(void **state)
{
	struct world *w = *state;
	struct ear_facts f = facts(w);
	EVP_PKEY *stranger = EVP_EC_gen("P-256");
	char *t;

	refused(w, "", NOW, VMC_EAUTH);
	refused(w, "a.b.c", NOW, VMC_EPROTO);
	refused(w, w->token, NOW + 360, VMC_ETIMEDOUT);
	refused(w, w->token, NOW - 61, VMC_ETIMEDOUT);
	t = token_of(stranger, JWT_TYP_TOKEN, &f);
	refused(w, t, NOW, VMC_EAUTH);
	free(t);
	t = token_of(w->signer, JWT_TYP_REPORT, &f);
	refused(w, t, NOW, VMC_ETRUST);
	free(t);
	f.audience = "vmcrypt-kmxd:other";
	t = token_of(w->signer, JWT_TYP_TOKEN, &f);
	refused(w, t, NOW, VMC_ETRUST);
	free(t);
	f = facts(w);
	f.confirmation = NULL;
	t = token_of(w->signer, JWT_TYP_TOKEN, &f);
	refused(w, t, NOW, VMC_ETRUST);
	free(t);
	EVP_PKEY_free(stranger);
	/* the authority that signed it was removed */
	json_array_clear(json_object_get(w->state, "authorities"));
	{
		json_t *copy = json_deep_copy(w->state);

		json_decref(w->state);
		w->state = copy;
	}
	refused(w, w->token, NOW, VMC_EAUTH);
}

/* ---- requests ----------------------------------------------------------------- */

static void refuses_nonsense(void **state)
{
	struct world *w = *state;
	json_t *many = json_array(), *a;

	for (int i = 0; i <= KMX_IDS_MAX; i++)
		json_array_append_new(many, json_string("1"));
	assert_code(ask(w, "get", json_pack("{s:o}", "ids", many), &a), VMC_EINVAL, &w->r.err);
	assert_code(ask(w, "get", json_pack("{s:[]}", "ids"), &a), VMC_EINVAL, &w->r.err);
	assert_code(ask(w, "get", json_pack("{s:[i]}", "ids", 1), &a), VMC_EINVAL, &w->r.err);
	assert_code(ask(w, "create", json_object(), &a), VMC_EINVAL, &w->r.err);
	assert_code(ask(w, "destroy", json_object(), &a), VMC_EINVAL, &w->r.err);
	assert_string_equal(w->r.reason, REASON_BAD_REQUEST);
	assert_code(ask(w, "burn", json_object(), &a), VMC_ENOENT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_FOUND);
	assert_code(ask(w, "list", json_pack("{s:s}", "provider", "other"), &a), VMC_ENOENT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_FOUND);
	assert_contains(w->r.err.text, "other");
	/* in the state, but its folder is not there yet */
	assert_code(ask(w, "list", json_pack("{s:s}", "provider", "away"), &a), VMC_ENOENT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_KEY_PROVIDER);
	assert_ok(ask(w, "providers", json_object(), &a), &w->r.err);
	assert_int_equal(json_array_size(json_object_get(a, "providers")), 2);
	json_decref(a);
}

static void tells_that_the_server_is_away(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *a, *h;

	assert_ok(kmx_health(w->s, w->state, &h, &e), &e);
	assert_true(json_is_true(json_object_get(json_array_get(h, 0), "reachable")));
	assert_true(json_is_false(json_object_get(json_array_get(h, 1), "reachable")));
	json_decref(h);
	fixture_kill(&w->f, 0);
	assert_code(ask(w, "create", json_pack("{s:s}", "label", "x"), &a), VMC_EUNREACH, &w->r.err);
	assert_string_equal(w->r.reason, REASON_KEY_PROVIDER);
	assert_int_equal(refusal_status(&w->r), 503);
	assert_ok(kmx_reload(w->s, &e), &e);
	assert_ok(kmx_health(w->s, w->state, &h, &e), &e);
	assert_true(json_is_false(json_object_get(json_array_get(h, 0), "reachable")));
	json_decref(h);
}

/* One entry of its health, anew; and of that @member, "" when it is not there. */
static const char *told(struct world *w, const char *member)
{
	static char value[256];
	struct vmc_error e = VMC_ERROR_INIT;
	const char *s;
	json_t *h;

	assert_ok(kmx_reload(w->s, &e), &e);	/* what it saw before does not count any more */
	assert_ok(kmx_health(w->s, w->state, &h, &e), &e);
	s = text(json_array_get(h, 0), member);
	snprintf(value, sizeof(value), "%s", s ? s : "");
	json_decref(h);
	return value;
}

static int gets(struct world *w, json_t *body, json_t **answer)
{
	const struct kmx_call c = { .state = w->state, .body = body, .now = NOW };
	int rc;

	refusal_clear(&w->r);
	*answer = NULL;
	rc = kmx_gets(w->s, &c, answer, &w->r);
	json_decref(body);
	return rc;
}

/* By the last key that it made, the others find out whether they get its keys. */
static void tells_the_last_key(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	char first[PROVIDER_KEY_ID_MAX + 1], last[PROVIDER_KEY_ID_MAX + 1];
	json_t *a, *key;

	assert_int_equal(json_object_set_new(w->state, "policy", json_pack("{s:b}", "hosts_destroy_keys", 1)), 0);
	assert_string_equal(told(w, "made"), "");
	assert_ok(ask(w, "create", json_pack("{s:s}", "label", "1"), &a), &w->r.err);
	snprintf(first, sizeof(first), "%s", text(a, "id"));
	json_decref(a);
	assert_ok(ask(w, "create", json_pack("{s:s}", "label", "2"), &a), &w->r.err);
	snprintf(last, sizeof(last), "%s", text(a, "id"));
	json_decref(a);
	assert_ok(ask(w, "destroy", json_pack("{s:s}", "id", first), &a), &w->r.err);
	json_decref(a);
	assert_string_equal(told(w, "made"), last);
	kmx_close(w->s);
	assert_ok(kmx_open(&w->s, &w->f.cfg, &e), &e);
	assert_string_equal(told(w, "made"), last);
	/* nothing but words leaves it */
	assert_ok(gets(w, json_pack("{s:s, s:[s,s]}", "provider", "kms", "ids", last, first), &a), &w->r.err);
	key = json_array_get(json_object_get(a, "keys"), 0);
	assert_null(json_object_get(key, "error"));
	assert_null(json_object_get(key, "key"));
	key = json_array_get(json_object_get(a, "keys"), 1);
	assert_non_null(json_object_get(key, "error"));
	json_decref(a);
	assert_code(gets(w, json_pack("{s:s, s:[]}", "provider", "kms", "ids"), &a), VMC_EINVAL, &w->r.err);
	assert_code(gets(w, json_pack("{s:s, s:[s]}", "provider", "other", "ids", last), &a), VMC_ENOENT, &w->r.err);
	/* its certificate is another's now */
	mock_kmip_script(w->f.m[0], "fail-op=10,fail-reason=12");	/* Get: Permission Denied */
	assert_string_equal(told(w, "made"), "");
	assert_true(*told(w, "refused"));
	assert_ok(gets(w, json_pack("{s:s, s:[s]}", "provider", "kms", "ids", last), &a), &w->r.err);
	key = json_array_get(json_object_get(a, "keys"), 0);
	assert_string_equal(text(json_object_get(key, "error"), "code"), "ProviderRefused");
	json_decref(a);
	mock_kmip_script(w->f.m[0], "");
	assert_string_equal(told(w, "made"), last);
	/* another authority had it destroyed */
	mock_store_set_state(w->f.store, last, PKS_DESTROYED);
	assert_string_equal(told(w, "made"), "");
	assert_string_equal(told(w, "refused"), "");
}

/* A provider that comes while the service runs, as the administrator's verbs make it. */
static void sees_new_files(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *a, *o = json_pack("{s:[s]}", "servers", "127.0.0.1:1");

	assert_ok(ask(w, "list", json_object(), &a), &w->r.err);
	json_decref(a);
	assert_ok(providers_add_kmip(w->f.ps, "away", o, &e), &e);
	json_decref(o);
	assert_true(ask(w, "list", json_pack("{s:s}", "provider", "away"), &a) < 0);
	assert_int_not_equal(w->r.err.code, VMC_ENOENT);
	assert_string_equal(w->r.reason, REASON_KEY_PROVIDER);
	assert_ok(providers_remove(w->f.ps, "away", &e), &e);
	assert_code(ask(w, "list", json_pack("{s:s}", "provider", "away"), &a), VMC_ENOENT, &w->r.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(creates_gets_destroys), T(gives_no_inactive_key), T(leaves_no_orphan), T(wants_a_good_token),
		T(refuses_nonsense),
		T(tells_that_the_server_is_away), T(tells_the_last_key), T(sees_new_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
