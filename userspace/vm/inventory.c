// SPDX-License-Identifier: GPL-2.0-or-later
#include "inventory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/fs.h"

#define BUSY_MS 5000
#define EVENTS_TRIM_EVERY 64	/* so that not every event pays for it */

enum statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_VM_PUT, ST_VM_DEL, ST_VM_ALL,
	ST_JOB_PUT, ST_JOB_GET, ST_JOB_DEL, ST_JOB_ALL,
	ST_KEY_PUT, ST_KEY_DEL, ST_KEY_ALL,
	ST_POLICY_PUT, ST_POLICY_DEL, ST_POLICY_ALL,
	ST_EVENT_PUT, ST_EVENT_TRIM, ST_EVENT_ALL, ST_EVENT_SINCE,
	ST_ALARM_PUT, ST_ALARM_FIND, ST_ALARM_RAISED, ST_ALARM_ALL, ST_ALARM_TRIM,
	ST_COUNT
};

#define ALARM_COLUMNS "type, kind, entity, name, severity, cause, text, remedy, keys, raised, cleared," \
	" acknowledged, acknowledged_by, reason"

static const char *const sql[ST_COUNT] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_VM_PUT] = "INSERT INTO vms(id, name, bundle, power, key_state, key_error, key_hint, serial,"
		" cause, suspended, missing, autostart, unit, boot, kind, mount, fs, autoopen)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
		" ON CONFLICT(id) DO UPDATE SET name = ?2, bundle = ?3, power = ?4, key_state = ?5,"
		" key_error = ?6, key_hint = ?7, serial = ?8, cause = ?9, suspended = ?10, missing = ?11,"
		" autostart = ?12, unit = ?13, boot = ?14, mount = ?16, fs = ?17, autoopen = ?18",
	[ST_VM_DEL] = "DELETE FROM vms WHERE id = ?1",
	[ST_VM_ALL] = "SELECT id, name, bundle, power, key_state, key_error, key_hint, serial, cause,"
		" suspended, missing, autostart, unit, boot, kind, mount, fs, autoopen FROM vms ORDER BY name, id",
	[ST_JOB_PUT] = "INSERT INTO jobs(id, kind, vm, state) VALUES(?1, ?2, ?3, ?4)"
		" ON CONFLICT(id) DO UPDATE SET state = ?4",
	[ST_JOB_GET] = "SELECT id, kind, vm, state FROM jobs WHERE id = ?1",
	[ST_JOB_DEL] = "DELETE FROM jobs WHERE id = ?1",
	[ST_JOB_ALL] = "SELECT id, kind, vm, state FROM jobs ORDER BY seq",
	[ST_KEY_PUT] = "INSERT INTO keys(id, provider, label, note, time) VALUES(?1, ?2, ?3, ?4, ?5)",
	[ST_KEY_DEL] = "DELETE FROM keys WHERE id = ?1",
	[ST_KEY_ALL] = "SELECT id, provider, label, note, time FROM keys ORDER BY rowid",
	[ST_POLICY_PUT] = "INSERT INTO policies(vm, name, migration) VALUES(?1, ?2, ?3)"
		" ON CONFLICT(vm) DO UPDATE SET name = ?2, migration = ?3",
	[ST_POLICY_DEL] = "DELETE FROM policies WHERE vm = ?1",
	[ST_POLICY_ALL] = "SELECT vm, name, migration FROM policies ORDER BY name, vm",
	[ST_EVENT_PUT] = "INSERT INTO events(time, type, message_id, vm, text, details, vm_name)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[ST_EVENT_TRIM] = "DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?1",
	[ST_EVENT_ALL] = "SELECT time, type, message_id, vm, text, details, seq, vm_name FROM events"
		" ORDER BY seq DESC LIMIT ?1",
	[ST_EVENT_SINCE] = "SELECT time, type, message_id, vm, text, details, seq, vm_name FROM events"
		" WHERE seq > ?1 AND time >= ?2 AND (?3 = '' OR vm = ?3 OR vm_name = ?3) AND (?4 = '' OR type = ?4)"
		" ORDER BY seq LIMIT ?5",
	[ST_ALARM_PUT] = "INSERT INTO alarms(seq, " ALARM_COLUMNS ")"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
		" ON CONFLICT(seq) DO UPDATE SET name = ?5, severity = ?6, cause = ?7, text = ?8,"
		" remedy = ?9, keys = ?10, raised = ?11, cleared = ?12, acknowledged = ?13,"
		" acknowledged_by = ?14, reason = ?15",
	[ST_ALARM_FIND] = "SELECT seq, " ALARM_COLUMNS " FROM alarms"
		" WHERE type = ?1 AND kind = ?2 AND entity = ?3 AND cleared = 0",
	[ST_ALARM_RAISED] = "SELECT seq, " ALARM_COLUMNS " FROM alarms WHERE cleared = 0 ORDER BY seq",
	[ST_ALARM_ALL] = "SELECT seq, " ALARM_COLUMNS " FROM alarms ORDER BY seq DESC",
	[ST_ALARM_TRIM] = "DELETE FROM alarms WHERE cleared <> 0 AND seq <= (SELECT max(seq) FROM alarms) - ?1",
};

