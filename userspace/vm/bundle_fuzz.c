// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a bundle: what is taken must come out the same again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t one[BUNDLE_DIGEST_LEN], two[BUNDLE_DIGEST_LEN];
	struct bundle b, again;
	char *text;

	if (bundle_parse((const char *)data, size, &b, NULL))
		return 0;
	text = bundle_format(&b);
	if (!text || bundle_parse(text, strlen(text), &again, NULL))
		abort();
	if (bundle_digest(&b, one, NULL) || bundle_digest(&again, two, NULL) || memcmp(one, two, sizeof(one)))
		abort();
	if (b.n < 1 || b.n > BUNDLE_VOLUMES_MAX ||
	    (strcmp(b.v[0].name, VOLUME_HOME) && (!bundle_is_datastore(&b) || b.n > 1)))
		abort();
	free(text);
	bundle_clear(&b);
	bundle_clear(&again);
	return 0;
}
