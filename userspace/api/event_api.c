// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens becomes a journal entry and the signal Manager.Event. */
#include "event_api.h"

#include <linux/vmcrypt.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../keys/lapse.h"
#include "../lib/events.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "../lib/util.h"
#include "audit_api.h"
#include "bus_error.h"
#include "call.h"
#include "job_api.h"
#include "model.h"

#define QUEUE_MAX 8192		/* signals on their way to the loop */

struct events {
	struct api *api;
	atomic_uint queued;
	atomic_bool lost;	/* a signal was dropped: everything is to be looked at */
};

/* A signal on its way to the loop. */
struct news {
	struct mail mail;
	struct events *ev;
	bool quiet;		/* no signal of its own: properties tell */
	char vm[VMC_UUID_STR];
	char alarm[32];		/* id, when it is about one */
	char *type, *text, *json;
};

/* ---- the journal, in any thread --------------------------------------- */

static const char *member(const json_t *details, const char *a, const char *b)
{
	const char *s = json_string_value(json_object_get(details, a));

	return s || !b ? s : json_string_value(json_object_get(details, b));
}

/* What an operator should look at; anything else is news only. */
static int level_of(const struct vmm_event *e)
{
	static const char *const bad[] = {
		VMM_EV_VM_LOCKED, VMM_EV_BUNDLE_ALTERED, VMM_EV_KEY_ORPHANED, VMM_EV_JOB_FAILED,
		VMM_EV_DISK_KEY_MISSING, VMM_EV_ALARM_RAISED, VMM_EV_VM_NOT_STARTED,
		VMM_EV_VM_MIGRATED_CLEAR, VMM_EV_MIGRATION_REFUSED, VMM_EV_MIGRATION_FAILED,
		"channel-broken", "module-gone", "reload-failed", "hook-failed", "metrics-failed", "health-failed",
	};
	const char *reason = member(e->details, "reason", NULL), *outcome = member(e->details, "outcome", NULL);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!strcmp(e->type, bad[i]))
			return LOG_WARNING;
	if (!strcmp(e->type, VMM_EV_ATTESTATION) && outcome && strcmp(outcome, "passed"))
		return LOG_WARNING;
	/* A key that the kernel let go although nobody asked, or by force. */
	if (!strncmp(e->type, "kernel-", 7) && reason && strcmp(reason, "removed"))
		return LOG_WARNING;
	return LOG_INFO;
}

static void to_journal(const struct vmm_event *e)
{
	const char *result = member(e->details, "result", NULL);
	struct log_field f[11];
	size_t n = 0;

#define FIELD(name_, value_) do {				\
		f[n].name = (name_);				\
		f[n].value = (value_);				\
		if (f[n].value)					\
			n++;					\
	} while (0)
	FIELD("VM", e->vm);
	FIELD("VM_NAME", e->vm_name ? e->vm_name : member(e->details, "name", NULL));
	FIELD("DISK", member(e->details, "disk", "volume"));
	FIELD("KEY_ID", member(e->details, "key", "kek"));
	FIELD("PROVIDER", member(e->details, "provider", NULL));
	FIELD("JOB", member(e->details, "job", NULL));
	FIELD("CAUSE", member(e->details, "cause", NULL));
	FIELD("REMEDY", member(e->details, "remedy", "hint"));
	FIELD("VMCRYPT_CORRELATION", member(e->details, "correlation", NULL));
	FIELD("RESULT", result ? result : level_of(e) == LOG_INFO ? "ok" : "failed");
#undef FIELD
	f[n].name = f[n].value = NULL;
	log_event(level_of(e), e->message_id, f, "%s", e->text);
}

/* ---- the bus, in the loop --------------------------------------------- */

static void news_free(struct news *n)
{
	free(n->type);
	free(n->text);
	free(n->json);
	free(n);
}

