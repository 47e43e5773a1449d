// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A manager of VMs without VMs, for the tests of the daemon: an inventory in
 * memory, and copies that take as long as the test says. Copies take their
 * number of steps from the option rate (EncryptDisk), 10 ms each. A VM whose name
 * begins with "bare" has no keys on this host until it is powered on. One whose
 * name begins with "loud" raises an alarm when it is powered on, cleared when it
 * is powered off.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../keys/fetch.h"
#include "../lib/events.h"
#include "../lib/fs.h"
#include "../vm/datastore.h"

#define VMS_MAX 64
#define STEP_NS 10000000L

struct mock_vm {
	char id[VMC_UUID_STR], name[64], bundle[256], unit[256];
	bool on, busy, autostart, keys;	/* keys: they are on this host */
	unsigned int n_disks;
	char disks[8][64];
};

struct vmm {
	pthread_mutex_t lock;
	struct vmc_config cfg;
	struct vmk *k;
	vmm_event_fn fn;
	void *data;
	atomic_bool shutdown;
	struct mock_vm vms[VMS_MAX];
	unsigned int n;
};

/* What a real manager keeps on disk: it outlives vmm_close(). */
static struct mock_vm kept[VMS_MAX];
static unsigned int n_kept;
static char pending_job[64];

static void emit(struct vmm *m, const char *type, const char *message_id, const char *vm, const char *text)
{
	struct vmm_event e = { .type = type, .message_id = message_id, .vm = vm, .text = text };

	m->fn(&e, m->data);
}

static json_t *make_alarm(const char *id, const char *name)
{
	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:s, s:[{s:s}, {s:s}], s:s, s:n, s:n}",
			 "id", "a1", "type", "vm-locked", "severity", "critical", "entity", "kind", "vm",
			 "id", id, "name", name, "cause", "kms-error", "text", "VM is locked", "remedy",
			 "vmcrypt vm unlock", "keys", "id", "kms/1", "id", "kms/2", "raised",
			 "2026-01-01T00:00:00Z", "cleared", "acknowledged");
}

static void emit_alarm(struct vmm *m, const char *type, const char *id, const char *name)
{
	json_t *alarm = make_alarm(id, name);
	struct vmm_event e = {
		.type = type, .message_id = VMC_MSG_VM_LOCKED, .vm = id, .text = "an alarm", .details = alarm,
	};

	m->fn(&e, m->data);
	json_decref(alarm);
}

/* With the lock held. */
static struct mock_vm *find(struct vmm *m, const char *vm, struct vmc_error *err)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (!strcmp(m->vms[i].id, vm) || !strcmp(m->vms[i].name, vm))
			return &m->vms[i];
	vmc_fail(err, VMC_ENOENT, "there is no VM '%s'", vm);
	vmc_hint(err, "vmcrypt vm list");
	return NULL;
}

static int need_module(struct vmm *m, struct vmc_error *err)
{
	if (m->k)
		return 0;
	vmc_fail(err, VMC_ENOMODULE, "the kernel module vmcrypt is not loaded");
	vmc_hint(err, "modprobe vmcrypt");
	return VMC_ENOMODULE;
}

int vmm_open(struct vmm **ret, const struct vmc_config *cfg, struct vmk *k, struct providers *ps,
	     vmm_event_fn fn, void *data, struct vmc_error *err)
{
	struct vmm *m = calloc(1, sizeof(*m));
	char path[300];

	(void)ps;
	snprintf(path, sizeof(path), "%s/broken", cfg->state_dir);
	if (!access(path, F_OK)) {
		free(m);
		return vmc_fail(err, VMC_EIO, "the inventory is broken");
	}
	snprintf(path, sizeof(path), "%s/pending-job", cfg->state_dir);
	if (!access(path, F_OK))
		strcpy(pending_job, "job-1");
	pthread_mutex_init(&m->lock, NULL);
	m->cfg = *cfg;
	m->k = k;
	m->fn = fn;
	m->data = data;
	memcpy(m->vms, kept, sizeof(kept));
	m->n = n_kept;
	*ret = m;
	return 0;
}

