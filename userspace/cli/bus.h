/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon, as the verbs see it: org.vmcrypt1 on the system bus. */
#ifndef VMC_CLI_BUS_H
#define VMC_CLI_BUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cli.h"

#define BUS_NAME	"org.vmcrypt1"
#define BUS_ROOT	"/org/vmcrypt1"
#define IFACE_MANAGER	"org.vmcrypt1.Manager"
#define IFACE_VM	"org.vmcrypt1.VM"
#define IFACE_HOST	"org.vmcrypt1.Host"
#define IFACE_DATASTORES	"org.vmcrypt1.Datastores"
#define IFACE_PROVIDER	"org.vmcrypt1.Provider"
#define IFACE_JOB	"org.vmcrypt1.Job"
#define BUS_JOBS	"/org/vmcrypt1/job"

/*
 * Connect, once: to the system bus, or to what VMCRYPT_BUS says ("session", or
 * an address such as unix:path=...). Every function below does it at need, and
 * fills in c->err when it fails.
 */
int bus_connect(struct cli *c);
void bus_close(struct cli *c);

/* A new call message. The caller appends, then gives it away to bus_send(). */
int bus_message(struct cli *c, sd_bus_message **m, const char *path, const char *iface,
		const char *member);

/*
 * Send @m, wait for the answer while showing the progress of our job, and let
 * go of @m. Without a time limit: the daemon keeps the deadlines. @reply may be
 * NULL.
 */
int bus_call(struct cli *c, sd_bus_message *m, sd_bus_message **reply);

/*
 * The same with @built, what came of putting its parts together: negative, and
 * nothing is sent. bus_send_json(): the first string of the answer, as JSON.
 */
int bus_send(struct cli *c, sd_bus_message *m, int built, sd_bus_message **reply);
int bus_send_json(struct cli *c, sd_bus_message *m, int built, json_t **out);

/* The same in one go; @types and what follows as in sd_bus_message_append(). */
int bus_method(struct cli *c, const char *path, const char *iface, const char *member,
	       const char *types, ...);
/* For methods that answer with one string. JSON from the daemon, or text; the caller frees. */
int bus_json(struct cli *c, json_t **out, const char *path, const char *iface,
	     const char *member, const char *types, ...);
int bus_string(struct cli *c, char **out, const char *path, const char *iface,
	       const char *member, const char *types, ...);
/* The first string of @reply, as JSON. */
int bus_reply_json(struct cli *c, sd_bus_message *reply, json_t **out);

/* Object path of a VM (UUID or name; asks the daemon) or of a provider (does not). Caller frees. */
int bus_vm_path(struct cli *c, const char *vm, char **path);
int bus_provider_path(struct cli *c, const char *name, char **path);
/* The property @name of type "s" of an object; the caller frees. */
int bus_property(struct cli *c, const char *path, const char *iface, const char *name,
		 char **value);

/* The locale in which a service is to answer, or NULL: English. */
const char *bus_locale(void);

/* Parts of an a{sv} argument; each does nothing after an error in @r (sd-bus's, negative). */
void options_begin(sd_bus_message *m, int *r);
void options_string(sd_bus_message *m, int *r, const char *key, const char *value); /* NULL: left out */
void options_u64(sd_bus_message *m, int *r, const char *key, uint64_t value);	    /* 0: left out */
void options_bool(sd_bus_message *m, int *r, const char *key, bool value);	    /* false: left out */
void options_end(sd_bus_message *m, int *r);
/* Append @n strings as "as". */
int append_strings(sd_bus_message *m, const char *const *s, size_t n);

/* c->err from the D-Bus error of a call; returns its code. */
int bus_error(struct cli *c, const sd_bus_error *e);
/* The same from a negative errno of an sd-bus function that was to do @what, which is translated here. */
int bus_fail(struct cli *c, int r, const char *what);

#endif
