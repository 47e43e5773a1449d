/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt, if there is one, knows of a VM that is not registered. */
#ifndef VMC_API_GUEST_H
#define VMC_API_GUEST_H

#include "../vm/manager.h"

int guest_look(const char *vm, struct vmm_guest *g, struct vmc_error *err);	/* a vmm_guest_fn */

#endif
