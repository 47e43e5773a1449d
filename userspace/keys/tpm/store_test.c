// SPDX-License-Identifier: GPL-2.0-or-later
/* The store of keys on a real software TPM: reboots, replays, crashes, leases, suspension, recovery. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/swtpm.h"
#include "../../testing/testing.h"
#include "store_priv.h"

#define NV 0x1b0c2e0

static struct {
	char *dir;
	struct swtpm tpm;
	struct vmc_config cfg;
	struct store *s;
	struct vmc_error err;
} w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.dir = test_mkdir();
	swtpm_start(&w.tpm, w.dir, "tpm");
	snprintf(w.cfg.state_dir, sizeof(w.cfg.state_dir), "%s/state", w.dir);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", w.tpm.tcti);
	snprintf(w.cfg.tpm_bank, sizeof(w.cfg.tpm_bank), "%s", "sha256");
	w.cfg.tpm_pcrs = 1 << 7;
	w.cfg.tpm_nv_index = NV;
	assert_ok(store_new(&w.s, &w.cfg, &w.err), &w.err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_free(w.s);
	swtpm_stop(&w.tpm, 0);
	test_rmdir(w.dir);
	return 0;
}

/* A new process, as after a start of the daemon. */
static void again(void)
{
	store_free(w.s);
	assert_ok(store_new(&w.s, &w.cfg, &w.err), &w.err);
}

/* The daemon is killed: what store_free() would still do is not done. */
static void killed(void)
{
	store_shut(w.s);
	again();
}

static void reboot_host(void)
{
	store_free(w.s);
	swtpm_reboot(&w.tpm);
	assert_ok(store_new(&w.s, &w.cfg, &w.err), &w.err);
}

static const char *key_id(int i)
{
	static char id[4][32];
	static int next;

	next = (next + 1) % 4;
	snprintf(id[next], sizeof(id[0]), "kms/%05d", i);
	return id[next];
}

static int put_leased(int i, uint32_t lease)
{
	uint8_t *key = secmem_alloc(KEYFILE_KEY_LEN);
	struct store_key k = { key_id(i), key, lease };
	int rc;

	memset(key, i, KEYFILE_KEY_LEN);
	rc = store_put(w.s, &k, 1, &w.err);
	secmem_free(key, KEYFILE_KEY_LEN);
	return rc;
}

static int put(int i)
{
	return put_leased(i, 0);
}

struct seen {
	size_t n;
	unsigned int sum;
	uint32_t lease;
};

static int see(const char *id, const uint8_t *material, uint32_t lease, void *data)
{
	struct seen *s = data;

	if (strtol(strchr(id, '/') + 1, NULL, 10) % 256 != material[0] || material[0] != material[31])
		return VMC_EINTERNAL;
	s->n++;
	s->sum += material[0];
	s->lease = lease;
	return secmem_is_secure(material) ? 0 : VMC_EINTERNAL;
}

static size_t count_keys(void)
{
	struct seen s = { 0 };

	assert_ok(store_each(w.s, see, &s, &w.err), &w.err);
	return s.n;
}

static void assert_opens(size_t n)
{
	assert_ok(store_open(w.s, &w.err), &w.err);
	assert_int_equal(count_keys(), n);
}

static void assert_shut(int code, const char *text)
{
	assert_code(store_open(w.s, &w.err), code, &w.err);
	assert_contains(w.err.text, text);
	assert_true(w.err.hint[0]);
	assert_false(store_is_open(w.s));
}

/* Files of the store, kept aside and put back. */
static void copy_store(const char *from, const char *to)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf %s/%s && cp -a %s/%s %s/%s", w.dir, to, w.dir, from, w.dir, to);
	assert_int_equal(system(command), 0);
}

static void keep(const char *name)
{
	copy_store("state/persist", name);
}

static void put_back(const char *name)
{
	store_shut(w.s);
	copy_store(name, "state/persist");
	again();
}

/* ---- life -------------------------------------------------------------------- */

