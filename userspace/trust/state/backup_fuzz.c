// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as the opened body of a backup, and as a backup: no path leads out of its folder. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backup_body b = { .bytes = (uint8_t *)data, .n = size };
	struct backup_record r;
	size_t at = 0, sum = 0;

	if (backup_body_check(&b, NULL))
		return 0;
	while (backup_next(&b, &at, &r)) {
		sum += 6 + strlen(r.path) + r.len;
		if (*r.path == '/' || *r.path == '.' || strstr(r.path, "/.") || strstr(r.path, "//"))
			abort();
	}
	if (sum != size)
		abort();
	return 0;
}
