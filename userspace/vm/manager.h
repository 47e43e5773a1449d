/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encrypted VMs of this host: bundles, inventory, volumes, jobs. Knows no
 * provider kinds and no D-Bus. Every function may be called from any thread;
 * one that finds the VM in use by another job fails with VMC_EBUSY and names it.
 *
 * Volumes of a VM: "home" (the VM key; NVRAM, vTPM state, saved memory; a file
 * NAME.home with an ext4 in it, mounted at RUNTIME_DIR/home/UUID while the VM is
 * on) and one per disk. Mappings are called vmcrypt-UUID-VOLUME.
 */
#ifndef VMC_VM_MANAGER_H
#define VMC_VM_MANAGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../keys/cache.h"
#include "../keys/provider.h"
#include "../lib/config.h"
#include "../lib/error.h"
#include "../lib/progress.h"
#include "cause.h"
#include "policy.h"

struct vmm;

/* What happened, for signals and the journal; called from any thread, must not call back into the manager. */
struct vmm_event {
	const char *type;		/* "vm-registered", "vm-changed", "vm-unregistered", "disk-opened", ... */
	const char *message_id;		/* 32 hex digits */
	const char *vm;			/* UUID or NULL */
	const char *text;		/* English */
	const json_t *details;		/* "message": what the text was made of, see lib/message.h */
	const char *vm_name;		/* NULL: of no VM */
	int64_t id;			/* grows; 0 when it could not be recorded */
};
typedef void (*vmm_event_fn)(const struct vmm_event *e, void *data);

/* Types of events; "vm-changed" says no more than that show and list have news. */
#define VMM_EV_VM_CREATED	"vm-created"
#define VMM_EV_VM_REGISTERED	"vm-registered"
#define VMM_EV_VM_UNREGISTERED	"vm-unregistered"
#define VMM_EV_VM_CHANGED	"vm-changed"
#define VMM_EV_VM_POWERED_ON	"vm-powered-on"
#define VMM_EV_VM_POWERED_OFF	"vm-powered-off"
#define VMM_EV_VM_LOCKED	"vm-locked"
#define VMM_EV_VM_UNLOCKED	"vm-unlocked"
#define VMM_EV_DISK_KEY_MISSING	"disk-key-missing"
#define VMM_EV_ALARM_RAISED	"alarm-raised"
#define VMM_EV_ALARM_CLEARED	"alarm-cleared"
#define VMM_EV_ALARM_ACKNOWLEDGED	"alarm-acknowledged"
#define VMM_EV_BUNDLE_ALTERED	"bundle-altered"
#define VMM_EV_DISK_ADDED	"disk-added"
#define VMM_EV_DISK_REMOVED	"disk-removed"
#define VMM_EV_DISK_OPENED	"disk-opened"
#define VMM_EV_DISK_CLOSED	"disk-closed"
#define VMM_EV_VM_RECRYPTED	"vm-recrypted"
#define VMM_EV_ATTESTATION	"attestation"
#define VMM_EV_DATASTORE_CREATED	"datastore-created"
#define VMM_EV_DATASTORE_REGISTERED	"datastore-registered"
#define VMM_EV_DATASTORE_UNREGISTERED	"datastore-unregistered"
#define VMM_EV_DATASTORE_REMOVED	"datastore-removed"
#define VMM_EV_DATASTORE_CHANGED	"datastore-changed"
#define VMM_EV_DATASTORE_OPENED		"datastore-opened"
#define VMM_EV_DATASTORE_CLOSED		"datastore-closed"
#define VMM_EV_DATASTORE_LOCKED		"datastore-locked"
#define VMM_EV_DATASTORE_UNLOCKED	"datastore-unlocked"
#define VMM_EV_KEY_CREATED	"key-created"
#define VMM_EV_KEY_REMOVED	"key-removed"
#define VMM_EV_KEY_ORPHANED	"key-orphaned"
#define VMM_EV_VM_NOT_STARTED	"vm-not-started"
#define VMM_EV_POLICY_CHANGED	"migration-policy-changed"
#define VMM_EV_JOB_PENDING	"job-pending"
#define VMM_EV_JOB_FAILED	"job-failed"
/* Of migrations: by whoever runs them. */
#define VMM_EV_VM_MIGRATED	"vm-migrated"
#define VMM_EV_VM_MIGRATED_CLEAR "vm-migrated-clear"
#define VMM_EV_VM_ARRIVED	"vm-arrived"
#define VMM_EV_MIGRATION_REFUSED "migration-refused"
#define VMM_EV_MIGRATION_FAILED	"migration-failed"

