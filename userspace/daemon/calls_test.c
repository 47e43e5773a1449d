// SPDX-License-Identifier: GPL-2.0-or-later
/* What clients see: objects and their signals, jobs, refusals, and who may do what. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/util.h"

#define VM(path) path, "org.vmcrypt1.VM"

static int setup(void **state)
{
	host_setup(state);
	host_start(*state);
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;

	assert_int_equal(host_stop(h), 0);
	return host_teardown(state);
}

/* ---- objects ---------------------------------------------------------- */

struct seen {
	unsigned int added, removed, changed;
	char path[256], names[256];
	bool job_gone, disk_added;
	sd_bus *bus;
};

static int on_added(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct seen *s = data;
	const char *path;

	(void)e;
	assert_true(sd_bus_message_read(m, "o", &path) >= 0);
	s->added++;
	s->disk_added = s->disk_added || strstr(path, "/disk/");
	snprintf(s->path, sizeof(s->path), "%s", path);
	return 0;
}

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct seen *s = data;
	const char *path;

	(void)e;
	assert_true(sd_bus_message_read(m, "o", &path) >= 0);
	s->removed++;
	s->job_gone = s->job_gone || strstr(path, "/job/");
	return 0;
}

static int on_changed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct seen *s = data;
	const char *interface;

	(void)e;
	assert_true(sd_bus_message_read(m, "s", &interface) >= 0);
	s->changed += !strcmp(interface, "org.vmcrypt1.Job") || !strcmp(interface, "org.vmcrypt1.VM");
	return 0;
}

static void watch(sd_bus *bus, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	s->bus = bus;
	assert_true(sd_bus_match_signal(bus, NULL, "org.vmcrypt1", "/org/vmcrypt1",
					"org.freedesktop.DBus.ObjectManager", "InterfacesAdded", on_added, s) >= 0);
	assert_true(sd_bus_match_signal(bus, NULL, "org.vmcrypt1", "/org/vmcrypt1",
					"org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", on_removed, s) >= 0);
	assert_true(sd_bus_match_signal(bus, NULL, "org.vmcrypt1", NULL, "org.freedesktop.DBus.Properties",
					"PropertiesChanged", on_changed, s) >= 0);
}

static char *get_string(sd_bus *bus, const char *path, const char *interface, const char *name)
{
	char *value;

	assert_true(sd_bus_get_property_string(bus, "org.vmcrypt1", path, interface, name, NULL, &value) >= 0);
	return value;
}

static void assert_property(sd_bus *bus, const char *path, const char *interface, const char *name, const char *want)
{
	char *value = get_string(bus, path, interface, name);

	assert_string_equal(value, want);
	free(value);
}

static void drop(sd_bus_message *reply)
{
	sd_bus_message_unref(reply);
}

/* Whoever has the answer sees the new state. */
static void test_objects_follow_calls(void **state)
{
	struct host *h = *state;
	struct seen s;
	char *vm, disk[128];

	watch(h->client, &s);
	vm = make_vm(h->client, "web");
	assert_property(h->client, VM(vm), "Name", "web");
	assert_property(h->client, VM(vm), "Power", "off");
	drop(bus_call(h->client, NULL, VM(vm), "PowerOn", NULL));
	assert_property(h->client, VM(vm), "Power", "on");
	drop(bus_call(h->client, NULL, VM(vm), "CreateDisk", "sa{sv}", "a-b", 1, "size", "t", UINT64_C(1)));
	snprintf(disk, sizeof(disk), "%s/disk/a_2db", vm);
	assert_property(h->client, disk, "org.vmcrypt1.Disk", "Name", "a-b");
	drop(bus_call(h->client, NULL, VM(vm), "DetachDisk", "s", "a-b"));
	drop(bus_call(h->client, NULL, VM(vm), "PowerOff", NULL));
	drop(bus_call(h->client, NULL, VM(vm), "Unregister", NULL));
	bus_wait(h->client, NULL, 200000);
	/* VM, disk, and the jobs of CreateVM, PowerOn and CreateDisk */
	assert_int_equal(s.added, 5);
	assert_int_equal(s.removed, 5);
	assert_in_range(s.changed, 2, 8);	/* Power twice */
	free(vm);
}

