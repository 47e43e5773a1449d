// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: thin handlers.
 *
 * The uapi header is made from Documentation/netlink/specs/vmcrypt.yaml. The
 * tables here follow the same spec, but by hand: what the kernel's generator
 * makes of it are split ops, which kernel 6.1 does not have.
 */

#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <uapi/linux/vmcrypt.h>

#include "channel.h"
#include "keyring.h"
#include "migration.h"
#include "name.h"
#include "netlink.h"
#include "version.h"
#include "wrap.h"

#define KEK_ID_POLICY	{ .type = NLA_NUL_STRING, .len = VMCRYPT_KEK_ID_MAX }
#define VOLUME_POLICY	{ .type = NLA_NUL_STRING, .len = VMCRYPT_VOLUME_MAX }
#define VM_ID_POLICY	NLA_POLICY_EXACT_LEN(VMCRYPT_VM_ID_LEN)
#define WRAPPED_POLICY	NLA_POLICY_EXACT_LEN(VMCRYPT_WRAPPED_LEN)
#define ID_POLICY	NLA_POLICY_MIN(NLA_U32, 1)
#define NUMBER_POLICY	NLA_POLICY_MAX(NLA_U32, VMCRYPT_CHANNEL_MAX)
/* The special serials, such as that of the session keyring, are below 1. */
#define SERIAL_POLICY	NLA_POLICY_MIN(NLA_S32, 1)

static const struct nla_policy kek_new_policy[] = {
	[VMCRYPT_A_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_KEK_KEY_SERIAL] = SERIAL_POLICY,
	[VMCRYPT_A_KEK_LEASE] = { .type = NLA_U32 },
};

static const struct nla_policy kek_get_policy[] = {
	[VMCRYPT_A_KEK_ID] = KEK_ID_POLICY,
};

static const struct nla_policy kek_del_policy[] = {
	[VMCRYPT_A_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_KEK_FORCE] = { .type = NLA_FLAG },
};

static const struct nla_policy vm_policy[] = {
	[VMCRYPT_A_VM_ID] = VM_ID_POLICY,
};

static const struct nla_policy vm_del_policy[] = {
	[VMCRYPT_A_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_VM_FORCE] = { .type = NLA_FLAG },
};

static const struct nla_policy dek_wrap_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_KEY_SERIAL] = SERIAL_POLICY,
};

static const struct nla_policy dek_load_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_WRAPPED] = WRAPPED_POLICY,
};

static const struct nla_policy dek_rewrap_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_NEW_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_WRAPPED] = WRAPPED_POLICY,
};

static const struct nla_policy dek_mac_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_WRAPPED] = WRAPPED_POLICY,
	[VMCRYPT_A_DEK_DIGEST] =
		NLA_POLICY_RANGE(NLA_BINARY, 1, VMCRYPT_DIGEST_MAX),
};

static const struct nla_policy dek_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
};

static const struct nla_policy dek_export_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_MIGRATION] = ID_POLICY,
};

static const struct nla_policy dek_import_policy[] = {
	[VMCRYPT_A_DEK_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_DEK_VOLUME] = VOLUME_POLICY,
	[VMCRYPT_A_DEK_KEK_ID] = KEK_ID_POLICY,
	[VMCRYPT_A_DEK_MIGRATION] = ID_POLICY,
	[VMCRYPT_A_DEK_SEALED] = NLA_POLICY_EXACT_LEN(VMCRYPT_SEALED_LEN),
};

static const struct nla_policy migration_new_policy[] = {
	[VMCRYPT_A_MIGRATION_VM_ID] = VM_ID_POLICY,
	[VMCRYPT_A_MIGRATION_ROLE] =
		NLA_POLICY_MAX(NLA_U32, VMCRYPT_ROLE_DESTINATION),
	[VMCRYPT_A_MIGRATION_POLICY] =
		NLA_POLICY_MAX(NLA_U32, VMCRYPT_POLICY_REQUIRED),
};

static const struct nla_policy migration_agree_policy[] = {
	[VMCRYPT_A_MIGRATION_ID] = ID_POLICY,
	[VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY] =
		NLA_POLICY_EXACT_LEN(VMCRYPT_PUBLIC_LEN),
	[VMCRYPT_A_MIGRATION_BINDING] =
		NLA_POLICY_RANGE(NLA_BINARY, VMCRYPT_BINDING_MIN,
				 VMCRYPT_BINDING_MAX),
};

static const struct nla_policy migration_policy[] = {
	[VMCRYPT_A_MIGRATION_ID] = ID_POLICY,
};

static const struct nla_policy migration_del_policy[] = {
	[VMCRYPT_A_MIGRATION_ID] = ID_POLICY,
	[VMCRYPT_A_MIGRATION_FORCE] = { .type = NLA_FLAG },
};

