// SPDX-License-Identifier: GPL-2.0-or-later
#include "when.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/util.h"

static int ago(const char *text, int64_t now, int64_t *when)
{
	static const struct { char unit; int64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
	};
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)*text) || strlen(text) > 9)
		return -1;
	n = strtoul(text, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (*end != units[i].unit || end[1])
			continue;
		*when = now - (int64_t)n * units[i].seconds;
		return *when > 0 ? 0 : -1;
	}
	return -1;
}

static int at(const char *text, int64_t *when)
{
	static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M" };
	const char *end;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm tm = { .tm_mday = 1 }, asked;

		end = strptime(text, formats[i], &tm);
		if (!end || *end)
			continue;
		asked = tm;
		*when = timegm(&tm);
		/* timegm() makes the 3rd of March of the 31st of February */
		return *when > 0 && tm.tm_mday == asked.tm_mday && tm.tm_mon == asked.tm_mon ? 0 : -1;
	}
	return -1;
}

int when_parse(const char *text, int64_t now, int64_t *when, struct vmc_error *err)
{
	if (!ago(text, now, when) || !at(text, when))
		return 0;
	vmc_fail(err, VMC_EINVAL, "'%s' is no point in time", text);
	vmc_hint(err, "for instance 2h, 3d, 2026-01-31, or 2026-01-31T12:00:00Z");
	return VMC_EINVAL;
}