static void test_answers_and_errors(void **state)
{
	struct host *h = *state;
	sd_bus_message *r;
	const char *text;
	char *vm = make_vm(h->client, "web");

	bus_call(h->client, "NotFound", MANAGER, "GetVM", "s", "nowhere");
	assert_contains(bus_error_text, "there is no VM 'nowhere'\nHint: ");
	bus_call(h->client, "Exists", MANAGER, "CreateVM", "ssa{sv}", "web", "/vms", 0);
	bus_call(h->client, "InvalidArgument", MANAGER, "CreateVM", "ssa{sv}", "a", "/vms", 1, "sze", "t", UINT64_C(1));
	assert_contains(bus_error_text, "'sze'");
	bus_call(h->client, "InvalidArgument", MANAGER, "ListEvents", "ua{sv}", 4000000000u, 0);
	bus_call(h->client, "KeyMissing", MANAGER, "ShowKey", "s", "kms/9");
	/* A text with bytes that the bus would refuse is answered all the same. */
	bus_call(h->client, "Busy", VM(vm), "CloseDisk", "s", "x");
	assert_contains(bus_error_text, "'/vm/??.img' is in use");
	r = bus_call(h->client, NULL, VM(vm), "OpenDisk", "s", "x");
	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_string_equal(text, "/dev/mapper/x");
	drop(r);
	r = bus_call(h->client, NULL, MANAGER, "RecryptShallow", "asa{sv}", 2, "a", "b", 1, "provider", "s", "p");
	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_string_equal(text, "{\"n\":2,\"provider\":\"p\"}");
	drop(r);
	free(vm);
}

/* ---- alarms, events, figures ------------------------------------------ */

static void assert_answer(sd_bus_message *r, const char *want)
{
	const char *text;

	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_contains(text, want);
	drop(r);
}

static void test_events(void **state)
{
	struct host *h = *state;

	assert_answer(bus_call(h->client, NULL, MANAGER, "ListEvents", "ua{sv}", 7u, 0), "[{\"limit\":7}]");
	assert_answer(bus_call(h->client, NULL, MANAGER, "ListEvents", "ua{sv}", 2u, 1, "vm", "s", "a"),
		      "[{\"id\":2499},{\"id\":2497}]");
	assert_answer(bus_call(h->client, NULL, MANAGER, "ListEvents", "ua{sv}", 2u, 2, "vm", "s", "b", "after", "t",
			       UINT64_C(5)), "[{\"id\":6},{\"id\":8}]");
	assert_answer(bus_call(h->client, NULL, MANAGER, "ListEvents", "ua{sv}", 2u, 1, "vm", "s", "none"), "[]");
	bus_call(h->client, "InvalidArgument", MANAGER, "ListEvents", "ua{sv}", 2u, 1, "after", "t", UINT64_MAX);
}

static void test_alarms(void **state)
{
	struct host *h = *state;
	char *vm = make_vm(h->client, "loud");

	assert_answer(bus_call(h->client, NULL, MANAGER, "ListAlarms", "b", 0), "[]");
	assert_answer(bus_call(h->client, NULL, MANAGER, "ListAlarms", "b", 1), "\"id\":\"a1\"");
	drop(bus_call(h->client, NULL, VM(vm), "PowerOn", NULL));
	assert_answer(bus_call(h->client, NULL, MANAGER, "ListAlarms", "b", 0), "\"id\":\"a1\"");
	bus_call(h->client, "NotFound", MANAGER, "AcknowledgeAlarm", "s", "a2");
	drop(bus_call(h->client, NULL, MANAGER, "AcknowledgeAlarm", "s", "a1"));
	drop(bus_call(h->client, NULL, MANAGER, "AcknowledgeAlarm", "s", ""));
	free(vm);
}

static void test_lock_and_many(void **state)
{
	struct host *h = *state;
	char *vm = make_vm(h->client, "web");

	drop(bus_call(h->client, NULL, VM(vm), "PowerOn", NULL));
	drop(bus_call(h->client, NULL, VM(vm), "Lock", "b", 1));
	assert_property(h->client, VM(vm), "Power", "on");
	drop(bus_call(h->client, NULL, VM(vm), "Lock", "b", 0));
	assert_property(h->client, VM(vm), "Power", "off");
	assert_answer(bus_call(h->client, NULL, MANAGER, "RegisterMany", "sa{sv}", "/srv", 1, "from_headers", "b", 1),
		      "{\"name\":\"/srv\",\"ok\":true}");
	assert_answer(bus_call(h->client, NULL, MANAGER, "Health", NULL), "\"providers\":[{\"name\":\"kms\"");
	assert_answer(bus_call(h->client, NULL, MANAGER, "Forecast", NULL), "\"ok\":1");
	free(vm);
}

static void test_metrics(void **state)
{
	struct host *h = *state;
	char *vm = make_vm(h->client, "loud");

	drop(bus_call(h->client, NULL, VM(vm), "PowerOn", NULL));
	assert_answer(bus_call(h->client, NULL, MANAGER, "GetMetrics", NULL), "vmcrypt_alarms{type=\"vm-locked\"} 1\n");
	free(vm);
}

/* ---- jobs ------------------------------------------------------------- */

struct answer {
	bool there;
	char error[128];
};

static int on_answer(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const sd_bus_error *error = sd_bus_message_get_error(m);
	struct answer *a = data;

	(void)e;
	a->there = true;
	snprintf(a->error, sizeof(a->error), "%s", error ? error->name : "");
	return 0;
}

