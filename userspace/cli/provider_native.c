// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt provider add native", "export" and "import": key providers without a server. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "newfile.h"
#include "out.h"
#include "password.h"
#include "pem.h"
#include "provider.h"
#include "verbs.h"

int verb_provider_add_native(struct cli *c)
{
	bool no_tpm = args_has(&c->args, OPT_INSECURE_NO_TPM);
	const char *name = c->operands[0];
	int r;

	r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AddProvider", "sss", "native", name,
		       no_tpm ? "{\"insecure_no_tpm\":true}" : "{}");
	if (!r && args_has(&c->args, OPT_DEFAULT))
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "SetDefaultProvider", "s", name);
	if (r)
		return r;
	out_say(c, "native key provider '%s' added; it makes no keys until it is backed up", name);
	if (no_tpm)
		out_say(c, "Warning: its KDK is not sealed to a TPM: whoever gets this host's disk opens its VMs");
	out_say(c, "Next: vmcrypt provider export %s --out %s.p12   (and keep the file off this host)", name, name);
	out_done(c, "provider", name);
	return 0;
}

/* ---- export -------------------------------------------------------------------------- */

static int export_to(struct cli *c, int password, int out)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r = bus_provider_path(c, c->operands[0], &path);

	if (!r)
		r = provider_fail(c, c->operands[0],
				  bus_method(c, path, IFACE_PROVIDER, "Export", "hh", password, out));
	return r;
}

int verb_provider_export(struct cli *c)
{
	const char *file = cli_value(c, OPT_OUT);
	int password, out, r;

	r = newfile_backup(file, &out, &c->err);
	if (r)
		return r;
	r = password_get(c, _("Password for the backup"), true, &password);
	if (!r) {
		r = export_to(c, password, out);
		close(password);
	}
	close(out);
	if (r) {
		unlink(file);
		return r;
	}
	out_say(c, "key provider '%s' is backed up in '%s'", c->operands[0], file);
	out_say(c, "Keep the file and its password apart, and both off this host: together they open every VM of the provider, and without them its VMs are lost with this host");
	out_done(c, "file", file);
	return 0;
}

/* ---- import ------------------------------------------------------------------------------ */

static int send_import(struct cli *c, int backup, int password, json_t **result)
{
	sd_bus_message *m = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "ImportProvider");

	if (r)
		return r;
	r = sd_bus_message_append(m, "hh", backup, password);
	options_begin(m, &r);
	options_bool(m, &r, "insecure_no_tpm", args_has(&c->args, OPT_INSECURE_NO_TPM));
	options_bool(m, &r, "new_tpm", args_has(&c->args, OPT_NEW_TPM));
	options_string(m, &r, "key_id", cli_value(c, OPT_KEY_ID));
	options_end(m, &r);
	r = bus_send_json(c, m, r, result);
	return r;
}

static void show_import(const struct cli *c, const json_t *result)
{
	const char *name = json_string_value(json_object_get(result, "name")) ?: "?";
	const char *id = json_string_value(json_object_get(result, "key_id")) ?: "?";

	if (json_is_true(json_object_get(result, "restored")))
		out_say(c, "key provider '%s' (key id %s) is restored", name, id);
	else
		out_say(c, "key provider '%s' (key id %s) is on this host now: its VMs can be registered", name,
			id);
}

int verb_provider_import(struct cli *c)
{
	json_t *result = NULL;
	int backup, password, r;

	r = pem_open(c->operands[0], &backup, &c->err);
	if (r)
		return r;
	r = password_get(c, _("Password of the backup"), false, &password);
	if (!r) {
		r = send_import(c, backup, password, &result);
		close(password);
	}
	close(backup);
	if (r)
		return r;
	if (c->json)
		out_json(result);
	else
		show_import(c, result);
	json_decref(result);
	return 0;
}
