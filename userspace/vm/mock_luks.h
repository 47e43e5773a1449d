/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMC_VM_MOCK_LUKS_H
#define VMC_VM_MOCK_LUKS_H

#include <stdbool.h>
#include <stdint.h>

/* Does the header's digest say that this is the volume key? */
bool mock_luks_is_key(const char *path, const uint8_t *dek);

#endif
