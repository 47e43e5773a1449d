// SPDX-License-Identifier: GPL-2.0-or-later
/* The D-Bus face of an authority. See bus.h. */
#include "bus.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "../../api/bus_error.h"
#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/util.h"

#define PENDING_MAX	32u
#define ASK_USEC	(120ull * 1000000)	/* polkit, and a person types a password */
#define PARAMS_MAX	(8u << 20)

struct trust_bus {
	struct trust_admin *admin;
	pthread_t thread;
	int stop;			/* eventfd */
	sd_event *event;
	sd_bus *bus;
	unsigned int pending;
};

/* A call that waits for polkit. */
struct asked {
	struct trust_bus *b;
	sd_bus_message *m;
	const char *action;
};

/* ---- one call -------------------------------------------------------------------------- */

struct request {
	const char *verb, *params, *locale;
	struct trust_files files;	/* owned by the message */
};

/* Options of no meaning here are passed over. */
static int read_option(sd_bus_message *m, struct request *q)
{
	const struct { const char *name, *type; void *to; } known[] = {
		{ "locale", "s", &q->locale }, { "password", "h", &q->files.password },
		{ "key", "h", &q->files.key }, { "data", "h", &q->files.data },
	};
	const char *name;
	int r = sd_bus_message_read(m, "s", &name);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].name))
			return sd_bus_message_read(m, "v", known[i].type, known[i].to);
	return r < 0 ? r : sd_bus_message_skip(m, "v");
}

static int read_options(sd_bus_message *m, struct request *q)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_option(m, q);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int read_request(sd_bus_message *m, struct request *q, struct vmc_error *err)
{
	int r;

	*q = (struct request){ .files = { -1, -1, -1 } };
	r = sd_bus_message_rewind(m, true);
	if (r >= 0)
		r = sd_bus_message_read(m, "ss", &q->verb, &q->params);
	if (r >= 0)
		r = read_options(m, q);
	if (r < 0)
		return vmc_fail_errno(err, -r, "the call cannot be read");
	if (strlen(q->params) > PARAMS_MAX)
		return vmc_fail(err, VMC_EINVAL, "the parameters of '%.40s' are longer than %u bytes", q->verb, PARAMS_MAX);
	return 0;
}

static int reply_json(sd_bus_message *m, const json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT);
	int r = text ? sd_bus_reply_method_return(m, "s", text) : -ENOMEM;

	free(text);
	return r;
}

static int run(struct trust_bus *b, sd_bus_message *m, const struct request *q)
{
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *params = json_loads(q->params, JSON_REJECT_DUPLICATES, NULL), *result = NULL;
	locale_t before = i18n_speak(q->locale ? i18n_locale(q->locale) : (locale_t)0);
	int rc;

	if (params)
		rc = trust_admin_local(b->admin, TRUST_ROLE_ADMIN, q->verb, params, &q->files, &result, &err);
	else
		rc = vmc_fail(&err, VMC_EINVAL, "the parameters of '%.40s' are not JSON", q->verb);
	json_decref(params);
	i18n_restore(before);
	rc = rc ? bus_error_reply(m, &err) : reply_json(m, result);
	json_decref(result);
	return rc;
}

/* ---- who may --------------------------------------------------------------------------- */

static int refuse(sd_bus_message *m, const char *action, const char *why)
{
	struct vmc_error err = VMC_ERROR_INIT;

	vmc_fail(&err, VMC_EPERM, "the call needs the authorisation %s: %s", action, why);
	vmc_hint(&err, "call it as root (sudo), or have a rule in /etc/polkit-1/rules.d grant it (polkit(8))");
	log_info("%s is refused to %s: %s", action, sd_bus_message_get_sender(m), why);
	return bus_error_reply(m, &err);
}

static void asked_free(struct asked *a)
{
	a->b->pending--;
	sd_bus_message_unref(a->m);
	free(a);
}

static int on_answer(sd_bus_message *reply, void *data, sd_bus_error *e)
{
	struct asked *a = data;
	struct vmc_error err = VMC_ERROR_INIT;
	struct request q;
	int yes = 0, r;

	(void)e;
	r = sd_bus_message_is_method_error(reply, NULL) ? -EPERM : sd_bus_message_enter_container(reply, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(reply, "b", &yes);
	if (r < 0 || !yes)
		r = refuse(a->m, a->action, r < 0 ? "polkit cannot be asked" : "polkit says no");
	else if (read_request(a->m, &q, &err))
		r = bus_error_reply(a->m, &err);
	else
		r = run(a->b, a->m, &q);
	asked_free(a);
	return r < 0 ? r : 1;
}

static int question(struct trust_bus *b, sd_bus_message *m, const char *action, sd_bus_message **q)
{
	bool person = sd_bus_message_get_allow_interactive_authorization(m) > 0;
	int r = sd_bus_message_new_method_call(b->bus, q, "org.freedesktop.PolicyKit1",
					       "/org/freedesktop/PolicyKit1/Authority",
					       "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");

	if (r >= 0)
		r = sd_bus_message_append(*q, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(m), action, 0, (uint32_t)person, "");
	return r;
}

static int ask(struct trust_bus *b, sd_bus_message *m, const char *action)
{
	struct asked *a = b->pending < PENDING_MAX ? calloc(1, sizeof(*a)) : NULL;
	sd_bus_message *q = NULL;
	int r;

	if (!a)
		return refuse(m, action, "too many calls wait for polkit already");
	*a = (struct asked){ b, sd_bus_message_ref(m), action };
	b->pending++;
	r = question(b, m, action, &q);
	if (r >= 0)
		r = sd_bus_call_async(b->bus, NULL, q, on_answer, a, ASK_USEC);
	sd_bus_message_unref(q);
	if (r >= 0)
		return 1;
	r = refuse(m, action, strerror(-r));
	asked_free(a);
	return r;
}

static bool is_trusted(sd_bus_message *m)
{
	sd_bus_creds *creds = NULL;
	uid_t uid = (uid_t)-1;
	bool ok = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds) >= 0 &&
		  sd_bus_creds_get_euid(creds, &uid) >= 0 && (uid == 0 || uid == geteuid());

	sd_bus_creds_unref(creds);
	return ok;
}

