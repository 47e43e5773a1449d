// SPDX-License-Identifier: GPL-2.0-or-later
/* The Attestation Service without HTTP: a host from enrolment to token, and every way to be refused. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../keys/cert.h"
#include "../../lib/secmem.h"
#include "../../testing/testing.h"
#include "../evidence/mock_ekca.h"
#include "../token/b64url.h"
#include "../token/ear.h"
#include "../token/jwt.h"
#include "attest_priv.h"
#include "mock_host.h"

#define NOW 1800000000

struct world {
	char *dir;
	struct attest_service *s;
	struct mock_host *h;
	json_t *state;
	struct attest_note note;
	struct refusal r;
	int64_t now;
};

typedef int (*message_fn)(struct attest_service *s, const struct attest_call *c, json_t **result,
			  struct attest_note *note, struct refusal *r);

/* One message; @body is consumed. */
static int say(struct world *w, message_fn f, json_t *body, json_t **answer)
{
	const struct attest_call c = { .state = w->state, .body = body, .now = w->now };
	int rc;

	refusal_clear(&w->r);
	memset(&w->note, 0, sizeof(w->note));
	*answer = NULL;
	rc = f(w->s, &c, answer, &w->note, &w->r);
	json_decref(body);
	assert_int_equal(!rc, !!*answer);
	if (rc)
		assert_true(w->r.reason[0] && w->r.err.text[0]);
	return rc;
}

static void enroll(struct world *w)
{
	json_t *a, *b;

	assert_ok(say(w, attest_enroll, mock_host_enroll(w->h), &a), &w->r.err);
	assert_string_equal(w->note.ek, w->h->ek_id);
	assert_ok(say(w, attest_confirm, mock_host_confirm(w->h, a), &b), &w->r.err);
	mock_host_enrolled(w->h, b);
	json_decref(a);
	json_decref(b);
}

static int attest(struct world *w, json_t **answer)
{
	json_t *challenge, *body;
	int rc = say(w, attest_challenge, mock_host_challenge(w->h), &challenge);

	*answer = NULL;
	if (rc)
		return rc;
	body = mock_host_evidence(w->h, challenge);
	json_decref(challenge);
	rc = say(w, attest_evidence, body, answer);
	if (!rc)
		mock_host_attested(w->h, *answer);
	return rc;
}

static void attest_ok(struct world *w)
{
	json_t *answer;

	assert_ok(attest(w, &answer), &w->r.err);
	json_decref(answer);
}

