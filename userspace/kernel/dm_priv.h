/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside kernel/: libdevmapper's lock and errors, tables, loop devices, who holds a device. */
#ifndef VMC_KERNEL_DM_PRIV_H
#define VMC_KERNEL_DM_PRIV_H

#include <libdevmapper.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dm.h"

#define DM_SECTOR		512
#define DM_CRYPT_SECTOR		4096
#define DM_TABLE_MAX		512
#define DM_UUID_MAX		129	/* the kernel's, with the closing NUL */

/*
 * libdevmapper and libcryptsetup, which uses it, keep process-wide state: one
 * at a time. Unlocking also releases libdevmapper's.
 */
void dm_lock(void);
void dm_unlock(void);

/* Run @t, destroy it. VMC_EBUSY, VMC_ENOENT ... with the library's words; @doing is "open mapping". */
int dm_run(struct dm_task *t, const char *doing, const char *name, struct vmc_error *err);
/* The same with a udev cookie, for what makes, changes or removes a node; waits for udev. Lock not held. */
int dm_run_udev(struct dm_task *t, const char *doing, const char *name, struct vmc_error *err);
/* A task for mapping @name, or NULL and @err. */
struct dm_task *dm_task_for(int type, const char *name, struct vmc_error *err);
/* The same of a task that is no more than its type. */
int dm_run_type(int type, const char *doing, const char *name, struct vmc_error *err);
/* *@info of @name; info->exists tells whether it is there. Lock not held. */
int dm_info_of(const char *name, struct dm_info *info, struct vmc_error *err);

/* The one device below a mapping; VMC_ENOTSUP when it is not one. */
int dm_device_below(const char *name, dev_t *dev, struct vmc_error *err);

int dm_check_name(const char *name, struct vmc_error *err);

/*
 * dm-crypt looks for its key in the keyrings of the thread that loads the table
 * or sends the message, so the VM's keyring is linked there for just as long.
 */
int dm_keyring_link(int32_t keyring, const char *name, struct vmc_error *err);
void dm_keyring_unlink(int32_t keyring);
/* The error of a key that is not in it. */
int dm_no_dek(const char *name, const char *key_desc, struct vmc_error *err);

/* Parameters of the crypt target. Pure. */
int dm_crypt_params(const struct dm_crypt *c, dev_t dev, char out[DM_TABLE_MAX],
		    struct vmc_error *err);
/* Sectors of data in a device of @device_sectors, whole encryption sectors. Pure. */
int dm_crypt_size(const struct dm_crypt *c, uint64_t device_sectors, uint64_t *sectors,
		  struct vmc_error *err);
/* As cryptsetup makes it: CRYPT-LUKS2-<uuid without dashes>-NAME, cut at the kernel's limit. Pure. */
int dm_crypt_uuid(const char *luks_uuid, const char *name, char out[DM_UUID_MAX],
		  struct vmc_error *err);

/*
 * The block device of @path: itself, or a new loop device that goes away with
 * its last user. *@fd keeps it until the mapping does. VMC_EBUSY when the file
 * is mapped already.
 */
int loop_or_device(const struct dm_crypt *c, int *fd, struct vmc_error *err);

/*
 * After its last user a loop device that we made goes away, but not before
 * udev, too, has closed it; until then the file counts as used. Wait for that,
 * some seconds at most. Any other device: returns at once.
 */
void loop_wait_gone(dev_t dev);

/* "process 12 (qemu-system-x86), mounted at /mnt", or empty. */
void dm_holders(dev_t dev, char *out, size_t n);

#endif