static int on_call(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct trust_bus *b = data;
	struct vmc_error err = VMC_ERROR_INIT;
	enum trust_role role;
	struct request q;

	(void)e;
	if (read_request(m, &q, &err))
		return bus_error_reply(m, &err);
	if (is_trusted(m))
		return run(b, m, &q);
	if (trust_admin_role(q.verb, &role)) {
		vmc_fail(&err, VMC_ENOENT, "there is no verb '%.40s'", q.verb);
		return bus_error_reply(m, &err);
	}
	return ask(b, m, role == TRUST_ROLE_AUDITOR ? TRUST_BUS_AUDIT : TRUST_BUS_ADMIN);
}

/* ---- the thread ------------------------------------------------------------------------- */

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Call", SD_BUS_ARGS("s", verb, "s", params, "a{sv}", options),
				SD_BUS_RESULT("s", result), on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int open_bus(sd_bus **bus)
{
	const char *which = secure_getenv("VMCRYPT_BUS");
	int r;

	if (!which || !*which)
		return sd_bus_open_system(bus);
	if (!strcmp(which, "session"))
		return sd_bus_open_user(bus);
	r = sd_bus_new(bus);
	if (r >= 0)
		r = sd_bus_set_address(*bus, which);
	if (r >= 0)
		r = sd_bus_set_bus_client(*bus, true);
	return r >= 0 ? sd_bus_start(*bus) : r;
}

static int on_stop(sd_event_source *s, int fd, uint32_t revents, void *data)
{
	(void)fd, (void)revents, (void)data;
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int on_disconnected(sd_bus_message *m, void *data, sd_bus_error *e)
{
	(void)m, (void)data, (void)e;
	log_err("the connection to the bus is lost: 'vmcrypt trust' works again when this service was restarted");
	return 0;
}

static int set_up(struct trust_bus *b)
{
	int r = sd_event_new(&b->event);

	if (r >= 0)
		r = open_bus(&b->bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(b->bus, NULL, TRUST_BUS_PATH, TRUST_BUS_NAME, vtable, b);
	if (r >= 0)
		r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local", NULL,
					      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, NULL);
	if (r >= 0)
		r = sd_bus_request_name(b->bus, TRUST_BUS_NAME, 0);
	if (r >= 0)
		r = sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = sd_event_add_io(b->event, NULL, b->stop, EPOLLIN, on_stop, b);
	return r;
}

static void *loop(void *data)
{
	struct trust_bus *b = data;
	int r = sd_event_loop(b->event);

	if (r < 0)
		log_err("the thread of the bus ended: %s", strerror(-r));
	return NULL;
}

static int start_thread(struct trust_bus *b)
{
	sigset_t all, before;
	int r;

	/* signals are for the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&b->thread, NULL, loop, b);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void bus_free(struct trust_bus *b)
{
	if (b->bus)
		sd_bus_flush_close_unref(b->bus);
	sd_event_unref(b->event);
	if (b->stop >= 0)
		close(b->stop);
	free(b);
}

int trust_bus_start(struct trust_bus **ret, struct trust_admin *a, struct vmc_error *err)
{
	struct trust_bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the bus");
	b->admin = a;
	b->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = b->stop < 0 ? -errno : set_up(b);
	if (r >= 0)
		r = start_thread(b);
	if (r < 0) {
		bus_free(b);
		vmc_fail_errno(err, -r, "cannot be %s on the bus", TRUST_BUS_NAME);
		vmc_hint(err, "is dbus running, is /usr/share/dbus-1/system.d/org.vmcrypt1.conf installed, and no other vmcrypt-attestd running?");
		return err ? err->code : VMC_EIO;
	}
	*ret = b;
	return 0;
}

void trust_bus_stop(struct trust_bus *b)
{
	if (!b)
		return;
	if (eventfd_write(b->stop, 1))
		log_err("the thread of the bus cannot be told to end");
	pthread_join(b->thread, NULL);
	bus_free(b);
}