void vmm_shutdown(struct vmm *m)
{
	atomic_store(&m->shutdown, true);
}

void vmm_close(struct vmm *m)
{
	memcpy(kept, m->vms, sizeof(kept));
	n_kept = m->n;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int vmm_resolve(struct vmm *m, const char *vm, char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct mock_vm *v;

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v)
		memcpy(id, v->id, VMC_UUID_STR);
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

static int add(struct vmm *m, const char *name, const char *uuid, const char *bundle, char id[VMC_UUID_STR],
	       struct vmc_error *err)
{
	struct mock_vm *v;
	vmc_uuid u;

	pthread_mutex_lock(&m->lock);
	if (m->n == VMS_MAX || find(m, name, NULL)) {
		pthread_mutex_unlock(&m->lock);
		return vmc_fail(err, VMC_EEXIST, "there is a VM '%s' already", name);
	}
	v = &m->vms[m->n++];
	memset(v, 0, sizeof(*v));
	vmc_uuid_new(&u);
	vmc_uuid_format(&u, v->id);
	if (uuid)
		snprintf(v->id, sizeof(v->id), "%s", uuid);
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->keys = strncmp(name, "bare", 4);
	snprintf(v->bundle, sizeof(v->bundle), "%s", bundle);
	memcpy(id, v->id, VMC_UUID_STR);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int vmm_create(struct vmm *m, const struct vmm_create *c, struct progress *p, char id[VMC_UUID_STR],
	       struct vmc_error *err)
{
	char bundle[256];
	int rc = need_module(m, err);

	progress_report(p, "formatting", 1, 2);
	snprintf(bundle, sizeof(bundle), "%.100s/%.100s.vmcrypt", c->dir, c->name);
	if (!rc)
		rc = add(m, c->name, c->id, bundle, id, err);
	if (!rc)
		emit(m, VMM_EV_VM_CREATED, VMC_MSG_VM_CREATED, id, "VM made");
	return rc;
}

int vmm_register(struct vmm *m, const char *path, bool from_headers, char id[VMC_UUID_STR], struct vmc_error *err)
{
	const char *name = strrchr(path, '/');
	int rc;

	(void)from_headers;
	rc = add(m, name ? name + 1 : path, NULL, path, id, err);
	if (!rc)
		emit(m, VMM_EV_VM_REGISTERED, VMC_MSG_VM_REGISTERED, id, "VM registered");
	return rc;
}

int vmm_unregister(struct vmm *m, const char *vm, struct vmc_error *err)
{
	struct mock_vm *v;

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v)
		*v = m->vms[--m->n];
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

int vmm_reload(struct vmm *m, const char *vm, struct vmc_error *err)
{
	char id[VMC_UUID_STR];

	return vmm_resolve(m, vm, id, err);
}

static int set_power(struct vmm *m, const char *vm, bool on, struct vmc_error *err)
{
	struct mock_vm *v, was = { .n_disks = 0 };

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v) {
		v->on = on;
		v->keys |= on;
		was = *v;
	}
	pthread_mutex_unlock(&m->lock);
	if (v && !strncmp(was.name, "loud", 4))
		emit_alarm(m, on ? "alarm-raised" : "alarm-cleared", was.id, was.name);
	return v ? 0 : VMC_ENOENT;
}

int vmm_power_on(struct vmm *m, const char *vm, struct progress *p, json_t **out, struct vmc_error *err)
{
	int rc = need_module(m, err);

	(void)p;
	if (!rc)
		rc = set_power(m, vm, true, err);
	if (!rc)
		*out = json_pack("{s:n, s:{}, s:b}", "home", "disks", "may_fetch", !fetch_is_forbidden());
	return rc;
}

int vmm_power_off(struct vmm *m, const char *vm, struct vmc_error *err)
{
	return set_power(m, vm, false, err);
}

int vmm_unlock(struct vmm *m, const char *const *vms, size_t n, struct progress *p, json_t **out,
	       struct vmc_error *err)
{
	int rc = need_module(m, err);

	(void)vms, (void)p;
	if (!rc)
		*out = json_pack("{s:[], s:{s:I}}", "results", "timing", "vms", (json_int_t)n);
	return rc;
}

static json_t *show(const struct mock_vm *v)
{
	json_t *disks = json_array();

	for (unsigned int i = 0; i < v->n_disks; i++)
		json_array_append_new(disks, json_pack("{s:s, s:s, s:s, s:b, s:n, s:s, s:i, s:b}", "name", v->disks[i],
			"path", "/x", "key", "kms/1", "open", v->on, "device", "dm_flags", "", "generation", 1,
			"cached", v->keys));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:b}, s:o, s:b}", "id", v->id, "name", v->name,
			 "bundle", v->bundle, "power", v->on ? "on" : "off", "key_state", "ok", "provider", "kms",
			 "home", "key", "kms/home", "cached", v->keys, "disks", disks, "autostart", v->autostart);
}

