// SPDX-License-Identifier: GPL-2.0-or-later
/* Attestation keys as a file has them. What is taken is written back as it was. */
#include <stdlib.h>

#include "akfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[AKFILE_MAX];
	struct akfile f, again;
	size_t n;

	if (akfile_parse(data, size, &f, NULL))
		return 0;
	if (akfile_write(&f, out, &n, NULL) || akfile_parse(out, n, &again, NULL))
		abort();
	return 0;
}
