// SPDX-License-Identifier: GPL-2.0-or-later
/* Key persistence between a mock key server, a mock kernel and a real software TPM. */
#include "../persist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/swtpm.h"
#include "../../testing/testing.h"
#include "../cache.h"
#include "../tpm/recovery.h"
#include "mock_fixture.h"
#include "mock_vmk.h"

#define NV 0x1b0c2e0

static struct {
	struct fixture f;
	struct swtpm tpm;
	struct vmc_config cfg;
	struct vmk *k;
	struct persist *p;
	json_t *out;
	struct vmc_error err;
	unsigned int faults, wells;
	struct vmc_error fault;
} w;

static void on_fault(const struct vmc_error *err, void *data)
{
	(void)data;
	if (err) {
		w.faults++;
		w.fault = *err;
	} else {
		w.wells++;
	}
}

static void start_helper(void)
{
	const struct persist_hooks hooks = { on_fault, NULL };

	assert_ok(persist_open(&w.p, &w.cfg, w.f.ps, &w.err), &w.err);
	persist_set_hooks(w.p, &hooks);
	w.faults = w.wells = 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	fixture_start(&w.f, 1);
	fixture_provider(&w.f, NULL);
	swtpm_start(&w.tpm, w.f.dir, "tpm");
	w.cfg = w.f.cfg;
	snprintf(w.cfg.state_dir, sizeof(w.cfg.state_dir), "%.200s/state", w.f.dir);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", w.tpm.tcti);
	strcpy(w.cfg.tpm_bank, "sha256");
	w.cfg.tpm_pcrs = 1 << 7;
	w.cfg.tpm_nv_index = NV;
	w.k = calloc(1, sizeof(*w.k));
	start_helper();
	return w.k ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(w.out);
	persist_close(w.p);
	free(w.k);
	swtpm_stop(&w.tpm, 0);
	fixture_stop(&w.f);
	return 0;
}

static void take(json_t **out)
{
	json_decref(w.out);
	w.out = *out;
	*out = NULL;
}

static json_int_t number(const char *key)
{
	return json_integer_value(json_object_get(w.out, key));
}

