// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt provider ...": key providers. Their trust verbs are in trust.c. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "pem.h"
#include "provider.h"
#include "render.h"
#include "verbs.h"

/* An object path that is not there means a provider that is not there. */
int provider_fail(struct cli *c, const char *name, int r)
{
	if (r != VMC_ENOENT || !c->no_object)
		return r;
	vmc_fail(&c->err, VMC_ENOENT, "there is no provider '%s'", name);
	vmc_hint(&c->err, "'vmcrypt provider list' shows them; 'vmcrypt provider add kmip %s --server HOST' adds it",
		 name);
	return VMC_ENOENT;
}

int provider_json(struct cli *c, json_t **out, const char *name, const char *member)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r = bus_provider_path(c, name, &path);

	if (r)
		return r;
	return provider_fail(c, name, bus_json(c, out, path, IFACE_PROVIDER, member, ""));
}

/* The options as providers_add_kmip() takes them. */
static json_t *kmip_options(const struct cli *c)
{
	json_t *o = json_object(), *servers = json_array();
	size_t i;
	int r = 0;

	for (i = 0; i < c->args.n_list; i++)
		r |= json_array_append_new(servers, json_string(c->args.list[i]));
	r |= json_object_set_new(o, "servers", servers);
	if (cli_value(c, OPT_USERNAME))
		r |= json_object_set_new(o, "username", json_string(cli_value(c, OPT_USERNAME)));
	if (cli_value(c, OPT_TLS_MIN))
		r |= json_object_set_new(o, "tls_min", json_string(cli_value(c, OPT_TLS_MIN)));
	if (cli_value(c, OPT_OPERATION_POLICY))
		r |= json_object_set_new(o, "operation_policy", json_string(cli_value(c, OPT_OPERATION_POLICY)));
	if (!r)
		return o;
	json_decref(o);
	return NULL;
}

/* What comes after AddProvider; any of it failing takes the provider back. */
static int complete_add(struct cli *c, const char *name, const char *ca)
{
	int r = 0;

	if (ca)
		r = trust_pin_ca(c, name, ca);
	if (!r && args_has(&c->args, OPT_DEFAULT))
		r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "SetDefaultProvider", "s", name);
	return r;
}

static void take_back(struct cli *c, const char *name)
{
	struct vmc_error why = c->err;

	vmc_prefix(&why, "provider '%s' was not added: ", name);
	if (bus_method(c, BUS_ROOT, IFACE_MANAGER, "RemoveProvider", "s", name)) {
		why = c->err;
		vmc_prefix(&why, "provider '%s' is there but not complete, and cannot be removed: ",
			   name);
	}
	c->err = why;
}

int verb_provider_add_kmip(struct cli *c)
{
	VMC_CLEANUP(free_string) char *options = NULL, *ca = NULL;
	const char *name = c->operands[0];
	json_t *o;
	int r;

	/* read before anything is made, so that a bad file changes nothing */
	if (cli_value(c, OPT_CA)) {
		r = pem_read(cli_value(c, OPT_CA), "CERTIFICATE", &ca, &c->err);
		if (r)
			return r;
	}
	o = kmip_options(c);
	options = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!options)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "AddProvider", "sss", "kmip", name, options);
	if (r)
		return r;
	r = complete_add(c, name, ca);
	if (r) {
		take_back(c, name);
		return r;
	}
	out_say(c, P_("provider '%s' added with %zu server", "provider '%s' added with %zu servers",
		      c->args.n_list), name, c->args.n_list);
	out_say(c, "Next: vmcrypt provider trust %s csr > %s.csr   (the servers must know this host)",
		name, name);
	if (!ca)
		out_say(c, "Then: vmcrypt provider trust %s show           (this host must know the servers)",
			name);
	out_done(c, "provider", name);
	return 0;
}

static void show_warnings(const struct cli *c, const json_t *report)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(report, "warnings"), i, warning)
		out_say(c, "Warning: %s", json_string_value(warning) ?: "?");
}

