// SPDX-License-Identifier: GPL-2.0-or-later
/* Our errors on the bus. */
#include "bus_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
