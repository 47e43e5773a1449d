// SPDX-License-Identifier: GPL-2.0-or-later
#include "advice.h"

#include <stdio.h>
#include <string.h>

#define COMMAND	"vmcrypt "
#define HERE	COMMAND "trust key-provider "

static const char host[] = COMMAND "provider ";

void advice_fit(char *text, size_t size)
{
	size_t more = strlen(HERE) - strlen(host), n = strlen(text);

	for (char *p = strstr(text, host); p && n + more < size; p = strstr(p + strlen(HERE), host)) {
		memmove(p + strlen(HERE), p + strlen(host), strlen(p + strlen(host)) + 1);
		memcpy(p, HERE, strlen(HERE));
		n += more;
	}
}

void advice_fit_error(struct vmc_error *err)
{
	advice_fit(err->text, sizeof(err->text));
	advice_fit(err->hint, sizeof(err->hint));
}

static void fit_string(json_t *v)
{
	char text[2048];

	if (json_string_length(v) >= sizeof(text) || !strstr(json_string_value(v), host))
		return;
	snprintf(text, sizeof(text), "%s", json_string_value(v));
	advice_fit(text, sizeof(text));
	json_string_set(v, text);
}

void advice_fit_json(json_t *v)
{
	const char *name;
	json_t *e;
	size_t i;

	if (json_is_string(v))
		fit_string(v);
	json_object_foreach(v, name, e)
		advice_fit_json(e);
	json_array_foreach(v, i, e)
		advice_fit_json(e);
}
