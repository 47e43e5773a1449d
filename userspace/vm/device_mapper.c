// SPDX-License-Identifier: GPL-2.0-or-later
/* Its own file, so that a test that has no device-mapper can put another in its place. */
#include <stdio.h>

#include "device.h"

void device_of_mapping(const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "/dev/mapper/%s", name);
}