/* "alarm-raised" and so on have a signal of their own, and hooks. */
static void deliver_alarm(struct api *a, const struct news *n)
{
	static const char prefix[] = "alarm-";
	const char *state = n->type + sizeof(prefix) - 1;
	json_t *event, *alarm;
	char *text;

	if (strncmp(n->type, prefix, sizeof(prefix) - 1))
		return;
	event = json_loads(n->json, 0, NULL);
	alarm = json_object_get(event, "details");
	json_object_del(alarm, "message");	/* of the event */
	text = alarm ? json_dumps(alarm, JSON_COMPACT) : NULL;
	json_decref(event);
	if (!text)
		return;
	sd_bus_emit_signal(a->bus, API_PATH, "org.vmcrypt1.Manager", "Alarm", "sss", state, n->alarm, text);
	if (a->alarm)
		a->alarm(a, state, text, a->hook_data);
	free(text);
}

static void deliver(struct mail *m)
{
	struct news *n = (struct news *)m;
	struct events *ev = n->ev;
	struct api *a = ev->api;

	if (!n->quiet)
		sd_bus_emit_signal(a->bus, API_PATH, "org.vmcrypt1.Manager", "Event", "ssss",
				   n->type, n->vm, n->text, n->json);
	deliver_alarm(a, n);
	if (n->vm[0])
		model_stale(a->model, n->vm);
	if (atomic_exchange(&ev->lost, false))
		model_stale(a->model, NULL);
	atomic_fetch_sub(&ev->queued, 1);
	news_free(n);
}

