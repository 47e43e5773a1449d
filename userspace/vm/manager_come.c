// SPDX-License-Identifier: GPL-2.0-or-later
/* An encrypted VM comes from another host. See moving.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "moving.h"
#include "register.h"

struct vm_coming {
	struct vmm *m;
	struct vm *vm;
	bool was_registered, wrote_bundle;
	bool begun;			/* what is open, and in the kernel, is of this migration */
};

/* ---- what the other host said ---------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* The bundle in @what, which has the id that @what has. */
static int parse(const json_t *what, struct bundle *b, struct vmc_error *err)
{
	const char *text = text_of(what, "text"), *path = text_of(what, "bundle"), *id = text_of(what, "id");
	char uuid[VMC_UUID_STR];
	int r;

	if (!text || !id || !path || path[0] != '/' || strlen(path) >= PATH_MAX)
		return vmc_fail(err, VMC_EPROTO, "the other host does not tell what the VM is made of");
	r = bundle_parse(text, strlen(text), b, err);
	if (r)
		return r;
	vmc_uuid_format(&b->id, uuid);
	if (!strcmp(uuid, id) && !bundle_is_datastore(b))
		return 0;
	bundle_clear(b);
	return vmc_fail(err, VMC_EPROTO, "the other host sent the bundle of another VM");
}

static int check_volume(const struct bundle *b, const struct bundle_volume *v, const char *bundle,
			struct vmc_error *err)
{
	struct luks_header h;
	char path[PATH_MAX];
	int r = bundle_volume_path(bundle, v->path, path, err);

	if (!r)
		r = volume_check(b, v, path, &h, err);
	if (!r)
		return 0;
	vmc_prefix(err, "disk '%s' of VM '%s' is not to be had on this host: ", v->name, b->name);
	vmc_hint(err, "both hosts must see the same storage at '%s'", path);
	return r;
}

static int not_on_here(struct vmm *m, const struct bundle *b, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	struct vm *vm;
	bool on;

	pthread_mutex_lock(&m->lock);
	vm = vm_find(m, &b->id);
	on = vm && vm->row.on;
	pthread_mutex_unlock(&m->lock);
	if (!on)
		return 0;
	vmc_uuid_format(&b->id, id);
	vmc_fail(err, VMC_ESTATE, "VM '%s' is on, on this host, too", b->name);
	vmc_hint(err, "power it off where it does not run: 'vmcrypt vm power-off %s'", id);
	return VMC_ESTATE;
}

static void add_key(json_t *keys, const struct bundle_volume *v, const struct vmc_error *why)
{
	json_array_append_new(keys, json_pack("{s:s, s:s, s:s*}", "volume", v->name, "from", why ? "sealed" : "provider",
					      "why", why ? why->text : NULL));
}

int vmm_come_check(struct vmm *m, const json_t *what, json_t **keys, struct vmc_error *err)
{
	struct bundle b;
	int r = parse(what, &b, err);

	if (r)
		return r;
	r = not_on_here(m, &b, err);
	for (size_t i = 0; !r && i < b.n; i++)
		r = check_volume(&b, &b.v[i], text_of(what, "bundle"), err);
	if (!r)
		*keys = json_array();
	for (size_t i = 0; !r && i < b.n; i++) {
		struct vmc_error why = VMC_ERROR_INIT;

		add_key(*keys, &b.v[i], keys_ensure_volume(m, &b.v[i], &why) ? &why : NULL);
	}
	bundle_clear(&b);
	return r;
}

/* ---- taking it over --------------------------------------------------------- */

/* Another host says where: no file is made that could be anything but a bundle. */
static int write_bundle(const char *path, const char *text, bool *wrote, struct vmc_error *err)
{
	if (!bundle_is_named(path)) {
		vmc_fail(err, VMC_EINVAL, "'%s' is not here, and cannot be made: it is no name of a bundle", path);
		vmc_hint(err, "copy it to this host first, or give it a name that ends in '%s'", BUNDLE_SUFFIX);
		return VMC_EINVAL;
	}
	*wrote = true;
	return fs_replace(path, text, strlen(text), 0600, err);
}

/* The bundle to its place. One that is there must say the same. */
static int place_bundle(const char *path, const char *text, bool *wrote, struct vmc_error *err)
{
	char *there;
	size_t len;
	int r;

	if (access(path, F_OK))
		return write_bundle(path, text, wrote, err);
	r = fs_read(path, BUNDLE_SIZE_MAX, &there, &len, err);
	if (r)
		return r;
	if (len != strlen(text) || memcmp(there, text, len)) {
		r = vmc_fail(err, VMC_EEXIST, "'%s' is here, too, and is not the same", path);
		vmc_hint(err, "it may be of an earlier time; move it away if this host does not need it");
	}
	free(there);
	return r;
}

static int import_one(struct vm_coming *c, const json_t *key, uint32_t migration, struct vmc_error *err)
{
	const char *volume = text_of(key, "volume"), *kek = text_of(key, "key"), *text = text_of(key, "sealed");
	const struct bundle_volume *v = volume ? bundle_find(&c->vm->b, volume) : NULL;
	uint8_t sealed[VMK_SEALED_LEN], kcv[VMK_KCV_LEN];
	size_t n = 0;

	if (!v || !kek || !wrap_uses(v, kek) || !text || vmc_base64_decode(text, sealed, sizeof(sealed), &n) ||
	    n != sizeof(sealed))
		return vmc_fail(err, VMC_EPROTO, "the other host sent a key that is none of VM '%s'", c->vm->row.name);
	return vmk_dek_import(c->m->k, migration, &c->vm->uuid, volume, kek, sealed, kcv, err);
}

