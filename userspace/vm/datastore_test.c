// SPDX-License-Identifier: GPL-2.0-or-later
/* Datastores: made, opened, closed, locked and unlocked, with VMs that lie on them. */
#include "../testing/testing.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/util.h"
#include "datastore.h"
#include "inventory.h"
#include "mock_world.h"

static struct vmc_error err;

static void make(struct world *w, const char *name, char id[VMC_UUID_STR])
{
	char path[PATH_MAX];
	struct vmm_datastore d = { .name = name, .path = path, .size = platform_is_real() ? 32 * MIB : 2 * MIB };

	snprintf(path, sizeof(path), "%s/%s.img", w->dir, name);
	assert_ok(vmm_datastore_create(w->m, &d, NULL, id, &err), &err);
}

static void open_it(struct world *w, const char *store)
{
	assert_ok(vmm_datastore_open(w->m, store, NULL, &err), &err);
}

/* A VM in a folder of the open datastore. */
static void make_vm(struct world *w, const char *store, const char *name, char id[VMC_UUID_STR])
{
	struct vmm_create c = { .name = name };
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/datastores/%s", w->cfg.runtime_dir, store);
	c.dir = dir;
	assert_ok(vmm_create(w->m, &c, NULL, id, &err), &err);
}

/* state crypto_state shows_as cause */
static void assert_store(struct world *w, const char *store, const char *want)
{
	json_t *o = vmm_datastore_show(w->m, store, &err);
	const char *cause;
	char got[128];

	assert_non_null(o);
	cause = json_string_value(json_object_get(o, "cause"));
	snprintf(got, sizeof(got), "%s %s %s %s", world_field(o, "state"), world_field(o, "crypto_state"),
		 world_field(o, "shows_as"), cause ? cause : "-");
	assert_string_equal(got, want);
	json_decref(o);
}

static void unlock(struct world *w, const char *store, bool ok)
{
	json_t *out = NULL;

	assert_ok(vmm_datastore_unlock(w->m, &store, 1, NULL, &out, &err), &err);
	world_assert_result(out, ok);
}

static void test_life(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], where[PATH_MAX], file[PATH_MAX + 16];
	json_t *o;
	FILE *f;

	make(w, "fast", id);
	assert_store(w, "fast", "closed unlocked ok -");
	snprintf(where, sizeof(where), "%s/datastores/fast", w->cfg.runtime_dir);
	open_it(w, "fast");
	assert_code(vmm_datastore_open(w->m, id, NULL, &err), VMC_ESTATE, &err);
	assert_string_equal(err.text, "datastore 'fast' is open already");
	assert_store(w, id, "open unlocked ok -");
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_string_equal(world_field(o, "mount"), where);
	assert_true(json_is_true(json_object_get(o, "mounted")));
	assert_true(json_is_true(json_object_get(o, "loaded")));
	assert_true(json_is_true(json_object_get(o, "autoopen")));
	assert_string_equal(world_field(o, "fs"), "ext4");
	assert_string_equal(world_field(o, "key"), "kms/key-1");
	json_decref(o);
	snprintf(file, sizeof(file), "%s/image", where);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs("words", f);
	fclose(f);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	assert_int_not_equal(access(file, F_OK), 0);
	assert_int_equal(platform_mappings(), 0);
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_false(json_is_true(json_object_get(o, "mounted")));
	assert_false(json_is_true(json_object_get(o, "loaded")));
	json_decref(o);
	assert_code(vmm_datastore_close(w->m, "fast", &err), VMC_ESTATE, &err);
	world_again(w);
	open_it(w, "fast");
	world_again(w);		/* the helper restarts: it stays open */
	assert_store(w, "fast", "open unlocked ok -");
	assert_int_equal(access(file, F_OK), 0);
	assert_code(vmm_datastore_remove(w->m, "fast", &err), VMC_ESTATE, &err);
	assert_code(vmm_datastore_unregister(w->m, "fast", &err), VMC_ESTATE, &err);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	assert_string_equal(w->events, "key-created datastore-created datastore-opened datastore-closed "
			    "datastore-opened datastore-closed ");
}

