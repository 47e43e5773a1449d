// SPDX-License-Identifier: GPL-2.0-only
/*
 * Channels: both hosts in one kernel, and a wire that may be hostile between
 * them.
 *
 *	user(A) - plain(A) = channel A = wire(A) - ... - wire(B) = channel B = ...
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "channel.h"
#include "vectors.h"

#define DEADLINE	(20 * HZ)
#define CHUNK		5000
#define RECORD_BUF	(64 * 1024)

enum { A, B, HOSTS };

static const u8 vm[VMCRYPT_VM_ID_LEN] = { 0xcc, 1 };

static u32 mig[HOSTS];
static u32 next_number;
static struct netlink_ext_ack extack;
static u8 *buf;

/* How the channel of each host ended. */
static struct {
	struct completion done;
	enum vmcrypt_end reason;
	int error;
} closed[HOSTS];

static int see(struct notifier_block *nb, unsigned long cmd, void *data)
{
	const struct vmcrypt_channel_event *event = data;
	int i;

	if (cmd != VMCRYPT_CMD_CHANNEL_CLOSE_NTF)
		return NOTIFY_DONE;
	i = event->channel->migration->id == mig[A] ? A : B;
	closed[i].reason = event->reason;
	closed[i].error = event->error;
	complete(&closed[i].done);
	return NOTIFY_DONE;
}

static struct notifier_block see_nb = { .notifier_call = see };

/* Sockets */

static struct socket *stream_socket(struct kunit *test)
{
	struct socket *sock;
	struct file *file;

	KUNIT_ASSERT_EQ(test, 0, sock_create_kern(&init_net, AF_UNIX,
						  SOCK_STREAM, 0, &sock));
	file = sock_alloc_file(sock, 0, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	sock->sk->sk_rcvtimeo = DEADLINE;
	sock->sk->sk_sndtimeo = DEADLINE;
	return sock;
}

static void pair(struct kunit *test, struct socket **one, struct socket **two)
{
	*one = stream_socket(test);
	*two = stream_socket(test);
	KUNIT_ASSERT_EQ(test, 0, (*one)->ops->socketpair(*one, *two));
}

static void drop(struct socket **sock)
{
	if (*sock)
		fput((*sock)->file);
	*sock = NULL;
}

static int send_all(struct socket *sock, const void *data, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL };
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };
	int ret = kernel_sendmsg(sock, &msg, &vec, 1, len);

	return ret == len ? 0 : ret < 0 ? ret : -EIO;
}

/* Bytes that came, @len unless the stream ended before, or an errno. */
static int receive(struct socket *sock, void *data, size_t len)
{
	struct msghdr msg = {};
	struct kvec vec = { .iov_base = data, .iov_len = len };

	return kernel_recvmsg(sock, &msg, &vec, 1, len, MSG_WAITALL);
}

/* Byte @at of the stream with a seed. */
static u8 pattern(u8 seed, size_t at)
{
	return seed + at * 7 + (at >> 9);
}

/* A thread that sends a stream, and ends it. */
struct feeder {
	struct socket *sock;
	size_t len;
	u8 seed;
	bool end;
	int ret;
	struct completion done;
};

static int feed(void *data)
{
	struct feeder *f = data;
	size_t at, i, n;
	u8 *chunk;

	chunk = kmalloc(CHUNK, GFP_KERNEL);
	f->ret = chunk ? 0 : -ENOMEM;
	for (at = 0; !f->ret && at < f->len; at += n) {
		n = min_t(size_t, CHUNK, f->len - at);
		for (i = 0; i < n; i++)
			chunk[i] = pattern(f->seed, at + i);
		f->ret = send_all(f->sock, chunk, n);
	}
	if (f->end)
		kernel_sock_shutdown(f->sock, SHUT_WR);
	kfree(chunk);
	complete(&f->done);
	return 0;
}

