/* SPDX-License-Identifier: GPL-2.0-only */
/* The records of a channel: pure functions, no I/O. */
#ifndef _VMCRYPT_RECORD_H
#define _VMCRYPT_RECORD_H

#include <linux/bits.h>
#include <linux/types.h>

#include "schedule.h"

#define VMCRYPT_RECORD_HEADER	12
#define VMCRYPT_RECORD_TAG	16
#define VMCRYPT_RECORD_MAX	(1024 * 1024)

/*
 * An epoch ends long before AES-GCM wears out: 2^31 blocks (32 GiB) leave an
 * attacker less than 2^-66 to tell the cipher from a random permutation, and
 * 2^24 records of up to 2^16 blocks less than 2^-88 to forge one. The sender
 * updates the key at half of each; the receiver ends a channel that goes on.
 */
#define VMCRYPT_EPOCH_BLOCKS	BIT_ULL(31)
#define VMCRYPT_EPOCH_RECORDS	BIT_ULL(24)

/**
 * enum vmcrypt_record_type - what a record is
 * @VMCRYPT_RECORD_DATA: bytes of the stream, 1 to VMCRYPT_RECORD_MAX
 * @VMCRYPT_RECORD_KEY_UPDATE: the last record of its epoch; empty
 * @VMCRYPT_RECORD_END: the last record; one byte, enum vmcrypt_record_end
 *
 * Part of the format.
 */
enum vmcrypt_record_type {
	VMCRYPT_RECORD_DATA = 1,
	VMCRYPT_RECORD_KEY_UPDATE = 2,
	VMCRYPT_RECORD_END = 3,
};

/**
 * enum vmcrypt_record_end - how a direction ends
 * @VMCRYPT_RECORD_END_WHOLE: all that there was has been sent
 * @VMCRYPT_RECORD_END_ABORT: the sender gave up; part of it is missing
 *
 * Part of the format.
 */
enum vmcrypt_record_end {
	VMCRYPT_RECORD_END_WHOLE = 0,
	VMCRYPT_RECORD_END_ABORT = 1,
};

/**
 * struct vmcrypt_record - what a header says
 * @type: type
 * @epoch: number of the key that seals it, from 0
 * @len: length of the payload in bytes, without the tag
 */
struct vmcrypt_record {
	enum vmcrypt_record_type type;
	u32 epoch;
	u32 len;
};

/**
 * struct vmcrypt_record_state - where a direction is
 * @seq: number of the next record, from 0; never starts anew
 * @epoch: number of the key that seals it
 * @blocks: blocks of AES that this epoch has used
 * @records: records that this epoch has had
 * @ended: its end came
 *
 * Zero at the start.
 */
struct vmcrypt_record_state {
	u64 seq;
	u32 epoch;
	u64 blocks;
	u64 records;
	bool ended;
};

void vmcrypt_record_put(const struct vmcrypt_record *record,
			u8 header[VMCRYPT_RECORD_HEADER]);
int vmcrypt_record_get(const u8 header[VMCRYPT_RECORD_HEADER],
		       struct vmcrypt_record *record);
void vmcrypt_record_nonce(const u8 base[VMCRYPT_GCM_NONCE_LEN], u64 seq,
			  u8 nonce[VMCRYPT_GCM_NONCE_LEN]);
bool vmcrypt_record_update_due(const struct vmcrypt_record_state *state,
			       u32 len, u64 limit);
int vmcrypt_record_next(struct vmcrypt_record_state *state,
			const struct vmcrypt_record *record);

#endif /* _VMCRYPT_RECORD_H */
