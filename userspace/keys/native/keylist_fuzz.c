// SPDX-License-Identifier: GPL-2.0-or-later
/* keys.json: what is accepted comes out again as it was understood. */
#include <stdlib.h>
#include <string.h>

#include "keylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct keylist l, again;
	char *text;

	if (keylist_parse((const char *)data, size, &l, &err))
		return 0;
	text = keylist_format(&l);
	if (!text || keylist_parse(text, strlen(text), &again, &err) || again.n != l.n)
		abort();
	for (size_t i = 0; i < l.n; i++)
		if (memcmp(&l.k[i], &again.k[i], sizeof(l.k[i])) || keylist_find(&l, again.k[i].id) != &l.k[i])
			abort();
	keylist_clear(&l);
	keylist_clear(&again);
	free(text);
	return 0;
}
