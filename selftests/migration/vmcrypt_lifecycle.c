// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may befall a host while channels are open, on the real module, as root:
 * signals, frozen and killed processes, a suspended host, little memory, a peer
 * that vanishes, a module that is removed; and what 200 migrations leave
 * behind. TAP on stdout.
 *
 * usage: vmcrypt_lifecycle [FAILSLAB]
 * With FAILSLAB, a folder of the kernel's fault injection: only what is done
 * while allocations fail.
 *
 * Starts and ends with no migration and no channel in the kernel.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nlt.h"
#include "tap.h"
#include "world.h"

#define MIB		(1 << 20)
#define LOOPS		200
/* Where a kernel, slow for it, tells of each that is left behind. */
#define LOOPS_SEEN	20
#define WARM_UP		20
#define FAULTY		60
#define REMOVALS	10
#define PATIENCE	9	/* times NLT_DEADLINE */
#define QUIET_MS	300
#define CGROUP		"/sys/fs/cgroup/vmcrypt-lifecycle"
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
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
	/* What a CPU keeps at hand for itself is free as well. */
	h->pages = sum("/proc/meminfo", "MemAvailable:") +
		   sum("/proc/zoneinfo", " count:") * (getpagesize() / 1024);
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
	const unsigned int loops = access(KMEMLEAK, F_OK) ? LOOPS : LOOPS_SEEN;
	struct having before, after;
	unsigned int i;
	bool ok = true;

	for (i = 0; i < WARM_UP && ok; i++)
		ok = migrate(i);
	look(&before);
	for (i = 0; i < loops && ok; i++)
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

/* Processes that are held, by a signal or in a cgroup */

static bool cgroup_make(const char *controllers)
{
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		return false;
	if (*controllers)
		write_param("/sys/fs/cgroup/cgroup.subtree_control",
			    controllers);
	return !mkdir(CGROUP, 0755) || errno == EEXIST;
}

static bool stopped(pid_t pid, bool want)
{
	int status;

	if (kill(pid, want ? SIGSTOP : SIGCONT))
		return false;
	return waitpid(pid, &status, want ? WUNTRACED : WCONTINUED) == pid &&
	       (want ? WIFSTOPPED(status) : WIFCONTINUED(status));
}

static bool frozen(pid_t pid, bool want)
{
	int i;

	(void)pid;
	write_param(CGROUP "/cgroup.freeze", want ? "1" : "0");
	for (i = 0; i < NLT_DEADLINE / 10; i++) {
		if (sum(CGROUP "/cgroup.events", "frozen ") == want)
			return true;
		usleep(10000);
	}
	return false;
}

/* A process, of the cgroup where there is one, writes @len bytes to @fd. */
static pid_t writer(int fd, size_t len, uint8_t seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (!access(CGROUP, F_OK))
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
static void held_writer(struct world *w, bool direct,
			bool (*hold)(pid_t pid, bool want), const char *how)
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
	ok = poll(&pfd, 1, NLT_DEADLINE) == 1 && hold(pid, true);
	tap_ok(ok, "%s: a process is %s in the midst of it",
	       direct ? "direct" : "pump", how);
	before = leftovers(w->user[DST], len, 3);
	ok = ok && before < len && hold(pid, false);
	came = get_from(w->user[DST], before, len, 3, &err);
	tap_ok(ok && came == len, "and goes on when it may; nothing is lost (%zu bytes, then %zu, %s)",
	       before, came, strerror(err));
	world_close(w);
	tap_ok(ended_well(pid), "it ends");
}

/*
 * Whoever migrates dies while it writes. A socket ends like any other then: what
 * it had written comes, and the channel does not hang.
 */
