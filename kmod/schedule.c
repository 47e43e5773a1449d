// SPDX-License-Identifier: GPL-2.0-only
/*
 * The key schedule of a migration. All of it is HKDF-SHA-256 (RFC 5869); an
 * info is a label without its NUL, then numbers in network byte order:
 *
 *	master = HKDF(ECDH, salt = transcript, "vmcrypt migration 1")
 *	transcript = VM id (16) | policy (1) | public key of the source (64) |
 *		public key of the destination (64) | length of the binding (2) |
 *		binding
 *	key for DEKs = HKDF(master, "vmcrypt dek key 1")
 *	secret of epoch 0 = HKDF(master, "vmcrypt channel 1" | channel (4) |
 *		way (1))
 *	key of an epoch = HKDF(its secret, "vmcrypt key 1" | epoch (4))
 *	nonce base of an epoch = HKDF(its secret, "vmcrypt nonce 1" | epoch (4))
 *	secret of the next epoch = HKDF(its secret, "vmcrypt next 1" | epoch (4))
 *
 * A channel keeps the secret of the epoch it is in, and no older one: what was
 * sent before a key update does not open with what it has after it.
 */

#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "kdf.h"
#include "schedule.h"

#define TRANSCRIPT_MAX (VMCRYPT_VM_ID_LEN + 1 + 2 * VMCRYPT_PUBLIC_LEN + 2 + \
			VMCRYPT_BINDING_MAX)
#define INFO_MAX	32

static const char master_label[] = "vmcrypt migration 1";
static const char dek_label[] = "vmcrypt dek key 1";
static const char channel_label[] = "vmcrypt channel 1";
static const char key_label[] = "vmcrypt key 1";
static const char nonce_label[] = "vmcrypt nonce 1";
static const char next_label[] = "vmcrypt next 1";

static u8 *put(u8 *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static int expand(const u8 *secret, const u8 *info, size_t info_len,
		  u8 *out, size_t out_len)
{
	return vmcrypt_hkdf(secret, VMCRYPT_SECRET_LEN, NULL, 0,
			    info, info_len, out, out_len);
}

static int expand_epoch(const u8 *secret, const char *label, u32 epoch,
			u8 *out, size_t out_len)
{
	u8 info[INFO_MAX], *to;

	to = put(info, label, strlen(label));
	put_unaligned_be32(epoch, to);
	return expand(secret, info, to + sizeof(epoch) - info, out, out_len);
}

/**
 * vmcrypt_schedule_master - the secret that all keys of a migration come from
 * @shared: what the ECDH gave
 * @transcript: what both ends must be of one mind about
 * @master: receives the secret
 *
 * Return: 0, -EINVAL for a binding of a wrong length, -ENOMEM, or a negative
 * errno of the crypto API.
 */
int vmcrypt_schedule_master(const u8 shared[VMCRYPT_SECRET_LEN],
			    const struct vmcrypt_transcript *transcript,
			    u8 master[VMCRYPT_SECRET_LEN])
{
	u8 *salt, *to;
	int ret;

	if (transcript->binding_len < VMCRYPT_BINDING_MIN ||
	    transcript->binding_len > VMCRYPT_BINDING_MAX)
		return -EINVAL;
	salt = kmalloc(TRANSCRIPT_MAX, GFP_KERNEL);
	if (!salt)
		return -ENOMEM;
	to = put(salt, transcript->vm_id, VMCRYPT_VM_ID_LEN);
	*to++ = transcript->policy;
	to = put(to, transcript->source, VMCRYPT_PUBLIC_LEN);
	to = put(to, transcript->destination, VMCRYPT_PUBLIC_LEN);
	put_unaligned_be16(transcript->binding_len, to);
	to = put(to + 2, transcript->binding, transcript->binding_len);
	ret = vmcrypt_hkdf(shared, VMCRYPT_SECRET_LEN, salt, to - salt,
			   (const u8 *)master_label, strlen(master_label),
			   master, VMCRYPT_SECRET_LEN);
	kfree_sensitive(salt);
	return ret;
}

/**
 * vmcrypt_schedule_dek - the key that seals DEKs
 * @master: secret of the migration
 * @key: receives the key
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_schedule_dek(const u8 master[VMCRYPT_SECRET_LEN],
			 u8 key[VMCRYPT_GCM_KEY_LEN])
{
	return expand(master, (const u8 *)dek_label, strlen(dek_label),
		      key, VMCRYPT_GCM_KEY_LEN);
}

/**
 * vmcrypt_schedule_channel - the secret of one direction of a channel
 * @master: secret of the migration
 * @channel: number of the channel, once in a migration
 * @way: direction
 * @secret: receives the secret, of epoch 0
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_schedule_channel(const u8 master[VMCRYPT_SECRET_LEN], u32 channel,
			     enum vmcrypt_way way,
			     u8 secret[VMCRYPT_SECRET_LEN])
{
	u8 info[INFO_MAX], *to;

	to = put(info, channel_label, strlen(channel_label));
	put_unaligned_be32(channel, to);
	to += sizeof(channel);
	*to++ = way;
	return expand(master, info, to - info, secret, VMCRYPT_SECRET_LEN);
}

/**
 * vmcrypt_schedule_epoch - key and nonce base of one epoch
 * @secret: secret of the epoch
 * @epoch: its number
 * @key: receives the key; the caller wipes it, also on error
 * @nonce: receives the nonce base
 *
 * Return: 0, or a negative errno of the crypto API.
 */
int vmcrypt_schedule_epoch(const u8 secret[VMCRYPT_SECRET_LEN], u32 epoch,
			   u8 key[VMCRYPT_GCM_KEY_LEN],
			   u8 nonce[VMCRYPT_GCM_NONCE_LEN])
{
	int ret;

	ret = expand_epoch(secret, key_label, epoch, key, VMCRYPT_GCM_KEY_LEN);
	if (ret)
		return ret;
	return expand_epoch(secret, nonce_label, epoch, nonce,
			    VMCRYPT_GCM_NONCE_LEN);
}

/**
 * vmcrypt_schedule_next - go on to the next epoch
 * @secret: secret of an epoch; receives that of the next
 * @epoch: number of the epoch that ends
 *
 * Return: 0, or a negative errno of the crypto API; @secret is all zero then,
 * and of no more use.
 */
int vmcrypt_schedule_next(u8 secret[VMCRYPT_SECRET_LEN], u32 epoch)
{
	u8 next[VMCRYPT_SECRET_LEN];
	int ret;

	ret = expand_epoch(secret, next_label, epoch, next, sizeof(next));
	memcpy(secret, next, sizeof(next));
	memzero_explicit(next, sizeof(next));
	return ret;
}
