// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Datastores: devices that hold the images of many VMs. */
#include "datastore_api.h"

#include <string.h>

#include "../vm/datastore.h"

static int answer(struct call *c, json_t *o, struct vmc_error *err)
{
	return o ? call_answer_json(c, o, err) : err->code;
}

static int run_list(struct call *c, struct backend *b, struct vmc_error *err)
{
	return answer(c, vmm_datastore_list(b->m, err), err);
}

static int run_show(struct call *c, struct backend *b, struct vmc_error *err)
{
	return answer(c, vmm_datastore_show(b->m, c->s[0], err), err);
}

/* What became of it, when @rc says that it is done. */
static int shown(struct call *c, struct backend *b, const char *store, int rc, struct vmc_error *err)
{
	return rc ? rc : answer(c, vmm_datastore_show(b->m, store, err), err);
}

/* "yes" or "no"; not given: as @value is. */
static int read_switch(const char *text, bool *value, struct vmc_error *err)
{
	if (!text)
		return 0;
	*value = !strcmp(text, "yes");
	if (*value || !strcmp(text, "no"))
		return 0;
	return vmc_fail(err, VMC_EINVAL, "autoopen is '%s', and should be yes or no", text);
}

static int describe(const struct call *c, struct vmm_datastore *d, struct vmc_error *err)
{
	bool autoopen = true;
	int rc = read_switch(c->o.autoopen, &autoopen, err);

	*d = (struct vmm_datastore){
		.name = c->s[0], .path = c->s[1], .mount = c->o.mount, .no_autoopen = !autoopen,
		.provider = c->o.provider, .dm_flags = c->o.dm_flags, .fs = c->o.fs, .size = c->o.size,
		.force = c->o.force,
	};
	return rc;
}

static int run_create(struct call *c, struct backend *b, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct vmm_datastore d;
	int rc = describe(c, &d, err);

	if (!rc)
		rc = vmm_datastore_create(b->m, &d, c->progress, id, err);
	return shown(c, b, id, rc, err);
}

static int run_register(struct call *c, struct backend *b, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct vmm_datastore d;
	int rc = describe(c, &d, err);

	if (!rc)
		rc = vmm_datastore_register(b->m, &d, id, err);
	return shown(c, b, id, rc, err);
}

static int run_unregister(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_datastore_unregister(b->m, c->s[0], err);
}

static int run_remove(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_datastore_remove(b->m, c->s[0], err);
}

static int run_open(struct call *c, struct backend *b, struct vmc_error *err)
{
	return shown(c, b, c->s[0], vmm_datastore_open(b->m, c->s[0], c->progress, err), err);
}

static int run_close(struct call *c, struct backend *b, struct vmc_error *err)
{
	return vmm_datastore_close(b->m, c->s[0], err);
}

static int run_set(struct call *c, struct backend *b, struct vmc_error *err)
{
	bool autoopen = false;
	int rc = read_switch(c->o.autoopen, &autoopen, err);

	if (!rc)
		rc = vmm_datastore_set(b->m, c->s[0], c->o.autoopen ? &autoopen : NULL, c->o.mount, err);
	return shown(c, b, c->s[0], rc, err);
}

static int run_unlock(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = vmm_datastore_unlock(b->m, (const char *const *)c->list, c->n_list, c->progress, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int run_recrypt(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct vmm_datastore_recrypt how = {
		.provider = c->o.provider, .add_provider = c->o.add_provider, .remove_provider = c->o.remove_provider,
	};
	json_t *o = NULL;
	int rc;

	if (!!how.provider + !!how.add_provider + !!how.remove_provider > 1)
		return vmc_fail(err, VMC_EINVAL, "provider, add_provider and remove_provider exclude each other");
	rc = vmm_datastore_recrypt(b->m, (const char *const *)c->list, c->n_list, &how, c->progress, &o, err);
	return rc ? rc : call_answer_json(c, o, err);
}

static const struct option_spec create_options[] = {
	OPTION(provider, 's'), OPTION(fs, 's'), OPTION(mount, 's'), OPTION(size, 't'), OPTION(dm_flags, 's'),
	OPTION(autoopen, 's'), OPTION(force, 'b'), OPTIONS_END
};

static const struct option_spec register_options[] = {
	OPTION(mount, 's'), OPTION(dm_flags, 's'), OPTION(autoopen, 's'), OPTIONS_END
};

static const struct option_spec set_options[] = { OPTION(mount, 's'), OPTION(autoopen, 's'), OPTIONS_END };
static const struct option_spec recrypt_options[] = {
	OPTION(provider, 's'), OPTION(add_provider, 's'), OPTION(remove_provider, 's'), OPTIONS_END
};

static const struct method datastore_methods[] = {
	METHOD("ListDatastores", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_list, 's'),
	METHOD("ShowDatastore", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_show, 's'),
	METHOD("CreateDatastore", "encrypt-new", POOL_ACT, "datastore-create", create_options, LOOK_NOT,
	  run_create, 's'),
	METHOD("RegisterDatastore", "register-vm", POOL_ACT, NULL, register_options, LOOK_NOT, run_register, 's'),
	METHOD("UnregisterDatastore", "register-vm", POOL_ACT, NULL, NULL, LOOK_NOT, run_unregister, 0),
	METHOD("RemoveDatastore", "encrypt-new", POOL_ACT, NULL, NULL, LOOK_NOT, run_remove, 0),
	METHOD("OpenDatastore", "access", POOL_ACT, "datastore-open", NULL, LOOK_NOT, run_open, 's',
	  .fetches = true),
	METHOD("CloseDatastore", "access", POOL_ACT, NULL, NULL, LOOK_NOT, run_close, 0),
	METHOD("SetDatastore", "manage-encryption-policy", POOL_ACT, NULL, set_options, LOOK_NOT, run_set, 's'),
	METHOD("UnlockDatastores", "register-vm", POOL_ACT, "unlock", NULL, LOOK_NOT, run_unlock, 's'),
	METHOD("RecryptDatastores", "recrypt", POOL_COPY, "recrypt-shallow", recrypt_options, LOOK_NOT,
	  run_recrypt, 's'),
	{ 0 }
};

const struct interface datastore_interface = { "org.vmcrypt1.Datastores", datastore_methods };

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED		/* auth.c decides, not a capability */
#define NONE SD_BUS_NO_RESULT
#define JSON SD_BUS_RESULT("s", json)
#define STORE SD_BUS_ARGS("s", datastore)

static const sd_bus_vtable datastore_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("ListDatastores", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ShowDatastore", STORE, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("CreateDatastore", SD_BUS_ARGS("s", name, "s", path, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RegisterDatastore", SD_BUS_ARGS("s", name, "s", path, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("UnregisterDatastore", STORE, NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RemoveDatastore", STORE, NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("OpenDatastore", STORE, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("CloseDatastore", STORE, NONE, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("SetDatastore", SD_BUS_ARGS("s", datastore, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("UnlockDatastores", SD_BUS_ARGS("as", datastores), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("RecryptDatastores", SD_BUS_ARGS("as", datastores, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_VTABLE_END
};

int datastore_api_add(struct api *a, struct vmc_error *err)
{
	int r = sd_bus_add_object_vtable(a->bus, NULL, API_PATH, datastore_interface.name, datastore_vtable, &a->self);

	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the datastore interface") : 0;
}
