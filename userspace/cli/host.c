// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt host persistence ...": how this host keeps keys over reboots. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "checks.h"
#include "host.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

#define KEY_TEXT_MAX 1024

/* A call whose last argument is a{sv}; @fd -1: it takes no file. @result may be NULL. */
static int call(struct cli *c, const char *member, int fd, json_t **result)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_HOST, member);

	if (r)
		return r;
	if (fd >= 0)
		r = sd_bus_message_append(m, "h", fd);
	options_begin(m, &r);
	options_string(m, &r, "provider", cli_value(c, OPT_PROVIDER));
	options_bool(m, &r, "remove_all", args_has(&c->args, OPT_REMOVE_ALL));
	options_bool(m, &r, "new_tpm", args_has(&c->args, OPT_NEW_TPM));
	options_bool(m, &r, "force", args_has(&c->args, OPT_FORCE));
	options_end(m, &r);
	r = bus_send(c, m, r, &reply);
	if (!r && result)
		r = bus_reply_json(c, reply, result);
	sd_bus_message_unref(reply);
	return r;
}

/* ---- status ----------------------------------------------------------- */

static const char *words(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool is(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static void say_problem(struct cli *c, const json_t *o)
{
	if (!*words(o, "error"))
		return;
	out_say(c, _("Problem: %s"), words(o, "error"));
	if (*words(o, "hint"))
		out_say(c, _("What to do: %s"), words(o, "hint"));
}

static void say_tpm(struct cli *c, const json_t *tpm)
{
	if (!is(tpm, "present")) {
		out_say(c, _("TPM: none at %s"), words(tpm, "tcti"));
		say_problem(c, tpm);
		return;
	}
	out_say(c, _("TPM: %s at %s%s%s%s"), words(tpm, "maker"), words(tpm, "tcti"),
		is(tpm, "disabled") ? _(", turned off") : "", is(tpm, "locked_out") ? _(", in lockout") : "",
		is(tpm, "owner_password") ? _(", with an owner password") : "");
}

static void say_state(struct cli *c, const json_t *o)
{
	json_int_t left = json_integer_value(json_object_get(o, "reboots_left"));

	if (!is(o, "enabled")) {
		out_say(c, "%s", is(o, "stored") ? _("Key persistence: off; keys from before are still stored, sealed") :
						   _("Key persistence: off"));
		return;
	}
	out_say(c, "%s", is(o, "open") ? _("Key persistence: on") : _("Key persistence: on, but the stored keys do not open"));
	out_say(c, _("Stored keys: %lld"), (long long)json_integer_value(json_object_get(o, "keys")));
	out_say(c, _("Sealed to: %s"), words(o, "policy"));
	if (left)
		out_say(c, _("Suspended: the next %lld starts open them whatever is booted"), (long long)left);
	out_say(c, "%s", is(o, "recovery_key_exported") ? _("Recovery key: was exported") :
			 _("Recovery key: not exported; 'vmcrypt host persistence recovery-key' prints it"));
	say_problem(c, o);
}

int verb_persistence_status(struct cli *c)
{
	static const struct column cols[] = {
		{ "PROVIDER", "name" }, { "KIND", "kind" }, { "KEYS ARE KEPT", "persist" },
	};
	json_t *o = NULL;
	int r = bus_json(c, &o, BUS_ROOT, IFACE_HOST, "PersistenceStatus", "");

	if (r)
		return r;
	if (c->json) {
		out_json(o);
	} else {
		say_state(c, o);
		say_tpm(c, json_object_get(o, "tpm"));
		if (is(o, "enabled"))
			r = render_list(stdout, json_object_get(o, "providers"), cols, ARRAY_SIZE(cols),
					_("there is no key provider"));
	}
	json_decref(o);
	return r;
}

/* Off is well: it is the default. A TPM that others have locked is worth a word only to who uses it. */
void host_check_persistence(struct cli *c, json_t *list)
{
	json_t *o = NULL, *tpm;

	if (bus_json(c, &o, BUS_ROOT, IFACE_HOST, "PersistenceStatus", "")) {
		finding_add(list, "persistence", FIND_FAIL, c->err.hint, "%s", c->err.text);
		return;
	}
	tpm = json_object_get(o, "tpm");
	if (!is(o, "enabled"))
		finding_add(list, "persistence", FIND_OK, "", "off: a reboot of this host needs its key providers");
	else if (*words(o, "error"))
		finding_add(list, "persistence", FIND_FAIL, words(o, "hint"), "the stored keys do not open: %s",
			    words(o, "error"));
	else
		finding_add(list, "persistence", FIND_OK, "", "%lld keys are stored, sealed to %s",
			    (long long)json_integer_value(json_object_get(o, "keys")), words(o, "policy"));
	if (is(o, "enabled") && !is(o, "recovery_key_exported"))
		finding_add(list, "recovery key", FIND_WARN, "vmcrypt host persistence recovery-key",
			    "nobody has the recovery key of the stored keys");
	if (is(o, "enabled") && is(tpm, "locked_out"))
		finding_add(list, "TPM", FIND_WARN, "tpm2_dictionarylockout --clear-lockout",
			    "it is in lockout: something tries passwords");
	json_decref(o);
}

/* ---- verbs ------------------------------------------------------------ */

static int show_fetched(struct cli *c, json_t *o, const char *done)
{
	static const struct column cols[] = { { "KEY", "key" }, { "NOT STORED", "error" } };
	json_t *failed = json_object_get(o, "failed");
	json_int_t n = json_integer_value(json_object_get(o, "stored"));
	int r = 0;

	if (c->json) {
		out_json(o);
		return 0;
	}
	out_say(c, "%s", done);
	if (n)
		out_say(c, _("%lld keys were fetched from their providers to be stored"), (long long)n);
	if (json_array_size(failed)) {
		out_say(c, _("These are stored when they are next fetched:"));
		r = render_list(stdout, failed, cols, ARRAY_SIZE(cols), NULL);
	}
	return r;
}

int verb_persistence_enable(struct cli *c)
{
	json_t *o = NULL;
	int r = call(c, "PersistenceEnable", -1, &o);

	if (!r)
		r = show_fetched(c, o, _("key persistence is on: the keys that this host uses are kept, sealed to its TPM"));
	json_decref(o);
	return r;
}

int verb_persistence_disable(struct cli *c)
{
	int r = call(c, "PersistenceDisable", -1, NULL);

	if (r)
		return r;
	if (args_has(&c->args, OPT_PROVIDER))
		out_say(c, _("the keys of provider '%s' are not kept any more"), cli_value(c, OPT_PROVIDER));
	else if (args_has(&c->args, OPT_REMOVE_ALL))
		out_say(c, _("key persistence is off, and nothing is left of it"));
	else
		out_say(c, _("key persistence is off; what was stored stays, sealed: --remove-all-stored-keys removes it"));
	out_done(c, "persistence", "off");
	return 0;
}

/* A regular file: what the daemon takes. A copy in memory of what a pipe gives. */
static int open_key(const char *path, struct vmc_error *err)
{
	char text[KEY_TEXT_MAX];
	int in = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), fd = -1;
	ssize_t n = in < 0 ? -1 : read(in, text, sizeof(text));

	if (n >= 0)
		fd = memfd_create("vmcrypt-recovery-key", MFD_CLOEXEC);
	if (n < 0 || fd < 0 || write(fd, text, (size_t)n) != n) {
		vmc_fail_errno(err, errno, "cannot read the recovery key from '%s'", path);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	explicit_bzero(text, sizeof(text));
	if (in >= 0)
		close(in);
	return fd;
}

int verb_persistence_reseal(struct cli *c)
{
	const char *file = cli_value(c, OPT_RECOVERY_KEY);
	json_t *o = NULL;
	int r, fd = -1;

	if (file) {
		fd = open_key(file, &c->err);
		if (fd < 0)
			return c->err.code;
	}
	r = call(c, file ? "PersistenceRecover" : "PersistenceReseal", fd, &o);
	if (fd >= 0)
		close(fd);
	if (!r)
		r = show_fetched(c, o, _("the stored keys are sealed to what this host has booted now"));
	json_decref(o);
	return r;
}

int verb_persistence_suspend(struct cli *c)
{
	uint32_t reboots = (uint32_t)strtoul(cli_value(c, OPT_REBOOTS), NULL, 10);
	int r = bus_method(c, BUS_ROOT, IFACE_HOST, "PersistenceSuspend", "u", reboots);

	if (r)
		return r;
	out_say(c, _("the next %u starts of this host open its stored keys whatever they boot; the last seals to what it booted"),
		reboots);
	out_done(c, "reboots", cli_value(c, OPT_REBOOTS));
	return 0;
}

static void print_key(struct cli *c, const char *text)
{
	if (c->json) {
		out_done(c, "recovery_key", text);
		return;
	}
	puts(text);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s\n", _("Note it and keep it off this host: it is shown once and kept nowhere. With the disk of this host it opens every stored key."));
}

int verb_persistence_recovery_key(struct cli *c)
{
	char text[KEY_TEXT_MAX] = "";
	int r, fd = memfd_create("vmcrypt-recovery-key", MFD_CLOEXEC);

	if (fd < 0)
		return vmc_fail_errno(&c->err, errno, "no memory for the recovery key");
	r = call(c, "PersistenceExportRecoveryKey", fd, NULL);
	if (!r && pread(fd, text, sizeof(text) - 1, 0) <= 0)
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcryptd gave no recovery key");
	if (!r)
		print_key(c, text);
	explicit_bzero(text, sizeof(text));
	close(fd);
	return r;
}
