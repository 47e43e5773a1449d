// SPDX-License-Identifier: GPL-2.0-or-later
/* The methods of Manager about alarms and events. */
#include "alarm_api.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS_MAX	100000u
#define EVENTS_DEFAULT	100u
#define PAGE		1000u	/* events read at once when the last of many are wanted */

const struct option_spec list_events_options[] = {
	OPTION(after, 't'), OPTION(since, 't'), OPTION(vm, 's'), OPTION(type, 's'), OPTIONS_END
};

int run_list_alarms(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_alarms(b->m, c->b, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

/* The caller's name, or number where that has none. */
static void name_of(uid_t uid, char *name, size_t n)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (!getpwuid_r(uid, &pw, buf, sizeof(buf), &found) && found)
		snprintf(name, n, "%s", found->pw_name);
	else
		snprintf(name, n, "uid %u", uid);
}

int run_acknowledge_alarm(struct call *c, struct backend *b, struct vmc_error *err)
{
	char who[256];

	name_of(c->uid, who, sizeof(who));
	return vmm_alarm_acknowledge(b->m, *c->s[0] ? c->s[0] : NULL, who, err);
}

/* ---- events ----------------------------------------------------------- */

static json_int_t last_id(const json_t *page)
{
	return json_integer_value(json_object_get(json_array_get(page, json_array_size(page) - 1), "id"));
}

/* The last @limit that fit @f, the newest first: the manager reads forwards only. */
static json_t *newest(struct vmm *m, unsigned int limit, const struct vmm_event_filter *f, struct vmc_error *err)
{
	json_t *tail = json_array(), *page, *out;
	json_int_t after = 0;
	size_t n, i;

	do {
		page = vmm_events_since(m, after, PAGE, f, err);
		if (!page) {
			json_decref(tail);
			return NULL;
		}
		n = json_array_size(page);
		after = n ? last_id(page) : after;
		json_array_extend(tail, page);
		json_decref(page);
		while (json_array_size(tail) > limit + PAGE)	/* seldom: each is a move of all */
			for (i = 0; i < PAGE; i++)
				json_array_remove(tail, 0);
	} while (n == PAGE);
	out = json_array();
	for (i = json_array_size(tail); i-- > 0 && json_array_size(out) < limit;)
		json_array_append(out, json_array_get(tail, i));
	json_decref(tail);
	return out;
}

static json_t *list(struct call *c, struct backend *b, unsigned int limit, struct vmc_error *err)
{
	struct vmm_event_filter f = { .vm = c->o.vm, .type = c->o.type, .since = (int64_t)c->o.since };

	if (c->o.after)
		return vmm_events_since(b->m, (int64_t)c->o.after, limit, &f, err);
	if (f.vm || f.type || f.since)
		return newest(b->m, limit, &f, err);
	return vmm_events(b->m, limit, err);
}

int run_list_events(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o;

	if (c->u > EVENTS_MAX)
		return vmc_fail(err, VMC_EINVAL, "limit %u: it must be from 1 to %u, or 0 for %u", c->u,
				EVENTS_MAX, EVENTS_DEFAULT);
	if (c->o.after > INT64_MAX || c->o.since > INT64_MAX)
		return vmc_fail(err, VMC_EINVAL, "after and since must be at most %lld", (long long)INT64_MAX);
	o = list(c, b, c->u ? c->u : EVENTS_DEFAULT, err);
	return o ? call_answer_json(c, o, err) : err->code;
}
