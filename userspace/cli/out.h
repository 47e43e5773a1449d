/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the operator or a script gets to see. */
#ifndef VMC_CLI_OUT_H
#define VMC_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli.h"

/* May @f be coloured: a terminal, not TERM=dumb, and NO_COLOR is not set (no-color.org). */
bool out_colour(FILE *f);

/* The result of a verb with --json: one value and a newline. */
void out_json(const json_t *value);

/* The same for verbs whose call returns nothing: {"done": VERB, "KEY": VALUE}. */
void out_done(const struct cli *c, const char *key, const char *value);

/* Text for people: printed on standard output unless --json. @fmt is translated here. */
void out_say(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "vmcrypt: TEXT" and "Hint: HINT" on standard error; with --json also {"error": ...} on
 * standard output. Returns the exit status. */
int out_error(const struct cli *c, const struct vmc_error *err);

#endif
