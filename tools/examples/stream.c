// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a hypervisor uses vmcrypt.ko for its own migration: a key that two kernels
 * agree on, and a TCP connection that becomes an encrypted stream.
 *
 *	stream destination PORT SECRET > copy		on one host
 *	stream source PORT SECRET HOST < file		on the other
 *
 * SECRET is a file of 32 to 1024 bytes that both have. It stands for what proves
 * to each that the other is whom it means, for instance an exporter value of the
 * TLS connection over which the public keys go; here they go in clear.
 */
#include <err.h>
#include <linux/vmcrypt.h>
#include <netdb.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ATTRIBUTES 32	/* no set of the family has more */

static struct nl_sock *sk, *events;	/* requests; news of the kernel */
static int family;
static uint32_t migration;
static uint8_t own_public[VMCRYPT_PUBLIC_LEN];
static int stream = -1, reason = -1;
static bool acked;

/* Answers and news. */
static int take(struct nl_msg *msg, void *arg)
{
	uint8_t cmd = ((struct genlmsghdr *)nlmsg_data(nlmsg_hdr(msg)))->cmd;
	struct nlattr *tb[ATTRIBUTES + 1];

	(void)arg;
	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, ATTRIBUTES, NULL))
		return NL_SKIP;
	if (cmd == VMCRYPT_CMD_MIGRATION_NEW) {
		migration = nla_get_u32(tb[VMCRYPT_A_MIGRATION_ID]);
		nla_memcpy(own_public, tb[VMCRYPT_A_MIGRATION_PUBLIC_KEY], sizeof(own_public));
	} else if (cmd == VMCRYPT_CMD_CHANNEL_NEW) {
		stream = (int)nla_get_u32(tb[VMCRYPT_A_CHANNEL_STREAM_FD]);
	} else if (cmd == VMCRYPT_CMD_CHANNEL_CLOSE_NTF && nla_get_u32(tb[VMCRYPT_A_CHANNEL_MIGRATION]) == migration) {
		reason = (int)nla_get_u32(tb[VMCRYPT_A_CHANNEL_REASON]);
	}
	return NL_OK;
}

static int take_ack(struct nl_msg *msg, void *arg)
{
	(void)msg, (void)arg;
	acked = true;
	return NL_STOP;
}

static struct nl_sock *open_netlink(void)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s || genl_connect(s) || (family = genl_ctrl_resolve(s, VMCRYPT_FAMILY_NAME)) < 0)
		errx(1, "no vmcrypt: is the module loaded?");
	nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, take, NULL);
	nl_socket_modify_cb(s, NL_CB_ACK, NL_CB_CUSTOM, take_ack, NULL);
	return s;
}

static struct nl_msg *request(uint8_t cmd)
{
	struct nl_msg *m = nlmsg_alloc();

	if (!m || !genlmsg_put(m, 0, 0, family, 0, 0, cmd, VMCRYPT_FAMILY_VERSION))
		errx(1, "no memory");
	return m;
}

static void ask(struct nl_msg *m, const char *what)
{
	int r = nl_send_auto(sk, m);

	nlmsg_free(m);
	for (acked = false; r >= 0 && !acked;)
		r = nl_recvmsgs_default(sk);
	if (r < 0)
		errx(1, "%s: %s", what, nl_geterror(r));
}

/* However this ends: a migration whose keys are agreed outlives the process that made it. */
static void forget(void)
{
	struct nl_msg *m;

	if (!migration)
		return;
	m = request(VMCRYPT_CMD_MIGRATION_DEL);
	nla_put_u32(m, VMCRYPT_A_MIGRATION_ID, migration);
	nla_put_flag(m, VMCRYPT_A_MIGRATION_FORCE);
	nl_send_auto(sk, m);
	nlmsg_free(m);
}

