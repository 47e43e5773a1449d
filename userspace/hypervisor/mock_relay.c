// SPDX-License-Identifier: GPL-2.0-or-later
/* For tests: joins unix sockets as a network with channels would, and breaks when told to. */
#include "mock_relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 80
#define CHUNK 65536

struct pair {
	struct relay *r;
	pthread_t thread;
	int fd[2];
};

struct relay {
	int listener, stop;
	char to[108];
	pthread_t thread;
	struct pair pairs[CONNECTIONS_MAX];
	atomic_uint n;
	atomic_ullong bytes, cut, hold;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

static void address(struct sockaddr_un *sa, const char *path)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path, sizeof(sa->sun_path), "%s", path);
}

static bool pass(struct relay *r, int from, int to)
{
	char buf[CHUNK];
	ssize_t n = recv(from, buf, sizeof(buf), MSG_DONTWAIT), done = 0, w;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		shutdown(to, SHUT_WR);
		return false;
	}
	atomic_fetch_add(&r->bytes, (unsigned long long)n);
	for (; done < n; done += w) {
		w = send(to, buf + done, (size_t)(n - done), MSG_NOSIGNAL);
		if (w <= 0)
			return false;
	}
	return true;
}

static void *carry(void *data)
{
	struct pair *p = data;
	struct relay *r = p->r;
	struct pollfd pfd[] = {
		{ .fd = p->fd[0], .events = POLLIN }, { .fd = p->fd[1], .events = POLLIN },
		{ .fd = r->stop, .events = POLLIN },
	};

	while (pfd[0].fd >= 0 || pfd[1].fd >= 0) {
		if (atomic_load(&r->bytes) >= atomic_load(&r->hold))
			pfd[0].fd = pfd[1].fd = -1;
		if (poll(pfd, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (pfd[2].revents || atomic_load(&r->bytes) >= atomic_load(&r->cut))
			break;
		for (int i = 0; i < 2; i++)
			if (pfd[i].fd >= 0 && pfd[i].revents && !pass(r, p->fd[i], p->fd[!i]))
				pfd[i].fd = -1;
	}
	/* A shutdown alone would not wake QEMU while what it wrote is not read: its poll says neither "in" nor "out". */
	close(p->fd[0]);
	close(p->fd[1]);
	return NULL;
}

static void join(struct relay *r, int fd)
{
	struct pair *p = &r->pairs[atomic_load(&r->n)];
	struct sockaddr_un sa;

	if (atomic_load(&r->n) == CONNECTIONS_MAX)
		die("too many connections");
	address(&sa, r->to);
	p->r = r;
	p->fd[0] = fd;
	p->fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd[1] < 0 || connect(p->fd[1], (struct sockaddr *)&sa, sizeof(sa))) {
		close(p->fd[1]);
		close(fd);
		return;
	}
	if (pthread_create(&p->thread, NULL, carry, p))
		die("pthread_create");
	atomic_fetch_add(&r->n, 1);
}

static void *serve(void *data)
{
	struct relay *r = data;
	struct pollfd p[] = { { .fd = r->listener, .events = POLLIN }, { .fd = r->stop, .events = POLLIN } };
	int fd;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents)
			return NULL;
		fd = p[0].revents ? accept4(r->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
		if (fd >= 0)
			join(r, fd);
	}
}

struct relay *relay_start(const char *from, const char *to)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct sockaddr_un sa;

	if (!r)
		die("calloc");
	snprintf(r->to, sizeof(r->to), "%s", to);
	atomic_store(&r->cut, UINT64_MAX);
	atomic_store(&r->hold, UINT64_MAX);
	address(&sa, from);
	r->stop = eventfd(0, EFD_CLOEXEC);
	r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->stop < 0 || r->listener < 0 || bind(r->listener, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(r->listener, 64) || pthread_create(&r->thread, NULL, serve, r))
		die("relay");
	return r;
}

void relay_cut_after(struct relay *r, uint64_t bytes)
{
	atomic_store(&r->cut, bytes);
}

void relay_hold_after(struct relay *r, uint64_t bytes)
{
	atomic_store(&r->hold, bytes);
}

uint64_t relay_bytes(struct relay *r)
{
	return atomic_load(&r->bytes);
}

unsigned int relay_connections(struct relay *r)
{
	return atomic_load(&r->n);
}

void relay_stop(struct relay *r)
{
	unsigned int n;

	if (!r)
		return;
	if (eventfd_write(r->stop, 1))
		die("eventfd_write");
	pthread_join(r->thread, NULL);
	n = atomic_load(&r->n);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(r->pairs[i].thread, NULL);
	close(r->listener);
	close(r->stop);
	free(r);
}
