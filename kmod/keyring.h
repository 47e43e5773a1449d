/* SPDX-License-Identifier: GPL-2.0-only */
/* KEK cache, and per-VM keyrings of DEKs. */
#ifndef _VMCRYPT_KEYRING_H
#define _VMCRYPT_KEYRING_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/key.h>
#include <linux/list.h>
#include <linux/notifier.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <uapi/linux/vmcrypt.h>

#include "kdf.h"
#include "wrap.h"

struct netlink_ext_ack;

/**
 * struct vmcrypt_stats - counters, of one VM or of all
 * @wraps: DEKs wrapped
 * @loads: DEKs unwrapped into a keyring
 * @rewraps: DEKs moved from one KEK to another
 * @macs: digests authenticated
 * @auth_failures: wrapped DEKs refused as not authentic
 * @lease_ends: KEKs dropped because their lease ran out; not of a VM
 * @exports: DEKs sealed for another host
 * @imports: sealed DEKs opened into a keyring
 */
struct vmcrypt_stats {
	u64 wraps;
	u64 loads;
	u64 rewraps;
	u64 macs;
	u64 auth_failures;
	u64 lease_ends;
	u64 exports;
	u64 imports;
};

/**
 * struct vmcrypt_totals - what there is now, and since the module was loaded
 * @keks: KEKs in the cache
 * @vms: VMs
 * @deks: DEKs loaded
 * @stats: counters
 */
struct vmcrypt_totals {
	u32 keks;
	u32 vms;
	u32 deks;
	struct vmcrypt_stats stats;
};

/**
 * struct vmcrypt_kek - a KEK, or what is left of it
 * @node: in the table, while it is cached or has users
 * @aead: its cipher; NULL when it went away, or never came, and only has users
 * @check: tells its bytes from others without telling them
 * @users: DEKs loaded with it
 * @lease_end: end of its lease in CLOCK_BOOTTIME, which goes on in suspend;
 *	0 without one
 * @timer: fires at @lease_end
 * @lapse: drops the KEK, as @timer cannot sleep
 * @ref: one for the table, one for @lapse while it is queued
 * @id: its id
 */
struct vmcrypt_kek {
	struct hlist_node node;
	struct crypto_aead *aead;
	u8 check[VMCRYPT_HASH_LEN];
	u32 users;
	ktime_t lease_end;
	struct hrtimer timer;
	struct work_struct lapse;
	struct kref ref;
	char id[];
};

/**
 * struct vmcrypt_dek - a loaded DEK
 * @node: in its VM
 * @kek: KEK it was loaded, or last rewrapped, with
 * @key: "logon" key, described by vmcrypt_key_desc()
 * @volume: name of its volume
 */
struct vmcrypt_dek {
	struct list_head node;
	struct vmcrypt_kek *kek;
	struct key *key;
	char volume[];
};

/**
 * struct vmcrypt_vm - a VM
 * @node: in the table
 * @id: its id
 * @ring: its keyring
 * @deks: its DEKs
 * @volumes: number of @deks
 * @locked: it was locked and no DEK has been loaded since
 * @stats: its counters
 */
struct vmcrypt_vm {
	struct hlist_node node;
	u8 id[VMCRYPT_VM_ID_LEN];
	struct key *ring;
	struct list_head deks;
	u32 volumes;
	bool locked;
	struct vmcrypt_stats stats;
};

/**
 * struct vmcrypt_event - something went away
 * @kek_id: id of the KEK (VMCRYPT_CMD_KEK_DEL_NTF, VMCRYPT_CMD_DEK_DEL_NTF)
 * @kcv: its check value (VMCRYPT_CMD_KEK_DEL_NTF)
 * @vm_id: id of the VM (VMCRYPT_CMD_DEK_DEL_NTF, VMCRYPT_CMD_VM_LOCK_NTF)
 * @volume: name of the volume (VMCRYPT_CMD_DEK_DEL_NTF)
 * @count: users that the KEK had, or DEKs that the VM had
 * @reason: why
 *
 * The action of the notifier chain is the command of the notification.
 */
struct vmcrypt_event {
	const char *kek_id;
	const u8 *kcv;
	const u8 *vm_id;
	const char *volume;
	u32 count;
	enum vmcrypt_reason reason;
};

/**
 * struct vmcrypt_loaded - where a loaded DEK is
 * @key: serial of its key
 * @ring: serial of the VM's keyring
 * @kcv: check value of its KEK
 */
struct vmcrypt_loaded {
	key_serial_t key;
	key_serial_t ring;
	u8 kcv[VMCRYPT_KCV_LEN];
};

