// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt key ...": key encryption keys, by id; never their bytes. */
#include <stdio.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

static const char no_keys[] = N_("this host knows no keys; the first VM brings one");

static int list_keys(struct cli *c, json_t **keys)
{
	int r = bus_json(c, keys, BUS_ROOT, IFACE_MANAGER, "ListKeys", "");

	if (!r && !json_is_array(*keys)) {
		json_decref(*keys);
		*keys = NULL;
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcryptd's list of keys is not a list");
	}
	return r;
}

int verb_key_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("ID"), "id" }, { N_("CACHED"), "cached" }, { N_("VOLUMES"), "users" }, { N_("VMS"), "vms" },
		{ N_("CHECK VALUE"), "kcv" }, { N_("LEASE"), "lease_left" }, { N_("NOTE"), "note" },
	};
	json_t *keys = NULL;
	int r = list_keys(c, &keys);

	if (!r && c->json)
		out_json(keys);
	else if (!r)
		r = render_list(stdout, keys, cols, ARRAY_SIZE(cols), no_keys);
	json_decref(keys);
	return r;
}

/* One row for each volume of each VM under @key. */
static void add_uses(json_t *uses, const json_t *key)
{
	json_t *vm, *volume;
	size_t i, j;

	json_array_foreach(json_object_get(key, "vms"), i, vm) {
		json_array_foreach(json_object_get(vm, "volumes"), j, volume)
			json_array_append_new(uses,
				json_pack("{s:O*, s:O*, s:O*, s:O*, s:O*}",
					  "vm", json_object_get(vm, "name"),
					  "vm_id", json_object_get(vm, "id"), "volume", volume,
					  "key", json_object_get(key, "id"),
					  "cached", json_object_get(key, "cached")));
	}
}

/* {keys, cached, in_use, volumes: [{vm, vm_id, volume, key, cached}]} */
static json_t *key_summary(const json_t *keys)
{
	json_t *uses = json_array(), *key;
	json_int_t cached = 0, used = 0;
	size_t i;

	json_array_foreach(keys, i, key) {
		cached += json_is_true(json_object_get(key, "cached"));
		used += json_array_size(json_object_get(key, "vms")) > 0;
		add_uses(uses, key);
	}
	return json_pack("{s:I, s:I, s:I, s:o}", "keys", (json_int_t)json_array_size(keys),
			 "cached", cached, "in_use", used, "volumes", uses);
}

int verb_key_status(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("VM"), "vm" }, { N_("VOLUME"), "volume" }, { N_("KEY"), "key" }, { N_("CACHED"), "cached" },
	};
	json_t *keys = NULL, *s;
	int r = list_keys(c, &keys);

	if (r)
		return r;
	s = key_summary(keys);
	json_decref(keys);
	if (!s)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	if (c->json) {
		out_json(s);
	} else {
		out_say(c, "%lld keys known, %lld cached, %lld in use by VMs",
			(long long)json_integer_value(json_object_get(s, "keys")),
			(long long)json_integer_value(json_object_get(s, "cached")),
			(long long)json_integer_value(json_object_get(s, "in_use")));
		r = render_list(stdout, json_object_get(s, "volumes"), cols, ARRAY_SIZE(cols),
				"no volume of a registered VM is under any of them");
	}
	json_decref(s);
	return r;
}

int verb_key_show(struct cli *c)
{
	json_t *key = NULL;
	int r = bus_json(c, &key, BUS_ROOT, IFACE_MANAGER, "ShowKey", "s", c->operands[0]);

	if (!r && c->json)
		out_json(key);
	else if (!r)
		r = render_object(stdout, key, 0);
	json_decref(key);
	return r;
}

int verb_key_remove(struct cli *c)
{
	bool destroy = args_has(&c->args, OPT_DESTROY);
	sd_bus_message *m;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "RemoveKey");

	if (r)
		return r;
	r = sd_bus_message_append(m, "s", c->operands[0]);
	options_begin(m, &r);
	options_bool(m, &r, "destroy", destroy);
	options_bool(m, &r, "force", args_has(&c->args, OPT_FORCE));
	options_end(m, &r);
	r = bus_send(c, m, r, NULL);
	if (r)
		return r;
	if (destroy)
		out_say(c, "key '%s' destroyed on its provider and removed from this host", c->operands[0]);
	else
		out_say(c, "key '%s' removed from this host's cache; its provider still has it", c->operands[0]);
	out_done(c, "key", c->operands[0]);
	return 0;
}
