// SPDX-License-Identifier: GPL-2.0-or-later
#include "meter.h"

#include <stdio.h>
#include <string.h>

#include "../lib/util.h"

/* Rates older than this hardly count. */
#define SMOOTH_MS	5000.0

void meter_update(struct meter *m, const char *phase, uint64_t done, uint64_t total,
		  uint64_t now_ms)
{
	double dt, now;

	if (total && done > total)
		done = total;
	if (!m->started || strcmp(m->phase, phase) != 0 || done < m->last_done) {
		snprintf(m->phase, sizeof(m->phase), "%s", phase);
		m->rate = 0;
		m->started = true;
	} else if (now_ms > m->last_ms) {
		dt = (double)(now_ms - m->last_ms);
		now = (double)(done - m->last_done) * 1000.0 / dt;
		if (m->rate > 0)
			m->rate += (now - m->rate) * dt / (dt + SMOOTH_MS);
		else
			m->rate = now;
	} else {
		/* no time has passed: let the next update count this step */
		m->done = done;
		m->total = total;
		return;
	}
	m->done = m->last_done = done;
	m->total = total;
	m->last_ms = now_ms;
}

double meter_percent(const struct meter *m)
{
	return m->total ? 100.0 * (double)m->done / (double)m->total : -1;
}

int64_t meter_eta(const struct meter *m)
{
	double left;

	if (!m->total)
		return -1;
	if (m->done == m->total)
		return 0;
	/* slower than one in three months is standing still */
	left = (double)(m->total - m->done);
	if (m->rate <= 0 || left / m->rate > 8e6)
		return -1;
	/* rounded up, or the last second lasts for ever */
	return (int64_t)(left / m->rate) + 1;
}

static void format_eta(int64_t s, char out[32])
{
	if (s < 0)
		snprintf(out, 32, "--:--");
	else if (s < 3600)
		snprintf(out, 32, "%d:%02d", (int)(s / 60), (int)(s % 60));
	else
		snprintf(out, 32, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60),
			 (int)(s % 60));
}

static void format_rate(const struct meter *m, char out[48])
{
	char size[32];

	if (m->rate <= 0) {
		*out = '\0';
	} else if (m->bytes) {
		vmc_size_format((uint64_t)m->rate, size);
		snprintf(out, 48, "  %s/s", size);
	} else {
		snprintf(out, 48, "  %.1f/s", m->rate);
	}
}

void meter_line(const struct meter *m, size_t width, char *out, size_t n)
{
	char eta[32], rate[48], tail[128];
	double percent = meter_percent(m);
	size_t used, bar, full, i;
	int r;

	if (n > width + 1)
		n = width + 1;
	if (!n)
		return;
	format_rate(m, rate);
	format_eta(meter_eta(m), eta);
	if (percent < 0)
		snprintf(tail, sizeof(tail), "%s", rate);
	else
		snprintf(tail, sizeof(tail), " %5.1f%%%s  ETA %s", percent, rate, eta);
	r = snprintf(out, n, "%s ", m->phase);
	used = r < 0 ? 0 : (size_t)r < n ? (size_t)r : n - 1;
	if (percent >= 0 && used + strlen(tail) + 12 < n) {
		bar = n - 1 - used - strlen(tail) - 2;
		if (bar > 40)
			bar = 40;
		full = (size_t)(percent * (double)bar / 100.0);
		out[used++] = '[';
		for (i = 0; i < bar; i++)
			out[used++] = i < full ? '#' : '.';
		out[used++] = ']';
		out[used] = '\0';
	}
	snprintf(out + used, n - used, "%s", tail);
}

json_t *meter_json(const struct meter *m)
{
	json_t *o = json_pack("{s:s, s:I, s:I}", "phase", m->phase, "done", (json_int_t)m->done,
			      "total", (json_int_t)m->total);

	if (!o)
		return NULL;
	if (m->total)
		json_object_set_new(o, "percent",
				    json_real((double)(int64_t)(meter_percent(m) * 10) / 10));
	if (m->rate > 0)
		json_object_set_new(o, "rate", json_integer((json_int_t)m->rate));
	if (meter_eta(m) >= 0)
		json_object_set_new(o, "eta", json_integer(meter_eta(m)));
	return o;
}
