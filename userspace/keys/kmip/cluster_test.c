// SPDX-License-Identifier: GPL-2.0-or-later
/* A provider against servers that do wrong: a clean error or a success by failover, in time, never a leak. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "mock_fixture.h"

static struct fixture f;
static struct vmc_error err;

static int setup_n(unsigned int n, const char *options)
{
	fixture_start(&f, n);
	fixture_provider(&f, options);
	memset(&err, 0, sizeof(err));
	return 0;
}

static int one(void **state)
{
	(void)state;
	return setup_n(1, NULL);
}

static int two(void **state)
{
	(void)state;
	return setup_n(2, NULL);
}

static int impatient(void **state)
{
	(void)state;
	return setup_n(1, "{\"request_timeout_ms\": 400}");
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&f);
	return 0;
}

/* Get key @id by the provider; its material must be the server's. */
static int get(const char *id)
{
	struct provider_key k = { .code = 0 };
	uint8_t want[PROVIDER_KEY_LEN];
	struct provider *p = fixture_get(&f);
	int rc;

	snprintf(k.id, sizeof(k.id), "%s", id);
	memset(&err, 0, sizeof(err));
	rc = p->ops->get(p, &k, 1, &err);
	assert_int_equal(rc, k.code);
	if (rc) {
		assert_null(k.material);
		assert_true(err.text[0] != '\0');
	} else {
		assert_int_equal(mock_store_material(f.store, id, want), 0);
		assert_true(secmem_is_secure(k.material));
		assert_memory_equal(k.material, want, sizeof(want));
	}
	provider_keys_clear(&k, 1);
	assert_null(k.material);
	provider_put(p);
	return rc;
}

static int create(char id[PROVIDER_KEY_ID_MAX + 1])
{
	struct provider *p = fixture_get(&f);
	int rc;

	memset(&err, 0, sizeof(err));
	rc = p->ops->create(p, "vm-1", id, &err);
	provider_put(p);
	return rc;
}

/* ---- the ordinary way ------------------------------------------------------------- */

static void test_life_of_a_key(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], **ids;
	struct provider_key k = { .code = 0 };
	struct provider *p = fixture_get(&f);
	size_t n;

	(void)state;
	mock_kmip_script(f.m[0], "pre-active,add-attribute");
	assert_ok(create(id), &err);
	assert_int_equal(mock_store_state(f.store, id), PKS_ACTIVE);
	assert_int_equal(mock_store_attributes(f.store, id), 2);
	assert_ok(get(id), &err);
	assert_ok(p->ops->list(p, &ids, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], id);
	free(ids[0]);
	free(ids);
	assert_ok(p->ops->destroy(p, id, &err), &err);
	assert_int_equal(mock_store_state(f.store, id), PKS_MISSING);
	assert_code(get(id), VMC_ENOKEY, &err);
	assert_contains(err.text, id);
	assert_code(p->ops->destroy(p, id, &err), VMC_ENOKEY, &err);
	snprintf(k.id, sizeof(k.id), "%s", id);
	assert_ok(p->ops->state(p, &k, 1, &err), &err);
	assert_int_equal(k.state, PKS_MISSING);
	/* all of that over one connection */
	assert_int_equal(mock_kmip_connections(f.m[0]), 1);
	provider_put(p);
}

static void test_only_active_keys(void **state)
{
	static const enum provider_key_state states[] = {
		PKS_PRE_ACTIVE, PKS_DEACTIVATED, PKS_COMPROMISED, PKS_DESTROYED,
		PKS_DESTROYED_COMPROMISED,
	};
	struct provider *p = fixture_get(&f);
	struct provider_key k = { .code = 0 };
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	assert_ok(get(id), &err);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		mock_store_set_state(f.store, id, states[i]);
		assert_code(get(id), VMC_EKEYSTATE, &err);
		assert_contains(err.text, provider_key_state_name(states[i]));
		assert_true(err.hint[0] != '\0');
		snprintf(k.id, sizeof(k.id), "%s", id);
		assert_ok(p->ops->state(p, &k, 1, &err), &err);
		assert_int_equal(k.state, states[i]);
	}
	/* one that does not tell is not trusted either */
	mock_store_set_state(f.store, id, PKS_ACTIVE);
	mock_kmip_script(f.m[0], "no-state");
	assert_code(get(id), VMC_EKEYSTATE, &err);
	assert_contains(err.text, "Unknown");
	provider_put(p);
}