static void attest_refused(struct world *w, int code, const char *reason)
{
	json_t *answer;

	assert_code(attest(w, &answer), code, &w->r.err);
	assert_string_equal(w->r.reason, reason);
	assert_true(w->r.err.hint[0]);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct vmc_error e = VMC_ERROR_INIT;

	w->dir = test_mkdir();
	w->now = NOW;
	assert_ok(attest_open(&w->s, test_path(w->dir, "attestd"), "ta1", &e), &e);
	w->h = mock_host_new("host1", LOG_OVMF_SECURE_BOOT);
	w->state = mock_state(w->s->token_key);
	mock_state_ek(w->state, w->h);
	mock_state_image(w->state, LOG_OVMF_SECURE_BOOT, "good");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	refusal_clear(&w->r);
	attest_close(w->s);
	mock_host_free(w->h);
	json_decref(w->state);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

/* The service knows a new state by its address. */
static void changed(struct world *w)
{
	json_t *copy = json_deep_copy(w->state);

	json_decref(w->state);
	w->state = copy;
}

static json_t *policy(struct world *w)
{
	return json_object_get(w->state, "policy");
}

/* ---- what goes well ------------------------------------------------------- */

static void check_token(struct world *w, const json_t *answer)
{
	const struct jwt_expect want = { .typ = JWT_TYP_TOKEN, .aud = "vmcrypt-kmxd:lab", .iss = "ta1", .now = NOW,
					 .lives = true };
	struct vmc_error e = VMC_ERROR_INIT;
	struct ear_result r;
	json_t *claims;

	assert_ok(jwt_verify(w->h->token, &w->s->token_key, 1, &want, &claims, &e), &e);
	assert_ok(ear_read(claims, &r, &e), &e);
	assert_string_equal(r.subject, w->h->ek_id);
	assert_string_equal(r.host, "host1");
	assert_string_equal(r.image_name, "good");
	assert_int_equal(r.reset_count, w->h->reset_count);
	assert_int_equal(r.expires, NOW + 300);
	assert_int_equal(json_integer_value(json_object_get(answer, "attested_until")), r.expires);
	assert_int_equal(json_integer_value(json_object_get(answer, "next")), 150);
	assert_int_equal(EVP_PKEY_eq(r.confirmation, w->h->ephemeral), 1);
	ear_clear(&r);
	json_decref(claims);
	/* the report is not good for keys */
	assert_code(jwt_verify(json_string_value(json_object_get(answer, "report")), &w->s->token_key, 1, &want, &claims,
			       &e), VMC_ETRUST, &e);
}

static void enrols_and_attests(void **state)
{
	struct world *w = *state;
	json_t *answer;

	enroll(w);
	assert_ok(attest(w, &answer), &w->r.err);
	check_token(w, answer);
	assert_string_equal(w->note.host, "host1");
	assert_string_equal(w->note.image_name, "good");
	json_decref(answer);
}

/* Another attestd of the cluster, which shares nothing but the state. */
static void is_good_at_another_authority(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct attest_service *first = w->s;
	json_t *answer;

	enroll(w);
	assert_ok(attest_open(&w->s, test_path(w->dir, "second"), "ta2", &e), &e);
	assert_ok(attest(w, &answer), &w->r.err);
	json_decref(answer);
	/* but a context is not */
	attest_close(w->s);
	w->s = first;
	assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &answer), &w->r.err);
	assert_ok(attest_open(&w->s, test_path(w->dir, "third"), "ta3", &e), &e);
	{
		json_t *body = mock_host_evidence(w->h, answer), *none;

		assert_code(say(w, attest_evidence, body, &none), VMC_EAUTH, &w->r.err);
		assert_string_equal(w->r.reason, REASON_NONCE_EXPIRED);
	}
	json_decref(answer);
	attest_close(w->s);
	w->s = first;
}

static void survives_a_restart(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *challenge, *answer;

	enroll(w);
	assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &challenge), &w->r.err);
	attest_close(w->s);
	assert_ok(attest_open(&w->s, test_path(w->dir, "attestd"), "ta1", &e), &e);
	assert_ok(say(w, attest_evidence, mock_host_evidence(w->h, challenge), &answer), &w->r.err);
	json_decref(answer);
	json_decref(challenge);
	assert_int_equal(attest_keys(w->s, &answer, &w->r), 0);
	assert_int_equal(json_array_size(json_object_get(answer, "keys")), 1);
	json_decref(answer);
}

/* ---- enrolment refused ------------------------------------------------------ */

static void refuses_strangers(void **state)
{
	struct world *w = *state;
	json_t *answer;

	json_array_clear(json_object_get(json_object_get(w->state, "tpm2"), "eks"));
	assert_code(say(w, attest_enroll, mock_host_enroll(w->h), &answer), VMC_ETRUST, &w->r.err);
	assert_string_equal(w->r.reason, REASON_EK_UNTRUSTED);
	assert_contains(w->r.err.text, w->h->ek_id);
	assert_contains(w->r.err.hint, "ek add");
	mock_state_ek(w->state, w->h);
	json_object_set_new(json_object_get(w->state, "tpm2"), "require_ek_certificate", json_true());
	assert_code(say(w, attest_enroll, mock_host_enroll(w->h), &answer), VMC_ETRUST, &w->r.err);
	assert_contains(w->r.err.hint, "ca add");
}

