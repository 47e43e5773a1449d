// SPDX-License-Identifier: GPL-2.0-or-later
/* The client against the module's KEK cache, and what is left of the material. */
#include "fixture.h"

#include <errno.h>
#include <keyutils.h>
#include <linux/vmcrypt.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KCV_INFO	"vmcrypt kcv 1"

/* The key check value by OpenSSL: HKDF-SHA-256 without salt. */
static void expected_kcv(const uint8_t *kek, uint8_t kcv[VMK_KCV_LEN])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM p[] = {
		OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string("key", (void *)kek, VMK_KEK_LEN),
		OSSL_PARAM_construct_octet_string("info", (char *)KCV_INFO, strlen(KCV_INFO)),
		OSSL_PARAM_construct_end(),
	};

	assert_int_equal(EVP_KDF_derive(c, kcv, VMK_KCV_LEN, p), 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

static void info_tells(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_info i;

	(void)state;
	assert_ok(vmk_info(fx_k, &i, &e), &e);
	assert_int_equal(i.protocol_version, 1);
	assert_true(i.module_version[0] && i.wrap_cipher[0]);
	assert_true(i.max_keks && i.max_vms && i.max_volumes);
	print_message("# module %s, cipher %s\n", i.module_version, i.wrap_cipher);
}

static void new_get_list_del(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN), kcv[VMK_KCV_LEN], want[VMK_KCV_LEN];
	const char *id = fx_kek_id("a");
	struct vmk_kek got, *all;
	bool found = false;
	size_t n;

	(void)state;
	assert_ok(vmk_kek_new(fx_k, id, kek, 0, kcv, &e), &e);
	expected_kcv(kek, want);
	assert_memory_equal(kcv, want, sizeof(kcv));
	assert_ok(vmk_kek_get(fx_k, id, &got, &e), &e);
	assert_string_equal(got.id, id);
	assert_memory_equal(got.kcv, want, sizeof(want));
	assert_int_equal(got.users, 0);
	assert_false(got.has_lease);
	assert_ok(vmk_kek_list(fx_k, &all, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		found |= !strcmp(all[i].id, id);
	free(all);
	assert_true(found);
	assert_ok(vmk_kek_del(fx_k, id, false, &e), &e);
	assert_code(vmk_kek_get(fx_k, id, &got, &e), VMC_ENOKEY, &e);
	assert_contains(e.text, id);
	fx_free(kek, VMK_KEK_LEN);
}

static void same_bytes_again_are_fine(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN), *other = fx_random(VMK_KEK_LEN);
	const char *id = fx_kek_id("again");

	(void)state;
	assert_ok(vmk_kek_new(fx_k, id, kek, 0, NULL, &e), &e);
	assert_ok(vmk_kek_new(fx_k, id, kek, 0, NULL, &e), &e);
	assert_code(vmk_kek_new(fx_k, id, other, 0, NULL, &e), VMC_EEXIST, &e);
	assert_contains(e.text, id);
	assert_contains(e.hint, "vmcrypt key remove");
	fx_free(kek, VMK_KEK_LEN);
	fx_free(other, VMK_KEK_LEN);
}

static void bad_ids_are_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	char longest[VMK_KEK_ID_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	longest[1] = '/';
	assert_code(vmk_kek_new(fx_k, longest, kek, 0, NULL, &e), VMC_EINVAL, &e);
	longest[VMK_KEK_ID_MAX] = '\0';
	assert_ok(vmk_kek_new(fx_k, longest, kek, 0, NULL, &e), &e);
	assert_ok(vmk_kek_del(fx_k, longest, false, &e), &e);
	assert_code(vmk_kek_new(fx_k, "", kek, 0, NULL, &e), VMC_EINVAL, &e);
	assert_code(vmk_kek_new(fx_k, NULL, kek, 0, NULL, &e), VMC_EINVAL, &e);
	assert_code(vmk_kek_new(fx_k, "no-slash", kek, 0, NULL, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "no-slash");
	assert_code(vmk_kek_new(fx_k, "a b/c", kek, 0, NULL, &e), VMC_EINVAL, &e);
	fx_free(kek, VMK_KEK_LEN);
}

static void on_event(const struct vmk_event *ev, void *data)
{
	*(struct vmk_event *)data = *ev;
}

static void lease_is_told_and_ends(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	const char *id = fx_kek_id("lease");
	struct vmk_kek got;

	(void)state;
	assert_ok(vmk_kek_new(fx_k, id, kek, 3600, NULL, &e), &e);
	assert_ok(vmk_kek_get(fx_k, id, &got, &e), &e);
	assert_true(got.has_lease);
	assert_in_range(got.lease_left, 3500, 3600);
	assert_ok(vmk_kek_del(fx_k, id, false, &e), &e);
	fx_free(kek, VMK_KEK_LEN);
}

/* ---- the material on its way in ---- */

static void *count_thread_keys(void *data)
{
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	const char *id = data;
	long *left = malloc(sizeof(*left));
	void *raw;

	vmk_kek_new(fx_k, id, kek, 0, NULL, NULL);
	fx_free(kek, VMK_KEK_LEN);
	*left = keyctl_read_alloc(KEY_SPEC_THREAD_KEYRING, &raw);
	if (*left >= 0)
		free(raw);
	return left;
}

static void thread_keyring_is_empty_after(void **state)
{
	pthread_t t;
	void *left;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, count_thread_keys, (void *)fx_kek_id("t")), 0);
	assert_int_equal(pthread_join(t, &left), 0);
	assert_int_equal(*(long *)left, 0);
	free(left);
}

