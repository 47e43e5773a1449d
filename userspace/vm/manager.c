// SPDX-License-Identifier: GPL-2.0-or-later
/* Start and end of the manager, and who has which VM. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "boot_id.h"
#include "copy.h"
#include "store.h"
#include "vm_priv.h"

#define UNLOCK_WAIT_S	30

/* Where @id is in the index, or belongs. */
static size_t index_of(const struct vmm *m, const vmc_uuid *id)
{
	size_t low = 0, high = m->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (memcmp(&m->index[mid].id, id, sizeof(*id)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct vm *vm_find(struct vmm *m, const vmc_uuid *id)
{
	size_t i = index_of(m, id);

	return i < m->n && vmc_uuid_equal(&m->index[i].id, id) ? m->index[i].vm : NULL;
}

static struct vm *find_bundle(struct vmm *m, const char *path)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		struct vm *vm = m->vms[i];

		if (vm && !strcmp(vm->bundle, path))
			return vm;
	}
	return NULL;
}

static bool is_which(const struct vm *vm, enum vm_which which)
{
	return which == WHICH_EITHER || vm_is_store(vm) == (which == WHICH_STORES);
}

static struct vm *find_named(struct vmm *m, enum vm_which which, const char *name, size_t *i)
{
	for (; *i < m->n; (*i)++)
		if (!strcmp(m->vms[*i]->row.name, name) && is_which(m->vms[*i], which))
			return m->vms[*i];
	return NULL;
}

static int fail_unknown(struct vmm *m, enum vm_which which, const char *ref, struct vmc_error *err)
{
	enum vm_which other = which == WHICH_VMS ? WHICH_STORES : WHICH_VMS;
	const struct vm *vm;
	vmc_uuid id;
	size_t i = 0;

	vm = vmc_uuid_parse(ref, &id) ? find_named(m, other, ref, &i) : vm_find(m, &id);
	if (vm && vm_is_store(vm)) {
		vmc_fail(err, VMC_ENOENT, "'%s' is a datastore, not a VM", ref);
		vmc_hint(err, "'vmcrypt help datastore' lists what can be done with it");
	} else if (vm) {
		vmc_fail(err, VMC_ENOENT, "'%s' is a VM, not a datastore", ref);
		vmc_hint(err, "'vmcrypt help vm' lists what can be done with it");
	} else if (which == WHICH_STORES) {
		vmc_fail(err, VMC_ENOENT, "there is no datastore '%s' on this host", ref);
		vmc_hint(err, "'vmcrypt datastore list' shows the registered ones, 'vmcrypt datastore register' adds one");
	} else {
		vmc_fail(err, VMC_ENOENT, "there is no VM '%s' on this host", ref);
		vmc_hint(err, "'vmcrypt vm list' shows the registered ones, 'vmcrypt vm register' adds one");
	}
	return VMC_ENOENT;
}

static int find(struct vmm *m, enum vm_which which, const char *ref, struct vm **vm, struct vmc_error *err)
{
	struct vm *found = NULL, *more;
	vmc_uuid id;
	size_t i = 0;

	if (!vmc_uuid_parse(ref, &id))
		found = vm_find(m, &id);
	if (found && !is_which(found, which))
		found = NULL;
	if (!found) {
		found = find_named(m, which, ref, &i);
		i++;
		more = found ? find_named(m, which, ref, &i) : NULL;
		if (more)
			return vmc_fail(err, VMC_EINVAL, "there are several VMs called '%s', among them %s and %s",
					ref, found->id, more->id);
	}
	*vm = found;
	return found ? 0 : fail_unknown(m, which, ref, err);
}

int vm_resolve(struct vmm *m, enum vm_which which, const char *ref, char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct vm *vm;
	int r;

	pthread_mutex_lock(&m->lock);
	r = find(m, which, ref, &vm, err);
	if (!r)
		memcpy(id, vm->id, VMC_UUID_STR);
	pthread_mutex_unlock(&m->lock);
	return r;
}

int vmm_resolve(struct vmm *m, const char *ref, char id[VMC_UUID_STR], struct vmc_error *err)
{
	return vm_resolve(m, WHICH_VMS, ref, id, err);
}

static int fail_busy(const struct vm *vm, const char *what, struct vmc_error *err)
{
	if (vm->busy[0]) {
		vmc_fail(err, VMC_EBUSY, vm_is_store(vm) ? N_("datastore '%s' is busy: %s") :
			 N_("VM '%s' is busy: %s"), vm->row.name, vm->busy);
		vmc_hint(err, "Try again when that is done");
		return VMC_EBUSY;
	}
	vmc_fail(err, VMC_EBUSY, "VM '%s' has an unfinished job (%s), so no %s now", vm->row.name,
		 vm->job_what, what);
	vmc_hint(err, "It goes on when the helper starts again; 'vmcrypt job abandon %s' undoes it", vm->job);
	return VMC_EBUSY;
}

/*
 * An unlock is short, and may be the helper's own, when a provider came back: what
 * somebody asked for comes after it.
 */
static int find_after_unlock(struct vmm *m, enum vm_which which, const char *ref, struct vm **vm,
			     struct vmc_error *err)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += UNLOCK_WAIT_S;
	for (;;) {
		r = find(m, which, ref, vm, err);
		if (r || strcmp((*vm)->busy, "unlock") || atomic_load(&m->stopping) ||
		    pthread_cond_timedwait(&m->dropped, &m->lock, &until))
			return r;
	}
}