/*
 * Finishes or rolls back what a killed process left half done. Copies that can
 * go on (disk encrypt, recrypt) stay as pending jobs: see vmm_jobs_pending().
 */
int vmm_open(struct vmm **m, const struct vmc_config *cfg, struct vmk *k, struct providers *ps,
	     vmm_event_fn fn, void *data, struct vmc_error *err);
/*
 * The helper is to stop: copies end at the next checkpoint with VMC_ECANCELED
 * and stay resumable (a cancel by struct progress rolls back instead). Call it,
 * wait for the workers, then vmm_close().
 */
void vmm_shutdown(struct vmm *m);
void vmm_close(struct vmm *m);

/* @vm below: UUID or name (VMC_EINVAL with both candidates when a name is ambiguous). */
int vmm_resolve(struct vmm *m, const char *vm, char id[VMC_UUID_STR], struct vmc_error *err);

struct vmm_create {
	const char *name, *dir;		/* dir must exist and be absolute */
	const char *id;			/* UUID or NULL for a new one (give libvirt's) */
	const char *provider;		/* NULL: the default */
	uint64_t home_size;		/* 0: from the config */
};
int vmm_create(struct vmm *m, const struct vmm_create *c, struct progress *p, char id[VMC_UUID_STR], struct vmc_error *err);
/*
 * A VM whose keys are not to be had is registered all the same, as locked (see
 * key_state). Registering a VM again from the same place is a reload.
 * From a bundle file NAME.vmcrypt, or, with @from_headers, from the token of a home or disk volume and its
 * neighbours in the same folder; a bundle that was there is kept as NAME.vmcrypt.old. Needs the keys.
 */
int vmm_register(struct vmm *m, const char *path, bool from_headers, char id[VMC_UUID_STR], struct vmc_error *err);
/*
 * A host that is new, or lost its inventory: every bundle below @dir (with @from_headers: every VM of which there is a
 * volume in a regular file), and anew every registered VM that is locked, but not by hand; then unlock them. One fetch
 * for all keys. The name of a provider must be that of the cluster; its address may be another. Succeeds when each was
 * tried; *@out as of vmm_unlock(), each result with "path" and "registered" (also one that is locked is). Interrupted:
 * what was registered is, do it again for the rest.
 */
int vmm_register_many(struct vmm *m, const char *dir, bool from_headers, struct progress *p, json_t **out,
		      struct vmc_error *err);
int vmm_unregister(struct vmm *m, const char *vm, struct vmc_error *err);	/* off only; files stay */
int vmm_reload(struct vmm *m, const char *vm, struct vmc_error *err);
/* Keys to the kernel (fetched at need), volumes open, home mounted. *@out: {home, disks:{name: "/dev/mapper/..."}}. */
int vmm_power_on(struct vmm *m, const char *vm, struct progress *p, json_t **out, struct vmc_error *err);
int vmm_power_off(struct vmm *m, const char *vm, struct vmc_error *err);
/*
 * Fetch keys and load DEKs of many VMs at once; one that was locked by hand is no longer, and its mappings go on.
 * n 0: all. Succeeds when each was tried; *@out:
 * {results:[{vm, name, ok, error?, hint?, code?}], timing:{bundles_ms, kms_ms, netlink_ms, kernel_ms, kernel_requests,
 * total_ms, vms, deks, keks, keks_fetched}}: reading bundles; asking key servers; composing requests to the module and
 * taking its answers; the module at work (and how many requests that were); all of it.
 */
int vmm_unlock(struct vmm *m, const char *const *vms, size_t n, struct progress *p, json_t **out, struct vmc_error *err);

/*
 * Take the keys of a VM from this host until somebody unlocks it: nothing but vmm_unlock() does, not a power-on, not a
 * reload, not the return of a provider. Without @now it is powered off first (VMC_EBUSY names who uses a volume, and
 * nothing is locked). With @now one that is on stays on: each mapping is suspended and its key wiped, in dm-crypt and
 * in the keyring; what the guest reads and writes waits, and goes on after the unlock. Locked already: once more, fine.
 */
int vmm_lock(struct vmm *m, const char *vm, bool now, struct progress *p, struct vmc_error *err);