static void killed_writer(struct world *w)
{
	const size_t len = 48 * MIB;
	uint8_t byte;
	size_t came;
	pid_t pid;
	int err;

	world_open(w, RELAY_FAIR, false);
	pid = writer(w->user[SRC], len, 5);
	close(w->user[SRC]);
	w->user[SRC] = -1;
	came = get(w->user[DST], MIB, 5, &err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (came == MIB)
		came = get_from(w->user[DST], came, len, 5, &err);
	tap_ok(came >= MIB && came < len && !err &&
	       read(w->user[DST], &byte, 1) == 0,
	       "pump: a process is killed in the midst of it; what it wrote comes (%zu bytes)",
	       came);
	shutdown(w->user[DST], SHUT_WR);
	tap_ok(ended(w, SRC, VMCRYPT_END_COMPLETED) &&
	       ended(w, DST, VMCRYPT_END_COMPLETED), "and both channels end");
	world_close(w);
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
	held_writer(w, false, frozen, "frozen");
	held_writer(w, true, frozen, "frozen");
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

/* The other host */

/* All that was under way between two sockets of this host is lost from now on. */
static void loopback(bool up)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (up)
		ifr.ifr_flags = IFF_UP;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		tap_bail("loopback device: %s", strerror(errno));
	close(fd);
}

/* What whoever makes the connections asks of them: see userspace/net/tcp.c. */
static void notice_silence(int fd)
{
	const int one = 1, two = 2, ms = 2000;

	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &two, sizeof(two)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)))
		tap_bail("keepalive: %s", strerror(errno));
}

/* Each end of the wire is alone all at once: no end, no reset, no answer. */
static void vanished(struct world *w)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), wire[2];
	uint8_t byte;
	int i;

	if (home < 0 || unshare(CLONE_NEWNET)) {
		tap_skip("no network namespaces here", "a peer that vanishes");
		return;
	}
	loopback(true);
	tcp_pair(wire);
	for (i = 0; i < ENDS; i++)
		notice_silence(wire[i]);
	w->relayed = false;
	for (i = 0; i < ENDS; i++)
		world_open_end(w, i, wire[i], false);
	pour(w->user[SRC], w->user[DST], MIB, 1);
	loopback(false);
	/* The source has something to send, the destination has not. */
	put(w->user[SRC], 1000, 2);
	tap_ok(ended(w, SRC, VMCRYPT_END_TRUNCATED) &&
	       ended(w, DST, VMCRYPT_END_TRUNCATED),
	       "a peer that vanishes ends the channel, whether it was busy or not");
	tap_ok(read(w->user[DST], &byte, 1) < 0 && errno == ECONNRESET,
	       "its plain side has no clean end");
	world_close(w);
	if (setns(home, CLONE_NEWNET))
		tap_bail("setns: %s", strerror(errno));
	close(home);
}

/* The module */

static int rmmod(void)
{
	return syscall(SYS_delete_module, "vmcrypt", O_NONBLOCK) ? -errno : 0;
}

/* Remove the module as soon as it lets us. */
static bool removed(void)
{
	int i, ret = rmmod();

	for (i = 0; i < NLT_DEADLINE && ret == -EWOULDBLOCK; i++) {
		usleep(1000);
		ret = rmmod();
	}
	if (ret)
		tap_note("rmmod: %s", strerror(-ret));
	return !ret;
}

static void sockets(bool open)
{
	if (!open) {
		nlt_close(&events);
		nlt_close(&nl);
		return;
	}
	nlt_open(&nl);
	nlt_open(&events);
	if (nl_socket_add_membership(events.sk, events.group))
		tap_bail("no group of events");
}

/* It goes while its channels are being taken apart, and not before they are. */
static void removals(void)
{
	struct world w;
	unsigned int i;
	bool ok = true;

	for (i = 0; i < REMOVALS && ok; i++) {
		world_agree(&w, vm1, VMCRYPT_POLICY_OPPORTUNISTIC);
		world_open(&w, RELAY_FAIR, i % 2);
		ok = pour(w.user[SRC], w.user[DST], MIB, i) &&
		     rmmod() == -EWOULDBLOCK;
		world_close(&w);
		ok = removed() && ok;
		sockets(false);
		if (system("modprobe vmcrypt"))
			tap_bail("modprobe vmcrypt fails");
		sockets(true);
	}
	tap_ok(ok, "the module can be removed once the last channel is closed (%u)",
	       i);
}

/*
 * A process that writes a stream of its own accord, and what comes of it. What
 * hangs does so for ever: a busy machine gets all the time it wants.
 */
static size_t pour_apart(struct world *w, size_t len, uint8_t seed, int *err)
{
	const struct timeval never = { 0 };
	size_t n = 0;
	pid_t pid;
	int i;

	setsockopt(w->user[SRC], SOL_SOCKET, SO_SNDTIMEO, &never,
		   sizeof(never));
	pid = fork();
	if (!pid)
		_exit(!put(w->user[SRC], len, seed));
	close(w->user[SRC]);
	w->user[SRC] = -1;
	for (i = 0, *err = ETIMEDOUT; *err == ETIMEDOUT && i < PATIENCE; i++)
		n = get_from(w->user[DST], n, len, seed, err);
	if (*err == ETIMEDOUT)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return n;
}

