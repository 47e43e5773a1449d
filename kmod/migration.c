// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migrations: an ephemeral key each, agreed on with the kernel of another host.
 *
 * Until a migration is agreed it belongs to the netlink socket that asked for
 * it. From then on its keys do not change, and who looked it up may use them
 * without a lock; they are wiped with the last reference.
 */

#include <crypto/algapi.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "ecdh.h"
#include "migration.h"
#include "trace.h"
#include "wrap.h"

unsigned int vmcrypt_max_migrations = 256;
module_param_named(max_migrations, vmcrypt_max_migrations, uint, 0444);
MODULE_PARM_DESC(max_migrations, "Limit of migrations");

static DEFINE_MUTEX(migrations_lock);
static LIST_HEAD(migrations);
static u32 count;
static u32 last_id;
static unsigned int generation;

static void migration_free(struct vmcrypt_migration *mig)
{
	if (mig->kpp)
		crypto_free_kpp(mig->kpp);
	if (mig->aead)
		crypto_free_aead(mig->aead);
	kfree_sensitive(mig);
}

static void migration_release(struct kref *ref)
{
	migration_free(container_of(ref, struct vmcrypt_migration, ref));
}

/**
 * vmcrypt_migration_put - drop a reference
 * @mig: the migration
 */
void vmcrypt_migration_put(struct vmcrypt_migration *mig)
{
	kref_put(&mig->ref, migration_release);
}

static struct vmcrypt_migration *find(u32 id)
{
	struct vmcrypt_migration *mig;

	list_for_each_entry(mig, &migrations, node)
		if (mig->id == id)
			return mig;
	return NULL;
}

static struct vmcrypt_migration *need(u32 id, struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig = find(id);

	if (!mig) {
		NL_SET_ERR_MSG(extack, "no such migration; make it with migration-new");
		return ERR_PTR(-ENOENT);
	}
	return mig;
}

/* An agreed migration, with a reference. */
static struct vmcrypt_migration *get_agreed(u32 id,
					    struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;

	mutex_lock(&migrations_lock);
	mig = need(id, extack);
	if (!IS_ERR(mig)) {
		if (mig->agreed) {
			kref_get(&mig->ref);
		} else {
			NL_SET_ERR_MSG(extack,
				       "migration is not agreed; call migration-agree first");
			mig = ERR_PTR(-ENOKEY);
		}
	}
	mutex_unlock(&migrations_lock);
	return mig;
}

static void drop(struct vmcrypt_migration *mig, enum vmcrypt_end reason)
{
	struct vmcrypt_migration_event event = {
		.migration = mig,
		.reason = reason,
	};

	list_del(&mig->node);
	count--;
	generation++;
	trace_vmcrypt_migration_end(mig->id, mig->vm_id, reason);
	blocking_notifier_call_chain(&vmcrypt_events,
				     VMCRYPT_CMD_MIGRATION_END_NTF, &event);
	vmcrypt_migration_put(mig);
}

static struct vmcrypt_migration *
migration_alloc(const struct vmcrypt_migration_new *new)
{
	struct vmcrypt_migration *mig;
	int ret;

	mig = kzalloc(sizeof(*mig), GFP_KERNEL);
	if (!mig)
		return ERR_PTR(-ENOMEM);
	kref_init(&mig->ref);
	memcpy(mig->vm_id, new->vm_id, sizeof(mig->vm_id));
	mig->role = new->role;
	mig->policy = new->policy;
	mig->portid = new->portid;
	mig->kpp = vmcrypt_ecdh_new(NULL, 0, mig->public);
	if (IS_ERR(mig->kpp)) {
		ret = PTR_ERR(mig->kpp);
		kfree(mig);
		return ERR_PTR(ret);
	}
	return mig;
}

static int check_policy(const struct vmcrypt_migration_new *new,
			struct netlink_ext_ack *extack)
{
	if (new->policy == VMCRYPT_POLICY_DISABLED) {
		NL_SET_ERR_MSG(extack, "policy is \"disabled\": there is nothing to agree on");
		return -EINVAL;
	}
	if (new->policy != VMCRYPT_POLICY_REQUIRED &&
	    vmcrypt_vm_encrypted(new->vm_id)) {
		NL_SET_ERR_MSG(extack,
			       "VM has DEKs loaded: its migration policy is \"required\"");
		return -EPERM;
	}
	return 0;
}

/* A number that no migration had before, as long as 2^32 last. */
static u32 next_id(void)
{
	do {
		last_id++;
	} while (!last_id || find(last_id));
	return last_id;
}

