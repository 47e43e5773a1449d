// SPDX-License-Identifier: GPL-2.0-or-later
/* One thread accepts, each connection has one of its own. See acceptor.h. */
#include "acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/util.h"

#define FULL_MS		1000	/* between two attempts while the system has no room for another socket */
#define GRACE_MS	1000	/* that a new connection is let alone, whoever else knocks */

/* Who it is, as far as the network tells. */
struct source {
	sa_family_t family;
	uint8_t addr[8];
};

/* One connection. The acceptor's lock guards the list, @hold, @done and @vouched. */
struct accepted {
	struct accepted *next;
	struct acceptor *acceptor;
	pthread_t thread;
	int fd;			/* serve()'s */
	int hold;		/* the same socket, to be cut; -1: no more */
	bool done, vouched;
	struct source source;
	uint64_t since;
};

struct acceptor {
	struct acceptor_setup s;
	int fd, wake;
	pthread_t thread;
	pthread_mutex_t lock;
	struct accepted *all;
	unsigned int n;
	bool refused;		/* that it is full was said already */
	struct source greedy;	/* the last one that had too many, which was said already */
};

/* ---- sources ---------------------------------------------------------------- */

static struct source source_of(int fd)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(a);
	struct source s = { .family = AF_UNSPEC };
	const uint8_t *v6 = ((struct sockaddr_in6 *)&a)->sin6_addr.s6_addr;

	if (getpeername(fd, (struct sockaddr *)&a, &n))
		return s;
	s.family = a.ss_family;
	if (a.ss_family == AF_INET6 && !memcmp(v6, mapped, sizeof(mapped))) {
		s.family = AF_INET;
		memcpy(s.addr, v6 + sizeof(mapped), 4);
	} else if (a.ss_family == AF_INET6) {
		memcpy(s.addr, v6, sizeof(s.addr));
	} else if (a.ss_family == AF_INET) {
		memcpy(s.addr, &((struct sockaddr_in *)&a)->sin_addr, 4);
	}
	return s;
}

