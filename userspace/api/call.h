/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A method call from its message to its answer: arguments are read in the
 * loop, run() works in a worker, the answer is sent from the loop. One table
 * per interface says for each method what it needs; authorisation (auth.c)
 * reads the same tables, so that no method is without.
 */
#ifndef VMC_API_CALL_H
#define VMC_API_CALL_H

#include <jansson.h>
#include <locale.h>

#include "../audit/audit.h"
#include "../lib/util.h"
#include "api.h"
#include "options.h"

enum call_look {
	LOOK_NOT,
	LOOK_VM,		/* at call.vm, when the call is done */
	LOOK_ALL_VMS,
	LOOK_PROVIDERS,
};

/* May keys be fetched for the caller? See gate.h. */
enum call_gate {
	GATE_NONE,		/* yes, or there is nothing to fetch */
	GATE_LOOK,		/* first see what the VM lacks */
	GATE_SHUT,		/* no: it lacks nothing */
};

struct call {
	struct pool_task task;		/* first */
	struct call *next;		/* in api.held */
	struct api *api;
	const struct method *method;
	sd_bus_message *msg;		/* NULL: the daemon's own */
	locale_t locale;		/* the caller's; 0: English */
	struct job *job;		/* NULL: too short for one */
	struct progress *progress;	/* the job's */
	/* in; strings point into the message */
	char vm[VMC_UUID_STR];		/* of the object, or set by run() */
	char *key;			/* the object's: UUID or provider name; a copy */
	const char *s[3];		/* string arguments in their order */
	char **list;			/* "as" */
	size_t n_list;
	uint32_t u;
	int b;				/* "b" */
	uid_t uid;			/* of the caller; the daemon's own calls: (uid_t)-1 */
	int fd, fd2;			/* first and second "h", duplicates; -1 none */
	struct call_options o;
	enum call_gate gate;
	char *lacks;			/* the gate's: what is missing, in words */
	struct audit_actor caller;	/* for the audit log */
	bool has_caller;
	json_t *noted;			/* by method.note */
	char *resume;			/* id of the pending job to go on with */
	/* out */
	bool poke;			/* providers or keys are not as they were: have them checked soon */
	char *text;			/* JSON, or a device */
	int rc;
	struct vmc_error err;
};

struct method {
	const char *member;
	const char *action;		/* polkit's */
	enum api_pool pool;
	const char *job;		/* operation that its Job object shows; NULL: it has none */
	const struct option_spec *options;	/* of the a{sv}, if there is one */
	enum call_look look;
	/* In a worker. */
	int (*run)(struct call *c, struct backend *b, struct vmc_error *err);
	/* 's' text, 'i' the VM's id and object, 'o' its object, 'p' the provider's object (s[1]); 0 nothing */
	char answer;
	void (*note)(struct call *c);	/* in the loop, when the call comes in; may be NULL */
	bool ends_at_stop;		/* in POOL_COPY, but cannot go on at the next start: it ends when vmcryptd does */
	bool fetches;			/* keys the VM lacks: for callers who may register VMs only, see gate.h */
};

/* A row of a table. What may follow the answer: .note = ..., .fetches = true */
#define METHOD(member_, action_, pool_, job_, options_, look_, run_, answer_, ...) {		\
	.member = (member_), .action = "org.vmcrypt1." action_, .pool = (pool_), .job = (job_),	\
	.options = (options_), .look = (look_), .run = (run_), .answer = (answer_), __VA_ARGS__ }

struct interface {
	const char *name;
	const struct method *methods;	/* ends at a NULL member */
};

/* The interfaces whose methods go this way; ends at NULL. Job.Cancel does not, see job.h. */
extern const struct interface *const interfaces[];
const struct method *method_find(const char *interface, const char *member);

/* The handler of all those methods in all vtables; @userdata is a struct object. */
int call_dispatch(sd_bus_message *m, void *userdata, sd_bus_error *e);

/* The daemon's own: go on with a job that a kill left behind. */
int call_resume(struct api *a, const char *id, const char *kind, const char *vm, struct vmc_error *err);

/* For gate.c: on to the pool, or to wait for the backend; and the end of a call that does not get there. */
void call_go(struct call *c);
void call_refuse(struct call *c);

/* For api.c: the held calls go to their pools, or are refused because the daemon stops. */
void call_release_held(struct api *a);
void call_refuse_held(struct api *a);

/* For run(): see call.poke. */
static inline void call_poke(struct call *c)
{
	c->poke = true;
}
/* For run(): the answer's text is @json, which is consumed. */
int call_answer_json(struct call *c, json_t *json, struct vmc_error *err);
/* JSON from an argument called @what: one object, no member twice. NULL and @err filled in otherwise. */
json_t *call_parse_object(const char *text, const char *what, struct vmc_error *err);

#endif
