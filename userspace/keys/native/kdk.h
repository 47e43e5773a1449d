/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key derivation key of a native provider, and what is derived from it by
 * HKDF-SHA-256: the salt is a constant and the id of the KDK, the info a label
 * and what it is for. Key ids carry a tag, so that one KDK knows its own ids.
 */
#ifndef VMC_NATIVE_KDK_H
#define VMC_NATIVE_KDK_H

#include <stdint.h>

#include "../../lib/error.h"
#include "../../lib/util.h"

#define KDK_LEN		32
#define KDK_CHECK_LEN	16
#define NATIVE_ID_LEN	49	/* 32 hexadecimal digits at random, a dash, 16 of the tag */

struct kdk {
	vmc_uuid id;		/* the provider's key id: public, the same on every host */
	uint8_t *key;		/* secure heap, KDK_LEN bytes; NULL: none */
};

/* A new one at random. VMC_ENOMEM: the secure heap is full. */
int kdk_new(struct kdk *k, struct vmc_error *err);
/* One of given bytes, which are copied to the secure heap. */
int kdk_set(struct kdk *k, const vmc_uuid *id, const uint8_t key[KDK_LEN], struct vmc_error *err);
void kdk_clear(struct kdk *k);		/* wipes */

/* Tells one KDK (and id) from another, and nothing more about it. */
int kdk_check(const struct kdk *k, uint8_t check[KDK_CHECK_LEN], struct vmc_error *err);
/* A key id that was not there before. */
int kdk_new_id(const struct kdk *k, char id[NATIVE_ID_LEN + 1], struct vmc_error *err);
/* 0, or VMC_ENOKEY when @id is not one that this KDK gave out. */
int kdk_own_id(const struct kdk *k, const char *id, struct vmc_error *err);
/* The KEK of that id, in memory of the caller's, which is to be in the secure heap. */
int kdk_derive(const struct kdk *k, const char *id, uint8_t kek[32], struct vmc_error *err);

#endif