json_t *vmm_show(struct vmm *m, const char *vm, struct vmc_error *err)
{
	struct mock_vm *v;
	json_t *o;

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	o = v ? show(v) : NULL;
	pthread_mutex_unlock(&m->lock);
	return o;
}

json_t *vmm_list(struct vmm *m, struct vmc_error *err)
{
	json_t *list = json_array();

	(void)err;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->n; i++)
		json_array_append_new(list, show(&m->vms[i]));
	pthread_mutex_unlock(&m->lock);
	return list;
}

static int add_disk(struct vmm *m, const char *vm, const char *name, struct vmc_error *err)
{
	struct mock_vm *v;

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v && v->n_disks < 8)
		snprintf(v->disks[v->n_disks++], 64, "%s", name);
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

int vmm_disk_create(struct vmm *m, const char *vm, const struct vmm_disk *d, struct progress *p,
		    struct vmc_error *err)
{
	(void)p;
	return add_disk(m, vm, d->name, err);
}

static int copy(struct vmm *m, struct progress *p, uint64_t steps, struct vmc_error *err)
{
	static const struct timespec step = { 0, STEP_NS };

	for (uint64_t i = 0; i < steps; i++) {
		if (progress_canceled(p))
			return vmc_fail(err, VMC_ECANCELED, "the copy was canceled");
		if (atomic_load(&m->shutdown))
			return vmc_fail(err, VMC_ECANCELED, "the copy stopped at a checkpoint");
		progress_report(p, "copying", i, steps);
		nanosleep(&step, NULL);
	}
	progress_report(p, "copying", steps, steps);
	return 0;
}

int vmm_disk_encrypt(struct vmm *m, const char *vm, const struct vmm_disk *d, struct progress *p,
		     struct vmc_error *err)
{
	int rc;

	if (!strcmp(d->source, "/stuck"))	/* a worker that no safe point ends */
		pause();
	rc = copy(m, p, d->rate, err);
	return rc ? rc : add_disk(m, vm, d->name, err);
}

int vmm_disk_attach(struct vmm *m, const char *vm, const char *path, struct vmc_error *err)
{
	return add_disk(m, vm, path, err);
}

int vmm_disk_detach(struct vmm *m, const char *vm, const char *disk, struct vmc_error *err)
{
	struct mock_vm *v;

	(void)disk;
	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v && v->n_disks)
		v->n_disks--;
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

int vmm_disk_open(struct vmm *m, const char *vm, const char *disk, char **device, struct vmc_error *err)
{
	(void)m, (void)vm;
	if (asprintf(device, "/dev/mapper/%s", disk) < 0)
		return vmc_fail(err, VMC_ENOMEM, "no memory");
	return 0;
}

/* The bytes of this text are no UTF-8, as those of a file name may be. */
int vmm_disk_close(struct vmm *m, const char *vm, const char *disk, struct vmc_error *err)
{
	(void)m, (void)vm, (void)disk;
	return vmc_fail(err, VMC_EBUSY, "'/vm/\xff\xfe.img' is in use");
}

