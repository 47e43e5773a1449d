// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <string.h>

const struct opt_def opt_defs[OPT__N] = {
#define X(id, name, type, metavar, help) [OPT_##id] = { name, type, metavar, help },
	CLI_OPTIONS(X)
#undef X
};

enum opt_id opt_find(const char *name, size_t len)
{
	unsigned int i;

	for (i = 0; i < OPT__N; i++)
		if (strlen(opt_defs[i].name) == len && !memcmp(opt_defs[i].name, name, len))
			break;
	return i;
}
