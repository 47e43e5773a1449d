// SPDX-License-Identifier: GPL-2.0-or-later
/* An encrypted VM goes to another host. See moving.h. */
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "moving.h"
#include "register.h"

struct vm_leaving {
	struct vmm *m;
	struct vm *vm;
};

static json_t *describe_volume(const struct vm *vm, const struct bundle_volume *v, struct vmc_error *err)
{
	char path[PATH_MAX];

	if (vm_volume_path(vm, v, path, err))
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s}", "name", v->name, "path", path, "luks_uuid", v->luks_uuid, "key", v->kek_id);
}

static int describe(const struct vm *vm, json_t **out, struct vmc_error *err)
{
	json_t *volumes = json_array(), *o = NULL;
	char *text = NULL;
	size_t len;
	int r;

	r = fs_read(vm->bundle, BUNDLE_SIZE_MAX, &text, &len, err);
	for (size_t i = 0; !r && i < vm->b.n; i++)
		if (json_array_append_new(volumes, describe_volume(vm, &vm->b.v[i], err)))
			r = err && err->code ? err->code : VMC_ENOMEM;
	if (!r)
		o = json_pack("{s:s, s:s, s:s, s:s, s:O}", "id", vm->id, "name", vm->row.name, "bundle", vm->bundle, "text",
			      text, "volumes", volumes);
	json_decref(volumes);
	free(text);
	if (r)
		return r;
	*out = o;
	return o ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for what VM '%s' is made of", vm->row.name);
}

static int check(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	int r = vm_must_be_unlocked(m, vm, "migrate", err);

	if (!r && !vm->row.on) {
		vmc_fail(err, VMC_ESTATE, "VM '%s' is off: there is nothing to migrate", vm->row.name);
		vmc_hint(err, "'vmcrypt vm unregister' here and 'vmcrypt vm register' there move it; or power it on first");
		return VMC_ESTATE;
	}
	return r ? r : vm_read(m, vm, err);
}

int vmm_leave_begin(struct vmm *m, const char *ref, struct vm_leaving **out, json_t **what, struct vmc_error *err)
{
	struct vm_leaving *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	l->m = m;
	r = vm_take(m, ref, "migration", 0, &l->vm, err);
	if (!r) {
		r = check(m, l->vm, err);
		if (!r)
			r = describe(l->vm, what, err);
		if (r)
			vm_drop(m, l->vm);
	}
	if (r)
		free(l);
	else
		*out = l;
	return r;
}

static int seal(struct vm_leaving *l, uint32_t migration, const char *volume, json_t *to, struct vmc_error *err)
{
	uint8_t sealed[VMK_SEALED_LEN];
	char kek[VMK_KEK_ID_MAX + 1], text[2 * VMK_SEALED_LEN];
	int r;

	if (!volume || !bundle_find(&l->vm->b, volume))
		return vmc_fail(err, VMC_EPROTO, "the other host wants the key of a volume that VM '%s' does not have",
				l->vm->row.name);
	r = vmk_dek_export(l->m->k, migration, &l->vm->uuid, volume, kek, sealed, err);
	if (r)
		return r;
	vmc_base64_encode(sealed, sizeof(sealed), text);
	json_array_append_new(to, json_pack("{s:s, s:s, s:s}", "volume", volume, "key", kek, "sealed", text));
	return 0;
}

int vmm_leave_keys(struct vm_leaving *l, uint32_t migration, const json_t *volumes, json_t **keys,
		   struct vmc_error *err)
{
	json_t *list = json_array(), *v;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *)volumes, i, v) {
		r = seal(l, migration, json_string_value(v), list, err);
		if (r)
			break;
	}
	if (r)
		json_decref(list);
	else
		*keys = list;
	return r;
}

int vmm_leave_end(struct vm_leaving *l, bool moved, struct vmc_error *err)
{
	struct vmm *m = l->m;
	struct vm *vm = l->vm;
	int r = 0;

	free(l);
	if (moved) {
		r = power_off(m, vm, err);
		if (!r)
			r = register_forget(m, vm, err);
		if (!r)
			return 0;
	}
	vm_drop(m, vm);
	return r;
}
