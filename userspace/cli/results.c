// SPDX-License-Identifier: GPL-2.0-or-later
#include "results.h"

#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "out.h"
#include "render.h"
#include "table.h"

/* {ok: false, code, error, hint?} */
static void read_error(const json_t *result, struct vmc_error *err)
{
	const char *text = json_string_value(json_object_get(result, "error"));
	const char *hint = json_string_value(json_object_get(result, "hint"));
	const char *code = json_string_value(json_object_get(result, "code"));

	memset(err, 0, sizeof(*err));
	vmc_fail(err, code ? vmc_code_from_name(code) : VMC_EINTERNAL, "%s",
		 text ? text : _("failed without a reason"));
	if (hint)
		vmc_hint(err, "%s", hint);
}

static const char *vm_name(const json_t *result)
{
	const char *name = json_string_value(json_pick(result, "name|vm|id"));

	return name ? name : "?";
}

static void print_failure(const json_t *result, const struct vmc_error *err)
{
	fputs("VM '", stderr);
	text_print(stderr, vm_name(result), false);
	fputs("': ", stderr);
	text_print(stderr, err->text, true);
	fputc('\n', stderr);
	if (!*err->hint)
		return;
	fprintf(stderr, "%s ", _("Hint:"));
	text_print(stderr, err->hint, true);
	fputc('\n', stderr);
}

int results_show(struct cli *c, const json_t *answer, const char *did)
{
	const json_t *list = json_is_array(answer) ? answer : json_object_get(answer, "results");
	const json_t *timing = json_object_get(answer, "timing"), *one;
	size_t i, failed = 0, n = json_array_size(list);

	json_array_foreach(list, i, one) {
		struct vmc_error err;

		if (!json_is_false(json_object_get(one, "ok")))
			continue;
		read_error(one, &err);
		if (!failed++)
			c->exit_status = vmc_code_exit(err.code);
		if (cli_text(c))
			print_failure(one, &err);
	}
	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (!n) {
		out_say(c, "no VM is registered");
		return 0;
	}
	if (failed)
		out_say(c, P_("%zu of %zu VM %s, %zu not", "%zu of %zu VMs %s, %zu not", n), n - failed, n, _(did), failed);
	else
		out_say(c, P_("%zu VM %s", "%zu VMs %s", n), n, _(did));
	if (json_object_size(timing)) {
		out_say(c, "Timing:");
		return render_object(stdout, timing, 2);
	}
	return 0;
}
