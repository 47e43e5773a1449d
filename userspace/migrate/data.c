// SPDX-License-Identifier: GPL-2.0-or-later
/* The data port: connections of migrations that come in. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/util.h"
#include "../net/acceptor.h"
#include "../net/tcp.h"
#include "gate.h"
#include "migrate_priv.h"
#include "prelude.h"

#define PRELUDE_MS	5000
#define BEGINNINGS_MAX	64

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

static void begin(struct accepted *a, int fd, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct prelude p = { .number = 0 };
	struct migrations *m = data;

	if (read_prelude(fd, &p, &err)) {
		close(fd);
		log_warn("%s", err.text);
		return;
	}
	net_set_timers(fd);
	/* from here on it is the migration's, which may go on when nobody else is let in */
	accepted_release(a);
	if (incoming_join(m, &p.migration, p.kind, p.number, fd, &err))
		log_warn("a connection to the data port was refused: %s", err.text);
}

int data_listen(struct migrations *m, struct vmc_error *err)
{
	const struct acceptor_setup setup = {
		.what = "a connection to the data port", .max = BEGINNINGS_MAX, .serve = begin, .data = m,
	};
	const struct vmc_config *cfg = m->s.cfg;
	char host[256], where[264];
	uint16_t port = 0;
	int fd, rc;

	rc = net_split(cfg->migration_address[0] ? cfg->migration_address : cfg->migration_listen, host, sizeof(host),
		       &port, err);
	if (rc)
		return rc;
	snprintf(where, sizeof(where), strchr(host, ':') ? "[%s]" : "%s", host);
	rc = peer_bind(where, (uint16_t)cfg->migration_data_port, &fd, &m->data_port, err);
	return rc ? rc : acceptor_start(fd, &setup, &m->data, err);
}

void data_stop(struct migrations *m)
{
	acceptor_stop(m->data);
	m->data = NULL;
}
