// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcryptd's life: getting ready, reloading, and the end. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/util.h"

static bool get_flag(sd_bus *bus, const char *name)
{
	int value;

	assert_true(sd_bus_get_property_trivial(bus, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
						name, NULL, 'b', &value) >= 0);
	return value;
}

static void test_ready_means_named_and_open(void **state)
{
	struct host *h = *state;
	sd_bus_message *r;

	host_start(h);
	r = bus_call(h->client, NULL, MANAGER, "ListVMs", NULL);
	sd_bus_message_unref(r);
	assert_int_equal(host_stop(h), 0);
}

static void test_second_one_ends(void **state)
{
	struct host *h = *state;
	pid_t first;

	host_start(h);
	first = h->daemon;
	assert_int_equal(host_start_fails(h), 1);
	host_log_contains(h, "another vmcryptd runs");
	h->daemon = first;
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));
	assert_int_equal(host_stop(h), 0);
}

/* The bus may not have read the end of the killed one's connection when the next one asks for the name. */
static void test_follows_a_killed_one_at_once(void **state)
{
	struct host *h = *state;
	int status;

	host_start(h);
	for (int i = 0; i < 10; i++) {
		assert_false(kill(h->daemon, SIGKILL));
		assert_int_equal(waitpid(h->daemon, &status, 0), h->daemon);
		host_start(h);
	}
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));
	assert_int_equal(host_stop(h), 0);
}

static void test_no_manager_is_no_start(void **state)
{
	struct host *h = *state;

	host_touch(h, "state/broken", "");
	assert_int_equal(host_start_fails(h), 1);
	host_log_contains(h, "the inventory is broken");
}

static void test_module_comes_with_a_reload(void **state)
{
	struct host *h = *state;
	char *vm;

	host_remove(h, "module");
	host_start(h);
	assert_false(get_flag(h->client, "ModuleLoaded"));
	bus_call(h->client, "NoModule", MANAGER, "CreateVM", "ssa{sv}", "web", "/vms", 0);
	assert_contains(bus_error_text, "Hint: modprobe vmcrypt");
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));

	host_touch(h, "module", "");
	kill(h->daemon, SIGHUP);
	host_wait_notify(h, "RELOADING=1");
	host_wait_notify(h, "READY=1");
	assert_true(get_flag(h->client, "ModuleLoaded"));
	vm = make_vm(h->client, "web");
	free(vm);
	assert_int_equal(host_stop(h), 0);
}

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type;

	(void)e;
	assert_true(sd_bus_message_read(m, "s", &type) >= 0);
	if (!strcmp(type, "reload-failed"))
		*(bool *)data = true;
	return 0;
}

static void test_bad_configuration_is_not_taken(void **state)
{
	struct host *h = *state;
	bool failed = false;
	char *vm;

	host_start(h);
	vm = make_vm(h->client, "web");
	assert_true(sd_bus_match_signal(h->client, NULL, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_event, &failed) >= 0);
	host_touch(h, "vmcrypt.conf", "[daemon]\nwrokers = 2\n");
	kill(h->daemon, SIGHUP);
	host_wait_notify(h, "RELOADING=1");
	host_wait_notify(h, "READY=1");
	bus_wait(h->client, &failed, 0);

	/* One that can be read, but with which nothing opens: back to the old one is no better, so it ends. */
	host_touch(h, "vmcrypt.conf", "[daemon]\nworkers = 2\n");
	sd_bus_message_unref(bus_call(h->client, NULL, vm, "org.vmcrypt1.VM", "Describe", NULL));
	host_touch(h, "state/broken", "");
	kill(h->daemon, SIGHUP);
	assert_int_equal(host_wait_exit(h), 1);
	free(vm);
}

static int on_reply(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const sd_bus_error *error = sd_bus_message_get_error(m);

	(void)e;
	snprintf(bus_error_text, sizeof(bus_error_text), "%s", error ? error->name : "ok");
	*(bool *)data = true;
	return 0;
}

static void encrypt(sd_bus *bus, const char *vm, const char *disk, const char *source, uint64_t steps, bool *done)
{
	assert_true(sd_bus_call_method_async(bus, NULL, "org.vmcrypt1", vm, "org.vmcrypt1.VM", "EncryptDisk",
					     on_reply, done, "ssa{sv}", disk, source, 1, "rate", "t", steps) >= 0);
}