static void encrypt(sd_bus *bus, const char *vm, const char *disk, uint64_t steps, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	assert_true(sd_bus_call_method_async(bus, NULL, "org.vmcrypt1", vm, "org.vmcrypt1.VM", "EncryptDisk", on_answer,
					     a, "ssa{sv}", disk, "/x", 1, "rate", "t", steps) >= 0);
}

static void wait_for_object(struct seen *s)
{
	unsigned int before = s->added;
	uint64_t until = vmc_now_ms() + HOST_TIMEOUT_US / 1000;

	while (s->added == before) {
		bus_wait(s->bus, NULL, 20000);
		assert_true(vmc_now_ms() < until);
	}
}

static void test_job_tells_how_far_it_is(void **state)
{
	struct host *h = *state;
	const char *me;
	struct answer a;
	struct seen s;
	char *vm = make_vm(h->client, "web"), *id;

	watch(h->client, &s);
	encrypt(h->client, vm, "root", 150, &a);	/* 1.5 s and more */
	wait_for_object(&s);
	assert_contains(s.path, "/org/vmcrypt1/job/");
	assert_true(sd_bus_get_unique_name(h->client, &me) >= 0);
	assert_property(h->client, s.path, "org.vmcrypt1.Job", "Sender", me);
	assert_property(h->client, s.path, "org.vmcrypt1.Job", "Operation", "disk-encrypt");
	id = get_string(h->client, VM(vm), "Id");
	assert_property(h->client, s.path, "org.vmcrypt1.Job", "VM", id);
	free(id);
	bus_wait(h->client, &a.there, 0);
	assert_string_equal(a.error, "");
	bus_wait(h->client, &s.job_gone, 0);
	/* Four times a second, and a last word; a loaded machine is slower, never faster. */
	assert_in_range(s.changed, 3, 12);
	free(vm);
}

static void test_cancel(void **state)
{
	struct host *h = *state;
	struct answer a;
	struct seen s;
	char *vm = make_vm(h->client, "web");

	watch(h->client, &s);
	encrypt(h->client, vm, "root", 100000, &a);
	wait_for_object(&s);
	drop(bus_call(h->client, NULL, s.path, "org.vmcrypt1.Job", "Cancel", NULL));
	bus_wait(h->client, &a.there, 0);
	assert_string_equal(a.error, "org.vmcrypt1.Error.Canceled");
	free(vm);
}

/* Calls that only look, and short ones, go on while every thread for copies is taken. */
static void test_copies_hold_nothing_up(void **state)
{
	struct host *h = *state;
	struct answer a[4];
	char *vm = make_vm(h->client, "web");

	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		encrypt(h->client, vm, "root", 200, &a[i]);
	drop(bus_call(h->client, NULL, MANAGER, "ListVMs", NULL));
	drop(bus_call(h->client, NULL, VM(vm), "PowerOn", NULL));
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		assert_false(a[i].there);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
		bus_wait(h->client, &a[i].there, 0);
		assert_string_equal(a[i].error, "");
	}
	free(vm);
}

static void test_work_outlives_its_client(void **state)
{
	struct host *h = *state;
	sd_bus *other = host_connect(h, false);
	struct answer a;
	struct seen s;
	char *vm = make_vm(h->client, "web");

	watch(h->client, &s);
	encrypt(other, vm, "root", 50, &a);
	sd_bus_flush(other);
	wait_for_object(&s);
	sd_bus_close_unref(other);
	bus_wait(h->client, &s.disk_added, 0);
	free(vm);
}

static void test_too_much_is_busy(void **state)
{
	struct host *h = *state;
	struct answer *a = calloc(700, sizeof(*a));
	char *vm = make_vm(h->client, "web");
	unsigned int busy = 0, canceled = 0;

	assert_non_null(a);
	for (size_t i = 0; i < 700; i++)
		encrypt(h->client, vm, "root", 100000, &a[i]);
	/* 512 wait, two run; the rest is told so at once. */
	for (size_t i = 514; i < 700; i++)
		bus_wait(h->client, &a[i].there, 0);
	kill(h->daemon, SIGTERM);
	for (size_t i = 0; i < 700; i++) {
		bus_wait(h->client, &a[i].there, 0);
		busy += !strcmp(a[i].error, "org.vmcrypt1.Error.Busy");
		canceled += !strcmp(a[i].error, "org.vmcrypt1.Error.Canceled");
	}
	assert_in_range(busy, 184, 188);
	assert_int_equal(busy + canceled, 700);
	assert_int_equal(host_wait_exit(h), 0);
	host_start(h);		/* for teardown */
	free(vm);
	free(a);
}

/* ---- key providers and secrets ---------------------------------------- */

#define KMS "/org/vmcrypt1/provider/kms", "org.vmcrypt1.Provider"

