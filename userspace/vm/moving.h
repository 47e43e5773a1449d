/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An encrypted VM that goes to another host while it is on, seen from either end: what it is made of, its keys,
 * its volumes. Its memory is somebody else's. Where a VM leaves from it has its volumes open until vmm_leave_end(); where
 * it goes to its disks are opened in vmm_come_begin(), and its home volume, which only one host may have mounted, by
 * vmm_come_home() when the other has let it go.
 *
 * What it is made of goes from host to host as JSON: {id, name, bundle: path, text: the bundle, volumes: [{name, path
 * (absolute), luks_uuid, key}]}.
 */
#ifndef VMC_VM_MOVING_H
#define VMC_VM_MOVING_H

#include "manager.h"

/* ---- where it leaves from --------------------------------------------------- */

struct vm_leaving;
/* Keep everybody else off it. VMC_ENOENT: it is not registered here. VMC_ESTATE: not on, or locked. @what: see above. */
int vmm_leave_begin(struct vmm *m, const char *vm, struct vm_leaving **l, json_t **what, struct vmc_error *err);
/* The keys of @volumes (array of names), sealed for the kernel at the other end of @migration: [{volume, key, sealed (base64)}] */
int vmm_leave_keys(struct vm_leaving *l, uint32_t migration, const json_t *volumes, json_t **keys,
		   struct vmc_error *err);
/*
 * @moved: close its volumes, take its keys from the kernel and forget it; its files stay. It is let go of in any case,
 * and when this fails it stays registered here.
 */
int vmm_leave_end(struct vm_leaving *l, bool moved, struct vmc_error *err);

/* ---- where it goes to ------------------------------------------------------- */

/*
 * Would it open here? Each volume must be at its path with its LUKS UUID; *@keys: [{volume, from: "provider"|"sealed",
 * why?}] tells for each whether a provider of this host has its key, or why not. VMC_ESTATE: it is on here.
 */
int vmm_come_check(struct vmm *m, const json_t *what, json_t **keys, struct vmc_error *err);

struct vm_coming;
/*
 * Its bundle to its place, if there is none, and the VM registered; its disks opened, with the keys of @sealed (of
 * vmm_leave_keys()) by @migration, and all others by their providers. When it fails all is as before.
 */
int vmm_come_begin(struct vmm *m, const json_t *what, const json_t *sealed, uint32_t migration, struct vm_coming **c,
		   struct vmc_error *err);
/* It runs here: from now on it is on, and vmm_come_cancel() must not be called. */
int vmm_come_running(struct vm_coming *c, struct vmc_error *err);
/* The other host has closed it: open its home volume, too. Lets go of it; @c is gone. */
int vmm_come_home(struct vm_coming *c, struct vmc_error *err);
/* As vmm_come_home() when it cannot be known whether the other host has closed it: its home volume stays closed. */
void vmm_come_away(struct vm_coming *c);
/* It did not come: close it, and forget it if it was not registered before. @c is gone. */
void vmm_come_cancel(struct vm_coming *c);

#endif
