// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Migrations and channels on the real module, as root: both hosts in one
 * kernel, TCP over loopback between them. TAP on stdout.
 *
 * Starts and ends with no migration and no channel in the kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <linux/vmcrypt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nlt.h"
#include "tap.h"
#include "world.h"

#define MIB		(1 << 20)
#define LOOPS		200
#define KEK		"test/kek-m"
#define KEY_UPDATE	"/sys/module/vmcrypt/parameters/key_update_mib"

static const uint8_t vm1[16] = { 0x22, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47,
				 0x88, 0x89, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
				 0xff, 0x01 };

/* Is there a text, and this errno? */
static bool refused(int ret, int err)
{
	if (ret == -err && a.text[0])
		return true;
	tap_note("%d, not %d: %s", ret, -err, a.text);
	return false;
}

static void sessions(void)
{
	uint8_t public[3][VMCRYPT_PUBLIC_LEN];
	uint32_t id[3];
	struct nlt other;
	int i;

	for (i = 0; i < 2; i++)
		tap_ok(!migration_new(&nl, vm1, i, VMCRYPT_POLICY_REQUIRED,
				      &id[i], public[i]), "migration-new");
	tap_ok(memcmp(public[0], public[1], VMCRYPT_PUBLIC_LEN),
	       "each has a key of its own");
	tap_ok(refused(migration_new(&nl, vm1, 0, VMCRYPT_POLICY_DISABLED,
				     &id[2], public[2]), EINVAL),
	       "no key for the policy disabled");
	tap_ok(refused(migration_new(&nl, vm1, 2, VMCRYPT_POLICY_REQUIRED,
				     &id[2], public[2]), ERANGE),
	       "no third role");
	tap_ok(refused(migration_agree(&nl, id[0], public[0], 1),
		       EKEYREJECTED), "not with oneself");
	nlt_open(&other);
	tap_ok(refused(migration_agree(&other, id[0], public[1], 1), EPERM),
	       "not from another socket");
	nlt_close(&other);
	tap_ok(refused(channel_new(id[0], 0, 0, -1), ENOTSOCK),
	       "no channel over what is no socket");
	tap_ok(!migration_agree(&nl, id[0], public[1], 1), "migration-agree");
	tap_ok(refused(migration_agree(&nl, id[0], public[1], 1), EALREADY),
	       "not twice");
	tap_ok(!migration_op(VMCRYPT_CMD_MIGRATION_GET, id[0], false) &&
	       a.attrs[VMCRYPT_A_MIGRATION_AGREED] &&
	       nla_get_u32(a.attrs[VMCRYPT_A_MIGRATION_ROLE]) ==
	       VMCRYPT_ROLE_SOURCE, "migration-get");
	tap_ok(nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_MIGRATION_GET, 0), NULL,
			NULL) == 2, "migration-get of all");
	for (i = 0; i < 2; i++)
		tap_ok(!migration_op(VMCRYPT_CMD_MIGRATION_DEL, id[i], false),
		       "migration-del");
	tap_ok(refused(migration_op(VMCRYPT_CMD_MIGRATION_GET, id[0], false),
		       ENOENT), "it is gone");
}

