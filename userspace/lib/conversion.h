/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One conversion of a printf format, such as "%2$-*.3lu". */
#ifndef VMC_LIB_CONVERSION_H
#define VMC_LIB_CONVERSION_H

#include <stdbool.h>

enum conversion_length {
	LENGTH_NONE, LENGTH_CHAR, LENGTH_SHORT, LENGTH_LONG, LENGTH_LONG_LONG, LENGTH_MAX, LENGTH_SIZE,
	LENGTH_PTRDIFF,
};

struct conversion {
	char kind;			/* '%', 'd', 's' ... */
	unsigned int position;		/* from "2$", 1 to 99; 0: the next argument */
	bool zero, minus, other_flags;	/* "0", "-", any of "+ #'I" */
	bool star_width, star_precision;
	bool star_position;		/* a "*2$": takes no argument in its turn */
	int width, precision;		/* 0 and -1 when not given; at most 1024 */
	enum conversion_length length;
};

/* @p points at a '%'. Returns what follows the conversion, or NULL when it is none. */
const char *conversion_parse(const char *p, struct conversion *c);

#endif