static void feeder_start(struct kunit *test, struct feeder *f)
{
	struct task_struct *task;

	init_completion(&f->done);
	task = kthread_run(feed, f, "vmcrypt-kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
}

/* Bytes that are as the feeder sent them, up to the end or @len. */
static size_t eat(struct kunit *test, struct socket *sock, u8 seed, size_t len,
		  int *last)
{
	size_t at = 0, i;
	int ret = 0;

	while (at < len) {
		ret = receive(sock, buf, min_t(size_t, CHUNK, len - at));
		if (ret <= 0)
			break;
		for (i = 0; i < ret; i++)
			if (buf[i] != pattern(seed, at + i))
				break;
		KUNIT_EXPECT_EQ_MSG(test, i, ret, "at %zu", at + i);
		at += ret;
	}
	*last = ret < 0 ? ret : 0;
	return at;
}

/* Channels */

struct world {
	struct socket *user[HOSTS];
	struct socket *plain[HOSTS];
	struct socket *wire[HOSTS];
	struct socket *far[HOSTS];	/* other end of a hostile wire */
	u32 number;
};

static int open_channel(struct world *w, int host, struct file **stream)
{
	struct vmcrypt_channel_new new = {
		.migration = mig[host],
		.number = w->number,
		.wire = w->wire[host],
		.plain = w->plain[host],
	};

	return vmcrypt_channel_add(&new, stream, &extack);
}

static void sockets(struct kunit *test, struct world *w, bool hostile)
{
	memset(w, 0, sizeof(*w));
	w->number = next_number++;
	pair(test, &w->user[A], &w->plain[A]);
	pair(test, &w->user[B], &w->plain[B]);
	if (hostile) {
		pair(test, &w->wire[A], &w->far[A]);
		pair(test, &w->wire[B], &w->far[B]);
	} else {
		pair(test, &w->wire[A], &w->wire[B]);
	}
	reinit_completion(&closed[A].done);
	reinit_completion(&closed[B].done);
}

/* What the channels have they keep; the rest is the test's. */
static void let_go(struct world *w)
{
	int i;

	for (i = 0; i < HOSTS; i++) {
		drop(&w->plain[i]);
		drop(&w->wire[i]);
	}
}

static void two_channels(struct kunit *test, struct world *w, bool hostile)
{
	sockets(test, w, hostile);
	KUNIT_ASSERT_EQ(test, 0, open_channel(w, A, NULL));
	KUNIT_ASSERT_EQ(test, 0, open_channel(w, B, NULL));
	let_go(w);
}

static void over(struct world *w)
{
	int i;

	for (i = 0; i < HOSTS; i++) {
		drop(&w->user[i]);
		drop(&w->far[i]);
	}
	let_go(w);
}

static void expect_end(struct kunit *test, int host, enum vmcrypt_end reason)
{
	KUNIT_ASSERT_NE_MSG(test, 0,
			    wait_for_completion_timeout(&closed[host].done,
							DEADLINE),
			    "channel %c did not end", "AB"[host]);
	KUNIT_EXPECT_EQ_MSG(test, closed[host].reason, reason,
			    "channel %c, error %d", "AB"[host],
			    closed[host].error);
}

static void transfer(struct kunit *test, struct world *w, int from,
		     size_t len, bool end)
{
	struct feeder f = {
		.sock = w->user[from],
		.len = len,
		.seed = 17 + from,
		.end = end,
	};
	int last;

	feeder_start(test, &f);
	KUNIT_EXPECT_EQ(test, len, eat(test, w->user[!from], f.seed, len,
				       &last));
	wait_for_completion(&f.done);
	KUNIT_EXPECT_EQ(test, 0, f.ret);
	if (end)
		KUNIT_EXPECT_EQ(test, 0, receive(w->user[!from], buf, 1));
}

static void data_goes_both_ways(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, false);
	transfer(test, &w, A, 1, false);
	transfer(test, &w, B, 1, false);
	transfer(test, &w, A, 3 << 20, false);
	transfer(test, &w, B, 3 << 20, false);
	transfer(test, &w, A, 100, true);
	/* Half closed: the other half goes on. */
	transfer(test, &w, B, 1 << 20, false);
	transfer(test, &w, B, 77, true);
	expect_end(test, A, VMCRYPT_END_COMPLETED);
	expect_end(test, B, VMCRYPT_END_COMPLETED);
	over(&w);
}

static int take_epochs(const struct vmcrypt_channel *ch, void *ctx)
{
	u32 *epochs = ctx;

	epochs[0] = ch->tx.state.epoch;
	epochs[1] = ch->rx.state.epoch;
	return 0;
}

