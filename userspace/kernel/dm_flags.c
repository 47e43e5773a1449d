// SPDX-License-Identifier: GPL-2.0-or-later
/* dm-crypt's optional arguments, by their own names. */
#include <stdio.h>
#include <string.h>

#include "../lib/util.h"
#include "dm.h"

static const struct {
	const char *name;
	uint32_t flag;
} names[] = {
	{ "no_read_workqueue",		DM_NO_READ_WORKQUEUE },
	{ "no_write_workqueue",		DM_NO_WRITE_WORKQUEUE },
	{ "same_cpu_crypt",		DM_SAME_CPU_CRYPT },
	{ "submit_from_crypt_cpus",	DM_SUBMIT_FROM_CRYPT },
	{ "allow_discards",		DM_ALLOW_DISCARDS },
	{ "high_priority",		DM_HIGH_PRIORITY },
};

static uint32_t flag_of(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == n && !memcmp(names[i].name, name, n))
			return names[i].flag;
	return 0;
}

int dm_flags_parse(const char *csv, uint32_t *flags, struct vmc_error *err)
{
	uint32_t out = 0;

	while (csv && *csv) {
		size_t n = strcspn(csv, ",");
		uint32_t flag = flag_of(csv, n);

		if (!flag || (csv[n] && !csv[n + 1])) {
			vmc_fail(err, VMC_EINVAL, "'%.*s' is no dm-crypt flag", (int)(n < 64 ? n : 64), csv);
			vmc_hint(err, "flags, with commas between: no_read_workqueue, no_write_workqueue, same_cpu_crypt, submit_from_crypt_cpus, allow_discards, high_priority");
			return VMC_EINVAL;
		}
		out |= flag;
		csv += n + (csv[n] == ',');
	}
	*flags = out;
	return 0;
}

void dm_flags_format(uint32_t flags, char *out, size_t n)
{
	size_t len = 0;

	if (n)
		out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names) && len < n; i++)
		if (flags & names[i].flag)
			len += (size_t)snprintf(out + len, n - len, "%s%s",
						len ? "," : "", names[i].name);
}
