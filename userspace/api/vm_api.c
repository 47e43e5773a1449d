// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.VM: one VM, its power and its disks. */
#include "vm_api.h"

#include "call.h"
#include "model.h"

static int run_describe(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = vmm_show(b->m, c->vm, err);

	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_unregister(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_unregister(b->m, c->vm, err);
}

static int run_reload(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_reload(b->m, c->vm, err);
}

static int run_power_on(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = vmm_power_on(b->m, c->vm, c->progress, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int run_power_off(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_power_off(b->m, c->vm, err);
}

static int run_lock(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_lock(b->m, c->vm, c->b, c->progress, err);
}

static int run_set_autostart(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_set_autostart(b->m, c->vm, c->b, c->s[0], err);
}

static void disk_of(const struct call *c, struct vmm_disk *d)
{
	*d = (struct vmm_disk) {
		.name = c->s[0], .path = c->o.path, .provider = c->o.provider, .dm_flags = c->o.dm_flags,
		.size = c->o.size, .source_format = c->o.format, .keep_source = c->o.keep_source,
		.rate = c->o.rate,
	};
}

static int run_create_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct vmm_disk d;

	disk_of(c, &d);
	return vmm_disk_create(b->m, c->vm, &d, c->progress, err);
}

static int run_encrypt_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct vmm_disk d;

	disk_of(c, &d);
	d.source = c->s[1];
	return vmm_disk_encrypt(b->m, c->vm, &d, c->progress, err);
}

static int run_attach_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_disk_attach(b->m, c->vm, c->s[0], err);
}

static int run_detach_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_disk_detach(b->m, c->vm, c->s[0], err);
}

static int run_open_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_disk_open(b->m, c->vm, c->s[0], &c->text, err);
}

static int run_close_disk(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_disk_close(b->m, c->vm, c->s[0], err);
}

static int run_set_flags(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_disk_set_flags(b->m, c->vm, c->s[0], c->s[1], err);
}

static int run_recrypt_deep(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_recrypt_deep(b->m, c->vm, *c->s[0] ? c->s[0] : NULL, c->progress, err);
}

static const struct option_spec create_disk_options[] = {
	OPTION(path, 's'), OPTION(size, 't'), OPTION(provider, 's'), OPTION(dm_flags, 's'), OPTIONS_END
};

static const struct option_spec encrypt_disk_options[] = {
	OPTION(path, 's'), OPTION(format, 's'), OPTION(provider, 's'), OPTION(dm_flags, 's'),
	OPTION(keep_source, 'b'), OPTION(rate, 't'), OPTIONS_END
};

static const struct method vm_methods[] = {
	METHOD("Describe", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_describe, 's'),
	METHOD("Unregister", "register-vm", POOL_ACT, NULL, NULL, LOOK_VM, run_unregister, 0),
	METHOD("Reload", "power", POOL_ACT, NULL, NULL, LOOK_VM, run_reload, 0, .fetches = true),
	METHOD("PowerOn", "power", POOL_ACT, "power-on", NULL, LOOK_VM, run_power_on, 's', .fetches = true),
	METHOD("PowerOff", "power", POOL_ACT, NULL, NULL, LOOK_VM, run_power_off, 0),
	METHOD("Lock", "register-vm", POOL_ACT, "lock", NULL, LOOK_VM, run_lock, 0),
	METHOD("SetAutostart", "manage-autostart", POOL_ACT, NULL, NULL, LOOK_VM, run_set_autostart, 0),
	METHOD("CreateDisk", "add-disk", POOL_ACT, "disk-create", create_disk_options, LOOK_VM,
	  run_create_disk, 0),
	METHOD("EncryptDisk", "encrypt", POOL_COPY, "disk-encrypt", encrypt_disk_options, LOOK_VM,
	  run_encrypt_disk, 0),
	METHOD("AttachDisk", "add-disk", POOL_ACT, NULL, NULL, LOOK_VM, run_attach_disk, 0),
	METHOD("DetachDisk", "add-disk", POOL_ACT, NULL, NULL, LOOK_VM, run_detach_disk, 0),
	METHOD("OpenDisk", "access", POOL_ACT, NULL, NULL, LOOK_VM, run_open_disk, 's', .fetches = true),
	METHOD("CloseDisk", "access", POOL_ACT, NULL, NULL, LOOK_VM, run_close_disk, 0),
	METHOD("SetDiskFlags", "manage-encryption-policy", POOL_ACT, NULL, NULL, LOOK_VM, run_set_flags, 0),
	METHOD("RecryptDeep", "recrypt", POOL_COPY, "recrypt-deep", NULL, LOOK_VM, run_recrypt_deep, 0),
	{ 0 }
};

const struct interface vm_interface = { "org.vmcrypt1.VM", vm_methods };

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED		/* auth.c decides, not a capability */
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable vm_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "s", NULL, offsetof(struct vm_object, self.key), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Name", "s", NULL, offsetof(struct vm_object, name), CHANGES),
	SD_BUS_PROPERTY("Bundle", "s", NULL, offsetof(struct vm_object, bundle), CHANGES),
	SD_BUS_PROPERTY("Power", "s", NULL, offsetof(struct vm_object, power), CHANGES),
	SD_BUS_PROPERTY("KeyState", "s", NULL, offsetof(struct vm_object, key_state), CHANGES),
	SD_BUS_PROPERTY("Provider", "s", NULL, offsetof(struct vm_object, provider), CHANGES),
	SD_BUS_PROPERTY("CryptoState", "s", NULL, offsetof(struct vm_object, crypto_state), CHANGES),
	SD_BUS_PROPERTY("ShowsAs", "s", NULL, offsetof(struct vm_object, shows_as), CHANGES),
	SD_BUS_PROPERTY("Cause", "s", NULL, offsetof(struct vm_object, cause), CHANGES),
	SD_BUS_PROPERTY("Autostart", "b", NULL, offsetof(struct vm_object, autostart), CHANGES),
	SD_BUS_PROPERTY("Alarms", "u", NULL, offsetof(struct vm_object, alarms), CHANGES),
	SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PowerOn", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PowerOff", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Lock", SD_BUS_ARGS("b", now), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("SetAutostart", SD_BUS_ARGS("b", on, "s", unit), SD_BUS_NO_RESULT,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("CreateDisk", SD_BUS_ARGS("s", name, "a{sv}", options),
				SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("EncryptDisk", SD_BUS_ARGS("s", name, "s", source, "a{sv}", options),
				SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("AttachDisk", SD_BUS_ARGS("s", path), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("DetachDisk", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("OpenDisk", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", device),
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("CloseDisk", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("SetDiskFlags", SD_BUS_ARGS("s", name, "s", dm_flags),
				SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RecryptDeep", SD_BUS_ARGS("s", disk), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_VTABLE_END
};

static int find_vm(sd_bus *bus, const char *path, const char *interface, void *data, void **found,
		   sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)interface, (void)e;
	*found = model_find_vm_path(a->model, path);
	return !!*found;
}

/* The disks too: they live below their VMs. */
static int list_vms(sd_bus *bus, const char *prefix, void *data, char ***nodes, sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)prefix, (void)e;
	return model_vm_paths(a->model, nodes);
}

int vm_api_add(struct api *a, struct vmc_error *err)
{
	int r;

	r = sd_bus_add_fallback_vtable(a->bus, NULL, API_PATH "/vm", vm_interface.name, vm_vtable, find_vm, a);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(a->bus, NULL, API_PATH "/vm", list_vms, a);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the VM objects") : 0;
}