/**
 * vmcrypt_migration_add - make an ephemeral key for a migration
 * @new: what it is for
 * @id: receives its number
 * @public: receives the public half of the key
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -EINVAL or -EPERM for a policy that cannot be, -ENOSPC when there
 * are too many, -EINTR, -ENOMEM, or a negative errno of the crypto API.
 */
int vmcrypt_migration_add(const struct vmcrypt_migration_new *new, u32 *id,
			  u8 public[VMCRYPT_PUBLIC_LEN],
			  struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret;

	ret = check_policy(new, extack);
	if (!ret)
		ret = vmcrypt_wrap_ready();
	if (ret)
		return ret;
	/* Before the lock: the crypto API may load a module. */
	mig = migration_alloc(new);
	if (IS_ERR(mig)) {
		NL_SET_ERR_MSG(extack,
			       "ephemeral key cannot be made; is ecdh-nist-p256 there, and memory left?");
		return PTR_ERR(mig);
	}

	mutex_lock(&migrations_lock);
	if (count >= vmcrypt_max_migrations) {
		mutex_unlock(&migrations_lock);
		migration_free(mig);
		NL_SET_ERR_MSG(extack, "too many migrations; delete some, or raise max_migrations");
		return -ENOSPC;
	}
	mig->id = next_id();
	list_add_tail(&mig->node, &migrations);
	count++;
	generation++;
	*id = mig->id;
	memcpy(public, mig->public, VMCRYPT_PUBLIC_LEN);
	trace_vmcrypt_migration_new(mig->id, mig->vm_id, mig->role);
	mutex_unlock(&migrations_lock);
	return 0;
}

static int derive(struct vmcrypt_migration *mig,
		  const struct vmcrypt_agreement *agreement,
		  const u8 shared[VMCRYPT_SECRET_LEN])
{
	bool source = mig->role == VMCRYPT_ROLE_SOURCE;
	struct vmcrypt_transcript transcript = {
		.vm_id = mig->vm_id,
		.policy = mig->policy,
		.source = source ? mig->public : agreement->peer,
		.destination = source ? agreement->peer : mig->public,
		.binding = agreement->binding,
		.binding_len = agreement->binding_len,
	};
	u8 key[VMCRYPT_GCM_KEY_LEN];
	struct crypto_aead *aead;
	int ret;

	ret = vmcrypt_schedule_master(shared, &transcript, mig->master);
	if (!ret)
		ret = vmcrypt_schedule_dek(mig->master, key);
	if (ret)
		goto out;
	aead = vmcrypt_aead_new(key);
	if (IS_ERR(aead))
		ret = PTR_ERR(aead);
	else
		mig->aead = aead;
out:
	memzero_explicit(key, sizeof(key));
	if (ret)
		memzero_explicit(mig->master, sizeof(mig->master));
	return ret;
}

static int check_agree(const struct vmcrypt_migration *mig,
		       const struct vmcrypt_agreement *agreement,
		       struct netlink_ext_ack *extack)
{
	if (mig->agreed) {
		NL_SET_ERR_MSG(extack, "migration is agreed already");
		return -EALREADY;
	}
	if (mig->portid != agreement->portid) {
		NL_SET_ERR_MSG(extack, "migration belongs to the socket that asked for it");
		return -EPERM;
	}
	if (!crypto_memneq(mig->public, agreement->peer, VMCRYPT_PUBLIC_LEN)) {
		NL_SET_ERR_MSG(extack, "public key is our own; exchange the keys first");
		return -EKEYREJECTED;
	}
	return 0;
}

static int agree(struct vmcrypt_migration *mig,
		 const struct vmcrypt_agreement *agreement,
		 struct netlink_ext_ack *extack)
{
	u8 shared[VMCRYPT_SECRET_LEN];
	int ret;

	ret = vmcrypt_ecdh_shared(mig->kpp, agreement->peer, shared);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		NL_SET_ERR_MSG(extack, "public key is not a point of the curve P-256");
		return -EKEYREJECTED;
	}
	ret = derive(mig, agreement, shared);
	memzero_explicit(shared, sizeof(shared));
	if (ret) {
		NL_SET_ERR_MSG(extack, "keys cannot be derived: the hash or cipher failed");
		return ret;
	}
	crypto_free_kpp(mig->kpp);
	mig->kpp = NULL;
	mig->agreed = true;
	return 0;
}

/**
 * vmcrypt_migration_agree - agree on the keys; the private half goes
 * @agreement: what with
 * @extack: receives the reason of a refusal, after which the caller may try
 *	again
 *
 * Return: 0, -ENOENT, -EALREADY, -EPERM for a migration of another socket,
 * -EKEYREJECTED for a public key that is not a good one, -ENOMEM, or a
 * negative errno of the crypto API.
 */
