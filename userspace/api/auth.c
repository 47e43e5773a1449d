// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may call what. */
#include "auth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "audit_api.h"
#include "bus_error.h"
#include "call.h"
#include "hints.h"
#include "job_api.h"
#include "model.h"

#define UIDS_MAX	64		/* clients remembered */
#define PENDING_MAX	256		/* messages that wait for polkit */
#define USEC		1000000ull
#define ASK_TIMEOUT	(15 * USEC)	/* polkit alone */
#define PERSON_TIMEOUT	(120 * USEC)	/* polkit, and a person types a password */

/* A message that waits for polkit's answer, or has it and waits to be dispatched again. */
struct pending {
	struct pending *next;
	struct auth *auth;
	sd_bus_message *msg;
	sd_bus_slot *slot;
	const char *action;
	uid_t uid;
	bool granted;
	auth_fn fn;		/* not NULL: the call is on its way, and hears the answer by this */
	void *data;
};

struct auth {
	struct api *api;
	sd_bus_slot *filter;
	struct pending *pending;
	unsigned int n_pending;
	/* A unique name is never given twice while the bus lives, so an entry cannot go stale. */
	struct { char name[32]; uid_t uid; } uids[UIDS_MAX];
	unsigned int next_uid;
};

/* ---- what a call needs ------------------------------------------------ */

struct rule {
	const char *interface, *member, *action;
};

/* What is not in the tables of call.c. */
static const struct rule rules[] = {
	{ "org.freedesktop.DBus.Introspectable", NULL, "" },
	{ "org.freedesktop.DBus.Peer", NULL, "" },
	{ "org.freedesktop.DBus.Properties", NULL, AUTH_ACTION_READ },
	/* the objects of the providers are among them */
	{ "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", AUTH_ACTION_SERVERS },
	{ "org.vmcrypt1.Manager", "SetHints", "" },	/* concerns nobody but the caller */
	{ "org.vmcrypt1.Job", "Cancel", "org.vmcrypt1.cancel-job" },
};

static bool is_provider(const char *path)
{
	static const char prefix[] = API_PATH "/provider/";

	return path && !strncmp(path, prefix, sizeof(prefix) - 1);
}

const char *auth_action(const char *path, const char *interface, const char *member)
{
	const struct method *m;

	if (!interface || !member)
		return NULL;
	if (is_provider(path) && !strcmp(interface, "org.freedesktop.DBus.Properties"))
		return AUTH_ACTION_SERVERS;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (!strcmp(rules[i].interface, interface) &&
		    (!rules[i].member || !strcmp(rules[i].member, member)))
			return rules[i].action;
	m = method_find(interface, member);
	return m ? m->action : NULL;
}

/* ---- who calls -------------------------------------------------------- */

uid_t auth_sender_uid(struct auth *auth, sd_bus_message *m)
{
	const char *sender = sd_bus_message_get_sender(m);
	sd_bus_creds *creds = NULL;
	uid_t uid = (uid_t)-1;

	if (!sender || strlen(sender) >= sizeof(auth->uids[0].name))
		return uid;
	for (unsigned int i = 0; i < UIDS_MAX; i++)
		if (!strcmp(auth->uids[i].name, sender))
			return auth->uids[i].uid;
	if (sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds) < 0 ||
	    sd_bus_creds_get_euid(creds, &uid) < 0)
		uid = (uid_t)-1;
	sd_bus_creds_unref(creds);
	if (uid != (uid_t)-1) {
		snprintf(auth->uids[auth->next_uid].name, sizeof(auth->uids[0].name), "%s", sender);
		auth->uids[auth->next_uid].uid = uid;
		auth->next_uid = (auth->next_uid + 1) % UIDS_MAX;
	}
	return uid;
}

/* ---- polkit ----------------------------------------------------------- */

/* One that is in no list any more. */
static void pending_drop(struct pending *p)
{
	sd_bus_slot_unref(p->slot);
	sd_bus_message_unref(p->msg);
	free(p);
}

static void pending_free(struct pending *p)
{
	struct pending **at = &p->auth->pending;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at) {
		*at = p->next;
		p->auth->n_pending--;
	}
	pending_drop(p);
}

static void tell(struct pending *p, const struct vmc_error *err)
{
	if (p->fn)
		p->fn(p->data, err);
	else if (err)
		bus_error_reply(p->msg, err);
}

