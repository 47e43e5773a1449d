// SPDX-License-Identifier: GPL-2.0-or-later
/* Replies of the module to structures. */
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "client_priv.h"

#define STRING		{ .type = NLA_STRING }
#define U32		{ .type = NLA_U32 }
#define S32		{ .type = NLA_U32 }
#define U64		{ .type = NLA_U64 }
#define FLAG		{ .type = NLA_FLAG }
#define NEST		{ .type = NLA_NESTED }
#define BYTES(n)	{ .minlen = (n), .maxlen = (n) }

const struct nla_policy vmk_info_policy[VMCRYPT_A_INFO_MAX + 1] = {
	[VMCRYPT_A_INFO_MODULE_VERSION] = STRING,
	[VMCRYPT_A_INFO_PROTOCOL_VERSION] = U32,
	[VMCRYPT_A_INFO_WRAP_CIPHER] = STRING,
	[VMCRYPT_A_INFO_MAX_KEKS] = U32,
	[VMCRYPT_A_INFO_MAX_VMS] = U32,
	[VMCRYPT_A_INFO_MAX_VOLUMES] = U32,
	[VMCRYPT_A_INFO_KEKS] = U32,
	[VMCRYPT_A_INFO_VMS] = U32,
	[VMCRYPT_A_INFO_DEKS] = U32,
	[VMCRYPT_A_INFO_STATS] = NEST,
	[VMCRYPT_A_INFO_MAX_MIGRATIONS] = U32,
	[VMCRYPT_A_INFO_MIGRATIONS] = U32,
	[VMCRYPT_A_INFO_MAX_CHANNELS] = U32,
	[VMCRYPT_A_INFO_CHANNELS] = U32,
	[VMCRYPT_A_INFO_RECORD_MAX] = U32,
};

static const struct nla_policy stats_policy[VMCRYPT_A_STATS_MAX + 1] = {
	[VMCRYPT_A_STATS_WRAPS] = U64,
	[VMCRYPT_A_STATS_LOADS] = U64,
	[VMCRYPT_A_STATS_REWRAPS] = U64,
	[VMCRYPT_A_STATS_MACS] = U64,
	[VMCRYPT_A_STATS_AUTH_FAILURES] = U64,
	[VMCRYPT_A_STATS_LEASE_ENDS] = U64,
	[VMCRYPT_A_STATS_EXPORTS] = U64,
	[VMCRYPT_A_STATS_IMPORTS] = U64,
};

const struct nla_policy vmk_kek_policy[VMCRYPT_A_KEK_MAX + 1] = {
	[VMCRYPT_A_KEK_ID] = STRING,
	[VMCRYPT_A_KEK_LEASE_LEFT] = U32,
	[VMCRYPT_A_KEK_USERS] = U32,
	[VMCRYPT_A_KEK_KCV] = BYTES(VMCRYPT_KCV_LEN),
	[VMCRYPT_A_KEK_REASON] = U32,
};

const struct nla_policy vmk_vm_policy[VMCRYPT_A_VM_MAX + 1] = {
	[VMCRYPT_A_VM_ID] = BYTES(VMCRYPT_VM_ID_LEN),
	[VMCRYPT_A_VM_KEYRING] = S32,
	[VMCRYPT_A_VM_LOCKED] = FLAG,
	[VMCRYPT_A_VM_VOLUMES] = U32,
	[VMCRYPT_A_VM_VOLUME] = NEST,
	[VMCRYPT_A_VM_STATS] = NEST,
	[VMCRYPT_A_VM_REASON] = U32,
};

static const struct nla_policy volume_policy[VMCRYPT_A_VOLUME_MAX + 1] = {
	[VMCRYPT_A_VOLUME_NAME] = STRING,
	[VMCRYPT_A_VOLUME_KEK_ID] = STRING,
	[VMCRYPT_A_VOLUME_KEY_SERIAL] = S32,
	[VMCRYPT_A_VOLUME_KEY_DESC] = STRING,
};

