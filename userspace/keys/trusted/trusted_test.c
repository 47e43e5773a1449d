// SPDX-License-Identifier: GPL-2.0-or-later
/* A trusted provider against two authorities: enrolment, attestation, keys, and each thing that may go wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "../cache.h"
#include "mock_vmk.h"
#include "mock_authority.h"

static struct mock_authority m;
static struct vmc_config cfg;
static struct vmc_error err;
static struct providers *ps;
static struct provider *p;
static char *dir, told[128];

static void on_told(const char *provider, const char *what, const struct vmc_error *why, const char *correlation,
		    void *data)
{
	(void)data;
	assert_string_equal(provider, "ta");
	assert_true(strcmp(what, "passed") ? 1 : !why && strlen(correlation) == 16);
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s ", what);
}

static int add(const char *name, const char *cluster, int serial, const char *address)
{
	char *info = mock_services_info(cluster, serial, address);
	json_t *o = json_pack("{s:s}", "services_info", info);
	int rc;

	err = (struct vmc_error)VMC_ERROR_INIT;
	rc = providers_add_trusted(ps, name, o, &err);
	json_decref(o);
	free(info);
	return rc;
}

static int setup(void **state)
{
	(void)state;
	memset(&err, 0, sizeof(err));
	told[0] = '\0';
	assert_ok(secmem_init(1 << 20, &err), &err);
	dir = test_mkdir();
	memset(&cfg, 0, sizeof(cfg));
	snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s/config", dir);
	snprintf(cfg.state_dir, sizeof(cfg.state_dir), "%s/state", dir);
	cfg.connect_timeout_ms = cfg.request_timeout_ms = 1000;
	mock_authority_start(&m);
	agent_set_hook(&(struct agent_hook){ on_told, NULL });
	assert_ok(providers_open(&ps, &cfg, &err), &err);
	assert_ok(add("ta", "ta", 3, "ta1"), &err);
	assert_ok(providers_get(ps, "ta", &p, &err), &err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	provider_put(p);
	providers_close(ps);
	agent_set_hook(NULL);
	mock_authority_stop(&m);
	test_rmdir(dir);
	return 0;
}

/* As after a restart of vmcryptd. */
static void restart(void)
{
	provider_put(p);
	providers_close(ps);
	assert_ok(providers_open(&ps, &cfg, &err), &err);
	assert_ok(providers_get(ps, "ta", &p, &err), &err);
}

static const char *status_of(const char *member)
{
	static char text[256];
	json_t *o;
	const json_t *v;

	assert_ok(trusted_status(p, &o, &err), &err);
	v = json_object_get(o, member);
	if (json_is_string(v))
		snprintf(text, sizeof(text), "%s", json_string_value(v));
	else if (json_is_boolean(v))
		snprintf(text, sizeof(text), "%s", json_is_true(v) ? "true" : "false");
	else
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	json_decref(o);
	return text;
}

static void new_key(struct provider_key *k)
{
	memset(k, 0, sizeof(*k));
	assert_ok(p->ops->create(p, "vm web", k->id, &err), &err);
}

static int get(struct provider_key *k)
{
	err = (struct vmc_error)VMC_ERROR_INIT;
	return p->ops->get(p, k, 1, &err);
}

/* ---- the way that all goes well ------------------------------------------------- */

static void test_enrol_attest_key(void **state)
{
	struct provider_key k;

	(void)state;
	assert_string_equal(status_of("state"), "unknown");
	new_key(&k);
	assert_string_equal(m.k[0].label, "vm web");
	assert_ok(get(&k), &err);
	assert_memory_equal(k.material, m.k[0].material, 32);
	assert_true(secmem_is_secure(k.material));
	assert_int_equal(k.state, PKS_ACTIVE);
	assert_int_equal(m.enrolled, 1);
	assert_int_equal(m.attested, 1);	/* one token for both */
	assert_true(m.host[0]);
	assert_string_equal(told, "passed ");
	assert_string_equal(status_of("state"), "attested");
	assert_string_equal(status_of("authority"), "ta1");
	/* by this host's clock, whatever the authority's is */
	assert_true(llabs(strtoll(status_of("attested_until"), NULL, 10) - vmc_time() - 290) < 5);
	provider_keys_clear(&k, 1);
}

