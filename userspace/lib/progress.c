// SPDX-License-Identifier: GPL-2.0-or-later
/* How long work tells how far it is, and learns that it should stop. */
#include "progress.h"

#include <stddef.h>

#include "util.h"

#define REPORT_EVERY_MS	100

void progress_report(struct progress *p, const char *phase, uint64_t done,
		     uint64_t total)
{
	uint64_t now;

	if (!p || !p->report)
		return;
	now = vmc_now_ms();
	/* The first and the last word of a phase always get through. */
	if (done && done < total && p->last_ms &&
	    now - p->last_ms < REPORT_EVERY_MS)
		return;
	p->last_ms = now;
	p->report(p, phase, done, total);
}

int progress_canceled(const struct progress *p)
{
	return p && atomic_load(&p->cancel);
}
