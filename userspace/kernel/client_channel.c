// SPDX-License-Identifier: GPL-2.0-or-later
/* Channels: connections that the kernel encrypts. */
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

_Static_assert(VMK_CHANNEL_MAX == VMCRYPT_CHANNEL_MAX, "client.h and the uapi header differ");
_Static_assert((int)VMK_DIRECT == (int)VMCRYPT_CARRIER_DIRECT, "client.h and the uapi header differ");

static int new_request(struct vmk *k, struct vmk_req *r, uint8_t cmd, uint32_t migration, uint32_t number,
		       struct vmc_error *err)
{
	int rc;

	if (number > VMK_CHANNEL_MAX)
		return vmc_fail(err, VMC_EINVAL, "a channel's number is 0 to %d, this one is %u", VMK_CHANNEL_MAX, number);
	rc = vmk_req_new(k, r, cmd, false, err);
	if (rc)
		return rc;
	r->policy = vmk_channel_policy;
	r->max_attr = VMCRYPT_A_CHANNEL_MAX;
	NLA_PUT_U32(r->msg, VMCRYPT_A_CHANNEL_MIGRATION, migration);
	NLA_PUT_U32(r->msg, VMCRYPT_A_CHANNEL_NUMBER, number);
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, err);
}

static int on_new(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	int *stream = data;

	(void)h;
	if (!stream)
		return 0;
	if (!tb[VMCRYPT_A_CHANNEL_STREAM_FD])
		return vmc_fail(err, VMC_EPROTO, "the vmcrypt module's reply has no stream");
	*stream = nla_get_s32(tb[VMCRYPT_A_CHANNEL_STREAM_FD]);
	return 0;
}

int vmk_channel_new(struct vmk *k, uint32_t migration, uint32_t number, int wire, int plain, int *stream,
		    struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("encrypt a connection"), .migration = migration };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_CHANNEL_NEW, migration, number, err);

	if (rc)
		return rc;
	NLA_PUT_S32(r.msg, VMCRYPT_A_CHANNEL_WIRE_FD, wire);
	if (plain >= 0)
		NLA_PUT_S32(r.msg, VMCRYPT_A_CHANNEL_PLAIN_FD, plain);
	r.reply = on_new;
	r.data = plain >= 0 ? NULL : stream;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}

static int on_channel(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	(void)h;
	return vmk_parse_channel(tb, data, err);
}

int vmk_channel_get(struct vmk *k, uint32_t migration, uint32_t number, struct vmk_channel *out,
		    struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("find in the kernel a channel"), .migration = migration };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_CHANNEL_GET, migration, number, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	r.reply = on_channel;
	r.data = out;
	return vmk_ask(k, &r, &subject, err);
}

static int parse(struct nlattr **tb, void *entry, struct vmc_error *err)
{
	return vmk_parse_channel(tb, entry, err);
}

int vmk_channel_list(struct vmk *k, struct vmk_channel **out, size_t *n, struct vmc_error *err)
{
	static const struct vmk_list list = {
		.cmd = VMCRYPT_CMD_CHANNEL_GET, .size = sizeof(**out), .parse = parse,
		.policy = vmk_channel_policy, .max_attr = VMCRYPT_A_CHANNEL_MAX,
		.subject = { .doing = N_("list the channels in the kernel") },
	};
	void *items = NULL;
	int rc = vmk_ask_list(k, &list, &items, n, err);

	if (!rc)
		*out = items;
	return rc;
}

int vmk_channel_del(struct vmk *k, uint32_t migration, uint32_t number, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("end a channel"), .migration = migration };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_CHANNEL_DEL, migration, number, err);

	return rc ? rc : vmk_ask(k, &r, &subject, err);
}
