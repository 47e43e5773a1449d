// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module's client: its sockets, and what the module says of itself. */
#include "client.h"

#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "client_priv.h"

/* Room for the answers to one batch; the kernel counts up to 2 KiB for each. */
#define RECEIVE_BUFFER	(4 << 20)
#define SEND_BUFFER	(1 << 20)
#define RECEIVE_SECONDS	10

static int fail_nl(struct vmc_error *err, int nlerr, const char *doing)
{
	return vmc_fail(err, VMC_EIO, "cannot %s: %s", message_say(doing), nl_geterror(nlerr));
}

int vmk_socket_new(struct nl_sock **out, struct vmc_error *err)
{
	static const struct timeval patience = { .tv_sec = RECEIVE_SECONDS };
	struct nl_sock *s = nl_socket_alloc();
	int rc;

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a netlink socket");
	rc = genl_connect(s);
	if (rc) {
		nl_socket_free(s);
		return fail_nl(err, rc, N_("open a generic netlink socket"));
	}
	setsockopt(nl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	nl_socket_enable_msg_peek(s);
	*out = s;
	return 0;
}

int vmk_resolve_family(struct vmc_error *err)
{
	struct nl_sock *s = NULL;
	int family, rc;

	rc = vmk_socket_new(&s, err);
	if (rc)
		return rc;
	family = genl_ctrl_resolve(s, VMCRYPT_FAMILY_NAME);
	nl_socket_free(s);
	if (family >= 0)
		return family;
	if (family != -NLE_OBJ_NOTFOUND)
		return fail_nl(err, family, N_("look for the vmcrypt module"));
	vmc_fail(err, VMC_ENOMODULE, "the kernel module vmcrypt is not loaded");
	vmc_hint(err, "modprobe vmcrypt");
	return VMC_ENOMODULE;
}

/* FORCE needs CAP_NET_ADMIN, as every request does; without it the default must do. */
static void set_buffers(int fd)
{
	int receive = RECEIVE_BUFFER, send = SEND_BUFFER, on = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof(receive));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send, sizeof(send));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
}

static int check_protocol(struct vmk *k, struct vmc_error *err)
{
	struct vmk_info info;
	int rc = vmk_info(k, &info, err);

	if (rc || info.protocol_version == VMCRYPT_PROTOCOL_VERSION)
		return rc;
	vmc_fail(err, VMC_ENOTSUP, "the vmcrypt module (version %s) speaks protocol %u, this program speaks %u",
		 info.module_version, info.protocol_version, VMCRYPT_PROTOCOL_VERSION);
	vmc_hint(err, "install module and programs of the same version, then load the module anew");
	return VMC_ENOTSUP;
}

int vmk_open(struct vmk **out, struct vmc_error *err)
{
	struct vmk *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the module's client");
	pthread_mutex_init(&k->lock, NULL);
	k->family = vmk_resolve_family(err);
	rc = k->family < 0 ? k->family : vmk_socket_new(&k->sock, err);
	if (!rc) {
		set_buffers(nl_socket_get_fd(k->sock));
		rc = check_protocol(k, err);
	}
	if (rc) {
		vmk_close(k);
		return rc;
	}
	*out = k;
	return 0;
}

void vmk_close(struct vmk *k)
{
	if (!k)
		return;
	nl_socket_free(k->events);
	nl_socket_free(k->sock);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int on_info(struct nlmsghdr *h, struct nlattr **tb, void *data,
		   struct vmc_error *err)
{
	(void)h;
	return vmk_parse_info(tb, data, err);
}

int vmk_info(struct vmk *k, struct vmk_info *info, struct vmc_error *err)
{
	static const struct vmk_subject subject = { .doing = N_("ask the vmcrypt module what it is") };
	struct vmk_req r;
	int rc;

	memset(info, 0, sizeof(*info));
	rc = vmk_req_new(k, &r, VMCRYPT_CMD_INFO_GET, false, err);
	if (rc)
		return rc;
	r.reply = on_info;
	r.data = info;
	r.policy = vmk_info_policy;
	r.max_attr = VMCRYPT_A_INFO_MAX;
	return vmk_ask(k, &r, &subject, err);
}
