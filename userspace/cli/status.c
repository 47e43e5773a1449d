// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt status" and "vmcrypt version". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "../lib/version.h"
#include "attention.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "table.h"
#include "verbs.h"

struct picture {
	json_t *daemon, *vms, *stores, *alarms, *attention;
};

static void picture_clear(struct picture *p)
{
	json_decref(p->daemon);
	json_decref(p->vms);
	json_decref(p->stores);
	json_decref(p->alarms);
	json_decref(p->attention);
}

static int picture_take(struct cli *c, struct picture *p)
{
	int r = bus_json(c, &p->daemon, BUS_ROOT, IFACE_MANAGER, "Describe", "");

	if (!r)
		r = bus_json(c, &p->vms, BUS_ROOT, IFACE_MANAGER, "ListVMs", "");
	if (!r)
		r = bus_json(c, &p->stores, BUS_ROOT, IFACE_DATASTORES, "ListDatastores", "");
	if (!r)
		r = bus_json(c, &p->alarms, BUS_ROOT, IFACE_MANAGER, "ListAlarms", "b", 0);
	if (r)
		return r;
	p->attention = attention(p->daemon, p->vms, p->alarms);
	return p->attention ? 0 : vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
}

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

/* A label, and lines that stand below each other. */
static void put_field(const char *label, const char *text)
{
	size_t width = text_width(_("Why:")) > text_width(_("Do:")) ? text_width(_("Why:")) : text_width(_("Do:")), len;

	if (!*text)
		return;
	printf("   %s%*s", label, (int)(width - text_width(label)) + 1, "");
	for (; *text; text += len + (text[len] == '\n')) {
		char *line;

		len = strcspn(text, "\n");
		line = strndup(text, len);
		text_print(stdout, line ? line : "?", false);
		putchar('\n');
		free(line);
		if (text[len] && text[len + 1])
			printf("   %*s", (int)width + 1, "");
	}
}

static void put_attention(const json_t *list)
{
	bool colour = out_colour(stdout);
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		printf("\n%zu. %s", i + 1, style_on(STYLE_BAD, colour));
		text_print(stdout, string_of(o, "what"), false);
		printf("%s\n", style_off(STYLE_BAD, colour));
		put_field(_("Why:"), string_of(o, "why"));
		put_field(_("Do:"), string_of(o, "do"));
	}
	if (json_array_size(list))
		putchar('\n');
}

static void put_first_line(const struct picture *p)
{
	bool colour = out_colour(stdout);
	size_t n = json_array_size(p->attention);

	if (n) {
		printf("%s", style_on(STYLE_BAD, colour));
		printf(P_("%zu thing needs attention", "%zu things need attention", n), n);
	} else {
		printf("%s", style_on(STYLE_GOOD, colour));
		printf(_("All well: %zu VMs, %zu key providers"), json_array_size(p->vms),
		       json_array_size(json_object_get(p->daemon, "providers")));
	}
	printf("%s\n", style_off(colour ? STYLE_BAD : STYLE_PLAIN, colour));
}

static int put_tables(const struct picture *p)
{
	static const struct column vm_columns[] = {
		{ N_("VM"), "name" }, { N_("POWER"), "power" }, { N_("STATE"), "shows_as|key_state" },
		{ N_("CAUSE"), "cause" }, { N_("PROVIDER"), "provider" },
	};
	static const struct column provider_columns[] = {
		{ N_("KEY PROVIDER"), "name" }, { N_("OK"), "ok" }, { N_("LATENCY"), "latency_ms" },
		{ N_("CERTIFICATE"), "cert_days_left" },
	};
	static const struct column store_columns[] = {
		{ N_("DATASTORE"), "name" }, { N_("OPEN"), "state" }, { N_("STATE"), "shows_as" },
		{ N_("CAUSE"), "cause" }, { N_("PROVIDER"), "provider" },
	};
	const json_t *module = json_object_get(p->daemon, "module"), *seen;
	int r;

	printf(_("vmcryptd %s, kernel module %s"), string_of(p->daemon, "version"),
	       json_is_true(json_object_get(module, "loaded")) ? string_of(module, "version") : _("not loaded"));
	printf("\n\n");
	/* what the last check saw, or when there was none yet, what is configured */
	seen = json_object_get(json_object_get(p->daemon, "health"), "providers");
	r = render_list(stdout, seen ? seen : json_object_get(p->daemon, "providers"), provider_columns,
			seen ? ARRAY_SIZE(provider_columns) : 1, "no key provider");
	putchar('\n');
	if (!r && json_array_size(p->stores)) {
		r = render_list(stdout, p->stores, store_columns, ARRAY_SIZE(store_columns), NULL);
		putchar('\n');
	}
	if (!r)
		r = render_list(stdout, p->vms, vm_columns, ARRAY_SIZE(vm_columns), "no VM is registered");
	return r;
}

int verb_status(struct cli *c)
{
	struct picture p = { .daemon = NULL };
	int r = picture_take(c, &p);

	if (!r && c->json) {
		json_object_set_new(p.daemon, "well", json_boolean(!json_array_size(p.attention)));
		json_object_set(p.daemon, "attention", p.attention);
		out_json(p.daemon);
	} else if (!r) {
		put_first_line(&p);
		put_attention(p.attention);
		r = put_tables(&p);
	}
	picture_clear(&p);
	return r;
}

/* A version that cannot be had is left out: "version" always works. */
static void ask_version(struct cli *c, json_t *o, const char *key, const char *property)
{
	VMC_CLEANUP(free_string) char *v = NULL;

	if (!bus_property(c, BUS_ROOT, IFACE_MANAGER, property, &v) && *v)
		json_object_set_new(o, key, json_string(v));
	else
		json_object_set_new(o, key, json_null());
}

int verb_version(struct cli *c)
{
	json_t *o = json_pack("{s:s}", "vmcrypt", VMC_VERSION);

	if (!o)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	ask_version(c, o, "vmcryptd", "Version");
	ask_version(c, o, "module", "ModuleVersion");
	if (c->json) {
		out_json(o);
	} else {
		printf("vmcrypt  %s\n", VMC_VERSION);
		out_say(c, "vmcryptd %s", json_string_value(json_object_get(o, "vmcryptd")) ?:
			_("not running"));
		out_say(c, "module   %s", json_string_value(json_object_get(o, "module")) ?:
			_("not known"));
	}
	json_decref(o);
	return 0;
}