static void keys_are_updated(struct kunit *test)
{
	u32 a[2], b[2];
	struct world w;

	WRITE_ONCE(vmcrypt_key_update_mib, 1);
	two_channels(test, &w, false);
	transfer(test, &w, A, 8 << 20, false);
	transfer(test, &w, B, 100, false);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channel_show(mig[A], w.number,
						      take_epochs, a,
						      &extack));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channel_show(mig[B], w.number,
						      take_epochs, b,
						      &extack));
	KUNIT_EXPECT_GE(test, a[0], 7);
	KUNIT_EXPECT_EQ(test, a[0], b[1]);
	KUNIT_EXPECT_EQ(test, b[0], 0);
	transfer(test, &w, A, 1, true);
	transfer(test, &w, B, 1, true);
	expect_end(test, A, VMCRYPT_END_COMPLETED);
	expect_end(test, B, VMCRYPT_END_COMPLETED);
	WRITE_ONCE(vmcrypt_key_update_mib, 0);
	over(&w);
}

/* A hostile wire: one record of every CHUNK, the second of which it spoils. */

struct hostile_case {
	const char *desc;
	enum { FLIP_TEXT, FLIP_TAG, FLIP_TYPE, FLIP_EPOCH, TOO_LONG, REPLAY,
	       LEAVE_OUT, SWAP, CUT_HEADER, CUT_TEXT, CUT_BETWEEN, NOISE } what;
	enum vmcrypt_end reason;
};

static const struct hostile_case hostile_cases[] = {
	{ "flips a bit of the text", FLIP_TEXT, VMCRYPT_END_AUTH_FAILED },
	{ "flips a bit of the tag", FLIP_TAG, VMCRYPT_END_AUTH_FAILED },
	{ "makes an unknown type", FLIP_TYPE, VMCRYPT_END_MALFORMED },
	{ "makes another epoch", FLIP_EPOCH, VMCRYPT_END_MALFORMED },
	{ "makes it too long", TOO_LONG, VMCRYPT_END_MALFORMED },
	{ "repeats a record", REPLAY, VMCRYPT_END_AUTH_FAILED },
	{ "leaves a record out", LEAVE_OUT, VMCRYPT_END_AUTH_FAILED },
	{ "swaps two records", SWAP, VMCRYPT_END_AUTH_FAILED },
	{ "cuts in the header", CUT_HEADER, VMCRYPT_END_TRUNCATED },
	{ "cuts in the text", CUT_TEXT, VMCRYPT_END_TRUNCATED },
	{ "cuts between records", CUT_BETWEEN, VMCRYPT_END_TRUNCATED },
	{ "sends noise", NOISE, VMCRYPT_END_MALFORMED },
};