static void test_receipts_outlive_restart(void **state)
{
	(void)state;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_false(m.had_boot_receipt);
	restart();
	assert_string_equal(status_of("state"), "enrolled");
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_int_equal(m.enrolled, 1);
	assert_true(m.had_boot_receipt);
	assert_ok(trusted_attest(p, AGENT_IF_DUE, &err), &err);
	assert_int_equal(m.attested, 2);
	assert_ok(trusted_attest(p, AGENT_ENROL, &err), &err);
	assert_int_equal(m.enrolled, 2);
	assert_int_equal(m.attested, 3);
}

static void test_damaged_receipts(void **state)
{
	char path[512];

	(void)state;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	snprintf(path, sizeof(path), "%s/trust/ta/ak.receipt", cfg.state_dir);
	test_write(path, "a\xff", 2);
	snprintf(path, sizeof(path), "%s/trust/ta/boot.receipt", cfg.state_dir);
	test_write(path, "", 0);
	restart();
	assert_string_equal(status_of("state"), "unknown");
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_int_equal(m.enrolled, 2);
	assert_false(m.had_boot_receipt);
}

static void test_states_list_destroy(void **state)
{
	struct provider_key k[3];
	char **ids;
	size_t n;

	(void)state;
	new_key(&k[0]);
	new_key(&k[1]);
	memset(&k[2], 0, sizeof(k[2]));
	snprintf(k[2].id, sizeof(k[2].id), "nobody");
	m.k[1].state = "Deactivated";
	m.k[1].code = "KeyNotActive";
	assert_code(p->ops->get(p, k, 3, &err), VMC_EKEYSTATE, &err);
	assert_int_equal(k[0].code, 0);
	assert_non_null(k[0].material);
	assert_int_equal(k[1].code, VMC_EKEYSTATE);
	assert_string_equal(k[1].err.hint, "reactivate it");
	assert_null(k[1].material);
	assert_int_equal(k[2].code, VMC_ENOKEY);
	provider_keys_clear(k, 3);
	p->ops->state(p, k, 3, &err);
	assert_int_equal(k[0].state, PKS_ACTIVE);
	assert_null(k[0].material);
	assert_int_equal(k[1].state, PKS_DEACTIVATED);
	assert_ok(p->ops->list(p, &ids, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_string_equal(ids[1], "k-1");
	while (n)
		free(ids[--n]);
	free(ids);
	assert_ok(p->ops->destroy(p, "k-0", &err), &err);
	assert_code(p->ops->destroy(p, "nobody", &err), VMC_ENOKEY, &err);
	assert_code(get(&k[0]), VMC_ENOKEY, &err);
	provider_keys_clear(k, 1);
}

/* ---- authorities that are not there ------------------------------------------------ */

static void test_the_other_serves(void **state)
{
	struct provider_key k;

	(void)state;
	m.attest_down[0] = m.kmx_down[0] = true;
	new_key(&k);
	assert_ok(get(&k), &err);
	assert_string_equal(status_of("authority"), "ta2");
	assert_int_equal(m.asked[0] + m.kmx_asked[0], 0);
	provider_keys_clear(&k, 1);
	/* and it stays with the one that answered */
	m.attest_down[0] = m.kmx_down[0] = false;
	assert_ok(get(&k), &err);
	assert_int_equal(m.kmx_asked[0], 0);
	provider_keys_clear(&k, 1);
	m.kmx_down[1] = true;
	assert_ok(get(&k), &err);
	assert_int_equal(m.kmx_asked[0], 1);
	provider_keys_clear(&k, 1);
}

static void test_nobody_answers(void **state)
{
	struct provider_key k;
	json_t *report;

	(void)state;
	new_key(&k);
	m.attest_down[0] = m.attest_down[1] = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EUNREACH, &err);
	assert_string_equal(status_of("state"), "attested");	/* until it ends */
	assert_ok(get(&k), &err);
	provider_keys_clear(&k, 1);
	assert_ok(p->ops->test(p, &report, &err), &err);
	assert_true(json_is_true(json_object_get(report, "reachable")));
	assert_null(json_object_get(report, "error"));
	assert_int_equal(json_array_size(json_object_get(report, "servers")), 4);
	json_decref(report);
	m.kmx_down[0] = m.kmx_down[1] = true;
	assert_code(get(&k), VMC_EUNREACH, &err);
	m.no_tokens = true;	/* not even that token is there */
	m.kmx_down[0] = false;
	assert_code(get(&k), VMC_EUNREACH, &err);
	assert_string_equal(status_of("state"), "unknown");
	assert_string_equal(status_of("reason"), REASON_UNAVAILABLE);
	assert_string_equal(told, "passed unset ");
	assert_ok(p->ops->test(p, &report, &err), &err);
	assert_string_equal(json_string_value(json_object_get(report, "code")), "ProviderUnreachable");
	json_decref(report);
}

static void test_nonsense(void **state)
{
	(void)state;
	m.nonsense = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EPROTO, &err);
	assert_contains(err.text, "no credential (correlation ");
	m.nonsense = false;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	m.nonsense = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EPROTO, &err);
	m.nonsense = false;
	m.no_lease = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EPROTO, &err);
	m.no_lease = false;
	m.backwards = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EPROTO, &err);
	m.backwards = false;
	m.lifetime = 5;		/* over before it begins */
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_EPROTO, &err);
}

