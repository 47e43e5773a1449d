// SPDX-License-Identifier: GPL-2.0-or-later
/* Event logs of a host that may be hostile. What is taken can be told, replayed, made an image of, and matches that. */
#include <stdlib.h>
#include <string.h>

#include "image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(const struct eventlog *log)
{
	char text[EVENT_TEXT_MAX];

	for (size_t i = 0; i < log->n; i++) {
		event_text(&log->events[i], text);
		if (memchr(text, '\0', sizeof(text)) == NULL)
			abort();
		for (const char *c = text; *c; c++)
			if (*c < ' ' || *c > '~')
				abort();
	}
	(void)eventlog_secure_boot(log, TPM2_ALG_SHA256);
}

static void match(const struct eventlog *log)
{
	static const struct image_meta meta = { .name = "fuzz" };
	json_t *images, *image, *which = NULL;

	if (image_from_eventlog(log, TPM2_ALG_SHA256, &meta, &image, NULL))
		return;
	images = json_pack("[o]", image);
	if (image_match(images, log, TPM2_ALG_SHA256, 0xffff, &which, NULL))
		abort();
	json_decref(which);
	json_decref(images);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eventlog *log;
	struct pcrs p;

	if (eventlog_parse(data, size, &log, NULL))
		return 0;
	if (!eventlog_replay(log, TPM2_ALG_SHA256, &p, NULL) && eventlog_check(log, &p, NULL))
		abort();
	tell(log);
	match(log);
	eventlog_free(log);
	return 0;
}
