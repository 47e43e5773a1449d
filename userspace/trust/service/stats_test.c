// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters, alarms, and the file that they are written to. */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "../../lib/prom.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "care.h"
#include "conf.h"
#include "stats.h"

#define ID "5f0f61c9b1d84e37a6c2d3f5e8a90b14"

static struct vmc_error err;

static char *text_of(struct stats *s)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	stats_put(s, f);
	fclose(f);
	return text;
}

static void assert_text(struct stats *s, const char *want, bool there)
{
	char *text = text_of(s);

	if (there)
		assert_contains(text, want);
	else
		assert_null(strstr(text, want));
	free(text);
}

static void counts(void **state)
{
	static const struct stats_counter one = { .name = "a_total", .help = "As.", .label = "is" };
	static const struct stats_counter two = { .name = "b_total", .help = "Bs.", .label = "is", .label2 = "was" };
	struct stats *s = stats_new();
	char name[16];

	(void)state;
	stats_count(s, &one, "x", NULL, 1);
	stats_count(s, &one, "x", NULL, 41);
	stats_count(s, &two, "x", "y\"\n", 3);
	assert_text(s, "# HELP vmcrypt_a_total As.\n# TYPE vmcrypt_a_total counter\nvmcrypt_a_total{is=\"x\"} 42\n", true);
	assert_text(s, "vmcrypt_b_total{is=\"x\",was=\"y\\\"\\n\"} 3\n", true);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		stats_count(s, &one, name, NULL, 1);
	}
	assert_text(s, "is=\"v254\"", true);
	assert_text(s, "is=\"v255\"", false);
	stats_count(s, &one, "x", NULL, 1);
	assert_text(s, "vmcrypt_a_total{is=\"x\"} 43\n", true);
	stats_free(s);
}

static void alarms(void **state)
{
	const struct stats_alarm a = { "kms-unreachable", ID, "kms" }, b = { "kms-unreachable", ID, "other" };
	struct stats *s = stats_new();

	(void)state;
	assert_text(s, "vmcrypt_trust_alarm{", false);
	stats_alarm(s, &a, false, "fine");
	assert_text(s, "vmcrypt_trust_alarm{", false);
	stats_alarm(s, &a, true, "nobody answers");
	stats_alarm(s, &b, true, "nobody answers");
	stats_alarms_end(s, "kms-unreachable", ID);
	assert_text(s, "vmcrypt_trust_alarm{alarm=\"kms-unreachable\",name=\"kms\"} 1\n", true);
	assert_text(s, "name=\"other\"} 1\n", true);
	/* the next time: one is told again, the other is not known, a third is gone */
	stats_alarm(s, &a, true, "nobody answers");
	stats_alarm_keep(s, "kms-unreachable", "other");
	stats_alarms_end(s, "kms-unreachable", ID);
	assert_text(s, "name=\"other\"} 1\n", true);
	stats_alarm(s, &a, false, "fine");
	stats_alarms_end(s, "kms-unreachable", ID);
	assert_text(s, "vmcrypt_trust_alarm{", false);
	stats_free(s);
}

static atomic_int looks;
static sem_t looked;

static void look(struct care *c, FILE *f, void *data)
{
	(void)c;
	assert_ptr_equal(data, &looks);
	prom_plain(f, "looks", "gauge", "Looks.", ++looks);
	sem_post(&looked);
}

static void writes_a_file(void **state)
{
	char *dir = test_mkdir(), path[256], *text;
	struct care_setup s = { .path = path, .interval = 1, .look = look, .data = &looks };
	struct care *c;
	struct stat st;

	(void)state;
	sem_init(&looked, 0, 0);
	s.stats = stats_new();
	snprintf(path, sizeof(path), "%s/x.prom", dir);
	assert_ok(care_start(&c, &s, &err), &err);
	assert_int_equal(sem_wait(&looked), 0);
	assert_int_equal(sem_wait(&looked), 0);
	care_stop(c);
	assert_ok(fs_read(path, 4096, &text, NULL, &err), &err);
	assert_contains(text, "vmcrypt_looks ");
	assert_contains(text, "# TYPE vmcrypt_trust_alarm gauge\n");
	free(text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	/* nowhere to write: it looks all the same */
	snprintf(path, sizeof(path), "%s/none/x.prom", dir);
	looks = 0;
	assert_ok(care_start(&c, &s, &err), &err);
	care_stop(c);
	assert_int_equal(looks, 1);
	stats_free(s.stats);
	sem_destroy(&looked);
	test_rmdir(dir);
}

static void reads_its_part_of_the_configuration(void **state)
{
	char *dir = test_mkdir();
	static const char *const bad[] = {
		"[state]\nbackend = etcd\n", "[state]\nbackend = zookeeper\n", "[state]\nca = /etc/ca.pem\n",
		"[state]\nkey = x/../../key\n", "[state]\ninterval = 0\n", "[state]\nfoo = 1\n",
	};
	const char *path = test_path(dir, "trust.conf");
	struct trust_conf c;

	(void)state;
	test_write_text(path, "[authority]\nname = ta1\n[metrics]\nfolder = /var/lib/x\ninterval = 10\n");
	assert_ok(trust_conf_load(&c, path, &err), &err);
	assert_string_equal(c.metrics_folder, "/var/lib/x");
	assert_int_equal(c.metrics_interval, 10);
	assert_true(c.named);
	test_write_text(path, "[metrics]\nfolder = x\n");
	assert_code(trust_conf_load(&c, path, &err), VMC_EINVAL, &err);
	test_write_text(path, "[metrics]\ninterval = 9\n");
	assert_code(trust_conf_check(path, &err), VMC_EINVAL, &err);
	test_write_text(path, "[state]\nbackend = etcd\nendpoints = https://a:2379,https://b:2379\nca = etcd/ca.pem\ninterval = 1\n");
	assert_ok(trust_conf_load(&c, path, &err), &err);
	assert_true(c.etcd);
	assert_string_equal(c.etcd_endpoints, "https://a:2379,https://b:2379");
	assert_string_equal(c.etcd_prefix, "/vmcrypt-trust");
	assert_string_equal(c.etcd_ca, "etcd/ca.pem");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_write_text(path, bad[i]);
		assert_code(trust_conf_load(&c, path, &err), VMC_EINVAL, &err);
	}
	test_write_text(path, "");
	assert_ok(trust_conf_load(&c, path, &err), &err);
	assert_string_equal(c.metrics_folder, "");
	assert_false(c.named);
	test_rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts), cmocka_unit_test(alarms), cmocka_unit_test(writes_a_file),
		cmocka_unit_test(reads_its_part_of_the_configuration),
	};

	log_to_stderr();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
