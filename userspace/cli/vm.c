// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt vm ...": the life of a VM. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "results.h"
#include "run.h"
#include "subst.h"
#include "verbs.h"

/* Describe() of the object at @path. */
static int describe(struct cli *c, const char *path, json_t **vm)
{
	return bus_json(c, vm, path, IFACE_VM, "Describe", "");
}

/* After create and register: with --json the new VM, else @text with its name and id. */
static int show_new(struct cli *c, sd_bus_message *reply, const char *did)
{
	const char *id, *path;
	json_t *vm = NULL;
	int r;

	if (sd_bus_message_read(reply, "so", &id, &path) <= 0)
		return vmc_fail(&c->err, VMC_EPROTO,
				"vmcryptd's answer is not the id and object it should be");
	r = describe(c, path, &vm);
	if (r)
		return r;
	if (c->json) {
		out_json(vm);
	} else {
		const char *name = json_string_value(json_object_get(vm, "name")) ?: id;

		out_say(c, "VM '%s' %s, id %s", name, _(did), id);
		out_say(c, "Next: vmcrypt disk create %s NAME --size SIZE, or vmcrypt vm power-on %s",
			name, name);
	}
	json_decref(vm);
	return 0;
}

int verb_vm_create(struct cli *c)
{
	sd_bus_message *m, *reply = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "CreateVM");

	if (r)
		return r;
	r = sd_bus_message_append(m, "ss", c->operands[0], cli_value(c, OPT_DIR));
	options_begin(m, &r);
	options_string(m, &r, "uuid", cli_value(c, OPT_UUID));
	options_string(m, &r, "provider", cli_value(c, OPT_PROVIDER));
	options_u64(m, &r, "home_size", c->args.number[OPT_HOME_SIZE]);
	options_end(m, &r);
	r = bus_send(c, m, r, &reply);
	if (!r)
		r = show_new(c, reply, N_("created"));
	sd_bus_message_unref(reply);
	return r;
}

int verb_vm_register(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = path_absolute(c->operands[0]);
	bool all = args_has(&c->args, OPT_ALL);
	sd_bus_message *m, *reply = NULL;
	json_t *result = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, all ? "RegisterMany" : "RegisterVM");

	if (r)
		return r;
	r = sd_bus_message_append(m, "s", path);
	options_begin(m, &r);
	options_bool(m, &r, "from_headers", args_has(&c->args, OPT_FROM_HEADERS));
	options_end(m, &r);
	r = bus_send(c, m, r, &reply);
	if (!r && !all)
		r = show_new(c, reply, N_("registered"));
	if (!r && all)
		r = bus_reply_json(c, reply, &result);
	if (!r && all)
		r = results_show(c, result, false, N_("registered"));
	json_decref(result);
	sd_bus_message_unref(reply);
	return r;
}

/* Verbs that call @member of one VM and have nothing to show but that it is done. */
static int simple(struct cli *c, const char *member, const char *did)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = bus_method(c, path, IFACE_VM, member, "");
	if (r)
		return r;
	out_say(c, "VM '%s' %s", c->operands[0], _(did));
	out_done(c, "vm", c->operands[0]);
	return 0;
}

int verb_vm_unregister(struct cli *c)
{
	return simple(c, "Unregister", N_("unregistered; its files are where they were"));
}

int verb_vm_reload(struct cli *c)
{
	return simple(c, "Reload", N_("reloaded"));
}

int verb_vm_power_off(struct cli *c)
{
	return simple(c, "PowerOff", N_("is off"));
}

/* What is said once, then home and disks as one table. */
static int render_vm(json_t *vm)
{
	static const struct column cols[] = {
		{ N_("VOLUME"), "name" }, { N_("PATH"), "path" }, { N_("KEY"), "key" }, { N_("CACHED"), "cached" },
		{ N_("OPEN"), "open" }, { N_("DEVICE"), "device" },
	};
	json_t *volumes = json_array(), *home = json_object_get(vm, "home");
	int r;

	if (json_is_object(home)) {
		json_object_set_new(home, "name", json_string("home"));
		json_array_append(volumes, home);
	}
	json_array_extend(volumes, json_object_get(vm, "disks"));
	json_object_del(vm, "home");
	json_object_del(vm, "disks");
	r = render_object(stdout, vm, 0);
	putchar('\n');
	if (!r)
		r = render_list(stdout, volumes, cols, ARRAY_SIZE(cols), "no volumes");
	json_decref(volumes);
	return r;
}

