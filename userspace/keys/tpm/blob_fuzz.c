// SPDX-License-Identifier: GPL-2.0-or-later
/* Sealed blobs as a file has them. What is taken is written back as it was. */
#include <stdlib.h>

#include "blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[BLOB_MAX];
	struct blob b, again;
	size_t n;

	if (blob_parse(data, size, &b, NULL))
		return 0;
	if (blob_write(&b, out, &n, NULL) || blob_parse(out, n, &again, NULL))
		abort();
	return 0;
}
