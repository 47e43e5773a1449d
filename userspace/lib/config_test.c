// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../testing/testing.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = test_mkdir();
	unsetenv("VMCRYPT_CONFIG_DIR");
	unsetenv("VMCRYPT_STATE_DIR");
	unsetenv("VMCRYPT_RUNTIME_DIR");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_rmdir(dir);
	return 0;
}

static int load(struct vmc_config *c, const char *text, struct vmc_error *e)
{
	const char *path = test_path(dir, "vmcrypt.conf");

	test_write_text(path, text);
	return config_load(c, path, e);
}

static void defaults_without_a_file(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	setenv("VMCRYPT_CONFIG_DIR", dir, 1);
	assert_ok(config_load(&c, NULL, &e), &e);
	assert_string_equal(c.config_dir, dir);
	assert_string_equal(c.state_dir, "/var/lib/vmcrypt");
	assert_string_equal(c.runtime_dir, "/run/vmcrypt");
	assert_int_equal(c.workers, 8);
	assert_int_equal(c.secure_heap, 1 << 20);
	assert_int_equal(c.log_level, 6);
	assert_int_equal(c.connect_timeout_ms, 3000);
	assert_int_equal(c.request_timeout_ms, 10000);
	assert_string_equal(c.tls_min, "1.2");
	assert_int_equal(c.cert_warn_days, 30);
	assert_int_equal(c.home_size, 64 << 20);
	assert_int_equal(c.wording, VMC_WORDING_CLASSIC);
	assert_string_equal(c.dm_flags, "");
	assert_false(c.audit_append_only);
	assert_int_equal(c.health_interval, 300);
	assert_int_equal(c.health_retry, 15);
	assert_string_equal(c.metrics_file, "");
	assert_int_equal(c.metrics_interval, 30);
	assert_int_equal(c.hook_timeout, 10);
	assert_int_equal(c.lease, 0);
	assert_string_equal(c.tpm_tcti, "device:/dev/tpmrm0");
	assert_int_equal(c.tpm_pcrs, 1 << 7);
	assert_string_equal(c.tpm_bank, "sha256");
	assert_string_equal(c.tpm_public_key, "");
	assert_int_equal(c.tpm_nv_index, 0x1b0c2e0);
}

static void the_tpm(void **state)
{
	static const char *const bad[] = {
		"pcrs = ", "pcrs = 24", "pcrs = 7+", "pcrs = +7", "pcrs = 0,7", "pcrs = 7x", "bank = md5",
		"public_key = here.pem", "nv_index = 0x1", "nv_index = 0x1bfffff", "nv_index = x", "pin = 1", "[cache]\nlease = 31536001", "[cache]\nlease = 1h",
	};
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;
	char text[128];

	(void)state;
	assert_ok(load(&c, "[tpm]\ntcti = swtpm:path=/run/t\npcrs = 0+7+23\nbank = sha384\n"
			   "[cache]\nlease = 3600\n[tpm]\npublic_key = /etc/k.pem\nsignature = /run/s.json\nnv_index = 0x1800010\n", &e), &e);
	assert_int_equal(c.lease, 3600);
	assert_string_equal(c.tpm_tcti, "swtpm:path=/run/t");
	assert_int_equal(c.tpm_pcrs, 1 | 1 << 7 | 1 << 23);
	assert_string_equal(c.tpm_bank, "sha384");
	assert_string_equal(c.tpm_public_key, "/etc/k.pem");
	assert_string_equal(c.tpm_signature, "/run/s.json");
	assert_int_equal(c.tpm_nv_index, 0x1800010);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[tpm]\n%s\n", bad[i]);
		assert_code(load(&c, text, &e), VMC_EINVAL, &e);
	}
}

static void a_named_file_must_be_there(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	assert_code(config_load(&c, test_path(dir, "none.conf"), &e), VMC_ENOENT, &e);
}

static void every_setting(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	assert_ok(load(&c, "; comment\n# comment\n[paths]\nconfig_dir = /c\nstate_dir=/s\nruntime_dir = /r\n"
		       "[daemon]\nworkers = 64\nsecure_heap = 256K\nlog_level = debug\n"
		       "[kmip]\nconnect_timeout_ms = 100\nrequest_timeout_ms = 600000\ntls_min = 1.3\ncert_warn_days = 0\n"
		       "[vm]\nhome_size = 128M\ndm_flags = no_read_workqueue,no_write_workqueue\n"
		       "[audit]\nappend_only = yes\n[health]\ninterval = 86400\nretry = 1\n[metrics]\nfile = /m/v.prom\ninterval = 3600\n"
		       "[hooks]\ntimeout = 60\n[states]\nwording = 7.0u2\n", &e), &e);
	assert_string_equal(c.config_dir, "/c");
	assert_string_equal(c.state_dir, "/s");
	assert_string_equal(c.runtime_dir, "/r");
	assert_int_equal(c.workers, 64);
	assert_int_equal(c.secure_heap, 256 << 10);
	assert_int_equal(c.log_level, 7);
	assert_int_equal(c.connect_timeout_ms, 100);
	assert_int_equal(c.request_timeout_ms, 600000);
	assert_string_equal(c.tls_min, "1.3");
	assert_int_equal(c.cert_warn_days, 0);
	assert_int_equal(c.home_size, 128 << 20);
	assert_int_equal(c.wording, VMC_WORDING_70U2);
	assert_string_equal(c.dm_flags, "no_read_workqueue,no_write_workqueue");
	assert_true(c.audit_append_only);
	assert_int_equal(c.health_interval, 86400);
	assert_int_equal(c.health_retry, 1);
	assert_string_equal(c.metrics_file, "/m/v.prom");
	assert_int_equal(c.metrics_interval, 3600);
	assert_int_equal(c.hook_timeout, 60);
}