static void orphans(void)
{
	uint8_t public[VMCRYPT_PUBLIC_LEN];
	struct nlt_answer e = { 0 };
	struct nlt other;
	uint32_t id = 0;
	pid_t pid;

	nlt_drain(&events);
	pid = fork();
	if (!pid) {
		nlt_open(&other);
		migration_new(&other, vm1, 0, VMCRYPT_POLICY_REQUIRED, &id,
			      public);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	while (nlt_event(&events, &e, NLT_DEADLINE) &&
	       e.cmd != VMCRYPT_CMD_MIGRATION_END_NTF)
		;
	tap_ok(e.cmd == VMCRYPT_CMD_MIGRATION_END_NTF &&
	       nla_get_u32(e.attrs[VMCRYPT_A_MIGRATION_REASON]) ==
	       VMCRYPT_END_OWNER_DIED,
	       "a migration goes with the process that alone could finish it");
	tap_ok(!info(VMCRYPT_A_INFO_MIGRATIONS), "nothing is left of it");
}

/* Both directions, and both halves closed. */
static bool whole_life(struct world *w, size_t len)
{
	bool ok = pour(w->user[SRC], w->user[DST], len, 5) &&
		  pour(w->user[DST], w->user[SRC], len / 4 + 1, 6);
	uint8_t byte;
	int err;

	shutdown(w->user[SRC], SHUT_WR);
	ok = ok && !get(w->user[DST], 1, 0, &err) && !err;
	ok = ok && pour(w->user[DST], w->user[SRC], 1000, 7);
	shutdown(w->user[DST], SHUT_WR);
	return ok && read(w->user[SRC], &byte, 1) == 0;
}

static void pump(struct world *w)
{
	world_open(w, RELAY_FAIR, false);
	tap_ok(whole_life(w, 16 * MIB), "pump: data both ways, half-close");
	tap_ok(ended(w, SRC, VMCRYPT_END_COMPLETED) &&
	       ended(w, DST, VMCRYPT_END_COMPLETED), "pump: completed");
	world_close(w);
	tap_ok(w->relay[SRC].records > 16 && !w->relay[SRC].leaked &&
	       !w->relay[DST].leaked, "pump: nothing in clear on the wire");
}

static void key_update(struct world *w)
{
	uint32_t epoch;

	write_param(KEY_UPDATE, "1");
	world_open(w, RELAY_FAIR, false);
	tap_ok(pour(w->user[SRC], w->user[DST], 8 * MIB, 1),
	       "data under many keys");
	channel_op(VMCRYPT_CMD_CHANNEL_GET, w->migration[SRC], w->number);
	epoch = a.err ? 0 : nla_get_u32(a.attrs[VMCRYPT_A_CHANNEL_SENT_EPOCH]);
	tap_ok(epoch >= 7, "keys were updated (%u times)", epoch);
	write_param(KEY_UPDATE, "0");
	shutdown(w->user[SRC], SHUT_WR);
	shutdown(w->user[DST], SHUT_WR);
	tap_ok(ended(w, SRC, VMCRYPT_END_COMPLETED) &&
	       ended(w, DST, VMCRYPT_END_COMPLETED), "completed");
	world_close(w);
}

static const struct {
	const char *what;
	enum relay_mode mode;
	int reason;
} hostile[] = {
	{ "flips a bit", RELAY_FLIP, VMCRYPT_END_AUTH_FAILED },
	{ "drops a record", RELAY_DROP, VMCRYPT_END_AUTH_FAILED },
	{ "replays a record", RELAY_REPLAY, VMCRYPT_END_AUTH_FAILED },
	{ "cuts", RELAY_CUT, VMCRYPT_END_TRUNCATED },
	{ "resets", RELAY_RESET, VMCRYPT_END_TRUNCATED },
};

static void *put_much(void *data)
{
	put(*(int *)data, 4 * MIB, 9);
	return NULL;
}

static void hostile_wires(struct world *w)
{
	pthread_t thread;
	size_t i, got;
	int err;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		world_open(w, hostile[i].mode, false);
		if (pthread_create(&thread, NULL, put_much, &w->user[SRC]))
			tap_bail("no thread");
		got = get(w->user[DST], 4 * MIB, 9, &err);
		tap_ok(got < 4 * MIB && err == ECONNRESET,
		       "wire that %s: only what is authentic, no clean end",
		       hostile[i].what);
		tap_ok(ended(w, DST, hostile[i].reason),
		       "wire that %s: the reason", hostile[i].what);
		err = channel_end(w, SRC);
		tap_ok(err == VMCRYPT_END_PEER_CLOSED ||
		       err == VMCRYPT_END_TRUNCATED,
		       "wire that %s: the source learns of it (%d)",
		       hostile[i].what, err);
		pthread_join(thread, NULL);
		world_close(w);
	}
}

