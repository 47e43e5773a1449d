/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joins two sockets in user space, for migrations that are not encrypted; what is encrypted, the kernel joins. */
#ifndef VMC_MIGRATE_RELAY_H
#define VMC_MIGRATE_RELAY_H

#include <stdint.h>

#include "../lib/error.h"

struct relay;

/* Takes both descriptors over, also when it fails. Each direction ends when its source does; both, when one breaks. */
int relay_start(int a, int b, struct relay **r, struct vmc_error *err);
uint64_t relay_bytes(const struct relay *r);	/* in both directions */
/* Cuts what is still there, and waits. NULL is fine. */
void relay_stop(struct relay *r);

#endif
