/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The servers of a cluster: their health, and the connections to them. */
#ifndef VMC_KMIP_POOL_H
#define VMC_KMIP_POOL_H

#include <pthread.h>

#include "client.h"
#include "conf.h"

#define POOL_IDLE_MS	30000	/* an idle connection older than this is not trusted to be alive */
#define BACKOFF_MIN_MS	500
#define BACKOFF_MAX_MS	30000

struct pool_server {
	struct kmip_server kmip;
	bool down;
	uint64_t backoff_ms, retry_at;	/* vmc_now_ms() */
	unsigned int open;		/* connections, idle ones included */
	unsigned int n_idle;
	struct {
		struct kmip_client *client;
		uint64_t since;
	} *idle;			/* the latest last */
};

struct pool {
	const char *provider;
	const struct kmip_settings *set;
	unsigned int limit;		/* connections per server */
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned int primary, n;
	struct pool_server servers[KMIP_SERVERS_MAX];
};

int pool_init(struct pool *p, const char *provider, const struct kmip_conf *conf,
	      const struct kmip_settings *set, struct vmc_error *err);
void pool_clear(struct pool *p);

/*
 * Work on one server. Returns 0 or an error; kmip_usable() tells whether the
 * connection survived it. May be called again with the next server: it keeps
 * in @data what it has found out.
 */
typedef int (*pool_fn)(struct kmip_client *c, struct kmip_server *s, void *data, uint64_t deadline,
		       struct vmc_error *err);

/*
 * Run @fn on the first server that works, within @timeout_ms altogether. A
 * server that cannot be reached or makes no sense is marked, and the next one
 * tried. What a server answers is final, but for VMC_EAGAIN_ELSEWHERE.
 */
#define VMC_EAGAIN_ELSEWHERE	1	/* from a pool_fn: fine, but ask the next server, too */
int pool_run(struct pool *p, pool_fn fn, void *data, unsigned int timeout_ms, struct vmc_error *err);

/* For provider test: a server was seen to work, or not. */
void pool_note(struct pool *p, unsigned int i, bool up, const struct vmc_error *why);

#endif