int verb_vm_show(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	json_t *vm = NULL;
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = describe(c, path, &vm);
	if (!r && c->json)
		out_json(vm);
	else if (!r)
		r = render_vm(vm);
	json_decref(vm);
	return r;
}

int verb_vm_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("ID"), "id" }, { N_("POWER"), "power" },
		{ N_("STATE"), "shows_as|key_state" }, { N_("CAUSE"), "cause" }, { N_("PROVIDER"), "provider" },
		{ N_("DISKS"), "disks" }, { N_("AUTOSTART"), "autostart" }, { N_("MIGRATION"), "migration" },
	};
	json_t *list = NULL;
	int r = bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListVMs", "");

	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols),
				"no VM is registered; 'vmcrypt vm create' makes one, 'vmcrypt vm register' takes one in");
	json_decref(list);
	return r;
}

static void show_devices(struct cli *c, const json_t *on)
{
	const char *name;
	json_t *device;

	out_say(c, "VM '%s' is on", c->operands[0]);
	out_say(c, "home  %s", json_string_value(json_object_get(on, "home")) ?: "-");
	json_object_foreach(json_object_get(on, "disks"), name, device)
		out_say(c, "disk  %s  %s", json_string_value(device) ?: "-", name);
}

/* What the command needs, then the command. */
static int exec_on(struct cli *c, const char *id, const json_t *on, const sigset_t *mask)
{
	char **argv = NULL, **env = NULL;
	int r, status = 0;

	r = subst_argv(c->args.command, on, &argv, &c->err);
	if (!r)
		r = subst_env(environ, id, on, &env, &c->err);
	fflush(NULL);
	if (!r) {
		r = run_command(argv, env, mask, &status, &c->err);
		c->exit_status = status;
	}
	strings_free(argv);
	strings_free(env);
	return r;
}

/*
 * The command has ended, or could not be started: the VM goes off either way.
 * A failure to power off is told, but what the command said comes first.
 */
static int off_again(struct cli *c, const char *path, int r)
{
	struct vmc_error first = c->err;
	int off;

	off = bus_method(c, path, IFACE_VM, "PowerOff", "");
	if (!off) {
		c->err = first;
		return r;
	}
	vmc_prefix(&c->err, "the command has ended, but the VM is still on: ");
	if (!*c->err.hint)
		vmc_hint(&c->err, "vmcrypt vm power-off %s", c->operands[0]);
	if (!r && !c->exit_status)
		return off;
	out_error(&(struct cli){ 0 }, &c->err);
	c->err = first;
	return r;
}

static int refuse_if_on(struct cli *c, const char *path)
{
	VMC_CLEANUP(free_string) char *power = NULL;
	int r = bus_property(c, path, IFACE_VM, "Power", &power);

	if (r || strcmp(power, "on") != 0)
		return r;
	vmc_fail(&c->err, VMC_ESTATE, "VM '%s' is on already, so --exec would power off what others use",
		 c->operands[0]);
	vmc_hint(&c->err, "vmcrypt vm power-off %s; or run the command without --exec on its devices: vmcrypt disk list %s",
		 c->operands[0], c->operands[0]);
	return VMC_ESTATE;
}

static int power_on_exec(struct cli *c, const char *path)
{
	VMC_CLEANUP(free_string) char *id = NULL;
	json_t *on = NULL;
	sigset_t mask;
	int r = refuse_if_on(c, path);

	if (!r)
		r = bus_property(c, path, IFACE_VM, "Id", &id);
	if (r)
		return r;
	/* from here on a signal must not end us and leave the VM on */
	run_block_signals(&mask);
	r = bus_json(c, &on, path, IFACE_VM, "PowerOn", "");
	if (r)
		return r;
	r = exec_on(c, id, on, &mask);
	json_decref(on);
	return off_again(c, path, r);
}

