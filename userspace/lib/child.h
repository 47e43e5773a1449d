/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another program that is run: no shell, in a process group of its own, with a deadline, its words kept for a text. */
#ifndef VMC_LIB_CHILD_H
#define VMC_LIB_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

#define CHILD_OUT_MAX	65536	/* of its standard output, the first; with the NUL */
#define CHILD_SAID_MAX	512	/* of its standard error, the last; with the NUL */

struct child_setup {
	const char *const *argv;	/* ends at NULL; argv[0] is looked for in PATH unless it is a path */
	char *const *env;		/* whole, ends at NULL; NULL: PATH, and the C locale */
	int input;			/* a file for its standard input; 0 none */
	bool one_voice;			/* its standard output is taken as its standard error is */
	int cancel_fd;			/* child_wait() returns when it gets readable; 0 none */
};

struct child {
	const char *name;	/* for texts */
	pid_t pid;		/* 0: none */
	int pidfd, out_fd, err_fd, cancel_fd;
	bool ended;
	int status;		/* as of waitpid() */
	size_t n;
	char out[CHILD_OUT_MAX];
	char said[CHILD_SAID_MAX];	/* one line */
};

/* It begins in "/", with no other files of ours. VMC_ENOENT: there is no such program. */
int child_start(struct child *c, const struct child_setup *s, struct vmc_error *err);
/*
 * Take what it says, for @ms at most or until it ended (c->ended); what it started may hold its output open, that is not
 * waited for. VMC_ECANCELED: cancel_fd got readable.
 */
int child_wait(struct child *c, unsigned int ms, struct vmc_error *err);
/* Kill it if it has not ended, with all that it started; give back what it held. Its words stay. */
void child_end(struct child *c);
/* It ended, with status 0. VMC_EIO: it did not, and what it said is the text. */
int child_verdict(const struct child *c, struct vmc_error *err);

/* All of that, with a deadline: VMC_ETIMEDOUT. */
int child_run(struct child *c, const char *const *argv, unsigned int ms, struct vmc_error *err);
/* The same, for one that is run for what it does. */
int child_do(const char *const *argv, unsigned int ms, struct vmc_error *err);

#endif