int vm_take(struct vmm *m, const char *ref, const char *what, unsigned int flags, struct vm **vm,
	    struct vmc_error *err)
{
	enum vm_which which = flags & TAKE_EITHER ? WHICH_EITHER : flags & TAKE_STORE ? WHICH_STORES : WHICH_VMS;
	int r;

	pthread_mutex_lock(&m->lock);
	r = find_after_unlock(m, which, ref, vm, err);
	if (!r && ((*vm)->busy[0] || ((*vm)->job[0] && !(flags & TAKE_ANY))))
		r = fail_busy(*vm, what, err);
	if (!r && !(flags & TAKE_LOCKED))
		r = vm_must_be_unlocked(m, *vm, what, err);
	if (!r)
		snprintf((*vm)->busy, sizeof((*vm)->busy), "%s", what);
	pthread_mutex_unlock(&m->lock);
	return r;
}

void vm_drop(struct vmm *m, struct vm *vm)
{
	pthread_mutex_lock(&m->lock);
	vm->busy[0] = '\0';
	pthread_cond_broadcast(&m->dropped);
	pthread_mutex_unlock(&m->lock);
}

void vm_set_job(struct vmm *m, struct vm *vm, const char *job, const char *what)
{
	pthread_mutex_lock(&m->lock);
	snprintf(vm->job, sizeof(vm->job), "%s", job);
	snprintf(vm->job_what, sizeof(vm->job_what), "%s", what);
	pthread_mutex_unlock(&m->lock);
}

static int add_locked(struct vmm *m, struct vm *vm, struct vmc_error *err)
{
	struct vm **more, *same = vm_find(m, &vm->uuid);
	struct vm_index *index;
	size_t at, i = 0;

	if (same && vm_is_store(same)) {
		vmc_fail(err, VMC_EEXIST, "a datastore %s is registered already: '%s'", same->id, same->row.name);
		vmc_hint(err, "'vmcrypt datastore unregister %s' first, if that one is gone for good", same->row.name);
		return VMC_EEXIST;
	}
	if (same) {
		vmc_fail(err, VMC_EEXIST, "a VM %s is registered already: '%s', bundle '%s'", same->id,
			 same->row.name, same->bundle);
		vmc_hint(err, "'vmcrypt vm unregister %s' first, if that one is gone for good", same->id);
		return VMC_EEXIST;
	}
	same = vm_is_store(vm) ? find_named(m, WHICH_STORES, vm->row.name, &i) : NULL;
	if (same)
		return vmc_fail(err, VMC_EEXIST, "there is a datastore '%s' already", same->row.name);
	same = find_bundle(m, vm->bundle);
	if (same)
		return vmc_fail(err, VMC_EEXIST, "the bundle '%s' is that of the registered VM '%s' (%s)",
				vm->bundle, same->row.name, same->id);
	more = realloc(m->vms, (m->n + 1) * sizeof(*more));
	if (!more)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	m->vms = more;
	index = realloc(m->index, (m->n + 1) * sizeof(*index));
	if (!index)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	m->index = index;
	at = index_of(m, &vm->uuid);
	memmove(&index[at + 1], &index[at], (m->n - at) * sizeof(*index));
	index[at] = (struct vm_index){ .id = vm->uuid, .vm = vm };
	m->vms[m->n++] = vm;
	return 0;
}

int vm_add(struct vmm *m, enum inv_kind kind, const vmc_uuid *id, const char *name, const char *bundle,
	   const char *what, struct vm **out, struct vmc_error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	vm->uuid = *id;
	vmc_uuid_format(id, vm->id);
	snprintf(vm->bundle, sizeof(vm->bundle), "%s", bundle);
	snprintf(vm->busy, sizeof(vm->busy), "%s", what);
	vm->row.kind = (int)kind;
	memcpy(vm->row.id, vm->id, sizeof(vm->row.id));
	snprintf(vm->row.name, sizeof(vm->row.name), "%s", name);
	memcpy(vm->row.bundle, vm->bundle, sizeof(vm->row.bundle));
	pthread_mutex_lock(&m->lock);
	r = add_locked(m, vm, err);
	pthread_mutex_unlock(&m->lock);
	if (r)
		free(vm);
	else
		*out = vm;
	return r;
}

