// SPDX-License-Identifier: GPL-2.0-or-later
/* Run one hook program. */
#include "hook_run.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/child.h"

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

static int verdict(const struct hook_run *r, const struct child *c, struct vmc_error *err)
{
	if (WIFEXITED(c->status) && !WEXITSTATUS(c->status))
		return 0;
	vmc_fail(err, VMC_EIO, "the hook '%s' failed (%s %d)%s%s", r->path, WIFEXITED(c->status) ? "status" : "signal",
		 WIFEXITED(c->status) ? WEXITSTATUS(c->status) : WTERMSIG(c->status), c->said[0] ? ": " : "", c->said);
	vmc_hint(err, "try it by hand, as vmcryptd(8) says under HOOKS");
	return VMC_EIO;
}

static int wait_for(const struct hook_run *r, struct child *c, struct vmc_error *err)
{
	int rc = child_wait(c, r->deadline_ms, err);
	bool late = !rc && !c->ended;

	child_end(c);
	if (rc == VMC_ECANCELED)
		return vmc_fail(err, VMC_ECANCELED, "the hook '%s' was ended, for vmcryptd stops", r->path);
	if (rc)
		return rc;
	if (!late)
		return verdict(r, c, err);
	vmc_fail(err, VMC_ETIMEDOUT, "the hook '%s' was ended: it took longer than %u s%s%s", r->path,
		 r->deadline_ms / 1000, c->said[0] ? "; it said: " : "", c->said);
	vmc_hint(err, "have it hand long work on, for instance to systemd-run(1), or raise timeout in [hooks]");
	return VMC_ETIMEDOUT;
}

int hook_run(const struct hook_run *r, struct vmc_error *err)
{
	const char *const argv[] = { r->path, NULL };
	struct child_setup s = { .argv = argv, .env = r->env, .one_voice = true, .cancel_fd = r->cancel_fd };
	struct child *c = malloc(sizeof(*c));
	int rc;

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory to run the hook '%s'", r->path);
	s.input = input_file(r->input, err);
	if (s.input < 0) {
		free(c);
		return s.input;
	}
	rc = child_start(c, &s, err);
	close(s.input);
	if (!rc)
		rc = wait_for(r, c, err);
	else if (rc == VMC_ENOENT)
		vmc_hint(err, "does its first line, #!, name a program that is there?");
	free(c);
	return rc;
}