static void ends(struct world *w)
{
	int err;

	world_open(w, RELAY_FAIR, false);
	tap_ok(refused(migration_op(VMCRYPT_CMD_MIGRATION_DEL,
				    w->migration[SRC], false), EBUSY),
	       "a migration with an open channel stays");
	/* delete_module() asks for nothing but the name. */
	tap_ok(syscall(SYS_delete_module, "vmcrypt", O_NONBLOCK) < 0 &&
	       errno == EWOULDBLOCK, "the module stays while one is open");
	pour(w->user[SRC], w->user[DST], 1000, 1);
	tap_ok(!channel_op(VMCRYPT_CMD_CHANNEL_DEL, w->migration[SRC],
			   w->number), "channel-del");
	tap_ok(ended(w, SRC, VMCRYPT_END_REMOVED) &&
	       ended(w, DST, VMCRYPT_END_PEER_CLOSED),
	       "the other end is told so, authentically");
	tap_ok(!get(w->user[DST], 1, 0, &err) && err == ECONNRESET,
	       "its plain side has no clean end");
	world_close(w);

	world_open(w, RELAY_FAIR, false);
	pour(w->user[SRC], w->user[DST], 1000, 1);
	close(w->user[DST]);
	w->user[DST] = -1;
	put(w->user[SRC], 1000, 2);
	tap_ok(ended(w, DST, VMCRYPT_END_PLAIN_CLOSED),
	       "a plain side that goes early ends the channel");
	world_close(w);
}

static void numbers(struct world *w)
{
	int fd[2];

	tcp_pair(fd);
	tap_ok(refused(channel_new(w->migration[SRC], 0, fd[0], fd[1]),
		       EEXIST), "no number twice");
	tap_ok(refused(channel_new(w->migration[SRC], VMCRYPT_CHANNEL_MAX + 1,
				   fd[0], fd[1]), ERANGE),
	       "no number beyond the last");
	tap_ok(refused(channel_new(w->migration[SRC], 900, fd[0], fd[0]),
		       EINVAL), "wire and plain side are two");
	tap_ok(refused(channel_new(w->migration[SRC] + 1000, 1, fd[0], fd[1]),
		       ENOENT), "no channel without a migration");
	close(fd[0]);
	close(fd[1]);
	fd[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap_ok(refused(channel_new(w->migration[SRC], 901, fd[0], -1),
		       EPROTOTYPE), "no datagrams");
	close(fd[0]);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tap_ok(refused(channel_new(w->migration[SRC], 902, fd[0], -1),
		       ENOTCONN), "no socket that is not connected");
	close(fd[0]);
}

static void direct(struct world *w)
{
	struct pollfd pfd;
	uint8_t byte;
	pid_t pid;
	int err;

	world_open(w, RELAY_FAIR, true);
	tap_ok(pour(w->user[SRC], w->user[DST], 16 * MIB, 3) &&
	       pour(w->user[DST], w->user[SRC], 4 * MIB, 4),
	       "direct: data both ways");
	fcntl(w->user[SRC], F_SETFL, O_NONBLOCK);
	tap_ok(read(w->user[SRC], &byte, 1) < 0 && errno == EAGAIN,
	       "direct: O_NONBLOCK");
	pfd.fd = w->user[SRC];
	pfd.events = POLLIN | POLLOUT;
	tap_ok(poll(&pfd, 1, 0) == 1 && pfd.revents == POLLOUT,
	       "direct: poll tells that there is room, and nothing to read");
	tap_ok(!ioctl(w->user[SRC], VMCRYPT_STREAM_END),
	       "direct: the stream ends its half");
	tap_ok(!get(w->user[DST], 1, 0, &err) && !err, "direct: a clean end");
	fcntl(w->user[SRC], F_SETFL, 0);
	put(w->user[DST], 10, 1);
	tap_ok(get(w->user[SRC], 10, 1, &err) == 10, "direct: half closed");
	shutdown(w->user[DST], SHUT_WR);
	tap_ok(read(w->user[SRC], &byte, 1) == 0 &&
	       ended(w, SRC, VMCRYPT_END_COMPLETED) &&
	       ended(w, DST, VMCRYPT_END_COMPLETED), "direct: completed");
	world_close(w);

	world_open(w, RELAY_FAIR, true);
	pid = fork();
	if (!pid) {
		put(w->user[SRC], 1000, 1);
		pause();
	}
	close(w->user[SRC]);
	w->user[SRC] = -1;
	tap_ok(get(w->user[DST], 1000, 1, &err) == 1000, "direct: in a child");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_ok(ended(w, SRC, VMCRYPT_END_OWNER_DIED) &&
	       ended(w, DST, VMCRYPT_END_PEER_CLOSED),
	       "direct: a killed owner is no clean end");
	world_close(w);
}

static void many(struct world *w)
{
	bool ok = true;
	int i;

	for (i = 0; i < LOOPS && ok; i++) {
		world_open(w, RELAY_FAIR, i % 3 == 0);
		ok = pour(w->user[SRC], w->user[DST], 10000 + i, i);
		if (i % 2)
			channel_op(VMCRYPT_CMD_CHANNEL_DEL, w->migration[DST],
				   w->number);
		world_close(w);
		nlt_drain(&events);
	}
	tap_ok(ok, "%d channels come and go (%d)", LOOPS, i);
	tap_ok(all_closed(), "none is left");
}

/* DEKs */

static int32_t logon(const void *bytes, size_t len)
{
	int32_t serial = add_key("logon", "vmcrypt-test:m", bytes, len,
				 KEY_SPEC_THREAD_KEYRING);

	if (serial < 0)
		tap_bail("add_key: %s", strerror(errno));
	return serial;
}

static struct nl_msg *dek_msg(int cmd, const char *kek, const void *blob,
			      int attr, size_t len)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put(msg, VMCRYPT_A_DEK_VM_ID, 16, vm1);
	nla_put_string(msg, VMCRYPT_A_DEK_VOLUME, "disk0");
	if (kek)
		nla_put_string(msg, VMCRYPT_A_DEK_KEK_ID, kek);
	if (blob)
		nla_put(msg, attr, len, blob);
	return msg;
}