static const struct nla_policy channel_new_policy[] = {
	[VMCRYPT_A_CHANNEL_MIGRATION] = ID_POLICY,
	[VMCRYPT_A_CHANNEL_NUMBER] = NUMBER_POLICY,
	[VMCRYPT_A_CHANNEL_WIRE_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[VMCRYPT_A_CHANNEL_PLAIN_FD] = NLA_POLICY_MIN(NLA_S32, 0),
};

static const struct nla_policy channel_policy[] = {
	[VMCRYPT_A_CHANNEL_MIGRATION] = ID_POLICY,
	[VMCRYPT_A_CHANNEL_NUMBER] = NUMBER_POLICY,
};

/* What a request names */

#define missing(info, attr, what)					\
({									\
	struct genl_info *_info = (info);				\
	int _attr = (attr);						\
	bool _missing = !_info->attrs[_attr];				\
									\
	if (_missing) {							\
		NL_SET_ERR_ATTR_MISS(_info->extack, NULL, _attr);	\
		NL_SET_ERR_MSG(_info->extack, what " is missing");	\
	}								\
	_missing;							\
})

/* NLA_NUL_STRING lets bytes after the NUL pass. */
static bool one_string(const struct nlattr *attr)
{
	return nla_len(attr) == strlen(nla_data(attr)) + 1;
}

static const char *get_kek_id(struct genl_info *info, int attr)
{
	struct nlattr *nla = info->attrs[attr];

	if (missing(info, attr, "KEK id"))
		return NULL;
	if (!one_string(nla) || !vmcrypt_kek_id_valid(nla_data(nla))) {
		NL_SET_ERR_MSG_ATTR(info->extack, nla,
				    "KEK id is not \"provider/key-id\", ASCII without ' ' and ':'");
		return NULL;
	}
	return nla_data(nla);
}

static const u8 *get_vm_id(struct genl_info *info, int attr)
{
	struct nlattr *nla = info->attrs[attr];

	if (missing(info, attr, "VM id"))
		return NULL;
	if (!vmcrypt_vm_id_valid(nla_data(nla))) {
		NL_SET_ERR_MSG_ATTR(info->extack, nla, "VM id is not valid: it is the nil UUID");
		return NULL;
	}
	return nla_data(nla);
}

static const char *get_volume(struct genl_info *info)
{
	struct nlattr *nla = info->attrs[VMCRYPT_A_DEK_VOLUME];

	if (missing(info, VMCRYPT_A_DEK_VOLUME, "volume name"))
		return NULL;
	if (!one_string(nla) || !vmcrypt_volume_valid(nla_data(nla))) {
		NL_SET_ERR_MSG_ATTR(info->extack, nla,
				    "volume name may have [A-Za-z0-9._-] and no leading dot");
		return NULL;
	}
	return nla_data(nla);
}

static int get_bind(struct genl_info *info, struct vmcrypt_bind *bind)
{
	bind->vm_id = get_vm_id(info, VMCRYPT_A_DEK_VM_ID);
	if (!bind->vm_id)
		return -EINVAL;
	bind->volume = get_volume(info);
	if (!bind->volume)
		return -EINVAL;
	bind->kek_id = get_kek_id(info, VMCRYPT_A_DEK_KEK_ID);
	return bind->kek_id ? 0 : -EINVAL;
}

/* get_bind(), and the wrapped DEK. */
static int get_wrapped(struct genl_info *info, struct vmcrypt_bind *bind,
		       const u8 **wrapped)
{
	int ret = get_bind(info, bind);

	if (ret)
		return ret;
	if (missing(info, VMCRYPT_A_DEK_WRAPPED, "wrapped DEK"))
		return -EINVAL;
	*wrapped = nla_data(info->attrs[VMCRYPT_A_DEK_WRAPPED]);
	return 0;
}

/* The bytes of the key that a request names; free with kfree_sensitive(). */
static u8 *get_key(struct genl_info *info, int attr, size_t len)
{
	u8 *bytes;
	int ret;

	if (missing(info, attr, "serial number of the \"logon\" key"))
		return ERR_PTR(-EINVAL);
	bytes = kmalloc(len, GFP_KERNEL);
	if (!bytes)
		return ERR_PTR(-ENOMEM);
	ret = vmcrypt_copy_key(nla_get_s32(info->attrs[attr]), bytes, len,
			       info->extack);
	if (ret) {
		NL_SET_BAD_ATTR(info->extack, info->attrs[attr]);
		kfree_sensitive(bytes);
		return ERR_PTR(ret);
	}
	return bytes;
}

/* Replies */

struct reply {
	struct sk_buff *skb;
	void *head;
};

/*
 * Made before the work is done, so that nothing is done whose result cannot be
 * told.
 */
static int reply_new(struct reply *reply, struct genl_info *info, size_t size)
{
	reply->skb = genlmsg_new(size, GFP_KERNEL);
	if (!reply->skb)
		return -ENOMEM;
	reply->head = genlmsg_put_reply(reply->skb, info, &vmcrypt_family, 0,
					info->genlhdr->cmd);
	if (!reply->head) {
		nlmsg_free(reply->skb);
		return -EMSGSIZE;
	}
	return 0;
}

/* Send the reply, or drop it when the work failed; then say why, at least. */
static int reply_end(struct reply *reply, struct genl_info *info, int ret)
{
	if (!ret) {
		genlmsg_end(reply->skb, reply->head);
		return genlmsg_reply(reply->skb, info);
	}
	nlmsg_free(reply->skb);
	return ret;
}

/* The last step of every handler: no refusal without a text. */
static int explain(struct genl_info *info, int ret)
{
	if (!ret || info->extack->_msg)
		return ret;
	if (ret == -ENOMEM)
		NL_SET_ERR_MSG(info->extack, "kernel has no memory for it");
	else
		NL_SET_ERR_MSG(info->extack, "kernel failed at it; see the error number");
	return ret;
}

static size_t stats_size(void)
{
	return nla_total_size(sizeof(struct vmcrypt_stats) / sizeof(u64) *
			      nla_total_size_64bit(sizeof(u64)));
}

static int put_stat(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, VMCRYPT_A_STATS_PAD);
}

static int put_stats(struct sk_buff *skb, int attr,
		     const struct vmcrypt_stats *stats, bool whole)
{
	struct nlattr *nest = nla_nest_start(skb, attr);

	if (!nest ||
	    put_stat(skb, VMCRYPT_A_STATS_WRAPS, stats->wraps) ||
	    put_stat(skb, VMCRYPT_A_STATS_LOADS, stats->loads) ||
	    put_stat(skb, VMCRYPT_A_STATS_REWRAPS, stats->rewraps) ||
	    put_stat(skb, VMCRYPT_A_STATS_MACS, stats->macs) ||
	    put_stat(skb, VMCRYPT_A_STATS_AUTH_FAILURES,
		     stats->auth_failures))
		return -EMSGSIZE;
	if (whole && put_stat(skb, VMCRYPT_A_STATS_LEASE_ENDS,
			      stats->lease_ends))
		return -EMSGSIZE;
	if (put_stat(skb, VMCRYPT_A_STATS_EXPORTS, stats->exports) ||
	    put_stat(skb, VMCRYPT_A_STATS_IMPORTS, stats->imports))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* info */

static int put_info(struct sk_buff *skb)
{
	static const u8 any_key[VMCRYPT_KEK_LEN];
	struct vmcrypt_totals totals;
	struct crypto_aead *aead;
	const char *driver;
	int ret = 0;

	aead = vmcrypt_aead_new(any_key);
	if (IS_ERR(aead))
		return PTR_ERR(aead);
	driver = crypto_tfm_alg_driver_name(crypto_aead_tfm(aead));
	vmcrypt_totals_get(&totals);
	if (nla_put_string(skb, VMCRYPT_A_INFO_MODULE_VERSION,
			   VMCRYPT_VERSION) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_PROTOCOL_VERSION,
			VMCRYPT_PROTOCOL_VERSION) ||
	    nla_put_string(skb, VMCRYPT_A_INFO_WRAP_CIPHER, driver) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MAX_KEKS, vmcrypt_max_keks) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MAX_VMS, vmcrypt_max_vms) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MAX_VOLUMES,
			vmcrypt_max_volumes) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_KEKS, totals.keks) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_VMS, totals.vms) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_DEKS, totals.deks) ||
	    put_stats(skb, VMCRYPT_A_INFO_STATS, &totals.stats, true) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MAX_MIGRATIONS,
			vmcrypt_max_migrations) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MIGRATIONS,
			vmcrypt_migrations()) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_MAX_CHANNELS,
			vmcrypt_max_channels) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_CHANNELS, vmcrypt_channels()) ||
	    nla_put_u32(skb, VMCRYPT_A_INFO_RECORD_MAX,
			vmcrypt_channel_record()))
		ret = -EMSGSIZE;
	crypto_free_aead(aead);
	return ret;
}

