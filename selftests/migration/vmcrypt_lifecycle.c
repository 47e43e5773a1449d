// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may befall a host while channels are open, on the real module, as root:
 * signals, frozen processes, a suspended host, little memory; and what 200
 * migrations leave behind. TAP on stdout.
 *
 * Starts and ends with no migration and no channel in the kernel.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nlt.h"
#include "tap.h"
#include "world.h"

#define MIB		(1 << 20)
#define LOOPS		200
#define WARM_UP		20
#define QUIET_MS	300
#define CGROUP		"/sys/fs/cgroup/vmcrypt-lifecycle"
#define SUSPEND_DELAY	"/sys/module/suspend/parameters/pm_test_delay"
#define RECORD		(256 * 1024)
/* A record of each migration left behind would be 50 MiB. */
#define PAGES_SLACK_KIB	(24 * 1024)
/* 8 KiB of each left behind would be 1600. */
#define SLAB_SLACK_KIB	1024

static const uint8_t vm1[16] = { 0x22, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47,
				 0x88, 0x89, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
				 0xff, 0x02 };

/* What the host has of something */

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	if (!dir)
		tap_bail("%s: %s", path, strerror(errno));
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The sum of all numbers that follow @key in @file. */
static long sum(const char *file, const char *key)
{
	char line[512], *at;
	FILE *f = fopen(file, "re");
	long total = 0;

	if (!f)
		tap_bail("%s: %s", file, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, key);
		if (at)
			total += strtol(at + strlen(key), NULL, 10);
	}
	fclose(f);
	return total;
}

/* Threads of channels. */
static unsigned int threads(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	unsigned int n = 0;
	char path[300], comm[32];
	FILE *f;

	if (!dir)
		tap_bail("/proc: %s", strerror(errno));
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		n += fgets(comm, sizeof(comm), f) &&
		     !strncmp(comm, "vmcrypt/", 8);
		fclose(f);
	}
	closedir(dir);
	return n;
}

struct having {
	unsigned int files, threads;
	long users, sockets, ciphers, slab, pages;
};

static void look(struct having *h)
{
	sync();
	write_param("/proc/sys/vm/drop_caches", "3");
	h->files = entries("/proc/self/fd");
	h->threads = threads();
	h->users = sum("/sys/module/vmcrypt/refcnt", "");
	h->sockets = sum("/proc/net/sockstat", "TCP: inuse");
	h->ciphers = sum("/proc/crypto", "refcnt       :");
	h->slab = sum("/proc/meminfo", "SUnreclaim:");
	h->pages = sum("/proc/meminfo", "MemAvailable:");
}

/* From new to del, with two channels: a pump, and a direct one. */
static bool migrate(unsigned int i)
{
	struct world w;
	bool ok;

	world_agree(&w, vm1, VMCRYPT_POLICY_REQUIRED);
	world_open(&w, RELAY_FAIR, false);
	ok = pour(w.user[SRC], w.user[DST], RECORD + i, i);
	world_close(&w);
	world_open(&w, RELAY_FAIR, true);
	ok = ok && pour(w.user[SRC], w.user[DST], 10000 + i, i);
	world_close(&w);
	world_end(&w);
	nlt_drain(&events);
	return ok && all_closed();
}

static void two_hundred(void)
{
	struct having before, after;
	unsigned int i;
	bool ok = true;

	for (i = 0; i < WARM_UP && ok; i++)
		ok = migrate(i);
	look(&before);
	for (i = 0; i < LOOPS && ok; i++)
		ok = migrate(i);
	tap_ok(ok, "%u migrations, with two channels each", i);
	look(&after);
	tap_ok(!info(VMCRYPT_A_INFO_MIGRATIONS) &&
	       !info(VMCRYPT_A_INFO_CHANNELS), "they leave none behind");
	tap_ok(after.threads == before.threads && !after.threads,
	       "no thread (%u)", after.threads);
	tap_ok(after.users == before.users, "no use of the module (%ld, %ld)",
	       before.users, after.users);
	tap_ok(after.files == before.files, "no descriptor (%u, %u)",
	       before.files, after.files);
	tap_ok(after.sockets <= before.sockets, "no connection (%ld, %ld)",
	       before.sockets, after.sockets);
	tap_ok(after.ciphers <= before.ciphers, "no cipher (%ld, %ld)",
	       before.ciphers, after.ciphers);
	tap_ok(after.slab < before.slab + SLAB_SLACK_KIB,
	       "no objects (%ld KiB, %ld KiB)", before.slab, after.slab);
	tap_ok(after.pages > before.pages - PAGES_SLACK_KIB,
	       "no pages (%ld KiB free, %ld KiB)", before.pages, after.pages);
}

/* Signals */

static unsigned int alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void signals(struct world *w)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 3000 }, { 0, 3000 } }, never = { 0 };
	bool ok;

	sigaction(SIGALRM, &sa, NULL);
	world_open(w, RELAY_FAIR, true);
	setitimer(ITIMER_REAL, &often, NULL);
	ok = pour(w->user[SRC], w->user[DST], 16 * MIB, 1) &&
	     pour(w->user[DST], w->user[SRC], 16 * MIB, 2);
	setitimer(ITIMER_REAL, &never, NULL);
	tap_ok(ok && alarms, "%u signals lose nothing of a stream", alarms);
	world_close(w);
}