static void hostile_desc(const struct hostile_case *c, char *desc)
{
	strscpy(desc, c->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(hostile, hostile_cases, hostile_desc);

/* One whole record off the wire: its length. */
static int take_record(struct kunit *test, struct socket *sock, u8 *to)
{
	struct vmcrypt_record record;
	int len;

	KUNIT_ASSERT_EQ(test, VMCRYPT_RECORD_HEADER,
			receive(sock, to, VMCRYPT_RECORD_HEADER));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_record_get(to, &record));
	len = record.len + VMCRYPT_RECORD_TAG;
	KUNIT_ASSERT_LE(test, VMCRYPT_RECORD_HEADER + len, RECORD_BUF);
	KUNIT_ASSERT_EQ(test, len, receive(sock, to + VMCRYPT_RECORD_HEADER,
					   len));
	return VMCRYPT_RECORD_HEADER + len;
}

static void spoil(struct kunit *test, const struct hostile_case *c, u8 *second,
		  int len, const u8 *third, int third_len, struct socket *to)
{
	switch (c->what) {
	case FLIP_TEXT:
		second[VMCRYPT_RECORD_HEADER + 100] ^= 1;
		break;
	case FLIP_TAG:
		second[len - 1] ^= 0x80;
		break;
	case FLIP_TYPE:
		second[0] ^= 4;
		break;
	case FLIP_EPOCH:
		second[7] ^= 1;
		break;
	case TOO_LONG:
		second[8] = 1;
		break;
	case NOISE:
		memset(second, 0x5a, len);
		break;
	case SWAP:
		KUNIT_EXPECT_EQ(test, 0, send_all(to, third, third_len));
		break;
	case CUT_HEADER:
		len = 5;
		break;
	case CUT_TEXT:
		len = 100;
		break;
	case CUT_BETWEEN:
	case LEAVE_OUT:
		len = 0;
		break;
	case REPLAY:
		KUNIT_EXPECT_EQ(test, 0, send_all(to, second, len));
		break;
	}
	if (len)
		KUNIT_EXPECT_EQ(test, 0, send_all(to, second, len));
	if (c->what == CUT_HEADER || c->what == CUT_TEXT ||
	    c->what == CUT_BETWEEN)
		kernel_sock_shutdown(to, SHUT_WR);
	else if (c->what != SWAP)
		KUNIT_EXPECT_EQ(test, 0, send_all(to, third, third_len));
}

static void a_hostile_wire_gets_nowhere(struct kunit *test)
{
	const struct hostile_case *c = test->param_value;
	u8 *record[3], *plain;
	struct world w;
	int len[3], i, last;
	size_t whole;

	two_channels(test, &w, true);
	plain = kunit_kzalloc(test, CHUNK, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, plain);
	for (i = 0; i < 3; i++) {
		record[i] = kunit_kzalloc(test, RECORD_BUF, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, record[i]);
		memset(plain, pattern(9, i), CHUNK);
		KUNIT_ASSERT_EQ(test, 0, send_all(w.user[A], plain, CHUNK));
		len[i] = take_record(test, w.far[A], record[i]);
		/* Nothing of it is in the clear. */
		KUNIT_EXPECT_FALSE(test,
				   !memcmp(record[i] + VMCRYPT_RECORD_HEADER,
					   plain, 16));
	}
	KUNIT_EXPECT_EQ(test, 0, send_all(w.far[B], record[0], len[0]));
	spoil(test, c, record[1], len[1], record[2], len[2], w.far[B]);

	/* What is authentic comes, and then no clean end. */
	whole = c->what == REPLAY ? 2 * CHUNK : CHUNK;
	for (i = 0; i < whole / CHUNK; i++) {
		memset(plain, pattern(9, i), CHUNK);
		KUNIT_EXPECT_EQ(test, CHUNK, receive(w.user[B], buf, CHUNK));
		KUNIT_EXPECT_MEMEQ(test, buf, plain, CHUNK);
	}
	last = receive(w.user[B], buf, 1);
	KUNIT_EXPECT_EQ(test, last, -ECONNRESET);
	expect_end(test, B, c->reason);

	/* B says so to A, authentically. */
	len[0] = take_record(test, w.far[B], record[0]);
	KUNIT_EXPECT_EQ(test, record[0][0], VMCRYPT_RECORD_END);
	KUNIT_EXPECT_EQ(test, 0, send_all(w.far[A], record[0], len[0]));
	expect_end(test, A, VMCRYPT_END_PEER_CLOSED);
	over(&w);
}

static void a_wire_that_ends_is_no_end(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, true);
	drop(&w.far[B]);
	KUNIT_EXPECT_EQ(test, -ECONNRESET, receive(w.user[B], buf, 1));
	expect_end(test, B, VMCRYPT_END_TRUNCATED);
	drop(&w.far[A]);
	expect_end(test, A, VMCRYPT_END_TRUNCATED);
	over(&w);
}

static void a_plain_side_may_go(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, false);
	transfer(test, &w, A, 100, false);
	drop(&w.user[B]);
	/* B has nobody to give this to. */
	KUNIT_EXPECT_EQ(test, 0, send_all(w.user[A], buf, 100));
	expect_end(test, B, VMCRYPT_END_PLAIN_CLOSED);
	/* A learns of it with what it sends next. */
	drop(&w.user[A]);
	KUNIT_ASSERT_NE(test, 0, wait_for_completion_timeout(&closed[A].done,
							     DEADLINE));
	KUNIT_EXPECT_NE(test, closed[A].reason, VMCRYPT_END_COMPLETED);
	over(&w);
}

static void a_channel_can_be_ended(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, false);
	transfer(test, &w, A, 100, false);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channel_del(mig[A], w.number,
						     &extack));
	expect_end(test, A, VMCRYPT_END_REMOVED);
	expect_end(test, B, VMCRYPT_END_PEER_CLOSED);
	KUNIT_EXPECT_EQ(test, -ECONNRESET, receive(w.user[A], buf, 1));
	KUNIT_EXPECT_EQ(test, -ECONNRESET, receive(w.user[B], buf, 1));
	KUNIT_EXPECT_EQ(test, -ENOENT, vmcrypt_channel_del(mig[A], w.number,
							   &extack));
	over(&w);
}

static int take_sent(const struct vmcrypt_channel *ch, void *ctx)
{
	*(u64 *)ctx = atomic64_read(&ch->tx.bytes);
	return 0;
}