static void fetch_many(unsigned int n, unsigned int expect_messages)
{
	struct provider_key *k = calloc(n, sizeof(*k));
	struct provider *p = fixture_get(&f);
	unsigned int before = mock_kmip_requests(f.m[0], 0);
	uint8_t want[PROVIDER_KEY_LEN];

	for (unsigned int i = 0; i < n; i++)
		snprintf(k[i].id, sizeof(k[i].id), "%u", i + 1);
	p->ops->get(p, k, n, &err);
	for (unsigned int i = 0; i < n; i++) {
		if (i % 7 == 3) {
			assert_int_equal(k[i].code, VMC_EKEYSTATE);
			assert_null(k[i].material);
			continue;
		}
		assert_ok(k[i].code, &k[i].err);
		mock_store_material(f.store, k[i].id, want);
		assert_memory_equal(k[i].material, want, sizeof(want));
	}
	assert_int_equal(mock_kmip_requests(f.m[0], 0) - before, expect_messages);
	provider_keys_clear(k, n);
	free(k);
	provider_put(p);
}

static void add_many(unsigned int n)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	for (unsigned int i = 0; i < n; i++)
		mock_store_add(f.store, i % 7 == 3 ? PKS_DEACTIVATED : PKS_ACTIVE, id);
}

static void test_batches(void **state)
{
	(void)state;
	add_many(1000);
	fetch_many(1000, 1 + 32);		/* Discover Versions, and 32 keys at a time */
	assert_int_equal(mock_kmip_connections(f.m[0]), 1);
}

static void test_no_batches(void **state)
{
	(void)state;
	add_many(20);
	mock_kmip_script(f.m[0], "no-batch");
	/* Discover, the batch that is refused, 20 states, and the 17 that are Active */
	fetch_many(20, 1 + 1 + 20 + 17);
	fetch_many(20, 20 + 17);		/* remembered */
}

static void test_hangs_up_on_batches(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	mock_kmip_script(f.m[0], "hangup-batch");
	assert_code(get(id), VMC_EUNREACH, &err);
	assert_code(get(id), VMC_EUNREACH, &err);
	assert_ok(get(id), &err);
}

/* ---- versions --------------------------------------------------------------------------- */

/* @want: the version, or words of the error. */
static void check_version(const char *script, const char *want)
{
	struct provider *p;
	json_t *report, *s;

	fixture_restart(&f, 0, &(struct mock_config){ .script = script });
	p = fixture_get(&f);
	assert_ok(p->ops->test(p, &report, &err), &err);
	s = json_array_get(json_object_get(report, "servers"), 0);
	if (json_is_true(json_object_get(s, "ok")))
		assert_string_equal(json_string_value(json_object_get(s, "version")), want);
	else
		assert_contains(json_string_value(json_object_get(s, "error")), want);
	json_decref(report);
	provider_put(p);
}

static void test_versions(void **state)
{
	(void)state;
	check_version("", "1.4");
	check_version("max-version=11", "1.1");
	check_version("max-version=12", "1.2");
	check_version("max-version=13", "1.3");
	check_version("max-version=20", "2.0");
	check_version("max-version=21", "2.1");
	check_version("min-version=20,max-version=21", "2.1");
	check_version("max-version=11,hangup-version", "1.1");
	check_version("no-discover", "does not tell its KMIP versions");
	check_version("old-error", "does not tell its KMIP versions");
	check_version("drop", "closed the connection");
}

