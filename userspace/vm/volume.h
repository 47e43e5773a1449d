/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One volume: made (DEK in the secure heap, wrapped by the kernel, LUKS2 header
 * with token, wiped), checked against its bundle, opened with the key in the
 * VM's keyring, closed.
 */
#ifndef VMC_VM_VOLUME_H
#define VMC_VM_VOLUME_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../kernel/luks.h"
#include "bundle.h"

#define VOLUME_HEADER_BYTES	(16ull * 1024 * 1024)	/* what LUKS2 puts before the data */
#define VOLUME_MAPPING_MAX	128
#define VOLUME_SIZE_MIN		4096ull
#define VOLUME_SIZE_MAX		(1ull << 56)

#define VOLUME_MAPPING_PREFIX "vmcrypt-"
/* vmcrypt-UUID-VOLUME; the container that a deep recrypt fills has "@new" behind it. */
void volume_mapping(const vmc_uuid *vm, const char *volume, bool fresh, char out[VOLUME_MAPPING_MAX]);

struct volume_make {
	const vmc_uuid *vm;
	const char *name, *kek_id;
	const char *path;		/* a new file, or an empty block device */
	bool block;
	uint64_t size;			/* bytes of data, rounded up to the sector size; 0 on a device: all */
	bool reserve;			/* give a file all its blocks now */
	uint64_t generation;
};
/*
 * Needs the KEK in the cache. Fills in @v but for path and flags. On failure
 * nothing is left of a file, and no header on a device.
 */
int volume_make(struct vmk *k, const struct volume_make *m, struct bundle_volume *v, struct vmc_error *err);

/*
 * The header at @path, checked: it has our token, and token, LUKS UUID and
 * bundle agree on what volume of which VM this is. Another generation in the
 * token than in the bundle is what a recrypt that was cut short leaves: both
 * are good, the bundle counts. VMC_EAUTH names what disagrees.
 */
int volume_check(const struct bundle *b, const struct bundle_volume *v, const char *path,
		 struct luks_header *h, struct vmc_error *err);

/* Say which of two it is when the recorded KEK cannot be what wrapped the DEK: the kcv that the cache found differs. */
int volume_check_kcv(const struct bundle_volume *v, const uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);

/* The DEK to the kernel, anew: what was loaded under the name before goes first. */
int volume_load(struct vmk *k, const vmc_uuid *vm, const struct bundle_volume *v, struct vmk_load *l,
		struct vmc_error *err);
/* Better words for a code of vmk_dek_load*(). */
int volume_load_error(const struct bundle_volume *v, const struct vmk_load *l, struct vmc_error *err);

#define VOLUME_FRESH	1u	/* under its other name, see volume_mapping() */
#define VOLUME_READONLY	2u
#define VOLUME_LOADED	4u	/* with the DEK that is in the keyring already; its KEK need not be there */
#define VOLUME_SHARED	8u	/* another host has it open, too, and will let go of it */
/* Check, load, map; @flags: VOLUME_*. There already: fine, when it is the same file. */
int volume_open(struct vmk *k, const struct bundle *b, const struct bundle_volume *v, const char *path,
		unsigned int flags, struct vmc_error *err);
/* Unmap. The DEK in the keyring goes with @unload. Not open: fine. */
int volume_close(struct vmk *k, const vmc_uuid *vm, const char *volume, bool fresh, bool unload,
		 struct vmc_error *err);
bool volume_is_open(const vmc_uuid *vm, const char *volume);

/* What the token of @v is to say. */
void volume_token(const vmc_uuid *vm, const struct bundle_volume *v, struct luks_token *t);
/* The other way: keys (first and second) and generation of @t become those of @v. */
void volume_keys_of_token(const struct luks_token *t, struct bundle_volume *v);
bool volume_same_keys(const struct luks_token *a, const struct luks_token *b);

#endif
