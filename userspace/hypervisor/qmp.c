// SPDX-License-Identifier: GPL-2.0-or-later
/* A client of QMP over a unix socket. */
#include "qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/util.h"
#include "qmp_message.h"

#define READ_SIZE 16384

struct qmp {
	int fd;
	bool broken;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char version[32];
	int major;
	struct ucred owner;
	json_int_t next_id;
	char *buf;		/* what came and is not taken yet */
	size_t len, room;
	size_t seen;		/* of it, without an end of line */
	qmp_event_fn fn;
	void *user;
};

static int broken(struct qmp *q, struct vmc_error *err)
{
	q->broken = true;
	return vmc_prefix(err, "QEMU at '%s': ", q->path);
}

static int gone(struct qmp *q, struct vmc_error *err)
{
	q->broken = true;
	vmc_fail(err, VMC_EIO, "the QEMU at '%s' went away", q->path);
	vmc_hint(err, "its own log tells why it ended");
	return VMC_EIO;
}

/* Until @fd is ready for @events, or the time is @until. */
static int wait_ready(struct qmp *q, short events, uint64_t until, struct vmc_error *err)
{
	struct pollfd p = { .fd = q->fd, .events = events };
	uint64_t now;
	int n;

	for (;;) {
		now = vmc_now_ms();
		n = poll(&p, 1, now < until ? (int)(until - now) : 0);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return vmc_fail_errno(err, errno, "cannot wait for QEMU at '%s'", q->path);
		if (vmc_now_ms() >= until)
			return VMC_ETIMEDOUT;
	}
}

static int late(struct qmp *q, const char *what, struct vmc_error *err)
{
	q->broken = true;
	vmc_fail(err, VMC_ETIMEDOUT, "the QEMU at '%s' does not answer (%s)", q->path, what);
	vmc_hint(err, "a QMP socket serves one client at a time: end any other that is connected to it");
	return VMC_ETIMEDOUT;
}

