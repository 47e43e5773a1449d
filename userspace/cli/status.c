// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt status" and "vmcrypt version". */
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "../lib/version.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

int verb_status(struct cli *c)
{
	json_t *s = NULL;
	int r = bus_json(c, &s, BUS_ROOT, IFACE_MANAGER, "Describe", "");

	if (!r && c->json)
		out_json(s);
	else if (!r)
		r = render_object(stdout, s, 0);
	json_decref(s);
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