static int info_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, NLMSG_DEFAULT_SIZE);
	if (!ret)
		ret = reply_end(&reply, info, put_info(reply.skb));
	return explain(info, ret);
}

/* kek */

static size_t kek_size(void)
{
	return nla_total_size(VMCRYPT_KEK_ID_MAX + 1) +
	       nla_total_size(VMCRYPT_KCV_LEN) +
	       3 * nla_total_size(sizeof(u32));
}

static int kek_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *lease = info->attrs[VMCRYPT_A_KEK_LEASE];
	u8 kcv[VMCRYPT_KCV_LEN];
	const char *id;
	u8 *bytes;
	int ret;

	id = get_kek_id(info, VMCRYPT_A_KEK_ID);
	if (!id)
		return -EINVAL;
	bytes = get_key(info, VMCRYPT_A_KEK_KEY_SERIAL, VMCRYPT_KEK_LEN);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	ret = vmcrypt_kek_add(id, bytes,
			      ktime_set(lease ? nla_get_u32(lease) : 0, 0),
			      kcv, info->extack);
	kfree_sensitive(bytes);
	if (ret)
		return ret;
	if (nla_put_string(skb, VMCRYPT_A_KEK_ID, id) ||
	    nla_put(skb, VMCRYPT_A_KEK_KCV, sizeof(kcv), kcv))
		return -EMSGSIZE;
	return 0;
}

static int kek_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, kek_size());
	if (!ret)
		ret = reply_end(&reply, info, kek_new(reply.skb, info));
	return explain(info, ret);
}

static int put_kek(const struct vmcrypt_kek *kek, struct sk_buff *skb)
{
	if (nla_put_string(skb, VMCRYPT_A_KEK_ID, kek->id) ||
	    nla_put_u32(skb, VMCRYPT_A_KEK_USERS, kek->users) ||
	    nla_put(skb, VMCRYPT_A_KEK_KCV, VMCRYPT_KCV_LEN, kek->check))
		return -EMSGSIZE;
	if (kek->lease_end && nla_put_u32(skb, VMCRYPT_A_KEK_LEASE_LEFT,
					  vmcrypt_kek_lease_left(kek)))
		return -EMSGSIZE;
	return 0;
}

static int kek_show(const struct vmcrypt_kek *kek, void *ctx)
{
	return put_kek(kek, ctx);
}

static int kek_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	const char *id;
	int ret;

	id = get_kek_id(info, VMCRYPT_A_KEK_ID);
	if (!id)
		return -EINVAL;
	ret = reply_new(&reply, info, kek_size());
	if (ret)
		return explain(info, ret);
	ret = vmcrypt_kek_show(id, kek_show, reply.skb, info->extack);
	return explain(info, reply_end(&reply, info, ret));
}

static int kek_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *id = get_kek_id(info, VMCRYPT_A_KEK_ID);

	if (!id)
		return -EINVAL;
	return vmcrypt_kek_del(id, info->attrs[VMCRYPT_A_KEK_FORCE],
			       info->extack);
}

/* Dumps */

struct dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	u8 cmd;
};

static struct vmcrypt_cursor *dump_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct vmcrypt_cursor) > sizeof(cb->ctx));
	return (struct vmcrypt_cursor *)cb->ctx;
}

static int dump_start(struct netlink_callback *cb)
{
	if (!nlmsg_attrlen(cb->nlh, GENL_HDRLEN))
		return 0;
	NL_SET_ERR_MSG(cb->extack, "a dump takes no attributes; ask for one without NLM_F_DUMP");
	return -EINVAL;
}

static void *dump_put(struct dump *dump)
{
	return genlmsg_put(dump->skb, NETLINK_CB(dump->cb->skb).portid,
			   dump->cb->nlh->nlmsg_seq, &vmcrypt_family,
			   NLM_F_MULTI, dump->cmd);
}

/* Ends a message of a dump: marks it when the table has changed meanwhile. */
static int dump_end(struct dump *dump, void *head, int ret)
{
	if (ret) {
		genlmsg_cancel(dump->skb, head);
		return ret;
	}
	genl_dump_check_consistent(dump->cb, head);
	genlmsg_end(dump->skb, head);
	return 0;
}

/* A dump that stopped because the buffer is full goes on in the next one. */
static int dump_done(struct dump *dump, int ret)
{
	if (ret && !dump->skb->len)
		return ret;
	return dump->skb->len;
}

static int kek_dump(const struct vmcrypt_kek *kek, void *ctx)
{
	struct dump *dump = ctx;
	void *head = dump_put(dump);

	return head ? dump_end(dump, head, put_kek(kek, dump->skb)) :
		      -EMSGSIZE;
}

static int kek_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump dump = { .skb = skb, .cb = cb, .cmd = VMCRYPT_CMD_KEK_GET };

	return dump_done(&dump, vmcrypt_kek_walk(dump_cursor(cb), &cb->seq,
						 kek_dump, &dump));
}

/* vm */

static size_t volume_size(void)
{
	return nla_total_size(nla_total_size(VMCRYPT_VOLUME_MAX + 1) +
			      nla_total_size(VMCRYPT_KEK_ID_MAX + 1) +
			      nla_total_size(sizeof(s32)) +
			      nla_total_size(VMCRYPT_DESC_SIZE));
}

static size_t vm_size(void)
{
	return nla_total_size(VMCRYPT_VM_ID_LEN) +
	       nla_total_size(sizeof(s32)) + nla_total_size(0) +
	       nla_total_size(sizeof(u32)) + stats_size();
}

static int put_vm(const struct vmcrypt_vm *vm, struct sk_buff *skb)
{
	if (nla_put(skb, VMCRYPT_A_VM_ID, VMCRYPT_VM_ID_LEN, vm->id) ||
	    nla_put_s32(skb, VMCRYPT_A_VM_KEYRING, key_serial(vm->ring)) ||
	    (vm->locked && nla_put_flag(skb, VMCRYPT_A_VM_LOCKED)) ||
	    nla_put_u32(skb, VMCRYPT_A_VM_VOLUMES, vm->volumes))
		return -EMSGSIZE;
	return put_stats(skb, VMCRYPT_A_VM_STATS, &vm->stats, false);
}