int vmm_set_autostart(struct vmm *m, const char *vm, bool on, const char *unit, struct vmc_error *err)
{
	struct mock_vm *v;

	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v) {
		v->autostart = on;
		snprintf(v->unit, sizeof(v->unit), "%s", unit);
	}
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

/* Once in the life of the process, as if that were the host's; "bare" VMs have no keys then, and nobody gives any. */
int vmm_autostart(struct vmm *m, bool ask, struct progress *p, json_t **out, struct vmc_error *err)
{
	json_t *results = json_array();

	(void)ask, (void)p, (void)err;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->n; i++) {
		struct mock_vm *v = &m->vms[i];

		if (!v->autostart || v->on)
			continue;
		v->on = v->keys;
		json_array_append_new(results, json_pack("{s:s, s:s, s:b, s:s*}", "vm", v->id, "name", v->name, "ok",
							 v->keys, "unit", *v->unit ? v->unit : NULL));
	}
	pthread_mutex_unlock(&m->lock);
	*out = json_pack("{s:o}", "results", results);
	return 0;
}

int vmm_autostart_done(struct vmm *m, const char *vm, const struct vmc_error *failed, struct vmc_error *err)
{
	(void)err;
	emit(m, failed ? VMM_EV_VM_NOT_STARTED : VMM_EV_VM_POWERED_ON, VMC_MSG_VM_NOT_STARTED, vm,
	     failed ? failed->text : "its unit was started");
	return 0;
}

/* The arguments come back. */
int vmm_set_policy(struct vmm *m, const struct vmm_policy_set *s, json_t **out, struct vmc_error *err)
{
	(void)m, (void)err;
	*out = json_pack("{s:[], s:i, s:s, s:b}", "results", "n", (int)s->n, "policy", migration_encryption_name(s->policy),
			 "live", s->live);
	return 0;
}

json_t *vmm_policies(struct vmm *m, struct vmc_error *err)
{
	(void)m, (void)err;
	return json_array();
}

int vmm_disk_set_flags(struct vmm *m, const char *vm, const char *disk, const char *flags, struct vmc_error *err)
{
	(void)disk, (void)flags;
	return vmm_reload(m, vm, err);
}

int vmm_recrypt_shallow(struct vmm *m, const char *const *vms, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err)
{
	(void)m, (void)vms, (void)p, (void)err;
	*out = json_pack("{s:I, s:s?}", "n", (json_int_t)n, "provider", provider);
	return 0;
}

int vmm_add_provider(struct vmm *m, const char *const *vms, size_t n, const char *provider, struct progress *p,
		     json_t **out, struct vmc_error *err)
{
	return vmm_recrypt_shallow(m, vms, n, provider, p, out, err);
}

int vmm_remove_provider(struct vmm *m, const char *const *vms, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err)
{
	return vmm_recrypt_shallow(m, vms, n, provider, p, out, err);
}

int vmm_recrypt_deep(struct vmm *m, const char *vm, const char *disk, struct progress *p, struct vmc_error *err)
{
	(void)vm, (void)disk;
	return copy(m, p, 1, err);
}

json_t *vmm_jobs_pending(struct vmm *m, struct vmc_error *err)
{
	(void)m, (void)err;
	if (!pending_job[0])
		return json_array();
	return json_pack("[{s:s, s:s, s:n, s:s, s:s, s:i, s:i}]", "id", pending_job, "kind", "recrypt-shallow",
			 "vm", "name", "", "what", "keys of VMs", "done", 1, "total", 2);
}

int vmm_job_resume(struct vmm *m, const char *id, struct progress *p, struct vmc_error *err)
{
	char path[300];
	int rc;

	(void)id;
	rc = copy(m, p, 50, err);
	if (rc)
		return rc;
	pending_job[0] = '\0';
	snprintf(path, sizeof(path), "%s/pending-job", m->cfg.state_dir);
	return fs_unlink(path, err);
}

int vmm_job_abandon(struct vmm *m, const char *id, struct vmc_error *err)
{
	(void)m;
	return vmc_fail(err, VMC_ENOENT, "there is no job '%s'", id);
}

