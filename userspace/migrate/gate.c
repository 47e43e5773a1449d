// SPDX-License-Identifier: GPL-2.0-or-later
/* The source's sockets for its hypervisor. See gate.h. */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "../net/tcp.h"
#include "prelude.h"

#define BACKLOG		128
#define JOIN_MS		15000

struct gate {
	struct gate_setup s;
	char host[256];
	int fd[HV_SOCKETS], wake;
	pthread_t thread;
	bool running;
	uint32_t next;			/* number of a channel */
	pthread_mutex_t lock;
	struct vmc_error failed;	/* the first */
};

/* ---- the folder ---------------------------------------------------------- */

/* For its owner and @uid alone. By an ACL: to give it away takes a capability that much else could be done with. */
static int share(const char *path, uid_t uid, const char *perm, struct vmc_error *err)
{
	char text[80];
	acl_t acl;
	int rc = 0;

	snprintf(text, sizeof(text), "u::rwx,u:%u:%s,g::---,m::%s,o::---", uid, perm, perm);
	acl = acl_from_text(text);
	if (!acl || acl_set_file(path, ACL_TYPE_ACCESS, acl))
		rc = vmc_fail_errno(err, errno, "cannot let user %u of the hypervisor use '%s'", uid, path);
	if (acl)
		acl_free(acl);
	return rc;
}

static int make_dir(const char *runtime_dir, const vmc_uuid *migration, char *dir, size_t n, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	int rc;

	if (snprintf(dir, n, "%s/migrate", runtime_dir) >= (int)n)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", runtime_dir);
	rc = fs_mkdirs(dir, 0711, err);
	if (rc)
		return rc;
	vmc_uuid_format(migration, id);
	if (snprintf(dir, n, "%s/migrate/%s", runtime_dir, id) + sizeof("/" HV_SOCKET_CONTROL) > HV_SOCKET_PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long for a socket", dir);
	return mkdir(dir, 0700) ? vmc_fail_errno(err, errno, "cannot make the folder '%s'", dir) : 0;
}

int gate_dir_make(const char *runtime_dir, const vmc_uuid *migration, char *dir, size_t n, struct vmc_error *err)
{
	int rc = make_dir(runtime_dir, migration, dir, n, err);

	if (rc)
		dir[0] = '\0';	/* it may be another migration's: not to be removed */
	return rc;
}

int gate_dir_share(const char *dir, uid_t uid, struct vmc_error *err)
{
	return share(dir, uid, "rwx", err);
}

void gate_dir_remove(const char *dir)
{
	char path[HV_SOCKET_PATH_MAX + 32];

	for (int i = 0; i < HV_SOCKETS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, hv_socket_name((enum hv_socket)i));
		unlink(path);
	}
	if (rmdir(dir) && errno != ENOENT)
		log_warn("the folder '%s' of a migration stays: %s", dir, strerror(errno));
}

/* ---- one connection -------------------------------------------------------- */

/* The socket at @path itself: whoever may write to its folder could have put a link to another's there. */
static int find_socket(const char *path, int *found, struct vmc_error *err)
{
	struct stat st;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot connect to the hypervisor at '%s'", path);
	if (!fstat(fd, &st) && S_ISSOCK(st.st_mode)) {
		*found = fd;
		return 0;
	}
	close(fd);
	return vmc_fail(err, VMC_EPERM, "'%s', where the hypervisor should listen, is no socket", path);
}

static int connect_found(int found, const char *path, uint64_t deadline, int *out, struct vmc_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d", found);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot make a socket");
	while (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		/* EAGAIN: its queue is full; nothing tells when that is over */
		if (errno != EAGAIN || vmc_now_ms() >= deadline) {
			int e = errno;

			close(fd);
			return vmc_fail_errno(err, e, "cannot connect to the hypervisor at '%s'", path);
		}
		poll(NULL, 0, 20);
	}
	*out = fd;
	return 0;
}

int gate_connect(const char *path, uint64_t deadline, int *out, struct vmc_error *err)
{
	int found = -1, rc = find_socket(path, &found, err);

	if (rc)
		return rc;
	rc = connect_found(found, path, deadline, out, err);
	close(found);
	return rc;
}