/* Nobody reads the wire: memory is bounded, and an end comes all the same. */
static void a_stuck_wire_holds_little(struct kunit *test)
{
	struct feeder f = { .len = 64 << 20 };
	u64 sent = 0, before;
	struct world w;

	two_channels(test, &w, true);
	f.sock = w.user[A];
	feeder_start(test, &f);
	do {
		before = sent;
		msleep(100);
		KUNIT_ASSERT_EQ(test, 0, vmcrypt_channel_show(mig[A], w.number,
							      take_sent, &sent,
							      &extack));
	} while (sent != before || !sent);
	KUNIT_EXPECT_LT(test, sent, 8 << 20);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channel_del(mig[A], w.number,
						     &extack));
	expect_end(test, A, VMCRYPT_END_REMOVED);
	wait_for_completion(&f.done);
	KUNIT_EXPECT_NE(test, 0, f.ret);
	over(&w);
	expect_end(test, B, VMCRYPT_END_TRUNCATED);
}

static void a_number_is_used_once(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, false);
	transfer(test, &w, A, 1, true);
	transfer(test, &w, B, 1, true);
	expect_end(test, A, VMCRYPT_END_COMPLETED);
	expect_end(test, B, VMCRYPT_END_COMPLETED);
	over(&w);
	next_number--;
	sockets(test, &w, false);
	KUNIT_EXPECT_EQ(test, -EEXIST, open_channel(&w, A, NULL));
	over(&w);
}

static void not_every_socket_will_do(struct kunit *test)
{
	struct socket *lone;
	struct world w;

	sockets(test, &w, false);
	lone = w.wire[A];
	w.wire[A] = w.plain[A];
	KUNIT_EXPECT_EQ(test, -EINVAL, open_channel(&w, A, NULL));
	w.wire[A] = stream_socket(test);
	KUNIT_EXPECT_EQ(test, -ENOTCONN, open_channel(&w, A, NULL));
	drop(&w.wire[A]);
	w.wire[A] = lone;
	KUNIT_EXPECT_EQ(test, 0, open_channel(&w, A, NULL));
	/* A socket that a channel has. */
	w.number = next_number++;
	KUNIT_EXPECT_EQ(test, -EBUSY, open_channel(&w, A, NULL));
	over(&w);
	expect_end(test, A, VMCRYPT_END_TRUNCATED);
}

static void an_open_channel_holds_its_migration(struct kunit *test)
{
	struct world w;

	two_channels(test, &w, false);
	KUNIT_EXPECT_EQ(test, -EBUSY, vmcrypt_migration_del(mig[A], false,
							    &extack));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_migration_del(mig[A], true,
						       &extack));
	vmcrypt_channels_end(mig[A], VMCRYPT_END_REMOVED);
	expect_end(test, A, VMCRYPT_END_REMOVED);
	expect_end(test, B, VMCRYPT_END_PEER_CLOSED);
	over(&w);
}

static void many_come_and_go(struct kunit *test)
{
	struct world w;
	int i;

	for (i = 0; i < 50; i++) {
		two_channels(test, &w, false);
		transfer(test, &w, A, 1 + i * 1000, true);
		if (i % 2) {
			transfer(test, &w, B, 1 + i * 500, true);
			expect_end(test, A, VMCRYPT_END_COMPLETED);
			expect_end(test, B, VMCRYPT_END_COMPLETED);
		} else {
			vmcrypt_channel_del(mig[B], w.number, &extack);
			expect_end(test, B, VMCRYPT_END_REMOVED);
			expect_end(test, A, VMCRYPT_END_PEER_CLOSED);
		}
		over(&w);
	}
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channels());
}

/* Direct: A has a stream in place of its plain side. */

static struct file *direct(struct kunit *test, struct world *w)
{
	struct file *stream = NULL;

	sockets(test, w, false);
	drop(&w->user[A]);
	drop(&w->plain[A]);
	KUNIT_ASSERT_EQ(test, 0, open_channel(w, A, &stream));
	KUNIT_ASSERT_NOT_NULL(test, stream);
	KUNIT_ASSERT_EQ(test, 0, open_channel(w, B, NULL));
	let_go(w);
	return stream;
}

static void stream_to_pump(struct kunit *test, struct world *w,
			   struct file *stream, size_t len)
{
	size_t at, i;