static void test_providers(void **state)
{
	struct host *h = *state;
	sd_bus_message *r;
	const char *path;
	struct seen s;

	watch(h->client, &s);
	bus_call(h->client, "NotSupported", MANAGER, "AddProvider", "sss", "hsm", "kms", "{}");
	bus_call(h->client, "InvalidArgument", MANAGER, "AddProvider", "sss", "kmip", "kms", "[1]");
	bus_call(h->client, "InvalidArgument", MANAGER, "AddProvider", "sss", "kmip", "kms", "{\"a\":1,\"a\":2}");
	bus_call(h->client, "InvalidArgument", MANAGER, "AddProvider", "sss", "kmip", "kms", "{\"password\":\"x\"}");
	assert_contains(bus_error_text, "'password' must not travel over the bus");
	r = bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "kms", "{}");
	assert_true(sd_bus_message_read(r, "o", &path) >= 0);
	assert_string_equal(path, "/org/vmcrypt1/provider/kms");
	drop(r);
	assert_property(h->client, MANAGER, "DefaultProvider", "");
	drop(bus_call(h->client, NULL, MANAGER, "SetDefaultProvider", "s", "kms"));
	assert_property(h->client, MANAGER, "DefaultProvider", "kms");
	drop(bus_call(h->client, NULL, KMS, "Test", NULL));
	drop(bus_call(h->client, NULL, KMS, "Describe", NULL));
	drop(bus_call(h->client, NULL, MANAGER, "RemoveProvider", "s", "kms"));
	bus_wait(h->client, NULL, 100000);
	assert_int_equal(s.added, 1);
	assert_int_equal(s.removed, 1);
}

static void test_provider_in_use_stays(void **state)
{
	struct host *h = *state;

	drop(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "used", "{}"));
	bus_call(h->client, "Busy", MANAGER, "RemoveProvider", "s", "used");
	assert_contains(bus_error_text, "holds keys of VMs of this host: 'web'");
}

static void test_private_keys_come_as_files(void **state)
{
	struct host *h = *state;
	int fd = memfd_create("key", MFD_CLOEXEC), fds[2];
	sd_bus_message *r;
	const char *text;

	drop(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "kms", "{}"));
	assert_int_equal(write(fd, "PRIVATE KEY", 11), 11);
	r = bus_call(h->client, NULL, KMS, "Import", "sh", "CERTIFICATE", fd);
	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_string_equal(text, "{\"verb\":\"import\",\"key_bytes\":11}");
	drop(r);
	assert_false(ftruncate(fd, 1 << 20));
	bus_call(h->client, "InvalidArgument", KMS, "Import", "sh", "CERTIFICATE", fd);
	close(fd);
	assert_false(pipe2(fds, O_CLOEXEC));
	bus_call(h->client, "InvalidArgument", KMS, "Import", "sh", "CERTIFICATE", fds[0]);
	assert_contains(bus_error_text, "must be a regular file");
	close(fds[0]);
	close(fds[1]);
	bus_call(h->client, "InvalidArgument", KMS, "Trust", "ss", "import", "{}");
	assert_contains(bus_error_text, "Hint: call Import");
	bus_call(h->client, "InvalidArgument", KMS, "Trust", "ss", "upload", "{\"key_pem\":\"x\"}");
	drop(bus_call(h->client, NULL, KMS, "Trust", "ss", "csr", ""));
}