/* A job is seen to copy: ListJobs tells. */
static void wait_for_job(struct host *h)
{
	uint64_t until = vmc_now_ms() + HOST_TIMEOUT_US / 1000;
	bool running = false;
	const char *json;

	while (!running) {
		sd_bus_message *r = bus_call(h->client, NULL, MANAGER, "ListJobs", NULL);

		assert_true(sd_bus_message_read(r, "s", &json) >= 0);
		running = strstr(json, "\"what\":\"copying\"");
		sd_bus_message_unref(r);
		assert_true(vmc_now_ms() < until);
	}
}

static void test_reload_leaves_jobs_alone(void **state)
{
	struct host *h = *state;
	bool done = false;
	char *vm;

	host_start(h);
	vm = make_vm(h->client, "web");
	encrypt(h->client, vm, "root", "/x", 100, &done);
	sd_bus_flush(h->client);
	wait_for_job(h);
	kill(h->daemon, SIGHUP);
	host_wait_notify(h, "a reload waits for jobs to end");
	/* Meanwhile calls are answered. */
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));
	assert_false(done);
	bus_wait(h->client, &done, 0);
	assert_string_equal(bus_error_text, "ok");
	host_wait_notify(h, "READY=1");
	sd_bus_message_unref(bus_call(h->client, NULL, vm, "org.vmcrypt1.VM", "Describe", NULL));
	assert_int_equal(host_stop(h), 0);
	free(vm);
}

static void test_end_stops_jobs_at_a_safe_point(void **state)
{
	struct host *h = *state;
	bool done = false;
	char *vm;

	host_start(h);
	vm = make_vm(h->client, "web");
	encrypt(h->client, vm, "root", "/x", 100000, &done);
	sd_bus_flush(h->client);
	wait_for_job(h);
	kill(h->daemon, SIGTERM);
	host_wait_notify(h, "STOPPING=1");
	bus_wait(h->client, &done, 0);
	assert_string_equal(bus_error_text, "org.vmcrypt1.Error.Canceled");
	assert_int_equal(host_wait_exit(h), 0);
	free(vm);
}

/* A worker that no safe point ends does not keep the daemon from ending. */
static void test_end_has_a_deadline(void **state)
{
	struct host *h = *state;
	bool done = false;
	char *vm;

	host_start(h);
	vm = make_vm(h->client, "web");
	encrypt(h->client, vm, "root", "/stuck", 1, &done);
	sd_bus_flush(h->client);
	bus_wait(h->client, NULL, 300000);
	assert_int_equal(host_stop(h), 0);
	free(vm);
}

static void test_jobs_that_wait_are_refused_at_the_end(void **state)
{
	struct host *h = *state;
	bool done[6] = { false };
	char *vm;

	host_start(h);
	vm = make_vm(h->client, "web");
	for (size_t i = 0; i < 6; i++)	/* two workers */
		encrypt(h->client, vm, "root", "/x", 100000, &done[i]);
	sd_bus_flush(h->client);
	wait_for_job(h);
	kill(h->daemon, SIGTERM);
	for (size_t i = 0; i < 6; i++) {
		bus_wait(h->client, &done[i], 0);
		assert_string_equal(bus_error_text, "org.vmcrypt1.Error.Canceled");
	}
	assert_int_equal(host_wait_exit(h), 0);
	free(vm);
}

static int on_job_done(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type, *vm, *text, *json;

	(void)e;
	assert_true(sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) >= 0);
	if (strcmp(type, "job-done"))
		return 0;
	assert_contains(json, "\"job\":\"job-1\"");
	*(bool *)data = true;
	return 0;
}

