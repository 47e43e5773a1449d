// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt audit ...": who did what with which key, and whether the log still says so. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../audit/verify.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "table.h"
#include "verbs.h"
#include "when.h"

static const struct column columns[] = {
	{ N_("SEQ"), "seq" }, { N_("TIME"), "time" }, { N_("WHO"), "user|uid" }, { N_("ACTION"), "action" },
	{ N_("RESULT"), "result" }, { N_("VM"), "vm" }, { N_("VOLUME"), "volume" }, { N_("KEY"), "key" },
	{ N_("OBJECT"), "object" },
};

/* One call whose argument is options, and whose answer is JSON. */
static int ask(struct cli *c, const char *member, void (*options)(struct cli *c, sd_bus_message *m, int *r),
	       json_t **out)
{
	sd_bus_message *m;
	int r, rc = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, member);

	if (rc)
		return rc;
	r = 0;
	options_begin(m, &r);
	options(c, m, &r);
	options_end(m, &r);
	rc = bus_send_json(c, m, r, out);
	return rc;
}

static void list_options(struct cli *c, sd_bus_message *m, int *r)
{
	int64_t since;

	if (args_has(&c->args, OPT_SINCE) && !when_parse(cli_value(c, OPT_SINCE), vmc_time(), &since, NULL))
		options_u64(m, r, "since", (uint64_t)since);
	options_string(m, r, "vm", cli_value(c, OPT_VM));
	options_string(m, r, "key", cli_value(c, OPT_KEY));
	options_string(m, r, "actor", cli_value(c, OPT_ACTOR));
	options_u64(m, r, "limit", args_has(&c->args, OPT_LIMIT) ? c->args.number[OPT_LIMIT] : 0);
}

int verb_audit_list(struct cli *c)
{
	int64_t since;
	json_t *list = NULL;
	int r = 0;

	if (args_has(&c->args, OPT_SINCE))
		r = when_parse(cli_value(c, OPT_SINCE), vmc_time(), &since, &c->err);
	if (!r)
		r = ask(c, "ListAudit", list_options, &list);
	if (r)
		return r;
	if (c->json)
		out_json(list);
	else
		r = render_list(stdout, list, columns, ARRAY_SIZE(columns), N_("no entry is like that"));
	json_decref(list);
	return r;
}

/* ---- verify ------------------------------------------------------------------ */

static void verify_options(struct cli *c, sd_bus_message *m, int *r)
{
	options_string(m, r, "anchor", cli_value(c, OPT_ANCHOR));
}

static void print_problem(const json_t *p)
{
	const char *file = json_string_value(json_object_get(p, "file"));
	const json_t *line = json_object_get(p, "line");

	if (file) {
		text_print(stdout, file, false);
		if (line)
			printf(_(", line %lld (byte %lld)"), (long long)json_integer_value(line),
			       (long long)json_integer_value(json_object_get(p, "offset")));
		fputs(": ", stdout);
	}
	text_print(stdout, json_string_value(json_object_get(p, "what")), false);
	putchar('\n');
}

static void print_verdict(const json_t *o)
{
	const json_t *p;
	size_t i;

	json_array_foreach(json_object_get(o, "problems"), i, p)
		print_problem(p);
	json_array_foreach(json_object_get(o, "notes"), i, p) {
		fputs(_("Note: "), stdout);
		text_print(stdout, json_string_value(p), false);
		putchar('\n');
	}
	if (json_is_true(json_object_get(o, "ok")))
		printf(_("The audit log is whole: %lld entries, the last is %lld.\n"),
		       (long long)json_integer_value(json_object_get(o, "entries")),
		       (long long)json_integer_value(json_object_get(o, "last")));
	else
		printf(_("The audit log was tampered with, or is damaged: %zu findings.\n"),
		       json_array_size(json_object_get(o, "problems")));
}

int verb_audit_verify(struct cli *c)
{
	json_t *o = NULL;
	int r = 0;

	/* an exported log is verified by whoever has it, on any machine */
	if (args_has(&c->args, OPT_FILE))
		o = audit_verify_files(cli_value(c, OPT_FILE), NULL, cli_value(c, OPT_ANCHOR), &c->err);
	else
		r = ask(c, "VerifyAudit", verify_options, &o);
	if (r || !o)
		return r ? r : c->err.code;
	if (c->json)
		out_json(o);
	else
		print_verdict(o);
	if (!json_is_true(json_object_get(o, "ok")))
		c->exit_status = vmc_code_exit(VMC_EAUTH);
	json_decref(o);
	return 0;
}

/* ---- head, export -------------------------------------------------------------- */

int verb_audit_head(struct cli *c)
{
	json_t *o = NULL;
	int r = bus_json(c, &o, BUS_ROOT, IFACE_MANAGER, "GetAuditHead", "");

	if (r)
		return r;
	if (c->json) {
		out_json(o);
	} else {
		text_print(stdout, json_string_value(json_object_get(o, "anchor")), false);
		putchar('\n');
	}
	json_decref(o);
	return 0;
}

int verb_audit_export(struct cli *c)
{
	const char *path = c->operands[0];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

	if (fd < 0) {
		r = vmc_fail_errno(&c->err, errno, "cannot make '%s'", path);
		if (errno == EEXIST)
			vmc_hint(&c->err, "give the name of a file that is not there yet");
		return r;
	}
	r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "ExportAudit", "h", fd);
	close(fd);
	if (r) {
		unlink(path);
		return r;
	}
	out_say(c, _("The audit log is in '%s'; 'vmcrypt audit verify --file %s' verifies it, on any machine."), path,
		path);
	if (c->json)
		out_done(c, "file", path);
	return 0;
}