/* A datastore is no VM, and the other way; they may have the same name. */
static void test_names(void **state)
{
	struct world *w = *state;
	char store[VMC_UUID_STR], vm[VMC_UUID_STR], got[VMC_UUID_STR];
	struct vmm_datastore d = { .name = "both" };
	json_t *list;

	make(w, "only", store);
	make(w, "both", got);
	world_vm(w, "both", vm);
	assert_code(vmm_power_on(w->m, "only", NULL, NULL, &err), VMC_ENOENT, &err);
	assert_string_equal(err.text, "'only' is a datastore, not a VM");
	assert_contains(err.hint, "vmcrypt help datastore");
	assert_code(vmm_unregister(w->m, store, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "is a datastore, not a VM");
	assert_code(vmm_datastore_open(w->m, vm, NULL, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "is a VM, not a datastore");
	assert_code(vmm_datastore_open(w->m, "none", NULL, &err), VMC_ENOENT, &err);
	assert_string_equal(err.text, "there is no datastore 'none' on this host");
	assert_ok(vmm_resolve(w->m, "both", got, &err), &err);
	assert_string_equal(got, vm);
	d.path = test_path(w->dir, "other.img");
	d.size = MIB;
	assert_code(vmm_datastore_create(w->m, &d, NULL, got, &err), VMC_EEXIST, &err);
	list = vmm_list(w->m, &err);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	list = vmm_datastore_list(w->m, &err);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	/* what belongs to one is not taken for the other */
	assert_code(vmm_register(w->m, test_path(w->dir, "only.img"), true, got, &err), VMC_EINVAL, &err);
	assert_contains(err.hint, "vmcrypt datastore register");
	assert_code(vmm_register(w->m, test_path(w->dir, "state/datastores/only.vmcrypt"), false, got, &err),
		    VMC_EINVAL, &err);
	d = (struct vmm_datastore){ .name = "third", .path = test_path(w->dir, "both.home") };
	assert_code(vmm_datastore_register(w->m, &d, got, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "is a volume of a VM");
}

static void test_refusals(void **state)
{
	struct world *w = *state;
	struct vmm_datastore d = { .name = "a/b", .path = test_path(w->dir, "x.img"), .size = MIB };
	char id[VMC_UUID_STR];

	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EINVAL, &err);
	d.name = "x";
	d.path = "x.img";
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EINVAL, &err);
	d.path = test_path(w->dir, "x.img");
	d.fs = "vfat";
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EINVAL, &err);
	d.fs = NULL;
	d.size = 0;
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EINVAL, &err);
	assert_contains(err.hint, "--size");
	d.path = "/dev/vmcrypt-is-not-there";
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_ENOENT, &err);
	d.path = test_path(w->dir, "x.img");
	d.size = 4096;	/* no file system has room there: nothing is left */
	assert_int_not_equal(vmm_datastore_create(w->m, &d, NULL, id, &err), 0);
	assert_int_not_equal(access(d.path, F_OK), 0);
	make(w, "x", id);
	d = (struct vmm_datastore){ .name = "y", .path = d.path, .size = 2 * MIB };
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EEXIST, &err);
	d.path = test_path(w->dir, "y.img");
	d.mount = test_path(w->dir, "run/datastores/x");
	mkdir(test_path(w->dir, "run"), 0700);
	mkdir(test_path(w->dir, "run/datastores"), 0700);
	assert_code(vmm_datastore_create(w->m, &d, NULL, id, &err), VMC_EEXIST, &err);
	assert_contains(err.text, "mount point of datastore 'x'");
}

/* VMs keep it open; opening one opens it. */
static void test_vms(void **state)
{
	struct world *w = *state;
	char store[VMC_UUID_STR], web[VMC_UUID_STR], db[VMC_UUID_STR];
	json_t *o;

	make(w, "fast", store);
	open_it(w, "fast");
	make_vm(w, "fast", "web", web);
	make_vm(w, "fast", "db", db);
	assert_ok(vmm_power_on(w->m, "web", NULL, NULL, &err), &err);
	assert_code(vmm_datastore_close(w->m, "fast", &err), VMC_EBUSY, &err);
	assert_string_equal(err.text, "datastore 'fast' is in use: VM 'web' lies on it and is on");
	assert_contains(err.hint, "vmcrypt vm power-off web");
	assert_ok(vmm_power_off(w->m, "web", &err), &err);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	assert_code(vmm_reload(w->m, "web", &err), VMC_ENOENT, &err);
	assert_contains(err.text, "VM 'web' lies on datastore 'fast', which is closed");
	assert_string_equal(err.hint, "vmcrypt datastore open fast");
	assert_code(vmm_datastore_remove(w->m, "fast", &err), VMC_EBUSY, &err);
	assert_contains(err.text, " lies on it");
	assert_ok(vmm_power_on(w->m, "web", NULL, NULL, &err), &err);
	assert_store(w, "fast", "open unlocked ok -");

	world_reboot(w);
	assert_store(w, "fast", "closed unlocked ok -");
	mock->unreachable[0] = true;
	assert_code(vmm_power_on(w->m, "web", NULL, NULL, &err), VMC_EUNREACH, &err);
	assert_contains(err.text, "VM 'web' lies on datastore 'fast', which is closed: datastore 'fast' is locked.");
	assert_store(w, "fast", "closed locked invalid kms-error");
	mock->unreachable[0] = false;
	assert_ok(vmm_power_on(w->m, "web", NULL, NULL, &err), &err);
	assert_store(w, "fast", "open unlocked ok -");
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_int_equal(json_array_size(json_object_get(o, "vms")), 2);
	json_decref(o);
}

