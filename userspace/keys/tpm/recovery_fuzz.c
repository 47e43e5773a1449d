// SPDX-License-Identifier: GPL-2.0-or-later
/* What a person types for a recovery key. What is taken is the same when it is written as we write it. */
#include <stdlib.h>
#include <string.h>

#include "recovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t key[RECOVERY_KEY], again[RECOVERY_KEY];
	char *text = malloc(size + 1), out[RECOVERY_TEXT];

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!recovery_parse(text, key, NULL)) {
		recovery_format(key, out);
		if (recovery_parse(out, again, NULL) || memcmp(key, again, sizeof(key)))
			abort();
	}
	free(text);
	return 0;
}