static void refuses_a_wrong_secret(void **state)
{
	struct world *w = *state;
	json_t *a, *answer, *body;

	assert_ok(say(w, attest_enroll, mock_host_enroll(w->h), &a), &w->r.err);
	body = mock_host_confirm(w->h, a);
	json_object_set_new(body, "secret", json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_code(say(w, attest_confirm, body, &answer), VMC_EAUTH, &w->r.err);
	assert_string_equal(w->r.reason, REASON_EVIDENCE_INVALID);
	w->now += ATTEST_ANSWER_SECONDS;
	assert_code(say(w, attest_confirm, mock_host_confirm(w->h, a), &answer), VMC_ETIMEDOUT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NONCE_EXPIRED);
	json_decref(a);
}

static void refuses_nonsense(void **state)
{
	static const char *const missing[] = { "host", "ek_pub", "ak_pub" };
	struct world *w = *state;
	json_t *answer, *body;

	for (size_t i = 0; i < 3; i++) {
		body = mock_host_enroll(w->h);
		json_object_del(body, missing[i]);
		assert_code(say(w, attest_enroll, body, &answer), VMC_EINVAL, &w->r.err);
		assert_string_equal(w->r.reason, REASON_BAD_REQUEST);
		assert_contains(w->r.err.text, missing[i]);
	}
	body = mock_host_enroll(w->h);
	json_object_set_new(body, "host", json_string("a\nb"));
	assert_code(say(w, attest_enroll, body, &answer), VMC_EINVAL, &w->r.err);
	body = mock_host_enroll(w->h);
	json_object_set(body, "ek_pub", json_object_get(body, "ak_pub"));
	assert_true(say(w, attest_enroll, body, &answer) < 0);
	assert_string_equal(w->r.reason, REASON_EK_UNTRUSTED);
	body = mock_host_enroll(w->h);
	json_object_set_new(body, "ek_cert", json_string("AAAA"));
	json_array_clear(json_object_get(json_object_get(w->state, "tpm2"), "eks"));
	assert_true(say(w, attest_enroll, body, &answer) < 0);
	assert_string_equal(w->r.reason, REASON_EK_UNTRUSTED);
}

/* ---- attestation refused ------------------------------------------------------ */

static void refuses_without_receipt(void **state)
{
	struct world *w = *state;

	w->h->receipt = strdup("a.b.c");
	attest_refused(w, VMC_EPROTO, REASON_AK_UNKNOWN);
	enroll(w);
	/* a token of another kind in its place */
	attest_ok(w);
	free(w->h->receipt);
	w->h->receipt = strdup(w->h->boot);
	attest_refused(w, VMC_ETRUST, REASON_AK_UNKNOWN);
}

static void refuses_what_was_removed(void **state)
{
	struct world *w = *state;

	enroll(w);
	json_array_clear(json_object_get(json_object_get(w->state, "tpm2"), "eks"));
	changed(w);
	attest_refused(w, VMC_ETRUST, REASON_EK_UNTRUSTED);
	assert_contains(w->r.err.text, "was removed");
}

static void trust_ca(struct world *w, const char *name, const struct mock_ca *ca)
{
	json_t *cas = json_object_get(json_object_get(w->state, "tpm2"), "ca_certificates");
	char *pem = mock_ca_pem(ca);

	json_array_clear(cas);
	json_array_append_new(cas, json_pack("{s:s, s:s}", "name", name, "pem", pem));
	OPENSSL_free(pem);
	changed(w);
}

static void enroll_by_certificate(struct world *w, const struct mock_ca *maker)
{
	json_t *a, *b, *body = mock_host_enroll(w->h);
	uint8_t der[EK_DER_MAX];
	size_t n = mock_ca_issue(maker, w->h->ek, ODD_NONE, der, sizeof(der));

	json_object_set_new(body, "ek_cert", b64url_json(der, n));
	assert_ok(say(w, attest_enroll, body, &a), &w->r.err);
	assert_ok(say(w, attest_confirm, mock_host_confirm(w->h, a), &b), &w->r.err);
	mock_host_enrolled(w->h, b);
	json_decref(a);
	json_decref(b);
}

/* It is the certificate that is trusted: another one of the same name is not it, and by another name it is. */
static void knows_a_ca_by_its_certificate(void **state)
{
	struct mock_ca maker, other;
	struct world *w = *state;

	mock_ca_new(&maker, "Maker of TPMs", NULL);
	mock_ca_new(&other, "Maker of TPMs", NULL);
	w->now = time(NULL);
	json_array_clear(json_object_get(json_object_get(w->state, "tpm2"), "eks"));
	trust_ca(w, "maker", &maker);
	enroll_by_certificate(w, &maker);
	attest_ok(w);
	trust_ca(w, "maker", &other);
	attest_refused(w, VMC_ETRUST, REASON_EK_UNTRUSTED);
	assert_contains(w->r.err.text, "the CA 'maker'");
	trust_ca(w, "the maker", &maker);
	attest_ok(w);
	mock_ca_free(&maker);
	mock_ca_free(&other);
}

static void refuses_late_and_foreign_answers(void **state)
{
	struct world *w = *state;
	json_t *challenge, *body, *answer;
	struct mock_host *other = mock_host_new("host2", LOG_OVMF_SECURE_BOOT), *first = w->h;

	enroll(w);
	assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &challenge), &w->r.err);
	w->now += ATTEST_ANSWER_SECONDS;
	assert_code(say(w, attest_evidence, mock_host_evidence(w->h, challenge), &answer), VMC_ETIMEDOUT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NONCE_EXPIRED);
	w->now = NOW;
	/* the challenge of one host, answered by another */
	mock_state_ek(w->state, other);
	changed(w);
	w->h = other;
	enroll(w);
	assert_code(say(w, attest_evidence, mock_host_evidence(other, challenge), &answer), VMC_EAUTH, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NONCE_EXPIRED);
	w->h = first;
	/* a policy that was changed in between */
	body = mock_host_evidence(w->h, challenge);
	json_array_append_new(json_object_get(policy(w), "pcrs"), json_integer(5));
	changed(w);
	assert_code(say(w, attest_evidence, body, &answer), VMC_ETIMEDOUT, &w->r.err);
	json_decref(challenge);
	mock_host_free(other);
}

