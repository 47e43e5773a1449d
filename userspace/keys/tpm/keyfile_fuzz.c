// SPDX-License-Identifier: GPL-2.0-or-later
/* The file of stored keys. Each record that is taken is found again. */
#include <stdlib.h>

#include "keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyfile f;

	if (keyfile_parse(data, size, &f, NULL))
		return 0;
	for (size_t i = 0; i < f.n; i++)
		if (keyfile_find(&f, f.records[i].id) != &f.records[i])
			abort();
	keyfile_clear(&f);
	return 0;
}