/* @why and @hint are translated here. */
static void refuse(struct pending *p, const char *why, const char *hint)
{
	const char *member = sd_bus_message_get_member(p->msg);
	struct vmc_error err = VMC_ERROR_INIT;
	locale_t before;
	char uid[16];

	snprintf(uid, sizeof(uid), "%u", p->uid);
	before = i18n_speak(hints_locale(p->auth->api->hints, sd_bus_message_get_sender(p->msg)));
	vmc_fail(&err, VMC_EPERM, "%s needs the authorisation %s: %s", member, p->action, _(why));
	vmc_hint(&err, "%s", _(hint));
	i18n_restore(before);
	log_event(LOG_NOTICE, VMC_MSG_ACCESS_DENIED, (struct log_field []){
			{ "ACTION", p->action }, { "METHOD", member }, { "CALLER_UID", uid },
			{ "OBJECT", sd_bus_message_get_path(p->msg) }, { "RESULT", "denied" }, { NULL, NULL } },
		  "uid %s may not call %s (%s): %s", uid, member, p->action, why);
	audit_api_denied(p->msg, p->uid, p->action, why);
	tell(p, &err);
}

/* Back to the queue: the filter finds it granted, and the objects get it. True when @p is needed for that. */
static bool grant(struct pending *p)
{
	if (p->fn) {
		p->fn(p->data, NULL);
		return false;
	}
	p->granted = true;
	if (sd_bus_enqueue_for_read(p->auth->api->bus, p->msg) >= 0)
		return true;
	refuse(p, "the call cannot be taken up again", "call it once more");
	return false;
}

static void take_failure(struct pending *p, const sd_bus_error *e)
{
	static const char root[] = N_("call it as root (sudo), or install and start polkit");

	if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
	    sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
	    sd_bus_error_has_name(e, "org.freedesktop.systemd1.UnitMasked"))
		refuse(p, N_("polkit is not there to give it"), root);
	else if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))
		refuse(p, N_("polkit gave no answer in time"), root);
	else
		refuse(p, e->message && *e->message ? e->message : N_("polkit refused to decide"), root);
}

/* True when @p is still needed. */
static bool take_answer(struct pending *p, sd_bus_message *reply)
{
	int authorized = 0, challenge = 0, r;

	r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
	if (r >= 0 && authorized)
		return grant(p);
	if (r >= 0 && challenge)
		refuse(p, N_("it was not proved"),
		       N_("call it as root (sudo), or where a polkit agent can ask for a password (pkttyagent)"));
	else
		refuse(p, N_("polkit says no"),
		       N_("call it as root (sudo), or have a rule in /etc/polkit-1/rules.d grant it (polkit(8))"));
	return false;
}

static int on_answer(sd_bus_message *reply, void *data, sd_bus_error *e)
{
	struct pending *p = data;

	(void)e;
	if (!sd_bus_message_is_method_error(reply, NULL)) {
		if (take_answer(p, reply))
			return 0;
	} else {
		take_failure(p, sd_bus_message_get_error(reply));
	}
	pending_free(p);
	return 0;
}

/* Rules in polkit may look at what is called and for which object. */
static int append_question(sd_bus_message *q, struct pending *p, bool interactive)
{
	int r = sd_bus_message_append(q, "(sa{sv})s", "system-bus-name", 1, "name", "s",
				      sd_bus_message_get_sender(p->msg), p->action);

	/* Details are for root to give; polkit refuses them from others. */
	if (r >= 0 && geteuid() == 0)
		r = sd_bus_message_append(q, "a{ss}", 2, "method", sd_bus_message_get_member(p->msg),
					  "object", sd_bus_message_get_path(p->msg));
	else if (r >= 0)
		r = sd_bus_message_append(q, "a{ss}", 0);
	return r < 0 ? r : sd_bus_message_append(q, "us", (uint32_t)interactive, "");
}

