// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a desired state: what is taken is written the same way for ever. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tstate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *state, *again;
	char *text, *text2;
	size_t n, n2;

	if (tstate_parse((const char *)data, size, &state, NULL))
		return 0;
	if (tstate_canonical(state, &text, &n, NULL) || tstate_parse(text, n, &again, NULL) ||
	    tstate_canonical(again, &text2, &n2, NULL) || n != n2 || memcmp(text, text2, n))
		abort();
	free(text);
	free(text2);
	json_decref(state);
	json_decref(again);
	return 0;
}
