/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the manager share. Nobody else includes it. */
#ifndef VMC_VM_PRIV_H
#define VMC_VM_PRIV_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "../lib/events.h"
#include "bundle.h"
#include "cause.h"
#include "inventory.h"
#include "manager.h"
#include "volume.h"
#include "wrap.h"

enum vm_key_state { VM_KEYS_OK, VM_KEYS_LOCKED, VM_KEYS_DISK_MISSING };

/*
 * A registered VM; or a datastore, whose one volume stands where a VM's home
 * does, and whose "on" means open. The manager's lock guards every field; only the thread that
 * took the VM changes them, and reads them without the lock.
 */
struct vm {
	vmc_uuid uuid;
	char id[VMC_UUID_STR];
	char bundle[PATH_MAX];		/* path of NAME.vmcrypt */
	struct bundle b;		/* as last read; n is 0 while it cannot be read */
	struct inv_vm row;		/* as in the inventory */
	char busy[192];			/* what has it; "" nothing */
	char job[VMC_UUID_STR];		/* pending job that keeps it; "" none */
	char job_what[128];
};

struct vm_index {
	vmc_uuid id;
	struct vm *vm;
};

struct vmm {
	const struct vmc_config *cfg;
	struct vmk *k;
	struct providers *ps;
	struct inventory *inv;
	vmm_event_fn fn;
	void *data;
	atomic_bool stopping;
	uint64_t checkpoint_bytes;	/* how much a copy writes between two words to the journal */
	atomic_bool examining;		/* a health check runs */
	atomic_bool rotating;		/* a shallow recrypt runs: one at a time */
	char boot[VMC_UUID_STR];	/* this start of the host */
	pthread_mutex_t alarm_lock;	/* no other is taken under it but the inventory's */
	pthread_mutex_t lock;
	pthread_cond_t dropped;		/* a VM is busy no more */
	struct vm **vms;		/* as they came */
	struct vm_index *index;		/* the same by id */
	size_t n;
};

/* ---- manager.c: who has which VM --------------------------------------- */

#define TAKE_ANY	0x1u	/* also one that a pending job keeps */
#define TAKE_LOCKED	0x2u	/* also one that is locked */
#define TAKE_STORE	0x4u	/* a datastore, and no VM */
#define TAKE_EITHER	0x8u	/* by its UUID */

/* Which are meant; VMs and datastores have their names apart. */
enum vm_which { WHICH_VMS, WHICH_STORES, WHICH_EITHER };

static inline bool vm_is_store(const struct vm *vm)
{
	return vm->row.kind == INV_DATASTORE;
}

/* The one with that id, or NULL. With the manager's lock held. */
struct vm *vm_find(struct vmm *m, const vmc_uuid *id);
/* Take @ref (UUID or name) for @what, for this thread alone. VMC_ENOENT, VMC_EINVAL (ambiguous), VMC_EBUSY, VMC_ESTATE. */
int vm_take(struct vmm *m, const char *ref, const char *what, unsigned int flags, struct vm **vm,
	    struct vmc_error *err);
void vm_drop(struct vmm *m, struct vm *vm);
/* A new one, taken; not in the inventory. VMC_EEXIST. */
int vm_add(struct vmm *m, enum inv_kind kind, const vmc_uuid *id, const char *name, const char *bundle,
	   const char *what, struct vm **vm, struct vmc_error *err);
/* The id of the VM or datastore @ref. */
int vm_resolve(struct vmm *m, enum vm_which which, const char *ref, char id[VMC_UUID_STR], struct vmc_error *err);
void vm_forget(struct vmm *m, struct vm *vm);	/* taken; frees it */
/* Ids of those that @refs name, or of all with @n 0. Free with ids_free(). */
int vm_ids(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, char ***ids, size_t *n_ids,
	   struct vmc_error *err);
void ids_free(char **ids, size_t n);

/* A pending job keeps @vm (or, "", no longer). */
void vm_set_job(struct vmm *m, struct vm *vm, const char *job, const char *what);

/* ---- vm_state.c: bundle and states of a VM that was taken ---------------- */