const struct nla_policy vmk_dek_policy[VMCRYPT_A_DEK_MAX + 1] = {
	[VMCRYPT_A_DEK_VM_ID] = BYTES(VMCRYPT_VM_ID_LEN),
	[VMCRYPT_A_DEK_VOLUME] = STRING,
	[VMCRYPT_A_DEK_KEK_ID] = STRING,
	[VMCRYPT_A_DEK_KEY_SERIAL] = S32,
	[VMCRYPT_A_DEK_WRAPPED] = BYTES(VMCRYPT_WRAPPED_LEN),
	[VMCRYPT_A_DEK_KCV] = BYTES(VMCRYPT_KCV_LEN),
	[VMCRYPT_A_DEK_KEY_DESC] = STRING,
	[VMCRYPT_A_DEK_KEYRING] = S32,
	[VMCRYPT_A_DEK_MAC] = BYTES(VMCRYPT_MAC_LEN),
	[VMCRYPT_A_DEK_REASON] = U32,
	[VMCRYPT_A_DEK_SEALED] = BYTES(VMCRYPT_SEALED_LEN),
};

const struct nla_policy vmk_migration_policy[VMCRYPT_A_MIGRATION_MAX + 1] = {
	[VMCRYPT_A_MIGRATION_ID] = U32,
	[VMCRYPT_A_MIGRATION_VM_ID] = BYTES(VMCRYPT_VM_ID_LEN),
	[VMCRYPT_A_MIGRATION_ROLE] = U32,
	[VMCRYPT_A_MIGRATION_POLICY] = U32,
	[VMCRYPT_A_MIGRATION_PUBLIC_KEY] = BYTES(VMCRYPT_PUBLIC_LEN),
	[VMCRYPT_A_MIGRATION_AGREED] = FLAG,
	[VMCRYPT_A_MIGRATION_REASON] = U32,
	[VMCRYPT_A_MIGRATION_CHANNELS] = U32,
};

const struct nla_policy vmk_channel_policy[VMCRYPT_A_CHANNEL_MAX + 1] = {
	[VMCRYPT_A_CHANNEL_MIGRATION] = U32,
	[VMCRYPT_A_CHANNEL_NUMBER] = U32,
	[VMCRYPT_A_CHANNEL_STREAM_FD] = S32,
	[VMCRYPT_A_CHANNEL_CARRIER] = U32,
	[VMCRYPT_A_CHANNEL_SENT] = U64,
	[VMCRYPT_A_CHANNEL_RECEIVED] = U64,
	[VMCRYPT_A_CHANNEL_SENT_RECORDS] = U64,
	[VMCRYPT_A_CHANNEL_RECEIVED_RECORDS] = U64,
	[VMCRYPT_A_CHANNEL_SENT_EPOCH] = U32,
	[VMCRYPT_A_CHANNEL_RECEIVED_EPOCH] = U32,
	[VMCRYPT_A_CHANNEL_REASON] = U32,
	[VMCRYPT_A_CHANNEL_ERROR] = U32,
};

static int missing(const char *what, struct vmc_error *err)
{
	vmc_fail(err, VMC_EPROTO, "the vmcrypt module's reply has no usable %s", message_say(what));
	vmc_hint(err, "module and program do not fit together; install both from the same version and load the module anew");
	return VMC_EPROTO;
}

int vmk_take_string(const struct nlattr *a, char *out, size_t n, const char *what,
		    struct vmc_error *err)
{
	const char *s = a ? nla_get_string(a) : NULL;
	size_t len = s ? strnlen(s, (size_t)nla_len(a)) : 0;

	if (!s || len >= n || len == (size_t)nla_len(a))
		return missing(what, err);
	memcpy(out, s, len + 1);
	return 0;
}

int vmk_take_bytes(const struct nlattr *a, void *out, size_t n, const char *what,
		   struct vmc_error *err)
{
	if (!a || nla_len(a) != (int)n)
		return missing(what, err);
	memcpy(out, nla_data(a), n);
	return 0;
}

