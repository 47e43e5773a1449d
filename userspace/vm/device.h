/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices and files that hold volumes: names, sizes, emptiness. */
#ifndef VMC_VM_DEVICE_H
#define VMC_VM_DEVICE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

/* Where the mapping @name is seen: /dev/mapper/NAME. */
void device_of_mapping(const char *name, char out[PATH_MAX]);

/* Is it a block device (else it must be a regular file)? And its size in bytes. */
int device_inspect(const char *path, bool *block, uint64_t *size, struct vmc_error *err);
/*
 * What is on the block device or file, in words ("an ext4 file system 'data'"), or "" when nothing is that libblkid
 * knows. VMC_EBUSY: it is in use, as a mounted file system or by another mapping.
 */
int device_holds(const char *path, char *out, size_t n, struct vmc_error *err);
/* No signature that libblkid knows is seen any more. Durable. */
int device_wipe_signatures(const char *path, struct vmc_error *err);
/* VMC_EEXIST when there is anything but zeros in the first MiB of the block device. */
int device_must_be_empty(const char *path, struct vmc_error *err);
/* Zero the first MiB, so that no header is seen any more. Durable. */
int device_wipe_header(const char *path, struct vmc_error *err);
/* A new file of @size bytes, mode 0600, durable; @reserve: with its blocks, so that no write meets a full disk. */
int device_make_file(const char *path, uint64_t size, bool reserve, struct vmc_error *err);

#endif