json_t *vmm_key_list(struct vmm *m, struct vmc_error *err)
{
	(void)m, (void)err;
	return json_pack("[{s:s, s:s, s:[{s:s}]}]", "id", "used/1", "provider", "used", "vms", "name", "web");
}

json_t *vmm_key_show(struct vmm *m, const char *id, struct vmc_error *err)
{
	(void)m;
	vmc_fail(err, VMC_ENOKEY, "no key '%s'", id);
	return NULL;
}

int vmm_key_remove(struct vmm *m, const char *id, bool destroy, bool force, struct vmc_error *err)
{
	(void)m;
	return force ? 0 : vmc_fail(err, VMC_EBUSY, "key '%s' is in use%s", id, destroy ? ", not destroyed" : "");
}

json_t *vmm_alarms(struct vmm *m, bool history, struct vmc_error *err)
{
	json_t *list = json_array();

	(void)err;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->n; i++)
		if (!strncmp(m->vms[i].name, "loud", 4) && (m->vms[i].on || history))
			json_array_append_new(list, make_alarm(m->vms[i].id, m->vms[i].name));
	pthread_mutex_unlock(&m->lock);
	return list;
}

int vmm_alarm_acknowledge(struct vmm *m, const char *id, const char *who, struct vmc_error *err)
{
	if (id && strcmp(id, "a1"))
		return vmc_fail(err, VMC_ENOENT, "no alarm '%s' is raised", id);
	emit_alarm(m, "alarm-acknowledged", who, id ? id : "all");
	return 0;
}

int vmm_alarm_raise(struct vmm *m, const struct vmm_alarm *a, struct vmc_error *err)
{
	(void)err;
	emit_alarm(m, "alarm-raised", "", a->type);
	return 0;
}

int vmm_alarm_clear(struct vmm *m, const char *type, const char *entity_kind, const char *entity_id,
		    struct vmc_error *err)
{
	(void)entity_kind, (void)entity_id, (void)err;
	emit_alarm(m, "alarm-cleared", "", type);
	return 0;
}

void vmm_attested(struct vmm *m, const struct vmm_attestation *at)
{
	emit(m, VMM_EV_ATTESTATION, VMC_MSG_ATTESTATION_PASSED, NULL, at->outcome);
}

/* A file "sick" in the state folder: key provider "kms" is down. Each check is counted in "checks". */
int vmm_health(struct vmm *m, json_t **out, struct vmc_error *err)
{
	static int checks;
	char path[300], text[16];
	bool ok;

	snprintf(path, sizeof(path), "%s/sick", m->cfg.state_dir);
	ok = access(path, F_OK);
	*out = json_pack("{s:[{s:s, s:s, s:b, s:i}], s:[], s:[], s:[]}", "providers", "name", "kms", "kind", "kmip",
			 "ok", ok, "latency_ms", 5, "keys", "unlocked", "would_lock");
	snprintf(path, sizeof(path), "%s/checks", m->cfg.state_dir);
	snprintf(text, sizeof(text), "%d\n", ++checks);
	return fs_replace(path, text, strlen(text), 0600, err);
}

json_t *vmm_forecast(struct vmm *m, struct vmc_error *err)
{
	(void)m, (void)err;
	return json_pack("{s:[], s:i}", "vms", "ok", (int)m->n);
}

int vmm_register_many(struct vmm *m, const char *dir, bool from_headers, struct progress *p, json_t **out,
		      struct vmc_error *err)
{
	(void)m, (void)p, (void)err;
	*out = json_pack("{s:[{s:s, s:b}], s:{}}", "results", "name", dir, "ok", from_headers, "timing");
	return 0;
}

int vmm_lock(struct vmm *m, const char *vm, bool now, struct progress *p, struct vmc_error *err)
{
	struct mock_vm *v;

	(void)p;
	pthread_mutex_lock(&m->lock);
	v = find(m, vm, err);
	if (v) {
		v->on &= now;
		v->keys = false;
	}
	pthread_mutex_unlock(&m->lock);
	return v ? 0 : VMC_ENOENT;
}

