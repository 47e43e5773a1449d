/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image to be read once from end to end: raw by pread, anything else by qemu-nbd and libnbd. */
#ifndef VMC_VM_SOURCE_H
#define VMC_VM_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

#define SOURCE_FORMAT_MAX	32
#define SOURCE_ID_MAX		128

struct source;

/*
 * The format by the image's magic: "qcow2", else "raw"; refuses what looks like
 * another format, which must be named. A qcow2 with a backing file, a data file
 * of its own, internal snapshots or encryption is refused.
 */
int source_probe(const char *path, char format[SOURCE_FORMAT_MAX], struct vmc_error *err);
/* Text that changes when the image is another or was written to: device, inode, size, time. VMC_EBUSY: QEMU has it. */
int source_identify(const char *path, char id[SOURCE_ID_MAX], struct vmc_error *err);
int source_open(struct source **s, const char *path, const char *format, struct vmc_error *err);
uint64_t source_size(const struct source *s);	/* bytes that a guest sees */
int source_read(struct source *s, void *buf, size_t n, uint64_t at, struct vmc_error *err);
void source_close(struct source *s);

#endif
