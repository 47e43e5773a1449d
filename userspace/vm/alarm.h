/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Alarms that the states of a VM raise and clear. The public part is in manager.h. */
#ifndef VMC_VM_ALARM_H
#define VMC_VM_ALARM_H

#include "vm_priv.h"

/* Kinds of entity. */
#define ENTITY_VM	"vm"
#define ENTITY_STORE	"datastore"

static inline const char *alarm_entity(const struct vm *vm)
{
	return vm_is_store(vm) ? ENTITY_STORE : ENTITY_VM;
}

/* Make the alarms about the keys of @vm say what vm->row says. */
void alarm_follow_vm(struct vmm *m, const struct vm *vm);
/* @vm is going: none about it stays raised. */
void alarm_clear_vm(struct vmm *m, const struct vm *vm);
/* How many are raised: {VM id: n}; NULL without memory. */
json_t *alarm_counts(struct vmm *m);

#endif
