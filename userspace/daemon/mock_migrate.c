// SPDX-License-Identifier: GPL-2.0-or-later
/* Migrations without another host, for the tests of the daemon: one of a VM called "slow" goes on until it is canceled. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../migrate/migrate.h"

struct migrations {
	int unused;
};

int migrations_open(struct migrations **m, const struct migrations_setup *s, struct vmc_error *err)
{
	(void)s, (void)err;
	*m = calloc(1, sizeof(**m));
	return 0;
}

void migrations_close(struct migrations *m)
{
	free(m);
}

json_t *migrations_listening(struct migrations *m)
{
	(void)m;
	return json_pack("{s:n, s:s, s:s}", "listen", "error", "this host does not listen", "hint", "see [migration]");
}

bool migrations_busy(struct migrations *m)
{
	(void)m;
	return false;
}

void migrations_kernel_event(struct migrations *m, const struct vmk_event *e)
{
	(void)m, (void)e;
}

int migrations_test(struct migrations *m, const char *peer, json_t **out, struct vmc_error *err)
{
	(void)m, (void)out;
	vmc_fail(err, VMC_EUNREACH, "host '%s' does not answer", peer);
	vmc_hint(err, "check that vmcryptd runs there and listens");
	return VMC_EUNREACH;
}

int migrate_run(struct migrations *m, const struct migrate_request *r, struct progress *p, json_t **result,
		struct vmc_error *err)
{
	(void)m;
	progress_report(p, "memory, encrypted", 1, 2);
	while (!strcmp(r->vm, "slow") && !progress_canceled(p))
		poll(NULL, 0, 5);
	if (progress_canceled(p))
		return vmc_fail(err, VMC_ECANCELED, "the migration of VM '%s' was canceled", r->vm);
	*result = json_pack("{s:s, s:s, s:i, s:s*, s:b}", "name", r->vm, "to", r->to, "parallel", (int)r->parallel, "qmp",
			    r->qmp, "dry_run", r->dry_run);
	return 0;
}
