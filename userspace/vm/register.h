/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two ways to register have in common. */
#ifndef VMC_VM_REGISTER_H
#define VMC_VM_REGISTER_H

#include "vm_priv.h"

/* @vm, taken, into the inventory; tells. */
int register_commit(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* @vm, taken and off, is not registered any more; on success it is gone. Tells. */
int register_forget(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* From the bundle at @path (resolved). @keys: its keys, fetched already; NULL: fetch them. */
int register_from_bundle(struct vmm *m, const char *path, const struct key_set *keys, char id[VMC_UUID_STR],
			 struct vmc_error *err);
/*
 * Fetch the keys of @b into @s, which is empty, and load its volumes: what is in tokens is not authenticated, the
 * wrapped DEKs are.
 */
int register_try_keys(struct vmm *m, struct bundle *b, struct key_set *s, struct vmc_error *err);
/* @path is what a datastore has, and a VM is wanted. */
int register_refuse_datastore(const char *path, struct vmc_error *err);
/* From the volume at @path (resolved) and its neighbours. */
int register_from_headers(struct vmm *m, const char *path, char id[VMC_UUID_STR], struct vmc_error *err);

#endif