/* Nobody thinks that this host was refused: it is the key server that says no, through the authorities. */
static void test_key_server_says_no(void **state)
{
	struct provider_key k;
	json_t *report, *o;

	(void)state;
	new_key(&k);
	m.kms_code = VMC_EUNREACH;
	m.kms_of_first = true;		/* the other authority can use it */
	assert_ok(get(&k), &err);
	provider_keys_clear(&k, 1);
	m.kms_of_first = false;
	assert_code(get(&k), VMC_EUNREACH, &err);
	m.kms_code = VMC_EREFUSED;
	assert_code(get(&k), VMC_EREFUSED, &err);
	assert_contains(err.text, "the key server says no");
	m.kms_code = VMC_EPERM;		/* the authority's trouble, not that of who asks here */
	assert_code(get(&k), VMC_EREFUSED, &err);
	m.kmx_down[0] = m.kmx_down[1] = true;
	assert_code(get(&k), VMC_EUNREACH, &err);
	m.kmx_down[1] = false;		/* what it says counts, and not that the other says nothing */
	assert_code(get(&k), VMC_EREFUSED, &err);
	m.kmx_down[0] = false;
	assert_string_equal(status_of("state"), "attested");
	assert_string_equal(told, "passed ");
	assert_ok(p->ops->test(p, &report, &err), &err);
	assert_false(json_is_true(json_object_get(report, "reachable")));
	o = json_array_get(json_object_get(report, "servers"), 1);
	assert_false(json_is_true(json_object_get(o, "ok")));
	assert_contains(json_string_value(json_object_get(o, "error")), "cannot use its key provider 'kms': the key server is away");
	json_decref(report);
	m.kms_code = 0;
	m.k[0].code = "NotAuthorized";	/* of one key */
	m.k[0].state = "Unknown";
	assert_code(get(&k), VMC_EREFUSED, &err);
	/* a token that no service takes: that is about this host */
	m.no_token_ever = true;
	m.k[0].code = NULL;
	assert_code(get(&k), VMC_ENOTATTESTED, &err);
	provider_keys_clear(&k, 1);
}

/* ---- authorities that say no --------------------------------------------------------- */

static void test_not_trusted(void **state)
{
	struct provider_key k;
	json_t *report, *o;

	(void)state;
	new_key(&k);
	m.reason = REASON_POLICY_MISMATCH;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_ENOTATTESTED, &err);
	assert_contains(err.text, "PCR 4 differs");
	assert_contains(err.hint, "vmcrypt trust host-image export");
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_ENOTATTESTED, &err);
	assert_string_equal(told, "passed failed ");		/* not twice for the same */
	assert_string_equal(status_of("state"), "failed");
	assert_string_equal(status_of("reason"), REASON_POLICY_MISMATCH);
	assert_ok(trusted_status(p, &o, &err), &err);
	assert_int_equal(json_array_size(json_object_get(json_object_get(o, "details"), "pcrs")), 1);
	json_decref(o);
	assert_code(get(&k), VMC_ENOTATTESTED, &err);	/* its token is gone, too */
	assert_contains(err.text, "PCR 4 differs");
	assert_int_equal(k.code, VMC_ENOTATTESTED);
	assert_ok(p->ops->test(p, &report, &err), &err);
	assert_string_equal(json_string_value(json_object_get(report, "code")), "NotAttested");
	assert_false(json_is_true(json_object_get(report, "reachable")));
	json_decref(report);
	/* one refuses and the other is away: still a refusal */
	m.attest_down[0] = true;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_ENOTATTESTED, &err);
	m.reason = REASON_QUICK_BOOT;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_ENOTATTESTED, &err);
	assert_contains(err.hint, "reboot this host in full");
	m.reason = NULL;
	assert_ok(get(&k), &err);
	assert_string_equal(told, "passed failed failed passed ");
	provider_keys_clear(&k, 1);
}

