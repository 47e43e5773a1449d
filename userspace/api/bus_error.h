/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our errors on the bus: org.vmcrypt1.Error.NAME, the text, and after it a line "Hint: ...". */
#ifndef VMC_API_BUS_ERROR_H
#define VMC_API_BUS_ERROR_H

#include <systemd/sd-bus.h>

#include "../lib/error.h"
#include "../lib/util.h"

#define BUS_ERROR_PREFIX "org.vmcrypt1.Error."

/* Fills in @e from @err and returns a negative errno, as an sd-bus handler is to return. */
int bus_error_set(sd_bus_error *e, const struct vmc_error *err);

/* Sends it as the answer to @m. A negative errno when even that cannot be sent. */
int bus_error_reply(sd_bus_message *m, const struct vmc_error *err);

#endif
