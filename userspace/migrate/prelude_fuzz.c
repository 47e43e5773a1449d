// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as the beginning of a connection: what is taken must be written the same again. */
#include <stdlib.h>
#include <string.h>

#include "prelude.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t in[PRELUDE_LEN] = { 0 }, out[PRELUDE_LEN];
	struct prelude p;

	memcpy(in, data, size < sizeof(in) ? size : sizeof(in));
	if (prelude_read(in, &p, NULL))
		return 0;
	prelude_write(&p, out);
	if (memcmp(in, out, sizeof(in)))
		abort();
	return 0;
}
