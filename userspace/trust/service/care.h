/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a service looks after while it serves: whether what it stands on is well, which the journal is told of, and the file
 * of its figures. In a thread of its own, because key servers and other authorities may let it wait.
 */
#ifndef VMC_TRUST_CARE_H
#define VMC_TRUST_CARE_H

#include <stdbool.h>
#include <stdio.h>

#include "../../lib/error.h"
#include "stats.h"

#define CARE_WARN_DAYS	30	/* before a certificate expires */

struct care;

struct care_setup {
	const char *path;		/* of the file; "": none is written */
	unsigned int interval;		/* seconds */
	struct stats *stats;		/* the caller's, must outlive it */
	/* Looks, raises and clears alarms, and writes the figures that are no counters. @data: @data. */
	void (*look)(struct care *c, FILE *f, void *data);
	void *data;
};

/* The first look is at once. @s is copied, @path too. */
int care_start(struct care **c, const struct care_setup *s, struct vmc_error *err);
bool care_over(struct care *c);		/* for looks that ask many: stop here */
void care_stop(struct care *c);		/* waits for a look that is under way; NULL is fine */

#endif