/* Read the bundle anew and see that it is this VM's; not authenticated yet. */
int vm_read(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* Sign @b with its serial one higher, write it, make it the VM's. @b is taken over or cleared. */
int vm_save(struct vmm *m, struct vm *vm, struct bundle *b, struct vmc_error *err);
/* The same without telling the inventory. */
int vm_write(struct vmm *m, struct vm *vm, struct bundle *b, struct vmc_error *err);
/* Make @b, which is on disk already, the VM's. */
void vm_adopt(struct vmm *m, struct vm *vm, struct bundle *b);
/* @row, which is a copy of the VM's, into the inventory, and then the VM's. */
int vm_put_row(struct vmm *m, struct vm *vm, const struct inv_vm *row, struct vmc_error *err);
int vm_set_power(struct vmm *m, struct vm *vm, bool on, struct vmc_error *err);
/* What an attempt to get the keys of a VM gave. */
struct key_verdict {
	enum vm_key_state state;
	enum vm_cause cause;
	bool suspended;
	const struct vmc_error *why;	/* NULL when the state is OK */
	json_t *missing;		/* see missing.h; taken over */
};
/*
 * Remember it and, on a change, tell: event, alarm. A VM that is on has its keys,
 * whatever became of those of its provider: nothing makes it locked. One that was
 * locked by hand stays so until @v says that all is well.
 */
void vm_set_keys(struct vmm *m, struct vm *vm, const struct key_verdict *v);
void vm_set_keys_ok(struct vmm *m, struct vm *vm);
/* Why @vm, which is locked, is so goes before the text of @err, and what to do into its hint. */
void vm_explain_lock(const struct vmm *m, const struct vm *vm, struct vmc_error *err);
/* The sentence for its cause. */
const char *vm_why_locked(const struct vmm *m, const struct vm *vm);
/* What to do about its key state, with names; "" when all is well. */
void vm_remedy(const struct vm *vm, char *out, size_t n);
bool vm_locked_by_hand(const struct vm *vm);
/* VMC_ESTATE with cause and remedy when @vm is locked; @what was wanted. */
int vm_must_be_unlocked(const struct vmm *m, const struct vm *vm, const char *what, struct vmc_error *err);
int vm_must_be_off(const struct vm *vm, const char *what, struct vmc_error *err);
int vm_volume_path(const struct vm *vm, const struct bundle_volume *v, char out[PATH_MAX],
		   struct vmc_error *err);
void vm_mount_point(const struct vmm *m, const struct vm *vm, char out[PATH_MAX]);
int vm_dir(const char *bundle_path, char out[PATH_MAX]);

/* Into @o: code, error and hint of @err. */
void json_set_error(json_t *o, const struct vmc_error *err);

/* ---- vm_keys.c: KEKs of one or many VMs ---------------------------------- */

/* @second is asked for when @first cannot be had, or is not the key with @kcv. */
struct key_spare {
	char first[VMK_KEK_ID_MAX + 1], second[VMK_KEK_ID_MAX + 1];
	uint8_t kcv[VMK_KCV_LEN];
};

struct key_set {
	struct kek_need *needs;		/* sorted by id once fetched, each once */
	size_t n, room;
	struct key_spare *spares;
	size_t n_spares, spare_room;
	size_t fetched;			/* of them, from servers */
	bool states_only;		/* they were asked about, not fetched: no kcv is known */
	uint64_t ms;			/* how long that took */
};

int keys_add(struct key_set *s, const char *kek_id, struct vmc_error *err);
/* The key of @v; that of its second wrap is asked for at need. */
int keys_add_volume(struct key_set *s, const struct bundle_volume *v, struct vmc_error *err);
int keys_add_bundle(struct key_set *s, const struct bundle *b, struct vmc_error *err);
/* Each volume that has two wraps uses the one whose key is there, rather the first. */
void keys_pick(const struct key_set *s, struct bundle *b);
/* One cache_ensure() for all, and one for the spares of those that failed. Fails only when nothing could be tried; else see keys_check(). */
int keys_fetch(struct vmm *m, struct key_set *s, struct vmc_error *err);
/* Is the KEK of @v there, and the right one? */
int keys_check(const struct key_set *s, const struct bundle_volume *v, struct vmc_error *err);
/* Each once, in the order that keys_find() needs; keys_fetch() does it. */
void keys_sort(struct key_set *s);
/* What became of @kek_id; NULL when it was not asked for. */
const struct kek_need *keys_find(const struct key_set *s, const char *kek_id);
/* The same, or its spare's when that came and it did not. */
const struct kek_need *keys_find_any(const struct key_set *s, const char *kek_id);
void keys_clear(struct key_set *s);
/* Just this one, or the one of @v, which must be the right one. */
int keys_ensure(struct vmm *m, const char *kek_id, struct vmc_error *err);
int keys_ensure_volume(struct vmm *m, const struct bundle_volume *v, struct vmc_error *err);

/*
 * The VM key: fetch it, check the bundle with it, mark the VM locked or not.
 * @all: the keys of all disks too, each of which must be there.
 */
int vm_authenticate(struct vmm *m, struct vm *vm, bool all, struct vmc_error *err);
/* The same with keys that are fetched already. */
int vm_check_keys(struct vmm *m, struct vm *vm, const struct key_set *s, bool all, struct vmc_error *err);
/* Mark @vm with what those keys of its that are in @s make of it; the others count as there. */
void vm_judge_keys(struct vmm *m, struct vm *vm, const struct key_set *s);
/* The key of one disk, with the words for it when it is missing. */
int vm_check_disk_key(struct vmm *m, struct vm *vm, const struct key_set *s,
		      const struct bundle_volume *v, struct vmc_error *err);
/* vm_read() and vm_authenticate(). */
int vm_load(struct vmm *m, struct vm *vm, bool all, struct vmc_error *err);

/* ---- manager_unlock.c ------------------------------------------------------------ */

/* vmm_unlock() of VMs, datastores, or both. */
int unlock_many(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, struct progress *p,
		json_t **out, struct vmc_error *err);

/* ---- manager_recrypt.c ----------------------------------------------------------- */

enum recrypt_mode { RECRYPT_ROTATE, RECRYPT_ADD, RECRYPT_REMOVE };

/* vmm_recrypt_shallow(), vmm_add_provider(), vmm_remove_provider() of VMs or datastores. */
int recrypt_many(struct vmm *m, enum vm_which which, const char *const *refs, size_t n, enum recrypt_mode mode,
		 const char *provider, struct progress *p, json_t **out, struct vmc_error *err);

/* ---- manager_lock.c -------------------------------------------------------------- */

/* At start, after power_recover(): what a kill left of locking a VM by hand is finished. */
void lock_recover(struct vmm *m, struct vm *vm);
/* The DEKs of @vm, locked by hand, are loaded: its mappings get their keys back and go on; it is unlocked. */
int lock_lift(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* @kek_id was taken from this host by force: VMs that are off and need it lock. @destroyed: from its provider, too. */
void lock_for_want_of(struct vmm *m, const char *kek_id, bool destroyed);

/* ---- job.c: the journal ---------------------------------------------------- */

#define JOB_VM_CREATE		"vm-create"
#define JOB_STORE_CREATE	"datastore-create"
#define JOB_VM_REBUILD		"vm-rebuild"
#define JOB_DISK_CREATE		"disk-create"
#define JOB_DISK_ENCRYPT	"disk-encrypt"
#define JOB_RECRYPT_DEEP	"recrypt-deep"
#define JOB_RECRYPT_SHALLOW	"recrypt-shallow"

/* Start one with @state, which is taken over. */
int job_begin(struct vmm *m, const char *kind, const char *vm, json_t *state, struct inv_job *job,
	      struct vmc_error *err);
int job_save(struct vmm *m, struct inv_job *job, struct vmc_error *err);
/* It is done: drop it from the journal. */
int job_end(struct vmm *m, struct inv_job *job, struct vmc_error *err);
void job_clear(struct inv_job *job);
const char *job_text(const struct inv_job *job, const char *key);	/* "" when not there */
uint64_t job_number(const struct inv_job *job, const char *key);
int job_set_text(struct inv_job *job, const char *key, const char *value, struct vmc_error *err);
int job_set_number(struct inv_job *job, const char *key, uint64_t value, struct vmc_error *err);

/*
 * A new KEK for this job: its label is in the journal before the provider is
 * asked, its id before anything is encrypted with it. Journal: "kek_label",
 * "kek_provider", "kek".
 */
int job_make_kek(struct vmm *m, struct inv_job *job, const char *provider, const char *vm_name,
		 const char *volume, char id[VMK_KEK_ID_MAX + 1], struct vmc_error *err);
/* Undone: remember the KEK that the job made, for somebody to remove; and drop the job. */
int job_end_undone(struct vmm *m, struct inv_job *job, const char *why, struct vmc_error *err);
/* What is known of a KEK whose making was cut short goes to "key list". Not saved. */
int job_settle_kek(struct vmm *m, struct inv_job *job, struct vmc_error *err);
/* @id is not used by any VM any more, or never was: a note for "key list", part of the caller's transaction. */
int job_note_key(struct vmm *m, const char *id, const char *why, struct vmc_error *err);
/* A bundle of this host uses it. */
bool kek_is_used(struct vmm *m, const char *id);
/* The KEK of the job is in use from now on: forget that it made one. Not saved. */
void job_keep_kek(struct inv_job *job);

/* After work on a job: does it still keep @vm? */
void job_settle(struct vmm *m, struct vm *vm, const char *id);
/* Its VM, or NULL. */
struct vm *job_vm(struct vmm *m, const struct inv_job *job);

/* What vmm_open() and the job verbs do with a job. */
struct job_kind {
	const char *kind;
	/* After a kill: finish or undo what can be; *@pending when it must go on later. No server is asked. */
	int (*recover)(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err);
	/* NULL for kinds that never stay. @vm is taken; NULL for a job about many. */
	int (*resume)(struct vmm *m, struct vm *vm, struct inv_job *job, struct progress *p,
		      struct vmc_error *err);
	int (*abandon)(struct vmm *m, struct vm *vm, struct inv_job *job, struct vmc_error *err);
};
extern const struct job_kind job_kind_vm_create, job_kind_store_create, job_kind_vm_rebuild, job_kind_disk_create,
	job_kind_disk_encrypt, job_kind_recrypt_deep, job_kind_recrypt_shallow;
int jobs_recover(struct vmm *m, struct vmc_error *err);

/* ---- manager_make.c: a new volume, journalled -------------------------------- */

/*
 * The state of a job that makes a volume: where it will be, before it is there.
 * Keys "volume", "path", "block", "bundle". VMC_EEXIST when the path is taken.
 */
json_t *make_state(const char *volume, const char *path, const char *bundle, struct vmc_error *err);
/* The container of @job, under a KEK that is cached; journal: "v", which is @v. @dm_flags NULL: from the config. */
struct make_spec {
	const vmc_uuid *vm;
	const char *kek_id, *dm_flags;
	uint64_t size, generation;
	bool reserve;
};
int make_volume(struct vmm *m, struct inv_job *job, const struct make_spec *s, struct bundle_volume *v,
		struct vmc_error *err);
/* The volume that the journal has as "v". VMC_ENOENT: not made yet. */
int make_made(const struct inv_job *job, struct bundle_volume *v, struct vmc_error *err);
/* Close and remove it, wherever the making stopped; then job_end_undone(). */
int make_undo(struct vmm *m, struct inv_job *job, const char *why, struct vmc_error *err);
/* The bundle on disk has the job's volume: 1, 0, or an error when it cannot be read. */
int make_committed(const struct inv_job *job, struct vmc_error *err);

/* ---- manager_power.c ----------------------------------------------------------- */

/* What vmm_power_on() does, without its event; @vm, which may be a datastore, is taken. */
int power_on(struct vmm *m, struct vm *vm, struct progress *p, struct vmc_error *err);
void power_tell_on(struct vmm *m, const struct vm *vm);

/* Mounts the first volume of @vm, which is open. */
int power_mount_first(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* What vmm_power_off() does; @vm is taken. Of a datastore there is no event. */
int power_off(struct vmm *m, struct vm *vm, struct vmc_error *err);
/* At start: finish a power-off or undo a power-on that was cut short. */
void power_recover(struct vmm *m, struct vm *vm);

/* ---- manager_autostart.c ------------------------------------------------------- */

/* Somebody powered @vm on: nothing is left to do for it in this start of the host. */
void autostart_settle(struct vmm *m, struct vm *vm);

/* What the check of a provider saw of this host's attestation: leases are renewed, or its keys taken away. */
void vm_follow_attestation(struct vmm *m, const json_t *health);

#endif