/* What brings schema 0 (nothing) to 1, 1 to 2 ... A released step is never changed. */
static const char *const steps[INVENTORY_SCHEMA] = {
	"CREATE TABLE vms(id TEXT PRIMARY KEY, name TEXT NOT NULL, bundle TEXT NOT NULL UNIQUE,"
	" power INTEGER NOT NULL, key_state INTEGER NOT NULL, key_error TEXT NOT NULL,"
	" key_hint TEXT NOT NULL, serial INTEGER NOT NULL);"
	"CREATE TABLE jobs(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
	" kind TEXT NOT NULL, vm TEXT NOT NULL, state TEXT NOT NULL);"
	"CREATE TABLE keys(id TEXT NOT NULL, provider TEXT NOT NULL, label TEXT NOT NULL,"
	" note TEXT NOT NULL, time INTEGER NOT NULL);"
	"CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
	" type TEXT NOT NULL, message_id TEXT NOT NULL, vm TEXT NOT NULL, text TEXT NOT NULL,"
	" details TEXT NOT NULL);"
	"PRAGMA user_version = 1;",

	"ALTER TABLE vms ADD COLUMN cause INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN missing TEXT NOT NULL DEFAULT '[]';"
	"ALTER TABLE events ADD COLUMN vm_name TEXT NOT NULL DEFAULT '';"
	"UPDATE events SET vm_name = coalesce((SELECT name FROM vms WHERE vms.id = events.vm), '');"
	"CREATE TABLE alarms(seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL,"
	" kind TEXT NOT NULL, entity TEXT NOT NULL, name TEXT NOT NULL, severity INTEGER NOT NULL,"
	" cause INTEGER NOT NULL, text TEXT NOT NULL, remedy TEXT NOT NULL, keys TEXT NOT NULL,"
	" raised INTEGER NOT NULL, cleared INTEGER NOT NULL, acknowledged INTEGER NOT NULL,"
	" acknowledged_by TEXT NOT NULL, reason TEXT NOT NULL);"
	"CREATE UNIQUE INDEX alarms_raised ON alarms(type, kind, entity) WHERE cleared = 0;"
	"PRAGMA user_version = 2;",

	"ALTER TABLE vms ADD COLUMN autostart INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN unit TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE vms ADD COLUMN boot TEXT NOT NULL DEFAULT '';"
	"PRAGMA user_version = 3;",

	"ALTER TABLE vms ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vms ADD COLUMN mount TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE vms ADD COLUMN fs TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE vms ADD COLUMN autoopen INTEGER NOT NULL DEFAULT 0;"
	"PRAGMA user_version = 4;",

	"CREATE TABLE policies(vm TEXT PRIMARY KEY, name TEXT NOT NULL, migration TEXT NOT NULL); PRAGMA user_version = 5;",
};

struct inventory {
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	pthread_mutex_t lock;		/* recursive: held from begin to commit */
	bool in_transaction;
	unsigned int events;
	char path[PATH_MAX];
};

