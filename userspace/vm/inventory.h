/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host remembers, in STATE_DIR/inventory.db (SQLite, WAL, each commit
 * synced): registered VMs and datastores, the journal of jobs, keys without a VM, events, alarms.
 * May be used from several threads; a transaction keeps the others out.
 */
#ifndef VMC_VM_INVENTORY_H
#define VMC_VM_INVENTORY_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../lib/error.h"
#include "../lib/util.h"
#include "policy.h"

#define INVENTORY_SCHEMA	5
#define INVENTORY_EVENTS_MAX	10000	/* the oldest go first */
#define INVENTORY_ALARMS_MAX	1000	/* cleared ones that are kept */
#define INVENTORY_UNIT_MAX	255

struct inventory;

enum inv_kind { INV_VM, INV_DATASTORE };	/* the inventory keeps the numbers */

#define INVENTORY_FS_MAX	8		/* "ext4", "xfs" */

struct inv_vm {
	char id[VMC_UUID_STR];
	char name[64];
	char bundle[PATH_MAX];
	int kind;			/* enum inv_kind */
	bool on;			/* a datastore: open */
	int key_state;			/* enum vm_key_state */
	int cause;			/* enum vm_cause */
	bool suspended;			/* locked while its mappings were open: they wait for their keys */
	char key_error[768], key_hint[768];
	json_t *missing;		/* array of the keys that are missing, or NULL; borrowed */
	uint64_t serial;		/* of the bundle last seen */
	bool autostart;			/* it starts with the host, */
	char unit[INVENTORY_UNIT_MAX + 1];	/* and then this systemd unit; "" none */
	char boot[VMC_UUID_STR];	/* the start of the host in which that is done, or a datastore was opened */
	/* of a datastore */
	char mount[PATH_MAX];		/* where it is mounted when it is open */
	char fs[INVENTORY_FS_MAX];
	bool autoopen;			/* opened when the host starts */
};

struct inv_job {
	char id[VMC_UUID_STR];
	char kind[32];
	char vm[VMC_UUID_STR];		/* "" when it is about many */
	json_t *state;
};

/* A key that no VM uses: @id is "" when a crash kept us from learning it. */
struct inv_key {
	char id[VMK_KEK_ID_MAX + 1];
	char provider[64];
	char label[256];		/* its name on the provider */
	char note[256];			/* why it is here */
	int64_t time;
};

/* Of a VM that is not registered; one that is has "required" in its bundle. */
struct inv_policy {
	char vm[64];			/* UUID, or the name where no UUID is known */
	char name[64];
	enum migration_encryption migration;
};

struct inv_alarm {
	int64_t id;			/* 0: not in the inventory yet */
	char type[32], kind[16];	/* kind of entity: "vm", "datastore", "provider", "host" */
	char entity[64], name[64];
	int severity, cause;		/* enum vmm_severity, enum vm_cause */
	char text[768], remedy[768], reason[768];
	json_t *keys;			/* array, or NULL; borrowed in put, owned in what find and list give */
	int64_t raised, cleared, acknowledged;	/* 0: not */
	char acknowledged_by[128];
};

/* Makes it when missing, and brings an older one up to date. VMC_ENOTSUP when a newer release made it. */
int inventory_open(struct inventory **inv, const char *path, struct vmc_error *err);
void inventory_close(struct inventory *inv);

/* Several writes that come true together. begin locks, commit and rollback unlock. */
int inventory_begin(struct inventory *inv, struct vmc_error *err);
int inventory_commit(struct inventory *inv, struct vmc_error *err);
void inventory_rollback(struct inventory *inv);

int inventory_vm_put(struct inventory *inv, const struct inv_vm *vm, struct vmc_error *err);
int inventory_vm_del(struct inventory *inv, const char *id, struct vmc_error *err);
int inventory_vm_each(struct inventory *inv, int (*fn)(const struct inv_vm *vm, void *data), void *data,
		      struct vmc_error *err);

int inventory_job_put(struct inventory *inv, const struct inv_job *job, struct vmc_error *err);
int inventory_job_get(struct inventory *inv, const char *id, struct inv_job *job, struct vmc_error *err);
int inventory_job_del(struct inventory *inv, const char *id, struct vmc_error *err);
/* All, oldest first; free with inventory_jobs_free(). */
int inventory_jobs(struct inventory *inv, struct inv_job **jobs, size_t *n, struct vmc_error *err);
void inventory_jobs_free(struct inv_job *jobs, size_t n);

int inventory_key_put(struct inventory *inv, const struct inv_key *key, struct vmc_error *err);
int inventory_key_del(struct inventory *inv, const char *id, struct vmc_error *err);
int inventory_keys(struct inventory *inv, struct inv_key **keys, size_t *n, struct vmc_error *err);

int inventory_policy_put(struct inventory *inv, const struct inv_policy *p, struct vmc_error *err);
int inventory_policy_del(struct inventory *inv, const char *vm, struct vmc_error *err);	/* none: fine */
int inventory_policies(struct inventory *inv, struct inv_policy **list, size_t *n, struct vmc_error *err); /* free() */

/* @a->id 0: a new one, which gets its id. At most one of a type and entity is not cleared. */
int inventory_alarm_put(struct inventory *inv, struct inv_alarm *a, struct vmc_error *err);
/* The one of @type and entity that is not cleared. VMC_ENOENT without words. */
int inventory_alarm_find(struct inventory *inv, const char *type, const char *kind, const char *entity,
			 struct inv_alarm *a, struct vmc_error *err);
/* Those not cleared, the oldest first; with @history all, the newest first. Free with inventory_alarms_free(). */
int inventory_alarms(struct inventory *inv, bool history, struct inv_alarm **alarms, size_t *n,
		     struct vmc_error *err);
void inventory_alarms_free(struct inv_alarm *alarms, size_t n);

struct inv_event {
	const char *type, *message_id;
	const char *vm, *vm_name;	/* NULL or "": of no VM */
	const char *text;
	const json_t *details;
};
/* *@id (may be NULL): its number, which grows. */
int inventory_event(struct inventory *inv, const struct inv_event *e, int64_t *id, struct vmc_error *err);
/* Newest first: [{id, time, type, message_id, vm, vm_name, text, details}]. */
json_t *inventory_events(struct inventory *inv, unsigned int limit, struct vmc_error *err);

struct inv_event_filter {
	int64_t after;			/* id */
	int64_t since;			/* time; 0: any */
	const char *vm, *type;		/* NULL: any */
};
/* The same, oldest first, of those that pass @f. */
json_t *inventory_events_since(struct inventory *inv, const struct inv_event_filter *f, unsigned int limit,
			       struct vmc_error *err);

#endif
