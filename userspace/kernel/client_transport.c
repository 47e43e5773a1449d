// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests to the module and their answers, many at a time. The kernel handles
 * what one send(2) carries before it returns, so the answers wait in the
 * socket's buffer, which is made large enough for those of one send.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../lib/message.h"
#include "client_priv.h"

#define BATCH		256
#define DEADLINE_MS	30000
#define MSG_ROOM	1024	/* more than the longest request */

static __thread struct vmk_times times;

void vmk_times(struct vmk_times *t)
{
	*t = times;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int vmk_req_new(struct vmk *k, struct vmk_req *r, uint8_t cmd, bool dump,
		struct vmc_error *err)
{
	memset(r, 0, sizeof(*r));
	/* the daemon runs without the module, too, and says so to whoever asks */
	if (!k) {
		vmc_fail(err, VMC_ENOMODULE, "the kernel module vmcrypt is not loaded");
		vmc_hint(err, "modprobe vmcrypt");
		return VMC_ENOMODULE;
	}
	r->msg = nlmsg_alloc_size(MSG_ROOM);
	if (!r->msg || !genlmsg_put(r->msg, NL_AUTO_PORT, 0, k->family, 0,
				    NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK),
				    cmd, VMCRYPT_FAMILY_VERSION)) {
		vmk_req_free(r);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a request to the kernel");
	}
	return 0;
}

void vmk_req_free(struct vmk_req *r)
{
	nlmsg_free(r->msg);
	r->msg = NULL;
}

int vmk_req_no_room(struct vmk_req *r, struct vmc_error *err)
{
	vmk_req_free(r);
	return vmc_fail(err, VMC_EINTERNAL, "a request to the kernel does not fit its message");
}

/* ---- sending ---- */

static int send_batch(struct vmk *k, struct vmk_req *r, size_t n,
		      struct vmc_error *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov[BATCH];
	struct msghdr m = {
		.msg_name = &kernel, .msg_namelen = sizeof(kernel),
		.msg_iov = iov, .msg_iovlen = n,
	};
	uint64_t start;
	ssize_t sent;

	for (size_t i = 0; i < n; i++) {
		struct nlmsghdr *h = nlmsg_hdr(r[i].msg);

		h->nlmsg_type = (uint16_t)k->family;
		h->nlmsg_seq = ++k->seq;
		h->nlmsg_pid = nl_socket_get_local_port(k->sock);
		r[i].done = false;
		r[i].errnum = 0;
		iov[i].iov_base = h;
		iov[i].iov_len = NLMSG_ALIGN(h->nlmsg_len);
	}
	start = now_ns();
	do {
		sent = sendmsg(nl_socket_get_fd(k->sock), &m, 0);
	} while (sent < 0 && errno == EINTR);
	times.kernel_ns += now_ns() - start;
	times.requests += n;
	if (sent < 0)
		return vmc_fail_errno(err, errno, "cannot send to the vmcrypt module");
	return 0;
}

/* ---- receiving ---- */

/* Words of the kernel: attributes behind the error code, and behind the request if it was sent back. */
static void take_extack(struct nlmsghdr *h, size_t fixed, struct vmk_req *r)
{
	static const struct nla_policy policy[NLMSGERR_ATTR_MAX + 1] = {
		[NLMSGERR_ATTR_MSG] = { .type = NLA_STRING },
	};
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) ||
	    nlmsg_parse(h, (int)fixed, tb, NLMSGERR_ATTR_MAX, policy) ||
	    !tb[NLMSGERR_ATTR_MSG])
		return;
	snprintf(r->why, sizeof(r->why), "%s", nla_get_string(tb[NLMSGERR_ATTR_MSG]));
}

static int take_ack(struct nlmsghdr *h, struct vmk_req *r, struct vmc_error *err)
{
	const struct nlmsgerr *e = nlmsg_data(h);
	size_t fixed = sizeof(*e);

	if (nlmsg_datalen(h) < (int)sizeof(*e))
		return vmc_fail(err, VMC_EPROTO, "the kernel sent a short acknowledgement");
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		fixed += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	r->errnum = -e->error;
	if (r->errnum && fixed <= (size_t)nlmsg_datalen(h))
		take_extack(h, fixed, r);
	r->done = true;
	return 0;
}

/* The end of a dump: an int, 0 or a negative errno, then perhaps words. */
static int take_done(struct nlmsghdr *h, struct vmk_req *r, struct vmc_error *err)
{
	int status = 0;

	if (nlmsg_datalen(h) >= (int)sizeof(status))
		memcpy(&status, nlmsg_data(h), sizeof(status));
	if (status > 0)
		return vmc_fail(err, VMC_EPROTO, "the kernel ended a list with status %d", status);
	r->errnum = -status;
	if (r->errnum)
		take_extack(h, sizeof(status), r);
	r->done = true;
	return 0;
}

static int take_reply(struct nlmsghdr *h, struct vmk_req *r)
{
	struct nlattr *tb[VMCRYPT_A_DEK_MAX + VMCRYPT_A_INFO_MAX + 1];

	r->replies++;
	if (r->code || !r->reply)	/* the first fault counts */
		return r->code;
	if (genlmsg_parse(h, 0, tb, r->max_attr, r->policy))
		return vmc_fail(&r->err, VMC_EPROTO, "the vmcrypt module sent a reply that cannot be read");
	return r->reply(h, tb, r->data, &r->err);
}

