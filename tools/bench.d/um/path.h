/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data paths that a bench compares: how two processes get a stream of bytes from
 * one to the other. A path that fails ends the process, with a message.
 */
#ifndef PATH_H
#define PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { RECEIVER, SENDER, ENDS };

/* Where the connection goes: an address, and network namespaces or NULL. */
struct route {
	const char *address;
	const char *netns[ENDS];
};

/* One end of a stream, in a process of its own once it has started. */
struct end {
	int fd;
	int side;
	void *session;
};

struct path {
	const char *name;
	/* Before there are processes: descriptors for both ends. */
	void (*pair)(int fd[ENDS], const struct route *route);
	/* In the process of an end; handshakes. May be NULL. */
	void (*start)(struct end *end);
	/* As write(2) and read(2). */
	ssize_t (*send)(struct end *end, const void *buf, size_t len);
	ssize_t (*recv)(struct end *end, void *buf, size_t len);
	/* The sender has no more. */
	void (*finish)(struct end *end);
};

extern const struct path tls_paths[], channel_paths[];

/* Forgets the migration, if there is one. */
void channels_end(void);

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void tcp_pair(int fd[ENDS], const struct route *route);
void unix_pair(int fd[ENDS], const struct route *route);
ssize_t plain_send(struct end *end, const void *buf, size_t len);
ssize_t plain_recv(struct end *end, void *buf, size_t len);
void socket_finish(struct end *end);

#endif /* PATH_H */
