/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What making a VM and making a datastore have in common: a volume with a key of its own and a file system, a bundle. */
#ifndef VMC_VM_CREATE_H
#define VMC_VM_CREATE_H

#include "vm_priv.h"

struct creation {
	const char *volume;		/* VOLUME_HOME or VOLUME_DATASTORE */
	const char *path;		/* of a new file, or an empty block device */
	const char *provider, *dm_flags;	/* NULL: the default */
	uint64_t size;			/* 0 on a block device: all of it */
	/* Make the file system. */
	int (*fill)(const struct creation *c, const char *device, struct vmc_error *err);
	const void *data;
};

/* @vm, whose row is filled in, is taken and not in the inventory yet. On failure nothing is left but @vm. */
int create_run(struct vmm *m, struct vm *vm, const struct creation *c, struct progress *p, struct vmc_error *err);

#endif
