// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt disk ...": the disks of a VM. */
#include <stdlib.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "verbs.h"

/* A call of the VM in operand 0; @name and @second (NULL: none) are its first arguments. */
static int vm_message(struct cli *c, sd_bus_message **m, const char *member, const char *name,
		      const char *second)
{
	VMC_CLEANUP(free_string) char *path = NULL;
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = bus_message(c, m, path, IFACE_VM, member);
	if (r)
		return r;
	r = sd_bus_message_append(*m, "s", name);
	if (r >= 0 && second)
		r = sd_bus_message_append(*m, "s", second);
	if (r >= 0)
		return 0;
	*m = sd_bus_message_unref(*m);
	return bus_fail(c, r, "put the arguments into a D-Bus message");
}

/* Call @member with the disk's name, and @second if any, and say that it is done. */
static int simple(struct cli *c, const char *member, const char *second, const char *did)
{
	sd_bus_message *m = NULL;
	int r = vm_message(c, &m, member, c->operands[1], second);

	if (!r)
		r = bus_call(c, m, NULL);
	if (r)
		return r;
	out_say(c, "disk '%s' of VM '%s' %s", c->operands[1], c->operands[0], _(did));
	out_done(c, "disk", c->operands[1]);
	return 0;
}

/* Finish a message that has come as far as its options. */
static int send_new_disk(struct cli *c, sd_bus_message *m, int r, const char *did)
{
	options_end(m, &r);
	c->bytes = true;
	r = bus_send(c, m, r, NULL);
	if (r)
		return r;
	out_say(c, "disk '%s' of VM '%s' %s", c->operands[1], c->operands[0], _(did));
	out_done(c, "disk", c->operands[1]);
	return 0;
}

int verb_disk_create(struct cli *c)
{
	sd_bus_message *m = NULL;
	int r = vm_message(c, &m, "CreateDisk", c->operands[1], NULL);

	if (r)
		return r;
	options_begin(m, &r);
	if (args_has(&c->args, OPT_SIZE))
		options_u64(m, &r, "size", c->args.number[OPT_SIZE]);
	options_string(m, &r, "path", cli_value(c, OPT_PATH));
	options_string(m, &r, "provider", cli_value(c, OPT_PROVIDER));
	options_string(m, &r, "dm_flags", cli_value(c, OPT_DM_FLAGS));
	return send_new_disk(c, m, r, N_("created"));
}

int verb_disk_encrypt(struct cli *c)
{
	bool keep = args_has(&c->args, OPT_KEEP_SOURCE);
	sd_bus_message *m = NULL;
	int r = vm_message(c, &m, "EncryptDisk", c->operands[1], cli_value(c, OPT_SOURCE));

	if (r)
		return r;
	options_begin(m, &r);
	options_string(m, &r, "path", cli_value(c, OPT_PATH));
	options_string(m, &r, "format", cli_value(c, OPT_FORMAT));
	options_string(m, &r, "provider", cli_value(c, OPT_PROVIDER));
	options_string(m, &r, "dm_flags", cli_value(c, OPT_DM_FLAGS));
	options_bool(m, &r, "keep_source", keep);
	options_u64(m, &r, "rate", c->args.number[OPT_RATE]);
	return send_new_disk(c, m, r, keep ?
			     N_("encrypted and checked; the unencrypted source is still there") :
			     N_("encrypted and checked; the unencrypted source was removed"));
}

int verb_disk_attach(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = path_absolute(c->operands[1]);
	sd_bus_message *m = NULL;
	int r;

	if (!path)
		return vmc_fail(&c->err, VMC_ENOMEM, "cannot tell the current folder");
	r = vm_message(c, &m, "AttachDisk", path, NULL);
	if (!r)
		r = bus_call(c, m, NULL);
	if (r)
		return r;
	out_say(c, "'%s' attached to VM '%s'", path, c->operands[0]);
	out_done(c, "path", path);
	return 0;
}

int verb_disk_detach(struct cli *c)
{
	return simple(c, "DetachDisk", NULL, N_("detached; its file is where it was"));
}

int verb_disk_close(struct cli *c)
{
	return simple(c, "CloseDisk", NULL, N_("closed"));
}

int verb_disk_set(struct cli *c)
{
	return simple(c, "SetDiskFlags", cli_value(c, OPT_DM_FLAGS),
		      N_("has new dm-crypt flags from the next time it is opened"));
}

int verb_disk_open(struct cli *c)
{
	VMC_CLEANUP(free_string) char *path = NULL, *device = NULL;
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = bus_string(c, &device, path, IFACE_VM, "OpenDisk", "s", c->operands[1]);
	if (r)
		return r;
	/* the device alone, so that a script can use it as it comes */
	out_say(c, "%s", device);
	out_done(c, "device", device);
	return 0;
}

int verb_disk_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("PATH"), "path" }, { N_("OPEN"), "open" }, { N_("DEVICE"), "device" },
		{ N_("FLAGS"), "dm_flags" }, { N_("KEY"), "key" }, { N_("CACHED"), "cached" },
	};
	VMC_CLEANUP(free_string) char *path = NULL;
	json_t *vm = NULL;
	const json_t *disks;
	int r = bus_vm_path(c, c->operands[0], &path);

	if (!r)
		r = bus_json(c, &vm, path, IFACE_VM, "Describe", "");
	if (r)
		return r;
	disks = json_object_get(vm, "disks");
	if (!disks)
		r = vmc_fail(&c->err, VMC_EPROTO, "vmcryptd says nothing of the disks of VM '%s'",
			     c->operands[0]);
	else if (c->json)
		out_json(disks);
	else
		r = render_list(stdout, disks, cols, ARRAY_SIZE(cols),
				"the VM has no disks; 'vmcrypt disk create' and 'vmcrypt disk encrypt' make them");
	json_decref(vm);
	return r;
}