static int fail_db(struct inventory *inv, struct vmc_error *err)
{
	int rc = inv->db ? sqlite3_extended_errcode(inv->db) : SQLITE_NOMEM;
	int code = VMC_EIO;

	if ((rc & 0xff) == SQLITE_FULL)
		code = VMC_ENOSPC;
	else if ((rc & 0xff) == SQLITE_NOMEM)
		code = VMC_ENOMEM;
	vmc_fail(err, code, "inventory '%s': %s", inv->path,
		 inv->db ? sqlite3_errmsg(inv->db) : "out of memory");
	if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
		vmc_hint(err, "Move the file away, start again, and register the VMs from their bundles");
	return code;
}

static sqlite3_stmt *start(struct inventory *inv, enum statement which)
{
	sqlite3_stmt *st = inv->st[which];

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return st;
}

/* Run to the end; the bindings go, so that nothing points into the caller's memory. */
static int finish(struct inventory *inv, sqlite3_stmt *st, struct vmc_error *err)
{
	int rc = sqlite3_step(st), r = 0;

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		r = fail_db(inv, err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

static void text(sqlite3_stmt *st, int i, const char *s)
{
	sqlite3_bind_text(st, i, s ? s : "", -1, SQLITE_STATIC);
}

static void column(sqlite3_stmt *st, int i, char *out, size_t n)
{
	const unsigned char *s = sqlite3_column_text(st, i);

	snprintf(out, n, "%s", s ? (const char *)s : "");
}

int inventory_begin(struct inventory *inv, struct vmc_error *err)
{
	int r;

	pthread_mutex_lock(&inv->lock);
	if (inv->in_transaction) {
		pthread_mutex_unlock(&inv->lock);
		return vmc_fail(err, VMC_EINTERNAL, "inventory: a transaction inside another");
	}
	r = finish(inv, start(inv, ST_BEGIN), err);
	if (r)
		pthread_mutex_unlock(&inv->lock);
	inv->in_transaction = !r;
	return r;
}

int inventory_commit(struct inventory *inv, struct vmc_error *err)
{
	int r;

	fs_crashpoint("inventory: before commit");
	r = finish(inv, start(inv, ST_COMMIT), err);
	if (r) {
		inventory_rollback(inv);
		return r;
	}
	fs_crashpoint("inventory: after commit");
	inv->in_transaction = false;
	pthread_mutex_unlock(&inv->lock);
	return 0;
}

void inventory_rollback(struct inventory *inv)
{
	finish(inv, start(inv, ST_ROLLBACK), NULL);
	inv->in_transaction = false;
	pthread_mutex_unlock(&inv->lock);
}

/* One write: part of the transaction this thread has open, or one of its own. */
static int write_one(struct inventory *inv, sqlite3_stmt *st, struct vmc_error *err)
{
	int r;

	if (inv->in_transaction)
		return finish(inv, st, err);
	r = inventory_begin(inv, err);
	if (r)
		return r;
	r = finish(inv, st, err);
	if (!r)
		return inventory_commit(inv, err);
	inventory_rollback(inv);
	return r;
}

static int pragma(struct inventory *inv, const char *text_sql, struct vmc_error *err)
{
	return sqlite3_exec(inv->db, text_sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_db(inv, err);
}

static int user_version(struct inventory *inv, int *version, struct vmc_error *err)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(inv->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		r = fail_db(inv, err);
	else
		*version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return r;
}

static int make_schema(struct inventory *inv, struct vmc_error *err)
{
	int version = 0, r;

	r = user_version(inv, &version, err);
	if (r)
		return r;
	if (version > INVENTORY_SCHEMA) {
		vmc_fail(err, VMC_ENOTSUP, "inventory '%s' has schema %d, this release knows %d",
			 inv->path, version, INVENTORY_SCHEMA);
		vmc_hint(err, "Use the newer release of vmcrypt that made it");
		return VMC_ENOTSUP;
	}
	if (version == INVENTORY_SCHEMA)
		return 0;
	r = pragma(inv, "BEGIN IMMEDIATE", err);
	for (; !r && version < INVENTORY_SCHEMA; version++)
		r = pragma(inv, steps[version < 0 ? 0 : version], err);
	fs_crashpoint("inventory: before schema commit");
	if (!r)
		r = pragma(inv, "COMMIT", err);
	return r;
}

static int prepare_all(struct inventory *inv, struct vmc_error *err)
{
	int i;

	for (i = 0; i < ST_COUNT; i++)
		if (sqlite3_prepare_v3(inv->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &inv->st[i],
				       NULL) != SQLITE_OK)
			return fail_db(inv, err);
	return 0;
}

static int open_db(struct inventory *inv, struct vmc_error *err)
{
	mode_t old = umask(0077);
	int rc;

	rc = sqlite3_open_v2(inv->path, &inv->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			     SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	umask(old);
	if (rc != SQLITE_OK)
		return fail_db(inv, err);
	sqlite3_extended_result_codes(inv->db, 1);
	sqlite3_busy_timeout(inv->db, BUSY_MS);
	return pragma(inv, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		      "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;", err);
}

int inventory_open(struct inventory **out, const char *path, struct vmc_error *err)
{
	struct inventory *inv = calloc(1, sizeof(*inv));
	pthread_mutexattr_t attr;
	int r;

	if (!inv)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	snprintf(inv->path, sizeof(inv->path), "%s", path);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&inv->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	r = open_db(inv, err);
	if (!r)
		r = make_schema(inv, err);
	if (!r)
		r = prepare_all(inv, err);
	if (r) {
		inventory_close(inv);
		return r;
	}
	*out = inv;
	return 0;
}

void inventory_close(struct inventory *inv)
{
	int i;

	if (!inv)
		return;
	for (i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(inv->st[i]);
	sqlite3_close(inv->db);
	pthread_mutex_destroy(&inv->lock);
	free(inv);
}

/* Text of an array, "[]" for none; free it. NULL: no memory. */
static char *dump(const json_t *o)
{
	return o ? json_dumps(o, JSON_COMPACT) : strdup("[]");
}

/* We wrote it; what cannot be read is handled as "nothing known". */
static json_t *column_json(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);
	json_t *o = json_loads(s ? s : "", JSON_REJECT_DUPLICATES, NULL);

	return o ? o : json_array();
}

int inventory_vm_put(struct inventory *inv, const struct inv_vm *vm, struct vmc_error *err)
{
	char *missing = dump(vm->missing);
	sqlite3_stmt *st;
	int r;

	if (!missing)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_VM_PUT);
	text(st, 1, vm->id);
	text(st, 2, vm->name);
	text(st, 3, vm->bundle);
	sqlite3_bind_int(st, 4, vm->on);
	sqlite3_bind_int(st, 5, vm->key_state);
	text(st, 6, vm->key_error);
	text(st, 7, vm->key_hint);
	sqlite3_bind_int64(st, 8, (sqlite3_int64)vm->serial);
	sqlite3_bind_int(st, 9, vm->cause);
	sqlite3_bind_int(st, 10, vm->suspended);
	text(st, 11, missing);
	sqlite3_bind_int(st, 12, vm->autostart);
	text(st, 13, vm->unit);
	text(st, 14, vm->boot);
	sqlite3_bind_int(st, 15, vm->kind);
	text(st, 16, vm->mount);
	text(st, 17, vm->fs);
	sqlite3_bind_int(st, 18, vm->autoopen);
	r = write_one(inv, st, err);
	pthread_mutex_unlock(&inv->lock);
	free(missing);
	return r;
}

static int delete_by_id(struct inventory *inv, enum statement which, const char *id, struct vmc_error *err)
{
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, which);
	text(st, 1, id);
	r = write_one(inv, st, err);
	pthread_mutex_unlock(&inv->lock);
	return r;
}

int inventory_vm_del(struct inventory *inv, const char *id, struct vmc_error *err)
{
	return delete_by_id(inv, ST_VM_DEL, id, err);
}

static void read_vm(sqlite3_stmt *st, struct inv_vm *vm)
{
	column(st, 0, vm->id, sizeof(vm->id));
	column(st, 1, vm->name, sizeof(vm->name));
	column(st, 2, vm->bundle, sizeof(vm->bundle));
	vm->on = sqlite3_column_int(st, 3);
	vm->key_state = sqlite3_column_int(st, 4);
	column(st, 5, vm->key_error, sizeof(vm->key_error));
	column(st, 6, vm->key_hint, sizeof(vm->key_hint));
	vm->serial = (uint64_t)sqlite3_column_int64(st, 7);
	vm->cause = sqlite3_column_int(st, 8);
	vm->suspended = sqlite3_column_int(st, 9);
	vm->missing = column_json(st, 10);
	vm->autostart = sqlite3_column_int(st, 11);
	column(st, 12, vm->unit, sizeof(vm->unit));
	column(st, 13, vm->boot, sizeof(vm->boot));
	vm->kind = sqlite3_column_int(st, 14);
	column(st, 15, vm->mount, sizeof(vm->mount));
	column(st, 16, vm->fs, sizeof(vm->fs));
	vm->autoopen = sqlite3_column_int(st, 17);
}

/* Call @row for each row of @st; then reset it. Called locked. */
static int each_row(struct inventory *inv, sqlite3_stmt *st, int (*row)(sqlite3_stmt *st, void *data),
		    void *data, struct vmc_error *err)
{
	int rc, r = 0;

	while (!r && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		if (rc != SQLITE_ROW)
			r = fail_db(inv, err);
		else
			r = row(st, data);
	}
	if (r == VMC_ENOMEM)
		vmc_fail(err, VMC_ENOMEM, "out of memory");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return r;
}

/* The same for a statement without arguments, which takes the lock. */
static int each_locked(struct inventory *inv, enum statement which, int (*row)(sqlite3_stmt *st, void *data),
		       void *data, struct vmc_error *err)
{
	int r;

	pthread_mutex_lock(&inv->lock);
	r = each_row(inv, start(inv, which), row, data, err);
	pthread_mutex_unlock(&inv->lock);
	return r;
}

struct vm_each {
	int (*fn)(const struct inv_vm *vm, void *data);
	void *data;
};

static int vm_row(sqlite3_stmt *st, void *data)
{
	struct vm_each *e = data;
	struct inv_vm vm;

	int r;

	read_vm(st, &vm);
	r = e->fn(&vm, e->data);
	json_decref(vm.missing);
	return r;
}

int inventory_vm_each(struct inventory *inv, int (*fn)(const struct inv_vm *vm, void *data), void *data,
		      struct vmc_error *err)
{
	struct vm_each e = { fn, data };

	return each_locked(inv, ST_VM_ALL, vm_row, &e, err);
}

int inventory_job_put(struct inventory *inv, const struct inv_job *job, struct vmc_error *err)
{
	char *state = json_dumps(job->state, JSON_COMPACT);
	sqlite3_stmt *st;
	int r;

	if (!state)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_JOB_PUT);
	text(st, 1, job->id);
	text(st, 2, job->kind);
	text(st, 3, job->vm);
	text(st, 4, state);
	r = write_one(inv, st, err);
	pthread_mutex_unlock(&inv->lock);
	free(state);
	return r;
}

int inventory_job_del(struct inventory *inv, const char *id, struct vmc_error *err)
{
	return delete_by_id(inv, ST_JOB_DEL, id, err);
}

struct rows {
	void *items;
	size_t n, size;
};

/* Room for one more in @rows, zeroed, or NULL. */
static void *rows_add(struct rows *rows)
{
	void *more = realloc(rows->items, (rows->n + 1) * rows->size);

	if (!more)
		return NULL;
	rows->items = more;
	more = (char *)more + rows->n++ * rows->size;
	return memset(more, 0, rows->size);
}

/* All of a table whose rows own nothing; none on failure. */
static int all_rows(struct inventory *inv, enum statement which, int (*row)(sqlite3_stmt *st, void *data),
		    struct rows *rows, struct vmc_error *err)
{
	int r = each_locked(inv, which, row, rows, err);

	if (r) {
		free(rows->items);
		rows->items = NULL;
		rows->n = 0;
	}
	return r;
}

static int job_row(sqlite3_stmt *st, void *data)
{
	const char *state = (const char *)sqlite3_column_text(st, 3);
	struct inv_job *job = rows_add(data);

	if (!job)
		return VMC_ENOMEM;
	column(st, 0, job->id, sizeof(job->id));
	column(st, 1, job->kind, sizeof(job->kind));
	column(st, 2, job->vm, sizeof(job->vm));
	job->state = json_loads(state ? state : "", JSON_REJECT_DUPLICATES, NULL);
	if (!job->state)	/* we wrote it; an empty one is handled as "nothing known" */
		job->state = json_object();
	return job->state ? 0 : VMC_ENOMEM;
}

int inventory_jobs(struct inventory *inv, struct inv_job **jobs, size_t *n, struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(struct inv_job) };
	int r = each_locked(inv, ST_JOB_ALL, job_row, &rows, err);

	if (r) {
		inventory_jobs_free(rows.items, rows.n);
		return r;
	}
	*jobs = rows.items;
	*n = rows.n;
	return 0;
}