static int put_volume(const struct vmcrypt_dek *dek, struct sk_buff *skb)
{
	struct nlattr *nest = nla_nest_start(skb, VMCRYPT_A_VM_VOLUME);

	if (!nest ||
	    nla_put_string(skb, VMCRYPT_A_VOLUME_NAME, dek->volume) ||
	    nla_put_string(skb, VMCRYPT_A_VOLUME_KEK_ID, dek->kek->id) ||
	    nla_put_s32(skb, VMCRYPT_A_VOLUME_KEY_SERIAL,
			key_serial(dek->key)) ||
	    nla_put_string(skb, VMCRYPT_A_VOLUME_KEY_DESC,
			   dek->key->description))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int vm_new(struct sk_buff *skb, struct genl_info *info)
{
	key_serial_t ring;
	const u8 *id;
	int ret;

	id = get_vm_id(info, VMCRYPT_A_VM_ID);
	if (!id)
		return -EINVAL;
	ret = vmcrypt_vm_add(id, &ring, info->extack);
	if (ret)
		return ret;
	if (nla_put(skb, VMCRYPT_A_VM_ID, VMCRYPT_VM_ID_LEN, id) ||
	    nla_put_s32(skb, VMCRYPT_A_VM_KEYRING, ring))
		return -EMSGSIZE;
	return 0;
}

static int vm_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, vm_size());
	if (!ret)
		ret = reply_end(&reply, info, vm_new(reply.skb, info));
	return explain(info, ret);
}

/* Makes the reply itself, as its size hangs on the number of volumes. */
static int vm_show(const struct vmcrypt_vm *vm, void *ctx)
{
	const struct vmcrypt_dek *dek;
	struct genl_info *info = ctx;
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info,
			vm_size() + vm->volumes * volume_size());
	if (ret)
		return ret;
	ret = put_vm(vm, reply.skb);
	list_for_each_entry(dek, &vm->deks, node) {
		if (ret)
			break;
		ret = put_volume(dek, reply.skb);
	}
	return reply_end(&reply, info, ret);
}

static int vm_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	const u8 *id = get_vm_id(info, VMCRYPT_A_VM_ID);

	if (!id)
		return -EINVAL;
	return explain(info, vmcrypt_vm_show(id, vm_show, info, info->extack));
}

static int vm_dump(const struct vmcrypt_vm *vm, void *ctx)
{
	struct dump *dump = ctx;
	void *head = dump_put(dump);

	return head ? dump_end(dump, head, put_vm(vm, dump->skb)) : -EMSGSIZE;
}

static int vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump dump = { .skb = skb, .cb = cb, .cmd = VMCRYPT_CMD_VM_GET };

	return dump_done(&dump, vmcrypt_vm_walk(dump_cursor(cb), &cb->seq,
						vm_dump, &dump));
}

static int vm_lock_doit(struct sk_buff *skb, struct genl_info *info)
{
	const u8 *id = get_vm_id(info, VMCRYPT_A_VM_ID);

	return id ? vmcrypt_vm_lock(id, info->extack) : -EINVAL;
}

static int vm_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	const u8 *id = get_vm_id(info, VMCRYPT_A_VM_ID);

	if (!id)
		return -EINVAL;
	return vmcrypt_vm_del(id, info->attrs[VMCRYPT_A_VM_FORCE],
			      info->extack);
}

/* dek */

static size_t dek_size(void)
{
	return nla_total_size(VMCRYPT_VM_ID_LEN) +
	       nla_total_size(VMCRYPT_VOLUME_MAX + 1) +
	       nla_total_size(VMCRYPT_KEK_ID_MAX + 1) +
	       nla_total_size(VMCRYPT_SEALED_LEN) +
	       nla_total_size(VMCRYPT_MAC_LEN) +
	       nla_total_size(VMCRYPT_KCV_LEN) +
	       nla_total_size(VMCRYPT_DESC_SIZE) +
	       3 * nla_total_size(sizeof(s32));
}

/* The handlers below only differ in what they put into the reply. */
static int dek_doit(struct genl_info *info,
		    int (*work)(struct sk_buff *skb, struct genl_info *info))
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, dek_size());
	if (!ret)
		ret = reply_end(&reply, info, work(reply.skb, info));
	return explain(info, ret);
}

static int put_wrapped(struct sk_buff *skb, const u8 *wrapped, const u8 *kcv)
{
	if (nla_put(skb, VMCRYPT_A_DEK_WRAPPED, VMCRYPT_WRAPPED_LEN,
		    wrapped) ||
	    nla_put(skb, VMCRYPT_A_DEK_KCV, VMCRYPT_KCV_LEN, kcv))
		return -EMSGSIZE;
	return 0;
}

static int dek_wrap(struct sk_buff *skb, struct genl_info *info)
{
	u8 wrapped[VMCRYPT_WRAPPED_LEN], kcv[VMCRYPT_KCV_LEN];
	struct vmcrypt_bind bind;
	u8 *dek;
	int ret;

	ret = get_bind(info, &bind);
	if (ret)
		return ret;
	dek = get_key(info, VMCRYPT_A_DEK_KEY_SERIAL, VMCRYPT_DEK_LEN);
	if (IS_ERR(dek))
		return PTR_ERR(dek);
	ret = vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, info->extack);
	kfree_sensitive(dek);
	return ret ?: put_wrapped(skb, wrapped, kcv);
}

static int dek_wrap_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_wrap);
}

static int put_dek(struct sk_buff *skb, const u8 *vm_id, const char *volume,
		   key_serial_t key, key_serial_t ring)
{
	char desc[VMCRYPT_DESC_SIZE];

	vmcrypt_key_desc(desc, vm_id, volume);
	if (nla_put(skb, VMCRYPT_A_DEK_VM_ID, VMCRYPT_VM_ID_LEN, vm_id) ||
	    nla_put_string(skb, VMCRYPT_A_DEK_VOLUME, volume) ||
	    nla_put_s32(skb, VMCRYPT_A_DEK_KEY_SERIAL, key) ||
	    nla_put_string(skb, VMCRYPT_A_DEK_KEY_DESC, desc) ||
	    nla_put_s32(skb, VMCRYPT_A_DEK_KEYRING, ring))
		return -EMSGSIZE;
	return 0;
}

static int put_loaded(struct sk_buff *skb, const struct vmcrypt_bind *bind,
		      const struct vmcrypt_loaded *loaded)
{
	int ret;

	ret = put_dek(skb, bind->vm_id, bind->volume, loaded->key,
		      loaded->ring);
	if (ret)
		return ret;
	return nla_put(skb, VMCRYPT_A_DEK_KCV, sizeof(loaded->kcv),
		       loaded->kcv);
}

