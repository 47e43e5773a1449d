// SPDX-License-Identifier: GPL-2.0-or-later
/* Whatever is kept as a message renders into UTF-8 that fits, in one go and in any size. */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* @out is closed, and making it valid changes nothing. */
static void check(const char *out, size_t size)
{
	size_t len = strnlen(out, size);
	char *copy;

	if (len == size)
		abort();
	copy = strdup(out);
	if (!copy)
		return;
	utf8_make_valid(copy);
	if (strcmp(copy, out))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2), *out;
	size_t room;
	json_t *m;

	if (!text)
		return 0;
	text[0] = '\1';
	memcpy(text + 1, data, size);
	text[size + 1] = '\0';
	room = 1 + (size ? data[0] * 8u : 0);
	out = malloc(room);
	if (out) {
		check(message_unpack(text, out, room), room);
		m = json_loads(text + 1, JSON_DECODE_ANY, NULL);
		check(message_render_english(m, out, room), room);
		message_localize(m);
		json_decref(m);
	}
	free(out);
	free(text);
	return 0;
}
