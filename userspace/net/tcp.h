/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP with deadlines: name resolution and connecting never wait longer than they are told. */
#ifndef VMC_NET_TCP_H
#define VMC_NET_TCP_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

/*
 * Connect to @host (name or address) until @deadline (vmc_now_ms() clock).
 * Several addresses are tried side by side, each a little later than the one
 * before (RFC 8305). @fd is non-blocking. VMC_EUNREACH or VMC_ETIMEDOUT.
 */
int net_connect(const char *host, uint16_t port, uint64_t deadline, int *fd, struct vmc_error *err);

/* Wait for @events (poll) on @fd. 0; VMC_ETIMEDOUT and VMC_EIO leave the words to the caller. */
int net_wait(int fd, short events, uint64_t deadline);

/*
 * A listening socket, non-blocking, at @where, ADDRESS[:PORT]; @port: when it has none, 0 for any. @bound is the port
 * that it got.
 */
int net_listen(const char *where, uint16_t port, int *fd, uint16_t *bound, struct vmc_error *err);

/* No delay; and a host that vanished is noticed 30 seconds after it was heard last. */
void net_set_timers(int fd);

/* "host[:port]", "[v6]:port", "v6". @port keeps its value when none is given. 0 or VMC_EINVAL. */
int net_split(const char *s, char *host, size_t max, uint16_t *port, struct vmc_error *err);

#endif