static void test_pending_job_goes_on(void **state)
{
	struct host *h = *state;
	bool done = false;

	host_touch(h, "state/pending-job", "");
	assert_true(sd_bus_match_signal(h->client, NULL, NULL, "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_job_done, &done) >= 0);
	host_start(h);
	wait_for_job(h);
	bus_wait(h->client, &done, 0);
	assert_int_equal(host_stop(h), 0);
}

static int on_metrics_failed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type;

	(void)e;
	assert_true(sd_bus_message_read(m, "s", &type) >= 0);
	*(bool *)data |= !strcmp(type, "metrics-failed");
	return 0;
}

static void wait_for_file(struct host *h, const char *name, const char *want)
{
	uint64_t until = vmc_now_ms() + HOST_TIMEOUT_US / 1000;
	char *text = NULL;

	for (;;) {
		if (!fs_read(test_path(h->dir, name), 1 << 20, &text, NULL, NULL) && strstr(text, want))
			break;
		if (vmc_now_ms() >= until)
			fail_msg("'%s' is not in %s, but: %s", want, name, text ? text : "nothing");
		free(text);
		text = NULL;
		bus_wait(h->client, NULL, 20000);
	}
	free(text);
}

static void test_metrics_are_written(void **state)
{
	struct host *h = *state;
	bool failed = false;
	char conf[600], *vm;

	assert_false(mkdir(test_path(h->dir, "node"), 0700));
	snprintf(conf, sizeof(conf), "[metrics]\nfile = %s\ninterval = 3600\n", test_path(h->dir, "node/vmcrypt.prom"));
	host_touch(h, "vmcrypt.conf", conf);
	assert_true(sd_bus_match_signal(h->client, NULL, NULL, "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_metrics_failed, &failed) >= 0);
	host_start(h);
	wait_for_file(h, "node/vmcrypt.prom", "vmcrypt_alarms{type=\"vm-locked\"} 0\n");
	/* an alarm does not wait for the hour to be over */
	vm = make_vm(h->client, "loud");
	sd_bus_message_unref(bus_call(h->client, NULL, vm, "org.vmcrypt1.VM", "PowerOn", NULL));
	wait_for_file(h, "node/vmcrypt.prom", "vmcrypt_alarms{type=\"vm-locked\"} 1\n");
	host_remove(h, "node/vmcrypt.prom");
	assert_false(rmdir(test_path(h->dir, "node")));
	sd_bus_message_unref(bus_call(h->client, NULL, vm, "org.vmcrypt1.VM", "PowerOff", NULL));
	bus_wait(h->client, &failed, 0);
	assert_int_equal(host_stop(h), 0);
	free(vm);
}

static int checks(struct host *h)
{
	char *text = NULL;
	int n;

	if (fs_read(test_path(h->dir, "state/checks"), 64, &text, NULL, NULL))
		return 0;
	n = (int)strtol(text, NULL, 10);
	free(text);
	return n;
}

static void wait_for_checks(struct host *h, int want)
{
	uint64_t until = vmc_now_ms() + HOST_TIMEOUT_US / 1000;

	while (checks(h) < want) {
		assert_true(vmc_now_ms() < until);
		bus_wait(h->client, NULL, 20000);
	}
}

static void test_health_is_checked(void **state)
{
	struct host *h = *state;
	sd_bus_message *r;
	const char *text;
	int n;

	host_touch(h, "vmcrypt.conf", "[health]\ninterval = 3600\nretry = 1\n");
	host_start(h);
	wait_for_checks(h, 1);		/* soon after the start */
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "kms", "{}"));
	wait_for_checks(h, 2);		/* and when providers change, whatever the interval */
	host_touch(h, "state/sick", "");
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "RemoveProvider", "s", "kms"));
	wait_for_checks(h, 5);		/* what is not well is looked at again and again */
	host_remove(h, "state/sick");
	n = checks(h);
	wait_for_checks(h, n + 1);
	r = bus_call(h->client, NULL, MANAGER, "GetMetrics", NULL);
	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_contains(text, "vmcrypt_provider_up{provider=\"kms\"} ");
	sd_bus_message_unref(r);
	assert_int_equal(host_stop(h), 0);
}

static void test_bus_lost_is_a_failure(void **state)
{
	struct host *h = *state;

	host_start(h);
	kill(h->bus, SIGTERM);
	assert_int_equal(host_wait_exit(h), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_ready_means_named_and_open),
		TEST(test_second_one_ends),
		TEST(test_follows_a_killed_one_at_once),
		TEST(test_no_manager_is_no_start),
		TEST(test_module_comes_with_a_reload),
		TEST(test_bad_configuration_is_not_taken),
		TEST(test_reload_leaves_jobs_alone),
		TEST(test_end_stops_jobs_at_a_safe_point),
		TEST(test_end_has_a_deadline),
		TEST(test_jobs_that_wait_are_refused_at_the_end),
		TEST(test_pending_job_goes_on),
		TEST(test_metrics_are_written),
		TEST(test_health_is_checked),
		TEST(test_bus_lost_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
