// SPDX-License-Identifier: GPL-2.0-or-later
/* The queue, the thread that writes it, and the log of the process. */
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/log.h"
#include "../lib/util.h"
#include "log_priv.h"
#include "verify.h"

#define QUEUE_MAX	65536u		/* entries; more are counted, not kept */
#define WRITE_MAX	4096u		/* entries with one fsync */
#define IDLE_MS		500u		/* how long an entry waits for others */
#define RETRY_MS	1000u		/* after a write that failed */
#define FLUSH_MS	10000u
#define ANCHOR_ENTRIES	1000u		/* anchors: after so many entries, */
#define ANCHOR_SECONDS	3600		/* or so long after the last, when there are new ones */
#define USERS_MAX	16u

/* An entry on its way; its texts are behind it. */
struct item {
	struct item *next;
	struct audit_actor actor;
	bool by_actor;
	char time[AUDIT_TIME_STR];
	int code;
	const char *action, *vm, *volume, *key, *object, *text;
	char texts[];
};

struct audit {
	struct audit_log log;		/* the writer's; others have it with @io */
	struct audit_options o;
	pthread_t thread;
	pthread_mutex_t io;
	/* with @lock: */
	pthread_mutex_t lock;
	pthread_cond_t wake, written;
	struct item *first, **last;
	unsigned int n;
	uint64_t queued, done, wanted;	/* counters of entries; @wanted: somebody waits for that one */
	uint64_t lost;
	bool closing, failing;
	struct vmc_error why;		/* of @failing */
	/* the writer's */
	uint64_t anchored;
	int64_t anchored_at;
	struct { bool known; uint32_t uid; char name[64]; } users[USERS_MAX];
	unsigned int next_user;
};

static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static struct audit *process;		/* audit_close() is not called while others record */

static __thread struct audit_actor actor;
static __thread bool has_actor;
static __thread uint64_t ticket;	/* of the last entry of this thread */

void audit_set_actor(const struct audit_actor *a)
{
	has_actor = a;
	if (a)
		actor = *a;
}

/* ---- queueing --------------------------------------------------------------- */

static size_t room_for(const char *s)
{
	return (s ? strlen(s) : 0) + 1;
}

static const char *keep(char **at, const char *s)
{
	size_t n = room_for(s);
	char *kept = *at;

	memcpy(kept, s ? s : "", n);
	*at += n;
	return kept;
}

static struct item *make_item(const struct audit_entry *e)
{
	struct item *it = malloc(sizeof(*it) + room_for(e->action) + room_for(e->vm) + room_for(e->volume) +
				 room_for(e->key) + room_for(e->object) + room_for(e->text));
	char *at;

	if (!it)
		return NULL;
	at = it->texts;
	it->next = NULL;
	it->by_actor = e->actor || has_actor;
	it->actor = e->actor ? *e->actor : actor;
	it->code = e->code;
	audit_time(it->time);
	it->action = keep(&at, e->action);
	it->vm = keep(&at, e->vm);
	it->volume = keep(&at, e->volume);
	it->key = keep(&at, e->key);
	it->object = keep(&at, e->object);
	it->text = keep(&at, e->text);
	return it;
}

static void queue(struct audit *a, struct item *it)
{
	pthread_mutex_lock(&a->lock);
	if (!it || a->n == QUEUE_MAX) {
		a->lost++;
		free(it);
	} else {
		*a->last = it;
		a->last = &it->next;
		a->n++;
		ticket = ++a->queued;
		if (a->n == 1 || a->n == WRITE_MAX)
			pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
}

void audit_record(const struct audit_entry *e)
{
	struct audit *a = __atomic_load_n(&process, __ATOMIC_ACQUIRE);

	if (a)
		queue(a, make_item(e));
}

/* ---- writing, in its thread --------------------------------------------------- */

static void user_name(struct audit *a, uint32_t uid, char *out, size_t n)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	unsigned int i;

	for (i = 0; i < USERS_MAX; i++)
		if (a->users[i].known && a->users[i].uid == uid) {
			snprintf(out, n, "%s", a->users[i].name);
			return;
		}
	getpwuid_r(uid, &pw, buf, sizeof(buf), &found);
	i = a->next_user++ % USERS_MAX;
	a->users[i].known = true;
	a->users[i].uid = uid;
	snprintf(a->users[i].name, sizeof(a->users[i].name), "%s", found ? found->pw_name : "");
	snprintf(out, n, "%s", a->users[i].name);
}

static void fill_line(struct audit *a, const struct item *it, struct audit_line *l)
{
	memset(l, 0, sizeof(*l));
	memcpy(l->time, it->time, sizeof(l->time));
	l->has_uid = it->by_actor;
	if (it->by_actor) {
		l->uid = it->actor.uid;
		l->pid = it->actor.pid;
		memcpy(l->sender, it->actor.sender, sizeof(l->sender));
		memcpy(l->cmd, it->actor.cmd, sizeof(l->cmd));
		user_name(a, l->uid, l->user, sizeof(l->user));
	} else {
		snprintf(l->user, sizeof(l->user), "vmcryptd");
	}
	snprintf(l->action, sizeof(l->action), "%s", it->action);
	snprintf(l->vm, sizeof(l->vm), "%s", it->vm);
	snprintf(l->volume, sizeof(l->volume), "%s", it->volume);
	snprintf(l->key, sizeof(l->key), "%s", it->key);
	snprintf(l->object, sizeof(l->object), "%s", it->object);
	snprintf(l->result, sizeof(l->result), "%s", it->code ? vmc_code_name(it->code) : "ok");
	snprintf(l->text, sizeof(l->text), "%s", it->text);
}