int verb_vm_power_on(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	json_t *on = NULL;
	bool exec = args_has(&c->args, OPT_EXEC);
	int r;

	if (exec && (!c->args.command || !c->args.command[0])) {
		vmc_fail(&c->err, VMC_EINVAL, "--exec needs a command after '--'");
		vmc_hint(&c->err, "vmcrypt vm power-on %s --exec -- qemu-system-x86_64 ... -drive file={disk:NAME},format=raw",
			 c->operands[0]);
		return VMC_EINVAL;
	}
	r = bus_vm_path(c, c->operands[0], &path);
	if (r)
		return r;
	if (exec)
		return power_on_exec(c, path);
	r = bus_json(c, &on, path, IFACE_VM, "PowerOn", "");
	if (!r && c->json)
		out_json(on);
	else if (!r)
		show_devices(c, on);
	json_decref(on);
	return r;
}

static const struct many vms = { IFACE_MANAGER, false };

int verb_vm_unlock(struct cli *c)
{
	int r = many_check(c, &vms);

	return r ? r : many_call(c, &vms, "UnlockVMs", false, N_("unlocked"));
}

int verb_vm_lock(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	bool now = args_has(&c->args, OPT_NOW);
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = bus_method(c, path, IFACE_VM, "Lock", "b", (int)now);
	if (r)
		return r;
	out_say(c, "VM '%s' is locked; its keys are no longer on this host", c->operands[0]);
	out_say(c, "Next, when it may go on: vmcrypt vm unlock %s", c->operands[0]);
	out_done(c, "vm", c->operands[0]);
	return 0;
}

static int set_autostart(struct cli *c, const char *path)
{
	const char *unit = cli_value(c, OPT_UNIT);
	bool on = !strcmp(cli_value(c, OPT_AUTOSTART), "yes");
	int r;

	if (unit && !on)
		return vmc_fail(&c->err, VMC_EINVAL, "--unit goes with --autostart yes");
	r = bus_method(c, path, IFACE_VM, "SetAutostart", "bs", (int)on, unit ? unit : "");
	if (r)
		return r;
	if (!on)
		out_say(c, "VM '%s' does not start with the host", c->operands[0]);
	else if (unit)
		out_say(c, "VM '%s' is powered on when the host starts, and then unit '%s' is started", c->operands[0],
			unit);
	else
		out_say(c, "VM '%s' is powered on when the host starts", c->operands[0]);
	return 0;
}

/* Nobody can say whether these are on, or whether the name is right. */
static void note_unknown(struct cli *c, const json_t *result)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(result, "results"), i, one)
		if (json_is_true(json_object_get(one, "ok")) && json_is_false(json_object_get(one, "known")))
			out_say(c, "VM '%s' is not registered, and libvirt does not know it: noted under that name",
				json_string_value(json_object_get(one, "name")) ?: "?");
}

static int set_migration(struct cli *c)
{
	sd_bus_message *m;
	json_t *result = NULL;
	int r;

	r = many_check(c, &vms);
	if (!r)
		r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "SetMigrationEncryption");
	if (r)
		return r;
	r = append_strings(m, c->operands, c->n_operands);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", cli_value(c, OPT_MIGRATION_ENCRYPTION));
	options_begin(m, &r);
	options_bool(m, &r, "live", args_has(&c->args, OPT_LIVE));
	options_end(m, &r);
	r = bus_send_json(c, m, r, &result);
	if (!r)
		r = results_show(c, result, false, N_("set"));
	if (!r)
		note_unknown(c, result);
	json_decref(result);
	return r;
}

