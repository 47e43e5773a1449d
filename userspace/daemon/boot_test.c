// SPDX-License-Identifier: GPL-2.0-or-later
/* VMs start with the host, once, and their units with them. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/util.h"

#define VM(path) path, "org.vmcrypt1.VM"

/* What the test's systemd was told, and what vmcryptd said of it. */
struct seen {
	sd_bus *bus;
	char units[256];
	unsigned int jobs;
	char summary[256], failure[512];
	bool told, failed, started;
};

static int on_subscribe(sd_bus_message *m, void *data, sd_bus_error *e)
{
	(void)data, (void)e;
	return sd_bus_reply_method_return(m, "");
}

/* "gone.service" is not there, "broken.service" does not come up. */
static int on_start(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *unit, *mode;
	struct seen *s = data;
	char job[64];

	assert_true(sd_bus_message_read(m, "ss", &unit, &mode) >= 0);
	snprintf(s->units + strlen(s->units), sizeof(s->units) - strlen(s->units), "%s ", unit);
	if (!strcmp(unit, "gone.service"))
		return sd_bus_error_set(e, "org.freedesktop.systemd1.NoSuchUnit", "Unit gone.service not found.");
	snprintf(job, sizeof(job), "/org/freedesktop/systemd1/job/%u", ++s->jobs);
	assert_true(sd_bus_reply_method_return(m, "o", job) >= 0);
	return sd_bus_emit_signal(s->bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved",
				  "uoss", s->jobs, job, unit, strcmp(unit, "broken.service") ? "done" : "failed");
}

static const sd_bus_vtable systemd_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Subscribe", "", "", on_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StartUnit", "ss", "o", on_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
	SD_BUS_VTABLE_END
};

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type, *vm, *text, *json;
	struct seen *s = data;

	(void)e;
	assert_true(sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) >= 0);
	if (!strcmp(type, "autostart")) {
		snprintf(s->summary, sizeof(s->summary), "%s", text);
		s->told = true;
	} else if (!strcmp(type, "vm-not-started")) {
		snprintf(s->failure, sizeof(s->failure), "%s", text);
		s->failed = true;
	} else if (!strcmp(text, "its unit was started")) {
		s->started = true;
	}
	return 0;
}

static void begin(struct host *h, struct seen *s, bool systemd)
{
	memset(s, 0, sizeof(*s));
	host_remove(h, "module");
	host_touch(h, "vmcrypt.conf", "[daemon]\nworkers = 2\n");
	host_start(h);
	s->bus = h->client;
	assert_true(sd_bus_match_signal(h->client, NULL, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_event, s) >= 0);
	if (!systemd)
		return;
	assert_true(sd_bus_add_object_vtable(h->client, NULL, "/org/freedesktop/systemd1",
					     "org.freedesktop.systemd1.Manager", systemd_vtable, s) >= 0);
	assert_true(sd_bus_request_name(h->client, "org.freedesktop.systemd1", 0) >= 0);
}

/* One that is there, off, with autostart. */
static char *add_vm(struct host *h, const char *name, const char *unit)
{
	const char *id, *path;
	char bundle[64], *copy;
	sd_bus_message *r;

	snprintf(bundle, sizeof(bundle), "/vms/%s", name);
	r = bus_call(h->client, NULL, MANAGER, "RegisterVM", "sa{sv}", bundle, 0);
	assert_true(sd_bus_message_read(r, "so", &id, &path) >= 0);
	copy = strdup(path);
	sd_bus_message_unref(r);
	sd_bus_message_unref(bus_call(h->client, NULL, VM(copy), "SetAutostart", "bs", 1, unit));
	return copy;
}

static void start_module(struct host *h)
{
	host_touch(h, "module", "");
	kill(h->daemon, SIGHUP);
	host_wait_notify(h, "RELOADING=1");
	host_wait_notify(h, "READY=1");
}

static void assert_power(struct host *h, const char *vm, const char *want)
{
	char *power;

	assert_true(sd_bus_get_property_string(h->client, "org.vmcrypt1", vm, "org.vmcrypt1.VM", "Power", NULL, &power) >= 0);
	assert_string_equal(power, want);
	free(power);
}

static void test_each_starts_once(void **state)
{
	struct host *h = *state;
	struct seen s;
	char *web, *bare;
	int autostart;

	begin(h, &s, true);
	web = add_vm(h, "web", "qemu-web.service");
	bare = add_vm(h, "bare", "never.service");
	assert_true(sd_bus_get_property_trivial(h->client, "org.vmcrypt1", web, "org.vmcrypt1.VM", "Autostart", NULL, 'b',
						&autostart) >= 0);
	assert_true(autostart);
	start_module(h);
	bus_wait(h->client, &s.told, HOST_TIMEOUT_US);
	assert_string_equal(s.summary, "1 of 2 VMs that start with the host were powered on");
	assert_string_equal(s.units, "qemu-web.service ");
	assert_true(s.started);
	assert_power(h, web, "on");
	assert_power(h, bare, "off");

	/* off again, and the module comes anew: that is no start of the host */
	sd_bus_message_unref(bus_call(h->client, NULL, VM(web), "PowerOff", NULL));
	host_remove(h, "module");
	kill(h->daemon, SIGHUP);
	host_wait_notify(h, "READY=1");
	start_module(h);
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));
	assert_power(h, web, "off");
	free(web);
	free(bare);
	assert_int_equal(host_stop(h), 0);
}

static void test_a_unit_that_fails_is_told(void **state)
{
	struct host *h = *state;
	struct seen s;
	char *a, *b;

	begin(h, &s, true);
	a = add_vm(h, "a", "broken.service");
	start_module(h);
	bus_wait(h->client, &s.told, HOST_TIMEOUT_US);	/* the last word: all is seen by then */
	assert_true(s.failed);
	assert_string_equal(s.failure, "unit 'broken.service' did not start: failed");
	assert_power(h, a, "on");
	assert_int_equal(host_stop(h), 0);

	begin(h, &s, false);	/* its systemd is still there */
	b = add_vm(h, "b", "gone.service");
	start_module(h);
	bus_wait(h->client, &s.told, HOST_TIMEOUT_US);	/* the last word: all is seen by then */
	assert_true(s.failed);
	assert_string_equal(s.failure, "unit 'gone.service' did not start: Unit gone.service not found.");
	free(a);
	free(b);
	assert_int_equal(host_stop(h), 0);
}

static void test_without_systemd_volumes_open(void **state)
{
	struct host *h = *state;
	char *plain, *unit;
	struct seen s;

	begin(h, &s, false);
	plain = add_vm(h, "plain", "");
	unit = add_vm(h, "unit", "qemu.service");
	start_module(h);
	bus_wait(h->client, &s.told, HOST_TIMEOUT_US);
	assert_string_equal(s.summary, "2 of 2 VMs that start with the host were powered on");
	assert_true(s.failed);
	assert_contains(s.failure, "unit 'qemu.service' did not start: ");
	assert_power(h, plain, "on");
	assert_power(h, unit, "on");
	free(plain);
	free(unit);
	assert_int_equal(host_stop(h), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_starts_once, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_a_unit_that_fails_is_told, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_without_systemd_volumes_open, host_setup, host_teardown),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
