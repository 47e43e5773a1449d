// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets: what the paths go over, and the plain paths. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "path.h"

static void enter_fd(int fd)
{
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("cannot enter a network namespace");
	close(fd);
}

static void enter(const char *netns)
{
	char path[PATH_MAX];

	if (!netns)
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	enter_fd(open(path, O_RDONLY | O_CLOEXEC));
}

static int listener(struct sockaddr_in *addr, const struct route *route)
{
	socklen_t len = sizeof(*addr);
	int fd;

	enter(route->netns[RECEIVER]);
	addr->sin_family = AF_INET;
	if (inet_pton(AF_INET, route->address, &addr->sin_addr) != 1)
		die("%s is no address", route->address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		die("cannot listen at %s", route->address);
	return fd;
}

void tcp_pair(int fd[ENDS], const struct route *route)
{
	struct sockaddr_in addr = { 0 };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int lfd = listener(&addr, route), one = 1;

	enter(route->netns[SENDER]);
	fd[SENDER] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd[SENDER] < 0 || connect(fd[SENDER], (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd[SENDER], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("cannot connect to %s", route->address);
	fd[RECEIVER] = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	if (fd[RECEIVER] < 0)
		die("accept");
	close(lfd);
	enter_fd(home);
}

void unix_pair(int fd[ENDS], const struct route *route)
{
	(void)route;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		die("socketpair");
}

ssize_t plain_send(struct end *end, const void *buf, size_t len)
{
	return write(end->fd, buf, len);
}

ssize_t plain_recv(struct end *end, void *buf, size_t len)
{
	return read(end->fd, buf, len);
}

void socket_finish(struct end *end)
{
	shutdown(end->fd, SHUT_WR);
}
