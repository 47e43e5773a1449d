/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far a job is: percent, rate, time left, and the line that shows them. */
#ifndef VMC_CLI_METER_H
#define VMC_CLI_METER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meter {
	char phase[64];
	uint64_t done, total;
	double rate;			/* per second, smoothed; 0 while unknown */
	uint64_t last_ms, last_done;
	bool started;
	bool bytes;			/* what is counted */
};

/* @now_ms: any clock that does not go back. A new phase, or one that starts over, starts the rate anew. */
void meter_update(struct meter *m, const char *phase, uint64_t done, uint64_t total,
		  uint64_t now_ms);

/* 0 .. 100, or below 0 while the total is not known. */
double meter_percent(const struct meter *m);

/* Seconds left, or -1 while that cannot be told. */
int64_t meter_eta(const struct meter *m);

/* One line of at most @width columns, without colours or newline. */
void meter_line(const struct meter *m, size_t width, char *out, size_t n);

/* {phase, done, total, percent?, rate?, eta?}; what is not known is left out. */
json_t *meter_json(const struct meter *m);

#endif
