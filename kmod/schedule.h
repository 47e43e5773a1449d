/* SPDX-License-Identifier: GPL-2.0-only */
/* The key schedule of a migration: pure functions. */
#ifndef _VMCRYPT_SCHEDULE_H
#define _VMCRYPT_SCHEDULE_H

#include <linux/types.h>
#include <uapi/linux/vmcrypt.h>

#define VMCRYPT_SECRET_LEN	32
#define VMCRYPT_GCM_KEY_LEN	32
#define VMCRYPT_GCM_NONCE_LEN	12

/**
 * enum vmcrypt_way - direction of what is encrypted
 * @VMCRYPT_WAY_THERE: from the source to the destination
 * @VMCRYPT_WAY_BACK: from the destination to the source
 */
enum vmcrypt_way {
	VMCRYPT_WAY_THERE,
	VMCRYPT_WAY_BACK,
};

/**
 * struct vmcrypt_transcript - what both ends must be of one mind about
 * @vm_id: id of the VM
 * @policy: its migration policy
 * @source: public key of the source
 * @destination: public key of the destination
 * @binding: channel binding
 * @binding_len: its length, VMCRYPT_BINDING_MIN to VMCRYPT_BINDING_MAX bytes
 */
struct vmcrypt_transcript {
	const u8 *vm_id;
	enum vmcrypt_policy policy;
	const u8 *source;
	const u8 *destination;
	const u8 *binding;
	size_t binding_len;
};

int vmcrypt_schedule_master(const u8 shared[VMCRYPT_SECRET_LEN],
			    const struct vmcrypt_transcript *transcript,
			    u8 master[VMCRYPT_SECRET_LEN]);
int vmcrypt_schedule_dek(const u8 master[VMCRYPT_SECRET_LEN],
			 u8 key[VMCRYPT_GCM_KEY_LEN]);
int vmcrypt_schedule_channel(const u8 master[VMCRYPT_SECRET_LEN], u32 channel,
			     enum vmcrypt_way way,
			     u8 secret[VMCRYPT_SECRET_LEN]);
int vmcrypt_schedule_epoch(const u8 secret[VMCRYPT_SECRET_LEN], u32 epoch,
			   u8 key[VMCRYPT_GCM_KEY_LEN],
			   u8 nonce[VMCRYPT_GCM_NONCE_LEN]);
int vmcrypt_schedule_next(u8 secret[VMCRYPT_SECRET_LEN], u32 epoch);

#endif /* _VMCRYPT_SCHEDULE_H */
