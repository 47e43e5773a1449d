// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt trust ...": the cluster of a Trust Authority as a whole. */
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "out.h"
#include "trust_call.h"
#include "verbs.h"

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "-";
}

int verb_trust_init(struct cli *c)
{
	const char *address = cli_value(c, OPT_PUBLIC_ADDRESS);
	int r = trust_ask(c, "init", json_pack("{s:s, s:s*}", "cluster", c->operands[0], "address", address), NULL);

	if (r)
		return r;
	out_say(c, "Trust Authority cluster '%s' made; changes are made on this authority", c->operands[0]);
	out_say(c, "Next: vmcrypt trust ca add NAME FILE, vmcrypt trust base-image import FILE,");
	out_say(c, "      vmcrypt trust key-provider add kmip NAME --server HOST, vmcrypt trust services-info --out FILE,");
	out_say(c, "      and vmcrypt trust backup --out FILE");
	out_done(c, "cluster", c->operands[0]);
	return 0;
}

int verb_trust_join(struct cli *c)
{
	json_t *info = NULL;
	int r = trust_read_json(c, c->operands[0], &info);

	if (r)
		return r;
	if (json_is_string(json_object_get(info, "cluster_key")))
		r = trust_ask(c, "join", json_pack("{s:O}", "cluster_key", json_object_get(info, "cluster_key")), NULL);
	else
		r = vmc_fail(&c->err, VMC_EINVAL, "'%s' is not what 'vmcrypt trust services-info' wrote", c->operands[0]);
	if (!r) {
		out_say(c, "this machine takes the desired state of cluster '%s'", text_of(info, "cluster"));
		out_say(c, "Next: vmcrypt trust authority show --out FILE; with it, where changes are made: vmcrypt trust authority add FILE, then vmcrypt trust remediate");
		out_done(c, "cluster", text_of(info, "cluster"));
	}
	json_decref(info);
	return r;
}

int verb_trust_status(struct cli *c)
{
	return trust_object(c, "status", json_object());
}

/* ---- health ------------------------------------------------------------------------ */

static int show_health(struct cli *c, const json_t *o)
{
	static const struct column cols[] = {
		{ N_("ELEMENT"), "element" }, { N_("NAME"), "name" }, { N_("HEALTHY"), "healthy" },
	};
	const json_t *elements = json_object_get(o, "elements");
	const json_t *last = json_array_get(elements, json_array_size(elements) - 1);
	int r = render_list(stdout, elements, cols, ARRAY_SIZE(cols), NULL);

	if (r || json_is_true(json_object_get(o, "healthy")))
		return r;
	out_say(c, "%s", text_of(o, "text"));
	out_say(c, "  %s", text_of(last, "error"));
	if (json_string_length(json_object_get(last, "hint")))
		out_say(c, "  Hint: %s", text_of(last, "hint"));
	return 0;
}

int verb_trust_health(struct cli *c)
{
	json_t *o = NULL;
	int r = trust_ask(c, "health", json_object(), &o);

	if (r)
		return r;
	if (c->json)
		out_json(o);
	else
		r = show_health(c, o);
	if (!json_is_true(json_object_get(o, "healthy")))
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_decref(o);
	return r;
}

int verb_trust_remediate(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("AUTHORITY"), "name" }, { N_("RESULT"), "result" }, { N_("ERROR"), "error" },
	};
	json_t *o = NULL;
	int r = trust_ask(c, "remediate", json_pack("{s:b}", "force", (int)args_has(&c->args, OPT_FORCE)), &o);

	if (r)
		return r;
	if (c->json)
		out_json(o);
	else
		r = render_list(stdout, json_object_get(o, "authorities"), cols, ARRAY_SIZE(cols), NULL);
	if (!json_is_true(json_object_get(o, "ok")))
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_decref(o);
	return r;
}

int verb_trust_rotate(struct cli *c)
{
	json_t *o = NULL;
	char *text;
	int r = trust_ask(c, "certificate-rotate",
			  json_pack("{s:s, s:s, s:b}", "service", c->operands[0], "step", c->operands[1], "force",
				    (int)args_has(&c->args, OPT_FORCE)), &o);

	if (r)
		return r;
	if (c->json) {
		out_json(o);
	} else if (json_is_true(json_object_get(o, "changed"))) {
		out_say(c, "the desired state has it; tell the others: vmcrypt trust remediate");
	} else {
		text = json_dumps(json_object_get(o, "authority"), JSON_INDENT(2));
		r = text ? trust_write(c, text) : vmc_fail(&c->err, VMC_ENOMEM, "no memory for the answer");
		free(text);
		if (!r)
			out_say(c, "this authority makes no changes; with what was written, where they are made: vmcrypt trust authority add FILE, then vmcrypt trust remediate");
	}
	json_decref(o);
	return r;
}

/* ---- what others must know ----------------------------------------------------------- */

int verb_trust_services_info(struct cli *c)
{
	json_t *o = NULL;
	char *text;
	int r = trust_ask(c, "services-info", json_object(), &o);

	if (r)
		return r;
	text = json_dumps(o, JSON_INDENT(2));
	r = text ? trust_write(c, text) : vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	free(text);
	if (!r && cli_value(c, OPT_OUT)) {
		out_say(c, "what hosts must know of cluster '%s' is in '%s'", text_of(o, "cluster"), cli_value(c, OPT_OUT));
		out_done(c, "file", cli_value(c, OPT_OUT));
	}
	json_decref(o);
	return r;
}

/* ---- upgrades ---------------------------------------------------------------------------- */

static void show_texts(const struct cli *c, const json_t *texts, const char *what)
{
	const json_t *t;
	size_t i;

	json_array_foreach(texts, i, t)
		out_say(c, "%s %s", _(what), json_string_value(t));
}

static int show_check(struct cli *c, const json_t *o)
{
	static const struct column cols[] = {
		{ N_("ELEMENT"), "element" }, { N_("NAME"), "name" }, { N_("VERSION"), "version" },
		{ N_("STATE"), "state" },
	};
	int r = render_list(stdout, json_object_get(o, "order"), cols, ARRAY_SIZE(cols), NULL);

	show_texts(c, json_object_get(o, "warnings"), N_("Warning:"));
	show_texts(c, json_object_get(o, "refusals"), N_("Not now:"));
	return r;
}

/* @params is consumed. */
static int check(struct cli *c, json_t *params)
{
	json_t *o = NULL;
	int r;

	if (args_has(&c->args, OPT_FORCE))
		json_object_set_new(params, "force", json_true());
	if (cli_value(c, OPT_TO_VERSION))
		json_object_set_new(params, "to", json_string(cli_value(c, OPT_TO_VERSION)));
	r = trust_ask(c, "upgrade-check", params, &o);
	if (r)
		return r;
	if (c->json)
		out_json(o);
	else
		r = show_check(c, o);
	if (!json_is_true(json_object_get(o, "allowed")))
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_decref(o);
	return r;
}

int verb_trust_upgrade_authority(struct cli *c)
{
	return check(c, json_pack("{s:s, s:s}", "step", "authority", "name", c->operands[0]));
}

int verb_trust_upgrade_hosts(struct cli *c)
{
	return check(c, json_pack("{s:s, s:s*}", "step", "host", "image", cli_value(c, OPT_IMAGE)));
}

int verb_trust_metrics(struct cli *c)
{
	json_t *o = NULL;
	int r = trust_ask(c, "metrics", json_object(), &o);

	if (!r && c->json)
		out_json(o);
	else if (!r)
		fputs(text_of(o, "text"), stdout);
	json_decref(o);
	return r;
}
