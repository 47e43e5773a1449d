// SPDX-License-Identifier: GPL-2.0-or-later
/* Random requests; see fuzz.h. */

#include <errno.h>
#include <keyutils.h>
#include <linux/vmcrypt.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tap.h"

static uint64_t state;

/* xorshift64*: the same seed gives the same requests. */
static uint32_t rnd(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return ((state * 0x2545f4914f6cdd1dULL) >> 33) % n;
}

static void rnd_bytes(uint8_t *buf, size_t len)
{
	while (len--)
		*buf++ = rnd(256);
}

/* Values that open doors: what the next request may build on. */
static int32_t kek_key[4], dek_key[4];
static uint8_t wrapped[8][VMCRYPT_WRAPPED_LEN];

static void make_keys(void)
{
	uint8_t bytes[VMCRYPT_DEK_LEN];
	char desc[] = "vmcrypt-fuzz:k0";
	int i;

	for (i = 0; i < 4; i++) {
		rnd_bytes(bytes, sizeof(bytes));
		desc[13] = 'k';
		desc[14] = '0' + i;
		kek_key[i] = add_key("logon", desc, bytes, VMCRYPT_KEK_LEN,
				     KEY_SPEC_THREAD_KEYRING);
		desc[13] = 'd';
		dek_key[i] = add_key("logon", desc, bytes, VMCRYPT_DEK_LEN,
				     KEY_SPEC_THREAD_KEYRING);
	}
}

static void put_name(struct nl_msg *msg, int type)
{
	static const char * const names[] = {
		"f/k0", "f/k1", "f/k2", "disk0", "disk1", "home", "", "/",
		".x", "a b",
	};

	nla_put_string(msg, type, names[rnd(10)]);
}

static void put_vm(struct nl_msg *msg, int type)
{
	uint8_t id[16] = { 0xf0, 0x0d };

	id[15] = rnd(6);
	nla_put(msg, type, sizeof(id), id);
}

static void put_attr(struct nl_msg *msg, int type)
{
	uint8_t junk[400];
	size_t len;

	switch (rnd(8)) {
	case 0:
	case 1:
	case 2:
		put_name(msg, type);
		break;
	case 3:
		put_vm(msg, type);
		break;
	case 4:
		nla_put_s32(msg, type, rnd(2) ? kek_key[rnd(4)] :
						dek_key[rnd(4)]);
		break;
	case 5:
		nla_put(msg, type, VMCRYPT_WRAPPED_LEN, wrapped[rnd(8)]);
		break;
	case 6:
		nla_put_u32(msg, type, rnd(3));
		break;
	default:
		len = rnd(sizeof(junk));
		rnd_bytes(junk, len);
		nla_put(msg, type, len, junk);
	}
}

/* Nobody answers with a public key: no migration is ever agreed. */
static void put_right_migration(struct nl_msg *msg, int cmd)
{
	uint8_t junk[VMCRYPT_PUBLIC_LEN];

	rnd_bytes(junk, sizeof(junk));
	if (cmd == VMCRYPT_CMD_MIGRATION_NEW) {
		put_vm(msg, VMCRYPT_A_MIGRATION_VM_ID);
		nla_put_u32(msg, VMCRYPT_A_MIGRATION_ROLE, rnd(2));
		nla_put_u32(msg, VMCRYPT_A_MIGRATION_POLICY, rnd(3));
		return;
	}
	/* VMCRYPT_A_CHANNEL_MIGRATION is the same number. */
	nla_put_u32(msg, VMCRYPT_A_MIGRATION_ID, rnd(300));
	if (cmd == VMCRYPT_CMD_MIGRATION_AGREE) {
		nla_put(msg, VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY, sizeof(junk),
			junk);
		nla_put(msg, VMCRYPT_A_MIGRATION_BINDING, sizeof(junk), junk);
	}
	if (cmd >= VMCRYPT_CMD_CHANNEL_NEW)
		nla_put_u32(msg, VMCRYPT_A_CHANNEL_NUMBER, rnd(4));
	if (cmd == VMCRYPT_CMD_CHANNEL_NEW)
		nla_put_s32(msg, VMCRYPT_A_CHANNEL_WIRE_FD, rnd(8));
}