static void test_what_mends_itself(void **state)
{
	struct provider_key k;

	(void)state;
	new_key(&k);
	m.reason = REASON_AK_UNKNOWN;		/* once: the receipt is of another cluster key */
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_int_equal(m.enrolled, 2);
	m.other_ak = true;			/* the TPM was cleared */
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_int_equal(m.enrolled, 3);
	m.reason = REASON_NONCE_EXPIRED;
	m.reason_times = 1;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	m.reason = REASON_RESET_COUNT_CHANGED;
	m.reason_times = 1;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	assert_false(m.had_boot_receipt);
	m.no_tokens = true;			/* the service's clock is ahead of ours */
	assert_ok(get(&k), &err);
	provider_keys_clear(&k, 1);
	assert_int_equal(m.enrolled, 3);
}

static void test_no_tpm(void **state)
{
	(void)state;
	m.tpm = VMC_ENOTPM;
	assert_code(trusted_attest(p, AGENT_NOW, &err), VMC_ENOTPM, &err);
	assert_string_equal(status_of("state"), "failed");
	assert_string_equal(status_of("enrolled"), "false");
	assert_string_equal(told, "failed ");
}

static void test_key_for_another(void **state)
{
	struct provider_key k;

	(void)state;
	new_key(&k);
	m.foreign_key = true;
	assert_code(get(&k), VMC_EAUTH, &err);
	assert_null(k.material);
}

/* ---- leases ----------------------------------------------------------------------------- */

static void test_lease(void **state)
{
	struct vmk *k = calloc(1, sizeof(*k));
	char id[VMK_KEK_ID_MAX + 1];

	(void)state;
	m.lease = 120;
	assert_ok(cache_create(k, ps, "ta", "web", id, NULL, &err), &err);
	assert_string_equal(id, "ta/k-0");
	assert_int_equal(k->keks[0].lease_left, 120);
	assert_string_equal(status_of("lease"), "120");
	k->keks[0].lease_left = 7;
	assert_int_equal(cache_renew(k, p), 1);
	assert_int_equal(k->keks[0].lease_left, 120);
	k->keks[0].lease_left = 7;
	m.reason = REASON_POLICY_MISMATCH;
	trusted_attest(p, AGENT_NOW, &err);
	assert_int_equal(cache_renew(k, p), 0);
	assert_int_equal(k->keks[0].lease_left, 7);	/* it will end */
	k->in_use = "ta/k-0";				/* by a VM that runs */
	assert_int_equal(cache_drop(k, "ta"), 0);
	assert_int_equal(cache_drop(k, "t"), 0);
	k->in_use = NULL;
	assert_int_equal(cache_drop(k, "ta"), 1);
	assert_int_equal(k->n, 0);
	free(k);
}

/* What is in the kernel is of no use to a host that is refused, also if nobody has taken it out yet. */
static void test_cached_but_refused(void **state)
{
	struct vmk *k = calloc(1, sizeof(*k));
	struct kek_need need = { .id = "ta/k-0" };

	(void)state;
	assert_ok(cache_create(k, ps, "ta", "web", need.id, NULL, &err), &err);
	assert_ok(cache_ensure(k, ps, &need, 1, &err), &err);
	assert_true(need.was_cached);
	m.attest_down[0] = m.attest_down[1] = true;	/* nobody answers: that is no refusal */
	trusted_attest(p, AGENT_NOW, &err);
	assert_ok(cache_ensure(k, ps, &need, 1, &err), &err);
	m.attest_down[0] = m.attest_down[1] = false;
	m.reason = REASON_POLICY_MISMATCH;
	trusted_attest(p, AGENT_NOW, &err);
	k->in_use = need.id;				/* by a VM that runs */
	assert_ok(cache_ensure(k, ps, &need, 1, &err), &err);
	k->in_use = NULL;
	assert_code(cache_ensure(k, ps, &need, 1, &err), VMC_ENOTATTESTED, &err);
	assert_true(need.trusted);
	assert_contains(need.err.text, "PCR 4 differs");
	assert_int_equal(k->n, 0);
	m.reason = NULL;				/* imported: it is asked for anew */
	assert_ok(cache_ensure(k, ps, &need, 1, &err), &err);
	assert_false(need.was_cached);
	free(k);
}