static int memfd(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

#define HOST "/org/vmcrypt1", "org.vmcrypt1.Host"

static void test_persistence(void **state)
{
	struct host *h = *state;
	int key = memfd(""), wrong = memfd("wrong"), right = memfd("right"), pipes[2];
	char text[256];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	bus_call(h->client, "WrongState", HOST, "PersistenceReseal", "a{sv}", 0);
	bus_call(h->client, "WrongState", HOST, "PersistenceSuspend", "u", 2);
	bus_call(h->client, "NotFound", HOST, "PersistenceEnable", "a{sv}", 1, "provider", "s", "other");
	bus_call(h->client, "InvalidArgument", HOST, "PersistenceEnable", "a{sv}", 1, "now", "b", 1);
	drop(bus_call(h->client, NULL, HOST, "PersistenceEnable", "a{sv}", 1, "provider", "s", "kms"));
	drop(bus_call(h->client, NULL, HOST, "PersistenceSuspend", "u", 2));
	drop(bus_call(h->client, NULL, HOST, "PersistenceStatus", NULL));
	drop(bus_call(h->client, NULL, HOST, "PersistenceReseal", "a{sv}", 1, "new_tpm", "b", 1));
	bus_call(h->client, "NotAuthentic", HOST, "PersistenceRecover", "ha{sv}", wrong, 0);
	bus_call(h->client, "InvalidArgument", HOST, "PersistenceRecover", "ha{sv}", pipes[0], 0);
	drop(bus_call(h->client, NULL, HOST, "PersistenceRecover", "ha{sv}", right, 0));
	bus_call(h->client, "InvalidArgument", HOST, "PersistenceExportRecoveryKey", "ha{sv}", pipes[1], 0);
	bus_call(h->client, "InvalidArgument", HOST, "PersistenceExportRecoveryKey", "ha{sv}", right, 0);
	drop(bus_call(h->client, NULL, HOST, "PersistenceExportRecoveryKey", "ha{sv}", key, 0));
	assert_int_equal(pread(key, text, sizeof(text), 0), 16 * 7 - 1);
	assert_int_equal(ftruncate(key, 0), 0);
	bus_call(h->client, "WrongState", HOST, "PersistenceExportRecoveryKey", "ha{sv}", key, 0);
	drop(bus_call(h->client, NULL, HOST, "PersistenceExportRecoveryKey", "ha{sv}", key, 1, "force", "b", 1));
	bus_call(h->client, "InvalidArgument", HOST, "PersistenceDisable", "a{sv}", 2, "remove_all", "b", 1,
		 "provider", "s", "kms");
	drop(bus_call(h->client, NULL, HOST, "PersistenceDisable", "a{sv}", 1, "remove_all", "b", 1));
	close(key);
	close(wrong);
	close(right);
	close(pipes[0]);
	close(pipes[1]);
}

#define STORES "/org/vmcrypt1", "org.vmcrypt1.Datastores"

static void test_datastores(void **state)
{
	struct host *h = *state;
	const char *text;
	sd_bus_message *r;

	bus_call(h->client, "Exists", STORES, "CreateDatastore", "ssa{sv}", "fast", "/dev/vdb", 2, "fs", "s", "xfs",
		 "autoopen", "s", "no");
	bus_call(h->client, "InvalidArgument", STORES, "CreateDatastore", "ssa{sv}", "fast", "/dev/vdb", 1, "autoopen",
		 "s", "maybe");
	bus_call(h->client, "InvalidArgument", STORES, "RegisterDatastore", "ssa{sv}", "fast", "/dev/vdb", 1, "force",
		 "b", 1);
	drop(bus_call(h->client, NULL, STORES, "CreateDatastore", "ssa{sv}", "fast", "/dev/vdb", 0));
	drop(bus_call(h->client, NULL, STORES, "RegisterDatastore", "ssa{sv}", "fast", "/dev/vdb", 0));
	bus_call(h->client, "NotFound", STORES, "OpenDatastore", "s", "slow");
	r = bus_call(h->client, NULL, STORES, "OpenDatastore", "s", "fast");
	assert_true(sd_bus_message_read(r, "s", &text) > 0);
	assert_non_null(strstr(text, "\"state\":\"open\""));
	drop(r);
	drop(bus_call(h->client, NULL, STORES, "SetDatastore", "sa{sv}", "fast", 1, "mount", "s", ""));
	drop(bus_call(h->client, NULL, STORES, "ListDatastores", NULL));
	drop(bus_call(h->client, NULL, STORES, "UnlockDatastores", "as", 1, "fast"));
	bus_call(h->client, "InvalidArgument", STORES, "RecryptDatastores", "asa{sv}", 0, 2, "provider", "s", "a",
		 "add_provider", "s", "b");
	drop(bus_call(h->client, NULL, STORES, "RecryptDatastores", "asa{sv}", 0, 0));
	drop(bus_call(h->client, NULL, STORES, "CloseDatastore", "s", "fast"));
	drop(bus_call(h->client, NULL, STORES, "UnregisterDatastore", "s", "fast"));
	drop(bus_call(h->client, NULL, STORES, "RemoveDatastore", "s", "fast"));
}

/* Passwords and backups go in and out as open files, each to its place. */
static void test_backups_of_providers(void **state)
{
	struct host *h = *state;
	int backup = memfd("site-a"), password = memfd("a password"), out = memfd(""), pipes[2];
	const char *text;
	char back[16] = "";
	sd_bus_message *r;

	drop(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "native", "kms", "{}"));
	drop(bus_call(h->client, NULL, KMS, "Export", "hh", password, out));
	assert_int_equal(pread(out, back, sizeof(back), 0), 10);
	assert_string_equal(back, "a password");
	r = bus_call(h->client, NULL, MANAGER, "ImportProvider", "hha{sv}", backup, password, 2, "insecure_no_tpm",
		     "b", 1, "key_id", "s", "x");
	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_string_equal(text, "{\"name\":\"site-a\",\"key_id\":\"x\",\"restored\":true}");
	drop(r);
	bus_call(h->client, "NotAuthentic", MANAGER, "ImportProvider", "hha{sv}", backup, backup, 0);
	bus_call(h->client, "InvalidArgument", MANAGER, "ImportProvider", "hha{sv}", backup, password, 1, "x", "b", 1);
	assert_false(pipe2(pipes, O_CLOEXEC));
	bus_call(h->client, "InvalidArgument", KMS, "Export", "hh", pipes[0], out);
	assert_contains(bus_error_text, "must be a regular file");
	bus_call(h->client, "InvalidArgument", MANAGER, "ImportProvider", "hha{sv}", pipes[0], password, 0);
	bus_call(h->client, "NotSupported", MANAGER, "AddProvider", "sss", "other", "x", "{}");
	assert_contains(bus_error_text, "kmip, native");
	close(pipes[0]);
	close(pipes[1]);
	close(backup);
	close(password);
	close(out);
}