/**
 * struct vmcrypt_cursor - where a walk over a table goes on
 * @bucket: bucket of the table
 * @skip: entries of it that are done
 */
struct vmcrypt_cursor {
	unsigned long bucket;
	unsigned long skip;
};

typedef int (*vmcrypt_kek_fn)(const struct vmcrypt_kek *kek, void *ctx);
typedef int (*vmcrypt_vm_fn)(const struct vmcrypt_vm *vm, void *ctx);
typedef int (*vmcrypt_dek_fn)(const struct vmcrypt_vm *vm,
			      const struct vmcrypt_dek *dek, void *ctx);

extern struct blocking_notifier_head vmcrypt_events;
extern unsigned int vmcrypt_max_keks;
extern unsigned int vmcrypt_max_vms;
extern unsigned int vmcrypt_max_volumes;

int vmcrypt_copy_key(key_serial_t serial, u8 *buf, size_t len,
		     struct netlink_ext_ack *extack);

int vmcrypt_kek_add(const char *id, const u8 *bytes, ktime_t lease,
		    u8 kcv[VMCRYPT_KCV_LEN], struct netlink_ext_ack *extack);
int vmcrypt_kek_del(const char *id, bool force,
		    struct netlink_ext_ack *extack);
int vmcrypt_kek_show(const char *id, vmcrypt_kek_fn fn, void *ctx,
		     struct netlink_ext_ack *extack);
int vmcrypt_kek_walk(struct vmcrypt_cursor *cursor, unsigned int *generation,
		     vmcrypt_kek_fn fn, void *ctx);
u32 vmcrypt_kek_lease_left(const struct vmcrypt_kek *kek);

int vmcrypt_vm_add(const u8 *id, key_serial_t *ring,
		   struct netlink_ext_ack *extack);
int vmcrypt_vm_lock(const u8 *id, struct netlink_ext_ack *extack);
int vmcrypt_vm_del(const u8 *id, bool force, struct netlink_ext_ack *extack);
int vmcrypt_vm_show(const u8 *id, vmcrypt_vm_fn fn, void *ctx,
		    struct netlink_ext_ack *extack);
int vmcrypt_vm_walk(struct vmcrypt_cursor *cursor, unsigned int *generation,
		    vmcrypt_vm_fn fn, void *ctx);

int vmcrypt_dek_wrap(const struct vmcrypt_bind *bind, const u8 *dek,
		     u8 wrapped[VMCRYPT_WRAPPED_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		     struct netlink_ext_ack *extack);
int vmcrypt_dek_load(const struct vmcrypt_bind *bind,
		     const u8 wrapped[VMCRYPT_WRAPPED_LEN],
		     struct vmcrypt_loaded *loaded,
		     struct netlink_ext_ack *extack);
int vmcrypt_dek_rewrap(const struct vmcrypt_bind *bind, const char *new_id,
		       const u8 from[VMCRYPT_WRAPPED_LEN],
		       u8 to[VMCRYPT_WRAPPED_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		       struct netlink_ext_ack *extack);
int vmcrypt_dek_mac(const struct vmcrypt_bind *bind,
		    const u8 wrapped[VMCRYPT_WRAPPED_LEN],
		    const u8 *digest, size_t digest_len,
		    u8 mac[VMCRYPT_MAC_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		    struct netlink_ext_ack *extack);
int vmcrypt_dek_export(const u8 *vm_id, const char *volume,
		       struct crypto_aead *aead,
		       char kek_id[VMCRYPT_KEK_ID_MAX + 1],
		       u8 sealed[VMCRYPT_SEALED_LEN],
		       struct netlink_ext_ack *extack);
int vmcrypt_dek_import(const struct vmcrypt_bind *bind,
		       struct crypto_aead *aead,
		       const u8 sealed[VMCRYPT_SEALED_LEN],
		       struct vmcrypt_loaded *loaded,
		       struct netlink_ext_ack *extack);
bool vmcrypt_vm_encrypted(const u8 *id);
int vmcrypt_dek_del(const u8 *vm_id, const char *volume,
		    struct netlink_ext_ack *extack);
int vmcrypt_dek_show(const u8 *vm_id, const char *volume, vmcrypt_dek_fn fn,
		     void *ctx, struct netlink_ext_ack *extack);

void vmcrypt_totals_get(struct vmcrypt_totals *totals);

int vmcrypt_keyring_init(void);
void vmcrypt_keyring_exit(void);

#endif /* _VMCRYPT_KEYRING_H */
