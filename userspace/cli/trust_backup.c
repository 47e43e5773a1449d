// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust backup" and "restore". */
#include <stdio.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "newfile.h"
#include "out.h"
#include "password.h"
#include "pem.h"
#include "trust_call.h"
#include "verbs.h"

int verb_trust_backup(struct cli *c)
{
	const char *path = cli_value(c, OPT_OUT);
	struct trust_fds fds = TRUST_NO_FDS;
	json_t *o = NULL;
	int r = password_get(c, N_("Password of the new backup"), true, &fds.password);

	if (r)
		return r;
	r = newfile_backup(path, &fds.data, &c->err);
	if (!r) {
		r = trust_ask_with(c, "backup", json_object(), &fds, &o);
		close(fds.data);
		if (r)
			unlink(path);
	}
	close(fds.password);
	if (r)
		return r;
	if (c->json)
		out_json(o);
	out_say(c, "%lld files of this authority are in '%s'", (long long)json_integer_value(json_object_get(o, "files")),
		path);
	out_say(c, "Keep the file off this machine, and the password elsewhere: with both, anybody is this Trust Authority");
	json_decref(o);
	return 0;
}

int verb_trust_restore(struct cli *c)
{
	struct trust_fds fds = TRUST_NO_FDS;
	json_t *o = NULL;
	int r = pem_open(c->operands[0], &fds.data, &c->err);

	if (r)
		return r;
	r = password_get(c, N_("Password of the backup"), false, &fds.password);
	if (!r) {
		r = trust_ask_with(c, "restore", json_pack("{s:b}", "force", (int)args_has(&c->args, OPT_FORCE)), &fds,
				   &o);
		close(fds.password);
	}
	close(fds.data);
	if (r)
		return r;
	if (c->json)
		out_json(o);
	out_say(c, "this machine is the authority of cluster '%s' that the backup was made of",
		json_string_value(json_object_get(o, "cluster")) ?: "-");
	out_say(c, "Next: vmcrypt trust service restart; then vmcrypt trust health");
	json_decref(o);
	return 0;
}
