// SPDX-License-Identifier: GPL-2.0-or-later
/* Two sockets joined by splice(2), one thread for each direction. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (1u << 20)

struct direction {
	struct relay *r;
	int from, to, pipe[2];
	pthread_t thread;
	bool running;
};

struct relay {
	int fd[2];
	atomic_ullong bytes;
	struct direction d[2];
};

/* All that is in the pipe. */
static int drain(struct direction *d, size_t n)
{
	while (n) {
		ssize_t w = splice(d->pipe[0], NULL, d->to, NULL, n, SPLICE_F_MOVE);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return -1;
		n -= (size_t)w;
		atomic_fetch_add(&d->r->bytes, (unsigned long long)w);
	}
	return 0;
}

static void *move(void *data)
{
	struct direction *d = data;
	sigset_t pipe_set;
	ssize_t n;

	/* splice(2) has no MSG_NOSIGNAL */
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, NULL);
	do {
		n = splice(d->from, NULL, d->pipe[1], NULL, CHUNK, SPLICE_F_MOVE);
		if (n > 0 && drain(d, (size_t)n))
			n = -1;
	} while (n > 0 || (n < 0 && errno == EINTR));
	/* an end is passed on; a break ends both */
	if (!n) {
		shutdown(d->to, SHUT_WR);
	} else {
		shutdown(d->from, SHUT_RDWR);
		shutdown(d->to, SHUT_RDWR);
	}
	return NULL;
}

static int direction_start(struct relay *r, int i, struct vmc_error *err)
{
	struct direction *d = &r->d[i];
	int e;

	d->r = r;
	d->from = r->fd[i];
	d->to = r->fd[!i];
	if (pipe2(d->pipe, O_CLOEXEC)) {
		d->pipe[0] = d->pipe[1] = -1;
		return vmc_fail_errno(err, errno, "cannot make a pipe");
	}
	fcntl(d->pipe[1], F_SETPIPE_SZ, CHUNK);	/* or what it has */
	e = pthread_create(&d->thread, NULL, move, d);
	d->running = !e;
	return e ? vmc_fail_errno(err, e, "cannot start a thread") : 0;
}

static void blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

int relay_start(int a, int b, struct relay **out, struct vmc_error *err)
{
	struct relay *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		close(a);
		close(b);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a connection");
	}
	r->fd[0] = a;
	r->fd[1] = b;
	for (int i = 0; i < 2; i++) {
		blocking(r->fd[i]);
		r->d[i].pipe[0] = r->d[i].pipe[1] = -1;
	}
	rc = direction_start(r, 0, err);
	if (!rc)
		rc = direction_start(r, 1, err);
	if (rc)
		relay_stop(r);
	else
		*out = r;
	return rc;
}

uint64_t relay_bytes(const struct relay *r)
{
	return atomic_load(&r->bytes);
}

void relay_stop(struct relay *r)
{
	if (!r)
		return;
	for (int i = 0; i < 2; i++)
		shutdown(r->fd[i], SHUT_RDWR);
	for (int i = 0; i < 2; i++) {
		if (r->d[i].running)
			pthread_join(r->d[i].thread, NULL);
		close(r->fd[i]);
		if (r->d[i].pipe[0] >= 0)
			close(r->d[i].pipe[0]);
		if (r->d[i].pipe[1] >= 0)
			close(r->d[i].pipe[1]);
	}
	free(r);
}
