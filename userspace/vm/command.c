// SPDX-License-Identifier: GPL-2.0-or-later
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/util.h"

#define SAID_MAX 400

/* stderr of the child until it closes it, at most SAID_MAX bytes of it. */
static int listen_to(int fd, uint64_t until, char said[SAID_MAX])
{
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = vmc_now_ms();
		char buf[256];
		ssize_t got;

		if (now >= until || !poll(&p, 1, (int)(until - now)))
			return ETIMEDOUT;
		got = read(fd, buf, sizeof(buf));
		if (got <= 0)
			return 0;
		if ((size_t)got > SAID_MAX - 1 - n)
			got = (ssize_t)(SAID_MAX - 1 - n);
		memcpy(said + n, buf, (size_t)got);
		n += (size_t)got;
		said[n] = '\0';
	}
}

static int wait_for(pid_t pid, uint64_t until, int *status)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = vmc_now_ms();
	int left = now < until ? (int)(until - now) : 0;
	int late = fd >= 0 && !poll(&p, 1, left);

	if (late)
		kill(pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return late ? ETIMEDOUT : 0;
}

static int spawn(const char *const *argv, int fd, pid_t *pid)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LC_ALL=C";
	char *env[] = { path, lang, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	int e;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&fa, 0, 1);
	posix_spawn_file_actions_adddup2(&fa, fd, 2);
	e = posix_spawnp(pid, argv[0], &fa, &attr, (char *const *)argv, env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return e;
}

static void one_line(char *s)
{
	size_t n;

	for (n = strlen(s); n && (s[n - 1] == '\n' || s[n - 1] == ' '); )
		s[--n] = '\0';
	for (; *s; s++)
		if ((unsigned char)*s < ' ')
			*s = ' ';
}

int command_run(const char *const *argv, unsigned int deadline_ms, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + deadline_ms;
	char said[SAID_MAX] = "";
	int fds[2], status = 0, e;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return vmc_fail_errno(err, errno, "cannot make a pipe");
	e = spawn(argv, fds[1], &pid);
	close(fds[1]);
	if (e) {
		close(fds[0]);
		return vmc_fail_errno(err, e, "cannot run %s", argv[0]);
	}
	listen_to(fds[0], until, said);
	e = wait_for(pid, until, &status);
	close(fds[0]);
	one_line(said);
	if (e == ETIMEDOUT)
		return vmc_fail(err, VMC_ETIMEDOUT, "%s did not end in %u s", argv[0], deadline_ms / 1000);
	if (e)
		return vmc_fail_errno(err, e, "cannot wait for %s", argv[0]);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return vmc_fail(err, VMC_EIO, "%s failed (%s %d)%s%s", argv[0],
			WIFEXITED(status) ? "status" : "signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
			said[0] ? ": " : "", said);
}
