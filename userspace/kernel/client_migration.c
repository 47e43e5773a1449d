// SPDX-License-Identifier: GPL-2.0-or-later
/* Migrations: keys that two kernels agree on, and DEKs that go from one to the other. */
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

_Static_assert(VMK_PUBLIC_LEN == VMCRYPT_PUBLIC_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_SEALED_LEN == VMCRYPT_SEALED_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_BINDING_MIN == VMCRYPT_BINDING_MIN, "client.h and the uapi header differ");
_Static_assert(VMK_BINDING_MAX == VMCRYPT_BINDING_MAX, "client.h and the uapi header differ");
_Static_assert((int)VMK_DESTINATION == (int)VMCRYPT_ROLE_DESTINATION, "client.h and the uapi header differ");
_Static_assert((int)VMK_MIGRATION_REQUIRED == (int)VMCRYPT_POLICY_REQUIRED, "client.h and the uapi header differ");

static int new_request(struct vmk *k, struct vmk_req *r, uint8_t cmd, uint32_t id, struct vmc_error *err)
{
	int rc = vmk_req_new(k, r, cmd, false, err);

	if (rc)
		return rc;
	r->policy = vmk_migration_policy;
	r->max_attr = VMCRYPT_A_MIGRATION_MAX;
	if (id)
		NLA_PUT_U32(r->msg, VMCRYPT_A_MIGRATION_ID, id);
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, err);
}

struct made {
	uint32_t *id;
	uint8_t *public_key;
};

static int on_made(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	struct made *m = data;
	int rc = vmk_take_bytes(tb[VMCRYPT_A_MIGRATION_PUBLIC_KEY], m->public_key, VMK_PUBLIC_LEN, N_("public key"), err);

	(void)h;
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_MIGRATION_ID], m->id, sizeof(*m->id), N_("migration number"), err);
	return rc;
}

int vmk_migration_new(struct vmk *k, const vmc_uuid *vm, enum vmk_role role, enum vmk_policy policy, uint32_t *id,
		      uint8_t public_key[VMK_PUBLIC_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("make a key for the migration"), .vm = vm };
	struct made made = { id, public_key };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_MIGRATION_NEW, 0, err);

	if (rc)
		return rc;
	NLA_PUT(r.msg, VMCRYPT_A_MIGRATION_VM_ID, sizeof(vm->b), vm->b);
	NLA_PUT_U32(r.msg, VMCRYPT_A_MIGRATION_ROLE, role);
	NLA_PUT_U32(r.msg, VMCRYPT_A_MIGRATION_POLICY, policy);
	r.reply = on_made;
	r.data = &made;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

int vmk_migration_agree(struct vmk *k, uint32_t id, const uint8_t peer_public_key[VMK_PUBLIC_LEN],
			const uint8_t *binding, size_t n, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("agree on the keys"), .migration = id };
	struct vmk_req r;
	int rc;

	if (n < VMK_BINDING_MIN || n > VMK_BINDING_MAX)
		return vmc_fail(err, VMC_EINVAL, "a channel binding has %d to %d bytes, this one has %zu",
				VMK_BINDING_MIN, VMK_BINDING_MAX, n);
	rc = new_request(k, &r, VMCRYPT_CMD_MIGRATION_AGREE, id, err);
	if (rc)
		return rc;
	NLA_PUT(r.msg, VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY, VMK_PUBLIC_LEN, peer_public_key);
	NLA_PUT(r.msg, VMCRYPT_A_MIGRATION_BINDING, (int)n, binding);
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

static int on_migration(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	(void)h;
	return vmk_parse_migration(tb, data, err);
}

int vmk_migration_get(struct vmk *k, uint32_t id, struct vmk_migration *out, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("find in the kernel the keys"), .migration = id };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_MIGRATION_GET, id, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	r.reply = on_migration;
	r.data = out;
	return vmk_ask(k, &r, &subject, err);
}

static int parse(struct nlattr **tb, void *entry, struct vmc_error *err)
{
	return vmk_parse_migration(tb, entry, err);
}

int vmk_migration_list(struct vmk *k, struct vmk_migration **out, size_t *n, struct vmc_error *err)
{
	static const struct vmk_list list = {
		.cmd = VMCRYPT_CMD_MIGRATION_GET, .size = sizeof(**out), .parse = parse,
		.policy = vmk_migration_policy, .max_attr = VMCRYPT_A_MIGRATION_MAX,
		.subject = { .doing = N_("list the migrations in the kernel") },
	};
	void *items = NULL;
	int rc = vmk_ask_list(k, &list, &items, n, err);

	if (!rc)
		*out = items;
	return rc;
}

int vmk_migration_del(struct vmk *k, uint32_t id, bool force, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("wipe the keys"), .migration = id };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_MIGRATION_DEL, id, err);

	if (rc)
		return rc;
	if (force)
		NLA_PUT_FLAG(r.msg, VMCRYPT_A_MIGRATION_FORCE);
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

/* ---- DEKs ---- */

struct exported {
	char *kek_id;
	uint8_t *sealed;
};

static int on_exported(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	struct exported *e = data;
	int rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEK_ID], e->kek_id, VMK_KEK_ID_MAX + 1, "KEK id", err);

	(void)h;
	return rc ? rc : vmk_take_bytes(tb[VMCRYPT_A_DEK_SEALED], e->sealed, VMK_SEALED_LEN, N_("sealed key"), err);
}

int vmk_dek_export(struct vmk *k, uint32_t migration, const vmc_uuid *vm, const char *volume,
		   char kek_id[VMK_KEK_ID_MAX + 1], uint8_t sealed[VMK_SEALED_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("seal for the other host the key"), .vm = vm, .volume = volume, .migration = migration,
	};
	struct exported out = { kek_id, sealed };
	struct vmk_req r;
	int rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_EXPORT, vm, volume, NULL, err);

	if (rc)
		return rc;
	NLA_PUT_U32(r.msg, VMCRYPT_A_DEK_MIGRATION, migration);
	r.reply = on_exported;
	r.data = &out;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

static int on_imported(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	(void)h;
	return vmk_take_bytes(tb[VMCRYPT_A_DEK_KCV], data, VMK_KCV_LEN, N_("key check value"), err);
}

int vmk_dek_import(struct vmk *k, uint32_t migration, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const uint8_t sealed[VMK_SEALED_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("take over from the other host the key"), .vm = vm, .volume = volume, .kek_id = kek_id,
		.migration = migration,
	};
	struct vmk_req r;
	int rc = vmk_vm_new(k, vm, err);	/* its first volume may be this one */

	if (!rc)
		rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_IMPORT, vm, volume, kek_id, err);
	if (rc)
		return rc;
	NLA_PUT_U32(r.msg, VMCRYPT_A_DEK_MIGRATION, migration);
	NLA_PUT(r.msg, VMCRYPT_A_DEK_SEALED, VMK_SEALED_LEN, sealed);
	r.reply = on_imported;
	r.data = kcv;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}