int verb_provider_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("KIND"), "kind" }, { N_("DEFAULT"), "default" },
		{ N_("STATE"), "state" }, { N_("SERVERS"), "servers" },
	};
	json_t *list = NULL, *p;
	size_t i;
	int r = bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListProviders", "");

	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols),
				"there is no provider; 'vmcrypt provider add kmip NAME --server HOST' adds one");
	if (!r && !c->json)
		json_array_foreach(list, i, p)
			show_warnings(c, p);
	json_decref(list);
	return r;
}

int verb_provider_show(struct cli *c)
{
	json_t *provider = NULL;
	int r = provider_json(c, &provider, c->operands[0], "Describe");

	if (!r && c->json)
		out_json(provider);
	else if (!r)
		r = render_object(stdout, provider, 0);
	json_decref(provider);
	return r;
}

/* Of a trusted provider: the servers may be well, and not trust this host. */
static void say_own_error(const struct cli *c, const json_t *report)
{
	const char *error = json_string_value(json_object_get(report, "error"));
	const char *hint = json_string_value(json_object_get(report, "hint"));

	if (error)
		out_say(c, "%s", error);
	if (error && hint && *hint)
		out_say(c, "Hint: %s", hint);
}

/* A provider without servers is whole, or its key cannot be had. */
static int show_native_test(const struct cli *c, json_t *report)
{
	const char *error = json_string_value(json_object_get(report, "error"));

	if (!error)
		out_say(c, "native key provider '%s' can derive its keys; state: %s", c->operands[0],
			json_string_value(json_object_get(report, "state")) ?: "?");
	say_own_error(c, report);
	show_warnings(c, report);
	return 0;
}

static int show_test(struct cli *c, json_t *report)
{
	static const struct column cols[] = {
		{ N_("SERVER"), "host" }, { N_("PORT"), "port" }, { N_("OK"), "ok" }, { N_("LATENCY"), "latency_ms" },
		{ N_("KMIP"), "version" }, { N_("VENDOR"), "vendor" },
		{ N_("CERTIFICATE ENDS IN"), "cert_days_left" }, { N_("ERROR"), "error" },
	};
	const char *kind = json_string_value(json_object_get(report, "kind"));
	json_t *client = json_object_get(report, "client_cert");
	int r;

	if (kind && !strcmp(kind, "native"))
		return show_native_test(c, report);
	r = render_list(stdout, json_object_get(report, "servers"), cols, ARRAY_SIZE(cols),
			"the provider has no servers");
	say_own_error(c, report);
	if (json_is_object(client)) {
		puts(_("Certificate of this host:"));
		r = r ? r : render_object(stdout, client, 2);
	} else if (!kind || strcmp(kind, "trusted")) {	/* those know this host by its TPM */
		out_say(c, "This host has no certificate yet. Next: vmcrypt provider trust %s csr > %s.csr",
			c->operands[0], c->operands[0]);
	}
	show_warnings(c, report);
	return r;
}

int verb_provider_test(struct cli *c)
{
	json_t *report = NULL;
	int r = provider_json(c, &report, c->operands[0], "Test");

	if (r)
		return r;
	if (c->json)
		out_json(report);
	else
		r = show_test(c, report);
	if (!json_is_true(json_object_get(report, "reachable")))
		c->exit_status = vmc_code_exit(VMC_EUNREACH);
	json_decref(report);
	return r;
}

int verb_provider_remove(struct cli *c)
{
	int r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "RemoveProvider", "s", c->operands[0]);

	if (r)
		return r;
	out_say(c, "provider '%s' removed; keys on servers are untouched, a native provider comes back from its backup",
		c->operands[0]);
	out_done(c, "provider", c->operands[0]);
	return 0;
}

int verb_provider_default(struct cli *c)
{
	int r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "SetDefaultProvider", "s", c->operands[0]);

	if (r)
		return r;
	out_say(c, "provider '%s' is the default now", c->operands[0]);
	out_done(c, "provider", c->operands[0]);
	return 0;
}
