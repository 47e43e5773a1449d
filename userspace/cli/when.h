/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Points in time as an operator types them. */
#ifndef VMC_CLI_WHEN_H
#define VMC_CLI_WHEN_H

#include <stdint.h>

#include "../lib/error.h"

/*
 * "2026-01-31", "2026-01-31T12:00:00Z" (or with a blank, without the Z: UTC), or how long ago: "90s", "15m", "2h", "3d".
 * @now: seconds since 1970. VMC_EINVAL otherwise.
 */
int when_parse(const char *text, int64_t now, int64_t *when, struct vmc_error *err);

#endif
