// SPDX-License-Identifier: GPL-2.0-or-later
/* For tests: a private bus with vmcryptd on it. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../api/json_memory.h"
#include "../lib/fs.h"
#include "../lib/log.h"
#include "../lib/secmem.h"
#include "../lib/util.h"
#include "server.h"

#define NOBODY 65534

char bus_error_text[2048];

/* ---- folders and the bus ---------------------------------------------- */

void host_touch(struct host *h, const char *name, const char *text)
{
	test_write_text(test_path(h->dir, name), text);
}

void host_remove(struct host *h, const char *name)
{
	assert_false(unlink(test_path(h->dir, name)));
}

static void redirect(struct host *h, const char *name)
{
	int log = open(test_path(h->dir, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	dup2(log, STDERR_FILENO);
	close(log);
}

static const char bus_config[] =
	"<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN'"
	" 'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>"
	"<busconfig><listen>%s</listen><auth>EXTERNAL</auth><policy context='default'>"
	"<allow user='*'/><allow own='*'/><allow eavesdrop='true'/><allow send_destination='*' eavesdrop='true'/>"
	"</policy><limit name='max_replies_per_connection'>2000</limit></busconfig>";

static void start_bus(struct host *h)
{
	char text[1024], option[300], answer[256];
	int fds[2];

	snprintf(h->address, sizeof(h->address), "unix:abstract=/vmcrypt-test-%d-%llx", getpid(),
		 (unsigned long long)vmc_now_ms());
	snprintf(text, sizeof(text), bus_config, h->address);
	host_touch(h, "bus.conf", text);
	snprintf(option, sizeof(option), "--config-file=%s", test_path(h->dir, "bus.conf"));
	assert_false(pipe2(fds, O_CLOEXEC));
	h->bus = fork();
	assert_true(h->bus >= 0);
	if (!h->bus) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		redirect(h, "bus-log");
		dup2(fds[1], STDOUT_FILENO);
		execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--print-address=1", option, NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], answer, sizeof(answer)) > 0);	/* it listens */
	close(fds[0]);
}

static void start_notify(struct host *h)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	h->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(h->notify >= 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", test_path(h->dir, "notify"));
	assert_false(bind(h->notify, (struct sockaddr *)&a, sizeof(a)));
}

int host_setup(void **state)
{
	static const char *const folders[] = { "etc", "state", "run" };
	static const char *const names[] = { "VMCRYPT_CONFIG_DIR", "VMCRYPT_STATE_DIR", "VMCRYPT_RUNTIME_DIR" };
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->dir = test_mkdir();
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		assert_false(mkdir(test_path(h->dir, folders[i]), 0700));
		setenv(names[i], test_path(h->dir, folders[i]), 1);
	}
	host_touch(h, "vmcrypt.conf", "[daemon]\nworkers = 2\n");
	host_touch(h, "module", "");
	setenv("VMC_MOCK_MODULE", test_path(h->dir, "module"), 1);
	start_bus(h);
	start_notify(h);
	h->client = host_connect(h, false);
	*state = h;
	return 0;
}

static void end_child(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int host_teardown(void **state)
{
	struct host *h = *state;

	sd_bus_close_unref(h->client);
	end_child(h->daemon);
	end_child(h->polkit);
	end_child(h->bus);
	close(h->notify);
	test_rmdir(h->dir);
	free(h);
	return 0;
}

/* ---- vmcryptd --------------------------------------------------------- */

static void daemon_main(struct host *h)
{
	struct server_options o = {
		.config = test_path(h->dir, "vmcrypt.conf"), .bus_address = h->address, .foreground = true,
		.stop_seconds = 2,
	};
	struct vmc_config cfg;
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	redirect(h, "log");
	setenv("NOTIFY_SOCKET", test_path(h->dir, "notify"), 1);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	log_init("vmcryptd", LOG_DEBUG);
	log_to_stderr();
	json_memory_init();
	if (config_load(&cfg, o.config, NULL) || secmem_init(1 << 16, NULL))
		_exit(99);
	/* The parent's fixtures are no leaks of the daemon: what is the daemon's, it has freed by now. */
	_exit(server_run(&o, &cfg));
}

static void fork_daemon(struct host *h)
{
	fflush(stdout);
	h->daemon = fork();
	assert_true(h->daemon >= 0);
	if (!h->daemon)
		daemon_main(h);
}

static void print_log(struct host *h)
{
	FILE *f = fopen(test_path(h->dir, "log"), "r");
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		print_message("# %s", line);
	if (f)
		fclose(f);
}

void host_log_contains(struct host *h, const char *text)
{
	char *log = NULL;

	assert_ok(fs_read(test_path(h->dir, "log"), 1 << 20, &log, NULL, NULL), NULL);
	assert_contains(log, text);
	free(log);
}

void host_wait_notify(struct host *h, const char *what)
{
	struct pollfd p = { .fd = h->notify, .events = POLLIN };
	char text[2048];
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, HOST_TIMEOUT_US / 1000) <= 0) {
			print_log(h);
			fail_msg("vmcryptd does not say %s", what);
		}
		n = recv(h->notify, text, sizeof(text) - 1, 0);
		assert_true(n >= 0);
		text[n] = '\0';
		if (strstr(text, what))
			return;
	}
}

void host_start(struct host *h)
{
	fork_daemon(h);
	host_wait_notify(h, "READY=1");
}

