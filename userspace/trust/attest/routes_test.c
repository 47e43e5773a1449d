// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcrypt-attestd whole, without its loop: a host and an auditor over HTTPS, on a signed state. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "../http/client.h"
#include "../state/admin.h"
#include "../state/sign.h"
#include "../token/jwk.h"
#include "mock_host.h"
#include "routes.h"

#define SOON (vmc_now_ms() + 20000)

struct world {
	char *dir;
	struct unit u;
	struct trust_admin *admin;	/* as root calls it beside the service */
	struct mock_host *h;
	struct http_identity host_id, auditor_id;
	struct http_client *host, *auditor;
	struct refusal r;
};

/* @params is consumed. */
static json_t *admin(struct world *w, const char *name, json_t *params)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *result = NULL;

	assert_ok(trust_admin(w->admin, TRUST_ROLE_ADMIN, name, params, &result, &e), &e);
	json_decref(params);
	return result;
}

static void verb(struct world *w, const char *name, json_t *params)
{
	assert_non_null(params);
	json_decref(admin(w, name, params));
}

static void init_cluster(struct world *w)
{
	const struct trust_files none = { -1, -1, -1 };
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *result = NULL, *params = json_pack("{s:s, s:s}", "cluster", "lab", "address", "127.0.0.1");

	assert_ok(trust_admin_local(w->admin, TRUST_ROLE_ADMIN, "init", params, &none, &result, &e), &e);
	json_decref(params);
	json_decref(result);
}

static void fill_state(struct world *w)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *scratch = json_pack("{s:[]}", "images"), *image;
	char *pem;

	init_cluster(w);
	assert_ok(sign_public_pem(w->h->ek, &pem, &e), &e);
	verb(w, "ek-add", json_pack("{s:s, s:s}", "name", "host1", "pub", pem));
	free(pem);
	mock_state_image(scratch, LOG_OVMF_SECURE_BOOT, "good");
	image = json_array_get(json_object_get(scratch, "images"), 0);
	verb(w, "base-image-import", json_pack("{s:O}", "image", image));
	json_decref(scratch);
	verb(w, "policy-set", json_pack("{s:[i,i,i,i], s:b, s:b}", "pcrs", 0, 2, 4, 7, "require_ek_certificate", 0, "secure_boot", 0));
	verb(w, "principal-add", json_pack("{s:s, s:s, s:s}", "name", "eve", "role", "auditor", "fingerprint",
					   w->auditor_id.fingerprint));
}

static struct http_client *client(struct world *w, const struct http_identity *id)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char where[32];
	const struct http_target t = { .name = "attestation service 'ta1'", .where = where,
				       .fingerprint = w->u.identity.fingerprint };
	struct http_client *c;

	snprintf(where, sizeof(where), "127.0.0.1:%u", http_server_port(w->u.server));
	assert_ok(http_client_new(&t, id, &c, &e), &e);
	return c;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct unit *u = &w->u;
	struct vmc_error e = VMC_ERROR_INIT;
	const struct trust_admin_options o = { .host = "ta1" };

	w->dir = test_mkdir();
	setenv("VMCRYPT_BUS", "unix:path=/nonexistent", 1);
	u->kind = &attest_unit;
	snprintf(u->conf.name, sizeof(u->conf.name), "ta1");
	snprintf(u->conf.attest_listen, sizeof(u->conf.attest_listen), "127.0.0.1");
	snprintf(u->conf.kmx_listen, sizeof(u->conf.kmx_listen), "127.0.0.1");
	snprintf(u->dir, sizeof(u->dir), "%s/attestd", w->dir);
	assert_ok(trust_state_open(&u->state, w->dir, &e), &e);
	assert_ok(http_identity_open(u->dir, "ta1", &u->identity, &e), &e);
	assert_ok(http_identity_open(test_path(w->dir, "host"), "host1", &w->host_id, &e), &e);
	assert_ok(http_identity_open(test_path(w->dir, "auditor"), "eve", &w->auditor_id, &e), &e);
	u->stats = stats_new();
	assert_non_null(u->stats);
	assert_ok(u->kind->open(u, &e), &e);
	assert_ok(http_server_start("127.0.0.1", 0, &u->identity, u->kind->handle, u, &u->server, &e), &e);
	assert_ok(trust_admin_open(&w->admin, u->state, &o, &e), &e);
	w->h = mock_host_new("host1", LOG_OVMF_SECURE_BOOT);
	w->host = client(w, &w->host_id);
	w->auditor = client(w, &w->auditor_id);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	refusal_clear(&w->r);
	http_client_free(w->host);
	http_client_free(w->auditor);
	mock_host_free(w->h);
	http_server_stop(w->u.server);
	trust_admin_close(w->admin);
	w->u.kind->close(&w->u);
	unit_forget_member(&w->u);
	stats_free(w->u.stats);
	trust_state_close(w->u.state);
	http_identity_close(&w->u.identity);
	http_identity_close(&w->host_id);
	http_identity_close(&w->auditor_id);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