static int dek_load(struct sk_buff *skb, struct genl_info *info)
{
	struct vmcrypt_loaded loaded;
	struct vmcrypt_bind bind;
	const u8 *wrapped;
	int ret;

	ret = get_wrapped(info, &bind, &wrapped);
	if (ret)
		return ret;
	ret = vmcrypt_dek_load(&bind, wrapped, &loaded, info->extack);
	return ret ?: put_loaded(skb, &bind, &loaded);
}

static int dek_load_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_load);
}

static int dek_rewrap(struct sk_buff *skb, struct genl_info *info)
{
	u8 to[VMCRYPT_WRAPPED_LEN], kcv[VMCRYPT_KCV_LEN];
	struct vmcrypt_bind bind;
	const char *new_id;
	const u8 *from;
	int ret;

	ret = get_wrapped(info, &bind, &from);
	if (ret)
		return ret;
	new_id = get_kek_id(info, VMCRYPT_A_DEK_NEW_KEK_ID);
	if (!new_id)
		return -EINVAL;
	ret = vmcrypt_dek_rewrap(&bind, new_id, from, to, kcv, info->extack);
	return ret ?: put_wrapped(skb, to, kcv);
}

static int dek_rewrap_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_rewrap);
}

static int dek_mac(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *digest = info->attrs[VMCRYPT_A_DEK_DIGEST];
	u8 mac[VMCRYPT_MAC_LEN], kcv[VMCRYPT_KCV_LEN];
	struct vmcrypt_bind bind;
	const u8 *wrapped;
	int ret;

	ret = get_wrapped(info, &bind, &wrapped);
	if (ret)
		return ret;
	if (missing(info, VMCRYPT_A_DEK_DIGEST, "digest"))
		return -EINVAL;
	ret = vmcrypt_dek_mac(&bind, wrapped, nla_data(digest),
			      nla_len(digest), mac, kcv, info->extack);
	if (ret)
		return ret;
	if (nla_put(skb, VMCRYPT_A_DEK_MAC, sizeof(mac), mac) ||
	    nla_put(skb, VMCRYPT_A_DEK_KCV, sizeof(kcv), kcv))
		return -EMSGSIZE;
	return 0;
}

static int dek_mac_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_mac);
}

static int dek_show(const struct vmcrypt_vm *vm, const struct vmcrypt_dek *dek,
		    void *ctx)
{
	struct sk_buff *skb = ctx;

	if (nla_put_string(skb, VMCRYPT_A_DEK_KEK_ID, dek->kek->id))
		return -EMSGSIZE;
	return put_dek(skb, vm->id, dek->volume, key_serial(dek->key),
		       key_serial(vm->ring));
}

static int dek_get(struct sk_buff *skb, struct genl_info *info)
{
	const char *volume;
	const u8 *vm_id;

	vm_id = get_vm_id(info, VMCRYPT_A_DEK_VM_ID);
	volume = vm_id ? get_volume(info) : NULL;
	if (!volume)
		return -EINVAL;
	return vmcrypt_dek_show(vm_id, volume, dek_show, skb, info->extack);
}

static int dek_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_get);
}

static int dek_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *volume;
	const u8 *vm_id;

	vm_id = get_vm_id(info, VMCRYPT_A_DEK_VM_ID);
	volume = vm_id ? get_volume(info) : NULL;
	if (!volume)
		return -EINVAL;
	return vmcrypt_dek_del(vm_id, volume, info->extack);
}

/* migration */

static int dek_export(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *id = info->attrs[VMCRYPT_A_DEK_MIGRATION];
	char kek_id[VMCRYPT_KEK_ID_MAX + 1];
	u8 sealed[VMCRYPT_SEALED_LEN];
	const char *volume;
	const u8 *vm_id;
	int ret;

	vm_id = get_vm_id(info, VMCRYPT_A_DEK_VM_ID);
	volume = vm_id ? get_volume(info) : NULL;
	if (!volume || missing(info, VMCRYPT_A_DEK_MIGRATION, "migration"))
		return -EINVAL;
	ret = vmcrypt_migration_export(nla_get_u32(id), vm_id, volume, kek_id,
				       sealed, info->extack);
	if (ret)
		return ret;
	if (nla_put(skb, VMCRYPT_A_DEK_VM_ID, VMCRYPT_VM_ID_LEN, vm_id) ||
	    nla_put_string(skb, VMCRYPT_A_DEK_VOLUME, volume) ||
	    nla_put_string(skb, VMCRYPT_A_DEK_KEK_ID, kek_id) ||
	    nla_put(skb, VMCRYPT_A_DEK_SEALED, sizeof(sealed), sealed))
		return -EMSGSIZE;
	return 0;
}

static int dek_export_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_export);
}

static int dek_import(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *sealed = info->attrs[VMCRYPT_A_DEK_SEALED];
	struct nlattr *id = info->attrs[VMCRYPT_A_DEK_MIGRATION];
	struct vmcrypt_loaded loaded;
	struct vmcrypt_bind bind;
	int ret;

	ret = get_bind(info, &bind);
	if (ret)
		return ret;
	if (missing(info, VMCRYPT_A_DEK_MIGRATION, "migration") ||
	    missing(info, VMCRYPT_A_DEK_SEALED, "sealed DEK"))
		return -EINVAL;
	ret = vmcrypt_migration_import(nla_get_u32(id), &bind,
				       nla_data(sealed), &loaded,
				       info->extack);
	return ret ?: put_loaded(skb, &bind, &loaded);
}

static int dek_import_doit(struct sk_buff *skb, struct genl_info *info)
{
	return dek_doit(info, dek_import);
}

static size_t migration_size(void)
{
	return nla_total_size(VMCRYPT_VM_ID_LEN) +
	       nla_total_size(VMCRYPT_PUBLIC_LEN) + nla_total_size(0) +
	       5 * nla_total_size(sizeof(u32));
}

static int migration_new(struct sk_buff *skb, struct genl_info *info)
{
	struct vmcrypt_migration_new new = { .portid = info->snd_portid };
	struct nlattr *policy = info->attrs[VMCRYPT_A_MIGRATION_POLICY];
	struct nlattr *role = info->attrs[VMCRYPT_A_MIGRATION_ROLE];
	u8 public[VMCRYPT_PUBLIC_LEN];
	u32 id;
	int ret;

	new.vm_id = get_vm_id(info, VMCRYPT_A_MIGRATION_VM_ID);
	if (!new.vm_id ||
	    missing(info, VMCRYPT_A_MIGRATION_ROLE, "role") ||
	    missing(info, VMCRYPT_A_MIGRATION_POLICY, "policy"))
		return -EINVAL;
	new.role = nla_get_u32(role);
	new.policy = nla_get_u32(policy);
	ret = vmcrypt_migration_add(&new, &id, public, info->extack);
	if (ret)
		return ret;
	if (nla_put_u32(skb, VMCRYPT_A_MIGRATION_ID, id) ||
	    nla_put(skb, VMCRYPT_A_MIGRATION_PUBLIC_KEY, sizeof(public),
		    public))
		return -EMSGSIZE;
	return 0;
}

