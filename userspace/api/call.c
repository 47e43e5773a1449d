// SPDX-License-Identifier: GPL-2.0-or-later
/* A method call from its message to its answer. */
#include "call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../keys/fetch.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "auth.h"
#include "audit_api.h"
#include "bus_error.h"
#include "datastore_api.h"
#include "event_api.h"
#include "hints.h"
#include "gate.h"
#include "host_api.h"
#include "job_api.h"
#include "manager_api.h"
#include "model.h"
#include "provider_api.h"
#include "vm_api.h"

#define HELD_MAX	256	/* calls that wait for the backend to change */
#define LIST_MAX	100000	/* VMs named in one call */

const struct interface *const interfaces[] = {
	&manager_interface, &vm_interface, &provider_interface, &host_interface,
	&datastore_interface, NULL,
};

const struct method *method_find(const char *interface, const char *member)
{
	for (const struct interface *const *i = interfaces; *i; i++) {
		if (strcmp((*i)->name, interface))
			continue;
		for (const struct method *m = (*i)->methods; m->member; m++)
			if (!strcmp(m->member, member))
				return m;
	}
	return NULL;
}

int call_answer_json(struct call *c, json_t *json, struct vmc_error *err)
{
	message_localize(json);
	c->text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(json);
	return c->text ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
}

json_t *call_parse_object(const char *text, const char *what, struct vmc_error *err)
{
	json_error_t je;
	json_t *o;

	o = json_loads(*text ? text : "{}", JSON_REJECT_DUPLICATES, &je);
	if (json_is_object(o))
		return o;
	if (o)
		vmc_fail(err, VMC_EINVAL, "%s must be a JSON object", message_say(what));
	else
		vmc_fail(err, VMC_EINVAL, "%s is not JSON: %s at byte %d", message_say(what), je.text, je.position);
	json_decref(o);
	return NULL;
}

static void call_free(struct call *c)
{
	if (!c)
		return;
	if (c->job)
		bus_job_end(c->job);
	for (size_t i = 0; c->list && i < c->n_list; i++)
		free(c->list[i]);
	free(c->list);
	if (c->fd >= 0)
		close(c->fd);
	if (c->fd2 >= 0)
		close(c->fd2);
	json_decref(c->noted);
	free(c->lacks);
	free(c->key);
	free(c->resume);
	free(c->text);
	sd_bus_message_unref(c->msg);
	free(c);
}

/* ---- answering, in the loop ------------------------------------------- */

static int append_answer(struct call *c, sd_bus_message *r)
{
	struct provider_object *p;
	char path[64];

	model_vm_path(c->vm, path);
	switch (c->method->answer) {
	case 's':
		return sd_bus_message_append(r, "s", c->text);
	case 'i':
		return sd_bus_message_append(r, "so", c->vm, path);
	case 'o':
		return sd_bus_message_append(r, "o", path);
	case 'p':
		p = model_find_provider(c->api->model, c->s[1]);
		return p ? sd_bus_message_append(r, "o", p->path) : -ENOENT;
	default:
		return 0;
	}
}

static int send_answer(struct call *c)
{
	sd_bus_message *r = NULL;
	int rc;

	rc = sd_bus_message_new_method_return(c->msg, &r);
	if (rc >= 0)
		rc = append_answer(c, r);
	if (rc >= 0)
		rc = sd_bus_send(c->api->bus, r, NULL);
	sd_bus_message_unref(r);
	return rc;
}

/* A client must never wait for an answer that does not come. */
static void answer(struct call *c)
{
	int r;

	if (!c->msg)
		return;
	if (!c->rc) {
		r = send_answer(c);
		if (r >= 0)
			return;
		c->rc = vmc_fail_errno(&c->err, -r, "%s is done, but its answer cannot be sent",
				       c->method->member);
	}
	r = bus_error_reply(c->msg, &c->err);
	if (r < 0)
		log_err("cannot answer %s: %s", c->method->member, strerror(-r));
}

/* To the caller, in the caller's language. */
static void fail_stopped(struct call *c)
{
	locale_t before = i18n_speak(c->locale);

	c->rc = vmc_fail(&c->err, VMC_ECANCELED, "vmcryptd stopped before %s began", c->method->member);
	vmc_hint(&c->err, "try again when it is back");
	i18n_restore(before);
}

static void call_done(struct pool_task *t, bool ran)
{
	struct call *c = (struct call *)t;
	struct api *a = c->api;

	if (!ran)
		fail_stopped(c);
	if (c->job)
		event_job_ended(a, c);
	answer(c);
	a->long_users -= !!c->job;
	a->users--;
	if (c->poke && a->poke)
		a->poke(a, a->hook_data);
	call_free(c);
	if (a->ended)
		a->ended(a, a->hook_data);
}

