// SPDX-License-Identifier: GPL-2.0-or-later
/* Who called is told to the audit log, and the log to who calls. */
#include "audit_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/log.h"

#define LIST_DEFAULT	100u
#define LIST_MAX	10000u

/* ---- filling it -------------------------------------------------------------- */

static bool is_recorded(const struct call *c)
{
	return c->method->pool != POOL_READ;
}

void audit_api_note_caller(struct call *c, sd_bus_message *m)
{
	const uint64_t mask = SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID | SD_BUS_CREDS_COMM | SD_BUS_CREDS_AUGMENT;
	const char *sender = sd_bus_message_get_sender(m), *comm = NULL;
	struct audit_actor *a = &c->caller;
	sd_bus_creds *creds = NULL;
	uid_t uid;
	pid_t pid;

	if (!is_recorded(c) || sd_bus_query_sender_creds(m, mask, &creds) < 0)
		return;
	if (sd_bus_creds_get_euid(creds, &uid) >= 0) {
		c->has_caller = true;
		a->uid = uid;
		a->pid = sd_bus_creds_get_pid(creds, &pid) < 0 ? 0 : (uint32_t)pid;
		snprintf(a->sender, sizeof(a->sender), "%s", sender ? sender : "");
		snprintf(a->cmd, sizeof(a->cmd), "%s", sd_bus_creds_get_comm(creds, &comm) < 0 ? "" : comm);
	}
	sd_bus_creds_unref(creds);
}

void audit_api_begin(const struct call *c)
{
	audit_set_actor(c->has_caller ? &c->caller : NULL);
}

void audit_api_end(const struct call *c)
{
	const char *object = c->key && !c->vm[0] ? c->key : c->o.provider;
	bool of_key = !strcmp(c->method->member, "RemoveKey");
	struct audit_entry e = {
		.action = c->method->member, .vm = c->vm, .key = of_key ? c->s[0] : NULL,
		.object = object ? object : of_key ? NULL : c->s[0],
		.code = c->rc, .text = c->rc ? c->err.text : NULL,
	};
	struct vmc_error err = VMC_ERROR_INIT;

	if (is_recorded(c)) {
		audit_record(&e);
		if (audit_flush(&err))
			log_err("%s: it was done, but the audit log does not have it yet: %s", c->method->member,
				err.text);
	}
	audit_set_actor(NULL);
}

void audit_api_denied(sd_bus_message *m, uid_t uid, const char *action, const char *why)
{
	const char *sender = sd_bus_message_get_sender(m);
	struct audit_actor a = { .uid = uid };
	char text[256];

	snprintf(a.sender, sizeof(a.sender), "%s", sender ? sender : "");
	snprintf(text, sizeof(text), "%s: %s", action, why);
	audit_record(&(struct audit_entry){ .action = "access-denied", .object = sd_bus_message_get_member(m),
					    .code = VMC_EPERM, .text = text, .actor = &a });
}

static const char *member(const json_t *details, const char *const *names)
{
	const char *s = NULL;

	for (; *names && !s; names++)
		s = json_string_value(json_object_get(details, *names));
	return s;
}

void audit_api_event(const struct vmm_event *e)
{
	static const char *const keys[] = { "key", "kek", NULL }, *const volumes[] = { "volume", "disk", NULL };
	static const char *const objects[] = { "provider", "bundle", "job", "id", NULL };

	if (strcmp(e->type, VMM_EV_VM_CHANGED))
		audit_record(&(struct audit_entry){ .action = e->type, .vm = e->vm, .key = member(e->details, keys),
						    .volume = member(e->details, volumes),
						    .object = member(e->details, objects), .text = e->text });
}

/* ---- reading it ---------------------------------------------------------------- */

const struct option_spec list_audit_options[] = {
	OPTION(since, 't'), OPTION(vm, 's'), OPTION(key, 's'), OPTION(actor, 's'), OPTION(limit, 't'), OPTIONS_END
};
const struct option_spec verify_audit_options[] = { OPTION(anchor, 's'), OPTIONS_END };

static int answer(struct call *c, json_t *o, struct vmc_error *err)
{
	return o ? call_answer_json(c, o, err) : err->code;
}

int run_list_audit(struct call *c, struct backend *b, struct vmc_error *err)
{
	char since[32];
	struct audit_filter f = {
		.since = c->o.since ? since : NULL, .vm = c->o.vm, .key = c->o.key, .actor = c->o.actor,
		.limit = c->o.limit ? (unsigned int)c->o.limit : LIST_DEFAULT,
	};
	char id[VMC_UUID_STR];

	vmc_time_format((int64_t)c->o.since, since);
	if (c->o.limit > LIST_MAX)
		return vmc_fail(err, VMC_EINVAL, "limit %llu: it must be from 1 to %u",
				(unsigned long long)c->o.limit, LIST_MAX);
	if (c->o.since > INT64_MAX / 2)
		return vmc_fail(err, VMC_EINVAL, "since %llu: it is seconds since 1970",
				(unsigned long long)c->o.since);
	/* one that is not registered any more is found by its UUID */
	if (f.vm && !vmm_resolve(b->m, f.vm, id, NULL))
		f.vm = id;
	return answer(c, audit_list(&f, err), err);
}

int run_verify_audit(struct call *c, struct backend *b, struct vmc_error *err)
{
	(void)b;
	return answer(c, audit_verify(c->o.anchor, err), err);
}

int run_audit_head(struct call *c, struct backend *b, struct vmc_error *err)
{
	(void)b;
	return answer(c, audit_head_json(err), err);
}

/* A pipe could keep a worker waiting for ever: files only. */
int run_export_audit(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct stat st;

	(void)b;
	if (fstat(c->fd, &st))
		return vmc_fail_errno(err, errno, "cannot look at the file to export to");
	if (!S_ISREG(st.st_mode))
		return vmc_fail(err, VMC_EINVAL, "the audit log is exported to a regular file");
	return audit_export(c->fd, err);
}
