// SPDX-License-Identifier: GPL-2.0-or-later
/* DEKs: wrapping, moving to another KEK, authenticating; loading is client_load.c's. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

_Static_assert(VMK_DEK_LEN == VMCRYPT_DEK_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_WRAPPED_LEN == VMCRYPT_WRAPPED_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_MAC_LEN == VMCRYPT_MAC_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_VOLUME_MAX == VMCRYPT_VOLUME_MAX, "client.h and the uapi header differ");

int vmk_check_volume(const char *volume, struct vmc_error *err)
{
	size_t n = volume ? strlen(volume) : 0;

	if (!n || n > VMK_VOLUME_MAX)
		return vmc_fail(err, VMC_EINVAL, "a volume's name has 1 to %d bytes, this one has %zu",
				VMK_VOLUME_MAX, n);
	return 0;
}

int vmk_req_dek_new(struct vmk *k, struct vmk_req *r, uint8_t cmd, const vmc_uuid *vm,
		    const char *volume, const char *kek_id, struct vmc_error *err)
{
	int rc = vmk_check_volume(volume, err);

	if (!rc && kek_id)
		rc = vmk_check_kek_id(kek_id, err);
	if (!rc)
		rc = vmk_req_new(k, r, cmd, false, err);
	if (rc)
		return rc;
	r->policy = vmk_dek_policy;
	r->max_attr = VMCRYPT_A_DEK_MAX;
	NLA_PUT(r->msg, VMCRYPT_A_DEK_VM_ID, sizeof(vm->b), vm->b);
	NLA_PUT_STRING(r->msg, VMCRYPT_A_DEK_VOLUME, volume);
	if (kek_id)
		NLA_PUT_STRING(r->msg, VMCRYPT_A_DEK_KEK_ID, kek_id);
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, err);
}

/* ---- wrap, rewrap ---- */

struct sealed {
	uint8_t *wrapped, *kcv;		/* kcv may be NULL */
};

static int on_sealed(struct nlmsghdr *h, struct nlattr **tb, void *data,
		     struct vmc_error *err)
{
	struct sealed *s = data;
	uint8_t kcv[VMK_KCV_LEN];
	int rc;

	(void)h;
	rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_WRAPPED], s->wrapped, VMK_WRAPPED_LEN,
			    N_("wrapped key"), err);
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_KCV], kcv, sizeof(kcv),
				    N_("key check value"), err);
	if (!rc && s->kcv)
		memcpy(s->kcv, kcv, sizeof(kcv));
	return rc;
}

static int ask_wrap(struct vmk *k, const struct vmk_subject *s, int32_t serial,
		    struct sealed *out, struct vmc_error *err)
{
	struct vmk_req r;
	int rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_WRAP, s->vm, s->volume, s->kek_id, err);

	if (rc)
		return rc;
	NLA_PUT_S32(r.msg, VMCRYPT_A_DEK_KEY_SERIAL, serial);
	r.reply = on_sealed;
	r.data = out;
	return vmk_ask(k, &r, s, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

int vmk_dek_wrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		 const uint8_t *dek, uint8_t wrapped[VMK_WRAPPED_LEN],
		 uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("wrap the key"), .vm = vm, .volume = volume, .kek_id = kek_id,
	};
	struct sealed out = { wrapped, kcv };
	int32_t serial;
	int rc;

	rc = vmk_material_add(dek, VMK_DEK_LEN, &serial, err);
	if (rc)
		return rc;
	rc = ask_wrap(k, &subject, serial, &out, err);
	vmk_material_drop(serial);
	return rc;
}

int vmk_dek_rewrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const char *new_kek_id, const uint8_t wrapped[VMK_WRAPPED_LEN],
		   uint8_t out[VMK_WRAPPED_LEN], uint8_t kcv[VMK_KCV_LEN],
		   struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("move the key"), .vm = vm, .volume = volume, .kek_id = kek_id,
		.new_kek_id = new_kek_id,
	};
	struct sealed sealed = { out, kcv };
	struct vmk_req r;
	int rc = vmk_check_kek_id(new_kek_id, err);

	if (!rc)
		rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_REWRAP, vm, volume, kek_id, err);
	if (rc)
		return rc;
	NLA_PUT_STRING(r.msg, VMCRYPT_A_DEK_NEW_KEK_ID, new_kek_id);
	NLA_PUT(r.msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, wrapped);
	r.reply = on_sealed;
	r.data = &sealed;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

/* ---- mac ---- */

static int on_mac(struct nlmsghdr *h, struct nlattr **tb, void *data,
		  struct vmc_error *err)
{
	(void)h;
	return vmk_take_bytes(tb[VMCRYPT_A_DEK_MAC], data, VMK_MAC_LEN, "code", err);
}

int vmk_dek_mac(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		const uint8_t wrapped[VMK_WRAPPED_LEN], const uint8_t *digest, size_t n,
		uint8_t mac[VMK_MAC_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("authenticate with the key"), .vm = vm, .volume = volume,
		.kek_id = kek_id,
	};
	struct vmk_req r;
	int rc;

	if (!n || n > VMCRYPT_DIGEST_MAX)
		return vmc_fail(err, VMC_EINVAL, "a digest has 1 to %d bytes, this one has %zu",
				VMCRYPT_DIGEST_MAX, n);
	rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_MAC, vm, volume, kek_id, err);
	if (rc)
		return rc;
	NLA_PUT(r.msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, wrapped);
	NLA_PUT(r.msg, VMCRYPT_A_DEK_DIGEST, (int)n, digest);
	r.reply = on_mac;
	r.data = mac;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

/* ---- get, del ---- */

struct found {
	struct vmk_volume *v;
	int32_t *keyring;		/* may be NULL */
};

static int on_found(struct nlmsghdr *h, struct nlattr **tb, void *data,
		    struct vmc_error *err)
{
	struct found *f = data;
	int rc;

	(void)h;
	rc = vmk_take_string(tb[VMCRYPT_A_DEK_VOLUME], f->v->name, sizeof(f->v->name),
			     N_("volume name"), err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEK_ID], f->v->kek_id,
				     sizeof(f->v->kek_id), "KEK id", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEY_DESC], f->v->key_desc,
				     sizeof(f->v->key_desc), N_("key description"), err);
	if (!rc && (!tb[VMCRYPT_A_DEK_KEY_SERIAL] || !tb[VMCRYPT_A_DEK_KEYRING]))
		rc = vmc_fail(err, VMC_EPROTO, "the vmcrypt module's reply has no key serials");
	if (rc)
		return rc;
	f->v->key_serial = nla_get_s32(tb[VMCRYPT_A_DEK_KEY_SERIAL]);
	if (f->keyring)
		*f->keyring = nla_get_s32(tb[VMCRYPT_A_DEK_KEYRING]);
	return 0;
}

int vmk_dek_get(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmk_volume *out,
		int32_t *keyring, struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("find in the kernel the key"), .vm = vm, .volume = volume,
	};
	struct found f = { out, keyring };
	struct vmk_req r;
	int rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_GET, vm, volume, NULL, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	r.reply = on_found;
	r.data = &f;
	return vmk_ask(k, &r, &subject, err);
}

int vmk_dek_del(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = N_("revoke the key"), .vm = vm, .volume = volume,
	};
	struct vmk_req r;
	int rc = vmk_req_dek_new(k, &r, VMCRYPT_CMD_DEK_DEL, vm, volume, NULL, err);

	return rc ? rc : vmk_ask(k, &r, &subject, err);
}