/* @body is consumed; NULL: GET. */
static int ask(struct world *w, struct http_client *c, const char *path, json_t *body, json_t **answer)
{
	int rc;

	refusal_clear(&w->r);
	*answer = NULL;
	rc = http_client_call(c, path, body, NULL, "00112233445566ff", SOON, answer, &w->r);
	json_decref(body);
	return rc;
}

static void attests_over_https(void **state)
{
	struct world *w = *state;
	json_t *a, *b;

	fill_state(w);
	assert_ok(ask(w, w->host, "/v1/enroll", mock_host_enroll(w->h), &a), &w->r.err);
	assert_ok(ask(w, w->host, "/v1/enroll/confirm", mock_host_confirm(w->h, a), &b), &w->r.err);
	mock_host_enrolled(w->h, b);
	json_decref(a);
	json_decref(b);
	assert_ok(ask(w, w->host, "/v1/attest/challenge", mock_host_challenge(w->h), &a), &w->r.err);
	assert_ok(ask(w, w->host, "/v1/attest", mock_host_evidence(w->h, a), &b), &w->r.err);
	assert_string_equal(json_string_value(json_object_get(json_object_get(b, "image"), "name")), "good");
	json_decref(b);
	json_decref(a);
	/* what was measured differs */
	w->h->log = LOG_SEABIOS;
	assert_ok(ask(w, w->host, "/v1/attest/challenge", mock_host_challenge(w->h), &a), &w->r.err);
	assert_code(ask(w, w->host, "/v1/attest", mock_host_evidence(w->h, a), &b), VMC_ETPMPOLICY, &w->r.err);
	assert_string_equal(w->r.reason, REASON_POLICY_MISMATCH);
	assert_true(json_is_array(json_object_get(w->r.details, "events")));
	assert_contains(w->r.err.text, "(correlation 00112233445566ff)");
	json_decref(a);
}

/* Out of the cluster it serves no host; back in it, it does. */
static void serves_while_it_is_in(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *a, *mine, *other;
	char *pem;

	fill_state(w);
	mine = admin(w, "authority-show", NULL);
	other = json_deep_copy(mine);
	assert_ok(http_identity_pem(&w->auditor_id, &pem, &e), &e);
	json_object_set_new(other, "name", json_string("ta2"));
	json_object_set_new(other, "attest", json_string("127.0.0.2:1"));
	json_object_set_new(other, "kmx", json_string("127.0.0.2:2"));
	json_object_set_new(other, "attest_cert", json_string(pem));
	json_object_set_new(other, "kmx_cert", json_string(pem));
	free(pem);
	verb(w, "authority-add", json_pack("{s:o}", "authority", other));
	assert_ok(ask(w, w->host, "/v1/enroll", mock_host_enroll(w->h), &a), &w->r.err);
	json_decref(a);
	verb(w, "authority-remove", json_pack("{s:s}", "name", "ta1"));
	assert_code(ask(w, w->host, "/v1/enroll", mock_host_enroll(w->h), &a), VMC_ESTATE, &w->r.err);
	assert_string_equal(w->r.reason, REASON_UNAVAILABLE);	/* the host asks another one */
	assert_contains(w->r.err.text, "this authority is not in the Trust Authority cluster");
	assert_ok(ask(w, w->auditor, "/v1/health", NULL, &a), &w->r.err);
	assert_null(json_object_get(a, "images"));
	json_decref(a);
	verb(w, "authority-add", json_pack("{s:o}", "authority", mine));
	assert_ok(ask(w, w->host, "/v1/enroll", mock_host_enroll(w->h), &a), &w->r.err);
	json_decref(a);
}

static char *token_kid(struct world *w)
{
	char *kid;
	json_t *a;

	assert_ok(ask(w, w->host, "/v1/keys", NULL, &a), &w->r.err);
	kid = strdup(json_string_value(json_object_get(json_array_get(json_object_get(a, "keys"), 0), "kid")));
	json_decref(a);
	return kid;
}

static void takes_another_token_key(void **state)
{
	char path[512], kid[JWK_KID], *before, *after;
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	EVP_PKEY *restored;

	before = token_kid(w);
	snprintf(path, sizeof(path), "%s/token.key", w->u.dir);
	assert_ok(cert_key_new(&restored, &e), &e);
	assert_ok(cert_key_save(restored, path, &e), &e);
	assert_ok(jwk_thumbprint(restored, kid, &e), &e);
	assert_non_null(attest_unit.reload);
	assert_ok(attest_unit.reload(&w->u, &e), &e);
	after = token_kid(w);
	assert_string_equal(after, kid);
	assert_string_not_equal(after, before);
	/* one that cannot be read changes nothing */
	test_write_text(path, "none");
	assert_int_not_equal(attest_unit.reload(&w->u, &e), 0);
	free(before);
	before = token_kid(w);
	assert_string_equal(after, before);
	EVP_PKEY_free(restored);
	free(before);
	free(after);
}