/* There are 2500 events, of VM "a" and VM "b" in turn. */
json_t *vmm_events_since(struct vmm *m, int64_t after, unsigned int limit, const struct vmm_event_filter *f,
			 struct vmc_error *err)
{
	json_t *list = json_array();

	(void)m, (void)err;
	for (int64_t id = after + 1; id <= 2500 && json_array_size(list) < limit; id++)
		if (!f->vm || !strcmp(f->vm, id % 2 ? "a" : "b"))
			json_array_append_new(list, json_pack("{s:I}", "id", (json_int_t)id));
	return list;
}

json_t *vmm_events(struct vmm *m, unsigned int limit, struct vmc_error *err)
{
	(void)m, (void)err;
	return json_pack("[{s:i}]", "limit", (int)limit);
}

/* ---- datastores: there is one, called "fast", without a key on this host until it is opened ------- */

static bool store_is_open;

static int store_find(const char *store, struct vmc_error *err)
{
	return strcmp(store, "fast") ? vmc_fail(err, VMC_ENOENT, "there is no datastore '%s'", store) : 0;
}

json_t *vmm_datastore_show(struct vmm *m, const char *store, struct vmc_error *err)
{
	(void)m;
	return store_find(store, err) ? NULL :
	       json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "id", "fast", "name", "fast", "state",
			 store_is_open ? "open" : "closed", "key", "kms/fast", "cached", store_is_open, "may_fetch",
			 !fetch_is_forbidden());
}

json_t *vmm_datastore_list(struct vmm *m, struct vmc_error *err)
{
	return json_pack("[o]", vmm_datastore_show(m, "fast", err));
}

int vmm_datastore_create(struct vmm *m, const struct vmm_datastore *d, struct progress *p, char id[VMC_UUID_STR],
			 struct vmc_error *err)
{
	(void)m, (void)p;
	snprintf(id, VMC_UUID_STR, "fast");
	return d->no_autoopen ? vmc_fail(err, VMC_EEXIST, "'%s' holds %s", d->path, d->fs) : 0;
}

int vmm_datastore_register(struct vmm *m, const struct vmm_datastore *d, char id[VMC_UUID_STR], struct vmc_error *err)
{
	return vmm_datastore_create(m, d, NULL, id, err);
}

int vmm_datastore_unregister(struct vmm *m, const char *store, struct vmc_error *err)
{
	(void)m;
	return store_find(store, err);
}

int vmm_datastore_remove(struct vmm *m, const char *store, struct vmc_error *err)
{
	(void)m;
	return store_find(store, err);
}

int vmm_datastore_open(struct vmm *m, const char *store, struct progress *p, struct vmc_error *err)
{
	(void)m, (void)p;
	store_is_open = true;
	return store_find(store, err);
}

int vmm_datastore_close(struct vmm *m, const char *store, struct vmc_error *err)
{
	(void)m;
	store_is_open = false;
	return store_find(store, err);
}

int vmm_datastore_set(struct vmm *m, const char *store, const bool *autoopen, const char *mount, struct vmc_error *err)
{
	(void)m, (void)autoopen, (void)mount;
	return store_find(store, err);
}

int vmm_datastore_unlock(struct vmm *m, const char *const *stores, size_t n, struct progress *p, json_t **out,
			 struct vmc_error *err)
{
	(void)m, (void)stores, (void)p, (void)err;
	*out = json_pack("{s:[{s:s, s:b}], s:I}", "results", "name", "fast", "ok", 1, "n", (json_int_t)n);
	return 0;
}

int vmm_datastore_recrypt(struct vmm *m, const char *const *stores, size_t n, const struct vmm_datastore_recrypt *how,
			  struct progress *p, json_t **out, struct vmc_error *err)
{
	(void)how;
	return vmm_datastore_unlock(m, stores, n, p, out, err);
}

int vmm_datastores_autoopen(struct vmm *m, struct vmc_error *err)
{
	(void)m, (void)err;
	return 0;
}
