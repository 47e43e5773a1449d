// SPDX-License-Identifier: GPL-2.0-or-later
#include "results.h"

#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "bus.h"
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

static void print_failure(const json_t *result, bool store, const struct vmc_error *err)
{
	fprintf(stderr, "%s '", store ? _("datastore") : "VM");
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

static void put_count(const struct cli *c, bool stores, size_t n, size_t failed, const char *did)
{
	if (failed && stores)
		out_say(c, P_("%zu of %zu datastore %s, %zu not", "%zu of %zu datastores %s, %zu not", n), n - failed, n,
			did, failed);
	else if (failed)
		out_say(c, P_("%zu of %zu VM %s, %zu not", "%zu of %zu VMs %s, %zu not", n), n - failed, n, did, failed);
	else if (stores)
		out_say(c, P_("%zu datastore %s", "%zu datastores %s", n), n, did);
	else
		out_say(c, P_("%zu VM %s", "%zu VMs %s", n), n, did);
}

int results_show(struct cli *c, const json_t *answer, bool stores, const char *did)
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
			print_failure(one, stores, &err);
	}
	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (!n) {
		out_say(c, stores ? N_("there is no datastore") : N_("no VM is registered"));
		return 0;
	}
	put_count(c, stores, n, failed, _(did));
	if (json_object_size(timing)) {
		out_say(c, "Timing:");
		return render_object(stdout, timing, 2);
	}
	return 0;
}

int many_check(struct cli *c, const struct many *of)
{
	bool all = args_has(&c->args, OPT_ALL);

	if (all && c->n_operands)
		return vmc_fail(&c->err, VMC_EINVAL, "both --all and '%s': which is it?",
				c->operands[0]);
	if (all || c->n_operands)
		return 0;
	vmc_fail(&c->err, VMC_EINVAL, of->stores ? N_("which datastores?") : N_("which VMs?"));
	vmc_hint(&c->err, of->stores ? N_("name them, or give --all; 'vmcrypt datastore list' shows them") :
		 N_("name them, or give --all; 'vmcrypt vm list' shows them"));
	return VMC_EINVAL;
}

int many_call(struct cli *c, const struct many *of, const char *member, bool recrypt, const char *did)
{
	sd_bus_message *m;
	json_t *result = NULL;
	int r = bus_message(c, &m, BUS_ROOT, of->iface, member);

	if (r)
		return r;
	r = append_strings(m, c->operands, c->n_operands);
	if (recrypt) {
		options_begin(m, &r);
		options_string(m, &r, "provider", cli_value(c, OPT_PROVIDER));
		options_string(m, &r, "add_provider", cli_value(c, OPT_ADD_PROVIDER));
		options_string(m, &r, "remove_provider", cli_value(c, OPT_REMOVE_PROVIDER));
		options_end(m, &r);
	}
	r = bus_send_json(c, m, r, &result);
	if (!r)
		r = results_show(c, result, of->stores, did);
	json_decref(result);
	return r;
}

int many_recrypt(struct cli *c, const struct many *of, const char *member)
{
	if (args_has(&c->args, OPT_PROVIDER) + args_has(&c->args, OPT_ADD_PROVIDER) +
	    args_has(&c->args, OPT_REMOVE_PROVIDER) > 1)
		return vmc_fail(&c->err, VMC_EINVAL, "--provider, --add-provider and --remove-provider: one of them");
	return many_call(c, of, member, true, args_has(&c->args, OPT_ADD_PROVIDER) ? N_("opened by the provider, too") :
			 args_has(&c->args, OPT_REMOVE_PROVIDER) ? N_("no longer opened by the provider") :
			 N_("under a new key encryption key"));
}
