// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "../lib/error.h"

struct cell {
	char *text;
	enum style style;
	bool right;
};

struct table {
	size_t columns, n, room;
	struct cell *cells;
	bool failed;
};

struct table *table_new(size_t columns)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t)
		t->columns = columns;
	return t;
}

void table_free(struct table *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

void table_cell(struct table *t, const char *text, enum style style, bool right)
{
	struct cell *cells;
	char *copy;

	if (!t || t->failed)
		return;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;

		cells = reallocarray(t->cells, room, sizeof(*cells));
		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->room = room;
	}
	copy = strdup(text && *text ? text : "-");
	if (!copy) {
		t->failed = true;
		return;
	}
	t->cells[t->n++] = (struct cell){ copy, style, right };
}

/* Length of the next character and its width; control characters and broken bytes are one wide. */
static size_t next_char(const char *s, int *width)
{
	mbstate_t state = { 0 };
	wchar_t wc;
	size_t len = mbrtowc(&wc, s, strlen(s), &state);

	if (len == 0 || len > strlen(s)) {
		*width = 1;
		return 1;
	}
	*width = wcwidth(wc);
	if (*width < 0)
		*width = 1;
	return len;
}

size_t text_width(const char *s)
{
	size_t sum = 0;
	int w;

	while (*s) {
		s += next_char(s, &w);
		sum += w;
	}
	return sum;
}

size_t text_fit(const char *s, size_t width)
{
	size_t at = 0, sum = 0, len;
	int w;

	while (s[at]) {
		len = next_char(s + at, &w);
		if (sum + (size_t)w > width)
			break;
		sum += (size_t)w;
		at += len;
	}
	return at;
}

void text_print(FILE *f, const char *s, bool lines)
{
	while (*s) {
		mbstate_t state = { 0 };
		wchar_t wc;
		size_t len = mbrtowc(&wc, s, strlen(s), &state);

		if (len == 0 || len > strlen(s)) {
			fputc('?', f);
			s++;
			continue;
		}
		if (wcwidth(wc) >= 0 || (lines && *s == '\n'))
			fwrite(s, 1, len, f);
		else
			fputc('?', f);
		s += len;
	}
}

const char *style_on(enum style s, bool colour)
{
	static const char *const on[] = {
		[STYLE_PLAIN] = "", [STYLE_BOLD] = "\033[1m", [STYLE_GOOD] = "\033[32m",
		[STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m",
	};

	return colour ? on[s] : "";
}

const char *style_off(enum style s, bool colour)
{
	return colour && s != STYLE_PLAIN ? "\033[0m" : "";
}

static void print_row(const struct table *t, const size_t *width, size_t row, FILE *f,
		      int indent, bool colour)
{
	size_t i, pad, gap = indent;

	/* spaces are printed in front of the next text, never at the end */
	for (i = 0; i < t->columns; i++) {
		const struct cell *c = &t->cells[row * t->columns + i];

		pad = width[i] - text_width(c->text);
		if (c->right)
			gap += pad;
		fprintf(f, "%*s%s", (int)gap, "", style_on(c->style, colour));
		text_print(f, c->text, false);
		fputs(style_off(c->style, colour), f);
		gap = 2 + (c->right ? 0 : pad);
	}
	fputc('\n', f);
}

int table_print(const struct table *t, FILE *f, int indent, bool colour)
{
	size_t *width, i, rows;

	if (!t || t->failed || !t->columns)
		return VMC_ENOMEM;
	width = calloc(t->columns, sizeof(*width));
	if (!width)
		return VMC_ENOMEM;
	rows = t->n / t->columns;
	for (i = 0; i < rows * t->columns; i++) {
		size_t w = text_width(t->cells[i].text);

		if (w > width[i % t->columns])
			width[i % t->columns] = w;
	}
	for (i = 0; i < rows; i++)
		print_row(t, width, i, f, indent, colour);
	free(width);
	return 0;
}
