// SPDX-License-Identifier: GPL-2.0-or-later
/* Links that others make: one thread accepts, one serves each of them. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
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
#include "message.h"
#include "peer_priv.h"

#define BACKLOG		16
#define WRITE_MS	30000
#define IDLE_MS		60000ull		/* between two requests while nothing is under way */
#define BUSY_MS		(48 * 3600 * 1000ull)	/* while something is: TCP's own timers notice a host that is gone */

/* One link, from accept to its end. The server's lock guards the list and @fd. */
struct session {
	struct session *next;
	struct peer_server *server;
	pthread_t thread;
	int fd;			/* the link's, which takes it over */
	int hold;		/* the same socket, to be shut down; -1: closed */
	bool done;
};

struct peer_server {
	struct peers *peers;
	struct peer_handler handler;
	int fd, wake;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock;
	struct session *sessions;
	unsigned int n;
};

/* ---- one link ----------------------------------------------------------- */

static int answer(struct peer_link *l, uint32_t id, int code, const json_t *result, struct vmc_error *why,
		  struct vmc_error *err)
{
	uint8_t *frame;
	size_t n;
	int rc;

	why->code = code;
	rc = code ? peer_error_frame(id, why, &frame, &n, err) : peer_result_frame(id, result, &frame, &n, err);
	if (rc)
		return rc;
	rc = link_write(l, frame, n, vmc_now_ms() + WRITE_MS, err);
	free(frame);
	return rc;
}

/* One request and its answer. */
static int serve_one(const struct peer_handler *h, struct peer_link *l, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	uint64_t idle = l->slot ? BUSY_MS : IDLE_MS;
	struct peer_message m;
	json_t *result = NULL;
	uint8_t *bytes;
	size_t n;
	int rc;

	rc = link_read_frame(l, &bytes, &n, vmc_now_ms() + idle, err);
	if (rc)
		return rc;
	rc = peer_message_parse(bytes, n, &m, err);
	free(bytes);
	if (!rc && m.type != PEER_REQUEST) {
		peer_message_clear(&m);
		rc = vmc_fail(err, VMC_EPROTO, "an answer that nobody asked for");
	}
	if (rc)
		return rc;
	rc = h->call(l, m.method, m.body, &result, h->data, &why);
	rc = answer(l, m.id, rc, result, &why, err);
	json_decref(result);
	peer_message_clear(&m);
	return rc;
}

static void serve(struct session *s, struct peer_link *l)
{
	const struct peer_handler *h = &s->server->handler;
	struct vmc_error err = VMC_ERROR_INIT;

	while (!serve_one(h, l, &err))
		;
	if (err.code != VMC_EUNREACH)
		log_warn("the link with host '%s' ends: %s", peer_name(l), err.text);
	if (h->closed)
		h->closed(l, h->data);
}

static void *session_thread(void *data)
{
	struct session *s = data;
	struct vmc_error err = VMC_ERROR_INIT;
	struct peer_link *l = NULL;

	if (link_accept(s->server->peers, s->fd, vmc_now_ms() + PEER_HANDSHAKE_MS, &l, &err))
		log_warn("a link was refused: %s%s%s", err.text, err.hint[0] ? ". Hint: " : "", err.hint);
	else
		serve(s, l);
	peer_close(l);
	pthread_mutex_lock(&s->server->lock);
	close(s->hold);
	s->hold = -1;
	s->done = true;
	pthread_mutex_unlock(&s->server->lock);
	return NULL;
}

/* ---- all of them -------------------------------------------------------- */

/* Join the threads that are done. */
static void reap(struct peer_server *s, bool all)
{
	struct session **at, *dead = NULL, *x;

	pthread_mutex_lock(&s->lock);
	for (at = &s->sessions; (x = *at);) {
		if (!x->done && !all) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		x->next = dead;
		dead = x;
		s->n--;
	}
	pthread_mutex_unlock(&s->lock);
	while ((x = dead)) {
		dead = x->next;
		pthread_join(x->thread, NULL);
		free(x);
	}
}

static struct session *session_new(struct peer_server *s, int fd)
{
	struct session *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = s;
	x->fd = fd;
	x->hold = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (x->hold >= 0)
		return x;
	free(x);
	return NULL;
}

static void take(struct peer_server *s, int fd)
{
	struct session *x;
	bool full;

	reap(s, false);
	pthread_mutex_lock(&s->lock);
	full = s->n >= PEER_LINKS_MAX;
	pthread_mutex_unlock(&s->lock);
	x = full ? NULL : session_new(s, fd);
	if (!x) {
		log_warn("a link was refused: there are %u already, or no memory for another", s->n);
		close(fd);
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (pthread_create(&x->thread, NULL, session_thread, x)) {
		pthread_mutex_unlock(&s->lock);
		close(fd);
		close(x->hold);
		free(x);
		return;
	}
	x->next = s->sessions;
	s->sessions = x;
	s->n++;
	pthread_mutex_unlock(&s->lock);
}

static void *accept_thread(void *data)
{
	struct peer_server *s = data;
	struct pollfd p[2] = { { .fd = s->fd, .events = POLLIN }, { .fd = s->wake, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			take(s, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(&p[1], 1, 1000);	/* until there is room again, or the end */
	}
	return NULL;
}

static int bind_one(const struct addrinfo *a, int *out)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
		int e = errno;

		close(fd);
		return e;
	}
	*out = fd;
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.sin6_port);	/* where struct sockaddr_in has its port, too */
}

int peer_bind(const char *where, uint16_t port, int *out, uint16_t *bound, struct vmc_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *a = NULL;
	char host[256], service[8];
	int e, rc = net_split(where, host, sizeof(host), &port, err);

	if (rc)
		return rc;
	snprintf(service, sizeof(service), "%u", port);
	e = getaddrinfo(host, service, &hints, &a);
	if (e)
		return vmc_fail(err, VMC_EINVAL, "'%s' is no address to listen at: %s", host, gai_strerror(e));
	e = bind_one(a, out);
	freeaddrinfo(a);
	if (e) {
		rc = vmc_fail_errno(err, e, "cannot listen at %s port %u", host, port);
		vmc_hint(err, "see [migration] listen and data_port in vmcrypt.conf; 'ss -ltnp' shows who listens where");
		return rc;
	}
	*bound = port_of(*out);
	return 0;
}

static int start(struct peer_server *s, const char *where, uint16_t port, struct vmc_error *err)
{
	int e, rc;

	rc = peer_bind(where, port, &s->fd, &s->port, err);
	if (rc)
		return rc;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return vmc_fail_errno(err, errno, "cannot make an eventfd");
	e = pthread_create(&s->thread, NULL, accept_thread, s);
	return e ? vmc_fail_errno(err, e, "cannot start a thread") : 0;
}

static void server_free(struct peer_server *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->wake >= 0)
		close(s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int peer_listen(struct peers *p, const char *where, uint16_t port, const struct peer_handler *h,
		struct peer_server **out, struct vmc_error *err)
{
	struct peer_server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory to listen with");
	s->peers = p;
	s->handler = *h;
	s->fd = s->wake = -1;
	pthread_mutex_init(&s->lock, NULL);
	rc = start(s, where, port, err);
	if (rc)
		server_free(s);
	else
		*out = s;
	return rc;
}

uint16_t peer_server_port(const struct peer_server *s)
{
	return s->port;
}

void peer_server_stop(struct peer_server *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	while (write(s->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	for (struct session *x = s->sessions; x; x = x->next)
		if (x->hold >= 0)
			shutdown(x->hold, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	reap(s, true);
	server_free(s);
}
