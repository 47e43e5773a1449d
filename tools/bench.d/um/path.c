// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * path LABEL PATH MIB STREAMS [ADDRESS [SENDER-NETNS RECEIVER-NETNS]]
 *
 * Pours MIB mebibytes through each of STREAMS streams at once, a process at each
 * end, and prints what that took:
 *
 *	begin LABEL
 *	end LABEL
 *	result LABEL GB SECONDS CPU-SECONDS KIB
 *
 * GB are 10^9 bytes. CPU-SECONDS are all that the machine was not idle, whoever
 * worked. KIB is how much less memory was free than before the first byte, at
 * worst: what was on its way.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "path.h"

#define CHUNK		(512 * 1024)	/* of multifd in QEMU */
#define STREAMS_MAX	64
#define DEADLINE	300		/* seconds */
#define SAMPLE_MS	20

static const struct path plain_paths[] = {
	{ "tcp", tcp_pair, NULL, plain_send, plain_recv, socket_finish },
	{ "unix", unix_pair, NULL, plain_send, plain_recv, socket_finish },
	{ .name = NULL },
};

struct run {
	const struct path *path;
	uint64_t bytes;		/* of each stream */
	unsigned int streams;
	int fd[STREAMS_MAX][ENDS];
	int ready[2], go[2], done[2];
};

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	fputs("path: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (%s)\n", strerror(error));
	_exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Seconds that CPUs have worked so far; neither idle nor waiting for I/O. */
static double worked(void)
{
	unsigned long long v[7];
	FILE *f = fopen("/proc/stat", "re");

	if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
			 &v[6]) != 7)
		die("cannot read /proc/stat");
	fclose(f);
	return (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / sysconf(_SC_CLK_TCK);
}

static long free_kib(void)
{
	long total, kib;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f || fscanf(f, "MemTotal: %ld kB MemFree: %ld kB", &total, &kib) != 2)
		die("cannot read /proc/meminfo");
	fclose(f);
	return kib;
}

static void stay_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot stay on a CPU");
}

static unsigned char byte_at(uint64_t at)
{
	return (at % CHUNK * 2654435761u) >> 13;
}

static void pour_in(const struct run *run, struct end *end, unsigned char *buf)
{
	uint64_t at = 0;
	size_t from;
	ssize_t n;

	for (from = 0; from < CHUNK; from++)
		buf[from] = byte_at(from);
	while (at < run->bytes) {
		from = at % CHUNK;
		n = run->path->send(end, buf + from, CHUNK - from);
		if (n < 0)
			die("%s: cannot send at %llu", run->path->name, (unsigned long long)at);
		at += n;
	}
	run->path->finish(end);
}

/* Looks at a byte of each piece: more would time the looking. */
static void pour_out(const struct run *run, struct end *end, unsigned char *buf)
{
	uint64_t at = 0;
	ssize_t n;

	while (at < run->bytes) {
		n = run->path->recv(end, buf, CHUNK);
		if (n <= 0)
			die("%s: nothing comes at %llu", run->path->name, (unsigned long long)at);
		if (buf[0] != byte_at(at) || buf[n - 1] != byte_at(at + n - 1))
			die("%s: what comes at %llu is wrong", run->path->name, (unsigned long long)at);
		at += n;
	}
}

static void close_others(const struct run *run, int keep)
{
	unsigned int i;

	for (i = 0; i < ENDS * run->streams; i++)
		if (run->fd[i / ENDS][i % ENDS] != keep)
			close(run->fd[i / ENDS][i % ENDS]);
}

static void be_end(const struct run *run, unsigned int stream, int side)
{
	struct end end = { .fd = run->fd[stream][side], .side = side };
	unsigned char *buf = aligned_alloc(4096, CHUNK);
	char c = 'x';

	alarm(DEADLINE);
	close_others(run, end.fd);
	if (!buf)
		die("no memory");
	memset(buf, 1, CHUNK);
	if (run->path->start)
		run->path->start(&end);
	if (write(run->ready[1], &c, 1) != 1 || read(run->go[0], &c, 1) != 1)
		die("the other processes are gone");
	if (side == SENDER)
		pour_in(run, &end, buf);
	else
		pour_out(run, &end, buf);
	if (write(run->done[1], &c, 1) != 1)
		die("nobody waits");
	_exit(EXIT_SUCCESS);
}

