/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whoever may power VMs on need not be one who may bring keys to this host.
 * Before a call that fetches what its VM lacks (method.fetches), a worker looks
 * whether that is anything. If not, the call goes on and is forbidden to fetch,
 * so that a key which leaves the cache meanwhile stays away. If so, polkit is
 * asked for org.vmcrypt1.register-vm too, and a refusal tells which keys it was.
 */
#ifndef VMC_API_GATE_H
#define VMC_API_GATE_H

#include "call.h"

#define GATE_ACTION "org.vmcrypt1.register-vm"

/* Loop thread, with the backend there; the call goes on by call_go(), or ends by call_refuse(). */
int gate_look(struct call *c, struct vmc_error *err);

/* What a VM, as vmm_show() has it, lacks, in words; NULL: nothing, or no memory. Caller frees. */
char *gate_lacks(const json_t *vm);

#endif
