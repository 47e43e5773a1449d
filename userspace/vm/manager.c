// SPDX-License-Identifier: GPL-2.0-or-later
/* Start and end of the manager, and who has which VM. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "boot_id.h"
#include "copy.h"
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

static int find(struct vmm *m, const char *ref, struct vm **vm, struct vmc_error *err)
{
	struct vm *found = NULL;
	vmc_uuid id;
	size_t i;

	if (!vmc_uuid_parse(ref, &id))
		found = vm_find(m, &id);
	for (i = 0; !found && i < m->n; i++) {
		if (strcmp(m->vms[i]->row.name, ref))
			continue;
		found = m->vms[i];
		for (i++; i < m->n; i++)
			if (!strcmp(m->vms[i]->row.name, ref))
				return vmc_fail(err, VMC_EINVAL, "there are several VMs called '%s', among them %s and %s",
						ref, found->id, m->vms[i]->id);
	}
	*vm = found;
	if (found)
		return 0;
	vmc_fail(err, VMC_ENOENT, "there is no VM '%s' on this host", ref);
	vmc_hint(err, "'vmcrypt vm list' shows the registered ones, 'vmcrypt vm register' adds one");
	return VMC_ENOENT;
}

int vmm_resolve(struct vmm *m, const char *ref, char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct vm *vm;
	int r;

	pthread_mutex_lock(&m->lock);
	r = find(m, ref, &vm, err);
	if (!r)
		memcpy(id, vm->id, VMC_UUID_STR);
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int fail_busy(const struct vm *vm, const char *what, struct vmc_error *err)
{
	if (vm->busy[0]) {
		vmc_fail(err, VMC_EBUSY, "VM '%s' is busy: %s", vm->row.name, vm->busy);
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
static int find_after_unlock(struct vmm *m, const char *ref, struct vm **vm, struct vmc_error *err)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += UNLOCK_WAIT_S;
	for (;;) {
		r = find(m, ref, vm, err);
		if (r || strcmp((*vm)->busy, "unlock") || atomic_load(&m->stopping) ||
		    pthread_cond_timedwait(&m->dropped, &m->lock, &until))
			return r;
	}
}

int vm_take(struct vmm *m, const char *ref, const char *what, unsigned int flags, struct vm **vm,
	    struct vmc_error *err)
{
	int r;

	pthread_mutex_lock(&m->lock);
	r = find_after_unlock(m, ref, vm, err);
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
	size_t at;

	if (same) {
		vmc_fail(err, VMC_EEXIST, "a VM %s is registered already: '%s', bundle '%s'", same->id,
			 same->row.name, same->bundle);
		vmc_hint(err, "'vmcrypt vm unregister %s' first, if that one is gone for good", same->id);
		return VMC_EEXIST;
	}
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

int vm_add(struct vmm *m, const vmc_uuid *id, const char *name, const char *bundle, const char *what,
	   struct vm **out, struct vmc_error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	vm->uuid = *id;
	vmc_uuid_format(id, vm->id);
	snprintf(vm->bundle, sizeof(vm->bundle), "%s", bundle);
	snprintf(vm->busy, sizeof(vm->busy), "%s", what);
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

static int one_id(struct vmm *m, const char *ref, size_t i, char **id, struct vmc_error *err)
{
	struct vm *vm = NULL;
	int r = 0;

	if (ref)
		r = find(m, ref, &vm, err);
	else
		vm = m->vms[i];
	if (r)
		return r;
	*id = strdup(vm->id);
	return *id ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

int vm_ids(struct vmm *m, const char *const *refs, size_t n, char ***ids, size_t *n_ids, struct vmc_error *err)
{
	size_t i, count;
	char **list;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	count = n ? n : m->n;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		r = vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; !r && i < count; i++)
		r = one_id(m, n ? refs[i] : NULL, i, &list[i], err);
	pthread_mutex_unlock(&m->lock);
	if (r) {
		if (list)
			ids_free(list, count);
		return r;
	}
	*ids = list;
	*n_ids = count;
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
	r = vm_add(m, &id, row->name, row->bundle, "start", &vm, NULL);
	if (r)
		return r == VMC_EEXIST ? 0 : r;
	vm->row = *row;
	json_incref(vm->row.missing);
	return 0;
}

/* After the jobs: a bundle that cannot be read does not keep the others from starting. */
static void recover_vms(struct vmm *m)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		struct vmc_error err = VMC_ERROR_INIT;
		struct vm *vm = m->vms[i];
		char dir[PATH_MAX];

		if (!vm_dir(vm->bundle, dir))
			fs_remove_temps(dir, NULL);
		if (vm_read(m, vm, &err))
			log_warn("VM '%s': %s", vm->row.name, err.text);
		power_recover(m, vm);
		lock_recover(m, vm);
		vm_drop(m, vm);
	}
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
