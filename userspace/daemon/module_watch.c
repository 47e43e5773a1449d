// SPDX-License-Identifier: GPL-2.0-or-later
/* Tells when the kernel module comes or goes. */
#include "module_watch.h"

#include <linux/genetlink.h>
#include <linux/vmcrypt.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"

struct module_watch {
	struct nl_sock *sock;
	sd_event_source *source;
	module_watch_fn fn;
	void *data;
};

static int on_message(struct nl_msg *msg, void *data)
{
	struct genlmsghdr *g = genlmsg_hdr(nlmsg_hdr(msg));
	struct nlattr *attrs[CTRL_ATTR_MAX + 1];
	struct module_watch *w = data;
	const char *name;

	if (g->cmd != CTRL_CMD_NEWFAMILY && g->cmd != CTRL_CMD_DELFAMILY)
		return NL_SKIP;
	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, CTRL_ATTR_MAX, NULL) < 0 ||
	    !attrs[CTRL_ATTR_FAMILY_NAME])
		return NL_SKIP;
	name = nla_get_string(attrs[CTRL_ATTR_FAMILY_NAME]);
	if (!strcmp(name, VMCRYPT_FAMILY_NAME))
		w->fn(g->cmd == CTRL_CMD_NEWFAMILY, w->data);
	return NL_OK;
}

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *data)
{
	struct module_watch *w = data;
	int r = nl_recvmsgs_default(w->sock);

	(void)s;
	(void)fd;
	(void)revents;
	/* Too much came at once and some was lost: what was lost may have been ours. */
	if (r == -NLE_NOMEM)
		w->fn(true, w->data);
	else if (r < 0 && r != -NLE_AGAIN)
		log_warn("cannot hear from the generic netlink controller: %s", nl_geterror(r));
	return 0;
}

static int subscribe(struct module_watch *w, struct vmc_error *err)
{
	int group, r;

	r = genl_connect(w->sock);
	if (r < 0)
		return vmc_fail(err, VMC_EIO, "cannot open a netlink socket: %s", nl_geterror(r));
	group = genl_ctrl_resolve_grp(w->sock, "nlctrl", "notify");
	r = group < 0 ? group : nl_socket_add_membership(w->sock, group);
	if (r < 0)
		return vmc_fail(err, VMC_EIO, "cannot hear of kernel modules: %s", nl_geterror(r));
	nl_socket_disable_seq_check(w->sock);
	nl_socket_modify_cb(w->sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, w);
	r = nl_socket_set_nonblocking(w->sock);
	return r < 0 ? vmc_fail(err, VMC_EIO, "cannot set up a netlink socket: %s", nl_geterror(r)) : 0;
}

int module_watch_new(struct module_watch **ret, sd_event *event, module_watch_fn fn, void *data,
		     struct vmc_error *err)
{
	struct module_watch *w = calloc(1, sizeof(*w));
	int r, rc = VMC_ENOMEM;

	if (w)
		w->sock = nl_socket_alloc();
	if (!w || !w->sock) {
		vmc_fail(err, VMC_ENOMEM, "no memory for a netlink socket");
		goto fail;
	}
	w->fn = fn;
	w->data = data;
	rc = subscribe(w, err);
	if (rc)
		goto fail;
	r = sd_event_add_io(event, &w->source, nl_socket_get_fd(w->sock), EPOLLIN, on_readable, w);
	/* Before the bus: who loads the module and calls at once shall find it. */
	if (r >= 0)
		r = sd_event_source_set_priority(w->source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0) {
		*ret = w;
		return 0;
	}
	rc = vmc_fail_errno(err, -r, "cannot watch a netlink socket");
fail:
	module_watch_free(w);
	return rc;
}

void module_watch_free(struct module_watch *w)
{
	if (!w)
		return;
	sd_event_source_disable_unref(w->source);
	nl_socket_free(w->sock);
	free(w);
}
