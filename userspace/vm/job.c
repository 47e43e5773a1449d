// SPDX-License-Identifier: GPL-2.0-or-later
/* The journal: what a job is about to do is on disk before it does it. */
#include <stdlib.h>
#include <string.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/log.h"
#include "../lib/message.h"
#include "vm_priv.h"

static const struct job_kind *const kinds[] = {
	&job_kind_vm_create, &job_kind_store_create, &job_kind_vm_rebuild, &job_kind_disk_create,
	&job_kind_disk_encrypt, &job_kind_recrypt_deep, &job_kind_recrypt_shallow,
};

static const struct job_kind *kind_of(const struct inv_job *job)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->kind, job->kind))
			return kinds[i];
	return NULL;
}

int job_begin(struct vmm *m, const char *kind, const char *vm, json_t *state, struct inv_job *job,
	      struct vmc_error *err)
{
	vmc_uuid id;
	int r;

	memset(job, 0, sizeof(*job));
	job->state = state;
	if (!state)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	r = vmc_uuid_new(&id);
	if (r)
		return vmc_fail(err, r, "no random bytes for a job's id");
	vmc_uuid_format(&id, job->id);
	snprintf(job->kind, sizeof(job->kind), "%s", kind);
	snprintf(job->vm, sizeof(job->vm), "%s", vm);
	r = inventory_job_put(m->inv, job, err);
	if (r)
		job_clear(job);
	return r;
}

int job_save(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	return inventory_job_put(m->inv, job, err);
}

int job_end(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	int r = inventory_job_del(m->inv, job->id, err);

	job_clear(job);
	return r;
}

void job_clear(struct inv_job *job)
{
	json_decref(job->state);
	job->state = NULL;
}

const char *job_text(const struct inv_job *job, const char *key)
{
	const char *s = json_string_value(json_object_get(job->state, key));

	return s ? s : "";
}

uint64_t job_number(const struct inv_job *job, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(job->state, key));

	return n > 0 ? (uint64_t)n : 0;
}

int job_set_text(struct inv_job *job, const char *key, const char *value, struct vmc_error *err)
{
	return json_object_set_new(job->state, key, json_string(value)) ?
		vmc_fail(err, VMC_ENOMEM, "out of memory") : 0;
}

int job_set_number(struct inv_job *job, const char *key, uint64_t value, struct vmc_error *err)
{
	return json_object_set_new(job->state, key, json_integer((json_int_t)value)) ?
		vmc_fail(err, VMC_ENOMEM, "out of memory") : 0;
}

/* ---- the KEK of a job ----------------------------------------------------- */

static int provider_name(struct vmm *m, const char *name, char out[PROVIDER_NAME_MAX + 1],
			 struct vmc_error *err)
{
	struct provider *p;
	int r;

	r = providers_get(m->ps, name, &p, err);
	if (r)
		return r;
	snprintf(out, PROVIDER_NAME_MAX + 1, "%s", p->name);
	provider_put(p);
	return 0;
}

static int record_label(struct vmm *m, struct inv_job *job, const char *provider, const char *label,
			struct vmc_error *err)
{
	int r = job_set_text(job, "kek_provider", provider, err);

	if (!r)
		r = job_set_text(job, "kek_label", label, err);
	return r ? r : job_save(m, job, err);
}

static int record_orphan(struct vmm *m, struct inv_job *job, const char *why, struct vmc_error *err)
{
	const char *id = job_text(job, "kek"), *label = job_text(job, "kek_label");
	struct inv_key key = { 0 };

	if (!id[0] && !label[0])
		return 0;
	snprintf(key.id, sizeof(key.id), "%s", id);
	snprintf(key.provider, sizeof(key.provider), "%s", job_text(job, "kek_provider"));
	snprintf(key.label, sizeof(key.label), "%s", label);
	snprintf(key.note, sizeof(key.note), "%s", why);
	return inventory_key_put(m->inv, &key, err);
}

/* Whether a key has that label, only the provider knows. */
int job_settle_kek(struct vmm *m, struct inv_job *job, struct vmc_error *err)
{
	int r = record_orphan(m, job, N_("perhaps made before an operation was cut short"), err);

	if (!r)
		job_keep_kek(job);
	return r;
}