static int exchange(struct gate *g, int wire, const struct prelude *p, uint64_t deadline, struct vmc_error *err)
{
	uint8_t bytes[PRELUDE_LEN], answer = 0;
	ssize_t n;
	int rc;

	prelude_write(p, bytes);
	if (send(wire, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
		return vmc_fail_errno(err, errno, "cannot write to %s port %u", g->host, g->s.port);
	rc = net_wait(wire, POLLIN, deadline);
	if (rc)
		return vmc_fail(err, rc, "no answer from %s port %u", g->host, g->s.port);
	n = recv(wire, &answer, 1, 0);
	if (n == 1 && answer == PRELUDE_TAKEN)
		return 0;
	vmc_fail(err, VMC_EREFUSED, "%s port %u did not take a connection of this migration", g->host, g->s.port);
	vmc_hint(err, "see what vmcryptd says there: journalctl -u vmcryptd");
	return VMC_EREFUSED;
}

static int join(struct gate *g, enum hv_socket kind, int plain, struct vmc_error *err)
{
	struct prelude p = { .kind = kind, .number = (uint16_t)g->next, .migration = g->s.migration };
	uint64_t deadline = vmc_now_ms() + JOIN_MS;
	int wire = -1, rc;

	if (g->next > VMK_CHANNEL_MAX)
		rc = vmc_fail(err, VMC_EINTERNAL, "a migration has %d connections at most", VMK_CHANNEL_MAX + 1);
	else
		rc = net_connect(g->host, g->s.port, deadline, &wire, err);
	if (!rc) {
		net_set_timers(wire);
		rc = exchange(g, wire, &p, deadline, err);
	}
	if (rc) {
		close(plain);
		if (wire >= 0)
			close(wire);
		return rc;
	}
	g->next++;
	return flow_join(g->s.flow, p.number, wire, plain, err);
}

/* ---- all of them ------------------------------------------------------------ */

static void take(struct gate *g, enum hv_socket kind)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int plain = accept4(g->fd[kind], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (plain < 0 || !join(g, kind, plain, &err))
		return;
	log_warn("a connection of the hypervisor was not passed on: %s", err.text);
	pthread_mutex_lock(&g->lock);
	if (!g->failed.code)
		g->failed = err;
	pthread_mutex_unlock(&g->lock);
}

static void *gate_thread(void *data)
{
	struct gate *g = data;
	struct pollfd p[HV_SOCKETS + 1];

	for (int i = 0; i < HV_SOCKETS; i++)
		p[i] = (struct pollfd){ .fd = g->fd[i], .events = POLLIN };
	p[HV_SOCKETS] = (struct pollfd){ .fd = g->wake, .events = POLLIN };
	for (;;) {
		if (poll(p, HV_SOCKETS + 1, -1) < 0 && errno != EINTR)
			break;
		if (p[HV_SOCKETS].revents)
			break;
		for (int i = 0; i < HV_SOCKETS; i++)
			if (p[i].revents)
				take(g, (enum hv_socket)i);
	}
	return NULL;
}

static int listen_at(struct gate *g, enum hv_socket kind, struct vmc_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot make a socket");
	g->fd[kind] = fd;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", g->s.dir, hv_socket_name(kind));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, BACKLOG))
		return vmc_fail_errno(err, errno, "cannot listen at '%s'", a.sun_path);
	return share(a.sun_path, g->s.uid, "rw-", err);
}

static int start(struct gate *g, struct vmc_error *err)
{
	int e, rc = 0;

	g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->wake < 0)
		return vmc_fail_errno(err, errno, "cannot make an eventfd");
	for (int i = 0; !rc && i < HV_SOCKETS; i++)
		rc = listen_at(g, (enum hv_socket)i, err);
	/* last, and to look only: what is in it was given to that user by path, and is not to be put aside */
	if (!rc)
		rc = share(g->s.dir, g->s.uid, "r-x", err);
	if (rc)
		return rc;
	e = pthread_create(&g->thread, NULL, gate_thread, g);
	g->running = !e;
	return e ? vmc_fail_errno(err, e, "cannot start a thread") : 0;
}

int gate_open(struct gate **out, const struct gate_setup *s, struct vmc_error *err)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	g->s = *s;
	snprintf(g->host, sizeof(g->host), "%s", s->host);
	g->wake = -1;
	for (int i = 0; i < HV_SOCKETS; i++)
		g->fd[i] = -1;
	pthread_mutex_init(&g->lock, NULL);
	rc = start(g, err);
	if (rc)
		gate_close(g);
	else
		*out = g;
	return rc;
}

int gate_failed(struct gate *g, struct vmc_error *err)
{
	int code;

	pthread_mutex_lock(&g->lock);
	code = g->failed.code;
	if (code && err)
		*err = g->failed;
	pthread_mutex_unlock(&g->lock);
	return code;
}

void gate_close(struct gate *g)
{
	uint64_t one = 1;

	if (!g)
		return;
	if (g->running) {
		while (write(g->wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(g->thread, NULL);
	}
	for (int i = 0; i < HV_SOCKETS; i++)
		if (g->fd[i] >= 0)
			close(g->fd[i]);
	if (g->wake >= 0)
		close(g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
