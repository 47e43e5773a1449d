// SPDX-License-Identifier: GPL-2.0-or-later
/* One conversion of a printf format. */
#include "conversion.h"

#include <string.h>

#define NUMBER_MAX	1024
#define POSITION_MAX	99

/* A number without sign at *@p; a larger one than any here becomes NUMBER_MAX. */
static int number(const char **p)
{
	int n = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		if (n <= NUMBER_MAX)
			n = 10 * n + **p - '0';
	return n > NUMBER_MAX ? NUMBER_MAX : n;
}

/* "2$" at @p: what follows it; otherwise @p. */
static const char *position(const char *p, unsigned int *out)
{
	const char *end = p;
	int n = number(&end);

	if (end == p || *end != '$')
		return p;
	if (n < 1 || n > POSITION_MAX)
		return NULL;
	*out = (unsigned int)n;
	return end + 1;
}

static const char *flags(const char *p, struct conversion *c)
{
	for (; *p && strchr("0-+ #'I", *p); p++) {
		if (*p == '0')
			c->zero = true;
		else if (*p == '-')
			c->minus = true;
		else
			c->other_flags = true;
	}
	return p;
}

/* A number, "*" or "*2$". */
static const char *measure(const char *p, struct conversion *c, int *value, bool *star)
{
	unsigned int at = 0;

	if (*p != '*') {
		*value = number(&p);
		return p;
	}
	*star = true;
	p = position(p + 1, &at);
	c->star_position |= at > 0;
	return p;
}

static const char *length(const char *p, enum conversion_length *l)
{
	static const struct { const char *text; enum conversion_length l; } lengths[] = {
		{ "hh", LENGTH_CHAR }, { "h", LENGTH_SHORT }, { "ll", LENGTH_LONG_LONG }, { "l", LENGTH_LONG },
		{ "j", LENGTH_MAX }, { "z", LENGTH_SIZE }, { "t", LENGTH_PTRDIFF },
	};

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = strlen(lengths[i].text);

		if (!strncmp(p, lengths[i].text, n)) {
			*l = lengths[i].l;
			return p + n;
		}
	}
	return p;
}

const char *conversion_parse(const char *p, struct conversion *c)
{
	memset(c, 0, sizeof(*c));
	c->precision = -1;
	p = position(p + 1, &c->position);
	if (!p)
		return NULL;
	p = measure(flags(p, c), c, &c->width, &c->star_width);
	if (p && *p == '.')
		p = measure(p + 1, c, &c->precision, &c->star_precision);
	if (!p)
		return NULL;
	p = length(p, &c->length);
	if (!*p || !strchr("%diouxXfgescm", *p))
		return NULL;
	c->kind = *p;
	return p + 1;
}