	for (at = 0; at < len; at += CHUNK) {
		for (i = 0; i < CHUNK; i++)
			buf[i] = pattern(3, at + i);
		KUNIT_ASSERT_EQ(test, CHUNK, kernel_write(stream, buf, CHUNK,
							  NULL));
		memset(buf, 0, CHUNK);
		KUNIT_ASSERT_EQ(test, CHUNK, receive(w->user[B], buf, CHUNK));
		for (i = 0; i < CHUNK && buf[i] == pattern(3, at + i); i++)
			;
		KUNIT_EXPECT_EQ(test, i, CHUNK);
	}
}

static void a_stream_is_a_plain_side(struct kunit *test)
{
	struct world w;
	struct file *stream = direct(test, &w);
	size_t at, i, n;
	ssize_t ret;

	stream_to_pump(test, &w, stream, 20 * CHUNK);
	for (n = 0; n < 20; n++) {
		for (i = 0; i < CHUNK; i++)
			buf[i] = pattern(4, i);
		KUNIT_EXPECT_EQ(test, 0, send_all(w.user[B], buf, CHUNK));
		memset(buf, 0, CHUNK);
		/* In odd bits, over the borders of pages. */
		for (at = 0; at < CHUNK; at += ret) {
			ret = kernel_read(stream, buf + at,
					  min_t(size_t, 777, CHUNK - at),
					  NULL);
			KUNIT_ASSERT_GT(test, ret, 0);
		}
		for (i = 0; i < CHUNK && buf[i] == pattern(4, i); i++)
			;
		KUNIT_EXPECT_EQ(test, i, CHUNK);
	}
	ret = stream->f_op->unlocked_ioctl(stream, VMCRYPT_STREAM_END, 0);
	KUNIT_EXPECT_EQ(test, 0, ret);
	KUNIT_EXPECT_EQ(test, 0, receive(w.user[B], buf, 1));
	KUNIT_EXPECT_EQ(test, -EPIPE, kernel_write(stream, buf, 1, NULL));
	flush_signals(current);
	/* Half closed. */
	KUNIT_EXPECT_EQ(test, 0, send_all(w.user[B], buf, 9));
	kernel_sock_shutdown(w.user[B], SHUT_WR);
	KUNIT_EXPECT_EQ(test, 9, kernel_read(stream, buf, 9, NULL));
	KUNIT_EXPECT_EQ(test, 0, kernel_read(stream, buf, 9, NULL));
	expect_end(test, A, VMCRYPT_END_COMPLETED);
	expect_end(test, B, VMCRYPT_END_COMPLETED);
	fput(stream);
	over(&w);
}

static void a_closed_stream_ends_its_half(struct kunit *test)
{
	struct world w;
	struct file *stream = direct(test, &w);

	stream_to_pump(test, &w, stream, CHUNK);
	fput(stream);
	KUNIT_EXPECT_EQ(test, 0, receive(w.user[B], buf, 1));
	/* Nobody reads the other half; its end is taken nevertheless. */
	kernel_sock_shutdown(w.user[B], SHUT_WR);
	expect_end(test, A, VMCRYPT_END_COMPLETED);
	expect_end(test, B, VMCRYPT_END_COMPLETED);
	over(&w);
}

static void data_for_a_closed_stream_is_told(struct kunit *test)
{
	struct world w;
	struct file *stream = direct(test, &w);

	stream_to_pump(test, &w, stream, CHUNK);
	fput(stream);
	KUNIT_EXPECT_EQ(test, 0, receive(w.user[B], buf, 1));
	KUNIT_EXPECT_EQ(test, 0, send_all(w.user[B], buf, 9));
	expect_end(test, A, VMCRYPT_END_PLAIN_CLOSED);
	over(&w);
	KUNIT_ASSERT_NE(test, 0, wait_for_completion_timeout(&closed[B].done,
							     DEADLINE));
	KUNIT_EXPECT_NE(test, closed[B].reason, VMCRYPT_END_COMPLETED);
}

static void a_stream_tells_a_bad_end(struct kunit *test)
{
	struct world w;
	struct file *stream = direct(test, &w);

	vmcrypt_channel_del(mig[B], w.number, &extack);
	expect_end(test, B, VMCRYPT_END_REMOVED);
	KUNIT_EXPECT_EQ(test, -ECONNRESET, kernel_read(stream, buf, 9, NULL));
	expect_end(test, A, VMCRYPT_END_PEER_CLOSED);
	KUNIT_EXPECT_EQ(test, -ECONNRESET, kernel_read(stream, buf, 9, NULL));
	KUNIT_EXPECT_EQ(test, -EPIPE, kernel_write(stream, buf, 9, NULL));
	flush_signals(current);
	fput(stream);
	over(&w);
}

