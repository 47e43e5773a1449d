// SPDX-License-Identifier: GPL-2.0-or-later
/* Two ends of a migration in one kernel; see world.h. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "world.h"

#define HEADER	12
#define TAG	16
#define CHUNK	(64 * 1024)
/* Of the pattern: what may not be seen on the wire. */
#define WINDOW	16

struct nlt nl, events;
struct nlt_answer a;

/* Requests */

uint32_t info(int attr)
{
	nlt_do(&nl, nlt_msg(&nl, VMCRYPT_CMD_INFO_GET, 0), &a);
	if (a.err || !a.attrs[attr])
		tap_bail("info-get: %d %s", a.err, a.text);
	return nla_get_u32(a.attrs[attr]);
}

/* Wait until the last channel is taken apart. */
bool all_closed(void)
{
	struct timespec tick = { .tv_nsec = 10000000 };
	int i;

	for (i = 0; i < NLT_DEADLINE / 10; i++) {
		if (!info(VMCRYPT_A_INFO_CHANNELS))
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

int migration_new(const struct nlt *from, const uint8_t *vm, int role,
		  int policy, uint32_t *id, uint8_t *public)
{
	struct nl_msg *msg = nlt_msg(from, VMCRYPT_CMD_MIGRATION_NEW, 0);

	nla_put(msg, VMCRYPT_A_MIGRATION_VM_ID, VMCRYPT_VM_ID_LEN, vm);
	nla_put_u32(msg, VMCRYPT_A_MIGRATION_ROLE, role);
	nla_put_u32(msg, VMCRYPT_A_MIGRATION_POLICY, policy);
	nlt_do(from, msg, &a);
	if (!a.err) {
		*id = nla_get_u32(a.attrs[VMCRYPT_A_MIGRATION_ID]);
		memcpy(public, nla_data(a.attrs[VMCRYPT_A_MIGRATION_PUBLIC_KEY]),
		       VMCRYPT_PUBLIC_LEN);
	}
	return a.err;
}

int migration_agree(const struct nlt *from, uint32_t id, const uint8_t *peer,
		    uint8_t binding)
{
	struct nl_msg *msg = nlt_msg(from, VMCRYPT_CMD_MIGRATION_AGREE, 0);
	uint8_t bytes[VMCRYPT_BINDING_MIN] = { binding };

	nla_put_u32(msg, VMCRYPT_A_MIGRATION_ID, id);
	nla_put(msg, VMCRYPT_A_MIGRATION_PEER_PUBLIC_KEY, VMCRYPT_PUBLIC_LEN,
		peer);
	nla_put(msg, VMCRYPT_A_MIGRATION_BINDING, sizeof(bytes), bytes);
	nlt_do(from, msg, &a);
	return a.err;
}

int migration_op(int cmd, uint32_t id, bool force)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put_u32(msg, VMCRYPT_A_MIGRATION_ID, id);
	if (force)
		nla_put_flag(msg, VMCRYPT_A_MIGRATION_FORCE);
	nlt_do(&nl, msg, &a);
	return a.err;
}

int channel_new(uint32_t migration, uint32_t number, int wire, int plain)
{
	struct nl_msg *msg = nlt_msg(&nl, VMCRYPT_CMD_CHANNEL_NEW, 0);

	nla_put_u32(msg, VMCRYPT_A_CHANNEL_MIGRATION, migration);
	nla_put_u32(msg, VMCRYPT_A_CHANNEL_NUMBER, number);
	nla_put_s32(msg, VMCRYPT_A_CHANNEL_WIRE_FD, wire);
	if (plain >= 0)
		nla_put_s32(msg, VMCRYPT_A_CHANNEL_PLAIN_FD, plain);
	nlt_do(&nl, msg, &a);
	return a.err;
}

int channel_op(int cmd, uint32_t migration, uint32_t number)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put_u32(msg, VMCRYPT_A_CHANNEL_MIGRATION, migration);
	nla_put_u32(msg, VMCRYPT_A_CHANNEL_NUMBER, number);
	nlt_do(&nl, msg, &a);
	return a.err;
}

/* Sockets and streams */

static void deadlines(int fd, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/*
 * An end or a reset gets lost for good where there is no memory to send it: as
 * in real connections, a probe finds out that nobody is there any more, and
 * what is not taken for long is given up.
 */
static void probe_silence(int fd)
{
	const int on = 1, idle = 5, interval = 5, count = 3, ms = 30000;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* Two ends of a TCP connection over loopback. */
void tcp_pair(int fd[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&addr, len) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(fd[0], (struct sockaddr *)&addr, len))
		tap_bail("TCP over loopback: %s", strerror(errno));
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd[1] < 0)
		tap_bail("accept: %s", strerror(errno));
	close(listener);
	for (i = 0; i < 2; i++) {
		deadlines(fd[i], NLT_DEADLINE);
		probe_silence(fd[i]);
	}
}