int job_make_kek(struct vmm *m, struct inv_job *job, const char *provider, const char *vm_name,
		 const char *volume, char id[VMK_KEK_ID_MAX + 1], struct vmc_error *err)
{
	char name[PROVIDER_NAME_MAX + 1], label[256];
	uint8_t kcv[VMK_KCV_LEN];
	int r;

	r = provider_name(m, provider, name, err);
	if (r)
		return r;
	r = job_settle_kek(m, job, err);
	if (r)
		return r;
	snprintf(label, sizeof(label), "vmcrypt %s %s %.8s", vm_name, volume, job->id);
	r = record_label(m, job, name, label, err);
	if (r)
		return r;
	fs_crashpoint("kms: before create");
	r = cache_create(m->k, m->ps, name, label, id, kcv, err);
	fs_crashpoint("kms: created");
	if (r) {
		/* Whether the provider made one we cannot tell; the label stays in the journal. */
		if (r != VMC_ETIMEDOUT && r != VMC_EIO && r != VMC_EUNREACH)
			job_keep_kek(job);
		return r;
	}
	r = job_set_text(job, "kek", id, err);
	if (!r)
		r = job_save(m, job, err);
	if (!r)
		vmm_emit(m, VMM_EV_KEY_CREATED, VMC_MSG_KEY_CREATED, job->vm[0] ? job->vm : NULL,
			 json_pack("{s:s}", "key", id), "Key '%s' was made for '%s', %s", id, vm_name,
			 volume);
	return r;
}

void job_keep_kek(struct inv_job *job)
{
	json_object_del(job->state, "kek");
	json_object_del(job->state, "kek_label");
	json_object_del(job->state, "kek_provider");
}

int job_note_key(struct vmm *m, const char *id, const char *why, struct vmc_error *err)
{
	struct inv_key key = { 0 };
	char name[PROVIDER_KEY_ID_MAX + 1];
	int r;

	r = kek_id_split(id, key.provider, name, err);
	if (r)
		return r;
	snprintf(key.id, sizeof(key.id), "%s", id);
	snprintf(key.note, sizeof(key.note), "%s", why);
	return inventory_key_put(m->inv, &key, err);
}

bool kek_is_used(struct vmm *m, const char *id)
{
	bool used = false;
	size_t i, j;

	pthread_mutex_lock(&m->lock);
	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->vms[i]->b.n; j++)
			used |= wrap_uses(&m->vms[i]->b.v[j], id);
	pthread_mutex_unlock(&m->lock);
	return used;
}

static void tell_orphan(struct vmm *m, const struct inv_job *job, const char *why)
{
	const char *id = job_text(job, "kek"), *label = job_text(job, "kek_label");
	const char *provider = job_text(job, "kek_provider");

	if (id[0]) {
		vmk_kek_del(m->k, id, false, NULL);
		vmm_emit(m, VMM_EV_KEY_ORPHANED, VMC_MSG_KEY_ORPHANED, NULL,
			 json_pack("{s:s}", "key", id), "Key '%s' is not used: %s", id, message_say(why));
	} else if (label[0]) {
		vmm_emit(m, VMM_EV_KEY_ORPHANED, VMC_MSG_KEY_ORPHANED, NULL,
			 json_pack("{s:s, s:s}", "provider", provider, "label", label),
			 "Provider '%s' may have a key named '%s' that is not used: %s", provider, label,
			 message_say(why));
	}
}

int job_end_undone(struct vmm *m, struct inv_job *job, const char *why, struct vmc_error *err)
{
	int r;

	r = inventory_begin(m->inv, err);
	if (r)
		goto out;
	r = record_orphan(m, job, why, err);
	if (!r)
		r = inventory_job_del(m->inv, job->id, err);
	if (r)
		inventory_rollback(m->inv);
	else
		r = inventory_commit(m->inv, err);
	if (!r)
		tell_orphan(m, job, why);
out:
	job_clear(job);
	return r;
}

/* ---- after a kill, and by hand --------------------------------------------- */

struct vm *job_vm(struct vmm *m, const struct inv_job *job)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (!strcmp(m->vms[i]->id, job->vm))
			return m->vms[i];
	return NULL;
}

static void describe(const struct inv_job *job, char *out, size_t n)
{
	const char *volume = job_text(job, "volume");

	snprintf(out, n, "%s%s%s%s", job->kind, volume[0] ? " of '" : "", volume, volume[0] ? "'" : "");
}

void job_settle(struct vmm *m, struct vm *vm, const char *id)
{
	struct inv_job job;
	char what[128];

	if (inventory_job_get(m->inv, id, &job, NULL)) {
		vm_set_job(m, vm, "", "");
		return;
	}
	describe(&job, what, sizeof(what));
	vm_set_job(m, vm, id, what);
	job_clear(&job);
}

static void mark_pending(struct vmm *m, const struct inv_job *job)
{
	struct vm *vm = job_vm(m, job);
	json_t *details;
	char what[128];

	describe(job, what, sizeof(what));
	if (vm)
		vm_set_job(m, vm, job->id, what);
	details = json_pack("{s:s, s:s}", "job", job->id, "kind", job->kind);
	if (vm)
		vmm_emit(m, VMM_EV_JOB_PENDING, VMC_MSG_JOB_PENDING, vm->id, details,
			 "Job %s (%s of VM %s) was cut short and can go on", job->id, what, vm->row.name);
	else
		vmm_emit(m, VMM_EV_JOB_PENDING, VMC_MSG_JOB_PENDING, NULL, details,
			 "Job %s (%s) was cut short and can go on", job->id, what);
}