/* At the start of the host, before VMs. */
static void test_autoopen(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], web[VMC_UUID_STR];
	json_t *o;

	make(w, "fast", id);
	make(w, "rarely", id);
	open_it(w, "fast");
	make_vm(w, "fast", "web", web);
	assert_ok(vmm_datastore_set(w->m, "rarely", &(bool){ false }, NULL, &err), &err);
	world_reboot(w);
	o = vmm_show(w->m, "web", &err);
	assert_string_equal(world_field(o, "provider"), "");	/* its bundle is not to be seen */
	json_decref(o);
	assert_ok(vmm_datastores_autoopen(w->m, &err), &err);
	assert_store(w, "fast", "open unlocked ok -");
	assert_store(w, "rarely", "closed unlocked ok -");
	o = vmm_show(w->m, "web", &err);
	assert_string_equal(world_field(o, "provider"), "kms");
	json_decref(o);
	assert_ok(vmm_power_on(w->m, "web", NULL, NULL, &err), &err);

	/* once in a start of the host: one that was closed by hand stays so */
	assert_ok(vmm_power_off(w->m, "web", &err), &err);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	world_again(w);
	assert_ok(vmm_datastores_autoopen(w->m, &err), &err);
	assert_store(w, "fast", "closed unlocked ok -");
	world_reboot(w);
	assert_ok(vmm_datastores_autoopen(w->m, &err), &err);
	assert_store(w, "fast", "open unlocked ok -");
}

/* Locked with its cause; opened by the health check when its key is to be had again. */
static void test_locked(void **state)
{
	static const char sentence[] = "Datastore is locked because of an error of the key provider.";
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *o, *list;

	make(w, "fast", id);
	world_reboot(w);
	mock->unreachable[0] = true;
	o = vmm_forecast(w->m, &err);
	list = json_object_get(o, "vms");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(world_field(json_array_get(list, 0), "kind"), "datastore");
	assert_string_equal(world_field(json_array_get(list, 0), "text"), sentence);
	json_decref(o);
	assert_ok(vmm_datastores_autoopen(w->m, &err), &err);
	assert_store(w, "fast", "closed locked invalid kms-error");
	world_assert_event(w, "datastore-locked", sentence);
	list = vmm_alarms(w->m, false, &err);
	assert_int_equal(json_array_size(list), 1);
	o = json_array_get(list, 0);
	assert_string_equal(world_field(o, "type"), "datastore-locked");
	assert_string_equal(world_field(json_object_get(o, "entity"), "kind"), "datastore");
	assert_string_equal(world_field(o, "text"), sentence);
	assert_contains(world_field(o, "remedy"), "vmcrypt datastore unlock fast");
	json_decref(list);
	unlock(w, "fast", false);
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_int_equal(json_integer_value(json_object_get(o, "alarms")), 1);
	assert_string_equal(world_field(o, "cause_text"), sentence);
	json_decref(o);
	mock->unreachable[0] = false;
	assert_ok(vmm_health(w->m, NULL, &err), &err);
	assert_store(w, "fast", "open unlocked ok -");
	world_assert_event(w, "datastore-unlocked", "Datastore is unlocked.");
	list = vmm_alarms(w->m, false, &err);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);

	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	assert_ok(vmm_key_remove(w->m, "kms/key-1", false, true, &err), &err);
	assert_store(w, "fast", "closed locked invalid keys-missing-on-host");
	unlock(w, "fast", true);
	assert_store(w, "fast", "closed unlocked ok -");	/* by hand: keys, and no more */
	mock->keys[0].state = PKS_DEACTIVATED;
	assert_ok(vmm_health(w->m, NULL, &err), &err);
	list = vmm_alarms(w->m, false, &err);
	assert_string_equal(world_field(json_array_get(list, 0), "type"), "key-state");
	assert_contains(world_field(json_array_get(list, 0), "remedy"), "vmcrypt datastore recrypt --shallow fast");
	json_decref(list);
}

