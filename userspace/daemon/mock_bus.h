/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests: a private bus, vmcryptd on it in a child process (with the mocks
 * of this folder below it), clients, and a stand-in for polkit. What goes
 * wrong here fails the test that called it.
 */
#ifndef VMC_DAEMON_MOCK_BUS_H
#define VMC_DAEMON_MOCK_BUS_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

struct host {
	char *dir;			/* config, state and runtime folders are below it */
	char address[128];
	pid_t bus, daemon, polkit;
	int notify;			/* what the daemon tells systemd */
	sd_bus *client;			/* root, or whoever runs the test */
};

#define HOST_TIMEOUT_US 20000000ull	/* for anything that a test waits for */

int host_setup(void **state);		/* bus, and the folders */
int host_teardown(void **state);	/* ends what is left */

/* Starts vmcryptd and waits for READY=1. */
void host_start(struct host *h);
/* Starts it, and returns its exit status: it must not get ready. */
int host_start_fails(struct host *h);
/* Waits for a message to systemd that has @what in it. */
void host_wait_notify(struct host *h, const char *what);
/* SIGTERM, unless it is dead already; returns the exit status. */
int host_stop(struct host *h);
int host_wait_exit(struct host *h);

void host_log_contains(struct host *h, const char *text);
void host_touch(struct host *h, const char *name, const char *text);	/* a file in its folder */
void host_remove(struct host *h, const char *name);

/* A connection of its own; as nobody (needs root) with @nobody. */
sd_bus *host_connect(struct host *h, bool nobody);
/* Dispatches @bus until *@flag; or for @usec when @flag is NULL. */
void bus_wait(sd_bus *bus, const bool *flag, uint64_t usec);

/* Calls Manager or a path of a VM; NULL @error: must succeed, otherwise must fail with org.vmcrypt1.Error.@error
 * and returns NULL. */
#define MANAGER "/org/vmcrypt1", "org.vmcrypt1.Manager"
sd_bus_message *bus_call(sd_bus *bus, const char *error, const char *path, const char *interface,
			 const char *member, const char *types, ...);
/* The text of the last error that bus_call() expected. */
extern char bus_error_text[2048];

/* Makes a VM; the result is its object path, to be freed. */
char *make_vm(sd_bus *bus, const char *name);

/*
 * Owns polkit's name on the bus; grants .read, .power and what the file "grants" of the host's folder holds, has
 * .encrypt wait for a password, refuses all else.
 */
void polkit_start(struct host *h);

#endif
