/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vmcryptd does by itself once the host has started, as soon as the module is there: the keys that the TPM gave back
 * are in the kernel by then (backend_open() sees to that before anything asks a provider); VMs with autostart are powered
 * on, and their units started. Each once in a start of the host. One that fails does not stop the others; those whose
 * keys come later are started then. It has a thread of its own, and holds up no call. All functions: loop thread.
 */
#ifndef VMC_DAEMON_BOOT_H
#define VMC_DAEMON_BOOT_H

#include "../api/api.h"

struct boot;

int boot_new(struct boot **b, struct api *a, struct vmc_error *err);
/* The backend is open anew. */
void boot_begin(struct boot *b);
/* Keys may be there that were not: once more for the VMs that wait, but no provider is asked. */
void boot_again(struct boot *b);
/* End what runs; api.ended is called when that is done. */
void boot_stop(struct boot *b);
bool boot_idle(const struct boot *b);
void boot_free(struct boot *b);		/* an idle one; NULL is fine */

#endif
