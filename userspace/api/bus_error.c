// SPDX-License-Identifier: GPL-2.0-or-later
/* Our errors on the bus. */
#include "bus_error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * Length of the UTF-8 sequence at @s (RFC 3629: shortest form, no surrogates,
 * up to U+10FFFF), or 0 when there is none.
 */
static size_t utf8_sequence(const unsigned char *s)
{
	uint32_t c;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	c = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)	/* also the closing NUL */
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff)))
		return 0;
	if (n == 4 && (c < 0x10000 || c > 0x10ffff))
		return 0;
	return n;
}

void utf8_make_valid(char *s)
{
	size_t n;

	while (*s) {
		n = utf8_sequence((const unsigned char *)s);
		if (!n) {
			*s = '?';
			n = 1;
		}
		s += n;
	}
}

int bus_error_set(sd_bus_error *e, const struct vmc_error *err)
{
	char name[sizeof(BUS_ERROR_PREFIX) + 32];
	char text[sizeof(err->text) + sizeof(err->hint) + 16];

	snprintf(name, sizeof(name), BUS_ERROR_PREFIX "%s", vmc_code_name(err->code));
	snprintf(text, sizeof(text), "%s%s%s", err->text[0] ? err->text : vmc_code_name(err->code),
		 err->hint[0] ? "\nHint: " : "", err->hint);
	utf8_make_valid(text);
	sd_bus_error_free(e);
	return sd_bus_error_set(e, name, text);
}

int bus_error_reply(sd_bus_message *m, const struct vmc_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r;

	bus_error_set(&e, err);
	r = sd_bus_reply_method_error(m, &e);
	sd_bus_error_free(&e);
	return r;
}