/* A revoked key is still listed until the collector of keys has come by; what counts is that it goes. */
static void no_key_is_left_in_proc_keys(void **state)
{
	static const struct timespec pause = { .tv_nsec = 50000000 };
	char out[4096];
	int n = 1;

	(void)state;
	fx_kek();
	for (int i = 0; i < 200 && n; i++) {
		fx_run(out, sizeof(out), "grep -c vmcrypt-in: /proc/keys");
		n = atoi(out);
		if (n)
			nanosleep(&pause, NULL);
	}
	assert_int_equal(n, 0);
}

static void refusal_leaves_no_material(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	void *raw = NULL;

	(void)state;
	assert_code(vmk_kek_new(fx_k, "no-slash", kek, 0, NULL, &e), VMC_EINVAL, &e);
	assert_int_equal(keyctl_read_alloc(KEY_SPEC_THREAD_KEYRING, &raw), 0);
	free(raw);
	fx_free(kek, VMK_KEK_LEN);
}

/* ---- who may ---- */

static void others_may_not(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct vmc_error e = VMC_ERROR_INIT;
		struct vmk *k;

		if (setgid(65534) || setuid(65534))
			_exit(99);
		_exit(vmk_open(&k, &e) == VMC_EPERM && strstr(e.hint, "CAP_NET_ADMIN") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the module goes and comes ---- */

/* The kernel loads the module by the family's name; with no helper to do so it stays away. */
static void set_autoload(const char *helper)
{
	test_write_text("/proc/sys/kernel/modprobe", helper);
}

static void module_reload_is_survived(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_info i;
	struct vmk *k;
	char out[512];

	(void)state;
	fx_clear_module();
	set_autoload("/bin/false");
	assert_int_equal(fx_run(out, sizeof(out), "modprobe -r vmcrypt 2>&1"), 0);
	assert_code(vmk_info(fx_k, &i, &e), VMC_ENOMODULE, &e);
	assert_contains(e.hint, "modprobe vmcrypt");
	assert_code(vmk_open(&k, &e), VMC_ENOMODULE, &e);
	assert_string_equal(e.hint, "modprobe vmcrypt");
	assert_int_equal(fx_run(out, sizeof(out), "modprobe vmcrypt 2>&1"), 0);
	assert_ok(vmk_info(fx_k, &i, &e), &e);
	assert_int_equal(i.keks, 0);
	fx_kek();
	fx_clear_module();
	set_autoload("/sbin/modprobe");
	assert_int_equal(fx_run(out, sizeof(out), "modprobe -r vmcrypt 2>&1"), 0);
	assert_ok(vmk_info(fx_k, &i, &e), &e);
	fx_kek();
}

static void lapses_with_an_event(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	const char *id = fx_kek_id("short");
	struct vmk_event ev = { 0 };
	struct vmk_kek got;

	(void)state;
	assert_ok(vmk_events_open(fx_k, &e), &e);
	assert_ok(vmk_kek_new(fx_k, id, kek, 1, NULL, &e), &e);
	while (strcmp(ev.kek_id, id)) {
		struct pollfd p = { .fd = vmk_events_fd(fx_k), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_ok(vmk_events_read(fx_k, on_event, &ev, &e), &e);
	}
	assert_int_equal(ev.reason, VMCRYPT_REASON_LEASE);
	assert_int_equal(ev.type, VMK_EV_KEK_DEL);
	assert_code(vmk_kek_get(fx_k, id, &got, &e), VMC_ENOKEY, &e);
	fx_free(kek, VMK_KEK_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(info_tells),
		cmocka_unit_test(new_get_list_del),
		cmocka_unit_test(same_bytes_again_are_fine),
		cmocka_unit_test(bad_ids_are_refused),
		cmocka_unit_test(lease_is_told_and_ends),
		cmocka_unit_test(lapses_with_an_event),
		cmocka_unit_test(thread_keyring_is_empty_after),
		cmocka_unit_test(no_key_is_left_in_proc_keys),
		cmocka_unit_test(refusal_leaves_no_material),
		cmocka_unit_test(others_may_not),
		cmocka_unit_test(module_reload_is_survived),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("client/kek", tests, fx_setup, fx_teardown);
}
