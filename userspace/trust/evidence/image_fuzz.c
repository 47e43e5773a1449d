// SPDX-License-Identifier: GPL-2.0-or-later
/* Base images as an operator imports them. What is taken can be written, and is taken again. */
#include <stdlib.h>
#include <string.h>

#include "image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eventlog nothing = { 0 };
	json_t *image, *again, *images, *which;
	TPMI_ALG_HASH bank;
	char *text;

	if (image_parse((const char *)data, size, &image, NULL))
		return 0;
	text = json_dumps(image, JSON_COMPACT);
	if (!text || image_parse(text, strlen(text), &again, NULL) || !json_equal(image, again))
		abort();
	free(text);
	images = json_pack("[O, O]", image, again);
	bank = pcrs_bank(json_string_value(json_object_get(image, "bank")));
	(void)image_match(images, &nothing, bank, 0xffff, &which, NULL);
	json_decref(which);
	json_decref(images);
	json_decref(again);
	json_decref(image);
	return 0;
}
