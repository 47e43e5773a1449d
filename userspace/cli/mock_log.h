/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the stand-ins were asked. */
#ifndef VMC_CLI_MOCK_LOG_H
#define VMC_CLI_MOCK_LOG_H

#include <stdio.h>
#include <systemd/sd-bus.h>

/* @m as a line "INTERFACE.MEMBER SIGNATURE ARGUMENTS", newlines in it as '~', open files as what is in them. */
void mock_log(FILE *f, sd_bus_message *m);

#endif