/* ---- working, in a worker --------------------------------------------- */

static void look(struct call *c, struct backend *b)
{
	switch (c->method->look) {
	case LOOK_NOT:
		break;
	case LOOK_VM:
		if (c->vm[0])
			model_look_vm(c->api->model, b, c->vm);
		break;
	case LOOK_ALL_VMS:
		model_look_vm(c->api->model, b, NULL);
		break;
	case LOOK_PROVIDERS:
		model_look_providers(c->api->model, b);
		break;
	}
}

static void call_run(struct pool_task *t)
{
	struct call *c = (struct call *)t;
	struct backend *b = c->api->backend;	/* stays: the call counts as a user */
	locale_t before = i18n_speak(c->locale);

	audit_api_begin(c);
	fetch_forbid(c->gate == GATE_SHUT);
	if (progress_canceled(c->progress))
		c->rc = vmc_fail(&c->err, VMC_ECANCELED, "%s was canceled before it began",
				 c->method->member);
	else
		c->rc = c->method->run(c, b, &c->err);
	fetch_forbid(false);
	if (c->rc) {	/* whoever failed may have left the code out of err */
		c->err.code = c->rc;
		if (!c->err.text[0])
			vmc_fail(&c->err, c->rc, "%s failed", c->method->member);
	}
	audit_api_end(c);
	i18n_restore(before);
	/* Also after a failure: something may have changed all the same. The
	 * client sees the new state when it has the answer. */
	look(c, b);
}

/* ---- starting, in the loop -------------------------------------------- */

static int start(struct call *c, struct vmc_error *err)
{
	int rc;

	if (c->gate == GATE_LOOK)
		return gate_look(c, err);
	c->task.run = call_run;
	c->task.done = call_done;
	rc = pool_submit(c->api->pools[c->method->pool], &c->task, err);
	if (rc)
		return rc;
	c->api->users++;
	c->api->long_users += !!c->job;
	return 0;
}

static int hold(struct call *c, struct vmc_error *err)
{
	struct api *a = c->api;

	if (a->n_held == HELD_MAX)
		return vmc_fail(err, VMC_EBUSY, "vmcryptd is not ready, and %u calls wait for it", HELD_MAX);
	c->next = NULL;
	*a->held_last = c;
	a->held_last = &c->next;
	a->n_held++;
	return 0;
}

static int submit(struct call *c, struct vmc_error *err)
{
	struct api *a = c->api;
	int rc;

	if (a->stopping) {
		rc = vmc_fail(err, VMC_ECANCELED, "vmcryptd is stopping");
		vmc_hint(err, "try again when it is back");
		return rc;
	}
	if (c->method->note)
		c->method->note(c);
	if (c->method->fetches && c->msg && !auth_trusted(c->uid))
		c->gate = GATE_LOOK;
	if (c->method->job) {
		rc = bus_job_begin(c, &c->job, err);
		if (rc)
			return rc;
		c->progress = bus_job_progress(c->job);
	}
	if (a->hold || !a->backend)
		return hold(c, err);
	return start(c, err);
}

static struct call *unhold(struct api *a)
{
	struct call *c = a->held;

	if (!c)
		return NULL;
	a->held = c->next;
	if (!a->held)
		a->held_last = &a->held;
	a->n_held--;
	return c;
}

void call_refuse(struct call *c)
{
	c->rc = c->err.code;
	answer(c);
	call_free(c);
}

void call_go(struct call *c)
{
	struct api *a = c->api;

	if (a->stopping) {
		vmc_fail(&c->err, VMC_ECANCELED, "vmcryptd stopped before %s began", c->method->member);
		vmc_hint(&c->err, "try again when it is back");
		call_refuse(c);
	} else if (a->hold || !a->backend ? hold(c, &c->err) : start(c, &c->err)) {
		call_refuse(c);
	}
}

void call_release_held(struct api *a)
{
	struct call *c;

	while (!a->hold && a->backend && (c = unhold(a)))
		if (start(c, &c->err))
			call_refuse(c);
}

void call_refuse_held(struct api *a)
{
	struct call *c;

	while ((c = unhold(a))) {
		vmc_fail(&c->err, VMC_ECANCELED, "vmcryptd stopped before %s began", c->method->member);
		vmc_hint(&c->err, "try again when it is back");
		call_refuse(c);
	}
}

/* ---- arguments -------------------------------------------------------- */