/* Evidence for one challenge, or one key, or one audience is none for another. */
static void refuses_rebound_evidence(void **state)
{
	struct world *w = *state;
	json_t *a, *b, *body, *other, *answer;
	EVP_PKEY *key = w->h->ephemeral;

	enroll(w);
	assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &a), &w->r.err);
	assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &b), &w->r.err);
	body = mock_host_evidence(w->h, a);
	json_object_set(body, "context", json_object_get(b, "context"));
	assert_code(say(w, attest_evidence, body, &answer), VMC_EAUTH, &w->r.err);
	assert_string_equal(w->r.reason, REASON_EVIDENCE_INVALID);
	body = mock_host_evidence(w->h, a);
	w->h->ephemeral = EVP_EC_gen("P-256");
	other = mock_host_evidence(w->h, a);
	json_object_set(body, "ephemeral", json_object_get(other, "ephemeral"));
	assert_code(say(w, attest_evidence, body, &answer), VMC_EAUTH, &w->r.err);
	assert_string_equal(w->r.reason, REASON_EVIDENCE_INVALID);
	EVP_PKEY_free(w->h->ephemeral);
	w->h->ephemeral = key;
	json_decref(other);
	json_object_set_new(a, "audience", json_string("vmcrypt-kmxd:other"));
	assert_code(say(w, attest_evidence, mock_host_evidence(w->h, a), &answer), VMC_ETRUST, &w->r.err);
	assert_string_equal(w->r.reason, REASON_EVIDENCE_INVALID);
	json_decref(a);
	json_decref(b);
}

static void refuses_altered_evidence(void **state)
{
	static const char *const members[] = { "quote", "signature", "event_log", "pcrs" };
	struct world *w = *state;
	json_t *challenge, *body, *answer;

	enroll(w);
	for (size_t i = 0; i < 4; i++) {
		assert_ok(say(w, attest_challenge, mock_host_challenge(w->h), &challenge), &w->r.err);
		body = mock_host_evidence(w->h, challenge);
		json_decref(challenge);
		if (json_is_object(json_object_get(body, members[i])))
			json_object_set_new(json_object_get(body, members[i]), "4",
					    json_string("0000000000000000000000000000000000000000000000000000000000000000"));
		else
			json_object_set_new(body, members[i], json_string("AAAA"));
		assert_true(say(w, attest_evidence, body, &answer) < 0);
		assert_string_equal(w->r.reason, REASON_EVIDENCE_INVALID);
	}
}