static uint32_t u32_or_0(struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static uint64_t u64_or_0(struct nlattr *a)
{
	return a ? nla_get_u64(a) : 0;
}

int vmk_parse_stats(struct nlattr *nest, struct vmk_stats *stats)
{
	struct nlattr *tb[VMCRYPT_A_STATS_MAX + 1];

	if (!nest || nla_parse_nested(tb, VMCRYPT_A_STATS_MAX, nest, stats_policy))
		return VMC_EPROTO;
	stats->wraps = u64_or_0(tb[VMCRYPT_A_STATS_WRAPS]);
	stats->loads = u64_or_0(tb[VMCRYPT_A_STATS_LOADS]);
	stats->rewraps = u64_or_0(tb[VMCRYPT_A_STATS_REWRAPS]);
	stats->macs = u64_or_0(tb[VMCRYPT_A_STATS_MACS]);
	stats->auth_failures = u64_or_0(tb[VMCRYPT_A_STATS_AUTH_FAILURES]);
	stats->lease_ends = u64_or_0(tb[VMCRYPT_A_STATS_LEASE_ENDS]);
	stats->exports = u64_or_0(tb[VMCRYPT_A_STATS_EXPORTS]);
	stats->imports = u64_or_0(tb[VMCRYPT_A_STATS_IMPORTS]);
	return 0;
}

int vmk_parse_info(struct nlattr **tb, struct vmk_info *i, struct vmc_error *err)
{
	int rc;

	rc = vmk_take_string(tb[VMCRYPT_A_INFO_MODULE_VERSION], i->module_version,
			     sizeof(i->module_version), "version", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_INFO_WRAP_CIPHER], i->wrap_cipher,
				     sizeof(i->wrap_cipher), "cipher", err);
	if (!rc && !tb[VMCRYPT_A_INFO_PROTOCOL_VERSION])
		rc = missing(N_("protocol version"), err);
	if (!rc && vmk_parse_stats(tb[VMCRYPT_A_INFO_STATS], &i->stats))
		rc = missing("counters", err);
	if (rc)
		return rc;
	i->protocol_version = nla_get_u32(tb[VMCRYPT_A_INFO_PROTOCOL_VERSION]);
	i->max_keks = u32_or_0(tb[VMCRYPT_A_INFO_MAX_KEKS]);
	i->max_vms = u32_or_0(tb[VMCRYPT_A_INFO_MAX_VMS]);
	i->max_volumes = u32_or_0(tb[VMCRYPT_A_INFO_MAX_VOLUMES]);
	i->keks = u32_or_0(tb[VMCRYPT_A_INFO_KEKS]);
	i->vms = u32_or_0(tb[VMCRYPT_A_INFO_VMS]);
	i->deks = u32_or_0(tb[VMCRYPT_A_INFO_DEKS]);
	i->max_migrations = u32_or_0(tb[VMCRYPT_A_INFO_MAX_MIGRATIONS]);
	i->migrations = u32_or_0(tb[VMCRYPT_A_INFO_MIGRATIONS]);
	i->max_channels = u32_or_0(tb[VMCRYPT_A_INFO_MAX_CHANNELS]);
	i->channels = u32_or_0(tb[VMCRYPT_A_INFO_CHANNELS]);
	i->record_max = u32_or_0(tb[VMCRYPT_A_INFO_RECORD_MAX]);
	return 0;
}

int vmk_parse_kek(struct nlattr **tb, struct vmk_kek *k, struct vmc_error *err)
{
	int rc;

	rc = vmk_take_string(tb[VMCRYPT_A_KEK_ID], k->id, sizeof(k->id), "KEK id", err);
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_KEK_KCV], k->kcv, sizeof(k->kcv),
				    N_("key check value"), err);
	if (rc)
		return rc;
	k->users = u32_or_0(tb[VMCRYPT_A_KEK_USERS]);
	k->has_lease = tb[VMCRYPT_A_KEK_LEASE_LEFT];
	k->lease_left = u32_or_0(tb[VMCRYPT_A_KEK_LEASE_LEFT]);
	return 0;
}

static int parse_volume(struct nlattr *nest, struct vmk_volume *v, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_VOLUME_MAX + 1];
	int rc;

	if (nla_parse_nested(tb, VMCRYPT_A_VOLUME_MAX, nest, volume_policy))
		return missing("volume", err);
	rc = vmk_take_string(tb[VMCRYPT_A_VOLUME_NAME], v->name, sizeof(v->name),
			     N_("volume name"), err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_VOLUME_KEK_ID], v->kek_id,
				     sizeof(v->kek_id), "KEK id", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_VOLUME_KEY_DESC], v->key_desc,
				     sizeof(v->key_desc), N_("key description"), err);
	if (!rc && !tb[VMCRYPT_A_VOLUME_KEY_SERIAL])
		rc = missing(N_("key serial"), err);
	if (!rc)
		v->key_serial = (int32_t)nla_get_u32(tb[VMCRYPT_A_VOLUME_KEY_SERIAL]);
	return rc;
}

