// SPDX-License-Identifier: GPL-2.0-or-later
/* The data port: connections of migrations that come in. One thread accepts, each beginning has one of its own. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../keys/kmip/net.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "gate.h"
#include "migrate_priv.h"
#include "prelude.h"

#define PRELUDE_MS	5000
#define JOINING_MAX	64

struct beginning {
	struct migrations *m;
	int fd;
};

static int read_prelude(int fd, struct prelude *p, struct vmc_error *err)
{
	uint64_t deadline = vmc_now_ms() + PRELUDE_MS;
	uint8_t bytes[PRELUDE_LEN];
	size_t have = 0;

	while (have < sizeof(bytes)) {
		ssize_t n;

		if (net_wait(fd, POLLIN, deadline))
			return vmc_fail(err, VMC_ETIMEDOUT, "a connection to the data port did not say what it is");
		n = recv(fd, bytes + have, sizeof(bytes) - have, 0);
		if (n > 0)
			have += (size_t)n;
		else if (!n || (errno != EAGAIN && errno != EINTR))
			return vmc_fail(err, VMC_EPROTO, "a connection to the data port ended before it began");
	}
	return prelude_read(bytes, p, err);
}

static void begin(struct migrations *m, int fd)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct prelude p = { .number = 0 };

	if (read_prelude(fd, &p, &err)) {
		close(fd);
		log_warn("%s", err.text);
		return;
	}
	gate_set_timers(fd);
	if (incoming_join(m, &p.migration, p.kind, p.number, fd, &err))
		log_warn("a connection to the data port was refused: %s", err.text);
}

static void *beginning_thread(void *data)
{
	struct beginning b = *(struct beginning *)data;

	free(data);
	begin(b.m, b.fd);
	pthread_mutex_lock(&b.m->lock);
	b.m->joining--;
	pthread_cond_broadcast(&b.m->changed);
	pthread_mutex_unlock(&b.m->lock);
	return NULL;
}

static bool enter(struct migrations *m)
{
	bool room;

	pthread_mutex_lock(&m->lock);
	room = m->joining < JOINING_MAX;
	m->joining += room;
	pthread_mutex_unlock(&m->lock);
	return room;
}

static void take(struct migrations *m, int fd)
{
	struct beginning *b = malloc(sizeof(*b));
	pthread_attr_t attr;
	pthread_t t;
	int e;

	if (!b || !enter(m)) {
		free(b);
		close(fd);
		return;
	}
	*b = (struct beginning){ m, fd };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	e = pthread_create(&t, &attr, beginning_thread, b);
	pthread_attr_destroy(&attr);
	if (!e)
		return;
	free(b);
	close(fd);
	pthread_mutex_lock(&m->lock);
	m->joining--;
	pthread_mutex_unlock(&m->lock);
}

static void *accept_thread(void *data)
{
	struct migrations *m = data;
	struct pollfd p[2] = { { .fd = m->data_fd, .events = POLLIN }, { .fd = m->data_wake, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		fd = accept4(m->data_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			take(m, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(&p[1], 1, 1000);	/* until there is room again, or the end */
	}
	return NULL;
}

int data_listen(struct migrations *m, struct vmc_error *err)
{
	const struct vmc_config *cfg = m->s.cfg;
	char host[256], where[264];
	uint16_t port = 0, bound;
	int e, rc;

	rc = net_split(cfg->migration_address[0] ? cfg->migration_address : cfg->migration_listen, host, sizeof(host),
		       &port, err);
	if (rc)
		return rc;
	snprintf(where, sizeof(where), strchr(host, ':') ? "[%s]" : "%s", host);
	rc = peer_bind(where, (uint16_t)cfg->migration_data_port, &m->data_fd, &bound, err);
	if (rc)
		return rc;
	m->data_port = bound;
	m->data_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->data_wake < 0)
		return vmc_fail_errno(err, errno, "cannot make an eventfd");
	e = pthread_create(&m->data_thread, NULL, accept_thread, m);
	m->data_running = !e;
	return e ? vmc_fail_errno(err, e, "cannot start a thread") : 0;
}

void data_stop(struct migrations *m)
{
	uint64_t one = 1;

	if (m->data_running) {
		while (write(m->data_wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(m->data_thread, NULL);
		m->data_running = false;
	}
	/* each ends by its deadlines */
	pthread_mutex_lock(&m->lock);
	while (m->joining)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
	if (m->data_fd >= 0)
		close(m->data_fd);
	if (m->data_wake >= 0)
		close(m->data_wake);
	m->data_fd = m->data_wake = -1;
}