/* ---- adding one ---------------------------------------------------------------------------- */

static void test_add_and_renew(void **state)
{
	json_t *list, *o;

	(void)state;
	assert_code(add("ta", "tb", 9, "ta1"), VMC_EEXIST, &err);
	assert_code(add("ta", "ta", 2, "ta1"), VMC_EREPLAY, &err);
	assert_ok(add("ta", "ta", 4, "ta9:77"), &err);
	assert_ok(providers_list(ps, &list, &err), &err);
	o = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(o, "kind")), "trusted");
	assert_string_equal(json_string_value(json_object_get(o, "state")), "unknown");
	assert_string_equal(json_string_value(json_object_get(o, "key_provider")), "kms");
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "servers"), 0)), "ta9:77");
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "servers"), 1)), "ta2:5701");
	json_decref(list);
	o = json_pack("{s:s}", "services_info", "{\"v\":1}");
	assert_code(providers_add_trusted(ps, "x", o, &err), VMC_EINVAL, &err);
	json_decref(o);
	o = json_pack("{s:s, s:b}", "services_info", "{\"v\":1}", "shine", 1);
	assert_code(providers_add_trusted(ps, "x", o, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "'shine'");
	json_decref(o);
}

static void test_remove_forgets(void **state)
{
	char path[512];

	(void)state;
	assert_ok(trusted_attest(p, AGENT_NOW, &err), &err);
	snprintf(path, sizeof(path), "%s/trust/ta/ak.receipt", cfg.state_dir);
	assert_int_equal(access(path, F_OK), 0);
	assert_ok(providers_remove(ps, "ta", &err), &err);
	assert_int_equal(access(path, F_OK), -1);
	assert_string_equal(told, "passed unset ");
}

static void test_info(void **state)
{
	char *info = mock_services_info("ta", 1, "ta1"), *bad, *text;
	struct trusted_conf c, again;
	char path[512];

	(void)state;
	assert_ok(trusted_conf_from_info(&c, "other", info, strlen(info), &err), &err);
	assert_string_equal(c.key_provider, "other");	/* its namesake */
	assert_ok(trusted_conf_from_info(&c, "x", info, strlen(info), &err), &err);
	assert_string_equal(c.key_provider, "kms");	/* the default one */
	assert_int_equal(c.n, 2);
	text = trusted_conf_text(&c);
	snprintf(path, sizeof(path), "%s/conf", dir);
	test_write_text(path, text);
	assert_ok(trusted_conf_load(&again, path, &err), &err);
	assert_memory_equal(&again, &c, sizeof(c));
	free(text);
	/* whatever is cut off or not as it should be, all of it is refused */
	for (size_t n = 0; n < strlen(info); n += 7)
		assert_code(trusted_conf_from_info(&c, "x", info, n, &err), VMC_EINVAL, &err);
	bad = strdup(info);
	strstr(bad, "ta2")[2] = '1';
	assert_code(trusted_conf_from_info(&c, "x", bad, strlen(bad), &err), VMC_EINVAL, &err);
	assert_contains(err.text, "twice");
	free(bad);
	free(info);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = { "", ":1", "a:", "a:0", "a:65536", "a:1x", "[::1", "a b", "[::1]5", "a\n" };
	struct trusted_server s;
	char text[TRUSTED_HOST_MAX + 16];

	(void)state;
	assert_ok(trusted_server_parse("[::1]:9", 5, &s, &err), &err);
	assert_string_equal(s.host, "::1");
	trusted_server_text(&s, text);
	assert_string_equal(text, "[::1]:9");
	assert_ok(trusted_server_parse("h.example", 5, &s, &err), &err);
	assert_int_equal(s.port, 5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(trusted_server_parse(bad[i], 5, &s, &err), VMC_EINVAL, &err);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_enrol_attest_key), T(test_receipts_outlive_restart), T(test_damaged_receipts),
		T(test_states_list_destroy),
		T(test_the_other_serves), T(test_nobody_answers), T(test_key_server_says_no), T(test_nonsense),
		T(test_not_trusted),
		T(test_what_mends_itself), T(test_no_tpm), T(test_key_for_another), T(test_lease), T(test_cached_but_refused),
		T(test_add_and_renew), T(test_remove_forgets), T(test_info), T(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
