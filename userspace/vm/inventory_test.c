// SPDX-License-Identifier: GPL-2.0-or-later
/* The inventory: what it keeps, transactions, what it does with a foreign file. */
#include "../testing/testing.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inventory.h"

struct fixture {
	char *dir, path[PATH_MAX];
	struct inventory *inv;
};

static struct vmc_error err;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = test_mkdir();
	snprintf(f->path, sizeof(f->path), "%s/inventory.db", f->dir);
	assert_ok(inventory_open(&f->inv, f->path, &err), &err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	inventory_close(f->inv);
	test_rmdir(f->dir);
	free(f);
	return 0;
}

static void again(struct fixture *f)
{
	inventory_close(f->inv);
	f->inv = NULL;
	assert_ok(inventory_open(&f->inv, f->path, &err), &err);
}

static void put_vm(struct fixture *f, const char *id, const char *name)
{
	struct inv_vm vm = { .on = true, .key_state = 1, .serial = 5, .key_error = "it's \"gone\"" };

	snprintf(vm.id, sizeof(vm.id), "%s", id);
	snprintf(vm.name, sizeof(vm.name), "%s", name);
	snprintf(vm.bundle, sizeof(vm.bundle), "/srv/%s.vmcrypt", id);
	assert_ok(inventory_vm_put(f->inv, &vm, &err), &err);
}

struct seen {
	size_t n;
	struct inv_vm last;
};

static int see(const struct inv_vm *vm, void *data)
{
	struct seen *s = data;

	s->n++;
	s->last = *vm;
	return 0;
}

static struct seen all(struct fixture *f)
{
	struct seen s = { 0 };

	assert_ok(inventory_vm_each(f->inv, see, &s, &err), &err);
	return s;
}

static void test_vms(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct seen s;

	put_vm(f, "id-1", "a");
	put_vm(f, "id-2", "b");
	put_vm(f, "id-2", "c");		/* the same one, renamed */
	again(f);
	s = all(f);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.last.name, "c");
	assert_string_equal(s.last.key_error, "it's \"gone\"");
	assert_true(s.last.on);
	assert_int_equal(s.last.serial, 5);
	assert_ok(inventory_vm_del(f->inv, "id-1", &err), &err);
	assert_ok(inventory_vm_del(f->inv, "id-1", &err), &err);
	assert_int_equal(all(f).n, 1);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void test_transaction(void **state)
{
	struct fixture *f = *state;

	assert_ok(inventory_begin(f->inv, &err), &err);
	put_vm(f, "id-1", "a");
	assert_code(inventory_begin(f->inv, &err), VMC_EINTERNAL, &err);
	inventory_rollback(f->inv);
	assert_int_equal(all(f).n, 0);
	assert_ok(inventory_begin(f->inv, &err), &err);
	put_vm(f, "id-1", "a");
	put_vm(f, "id-2", "b");
	assert_ok(inventory_commit(f->inv, &err), &err);
	again(f);
	assert_int_equal(all(f).n, 2);
}

