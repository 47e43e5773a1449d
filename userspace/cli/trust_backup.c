// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust backup" and "restore". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "out.h"
#include "password.h"
#include "trust_call.h"
#include "verbs.h"

static int make_file(struct cli *c, const char *path, int *fd)
{
	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd >= 0)
		return 0;
	vmc_fail_errno(&c->err, errno, "cannot make '%s'", path);
	if (c->err.code == VMC_EEXIST)
		vmc_hint(&c->err, "a backup is never overwritten; give the name of a new file");
	return c->err.code;
}

int verb_trust_backup(struct cli *c)
{
	const char *path = cli_value(c, OPT_OUT);
	struct trust_fds fds = TRUST_NO_FDS;
	json_t *o = NULL;
	int r = password_get(c, N_("Password of the new backup"), true, &fds.password);

	if (r)
		return r;
	r = make_file(c, path, &fds.data);
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
	out_say(c, "%lld files of this authority are in '%s'", (long long)json_integer_value(json_object_get(o, "files")), path);
	out_say(c, "Keep the file off this machine, and the password elsewhere: with both, anybody is this Trust Authority");
	json_decref(o);
	return 0;
}

int verb_trust_restore(struct cli *c)
{
	const char *path = c->operands[0];
	struct trust_fds fds = TRUST_NO_FDS;
	json_t *o = NULL;
	int r;

	fds.data = open(path, O_RDONLY | O_CLOEXEC);
	if (fds.data < 0)
		return vmc_fail_errno(&c->err, errno, "cannot read '%s'", path);
	r = password_get(c, N_("Password of the backup"), false, &fds.password);
	if (!r) {
		r = trust_ask_with(c, "restore", json_pack("{s:b}", "force", (int)args_has(&c->args, OPT_FORCE)), &fds, &o);
		close(fds.password);
	}
	close(fds.data);
	if (r)
		return r;
	if (c->json)
		out_json(o);
	out_say(c, "this machine is the authority of cluster '%s' that the backup was made of",
		json_string_value(json_object_get(o, "cluster")) ?: "-");
	out_say(c, "Next: vmcrypt trust service restart attestation, and key-provider; then vmcrypt trust health");
	json_decref(o);
	return 0;
}