/* A request that is right, but for its values. */
static void put_right(struct nl_msg *msg, int cmd)
{
	if (cmd <= VMCRYPT_CMD_KEK_DEL) {
		nla_put_string(msg, VMCRYPT_A_KEK_ID,
			       rnd(2) ? "f/k0" : "f/k1");
		if (cmd == VMCRYPT_CMD_KEK_NEW)
			nla_put_s32(msg, VMCRYPT_A_KEK_KEY_SERIAL,
				    kek_key[rnd(2)]);
		if (cmd == VMCRYPT_CMD_KEK_NEW && rnd(2))
			nla_put_u32(msg, VMCRYPT_A_KEK_LEASE, rnd(3));
		if (cmd == VMCRYPT_CMD_KEK_DEL && rnd(2))
			nla_put_flag(msg, VMCRYPT_A_KEK_FORCE);
		return;
	}
	if (cmd <= VMCRYPT_CMD_VM_DEL) {
		put_vm(msg, VMCRYPT_A_VM_ID);
		if (cmd == VMCRYPT_CMD_VM_DEL && rnd(2))
			nla_put_flag(msg, VMCRYPT_A_VM_FORCE);
		return;
	}
	if (cmd >= VMCRYPT_CMD_MIGRATION_NEW) {
		put_right_migration(msg, cmd);
		return;
	}
	put_vm(msg, VMCRYPT_A_DEK_VM_ID);
	nla_put_string(msg, VMCRYPT_A_DEK_VOLUME, rnd(2) ? "disk0" : "disk1");
	if (cmd >= VMCRYPT_CMD_DEK_EXPORT)
		nla_put_u32(msg, VMCRYPT_A_DEK_MIGRATION, rnd(20));
	if (cmd == VMCRYPT_CMD_DEK_IMPORT)
		nla_put(msg, VMCRYPT_A_DEK_SEALED, VMCRYPT_SEALED_LEN, wrapped);
	if (cmd >= VMCRYPT_CMD_DEK_GET && cmd != VMCRYPT_CMD_DEK_IMPORT)
		return;
	nla_put_string(msg, VMCRYPT_A_DEK_KEK_ID, rnd(2) ? "f/k0" : "f/k1");
	if (cmd == VMCRYPT_CMD_DEK_WRAP)
		nla_put_s32(msg, VMCRYPT_A_DEK_KEY_SERIAL, dek_key[rnd(4)]);
	else
		nla_put(msg, VMCRYPT_A_DEK_WRAPPED, VMCRYPT_WRAPPED_LEN,
			wrapped[rnd(8)]);
	if (cmd == VMCRYPT_CMD_DEK_REWRAP)
		nla_put_string(msg, VMCRYPT_A_DEK_NEW_KEK_ID,
			       rnd(2) ? "f/k0" : "f/k1");
	if (cmd == VMCRYPT_CMD_DEK_MAC)
		nla_put(msg, VMCRYPT_A_DEK_DIGEST, 32, wrapped[0]);
}

static void spoil(struct nlmsghdr *nlh)
{
	uint8_t *bytes = (uint8_t *)nlh;
	int n;

	switch (rnd(4)) {
	case 0:
		nlh->nlmsg_len -= rnd(nlh->nlmsg_len - NLMSG_HDRLEN);
		break;
	case 1:
		nlh->nlmsg_flags |= rnd(0x800);
		break;
	default:
		for (n = rnd(4); n >= 0; n--)
			bytes[NLMSG_HDRLEN +
			      rnd(nlh->nlmsg_len - NLMSG_HDRLEN)] = rnd(256);
	}
}

/* Wrap for real now and then, so that loads get somewhere. */
static bool refresh(const struct nlt *nl)
{
	struct nl_msg *msg = nlt_msg(nl, VMCRYPT_CMD_DEK_WRAP, 0);
	struct nlt_answer a;

	put_right(msg, VMCRYPT_CMD_DEK_WRAP);
	nlt_do(nl, msg, &a);
	if (!a.err)
		memcpy(wrapped[rnd(8)],
		       nla_data(a.attrs[VMCRYPT_A_DEK_WRAPPED]),
		       VMCRYPT_WRAPPED_LEN);
	return a.err != -ENOMEM;
}

/*
 * Send @count requests made from @seed: right ones, ones with random
 * attributes, and spoilt ones. Returns how often memory was out, of count / 8.
 */
unsigned long fuzz(const struct nlt *nl, unsigned long count, uint64_t seed)
{
	unsigned long i, no_memory = 0;
	struct nl_msg *msg;
	struct nlmsghdr *nlh;
	int cmd, n;

	state = seed | 1;
	tap_note("fuzz: %lu requests, seed %llu", count,
		 (unsigned long long)seed);
	make_keys();
	for (i = 0; i < count; i++) {
		cmd = rnd(12) ? 1 + rnd(VMCRYPT_CMD_CHANNEL_DEL) : rnd(256);
		msg = nlt_msg(nl, cmd, rnd(10) ? NLM_F_ACK : NLM_F_DUMP);
		if (rnd(3))
			put_right(msg, cmd);
		else
			for (n = rnd(6); n; n--)
				put_attr(msg, rnd(14));
		nlh = nlmsg_hdr(msg);
		if (!rnd(4))
			spoil(nlh);
		nlt_send(nl, nlh, nlh->nlmsg_len);
		nlmsg_free(msg);
		nlt_drain(nl);
		if (!(i % 8))
			no_memory += !refresh(nl);
	}
	return no_memory;
}
