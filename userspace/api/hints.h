/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a client says of itself once, for all its calls: Manager.SetHints(). */
#ifndef VMC_API_HINTS_H
#define VMC_API_HINTS_H

#include <locale.h>
#include <systemd/sd-bus.h>

#include "../lib/error.h"

struct hints;

/* For the loop thread only. */
int hints_new(struct hints **h, sd_bus *bus, struct vmc_error *err);
void hints_free(struct hints *h);		/* NULL is fine */

/* The locale that the connection @sender asked for; 0: none, so English. */
locale_t hints_locale(const struct hints *h, const char *sender);

/* The method's handler; @userdata is a struct object. */
int hints_method(sd_bus_message *m, void *userdata, sd_bus_error *e);

/* How many connections are remembered; they are forgotten when they leave the bus. */
unsigned int hints_count(const struct hints *h);

#endif