static int ask(struct auth *auth, struct pending *p)
{
	bool interactive = sd_bus_message_get_allow_interactive_authorization(p->msg) > 0;
	sd_bus_message *q = NULL;
	int r;

	r = sd_bus_message_new_method_call(auth->api->bus, &q, "org.freedesktop.PolicyKit1",
					   "/org/freedesktop/PolicyKit1/Authority",
					   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
	if (r >= 0)
		r = append_question(q, p, interactive);
	if (r >= 0)
		r = sd_bus_call_async(auth->api->bus, &p->slot, q, on_answer, p,
				      interactive ? PERSON_TIMEOUT : ASK_TIMEOUT);
	sd_bus_message_unref(q);
	return r;
}

/* ---- the filter ------------------------------------------------------- */

static struct pending *find_granted(struct auth *auth, sd_bus_message *m)
{
	for (struct pending *p = auth->pending; p; p = p->next)
		if (p->granted && p->msg == m)
			return p;
	return NULL;
}

static int pending_new(struct auth *auth, sd_bus_message *m, const char *action, struct pending **ret,
		       struct vmc_error *err)
{
	struct pending *p;

	if (auth->n_pending == PENDING_MAX) {
		vmc_fail(err, VMC_EBUSY, "%u calls wait for polkit already", PENDING_MAX);
		vmc_hint(err, "try again later");
		return VMC_EBUSY;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return vmc_fail(err, VMC_ENOMEM, "no memory to ask polkit");
	p->auth = auth;
	p->msg = sd_bus_message_ref(m);
	p->action = action;
	p->uid = auth_sender_uid(auth, m);
	p->next = auth->pending;
	auth->pending = p;
	auth->n_pending++;
	*ret = p;
	return 0;
}

static void check(struct auth *auth, struct pending *p)
{
	int r = ask(auth, p);

	if (r >= 0)
		return;
	refuse(p, strerror(-r), N_("call it as root (sudo)"));
	pending_free(p);
}

void auth_ask(struct auth *auth, sd_bus_message *m, const char *action, auth_fn fn, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct pending *p;

	if (pending_new(auth, m, action, &p, &err)) {
		fn(data, &err);
		return;
	}
	p->fn = fn;
	p->data = data;
	check(auth, p);
}

bool auth_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* Whoever began a job may end it. */
static bool own_job(struct auth *auth, sd_bus_message *m, uid_t uid)
{
	return sd_bus_message_is_method_call(m, "org.vmcrypt1.Job", "Cancel") &&
	       bus_job_uid(auth->api, sd_bus_message_get_path(m)) == uid;
}

/* Returns 1 when the message is dealt with, 0 to let the objects have it. */
static int on_message(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct auth *auth = data;
	struct vmc_error err = VMC_ERROR_INIT;
	const char *action;
	struct pending *p;
	uint8_t type;
	uid_t uid;

	(void)e;
	if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
		return 0;
	p = find_granted(auth, m);
	if (p) {
		pending_free(p);
		return 0;
	}
	action = auth_action(sd_bus_message_get_path(m), sd_bus_message_get_interface(m),
			     sd_bus_message_get_member(m));
	if (action && !*action)
		return 0;
	uid = auth_sender_uid(auth, m);
	if (uid == (uid_t)-1)
		return 1;	/* gone: nobody to answer */
	if (!action) {
		vmc_fail(&err, VMC_ENOENT, "there is no method %s.%s", sd_bus_message_get_interface(m) ?: "?",
			 sd_bus_message_get_member(m) ?: "?");
		vmc_hint(&err, "see busctl introspect %s %s", API_NAME, sd_bus_message_get_path(m));
		bus_error_reply(m, &err);
		return 1;
	}
	if (auth_trusted(uid) || own_job(auth, m, uid))
		return 0;
	if (pending_new(auth, m, action, &p, &err))
		bus_error_reply(m, &err);
	else
		check(auth, p);
	return 1;
}

int auth_new(struct auth **ret, struct api *a, struct vmc_error *err)
{
	struct auth *auth = calloc(1, sizeof(*auth));
	int r;

	if (!auth)
		return vmc_fail(err, VMC_ENOMEM, "no memory for authorisation");
	auth->api = a;
	r = sd_bus_add_filter(a->bus, &auth->filter, on_message, auth);
	if (r < 0) {
		free(auth);
		return vmc_fail_errno(err, -r, "cannot guard the bus objects");
	}
	*ret = auth;
	return 0;
}

void auth_free(struct auth *auth)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct pending *p;

	if (!auth)
		return;
	vmc_fail(&err, VMC_ECANCELED, "vmcryptd stopped before polkit answered");
	vmc_hint(&err, "try again when it is back");
	while ((p = auth->pending)) {
		auth->pending = p->next;
		tell(p, &err);
		pending_drop(p);
	}
	sd_bus_slot_unref(auth->filter);
	free(auth);
}
