// SPDX-License-Identifier: GPL-2.0-or-later
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "meter.h"
#include "verbs.h"

/* For a call that is canceled at its deadline to come to a safe point. */
#define GRACE_MS	10000

#define ADDED_MATCH \
	"type='signal',sender='" BUS_NAME "',interface='org.freedesktop.DBus.ObjectManager'," \
	"member='InterfacesAdded',path='" BUS_ROOT "'"
#define CHANGED_MATCH \
	"type='signal',sender='" BUS_NAME "',interface='org.freedesktop.DBus.Properties'," \
	"member='PropertiesChanged',path_namespace='" BUS_JOBS "'"

struct waiter {
	struct cli *c;
	sd_bus_message *reply;
	bool tty;
	bool drawn;			/* a progress line stands on the terminal */
	char *job;			/* path of our job, once known */
	char *operation;
	char *asking;			/* path of a job whose properties are on their way */
	sd_bus_slot *ask;
	json_t *foreign;		/* paths of others' jobs, an object used as a set */
	struct meter meter;
	unsigned int interrupts;
	bool cancel_sent;
	uint64_t deadline;		/* 0: none */
	bool overdue;
};

static void erase(struct waiter *w)
{
	if (w->drawn)
		fputs("\r\033[K", stderr);
	w->drawn = false;
}

static void draw(struct waiter *w)
{
	struct winsize ws;
	size_t width = 80;
	char line[256];

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) && ws.ws_col)
		width = ws.ws_col;
	/* the last column stays free, or some terminals wrap */
	meter_line(&w->meter, width - 1, line, sizeof(line));
	fprintf(stderr, "\r\033[K%s", line);
	w->drawn = true;
}

static void print_json(struct waiter *w)
{
	json_t *o = meter_json(&w->meter);

	if (!o)
		return;
	json_object_set_new(o, "job", json_string(w->job));
	if (w->operation)
		json_object_set_new(o, "operation", json_string(w->operation));
	json_dumpf(o, stderr, JSON_COMPACT);
	fputc('\n', stderr);
	json_decref(o);
}

/* What a Job's properties say; NULL or false where they did not come. */
struct job_state {
	const char *sender, *operation, *phase;
	uint64_t done, total;
	bool has_done, has_total;
};

static int read_job_property(sd_bus_message *m, const char *key, struct job_state *s)
{
	if (!strcmp(key, "Sender"))
		return sd_bus_message_read(m, "v", "s", &s->sender);
	if (!strcmp(key, "Operation"))
		return sd_bus_message_read(m, "v", "s", &s->operation);
	if (!strcmp(key, "Phase"))
		return sd_bus_message_read(m, "v", "s", &s->phase);
	if (!strcmp(key, "Done")) {
		s->has_done = true;
		return sd_bus_message_read(m, "v", "t", &s->done);
	}
	if (!strcmp(key, "Total")) {
		s->has_total = true;
		return sd_bus_message_read(m, "v", "t", &s->total);
	}
	return sd_bus_message_skip(m, "v");
}

static int read_job(sd_bus_message *m, struct job_state *s)
{
	const char *key;
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	memset(s, 0, sizeof(*s));
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read_basic(m, 's', &key);
		if (r >= 0)
			r = read_job_property(m, key, s);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static void update(struct waiter *w, const struct job_state *s)
{
	struct meter *mt = &w->meter;
	char phase[sizeof(mt->phase)];

	/* only what changed comes: the rest is as it was */
	snprintf(phase, sizeof(phase), "%s", s->phase ? s->phase : mt->phase);
	meter_update(mt, phase, s->has_done ? s->done : mt->done,
		     s->has_total ? s->total : mt->total, vmc_now_ms());
	if (w->c->progress_json)
		print_json(w);
	else if (w->tty)
		draw(w);
}

static void send_cancel(struct waiter *w)
{
	sd_bus_message *m = NULL;

	if (w->cancel_sent || !w->job)
		return;
	if (sd_bus_message_new_method_call(w->c->bus, &m, BUS_NAME, w->job, IFACE_JOB,
					   "Cancel") >= 0 &&
	    sd_bus_send(w->c->bus, m, NULL) >= 0)
		w->cancel_sent = true;
	sd_bus_message_unref(m);
}

/* The job at @path was described: keep it if it is ours. */
static void adopt(struct waiter *w, const char *path, const struct job_state *s)
{
	const char *self;

	if (w->job || !s->sender || sd_bus_get_unique_name(w->c->bus, &self) < 0 ||
	    strcmp(s->sender, self) != 0)
		return;
	w->job = strdup(path);
	w->operation = s->operation ? strdup(s->operation) : NULL;
	if (!w->job)
		return;
	update(w, s);
	if (w->interrupts)
		send_cancel(w);
}

static int on_job_described(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct waiter *w = data;
	struct job_state s;

	(void)e;
	if (!sd_bus_message_is_method_error(m, NULL) && read_job(m, &s) >= 0)
		adopt(w, w->asking, &s);
	/* else a busy job of somebody else would be asked about for ever */
	if (!w->job)
		json_object_set_new(w->foreign, w->asking, json_true());
	free(w->asking);
	w->asking = NULL;
	return 0;
}

/*
 * Ask whose job it is. One question at a time: jobs report again and again, so
 * the next one gets its turn.
 */
static void ask_job(struct waiter *w, const char *path)
{
	if (w->asking || json_object_get(w->foreign, path))
		return;
	w->ask = sd_bus_slot_unref(w->ask);
	w->asking = strdup(path);
	if (w->asking &&
	    sd_bus_call_method_async(w->c->bus, &w->ask, BUS_NAME, path,
				     "org.freedesktop.DBus.Properties", "GetAll",
				     on_job_described, w, "s", IFACE_JOB) >= 0)
		return;
	free(w->asking);
	w->asking = NULL;
}

static int on_job_changed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct waiter *w = data;
	const char *path = sd_bus_message_get_path(m), *iface;
	struct job_state s;

	(void)e;
	if (!path || sd_bus_message_read_basic(m, 's', &iface) < 0 || strcmp(iface, IFACE_JOB) != 0)
		return 0;
	if (!w->job)
		ask_job(w, path);
	else if (!strcmp(path, w->job) && read_job(m, &s) >= 0)
		update(w, &s);
	return 0;
}

