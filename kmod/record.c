// SPDX-License-Identifier: GPL-2.0-only
/*
 * The records of a channel. A direction is a sequence of them:
 *
 *	u8 type			enum vmcrypt_record_type
 *	u8 reserved[3]		zero
 *	u32 epoch		network byte order
 *	u32 length		of the ciphertext without its tag
 *	u8 ciphertext[length]
 *	u8 tag[16]
 *
 * AES-256-GCM; associated data: the first 12 bytes. Nonce: the base of the
 * epoch, its last 8 bytes XOR the number of the record in network byte order.
 * The number is not sent: a record that is repeated, left out or moved is not
 * authentic.
 */

#include <linux/errno.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "compat.h"
#include "record.h"

#define AES_BLOCK	16

/* Blocks that one record takes: payload, and one each for GCM's own use. */
static u64 blocks_of(u32 len)
{
	return DIV_ROUND_UP(len, AES_BLOCK) + 2;
}

static bool length_valid(enum vmcrypt_record_type type, u32 len)
{
	switch (type) {
	case VMCRYPT_RECORD_DATA:
		return len && len <= VMCRYPT_RECORD_MAX;
	case VMCRYPT_RECORD_KEY_UPDATE:
		return !len;
	case VMCRYPT_RECORD_END:
		return len == 1;
	default:
		return false;
	}
}

/**
 * vmcrypt_record_put - write a header
 * @record: what it says
 * @header: receives it
 */
void vmcrypt_record_put(const struct vmcrypt_record *record,
			u8 header[VMCRYPT_RECORD_HEADER])
{
	memset(header, 0, VMCRYPT_RECORD_HEADER);
	header[0] = record->type;
	put_unaligned_be32(record->epoch, header + 4);
	put_unaligned_be32(record->len, header + 8);
}

/**
 * vmcrypt_record_get - read a header that came from outside
 * @header: the header, not authenticated yet
 * @record: receives what it says; untouched on error
 *
 * Return: 0, or -EPROTO when no sender writes such a one: another type,
 * reserved bytes that are not zero, or a length that the type does not have.
 */
int vmcrypt_record_get(const u8 header[VMCRYPT_RECORD_HEADER],
		       struct vmcrypt_record *record)
{
	u32 len = get_unaligned_be32(header + 8);

	if (header[1] || header[2] || header[3] ||
	    !length_valid(header[0], len))
		return -EPROTO;
	record->type = header[0];
	record->epoch = get_unaligned_be32(header + 4);
	record->len = len;
	return 0;
}

/**
 * vmcrypt_record_nonce - the nonce of a record
 * @base: nonce base of its epoch
 * @seq: its number
 * @nonce: receives the nonce
 */
void vmcrypt_record_nonce(const u8 base[VMCRYPT_GCM_NONCE_LEN], u64 seq,
			  u8 nonce[VMCRYPT_GCM_NONCE_LEN])
{
	memcpy(nonce, base, VMCRYPT_GCM_NONCE_LEN);
	put_unaligned_be64(get_unaligned_be64(base + 4) ^ seq, nonce + 4);
}

/**
 * vmcrypt_record_update_due - is it time for a new key?
 * @state: where the direction is
 * @len: length of the record that comes next
 * @limit: bytes that an epoch may seal, 0 for the most
 *
 * Return: true when the sender must send a key update before that record.
 */
bool vmcrypt_record_update_due(const struct vmcrypt_record_state *state,
			       u32 len, u64 limit)
{
	u64 blocks = VMCRYPT_EPOCH_BLOCKS / 2;

	if (limit)
		blocks = min_t(u64, blocks, limit / AES_BLOCK);
	/* One record at least, whatever the limit. */
	return (state->records &&
		state->blocks + blocks_of(len) > blocks) ||
	       state->records >= VMCRYPT_EPOCH_RECORDS / 2;
}

/**
 * vmcrypt_record_next - go on by one record, sent or received
 * @state: where the direction is; untouched on error
 * @record: the record
 *
 * Return: 0, -EPROTO when the record has no place here: another epoch, or
 * after the end; or -EKEYEXPIRED when the key has done enough.
 */
int vmcrypt_record_next(struct vmcrypt_record_state *state,
			const struct vmcrypt_record *record)
{
	u64 blocks = state->blocks + blocks_of(record->len);

	if (state->ended || record->epoch != state->epoch)
		return -EPROTO;
	/* Neither number can start anew: a nonce would be used twice. */
	if (blocks > VMCRYPT_EPOCH_BLOCKS ||
	    state->records >= VMCRYPT_EPOCH_RECORDS ||
	    state->seq == U64_MAX)
		return -EKEYEXPIRED;
	if (record->type == VMCRYPT_RECORD_KEY_UPDATE) {
		if (state->epoch == U32_MAX)
			return -EKEYEXPIRED;
		state->epoch++;
		state->blocks = 0;
		state->records = 0;
	} else {
		state->blocks = blocks;
		state->records++;
	}
	state->ended = record->type == VMCRYPT_RECORD_END;
	state->seq++;
	return 0;
}
