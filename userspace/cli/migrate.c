// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt migrate VM --to HOST": a VM that is on to another host. */
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "verbs.h"

static const char *words(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void say_keys(struct cli *c, const json_t *o)
{
	const json_t *key;
	size_t i;

	json_array_foreach(json_object_get(o, "keys"), i, key) {
		if (!strcmp(words(key, "from"), "provider"))
			out_say(c, "Key of '%s': the other host has it from its provider", words(key, "volume"));
		else
			out_say(c, "Key of '%s': sealed from kernel to kernel, for %s", words(key, "volume"), words(key, "why"));
	}
}

static void say_how(struct cli *c, const json_t *o)
{
	if (json_is_true(json_object_get(o, "encrypted")))
		out_say(c, "Encrypted: AES-256-GCM in the kernel, agreed over TLS 1.3 with %s", words(o, "group"));
	else
		out_say(c, "NOT encrypted: %s", words(o, "why"));
}

static void say_figures(struct cli *c, const json_t *o)
{
	char memory[32], disks[32];

	vmc_size_format((uint64_t)number(o, "bytes"), memory);
	vmc_size_format((uint64_t)number(o, "disk_bytes"), disks);
	out_say(c, "Sent: %s of memory, %s of disks, over %lld connections in %lld ms; downtime %lld ms", memory, disks,
		number(o, "connections"), number(o, "total_ms"), number(o, "downtime_ms"));
}

static void say(struct cli *c, const json_t *o)
{
	const json_t *w;
	size_t i;

	if (json_is_true(json_object_get(o, "dry_run")))
		out_say(c, "VM '%s' can be migrated to host '%s'; nothing was changed", words(o, "name"), words(o, "to"));
	else
		out_say(c, "VM '%s' runs on host '%s' now", words(o, "name"), words(o, "to"));
	say_how(c, o);
	say_keys(c, o);
	if (!json_is_true(json_object_get(o, "dry_run")))
		say_figures(c, o);
	json_array_foreach(json_object_get(o, "warnings"), i, w)
		out_say(c, "Warning: %s", json_string_value(w) ?: "?");
}

int verb_migrate(struct cli *c)
{
	sd_bus_message *m = NULL;
	json_t *o = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "Migrate");

	if (r)
		return r;
	r = sd_bus_message_append(m, "ss", c->operands[0], cli_value(c, OPT_TO));
	options_begin(m, &r);
	options_u64(m, &r, "parallel", c->args.number[OPT_PARALLEL]);
	options_bool(m, &r, "postcopy", args_has(&c->args, OPT_POSTCOPY));
	options_bool(m, &r, "copy_storage", args_has(&c->args, OPT_COPY_STORAGE));
	options_bool(m, &r, "dry_run", args_has(&c->args, OPT_DRY_RUN));
	options_string(m, &r, "qmp", cli_value(c, OPT_QMP));
	options_string(m, &r, "to_qmp", cli_value(c, OPT_TO_QMP));
	options_end(m, &r);
	c->bytes = true;
	r = bus_send_json(c, m, r, &o);
	if (!r && c->json)
		out_json(o);
	else if (!r)
		say(c, o);
	json_decref(o);
	return r;
}