static void vm_free(struct vm *vm)
{
	bundle_clear(&vm->b);
	json_decref(vm->row.missing);
	free(vm);
}

void vm_forget(struct vmm *m, struct vm *vm)
{
	size_t i, at;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n && m->vms[i] != vm; i++)
		;
	memmove(&m->vms[i], &m->vms[i + 1], (m->n - i - 1) * sizeof(*m->vms));
	at = index_of(m, &vm->uuid);
	memmove(&m->index[at], &m->index[at + 1], (m->n - at - 1) * sizeof(*m->index));
	m->n--;
	pthread_mutex_unlock(&m->lock);
	vm_free(vm);
}

void ids_free(char **ids, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
}

int vm_ids(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, char ***ids, size_t *n_ids,
	   struct vmc_error *err)
{
	size_t i, count, used = 0;
	struct vm *vm;
	char **list;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	count = n ? n : m->n;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; !r && i < count; i++) {
		vm = n ? NULL : m->vms[i];
		if (n)
			r = find(m, which, refs[i], &vm, err);
		if (r || !is_which(vm, which))
			continue;
		list[used] = strdup(vm->id);
		r = list[used] ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
		used++;
	}
	pthread_mutex_unlock(&m->lock);
	if (r) {
		if (list)
			ids_free(list, used);
		return r;
	}
	*ids = list;
	*n_ids = used;
	return 0;
}

/* ---- start and end ------------------------------------------------------ */

static int load_row(const struct inv_vm *row, void *data)
{
	struct vmm *m = data;
	struct vm *vm;
	vmc_uuid id;
	int r;

	if (vmc_uuid_parse(row->id, &id))
		return 0;
	r = vm_add(m, (enum inv_kind)row->kind, &id, row->name, row->bundle, "start", &vm, NULL);
	if (r)
		return r == VMC_EEXIST ? 0 : r;
	vm->row = *row;
	json_incref(vm->row.missing);
	return 0;
}

static void recover_vm(struct vmm *m, struct vm *vm)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char dir[PATH_MAX];

	if (!vm_dir(vm->bundle, dir))
		fs_remove_temps(dir, NULL);
	if (store_closed_below(m, vm))
		log_info("'%s' lies on a datastore that is closed", vm->row.name);
	else if (vm_read(m, vm, &err))
		log_warn("'%s': %s", vm->row.name, err.text);
	power_recover(m, vm);
	lock_recover(m, vm);
	vm_drop(m, vm);
}

/*
 * After the jobs: a bundle that cannot be read does not keep the others from
 * starting. First the datastores: whether they are open must be known of them.
 */
static void recover_vms(struct vmm *m)
{
	size_t i;
	int store;

	for (store = 1; store >= 0; store--)
		for (i = 0; i < m->n; i++)
			if (vm_is_store(m->vms[i]) == store)
				recover_vm(m, m->vms[i]);
}

static int start(struct vmm *m, struct vmc_error *err)
{
	char path[PATH_MAX];
	int r;

	r = fs_mkdirs(m->cfg->state_dir, 0700, err);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/inventory.db", m->cfg->state_dir);
	r = inventory_open(&m->inv, path, err);
	if (!r)
		r = inventory_vm_each(m->inv, load_row, m, err);
	if (!r)
		r = jobs_recover(m, err);
	if (!r)
		recover_vms(m);
	return r;
}

static void make_locks(struct vmm *m)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->alarm_lock, NULL);
	pthread_cond_init(&m->dropped, &attr);
	pthread_condattr_destroy(&attr);
}

int vmm_open(struct vmm **out, const struct vmc_config *cfg, struct vmk *k, struct providers *ps,
	     vmm_event_fn fn, void *data, struct vmc_error *err)
{
	struct vmm *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	m->cfg = cfg;
	m->k = k;
	m->ps = ps;
	m->fn = fn;
	m->data = data;
	m->checkpoint_bytes = COPY_CHECKPOINT_BYTES;
	make_locks(m);
	r = boot_id(m->boot, err);
	if (!r)
		r = start(m, err);
	if (r) {
		vmm_close(m);
		return r;
	}
	*out = m;
	return 0;
}

void vmm_shutdown(struct vmm *m)
{
	atomic_store(&m->stopping, true);
	pthread_mutex_lock(&m->lock);
	pthread_cond_broadcast(&m->dropped);
	pthread_mutex_unlock(&m->lock);
}

void vmm_close(struct vmm *m)
{
	size_t i;

	if (!m)
		return;
	inventory_close(m->inv);
	for (i = 0; i < m->n; i++)
		vm_free(m->vms[i]);
	free(m->vms);
	free(m->index);
	pthread_cond_destroy(&m->dropped);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->alarm_lock);
	free(m);
}
