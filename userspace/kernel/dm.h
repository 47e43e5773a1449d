/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dm-crypt mappings by libdevmapper, with the key from the VM's keyring; loop devices for files. */
#ifndef VMC_KERNEL_DM_H
#define VMC_KERNEL_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

/* dm-crypt's optional performance arguments and discard, one bit each */
#define DM_NO_READ_WORKQUEUE	0x01u
#define DM_NO_WRITE_WORKQUEUE	0x02u
#define DM_SAME_CPU_CRYPT	0x04u
#define DM_SUBMIT_FROM_CRYPT	0x08u
#define DM_ALLOW_DISCARDS	0x10u
#define DM_HIGH_PRIORITY	0x20u	/* kernels that offer it; VMC_ENOTSUP with the kernel named otherwise */

int dm_flags_parse(const char *csv, uint32_t *flags, struct vmc_error *err);
void dm_flags_format(uint32_t flags, char *out, size_t n);

struct dm_crypt {
	const char *name;		/* mapping, /dev/mapper/NAME */
	const char *luks_uuid;		/* for the dm UUID CRYPT-LUKS2-<uuid without dashes>-NAME */
	const char *path;		/* image file or block device */
	const char *key_desc;		/* "vmcrypt:UUID:VOLUME" */
	int32_t keyring;		/* serial, linked into the thread keyring only for the table load */
	uint64_t offset_sectors;	/* of the data on the device */
	uint64_t size_sectors;		/* 0: to the end */
	uint32_t flags;
	bool readonly;
	bool shared;			/* the file may be locked by another host, which will let go of it */
};
/*
 * Attaches a loop device (direct I/O, autoclear) when path is a file, and locks
 * the file for as long as it is attached (shared: if it can). On failure nothing is left.
 * VMC_EEXIST the name is taken, VMC_EBUSY path is in use, VMC_ENOKEY the DEK is
 * not in the keyring. The calling thread's keyring is used: no other thread can
 * find the DEK through this call.
 */
int dm_crypt_open(const struct dm_crypt *c, struct vmc_error *err);
/* VMC_EBUSY names who holds it open where /sys or /proc tells. Not there: fine. */
int dm_crypt_close(const char *name, struct vmc_error *err);
bool dm_exists(const char *name);
/* Lock now: suspend, then have dm-crypt wipe its key. I/O waits until dm_set_resume(). Done already: fine. */
int dm_suspend_wipe(const char *name, struct vmc_error *err);
/* Give a suspended mapping its key again and resume it. Not suspended: fine, nothing is done. */
int dm_set_resume(const char *name, const char *key_desc, int32_t keyring, struct vmc_error *err);
/* Path of the device or file below the mapping (loop resolved); for checks. */
int dm_backing(const char *name, char *out, size_t n, struct vmc_error *err);
/* Names that start with @prefix; free each, then *@names. */
int dm_list(const char *prefix, char ***names, size_t *n, struct vmc_error *err);

#endif