static uint8_t pattern(uint8_t seed, size_t at)
{
	return seed + at * 7 + (at >> 9);
}

/* write(2), as the other end may be no socket. */
static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	for (; len; bytes += n, len -= n) {
		/* a socket with a deadline is not taken up again by itself */
		do
			n = write(fd, bytes, len);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return false;
	}
	return true;
}

/* read(2) that ends at a deadline also where there is no SO_RCVTIMEO. */
static ssize_t read_some(int fd, uint8_t *bytes, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	do {
		if (poll(&pfd, 1, NLT_DEADLINE) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		n = read(fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Write a stream. */
bool put(int fd, size_t len, uint8_t seed)
{
	static __thread uint8_t chunk[CHUNK];
	size_t at, i, n;

	for (at = 0; at < len; at += n) {
		n = len - at < CHUNK ? len - at : CHUNK;
		for (i = 0; i < n; i++)
			chunk[i] = pattern(seed, at + i);
		if (!write_all(fd, chunk, n))
			return false;
	}
	return true;
}

/* Read a stream from @at on: up to where it was right; the end, a fault or @len. */
size_t get_from(int fd, size_t at, size_t len, uint8_t seed, int *err)
{
	static __thread uint8_t chunk[CHUNK];
	ssize_t n, i;

	*err = 0;
	while (at < len) {
		n = read_some(fd, chunk, len - at < CHUNK ? len - at : CHUNK);
		if (n < 0)
			*err = errno;
		if (n <= 0)
			return at;
		for (i = 0; i < n; i++)
			if (chunk[i] != pattern(seed, at + i))
				return at + i;
		at += n;
	}
	return at;
}

size_t get(int fd, size_t len, uint8_t seed, int *err)
{
	return get_from(fd, 0, len, seed, err);
}

struct put_args {
	int fd;
	size_t len;
	uint8_t seed;
	bool ok;
};

static void *put_thread(void *data)
{
	struct put_args *args = data;

	args->ok = put(args->fd, args->len, args->seed);
	return NULL;
}

/* A stream goes in at @from and comes out at @to, whole. */
bool pour(int from, int to, size_t len, uint8_t seed)
{
	struct put_args args = { .fd = from, .len = len, .seed = seed };
	pthread_t thread;
	size_t n;
	int err;

	if (pthread_create(&thread, NULL, put_thread, &args))
		tap_bail("no thread");
	n = get(to, len, seed, &err);
	if (n != len)
		tap_note("%zu of %zu bytes came, then %s", n, len,
			 strerror(err));
	pthread_join(thread, NULL);
	return args.ok && n == len;
}

/* The wire */

static bool read_all(int fd, uint8_t *to, size_t len)
{
	return recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

/* Whatever the seed, the pattern goes up by 7: nobody else does that. */
static bool in_clear(const uint8_t *bytes, size_t len)
{
	size_t i, run = 0;

	for (i = 1; i < len && run < WINDOW; i++)
		run = (uint8_t)(bytes[i] - bytes[i - 1]) == 7 ? run + 1 : 0;
	return run >= WINDOW;
}

/* RST to the other end, now. */
static void reset(int fd)
{
	struct sockaddr addr = { .sa_family = AF_UNSPEC };

	connect(fd, &addr, sizeof(addr));
}

/* One record to the other end; false when nothing more is to go. */
static bool relay_record(struct relay *r, uint8_t *record, size_t len)
{
	bool victim = r->records++ == r->victim;

	if (!victim || r->mode == RELAY_FAIR)
		return write_all(r->to, record, len);
	switch (r->mode) {
	case RELAY_FLIP:
		record[len / 2] ^= 0x10;
		return write_all(r->to, record, len);
	case RELAY_DROP:
		return true;
	case RELAY_REPLAY:
		return write_all(r->to, record, len) &&
		       write_all(r->to, record, len);
	case RELAY_CUT:
		write_all(r->to, record, len / 2);
		return false;
	default:
		reset(r->to);
		reset(r->from);
		return false;
	}
}

static void *relay_run(void *data)
{
	struct relay *r = data;
	uint8_t *record = malloc(HEADER + (1 << 20) + TAG);
	uint32_t len;

	while (record && read_all(r->from, record, HEADER)) {
		memcpy(&len, record + 8, sizeof(len));
		len = ntohl(len) + TAG;
		if (len > (1 << 20) + TAG ||
		    !read_all(r->from, record + HEADER, len))
			break;
		if (in_clear(record + HEADER, len))
			r->leaked = true;
		if (!relay_record(r, record, HEADER + len))
			break;
	}
	shutdown(r->to, SHUT_WR);
	free(record);
	return NULL;
}

static void relay_start(struct relay *r, int from, int to,
			enum relay_mode mode)
{
	memset(r, 0, sizeof(*r));
	r->from = from;
	r->to = to;
	r->mode = mode;
	r->victim = 3;
	/* One way may be silent for as long as the other takes. */
	deadlines(from, 0);
	deadlines(to, 0);
	if (pthread_create(&r->thread, NULL, relay_run, r))
		tap_bail("no thread");
}

/* Worlds */

/* Both ends of a migration, agreed. */
void world_agree(struct world *w, const uint8_t *vm, int policy)
{
	uint8_t public[ENDS][VMCRYPT_PUBLIC_LEN];
	int i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < ENDS; i++)
		if (migration_new(&nl, vm, i == SRC ? VMCRYPT_ROLE_SOURCE :
				  VMCRYPT_ROLE_DESTINATION, policy,
				  &w->migration[i], public[i]))
			tap_bail("migration-new: %d %s", a.err, a.text);
	for (i = 0; i < ENDS; i++)
		if (migration_agree(&nl, w->migration[i], public[!i], 1))
			tap_bail("migration-agree: %d %s", a.err, a.text);
}

void world_end(struct world *w)
{
	int i;

	for (i = 0; i < ENDS; i++)
		migration_op(VMCRYPT_CMD_MIGRATION_DEL, w->migration[i], true);
}

/* The channel of one end over a wire, which it takes; direct, or not. */
void world_open_end(struct world *w, int end, int wire, bool direct)
{
	int plain[2] = { -1, -1 };

	if (!direct && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				  plain))
		tap_bail("socketpair: %s", strerror(errno));
	if (channel_new(w->migration[end], w->number, wire, plain[1]))
		tap_bail("channel-new: %d %s", a.err, a.text);
	if (direct) {
		w->user[end] =
			nla_get_s32(a.attrs[VMCRYPT_A_CHANNEL_STREAM_FD]);
	} else {
		w->user[end] = plain[0];
		deadlines(plain[0], NLT_DEADLINE);
		close(plain[1]);
	}
	close(wire);
}

/* The next channel of a migration; direct at the source, or not. */
void world_open(struct world *w, enum relay_mode mode, bool direct)
{
	int near[2], far[2];

	w->relayed = mode != RELAY_FAIR || !direct;
	tcp_pair(near);
	if (w->relayed) {
		tcp_pair(far);
		relay_start(&w->relay[SRC], near[1], far[0], mode);
		relay_start(&w->relay[DST], far[0], near[1], RELAY_FAIR);
	} else {
		far[1] = near[1];
	}
	world_open_end(w, SRC, near[0], direct);
	world_open_end(w, DST, far[1], false);
}

/* Closes what is the test's; the channels end by themselves, or have. */
void world_close(struct world *w)
{
	int i;

	for (i = 0; i < ENDS; i++)
		if (w->user[i] >= 0)
			close(w->user[i]);
	if (w->relayed) {
		for (i = 0; i < ENDS; i++)
			pthread_join(w->relay[i].thread, NULL);
		close(w->relay[SRC].from);
		close(w->relay[SRC].to);
	}
	w->number++;
}

/*
 * How the channel of one end closed, by its notification; -1 when none comes.
 * Those of the other end are kept for the next call.
 */
int channel_end(const struct world *w, int end)
{
	static uint32_t kept_migration, kept_number;
	static int kept_reason;
	struct nlt_answer e;
	uint32_t migration, number;
	int reason;

	if (kept_migration == w->migration[end] && kept_number == w->number) {
		kept_migration = 0;
		return kept_reason;
	}
	while (nlt_event(&events, &e, NLT_DEADLINE)) {
		if (e.cmd != VMCRYPT_CMD_CHANNEL_CLOSE_NTF)
			continue;
		migration = nla_get_u32(e.attrs[VMCRYPT_A_CHANNEL_MIGRATION]);
		number = nla_get_u32(e.attrs[VMCRYPT_A_CHANNEL_NUMBER]);
		reason = nla_get_u32(e.attrs[VMCRYPT_A_CHANNEL_REASON]);
		if (migration == w->migration[end] && number == w->number)
			return reason;
		kept_migration = migration;
		kept_number = number;
		kept_reason = reason;
	}
	return -1;
}

bool ended(const struct world *w, int end, int reason)
{
	int got = channel_end(w, end);

	if (got == reason)
		return true;
	tap_note("%s ended with reason %d, not %d",
		 end == SRC ? "source" : "destination", got, reason);
	return false;
}

void write_param(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		tap_bail("%s: %s", file, strerror(errno));
	close(fd);
}