void inventory_jobs_free(struct inv_job *jobs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		json_decref(jobs[i].state);
	free(jobs);
}

int inventory_job_get(struct inventory *inv, const char *id, struct inv_job *job, struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(struct inv_job) };
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_JOB_GET);
	text(st, 1, id);
	r = each_row(inv, st, job_row, &rows, err);
	pthread_mutex_unlock(&inv->lock);
	if (!r && !rows.n)
		r = vmc_fail(err, VMC_ENOENT, "there is no pending job '%s'", id);
	if (!r) {
		*job = *(struct inv_job *)rows.items;
		json_incref(job->state);
	}
	inventory_jobs_free(rows.items, rows.n);
	return r;
}

int inventory_key_put(struct inventory *inv, const struct inv_key *key, struct vmc_error *err)
{
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_KEY_PUT);
	text(st, 1, key->id);
	text(st, 2, key->provider);
	text(st, 3, key->label);
	text(st, 4, key->note);
	sqlite3_bind_int64(st, 5, vmc_time());
	r = write_one(inv, st, err);
	pthread_mutex_unlock(&inv->lock);
	return r;
}

int inventory_key_del(struct inventory *inv, const char *id, struct vmc_error *err)
{
	return delete_by_id(inv, ST_KEY_DEL, id, err);
}

