/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a service has done since it started, and what is wrong now: for its metrics, and for the journal. Any function
 * from any thread.
 */
#ifndef VMC_TRUST_STATS_H
#define VMC_TRUST_STATS_H

#include <stdbool.h>
#include <stdio.h>

struct stats;

struct stats *stats_new(void);			/* NULL: no memory */
void stats_free(struct stats *s);		/* NULL is fine */

/*
 * A counter: "vmcrypt_NAME_total" with one label and perhaps a second (NULL: not). The first call with the name gives the
 * help. Of one name at most 256 values are kept; the caller's labels are words of its own, never what a client sent.
 */
struct stats_counter {
	const char *name, *help;
	const char *label, *label2;
};
void stats_count(struct stats *s, const struct stats_counter *c, const char *is, const char *is2, unsigned long long by);

/*
 * Something that is wrong, or is not any more: told in the journal when that changes, by @message_id with the fields
 * VMCRYPT_ALARM (@kind), VMCRYPT_NAME (@name) and VMCRYPT_STATE ("raised", "cleared").
 */
struct stats_alarm {
	const char *kind;		/* "kms-unreachable" */
	const char *message_id;
	const char *name;		/* of what: a key provider, an authority */
};
void stats_alarm(struct stats *s, const struct stats_alarm *a, bool raised, const char *text);
/* It could not be found out this time: as it was. */
void stats_alarm_keep(struct stats *s, const char *kind, const char *name);
/* After all of @kind were looked at: those of names that were not are cleared. */
void stats_alarms_end(struct stats *s, const char *kind, const char *message_id);

/* All counters, and vmcrypt_trust_alarm{alarm=,name=} 1 for each alarm. */
void stats_put(struct stats *s, FILE *f);

#endif