/* Each kernel keeps its private half to itself, and nobody else ever has the key. */
static void agree(int wire, bool source, const uint8_t *secret, size_t n)
{
	static const uint8_t vm[VMCRYPT_VM_ID_LEN] = "an example's VM";	/* its UUID, the same on both hosts */
	uint8_t peer_public[VMCRYPT_PUBLIC_LEN];
	struct nl_msg *m = request(VMCRYPT_CMD_MIGRATION_NEW);

	nla_put(m, VMCRYPT_A_MIGRATION_VM_ID, sizeof(vm), vm);
	nla_put_u32(m, VMCRYPT_A_MIGRATION_ROLE, source ? VMCRYPT_ROLE_SOURCE : VMCRYPT_ROLE_DESTINATION);
	nla_put_u32(m, VMCRYPT_A_MIGRATION_POLICY, VMCRYPT_POLICY_REQUIRED);
	ask(m, "migration-new");
	if (send(wire, own_public, sizeof(own_public), MSG_NOSIGNAL) != sizeof(own_public) ||
	    recv(wire, peer_public, sizeof(peer_public), MSG_WAITALL) != sizeof(peer_public))
		err(1, "public keys");
	m = request(VMCRYPT_CMD_MIGRATION_AGREE);
	nla_put_u32(m, VMCRYPT_A_MIGRATION_ID, migration);
	nla_put(m, VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY, sizeof(peer_public), peer_public);
	nla_put(m, VMCRYPT_A_MIGRATION_BINDING, (int)n, secret);
	ask(m, "migration-agree");
}

/* The connection belongs to the kernel from here on. A migration may have many: each its own number. */
static void encrypt(int wire)
{
	struct nl_msg *m = request(VMCRYPT_CMD_CHANNEL_NEW);

	nla_put_u32(m, VMCRYPT_A_CHANNEL_MIGRATION, migration);
	nla_put_u32(m, VMCRYPT_A_CHANNEL_NUMBER, 0);
	nla_put_u32(m, VMCRYPT_A_CHANNEL_WIRE_FD, (uint32_t)wire);
	ask(m, "channel-new");
	close(wire);
}

static void copy(int from, int to)
{
	static char buf[1 << 20];
	ssize_t n, done, w;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += w)
			if ((w = write(to, buf + done, (size_t)(n - done))) < 0)
				err(1, "write");
	if (n < 0)	/* not an authentic end: what came so far may not be all */
		err(1, "read");
}

static int dial(const char *host, const char *port)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = host ? 0 : AI_PASSIVE }, *a;
	int fd, yes = 1;

	if (getaddrinfo(host, port, &want, &a) || (fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		errx(1, "cannot use %s, port %s", host ? host : "this host", port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (host ? connect(fd, a->ai_addr, a->ai_addrlen) : bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1))
		err(1, "port %s", port);
	freeaddrinfo(a);
	return host ? fd : accept(fd, NULL, NULL);
}

int main(int argc, char *argv[])
{
	bool source = argc == 5 && !strcmp(argv[1], "source");
	uint8_t secret[VMCRYPT_BINDING_MAX];
	struct nl_msg *m;
	FILE *f;
	size_t n;
	int wire;

	if (!source && (argc != 4 || strcmp(argv[1], "destination")))
		errx(2, "stream destination PORT SECRET | stream source PORT SECRET HOST");
	f = fopen(argv[3], "re");
	n = f ? fread(secret, 1, sizeof(secret), f) : 0;
	if (n < VMCRYPT_BINDING_MIN)
		errx(1, "%s: not %d bytes", argv[3], VMCRYPT_BINDING_MIN);
	fclose(f);
	sk = open_netlink();
	events = open_netlink();
	nl_socket_disable_seq_check(events);
	if (nl_socket_add_membership(events, genl_ctrl_resolve_grp(sk, VMCRYPT_FAMILY_NAME, VMCRYPT_MCGRP_EVENTS)))
		errx(1, "cannot hear of the kernel's events");
	signal(SIGPIPE, SIG_IGN);	/* the channel may end while something is written */
	atexit(forget);
	wire = dial(source ? argv[4] : NULL, argv[2]);
	if (wire < 0)
		err(1, "accept");
	agree(wire, source, secret, n);
	encrypt(wire);
	if (source)
		copy(STDIN_FILENO, stream);
	else
		copy(stream, STDOUT_FILENO);
	if (ioctl(stream, VMCRYPT_STREAM_END))	/* this is all; the other end hears so, authentically */
		err(1, "end");
	if (source)
		copy(stream, STDOUT_FILENO);	/* until it has said the same */
	close(stream);
	while (reason < 0 && !nl_recvmsgs_default(events))
		;
	m = request(VMCRYPT_CMD_MIGRATION_DEL);
	nla_put_u32(m, VMCRYPT_A_MIGRATION_ID, migration);
	ask(m, "migration-del");
	migration = 0;
	fprintf(stderr, reason == VMCRYPT_END_COMPLETED ? "completed\n" : "ended for another reason\n");
	return reason != VMCRYPT_END_COMPLETED;
}