int host_wait_exit(struct host *h)
{
	uint64_t until = vmc_now_ms() + HOST_TIMEOUT_US / 1000;
	int status;
	pid_t r;

	/* No event tells of a child's end without taking over SIGCHLD. */
	while (!(r = waitpid(h->daemon, &status, WNOHANG)) && vmc_now_ms() < until)
		poll(NULL, 0, 10);
	if (r != h->daemon) {
		print_log(h);
		fail_msg("vmcryptd does not end");
	}
	h->daemon = 0;
	if (!WIFEXITED(status)) {
		print_log(h);
		fail_msg("vmcryptd was ended by signal %d", WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}

int host_start_fails(struct host *h)
{
	char text[2048];
	ssize_t n;
	int status;

	fork_daemon(h);
	status = host_wait_exit(h);
	while ((n = recv(h->notify, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0) {
		text[n] = '\0';
		assert_null(strstr(text, "READY=1"));
	}
	return status;
}

int host_stop(struct host *h)
{
	assert_false(kill(h->daemon, SIGTERM));
	return host_wait_exit(h);
}

/* ---- clients ---------------------------------------------------------- */

sd_bus *host_connect(struct host *h, bool nobody)
{
	sd_bus *bus;
	const char *name;

	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_address(bus, h->address) >= 0);
	assert_true(sd_bus_set_bus_client(bus, 1) >= 0);
	assert_true(sd_bus_negotiate_fds(bus, 1) >= 0);
	assert_true(sd_bus_set_method_call_timeout(bus, HOST_TIMEOUT_US) >= 0);
	/* The bus takes the user from the socket, as it was when it was connected. */
	if (nobody)
		assert_false(seteuid(NOBODY));
	assert_true(sd_bus_start(bus) >= 0);
	assert_true(sd_bus_get_unique_name(bus, &name) >= 0);	/* waits for Hello */
	if (nobody)
		assert_false(seteuid(0));
	return bus;
}

void bus_wait(sd_bus *bus, const bool *flag, uint64_t usec)
{
	uint64_t until = vmc_now_ms() + (flag ? HOST_TIMEOUT_US : usec) / 1000, now;

	while (!flag || !*flag) {
		int r = sd_bus_process(bus, NULL);

		assert_true(r >= 0);
		if (r)
			continue;
		now = vmc_now_ms();
		if (now >= until)
			break;
		sd_bus_wait(bus, (until - now) * 1000);
	}
	if (flag)
		assert_true(*flag);
}

sd_bus_message *bus_call(sd_bus *bus, const char *error, const char *path, const char *interface,
			 const char *member, const char *types, ...)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m, *reply = NULL;
	char name[128];
	va_list ap;
	int r;

	assert_true(sd_bus_message_new_method_call(bus, &m, "org.vmcrypt1", path, interface, member) >= 0);
	va_start(ap, types);
	if (types && *types)
		assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
	va_end(ap);
	r = sd_bus_call(bus, m, HOST_TIMEOUT_US, &e, &reply);
	sd_bus_message_unref(m);
	if (!error && r < 0)
		fail_msg("%s: %s: %s", member, e.name, e.message);
	if (error) {
		assert_true(r < 0);
		snprintf(name, sizeof(name), "org.vmcrypt1.Error.%s", error);
		assert_string_equal(e.name, name);
		snprintf(bus_error_text, sizeof(bus_error_text), "%s", e.message);
	}
	sd_bus_error_free(&e);
	return reply;
}

char *make_vm(sd_bus *bus, const char *name)
{
	sd_bus_message *r = bus_call(bus, NULL, MANAGER, "CreateVM", "ssa{sv}", name, "/vms", 0);
	const char *id, *path;
	char *copy;

	assert_true(sd_bus_message_read(r, "so", &id, &path) >= 0);
	copy = strdup(path);
	sd_bus_message_unref(r);
	return copy;
}

/* ---- polkit ----------------------------------------------------------- */

/* What the test wrote into the file "grants". */
static bool granted(struct host *h, const char *action)
{
	char *text = NULL;
	bool yes;

	if (fs_read(test_path(h->dir, "grants"), 4096, &text, NULL, NULL))
		return false;
	yes = strstr(text, action);
	free(text);
	return yes;
}

static int check_authorization(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *kind, *key, *sender, *action;
	int yes, challenge;

	(void)e;
	if (sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &sender, &action) < 0 ||
	    strcmp(kind, "system-bus-name") || strcmp(key, "name") || sender[0] != ':')
		return -EINVAL;
	yes = !strcmp(action, "org.vmcrypt1.read") || !strcmp(action, "org.vmcrypt1.power") ||
	      granted(data, action);
	challenge = !strcmp(action, "org.vmcrypt1.encrypt");
	return sd_bus_reply_method_return(m, "(bba{ss})", yes, challenge, 0);
}

static const sd_bus_vtable polkit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", check_authorization,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static void polkit_main(struct host *h, int ready)
{
	sd_bus *bus = host_connect(h, false);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
				     "org.freedesktop.PolicyKit1.Authority", polkit_vtable, h) < 0 ||
	    sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0) < 0)
		_exit(1);
	(void)!write(ready, "", 1);
	for (;;)
		if (!sd_bus_process(bus, NULL))
			sd_bus_wait(bus, UINT64_MAX);
}

void polkit_start(struct host *h)
{
	int fds[2];
	char c;

	assert_false(pipe2(fds, O_CLOEXEC));
	fflush(stdout);
	h->polkit = fork();
	assert_true(h->polkit >= 0);
	if (!h->polkit)
		polkit_main(h, fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
}
