/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's JSON as text for people: labels and values, and tables. */
#ifndef VMC_CLI_RENDER_H
#define VMC_CLI_RENDER_H

#include <jansson.h>
#include <stdio.h>

struct column {
	const char *header;
	const char *key;	/* "a|b": the first of these that is there */
};

/* A table of the objects in @list, an array, or an object whose members are objects (then "name" is
 * the member's name). Headers and @empty are translated here; @empty (NULL: nothing) is printed when there
 * are none. Returns 0 or VMC_ENOMEM. */
int render_list(FILE *f, const json_t *list, const struct column *cols, size_t n_cols,
		const char *empty);

/* "Label: value" lines; what is nested follows, two columns further in. Returns 0 or VMC_ENOMEM. */
int render_object(FILE *f, const json_t *object, int indent);

/* A value in few words: the text of the member @key in its usual unit. Caller frees; NULL: no memory. */
char *render_value(const char *key, const json_t *value);

/* The first member of @object that @key ("a|b") names, or NULL. */
const json_t *json_pick(const json_t *object, const char *key);

#endif
