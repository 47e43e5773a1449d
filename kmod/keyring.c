// SPDX-License-Identifier: GPL-2.0-only
/*
 * KEK cache, and per-VM keyrings of DEKs.
 *
 * One mutex guards both tables and all that is in them; what it covers takes
 * microseconds. A KEK that went away stays in the table, without its cipher,
 * while DEKs that were loaded with it are: when it comes back it has its users
 * again, and a KEK with the same id and other bytes is an error.
 */

#include <crypto/algapi.h>
#include <keys/user-type.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/key-type.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "keyring.h"
#include "name.h"
#include "trace.h"

/*
 * A VM's keyring. The possessor, that is who has linked it into a keyring of
 * its own, may search it, which is how dm-crypt finds a DEK, and with that
 * list it; root may link it by its serial number to become a possessor. Nobody
 * may write it (no key can be planted), view it, or set its attributes (which
 * would allow all the others). KEY_ALLOC_SET_KEEP, which its keys inherit,
 * refuses to unlink, clear, revoke, invalidate or time out from userspace, for
 * some of which search permission would do.
 */
#define RING_PERM	(KEY_POS_SEARCH | KEY_USR_LINK)

/*
 * A DEK's key. Search is what request_key() of dm-crypt needs. No link: it
 * must not outlive its stay in the VM's keyring. Nothing else, to nobody.
 */
#define DEK_PERM	KEY_POS_SEARCH

#define TABLE_BITS	12

unsigned int vmcrypt_max_keks = 65536;
module_param_named(max_keks, vmcrypt_max_keks, uint, 0444);
MODULE_PARM_DESC(max_keks, "Limit of cached KEKs");

unsigned int vmcrypt_max_vms = 16384;
module_param_named(max_vms, vmcrypt_max_vms, uint, 0444);
MODULE_PARM_DESC(max_vms, "Limit of VMs");

unsigned int vmcrypt_max_volumes = 64;
module_param_named(max_volumes, vmcrypt_max_volumes, uint, 0444);
MODULE_PARM_DESC(max_volumes, "Limit of volumes in one VM");

/* Called with the tables locked. */
BLOCKING_NOTIFIER_HEAD(vmcrypt_events);

static DEFINE_MUTEX(tables_lock);
static DEFINE_HASHTABLE(keks, TABLE_BITS);
static DEFINE_HASHTABLE(vms, TABLE_BITS);
static struct vmcrypt_totals totals;
static unsigned int kek_generation;
static unsigned int vm_generation;
static struct workqueue_struct *lapse_wq;

static void tell(unsigned long cmd, struct vmcrypt_event *event)
{
	blocking_notifier_call_chain(&vmcrypt_events, cmd, event);
}

static u32 id_hash(const char *id)
{
	return jhash(id, strlen(id), 0);
}

static u32 vm_hash(const u8 *id)
{
	return jhash(id, VMCRYPT_VM_ID_LEN, 0);
}

/**
 * vmcrypt_copy_key - copy the bytes of a "logon" key of the calling process
 * @serial: its serial number
 * @buf: receives them; the caller wipes them
 * @len: how many it must have
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -EINVAL for a key of another type or length, -EPERM for a key of
 * a VM, or the negative errno of looking it up: -ENOKEY, -EACCES, -EKEYREVOKED,
 * -EKEYEXPIRED.
 */
int vmcrypt_copy_key(key_serial_t serial, u8 *buf, size_t len,
		     struct netlink_ext_ack *extack)
{
	const struct user_key_payload *payload;
	struct key *key;
	key_ref_t ref;
	int ret;

	ref = lookup_user_key(serial, 0, KEY_NEED_SEARCH);
	if (IS_ERR(ref)) {
		NL_SET_ERR_MSG(extack,
			       "no such \"logon\" key; link it into a keyring of the caller");
		return PTR_ERR(ref);
	}
	key = key_ref_to_ptr(ref);
	ret = -EINVAL;
	if (key->type != &key_type_logon) {
		NL_SET_ERR_MSG(extack, "key is not of type \"logon\"; others can be read back");
		goto out_put;
	}
	/* Else whoever can search a VM's keyring could wrap its DEK anew. */
	if (test_bit(KEY_FLAG_KEEP, &key->flags)) {
		NL_SET_ERR_MSG(extack,
			       "key belongs to a VM; make a \"logon\" key of one's own");
		ret = -EPERM;
		goto out_put;
	}

	down_read(&key->sem);
	ret = key_validate(key);
	payload = user_key_payload_locked(key);
	if (ret || !payload) {
		NL_SET_ERR_MSG(extack, "key is revoked or has expired; add it anew");
		ret = ret ?: -EKEYREVOKED;
	} else if (payload->datalen != len) {
		NL_SET_ERR_MSG(extack, "key has the wrong length; a KEK has 32 bytes, a DEK 64");
		ret = -EINVAL;
	} else {
		memcpy(buf, payload->data, len);
	}
	up_read(&key->sem);
out_put:
	key_ref_put(ref);
	return ret;
}

/* KEKs */

static void kek_release(struct kref *ref)
{
	kfree_sensitive(container_of(ref, struct vmcrypt_kek, ref));
}

static struct vmcrypt_kek *kek_find(const char *id)
{
	struct vmcrypt_kek *kek;

	hash_for_each_possible(keks, kek, node, id_hash(id))
		if (!strcmp(kek->id, id))
			return kek;
	return NULL;
}

static bool kek_over(const struct vmcrypt_kek *kek)
{
	return kek->lease_end &&
	       ktime_compare(ktime_get_boottime(), kek->lease_end) >= 0;
}

/* Out of the table, unless it is cached or has users. */
static void kek_settle(struct vmcrypt_kek *kek)
{
	if (kek->aead || kek->users)
		return;
	hash_del(&kek->node);
	kref_put(&kek->ref, kek_release);
}