static int check_set(struct cli *c)
{
	bool autostart = args_has(&c->args, OPT_AUTOSTART), migration = args_has(&c->args, OPT_MIGRATION_ENCRYPTION);

	if (args_has(&c->args, OPT_UNIT) && !autostart)
		return vmc_fail(&c->err, VMC_EINVAL, "--unit goes with --autostart yes");
	if (args_has(&c->args, OPT_LIVE) && !migration)
		return vmc_fail(&c->err, VMC_EINVAL, "--live goes with --migration-encryption");
	if (!autostart && !migration) {
		vmc_fail(&c->err, VMC_EINVAL, "nothing to set");
		vmc_hint(&c->err, "'vmcrypt help vm set' lists what can be set");
		return VMC_EINVAL;
	}
	if (autostart && (migration || c->n_operands != 1 || args_has(&c->args, OPT_ALL)))
		return vmc_fail(&c->err, VMC_EINVAL, "--autostart takes exactly one VM, and nothing else at once");
	return 0;
}

int verb_vm_set(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r;

	r = check_set(c);
	if (r || args_has(&c->args, OPT_MIGRATION_ENCRYPTION))
		return r ? r : set_migration(c);
	r = bus_vm_path(c, c->operands[0], &path);
	if (!r)
		r = set_autostart(c, path);
	if (!r)
		out_done(c, "vm", c->operands[0]);
	return r;
}

int verb_vm_policies(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("MIGRATION"), "migration" }, { N_("ENCRYPTED"), "encrypted" }, { N_("VM"), "vm" },
	};
	json_t *list = NULL;
	int r = bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListMigrationPolicies", "");

	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols), "no VM is registered, and nothing was set for others");
	json_decref(list);
	return r;
}

static int recrypt_deep(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	const char *disk = cli_value(c, OPT_DISK);
	int r;

	if (c->n_operands != 1 || args_has(&c->args, OPT_ALL)) {
		vmc_fail(&c->err, VMC_EINVAL, "--deep takes exactly one VM");
		vmc_hint(&c->err, "vmcrypt vm recrypt --deep VM [--disk DISK]");
		return VMC_EINVAL;
	}
	if (args_has(&c->args, OPT_PROVIDER)) {
		vmc_fail(&c->err, VMC_EINVAL, "--deep keeps the provider; --provider goes with --shallow");
		vmc_hint(&c->err, "first 'vmcrypt vm recrypt --shallow %s --provider %s', then --deep",
			 c->operands[0], cli_value(c, OPT_PROVIDER));
		return VMC_EINVAL;
	}
	if (args_has(&c->args, OPT_ADD_PROVIDER) || args_has(&c->args, OPT_REMOVE_PROVIDER))
		return vmc_fail(&c->err, VMC_EINVAL, "--add-provider and --remove-provider go with --shallow");
	c->bytes = true;
	r = bus_vm_path(c, c->operands[0], &path);
	if (!r)
		r = bus_method(c, path, IFACE_VM, "RecryptDeep", "s", disk ? disk : "");
	if (r)
		return r;
	if (disk)
		out_say(c, "VM '%s': disk '%s' written anew under a new key", c->operands[0], disk);
	else
		out_say(c, "VM '%s': home volume and all disks written anew under a new key", c->operands[0]);
	out_done(c, "vm", c->operands[0]);
	return 0;
}

int verb_vm_recrypt(struct cli *c)
{
	bool deep = args_has(&c->args, OPT_DEEP);
	int r;

	if (deep == args_has(&c->args, OPT_SHALLOW)) {
		if (deep)
			vmc_fail(&c->err, VMC_EINVAL, "either --shallow or --deep, not both");
		else
			vmc_fail(&c->err, VMC_EINVAL, "--shallow or --deep?");
		vmc_hint(&c->err, "--shallow changes the key encryption key, in a moment; --deep writes all data anew under a new data key");
		return VMC_EINVAL;
	}
	if (deep)
		return recrypt_deep(c);
	if (args_has(&c->args, OPT_DISK))
		return vmc_fail(&c->err, VMC_EINVAL, "--shallow is for whole VMs; --disk goes with --deep");
	r = many_check(c, &vms);
	return r ? r : many_recrypt(c, &vms, "RecryptShallow");
}
