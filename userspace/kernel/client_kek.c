// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's cache of KEKs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

_Static_assert(VMK_KEK_ID_MAX == VMCRYPT_KEK_ID_MAX, "client.h and the uapi header differ");
_Static_assert(VMK_KEK_LEN == VMCRYPT_KEK_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_KCV_LEN == VMCRYPT_KCV_LEN, "client.h and the uapi header differ");

int vmk_check_kek_id(const char *id, struct vmc_error *err)
{
	size_t n = id ? strlen(id) : 0;

	if (!n || n > VMK_KEK_ID_MAX)
		return vmc_fail(err, VMC_EINVAL, "a KEK id has 1 to %d bytes, this one has %zu",
				VMK_KEK_ID_MAX, n);
	return 0;
}

static int new_request(struct vmk *k, struct vmk_req *r, uint8_t cmd, const char *id,
		       struct vmc_error *err)
{
	int rc = vmk_check_kek_id(id, err);

	if (!rc)
		rc = vmk_req_new(k, r, cmd, false, err);
	if (rc)
		return rc;
	r->policy = vmk_kek_policy;
	r->max_attr = VMCRYPT_A_KEK_MAX;
	NLA_PUT_STRING(r->msg, VMCRYPT_A_KEK_ID, id);
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, err);
}

static int on_kcv(struct nlmsghdr *h, struct nlattr **tb, void *data,
		  struct vmc_error *err)
{
	(void)h;
	return vmk_take_bytes(tb[VMCRYPT_A_KEK_KCV], data, VMK_KCV_LEN,
			      N_("key check value"), err);
}

static int ask_new(struct vmk *k, const char *id, int32_t serial, uint32_t lease,
		   uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("put into the kernel the KEK"), .kek_id = id };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_KEK_NEW, id, err);

	if (rc)
		return rc;
	NLA_PUT_S32(r.msg, VMCRYPT_A_KEK_KEY_SERIAL, serial);
	if (lease)
		NLA_PUT_U32(r.msg, VMCRYPT_A_KEK_LEASE, lease);
	r.reply = on_kcv;
	r.data = kcv;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

int vmk_kek_new(struct vmk *k, const char *id, const uint8_t *kek, uint32_t lease,
		uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	uint8_t check[VMK_KCV_LEN];
	int32_t serial;
	int rc;

	rc = vmk_check_kek_id(id, err);
	if (!rc)
		rc = vmk_material_add(kek, VMK_KEK_LEN, &serial, err);
	if (rc)
		return rc;
	rc = ask_new(k, id, serial, lease, check, err);
	vmk_material_drop(serial);
	if (!rc && kcv)
		memcpy(kcv, check, sizeof(check));
	return rc;
}

static int on_kek(struct nlmsghdr *h, struct nlattr **tb, void *data,
		  struct vmc_error *err)
{
	(void)h;
	return vmk_parse_kek(tb, data, err);
}

int vmk_kek_get(struct vmk *k, const char *id, struct vmk_kek *out, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("find in the kernel the KEK"), .kek_id = id };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_KEK_GET, id, err);

	if (rc)
		return rc;
	r.reply = on_kek;
	r.data = out;
	rc = vmk_ask(k, &r, &subject, err);
	if (rc != VMC_ENOENT)
		return rc;
	/* for whoever needs it, it is a key that is missing */
	return vmk_refused(&subject, ENOKEY, "KEK is not cached", err);
}

/* ---- all of them ---- */

static int parse(struct nlattr **tb, void *entry, struct vmc_error *err)
{
	return vmk_parse_kek(tb, entry, err);
}

int vmk_kek_list(struct vmk *k, struct vmk_kek **out, size_t *n, struct vmc_error *err)
{
	static const struct vmk_list list = {
		.cmd = VMCRYPT_CMD_KEK_GET, .size = sizeof(**out), .parse = parse,
		.policy = vmk_kek_policy, .max_attr = VMCRYPT_A_KEK_MAX,
		.subject = { .doing = N_("list the KEKs in the kernel") },
	};
	void *items = NULL;
	int rc = vmk_ask_list(k, &list, &items, n, err);

	if (!rc)
		*out = items;
	return rc;
}

int vmk_kek_del(struct vmk *k, const char *id, bool force, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("remove from the kernel the KEK"), .kek_id = id };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_KEK_DEL, id, err);

	if (rc)
		return rc;
	if (force)
		NLA_PUT_FLAG(r.msg, VMCRYPT_A_KEK_FORCE);
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}