static void load(uint8_t *kek, uint8_t *dek)
{
	struct nl_msg *msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_NEW, 0);
	int32_t serial = logon(kek, VMCRYPT_KEK_LEN);
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK);
	nla_put_s32(msg, VMCRYPT_A_KEK_KEY_SERIAL, serial);
	nlt_do(&nl, msg, &a);
	msg = nlt_msg(&nl, VMCRYPT_CMD_VM_NEW, 0);
	nla_put(msg, VMCRYPT_A_VM_ID, 16, vm1);
	nlt_do(&nl, msg, &a);
	serial = logon(dek, VMCRYPT_DEK_LEN);
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_WRAP, KEK, &serial,
			    VMCRYPT_A_DEK_KEY_SERIAL, sizeof(serial)), &a);
	if (a.err)
		tap_bail("dek-wrap: %d %s", a.err, a.text);
	memcpy(wrapped, nla_data(a.attrs[VMCRYPT_A_DEK_WRAPPED]),
	       sizeof(wrapped));
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, KEK, wrapped,
			    VMCRYPT_A_DEK_WRAPPED, sizeof(wrapped)), &a);
	if (a.err)
		tap_bail("dek-load: %d %s", a.err, a.text);
}

static int export(uint32_t migration, uint8_t *sealed)
{
	struct nl_msg *msg = dek_msg(VMCRYPT_CMD_DEK_EXPORT, NULL, NULL, 0, 0);

	nla_put_u32(msg, VMCRYPT_A_DEK_MIGRATION, migration);
	nlt_do(&nl, msg, &a);
	if (!a.err)
		memcpy(sealed, nla_data(a.attrs[VMCRYPT_A_DEK_SEALED]),
		       VMCRYPT_SEALED_LEN);
	return a.err;
}