/*
 * {id, name, bundle, power: "on"|"off", key_state: "ok"|"locked"|"disk-key-missing", key_error?, key_hint?,
 *  crypto_state: "unlocked"|"locked", shows_as: "ok"|"invalid"|"disk-key-missing"|"suspended",
 *  cause: name|null, cause_text, remedy, missing_keys: [{id, state, volumes: [name ...], error?, hint?}],
 *  autostart: bool, unit?, alarms: how many are raised, provider, serial, migration, job: null|"what it is busy with", mount: null|path,
 *  home: VOLUME, disks: [VOLUME ...]}; a VOLUME is {name, path, key, kcv, generation, luks_uuid, dm_flags, open,
 *  device: null|path, loaded, cached}. vmm_list() is an array of the same.
 */
json_t *vmm_show(struct vmm *m, const char *vm, struct vmc_error *err);
json_t *vmm_list(struct vmm *m, struct vmc_error *err);

/*
 * The policies of migrations. A registered VM is encrypted: "required", and nothing else can be set. What is set for
 * other VMs is kept here by their UUID, or by their name where that is not known, and goes back to the default when
 * that is set. A VM that is unregistered stays "required" until that is changed.
 */
struct vmm_guest {
	bool known;			/* whoever runs VMs knows it */
	bool on;
	char id[VMC_UUID_STR];		/* "" unknown */
	char name[64];
};
/* What is known of a VM that is not registered. An error: it cannot be learnt. */
typedef int (*vmm_guest_fn)(const char *vm, struct vmm_guest *g, struct vmc_error *err);

struct vmm_policy_set {
	/*
	 * UUIDs, names, or patterns of names as of glob(7), which mean VMs that are registered or have a policy; n 0: all
	 * of these.
	 */
	const char *const *vms;
	size_t n;
	enum migration_encryption policy;
	bool live;			/* also when it is on, if that makes it stricter */
	vmm_guest_fn guest;
};
/* Succeeds when each was tried; *@out: {results:[{vm, name, ok, known, was, error?, hint?, code?}]}. */
int vmm_set_policy(struct vmm *m, const struct vmm_policy_set *s, json_t **out, struct vmc_error *err);
/* Of the VM with the UUID @id or else the name @name (each may be ""); *@encrypted: it is registered. */
int vmm_get_policy(struct vmm *m, const char *id, const char *name, enum migration_encryption *policy,
		   bool *encrypted, struct vmc_error *err);
/* [{vm, name, migration, encrypted}]: of registered VMs and of those for which one was set. */
json_t *vmm_policies(struct vmm *m, struct vmc_error *err);

struct vmm_disk {
	const char *name;		/* volume name */
	const char *path;		/* image file or block device; NULL: DIR/NAME-disk.img */
	const char *provider;		/* NULL: the VM's */
	const char *dm_flags;		/* NULL: from the config */
	uint64_t size;			/* bytes of data, create only; 0 on a block device: all of it */
	/* encrypt only */
	const char *source;		/* raw or qcow2 image */
	const char *source_format;	/* NULL: probe */
	bool keep_source;		/* default: the source is removed once the copy is checked */
	uint64_t rate;			/* bytes a second at most, 0 no limit */
};
int vmm_disk_create(struct vmm *m, const char *vm, const struct vmm_disk *d, struct progress *p, struct vmc_error *err);
int vmm_disk_encrypt(struct vmm *m, const char *vm, const struct vmm_disk *d, struct progress *p, struct vmc_error *err);
int vmm_disk_attach(struct vmm *m, const char *vm, const char *path, struct vmc_error *err);
int vmm_disk_detach(struct vmm *m, const char *vm, const char *disk, struct vmc_error *err);
int vmm_disk_open(struct vmm *m, const char *vm, const char *disk, char **device, struct vmc_error *err);
int vmm_disk_close(struct vmm *m, const char *vm, const char *disk, struct vmc_error *err);
int vmm_disk_set_flags(struct vmm *m, const char *vm, const char *disk, const char *dm_flags, struct vmc_error *err);

/*
 * New KEK (on @provider, NULL: each VM's own), DEKs rewrapped in the kernel; VMs may be on. One resumable job. n 0: all.
 * Succeeds when each was tried; *@out: {job, results:[{vm, name, ok, error?, hint?, code?}], keys:[{old, new}]}. The old
 * keys stay on the provider and are listed as unused.
 */