static void kek_drop(struct vmcrypt_kek *kek, enum vmcrypt_reason reason)
{
	struct vmcrypt_event event = {
		.kek_id = kek->id,
		.kcv = kek->check,
		.count = kek->users,
		.reason = reason,
	};

	hrtimer_cancel(&kek->timer);
	kek->lease_end = 0;
	crypto_free_aead(kek->aead);
	kek->aead = NULL;
	totals.keks--;
	kek_generation++;
	if (reason == VMCRYPT_REASON_LEASE)
		totals.stats.lease_ends++;
	trace_vmcrypt_kek_del(kek->id, kek->users, reason);
	tell(VMCRYPT_CMD_KEK_DEL_NTF, &event);
	kek_settle(kek);
}

static void kek_lapse(struct work_struct *work)
{
	struct vmcrypt_kek *kek = container_of(work, struct vmcrypt_kek, lapse);

	mutex_lock(&tables_lock);
	/* It may have been renewed or dropped since the timer fired. */
	if (kek->aead && kek_over(kek))
		kek_drop(kek, VMCRYPT_REASON_LEASE);
	mutex_unlock(&tables_lock);
	kref_put(&kek->ref, kek_release);
}

static enum hrtimer_restart kek_timer(struct hrtimer *timer)
{
	struct vmcrypt_kek *kek = container_of(timer, struct vmcrypt_kek,
					       timer);

	/* Never the last reference: that of the table outlives the timer. */
	kref_get(&kek->ref);
	if (!queue_work(lapse_wq, &kek->lapse))
		kref_put(&kek->ref, kek_release);
	return HRTIMER_NORESTART;
}

/* A cached KEK whose lease is not over, or NULL. */
static struct vmcrypt_kek *kek_live(const char *id)
{
	struct vmcrypt_kek *kek = kek_find(id);

	if (!kek || !kek->aead)
		return NULL;
	/* The timer may be late; a lease is not. */
	if (kek_over(kek)) {
		kek_drop(kek, VMCRYPT_REASON_LEASE);
		return NULL;
	}
	return kek;
}

/* Those whose lease is over, but whose timer is late. */
static void keks_lapse(void)
{
	struct vmcrypt_kek *kek;
	struct hlist_node *next;
	unsigned int i;

	hash_for_each_safe(keks, i, next, kek, node)
		if (kek->aead && kek_over(kek))
			kek_drop(kek, VMCRYPT_REASON_LEASE);
}

static struct vmcrypt_kek *kek_need(const char *id,
				    struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek = kek_live(id);

	if (!kek) {
		NL_SET_ERR_MSG(extack, "KEK is not cached; fetch it and put it in with kek-new");
		return ERR_PTR(-ENOKEY);
	}
	return kek;
}

static void kek_set_lease(struct vmcrypt_kek *kek, ktime_t lease)
{
	hrtimer_cancel(&kek->timer);
	kek->lease_end = 0;
	if (!lease)
		return;
	kek->lease_end = ktime_add_safe(ktime_get_boottime(), lease);
	hrtimer_start(&kek->timer, kek->lease_end, HRTIMER_MODE_ABS);
}

static void kek_get_kcv(const struct vmcrypt_kek *kek, u8 *kcv)
{
	memcpy(kcv, kek->check, VMCRYPT_KCV_LEN);
}

static void kek_free(struct vmcrypt_kek *kek)
{
	crypto_free_aead(kek->aead);
	kfree_sensitive(kek);
}

/* A KEK that is not cached: it has no cipher. */
static struct vmcrypt_kek *kek_blank(const char *id)
{
	size_t len = strlen(id);
	struct vmcrypt_kek *kek;

	kek = kzalloc(struct_size(kek, id, len + 1), GFP_KERNEL);
	if (!kek)
		return NULL;
	memcpy(kek->id, id, len);
	kref_init(&kek->ref);
	INIT_WORK(&kek->lapse, kek_lapse);
	vmcrypt_hrtimer_setup(&kek->timer, kek_timer, CLOCK_BOOTTIME,
			      HRTIMER_MODE_ABS);
	return kek;
}

static struct vmcrypt_kek *kek_alloc(const char *id, const u8 *bytes)
{
	struct vmcrypt_kek *kek;
	int ret;

	kek = kek_blank(id);
	if (!kek)
		return ERR_PTR(-ENOMEM);
	kek->aead = vmcrypt_aead_new(bytes);
	if (IS_ERR(kek->aead)) {
		ret = PTR_ERR(kek->aead);
		goto err_free;
	}
	ret = vmcrypt_kek_check(bytes, kek->check);
	if (ret)
		goto err_aead;
	return kek;

err_aead:
	crypto_free_aead(kek->aead);
err_free:
	kfree_sensitive(kek);
	return ERR_PTR(ret);
}

/*
 * The KEK of a DEK that another kernel had loaded. It need not be cached: then
 * it stands in the table like one that went away. kek_settle() it when it got
 * no user.
 */
static struct vmcrypt_kek *kek_known(const char *id,
				     const u8 check[VMCRYPT_HASH_LEN],
				     struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek = kek_find(id);

	if (!kek) {
		kek = kek_blank(id);
		if (!kek)
			return ERR_PTR(-ENOMEM);
		memcpy(kek->check, check, VMCRYPT_HASH_LEN);
		hash_add(keks, &kek->node, id_hash(id));
	} else if (crypto_memneq(kek->check, check, VMCRYPT_HASH_LEN)) {
		NL_SET_ERR_MSG(extack,
			       "KEK has other bytes here than at the source; is it the same cluster?");
		return ERR_PTR(-EEXIST);
	}
	return kek;
}

static int kek_check_room(struct netlink_ext_ack *extack)
{
	if (totals.keks < vmcrypt_max_keks)
		return 0;
	NL_SET_ERR_MSG(extack, "KEK cache is full; remove KEKs, or raise max_keks");
	return -ENOSPC;
}

