// SPDX-License-Identifier: GPL-2.0-or-later
/* Run one hook program. */
#include "hook_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/util.h"

#define SAID_MAX 300	/* of what it said, the last; for the error's text */
#define REST_MAX 256	/* reads when it has ended: more than a pipe holds */

int hook_check(const char *path, struct vmc_error *err)
{
	struct stat st;

	if (stat(path, &st))
		return vmc_fail_errno(err, errno, "cannot run the hook '%s'", path);
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH)) {
		vmc_fail(err, VMC_EPERM, "the hook '%s' is not run: others than root can change it", path);
		vmc_hint(err, "look what is in it, then: chown root:root %s; chmod go-w %s", path, path);
		return VMC_EPERM;
	}
	if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_mode & S_IXUSR))
		return 0;
	vmc_fail(err, VMC_EPERM, "the hook '%s' is no executable file", path);
	vmc_hint(err, "chmod u+x %s", path);
	return VMC_EPERM;
}

/* A file without a name: a pipe could fill up before the program reads it. */
static int input_file(const char *text, struct vmc_error *err)
{
	size_t len = strlen(text), done = 0;
	int fd = memfd_create("hook-input", MFD_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot make a file for a hook's input");
	for (; done < len; done += (size_t)n) {
		n = write(fd, text + done, len - done);
		if (n > 0)
			continue;
		vmc_fail_errno(err, n ? errno : EIO, "cannot write a hook's input");
		close(fd);
		return err ? err->code : VMC_EIO;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* In a group of its own, so that what it starts can be ended with it. */
static int start(const struct hook_run *r, int input, int output, pid_t *pid)
{
	char *argv[] = { (char *)r->path, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, standard;
	int e;

	sigemptyset(&none);
	sigemptyset(&standard);
	sigaddset(&standard, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &standard);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, output, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1);
	posix_spawn_file_actions_addchdir_np(&fa, "/");
	e = posix_spawn(pid, r->path, &fa, &attr, argv, r->env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return e;
}

/* The last SAID_MAX bytes of what it says are kept. False at its end. */
static bool take_output(int fd, char said[SAID_MAX])
{
	char buf[512];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t have = strlen(said), add, drop;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = '?';
	add = (size_t)n < SAID_MAX - 1 ? (size_t)n : SAID_MAX - 1;
	drop = have + add > SAID_MAX - 1 ? have + add - (SAID_MAX - 1) : 0;
	memmove(said, said + drop, have - drop);
	memcpy(said + have - drop, buf + (size_t)n - add, add);
	said[have - drop + add] = '\0';
	return true;
}

/* What is there, now that it has ended. A child of it that goes on talking is not listened to. */
static void take_rest(int fd, char said[SAID_MAX])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < REST_MAX && poll(&p, 1, 0) > 0 && p.revents & POLLIN; i++)
		if (!take_output(fd, said))
			return;
}

static void one_line(char *s)
{
	size_t n = strlen(s);

	while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
		s[--n] = '\0';
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
}

/* Until the program ends: 0, ETIMEDOUT or ECANCELED. What it started may hold its output open: that is not waited for. */
static int watch(const struct hook_run *r, int pidfd, int output, char said[SAID_MAX])
{
	uint64_t until = vmc_now_ms() + r->deadline_ms, now;
	struct pollfd p[] = {
		{ .fd = pidfd, .events = POLLIN }, { .fd = r->cancel_fd, .events = POLLIN },
		{ .fd = output, .events = POLLIN },
	};

	for (;;) {
		now = vmc_now_ms();
		if (now >= until)
			return ETIMEDOUT;
		if (poll(p, ARRAY_SIZE(p), (int)(until - now)) < 0) {
			if (errno == EINTR)
				continue;
			return errno;
		}
		if (p[1].revents)
			return ECANCELED;
		if (p[0].revents) {
			take_rest(output, said);
			return 0;
		}
		if (p[2].revents && !take_output(output, said))
			p[2].fd = -1;
	}
}

static int verdict(const struct hook_run *r, int e, int status, char said[SAID_MAX], struct vmc_error *err)
{
	one_line(said);
	if (e == ETIMEDOUT) {
		vmc_fail(err, VMC_ETIMEDOUT, "the hook '%s' was ended: it took longer than %u s%s%s", r->path,
			 r->deadline_ms / 1000, said[0] ? "; it said: " : "", said);
		vmc_hint(err, "have it hand long work on, for instance to systemd-run(1), or raise timeout in [hooks]");
		return VMC_ETIMEDOUT;
	}
	if (e == ECANCELED)
		return vmc_fail(err, VMC_ECANCELED, "the hook '%s' was ended, for vmcryptd stops", r->path);
	if (e)
		return vmc_fail_errno(err, e, "cannot wait for the hook '%s'", r->path);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	vmc_fail(err, VMC_EIO, "the hook '%s' failed (%s %d)%s%s", r->path, WIFEXITED(status) ? "status" : "signal",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), said[0] ? ": " : "", said);
	vmc_hint(err, "try it by hand, as vmcryptd(8) says under HOOKS");
	return VMC_EIO;
}

static int wait_for(const struct hook_run *r, pid_t pid, int output, struct vmc_error *err)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), e = errno, status = 0;
	char said[SAID_MAX] = "";

	if (pidfd >= 0) {
		e = watch(r, pidfd, output, said);
		close(pidfd);
	}
	if (e)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	return verdict(r, e, status, said, err);
}

int hook_run(const struct hook_run *r, struct vmc_error *err)
{
	int input, fds[2], e, rc;
	pid_t pid;

	input = input_file(r->input, err);
	if (input < 0)
		return input;
	if (pipe2(fds, O_CLOEXEC)) {
		e = errno;
		close(input);
		return vmc_fail_errno(err, e, "cannot make a pipe for a hook");
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	e = start(r, input, fds[1], &pid);
	close(fds[1]);
	close(input);
	if (e) {
		vmc_fail_errno(err, e, "cannot run the hook '%s'", r->path);
		if (e == ENOENT || e == ENOEXEC)
			vmc_hint(err, "does its first line, #!, name a program that is there?");
		rc = vmc_code_from_errno(e);
	} else {
		rc = wait_for(r, pid, fds[0], err);
	}
	close(fds[0]);
	return rc;
}