static void await_byte(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		die("the processes are gone");
}

static void start_ends(struct run *run)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < ENDS * run->streams; i++) {
		/* Where it is born, so is all that belongs to it. */
		stay_on(i / ENDS + i % ENDS);
		pid = fork();
		if (pid < 0)
			die("fork");
		if (!pid)
			be_end(run, i / ENDS, i % ENDS);
	}
	stay_on(0);
	close_others(run, -1);
	for (i = 0; i < ENDS * run->streams; i++)
		await_byte(run->ready[0]);
}

/* Until all receivers have all: the most memory that is not free meanwhile. */
static long watch(const struct run *run, long before)
{
	struct pollfd pfd = { .fd = run->done[0], .events = POLLIN };
	unsigned int left = ENDS * run->streams;
	long kib, least = before;

	while (left) {
		if (poll(&pfd, 1, SAMPLE_MS) > 0) {
			await_byte(run->done[0]);
			left--;
		}
		kib = free_kib();
		least = kib < least ? kib : least;
	}
	return before - least;
}

static void let_go(const struct run *run, const char *label)
{
	char start[ENDS * STREAMS_MAX];
	double seconds, cpu;
	size_t n = ENDS * run->streams;
	long kib;

	memset(start, 'g', sizeof(start));
	printf("begin %s\n", label);
	fflush(stdout);
	kib = free_kib();
	cpu = worked();
	seconds = now();
	if (write(run->go[1], start, n) != (ssize_t)n)
		die("cannot start");
	kib = watch(run, kib);
	seconds = now() - seconds;
	cpu = worked() - cpu;
	printf("end %s\nresult %s %.6f %.6f %.3f %ld\n", label, label, run->bytes * run->streams / 1e9, seconds, cpu,
	       kib);
	fflush(stdout);
}

static int all_went_well(unsigned int n)
{
	int status, bad = 0;

	for (; n; n--)
		bad |= wait(&status) < 0 || status;
	return !bad;
}

static const struct path *find(const char *name)
{
	static const struct path *const all[] = { plain_paths, tls_paths, channel_paths };
	const struct path *p;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (p = all[i]; p->name; p++)
			if (!strcmp(p->name, name))
				return p;
	die("there is no path %s", name);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *rest;
	unsigned long n = strtoul(text, &rest, 10);

	if (*rest || !n || n > max)
		die("'%s' is no number from 1 to %lu", text, max);
	return n;
}

int main(int argc, char **argv)
{
	struct route route = { .address = "127.0.0.1" };
	struct run run = { 0 };
	unsigned int i;

	if (argc < 5 || argc > 8 || argc == 7) {
		fputs("usage: path LABEL PATH MIB STREAMS [ADDRESS [SENDER-NETNS RECEIVER-NETNS]]\n", stderr);
		return 2;
	}
	run.path = find(argv[2]);
	run.bytes = (uint64_t)number(argv[3], 1 << 20) << 20;
	run.streams = number(argv[4], STREAMS_MAX);
	if (argc > 5)
		route.address = argv[5];
	if (argc > 7) {
		route.netns[SENDER] = argv[6];
		route.netns[RECEIVER] = argv[7];
	}
	alarm(DEADLINE);
	signal(SIGPIPE, SIG_IGN);
	if (pipe(run.ready) || pipe(run.go) || pipe(run.done))
		die("pipe");
	for (i = 0; i < run.streams; i++)
		run.path->pair(run.fd[i], &route);
	start_ends(&run);
	let_go(&run, argv[1]);
	channels_end();
	return !all_went_well(ENDS * run.streams);
}