/* Two agreed ends in one kernel. */
static void agree(struct kunit *test, const u8 *binding_of_b)
{
	u8 public[HOSTS][VMCRYPT_PUBLIC_LEN];
	int i;

	for (i = 0; i < HOSTS; i++) {
		struct vmcrypt_migration_new new = {
			.vm_id = vm,
			.role = i == A ? VMCRYPT_ROLE_SOURCE :
					 VMCRYPT_ROLE_DESTINATION,
			.policy = VMCRYPT_POLICY_OPPORTUNISTIC,
		};

		KUNIT_ASSERT_EQ(test, 0, vmcrypt_migration_add(&new, &mig[i],
							       public[i],
							       &extack));
	}
	for (i = 0; i < HOSTS; i++) {
		struct vmcrypt_agreement agreement = {
			.id = mig[i],
			.peer = public[!i],
			.binding = i == A ? vector_binding : binding_of_b,
			.binding_len = VMCRYPT_BINDING_MIN,
		};

		KUNIT_ASSERT_EQ(test, 0, vmcrypt_migration_agree(&agreement,
								 &extack));
	}
}

static void drop_migrations(void)
{
	int i;

	for (i = 0; i < HOSTS; i++)
		vmcrypt_migration_del(mig[i], true, &extack);
}

/* The helpers were not talking to each other, but to one in the middle. */
static void another_binding_is_noticed(struct kunit *test)
{
	struct world w;

	drop_migrations();
	agree(test, vector_source_private);
	two_channels(test, &w, false);
	KUNIT_EXPECT_EQ(test, 0, send_all(w.user[A], buf, 100));
	KUNIT_EXPECT_EQ(test, -ECONNRESET, receive(w.user[B], buf, 1));
	expect_end(test, B, VMCRYPT_END_AUTH_FAILED);
	/* A cannot read what B says of it either. */
	expect_end(test, A, VMCRYPT_END_AUTH_FAILED);
	over(&w);
}

static int channel_test_init(struct kunit *test)
{
	int i;

	buf = kunit_kzalloc(test, RECORD_BUF, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	for (i = 0; i < HOSTS; i++)
		init_completion(&closed[i].done);
	next_number = 0;
	agree(test, vector_binding);
	return blocking_notifier_chain_register(&vmcrypt_events, &see_nb);
}

static void channel_test_exit(struct kunit *test)
{
	unsigned long end = jiffies + DEADLINE;

	blocking_notifier_chain_unregister(&vmcrypt_events, &see_nb);
	drop_migrations();
	vmcrypt_channels_end(0, VMCRYPT_END_REMOVED);
	while (vmcrypt_channels() && time_before(jiffies, end))
		msleep(20);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_channels());
}

static struct kunit_case channel_cases[] = {
	KUNIT_CASE(data_goes_both_ways),
	KUNIT_CASE(keys_are_updated),
	KUNIT_CASE_PARAM(a_hostile_wire_gets_nowhere, hostile_gen_params),
	KUNIT_CASE(a_wire_that_ends_is_no_end),
	KUNIT_CASE(a_plain_side_may_go),
	KUNIT_CASE(a_channel_can_be_ended),
	KUNIT_CASE_SLOW(a_stuck_wire_holds_little),
	KUNIT_CASE(a_number_is_used_once),
	KUNIT_CASE(not_every_socket_will_do),
	KUNIT_CASE(an_open_channel_holds_its_migration),
	KUNIT_CASE(many_come_and_go),
	KUNIT_CASE(a_stream_is_a_plain_side),
	KUNIT_CASE(a_closed_stream_ends_its_half),
	KUNIT_CASE(data_for_a_closed_stream_is_told),
	KUNIT_CASE(a_stream_tells_a_bad_end),
	KUNIT_CASE(another_binding_is_noticed),
	{}
};

static struct kunit_suite channel_suite = {
	.name = "vmcrypt_channel",
	.init = channel_test_init,
	.exit = channel_test_exit,
	.test_cases = channel_cases,
};

kunit_test_suite(channel_suite);
