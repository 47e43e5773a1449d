/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long work tells how far it is, and learns that it should stop. */
#ifndef VMC_LIB_PROGRESS_H
#define VMC_LIB_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

struct progress {
	/* Called from the worker at most about ten times a second; may be NULL. */
	void (*report)(struct progress *p, const char *phase, uint64_t done, uint64_t total);
	void *data;
	atomic_bool cancel;		/* set by anybody; the worker stops at the next safe point */
	uint64_t last_ms;		/* private to progress_report() */
};

void progress_report(struct progress *p, const char *phase, uint64_t done, uint64_t total); /* NULL p is fine */
int progress_canceled(const struct progress *p);

#endif