static int on_object_added(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct waiter *w = data;
	const char *path, *iface;
	struct job_state s;

	(void)e;
	if (sd_bus_message_read_basic(m, 'o', &path) < 0 ||
	    strncmp(path, BUS_JOBS "/", strlen(BUS_JOBS "/")) != 0 ||
	    sd_bus_message_enter_container(m, 'a', "{sa{sv}}") < 0)
		return 0;
	while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
		if (sd_bus_message_read_basic(m, 's', &iface) < 0)
			return 0;
		if (!strcmp(iface, IFACE_JOB)) {
			if (read_job(m, &s) >= 0)
				adopt(w, path, &s);
			return 0;
		}
		if (sd_bus_message_skip(m, "a{sv}") < 0 || sd_bus_message_exit_container(m) < 0)
			return 0;
	}
	return 0;
}

/* A match that could not be had costs the progress bar, not the call. */
static int on_match(sd_bus_message *m, void *data, sd_bus_error *e)
{
	(void)m;
	(void)data;
	(void)e;
	return 0;
}

static int on_reply(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct waiter *w = data;

	(void)e;
	w->reply = sd_bus_message_ref(m);
	return 0;
}

/* First signal: ask the daemon to stop. Second: stop waiting for it. */
static int interrupted(struct waiter *w)
{
	struct vmc_error *err = &w->c->err;

	erase(w);
	w->interrupts++;
	if (w->interrupts == 1) {
		fprintf(stderr, "vmcrypt: %s\n",
			_("stopping at the next safe point; press Ctrl-C again not to wait for it"));
		send_cancel(w);
		return 0;
	}
	vmc_fail(err, VMC_ECANCELED, "not waiting any longer for '%s'", w->c->verb->pattern);
	if (w->cancel_sent)
		vmc_hint(err, "vmcryptd was told to stop and does so at the next safe point; 'vmcrypt job list' shows what is left");
	else
		vmc_hint(err, "vmcryptd goes on with it; 'vmcrypt status' and 'vmcrypt job list' show how it ends");
	return VMC_ECANCELED;
}

/* The time of the call is up: have the daemon stop, and wait a little for that. */
static int overdue(struct waiter *w)
{
	struct vmc_error *err = &w->c->err;

	erase(w);
	if (!w->overdue) {
		w->overdue = true;
		send_cancel(w);
		if (w->cancel_sent) {
			w->deadline = vmc_now_ms() + GRACE_MS;
			return 0;
		}
	}
	vmc_fail(err, VMC_ETIMEDOUT, "vmcryptd did not answer in time");
	vmc_hint(err, "'vmcrypt status' and 'vmcrypt job list' show what it does; 'journalctl -u vmcryptd' says more");
	return VMC_ETIMEDOUT;
}

/* The sooner of @timeout (-1: never) and the deadline, in milliseconds. */
static int until_deadline(const struct waiter *w, int timeout)
{
	uint64_t now = vmc_now_ms(), left;

	if (!w->deadline)
		return timeout;
	left = w->deadline > now ? w->deadline - now : 0;
	if (left > INT_MAX)
		left = INT_MAX;
	return timeout < 0 || left < (uint64_t)timeout ? (int)left : timeout;
}

