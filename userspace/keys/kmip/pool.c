// SPDX-License-Identifier: GPL-2.0-or-later
/* The servers of a cluster: their health, and the connections to them. See pool.h. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/log.h"
#include "../../lib/util.h"

int pool_init(struct pool *p, const char *provider, const struct kmip_conf *conf,
	      const struct kmip_settings *set, struct vmc_error *err)
{
	pthread_condattr_t attr;

	memset(p, 0, sizeof(*p));
	p->provider = provider;
	p->set = set;
	p->limit = conf->connections;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->freed, &attr);
	pthread_condattr_destroy(&attr);
	for (; p->n < conf->n_servers; p->n++) {
		struct pool_server *s = &p->servers[p->n];

		s->idle = calloc(p->limit, sizeof(s->idle[0]));
		if (!s->idle) {
			pool_clear(p);
			return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", provider);
		}
		kmip_server_init(&s->kmip, conf->servers[p->n].host, conf->servers[p->n].port);
	}
	return 0;
}

void pool_clear(struct pool *p)
{
	for (unsigned int i = 0; i < p->n; i++) {
		struct pool_server *s = &p->servers[i];

		while (s->n_idle)
			kmip_close(s->idle[--s->n_idle].client);
		free(s->idle);
		kmip_server_clear(&s->kmip);
	}
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
}

/* ---- health ----------------------------------------------------------------------- */

/* Half of the time is fixed and half is chance, so that many hosts do not come back at once. */
static uint64_t jitter(uint64_t ms)
{
	return ms / 2 + arc4random_uniform(ms / 2 + 1);
}

static void server_down(struct pool *p, struct pool_server *s, const struct vmc_error *why)
{
	bool was;

	pthread_mutex_lock(&p->lock);
	was = s->down;
	s->down = true;
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->retry_at = vmc_now_ms() + jitter(s->backoff_ms);
	pthread_mutex_unlock(&p->lock);
	kmip_server_forget(&s->kmip);
	if (!was)
		log_warn("provider %s: key server %s is out of use for now: %s", p->provider,
			 s->kmip.name, why->text);
}

static void server_up(struct pool *p, struct pool_server *s, bool primary)
{
	bool was;

	pthread_mutex_lock(&p->lock);
	was = s->down;
	s->down = false;
	s->backoff_ms = 0;
	if (primary)
		p->primary = s - p->servers;
	pthread_mutex_unlock(&p->lock);
	if (was)
		log_info("provider %s: key server %s is in use again", p->provider, s->kmip.name);
}

void pool_note(struct pool *p, unsigned int i, bool up, const struct vmc_error *why)
{
	if (up)
		server_up(p, &p->servers[i], false);
	else
		server_down(p, &p->servers[i], why);
}

/*
 * The next server to try: from the primary on, those that are well, and those
 * whose time to be tried again has come. When there are none of these, the
 * ones in backoff all the same: somebody is waiting for the answer.
 */
static struct pool_server *next_server(struct pool *p, unsigned int tried)
{
	struct pool_server *best = NULL;
	uint64_t now = vmc_now_ms();

	pthread_mutex_lock(&p->lock);
	for (unsigned int i = 0; i < p->n; i++) {
		struct pool_server *s = &p->servers[(p->primary + i) % p->n];

		if (tried & 1u << (s - p->servers))
			continue;
		if (!s->down || now >= s->retry_at) {
			best = s;
			break;
		}
		if (!best || s->retry_at < best->retry_at)
			best = s;
	}
	pthread_mutex_unlock(&p->lock);
	return best;
}

/* ---- connections --------------------------------------------------------------------- */

