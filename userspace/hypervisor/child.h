/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program that is run for its answer: found in PATH, its words in English, nothing on its standard input. */
#ifndef VMC_HYPERVISOR_CHILD_H
#define VMC_HYPERVISOR_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../lib/error.h"

#define CHILD_OUT_MAX	65536	/* of its standard output, the first; with the NUL */
#define CHILD_SAID_MAX	512	/* of its standard error, the last; with the NUL */

struct child {
	const char *name;	/* for texts */
	pid_t pid;		/* 0: none */
	int pidfd, out_fd, err_fd;
	bool ended;
	int status;		/* as of waitpid() */
	size_t n;
	char out[CHILD_OUT_MAX];
	char said[CHILD_SAID_MAX];	/* one line */
};

/* @argv ends at NULL. VMC_ENOENT: there is no such program. */
int child_start(struct child *c, const char *const *argv, struct vmc_error *err);
/* Take what it says, for @ms at most or until it ended (c->ended). */
int child_wait(struct child *c, unsigned int ms, struct vmc_error *err);
/* Kill it if it has not ended, with all that it started; give back what it held. Its words stay. */
void child_end(struct child *c);
/* It ended, with status 0. VMC_EIO: it did not, and what it said is the text. */
int child_verdict(const struct child *c, struct vmc_error *err);

/* All of that, with a deadline. */
int child_run(struct child *c, const char *const *argv, unsigned int ms, struct vmc_error *err);

#endif
