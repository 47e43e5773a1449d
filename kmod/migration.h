/* SPDX-License-Identifier: GPL-2.0-only */
/* Migrations: ephemeral keys that two kernels agree on. */
#ifndef _VMCRYPT_MIGRATION_H
#define _VMCRYPT_MIGRATION_H

#include <crypto/kpp.h>
#include <linux/bitmap.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>
#include <uapi/linux/vmcrypt.h>

#include "keyring.h"
#include "schedule.h"

/* Channels that one migration may have, in all. */
#define VMCRYPT_CHANNEL_NUMBERS	(VMCRYPT_CHANNEL_MAX + 1)

struct netlink_ext_ack;

/**
 * struct vmcrypt_migration - one migration of one VM
 * @node: in the table
 * @ref: one for the table, one for who works with it
 * @id: its number
 * @vm_id: id of its VM
 * @role: which end this is
 * @policy: migration policy of the VM
 * @portid: netlink socket that it goes away with, until it is agreed
 * @agreed: keys are there; no change after that
 * @kpp: ephemeral key, until it is agreed
 * @public: public half of it
 * @aead: seals and opens DEKs, once it is agreed
 * @master: what all keys come from, once it is agreed
 * @numbers: numbers of channels that are used up
 * @channels: channels that are open
 * @closed: a channel was closed
 * @end: how the first channel ended that did not complete, else completed
 */
struct vmcrypt_migration {
	struct list_head node;
	struct kref ref;
	u32 id;
	u8 vm_id[VMCRYPT_VM_ID_LEN];
	enum vmcrypt_role role;
	enum vmcrypt_policy policy;
	u32 portid;
	bool agreed;
	struct crypto_kpp *kpp;
	u8 public[VMCRYPT_PUBLIC_LEN];
	struct crypto_aead *aead;
	u8 master[VMCRYPT_SECRET_LEN];
	DECLARE_BITMAP(numbers, VMCRYPT_CHANNEL_NUMBERS);
	u32 channels;
	bool closed;
	enum vmcrypt_end end;
};

/**
 * struct vmcrypt_migration_new - what a migration is made with
 * @vm_id: valid id of the VM
 * @role: which end this is
 * @policy: migration policy of the VM
 * @portid: netlink socket that asks
 */
struct vmcrypt_migration_new {
	const u8 *vm_id;
	enum vmcrypt_role role;
	enum vmcrypt_policy policy;
	u32 portid;
};

/**
 * struct vmcrypt_agreement - what a migration is agreed with
 * @id: number of the migration
 * @portid: netlink socket that asks
 * @peer: public key of the other end
 * @binding: channel binding
 * @binding_len: its length in bytes
 */
struct vmcrypt_agreement {
	u32 id;
	u32 portid;
	const u8 *peer;
	const u8 *binding;
	size_t binding_len;
};

/**
 * struct vmcrypt_migration_event - a migration ended
 * @migration: the migration
 * @reason: why
 */
struct vmcrypt_migration_event {
	const struct vmcrypt_migration *migration;
	enum vmcrypt_end reason;
};

typedef int (*vmcrypt_migration_fn)(const struct vmcrypt_migration *migration,
				    void *ctx);

extern unsigned int vmcrypt_max_migrations;

int vmcrypt_migration_add(const struct vmcrypt_migration_new *new, u32 *id,
			  u8 public[VMCRYPT_PUBLIC_LEN],
			  struct netlink_ext_ack *extack);
int vmcrypt_migration_agree(const struct vmcrypt_agreement *agreement,
			    struct netlink_ext_ack *extack);
int vmcrypt_migration_del(u32 id, bool force, struct netlink_ext_ack *extack);
struct vmcrypt_migration *
vmcrypt_migration_take(u32 id, u32 number, struct netlink_ext_ack *extack);
void vmcrypt_migration_give(struct vmcrypt_migration *mig);
void vmcrypt_migration_put(struct vmcrypt_migration *mig);
void vmcrypt_migration_closed(struct vmcrypt_migration *mig,
			      enum vmcrypt_end reason);
int vmcrypt_migration_show(u32 id, vmcrypt_migration_fn fn, void *ctx,
			   struct netlink_ext_ack *extack);
int vmcrypt_migration_walk(struct vmcrypt_cursor *cursor,
			   unsigned int *generation, vmcrypt_migration_fn fn,
			   void *ctx);
int vmcrypt_migration_export(u32 id, const u8 *vm_id, const char *volume,
			     char kek_id[VMCRYPT_KEK_ID_MAX + 1],
			     u8 sealed[VMCRYPT_SEALED_LEN],
			     struct netlink_ext_ack *extack);
int vmcrypt_migration_import(u32 id, const struct vmcrypt_bind *bind,
			     const u8 sealed[VMCRYPT_SEALED_LEN],
			     struct vmcrypt_loaded *loaded,
			     struct netlink_ext_ack *extack);
void vmcrypt_migration_orphan(u32 portid);
u32 vmcrypt_migrations(void);

int vmcrypt_migration_init(void);
void vmcrypt_migration_exit(void);

#endif /* _VMCRYPT_MIGRATION_H */