/* How the channel of one end ended, the only one of its migration; -1, not. */
static int take_reason(const struct world *w, int end)
{
	struct nlt_answer e;

	nlt_drain(&events);
	if (migration_op(VMCRYPT_CMD_MIGRATION_DEL, w->migration[end], false))
		return -1;
	while (nlt_event(&events, &e, NLT_DEADLINE))
		if (e.cmd == VMCRYPT_CMD_MIGRATION_END_NTF)
			return nla_get_u32(e.attrs[VMCRYPT_A_MIGRATION_REASON]);
	return -1;
}

static bool tells_why(const struct world *w, int end, bool whole)
{
	int reason = take_reason(w, end);

	switch (reason) {
	case VMCRYPT_END_COMPLETED:
		return whole;
	case VMCRYPT_END_ERROR:
	case VMCRYPT_END_PEER_CLOSED:
	case VMCRYPT_END_TRUNCATED:
		return true;
	default:
		tap_note("%s ended with reason %d",
			 end == SRC ? "source" : "destination", reason);
		return false;
	}
}

/* For who wants to know why it hangs. */
static void note_threads(void)
{
	static const char cmd[] = "grep -l '^vmcrypt/' /proc/[0-9]*/comm | while read -r f; do"
		" sed 's/^/# /' $f ${f%comm}stack; done; ss -t -n -m -o -i | sed 's/^/# /'";

	fflush(stdout);
	if (system(cmd))
		tap_note("no stacks");
}

struct faults {
	unsigned int whole, right, told, closed;
};

/* One stream while allocations fail. */
static void faulty_stream(unsigned int i, const char *probability,
			  struct faults *f)
{
	const size_t len = 2 * MIB;
	struct world w;
	bool whole;
	size_t n;
	int err;

	world_agree(&w, vm1, VMCRYPT_POLICY_OPPORTUNISTIC);
	world_open(&w, RELAY_FAIR, i % 3 == 0);
	write_param(probability, i % 2 ? "1" : "10");
	n = pour_apart(&w, len, i, &err);
	write_param(probability, "0");
	whole = n == len;
	f->whole += whole;
	/* get() stops at the first byte that is wrong, without an error. */
	f->right += whole || (err && err != ETIMEDOUT);
	if (!whole)
		tap_note("%u: %zu bytes, then %s", i, n, strerror(err));
	if (err == ETIMEDOUT)
		note_threads();
	world_close(&w);
	f->closed += all_closed();
	f->told += tells_why(&w, SRC, whole) && tells_why(&w, DST, whole);
	world_end(&w);
}

/* An end that tells why, and until then nothing but what was sent. */
static void faulty(const char *failslab)
{
	struct faults f = { 0 };
	char probability[128];
	unsigned int i;

	snprintf(probability, sizeof(probability), "%s/probability", failslab);
	for (i = 0; i < FAULTY; i++)
		faulty_stream(i, probability, &f);
	tap_ok(f.right == FAULTY, "%u streams, %u of them whole, the others right up to where they fail",
	       FAULTY, f.whole);
	tap_ok(f.whole < FAULTY, "some did fail");
	tap_ok(f.closed == FAULTY, "all channels ended (%u)", f.closed);
	tap_ok(f.told == FAULTY, "and told why (%u)", f.told);
	tap_ok(!threads(), "no thread is left");
	tap_ok(migrate(FAULTY), "another one works when there is memory again");
}

static void befall(void)
{
	struct world w;

	world_agree(&w, vm1, VMCRYPT_POLICY_OPPORTUNISTIC);
	signals(&w);
	held_writer(&w, false, stopped, "stopped");
	held_writer(&w, true, stopped, "stopped");
	killed_writer(&w);
	cgroups(&w);
	suspended(&w);
	vanished(&w);
	world_end(&w);
	tap_ok(all_closed(), "all channels are closed");
	two_hundred();
	removals();
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	sockets(true);
	if (argc > 1)
		faulty(argv[1]);
	else
		befall();
	tap_ok(!info(VMCRYPT_A_INFO_MIGRATIONS) &&
	       !info(VMCRYPT_A_INFO_CHANNELS), "nothing is left");
	sockets(false);
	return tap_end();
}