/* A KEK with the id of @kek is in the table: renew it, or bring it back. */
static int kek_again(struct vmcrypt_kek *old, struct vmcrypt_kek *kek,
		     struct netlink_ext_ack *extack)
{
	int ret;

	if (crypto_memneq(old->check, kek->check, sizeof(old->check))) {
		if (old->aead)
			NL_SET_ERR_MSG(extack, "KEK is cached with other bytes; kek-del it first");
		else
			NL_SET_ERR_MSG(extack,
				       "DEKs are loaded with other bytes of this KEK; unload them");
		return -EEXIST;
	}
	if (!old->aead) {
		ret = kek_check_room(extack);
		if (ret)
			return ret;
		swap(old->aead, kek->aead);
		totals.keks++;
		kek_generation++;
	}
	return 0;
}

/**
 * vmcrypt_kek_add - put a KEK into the cache, or renew its lease
 * @id: its valid id
 * @bytes: its VMCRYPT_KEK_LEN bytes; the caller wipes them
 * @lease: how long it stays, by CLOCK_BOOTTIME; 0, for ever
 * @kcv: receives its check value
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -EEXIST when the id is there with other bytes, -ENOSPC when the
 * cache is full, -ENOMEM, or a negative errno of the crypto API.
 */
int vmcrypt_kek_add(const char *id, const u8 *bytes, ktime_t lease,
		    u8 kcv[VMCRYPT_KCV_LEN], struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek, *old;
	int ret;

	/* Before the lock: the crypto API may load a module. */
	kek = kek_alloc(id, bytes);
	if (IS_ERR(kek)) {
		NL_SET_ERR_MSG(extack,
			       "cipher cannot be set up; is gcm(aes) there, and memory left?");
		return PTR_ERR(kek);
	}

	mutex_lock(&tables_lock);
	old = kek_find(id);
	if (old && old->aead && kek_over(old)) {
		kek_drop(old, VMCRYPT_REASON_LEASE);
		old = kek_find(id);
	}
	if (old) {
		ret = kek_again(old, kek, extack);
		if (ret)
			goto err_unlock;
		kek_free(kek);
		kek = old;
	} else {
		ret = kek_check_room(extack);
		if (ret)
			goto err_unlock;
		hash_add(keks, &kek->node, id_hash(id));
		totals.keks++;
		kek_generation++;
	}
	kek_set_lease(kek, lease);
	kek_get_kcv(kek, kcv);
	trace_vmcrypt_kek_add(kek->id, kek->users, !!old);
	mutex_unlock(&tables_lock);
	return 0;

err_unlock:
	mutex_unlock(&tables_lock);
	kek_free(kek);
	return ret;
}

/**
 * vmcrypt_kek_del - wipe a KEK
 * @id: its id
 * @force: also when DEKs that were loaded with it are; they stay loaded
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT when it is not cached, -EBUSY when it has users.
 */