static int take_message(struct vmk *k, struct nlmsghdr *h, struct vmk_req *r,
			struct vmc_error *err)
{
	switch (h->nlmsg_type) {
	case NLMSG_ERROR:
		return take_ack(h, r, err);
	case NLMSG_DONE:
		r->interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		return take_done(h, r, err);
	case NLMSG_NOOP:
		return 0;
	case NLMSG_OVERRUN:
		return vmc_fail(err, VMC_EIO, "answers of the kernel were lost");
	}
	if (h->nlmsg_type != k->family)
		return 0;
	r->interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	r->code = take_reply(h, r);
	return 0;
}

static int wait_readable(struct vmk *k, uint64_t deadline, struct vmc_error *err)
{
	struct pollfd p = { .fd = nl_socket_get_fd(k->sock), .events = POLLIN };

	for (;;) {
		uint64_t now = vmc_now_ms();
		int n;

		if (now >= deadline)
			return vmc_fail(err, VMC_ETIMEDOUT, "the vmcrypt module did not answer within %d s",
					DEADLINE_MS / 1000);
		n = poll(&p, 1, (int)(deadline - now));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return vmc_fail_errno(err, errno, "cannot wait for the vmcrypt module");
	}
}

/* Sorts one datagram's messages to the requests they answer; *@left counts those that are open. */
static int receive_some(struct vmk *k, struct vmk_req *r, size_t n, size_t *left,
			struct vmc_error *err)
{
	uint32_t first = k->seq - (uint32_t)n + 1;
	struct sockaddr_nl from;
	unsigned char *buf = NULL;
	struct nlmsghdr *h;
	int len, rc = 0;

	len = nl_recv(k->sock, &from, &buf, NULL);
	if (len == -NLE_AGAIN || len == -NLE_INTR)
		return 0;
	if (len <= 0)
		return vmc_fail(err, VMC_EIO, "cannot receive from the vmcrypt module: %s",
				nl_geterror(len));
	for (h = (struct nlmsghdr *)buf; !rc && nlmsg_ok(h, len); h = nlmsg_next(h, &len)) {
		uint32_t i = h->nlmsg_seq - first;

		/* only the kernel, and only answers to what was just asked */
		if (from.nl_pid || i >= n || r[i].done)
			continue;
		rc = take_message(k, h, &r[i], err);
		if (r[i].done)
			(*left)--;
	}
	free(buf);
	return rc;
}

static int exchange_batch(struct vmk *k, struct vmk_req *r, size_t n,
			  struct vmc_error *err)
{
	uint64_t deadline = vmc_now_ms() + DEADLINE_MS;
	size_t left = n;
	int rc;

	rc = send_batch(k, r, n, err);
	while (!rc && left) {
		rc = wait_readable(k, deadline, err);
		if (!rc)
			rc = receive_some(k, r, n, &left, err);
	}
	return rc;
}

/* The module went away and came back with another number? Requests with the old one find no family. */
static bool family_moved(struct vmk *k, const struct vmk_req *r, size_t n)
{
	int family;

	for (size_t i = 0; i < n; i++)
		if (r[i].errnum != ENOENT || r[i].why[0])
			return false;
	family = vmk_resolve_family(NULL);
	if (family == k->family)
		return false;
	k->family = family;
	return true;
}

static int no_module(struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOMODULE, "the vmcrypt module was unloaded; all keys that it held are gone");
	vmc_hint(err, "load it with 'modprobe vmcrypt', then unlock the VMs with 'vmcrypt vm unlock'");
	return VMC_ENOMODULE;
}

static int exchange_again(struct vmk *k, struct vmk_req *r, size_t n,
			  struct vmc_error *err)
{
	int rc = exchange_batch(k, r, n, err);

	if (rc || !family_moved(k, r, n))
		return rc;
	if (k->family < 0)
		return no_module(err);
	return exchange_batch(k, r, n, err);
}

int vmk_exchange(struct vmk *k, struct vmk_req *r, size_t n, struct vmc_error *err)
{
	uint64_t start = now_ns();
	int rc = 0;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < n && !rc; i += BATCH)
		rc = exchange_again(k, r + i, n - i < BATCH ? n - i : BATCH, err);
	pthread_mutex_unlock(&k->lock);
	times.total_ns += now_ns() - start;
	return rc;
}

int vmk_ask(struct vmk *k, struct vmk_req *r, const struct vmk_subject *subject,
	    struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	uint8_t cmd = vmk_req_cmd(r);
	int rc = vmk_exchange(k, r, 1, &why);

	vmk_req_free(r);
	if (!rc && r->errnum) {
		rc = vmk_refused(subject, r->errnum, r->why, &why);
	} else if (!rc && r->code) {
		rc = r->code;
		why = r->err;
	}
	vmk_audit(cmd, subject, rc, &why);
	if (rc && err)
		*err = why;
	return rc;
}