static int migration_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, migration_size());
	if (!ret)
		ret = reply_end(&reply, info, migration_new(reply.skb, info));
	return explain(info, ret);
}

/* Number of the migration that a request names; 0, and a text, without. */
static u32 get_migration(struct genl_info *info)
{
	if (missing(info, VMCRYPT_A_MIGRATION_ID, "number of the migration"))
		return 0;
	return nla_get_u32(info->attrs[VMCRYPT_A_MIGRATION_ID]);
}

static int migration_agree_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *peer = info->attrs[VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY];
	struct nlattr *binding = info->attrs[VMCRYPT_A_MIGRATION_BINDING];
	struct vmcrypt_agreement agreement = {
		.id = get_migration(info),
		.portid = info->snd_portid,
	};

	if (!agreement.id ||
	    missing(info, VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY,
		    "public key of the other end") ||
	    missing(info, VMCRYPT_A_MIGRATION_BINDING, "channel binding"))
		return -EINVAL;
	agreement.peer = nla_data(peer);
	agreement.binding = nla_data(binding);
	agreement.binding_len = nla_len(binding);
	return explain(info, vmcrypt_migration_agree(&agreement,
						     info->extack));
}

static int put_migration(const struct vmcrypt_migration *mig,
			 struct sk_buff *skb)
{
	if (nla_put_u32(skb, VMCRYPT_A_MIGRATION_ID, mig->id) ||
	    nla_put(skb, VMCRYPT_A_MIGRATION_VM_ID, VMCRYPT_VM_ID_LEN,
		    mig->vm_id) ||
	    nla_put_u32(skb, VMCRYPT_A_MIGRATION_ROLE, mig->role) ||
	    nla_put_u32(skb, VMCRYPT_A_MIGRATION_POLICY, mig->policy) ||
	    (mig->agreed && nla_put_flag(skb, VMCRYPT_A_MIGRATION_AGREED)) ||
	    nla_put_u32(skb, VMCRYPT_A_MIGRATION_CHANNELS, mig->channels))
		return -EMSGSIZE;
	return 0;
}

static int migration_show(const struct vmcrypt_migration *mig, void *ctx)
{
	return put_migration(mig, ctx);
}

static int migration_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	u32 id = get_migration(info);
	struct reply reply;
	int ret;

	if (!id)
		return -EINVAL;
	ret = reply_new(&reply, info, migration_size());
	if (ret)
		return explain(info, ret);
	ret = vmcrypt_migration_show(id, migration_show, reply.skb,
				     info->extack);
	return explain(info, reply_end(&reply, info, ret));
}

static int migration_dump(const struct vmcrypt_migration *mig, void *ctx)
{
	struct dump *dump = ctx;
	void *head = dump_put(dump);

	return head ? dump_end(dump, head, put_migration(mig, dump->skb)) :
		      -EMSGSIZE;
}

static int migration_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb)
{
	struct dump dump = {
		.skb = skb,
		.cb = cb,
		.cmd = VMCRYPT_CMD_MIGRATION_GET,
	};

	return dump_done(&dump, vmcrypt_migration_walk(dump_cursor(cb),
						       &cb->seq,
						       migration_dump, &dump));
}

static int migration_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	bool force = info->attrs[VMCRYPT_A_MIGRATION_FORCE];
	u32 id = get_migration(info);
	int ret;

	if (!id)
		return -EINVAL;
	/* No new channel comes once the migration is gone. */
	ret = vmcrypt_migration_del(id, force, info->extack);
	if (!ret && force)
		vmcrypt_channels_end(id, VMCRYPT_END_REMOVED);
	return ret;
}

static int put_migration_event(struct sk_buff *skb,
			       const struct vmcrypt_migration_event *event)
{
	const struct vmcrypt_migration *mig = event->migration;

	if (nla_put_u32(skb, VMCRYPT_A_MIGRATION_ID, mig->id) ||
	    nla_put(skb, VMCRYPT_A_MIGRATION_VM_ID, VMCRYPT_VM_ID_LEN,
		    mig->vm_id) ||
	    nla_put_u32(skb, VMCRYPT_A_MIGRATION_ROLE, mig->role) ||
	    nla_put_u32(skb, VMCRYPT_A_MIGRATION_REASON, event->reason))
		return -EMSGSIZE;
	return 0;
}

/* channel */

static size_t channel_size(void)
{
	return 8 * nla_total_size(sizeof(u32)) +
	       4 * nla_total_size_64bit(sizeof(u64));
}

/* The channel that a request names. */
static int get_channel(struct genl_info *info, u32 *migration, u32 *number)
{
	if (missing(info, VMCRYPT_A_CHANNEL_MIGRATION,
		    "number of the migration") ||
	    missing(info, VMCRYPT_A_CHANNEL_NUMBER, "number of the channel"))
		return -EINVAL;
	*migration = nla_get_u32(info->attrs[VMCRYPT_A_CHANNEL_MIGRATION]);
	*number = nla_get_u32(info->attrs[VMCRYPT_A_CHANNEL_NUMBER]);
	return 0;
}

/* The socket that a request names; sockfd_put() it. */
static struct socket *get_socket(struct genl_info *info, int attr)
{
	struct nlattr *nla = info->attrs[attr];
	struct socket *sock;
	int ret;

	sock = sockfd_lookup(nla_get_s32(nla), &ret);
	if (!sock) {
		NL_SET_ERR_MSG_ATTR(info->extack, nla,
				    "file descriptor is not one of a socket of the caller");
		return ERR_PTR(ret);
	}
	return sock;
}

static int put_new_channel(struct sk_buff *skb,
			   const struct vmcrypt_channel_new *new, int fd)
{
	if (nla_put_u32(skb, VMCRYPT_A_CHANNEL_MIGRATION, new->migration) ||
	    nla_put_u32(skb, VMCRYPT_A_CHANNEL_NUMBER, new->number) ||
	    (fd >= 0 && nla_put_s32(skb, VMCRYPT_A_CHANNEL_STREAM_FD, fd)))
		return -EMSGSIZE;
	return 0;
}