static int key_row(sqlite3_stmt *st, void *data)
{
	struct inv_key *key = rows_add(data);

	if (!key)
		return VMC_ENOMEM;
	column(st, 0, key->id, sizeof(key->id));
	column(st, 1, key->provider, sizeof(key->provider));
	column(st, 2, key->label, sizeof(key->label));
	column(st, 3, key->note, sizeof(key->note));
	key->time = sqlite3_column_int64(st, 4);
	return 0;
}

int inventory_keys(struct inventory *inv, struct inv_key **keys, size_t *n, struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(**keys) };
	int r = all_rows(inv, ST_KEY_ALL, key_row, &rows, err);

	*keys = rows.items;
	*n = rows.n;
	return r;
}

int inventory_policy_put(struct inventory *inv, const struct inv_policy *p, struct vmc_error *err)
{
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_POLICY_PUT);
	text(st, 1, p->vm);
	text(st, 2, p->name);
	text(st, 3, migration_encryption_name(p->migration));
	r = write_one(inv, st, err);
	pthread_mutex_unlock(&inv->lock);
	return r;
}

int inventory_policy_del(struct inventory *inv, const char *vm, struct vmc_error *err)
{
	return delete_by_id(inv, ST_POLICY_DEL, vm, err);
}

/* What is not understood is as strict as can be. */
static int policy_row(sqlite3_stmt *st, void *data)
{
	struct inv_policy *p = rows_add(data);
	char word[16];

	if (!p)
		return VMC_ENOMEM;
	column(st, 0, p->vm, sizeof(p->vm));
	column(st, 1, p->name, sizeof(p->name));
	column(st, 2, word, sizeof(word));
	if (migration_encryption_parse(word, &p->migration, NULL))
		p->migration = MIGRATION_REQUIRED;
	return 0;
}