static bool is_sealed(const json_t *sealed, const char *volume)
{
	json_t *key;
	size_t i;

	json_array_foreach((json_t *)sealed, i, key) {
		const char *s = text_of(key, "volume");

		if (s && !strcmp(s, volume))
			return true;
	}
	return false;
}

static int open_one(struct vm_coming *c, const struct bundle_volume *v, bool sealed, unsigned int flags,
		    struct vmc_error *err)
{
	char path[PATH_MAX];
	int r = vm_volume_path(c->vm, v, path, err);

	if (!r && !sealed)
		r = keys_ensure_volume(c->m, v, err);
	return r ? r : volume_open(c->m->k, &c->vm->b, v, path, flags | (sealed ? VOLUME_LOADED : 0), err);
}

static int open_disks(struct vm_coming *c, const json_t *sealed, uint32_t migration, struct vmc_error *err)
{
	struct vm *vm = c->vm;
	json_t *key;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *)sealed, i, key) {
		r = import_one(c, key, migration, err);
		if (r)
			return r;
	}
	for (i = 1; !r && i < vm->b.n; i++)
		r = open_one(c, &vm->b.v[i], is_sealed(sealed, vm->b.v[i].name), VOLUME_SHARED, err);
	return r;
}

/* Registered here before or not, it is ours now, with @b for its bundle. */
static int take(struct vm_coming *c, const struct bundle *b, const char *path, struct vmc_error *err)
{
	char id[VMC_UUID_STR];
	int r;

	vmc_uuid_format(&b->id, id);
	r = vm_take(c->m, id, "migration", TAKE_LOCKED, &c->vm, NULL);
	c->was_registered = !r;
	if (r == VMC_ENOENT)
		r = vm_add(c->m, INV_VM, &b->id, b->name, path, "migration", &c->vm, err);
	else if (r)
		r = vm_take(c->m, id, "migration", TAKE_LOCKED, &c->vm, err);
	if (!r && strcmp(c->vm->bundle, path)) {
		r = vmc_fail(err, VMC_EEXIST, "VM '%s' (%s) is registered here already, from '%s'", b->name, id, c->vm->bundle);
		vmc_hint(err, "'vmcrypt vm unregister %s' first", id);
	}
	return r;
}

static void undo_begun(struct vm_coming *c)
{
	struct vm *vm = c->vm;
	struct vmc_error e = VMC_ERROR_INIT;

	for (size_t i = vm->b.n; i-- > 0;)
		if (volume_close(c->m->k, &vm->uuid, vm->b.v[i].name, false, true, &e))
			log_warn("VM '%s', which did not come: %s", vm->row.name, e.text);
	vmk_vm_del(c->m->k, &vm->uuid, true, NULL);
	if (c->wrote_bundle)
		fs_unlink(vm->bundle, NULL);
}

static void undo(struct vm_coming *c)
{
	if (c->begun)
		undo_begun(c);
	if (c->vm && c->was_registered)
		vm_drop(c->m, c->vm);
	else if (c->vm)
		vm_forget(c->m, c->vm);
	free(c);
}

static int begin(struct vm_coming *c, const json_t *what, const struct bundle *b, const json_t *sealed,
		 uint32_t migration, struct vmc_error *err)
{
	const char *path = text_of(what, "bundle");
	int r = take(c, b, path, err);

	if (!r && c->vm->row.on)
		r = vmc_fail(err, VMC_ESTATE, "VM '%s' is on, on this host, too", b->name);
	if (r)
		return r;
	c->begun = true;
	r = place_bundle(path, text_of(what, "text"), &c->wrote_bundle, err);
	if (!r)
		r = vm_read(c->m, c->vm, err);
	return r ? r : open_disks(c, sealed, migration, err);
}

int vmm_come_begin(struct vmm *m, const json_t *what, const json_t *sealed, uint32_t migration, struct vm_coming **out,
		   struct vmc_error *err)
{
	struct vm_coming *c = calloc(1, sizeof(*c));
	struct bundle b;
	int r;

	if (!c)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	c->m = m;
	r = parse(what, &b, err);
	if (r) {
		free(c);
		return r;
	}
	r = begin(c, what, &b, sealed, migration, err);
	bundle_clear(&b);
	if (r)
		undo(c);
	else
		*out = c;
	return r;
}

int vmm_come_running(struct vm_coming *c, struct vmc_error *err)
{
	int r = register_commit(c->m, c->vm, err);

	if (!r)
		r = vm_set_power(c->m, c->vm, true, err);
	if (!r)
		vm_set_keys_ok(c->m, c->vm);
	return r;
}

void vmm_come_away(struct vm_coming *c)
{
	vm_drop(c->m, c->vm);
	free(c);
}

int vmm_come_home(struct vm_coming *c, struct vmc_error *err)
{
	int r = open_one(c, &c->vm->b.v[0], !vmk_dek_get(c->m->k, &c->vm->uuid, VOLUME_HOME, &(struct vmk_volume){ 0 },
							&(int32_t){ 0 }, NULL), 0, err);

	if (!r)
		r = power_mount_first(c->m, c->vm, err);
	if (!r)
		power_tell_on(c->m, c->vm);
	vmm_come_away(c);
	return r;
}

void vmm_come_cancel(struct vm_coming *c)
{
	undo(c);
}