/* Processes in a cgroup */

static bool cgroup_make(const char *controllers)
{
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		return false;
	if (*controllers)
		write_param("/sys/fs/cgroup/cgroup.subtree_control",
			    controllers);
	return !mkdir(CGROUP, 0755) || errno == EEXIST;
}

static bool frozen(bool want)
{
	int i;

	write_param(CGROUP "/cgroup.freeze", want ? "1" : "0");
	for (i = 0; i < NLT_DEADLINE / 10; i++) {
		if (sum(CGROUP "/cgroup.events", "frozen ") == want)
			return true;
		usleep(10000);
	}
	return false;
}

/* A process of the cgroup writes @len bytes to @fd; @go when it is in it. */
static pid_t writer(int fd, size_t len, uint8_t seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	write_param(CGROUP "/cgroup.procs", "0");
	_exit(!put(fd, len, seed));
}

static bool ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/* What comes while nobody writes: up to where it was right. */
static size_t leftovers(int fd, size_t len, uint8_t seed)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t at = 0;
	int n, err;

	while (at < len && poll(&pfd, 1, QUIET_MS) == 1 &&
	       !ioctl(fd, FIONREAD, &n) && n > 0)
		at = get_from(fd, at, at + n < len ? at + n : len, seed, &err);
	return at;
}

/* What it writes is more than the channel takes in: it is caught writing. */
static void frozen_writer(struct world *w, bool direct)
{
	const size_t len = 48 * MIB;
	struct pollfd pfd;
	size_t came, before;
	bool ok;
	pid_t pid;
	int err;

	world_open(w, RELAY_FAIR, direct);
	pid = writer(w->user[SRC], len, 3);
	pfd = (struct pollfd){ .fd = w->user[DST], .events = POLLIN };
	ok = poll(&pfd, 1, NLT_DEADLINE) == 1 && frozen(true);
	tap_ok(ok, "%s: a process is frozen in the midst of it",
	       direct ? "direct" : "pump");
	before = leftovers(w->user[DST], len, 3);
	ok = ok && before < len && frozen(false);
	came = get_from(w->user[DST], before, len, 3, &err);
	tap_ok(ok && came == len, "and goes on when it is thawed; nothing is lost (%zu bytes, then %zu, %s)",
	       before, came, strerror(err));
	world_close(w);
	tap_ok(ended_well(pid), "it ends");
}

static void little_memory(struct world *w)
{
	pid_t pid;
	int err;

	write_param(CGROUP "/memory.max", "16M");
	world_open(w, RELAY_FAIR, false);
	pid = writer(w->user[SRC], 32 * MIB, 4);
	tap_ok(get(w->user[DST], 32 * MIB, 4, &err) == 32 * MIB,
	       "a process of little memory sends all the same");
	world_close(w);
	tap_ok(ended_well(pid) && !sum(CGROUP "/memory.events", "oom_kill "),
	       "and is not killed for it");
}

static void cgroups(struct world *w)
{
	if (!cgroup_make("+memory")) {
		tap_skip("no cgroup2 here", "frozen processes, little memory");
		return;
	}
	frozen_writer(w, false);
	frozen_writer(w, true);
	little_memory(w);
	rmdir(CGROUP);
}

/* The host is suspended: all but the devices, for a second. */
static void suspended(struct world *w)
{
	int fd = open("/sys/power/pm_test", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || access(SUSPEND_DELAY, W_OK)) {
		tap_skip("this kernel cannot rehearse it", "a suspended host");
		return;
	}
	close(fd);
	write_param("/sys/power/pm_test", "freezer");
	write_param(SUSPEND_DELAY, "1");
	world_open(w, RELAY_FAIR, false);
	pour(w->user[SRC], w->user[DST], 1000, 1);
	write_param("/sys/power/state", "freeze");
	write_param("/sys/power/pm_test", "none");
	tap_ok(ended(w, SRC, VMCRYPT_END_FREEZE) &&
	       ended(w, DST, VMCRYPT_END_FREEZE),
	       "channels end when the host is suspended, and say why");
	world_close(w);
	world_open(w, RELAY_FAIR, false);
	tap_ok(pour(w->user[SRC], w->user[DST], MIB, 1),
	       "and new ones work when it is back");
	world_close(w);
}

int main(void)
{
	struct world w;

	signal(SIGPIPE, SIG_IGN);
	nlt_open(&nl);
	nlt_open(&events);
	if (nl_socket_add_membership(events.sk, events.group))
		tap_bail("no group of events");
	world_agree(&w, vm1, VMCRYPT_POLICY_OPPORTUNISTIC);
	signals(&w);
	cgroups(&w);
	suspended(&w);
	world_end(&w);
	tap_ok(all_closed(), "all channels are closed");
	two_hundred();
	tap_ok(!info(VMCRYPT_A_INFO_MIGRATIONS) &&
	       !info(VMCRYPT_A_INFO_CHANNELS), "nothing is left");
	nlt_close(&events);
	nlt_close(&nl);
	return tap_end();
}