static void test_each_version_works(void **state)
{
	char script[64], id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	for (int v = 11; v <= 21; v++) {
		if (v == 15)
			v = 20;
		snprintf(script, sizeof(script), "max-version=%d,pre-active,add-attribute", v);
		fixture_restart(&f, 0, &(struct mock_config){ .script = script });
		assert_ok(create(id), &err);
		assert_ok(get(id), &err);
		assert_int_equal(mock_store_attributes(f.store, id), 2);
	}
}

/* ---- servers that do wrong ------------------------------------------------------------------ */

static void test_nonsense(void **state)
{
	static const char *const scripts[] = {
		"garbage", "http", "oversize=2147483640", "oversize=1073741824", "oversize=4294967288",
		"wrong-version", "duplicate-item", "wrong-batch-id", "wrong-op", "pending",
		"bad-padding", "wrong-id", "object-type=4", "key-length=16", "key-length=64",
		"algorithm=2", "format=2", "wrapped",
	};
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		assert_ok(get(id), &err);	/* it has recovered from the one before */
		mock_kmip_script(f.m[0], scripts[i]);
		if (get(id) != VMC_EPROTO)
			fail_msg("%s: %s %s", scripts[i], vmc_code_name(err.code), err.text);
		assert_contains(err.text, "127.0.0.1");
		mock_kmip_script(f.m[0], "");
	}
}

static void test_slow_but_right(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	mock_kmip_script(f.m[0], "delay=150");
	assert_ok(get(id), &err);
	mock_kmip_script(f.m[0], "bytewise");
	assert_ok(get(id), &err);
}

/* However slowly it drips, or says nothing at any point: the deadline holds. */
static void test_deadlines(void **state)
{
	static const char *const scripts[] = { "stall", "dribble=50", "delay=2000", "stall-handshake", "tickets" };
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		uint64_t start, took;

		fixture_restart(&f, 0, &(struct mock_config){ .script = scripts[i] });
		start = vmc_now_ms();
		assert_code(get(id), VMC_ETIMEDOUT, &err);
		took = vmc_now_ms() - start;
		assert_contains(err.text, "in time");
		if (took < 350 || took > 1500)
			fail_msg("%s: %llu ms instead of 400", scripts[i], (unsigned long long)took);
	}
}

/* The connection cut after every single byte of the reply. */
static void test_cut_everywhere(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], script[64];
	int n = 0;

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	assert_ok(get(id), &err);
	do {
		snprintf(script, sizeof(script), "cut=%d,cut-op=%d", ++n, KMIP_GET_ATTRIBUTES);
		mock_kmip_script(f.m[0], script);
		if (!get(id))
			break;
		assert_int_equal(err.code, VMC_EUNREACH);
		assert_contains(err.text, "closed the connection");
	} while (n < 2000);
	/* a server that hung up twice gets single requests, so the reply grew shorter on the way */
	assert_in_range(n, 200, 1000);
	mock_kmip_script(f.m[0], "");
	assert_ok(get(id), &err);
}

/* The same with a second server: the caller never notices. */
static void test_cut_everywhere_failover(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], script[64];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	for (int n = 1; n < 700; n += 1) {
		/* whichever is the primary by now */
		snprintf(script, sizeof(script), "cut=%d,cut-op=%d,cut-times=1", n, KMIP_GET_ATTRIBUTES);
		mock_kmip_script(f.m[0], script);
		assert_ok(get(id), &err);
	}
}

/* A Create that was cut off anywhere leaves one key, not two. */
static void test_create_is_not_doubled(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], script[64];
	unsigned int made = 0;

	(void)state;
	for (int n = 1; n < 300; n += 7) {
		snprintf(script, sizeof(script), "cut=%d,cut-op=%d,cut-times=1", n, KMIP_CREATE);
		mock_kmip_script(f.m[0], script);
		mock_kmip_script(f.m[1], "");
		assert_ok(create(id), &err);
		assert_int_equal(mock_store_count(f.store), ++made);
		assert_ok(get(id), &err);
	}
}