int inventory_policies(struct inventory *inv, struct inv_policy **list, size_t *n, struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(**list) };
	int r = all_rows(inv, ST_POLICY_ALL, policy_row, &rows, err);

	*list = rows.items;
	*n = rows.n;
	return r;
}

static int trim_events(struct inventory *inv, struct vmc_error *err)
{
	sqlite3_stmt *st;

	if (inv->events++ % EVENTS_TRIM_EVERY)
		return 0;
	st = start(inv, ST_EVENT_TRIM);
	sqlite3_bind_int(st, 1, INVENTORY_EVENTS_MAX);
	return write_one(inv, st, err);
}

int inventory_event(struct inventory *inv, const struct inv_event *e, int64_t *id, struct vmc_error *err)
{
	char *more = e->details ? json_dumps(e->details, JSON_COMPACT) : NULL;
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_EVENT_PUT);
	sqlite3_bind_int64(st, 1, vmc_time());
	text(st, 2, e->type);
	text(st, 3, e->message_id);
	text(st, 4, e->vm);
	text(st, 5, e->text);
	text(st, 6, more ? more : "{}");
	text(st, 7, e->vm_name);
	r = write_one(inv, st, err);
	if (!r && id)
		*id = sqlite3_last_insert_rowid(inv->db);
	if (!r)
		r = trim_events(inv, err);
	pthread_mutex_unlock(&inv->lock);
	free(more);
	return r;
}

