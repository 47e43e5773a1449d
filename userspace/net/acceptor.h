/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections that others make: one thread accepts, each connection has one of its own, and there is a bound to them. */
#ifndef VMC_NET_ACCEPTOR_H
#define VMC_NET_ACCEPTOR_H

#include "../lib/error.h"

struct acceptor;
struct accepted;

struct acceptor_setup {
	const char *what;	/* "a link": for the log, in English */
	unsigned int max;	/* connections at once; who comes when there are as many is refused */
	/*
	 * Of these, from one source: an IPv4 address, or the first 64 bits of an IPv6 one. 0: as many as @max. So that
	 * nobody takes the place of all others.
	 */
	unsigned int max_source;
	unsigned int max_new;	/* of those of a source, that accepted_vouch() was not said for; 0: as many as @max_source */
	/*
	 * Runs in a thread of its own. @fd is non-blocking and taken over. It has to end soon after the other side is
	 * gone, because that is how acceptor_stop() makes it look.
	 */
	void (*serve)(struct accepted *a, int fd, void *data);
	void *data;
};

/* @fd listens and is non-blocking (net_listen()); it is taken over, also on failure. */
int acceptor_start(int fd, const struct acceptor_setup *s, struct acceptor **a, struct vmc_error *err);
/* Accepts no more, cuts all connections, and waits until each serve() has ended. NULL is fine. */
void acceptor_stop(struct acceptor *a);

/* For a serve() that hands its socket on to something that outlives it: acceptor_stop() will not cut it any more. */
void accepted_release(struct accepted *a);

/*
 * For a serve(): the other side has shown who it is, and counts as new no longer. Of those that have not, the oldest is cut
 * when there is no room for another one.
 */
void accepted_vouch(struct accepted *a);

#endif