static void test_create_states(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_kmip_script(f.m[0], "no-app-info");
	assert_ok(create(id), &err);
	mock_kmip_script(f.m[0], "pre-active");
	assert_ok(create(id), &err);
	assert_int_equal(mock_store_state(f.store, id), PKS_ACTIVE);
	/* a server that lets nobody activate: the error names the key that stays */
	mock_kmip_script(f.m[0], "pre-active,fail-op=18,fail-reason=12");
	assert_code(create(id), VMC_EREFUSED, &err);
	assert_contains(err.text, "Pre-Active");
	assert_contains(err.hint, "key '3'");
	mock_kmip_script(f.m[0], "fail-op=1,fail-reason=12");
	assert_code(create(id), VMC_EREFUSED, &err);
	assert_contains(err.text, "Permission Denied");
}

static void test_lost_connections(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	assert_ok(get(id), &err);
	/* the idle connection is gone, the server is not */
	fixture_restart(&f, 0, NULL);
	assert_ok(get(id), &err);
	fixture_kill(&f, 0);
	assert_code(get(id), VMC_EUNREACH, &err);
	assert_contains(err.text, "127.0.0.1");
	fixture_restart(&f, 0, NULL);
	assert_ok(get(id), &err);
}

/* ---- failover --------------------------------------------------------------------------------- */

static void test_failover(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	uint64_t start;

	(void)state;
	assert_ok(create(id), &err);
	assert_int_equal(mock_kmip_connections(f.m[1]), 0);	/* the first one is the primary */
	fixture_kill(&f, 0);
	assert_ok(get(id), &err);
	assert_int_equal(mock_kmip_connections(f.m[1]), 1);
	fixture_kill(&f, 1);
	assert_code(get(id), VMC_EUNREACH, &err);
	assert_contains(err.text, "no server of provider 'kms'");
	fixture_restart(&f, 0, NULL);
	fixture_restart(&f, 1, NULL);
	/* both are in backoff, and somebody wants an answer: it is tried at once */
	start = vmc_now_ms();
	assert_ok(get(id), &err);
	assert_in_range(vmc_now_ms() - start, 0, 1000);
	/* the one that answered stays the primary */
	fixture_restart(&f, 0, NULL);
	assert_ok(get(id), &err);
}

/* The first server takes the connection and then says nothing: the second has its share of the time. */
static void test_failover_from_a_stall(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	uint64_t start;

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	mock_kmip_script(f.m[0], "stall");
	start = vmc_now_ms();
	assert_ok(get(id), &err);
	assert_in_range(vmc_now_ms() - start, 1000, 2900);
	/* it is passed over now */
	start = vmc_now_ms();
	assert_ok(get(id), &err);
	assert_in_range(vmc_now_ms() - start, 0, 500);
}

/* A key that one server lacks may not have been replicated to it yet. */
static void test_lagging_replica(void **state)
{
	struct mock_store *behind = mock_store_new();
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	fixture_restart(&f, 0, &(struct mock_config){ .store = behind });
	assert_ok(get(id), &err);
	/* gone from all: that is said; gone from one and the other out of reach: that, too */
	assert_code(get("99"), VMC_ENOKEY, &err);
	fixture_kill(&f, 1);
	assert_code(get(id), VMC_ENOKEY, &err);
	assert_contains(err.hint, "not every server could be asked");
	fixture_kill(&f, 0);
	mock_store_free(behind);
}

static void test_trouble_of_one_server(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	mock_kmip_script(f.m[0], "fail-op=1,fail-reason=256");
	assert_ok(create(id), &err);		/* General Failure: the other one is asked */
	mock_kmip_script(f.m[0], "fail-op=1,fail-reason=12");
	mock_kmip_script(f.m[1], "fail-op=1,fail-reason=12");
	assert_code(create(id), VMC_EREFUSED, &err);	/* a "no" is a "no" */
}