/* ---- who may do what -------------------------------------------------- */

static void test_nobody_without_polkit(void **state)
{
	struct host *h = *state;
	sd_bus *nobody;
	char *vm;

	if (geteuid())
		skip();		/* only root can be somebody else */
	vm = make_vm(h->client, "web");
	nobody = host_connect(h, true);
	bus_call(nobody, "NotAuthorized", MANAGER, "ListVMs", NULL);
	assert_contains(bus_error_text, "org.vmcrypt1.read: polkit is not there to give it\nHint: ");
	bus_call(nobody, "NotAuthorized", VM(vm), "PowerOn", NULL);
	bus_call(nobody, "NotAuthorized", vm, "org.freedesktop.DBus.Properties", "Get", "ss", "org.vmcrypt1.VM", "Name");
	bus_call(nobody, "NotAuthorized", "/org/vmcrypt1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
	/* What says nothing of this host is free. */
	drop(bus_call(nobody, NULL, vm, "org.freedesktop.DBus.Introspectable", "Introspect", NULL));
	assert_property(h->client, VM(vm), "Power", "off");
	sd_bus_close_unref(nobody);
	free(vm);
}

static void test_nobody_with_polkit(void **state)
{
	struct host *h = *state;
	struct answer a;
	struct seen s;
	sd_bus *nobody;
	char *vm;

	if (geteuid())
		skip();
	polkit_start(h);
	vm = make_vm(h->client, "web");
	nobody = host_connect(h, true);
	drop(bus_call(nobody, NULL, MANAGER, "ListVMs", NULL));
	drop(bus_call(nobody, NULL, VM(vm), "PowerOn", NULL));
	assert_property(nobody, VM(vm), "Power", "on");
	bus_call(nobody, "NotAuthorized", VM(vm), "EncryptDisk", "ssa{sv}", "root", "/x", 0);
	assert_contains(bus_error_text, "it was not proved");
	bus_call(nobody, "NotAuthorized", VM(vm), "Unregister", NULL);
	assert_contains(bus_error_text, "org.vmcrypt1.register-vm: polkit says no");
	bus_call(nobody, "NotAuthorized", MANAGER, "AddProvider", "sss", "kmip", "kms", "{}");

	watch(h->client, &s);
	encrypt(h->client, vm, "root", 100000, &a);
	wait_for_object(&s);
	bus_call(nobody, "NotAuthorized", s.path, "org.vmcrypt1.Job", "Cancel", NULL);
	drop(bus_call(h->client, NULL, s.path, "org.vmcrypt1.Job", "Cancel", NULL));
	bus_wait(h->client, &a.there, 0);
	sd_bus_close_unref(nobody);
	free(vm);
}

static void assert_power_on(sd_bus *bus, const char *vm, const char *want)
{
	sd_bus_message *r = bus_call(bus, NULL, VM(vm), "PowerOn", NULL);
	const char *text;

	assert_true(sd_bus_message_read(r, "s", &text) >= 0);
	assert_contains(text, want);
	drop(r);
}

/* Who may power on may not bring keys to this host by it. */
static void test_fetching_takes_register_vm(void **state)
{
	struct host *h = *state;
	char *vm, *bare;
	sd_bus *nobody;

	if (geteuid())
		skip();
	polkit_start(h);
	vm = make_vm(h->client, "web");
	bare = make_vm(h->client, "bare1");
	nobody = host_connect(h, true);
	assert_power_on(nobody, vm, "\"may_fetch\":false");
	assert_power_on(h->client, vm, "\"may_fetch\":true");
	bus_call(nobody, "NotAuthorized", VM(bare), "PowerOn", NULL);
	assert_contains(bus_error_text, "not on this host: 'kms/home'");
	assert_contains(bus_error_text, "PowerOn needs the authorisation org.vmcrypt1.register-vm: polkit says no");
	assert_contains(bus_error_text, "Hint: have somebody who may register VMs type 'vmcrypt vm unlock ");
	bus_call(nobody, "NotAuthorized", VM(bare), "Reload", NULL);
	drop(bus_call(h->client, NULL, STORES, "CloseDatastore", "s", "fast"));
	host_touch(h, "grants", "org.vmcrypt1.access");
	bus_call(nobody, "NotAuthorized", STORES, "OpenDatastore", "s", "fast");
	assert_contains(bus_error_text, "not on this host: 'kms/fast'");
	assert_contains(bus_error_text, "Hint: have somebody who may register VMs type 'vmcrypt datastore unlock fast'");
	host_remove(h, "grants");
	assert_property(h->client, VM(bare), "Power", "off");

	host_touch(h, "grants", "org.vmcrypt1.register-vm");
	assert_power_on(nobody, bare, "\"may_fetch\":true");
	host_remove(h, "grants");
	/* and now they are there */
	drop(bus_call(nobody, NULL, VM(bare), "PowerOff", NULL));
	assert_power_on(nobody, bare, "\"may_fetch\":false");
	sd_bus_close_unref(nobody);
	free(bare);
	free(vm);
}

static void test_providers_are_not_for_all_who_read(void **state)
{
	struct host *h = *state;
	sd_bus *nobody;

	if (geteuid())
		skip();
	polkit_start(h);
	drop(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "kms", "{}"));
	nobody = host_connect(h, true);
	drop(bus_call(nobody, NULL, "/org/vmcrypt1", "org.freedesktop.DBus.Properties", "Get", "ss",
		      "org.vmcrypt1.Manager", "Version"));
	bus_call(nobody, "NotAuthorized", MANAGER, "ListProviders", NULL);
	bus_call(nobody, "NotAuthorized", "/org/vmcrypt1/provider/kms", "org.freedesktop.DBus.Properties", "Get", "ss",
		 "org.vmcrypt1.Provider", "Servers");
	assert_contains(bus_error_text, "org.vmcrypt1.read-key-servers");
	bus_call(nobody, "NotAuthorized", "/org/vmcrypt1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
	host_touch(h, "grants", "org.vmcrypt1.read-key-servers");
	drop(bus_call(nobody, NULL, MANAGER, "ListProviders", NULL));
	drop(bus_call(nobody, NULL, "/org/vmcrypt1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL));
	sd_bus_close_unref(nobody);
}

static void test_what_is_in_no_table_is_refused(void **state)
{
	struct host *h = *state;

	bus_call(h->client, "NotFound", MANAGER, "Explode", NULL);
	bus_call(h->client, "NotFound", "/org/vmcrypt1", "org.vmcrypt1.Other", "ListVMs", NULL);
	bus_call(h->client, "NotFound", "/org/vmcrypt1", NULL, "ListVMs", NULL);
}

/* ---- the audit log ------------------------------------------------------ */

/* The JSON of the answer @r, which is used up. */
static json_t *answer_json(sd_bus_message *r)
{
	const char *text;
	json_t *o;

	assert_true(sd_bus_message_read(r, "s", &text) > 0);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	sd_bus_message_unref(r);
	return o;
}

static json_t *ask_audit(sd_bus *bus, const char *member, const char *option, const char *value)
{
	return answer_json(option ? bus_call(bus, NULL, MANAGER, member, "a{sv}", 1, option, "s", value) :
				    bus_call(bus, NULL, MANAGER, member, "a{sv}", 0));
}

static const json_t *audit_entry(const json_t *list, const char *action, const char *result)
{
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
		if (!strcmp(json_string_value(json_object_get(e, "action")), action) &&
		    !strcmp(json_string_value(json_object_get(e, "result")), result))
			return e;
	return NULL;
}

/* Who did what, refusals too; and somebody changes the file. */
static void test_audit(void **state)
{
	struct host *h = *state;
	const char *log = test_path(h->dir, "state/audit/00000000000000000001.log"), *sender;
	json_t *list, *o;
	const json_t *e;
	sd_bus *nobody;
	char *vm;
	int fd;

	vm = make_vm(h->client, "web");
	bus_call(h->client, "NotFound", MANAGER, "GetVM", "s", "none");		/* only looks */
	bus_call(h->client, "NotFound", MANAGER, "RemoveProvider", "s", "none");
	if (!geteuid()) {
		nobody = host_connect(h, true);
		bus_call(nobody, "NotAuthorized", MANAGER, "ListAudit", "a{sv}", 0);
		sd_bus_close_unref(nobody);
	}
	list = ask_audit(h->client, "ListAudit", NULL, NULL);
	e = audit_entry(list, "CreateVM", "ok");
	assert_non_null(e);
	assert_int_equal(json_integer_value(json_object_get(e, "uid")), geteuid());
	assert_int_equal(json_integer_value(json_object_get(e, "pid")), getpid());
	assert_true(sd_bus_get_unique_name(h->client, &sender) >= 0);
	assert_string_equal(json_string_value(json_object_get(e, "sender")), sender);
	assert_int_equal(strlen(json_string_value(json_object_get(e, "vm"))), VMC_UUID_STR - 1);
	assert_non_null(audit_entry(list, "RemoveProvider", "NotFound"));
	assert_null(audit_entry(list, "GetVM", "NotFound"));
	assert_true(geteuid() || audit_entry(list, "access-denied", "NotAuthorized"));
	json_decref(list);
	list = ask_audit(h->client, "ListAudit", "actor", "vmcryptd");
	assert_non_null(audit_entry(list, "log-started", "ok"));
	assert_null(audit_entry(list, "CreateVM", "ok"));
	json_decref(list);

	o = ask_audit(h->client, "VerifyAudit", NULL, NULL);
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	fd = open(log, O_WRONLY);
	assert_int_equal(pwrite(fd, "X", 1, 300), 1);
	close(fd);
	o = ask_audit(h->client, "VerifyAudit", NULL, NULL);
	assert_true(json_is_false(json_object_get(o, "ok")));
	json_decref(o);
	bus_call(h->client, "InvalidArgument", MANAGER, "VerifyAudit", "a{sv}", 1, "anchor", "s", "x");
	bus_call(h->client, "InvalidArgument", MANAGER, "ListAudit", "a{sv}", 1, "limit", "t", (uint64_t)10001);
	free(vm);
}

#define HOST "/org/vmcrypt1", "org.vmcrypt1.Host"

static void test_peers(void **state)
{
	struct host *h = *state;
	json_t *o;

	o = answer_json(bus_call(h->client, NULL, HOST, "IdentityShow", ""));
	assert_int_equal(strlen(json_string_value(json_object_get(o, "sha256"))), 64);
	assert_true(json_is_null(json_object_get(o, "listen")));
	assert_non_null(strstr(json_string_value(json_object_get(o, "hint")), "[migration]"));
	bus_call(h->client, "InvalidArgument", MANAGER, "AddPeer", "sa{sv}", "b", 1, "address", "s", "192.0.2.1");
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "AddPeer", "sa{sv}", "b", 2, "address", "s", "127.0.0.1:1",
				      "fingerprint", "s", json_string_value(json_object_get(o, "sha256"))));
	json_decref(o);
	o = answer_json(bus_call(h->client, NULL, MANAGER, "ListPeers", ""));
	assert_int_equal(json_array_size(o), 1);
	json_decref(o);
	o = answer_json(bus_call(h->client, NULL, MANAGER, "ShowPeer", "s", "b"));
	assert_int_equal(json_integer_value(json_object_get(o, "port")), 1);
	json_decref(o);
	bus_call(h->client, "ProviderUnreachable", MANAGER, "TestPeer", "s", "b");
	assert_non_null(strstr(bus_error_text, "vmcryptd runs there and listens"));
	o = answer_json(bus_call(h->client, NULL, HOST, "IdentityRequest", ""));
	assert_non_null(strstr(json_string_value(json_object_get(o, "pem")), "CERTIFICATE REQUEST"));
	json_decref(o);
	bus_call(h->client, "InvalidArgument", HOST, "IdentityUpload", "s", "no PEM");
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "RemovePeer", "s", "b"));
	bus_call(h->client, "NotFound", MANAGER, "RemovePeer", "s", "b");
}

