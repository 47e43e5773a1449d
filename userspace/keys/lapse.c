// SPDX-License-Identifier: GPL-2.0-or-later
#include "lapse.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *lapses[LAPSES_MAX];
static unsigned int next;		/* the oldest goes first */

/* Under the lock; NULL: none. */
static char **find(const char *id)
{
	for (unsigned int i = 0; i < LAPSES_MAX; i++)
		if (lapses[i] && !strcmp(lapses[i], id))
			return &lapses[i];
	return NULL;
}

void lapse_note(const char *id)
{
	pthread_mutex_lock(&lock);
	if (!find(id)) {
		free(lapses[next]);
		lapses[next] = strdup(id);
		next = (next + 1) % LAPSES_MAX;
	}
	pthread_mutex_unlock(&lock);
}

void lapse_forget(const char *id)
{
	char **l;

	pthread_mutex_lock(&lock);
	l = find(id);
	if (l) {
		free(*l);
		*l = NULL;
	}
	pthread_mutex_unlock(&lock);
}

void lapse_explain(const char *id, struct vmc_error *err)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = find(id);
	pthread_mutex_unlock(&lock);
	if (is)
		vmc_prefix(err, "the lease of key '%s' on this host has ended, and it is not to be had anew: ", id);
}
