// SPDX-License-Identifier: GPL-2.0-or-later
/* Notifications of the module. */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../lib/i18n.h"
#include "client_priv.h"

/* Memory that is only used while nobody reads: thousands of VMs locked at once fit. */
#define EVENT_BUFFER	(8 << 20)

int vmk_events_open(struct vmk *k, struct vmc_error *err)
{
	int group, rc, size = EVENT_BUFFER;
	struct nl_sock *s;

	if (k->events)
		return 0;
	rc = vmk_socket_new(&s, err);
	if (rc)
		return rc;
	group = genl_ctrl_resolve_grp(s, VMCRYPT_FAMILY_NAME, VMCRYPT_MCGRP_EVENTS);
	rc = group < 0 ? group : nl_socket_add_membership(s, group);
	if (!rc)
		rc = nl_socket_set_nonblocking(s);
	if (rc) {
		nl_socket_free(s);
		return vmc_fail(err, VMC_EIO, "cannot listen to the vmcrypt module: %s",
				nl_geterror(rc));
	}
	setsockopt(nl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	k->events = s;
	return 0;
}

int vmk_events_fd(struct vmk *k)
{
	return k->events ? nl_socket_get_fd(k->events) : -1;
}

static uint32_t reason_of(struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static int parse_kek_del(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_KEK_MAX + 1];

	if (genlmsg_parse(h, 0, tb, VMCRYPT_A_KEK_MAX, vmk_kek_policy))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module cannot be read");
	e->type = VMK_EV_KEK_DEL;
	e->reason = reason_of(tb[VMCRYPT_A_KEK_REASON]);
	return vmk_take_string(tb[VMCRYPT_A_KEK_ID], e->kek_id, sizeof(e->kek_id),
			       "KEK id", err);
}

static int parse_dek_del(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_DEK_MAX + 1];
	int rc;

	if (genlmsg_parse(h, 0, tb, VMCRYPT_A_DEK_MAX, vmk_dek_policy))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module cannot be read");
	e->type = VMK_EV_DEK_DEL;
	e->reason = reason_of(tb[VMCRYPT_A_DEK_REASON]);
	rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_VM_ID], e->vm.b, sizeof(e->vm.b), "VM id", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_VOLUME], e->volume,
				     sizeof(e->volume), N_("volume name"), err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEK_ID], e->kek_id,
				     sizeof(e->kek_id), "KEK id", err);
	return rc;
}

static int parse_vm_lock(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_VM_MAX + 1];

	if (genlmsg_parse(h, 0, tb, VMCRYPT_A_VM_MAX, vmk_vm_policy))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module cannot be read");
	e->type = VMK_EV_VM_LOCK;
	e->reason = reason_of(tb[VMCRYPT_A_VM_REASON]);
	return vmk_take_bytes(tb[VMCRYPT_A_VM_ID], e->vm.b, sizeof(e->vm.b), "VM id", err);
}

static int parse_migration_end(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_MIGRATION_MAX + 1];
	struct vmk_migration m;
	int rc;

	if (genlmsg_parse(h, 0, tb, VMCRYPT_A_MIGRATION_MAX, vmk_migration_policy))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module cannot be read");
	e->type = VMK_EV_MIGRATION_END;
	e->reason = reason_of(tb[VMCRYPT_A_MIGRATION_REASON]);
	rc = vmk_parse_migration(tb, &m, err);
	if (rc)
		return rc;
	e->migration = m.id;
	e->vm = m.vm;
	return 0;
}

static int parse_channel_close(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	struct nlattr *tb[VMCRYPT_A_CHANNEL_MAX + 1];
	int rc;

	if (genlmsg_parse(h, 0, tb, VMCRYPT_A_CHANNEL_MAX, vmk_channel_policy))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module cannot be read");
	e->type = VMK_EV_CHANNEL_CLOSE;
	e->reason = reason_of(tb[VMCRYPT_A_CHANNEL_REASON]);
	e->error = (int)reason_of(tb[VMCRYPT_A_CHANNEL_ERROR]);
	rc = vmk_parse_channel(tb, &e->channel, err);
	e->migration = e->channel.migration;
	return rc;
}

int vmk_parse_event(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err)
{
	memset(e, 0, sizeof(*e));
	if (!genlmsg_valid_hdr(h, 0))
		return vmc_fail(err, VMC_EPROTO, "a notification of the vmcrypt module is too short");
	switch (genlmsg_hdr(h)->cmd) {
	case VMCRYPT_CMD_KEK_DEL_NTF:
		return parse_kek_del(h, e, err);
	case VMCRYPT_CMD_DEK_DEL_NTF:
		return parse_dek_del(h, e, err);
	case VMCRYPT_CMD_VM_LOCK_NTF:
		return parse_vm_lock(h, e, err);
	case VMCRYPT_CMD_MIGRATION_END_NTF:
		return parse_migration_end(h, e, err);
	case VMCRYPT_CMD_CHANNEL_CLOSE_NTF:
		return parse_channel_close(h, e, err);
	default:
		return vmc_fail(err, VMC_ENOENT, "notification %u is not known", genlmsg_hdr(h)->cmd);
	}
}

/* One datagram. Kinds that a later module may add are passed over. */
static int hand_out(unsigned char *buf, int len, void (*fn)(const struct vmk_event *e, void *data),
		    void *data, struct vmc_error *err)
{
	struct nlmsghdr *h;

	for (h = (struct nlmsghdr *)buf; nlmsg_ok(h, len); h = nlmsg_next(h, &len)) {
		struct vmk_event e;
		int rc;

		if (h->nlmsg_type < NLMSG_MIN_TYPE)
			continue;
		rc = vmk_parse_event(h, &e, err);
		if (rc == VMC_ENOENT)
			continue;
		if (rc)
			return rc;
		fn(&e, data);
	}
	return 0;
}

int vmk_events_read(struct vmk *k, void (*fn)(const struct vmk_event *e, void *data), void *data,
		    struct vmc_error *err)
{
	int rc = 0;

	while (!rc) {
		struct sockaddr_nl from;
		unsigned char *buf = NULL;
		int len = nl_recv(k->events, &from, &buf, NULL);

		if (len == -NLE_AGAIN || len == 0)
			return 0;
		if (len == -NLE_NOMEM) {	/* ENOBUFS */
			vmc_fail(err, VMC_EIO, "notifications of the vmcrypt module were lost");
			vmc_hint(err, "look at the module's lists anew");
			return VMC_EIO;
		}
		if (len < 0)
			return vmc_fail(err, VMC_EIO, "cannot receive notifications of the vmcrypt module: %s",
					nl_geterror(len));
		if (!from.nl_pid)
			rc = hand_out(buf, len, fn, data, err);
		free(buf);
	}
	return rc;
}