/* With the sockets of the request; the stream's descriptor is put last. */
static int channel_new(struct sk_buff *skb, struct genl_info *info,
		       const struct vmcrypt_channel_new *new)
{
	struct file *stream = NULL;
	int fd = -1, ret;

	if (!new->plain) {
		fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd < 0) {
			NL_SET_ERR_MSG(info->extack,
				       "caller has no file descriptor left for the stream");
			return fd;
		}
	}
	ret = put_new_channel(skb, new, fd);
	if (!ret)
		ret = vmcrypt_channel_add(new, &stream, info->extack);
	if (fd < 0)
		return ret;
	if (ret)
		put_unused_fd(fd);
	else
		fd_install(fd, stream);
	return ret;
}

static int channel_new_sockets(struct sk_buff *skb, struct genl_info *info)
{
	struct vmcrypt_channel_new new = {};
	int ret;

	ret = get_channel(info, &new.migration, &new.number);
	if (ret)
		return ret;
	if (missing(info, VMCRYPT_A_CHANNEL_WIRE_FD, "wire socket"))
		return -EINVAL;
	new.wire = get_socket(info, VMCRYPT_A_CHANNEL_WIRE_FD);
	if (IS_ERR(new.wire))
		return PTR_ERR(new.wire);
	if (info->attrs[VMCRYPT_A_CHANNEL_PLAIN_FD]) {
		new.plain = get_socket(info, VMCRYPT_A_CHANNEL_PLAIN_FD);
		if (IS_ERR(new.plain)) {
			ret = PTR_ERR(new.plain);
			goto out_wire;
		}
	}
	ret = channel_new(skb, info, &new);
	if (new.plain)
		sockfd_put(new.plain);
out_wire:
	sockfd_put(new.wire);
	return ret;
}

static int channel_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct reply reply;
	int ret;

	ret = reply_new(&reply, info, channel_size());
	if (!ret)
		ret = reply_end(&reply, info,
				channel_new_sockets(reply.skb, info));
	return explain(info, ret);
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, VMCRYPT_A_CHANNEL_PAD);
}

static int put_channel(const struct vmcrypt_channel *ch, struct sk_buff *skb)
{
	if (nla_put_u32(skb, VMCRYPT_A_CHANNEL_MIGRATION,
			ch->migration->id) ||
	    nla_put_u32(skb, VMCRYPT_A_CHANNEL_NUMBER, ch->number) ||
	    nla_put_u32(skb, VMCRYPT_A_CHANNEL_CARRIER,
			ch->plain ? VMCRYPT_CARRIER_PUMP :
				    VMCRYPT_CARRIER_DIRECT) ||
	    put_u64(skb, VMCRYPT_A_CHANNEL_SENT,
		    atomic64_read(&ch->tx.bytes)) ||
	    put_u64(skb, VMCRYPT_A_CHANNEL_RECEIVED,
		    atomic64_read(&ch->rx.bytes)) ||
	    put_u64(skb, VMCRYPT_A_CHANNEL_SENT_RECORDS,
		    READ_ONCE(ch->tx.state.seq)) ||
	    put_u64(skb, VMCRYPT_A_CHANNEL_RECEIVED_RECORDS,
		    READ_ONCE(ch->rx.state.seq)) ||
	    nla_put_u32(skb, VMCRYPT_A_CHANNEL_SENT_EPOCH,
			READ_ONCE(ch->tx.state.epoch)) ||
	    nla_put_u32(skb, VMCRYPT_A_CHANNEL_RECEIVED_EPOCH,
			READ_ONCE(ch->rx.state.epoch)))
		return -EMSGSIZE;
	return 0;
}

static int channel_show(const struct vmcrypt_channel *ch, void *ctx)
{
	return put_channel(ch, ctx);
}

static int channel_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	u32 migration, number;
	struct reply reply;
	int ret;

	ret = get_channel(info, &migration, &number);
	if (ret)
		return ret;
	ret = reply_new(&reply, info, channel_size());
	if (ret)
		return explain(info, ret);
	ret = vmcrypt_channel_show(migration, number, channel_show, reply.skb,
				   info->extack);
	return explain(info, reply_end(&reply, info, ret));
}

static int channel_dump(const struct vmcrypt_channel *ch, void *ctx)
{
	struct dump *dump = ctx;
	void *head = dump_put(dump);

	return head ? dump_end(dump, head, put_channel(ch, dump->skb)) :
		      -EMSGSIZE;
}

static int channel_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump dump = {
		.skb = skb,
		.cb = cb,
		.cmd = VMCRYPT_CMD_CHANNEL_GET,
	};

	return dump_done(&dump, vmcrypt_channel_walk(dump_cursor(cb), &cb->seq,
						     channel_dump, &dump));
}

static int channel_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	u32 migration, number;
	int ret;

	ret = get_channel(info, &migration, &number);
	return ret ?: vmcrypt_channel_del(migration, number, info->extack);
}

static int put_channel_event(struct sk_buff *skb,
			     const struct vmcrypt_channel_event *event)
{
	int ret;

	ret = put_channel(event->channel, skb);
	if (ret)
		return ret;
	if (nla_put_u32(skb, VMCRYPT_A_CHANNEL_REASON, event->reason) ||
	    (event->error &&
	     nla_put_u32(skb, VMCRYPT_A_CHANNEL_ERROR, -event->error)))
		return -EMSGSIZE;
	return 0;
}

/* Events */

static int put_event(struct sk_buff *skb, unsigned long cmd, const void *data)
{
	const struct vmcrypt_event *event = data;

	switch (cmd) {
	case VMCRYPT_CMD_MIGRATION_END_NTF:
		return put_migration_event(skb, data);
	case VMCRYPT_CMD_CHANNEL_CLOSE_NTF:
		return put_channel_event(skb, data);
	case VMCRYPT_CMD_KEK_DEL_NTF:
		return nla_put_string(skb, VMCRYPT_A_KEK_ID, event->kek_id) ?:
		       nla_put(skb, VMCRYPT_A_KEK_KCV, VMCRYPT_KCV_LEN,
			       event->kcv) ?:
		       nla_put_u32(skb, VMCRYPT_A_KEK_USERS, event->count) ?:
		       nla_put_u32(skb, VMCRYPT_A_KEK_REASON, event->reason);
	case VMCRYPT_CMD_DEK_DEL_NTF:
		return nla_put(skb, VMCRYPT_A_DEK_VM_ID, VMCRYPT_VM_ID_LEN,
			       event->vm_id) ?:
		       nla_put_string(skb, VMCRYPT_A_DEK_VOLUME,
				      event->volume) ?:
		       nla_put_string(skb, VMCRYPT_A_DEK_KEK_ID,
				      event->kek_id) ?:
		       nla_put_u32(skb, VMCRYPT_A_DEK_REASON, event->reason);
	case VMCRYPT_CMD_VM_LOCK_NTF:
		return nla_put(skb, VMCRYPT_A_VM_ID, VMCRYPT_VM_ID_LEN,
			       event->vm_id) ?:
		       nla_put_u32(skb, VMCRYPT_A_VM_VOLUMES, event->count) ?:
		       nla_put_u32(skb, VMCRYPT_A_VM_REASON, event->reason);
	default:
		return -EOPNOTSUPP;
	}
}

