// SPDX-License-Identifier: GPL-2.0-or-later
/* A token that is accepted must come back the same from its own JSON. */
#include <stdlib.h>
#include <string.h>

#include "luks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct luks_token t, again;
	struct vmc_error err;
	char *text = malloc(size + 1), *json;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!luks_token_parse(text, &t, &err)) {
		json = luks_token_format(&t);
		if (!json || luks_token_parse(json, &again, &err) ||
		    strcmp(t.volume, again.volume) || strcmp(t.kek_id, again.kek_id) ||
		    memcmp(t.wrapped, again.wrapped, sizeof(t.wrapped)) ||
		    memcmp(t.kcv, again.kcv, sizeof(t.kcv)) ||
		    strcmp(t.second.kek_id, again.second.kek_id) ||
		    memcmp(t.second.wrapped, again.second.wrapped, sizeof(t.second.wrapped)) ||
		    memcmp(t.second.kcv, again.second.kcv, sizeof(t.second.kcv)) ||
		    !vmc_uuid_equal(&t.vm, &again.vm) || t.generation != again.generation)
			abort();
		free(json);
	}
	free(text);
	return 0;
}