int vmk_parse_vm(struct nlattr **tb, struct vmk_vm *vm, struct vmc_error *err)
{
	int rc;

	rc = vmk_take_bytes(tb[VMCRYPT_A_VM_ID], vm->id.b, sizeof(vm->id.b), "VM id", err);
	if (!rc && !tb[VMCRYPT_A_VM_KEYRING])
		rc = missing("keyring", err);
	if (!rc && vmk_parse_stats(tb[VMCRYPT_A_VM_STATS], &vm->stats))
		rc = missing("counters", err);
	if (rc)
		return rc;
	vm->keyring = (int32_t)nla_get_u32(tb[VMCRYPT_A_VM_KEYRING]);
	vm->locked = tb[VMCRYPT_A_VM_LOCKED];
	vm->n_volumes = u32_or_0(tb[VMCRYPT_A_VM_VOLUMES]);
	vm->volumes = NULL;
	return 0;
}

/* The volumes of a reply come as attributes of the same type; nla_parse() keeps the last. */
int vmk_parse_volumes(struct nlmsghdr *h, struct vmk_vm *vm, struct vmc_error *err)
{
	struct nlattr *first = genlmsg_attrdata(nlmsg_data(h), 0), *a;
	int left = genlmsg_attrlen(nlmsg_data(h), 0), rest;
	struct vmk_volume *v;
	size_t n = 0;

	nla_for_each_attr(a, first, left, rest)
		n += nla_type(a) == VMCRYPT_A_VM_VOLUME;
	v = calloc(n ? n : 1, sizeof(*v));
	if (!v)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu volumes", n);
	n = 0;
	nla_for_each_attr(a, first, left, rest) {
		int rc;

		if (nla_type(a) != VMCRYPT_A_VM_VOLUME)
			continue;
		rc = parse_volume(a, &v[n++], err);
		if (rc) {
			free(v);
			return rc;
		}
	}
	vm->volumes = v;
	vm->n_volumes = (uint32_t)n;
	return 0;
}

int vmk_parse_migration(struct nlattr **tb, struct vmk_migration *m, struct vmc_error *err)
{
	int rc = vmk_take_bytes(tb[VMCRYPT_A_MIGRATION_VM_ID], m->vm.b, sizeof(m->vm.b), "VM id", err);

	if (!rc && !tb[VMCRYPT_A_MIGRATION_ID])
		rc = missing(N_("migration number"), err);
	if (rc)
		return rc;
	m->id = nla_get_u32(tb[VMCRYPT_A_MIGRATION_ID]);
	m->role = u32_or_0(tb[VMCRYPT_A_MIGRATION_ROLE]);
	m->policy = u32_or_0(tb[VMCRYPT_A_MIGRATION_POLICY]);
	m->agreed = tb[VMCRYPT_A_MIGRATION_AGREED];
	m->channels = u32_or_0(tb[VMCRYPT_A_MIGRATION_CHANNELS]);
	return 0;
}

int vmk_parse_channel(struct nlattr **tb, struct vmk_channel *c, struct vmc_error *err)
{
	if (!tb[VMCRYPT_A_CHANNEL_MIGRATION] || !tb[VMCRYPT_A_CHANNEL_NUMBER])
		return missing(N_("channel number"), err);
	c->migration = nla_get_u32(tb[VMCRYPT_A_CHANNEL_MIGRATION]);
	c->number = nla_get_u32(tb[VMCRYPT_A_CHANNEL_NUMBER]);
	c->carrier = u32_or_0(tb[VMCRYPT_A_CHANNEL_CARRIER]);
	c->sent = u64_or_0(tb[VMCRYPT_A_CHANNEL_SENT]);
	c->received = u64_or_0(tb[VMCRYPT_A_CHANNEL_RECEIVED]);
	c->sent_records = u64_or_0(tb[VMCRYPT_A_CHANNEL_SENT_RECORDS]);
	c->received_records = u64_or_0(tb[VMCRYPT_A_CHANNEL_RECEIVED_RECORDS]);
	c->sent_epoch = u32_or_0(tb[VMCRYPT_A_CHANNEL_SENT_EPOCH]);
	c->received_epoch = u32_or_0(tb[VMCRYPT_A_CHANNEL_RECEIVED_EPOCH]);
	return 0;
}