static int event_row(sqlite3_stmt *st, void *data)
{
	json_t *details = json_loads((const char *)sqlite3_column_text(st, 5), 0, NULL);
	const char *vm = (const char *)sqlite3_column_text(st, 3);
	const char *name = (const char *)sqlite3_column_text(st, 7);
	char when[32];
	json_t *o;

	vmc_time_format(sqlite3_column_int64(st, 0), when);
	o = json_pack("{s:I, s:s, s:s?, s:s, s:s, s:s?, s:s, s:o}", "id",
		      (json_int_t)sqlite3_column_int64(st, 6), "time", when,
		      "vm_name", name && name[0] ? name : NULL, "type", sqlite3_column_text(st, 1), "message_id", sqlite3_column_text(st, 2),
		      "vm", vm && vm[0] ? vm : NULL, "text", sqlite3_column_text(st, 4),
		      "details", details ? details : json_object());
	return json_array_append_new(data, o) ? VMC_ENOMEM : 0;
}

/* Run @st, whose bindings are made, and unlock. */
static json_t *list_events(struct inventory *inv, sqlite3_stmt *st, struct vmc_error *err)
{
	json_t *list = json_array();
	int r = each_row(inv, st, event_row, list, err);

	pthread_mutex_unlock(&inv->lock);
	if (!r)
		return list;
	json_decref(list);
	return NULL;
}

json_t *inventory_events(struct inventory *inv, unsigned int limit, struct vmc_error *err)
{
	sqlite3_stmt *st;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_EVENT_ALL);
	sqlite3_bind_int64(st, 1, limit);
	return list_events(inv, st, err);
}

json_t *inventory_events_since(struct inventory *inv, const struct inv_event_filter *f, unsigned int limit,
			       struct vmc_error *err)
{
	sqlite3_stmt *st;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_EVENT_SINCE);
	sqlite3_bind_int64(st, 1, f->after);
	sqlite3_bind_int64(st, 2, f->since);
	text(st, 3, f->vm);
	text(st, 4, f->type);
	sqlite3_bind_int64(st, 5, limit);
	return list_events(inv, st, err);
}

/* ---- alarms ------------------------------------------------------------------ */