static void test_migrate(void **state)
{
	struct host *h = *state;
	json_t *o;

	o = answer_json(bus_call(h->client, NULL, MANAGER, "Migrate", "ssa{sv}", "web1", "b", 3, "parallel", "t", (uint64_t)4,
				 "qmp", "s", "/q", "dry_run", "b", 1));
	assert_string_equal(json_string_value(json_object_get(o, "to")), "b");
	assert_int_equal(json_integer_value(json_object_get(o, "parallel")), 4);
	assert_string_equal(json_string_value(json_object_get(o, "qmp")), "/q");
	assert_true(json_is_true(json_object_get(o, "dry_run")));
	json_decref(o);
	bus_call(h->client, "InvalidArgument", MANAGER, "Migrate", "ssa{sv}", "web1", "b", 1, "speed", "t", (uint64_t)4);
}

/* It cannot go on at the next start: the end of vmcryptd ends it, soon. */
static void test_migrations_end_with_the_daemon(void **state)
{
	struct host *h = *state;
	struct answer a = { .there = false };
	struct seen s;

	watch(h->client, &s);
	assert_true(sd_bus_call_method_async(h->client, NULL, "org.vmcrypt1", MANAGER, "Migrate", on_answer, &a, "ssa{sv}", "slow",
					     "b", 0) >= 0);
	wait_for_object(&s);
	assert_int_equal(host_stop(h), 0);
	bus_wait(h->client, &a.there, 0);
	assert_string_equal(a.error, "org.vmcrypt1.Error.Canceled");
	host_start(h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_objects_follow_calls),
		TEST(test_answers_and_errors),
		TEST(test_events),
		TEST(test_alarms),
		TEST(test_metrics),
		TEST(test_lock_and_many),
		TEST(test_job_tells_how_far_it_is),
		TEST(test_cancel),
		TEST(test_copies_hold_nothing_up),
		TEST(test_work_outlives_its_client),
		TEST(test_persistence),
		TEST(test_datastores),
		TEST(test_too_much_is_busy),
		TEST(test_providers),
		TEST(test_provider_in_use_stays),
		TEST(test_private_keys_come_as_files),
		TEST(test_backups_of_providers),
		TEST(test_nobody_without_polkit),
		TEST(test_nobody_with_polkit),
		TEST(test_fetching_takes_register_vm),
		TEST(test_providers_are_not_for_all_who_read),
		TEST(test_what_is_in_no_table_is_refused),
		TEST(test_audit),
		TEST(test_peers),
		TEST(test_migrate),
		TEST(test_migrations_end_with_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
