// SPDX-License-Identifier: GPL-2.0-or-later
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/util.h"

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

static void signal_set(sigset_t *set)
{
	size_t i;

	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(set, passed_on[i]);
}

void run_block_signals(sigset_t *old)
{
	sigset_t set;

	signal_set(&set);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* In the child: become the command, or tell the parent through @fd why not. */
static void __attribute__((noreturn))
child(char *const *argv, char *const *env, const sigset_t *mask, int fd)
{
	ssize_t n;
	int e;

	sigprocmask(SIG_SETMASK, mask, NULL);
	execvpe(argv[0], argv, env);
	e = errno;
	/* should the pipe break, the exit status still tells */
	n = write(fd, &e, sizeof(e));
	(void)n;
	_exit(e == ENOENT ? 127 : 126);
}

/* Pass signals on until the child ends. */
static int wait_child(pid_t pid)
{
	siginfo_t si;
	sigset_t set;
	int status, sig;

	signal_set(&set);
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (WIFEXITED(status))
				return WEXITSTATUS(status);
			if (WIFSIGNALED(status))
				return 128 + WTERMSIG(status);
		}
		sig = sigwaitinfo(&set, &si);
		/* Ctrl-C at the terminal goes to the whole group: the child has it already */
		if (sig > 0 && sig != SIGCHLD && si.si_code != SI_KERNEL)
			kill(pid, sig);
	}
}

int run_command(char *const *argv, char *const *env, const sigset_t *mask, int *status,
		struct vmc_error *err)
{
	int fds[2], e = 0;
	ssize_t n;
	pid_t pid;

	*status = 126;
	if (pipe2(fds, O_CLOEXEC))
		return vmc_fail_errno(err, errno, "cannot run '%s'", argv[0]);
	pid = fork();
	if (pid < 0) {
		e = errno;
		close(fds[0]);
		close(fds[1]);
		return vmc_fail_errno(err, e, "cannot run '%s'", argv[0]);
	}
	if (!pid)
		child(argv, env, mask, fds[1]);
	close(fds[1]);
	do {
		n = read(fds[0], &e, sizeof(e));
	} while (n < 0 && errno == EINTR);
	close(fds[0]);
	*status = wait_child(pid);
	if (n != (ssize_t)sizeof(e))
		return 0;
	vmc_fail_errno(err, e, "cannot run '%s'", argv[0]);
	if (e == ENOENT)
		vmc_hint(err, "is it installed and in PATH?");
	else
		vmc_hint(err, "is it an executable file?");
	return err->code;
}
