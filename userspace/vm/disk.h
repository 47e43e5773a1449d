/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What making a disk and encrypting one have in common. @vm is taken. */
#ifndef VMC_VM_DISK_H
#define VMC_VM_DISK_H

#include "vm_priv.h"

/* A disk (not home) of the VM. VMC_ENOENT. */
int disk_find(const struct vm *vm, const char *disk, struct bundle_volume **v, struct vmc_error *err);
/* Name that a new disk may have. */
int disk_check_new(const struct vm *vm, const char *name, struct vmc_error *err);
/* Where the new disk goes: d->path, or DIR/VM-DISK.img; absolute, the folder resolved. */
int disk_place(const struct vm *vm, const struct vmm_disk *d, char out[PATH_MAX], struct vmc_error *err);
/* The KEK of home, or with @provider a new one of that provider. */
int disk_kek(struct vmm *m, struct vm *vm, struct inv_job *job, const char *provider,
	     char kek[VMK_KEK_ID_MAX + 1], struct vmc_error *err);
/* Into the bundle. */
int disk_commit(struct vmm *m, struct vm *vm, const struct bundle_volume *v, struct vmc_error *err);
/* The event. @how: "created", "attached" ... */
void disk_tell(struct vmm *m, struct vm *vm, const struct bundle_volume *v, const char *how);

#endif