/* ---- certificates -------------------------------------------------------------------------------- */

static void with_cert(const char *cert, int code, const char *text)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	mock_store_add(f.store, PKS_ACTIVE, id);
	fixture_restart(&f, 0, &(struct mock_config){ .cert = cert });
	assert_code(get(id), code, &err);
	if (code) {
		assert_contains(err.text, text);
		assert_true(err.hint[0] != '\0');
	}
}

static void test_server_certificates(void **state)
{
	(void)state;
	with_cert("server", 0, NULL);
	with_cert("expired", VMC_ETRUST, "expired 2 days ago");
	with_cert("early", VMC_ETRUST, "not valid yet");
	with_cert("other-name", VMC_ETRUST, "another name than '127.0.0.1'");
	with_cert("stranger", VMC_ETRUST, "no CA that is trusted here");
	with_cert("self", VMC_ETRUST, "no CA that is trusted here");
}

static void test_client_certificates(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	for (int tls12 = 0; tls12 < 2; tls12++) {
		fixture_restart(&f, 0, &(struct mock_config){ .tls12_only = tls12,
							      .tls13_only = !tls12 });
		fixture_file(&f, "client.pem", "foreign.pem");
		fixture_file(&f, "client.key", "foreign.key");
		assert_code(get(id), VMC_ETRUST, &err);
		assert_contains(err.text, "refused this host's client certificate 'CN=host-x'");
		assert_contains(err.text, "unknown CA");
		fixture_file(&f, "client.pem", "client-expired.pem");
		fixture_file(&f, "client.key", "client-expired.key");
		assert_code(get(id), VMC_ETRUST, &err);
		assert_contains(err.text, "certificate expired");
		fixture_file(&f, "client.pem", "client.pem");
		fixture_file(&f, "client.key", "client.key");
		assert_ok(get(id), &err);
	}
}

static void test_pins(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	json_t *args, *result, *chain;
	const char *fp;

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	fixture_restart(&f, 0, &(struct mock_config){ .cert = "self" });
	assert_code(get(id), VMC_ETRUST, &err);
	assert_ok(providers_trust(f.ps, "kms", "show", NULL, &result, &err), &err);
	chain = json_object_get(json_array_get(json_object_get(result, "servers"), 0), "chain");
	fp = json_string_value(json_object_get(json_array_get(chain, 0), "sha256"));
	assert_non_null(fp);
	/* the public key's will do as well, and outlives a renewal */
	for (int spki = 0; spki < 2; spki++) {
		const char *v = json_string_value(json_object_get(json_array_get(chain, 0),
								  spki ? "spki_sha256" : "sha256"));

		args = json_pack("{s:o, s:b}", "fingerprint",
				 json_sprintf(spki ? "spki:%s" : "%s", v), "replace", 1);
		json_t *none = NULL;

		assert_ok(providers_trust(f.ps, "kms", "pin", args, &none, &err), &err);
		json_decref(none);
		json_decref(args);
		assert_ok(get(id), &err);	/* self-signed, expired, another name: pinned all the same */
	}
	json_decref(result);
	/* a pin of another certificate, and no CA that could help */
	fixture_restart(&f, 0, &(struct mock_config){ .cert = "stranger" });
	assert_code(get(id), VMC_ETRUST, &err);
	/* the CA still counts */
	fixture_restart(&f, 0, NULL);
	assert_ok(get(id), &err);
	remove(fixture_path(f.dir, "providers/kms/ca.pem"));
	assert_code(get(id), VMC_ETRUST, &err);
	assert_contains(err.text, "not the one that is pinned");
	assert_contains(err.hint, "pin --fingerprint");
}

static void test_not_tls(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	fixture_restart(&f, 0, &(struct mock_config){ .script = "plain" });
	assert_code(get(id), VMC_EPROTO, &err);
	assert_contains(err.text, "does not speak TLS");
}