static json_int_t recrypt(struct world *w, const char *store, const struct vmm_datastore_recrypt *how)
{
	json_t *out = NULL, *o;
	json_int_t generation;

	assert_ok(vmm_datastore_recrypt(w->m, &store, 1, how, NULL, &out, &err), &err);
	o = json_array_get(json_object_get(out, "results"), 0);
	if (!json_is_true(json_object_get(o, "ok")))
		fail_msg("recrypt of %s: %s", store, world_field(o, "error"));
	json_decref(out);
	o = vmm_datastore_show(w->m, store, &err);
	generation = json_integer_value(json_object_get(o, "generation"));
	json_decref(o);
	return generation;
}

/* While it is open; either of two providers opens it. All VMs are not all datastores. */
static void test_recrypt(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], vm[VMC_UUID_STR];
	json_t *out = NULL, *o;

	make(w, "fast", id);
	world_vm(w, "web", vm);
	open_it(w, "fast");
	assert_int_equal(recrypt(w, "fast", &(struct vmm_datastore_recrypt){ 0 }), 2);
	world_assert_event(w, "vm-recrypted", "The key of datastore 'fast' is wrapped under a new key");
	assert_int_equal(recrypt(w, "fast", &(struct vmm_datastore_recrypt){ .add_provider = "kms2" }), 3);
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_contains(world_field(o, "second_key"), "kms2/");
	json_decref(o);
	assert_ok(vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err), &err);
	assert_int_equal(json_array_size(json_object_get(out, "results")), 1);
	json_decref(out);
	world_reboot(w);
	mock->unreachable[0] = true;
	open_it(w, "fast");
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	mock->unreachable[0] = false;
	assert_int_equal(recrypt(w, "fast", &(struct vmm_datastore_recrypt){ .remove_provider = "kms" }), 4);
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_string_equal(world_field(o, "provider"), "kms2");
	json_decref(o);
	o = vmm_key_list(w->m, &err);
	assert_non_null(o);
	json_decref(o);
}

/* Unregistered here, registered elsewhere, from its header. */
static void test_register(void **state)
{
	struct world *w = *state;
	struct vmm_datastore d = { .name = "moved", .path = test_path(w->dir, "fast.img") };
	char id[VMC_UUID_STR], again[VMC_UUID_STR], vm[VMC_UUID_STR];

	make(w, "fast", id);
	open_it(w, "fast");
	make_vm(w, "fast", "web", vm);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
	assert_code(vmm_datastore_register(w->m, &d, again, &err), VMC_EEXIST, &err);
	assert_ok(vmm_datastore_unregister(w->m, "fast", &err), &err);
	assert_int_not_equal(access(test_path(w->dir, "state/datastores/fast.vmcrypt"), F_OK), 0);
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_code(vmm_datastore_register(w->m, &d, again, &err), VMC_EUNREACH, &err);
	mock->unreachable[0] = false;
	assert_ok(vmm_datastore_register(w->m, &d, again, &err), &err);
	assert_string_equal(again, id);
	open_it(w, "moved");
	world_again(w);
	assert_store(w, "moved", "open unlocked ok -");
}

static void test_remove(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	bool noted = false;
	json_t *keys, *o;
	size_t i;

	make(w, "fast", id);
	assert_ok(vmm_datastore_remove(w->m, "fast", &err), &err);
	assert_int_not_equal(access(test_path(w->dir, "fast.img"), F_OK), 0);
	assert_null(vmm_datastore_show(w->m, "fast", &err));
	keys = vmm_key_list(w->m, &err);
	json_array_foreach(keys, i, o)
		if (!strcmp(world_field(o, "id"), "kms/key-1"))
			noted = !strcmp(world_field(o, "note"), "its datastore was removed");
	json_decref(keys);
	assert_true(noted);
	make(w, "fast", id);	/* name and place are free again */
}

static void test_mount_point(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *o;

	make(w, "fast", id);
	assert_ok(vmm_datastore_set(w->m, "fast", NULL, test_path(w->dir, "elsewhere"), &err), &err);
	open_it(w, "fast");
	assert_code(vmm_datastore_set(w->m, "fast", NULL, "", &err), VMC_ESTATE, &err);
	world_again(w);
	o = vmm_datastore_show(w->m, "fast", &err);
	assert_string_equal(world_field(o, "mount"), test_path(w->dir, "elsewhere"));
	assert_true(json_is_true(json_object_get(o, "mounted")));
	json_decref(o);
	assert_ok(vmm_datastore_close(w->m, "fast", &err), &err);
}

#define test(name) cmocka_unit_test_setup_teardown(test_##name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(life), test(names), test(refusals), test(vms), test(autoopen), test(locked), test(recrypt),
		test(register), test(remove), test(mount_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