static int import(uint32_t migration, const uint8_t *sealed)
{
	struct nl_msg *msg = dek_msg(VMCRYPT_CMD_DEK_IMPORT, KEK, sealed,
				     VMCRYPT_A_DEK_SEALED, VMCRYPT_SEALED_LEN);

	nla_put_u32(msg, VMCRYPT_A_DEK_MIGRATION, migration);
	nlt_do(&nl, msg, &a);
	return a.err;
}

static void forget(int cmd, int attr, const void *id, size_t len)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put(msg, attr, len, id);
	nla_put_flag(msg, cmd == VMCRYPT_CMD_VM_DEL ? VMCRYPT_A_VM_FORCE :
						      VMCRYPT_A_KEK_FORCE);
	nlt_do(&nl, msg, &a);
}

static void deks(void)
{
	uint8_t kek[VMCRYPT_KEK_LEN], dek[VMCRYPT_DEK_LEN];
	uint8_t sealed[VMCRYPT_SEALED_LEN], public[VMCRYPT_PUBLIC_LEN];
	struct world w;
	uint32_t id;
	size_t i;

	for (i = 0; i < sizeof(dek); i++)
		dek[i] = 31 + 5 * i;
	for (i = 0; i < sizeof(kek); i++)
		kek[i] = 177 - 3 * i;
	nlt_secret(dek, sizeof(dek));
	nlt_secret(kek, sizeof(kek));
	load(kek, dek);
	tap_ok(refused(migration_new(&nl, vm1, 0, VMCRYPT_POLICY_OPPORTUNISTIC,
				     &id, public), EPERM),
	       "an encrypted VM migrates encrypted");
	world_agree(&w, vm1, VMCRYPT_POLICY_REQUIRED);
	tap_ok(!export(w.migration[SRC], sealed), "dek-export");
	tap_ok(refused(export(w.migration[DST], sealed), EPERM),
	       "not at the destination");
	tap_ok(refused(import(w.migration[DST], sealed), EEXIST),
	       "not where it is loaded");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_DEL, NULL, NULL, 0, 0), &a);
	forget(VMCRYPT_CMD_KEK_DEL, VMCRYPT_A_KEK_ID, KEK, sizeof(KEK));
	sealed[40] ^= 1;
	tap_ok(refused(import(w.migration[DST], sealed), EKEYREJECTED),
	       "not when it was altered");
	sealed[40] ^= 1;
	tap_ok(!import(w.migration[DST], sealed) &&
	       a.attrs[VMCRYPT_A_DEK_KEY_SERIAL], "dek-import, without the KEK");
	forget(VMCRYPT_CMD_VM_DEL, VMCRYPT_A_VM_ID, vm1, sizeof(vm1));
	world_end(&w);
	tap_ok(!nlt_leaks(), "no key in any message (%lu bytes searched)",
	       nlt_searched());
}

int main(void)
{
	struct world w;

	nlt_open(&nl);
	nlt_open(&events);
	if (nl_socket_add_membership(events.sk, events.group))
		tap_bail("no group of events");
	tap_ok(info(VMCRYPT_A_INFO_MAX_MIGRATIONS) &&
	       info(VMCRYPT_A_INFO_MAX_CHANNELS) &&
	       info(VMCRYPT_A_INFO_RECORD_MAX) >= 4096, "limits are told");
	sessions();
	orphans();
	world_agree(&w, vm1, VMCRYPT_POLICY_OPPORTUNISTIC);
	pump(&w);
	key_update(&w);
	hostile_wires(&w);
	ends(&w);
	numbers(&w);
	direct(&w);
	many(&w);
	world_end(&w);
	deks();
	tap_ok(!info(VMCRYPT_A_INFO_MIGRATIONS) &&
	       !info(VMCRYPT_A_INFO_CHANNELS), "nothing is left");
	nlt_close(&events);
	nlt_close(&nl);
	return tap_end();
}
