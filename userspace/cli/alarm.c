// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt alarm ...": what is wrong now, and what to type. */
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

static int list_alarms(struct cli *c, bool history, json_t **alarms)
{
	int r = bus_json(c, alarms, BUS_ROOT, IFACE_MANAGER, "ListAlarms", "b", (int)history);

	if (!r && !json_is_array(*alarms)) {
		json_decref(*alarms);
		*alarms = NULL;
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's list of alarms is not a list");
	}
	return r;
}

int verb_alarm_list(struct cli *c)
{
	static const struct column raised[] = {
		{ N_("ID"), "id" }, { N_("SEVERITY"), "severity" }, { N_("TYPE"), "type" }, { N_("ABOUT"), "entity" },
		{ N_("RAISED"), "raised" }, { N_("ACKNOWLEDGED BY"), "acknowledged_by" }, { N_("TEXT"), "text" },
	};
	static const struct column all[] = {
		{ N_("ID"), "id" }, { N_("SEVERITY"), "severity" }, { N_("TYPE"), "type" }, { N_("ABOUT"), "entity" },
		{ N_("RAISED"), "raised" }, { N_("CLEARED"), "cleared" }, { N_("TEXT"), "text" },
	};
	bool history = args_has(&c->args, OPT_HISTORY);
	json_t *alarms = NULL, *alarm;
	size_t i;
	int r = list_alarms(c, history, &alarms);

	if (r)
		return r;
	if (c->json) {
		out_json(alarms);
	} else {
		/* in a table the name says enough */
		json_array_foreach(alarms, i, alarm)
			json_object_set(alarm, "entity", json_object_get(json_object_get(alarm, "entity"), "name"));
		r = history ? render_list(stdout, alarms, all, ARRAY_SIZE(all), "no alarm was ever raised") :
			      render_list(stdout, alarms, raised, ARRAY_SIZE(raised), "no alarm is raised");
		if (!r && json_array_size(alarms) && !history)
			out_say(c, "'vmcrypt alarm show ID' and 'vmcrypt status' tell what to do");
	}
	json_decref(alarms);
	return r;
}

static json_t *find(const json_t *alarms, const char *id)
{
	json_t *alarm;
	size_t i;

	json_array_foreach(alarms, i, alarm) {
		const char *s = json_string_value(json_object_get(alarm, "id"));

		if (s && !strcmp(s, id))
			return alarm;
	}
	return NULL;
}

int verb_alarm_show(struct cli *c)
{
	json_t *alarms = NULL, *alarm;
	int r = list_alarms(c, true, &alarms);

	if (r)
		return r;
	alarm = find(alarms, c->operands[0]);
	if (!alarm) {
		r = vmc_fail(&c->err, VMC_ENOENT, "there is no alarm '%s'", c->operands[0]);
		vmc_hint(&c->err, "'vmcrypt alarm list --history' shows those there were");
	} else if (c->json) {
		out_json(alarm);
	} else {
		r = render_object(stdout, alarm, 0);
	}
	json_decref(alarms);
	return r;
}

int verb_alarm_acknowledge(struct cli *c)
{
	bool all = args_has(&c->args, OPT_ALL);
	size_t i;
	int r = 0;

	if (all == !!c->n_operands) {
		if (all)
			vmc_fail(&c->err, VMC_EINVAL, "name alarms, or give --all, not both");
		else
			vmc_fail(&c->err, VMC_EINVAL, "which alarms?");
		vmc_hint(&c->err, "'vmcrypt alarm list' shows them; --all is for all that are raised");
		return VMC_EINVAL;
	}
	if (all)
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AcknowledgeAlarm", "s", "");
	for (i = 0; i < c->n_operands && !r; i++)
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AcknowledgeAlarm", "s", c->operands[i]);
	if (r)
		return r;
	out_say(c, "acknowledged; what is wrong is wrong still: vmcrypt status");
	out_done(c, "alarm", all ? "all" : c->operands[0]);
	return 0;
}

int verb_metrics(struct cli *c)
{
	VMC_CLEANUP(free_string) char *text = NULL;
	json_t *o;
	int r = bus_string(c, &text, BUS_ROOT, IFACE_MANAGER, "GetMetrics", "");

	if (r)
		return r;
	if (!c->json) {
		fputs(text, stdout);
		return 0;
	}
	o = json_pack("{s:s}", "text", text);
	out_json(o);
	json_decref(o);
	return 0;
}