static void test_jobs(void **state)
{
	struct fixture *f = *state;
	struct inv_job job = { .id = "job-1", .kind = "disk-encrypt", .vm = "id-1" }, got, *jobs;
	size_t n;

	job.state = json_pack("{s:i, s:s}", "done", 5, "path", "/a\"b");
	assert_ok(inventory_job_put(f->inv, &job, &err), &err);
	json_object_set_new(job.state, "done", json_integer(9));
	assert_ok(inventory_job_put(f->inv, &job, &err), &err);
	again(f);
	assert_ok(inventory_job_get(f->inv, "job-1", &got, &err), &err);
	assert_true(json_equal(got.state, job.state));
	json_decref(got.state);
	json_decref(job.state);
	assert_code(inventory_job_get(f->inv, "job-2", &got, &err), VMC_ENOENT, &err);
	assert_ok(inventory_jobs(f->inv, &jobs, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(jobs[0].kind, "disk-encrypt");
	inventory_jobs_free(jobs, n);
	assert_ok(inventory_job_del(f->inv, "job-1", &err), &err);
	assert_ok(inventory_jobs(f->inv, &jobs, &n, &err), &err);
	assert_int_equal(n, 0);
	inventory_jobs_free(jobs, n);
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct inv_key key = { .id = "kms/1", .provider = "kms", .label = "l", .note = "n" }, *keys;
	size_t n;

	assert_ok(inventory_key_put(f->inv, &key, &err), &err);
	key.id[0] = '\0';
	assert_ok(inventory_key_put(f->inv, &key, &err), &err);
	assert_ok(inventory_key_put(f->inv, &key, &err), &err);
	assert_ok(inventory_key_del(f->inv, "kms/1", &err), &err);
	assert_ok(inventory_keys(f->inv, &keys, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_true(keys[0].time > 0);
	free(keys);
}

static void test_events(void **state)
{
	struct fixture *f = *state;
	json_t *details = json_pack("{s:s}", "key", "kms/1"), *list;
	struct inv_event e = { "t", "m", NULL, NULL, "text", details };
	int i;

	assert_ok(inventory_begin(f->inv, &err), &err);
	for (i = 0; i < INVENTORY_EVENTS_MAX + 200; i++) {
		e.vm = i % 2 ? "id-1" : NULL;
		assert_ok(inventory_event(f->inv, &e, NULL, &err), &err);
	}
	assert_ok(inventory_commit(f->inv, &err), &err);
	json_decref(details);
	list = inventory_events(f->inv, 3, &err);
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "vm")), "id-1");
	assert_true(json_is_null(json_object_get(json_array_get(list, 1), "vm")));
	json_decref(list);
	list = inventory_events(f->inv, 1000000, &err);
	assert_in_range(json_array_size(list), INVENTORY_EVENTS_MAX, INVENTORY_EVENTS_MAX + 64);
	json_decref(list);
}

static json_int_t id_at(const json_t *list, size_t i)
{
	return json_integer_value(json_object_get(json_array_get(list, i), "id"));
}

static void test_events_since(void **state)
{
	static const struct inv_event told[] = {
		{ "vm-locked", "m", "id-1", "web", "one", NULL },
		{ "vm-locked", "m", "id-2", "db", "two", NULL },
		{ "vm-unlocked", "m", "id-1", "web", "three", NULL },
	};
	struct inv_event_filter f = { 0 };
	struct fixture *x = *state;
	int64_t id[3];
	json_t *list;
	size_t i;

	for (i = 0; i < 3; i++)
		assert_ok(inventory_event(x->inv, &told[i], &id[i], &err), &err);
	assert_true(id[0] < id[1] && id[1] < id[2]);
	list = inventory_events_since(x->inv, &f, 2, &err);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(id_at(list, 0), id[0]);
	json_decref(list);
	f.after = id[0];
	f.vm = "web";
	list = inventory_events_since(x->inv, &f, 10, &err);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(id_at(list, 0), id[2]);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "vm_name")), "web");
	json_decref(list);
	f = (struct inv_event_filter){ .type = "vm-locked", .vm = "id-2" };
	list = inventory_events_since(x->inv, &f, 10, &err);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	f = (struct inv_event_filter){ .since = vmc_time() + 3600 };
	list = inventory_events_since(x->inv, &f, 10, &err);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void put_alarm(struct fixture *f, const char *entity, struct inv_alarm *a)
{
	memset(a, 0, sizeof(*a));
	snprintf(a->type, sizeof(a->type), "vm-locked");
	snprintf(a->kind, sizeof(a->kind), "vm");
	snprintf(a->entity, sizeof(a->entity), "%s", entity);
	a->keys = NULL;
	a->cause = 2;
	a->raised = 5;
	assert_ok(inventory_alarm_put(f->inv, a, &err), &err);
	assert_true(a->id > 0);
}

static void test_alarms(void **state)
{
	struct inv_alarm a, b, *list;
	struct fixture *f = *state;
	size_t i, n;

	put_alarm(f, "id-1", &a);
	put_alarm(f, "id-2", &b);
	again(f);
	b.id = 0;
	assert_int_not_equal(inventory_alarm_put(f->inv, &b, &err), 0);	/* one of a type and entity */
	assert_ok(inventory_alarm_find(f->inv, "vm-locked", "vm", "id-1", &b, &err), &err);
	assert_int_equal(b.cause, 2);
	assert_int_equal(json_array_size(b.keys), 0);
	b.cleared = 9;
	snprintf(b.acknowledged_by, sizeof(b.acknowledged_by), "alice");
	assert_ok(inventory_alarm_put(f->inv, &b, &err), &err);
	json_decref(b.keys);
	assert_int_equal(inventory_alarm_find(f->inv, "vm-locked", "vm", "id-1", &b, &err), VMC_ENOENT);
	assert_ok(inventory_alarms(f->inv, false, &list, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].entity, "id-2");
	inventory_alarms_free(list, n);
	put_alarm(f, "id-1", &a);
	/* the cleared ones go when there are too many, a raised one never does */
	assert_ok(inventory_begin(f->inv, &err), &err);
	for (i = 0; i < INVENTORY_ALARMS_MAX + 10; i++) {
		put_alarm(f, "id-3", &b);
		b.cleared = 9;
		assert_ok(inventory_alarm_put(f->inv, &b, &err), &err);
	}
	assert_ok(inventory_commit(f->inv, &err), &err);
	assert_ok(inventory_alarms(f->inv, true, &list, &n, &err), &err);
	assert_in_range(n, INVENTORY_ALARMS_MAX, INVENTORY_ALARMS_MAX + 3);
	assert_true(list[0].id > list[1].id);
	assert_int_equal(list[n - 1].id, 2);
	assert_string_equal(list[n - 1].entity, "id-2");
	inventory_alarms_free(list, n);
}