int vmcrypt_migration_agree(const struct vmcrypt_agreement *agreement,
			    struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret;

	mutex_lock(&migrations_lock);
	mig = need(agreement->id, extack);
	if (IS_ERR(mig)) {
		ret = PTR_ERR(mig);
		goto out;
	}
	ret = check_agree(mig, agreement, extack);
	if (!ret)
		ret = agree(mig, agreement, extack);
	if (!ret) {
		generation++;
		trace_vmcrypt_migration_agree(mig->id, mig->vm_id, mig->role);
	}
out:
	mutex_unlock(&migrations_lock);
	return ret;
}

/**
 * vmcrypt_migration_take - take a number for a channel
 * @id: number of the migration
 * @number: number of the channel, which no other gets after that: its keys
 *	hang on it
 * @extack: receives the reason of a refusal
 *
 * Return: the migration, with a reference, or an ERR_PTR: -ENOENT, -ENOKEY
 * before it is agreed, -EEXIST when the number is used up.
 */
struct vmcrypt_migration *
vmcrypt_migration_take(u32 id, u32 number, struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig = get_agreed(id, extack);
	bool used;

	if (IS_ERR(mig))
		return mig;
	mutex_lock(&migrations_lock);
	used = __test_and_set_bit(number, mig->numbers);
	if (!used)
		mig->channels++;
	mutex_unlock(&migrations_lock);
	if (!used)
		return mig;
	NL_SET_ERR_MSG(extack, "number of the channel was in use before; take another");
	vmcrypt_migration_put(mig);
	return ERR_PTR(-EEXIST);
}

/**
 * vmcrypt_migration_give - give back what vmcrypt_migration_take() gave
 * @mig: the migration
 */
void vmcrypt_migration_give(struct vmcrypt_migration *mig)
{
	mutex_lock(&migrations_lock);
	mig->channels--;
	mutex_unlock(&migrations_lock);
	vmcrypt_migration_put(mig);
}

/**
 * vmcrypt_migration_closed - a channel ended, and counts no more
 * @mig: its migration; the reference to it stays
 * @reason: why
 */
void vmcrypt_migration_closed(struct vmcrypt_migration *mig,
			      enum vmcrypt_end reason)
{
	mutex_lock(&migrations_lock);
	if (!mig->closed || mig->end == VMCRYPT_END_COMPLETED)
		mig->end = reason;
	mig->closed = true;
	mig->channels--;
	mutex_unlock(&migrations_lock);
}

/**
 * vmcrypt_migration_del - forget a migration
 * @id: its number
 * @force: also when it has open channels
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT, or -EBUSY when it has open channels.
 */
int vmcrypt_migration_del(u32 id, bool force, struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret = 0;

	mutex_lock(&migrations_lock);
	mig = need(id, extack);
	if (IS_ERR(mig)) {
		ret = PTR_ERR(mig);
	} else if (mig->channels && !force) {
		NL_SET_ERR_MSG(extack, "migration has open channels; wait for their end, or force");
		ret = -EBUSY;
	} else {
		drop(mig, mig->closed && !mig->channels ? mig->end :
		     VMCRYPT_END_REMOVED);
	}
	mutex_unlock(&migrations_lock);
	return ret;
}

/**
 * vmcrypt_migration_show - call a function with a migration
 * @id: its number
 * @fn: function; must not sleep for long, as all else waits
 * @ctx: for @fn
 * @extack: receives the reason of a refusal
 *
 * Return: what @fn returned, or -ENOENT.
 */
int vmcrypt_migration_show(u32 id, vmcrypt_migration_fn fn, void *ctx,
			   struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret;

	mutex_lock(&migrations_lock);
	mig = need(id, extack);
	ret = IS_ERR(mig) ? PTR_ERR(mig) : fn(mig, ctx);
	mutex_unlock(&migrations_lock);
	return ret;
}

/**
 * vmcrypt_migration_walk - call a function with all migrations
 * @cursor: where to start; tells where to go on when @fn stopped the walk
 * @gen: receives a number that grows with each change
 * @fn: function; returns other than 0 to stop before the migration it got
 * @ctx: for @fn
 *
 * Return: 0 at the end, else what @fn returned.
 */
int vmcrypt_migration_walk(struct vmcrypt_cursor *cursor, unsigned int *gen,
			   vmcrypt_migration_fn fn, void *ctx)
{
	const struct vmcrypt_migration *mig;
	unsigned long i = 0;
	int ret = 0;

	mutex_lock(&migrations_lock);
	*gen = generation;
	list_for_each_entry(mig, &migrations, node) {
		if (i++ < cursor->skip)
			continue;
		ret = fn(mig, ctx);
		if (ret)
			break;
		cursor->skip = i;
	}
	mutex_unlock(&migrations_lock);
	return ret;
}