static void has_roles(void **state)
{
	struct world *w = *state;
	json_t *a;

	fill_state(w);
	/* everybody: that it is there; auditors: which image was seen on which host */
	assert_ok(ask(w, w->host, "/v1/health", NULL, &a), &w->r.err);
	assert_string_equal(json_string_value(json_object_get(a, "status")), "ok");
	assert_string_equal(json_string_value(json_object_get(a, "cluster")), "lab");
	assert_null(json_object_get(a, "images"));
	json_decref(a);
	assert_ok(ask(w, w->auditor, "/v1/health", NULL, &a), &w->r.err);
	assert_non_null(json_object_get(a, "images"));
	json_decref(a);
	assert_ok(ask(w, w->auditor, "/v1/admin/ek-list", json_object(), &a), &w->r.err);
	json_decref(a);
	assert_code(ask(w, w->host, "/v1/admin/ek-list", json_object(), &a), VMC_EPERM, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_AUTHORIZED);
	assert_code(ask(w, w->auditor, "/v1/admin/ek-remove", json_pack("{s:s}", "name", "host1"), &a), VMC_EPERM,
		    &w->r.err);
	assert_ok(ask(w, w->host, "/v1/keys", NULL, &a), &w->r.err);
	json_decref(a);
	assert_code(ask(w, w->host, "/v1/nothing", NULL, &a), VMC_ENOENT, &w->r.err);
	assert_string_equal(w->r.reason, REASON_NOT_FOUND);
	/* a path has one method */
	assert_code(ask(w, w->host, "/v1/enroll", NULL, &a), VMC_ENOENT, &w->r.err);
}

static void serves_nobody_before_init(void **state)
{
	struct world *w = *state;
	json_t *a;

	assert_ok(ask(w, w->host, "/v1/health", NULL, &a), &w->r.err);
	assert_string_equal(json_string_value(json_object_get(a, "status")), "not-configured");
	json_decref(a);
	assert_code(ask(w, w->host, "/v1/enroll", mock_host_enroll(w->h), &a), VMC_ESTATE, &w->r.err);
	assert_string_equal(w->r.reason, REASON_UNAVAILABLE);
	assert_contains(w->r.err.hint, "vmcrypt trust init");
}

static sem_t looked;

static void on_look(struct care *c, FILE *f, void *data)
{
	struct unit *u = data;

	u->kind->look(u, c, f);
	sem_post(&looked);
}

/* What it did, and how it is, in the file. */
static void writes_metrics(void **state)
{
	struct world *w = *state;
	char path[256];
	const struct care_setup s = { .path = path, .interval = 3600, .stats = w->u.stats, .look = on_look, .data = &w->u };
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *answer = NULL, *body = json_pack("{s:s}", "ak_receipt", "nonsense");
	struct refusal r;
	struct care *c;
	char *text;

	snprintf(path, sizeof(path), "%s/attestd.prom", w->dir);
	fill_state(w);
	assert_int_not_equal(http_client_call(w->host, "/v1/attest", body, NULL, NULL, vmc_now_ms() + 10000, &answer, &r), 0);
	refusal_clear(&r);
	json_decref(body);
	sem_init(&looked, 0, 0);
	assert_ok(care_start(&c, &s, &e), &e);
	assert_int_equal(sem_wait(&looked), 0);
	care_stop(c);
	sem_destroy(&looked);
	assert_ok(fs_read(path, 1 << 16, &text, NULL, &e), &e);
	assert_contains(text, "vmcrypt_trust_attestations_total{step=\"attest\",result=\"refused\"} 1\n");
	assert_contains(text, "vmcrypt_trust_refusals_total{service=\"attestd\",reason=\"");
	assert_contains(text, "vmcrypt_trust_state_serial 6\n");
	assert_contains(text, "vmcrypt_trust_authority_up{name=\"ta1\"} 1\n");
	assert_contains(text, "vmcrypt_trust_authority_in_step{name=\"ta1\"} 1\n");
	assert_contains(text, "vmcrypt_trust_certificate_days_left{kind=\"attestation\",name=\"ta1\"} 36");
	assert_null(strstr(text, "vmcrypt_trust_alarm{"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(attests_over_https), T(serves_while_it_is_in), T(writes_metrics), T(has_roles), T(serves_nobody_before_init), T(takes_another_token_key),
	};
	struct vmc_error e = VMC_ERROR_INIT;

	if (secmem_init(1u << 20, &e))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