static const char *words(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void enable(json_int_t stored)
{
	json_t *out = NULL;

	assert_ok(persist_enable(w.p, w.k, &out, &w.err), &w.err);
	take(&out);
	assert_int_equal(number("stored"), stored);
}

static void reseal(const char *recovery, bool new_tpm)
{
	json_t *out = NULL;

	assert_ok(persist_reseal(w.p, w.k, recovery, new_tpm, &out, &w.err), &w.err);
	take(&out);
}

static void status(void)
{
	json_t *out = NULL;

	assert_ok(persist_status(w.p, &out, &w.err), &w.err);
	take(&out);
}

/* The host loses its keys; the same one starts again. */
static size_t reboot_host(void)
{
	persist_close(w.p);
	memset(w.k, 0, sizeof(*w.k));
	swtpm_reboot(&w.tpm);
	start_helper();
	return persist_restore(w.p, w.k);
}

static void make_keys(unsigned int n)
{
	char id[VMK_KEK_ID_MAX + 1];
	uint8_t kcv[VMK_KCV_LEN];

	while (n--)
		assert_ok(cache_create(w.k, w.f.ps, NULL, "vm", id, kcv, &w.err), &w.err);
}

static void assert_cached(const char *id, const uint8_t kcv[VMK_KCV_LEN])
{
	struct vmk_kek kek;

	assert_ok(vmk_kek_get(w.k, id, &kek, &w.err), &w.err);
	assert_memory_equal(kek.kcv, kcv, VMK_KCV_LEN);
}

/* ---- tests --------------------------------------------------------------------- */

static void off_by_default(void **state)
{
	(void)state;
	make_keys(1);
	assert_int_equal(reboot_host(), 0);
	assert_int_equal(access(test_path(w.cfg.state_dir, "persist"), F_OK), -1);
	assert_int_equal(w.faults, 0);
	status();
	assert_false(json_is_true(json_object_get(w.out, "enabled")));
	assert_true(json_is_true(json_object_get(json_object_get(w.out, "tpm"), "present")));
	assert_code(persist_reseal(w.p, w.k, NULL, false, &w.out, &w.err), VMC_ESTATE, &w.err);
	assert_ok(persist_disable(w.p, false, &w.err), &w.err);
	assert_ok(persist_disable(w.p, true, &w.err), &w.err);
}

static void keys_are_back_with_the_server_gone(void **state)
{
	struct kek_need n = { .id = "kms/2" };
	uint8_t kcv[VMK_KCV_LEN];
	struct vmk_kek kek;

	(void)state;
	make_keys(1);		/* before: it is fetched once more, to be stored */
	enable(1);
	make_keys(2);		/* after: stored as they come */
	assert_ok(vmk_kek_get(w.k, "kms/2", &kek, &w.err), &w.err);
	memcpy(kcv, kek.kcv, sizeof(kcv));
	fixture_kill(&w.f, 0);
	assert_int_equal(reboot_host(), 3);
	assert_int_equal(w.k->secure, 3);
	assert_cached("kms/2", kcv);
	assert_ok(cache_ensure(w.k, w.f.ps, &n, 1, &w.err), &w.err);
	assert_true(n.was_cached);
	status();
	assert_int_equal(number("keys"), 3);
	assert_string_equal(words(w.out, "policy"), "PCR 7 (sha256)");
	assert_int_equal(persist_restore(w.p, w.k), 0);		/* those that are there already do no harm */
	assert_int_equal(w.faults, 0);
}

/* What a reboot would bring back is known before it, and what it would not. */
static void kept_is_what_would_be_back(void **state)
{
	struct kek_need n[] = { { .id = "kms/1" }, { .id = "kms/2" }, { .id = "kms/3", .kept = true } };

	(void)state;
	make_keys(2);
	cache_kept(n, 3);
	assert_false(n[0].kept || n[1].kept || n[2].kept);
	enable(2);
	cache_kept(n, 3);
	assert_true(n[0].kept && n[1].kept);
	assert_false(n[2].kept);
	assert_int_equal(w.faults, 0);
	swtpm_extend(&w.tpm, 7);
	cache_kept(n, 3);
	assert_false(n[0].kept || n[1].kept || n[2].kept);
	assert_int_equal(w.faults, 1);
	assert_int_equal(w.fault.code, VMC_ETPMPOLICY);
	reseal(NULL, false);
	cache_kept(n, 3);
	assert_true(n[0].kept && n[1].kept);
	assert_ok(persist_disable(w.p, false, &w.err), &w.err);
	cache_kept(n, 3);
	assert_false(n[0].kept);
}

static void fetched_keys_are_stored(void **state)
{
	struct kek_need n[2] = { { .id = "kms/1" }, { .id = "kms/2" } };

	(void)state;
	make_keys(2);
	memset(w.k, 0, sizeof(*w.k));
	enable(0);
	assert_ok(cache_ensure(w.k, w.f.ps, n, 2, &w.err), &w.err);
	assert_int_equal(reboot_host(), 2);
}

/* The kernel counts while the host is up; over reboots the TPM does. */
static void a_lease_goes_on(void **state)
{
	struct kek_need n = { .id = "kms/1" };
	struct vmk_kek kek;
	ESYS_CONTEXT *e;
	TPMS_TIME_INFO *now = NULL;

	(void)state;
	enable(0);
	cache_set_lease(3600);
	make_keys(1);
	cache_set_lease(0);
	make_keys(1);
	assert_ok(vmk_kek_get(w.k, "kms/1", &kek, &w.err), &w.err);
	assert_int_equal(kek.lease_left, 3600);
	assert_int_equal(reboot_host(), 2);
	assert_ok(vmk_kek_get(w.k, "kms/1", &kek, &w.err), &w.err);
	assert_true(kek.has_lease);
	assert_in_range(kek.lease_left, 3500, 3600);
	assert_ok(vmk_kek_get(w.k, "kms/2", &kek, &w.err), &w.err);
	assert_false(kek.has_lease);
	e = swtpm_open(&w.tpm);
	assert_int_equal(Esys_ReadClock(e, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now), 0);
	assert_int_equal(Esys_ClockSet(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       now->clockInfo.clock + 3600 * 1000), 0);
	Esys_Free(now);
	swtpm_close(&e);
	assert_int_equal(reboot_host(), 1);
	assert_code(vmk_kek_get(w.k, "kms/1", &kek, &w.err), VMC_ENOKEY, &w.err);
	/* whoever needs it is told so, for as long as it cannot be fetched */
	fixture_kill(&w.f, 0);
	assert_int_not_equal(cache_ensure(w.k, w.f.ps, &n, 1, &w.err), 0);
	assert_contains(n.err.text, "the lease of key 'kms/1' on this host has ended");
}

static void a_removed_key_stays_away(void **state)
{
	(void)state;
	enable(0);
	make_keys(2);
	cache_forget("kms/1");
	cache_forget("kms/7");
	assert_int_equal(reboot_host(), 1);
}

static void no_tpm(void **state)
{
	json_t *out = NULL;

	(void)state;
	swtpm_stop(&w.tpm, 1);
	assert_code(persist_enable(w.p, w.k, &out, &w.err), VMC_ENOTPM, &w.err);
	assert_null(out);
	assert_int_equal(access(w.cfg.state_dir, F_OK), -1);
	status();
	assert_false(json_is_true(json_object_get(json_object_get(w.out, "tpm"), "present")));
	make_keys(1);		/* the rest works as ever */
}

static void disabled_leaves_nothing(void **state)
{
	(void)state;
	enable(0);
	make_keys(2);
	assert_ok(persist_disable(w.p, true, &w.err), &w.err);
	assert_int_equal(access(test_path(w.cfg.state_dir, "persist"), F_OK), -1);
	assert_false(swtpm_has_nv(&w.tpm, NV));
	assert_false(swtpm_has_nv(&w.tpm, NV + 1));
	make_keys(1);
	assert_int_equal(reboot_host(), 0);
}

/* A host whose TPM was replaced while nothing was stored. */
static void another_tpm_with_nothing_stored(void **state)
{
	json_t *out = NULL;

	(void)state;
	enable(0);
	assert_ok(persist_disable(w.p, true, &w.err), &w.err);
	swtpm_clear(&w.tpm);
	assert_code(persist_enable(w.p, w.k, &out, &w.err), VMC_ETPMCLEARED, &w.err);
	assert_contains(w.err.hint, "reseal --new-tpm");
	assert_code(persist_reseal(w.p, w.k, NULL, true, &out, &w.err), VMC_ESTATE, &w.err);
	assert_contains(w.err.hint, "persistence enable");
	enable(0);
}

static void disabled_keeps_and_enabled_restores(void **state)
{
	(void)state;
	enable(0);
	make_keys(2);
	assert_ok(persist_disable(w.p, false, &w.err), &w.err);
	make_keys(1);		/* not stored */
	assert_int_equal(reboot_host(), 0);
	status();
	assert_false(json_is_true(json_object_get(w.out, "enabled")));
	assert_int_equal(number("keys"), 2);
	enable(0);
	assert_int_equal(persist_restore(w.p, w.k), 2);
}

/* A broken seal costs a fetch, never the operation. */
static void a_changed_pcr_and_reseal(void **state)
{
	struct kek_need n = { .id = "kms/1" };

	(void)state;
	enable(0);
	make_keys(2);
	persist_close(w.p);
	memset(w.k, 0, sizeof(*w.k));
	swtpm_extend(&w.tpm, 7);
	start_helper();
	assert_int_equal(persist_restore(w.p, NULL), 0);	/* the module comes later */
	assert_int_equal(w.faults, 1);
	assert_int_equal(persist_restore(w.p, w.k), 0);
	assert_int_equal(w.fault.code, VMC_ETPMPOLICY);
	status();
	assert_string_equal(words(w.out, "code"), "TpmPolicy");
	assert_ok(cache_ensure(w.k, w.f.ps, &n, 1, &w.err), &w.err);
	reseal(NULL, false);
	assert_int_equal(number("stored"), 2);	/* also that which is not in the kernel */
	assert_int_equal(w.wells, 1);
	persist_close(w.p);
	memset(w.k, 0, sizeof(*w.k));
	start_helper();
	assert_int_equal(persist_restore(w.p, w.k), 2);
	assert_int_equal(w.faults, 0);
}

static void reseal_with_the_server_gone(void **state)
{
	json_t *failed;

	(void)state;
	enable(0);
	make_keys(2);
	fixture_kill(&w.f, 0);
	reseal(NULL, false);	/* it is open: nobody is asked */
	assert_int_equal(json_array_size(json_object_get(w.out, "failed")), 0);
	assert_int_equal(reboot_host(), 2);
	swtpm_clear(&w.tpm);
	reseal(NULL, true);
	failed = json_object_get(w.out, "failed");
	assert_int_equal(json_array_size(failed), 2);
	assert_string_equal(words(json_array_get(failed, 0), "key"), "kms/1");
	assert_true(*words(json_array_get(failed, 0), "error"));
}

static void the_recovery_key_needs_no_server(void **state)
{
	char *text = secmem_alloc(RECOVERY_TEXT);

	(void)state;
	enable(0);
	make_keys(2);
	assert_ok(persist_export_recovery(w.p, false, text, &w.err), &w.err);
	assert_code(persist_export_recovery(w.p, false, text, &w.err), VMC_ESTATE, &w.err);
	fixture_kill(&w.f, 0);
	persist_close(w.p);
	memset(w.k, 0, sizeof(*w.k));
	swtpm_clear(&w.tpm);
	start_helper();
	assert_int_equal(persist_restore(w.p, w.k), 0);
	assert_int_equal(w.fault.code, VMC_ETPMCLEARED);
	reseal(text, true);
	assert_int_equal(persist_restore(w.p, w.k), 2);
	secmem_free(text, RECOVERY_TEXT);
}

static void suspended(void **state)
{
	(void)state;
	assert_code(persist_suspend(w.p, 1, &w.err), VMC_ESTATE, &w.err);
	enable(0);
	make_keys(1);
	assert_ok(persist_suspend(w.p, 1, &w.err), &w.err);
	status();
	assert_int_equal(number("reboots_left"), 1);
	persist_close(w.p);
	memset(w.k, 0, sizeof(*w.k));
	swtpm_reboot(&w.tpm);
	swtpm_extend(&w.tpm, 7);
	start_helper();
	assert_int_equal(persist_restore(w.p, w.k), 1);
	status();
	assert_int_equal(number("reboots_left"), 0);
}

static void a_setting_for_each_provider(void **state)
{
	(void)state;
	enable(0);
	make_keys(2);
	assert_code(persist_set_provider(w.p, "other", false, &w.err), VMC_ENOENT, &w.err);
	assert_code(persist_set_provider(w.p, "../x", false, &w.err), VMC_ENOENT, &w.err);
	assert_ok(persist_set_provider(w.p, "kms", false, &w.err), &w.err);
	make_keys(1);
	status();
	assert_int_equal(number("keys"), 0);
	assert_false(json_is_true(json_object_get(json_array_get(json_object_get(w.out, "providers"), 0), "persist")));
	assert_int_equal(reboot_host(), 0);
	assert_ok(persist_set_provider(w.p, "kms", true, &w.err), &w.err);
	make_keys(1);
	assert_int_equal(reboot_host(), 1);
}

/* What cannot be written is said once, and the key is in the kernel all the same. */
static void a_store_that_cannot_be_written(void **state)
{
	(void)state;
	enable(0);
	assert_int_equal(rename(test_path(w.cfg.state_dir, "persist"), test_path(w.cfg.state_dir, "away")), 0);
	make_keys(1);
	assert_int_equal(w.k->n, 1);
	assert_int_equal(w.faults, 1);
	assert_int_equal(rename(test_path(w.cfg.state_dir, "away"), test_path(w.cfg.state_dir, "persist")), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(off_by_default),
		TEST(keys_are_back_with_the_server_gone),
		TEST(kept_is_what_would_be_back),
		TEST(fetched_keys_are_stored),
		TEST(a_lease_goes_on),
		TEST(a_removed_key_stays_away),
		TEST(no_tpm),
		TEST(disabled_leaves_nothing),
		TEST(another_tpm_with_nothing_stored),
		TEST(disabled_keeps_and_enabled_restores),
		TEST(a_changed_pcr_and_reseal),
		TEST(reseal_with_the_server_gone),
		TEST(the_recovery_key_needs_no_server),
		TEST(suspended),
		TEST(a_setting_for_each_provider),
		TEST(a_store_that_cannot_be_written),
	};
	struct vmc_error err = VMC_ERROR_INIT;

	if (secmem_init(1 << 20, &err))
		return 1;
	log_init("persist_test", LOG_ERR);
	log_to_stderr();
	return cmocka_run_group_tests_name("persist", tests, NULL, NULL);
}