/* An agreed migration that may move DEKs of a VM, with a reference. */
static struct vmcrypt_migration *get_mover(u32 id, const u8 *vm_id,
					   enum vmcrypt_role role,
					   struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig = get_agreed(id, extack);

	if (IS_ERR(mig))
		return mig;
	if (memcmp(mig->vm_id, vm_id, sizeof(mig->vm_id)))
		NL_SET_ERR_MSG(extack, "migration is of another VM");
	else if (mig->role != role)
		NL_SET_ERR_MSG(extack, "DEKs go from the source to the destination only");
	else if (mig->policy != VMCRYPT_POLICY_REQUIRED)
		NL_SET_ERR_MSG(extack, "DEKs go only where the policy is \"required\"");
	else
		return mig;
	vmcrypt_migration_put(mig);
	return ERR_PTR(-EPERM);
}

/**
 * vmcrypt_migration_export - seal a loaded DEK for the other end
 * @id: number of the migration
 * @vm_id: id of the VM
 * @volume: name of the volume
 * @kek_id: receives the id of the DEK's KEK
 * @sealed: receives the sealed DEK
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT, -ENOKEY before it is agreed, -EPERM when it is not the
 * source of a required migration of this VM, or the errors of
 * vmcrypt_dek_export().
 */
int vmcrypt_migration_export(u32 id, const u8 *vm_id, const char *volume,
			     char kek_id[VMCRYPT_KEK_ID_MAX + 1],
			     u8 sealed[VMCRYPT_SEALED_LEN],
			     struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret;

	mig = get_mover(id, vm_id, VMCRYPT_ROLE_SOURCE, extack);
	if (IS_ERR(mig))
		return PTR_ERR(mig);
	ret = vmcrypt_dek_export(vm_id, volume, mig->aead, kek_id, sealed,
				 extack);
	vmcrypt_migration_put(mig);
	return ret;
}

/**
 * vmcrypt_migration_import - open a sealed DEK from the other end
 * @id: number of the migration
 * @bind: what the DEK is bound to; all names valid
 * @sealed: sealed DEK
 * @loaded: receives where it is
 * @extack: receives the reason of a refusal
 *
 * Return: 0, -ENOENT, -ENOKEY before it is agreed, -EPERM when it is not the
 * destination of a required migration of this VM, or the errors of
 * vmcrypt_dek_import().
 */
int vmcrypt_migration_import(u32 id, const struct vmcrypt_bind *bind,
			     const u8 sealed[VMCRYPT_SEALED_LEN],
			     struct vmcrypt_loaded *loaded,
			     struct netlink_ext_ack *extack)
{
	struct vmcrypt_migration *mig;
	int ret;

	mig = get_mover(id, bind->vm_id, VMCRYPT_ROLE_DESTINATION, extack);
	if (IS_ERR(mig))
		return PTR_ERR(mig);
	ret = vmcrypt_dek_import(bind, mig->aead, sealed, loaded, extack);
	vmcrypt_migration_put(mig);
	return ret;
}

/**
 * vmcrypt_migration_orphan - forget what only a closed socket could finish
 * @portid: the socket
 */
void vmcrypt_migration_orphan(u32 portid)
{
	struct vmcrypt_migration *mig, *next;

	mutex_lock(&migrations_lock);
	list_for_each_entry_safe(mig, next, &migrations, node)
		if (!mig->agreed && mig->portid == portid)
			drop(mig, VMCRYPT_END_OWNER_DIED);
	mutex_unlock(&migrations_lock);
}

/**
 * vmcrypt_migrations - how many there are
 *
 * Return: their number.
 */
u32 vmcrypt_migrations(void)
{
	u32 ret;

	mutex_lock(&migrations_lock);
	ret = count;
	mutex_unlock(&migrations_lock);
	return ret;
}

static int socket_closed(struct notifier_block *nb, unsigned long event,
			 void *data)
{
	const struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC &&
	    net_eq(notify->net, &init_net))
		vmcrypt_migration_orphan(notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block socket_nb = { .notifier_call = socket_closed };

/**
 * vmcrypt_migration_init - before the first migration
 *
 * Return: 0, or a negative errno.
 */
int __init vmcrypt_migration_init(void)
{
	return netlink_register_notifier(&socket_nb);
}

/** vmcrypt_migration_exit - wipe all; nobody else may be here any more */
void vmcrypt_migration_exit(void)
{
	struct vmcrypt_migration *mig, *next;

	netlink_unregister_notifier(&socket_nb);
	mutex_lock(&migrations_lock);
	list_for_each_entry_safe(mig, next, &migrations, node)
		drop(mig, VMCRYPT_END_REMOVED);
	mutex_unlock(&migrations_lock);
}