/* An event that cannot be told is lost; the state itself is in the dumps. */
static int send_event(struct notifier_block *nb, unsigned long cmd,
		      void *event)
{
	struct sk_buff *skb;
	void *head;

	if (!genl_has_listeners(&vmcrypt_family, &init_net, 0))
		return NOTIFY_DONE;
	skb = genlmsg_new(dek_size(), GFP_KERNEL);
	if (!skb)
		return NOTIFY_DONE;
	head = genlmsg_put(skb, 0, 0, &vmcrypt_family, 0, cmd);
	if (!head || put_event(skb, cmd, event)) {
		nlmsg_free(skb);
		return NOTIFY_DONE;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast(&vmcrypt_family, skb, 0, 0, GFP_KERNEL);
	return NOTIFY_DONE;
}

static struct notifier_block event_nb = { .notifier_call = send_event };

static const struct genl_ops ops[] = {
	{
		.cmd = VMCRYPT_CMD_INFO_GET,
		/* No policy: no attribute is let in. */
		.doit = info_get_doit,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_KEK_NEW,
		.doit = kek_new_doit,
		.policy = kek_new_policy,
		.maxattr = ARRAY_SIZE(kek_new_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_KEK_GET,
		.doit = kek_get_doit,
		.start = dump_start,
		.dumpit = kek_get_dumpit,
		.policy = kek_get_policy,
		.maxattr = ARRAY_SIZE(kek_get_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_KEK_DEL,
		.doit = kek_del_doit,
		.policy = kek_del_policy,
		.maxattr = ARRAY_SIZE(kek_del_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_VM_NEW,
		.doit = vm_new_doit,
		.policy = vm_policy,
		.maxattr = ARRAY_SIZE(vm_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_VM_GET,
		.doit = vm_get_doit,
		.start = dump_start,
		.dumpit = vm_get_dumpit,
		.policy = vm_policy,
		.maxattr = ARRAY_SIZE(vm_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_VM_LOCK,
		.doit = vm_lock_doit,
		.policy = vm_policy,
		.maxattr = ARRAY_SIZE(vm_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_VM_DEL,
		.doit = vm_del_doit,
		.policy = vm_del_policy,
		.maxattr = ARRAY_SIZE(vm_del_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_WRAP,
		.doit = dek_wrap_doit,
		.policy = dek_wrap_policy,
		.maxattr = ARRAY_SIZE(dek_wrap_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_LOAD,
		.doit = dek_load_doit,
		.policy = dek_load_policy,
		.maxattr = ARRAY_SIZE(dek_load_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_REWRAP,
		.doit = dek_rewrap_doit,
		.policy = dek_rewrap_policy,
		.maxattr = ARRAY_SIZE(dek_rewrap_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_MAC,
		.doit = dek_mac_doit,
		.policy = dek_mac_policy,
		.maxattr = ARRAY_SIZE(dek_mac_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_GET,
		.doit = dek_get_doit,
		.policy = dek_policy,
		.maxattr = ARRAY_SIZE(dek_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_DEL,
		.doit = dek_del_doit,
		.policy = dek_policy,
		.maxattr = ARRAY_SIZE(dek_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_EXPORT,
		.doit = dek_export_doit,
		.policy = dek_export_policy,
		.maxattr = ARRAY_SIZE(dek_export_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_DEK_IMPORT,
		.doit = dek_import_doit,
		.policy = dek_import_policy,
		.maxattr = ARRAY_SIZE(dek_import_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_MIGRATION_NEW,
		.doit = migration_new_doit,
		.policy = migration_new_policy,
		.maxattr = ARRAY_SIZE(migration_new_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_MIGRATION_AGREE,
		.doit = migration_agree_doit,
		.policy = migration_agree_policy,
		.maxattr = ARRAY_SIZE(migration_agree_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_MIGRATION_GET,
		.doit = migration_get_doit,
		.start = dump_start,
		.dumpit = migration_get_dumpit,
		.policy = migration_policy,
		.maxattr = ARRAY_SIZE(migration_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_MIGRATION_DEL,
		.doit = migration_del_doit,
		.policy = migration_del_policy,
		.maxattr = ARRAY_SIZE(migration_del_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_CHANNEL_NEW,
		.doit = channel_new_doit,
		.policy = channel_new_policy,
		.maxattr = ARRAY_SIZE(channel_new_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_CHANNEL_GET,
		.doit = channel_get_doit,
		.start = dump_start,
		.dumpit = channel_get_dumpit,
		.policy = channel_policy,
		.maxattr = ARRAY_SIZE(channel_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
	{
		.cmd = VMCRYPT_CMD_CHANNEL_DEL,
		.doit = channel_del_doit,
		.policy = channel_policy,
		.maxattr = ARRAY_SIZE(channel_policy) - 1,
		.flags = GENL_ADMIN_PERM,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = VMCRYPT_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

/*
 * Not netnsok: a container with CAP_NET_ADMIN in a network namespace of its
 * own has no business here.
 */
struct genl_family vmcrypt_family __ro_after_init = {
	.name = VMCRYPT_FAMILY_NAME,
	.version = VMCRYPT_FAMILY_VERSION,
	.module = THIS_MODULE,
	.parallel_ops = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

/**
 * vmcrypt_netlink_init - let userspace in
 *
 * Return: 0, or a negative errno.
 */
int __init vmcrypt_netlink_init(void)
{
	int ret;

	ret = genl_register_family(&vmcrypt_family);
	if (ret)
		return ret;
	ret = blocking_notifier_chain_register(&vmcrypt_events, &event_nb);
	if (ret)
		genl_unregister_family(&vmcrypt_family);
	return ret;
}

/** vmcrypt_netlink_exit - keep userspace out; waits for handlers that run */
void vmcrypt_netlink_exit(void)
{
	blocking_notifier_chain_unregister(&vmcrypt_events, &event_nb);
	genl_unregister_family(&vmcrypt_family);
}

MODULE_ALIAS_GENL_FAMILY(VMCRYPT_FAMILY_NAME);
