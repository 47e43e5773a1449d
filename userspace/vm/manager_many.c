// SPDX-License-Identifier: GPL-2.0-or-later
/* Register whatever is below a folder, and unlock it: a host that lost its inventory in one go. */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/luks.h"
#include "../lib/fs.h"
#include "../lib/message.h"
#include "register.h"

#define DEPTH_MAX	16
#define ITEMS_MAX	20000

struct item {
	char *path;			/* of a bundle, or of a volume */
	char id[VMC_UUID_STR];		/* of its VM; "" while not known */
	char name[BUNDLE_NAME_MAX + 1];
	bool header;
	char home_kek[VMK_KEK_ID_MAX + 1];	/* when its home was found, from headers */
	bool registered;
	struct vmc_error err;
};

struct many {
	struct item *items;
	size_t n, room;
	struct key_set keys;
};

static void many_clear(struct many *x)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		free(x->items[i].path);
	free(x->items);
	keys_clear(&x->keys);
}

/* NULL: @err, which is not, says why. */
static struct item *add_item(struct many *x, const char *path, bool header, struct vmc_error *err)
{
	struct item *item = x->items;

	if (x->n == ITEMS_MAX) {
		vmc_fail(err, VMC_EINVAL, "there are more than %d VMs to register: do it folder by folder", ITEMS_MAX);
		return NULL;
	}
	if (x->n == x->room) {
		x->room = x->room ? 2 * x->room : 64;
		item = realloc(x->items, x->room * sizeof(*item));
		if (item)
			x->items = item;
	}
	if (item) {
		item = memset(&x->items[x->n], 0, sizeof(*item));
		item->path = strdup(path);
		item->header = header;
	}
	if (item && item->path) {
		x->n++;
		return item;
	}
	vmc_fail(err, VMC_ENOMEM, "out of memory");
	return NULL;
}

static struct item *find_vm(struct many *x, const char *id)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		if (!strcmp(x->items[i].id, id))
			return &x->items[i];
	return NULL;
}

/* ---- what there is ------------------------------------------------------------ */

/* A bundle that cannot be read is an item all the same: its error is to be seen. */
static int found_bundle(struct many *x, const char *path, struct vmc_error *err)
{
	struct item *item;
	struct bundle b;
	int r;

	item = add_item(x, path, false, err);
	if (!item)
		return err->code;
	if (bundle_read(path, &b, &item->err))
		return 0;
	if (bundle_is_datastore(&b))
		register_refuse_datastore(path, &item->err);
	vmc_uuid_format(&b.id, item->id);
	memcpy(item->name, b.name, sizeof(item->name));
	r = keys_add_bundle(&x->keys, &b, err);
	bundle_clear(&b);
	return r;
}

/* One volume stands for its VM; the neighbours are found when that is rebuilt. */
static int found_volume(struct many *x, const char *path, struct vmc_error *err)
{
	struct bundle_volume v;
	char id[VMC_UUID_STR];
	struct luks_header h;
	struct item *item;
	int r;

	if (luks_read(path, &h, NULL) || !h.has_token || !strcmp(h.token.volume, VOLUME_DATASTORE))
		return 0;
	vmc_uuid_format(&h.token.vm, id);
	memset(&v, 0, sizeof(v));
	volume_keys_of_token(&h.token, &v);
	r = keys_add_volume(&x->keys, &v, err);
	item = find_vm(x, id);
	if (!r && !item) {
		item = add_item(x, path, true, err);
		if (!item)
			return err->code;
		memcpy(item->id, id, sizeof(id));
	}
	if (!r && item && !strcmp(h.token.volume, VOLUME_HOME))
		memcpy(item->home_kek, h.token.kek_id, sizeof(item->home_kek));
	return r;
}

static int visit(struct many *x, FTS *tree, FTSENT *e, bool headers, struct vmc_error *err)
{
	if (e->fts_info == FTS_D && (e->fts_level > DEPTH_MAX || (e->fts_level > 0 && e->fts_name[0] == '.')))
		fts_set(tree, e, FTS_SKIP);
	if (e->fts_info != FTS_F)
		return 0;
	if (headers)
		return bundle_is_named(e->fts_name) ? 0 : found_volume(x, e->fts_path, err);
	return bundle_is_named(e->fts_name) ? found_bundle(x, e->fts_path, err) : 0;
}

