// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt job ...": work that runs, or was stopped half way. */
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

int verb_job_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("ID"), "id" }, { N_("STATE"), "state" }, { N_("VM"), "name|vm" }, { N_("WHAT"), "what|kind" },
		{ N_("DONE"), "done" }, { N_("TOTAL"), "total" }, { N_("ERROR"), "error" },
	};
	json_t *jobs = NULL;
	int r = bus_json(c, &jobs, BUS_ROOT, IFACE_MANAGER, "ListJobs", "");

	if (!r && c->json)
		out_json(jobs);
	else if (!r)
		r = render_list(stdout, jobs, cols, ARRAY_SIZE(cols), "no job runs, and none was left half done");
	json_decref(jobs);
	return r;
}

int verb_job_abandon(struct cli *c)
{
	int r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AbandonJob", "s", c->operands[0]);

	if (r)
		return r;
	out_say(c, "job '%s' rolled back", c->operands[0]);
	out_done(c, "job", c->operands[0]);
	return 0;
}