static bool same_source(const struct source *a, const struct source *b)
{
	return a->family == b->family && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* Has @s as many connections as it may have? */
static bool is_greedy(struct acceptor *a, const struct source *s)
{
	unsigned int all = 0, fresh = 0;

	if (!a->s.max_source)
		return false;
	pthread_mutex_lock(&a->lock);
	for (const struct accepted *c = a->all; c; c = c->next) {
		if (c->done || !same_source(&c->source, s))
			continue;
		all++;
		fresh += !c->vouched;
	}
	pthread_mutex_unlock(&a->lock);
	return all >= a->s.max_source || (a->s.max_new && fresh >= a->s.max_new);
}

/* The connection that says nothing of itself for longest makes room for those that come next. */
static void cut_oldest_new(struct acceptor *a)
{
	struct accepted *oldest = NULL;

	pthread_mutex_lock(&a->lock);
	for (struct accepted *c = a->all; c; c = c->next)
		if (!c->done && !c->vouched && c->hold >= 0 && vmc_now_ms() - c->since >= GRACE_MS)
			oldest = c;	/* the newest is first */
	if (oldest)
		shutdown(oldest->hold, SHUT_RDWR);
	pthread_mutex_unlock(&a->lock);
}

void accepted_vouch(struct accepted *c)
{
	pthread_mutex_lock(&c->acceptor->lock);
	c->vouched = true;
	pthread_mutex_unlock(&c->acceptor->lock);
}

/* ---- connections -------------------------------------------------------------- */

static void release(struct accepted *c)
{
	if (c->hold >= 0)
		close(c->hold);
	c->hold = -1;
}

void accepted_release(struct accepted *c)
{
	pthread_mutex_lock(&c->acceptor->lock);
	release(c);
	pthread_mutex_unlock(&c->acceptor->lock);
}

static void *serve_thread(void *data)
{
	struct accepted *c = data;
	struct acceptor *a = c->acceptor;

	a->s.serve(c, c->fd, a->s.data);
	pthread_mutex_lock(&a->lock);
	release(c);
	c->done = true;
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* Join the threads that are done, or wait for all of them. */
static void reap(struct acceptor *a, bool all)
{
	struct accepted **at, *dead = NULL, *c;

	pthread_mutex_lock(&a->lock);
	for (at = &a->all; (c = *at);) {
		if (!c->done && !all) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->next = dead;
		dead = c;
		a->n--;
	}
	pthread_mutex_unlock(&a->lock);
	while ((c = dead)) {
		dead = c->next;
		pthread_join(c->thread, NULL);
		free(c);
	}
}

/* A thread for @fd, which is its own then. errno otherwise. */
static int spawn(struct acceptor *a, int fd, const struct source *from)
{
	struct accepted *c = calloc(1, sizeof(*c));
	int e;

	if (!c)
		return ENOMEM;
	c->acceptor = a;
	c->fd = fd;
	c->source = *from;
	c->since = vmc_now_ms();
	c->hold = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (c->hold < 0) {
		e = errno;
		free(c);
		return e;
	}
	pthread_mutex_lock(&a->lock);
	e = pthread_create(&c->thread, NULL, serve_thread, c);
	if (!e) {
		c->next = a->all;
		a->all = c;
		a->n++;
	}
	pthread_mutex_unlock(&a->lock);
	if (e) {
		release(c);
		free(c);
	}
	return e;
}

static void refuse(struct acceptor *a, int fd, int e)
{
	close(fd);
	/* whoever goes on knocking does not fill the log */
	if (!a->refused)
		log_warn("%s was refused, and so are others until there is room: %s (there are %u)", a->s.what,
			 e == EUSERS ? "there are as many as may be" : strerror(e), a->n);
	a->refused = true;
}

static void refuse_greedy(struct acceptor *a, int fd, const struct source *from)
{
	char host[64] = "unknown";
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	if (!same_source(&a->greedy, from) && !getpeername(fd, (struct sockaddr *)&sa, &n)) {
		getnameinfo((struct sockaddr *)&sa, n, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		log_warn("%s from %s was refused, and so are others until it ends some: it has as many as one address may have",
			 a->s.what, host);
	}
	a->greedy = *from;
	close(fd);
}

static void take(struct acceptor *a, int fd)
{
	struct source from = source_of(fd);
	int e;

	reap(a, false);
	if (is_greedy(a, &from)) {
		refuse_greedy(a, fd, &from);
		return;
	}
	/* only this thread adds to them */
	e = a->n < a->s.max ? spawn(a, fd, &from) : EUSERS;
	if (e) {
		refuse(a, fd, e);
		cut_oldest_new(a);
		return;
	}
	a->refused = false;
	if (same_source(&a->greedy, &from))
		a->greedy = (struct source){ .family = AF_UNSPEC };
}

static void *accept_thread(void *data)
{
	struct acceptor *a = data;
	struct pollfd p[2] = { { .fd = a->fd, .events = POLLIN }, { .fd = a->wake, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			log_err("%s cannot be accepted any more: %s", a->s.what, strerror(errno));
			break;
		}
		if (p[1].revents)
			break;
		fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			take(a, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(&p[1], 1, FULL_MS);	/* until there is room again, or the end */
	}
	return NULL;
}

static void acceptor_free(struct acceptor *a)
{
	close(a->fd);
	if (a->wake >= 0)
		close(a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

int acceptor_start(int fd, const struct acceptor_setup *s, struct acceptor **out, struct vmc_error *err)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	int e, rc = 0;

	if (!a) {
		close(fd);
		return vmc_fail(err, VMC_ENOMEM, "no memory to listen with");
	}
	a->s = *s;
	a->fd = fd;
	pthread_mutex_init(&a->lock, NULL);
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake < 0)
		rc = vmc_fail_errno(err, errno, "cannot make an eventfd");
	if (!rc && (e = pthread_create(&a->thread, NULL, accept_thread, a)))
		rc = vmc_fail_errno(err, e, "cannot start a thread");
	if (rc)
		acceptor_free(a);
	else
		*out = a;
	return rc;
}

void acceptor_stop(struct acceptor *a)
{
	uint64_t one = 1;

	if (!a)
		return;
	while (write(a->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(a->thread, NULL);
	pthread_mutex_lock(&a->lock);
	for (struct accepted *c = a->all; c; c = c->next)
		if (c->hold >= 0)
			shutdown(c->hold, SHUT_RDWR);
	pthread_mutex_unlock(&a->lock);
	reap(a, true);
	acceptor_free(a);
}
