// SPDX-License-Identifier: GPL-2.0-or-later
/* Manager.Migrate: a VM to another host. */
#include "migrate_api.h"

const struct option_spec migrate_options[] = {
	OPTION(parallel, 't'), OPTION(postcopy, 'b'), OPTION(copy_storage, 'b'), OPTION(dry_run, 'b'), OPTION(qmp, 's'),
	OPTION(to_qmp, 's'), OPTIONS_END
};

int run_migrate(struct call *c, struct backend *b, struct vmc_error *err)
{
	const struct migrate_request r = {
		.vm = c->s[0], .to = c->s[1], .qmp = c->o.qmp, .to_qmp = c->o.to_qmp,
		.parallel = c->o.parallel > HV_PARALLEL_MAX ? HV_PARALLEL_MAX + 1 : (unsigned int)c->o.parallel,
		.postcopy = c->o.postcopy, .copy_storage = c->o.copy_storage, .dry_run = c->o.dry_run,
	};
	json_t *o = NULL;
	int rc = migrate_run(b->migrations, &r, c->progress, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}