static void bind_alarm(sqlite3_stmt *st, const struct inv_alarm *a, const char *keys)
{
	if (a->id)
		sqlite3_bind_int64(st, 1, a->id);
	text(st, 2, a->type);
	text(st, 3, a->kind);
	text(st, 4, a->entity);
	text(st, 5, a->name);
	sqlite3_bind_int(st, 6, a->severity);
	sqlite3_bind_int(st, 7, a->cause);
	text(st, 8, a->text);
	text(st, 9, a->remedy);
	text(st, 10, keys);
	sqlite3_bind_int64(st, 11, a->raised);
	sqlite3_bind_int64(st, 12, a->cleared);
	sqlite3_bind_int64(st, 13, a->acknowledged);
	text(st, 14, a->acknowledged_by);
	text(st, 15, a->reason);
}

/* A new one makes room for itself. */
static int trim_alarms(struct inventory *inv, struct vmc_error *err)
{
	sqlite3_stmt *st = start(inv, ST_ALARM_TRIM);

	sqlite3_bind_int(st, 1, INVENTORY_ALARMS_MAX);
	return write_one(inv, st, err);
}

int inventory_alarm_put(struct inventory *inv, struct inv_alarm *a, struct vmc_error *err)
{
	char *keys = dump(a->keys);
	sqlite3_stmt *st;
	int r;

	if (!keys)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_ALARM_PUT);
	bind_alarm(st, a, keys);
	r = write_one(inv, st, err);
	if (!r && !a->id) {
		a->id = sqlite3_last_insert_rowid(inv->db);
		r = trim_alarms(inv, err);
	}
	pthread_mutex_unlock(&inv->lock);
	free(keys);
	return r;
}

static int alarm_row(sqlite3_stmt *st, void *data)
{
	struct inv_alarm *a = rows_add(data);

	if (!a)
		return VMC_ENOMEM;
	a->id = sqlite3_column_int64(st, 0);
	column(st, 1, a->type, sizeof(a->type));
	column(st, 2, a->kind, sizeof(a->kind));
	column(st, 3, a->entity, sizeof(a->entity));
	column(st, 4, a->name, sizeof(a->name));
	a->severity = sqlite3_column_int(st, 5);
	a->cause = sqlite3_column_int(st, 6);
	column(st, 7, a->text, sizeof(a->text));
	column(st, 8, a->remedy, sizeof(a->remedy));
	a->keys = column_json(st, 9);
	a->raised = sqlite3_column_int64(st, 10);
	a->cleared = sqlite3_column_int64(st, 11);
	a->acknowledged = sqlite3_column_int64(st, 12);
	column(st, 13, a->acknowledged_by, sizeof(a->acknowledged_by));
	column(st, 14, a->reason, sizeof(a->reason));
	return 0;
}

int inventory_alarm_find(struct inventory *inv, const char *type, const char *kind, const char *entity,
			 struct inv_alarm *a, struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(*a) };
	sqlite3_stmt *st;
	int r;

	pthread_mutex_lock(&inv->lock);
	st = start(inv, ST_ALARM_FIND);
	text(st, 1, type);
	text(st, 2, kind);
	text(st, 3, entity);
	r = each_row(inv, st, alarm_row, &rows, err);
	pthread_mutex_unlock(&inv->lock);
	if (!r && !rows.n)
		r = VMC_ENOENT;
	if (!r) {
		*a = *(struct inv_alarm *)rows.items;
		json_incref(a->keys);
	}
	inventory_alarms_free(rows.items, rows.n);
	return r;
}

int inventory_alarms(struct inventory *inv, bool history, struct inv_alarm **alarms, size_t *n,
		     struct vmc_error *err)
{
	struct rows rows = { NULL, 0, sizeof(struct inv_alarm) };
	int r;

	pthread_mutex_lock(&inv->lock);
	r = each_row(inv, start(inv, history ? ST_ALARM_ALL : ST_ALARM_RAISED), alarm_row, &rows, err);
	pthread_mutex_unlock(&inv->lock);
	if (r) {
		inventory_alarms_free(rows.items, rows.n);
		return r;
	}
	*alarms = rows.items;
	*n = rows.n;
	return 0;
}

void inventory_alarms_free(struct inv_alarm *alarms, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		json_decref(alarms[i].keys);
	free(alarms);
}