static void recover_one(struct vmm *m, struct inv_job *job)
{
	const struct job_kind *kind = kind_of(job);
	struct vmc_error err = VMC_ERROR_INIT;
	bool pending = false;
	char id[VMC_UUID_STR];
	int r;

	memcpy(id, job->id, sizeof(id));
	r = kind ? kind->recover(m, job, &pending, &err) :
		vmc_fail(&err, VMC_ENOTSUP, "this release knows no jobs of kind '%s'", job->kind);
	if (r) {	/* left in the journal: the next start tries again */
		log_err("job %s: %s", id, err.text);
		vmm_emit(m, VMM_EV_JOB_FAILED, VMC_MSG_JOB_FAILED, NULL, json_pack("{s:s}", "job", id),
			 "Job %s could not be finished or undone: %s", id, err.text);
	}
	if (pending && !r)
		mark_pending(m, job);
}

int jobs_recover(struct vmm *m, struct vmc_error *err)
{
	struct inv_job *jobs;
	size_t i, n;
	int r;

	r = inventory_jobs(m->inv, &jobs, &n, err);
	if (r)
		return r;
	for (i = 0; i < n; i++)
		recover_one(m, &jobs[i]);
	inventory_jobs_free(jobs, n);
	return 0;
}

static json_t *job_json(struct vmm *m, const struct inv_job *job)
{
	const char *name = NULL;
	char what[128];
	struct vm *vm;
	json_t *o;

	describe(job, what, sizeof(what));
	pthread_mutex_lock(&m->lock);
	vm = job_vm(m, job);
	name = vm ? vm->row.name : NULL;
	o = json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:I, s:I}", "id", job->id, "kind", job->kind,
		      "vm", job->vm[0] ? job->vm : NULL, "name", name, "what", what,
		      "done", (json_int_t)job_number(job, "done"),
		      "total", (json_int_t)job_number(job, "total"));
	pthread_mutex_unlock(&m->lock);
	return o;
}

/* Somebody works on it now. */
static bool running(struct vmm *m, const struct inv_job *job)
{
	struct vm *vm;
	bool busy;

	if (!job->vm[0])
		return atomic_load(&m->rotating);
	pthread_mutex_lock(&m->lock);
	vm = job_vm(m, job);
	busy = vm && vm->busy[0];
	pthread_mutex_unlock(&m->lock);
	return busy;
}

json_t *vmm_jobs_pending(struct vmm *m, struct vmc_error *err)
{
	json_t *list = json_array();
	struct inv_job *jobs;
	size_t i, n;

	if (inventory_jobs(m->inv, &jobs, &n, err)) {
		json_decref(list);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		const struct job_kind *kind = kind_of(&jobs[i]);

		if (kind && kind->resume && !running(m, &jobs[i]) && json_is_true(json_object_get(jobs[i].state, "resumable")))
			json_array_append_new(list, job_json(m, &jobs[i]));
	}
	inventory_jobs_free(jobs, n);
	return list;
}

/* @fn of the kind on the job @id, with its VM taken when it is about one. */
static int with_job(struct vmm *m, const char *id, bool resume, struct progress *p, struct vmc_error *err)
{
	const struct job_kind *kind;
	struct vm *vm = NULL;
	struct inv_job job;
	char what[64];
	int r;

	r = inventory_job_get(m->inv, id, &job, err);
	if (r)
		return r;
	kind = kind_of(&job);
	if (!kind || !kind->resume) {
		job_clear(&job);
		return vmc_fail(err, VMC_ENOTSUP, "job '%s' is not one that can go on", id);
	}
	snprintf(what, sizeof(what), "%s (%s)", job.kind, resume ? "going on" : "being undone");
	r = job.vm[0] ? vm_take(m, job.vm, what, TAKE_ANY | TAKE_LOCKED, &vm, err) : 0;
	if (r) {
		job_clear(&job);
		return r;
	}
	r = resume ? kind->resume(m, vm, &job, p, err) : kind->abandon(m, vm, &job, err);
	job_clear(&job);
	if (vm) {
		job_settle(m, vm, id);
		vm_drop(m, vm);
	}
	return r;
}

int vmm_job_resume(struct vmm *m, const char *id, struct progress *p, struct vmc_error *err)
{
	return with_job(m, id, true, p, err);
}

int vmm_job_abandon(struct vmm *m, const char *id, struct vmc_error *err)
{
	return with_job(m, id, false, NULL, err);
}