static void anchor(struct audit *a, bool now)
{
	uint64_t fresh = a->log.head.chain.seq - a->anchored;

	if (!fresh || !a->o.anchor ||
	    (!now && fresh < ANCHOR_ENTRIES && vmc_time() - a->anchored_at < ANCHOR_SECONDS))
		return;
	a->o.anchor(&a->log.head.chain, a->o.data);
	a->anchored = a->log.head.chain.seq;
	a->anchored_at = vmc_time();
}

/* What there was no room for is told, once there is. */
static void fill_lost(uint64_t lost, struct audit_line *l)
{
	memset(l, 0, sizeof(*l));
	audit_time(l->time);
	snprintf(l->user, sizeof(l->user), "vmcryptd");
	snprintf(l->action, sizeof(l->action), AUDIT_LOG_LOST);
	snprintf(l->object, sizeof(l->object), "%" PRIu64, lost);
	snprintf(l->result, sizeof(l->result), "ok");
	snprintf(l->text, sizeof(l->text), "%" PRIu64 " entries could not be kept while the log could not be written",
		 lost);
}

static int write_items(struct audit *a, const struct item *it, size_t n, uint64_t lost, struct vmc_error *err)
{
	struct audit_line *lines = calloc(n + 1, sizeof(*lines));
	size_t i;
	int r;

	if (!lines)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		fill_line(a, it, &lines[i]);
		if (i + 1 < n)	/* the last one's is being filled in by others */
			it = it->next;
	}
	if (lost)
		fill_lost(lost, &lines[n]);
	pthread_mutex_lock(&a->io);
	r = log_append(&a->log, lines, n + !!lost, err);
	if (!r)
		anchor(a, false);
	pthread_mutex_unlock(&a->io);
	free(lines);
	return r;
}

static void free_items(struct audit *a, size_t n)
{
	struct item *it;

	while (n--) {
		it = a->first;
		a->first = it->next;
		free(it);
		a->n--;
		a->done++;
	}
	if (!a->first)
		a->last = &a->first;
}

static void settle(struct audit *a, int r, const struct vmc_error *err)
{
	if (r && !a->failing)
		log_err("audit log: %s%s%s; entries are kept in memory meanwhile", err->text,
			err->hint[0] ? ". Hint: " : "", err->hint);
	if (!r && a->failing)
		log_warn("audit log: it can be written again");
	a->failing = r;
	a->why = *err;
	pthread_cond_broadcast(&a->written);
}

/* With the lock, which it lets go of meanwhile. What was queued first is written first, one batch after another. */
static void write_some(struct audit *a)
{
	struct vmc_error err = VMC_ERROR_INIT;
	size_t n = a->n < WRITE_MAX ? a->n : WRITE_MAX;
	uint64_t lost = a->lost;
	int r;

	pthread_mutex_unlock(&a->lock);
	r = write_items(a, a->first, n, lost, &err);	/* others only append to the queue */
	pthread_mutex_lock(&a->lock);
	if (!r) {
		free_items(a, n);
		a->lost -= lost;
	}
	settle(a, r, &err);
}

static bool urgent(const struct audit *a)
{
	return a->closing || (!a->failing && (a->wanted > a->done || a->n >= WRITE_MAX));
}

static void *work(void *data)
{
	struct audit *a = data;
	struct timespec until;

	pthread_mutex_lock(&a->lock);
	while (!a->closing || (a->n && !a->failing)) {
		if (!a->n) {
			pthread_cond_wait(&a->wake, &a->lock);
			continue;
		}
		vmc_deadline(vmc_now_ms() + (a->failing ? RETRY_MS : IDLE_MS), &until);
		while (!urgent(a) && pthread_cond_timedwait(&a->wake, &a->lock, &until) != ETIMEDOUT)
			;
		write_some(a);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static int flush(struct audit *a, uint64_t until_entry, struct vmc_error *err)
{
	struct timespec until;
	int r = 0;

	vmc_deadline(vmc_now_ms() + FLUSH_MS, &until);
	pthread_mutex_lock(&a->lock);
	if (until_entry > a->wanted)
		a->wanted = until_entry;
	pthread_cond_signal(&a->wake);
	while (!r && a->done < until_entry) {
		if (a->failing) {
			r = a->why.code;
			if (err)
				*err = a->why;
		} else if (pthread_cond_timedwait(&a->written, &a->lock, &until) == ETIMEDOUT) {
			r = vmc_fail(err, VMC_ETIMEDOUT, "the audit log was not written within %u s", FLUSH_MS / 1000);
		}
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

static int flush_all(struct audit *a, struct vmc_error *err)
{
	uint64_t all;

	pthread_mutex_lock(&a->lock);
	all = a->queued;
	pthread_mutex_unlock(&a->lock);
	return flush(a, all, err);
}

int audit_flush(struct vmc_error *err)
{
	struct audit *a = __atomic_load_n(&process, __ATOMIC_ACQUIRE);

	return a && ticket ? flush(a, ticket, err) : 0;
}

/* ---- life --------------------------------------------------------------------- */

static int start_thread(struct audit *a, struct vmc_error *err)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);	/* signals are the loop's */
	r = pthread_create(&a->thread, NULL, work, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return vmc_fail_errno(err, r, "cannot start the thread of the audit log");
	pthread_setname_np(a->thread, "audit");
	return 0;
}

static void make_locks(struct audit *a)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&a->io, NULL);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, &attr);
	pthread_cond_init(&a->written, &attr);
	pthread_condattr_destroy(&attr);
}

