// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as what a client sent: what is taken must come out the same again. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct http_request *a, const struct http_request *b)
{
	return a->method == b->method && a->body == b->body && a->close == b->close && !strcmp(a->path, b->path) &&
	       !strcmp(a->correlation, b->correlation) && !strcmp(a->bearer, b->bearer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request r, copy;
	char *out, *bytes = malloc(size + 1);
	size_t n, len, again;

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (!http_body_light(bytes, size) && size < HTTP_VALUES_MAX)
		abort();
	if (http_head_length(bytes, size, &n, NULL) || !n || http_request_parse(bytes, n, &r, NULL)) {
		free(bytes);
		return 0;
	}
	if (n > size || r.body > HTTP_BODY_MAX || r.path[0] != '/' || (r.method == HTTP_GET && r.body) ||
	    (r.correlation[0] && !http_correlation_ok(r.correlation)))
		abort();
	free(bytes);
	bytes = calloc(1, r.body + 1);
	if (bytes && !http_request_format(&r, "host", bytes, r.body, &out, &len, NULL)) {
		if (http_head_length(out, len, &again, NULL) || again + r.body != len ||
		    http_request_parse(out, again, &copy, NULL) || !same(&r, &copy))
			abort();
		free(out);
	}
	free(bytes);
	return 0;
}
