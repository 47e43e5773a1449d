// SPDX-License-Identifier: GPL-2.0-or-later
/* Backups of native providers: they and their passwords come and go as open files. */
#include "provider_backup.h"

#include <string.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/secmem.h"
#include "event_api.h"
#include "fd_read.h"

#define PASSWORD_MAX	1024
#define BACKUP_MAX	(16u << 10)

const struct option_spec provider_import_options[] = {
	OPTION(insecure_no_tpm, 'b'), OPTION(key_id, 's'), OPTION(new_tpm, 'b'), OPTIONS_END
};

/* A text, so that it ends at its only NUL. */
static int read_password(int fd, char **password, size_t *len, struct vmc_error *err)
{
	int rc = fd_read_secret(fd, "the password", PASSWORD_MAX, password, len, err);

	if (rc || strlen(*password) == *len)
		return rc;
	secmem_free(*password, *len + 1);
	*password = NULL;
	return vmc_fail(err, VMC_EINVAL, "the password has a zero byte in it");
}

static void tell(struct call *c, const char *name, const char *what)
{
	json_t *d = json_pack("{s:s}", "provider", name);

	event_tell(c->api, "provider-backup", VMC_MSG_PROVIDER_BACKUP, NULL, d, "key provider '%s' %s", name,
		   message_say(what));
	json_decref(d);
}

int provider_run_export(struct call *c, struct backend *b, struct vmc_error *err)
{
	char *password = NULL;
	size_t len = 0;
	int rc;

	rc = read_password(c->fd, &password, &len, err);
	if (!rc)
		rc = providers_export(b->ps, c->key, password, c->fd2, err);
	secmem_free(password, len + 1);
	if (!rc)
		tell(c, c->key, N_("was backed up"));
	return rc;
}

static json_t *import_options(const struct call_options *o)
{
	return json_pack("{s:b, s:b, s:s*}", "insecure_no_tpm", o->insecure_no_tpm, "new_tpm", o->new_tpm, "key_id",
			 o->key_id);
}

static int import(struct call *c, struct backend *b, const char *backup, size_t len, const char *password,
		  struct vmc_error *err)
{
	json_t *options = import_options(&c->o), *result = NULL;
	const char *name;
	int rc;

	if (!options)
		return vmc_fail(err, VMC_EINVAL, "the key id is not a text");
	rc = providers_import(b->ps, backup, len, password, options, &result, err);
	json_decref(options);
	if (rc)
		return rc;
	name = json_string_value(json_object_get(result, "name"));
	tell(c, name, json_is_true(json_object_get(result, "restored")) ? N_("was restored from its backup") :
	     N_("was brought to this host by its backup"));
	return call_answer_json(c, result, err);
}

int provider_run_import(struct call *c, struct backend *b, struct vmc_error *err)
{
	char *backup = NULL, *password = NULL;
	size_t n_backup = 0, n_password = 0;
	int rc;

	rc = fd_read_secret(c->fd, "the backup", BACKUP_MAX, &backup, &n_backup, err);
	if (!rc)
		rc = read_password(c->fd2, &password, &n_password, err);
	if (!rc)
		rc = import(c, b, backup, n_backup, password, err);
	secmem_free(password, n_password + 1);
	secmem_free(backup, n_backup + 1);
	return rc;
}