static void audit_free(struct audit *a)
{
	log_close(&a->log);
	pthread_cond_destroy(&a->written);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->io);
	free(a);
}

int audit_open(struct audit **ret, const struct audit_options *o, struct vmc_error *err)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	a->o = *o;
	a->log.fd = -1;
	a->last = &a->first;
	make_locks(a);
	r = log_open(&a->log, o, err);
	if (!r) {
		anchor(a, true);
		r = start_thread(a, err);
	}
	if (r) {
		audit_free(a);
		return r;
	}
	pthread_mutex_lock(&process_lock);
	if (!process)
		__atomic_store_n(&process, a, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&process_lock);
	*ret = a;
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&process_lock);
	if (process == a)
		__atomic_store_n(&process, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&process_lock);
	pthread_mutex_lock(&a->lock);
	a->closing = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	if (a->n || a->lost)
		log_err("audit log: %" PRIu64 " entries were not written: %s", a->n + a->lost, a->why.text);
	free_items(a, a->n);
	anchor(a, true);
	audit_free(a);
}

/* ---- reading ---------------------------------------------------------------------- */

static struct audit *for_reading(struct vmc_error *err)
{
	struct audit *a = __atomic_load_n(&process, __ATOMIC_ACQUIRE);
	struct vmc_error why = VMC_ERROR_INIT;

	if (!a)
		vmc_fail(err, VMC_ESTATE, "there is no audit log");
	else if (flush_all(a, &why))
		log_warn("audit log: the newest entries are not written: %s", why.text);
	return a;
}

json_t *audit_list(const struct audit_filter *f, struct vmc_error *err)
{
	struct audit *a = for_reading(err);

	return a ? list_log(a->log.dir, f, err) : NULL;
}

static struct audit_head head_of(struct audit *a)
{
	struct audit_head h;

	pthread_mutex_lock(&a->io);
	h = a->log.head;
	pthread_mutex_unlock(&a->io);
	return h;
}

/* The head on disk is to say what vmcryptd knows; if it does not, somebody else wrote it. */
static int check_head(struct audit *a, struct audit_head *h, struct vmc_error *why)
{
	struct audit_head there;
	int r;

	pthread_mutex_lock(&a->io);
	*h = a->log.head;
	r = a->log.fd < 0 ? 0 : log_read_head(a->log.head_path, &there, why);
	if (!r && a->log.fd >= 0 &&
	    (there.chain.seq != h->chain.seq || strcmp(there.chain.hash, h->chain.hash) ||
	     strcmp(there.file, h->file) || there.size != h->size))
		r = vmc_fail(why, VMC_EAUTH, "'%s' is not what vmcryptd wrote", a->log.head_path);
	pthread_mutex_unlock(&a->io);
	return r;
}

json_t *audit_verify(const char *given_anchor, struct vmc_error *err)
{
	struct audit *a = for_reading(err);
	struct vmc_error why = VMC_ERROR_INIT;
	struct audit_head h;
	json_t *o;
	int r;

	if (!a)
		return NULL;
	r = check_head(a, &h, &why);
	o = audit_verify_files(a->log.dir, &h, given_anchor, err);
	if (o && r) {
		json_object_set_new(o, "ok", json_false());
		json_array_append_new(json_object_get(o, "problems"), json_pack("{s:s}", "what", why.text));
	}
	return o;
}

json_t *audit_head_json(struct vmc_error *err)
{
	struct audit *a = for_reading(err);
	struct audit_head h;

	if (!a)
		return NULL;
	h = head_of(a);
	return json_pack("{s:I, s:s, s:o, s:s, s:I}", "seq", (json_int_t)h.chain.seq, "hash", h.chain.hash,
			 "anchor", json_sprintf("%" PRIu64 ":%s", h.chain.seq, h.chain.hash), "file", h.file,
			 "size", (json_int_t)h.size);
}

int audit_export(int fd, struct vmc_error *err)
{
	struct audit *a = for_reading(err);
	struct audit_head h;

	if (!a)
		return VMC_ESTATE;
	h = head_of(a);
	return export_log(a->log.dir, &h, fd, err);
}