static void keys_survive_reboots(void **state)
{
	(void)state;
	assert_false(store_there(w.s));
	assert_shut(VMC_ENOENT, "no keys are stored");
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_true(store_is_open(w.s));
	for (int i = 0; i < 20; i++)
		assert_ok(put(i), &w.err);
	assert_ok(put(7), &w.err);
	assert_true(store_has(w.s, "kms/00007"));
	again();
	assert_true(store_is_enabled(w.s));
	assert_opens(20);
	reboot_host();
	assert_opens(20);
	assert_ok(store_enable(w.s, &w.err), &w.err);	/* again: no harm */
	assert_int_equal(count_keys(), 20);
}

static void no_key_is_in_the_files(void **state)
{
	char command[512];
	struct stat st;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put('K'), &w.err);
	snprintf(command, sizeof(command), "grep -r -q KKKKKKKK %s/state", w.dir);
	assert_int_not_equal(system(command), 0);
	assert_int_equal(stat(test_path(w.dir, "state/persist"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(test_path(w.dir, "state/persist/keys"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void assert_nothing_left(void)
{
	assert_int_equal(access(test_path(w.dir, "state/persist"), F_OK), -1);
	assert_false(swtpm_has_nv(&w.tpm, NV));
	assert_false(swtpm_has_nv(&w.tpm, NV + 1));
	assert_false(store_there(w.s));
	assert_false(store_is_enabled(w.s));
}

static void erasing_leaves_nothing(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_true(swtpm_has_nv(&w.tpm, NV));
	keep("stolen");
	assert_ok(store_erase(w.s, &w.err), &w.err);
	assert_nothing_left();
	assert_ok(store_erase(w.s, &w.err), &w.err);
	/* nor does a copy from before open, even beside a new store */
	put_back("stolen");
	assert_shut(VMC_EREPLAY, "told to forget it");
	assert_ok(store_erase(w.s, &w.err), &w.err);
	assert_ok(store_enable(w.s, &w.err), &w.err);
	put_back("stolen");
	assert_shut(VMC_EREPLAY, "told to forget it");
}

static void erasing_what_does_not_open(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	again();
	swtpm_extend(&w.tpm, 7);
	assert_shut(VMC_ETPMPOLICY, "PCR 7 changed");
	assert_ok(store_erase(w.s, &w.err), &w.err);
	assert_nothing_left();
}

static void erasing_without_the_tpm(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	again();
	swtpm_stop(&w.tpm, 1);
	assert_ok(store_erase(w.s, &w.err), &w.err);
	assert_int_equal(access(test_path(w.dir, "state/persist"), F_OK), -1);
}

static void disabled_and_enabled_again(void **state)
{
	(void)state;
	assert_code(store_disable(w.s, &w.err), VMC_ENOENT, &w.err);
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_ok(store_disable(w.s, &w.err), &w.err);
	assert_false(store_is_enabled(w.s));
	assert_code(put(2), VMC_ESTATE, &w.err);
	again();
	assert_false(store_is_enabled(w.s));
	assert_true(store_there(w.s));
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_int_equal(count_keys(), 1);
	assert_true(store_is_enabled(w.s));
}

static void no_tpm_no_store(void **state)
{
	(void)state;
	swtpm_stop(&w.tpm, 1);
	assert_code(store_enable(w.s, &w.err), VMC_ENOTPM, &w.err);
	assert_int_equal(access(test_path(w.dir, "state"), F_OK), -1);
	swtpm_start(&w.tpm, w.dir, "tpm");
	snprintf(w.cfg.tpm_bank, sizeof(w.cfg.tpm_bank), "%s", "none");	/* fails late: when it is to be sealed */
	assert_int_not_equal(store_enable(w.s, &w.err), 0);
	assert_nothing_left();
}

static void somebody_elses_index(void **state)
{
	const TPM2B_NV_PUBLIC pub = {
		.nvPublic = {
			.nvIndex = NV + 1, .nameAlg = TPM2_ALG_SHA256, .dataSize = 8,
			.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE,
		},
	};
	const TPM2B_AUTH none = { 0 };
	ESYS_CONTEXT *e = swtpm_open(&w.tpm);
	ESYS_TR nv;

	(void)state;
	assert_int_equal(Esys_NV_DefineSpace(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &none,
					     &pub, &nv), 0);
	swtpm_close(&e);
	assert_code(store_enable(w.s, &w.err), VMC_EEXIST, &w.err);
	assert_contains(w.err.hint, "nv_index");
	assert_false(swtpm_has_nv(&w.tpm, NV));
	assert_true(swtpm_has_nv(&w.tpm, NV + 1));	/* it is not ours to remove */
	assert_int_equal(access(test_path(w.dir, "state/persist"), F_OK), -1);
}

/* ---- replay -------------------------------------------------------------------- */

static void an_old_state_is_noticed(void **state)
{
	const char *gone = "kms/00001";

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	keep("old");
	assert_ok(store_remove(w.s, &gone, 1, &w.err), &w.err);
	keep("new");
	put_back("old");
	assert_shut(VMC_EREPLAY, "not the latest");
	assert_contains(w.err.hint, "vmcrypt host persistence reseal");
	put_back("new");
	assert_opens(0);
}

/* What opened at the start of the helper may not any more, and is not closed by that. */
static void a_trial(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_ok(store_try(w.s, &w.err), &w.err);
	swtpm_extend(&w.tpm, 7);
	assert_code(store_try(w.s, &w.err), VMC_ETPMPOLICY, &w.err);
	assert_true(store_is_open(w.s));
	assert_int_equal(count_keys(), 1);
	assert_ok(store_reseal(w.s, &w.err), &w.err);
	assert_ok(store_try(w.s, &w.err), &w.err);
}

/* Counts are put off when changes come fast, and made up for at the end. */
static void counts_are_few(void **state)
{
	struct store_status st;
	uint64_t before;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	store_status(w.s, false, &st);
	before = st.generation;
	for (int i = 0; i < 60; i++)
		assert_ok(put(i), &w.err);
	keep("old");
	assert_ok(put(60), &w.err);
	store_status(w.s, false, &st);
	assert_true(st.count_put_off);
	assert_int_equal(st.generation, before + BUCKET_SIZE - BUCKET_RESERVE + 1);
	/* tried with every check of health: once the bucket has one to spare, it counts */
	assert_ok(store_try(w.s, &w.err), &w.err);
	store_status(w.s, false, &st);
	assert_true(st.count_put_off);
	w.s->bucket.used = 0;
	assert_ok(store_try(w.s, &w.err), &w.err);
	store_status(w.s, false, &st);
	assert_false(st.count_put_off);
	w.s->bucket = (struct bucket){ BUCKET_SIZE, vmc_now_ms() };
	assert_ok(put(60 + BUCKET_SIZE), &w.err);
	assert_ok(store_remove(w.s, (const char *[]){ key_id(60 + BUCKET_SIZE) }, 1, &w.err), &w.err);
	killed();
	assert_opens(61);	/* one ahead of the counter: it follows now */
	store_status(w.s, false, &st);
	assert_false(st.count_put_off);
	assert_ok(put(61), &w.err);	/* and the file as it was before is of the past */
	put_back("old");
	assert_shut(VMC_EREPLAY, "not the latest");
}

static void the_bucket(void **state)
{
	struct bucket b = { 0 };
	uint64_t now = 1000;
	unsigned int n = 0;

	(void)state;
	while (bucket_take(&b, now, false))
		n++;
	assert_int_equal(n, BUCKET_SIZE - BUCKET_RESERVE);
	while (bucket_take(&b, now, true))
		n++;
	assert_int_equal(n, BUCKET_SIZE);
	assert_false(bucket_take(&b, now + BUCKET_MS - 1, true));
	assert_true(bucket_take(&b, now + BUCKET_MS, true));
	assert_false(bucket_take(&b, now + BUCKET_MS + 1, true));
	/* all year long, as often as it may */
	n = 0;
	for (uint64_t ms = 0; ms < 365ull * 24 * 3600 * 1000; ms += 60 * 1000)
		n += bucket_take(&b, now + BUCKET_MS + ms, true);
	assert_in_range(n, 17000, 17600);
}

static void altered_files(void **state)
{
	char *data;
	size_t len;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	again();
	assert_ok(fs_read(test_path(w.dir, "state/persist/keys"), 4096, &data, &len, &w.err), &w.err);
	for (size_t i = 0; i < len; i += 5) {
		data[i] ^= 1;
		test_write(test_path(w.dir, "state/persist/keys"), data, len);
		assert_int_not_equal(store_open(w.s, &w.err), 0);
		assert_true(w.err.code == VMC_EAUTH || w.err.code == VMC_EINVAL);
		data[i] ^= 1;
	}
	test_write(test_path(w.dir, "state/persist/keys"), data, len - 1);
	assert_shut(VMC_EINVAL, "damaged");
	test_write(test_path(w.dir, "state/persist/keys"), data, len);
	free(data);
	assert_opens(1);
}

/* ---- the seal -------------------------------------------------------------------- */

static void resealed_to_what_was_booted(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	keep("old");
	swtpm_extend(&w.tpm, 7);
	assert_ok(store_reseal(w.s, &w.err), &w.err);
	again();
	assert_opens(1);
	reboot_host();		/* PCR 7 is what it was before */
	assert_shut(VMC_ETPMPOLICY, "PCR 7");
	put_back("old");	/* and the old seal would fit it, but is dead */
	assert_shut(VMC_EREPLAY, "told to forget it");
}

static void renewed_when_nothing_opens(void **state)
{
	char **ids;
	size_t n;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_ok(put(2), &w.err);
	again();
	swtpm_extend(&w.tpm, 7);
	assert_shut(VMC_ETPMPOLICY, "PCR 7");
	assert_code(store_reseal(w.s, &w.err), VMC_ESTATE, &w.err);
	assert_ok(store_ids(w.s, &ids, &n, &w.err), &w.err);
	assert_int_equal(n, 2);
	assert_string_equal(ids[1], "kms/00002");
	free(ids[0]);
	free(ids[1]);
	free(ids);
	assert_ok(store_renew(w.s, false, &w.err), &w.err);
	assert_int_equal(count_keys(), 0);
	assert_ok(put(1), &w.err);
	again();
	assert_opens(1);
}

static void a_cleared_tpm(void **state)
{
	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	again();
	swtpm_clear(&w.tpm);
	assert_shut(VMC_ETPMCLEARED, "was cleared");
	assert_code(store_renew(w.s, false, &w.err), VMC_ETPMCLEARED, &w.err);
	assert_ok(store_renew(w.s, true, &w.err), &w.err);
	assert_ok(put(2), &w.err);
	again();
	assert_opens(1);
}

static void a_stolen_disk(void **state)
{
	struct swtpm other;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	again();
	swtpm_start(&other, w.dir, "other");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", other.tcti);
	assert_shut(VMC_ETPMROOT, "root key");
	assert_int_equal(unlink(test_path(w.dir, "state/tpm/srk")), 0);
	assert_int_not_equal(store_open(w.s, &w.err), 0);
	swtpm_stop(&other, 0);
}

/* The counters went, the rest of the TPM is as it was. */
static void removed_counters(void **state)
{
	ESYS_CONTEXT *e;
	ESYS_TR nv;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	store_shut(w.s);
	e = swtpm_open(&w.tpm);
	assert_int_equal(Esys_TR_FromTPMPublic(e, NV, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv), 0);
	assert_int_equal(Esys_NV_UndefineSpace(e, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE), 0);
	swtpm_close(&e);
	assert_shut(VMC_ENOENT, "no counter");
	assert_ok(store_renew(w.s, false, &w.err), &w.err);
	again();
	assert_opens(0);
}

static void suspended_for_two_reboots(void **state)
{
	struct store_status st;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_code(store_suspend(w.s, 0, &w.err), VMC_EINVAL, &w.err);
	assert_code(store_suspend(w.s, STORE_REBOOTS_MAX + 1, &w.err), VMC_EINVAL, &w.err);
	assert_ok(store_suspend(w.s, 2, &w.err), &w.err);
	store_status(w.s, true, &st);
	assert_int_equal(st.reboots_left, 2);
	keep("suspended");
	reboot_host();
	swtpm_extend(&w.tpm, 7);
	assert_opens(1);
	store_status(w.s, true, &st);
	assert_int_equal(st.reboots_left, 1);
	reboot_host();
	swtpm_extend(&w.tpm, 7);	/* the new firmware */
	assert_opens(1);
	assert_int_equal(access(test_path(w.dir, "state/persist/master.suspended"), F_OK), -1);
	reboot_host();
	assert_shut(VMC_ETPMPOLICY, "PCR 7");	/* the old firmware */
	swtpm_extend(&w.tpm, 7);
	assert_opens(1);
	put_back("suspended");
	assert_shut(VMC_EREPLAY, "told to forget it");
}

/* ---- recovery ----------------------------------------------------------------------- */

static void the_recovery_key(void **state)
{
	char *text = secmem_alloc(RECOVERY_TEXT), *other = secmem_alloc(RECOVERY_TEXT);
	struct swtpm board;

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_ok(store_export_recovery(w.s, false, text, &w.err), &w.err);
	assert_int_equal(strlen(text), RECOVERY_TEXT - 1);
	assert_code(store_export_recovery(w.s, false, other, &w.err), VMC_ESTATE, &w.err);
	again();
	swtpm_extend(&w.tpm, 7);
	assert_shut(VMC_ETPMPOLICY, "PCR 7");
	text[0] = text[0] == '9' ? '0' : (char)(text[0] + 1);
	assert_code(store_recover(w.s, text, false, &w.err), VMC_EINVAL, &w.err);
	assert_contains(w.err.text, "group 1 ");
	text[0] = text[0] == '0' ? '9' : (char)(text[0] - 1);
	assert_ok(store_recover(w.s, text, false, &w.err), &w.err);
	assert_int_equal(count_keys(), 1);
	again();
	assert_opens(1);
	/* a new one takes the place of the old one */
	assert_ok(store_export_recovery(w.s, true, other, &w.err), &w.err);
	assert_code(store_recover(w.s, text, false, &w.err), VMC_EAUTH, &w.err);
	/* a new board */
	swtpm_start(&board, w.dir, "board");
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "%s", board.tcti);
	assert_shut(VMC_ETPMROOT, "root key");
	assert_code(store_recover(w.s, other, false, &w.err), VMC_ETPMROOT, &w.err);
	assert_ok(store_recover(w.s, other, true, &w.err), &w.err);
	again();
	assert_opens(1);
	swtpm_stop(&board, 1);
	secmem_free(text, RECOVERY_TEXT);
	secmem_free(other, RECOVERY_TEXT);
}

/* It opens what is there, not what was there once. */
static void the_recovery_key_and_an_old_state(void **state)
{
	char *text = secmem_alloc(RECOVERY_TEXT);
	const char *gone = "kms/00001";

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put(1), &w.err);
	assert_ok(store_export_recovery(w.s, false, text, &w.err), &w.err);
	keep("old");
	assert_ok(store_remove(w.s, &gone, 1, &w.err), &w.err);
	put_back("old");
	assert_code(store_recover(w.s, text, false, &w.err), VMC_EREPLAY, &w.err);
	secmem_free(text, RECOVERY_TEXT);
}

static void recovery_texts(void **state)
{
	uint8_t *key = secmem_alloc(RECOVERY_KEY), *back = secmem_alloc(RECOVERY_KEY);
	char *text = secmem_alloc(2 * RECOVERY_TEXT);
	size_t len;

	(void)state;
	for (int i = 0; i < RECOVERY_KEY; i++)
		key[i] = (uint8_t)(i * 37 + 250);
	recovery_format(key, text);
	assert_ok(recovery_parse(text, back, &w.err), &w.err);
	assert_memory_equal(key, back, RECOVERY_KEY);
	for (size_t i = 0; text[i]; i++)	/* every slip of one digit is found */
		for (char c = '0'; text[i] != '-' && c <= '9'; c++) {
			char was = text[i];

			text[i] = c;
			assert_int_equal(recovery_parse(text, back, &w.err), c == was ? 0 : VMC_EINVAL);
			text[i] = was;
		}
	for (size_t i = 0; text[i]; i++)
		text[i] = text[i] == '-' ? ' ' : text[i];
	len = strlen(text);
	snprintf(text + len, 2 * RECOVERY_TEXT - len, "\n");
	assert_ok(recovery_parse(text, back, &w.err), &w.err);
	snprintf(text + len, 2 * RECOVERY_TEXT - len, "\n1");
	assert_code(recovery_parse(text, back, &w.err), VMC_EINVAL, &w.err);
	secmem_free(key, RECOVERY_KEY);
	secmem_free(back, RECOVERY_KEY);
	secmem_free(text, 2 * RECOVERY_TEXT);
}

/* ---- leases ----------------------------------------------------------------------------- */

static void advance_tpm_clock(uint64_t ms)
{
	ESYS_CONTEXT *e = swtpm_open(&w.tpm);
	TPMS_TIME_INFO *now = NULL;

	assert_int_equal(Esys_ReadClock(e, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now), 0);
	assert_int_equal(Esys_ClockSet(e, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       now->clockInfo.clock + ms), 0);
	Esys_Free(now);
	swtpm_close(&e);
}

/* The time of day stays; the TPM knows better. */
static void leases_end_by_the_tpms_clock(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(put_leased(1, 3600), &w.err);
	assert_ok(put_leased(2, 0), &w.err);
	assert_ok(put_leased(3, 7200), &w.err);
	assert_ok(store_each(w.s, see, &s, &w.err), &w.err);
	assert_int_equal(s.n, 3);
	assert_in_range(s.lease, 7100, 7200);
	reboot_host();
	advance_tpm_clock(1800 * 1000);
	assert_opens(3);
	reboot_host();
	advance_tpm_clock(1900 * 1000);
	memset(&s, 0, sizeof(s));
	assert_ok(store_open(w.s, &w.err), &w.err);
	assert_ok(store_each(w.s, see, &s, &w.err), &w.err);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.sum, 5);
	assert_in_range(s.lease, 3300, 3500);
	assert_false(store_has(w.s, "kms/00001"));	/* gone from the file, too */
	again();
	assert_opens(2);
}

/* ---- many ---------------------------------------------------------------------------------- */

/* TPM2_Unseal commands in a capture: tag, size, command code. */
static size_t count_unseals(const char *pcap)
{
	char *data;
	size_t len, n = 0;

	assert_ok(fs_read(pcap, 64 << 20, &data, &len, &w.err), &w.err);
	for (size_t i = 0; i + 10 <= len; i++)
		n += !memcmp(data + i, "\x80\x02", 2) && !memcmp(data + i + 6, "\x00\x00\x01\x5e", 4);
	free(data);
	return n;
}

static void a_thousand_keys_one_unseal(void **state)
{
	enum { N = 1000 };
	struct store_key *keys = calloc(N, sizeof(*keys));
	char (*ids)[16] = calloc(N, sizeof(*ids)), *pcap = strdup(test_path(w.dir, "bus.pcap"));
	uint8_t *material = secmem_alloc((size_t)N * KEYFILE_KEY_LEN);

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(ids[i], sizeof(ids[i]), "kms/%05d", i);
		memset(material + (size_t)i * KEYFILE_KEY_LEN, i, KEYFILE_KEY_LEN);
		keys[i] = (struct store_key){ ids[i], material + (size_t)i * KEYFILE_KEY_LEN, 0 };
	}
	assert_ok(store_enable(w.s, &w.err), &w.err);
	assert_ok(store_put(w.s, keys, N, &w.err), &w.err);
	secmem_free(material, (size_t)N * KEYFILE_KEY_LEN);
	reboot_host();
	setenv("TCTI_PCAP_FILE", pcap, 1);
	snprintf(w.cfg.tpm_tcti, sizeof(w.cfg.tpm_tcti), "pcap:%s", w.tpm.tcti);
	assert_opens(N);
	unsetenv("TCTI_PCAP_FILE");
	assert_int_equal(count_unseals(pcap), 1);
	free(keys);
	free(ids);
	free(pcap);
}

/* ---- crashes --------------------------------------------------------------------------------- */

#ifdef VMC_CRASHPOINTS

#define POINTS_MAX	200

struct scenario {
	const char *name;
	int (*verb)(void);
	size_t before, after;	/* keys */
	bool gone_after, none_before;
};

static int verb_enable(void)
{
	return store_enable(w.s, &w.err);
}

static int verb_put(void)
{
	return put(2);
}

static int verb_remove(void)
{
	const char *id = "kms/00001";

	return store_remove(w.s, &id, 1, &w.err);
}

static int verb_reseal(void)
{
	return store_reseal(w.s, &w.err);
}

static int verb_suspend(void)
{
	return store_suspend(w.s, 1, &w.err);
}

static int verb_erase(void)
{
	return store_erase(w.s, &w.err);
}

/* How many points this process has passed; a child goes on from there. */
static unsigned int points_passed(void)
{
	const char *path = test_path(w.dir, "points");
	unsigned int n = 0;
	FILE *f;

	setenv("VMCRYPT_CRASH_LOG", path, 1);
	fs_crashpoint("probe");
	unsetenv("VMCRYPT_CRASH_LOG");
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	fclose(f);
	unlink(path);
	return n;
}

/* True: it died there; false: it came to its end before. */
static bool run_until(const struct scenario *sc, unsigned int point)
{
	char at[16];
	pid_t child;
	int status;

	snprintf(at, sizeof(at), "%u", points_passed() + point);
	child = fork();
	if (!child) {
		setenv("VMCRYPT_CRASH_AT", at, 1);
		_exit(sc->verb() ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	return false;
}

static void assert_old_or_new(const struct scenario *sc, unsigned int point)
{
	size_t n;
	int rc = store_open(w.s, &w.err);

	if (rc == VMC_ENOENT && (sc->gone_after || sc->none_before)) {
		assert_nothing_left();
		return;
	}
	if (rc)
		fail_msg("%s, killed at %u: %s: %s", sc->name, point, vmc_code_name(rc), w.err.text);
	n = count_keys();
	if (n != sc->before && n != sc->after)
		fail_msg("%s, killed at %u: %zu keys", sc->name, point, n);
	assert_ok(put(9), &w.err);
	again();
	assert_opens(n + 1);
}

static void crash(const struct scenario *sc)
{
	unsigned int point = 1;
	bool died = true;

	for (; died && point < POINTS_MAX; point++) {
		setup(NULL);
		if (!sc->none_before) {
			assert_ok(store_enable(w.s, &w.err), &w.err);
			assert_ok(put(1), &w.err);
		}
		died = run_until(sc, point);
		store_shut(w.s);	/* what this process knows is not what the killed one knew */
		again();
		assert_old_or_new(sc, point);
		teardown(NULL);
	}
	assert_true(point > 3 && point < POINTS_MAX);
	print_message("%s: %u points\n", sc->name, point - 2);
}

static void killed_at_every_point(void **state)
{
	static const struct scenario all[] = {
		{ "enable", verb_enable, 0, 0, false, true },
		{ "put", verb_put, 1, 2, false, false },
		{ "remove", verb_remove, 1, 0, false, false },
		{ "reseal", verb_reseal, 1, 1, false, false },
		{ "suspend", verb_suspend, 1, 1, false, false },
		{ "erase", verb_erase, 1, 1, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		crash(&all[i]);
}

#endif

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef VMC_CRASHPOINTS
		cmocka_unit_test(killed_at_every_point),
#endif
		TEST(keys_survive_reboots),
		TEST(no_key_is_in_the_files),
		TEST(erasing_leaves_nothing),
		TEST(erasing_what_does_not_open),
		TEST(erasing_without_the_tpm),
		TEST(disabled_and_enabled_again),
		TEST(no_tpm_no_store),
		TEST(somebody_elses_index),
		TEST(an_old_state_is_noticed),
		TEST(counts_are_few),
		TEST(a_trial),
		TEST(the_bucket),
		TEST(altered_files),
		TEST(resealed_to_what_was_booted),
		TEST(renewed_when_nothing_opens),
		TEST(a_cleared_tpm),
		TEST(a_stolen_disk),
		TEST(removed_counters),
		TEST(suspended_for_two_reboots),
		TEST(the_recovery_key),
		TEST(the_recovery_key_and_an_old_state),
		TEST(recovery_texts),
		TEST(leases_end_by_the_tpms_clock),
		TEST(a_thousand_keys_one_unseal),
	};
	struct vmc_error err = VMC_ERROR_INIT;

	if (secmem_init(1 << 18, &err))
		return 1;
	log_init("store_test", LOG_ERR);
	log_to_stderr();
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
