// SPDX-License-Identifier: GPL-2.0-or-later
/* Netlink for tests; see nlt.h. */

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vmcrypt.h>
#include <netlink/genl/ctrl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nlt.h"
#include "tap.h"

/* A secret is found by any WINDOW bytes of it that follow each other. */
#define WINDOW		8
#define MAX_SECRETS	64

static struct {
	uint8_t bytes[64];
	size_t len;
} secrets[MAX_SECRETS];
static int n_secrets;
static unsigned long leaks, searched;

/* The last message received; attributes of answers point into it. */
static uint8_t inbox[1 << 20];

/* From now on look for these bytes. */
void nlt_secret(const uint8_t *bytes, size_t len)
{
	if (n_secrets == MAX_SECRETS || len > sizeof(secrets[0].bytes))
		tap_bail("too many secrets");
	memcpy(secrets[n_secrets].bytes, bytes, len);
	secrets[n_secrets++].len = len;
}

/* Are bytes of a secret in there? */
bool nlt_has_secret(const void *buf, size_t len)
{
	size_t at;
	int i;

	for (i = 0; i < n_secrets; i++)
		for (at = 0; at + WINDOW <= secrets[i].len; at++)
			if (memmem(buf, len, secrets[i].bytes + at, WINDOW))
				return true;
	return false;
}

static void search(const void *buf, size_t len)
{
	searched += len;
	leaks += nlt_has_secret(buf, len);
}

/* How many messages had bytes of a secret. */
unsigned long nlt_leaks(void)
{
	return leaks;
}

/* How many bytes were searched. */
unsigned long nlt_searched(void)
{
	return searched;
}

/* Open a socket that knows the family, or bail out. */
void nlt_open(struct nlt *nl)
{
	int one = 1, size = 8 << 20;

	nl->sk = nl_socket_alloc();
	if (!nl->sk || genl_connect(nl->sk))
		tap_bail("no generic netlink socket");
	nl->fd = nl_socket_get_fd(nl->sk);
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	/* Batches and dumps answer faster than one reads. */
	setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	nl->family = genl_ctrl_resolve(nl->sk, VMCRYPT_FAMILY_NAME);
	if (nl->family < 0)
		tap_bail("no family %s: is the module loaded?",
			 VMCRYPT_FAMILY_NAME);
	nl->group = genl_ctrl_resolve_grp(nl->sk, VMCRYPT_FAMILY_NAME,
					  VMCRYPT_MCGRP_EVENTS);
}

void nlt_close(struct nlt *nl)
{
	nl_socket_free(nl->sk);
}

/* A request without attributes yet. */
struct nl_msg *nlt_msg(const struct nlt *nl, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg || !genlmsg_put(msg, 0, NL_AUTO_SEQ, nl->family, 0,
				 NLM_F_REQUEST | flags, cmd,
				 VMCRYPT_FAMILY_VERSION))
		tap_bail("out of memory");
	return msg;
}

/* Send raw bytes; 0 or -1 as send(2). */
int nlt_send(const struct nlt *nl, const void *buf, size_t len)
{
	search(buf, len);
	return send(nl->fd, buf, len, 0) < 0 ? -1 : 0;
}

/* One buffer of messages; its length, or 0 when time is over. */
static ssize_t receive(const struct nlt *nl, int timeout_ms)
{
	struct pollfd pfd = { .fd = nl->fd, .events = POLLIN };
	ssize_t len;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return 0;
	len = recv(nl->fd, inbox, sizeof(inbox), 0);
	if (len < 0)
		tap_bail("receive: %s", strerror(errno));
	search(inbox, len);
	return len;
}

static void parse_attrs(const struct nlmsghdr *nlh, struct nlt_answer *a)
{
	const struct genlmsghdr *gnlh = nlmsg_data(nlh);

	a->cmd = gnlh->cmd;
	memset(a->attrs, 0, sizeof(a->attrs));
	nla_parse(a->attrs, 31, genlmsg_attrdata(gnlh, 0),
		  genlmsg_attrlen(gnlh, 0), NULL);
}

static void parse_error(const struct nlmsghdr *nlh, struct nlt_answer *a)
{
	const struct nlmsgerr *err = nlmsg_data(nlh);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	int skip = sizeof(*err);

	a->err = err->error;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	if (!nla_parse(tb, NLMSGERR_ATTR_MAX, (void *)((char *)err + skip),
		       nlmsg_datalen(nlh) - skip, NULL) &&
	    tb[NLMSGERR_ATTR_MSG])
		nla_strlcpy(a->text, tb[NLMSGERR_ATTR_MSG], sizeof(a->text));
}

/* Wait for the acknowledgement of one request. */
void nlt_answer(const struct nlt *nl, struct nlt_answer *a)
{
	static uint8_t kept[1 << 16];
	struct nlmsghdr *nlh;
	ssize_t len;

	memset(a, 0, sizeof(*a));
	for (;;) {
		len = receive(nl, NLT_DEADLINE);
		if (!len)
			tap_bail("no answer within %d ms", NLT_DEADLINE);
		for (nlh = (void *)inbox; NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_ERROR) {
				parse_error(nlh, a);
				return;
			}
			if (nlh->nlmsg_len > sizeof(kept))
				tap_bail("reply of %u bytes", nlh->nlmsg_len);
			memcpy(kept, nlh, nlh->nlmsg_len);
			parse_attrs((void *)kept, a);
			a->replies++;
		}
	}
}

/* Send a request, free it, wait for its answer. */
void nlt_do(const struct nlt *nl, struct nl_msg *msg, struct nlt_answer *a)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (nlt_send(nl, nlh, nlh->nlmsg_len))
		tap_bail("send: %s", strerror(errno));
	nlmsg_free(msg);
	nlt_answer(nl, a);
}

/*
 * Send a dump request, free it, call @each with each reply. Returns the error
 * of the dump, or the number of replies.
 */
int nlt_dump(const struct nlt *nl, struct nl_msg *msg,
	     void (*each)(struct nlattr **attrs, void *ctx), void *ctx)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct nlt_answer a;
	ssize_t len;
	int n = 0;

	nlh->nlmsg_flags |= NLM_F_DUMP;
	if (nlt_send(nl, nlh, nlh->nlmsg_len))
		tap_bail("send: %s", strerror(errno));
	nlmsg_free(msg);
	for (;;) {
		len = receive(nl, NLT_DEADLINE);
		if (!len)
			tap_bail("no dump within %d ms", NLT_DEADLINE);
		for (nlh = (void *)inbox; NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_DONE)
				return *(int *)nlmsg_data(nlh) ?: n;
			if (nlh->nlmsg_type == NLMSG_ERROR) {
				parse_error(nlh, &a);
				return a.err;
			}
			parse_attrs(nlh, &a);
			if (each)
				each(a.attrs, ctx);
			n++;
		}
	}
}

/* Wait for one notification; false when time is over. */
bool nlt_event(const struct nlt *nl, struct nlt_answer *a, int timeout_ms)
{
	if (!receive(nl, timeout_ms))
		return false;
	memset(a, 0, sizeof(*a));
	parse_attrs((void *)inbox, a);
	return true;
}

/* Read away what there is. */
void nlt_drain(const struct nlt *nl)
{
	ssize_t len;

	for (;;) {
		len = recv(nl->fd, inbox, sizeof(inbox), MSG_DONTWAIT);
		/* ENOBUFS: answers were lost, more may follow. */
		if (len < 0 && errno != ENOBUFS)
			return;
		if (len > 0)
			search(inbox, len);
	}
}