int vmm_recrypt_shallow(struct vmm *m, const char *const *vms, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err);
/*
 * A second key for each volume, of @provider, so that either opens the VM; and
 * one of the two goes, which may also be the first. Done already: fine. As jobs
 * and answers the same as a shallow recrypt.
 */
int vmm_add_provider(struct vmm *m, const char *const *vms, size_t n, const char *provider, struct progress *p,
		     json_t **out, struct vmc_error *err);
int vmm_remove_provider(struct vmm *m, const char *const *vms, size_t n, const char *provider,
			struct progress *p, json_t **out, struct vmc_error *err);
/* New DEK and KEK, data copied to a new container beside the old one; VM off; resumes. @disk NULL: home and all disks. */
int vmm_recrypt_deep(struct vmm *m, const char *vm, const char *disk, struct progress *p, struct vmc_error *err);

/*
 * Jobs that a kill left resumable: [{id, kind, vm, name, what, done, total}]; the daemon resumes them at start. kind is
 * "disk-encrypt", "recrypt-deep" or "recrypt-shallow" (vm null). The first two keep their VM busy until done.
 */
json_t *vmm_jobs_pending(struct vmm *m, struct vmc_error *err);
int vmm_job_resume(struct vmm *m, const char *id, struct progress *p, struct vmc_error *err);
int vmm_job_abandon(struct vmm *m, const char *id, struct vmc_error *err);	/* roll back */

/*
 * Keys as this host knows them: [{id, provider, key, cached, kcv, users, vms:[{id,name,kind: "vm"|"datastore",volumes:[]}], lease_left?, note?}];
 * note tells why a key that no VM uses is known: replaced by a recrypt, or left by an operation that was cut short. Such
 * a one whose id was never learnt has id null and the label it has on the provider in "label".
 */
json_t *vmm_key_list(struct vmm *m, struct vmc_error *err);
/* The same for one id plus "state" (and "state_error"); asks the provider. */
json_t *vmm_key_show(struct vmm *m, const char *kek_id, struct vmc_error *err);
/* From the cache, and with @destroy from the provider too. In use by a VM: VMC_EBUSY naming the VMs, unless @force. */
int vmm_key_remove(struct vmm *m, const char *kek_id, bool destroy, bool force, struct vmc_error *err);

/* [{id, time, type, message_id, vm, vm_name, text, details}]; text is English, details.message is for message_localize() */
json_t *vmm_events(struct vmm *m, unsigned int limit, struct vmc_error *err);	/* newest first */

struct vmm_event_filter {
	const char *vm;			/* UUID or name, also of one that is gone; NULL: any */
	const char *type;		/* NULL: any */
	int64_t since;			/* seconds since 1970; 0: any */
};
/* The same, oldest first, with ids above @after_id. @f may be NULL. */
json_t *vmm_events_since(struct vmm *m, int64_t after_id, unsigned int limit,
			 const struct vmm_event_filter *f, struct vmc_error *err);

/*
 * Ask every provider how it is, and of every key that registered VMs use in what state it is; raise and clear alarms of
 * providers, certificates and keys; unlock what can be unlocked, but not what was locked by hand. *@out (may be NULL):
 * {providers: [{name, kind|null, ok, error?, hint?, code?, cert_days_left|null, latency_ms|null; of a trusted one also
 *  attestation, attested (bool), next: seconds until it is to be looked at again}],
 *  keys: [{id, state, vms: [{id, name, kind: "vm"|"datastore"}]}], unlocked: [{id, name}], would_lock: as vms of
 *  vmm_forecast()}. Datastores are looked after like VMs, and one that was unlocked and has autoopen is opened.
 * One at a time: VMC_EBUSY.
 */
int vmm_health(struct vmm *m, json_t **out, struct vmc_error *err);
/*
 * Which VMs would lack keys if this host lost its own now, as a reboot does: asks the providers anew, changes nothing.
 * {vms: [{id, name, kind: "vm"|"datastore", cause, text, remedy, disk_only, keys: [{id, state, volumes}]}], ok: how many
 * VMs would be well}.
 */
json_t *vmm_forecast(struct vmm *m, struct vmc_error *err);

/* ---- attestation of this host ------------------------------------------------------ */