static void release(struct pool *p, struct pool_server *s, struct kmip_client *c)
{
	bool keep = c && kmip_usable(c);

	if (!keep)
		kmip_close(c);
	pthread_mutex_lock(&p->lock);
	if (keep) {
		s->idle[s->n_idle].client = c;
		s->idle[s->n_idle++].since = vmc_now_ms();
	} else {
		s->open--;
	}
	pthread_cond_broadcast(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/*
 * An idle connection, or the right to open one (*c is NULL). The latest idle
 * one first: the others may then grow old and go.
 */
static int acquire(struct pool *p, struct pool_server *s, uint64_t deadline,
		   struct kmip_client **c, struct vmc_error *err)
{
	struct kmip_client *old = NULL;
	struct timespec ts;
	int rc = 0;

	*c = NULL;
	vmc_deadline(deadline, &ts);
	pthread_mutex_lock(&p->lock);
	while (!s->n_idle && s->open >= p->limit && !rc)
		rc = pthread_cond_timedwait(&p->freed, &p->lock, &ts);
	if (s->n_idle) {
		rc = 0;
		old = s->idle[--s->n_idle].client;
		if (vmc_now_ms() - s->idle[s->n_idle].since < POOL_IDLE_MS) {
			*c = old;
			old = NULL;
		}
	} else if (s->open < p->limit) {
		rc = 0;
		s->open++;
	}
	pthread_mutex_unlock(&p->lock);
	if (*c && !kmip_idle(*c)) {
		/* restarted, perhaps as another version of itself */
		kmip_server_forget(&s->kmip);
		old = *c;
		*c = NULL;
	}
	kmip_close(old);	/* its place is ours */
	if (rc) {
		rc = vmc_fail(err, VMC_ETIMEDOUT, "all %u connections to key server %s are busy",
			      p->limit, s->kmip.name);
		vmc_hint(err, "raise connections of provider '%s', or request_timeout_ms", p->provider);
	}
	return rc;
}

/* ---- one server, then the next ------------------------------------------------------------ */

/* It answered, but it has trouble of its own that another server may not have. */
static bool in_trouble(uint32_t reason)
{
	return reason == KMIP_R_GENERAL || reason == KMIP_R_INTERNAL ||
	       reason == KMIP_R_SERVER_LIMIT;
}

/*
 * @down: the server is to blame, not what was asked of it. @next: worth asking
 * another one. A connection that was idle may turn out to be dead: then once
 * more on a fresh one.
 */
static int attempt(struct pool *p, struct pool_server *s, pool_fn fn, void *data,
		   uint64_t deadline, bool *down, bool *next, struct vmc_error *err)
{
	struct kmip_client *c;
	bool reused;
	int rc;

	*down = false;
	*next = true;
	rc = acquire(p, s, deadline, &c, err);
	if (rc)
		return rc;
	do {
		reused = c;
		if (!c) {
			rc = kmip_open(p->set, &s->kmip, deadline, &c, err);
			if (rc) {
				*down = rc != VMC_ENOMEM && rc != VMC_EINVAL;
				break;
			}
		}
		rc = fn(c, &s->kmip, data, deadline, err);
		*down = rc < 0 && !kmip_usable(c) && rc != VMC_ENOMEM;
		*next = *down || (rc == VMC_EREFUSED && in_trouble(kmip_reason(c)));
		if (!(*down && reused && rc == VMC_EUNREACH))
			break;
		kmip_close(c);
		c = NULL;
	} while (vmc_now_ms() < deadline);
	release(p, s, c);
	return rc;
}

/* Several servers failed: one text that names each. */
static void add_failure(struct vmc_error *all, const struct vmc_error *one, unsigned int n,
			const char *provider)
{
	size_t used;

	if (!n) {
		*all = *one;
		return;
	}
	if (n == 1)
		vmc_prefix(all, "no server of provider '%s' could be used: ", provider);
	used = strlen(all->text);
	snprintf(all->text + used, sizeof(all->text) - used, "; %s", one->text);
	if (all->code != one->code)
		all->code = VMC_EUNREACH;
}

int pool_run(struct pool *p, pool_fn fn, void *data, unsigned int timeout_ms, struct vmc_error *err)
{
	struct vmc_error failures = VMC_ERROR_INIT, one;
	uint64_t deadline = vmc_now_ms() + timeout_ms, now, share;
	unsigned int tried = 0, n_tried = 0, n_failed = 0;
	struct pool_server *s;
	bool down, next, more = false;
	int rc;

	while ((s = next_server(p, tried))) {
		now = vmc_now_ms();
		if (now >= deadline)
			break;
		/* what is left is shared by the servers that are left */
		share = (deadline - now) / (p->n - n_tried);
		tried |= 1u << (s - p->servers);
		n_tried++;
		one = (struct vmc_error)VMC_ERROR_INIT;
		rc = attempt(p, s, fn, data, now + (share ? share : 1), &down, &next, &one);
		if (down)
			server_down(p, s, &one);
		else if (rc == 0 || rc == VMC_EAGAIN_ELSEWHERE)
			server_up(p, s, !more);
		if (rc == 0)
			return 0;
		if (rc == VMC_EAGAIN_ELSEWHERE) {
			more = true;
			continue;
		}
		if (!next) {
			if (err)
				*err = one;
			return rc;
		}
		add_failure(&failures, &one, n_failed++, p->provider);
	}
	if (!n_failed)
		return more ? VMC_EAGAIN_ELSEWHERE :
			      vmc_fail(err, VMC_ETIMEDOUT, "no time to ask a server of provider '%s'", p->provider);
	if (err)
		*err = failures;
	return failures.code;
}