/* As ListEvents has it. */
static char *event_json(const struct vmm_event *e, const char *valid_text)
{
	char now[32], *text;
	json_t *o;

	vmc_time_format(vmc_time(), now);
	o = json_pack("{s:I, s:s, s:s, s:s, s:s?, s:s?}", "id", (json_int_t)e->id, "time", now, "type", e->type,
		      "message_id", e->message_id, "vm", e->vm, "vm_name", e->vm_name);
	json_object_set_new(o, "text", json_string(valid_text));
	json_object_set(o, "details", (json_t *)e->details);
	if (!e->details)
		json_object_set_new(o, "details", json_object());
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static struct news *make_news(struct events *ev, const struct vmm_event *e)
{
	struct news *n = calloc(1, sizeof(*n));
	const char *id;

	if (!n)
		return NULL;
	n->mail.deliver = deliver;
	n->ev = ev;
	n->quiet = !strcmp(e->type, VMM_EV_VM_CHANGED);
	snprintf(n->vm, sizeof(n->vm), "%s", e->vm ? e->vm : "");
	id = member(e->details, "id", NULL);
	snprintf(n->alarm, sizeof(n->alarm), "%s", id ? id : "");
	n->type = strdup(e->type);
	n->text = strdup(e->text ? e->text : "");
	if (n->text) {
		utf8_make_valid(n->text);
		n->json = event_json(e, n->text);
	}
	if (!n->type || !n->json) {
		news_free(n);
		return NULL;
	}
	return n;
}

void event_from_manager(const struct vmm_event *e, void *data)
{
	struct api *a = data;
	struct events *ev = a->events;
	struct news *n = NULL;

	audit_api_event(e);
	if (strcmp(e->type, VMM_EV_VM_CHANGED))
		to_journal(e);
	if (atomic_fetch_add(&ev->queued, 1) < QUEUE_MAX)
		n = make_news(ev, e);
	if (n) {
		mailbox_post(a->box, &n->mail);
		return;
	}
	atomic_store(&ev->lost, true);
	atomic_fetch_sub(&ev->queued, 1);
}

void event_tell(struct api *a, const char *type, const char *message_id, const char *vm,
		const json_t *details, const char *fmt, ...)
{
	json_t *whole = details ? json_copy((json_t *)details) : json_object();
	char text[MESSAGE_MAX];
	json_t *message;
	va_list ap;

	va_start(ap, fmt);
	message = message_tell(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (message)
		json_object_set_new(whole, "message", message);
	event_from_manager(&(struct vmm_event){ .type = type, .message_id = message_id, .vm = vm, .text = text,
						.details = whole }, a);
	json_decref(whole);
}

/* ---- where events come from besides the manager ----------------------- */

static const char *reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[VMCRYPT_REASON_REMOVED] = "removed", [VMCRYPT_REASON_FORCED] = "forced",
		[VMCRYPT_REASON_LEASE] = "lease", [VMCRYPT_REASON_LOCKED] = "locked",
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : "other";
}

/* One that did what it was for is no news. */
static void channel_closed(struct api *a, const struct vmk_event *e)
{
	const struct vmk_channel *c = &e->channel;
	json_t *d;

	if (vmk_end_good(e->reason) || e->reason == VMCRYPT_END_REMOVED)
		return;
	d = json_pack("{s:s, s:i, s:i, s:I, s:I}", "reason", vmk_end_name(e->reason), "migration", (int)c->migration,
		      "channel", (int)c->number, "sent", (json_int_t)c->sent, "received", (json_int_t)c->received);
	event_tell(a, "channel-broken", VMC_MSG_CHANNEL_BROKEN, NULL, d, "channel %u of migration %u broke: %s",
		   c->number, c->migration, message_say(vmk_end_text(e->reason)));
	json_decref(d);
}

void event_from_kernel(struct api *a, const struct vmk_event *e)
{
	const char *reason = reason_name(e->reason);
	char vm[VMC_UUID_STR];
	json_t *d = json_pack("{s:s}", "reason", reason);

	vmc_uuid_format(&e->vm, vm);
	switch (e->type) {
	case VMK_EV_KEK_DEL:
		json_object_set_new(d, "key", json_string(e->kek_id));
		if (e->reason == VMCRYPT_REASON_LEASE)
			lapse_note(e->kek_id);
		event_tell(a, "kernel-kek-gone", VMC_MSG_KERNEL_KEK_GONE, NULL, d,
			   "key '%s' left the kernel's cache: %s", e->kek_id, reason);
		model_stale(a->model, NULL);	/* any VM may have used it */
		break;
	case VMK_EV_DEK_DEL:
		json_object_set_new(d, "volume", json_string(e->volume));
		event_tell(a, "kernel-dek-gone", VMC_MSG_KERNEL_DEK_GONE, vm, d,
			   "the key of volume '%s' of VM %s left the kernel: %s", e->volume, vm, reason);
		break;
	case VMK_EV_VM_LOCK:
		event_tell(a, "kernel-vm-locked", VMC_MSG_KERNEL_VM_LOCKED, vm, d,
			   "the kernel locked VM %s: %s", vm, reason);
		break;
	case VMK_EV_CHANNEL_CLOSE:
		channel_closed(a, e);
		break;
	case VMK_EV_MIGRATION_END:	/* whoever ran it tells */
		break;
	}
	json_decref(d);
}

/* Copies run for long, and a resumed one has no client that hears how it went. */
void event_job_ended(struct api *a, struct call *c)
{
	const char *what = bus_job_operation(c->job), *vm = c->vm[0] ? c->vm : NULL;
	json_t *d;

	if (c->rc && c->resume && a->resume_failed)
		a->resume_failed(a, &c->err, a->hook_data);
	if (c->method->pool != POOL_COPY)
		return;
	d = json_pack("{s:s, s:I, s:s}", "operation", what, "ms", (json_int_t)bus_job_age_ms(c->job),
		      "result", !c->rc ? "ok" : c->rc == VMC_ECANCELED ? "canceled" : "failed");
	if (c->resume)
		json_object_set_new(d, "job", json_string(c->resume));
	if (!c->rc)
		event_tell(a, "job-done", VMC_MSG_JOB_DONE, vm, d, "%s is done", what);
	else if (c->rc == VMC_ECANCELED)
		event_tell(a, "job-canceled", VMC_MSG_JOB_CANCELED, vm, d, "%s was stopped: %s", what, c->err.text);
	else
		event_tell(a, VMM_EV_JOB_FAILED, VMC_MSG_JOB_FAILED, vm, d, "%s failed: %s", what, c->err.text);
	json_decref(d);
}

int events_new(struct events **ret, struct api *a, struct vmc_error *err)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return vmc_fail(err, VMC_ENOMEM, "no memory for events");
	ev->api = a;
	*ret = ev;
	return 0;
}

void events_free(struct events *ev)
{
	free(ev);
}
