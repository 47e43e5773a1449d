// SPDX-License-Identifier: GPL-2.0-or-later
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define REST_MAX 256	/* reads when it has ended: more than two pipes hold */

/* In a group of its own, so that what it starts can be ended with it. */
static int spawn(struct child *c, const struct child_setup *s, int out, int err_fd)
{
	const char *path = secure_getenv("PATH");
	char path_is[4096], locale[] = "LC_ALL=C", home[] = "HOME=/";
	char *env[] = { path_is, locale, home, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, standard;
	int e;

	snprintf(path_is, sizeof(path_is), "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	sigemptyset(&none);
	sigemptyset(&standard);
	sigaddset(&standard, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &standard);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&fa);
	if (s->input)
		posix_spawn_file_actions_adddup2(&fa, s->input, STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, err_fd, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1);
	posix_spawn_file_actions_addchdir_np(&fa, "/");
	e = posix_spawnp(&c->pid, s->argv[0], &fa, &attr, (char *const *)s->argv, s->env ? s->env : env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return e;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int child_start(struct child *c, const struct child_setup *s, struct vmc_error *err)
{
	int out[2] = { -1, -1 }, said[2] = { -1, -1 }, e;

	memset(c, 0, sizeof(*c));
	c->name = s->argv[0];
	c->pidfd = -1;
	c->cancel_fd = s->cancel_fd ? s->cancel_fd : -1;
	if ((!s->one_voice && pipe2(out, O_CLOEXEC)) || pipe2(said, O_CLOEXEC)) {
		e = errno;
	} else {
		if (!s->one_voice)
			fcntl(out[0], F_SETFL, O_NONBLOCK);
		fcntl(said[0], F_SETFL, O_NONBLOCK);
		e = spawn(c, s, s->one_voice ? said[1] : out[1], said[1]);
	}
	close_fd(&out[1]);
	close_fd(&said[1]);
	c->out_fd = out[0];
	c->err_fd = said[0];
	if (!e) {
		c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
		e = c->pidfd < 0 ? errno : 0;
	} else {
		c->pid = 0;
	}
	if (!e)
		return 0;
	child_end(c);
	return vmc_fail_errno(err, e, "cannot run '%s'", c->name);
}

/* False: there is no more. */
static bool take_out(struct child *c)
{
	char rest[4096];
	size_t room = sizeof(c->out) - 1 - c->n;
	ssize_t n = read(c->out_fd, room ? c->out + c->n : rest, room ? room : sizeof(rest));

	if (n > 0 && room)
		c->n += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool take_said(struct child *c)
{
	char buf[CHILD_SAID_MAX];
	ssize_t n = read(c->err_fd, buf, sizeof(buf) - 1);
	size_t have = strlen(c->said), drop;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < n; i++)
		if ((unsigned char)buf[i] < ' ' || buf[i] == 0x7f)
			buf[i] = ' ';
	drop = have + (size_t)n > sizeof(c->said) - 1 ? have + (size_t)n - (sizeof(c->said) - 1) : 0;
	memmove(c->said, c->said + drop, have - drop);
	memcpy(c->said + have - drop, buf, (size_t)n);
	c->said[have - drop + (size_t)n] = '\0';
	return true;
}

static void take_rest(struct child *c)
{
	struct pollfd p[] = { { .fd = c->out_fd, .events = POLLIN }, { .fd = c->err_fd, .events = POLLIN } };

	for (int i = 0; i < REST_MAX && poll(p, 2, 0) > 0; i++) {
		if (p[0].revents && !take_out(c))
			p[0].fd = -1;
		if (p[1].revents && !take_said(c))
			p[1].fd = -1;
	}
}

static void reap(struct child *c)
{
	size_t n;

	take_rest(c);
	while (waitpid(c->pid, &c->status, 0) < 0)
		if (errno != EINTR)
			break;
	c->ended = true;
	utf8_make_valid(c->out);
	utf8_make_valid(c->said);
	for (n = strlen(c->said); n && c->said[n - 1] == ' '; n--)
		c->said[n - 1] = '\0';
}

int child_wait(struct child *c, unsigned int ms, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + ms, now;
	struct pollfd p[] = {
		{ .fd = c->pidfd, .events = POLLIN }, { .fd = c->out_fd, .events = POLLIN },
		{ .fd = c->err_fd, .events = POLLIN }, { .fd = c->cancel_fd, .events = POLLIN },
	};

	while (!c->ended) {
		now = vmc_now_ms();
		if (poll(p, ARRAY_SIZE(p), now < until ? (int)(until - now) : 0) < 0 && errno != EINTR)
			return vmc_fail_errno(err, errno, "cannot wait for '%s'", c->name);
		if (p[1].revents && !take_out(c))
			p[1].fd = -1;
		if (p[2].revents && !take_said(c))
			p[2].fd = -1;
		if (p[0].revents)
			reap(c);
		else if (p[3].revents)
			return vmc_fail(err, VMC_ECANCELED, "'%s' is canceled", c->name);
		else if (vmc_now_ms() >= until)
			break;
	}
	return 0;
}

void child_end(struct child *c)
{
	if (c->pid && !c->ended) {
		kill(-c->pid, SIGKILL);
		reap(c);
	}
	close_fd(&c->pidfd);
	close_fd(&c->out_fd);
	close_fd(&c->err_fd);
}

int child_verdict(const struct child *c, struct vmc_error *err)
{
	if (WIFEXITED(c->status) && !WEXITSTATUS(c->status))
		return 0;
	if (c->said[0])
		return vmc_fail(err, VMC_EIO, "%s: %s", c->name, c->said);
	if (WIFEXITED(c->status))
		return vmc_fail(err, VMC_EIO, "'%s' ended with status %d", c->name, WEXITSTATUS(c->status));
	return vmc_fail(err, VMC_EIO, "'%s' was ended by signal %d", c->name, WTERMSIG(c->status));
}

int child_run(struct child *c, const char *const *argv, unsigned int ms, struct vmc_error *err)
{
	const struct child_setup s = { .argv = argv };
	int r;

	r = child_start(c, &s, err);
	if (r)
		return r;
	r = child_wait(c, ms, err);
	if (!r && !c->ended)
		r = vmc_fail(err, VMC_ETIMEDOUT, "'%s' took longer than %u s", c->name, ms / 1000);
	child_end(c);
	return r ? r : child_verdict(c, err);
}

int child_do(const char *const *argv, unsigned int ms, struct vmc_error *err)
{
	struct child *c = malloc(sizeof(*c));
	int r;

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory to run '%s'", argv[0]);
	r = child_run(c, argv, ms, err);
	free(c);
	return r;
}
