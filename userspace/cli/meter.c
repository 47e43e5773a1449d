// SPDX-License-Identifier: GPL-2.0-or-later
#include "meter.h"

#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "table.h"

/* Rates older than this hardly count. */
#define SMOOTH_MS	5000.0
/* Columns of the bar, at most. */
#define BAR_MAX		40u

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
		i18n_decimal(size);
		snprintf(out, 48, "  %s/s", size);
	} else {
		snprintf(size, sizeof(size), "%.1f", m->rate);
		i18n_decimal(size);
		snprintf(out, 48, "  %s/s", size);
	}
}

/* "  42.0%  12.0 MiB/s  ETA 1:02", or what of it is known. */
static void format_tail(const struct meter *m, double percent, char *out, size_t n)
{
	char eta[32], rate[48], number[16];

	format_rate(m, rate);
	if (percent < 0) {
		snprintf(out, n, "%s", rate);
		return;
	}
	format_eta(meter_eta(m), eta);
	snprintf(number, sizeof(number), "%5.1f", percent);
	i18n_decimal(number);
	/* percent done, rate with two blanks before it or nothing, time left */
	snprintf(out, n, _(" %s%%%s  ETA %s"), number, rate, eta);
}

static void format_bar(double percent, size_t width, char *out)
{
	size_t full = (size_t)(percent * (double)width / 100.0);

	*out++ = '[';
	for (size_t i = 0; i < width; i++)
		*out++ = i < full ? '#' : '.';
	*out++ = ']';
	*out = '\0';
}

void meter_line(const struct meter *m, size_t width, char *out, size_t n)
{
	const char *phase = *m->phase ? _(m->phase) : "";
	char tail[128], bar[BAR_MAX + 3] = "";
	double percent = meter_percent(m);
	size_t used = text_width(phase) + 1, tail_width;

	if (!n)
		return;
	format_tail(m, percent, tail, sizeof(tail));
	tail_width = text_width(tail);
	if (percent >= 0 && used + tail_width + 12 <= width) {
		size_t room = width - used - tail_width - 2;

		format_bar(percent, room > BAR_MAX ? BAR_MAX : room, bar);
	}
	snprintf(out, n, "%s %s%s", phase, bar, tail);
	/* whole characters only, whatever cut it */
	out[text_fit(out, width)] = '\0';
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
