/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus objects of vmcryptd. All of this belongs to the loop thread, except
 * what says otherwise: sd-bus is not thread-safe. Workers only call the
 * backend, and hand what they made to the loop through the mailbox.
 */
#ifndef VMC_API_API_H
#define VMC_API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "../daemon/backend.h"
#include "../daemon/mailbox.h"
#include "../daemon/pool.h"

#define API_PATH	"/org/vmcrypt1"
#define API_NAME	"org.vmcrypt1"

/* Reads must not wait behind actions, nor actions behind copies that take hours. */
enum api_pool { POOL_READ, POOL_ACT, POOL_COPY, POOL_N };

/* First member of what a vtable gets as its userdata. */
struct object {
	struct api *api;
	char *key;		/* UUID of a VM, name of a provider; NULL: the manager */
};

struct api {
	struct object self;	/* the manager object */
	sd_event *event;
	sd_bus *bus;
	struct mailbox *box;
	struct pool *pools[POOL_N];
	struct model *model;
	struct auth *auth;
	struct jobs *jobs;
	struct events *events;
	struct hints *hints;

	/* What the last check of providers and keys saw, with its "time" and "ms"; NULL when there was none. */
	json_t *health;

	struct backend *backend;	/* NULL until it is open, and while it changes */
	unsigned int users;		/* calls that use it, */
	unsigned int long_users;	/* and those of them that have a Job object */
	bool hold;			/* the backend is about to change: keep new calls back */
	bool stopping;			/* refuse new calls */
	struct call *held, **held_last;	/* bounded, see call.c */
	unsigned int n_held;
	/* The daemon is told when a call is done, and when a resumed job failed. */
	void (*ended)(struct api *a, void *data);
	void (*resume_failed)(struct api *a, const struct vmc_error *err, void *data);
	/* An alarm was "raised", "cleared" or "acknowledged"; @alarm is the object as text. */
	void (*alarm)(struct api *a, const char *state, const char *alarm, void *data);
	/* Providers or keys are not as they were. */
	void (*poke)(struct api *a, void *data);
	void *hook_data;
};

/* Objects on @bus, which is not yet dispatched. What fails is undone by api_stop(). */
int api_start(struct api *a, sd_event *event, sd_bus *bus, unsigned int workers, struct vmc_error *err);
void api_stop(struct api *a);

/* All pools closed, held calls refused; jobs other than copies are canceled. */
void api_quiesce(struct api *a);
bool api_idle(const struct api *a);		/* no call is in a pool */

/* The backend is open: let the calls go that wait for it. */
void api_attach(struct api *a, struct backend *b);
struct backend *api_detach(struct api *a);

#endif