static int send_line(struct qmp *q, const char *line, const char *command, uint64_t until, struct vmc_error *err)
{
	size_t len = strlen(line);
	ssize_t n;
	int r;

	while (len) {
		n = send(q->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			line += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return gone(q, err);
		r = wait_ready(q, POLLOUT, until, err);
		if (r)
			return r == VMC_ETIMEDOUT ? late(q, command, err) : r;
	}
	return 0;
}

/* Some more bytes. VMC_ETIMEDOUT without words. */
static int fill(struct qmp *q, uint64_t until, struct vmc_error *err)
{
	ssize_t n;
	char *more;
	int r;

	if (q->room - q->len < READ_SIZE) {
		if (q->len > QMP_MESSAGE_MAX) {
			vmc_fail(err, VMC_EPROTO, "it sends a message without an end");
			return broken(q, err);
		}
		more = realloc(q->buf, q->len + READ_SIZE);
		if (!more)
			return vmc_fail(err, VMC_ENOMEM, "no memory for the words of QEMU at '%s'", q->path);
		q->buf = more;
		q->room = q->len + READ_SIZE;
	}
	r = wait_ready(q, POLLIN, until, err);
	if (r)
		return r;
	n = recv(q->fd, q->buf + q->len, q->room - q->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		return gone(q, err);
	q->len += (size_t)n;
	return 0;
}

/* The next line that is no event, which are handed on; or, with @events, the next of either. */
static int next(struct qmp *q, struct qmp_message *m, bool events, uint64_t until, struct vmc_error *err)
{
	bool looked = false;
	char *end;
	size_t n;
	int r;

	for (;;) {
		end = q->len > q->seen ? memchr(q->buf + q->seen, '\n', q->len - q->seen) : NULL;
		if (!end) {
			q->seen = q->len;
			/* events that never cease do not put the end of a wait off; one look there is in any case */
			if (looked && vmc_now_ms() >= until)
				return VMC_ETIMEDOUT;
			looked = true;
			r = fill(q, until, err);
			if (r)
				return r;
			continue;
		}
		n = (size_t)(end - q->buf) + 1;
		r = qmp_message_parse(q->buf, n, m, err);
		memmove(q->buf, q->buf + n, q->len - n);
		q->len -= n;
		q->seen = 0;
		if (r)
			return broken(q, err);
		if (m->kind == QMP_EVENT && q->fn)
			q->fn(m->event, m->data, q->user);
		if (m->kind != QMP_EVENT || events)
			return 0;
		qmp_message_clear(m);
	}
}

static int refused(const struct qmp *q, const struct qmp_message *m, const char *command, struct vmc_error *err)
{
	if (!strcmp(m->error_class, "CommandNotFound"))
		return vmc_fail(err, VMC_ENOTSUP, "the QEMU at '%s', version %s, has no %s", q->path, q->version,
				command);
	return vmc_fail(err, VMC_EREFUSED, "QEMU refuses %s: %s", command, m->error);
}

static int answer(struct qmp *q, const char *command, json_int_t id, json_t **ret, uint64_t until,
		  struct vmc_error *err)
{
	struct qmp_message m;
	int r;

	r = next(q, &m, false, until, err);
	if (r)
		return r == VMC_ETIMEDOUT && !q->broken ? late(q, command, err) : r;
	if (m.kind == QMP_GREETING || m.id != id) {
		vmc_fail(err, VMC_EPROTO, "it answers what was not asked");
		r = broken(q, err);
	} else if (m.kind == QMP_ERROR) {
		r = refused(q, &m, command, err);
	} else if (ret) {
		*ret = json_incref((json_t *)m.data);
	}
	qmp_message_clear(&m);
	return r;
}

int qmp_call_within(struct qmp *q, const char *command, json_t *args, json_t **ret, unsigned int ms,
		    struct vmc_error *err)
{
	json_int_t id = q->next_id++;
	uint64_t until = vmc_now_ms() + ms;
	char *line;
	int r;

	if (ret)
		*ret = NULL;
	if (q->broken) {
		json_decref(args);
		return gone(q, err);
	}
	line = qmp_message_command(command, args, id);
	json_decref(args);
	if (!line)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a command to QEMU at '%s'", q->path);
	r = send_line(q, line, command, until, err);
	free(line);
	return r ? r : answer(q, command, id, ret, until, err);
}

int qmp_call(struct qmp *q, const char *command, json_t *args, json_t **ret, struct vmc_error *err)
{
	return qmp_call_within(q, command, args, ret, QMP_CALL_MS, err);
}

int qmp_wait(struct qmp *q, unsigned int ms, bool *came, struct vmc_error *err)
{
	struct qmp_message m;
	int r;

	*came = false;
	if (q->broken)
		return gone(q, err);
	r = next(q, &m, true, vmc_now_ms() + ms, err);
	if (r == VMC_ETIMEDOUT && !q->broken)
		return 0;
	if (r)
		return r;
	*came = m.kind == QMP_EVENT;
	qmp_message_clear(&m);
	if (*came)
		return 0;
	vmc_fail(err, VMC_EPROTO, "it answers what was not asked");
	return broken(q, err);
}

static int dial(struct qmp *q, struct vmc_error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(q->owner);

	memcpy(sa.sun_path, q->path, sizeof(sa.sun_path));
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return vmc_fail_errno(err, errno, "cannot make a socket for QMP");
	if (connect(q->fd, (struct sockaddr *)&sa, sizeof(sa))) {
		if (errno == EAGAIN)
			return late(q, "connect", err);
		vmc_fail_errno(err, errno, "cannot connect to QMP at '%s'", q->path);
		if (errno == ECONNREFUSED || errno == ENOENT) {
			vmc_hint(err, "is its QEMU running, and was it started with -qmp unix:%s,server=on,wait=off?",
				 q->path);
			return err ? err->code = VMC_ENOENT : VMC_ENOENT;
		}
		return err ? err->code : VMC_EIO;
	}
	if (getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &q->owner, &len))
		return vmc_fail_errno(err, errno, "cannot learn who serves '%s'", q->path);
	return 0;
}

static int greet(struct qmp *q, uint64_t until, struct vmc_error *err)
{
	int r, major, minor, micro;
	struct qmp_message m;

	r = next(q, &m, false, until, err);
	if (r)
		return r == VMC_ETIMEDOUT && !q->broken ? late(q, "greeting", err) : r;
	r = m.kind == QMP_GREETING && !json_unpack((json_t *)m.data, "{s:i, s:i, s:i}", "major", &major, "minor",
						   &minor, "micro", &micro) ? 0 : VMC_EPROTO;
	qmp_message_clear(&m);
	if (r) {
		vmc_fail(err, r, "it does not greet as QMP does");
		return broken(q, err);
	}
	q->major = major;
	snprintf(q->version, sizeof(q->version), "%d.%d.%d", major, minor, micro);
	return 0;
}

int qmp_connect(struct qmp **out, const char *path, unsigned int ms, struct vmc_error *err)
{
	uint64_t until = vmc_now_ms() + ms;
	struct qmp *q;
	int r;

	*out = NULL;
	if (strlen(path) >= sizeof(q->path))
		return vmc_fail(err, VMC_EINVAL, "the path '%s' is too long for a socket", path);
	q = calloc(1, sizeof(*q));
	if (!q)
		return vmc_fail(err, VMC_ENOMEM, "no memory for QMP");
	q->fd = -1;
	snprintf(q->path, sizeof(q->path), "%s", path);
	r = dial(q, err);
	if (!r)
		r = greet(q, until, err);
	if (!r)
		r = qmp_call_within(q, "qmp_capabilities", NULL, NULL, ms, err);
	if (r) {
		qmp_close(q);
		return r;
	}
	*out = q;
	return 0;
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	if (q->fd >= 0)
		close(q->fd);
	free(q->buf);
	free(q);
}

void qmp_on_event(struct qmp *q, qmp_event_fn fn, void *user)
{
	q->fn = fn;
	q->user = user;
}

const char *qmp_version(const struct qmp *q)
{
	return q->version;
}

int qmp_major(const struct qmp *q)
{
	return q->major;
}

void qmp_owner(const struct qmp *q, uid_t *uid, gid_t *gid)
{
	*uid = q->owner.uid;
	*gid = q->owner.gid;
}