static int read_list(struct call *c, sd_bus_message *m)
{
	int r = sd_bus_message_read_strv(m, &c->list);

	for (c->n_list = 0; r >= 0 && c->list && c->list[c->n_list]; c->n_list++)
		;
	return r;
}

static int read_fd(struct call *c, sd_bus_message *m)
{
	int fd, *to = c->fd < 0 ? &c->fd : &c->fd2, r = sd_bus_message_read_basic(m, 'h', &fd);

	if (r < 0)
		return r;
	*to = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *to < 0 ? -errno : 0;
}

/* By the message's own signature, which sd-bus has compared with the vtable's. */
static int read_arguments(struct call *c, sd_bus_message *m, struct vmc_error *err)
{
	const char *type, *contents;
	unsigned int n = 0;
	char t;
	int r;

	while ((r = sd_bus_message_peek_type(m, &t, &contents)) > 0) {
		type = contents ? contents : "";
		if (t == 'a' && !strcmp(type, "{sv}")) {
			r = options_parse(m, c->method->options, &c->o, err);
			if (r)
				return r;
		} else if (t == 'a') {
			r = read_list(c, m);
		} else if (t == 'h') {
			r = read_fd(c, m);
		} else if (t == 'u') {
			r = sd_bus_message_read_basic(m, 'u', &c->u);
		} else if (t == 'b') {
			r = sd_bus_message_read_basic(m, 'b', &c->b);
		} else {
			r = n < ARRAY_SIZE(c->s) ? sd_bus_message_read_basic(m, 's', &c->s[n++]) : -E2BIG;
		}
		if (r < 0)
			break;
	}
	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot read the arguments of %s", c->method->member);
	if (c->n_list > LIST_MAX)
		return vmc_fail(err, VMC_EINVAL, "%s names %zu VMs, it takes at most %d",
				c->method->member, c->n_list, LIST_MAX);
	return 0;
}

static int make_call(struct api *a, const struct method *method, const char *key, struct call **ret,
		     struct vmc_error *err)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a call of %s", method->member);
	c->api = a;
	c->method = method;
	c->fd = c->fd2 = -1;
	c->uid = (uid_t)-1;
	c->key = key ? strdup(key) : NULL;
	if (key && !c->key) {
		call_free(c);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a call of %s", method->member);
	}
	/* A VM's key is its UUID; a provider's name that looks like one does no harm. */
	if (key && strlen(key) == VMC_UUID_STR - 1)
		memcpy(c->vm, key, VMC_UUID_STR);
	*ret = c;
	return 0;
}

static int dispatch(struct object *o, sd_bus_message *m, locale_t locale, sd_bus_error *e)
{
	struct vmc_error err = VMC_ERROR_INIT;
	const struct method *method;
	struct call *c = NULL;
	int rc;

	method = method_find(sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
	if (!method)	/* in a vtable, but not in a table: as if it were in neither */
		return sd_bus_error_setf(e, SD_BUS_ERROR_UNKNOWN_METHOD, "Unknown method '%s'",
					 sd_bus_message_get_member(m));
	rc = make_call(o->api, method, o->key, &c, &err);
	if (rc)
		goto fail;
	c->msg = sd_bus_message_ref(m);
	audit_api_note_caller(c, m);
	c->locale = locale;
	c->uid = auth_sender_uid(o->api->auth, m);
	rc = read_arguments(c, m, &err);
	if (!rc)
		rc = submit(c, &err);
	if (!rc)
		return 1;	/* the answer follows */
fail:
	call_free(c);
	return bus_error_set(e, &err);
}

int call_dispatch(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	struct object *o = userdata;
	locale_t locale = hints_locale(o->api->hints, sd_bus_message_get_sender(m)), before = i18n_speak(locale);
	int r = dispatch(o, m, locale, e);

	i18n_restore(before);
	return r;
}

static int run_resume(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_job_resume(b->m, c->resume, c->progress, err);
}

int call_resume(struct api *a, const char *id, const char *kind, const char *vm, struct vmc_error *err)
{
	static const struct method resume = {
		.member = "Resume", .pool = POOL_COPY, .job = "resume", .look = LOOK_ALL_VMS, .run = run_resume,
	};
	struct call *c;
	int rc;

	rc = make_call(a, &resume, vm, &c, err);
	if (rc)
		return rc;
	c->s[0] = kind;		/* read by bus_job_begin() only */
	c->resume = strdup(id);
	rc = c->resume ? submit(c, err) : vmc_fail(err, VMC_ENOMEM, "no memory for job '%s'", id);
	if (rc)
		call_free(c);
	else
		c->s[0] = NULL;
	return rc;
}