static void bad_lines_are_named(void **state)
{
	static const struct { const char *text, *where, *what; } bad[] = {
		{ "[daemon]\nworker = 3\n", ":2: ", "unknown setting 'worker' in [daemon]" },
		{ "\n[demon]\nworkers = 3\n", ":3: ", "[demon]" },
		{ "workers = 3\n", ":1: ", "before any [section]" },
		{ "[daemon]\nworkers = 0\n", ":2: ", "1 to 64" },
		{ "[daemon]\nworkers = 65\n", ":2: ", "1 to 64" },
		{ "[daemon]\nworkers = 8x\n", ":2: ", "8x" },
		{ "[daemon]\nworkers = -1\n", ":2: ", "-1" },
		{ "[daemon]\nworkers =\n", ":2: ", "workers" },
		{ "[daemon]\nworkers\n", ":2: ", "name = value" },
		{ "[daemon\nworkers = 1\n", ":1: ", "name = value" },
		{ "[daemon]\nsecure_heap = 100000\n", ":2: ", "power of two" },
		{ "[daemon]\nlog_level = loud\n", ":2: ", "debug" },
		{ "[daemon]\nlog_level = 8\n", ":2: ", "debug" },
		{ "[kmip]\ntls_min = 1.1\n", ":2: ", "1.2 or 1.3" },
		{ "[paths]\nstate_dir = relative\n", ":2: ", "absolute" },
		{ "[paths]\nstate_dir = /slash/\n", ":2: ", "closing slash" },
		{ "[audit]\nappend_only = 1\n", ":2: ", "yes or no" },
		{ "[health]\ninterval = 0\n", ":2: ", "1 to 86400" },
		{ "[metrics]\nfile = v.prom\n", ":2: ", "absolute" },
		{ "[hooks]\ntimeout = 61\n", ":2: ", "1 to 60" },
		{ "[vm]\nhome_size = 1M\n", ":2: ", "16M" },
		{ "[states]\nwording = 6.7\n", ":2: ", "7.0u2" },
		{ "[vm]\nhome_size = 67108865\n", ":2: ", "4096" },
		{ "[daemon]\nworkers = 3\nworkers = 4\n", ":3: ", "set twice" },
		{ "[daemon]\nworkers = 3\n  4\n", ":3: ", "second line" },
	};
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;
	char want[4200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_code(load(&c, bad[i].text, &e), VMC_EINVAL, &e);
		snprintf(want, sizeof(want), "%s/vmcrypt.conf%s", dir, bad[i].where);
		assert_contains(e.text, want);
		assert_contains(e.text, bad[i].what);
	}
}

static void long_lines_are_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;
	char text[700];

	(void)state;
	/* read in pieces its tail would be a setting of its own */
	snprintf(text, sizeof(text), "[vm]\n; %0196d\nworkers = 3\n", 0);
	assert_code(load(&c, text, &e), VMC_EINVAL, &e);
	assert_contains(e.text, ":2: the line is longer");
	snprintf(text, sizeof(text), "[paths]\nstate_dir = /%0300d\n", 0);
	assert_code(load(&c, text, &e), VMC_EINVAL, &e);
	assert_contains(e.text, ":2: the line is longer");
}

static void refused_leaves_the_old(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	memset(&c, 0x5a, sizeof(c));
	assert_code(load(&c, "[daemon]\nworkers = 2\nnonsense = 1\n", &e), VMC_EINVAL, &e);
	assert_int_equal(c.workers, 0x5a5a5a5a);
}

static void drop_ins_come_after_in_order(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	assert_int_equal(mkdir(test_path(dir, "conf.d"), 0700), 0);
	test_write_text(test_path(dir, "conf.d/10-a.conf"), "[daemon]\nworkers = 10\n[vm]\nhome_size = 32M\n");
	test_write_text(test_path(dir, "conf.d/20-b.conf"), "[daemon]\nworkers = 20\n");
	test_write_text(test_path(dir, "conf.d/30-c.conf.bak"), "nonsense\n");
	assert_ok(load(&c, "[daemon]\nworkers = 2\nlog_level = 3\n", &e), &e);
	assert_int_equal(c.workers, 20);
	assert_int_equal(c.log_level, 3);
	assert_int_equal(c.home_size, 32 << 20);
	test_write_text(test_path(dir, "conf.d/20-b.conf"), "[daemon]\nworkers = x\n");
	assert_code(load(&c, "", &e), VMC_EINVAL, &e);
	assert_contains(e.text, "conf.d/20-b.conf:2: ");
}

static void environment_wins(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmc_config c;

	(void)state;
	setenv("VMCRYPT_STATE_DIR", "/elsewhere", 1);
	assert_ok(load(&c, "[paths]\nstate_dir = /s\n", &e), &e);
	assert_string_equal(c.state_dir, "/elsewhere");
	setenv("VMCRYPT_STATE_DIR", "relative", 1);
	assert_code(load(&c, "", &e), VMC_EINVAL, &e);
	assert_contains(e.text, "VMCRYPT_STATE_DIR");
	setenv("VMCRYPT_STATE_DIR", "", 1);
	assert_ok(load(&c, "", &e), &e);
	assert_string_equal(c.state_dir, "/var/lib/vmcrypt");
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_without_a_file),
		TEST(the_tpm),
		TEST(a_named_file_must_be_there),
		TEST(every_setting),
		TEST(bad_lines_are_named),
		TEST(long_lines_are_refused),
		TEST(refused_leaves_the_old),
		TEST(drop_ins_come_after_in_order),
		TEST(environment_wins),
	};

	return cmocka_run_group_tests_name("lib/config", tests, NULL, NULL);
}
