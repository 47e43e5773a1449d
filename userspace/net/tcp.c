// SPDX-License-Identifier: GPL-2.0-or-later
/* TCP with deadlines. See tcp.h. */
#include "tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/util.h"

#define ADDRESSES_MAX	8
#define STAGGER_MS	250	/* RFC 8305 section 5 */
#define BACKLOG		16
#define SILENCE_S	30

/* ---- resolving ---------------------------------------------------------- */

/*
 * getaddrinfo(3) takes no deadline, so a thread does it; whoever leaves last
 * frees this. A resolver that hangs keeps one thread until it gives up.
 */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	unsigned int refs;
	bool done;
	int rc;
	struct addrinfo *result;
	char host[256], service[8];
};

static void lookup_put(struct lookup *l)
{
	unsigned int left;

	pthread_mutex_lock(&l->lock);
	left = --l->refs;
	pthread_mutex_unlock(&l->lock);
	if (left)
		return;
	if (l->result)
		freeaddrinfo(l->result);
	pthread_cond_destroy(&l->done_cond);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const struct addrinfo lookup_hints = {
	.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
};

static void *lookup_thread(void *data)
{
	struct addrinfo *result = NULL;
	struct lookup *l = data;
	int rc = getaddrinfo(l->host, l->service, &lookup_hints, &result);

	pthread_mutex_lock(&l->lock);
	l->rc = rc;
	l->result = rc ? NULL : result;
	l->done = true;
	pthread_cond_signal(&l->done_cond);
	pthread_mutex_unlock(&l->lock);
	lookup_put(l);
	return NULL;
}

static struct lookup *lookup_new(const char *host, uint16_t port)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->done_cond, &attr);
	pthread_condattr_destroy(&attr);
	l->refs = 1;
	snprintf(l->host, sizeof(l->host), "%s", host);
	snprintf(l->service, sizeof(l->service), "%u", port);
	return l;
}

static bool lookup_numeric(struct lookup *l)
{
	struct addrinfo hints = lookup_hints;

	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	return !getaddrinfo(l->host, l->service, &hints, &l->result);
}

static int lookup_in_thread(struct lookup *l, uint64_t deadline)
{
	struct timespec ts;
	pthread_attr_t attr;
	pthread_t t;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	l->refs++;
	rc = pthread_create(&t, &attr, lookup_thread, l);
	pthread_attr_destroy(&attr);
	if (rc) {
		l->refs--;
		return rc;
	}
	vmc_deadline(deadline, &ts);
	pthread_mutex_lock(&l->lock);
	while (!l->done && !rc)
		rc = pthread_cond_timedwait(&l->done_cond, &l->lock, &ts);
	if (l->done)
		rc = 0;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

/* The caller drops @out, which owns the addresses. */
static int resolve(const char *host, uint16_t port, uint64_t deadline, struct lookup **out,
		   struct vmc_error *err)
{
	struct lookup *l = lookup_new(host, port);
	int rc;

	if (!l)
		return vmc_fail(err, VMC_ENOMEM, "no memory to look up '%s'", host);
	if (lookup_numeric(l)) {
		*out = l;
		return 0;
	}
	rc = lookup_in_thread(l, deadline);
	if (rc == ETIMEDOUT) {
		rc = vmc_fail(err, VMC_ETIMEDOUT, "the name '%s' was not resolved in time", host);
		vmc_hint(err, "check the name servers in /etc/resolv.conf, or give the server's address instead of its name");
	} else if (rc) {
		rc = vmc_fail_errno(err, rc, "cannot look up '%s'", host);
	} else if (l->rc) {
		rc = vmc_fail(err, VMC_EUNREACH, "the name '%s' cannot be resolved: %s", host,
			      gai_strerror(l->rc));
		vmc_hint(err, "check the server's name and the name servers in /etc/resolv.conf");
	} else {
		*out = l;
		return 0;
	}
	lookup_put(l);
	return rc;
}

/* ---- connecting --------------------------------------------------------- */

struct race {
	const struct addrinfo *address[ADDRESSES_MAX];
	struct pollfd tries[ADDRESSES_MAX];
	unsigned int n, started, failed;
	int last_errno;
};

/* Families alternate, beginning with the one the resolver put first (RFC 8305 section 4). */
static void race_order(struct race *r, const struct addrinfo *list)
{
	const struct addrinfo *a = list, *b = list;
	int family = list->ai_family;

	while ((a || b) && r->n < ADDRESSES_MAX) {
		while (a && a->ai_family != family)
			a = a->ai_next;
		if (a) {
			r->address[r->n++] = a;
			a = a->ai_next;
		}
		while (b && b->ai_family == family)
			b = b->ai_next;
		if (b && r->n < ADDRESSES_MAX) {
			r->address[r->n++] = b;
			b = b->ai_next;
		}
	}
}

static void race_lost(struct race *r, unsigned int i, int error)
{
	if (r->tries[i].fd >= 0)
		close(r->tries[i].fd);
	r->tries[i].fd = -1;
	r->failed++;
	r->last_errno = error;
}

static void race_start(struct race *r)
{
	unsigned int i = r->started++;
	const struct addrinfo *a = r->address[i];
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	r->tries[i] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	if (fd < 0 || (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS))
		race_lost(r, i, errno);
}

/* The first socket that has connected, or -1. */
static int race_winner(struct race *r)
{
	for (unsigned int i = 0; i < r->started; i++) {
		struct pollfd *p = &r->tries[i];
		socklen_t len = sizeof(int);
		int error = 0, fd = p->fd;

		if (fd < 0 || !p->revents)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
			error = errno;
		if (!error) {
			p->fd = -1;
			return fd;
		}
		race_lost(r, i, error);
	}
	return -1;
}

static int race_run(struct race *r, uint64_t deadline)
{
	uint64_t now, next = vmc_now_ms();
	int fd = -1;

	while (fd < 0 && r->failed < r->n) {
		now = vmc_now_ms();
		if (now >= deadline)
			break;
		/* the next address: when its turn comes, or as soon as nothing else is pending */
		if (r->started < r->n && (now >= next || r->failed == r->started)) {
			race_start(r);
			next = now + STAGGER_MS;
			continue;
		}
		if (r->started < r->n && next < deadline)
			poll(r->tries, r->started, next - now);
		else
			poll(r->tries, r->started, deadline - now);
		fd = race_winner(r);
	}
	for (unsigned int i = 0; i < r->started; i++)
		if (r->tries[i].fd >= 0)
			close(r->tries[i].fd);
	return fd;
}

int net_connect(const char *host, uint16_t port, uint64_t deadline, int *fd,
		struct vmc_error *err)
{
	struct lookup *l = NULL;
	struct race r = { .n = 0 };
	int one = 1, rc;

	rc = resolve(host, port, deadline, &l, err);
	if (rc)
		return rc;
	race_order(&r, l->result);
	*fd = race_run(&r, deadline);
	lookup_put(l);
	if (*fd >= 0) {
		setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		return 0;
	}
	if (r.failed == r.n)
		rc = vmc_fail(err, VMC_EUNREACH, "cannot connect: %s", strerror(r.last_errno));
	else
		rc = vmc_fail(err, VMC_ETIMEDOUT, "no answer to the attempt to connect");
	vmc_hint(err, "check that the server runs, listens on port %u, and that no firewall is between", port);
	return rc;
}

int net_wait(int fd, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = vmc_now_ms();
		int n;

		if (now >= deadline)
			return VMC_ETIMEDOUT;
		n = poll(&p, 1, deadline - now > 60000 ? 60000 : (int)(deadline - now));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return VMC_EIO;
	}
}