int vmcrypt_kek_del(const char *id, bool force, struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	int ret = 0;

	mutex_lock(&tables_lock);
	kek = kek_live(id);
	if (!kek) {
		NL_SET_ERR_MSG(extack, "KEK is not cached");
		ret = -ENOENT;
	} else if (kek->users && !force) {
		NL_SET_ERR_MSG(extack, "KEK is in use by loaded DEKs; unload them, or force");
		ret = -EBUSY;
	} else {
		kek_drop(kek, kek->users ? VMCRYPT_REASON_FORCED :
			 VMCRYPT_REASON_REMOVED);
	}
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_kek_show - call a function with a cached KEK
 * @id: its id
 * @fn: function; must not sleep for long, as all else waits
 * @ctx: for @fn
 * @extack: receives the reason of a refusal
 *
 * Return: what @fn returned, or -ENOENT when the KEK is not cached.
 */
int vmcrypt_kek_show(const char *id, vmcrypt_kek_fn fn, void *ctx,
		     struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	int ret = -ENOENT;

	mutex_lock(&tables_lock);
	kek = kek_live(id);
	if (kek)
		ret = fn(kek, ctx);
	else
		NL_SET_ERR_MSG(extack, "KEK is not cached");
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_kek_walk - call a function with all cached KEKs
 * @cursor: where to start; tells where to go on when @fn stopped the walk
 * @generation: receives a number that grows with each change of the table
 * @fn: function; returns other than 0 to stop before the KEK it got
 * @ctx: for @fn
 *
 * Return: 0 at the end, else what @fn returned.
 */
int vmcrypt_kek_walk(struct vmcrypt_cursor *cursor, unsigned int *generation,
		     vmcrypt_kek_fn fn, void *ctx)
{
	const struct vmcrypt_kek *kek;
	unsigned long i;
	int ret = 0;

	mutex_lock(&tables_lock);
	*generation = kek_generation;
	for (; cursor->bucket < HASH_SIZE(keks); cursor->bucket++) {
		i = 0;
		hlist_for_each_entry(kek, &keks[cursor->bucket], node) {
			if (i++ < cursor->skip || !kek->aead || kek_over(kek))
				continue;
			ret = fn(kek, ctx);
			if (ret) {
				cursor->skip = i - 1;
				goto out;
			}
		}
		cursor->skip = 0;
	}
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_kek_lease_left - how long a KEK stays
 * @kek: the KEK
 *
 * Return: seconds left of its lease, rounded up; 0 without a lease.
 */
u32 vmcrypt_kek_lease_left(const struct vmcrypt_kek *kek)
{
	s64 left;

	if (!kek->lease_end)
		return 0;
	left = ktime_to_ns(ktime_sub(kek->lease_end, ktime_get_boottime()));
	return clamp_t(s64, div_s64(left + NSEC_PER_SEC - 1, NSEC_PER_SEC),
		       1, U32_MAX);
}

/* VMs and DEKs */

static struct vmcrypt_vm *vm_find(const u8 *id)
{
	struct vmcrypt_vm *vm;

	hash_for_each_possible(vms, vm, node, vm_hash(id))
		if (!memcmp(vm->id, id, sizeof(vm->id)))
			return vm;
	return NULL;
}

static struct vmcrypt_vm *vm_need(const u8 *id, struct netlink_ext_ack *extack)
{
	struct vmcrypt_vm *vm = vm_find(id);

	if (!vm) {
		NL_SET_ERR_MSG(extack, "no such VM; make it with vm-new");
		return ERR_PTR(-ENOENT);
	}
	return vm;
}

static struct vmcrypt_dek *dek_find(const struct vmcrypt_vm *vm,
				    const char *volume)
{
	struct vmcrypt_dek *dek;

	list_for_each_entry(dek, &vm->deks, node)
		if (!strcmp(dek->volume, volume))
			return dek;
	return NULL;
}

static struct vmcrypt_dek *dek_need(const struct vmcrypt_vm *vm,
				    const char *volume,
				    struct netlink_ext_ack *extack)
{
	struct vmcrypt_dek *dek = dek_find(vm, volume);

	if (!dek) {
		NL_SET_ERR_MSG(extack, "volume is not loaded; load it with dek-load");
		return ERR_PTR(-ENOENT);
	}
	return dek;
}

static void dek_set_kek(struct vmcrypt_dek *dek, struct vmcrypt_kek *kek)
{
	struct vmcrypt_kek *old = dek->kek;

	if (kek)
		kek->users++;
	dek->kek = kek;
	if (old) {
		old->users--;
		kek_settle(old);
	}
}

static void dek_drop(struct vmcrypt_vm *vm, struct vmcrypt_dek *dek,
		     enum vmcrypt_reason reason)
{
	struct vmcrypt_event event = {
		.kek_id = dek->kek->id,
		.vm_id = vm->id,
		.volume = dek->volume,
		.reason = reason,
	};

	/* Wipes the bytes after a grace period; who holds the key gets none. */
	key_revoke(dek->key);
	key_unlink(vm->ring, dek->key);
	key_put(dek->key);
	list_del(&dek->node);
	vm->volumes--;
	vm_generation++;
	totals.deks--;
	trace_vmcrypt_dek_del(vm->id, dek->volume, dek->kek->id, reason);
	tell(VMCRYPT_CMD_DEK_DEL_NTF, &event);
	dek_set_kek(dek, NULL);
	kfree(dek);
	module_put(THIS_MODULE);
}

static u32 vm_drop_deks(struct vmcrypt_vm *vm, enum vmcrypt_reason reason)
{
	struct vmcrypt_dek *dek, *next;
	u32 count = vm->volumes;

	list_for_each_entry_safe(dek, next, &vm->deks, node)
		dek_drop(vm, dek, reason);
	return count;
}

static void vm_drop(struct vmcrypt_vm *vm)
{
	vm_drop_deks(vm, VMCRYPT_REASON_FORCED);
	/* Links that others made to it lead nowhere from now on. */
	key_revoke(vm->ring);
	key_put(vm->ring);
	hash_del(&vm->node);
	totals.vms--;
	vm_generation++;
	trace_vmcrypt_vm_del(vm->id, 0);
	kfree(vm);
}

static struct vmcrypt_vm *vm_alloc(const u8 *id)
{
	char desc[sizeof(".vmcrypt:") + UUID_STRING_LEN];
	struct vmcrypt_vm *vm;
	struct key *ring;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	memcpy(vm->id, id, sizeof(vm->id));
	INIT_LIST_HEAD(&vm->deks);
	/* Userspace cannot make a keyring whose name has a leading dot. */
	snprintf(desc, sizeof(desc), ".vmcrypt:%pUb", id);
	ring = keyring_alloc(desc, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID,
			     current_cred(), RING_PERM,
			     KEY_ALLOC_NOT_IN_QUOTA | KEY_ALLOC_SET_KEEP,
			     NULL, NULL);
	if (IS_ERR(ring)) {
		kfree(vm);
		return ERR_CAST(ring);
	}
	vm->ring = ring;
	return vm;
}

/**
 * vmcrypt_vm_add - make a VM
 * @id: its valid id
 * @ring: receives the serial number of its keyring
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -EEXIST when it is there, -ENOSPC when there are too many, or
 * -ENOMEM.
 */
int vmcrypt_vm_add(const u8 *id, key_serial_t *ring,
		   struct netlink_ext_ack *extack)
{
	struct vmcrypt_vm *vm;
	int ret = 0;

	mutex_lock(&tables_lock);
	if (vm_find(id)) {
		NL_SET_ERR_MSG(extack, "VM is there already; vm-get tells of it");
		ret = -EEXIST;
		goto out;
	}
	if (totals.vms >= vmcrypt_max_vms) {
		NL_SET_ERR_MSG(extack, "too many VMs; delete some, or raise max_vms");
		ret = -ENOSPC;
		goto out;
	}
	vm = vm_alloc(id);
	if (IS_ERR(vm)) {
		NL_SET_ERR_MSG(extack, "keyring of the VM cannot be made");
		ret = PTR_ERR(vm);
		goto out;
	}
	hash_add(vms, &vm->node, vm_hash(id));
	totals.vms++;
	vm_generation++;
	*ring = key_serial(vm->ring);
	trace_vmcrypt_vm_add(vm->id, 0);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_vm_lock - revoke every DEK of a VM
 * @id: its id
 * @extack: receives the reason of a refusal
 *
 * Return: 0, or -ENOENT.
 */
int vmcrypt_vm_lock(const u8 *id, struct netlink_ext_ack *extack)
{
	struct vmcrypt_event event = {
		.vm_id = id,
		.reason = VMCRYPT_REASON_LOCKED,
	};
	struct vmcrypt_vm *vm;
	int ret = 0;

	mutex_lock(&tables_lock);
	vm = vm_need(id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	event.count = vm_drop_deks(vm, VMCRYPT_REASON_LOCKED);
	vm->locked = true;
	trace_vmcrypt_vm_lock(vm->id, event.count);
	tell(VMCRYPT_CMD_VM_LOCK_NTF, &event);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_vm_del - forget a VM
 * @id: its id
 * @force: also when it has DEKs loaded; they are revoked
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT, or -EBUSY when it has DEKs loaded.
 */
int vmcrypt_vm_del(const u8 *id, bool force, struct netlink_ext_ack *extack)
{
	struct vmcrypt_vm *vm;
	int ret = 0;

	mutex_lock(&tables_lock);
	vm = vm_need(id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
	} else if (vm->volumes && !force) {
		NL_SET_ERR_MSG(extack, "VM has DEKs loaded; unload them, or force");
		ret = -EBUSY;
	} else {
		vm_drop(vm);
	}
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_vm_show - call a function with a VM
 * @id: its id
 * @fn: function; must not sleep for long, as all else waits
 * @ctx: for @fn
 * @extack: receives the reason of a refusal
 *
 * Return: what @fn returned, or -ENOENT.
 */
int vmcrypt_vm_show(const u8 *id, vmcrypt_vm_fn fn, void *ctx,
		    struct netlink_ext_ack *extack)
{
	struct vmcrypt_vm *vm;
	int ret;

	mutex_lock(&tables_lock);
	vm = vm_need(id, extack);
	ret = IS_ERR(vm) ? PTR_ERR(vm) : fn(vm, ctx);
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_vm_walk - call a function with all VMs
 * @cursor: where to start; tells where to go on when @fn stopped the walk
 * @generation: receives a number that grows with each change
 * @fn: function; returns other than 0 to stop before the VM it got
 * @ctx: for @fn
 *
 * Return: 0 at the end, else what @fn returned.
 */
int vmcrypt_vm_walk(struct vmcrypt_cursor *cursor, unsigned int *generation,
		    vmcrypt_vm_fn fn, void *ctx)
{
	const struct vmcrypt_vm *vm;
	unsigned long i;
	int ret = 0;

	mutex_lock(&tables_lock);
	*generation = vm_generation;
	for (; cursor->bucket < HASH_SIZE(vms); cursor->bucket++) {
		i = 0;
		hlist_for_each_entry(vm, &vms[cursor->bucket], node) {
			if (i++ < cursor->skip)
				continue;
			ret = fn(vm, ctx);
			if (ret) {
				cursor->skip = i - 1;
				goto out;
			}
		}
		cursor->skip = 0;
	}
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/* The counters of a VM; those of nobody when it does not exist. */
static struct vmcrypt_stats *vm_stats(const u8 *id)
{
	static struct vmcrypt_stats nobody;
	struct vmcrypt_vm *vm = vm_find(id);

	return vm ? &vm->stats : &nobody;
}

static int dek_unwrap(const struct vmcrypt_kek *kek,
		      const struct vmcrypt_bind *bind, const u8 *wrapped,
		      u8 *dek, struct netlink_ext_ack *extack)
{
	int ret = vmcrypt_unwrap(kek->aead, bind, wrapped, dek, extack);

	if (ret == -EKEYREJECTED) {
		totals.stats.auth_failures++;
		vm_stats(bind->vm_id)->auth_failures++;
		trace_vmcrypt_dek_refused(bind->vm_id, bind->volume,
					  bind->kek_id);
	}
	return ret;
}

/**
 * vmcrypt_dek_wrap - wrap a new DEK
 * @bind: what to bind it to; all names valid, the VM need not exist
 * @dek: its VMCRYPT_DEK_LEN bytes; the caller wipes them
 * @wrapped: receives the wrapped DEK
 * @kcv: receives the check value of the KEK
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOKEY when the KEK is not cached, -EINVAL for a DEK that is no
 * key for XTS, -EINTR, or a negative errno of the crypto API.
 */
int vmcrypt_dek_wrap(const struct vmcrypt_bind *bind, const u8 *dek,
		     u8 wrapped[VMCRYPT_WRAPPED_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		     struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	int ret;

	/* NIST SP 800-38E by way of FIPS 140 IG C.I. */
	if (!crypto_memneq(dek, dek + VMCRYPT_DEK_LEN / 2,
			   VMCRYPT_DEK_LEN / 2)) {
		NL_SET_ERR_MSG(extack, "halves of the DEK are the same, which XTS must not have");
		return -EINVAL;
	}
	ret = vmcrypt_wrap_ready();
	if (ret)
		return ret;

	mutex_lock(&tables_lock);
	kek = kek_need(bind->kek_id, extack);
	if (IS_ERR(kek)) {
		ret = PTR_ERR(kek);
		goto out;
	}
	ret = vmcrypt_wrap(kek->aead, bind, dek, wrapped);
	if (ret) {
		NL_SET_ERR_MSG(extack, "DEK cannot be wrapped: the kernel's cipher failed");
		goto out;
	}
	kek_get_kcv(kek, kcv);
	totals.stats.wraps++;
	vm_stats(bind->vm_id)->wraps++;
	trace_vmcrypt_dek_wrap(bind->vm_id, bind->volume, bind->kek_id);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

static struct key *dek_key_new(struct vmcrypt_vm *vm, const char *volume,
			       const u8 *bytes)
{
	char desc[VMCRYPT_DESC_SIZE];
	struct key *key;
	int ret;

	vmcrypt_key_desc(desc, vm->id, volume);
	key = key_alloc(&key_type_logon, desc, GLOBAL_ROOT_UID,
			GLOBAL_ROOT_GID, current_cred(), DEK_PERM,
			KEY_ALLOC_NOT_IN_QUOTA, NULL);
	if (IS_ERR(key))
		return key;
	/* In one step, so that the key has KEEP before anybody can find it. */
	ret = key_instantiate_and_link(key, bytes, VMCRYPT_DEK_LEN, vm->ring,
				       NULL);
	if (ret) {
		key_put(key);
		return ERR_PTR(ret);
	}
	return key;
}

static int dek_insert(struct vmcrypt_vm *vm, struct vmcrypt_kek *kek,
		      const char *volume, const u8 *bytes,
		      struct vmcrypt_loaded *loaded)
{
	size_t len = strlen(volume);
	struct vmcrypt_dek *dek;
	int ret;

	/* Dropped with the DEK: the module stays while one is loaded. */
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	dek = kzalloc(struct_size(dek, volume, len + 1), GFP_KERNEL);
	if (!dek) {
		ret = -ENOMEM;
		goto err_module;
	}
	memcpy(dek->volume, volume, len);
	dek->key = dek_key_new(vm, volume, bytes);
	if (IS_ERR(dek->key)) {
		ret = PTR_ERR(dek->key);
		goto err_free;
	}
	dek_set_kek(dek, kek);
	list_add_tail(&dek->node, &vm->deks);
	vm->volumes++;
	vm->locked = false;
	vm_generation++;
	totals.deks++;
	loaded->key = key_serial(dek->key);
	loaded->ring = key_serial(vm->ring);
	kek_get_kcv(kek, loaded->kcv);
	return 0;

err_free:
	kfree(dek);
err_module:
	module_put(THIS_MODULE);
	return ret;
}

static int vm_check_room(const struct vmcrypt_vm *vm, const char *volume,
			 struct netlink_ext_ack *extack)
{
	if (dek_find(vm, volume)) {
		NL_SET_ERR_MSG(extack, "volume is loaded already; dek-get tells of it");
		return -EEXIST;
	}
	if (vm->volumes >= vmcrypt_max_volumes) {
		NL_SET_ERR_MSG(extack,
			       "VM has too many volumes; unload some, or raise max_volumes");
		return -ENOSPC;
	}
	return 0;
}

/**
 * vmcrypt_dek_load - unwrap a DEK into its VM's keyring
 * @bind: what it is bound to; all names valid
 * @wrapped: wrapped DEK
 * @loaded: receives where it is
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT without the VM, -EEXIST when the volume is loaded,
 * -ENOSPC when the VM has too many, -ENOKEY when the KEK is not cached, the
 * errors of vmcrypt_unwrap(), or -ENOMEM.
 */
int vmcrypt_dek_load(const struct vmcrypt_bind *bind,
		     const u8 wrapped[VMCRYPT_WRAPPED_LEN],
		     struct vmcrypt_loaded *loaded,
		     struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	struct vmcrypt_vm *vm;
	u8 *dek;
	int ret;

	dek = kmalloc(VMCRYPT_DEK_LEN, GFP_KERNEL);
	if (!dek)
		return -ENOMEM;

	mutex_lock(&tables_lock);
	vm = vm_need(bind->vm_id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	ret = vm_check_room(vm, bind->volume, extack);
	if (ret)
		goto out;
	kek = kek_need(bind->kek_id, extack);
	if (IS_ERR(kek)) {
		ret = PTR_ERR(kek);
		goto out;
	}
	ret = dek_unwrap(kek, bind, wrapped, dek, extack);
	if (ret)
		goto out;
	ret = dek_insert(vm, kek, bind->volume, dek, loaded);
	if (ret) {
		NL_SET_ERR_MSG(extack, "key of the DEK cannot be made");
		goto out;
	}
	totals.stats.loads++;
	vm_stats(bind->vm_id)->loads++;
	trace_vmcrypt_dek_load(bind->vm_id, bind->volume, bind->kek_id);
out:
	mutex_unlock(&tables_lock);
	kfree_sensitive(dek);
	return ret;
}

static bool dek_same(const struct vmcrypt_dek *dek, const u8 *bytes)
{
	const struct user_key_payload *payload;
	bool same;

	down_read(&dek->key->sem);
	payload = user_key_payload_locked(dek->key);
	same = payload && payload->datalen == VMCRYPT_DEK_LEN &&
	       !crypto_memneq(payload->data, bytes, VMCRYPT_DEK_LEN);
	up_read(&dek->key->sem);
	return same;
}

/* A loaded DEK is now a user of the KEK that wraps it from now on. */
static void dek_follow(const struct vmcrypt_bind *bind, const u8 *bytes,
		       struct vmcrypt_kek *kek)
{
	struct vmcrypt_vm *vm = vm_find(bind->vm_id);
	struct vmcrypt_dek *dek = vm ? dek_find(vm, bind->volume) : NULL;

	if (dek && dek_same(dek, bytes))
		dek_set_kek(dek, kek);
}

/**
 * vmcrypt_dek_rewrap - wrap a DEK under another KEK
 * @bind: what it is bound to now; all names valid, the VM need not exist
 * @new_id: valid id of the KEK that it is bound to from now on
 * @from: DEK wrapped under the KEK of @bind
 * @to: receives the DEK wrapped under @new_id; may be @from
 * @kcv: receives the check value of the new KEK
 * @extack: receives the reason of a refusal
 *
 * When this very DEK is loaded it is a user of the new KEK from now on.
 *
 * Return: 0, -ENOKEY when one of the KEKs is not cached, the errors of
 * vmcrypt_unwrap(), -EINTR, or a negative errno of the crypto API.
 */
int vmcrypt_dek_rewrap(const struct vmcrypt_bind *bind, const char *new_id,
		       const u8 from[VMCRYPT_WRAPPED_LEN],
		       u8 to[VMCRYPT_WRAPPED_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		       struct netlink_ext_ack *extack)
{
	struct vmcrypt_bind new_bind = *bind;
	struct vmcrypt_kek *old, *new;
	u8 *dek;
	int ret;

	new_bind.kek_id = new_id;
	ret = vmcrypt_wrap_ready();
	if (ret)
		return ret;
	dek = kmalloc(VMCRYPT_DEK_LEN, GFP_KERNEL);
	if (!dek)
		return -ENOMEM;

	mutex_lock(&tables_lock);
	old = kek_need(bind->kek_id, extack);
	if (IS_ERR(old)) {
		ret = PTR_ERR(old);
		goto out;
	}
	/* Not looked up twice: that may drop it, when its lease ends now. */
	new = strcmp(new_id, bind->kek_id) ? kek_live(new_id) : old;
	if (!new) {
		NL_SET_ERR_MSG(extack,
			       "new KEK is not cached; fetch it and put it in with kek-new");
		ret = -ENOKEY;
		goto out;
	}
	ret = dek_unwrap(old, bind, from, dek, extack);
	if (ret)
		goto out;
	ret = vmcrypt_wrap(new->aead, &new_bind, dek, to);
	if (ret) {
		NL_SET_ERR_MSG(extack, "DEK cannot be wrapped: the kernel's cipher failed");
		goto out;
	}
	dek_follow(bind, dek, new);
	kek_get_kcv(new, kcv);
	totals.stats.rewraps++;
	vm_stats(bind->vm_id)->rewraps++;
	trace_vmcrypt_dek_rewrap(bind->vm_id, bind->volume, new_id);
out:
	mutex_unlock(&tables_lock);
	kfree_sensitive(dek);
	return ret;
}

/**
 * vmcrypt_dek_mac - authenticate a digest under a wrapped DEK
 * @bind: what the DEK is bound to; all names valid, the VM need not exist
 * @wrapped: wrapped DEK
 * @digest: digest
 * @digest_len: its length in bytes
 * @mac: receives HMAC-SHA-256 of @digest under a subkey of the DEK
 * @kcv: receives the check value of the KEK
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOKEY when the KEK is not cached, the errors of
 * vmcrypt_unwrap(), or a negative errno of the crypto API.
 */
int vmcrypt_dek_mac(const struct vmcrypt_bind *bind,
		    const u8 wrapped[VMCRYPT_WRAPPED_LEN],
		    const u8 *digest, size_t digest_len,
		    u8 mac[VMCRYPT_MAC_LEN], u8 kcv[VMCRYPT_KCV_LEN],
		    struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	u8 *dek;
	int ret;

	dek = kmalloc(VMCRYPT_DEK_LEN, GFP_KERNEL);
	if (!dek)
		return -ENOMEM;

	mutex_lock(&tables_lock);
	kek = kek_need(bind->kek_id, extack);
	if (IS_ERR(kek)) {
		ret = PTR_ERR(kek);
		goto out;
	}
	ret = dek_unwrap(kek, bind, wrapped, dek, extack);
	if (ret)
		goto out;
	ret = vmcrypt_dek_mac_digest(dek, digest, digest_len, mac);
	if (ret) {
		NL_SET_ERR_MSG(extack, "digest cannot be authenticated: the kernel's hash failed");
		goto out;
	}
	kek_get_kcv(kek, kcv);
	totals.stats.macs++;
	vm_stats(bind->vm_id)->macs++;
	trace_vmcrypt_dek_mac(bind->vm_id, bind->volume, bind->kek_id);
out:
	mutex_unlock(&tables_lock);
	kfree_sensitive(dek);
	return ret;
}

/* The bytes of a loaded DEK; -EKEYREVOKED when somebody was faster. */
static int dek_copy(const struct vmcrypt_dek *dek, u8 *bytes)
{
	const struct user_key_payload *payload;
	int ret = -EKEYREVOKED;

	down_read(&dek->key->sem);
	payload = user_key_payload_locked(dek->key);
	if (payload && payload->datalen == VMCRYPT_DEK_LEN) {
		memcpy(bytes, payload->data, VMCRYPT_DEK_LEN);
		ret = 0;
	}
	up_read(&dek->key->sem);
	return ret;
}

static int dek_seal(const struct vmcrypt_dek *dek, const u8 *vm_id,
		    struct crypto_aead *aead,
		    u8 sealed[VMCRYPT_SEALED_LEN])
{
	struct vmcrypt_bind bind = {
		.kek_id = dek->kek->id,
		.vm_id = vm_id,
		.volume = dek->volume,
	};
	struct vmcrypt_moved_dek moved;
	int ret;

	ret = dek_copy(dek, moved.dek);
	if (!ret) {
		memcpy(moved.kek_check, dek->kek->check,
		       sizeof(moved.kek_check));
		ret = vmcrypt_seal_dek(aead, &bind, &moved, sealed);
	}
	memzero_explicit(&moved, sizeof(moved));
	return ret;
}

/**
 * vmcrypt_dek_export - seal a loaded DEK for another kernel
 * @vm_id: id of its VM
 * @volume: name of its volume
 * @aead: cipher of the migration
 * @kek_id: receives the id of its KEK
 * @sealed: receives the sealed DEK
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT without the VM or when the volume is not loaded, -EINTR,
 * or a negative errno of the crypto API.
 */
int vmcrypt_dek_export(const u8 *vm_id, const char *volume,
		       struct crypto_aead *aead,
		       char kek_id[VMCRYPT_KEK_ID_MAX + 1],
		       u8 sealed[VMCRYPT_SEALED_LEN],
		       struct netlink_ext_ack *extack)
{
	struct vmcrypt_dek *dek;
	struct vmcrypt_vm *vm;
	int ret;

	ret = vmcrypt_wrap_ready();
	if (ret)
		return ret;

	mutex_lock(&tables_lock);
	vm = vm_need(vm_id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	dek = dek_need(vm, volume, extack);
	if (IS_ERR(dek)) {
		ret = PTR_ERR(dek);
		goto out;
	}
	ret = dek_seal(dek, vm_id, aead, sealed);
	if (ret) {
		NL_SET_ERR_MSG(extack, "DEK cannot be sealed: the kernel's cipher failed");
		goto out;
	}
	strscpy(kek_id, dek->kek->id, VMCRYPT_KEK_ID_MAX + 1);
	totals.stats.exports++;
	vm->stats.exports++;
	trace_vmcrypt_dek_export(vm_id, volume, kek_id);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

static int dek_import(struct vmcrypt_vm *vm, const struct vmcrypt_bind *bind,
		      const struct vmcrypt_moved_dek *moved,
		      struct vmcrypt_loaded *loaded,
		      struct netlink_ext_ack *extack)
{
	struct vmcrypt_kek *kek;
	int ret;

	kek = kek_known(bind->kek_id, moved->kek_check, extack);
	if (IS_ERR(kek))
		return PTR_ERR(kek);
	ret = dek_insert(vm, kek, bind->volume, moved->dek, loaded);
	if (ret) {
		NL_SET_ERR_MSG(extack, "key of the DEK cannot be made");
		kek_settle(kek);
	}
	return ret;
}

/**
 * vmcrypt_dek_import - open a DEK from another kernel into its VM's keyring
 * @bind: what it is bound to; all names valid
 * @aead: cipher of the migration
 * @sealed: sealed DEK
 * @loaded: receives where it is
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT without the VM, -EEXIST when the volume is loaded or the
 * KEK has other bytes here, -ENOSPC when the VM has too many, the errors of
 * vmcrypt_open_dek(), or -ENOMEM.
 */
int vmcrypt_dek_import(const struct vmcrypt_bind *bind,
		       struct crypto_aead *aead,
		       const u8 sealed[VMCRYPT_SEALED_LEN],
		       struct vmcrypt_loaded *loaded,
		       struct netlink_ext_ack *extack)
{
	struct vmcrypt_moved_dek moved;
	struct vmcrypt_vm *vm;
	int ret;

	mutex_lock(&tables_lock);
	vm = vm_need(bind->vm_id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	ret = vm_check_room(vm, bind->volume, extack);
	if (ret)
		goto out;
	ret = vmcrypt_open_dek(aead, bind, sealed, &moved, extack);
	if (ret == -EKEYREJECTED) {
		totals.stats.auth_failures++;
		vm->stats.auth_failures++;
		trace_vmcrypt_dek_refused(bind->vm_id, bind->volume,
					  bind->kek_id);
	}
	if (ret)
		goto out;
	ret = dek_import(vm, bind, &moved, loaded, extack);
	memzero_explicit(&moved, sizeof(moved));
	if (ret)
		goto out;
	totals.stats.imports++;
	vm->stats.imports++;
	trace_vmcrypt_dek_import(bind->vm_id, bind->volume, bind->kek_id);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_vm_encrypted - does a VM have DEKs loaded?
 * @id: its id; the VM need not exist
 *
 * Return: true when it has.
 */
bool vmcrypt_vm_encrypted(const u8 *id)
{
	const struct vmcrypt_vm *vm;
	bool encrypted;

	mutex_lock(&tables_lock);
	vm = vm_find(id);
	encrypted = vm && vm->volumes;
	mutex_unlock(&tables_lock);
	return encrypted;
}

/**
 * vmcrypt_dek_del - revoke one loaded DEK
 * @vm_id: id of its VM
 * @volume: name of its volume
 * @extack: receives the reason of a refusal
 *
 * Return: 0, or -ENOENT without the VM or when the volume is not loaded.
 */
int vmcrypt_dek_del(const u8 *vm_id, const char *volume,
		    struct netlink_ext_ack *extack)
{
	struct vmcrypt_dek *dek;
	struct vmcrypt_vm *vm;
	int ret = 0;

	mutex_lock(&tables_lock);
	vm = vm_need(vm_id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	dek = dek_need(vm, volume, extack);
	if (IS_ERR(dek)) {
		ret = PTR_ERR(dek);
		goto out;
	}
	dek_drop(vm, dek, VMCRYPT_REASON_REMOVED);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_dek_show - call a function with a loaded DEK
 * @vm_id: id of its VM
 * @volume: name of its volume
 * @fn: function; must not sleep for long, as all else waits
 * @ctx: for @fn
 * @extack: receives the reason of a refusal
 *
 * Return: what @fn returned, or -ENOENT without the VM or when the volume is
 * not loaded.
 */
int vmcrypt_dek_show(const u8 *vm_id, const char *volume, vmcrypt_dek_fn fn,
		     void *ctx, struct netlink_ext_ack *extack)
{
	struct vmcrypt_dek *dek;
	struct vmcrypt_vm *vm;
	int ret;

	mutex_lock(&tables_lock);
	vm = vm_need(vm_id, extack);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out;
	}
	dek = dek_need(vm, volume, extack);
	ret = IS_ERR(dek) ? PTR_ERR(dek) : fn(vm, dek, ctx);
out:
	mutex_unlock(&tables_lock);
	return ret;
}

/**
 * vmcrypt_totals_get - tell what there is, and the counters
 * @to: receives them
 */
void vmcrypt_totals_get(struct vmcrypt_totals *to)
{
	mutex_lock(&tables_lock);
	/* As a dump has it. */
	keks_lapse();
	*to = totals;
	mutex_unlock(&tables_lock);
}

/**
 * vmcrypt_keyring_init - before the first KEK
 *
 * Return: 0, or -ENOMEM.
 */
int __init vmcrypt_keyring_init(void)
{
	lapse_wq = alloc_workqueue("vmcrypt", WQ_UNBOUND, 0);
	return lapse_wq ? 0 : -ENOMEM;
}

/** vmcrypt_keyring_exit - wipe all; nobody else may be here any more */
void vmcrypt_keyring_exit(void)
{
	struct hlist_node *next;
	struct vmcrypt_kek *kek;
	struct vmcrypt_vm *vm;
	int i;

	mutex_lock(&tables_lock);
	hash_for_each_safe(vms, i, next, vm, node)
		vm_drop(vm);
	hash_for_each_safe(keks, i, next, kek, node)
		kek_drop(kek, VMCRYPT_REASON_REMOVED);
	mutex_unlock(&tables_lock);
	/* Waits for leases that ended meanwhile. */
	destroy_workqueue(lapse_wq);
}
