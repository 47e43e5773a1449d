// SPDX-License-Identifier: GPL-2.0-or-later
#include "out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "table.h"
#include "verbs.h"

bool out_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void out_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

void out_done(const struct cli *c, const char *key, const char *value)
{
	json_t *o;

	if (!c->json)
		return;
	o = json_pack("{s:s, s:s}", "done", c->verb->pattern, key, value);
	out_json(o);
	json_decref(o);
}

void out_say(const struct cli *c, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int r;

	if (!cli_text(c))
		return;
	va_start(ap, fmt);
	r = vasprintf(&text, *fmt ? _(fmt) : fmt, ap);
	va_end(ap);
	if (r < 0)
		return;
	text_print(stdout, text, true);
	putchar('\n');
	free(text);
}

int out_error(const struct cli *c, const struct vmc_error *err)
{
	bool colour = out_colour(stderr);
	json_t *o;

	fflush(stdout);
	fprintf(stderr, "%svmcrypt:%s ", style_on(STYLE_BAD, colour), style_off(STYLE_BAD, colour));
	text_print(stderr, err->text, true);
	fputc('\n', stderr);
	if (*err->hint) {
		fprintf(stderr, "%s%s%s ", style_on(STYLE_BOLD, colour), _("Hint:"),
			style_off(STYLE_BOLD, colour));
		text_print(stderr, err->hint, true);
		fputc('\n', stderr);
	}
	if (c->json) {
		o = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", vmc_code_name(err->code),
			      "text", err->text, "hint", err->hint);
		if (o)
			out_json(o);
		json_decref(o);
	}
	return vmc_code_exit(err->code);
}
