// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as what a server answered, head and refusal. */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void body(const struct http_response *r, const char *text, size_t n)
{
	json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	struct refusal refusal = { .details = NULL };

	if (json_is_object(o)) {
		if (refusal_from_json(o, r->status, "service", "0123456789abcdef", &refusal) >= 0 ||
		    refusal_status(&refusal) < 400)
			abort();
		refusal_clear(&refusal);
	}
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_response r;
	char *bytes = malloc(size + 1);
	size_t n;

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (!http_head_length(bytes, size, &n, NULL) && n && !http_response_parse(bytes, n, &r, NULL)) {
		if (n > size || r.body > HTTP_BODY_MAX || r.status < 200 || r.status > 599)
			abort();
		body(&r, bytes + n, size - n < r.body ? size - n : r.body);
	}
	free(bytes);
	return 0;
}