static int walk(struct many *x, const char *dir, bool headers, struct progress *p, struct vmc_error *err)
{
	char *const roots[] = { (char *)dir, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;
	int r = 0;

	if (!tree)
		return vmc_fail_errno(err, errno, "cannot look through '%s'", dir);
	while (!r && (errno = 0, e = fts_read(tree))) {
		progress_report(p, "look", x->n, 0);
		r = progress_canceled(p) ? vmc_fail(err, VMC_ECANCELED, "the registration was canceled") :
			visit(x, tree, e, headers, err);
	}
	if (!r && errno)
		r = vmc_fail_errno(err, errno, "cannot look through '%s'", dir);
	fts_close(tree);
	return r;
}

/* Those that are registered, and locked. */
static int add_locked(struct vmm *m, struct many *x, struct vmc_error *err)
{
	struct item *item;
	size_t i;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !r && i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		if (vm_is_store(vm) || vm->row.key_state == VM_KEYS_OK || vm_locked_by_hand(vm) || find_vm(x, vm->id))
			continue;
		item = add_item(x, vm->bundle, false, err);
		if (!item) {
			r = err->code;
			break;
		}
		memcpy(item->id, vm->id, sizeof(item->id));
		memcpy(item->name, vm->row.name, sizeof(item->name));
		r = keys_add_bundle(&x->keys, &vm->b, err);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* ---- registering ------------------------------------------------------------------ */

/* The key was asked for with all others: not once more, a server that does not answer costs its deadline each time. */
static int home_key(const struct many *x, const struct item *item, struct vmc_error *err)
{
	const struct kek_need *need = keys_find_any(&x->keys, item->home_kek);

	if (!need || !need->code)
		return 0;
	*err = need->err;
	return need->code;
}

/* One that is registered has a bundle: that counts. */
static int from_volume(struct vmm *m, const struct many *x, struct item *item, char id[VMC_UUID_STR])
{
	int r = home_key(x, item, &item->err);

	if (r)
		return r;
	return vmm_resolve(m, item->id, id, NULL) ? register_from_headers(m, item->path, id, &item->err) :
	       vmm_reload(m, id, &item->err);
}

static void register_one(struct vmm *m, struct many *x, struct item *item)
{
	char id[VMC_UUID_STR];
	int r = item->err.code;

	if (!r)
		r = item->header ? from_volume(m, x, item, id) :
			register_from_bundle(m, item->path, &x->keys, id, &item->err);
	item->err.code = r;
	if (r)
		return;
	item->registered = true;
	memcpy(item->id, id, sizeof(item->id));
}

static int resolve(struct many *x, struct vmc_error *err)
{
	char real[PATH_MAX], *path;
	size_t i;

	for (i = 0; i < x->n; i++) {
		if (!realpath(x->items[i].path, real)) {
			if (!x->items[i].err.code)
				vmc_fail_errno(&x->items[i].err, errno, "cannot use '%s'", x->items[i].path);
			continue;
		}
		path = strdup(real);
		if (!path)
			return vmc_fail(err, VMC_ENOMEM, "out of memory");
		free(x->items[i].path);
		x->items[i].path = path;
	}
	return 0;
}

static int register_all(struct vmm *m, struct many *x, struct progress *p, struct vmc_error *err)
{
	size_t i;
	int r;

	progress_report(p, "keys", 0, x->keys.n);
	r = keys_fetch(m, &x->keys, err);
	if (!r)
		r = resolve(x, err);
	for (i = 0; !r && i < x->n; i++) {
		progress_report(p, "register", i, x->n);
		if (progress_canceled(p))
			return vmc_fail(err, VMC_ECANCELED, "the registration was canceled; what was registered stays so");
		register_one(m, x, &x->items[i]);
		fs_crashpoint("register: one of many");
	}
	return r;
}

/* ---- unlocking, and what came of it ------------------------------------------------- */

/* Registered, and why it is locked. */
static void note_lock(struct vmm *m, struct item *item)
{
	char text[768];
	size_t i;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++) {
		const struct vm *vm = m->vms[i];

		if (strcmp(vm->id, item->id) || vm->row.key_state == VM_KEYS_OK)
			continue;
		vmc_fail(&item->err, VMC_ESTATE, "%s",
			 message_unpack(vm->row.key_error, text, sizeof(text)));
		if (vm->row.key_state == VM_KEYS_LOCKED)
			vm_explain_lock(m, vm, &item->err);
		else
			vmc_hint(&item->err, "%s",
				 message_unpack(vm->row.key_hint, text, sizeof(text)));
	}
	pthread_mutex_unlock(&m->lock);
}

static int unlock(struct vmm *m, struct many *x, struct progress *p, json_t **out, struct vmc_error *err)
{
	const char **ids = calloc(x->n + 1, sizeof(*ids));
	size_t i, n = 0;
	int r = 0;

	if (!ids)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < x->n; i++) {
		if (x->items[i].registered)
			note_lock(m, &x->items[i]);
		if (x->items[i].registered && !x->items[i].err.code)
			ids[n++] = x->items[i].id;
	}
	if (n)
		r = vmm_unlock(m, ids, n, p, out, err);
	else
		*out = json_pack("{s:[], s:{s:i, s:I}}", "results", "timing", "vms", 0, "kms_ms",
				 (json_int_t)x->keys.ms);
	free(ids);
	return r;
}

/* Those that were unlocked have a result, in the same order; the others get one. */
static void complete(const struct many *x, json_t *out)
{
	json_t *results = json_object_get(out, "results"), *o;
	size_t i, next = 0;

	for (i = 0; i < x->n; i++) {
		const struct item *item = &x->items[i];

		if (item->registered && !item->err.code) {
			o = json_array_get(results, next++);
		} else {
			o = json_pack("{s:s*, s:s*, s:b}", "vm", item->id[0] ? item->id : NULL,
				      "name", item->name[0] ? item->name : NULL, "ok", 0);
			json_set_error(o, &item->err);
			json_array_append_new(results, o);
		}
		json_object_set_new(o, "path", json_string(item->path));
		json_object_set_new(o, "registered", json_boolean(item->registered));
	}
}

int vmm_register_many(struct vmm *m, const char *dir, bool from_headers, struct progress *p, json_t **out,
		      struct vmc_error *err)
{
	struct vmc_error mine = VMC_ERROR_INIT;
	struct many x = { 0 };
	json_t *result = NULL;
	char real[PATH_MAX];
	int r;

	if (!err)
		err = &mine;
	if (!dir || dir[0] != '/')
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", dir ? dir : "");
	if (!realpath(dir, real))
		return vmc_fail_errno(err, errno, "cannot use '%s'", dir);
	r = walk(&x, real, from_headers, p, err);
	if (!r)
		r = add_locked(m, &x, err);
	if (!r)
		r = register_all(m, &x, p, err);
	if (!r)
		r = unlock(m, &x, p, &result, err);
	if (!r)
		complete(&x, result);
	if (!r && out)
		*out = json_incref(result);
	json_decref(result);
	many_clear(&x);
	return r;
}