static void names_what_differs(void **state)
{
	struct world *w = *state;
	const json_t *d;

	enroll(w);
	w->h->log = LOG_OVMF;
	attest_refused(w, VMC_ETPMPOLICY, REASON_POLICY_MISMATCH);
	d = w->r.details;
	assert_string_equal(json_string_value(json_object_get(json_object_get(d, "nearest"), "name")), "good");
	assert_true(json_array_size(json_object_get(d, "pcrs")) > 0);
	assert_true(json_array_size(json_object_get(d, "events")) > 0);
	assert_contains(w->r.err.hint, "base-image import");
	/* once imported it is fine */
	mock_state_image(w->state, LOG_OVMF, "new");
	changed(w);
	attest_ok(w);
	assert_string_equal(w->note.image_name, "new");
	/* and none is none */
	json_array_clear(json_object_get(w->state, "images"));
	changed(w);
	attest_refused(w, VMC_ETPMPOLICY, REASON_POLICY_MISMATCH);
}

static void wants_secure_boot(void **state)
{
	struct world *w = *state;

	enroll(w);
	mock_state_image(w->state, LOG_OVMF, "without");
	json_object_set_new(policy(w), "secure_boot", json_true());
	changed(w);
	attest_ok(w);
	w->h->log = LOG_OVMF;
	attest_refused(w, VMC_ETRUST, REASON_SECURE_BOOT_OFF);
	json_object_set_new(policy(w), "secure_boot", json_false());
	changed(w);
	attest_ok(w);
}

/* ---- kexec --------------------------------------------------------------------- */

static void knows_quick_boots(void **state)
{
	struct world *w = *state;
	json_t *answer;

	enroll(w);
	w->h->quick_boot = true;
	attest_refused(w, VMC_ESTATE, REASON_QUICK_BOOT);
	assert_contains(w->r.err.hint, "full boot");
	w->h->quick_boot = false;
	attest_ok(w);
	/* kexec'd in the same boot: the receipt vouches for it */
	w->h->quick_boot = true;
	assert_ok(attest(w, &answer), &w->r.err);
	assert_true(w->note.quick_boot);
	json_decref(answer);
	attest_ok(w);
	/* a start later, without having been attested in between */
	w->h->reset_count++;
	attest_refused(w, VMC_ESTATE, REASON_QUICK_BOOT);
	w->h->quick_boot = false;
	attest_ok(w);
	/* and backwards */
	w->h->reset_count--;
	attest_refused(w, VMC_EREPLAY, REASON_RESET_COUNT_CHANGED);
}

/* The boot receipt of another host does not vouch. */
static void borrows_no_receipt(void **state)
{
	struct world *w = *state;
	struct mock_host *first = w->h, *other = mock_host_new("host2", LOG_OVMF_SECURE_BOOT);

	enroll(w);
	attest_ok(w);
	mock_state_ek(w->state, other);
	changed(w);
	w->h = other;
	enroll(w);
	other->boot = strdup(first->boot);
	other->quick_boot = true;
	attest_refused(w, VMC_ESTATE, REASON_QUICK_BOOT);
	w->h = first;
	mock_host_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(enrols_and_attests), T(is_good_at_another_authority), T(survives_a_restart), T(refuses_strangers),
		T(refuses_a_wrong_secret), T(refuses_nonsense), T(refuses_without_receipt), T(refuses_what_was_removed),
		T(refuses_late_and_foreign_answers), T(refuses_rebound_evidence), T(refuses_altered_evidence),
		T(names_what_differs), T(wants_secure_boot), T(knows_quick_boots), T(borrows_no_receipt),
		T(knows_a_ca_by_its_certificate),
	};
	struct vmc_error e = VMC_ERROR_INIT;

	if (secmem_init(1u << 20, &e))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
