// SPDX-License-Identifier: GPL-2.0-or-later
/* The first byte says what the rest is: an odd one a whole backup, an even one what is inside, decrypted. */
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int heap;
	struct backup b;
	struct vmc_error err = VMC_ERROR_INIT;
	uint8_t *in;
	int rc;

	if (!heap++ && secmem_init(1 << 16, &err))
		abort();
	if (!size)
		return 0;
	in = malloc(size);	/* of its own size, so that a byte too many is seen */
	memcpy(in, data + 1, size - 1);
	rc = data[0] & 1 ? backup_parse(in, size - 1, "correct horse", 100, &b, &err) :
			   backup_parse_bags(in, size - 1, &b, &err);
	/* whole, or not at all */
	if (rc > 0 || !rc != (b.kdk.key && b.name[0]) || (rc && !err.text[0]))
		abort();
	backup_clear(&b);
	free(in);
	return 0;
}
