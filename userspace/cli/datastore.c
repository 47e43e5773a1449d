// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt datastore ...": devices that hold the images of many VMs. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "results.h"
#include "verbs.h"

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

/* NAME and DEVICE of the operands, and the options that @more knows; *@store is what it is now. */
static int call_new(struct cli *c, const char *member, void (*more)(struct cli *c, sd_bus_message *m, int *r),
		    json_t **store)
{
	VMC_CLEANUP(free_string) char *path = path_absolute(c->operands[1]);
	sd_bus_message *m = NULL;
	int r;

	if (!path)
		return vmc_fail(&c->err, VMC_ENOMEM, "cannot tell the current folder");
	r = bus_message(c, &m, BUS_ROOT, IFACE_DATASTORES, member);
	if (r)
		return r;
	r = sd_bus_message_append(m, "ss", c->operands[0], path);
	options_begin(m, &r);
	options_string(m, &r, "mount", cli_value(c, OPT_MOUNT));
	options_string(m, &r, "autoopen", cli_value(c, OPT_AUTOOPEN));
	options_string(m, &r, "dm_flags", cli_value(c, OPT_DM_FLAGS));
	if (more)
		more(c, m, &r);
	options_end(m, &r);
	r = bus_send_json(c, m, r, store);
	return r;
}

static void create_options(struct cli *c, sd_bus_message *m, int *r)
{
	options_string(m, r, "provider", cli_value(c, OPT_PROVIDER));
	options_string(m, r, "fs", cli_value(c, OPT_FS));
	options_u64(m, r, "size", c->args.number[OPT_SIZE]);
	options_bool(m, r, "force", args_has(&c->args, OPT_FORCE));
}

static void show_new(struct cli *c, json_t *store, const char *did)
{
	if (c->json) {
		out_json(store);
	} else {
		out_say(c, "datastore '%s' %s, id %s", c->operands[0], _(did), string_of(store, "id"));
		out_say(c, "Next: vmcrypt datastore open %s", c->operands[0]);
	}
	json_decref(store);
}

int verb_datastore_create(struct cli *c)
{
	json_t *store = NULL;
	int r = call_new(c, "CreateDatastore", create_options, &store);

	if (!r)
		show_new(c, store, N_("created"));
	return r;
}

int verb_datastore_register(struct cli *c)
{
	json_t *store = NULL;
	int r = call_new(c, "RegisterDatastore", NULL, &store);

	if (!r)
		show_new(c, store, N_("registered"));
	return r;
}

/* Verbs that have nothing to show but that it is done. */
static int simple(struct cli *c, const char *member, const char *did)
{
	int r = bus_method(c, BUS_ROOT, IFACE_DATASTORES, member, "s", c->operands[0]);

	if (r)
		return r;
	out_say(c, "datastore '%s' %s", c->operands[0], _(did));
	out_done(c, "datastore", c->operands[0]);
	return 0;
}

int verb_datastore_unregister(struct cli *c)
{
	return simple(c, "UnregisterDatastore", N_("unregistered; its data is where it was"));
}

int verb_datastore_remove(struct cli *c)
{
	return simple(c, "RemoveDatastore", N_("removed with all its data"));
}

int verb_datastore_close(struct cli *c)
{
	return simple(c, "CloseDatastore", N_("is closed"));
}

int verb_datastore_open(struct cli *c)
{
	json_t *store = NULL;
	int r = bus_json(c, &store, BUS_ROOT, IFACE_DATASTORES, "OpenDatastore", "s", c->operands[0]);

	if (!r && c->json)
		out_json(store);
	else if (!r)
		/* the place alone, so that a script can use it as it comes */
		out_say(c, "%s", string_of(store, "mount"));
	json_decref(store);
	return r;
}

int verb_datastore_set(struct cli *c)
{
	sd_bus_message *m = NULL;
	json_t *store = NULL;
	int r;

	if (!cli_value(c, OPT_AUTOOPEN) && !cli_value(c, OPT_MOUNT)) {
		vmc_fail(&c->err, VMC_EINVAL, "set what?");
		vmc_hint(&c->err, "--autoopen yes|no, --mount DIR");
		return VMC_EINVAL;
	}
	r = bus_message(c, &m, BUS_ROOT, IFACE_DATASTORES, "SetDatastore");
	if (r)
		return r;
	r = sd_bus_message_append(m, "s", c->operands[0]);
	options_begin(m, &r);
	options_string(m, &r, "mount", cli_value(c, OPT_MOUNT));
	options_string(m, &r, "autoopen", cli_value(c, OPT_AUTOOPEN));
	options_end(m, &r);
	r = bus_send_json(c, m, r, &store);
	if (r)
		return r;
	if (c->json)
		out_json(store);
	else
		out_say(c, json_is_true(json_object_get(store, "autoopen")) ?
			N_("datastore '%s' is mounted at '%s', and opened when this host starts") :
			N_("datastore '%s' is mounted at '%s', and not opened when this host starts"),
			c->operands[0], string_of(store, "mount"));
	json_decref(store);
	return 0;
}

int verb_datastore_show(struct cli *c)
{
	static const struct column cols[] = { { N_("VM"), "name" }, { N_("ID"), "id" }, { N_("POWER"), "power" } };
	json_t *store = NULL, *vms;
	int r = bus_json(c, &store, BUS_ROOT, IFACE_DATASTORES, "ShowDatastore", "s", c->operands[0]);

	if (!r && c->json) {
		out_json(store);
	} else if (!r) {
		vms = json_incref(json_object_get(store, "vms"));
		json_object_del(store, "vms");
		r = render_object(stdout, store, 0);
		putchar('\n');
		if (!r)
			r = render_list(stdout, vms, cols, ARRAY_SIZE(cols), "no registered VM lies on it");
		json_decref(vms);
	}
	json_decref(store);
	return r;
}

int verb_datastore_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("OPEN"), "state" }, { N_("STATE"), "shows_as" }, { N_("CAUSE"), "cause" },
		{ N_("PROVIDER"), "provider" }, { N_("DEVICE"), "path" }, { N_("MOUNT"), "mount" },
		{ N_("FREE"), "free" }, { N_("VMS"), "vms" },
	};
	json_t *list = NULL;
	int r = bus_json(c, &list, BUS_ROOT, IFACE_DATASTORES, "ListDatastores", "");

	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols),
				"there is no datastore; 'vmcrypt datastore create' makes one, 'vmcrypt datastore register' takes one in");
	json_decref(list);
	return r;
}

static const struct many datastores = { IFACE_DATASTORES, true };

int verb_datastore_unlock(struct cli *c)
{
	int r = many_check(c, &datastores);

	return r ? r : many_call(c, &datastores, "UnlockDatastores", false, N_("unlocked"));
}

int verb_datastore_recrypt(struct cli *c)
{
	int r = many_check(c, &datastores);

	return r ? r : many_recrypt(c, &datastores, "RecryptDatastores");
}
