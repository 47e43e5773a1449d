// SPDX-License-Identifier: GPL-2.0-or-later
/* Alarms reach the administrator's programs, and those that fail are told. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/util.h"

#define VM(path) path, "org.vmcrypt1.VM"

struct seen {
	bool alarm, failed;
	char state[32], id[64], failure[512];
};

static int setup(void **state)
{
	struct host *h;

	host_setup(state);
	h = *state;
	assert_false(mkdir(test_path(h->dir, "etc/hooks"), 0700));
	host_touch(h, "vmcrypt.conf", "[daemon]\nworkers = 2\n[hooks]\ntimeout = 1\n");
	host_start(h);
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;

	assert_int_equal(host_stop(h), 0);
	return host_teardown(state);
}

static int on_alarm(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct seen *s = data;
	const char *state, *id, *json;

	(void)e;
	assert_true(sd_bus_message_read(m, "sss", &state, &id, &json) >= 0);
	snprintf(s->state, sizeof(s->state), "%s", state);
	snprintf(s->id, sizeof(s->id), "%s", id);
	assert_contains(json, "\"cause\":\"kms-error\"");
	s->alarm = true;
	return 0;
}

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct seen *s = data;
	const char *type, *vm, *text, *json;

	(void)e;
	assert_true(sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) >= 0);
	if (strcmp(type, "hook-failed"))
		return 0;
	assert_int_equal(strlen(vm), VMC_UUID_STR - 1);
	assert_contains(json, "\"alarm\":\"a1\"");
	snprintf(s->failure, sizeof(s->failure), "%s", text);
	s->failed = true;
	return 0;
}

static void watch(struct host *h, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	assert_true(sd_bus_match_signal(h->client, NULL, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Alarm", on_alarm, s) >= 0);
	assert_true(sd_bus_match_signal(h->client, NULL, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_event, s) >= 0);
}

static void hook(struct host *h, const char *name, const char *text)
{
	host_touch(h, name, text);
	assert_false(chmod(test_path(h->dir, name), 0700));
}

static void power(struct host *h, const char *vm, bool on)
{
	sd_bus_message_unref(bus_call(h->client, NULL, VM(vm), on ? "PowerOn" : "PowerOff", NULL));
}

/* Waits for a fifo's reader or writer no longer than the test has. */
static char *read_fifo(const char *path)
{
	static char text[4096];
	size_t n;
	FILE *f;

	alarm(HOST_TIMEOUT_US / 1000000);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	alarm(0);
	text[n] = '\0';
	return text;
}

static void test_a_hook_hears_of_alarms(void **state)
{
	struct host *h = *state;
	char script[600], *text, *vm = make_vm(h->client, "loud");
	const char *fifo = test_path(h->dir, "fifo");
	struct seen s;

	watch(h, &s);
	assert_false(mkfifo(fifo, 0600));
	snprintf(script, sizeof(script), "#!/bin/sh\n{ env; cat; } > %s\n", fifo);
	hook(h, "etc/hooks/on-alarm", script);
	power(h, vm, true);
	text = read_fifo(test_path(h->dir, "fifo"));
	assert_contains(text, "VMCRYPT_ALARM_STATE=raised\n");
	assert_contains(text, "VMCRYPT_ALARM_TYPE=vm-locked\n");
	assert_contains(text, "VMCRYPT_ALARM_ENTITY_NAME=loud\n");
	assert_contains(text, "VMCRYPT_ALARM_CAUSE=kms-error\n");
	assert_contains(text, "VMCRYPT_ALARM_KEYS=kms/1 kms/2\n");
	assert_contains(text, "VMCRYPT_ALARM_ACKNOWLEDGED=\n");
	assert_contains(text, "{\"id\":\"a1\",");
	assert_null(strstr(text, "VMCRYPT_CONFIG_DIR"));
	assert_null(strstr(text, "NOTIFY_SOCKET"));
	bus_wait(h->client, &s.alarm, 0);
	assert_string_equal(s.state, "raised");
	assert_string_equal(s.id, "a1");
	power(h, vm, false);
	text = read_fifo(test_path(h->dir, "fifo"));
	assert_contains(text, "VMCRYPT_ALARM_STATE=cleared\n");
	assert_false(s.failed);
	free(vm);
}

static void test_failures_are_told(void **state)
{
	struct host *h = *state;
	char *vm = make_vm(h->client, "loud");
	struct seen s;

	watch(h, &s);
	hook(h, "etc/hooks/on-alarm", "#!/bin/sh\necho no mail today\nexit 7\n");
	power(h, vm, true);
	bus_wait(h->client, &s.failed, 0);
	assert_contains(s.failure, "failed (status 7): no mail today");
	host_log_contains(h, "no mail today");

	s.failed = false;
	hook(h, "etc/hooks/on-alarm", "#!/bin/sh\nexec sleep 100\n");
	power(h, vm, false);
	bus_wait(h->client, &s.failed, 0);
	assert_contains(s.failure, "longer than 1 s");

	s.failed = false;
	assert_false(chmod(test_path(h->dir, "etc/hooks/on-alarm"), 0777));
	power(h, vm, true);
	bus_wait(h->client, &s.failed, 0);
	assert_contains(s.failure, "others than root can change it");
	free(vm);
}

static void test_a_folder_of_hooks(void **state)
{
	struct host *h = *state;
	char script[600], *vm = make_vm(h->client, "loud");
	const char *fifo;
	struct seen s;

	watch(h, &s);
	assert_false(mkdir(test_path(h->dir, "etc/hooks/on-alarm"), 0700));
	hook(h, "etc/hooks/on-alarm/10-first", "#!/bin/sh\nexit 1\n");
	hook(h, "etc/hooks/on-alarm/15-off.dpkg-old", "#!/bin/sh\nexit 2\n");
	fifo = test_path(h->dir, "fifo");
	assert_false(mkfifo(fifo, 0600));
	snprintf(script, sizeof(script), "#!/bin/sh\necho second > %s\n", fifo);
	hook(h, "etc/hooks/on-alarm/20-second", script);
	power(h, vm, true);
	assert_string_equal(read_fifo(test_path(h->dir, "fifo")), "second\n");
	bus_wait(h->client, &s.failed, 0);
	assert_contains(s.failure, "10-first' failed (status 1)");
	free(vm);
}

/* The end waits for no hook. */
static void test_the_end_ends_hooks(void **state)
{
	struct host *h = *state;
	char script[600], *vm = make_vm(h->client, "loud");
	const char *fifo = test_path(h->dir, "fifo");

	assert_int_equal(host_stop(h), 0);
	host_touch(h, "vmcrypt.conf", "[hooks]\ntimeout = 60\n");
	host_start(h);
	free(vm);
	vm = make_vm(h->client, "loud2");
	assert_false(mkfifo(fifo, 0600));
	snprintf(script, sizeof(script), "#!/bin/sh\necho here > %s\nexec sleep 100\n", fifo);
	hook(h, "etc/hooks/on-alarm", script);
	power(h, vm, true);
	assert_string_equal(read_fifo(test_path(h->dir, "fifo")), "here\n");
	assert_int_equal(host_stop(h), 0);
	host_log_contains(h, "for vmcryptd stops");
	host_start(h);		/* for teardown */
	free(vm);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_hook_hears_of_alarms),
		TEST(test_failures_are_told),
		TEST(test_a_folder_of_hooks),
		TEST(test_the_end_ends_hooks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
