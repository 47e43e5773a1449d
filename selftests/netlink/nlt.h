/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink for tests: requests as crooked as one likes, and answers in full.
 * Everything that is sent or received is searched for secrets.
 */
#ifndef NLT_H
#define NLT_H

#include <netlink/netlink.h>
#include <netlink/genl/genl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest wait for an answer or a notification, in milliseconds. */
#define NLT_DEADLINE	20000

struct nlt {
	struct nl_sock *sk;
	int fd;
	int family;
	int group;
};

/*
 * The answer to one request: @err is 0 or a negative errno, @text that of the
 * extended acknowledgement or "", @attrs those of the last reply, which are
 * valid until the next request; @replies counts them.
 */
struct nlt_answer {
	int err;
	char text[256];
	int cmd;
	int replies;
	struct nlattr *attrs[32];
};

void nlt_open(struct nlt *nl);
void nlt_close(struct nlt *nl);
struct nl_msg *nlt_msg(const struct nlt *nl, int cmd, int flags);
int nlt_send(const struct nlt *nl, const void *buf, size_t len);
void nlt_answer(const struct nlt *nl, struct nlt_answer *a);
void nlt_do(const struct nlt *nl, struct nl_msg *msg, struct nlt_answer *a);
int nlt_dump(const struct nlt *nl, struct nl_msg *msg,
	     void (*each)(struct nlattr **attrs, void *ctx), void *ctx);
bool nlt_event(const struct nlt *nl, struct nlt_answer *a, int timeout_ms);
void nlt_drain(const struct nlt *nl);

void nlt_secret(const uint8_t *bytes, size_t len);
bool nlt_has_secret(const void *buf, size_t len);
unsigned long nlt_leaks(void);
unsigned long nlt_searched(void);

#endif /* NLT_H */