static int strict(void **state)
{
	(void)state;
	return setup_n(1, "{\"tls_min\": \"1.3\"}");
}

static void test_tls_floor(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	assert_ok(get(id), &err);
	fixture_restart(&f, 0, &(struct mock_config){ .tls12_only = 1 });
	assert_code(get(id), VMC_EPROTO, &err);
	assert_contains(err.text, "no TLS version or cipher in common");
	fixture_restart(&f, 0, &(struct mock_config){ .tls13_only = 1 });
	assert_ok(get(id), &err);
}

/* ---- many at once ------------------------------------------------------------------------------------- */

static void *hammer(void *data)
{
	struct provider_key k = { .code = 0 };
	struct provider *p = fixture_get(&f);
	struct vmc_error e;
	long bad = 0;

	for (int i = 0; i < 60; i++) {
		snprintf(k.id, sizeof(k.id), "%d", 1 + (int)(intptr_t)data);
		if (p->ops->get(p, &k, 1, &e))
			bad++;
		provider_keys_clear(&k, 1);
	}
	provider_put(p);
	return (void *)bad;
}

static void test_threads(void **state)
{
	pthread_t t[16];
	char id[PROVIDER_KEY_ID_MAX + 1];
	void *bad;

	(void)state;
	for (int i = 0; i < 16; i++)
		mock_store_add(f.store, PKS_ACTIVE, id);
	for (int i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, (void *)(intptr_t)i), 0);
	for (int i = 0; i < 16; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_in_range(mock_kmip_connections(f.m[0]), 1, 4);	/* few connections */
}

static void test_report(void **state)
{
	struct provider *p = fixture_get(&f);
	json_t *r, *s;

	(void)state;
	fixture_kill(&f, 1);
	assert_ok(p->ops->test(p, &r, &err), &err);
	assert_true(json_is_true(json_object_get(r, "reachable")));
	s = json_array_get(json_object_get(r, "servers"), 0);
	assert_true(json_is_true(json_object_get(s, "ok")));
	assert_string_equal(json_string_value(json_object_get(s, "vendor")), "mock");
	assert_int_equal(json_integer_value(json_object_get(s, "cert_days_left")), 90);
	assert_string_equal(json_string_value(json_object_get(s, "tls")), "TLSv1.3");
	s = json_array_get(json_object_get(r, "servers"), 1);
	assert_false(json_is_true(json_object_get(s, "ok")));
	assert_contains(json_string_value(json_object_get(s, "error")), "cannot connect");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "client_cert"),
							    "days_left")), 90);
	assert_int_equal(json_array_size(json_object_get(r, "warnings")), 1);
	json_decref(r);
	fixture_kill(&f, 0);
	assert_ok(p->ops->test(p, &r, &err), &err);
	assert_false(json_is_true(json_object_get(r, "reachable")));
	json_decref(r);
	provider_put(p);
}

#define T(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life_of_a_key, one), T(test_only_active_keys, one), T(test_batches, one),
		T(test_no_batches, one), T(test_hangs_up_on_batches, one), T(test_versions, one),
		T(test_each_version_works, one), T(test_nonsense, one), T(test_slow_but_right, one),
		T(test_deadlines, impatient), T(test_cut_everywhere, one),
		T(test_cut_everywhere_failover, two), T(test_create_is_not_doubled, two),
		T(test_create_states, one), T(test_lost_connections, one), T(test_failover, two),
		T(test_failover_from_a_stall, two), T(test_lagging_replica, two),
		T(test_trouble_of_one_server, two), T(test_server_certificates, one),
		T(test_client_certificates, one), T(test_pins, one), T(test_not_tls, one),
		T(test_tls_floor, strict), T(test_threads, one), T(test_report, two),
	};

	/* a SIGPIPE would end the program: that is one of the tests */
	signal(SIGPIPE, SIG_DFL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
