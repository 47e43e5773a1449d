// SPDX-License-Identifier: GPL-2.0-or-later
#include "../../testing/testing.h"

#include "bus.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"

#define NOBODY	65534
#define CALL_US	20000000ull

static struct vmc_error err;

static struct {
	char *dir, address[128];
	pid_t daemon;
	struct trust_state *s;
	struct trust_admin *a;
	struct trust_bus *b;
} w;

static const char config[] =
	"<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN'"
	" 'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>"
	"<busconfig><listen>%s</listen><auth>EXTERNAL</auth><policy context='default'>"
	"<allow user='*'/><allow own='*'/><allow eavesdrop='true'/>"
	"<allow send_destination='*' eavesdrop='true'/></policy></busconfig>";

static int no_remote(void *data, const char *where, const char *cert, const char *path, const json_t *body,
		     json_t **answer, struct vmc_error *e)
{
	(void)data, (void)cert, (void)path, (void)body, (void)answer;
	return vmc_fail(e, VMC_EUNREACH, "no network to %s here", where);
}

static void start_daemon(void)
{
	char text[1024], option[300], answer[256];
	int fds[2];

	snprintf(w.address, sizeof(w.address), "unix:abstract=/vmcrypt-trust-test-%d-%llx", getpid(),
		 (unsigned long long)vmc_now_ms());
	snprintf(text, sizeof(text), config, w.address);
	test_write_text(test_path(w.dir, "bus.conf"), text);
	snprintf(option, sizeof(option), "--config-file=%s", test_path(w.dir, "bus.conf"));
	assert_false(pipe2(fds, O_CLOEXEC));
	w.daemon = fork();
	assert_true(w.daemon >= 0);
	if (!w.daemon) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--print-address=1", option, NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], answer, sizeof(answer)) > 0);	/* it listens */
	close(fds[0]);
}

static int setup(void **state)
{
	const struct trust_admin_options o = { .host = "ta-1", .remote = no_remote };

	(void)state;
	w.dir = test_mkdir();
	start_daemon();
	setenv("VMCRYPT_BUS", w.address, 1);
	assert_ok(trust_state_open(&w.s, test_path(w.dir, "state"), &err), &err);
	assert_ok(trust_admin_open(&w.a, w.s, &o, &err), &err);
	assert_ok(trust_bus_start(&w.b, w.a, &err), &err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	trust_bus_stop(w.b);
	trust_admin_close(w.a);
	trust_state_close(w.s);
	kill(w.daemon, SIGKILL);
	waitpid(w.daemon, NULL, 0);
	test_rmdir(w.dir);
	return 0;
}

static sd_bus *connect_bus(void)
{
	sd_bus *bus = NULL;

	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_address(bus, w.address) >= 0);
	assert_true(sd_bus_set_bus_client(bus, true) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	return bus;
}

/* What came back, JSON or an error's text; @name: of the error, empty when there was none. */
static void call(sd_bus *bus, const char *verb, const char *params, const char *option, int fd, char *name, char *text,
		 size_t size)
{
	sd_bus_message *m = NULL, *reply = NULL;
	sd_bus_error e = SD_BUS_ERROR_NULL;
	const char *s = "";

	assert_true(sd_bus_message_new_method_call(bus, &m, TRUST_BUS_NAME, TRUST_BUS_PATH, TRUST_BUS_NAME, "Call") >= 0);
	assert_true(sd_bus_message_append(m, "ss", verb, params) >= 0);
	if (option)
		assert_true(sd_bus_message_append(m, "a{sv}", 2, option, "h", fd, "of-tomorrow", "u", 1) >= 0);
	else
		assert_true(sd_bus_message_append(m, "a{sv}", 0) >= 0);
	if (sd_bus_call(bus, m, CALL_US, &e, &reply) >= 0)
		assert_true(sd_bus_message_read(reply, "s", &s) > 0);
	snprintf(name, 64, "%s", e.name ? e.name : "");
	snprintf(text, size, "%s", e.name ? e.message : s);
	sd_bus_error_free(&e);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
}

static void test_calls(void **state)
{
	char name[64], text[4096];
	sd_bus *bus = connect_bus();

	(void)state;
	call(bus, "init", "{\"cluster\":\"blue\"}", NULL, -1, name, text, sizeof(text));
	assert_string_equal(name, "");
	assert_string_equal(text, "{}");
	call(bus, "status", "{}", NULL, -1, name, text, sizeof(text));
	assert_contains(text, "\"cluster\":\"blue\"");
	call(bus, "ca-remove", "{\"name\":\"x\"}", NULL, -1, name, text, sizeof(text));
	assert_string_equal(name, "org.vmcrypt1.Error.NotFound");
	assert_contains(text, "no CA certificate 'x'\nHint: ");
	call(bus, "status", "{", NULL, -1, name, text, sizeof(text));
	assert_string_equal(name, "org.vmcrypt1.Error.InvalidArgument");
	call(bus, "reboot", "{}", NULL, -1, name, text, sizeof(text));
	assert_string_equal(name, "org.vmcrypt1.Error.NotFound");
	sd_bus_flush_close_unref(bus);
}

/* Files go with a call, and only those that it names. */
static void test_files(void **state)
{
	char name[64], text[4096];
	sd_bus *bus = connect_bus();
	int fd;

	(void)state;
	call(bus, "init", "{\"cluster\":\"blue\"}", NULL, -1, name, text, sizeof(text));
	call(bus, "backup", "{}", NULL, -1, name, text, sizeof(text));
	assert_contains(text, "no file for the backup");
	test_write_text(test_path(w.dir, "out"), "");
	fd = open(test_path(w.dir, "out"), O_RDWR | O_CLOEXEC);
	call(bus, "backup", "{}", "data", fd, name, text, sizeof(text));
	assert_contains(text, "no file for the password");
	close(fd);
	sd_bus_flush_close_unref(bus);
}

/* Without polkit nobody but root is let in. */
static void test_nobody(void **state)
{
	char name[64], text[4096];
	sd_bus *bus;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid()) {
		print_message("# not root: who else calls is not tested\n");
		skip();
	}
	pid = fork();
	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(2);
		bus = connect_bus();
		call(bus, "status", "{}", NULL, -1, name, text, sizeof(text));
		_exit(!strcmp(name, "org.vmcrypt1.Error.NotAuthorized") && strstr(text, TRUST_BUS_AUDIT) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_calls),
		TEST(test_files),
		TEST(test_nobody),
	};

	return secmem_init(1u << 20, NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