static int poll_once(struct waiter *w, int sigfd)
{
	struct signalfd_siginfo si;
	struct pollfd fds[2] = {
		{ .fd = sd_bus_get_fd(w->c->bus) },
		{ .fd = sigfd, .events = POLLIN },
	};
	uint64_t until, now;
	int r = sd_bus_get_events(w->c->bus), timeout = -1;

	if (r < 0)
		return bus_fail(w->c, r, "wait for vmcryptd");
	fds[0].events = r;
	/* sd-bus's own deadlines, such as that of the first words on the bus */
	if (sd_bus_get_timeout(w->c->bus, &until) >= 0 && until != UINT64_MAX) {
		struct timespec ts;

		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
		timeout = until > now ? (int)((until - now) / 1000 + 1) : 0;
	}
	r = poll(fds, ARRAY_SIZE(fds), until_deadline(w, timeout));
	if (r < 0 && errno != EINTR)
		return bus_fail(w->c, -errno, "wait for vmcryptd");
	if (fds[1].revents & POLLIN && read(sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		return interrupted(w);
	if (w->deadline && vmc_now_ms() >= w->deadline)
		return overdue(w);
	return 0;
}

static int wait_reply(struct waiter *w, int sigfd)
{
	int r;

	while (!w->reply) {
		r = sd_bus_process(w->c->bus, NULL);
		if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE) {
			vmc_fail(&w->c->err, VMC_EIO, "the connection to the bus broke");
			vmc_hint(&w->c->err, "systemctl status dbus vmcryptd");
			return VMC_EIO;
		}
		if (r < 0)
			return bus_fail(w->c, r, "talk to vmcryptd");
		if (r > 0)
			continue;
		r = poll_once(w, sigfd);
		if (r)
			return r;
	}
	return 0;
}

/* Id of the job stopped last, or NULL. */
static const char *pending_job(const json_t *jobs)
{
	const char *id = NULL;
	const json_t *job;
	size_t i;

	json_array_foreach(jobs, i, job)
		if (strcmp(json_string_value(json_object_get(job, "state")) ?: "pending", "running") != 0)
			id = json_string_value(json_object_get(job, "id")) ?: id;
	return id;
}

/*
 * "Canceled" alone does not say how things stand now: ask whether something
 * is left that resumes.
 */
static void say_what_is_left(struct cli *c)
{
	struct vmc_error canceled = c->err;
	json_t *jobs = NULL;
	const char *id;

	if (*canceled.hint)
		return;
	if (!bus_json(c, &jobs, BUS_ROOT, IFACE_MANAGER, "ListJobs", "")) {
		id = pending_job(jobs);
		if (id)
			vmc_hint(&canceled,
				 "stopped where it can go on: 'vmcrypt job list' shows it, 'vmcrypt job abandon %s' rolls it back; otherwise it resumes when vmcryptd starts",
				 id);
		else
			vmc_hint(&canceled, "nothing is left half done; start it again when you like");
	}
	json_decref(jobs);
	c->err = canceled;
}

static int send_and_wait(struct waiter *w, sd_bus_message *m, int sigfd)
{
	sd_bus_slot *changed = NULL, *added = NULL, *call = NULL;
	sd_bus *bus = w->c->bus;
	int r;

	/* sent before the call, so that the bus knows them before the job starts */
	r = sd_bus_add_match_async(bus, &changed, CHANGED_MATCH, on_job_changed, on_match, w);
	if (r >= 0)
		r = sd_bus_add_match_async(bus, &added, ADDED_MATCH, on_object_added, on_match, w);
	if (r >= 0)
		r = sd_bus_call_async(bus, &call, m, on_reply, w, UINT64_MAX);
	r = r < 0 ? bus_fail(w->c, r, "send to vmcryptd") : wait_reply(w, sigfd);
	sd_bus_slot_unref(w->ask);
	sd_bus_slot_unref(call);
	sd_bus_slot_unref(added);
	sd_bus_slot_unref(changed);
	return r;
}

int wait_call(struct cli *c, sd_bus_message *m, sd_bus_message **reply)
{
	struct waiter w = {
		.c = c, .meter.bytes = c->bytes, .foreign = json_object(), .deadline = c->deadline,
	};
	const sd_bus_error *e;
	sigset_t set, old;
	int sigfd, r;

	w.tty = isatty(STDERR_FILENO) && !c->json;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sigfd < 0) {
		r = bus_fail(c, -errno, "listen for signals");
	} else {
		r = send_and_wait(&w, m, sigfd);
		close(sigfd);
	}
	erase(&w);
	sigprocmask(SIG_SETMASK, &old, NULL);
	e = r ? NULL : sd_bus_message_get_error(w.reply);
	if (e)
		r = bus_error(c, e);
	else if (!r)
		*reply = sd_bus_message_ref(w.reply);
	sd_bus_message_unref(w.reply);
	free(w.job);
	free(w.operation);
	free(w.asking);
	json_decref(w.foreign);
	if (e && r == VMC_ECANCELED && w.overdue)
		r = vmc_fail(&c->err, VMC_ETIMEDOUT, "it took too long and was stopped");
	else if (e && r == VMC_ECANCELED)
		say_what_is_left(c);
	return r;
}