/* As the release with schema 1 left it. */
static void test_migration(void **state)
{
	static const char old[] =
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
		"PRAGMA user_version = 1;"
		"INSERT INTO vms VALUES('id-1', 'web', '/srv/web.vmcrypt', 1, 1, 'gone', 'look', 7);"
		"INSERT INTO events(time, type, message_id, vm, text, details)"
		" VALUES(3, 'vm-locked', 'm', 'id-1', 'text', '{}');";
	struct fixture *f = *state;
	struct seen s = { 0 };
	json_t *list;
	sqlite3 *db;

	inventory_close(f->inv);
	f->inv = NULL;
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_ok(inventory_open(&f->inv, f->path, &err), &err);
	assert_ok(inventory_vm_each(f->inv, see, &s, &err), &err);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.last.name, "web");
	assert_int_equal(s.last.key_state, 1);
	assert_int_equal(s.last.cause, 0);
	assert_int_equal(s.last.serial, 7);
	list = inventory_events(f->inv, 10, &err);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "vm_name")), "web");
	json_decref(list);
	again(f);
}

static void test_policies(void **state)
{
	struct inv_policy a = { "id-1", "web", MIGRATION_REQUIRED }, b = { "db", "db", MIGRATION_DISABLED }, *list;
	struct fixture *f = *state;
	size_t n;

	assert_ok(inventory_policy_put(f->inv, &a, &err), &err);
	assert_ok(inventory_policy_put(f->inv, &b, &err), &err);
	b.migration = MIGRATION_OPPORTUNISTIC;
	assert_ok(inventory_policy_put(f->inv, &b, &err), &err);
	again(f);
	assert_ok(inventory_policies(f->inv, &list, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].vm, "db");
	assert_int_equal(list[0].migration, MIGRATION_OPPORTUNISTIC);
	assert_string_equal(list[1].name, "web");
	assert_int_equal(list[1].migration, MIGRATION_REQUIRED);
	free(list);
	assert_ok(inventory_policy_del(f->inv, "db", &err), &err);
	assert_ok(inventory_policy_del(f->inv, "db", &err), &err);
	assert_ok(inventory_policies(f->inv, &list, &n, &err), &err);
	assert_int_equal(n, 1);
	free(list);
}

static void *writer(void *data)
{
	struct inv_event e = { "t", "m", NULL, NULL, "text", NULL };
	struct fixture *f = data;
	int i;

	for (i = 0; i < 50; i++)
		if (inventory_event(f->inv, &e, NULL, NULL))
			return (void *)1;
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	json_t *list;
	void *bad;
	int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, *state), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	list = inventory_events(((struct fixture *)*state)->inv, 1000, &err);
	assert_int_equal(json_array_size(list), 200);
	json_decref(list);
}

static void test_newer_schema(void **state)
{
	struct fixture *f = *state;
	struct inventory *inv;
	sqlite3 *db;

	inventory_close(f->inv);
	f->inv = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_code(inventory_open(&inv, f->path, &err), VMC_ENOTSUP, &err);
	assert_contains(err.hint, "newer");
	test_write_text(f->path, "this is no database, but it is long enough to be looked at as one ...........");
	assert_code(inventory_open(&inv, f->path, &err), VMC_EIO, &err);
	assert_contains(err.text, f->path);
	assert_contains(err.hint, "register");
	assert_int_not_equal(inventory_open(&inv, "/nonexistent/x.db", &err), 0);
}

#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_vms), t(test_transaction), t(test_jobs), t(test_keys), t(test_events), t(test_threads),
		t(test_newer_schema), t(test_events_since), t(test_alarms), t(test_migration), t(test_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