struct vmm_attestation {
	const char *provider;		/* a trusted one */
	const char *outcome;		/* "passed", "failed", "unset" */
	const struct vmc_error *why;	/* NULL: it passed */
	const char *correlation;	/* as the authority logs it; may be "" */
};
/* An event, and the alarm while it fails. From any thread. */
void vmm_attested(struct vmm *m, const struct vmm_attestation *at);

/* ---- VMs that start with the host ------------------------------------------------ */

/*
 * Whether @vm is powered on when the host starts, from its next start on, and then a systemd service @unit (NULL or "":
 * none) is started, which runs the VM. VMC_EINVAL: not the name of a service. libvirt's domains have their own autostart.
 */
int vmm_set_autostart(struct vmm *m, const char *vm, bool on, const char *unit, struct vmc_error *err);
/*
 * Power on each such VM for which that was not done in this start of the host, and which nobody powered on in it. One
 * fetch for all keys, but with @ask false none: then those are left out that are locked. Succeeds when each was tried;
 * *@out: {results: [{vm, name, ok, unit?, error?, hint?, code?}]}. One that fails has an alarm, and is tried at the next
 * call; one that has a unit stays in the list until vmm_autostart_done().
 */
int vmm_autostart(struct vmm *m, bool ask, struct progress *p, json_t **out, struct vmc_error *err);
/* Its unit was started, or (@failed) was not, of which there is an alarm then. */
int vmm_autostart_done(struct vmm *m, const char *vm, const struct vmc_error *failed, struct vmc_error *err);

/*
 * Into the inventory and to the daemon, in English and as what it is made of: @fmt
 * is a literal, for the catalog. @vm may be NULL. @details is taken over (may be NULL).
 */
void vmm_emit(struct vmm *m, const char *type, const char *message_id, const char *vm, json_t *details,
	      const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* ---- alarms ------------------------------------------------------------------ */

#define VMM_ALARM_VM_LOCKED	"vm-locked"
#define VMM_ALARM_STORE_LOCKED	"datastore-locked"
#define VMM_ALARM_DISK_KEY	"disk-key-missing"
#define VMM_ALARM_KEY_STATE	"key-state"
#define VMM_ALARM_PROVIDER_DOWN	"provider-down"
#define VMM_ALARM_PROVIDER_CERT	"provider-certificate"
#define VMM_ALARM_PERSISTENCE	"host-persistence"
#define VMM_ALARM_AUTOSTART	"vm-not-started"
#define VMM_ALARM_ATTESTATION	"host-attestation"

enum vmm_severity { VMM_WARNING, VMM_CRITICAL };

struct vmm_alarm {
	const char *type;		/* VMM_ALARM_* */
	enum vmm_severity severity;
	const char *entity_kind;	/* "vm", "datastore", "provider", "host" */
	const char *entity_id;		/* UUID, or the name */
	const char *entity_name;	/* NULL: the id */
	enum vm_cause cause;
	/*
	 * Marked for translation, not translated: each reader gets them in his language. "{vm}" and "{provider}" in the
	 * remedy become the name of the entity. Text and remedy of VMM_ALARM_VM_LOCKED and of VMM_ALARM_STORE_LOCKED
	 * come from the cause.
	 */
	const char *text, *remedy;
	const char *reason;		/* what was met, as it was said; may be NULL */
	const json_t *keys;		/* array of what is like missing_keys, or NULL */
};

/*
 * [{id, type, severity: "critical"|"warning", entity: {kind, id, name}, cause: name|null, text, reason?, remedy,
 *  keys: [{id, state, volumes}], raised, cleared|null, acknowledged|null, acknowledged_by|null}]: those that are raised,
 * the oldest first; with @history the cleared ones too, the newest first.
 */
json_t *vmm_alarms(struct vmm *m, bool history, struct vmc_error *err);
/* @id NULL: all that are raised. Changes nothing but the alarm: a locked VM stays locked. VMC_ENOENT: none such is raised. */
int vmm_alarm_acknowledge(struct vmm *m, const char *id, const char *who, struct vmc_error *err);
/*
 * At most one of a type and entity is raised: raising it again brings its words up to date; with another cause it is
 * cleared and a new one raised. Clearing what is not raised is fine. Each change is an event with the alarm as details.
 */
int vmm_alarm_raise(struct vmm *m, const struct vmm_alarm *a, struct vmc_error *err);
int vmm_alarm_clear(struct vmm *m, const char *type, const char *entity_kind, const char *entity_id,
		    struct vmc_error *err);

#endif