static int port_parse(const char *s, uint16_t *port)
{
	unsigned long v;
	char *end;

	if (*s < '0' || *s > '9')
		return VMC_EINVAL;
	v = strtoul(s, &end, 10);
	if (*end || v < 1 || v > 65535)
		return VMC_EINVAL;
	*port = v;
	return 0;
}

static bool host_ok(const char *h, size_t n, bool v6)
{
	const char *allowed = v6 ? "0123456789abcdefABCDEF:.%" : "-._";

	if (!n || n > 253 || h[0] == '-' || h[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = h[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');

		if (!alnum && !strchr(allowed, c))
			return false;
	}
	return true;
}

int net_split(const char *s, char *host, size_t max, uint16_t *port, struct vmc_error *err)
{
	const char *h = s, *end, *p = NULL;
	bool v6 = false;
	int code;

	if (*s == '[') {
		h = s + 1;
		end = strchr(h, ']');
		v6 = true;
		if (end && end[1] == ':')
			p = end + 2;
		else if (end && end[1])
			end = NULL;
	} else {
		end = strchr(s, ':');
		if (end && strchr(end + 1, ':')) {	/* a bare IPv6 address */
			v6 = true;
			end = s + strlen(s);
		} else if (end) {
			p = end + 1;
		} else {
			end = s + strlen(s);
		}
	}
	if (end && host_ok(h, end - h, v6) && (size_t)(end - h) < max &&
	    (!p || !port_parse(p, port))) {
		memcpy(host, h, end - h);
		host[end - h] = '\0';
		return 0;
	}
	code = vmc_fail(err, VMC_EINVAL, "'%.200s' is not a server: HOST, HOST:PORT or [IPV6]:PORT", s);
	vmc_hint(err, "for example kms1.example.org, 192.0.2.7:5696 or [2001:db8::7]:5696; ports are 1 to 65535");
	return code;
}

/* ---- listening ---------------------------------------------------------- */

static int bind_one(const struct addrinfo *a, int *out)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
		int e = errno;

		close(fd);
		return e;
	}
	*out = fd;
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.sin6_port);	/* where struct sockaddr_in has its port, too */
}

int net_listen(const char *where, uint16_t port, int *out, uint16_t *bound, struct vmc_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *a = NULL;
	char host[256], service[8];
	int e, rc = net_split(where, host, sizeof(host), &port, err);

	if (rc)
		return rc;
	snprintf(service, sizeof(service), "%u", port);
	e = getaddrinfo(host, service, &hints, &a);
	if (e)
		return vmc_fail(err, VMC_EINVAL, "'%s' is no address to listen at: %s", host, gai_strerror(e));
	e = bind_one(a, out);
	freeaddrinfo(a);
	if (e) {
		rc = vmc_fail_errno(err, e, "cannot listen at %s port %u", host, port);
		vmc_hint(err, "'ss -ltnp' shows who listens where");
		return rc;
	}
	*bound = port_of(*out);
	return 0;
}

/* ---- both ways ---------------------------------------------------------- */

void net_set_timers(int fd)
{
	int on = 1, idle = SILENCE_S / 2, interval = SILENCE_S / 6, count = 3;
	unsigned int silence = SILENCE_S * 1000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
}
