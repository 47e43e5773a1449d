/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Datastores as the files of the manager see them: which VM lies on which, and where one is mounted. */
#ifndef VMC_VM_STORE_H
#define VMC_VM_STORE_H

#include "vm_priv.h"

/* RUNTIME_DIR/datastores/NAME */
void store_default_mount(const struct vmm *m, const char *name, char out[PATH_MAX]);

/* Of its mapping. */
void store_device(const struct vm *store, char out[PATH_MAX]);

/* Mount what is at @device at the place of @store, and remember what file system it is. */
int store_mount_it(struct vmm *m, struct vm *store, const char *device, struct vmc_error *err);
int store_unmount_it(struct vmm *m, const struct vm *store, struct vmc_error *err);

/* @vm, which may be a datastore itself, lies on one that is closed. */
bool store_closed_below(struct vmm *m, const struct vm *vm);
/* Open those that @vm, which is taken, lies on and that are closed. */
int store_open_below(struct vmm *m, const struct vm *vm, struct vmc_error *err);
/* @r, "not found", is that of a file of @vm: perhaps its datastore is closed, then that is said instead. */
int store_explain(struct vmm *m, const struct vm *vm, int r, struct vmc_error *err);

/* Nobody who lies on @store is on, or busy; with @any, nobody lies on it at all. VMC_EBUSY names who. */
int store_must_be_free(struct vmm *m, const struct vm *store, bool any, struct vmc_error *err);
/* [{id, name, power}] of the VMs that lie on it. With the manager's lock not held. */
json_t *store_vms(struct vmm *m, const struct vm *store);

/* Open @store, which is taken; VMs that lie on it are read anew, and it is told. */
int store_open_it(struct vmm *m, struct vm *store, struct progress *p, struct vmc_error *err);
/* Of those that were just unlocked ([{id, name}]), open the datastores that have autoopen. */
void store_open_unlocked(struct vmm *m, const json_t *unlocked);

#endif
