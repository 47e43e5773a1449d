/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Aligned columns: no tabs, no spaces at line ends, no control characters. */
#ifndef VMC_CLI_TABLE_H
#define VMC_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

struct table;

/* NULL: no memory; the other functions then do nothing, and table_print() says so. */
struct table *table_new(size_t columns);
void table_free(struct table *t);

/* The next cell, row by row; the first row is the header. @right: flush right. */
void table_cell(struct table *t, const char *text, enum style style, bool right);

/* Print with @indent spaces in front; colours only when @colour. Returns 0 or VMC_ENOMEM. */
int table_print(const struct table *t, FILE *f, int indent, bool colour);

/* Width in terminal columns of UTF-8 @s; a broken byte counts as one. */
size_t text_width(const char *s);

/* How many bytes of @s, whole characters, fit into @width columns. */
size_t text_fit(const char *s, size_t width);

/* Print @s with control characters, escapes among them, as '?': what comes from a
 * server must not drive the terminal. Newlines pass when @lines. */
void text_print(FILE *f, const char *s, bool lines);

const char *style_on(enum style s, bool colour);
const char *style_off(enum style s, bool colour);

#endif
