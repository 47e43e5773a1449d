/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the manager need of the host they run on. Over a mock host
 * it is in mock_dm.c; in a lab, over the real kernel, in selftests/vm.
 */
#ifndef VMC_VM_MOCK_PLATFORM_H
#define VMC_VM_MOCK_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#include "../kernel/client.h"

bool platform_is_real(void);
struct vmk *platform_kernel(void);
/* The host went down and came up again: keys, mappings and mounts are gone, files are not. */
void platform_reboot(void);
/* Somebody has the mapping open, or no longer. */
void platform_hold(const char *mapping, bool hold);
size_t platform_mappings(void);		/* how many of ours there are */

#endif
