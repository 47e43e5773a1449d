// SPDX-License-Identifier: GPL-2.0-or-later
/* The manager's verbs over a mock host. */
#include "../testing/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/luks.h"
#include "../lib/fs.h"
#include "bundle.h"
#include "mock_world.h"

static struct vmc_error err;

/* ---- life of a VM ------------------------------------------------------------ */

static void test_create_power(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *out;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(vmm_power_on(w->m, "web", NULL, &out, &err), &err);
	assert_non_null(json_object_get(json_object_get(out, "disks"), "root"));
	assert_contains(json_string_value(json_object_get(out, "home")), id);
	json_decref(out);
	world_assert_state(w, "web", "power", "on");
	world_text(id, "root", "what the guest wrote", 0, true);
	assert_code(vmm_power_on(w->m, "web", NULL, NULL, &err), VMC_ESTATE, &err);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_code(vmm_power_off(w->m, id, &err), VMC_ESTATE, &err);
	platform_reboot();
	world_again(w);
	world_assert_state(w, id, "power", "off");
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_text(id, "root", "what the guest wrote", 0, false);
	assert_contains(w->events, "key-created vm-created disk-added");
}

static void test_no_plaintext(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], *data;
	size_t len;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_text(id, "root", "SECRET-OF-THE-GUEST", 0, true);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_ok(fs_read(test_path(w->dir, "web-root.img"), 64 * MIB, &data, &len, &err), &err);
	assert_true(len >= 17 * MIB);
	assert_null(memmem(data, len, "SECRET-OF-THE-GUEST", 19));
	free(data);
}

static void test_restart_while_on(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_again(w);
	world_assert_state(w, id, "power", "on");
	world_reboot(w);
	world_assert_state(w, id, "power", "off");
}

static void test_create_refused(void **state)
{
	struct world *w = *state;
	struct vmm_create c = { .name = "web", .dir = w->dir };
	char id[VMC_UUID_STR], other[VMC_UUID_STR];

	world_vm(w, "web", id);
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EEXIST, &err);
	c.name = "../x";
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EINVAL, &err);
	c.name = "db";
	c.dir = "relative";
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EINVAL, &err);
	c.dir = "/nonexistent";
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_ENOENT, &err);
	c.dir = w->dir;
	c.id = "no-uuid";
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EINVAL, &err);
	c.id = id;
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EEXIST, &err);
	c.id = NULL;
	c.provider = "nowhere";
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "nowhere");
	c.provider = NULL;
	mock->unreachable[0] = true;
	assert_code(vmm_create(w->m, &c, NULL, other, &err), VMC_EUNREACH, &err);
	mock->unreachable[0] = false;
	assert_ok(vmm_create(w->m, &c, NULL, other, &err), &err);
}

/* Whatever fails half-way leaves no file and no VM, but a note of the key that was made. */
static void test_create_undone(void **state)
{
	struct world *w = *state;
	struct vmm_create c = { .name = "web", .dir = w->dir };
	char id[VMC_UUID_STR];
	json_t *keys, *key;

	c.home_size = 4096;		/* no ext4 fits */
	assert_code(vmm_create(w->m, &c, NULL, id, &err), VMC_EIO, &err);
	assert_contains(err.text, "mkfs.ext4");
	assert_int_not_equal(access(test_path(w->dir, "web.home"), F_OK), 0);
	assert_int_not_equal(access(test_path(w->dir, "web.vmcrypt"), F_OK), 0);
	assert_code(vmm_resolve(w->m, "web", id, &err), VMC_ENOENT, &err);
	keys = vmm_key_list(w->m, &err);
	assert_int_equal(json_array_size(keys), 1);
	key = json_array_get(keys, 0);
	assert_contains(json_string_value(json_object_get(key, "note")), "did not finish");
	assert_string_equal(json_string_value(json_object_get(key, "id")), "kms/key-1");
	json_decref(keys);
	assert_ok(vmm_key_remove(w->m, "kms/key-1", true, false, &err), &err);
	assert_int_equal(mock->keys[0].state, PKS_DESTROYED);
	keys = vmm_key_list(w->m, &err);
	assert_int_equal(json_array_size(keys), 0);
	json_decref(keys);
}

static void test_names(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], other[VMC_UUID_STR], sub[PATH_MAX];
	struct vmm_create c = { .name = "web", .dir = sub };

	world_vm(w, "web", id);
	snprintf(sub, sizeof(sub), "%s/sub", w->dir);
	mkdir(sub, 0700);
	assert_ok(vmm_create(w->m, &c, NULL, other, &err), &err);
	assert_code(vmm_power_on(w->m, "web", NULL, NULL, &err), VMC_EINVAL, &err);
	assert_contains(err.text, id);
	assert_contains(err.text, other);
	assert_ok(vmm_power_on(w->m, other, NULL, NULL, &err), &err);
	assert_code(vmm_power_on(w->m, "mail", NULL, NULL, &err), VMC_ENOENT, &err);
}

static void test_power_off_busy(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], mapping[128];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk(w, "web", "data", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	snprintf(mapping, sizeof(mapping), "vmcrypt-%s-root", id);
	platform_hold(mapping, true);
	assert_code(vmm_power_off(w->m, id, &err), VMC_EBUSY, &err);
	assert_contains(err.text, mapping);
	world_assert_state(w, id, "power", "on");
	world_text(id, "data", "still writable", 0, true);
	platform_hold(mapping, false);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
}

/* ---- keys that are missing ------------------------------------------------------ */

static void test_provider_down(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	mock->unreachable[0] = true;
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);	/* the KEK is cached */
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	platform_reboot();
	world_again(w);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EUNREACH, &err);
	assert_contains(err.text, "'web' is locked");
	world_assert_state(w, id, "key_state", "locked");
	world_again(w);
	world_assert_state(w, id, "key_state", "locked");
	mock->unreachable[0] = false;
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_assert_state(w, id, "key_state", "ok");
	assert_contains(w->events, "vm-locked alarm-raised vm-unlocked alarm-cleared");
}

static void test_key_not_active(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	platform_reboot();
	mock->keys[0].state = PKS_DEACTIVATED;
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EKEYSTATE, &err);
	assert_contains(err.text, "key-1");
	mock->keys[0].state = PKS_ACTIVE;
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

static void test_disk_key_missing(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], want[PATH_MAX];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk(w, "web", "data", "kms2");
	platform_reboot();
	mock->unreachable[1] = true;
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_ENOKEY, &err);
	snprintf(want, sizeof(want), "The disk [%s] is encrypted and a required key was not found.",
		 test_path(w->dir, "web-data.img"));
	assert_string_equal(err.text, want);
	assert_contains(err.hint, "kms2");
	world_assert_state(w, id, "key_state", "disk-key-missing");
	world_assert_state(w, id, "power", "off");
	assert_ok(vmm_disk_detach(w->m, id, "data", &err), &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	mock->unreachable[1] = false;
	assert_ok(vmm_disk_attach(w->m, id, test_path(w->dir, "web-data.img"), &err), &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

/* Another cluster answers under the name and has other bytes under the id. */
static void test_other_key_same_id(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	platform_reboot();
	mock->keys[0].key[5] ^= 1;
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "the key that provider 'kms' holds under id 'key-1' is not the key that "
			"this disk was encrypted with");
	world_assert_state(w, id, "key_state", "locked");
}

static void test_renamed_provider(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], again_id[VMC_UUID_STR], path[PATH_MAX];

	world_vm(w, "web", id);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	assert_ok(vmm_unregister(w->m, id, &err), &err);
	assert_code(vmm_resolve(w->m, id, again_id, &err), VMC_ENOENT, &err);
	platform_reboot();
	mock->renamed = true;
	assert_ok(vmm_register(w->m, path, false, again_id, &err), &err);
	assert_string_equal(id, again_id);
	world_assert_state(w, id, "key_state", "locked");
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "no key provider 'kms'");
	assert_ok(vmm_reload(w->m, id, &err), &err);
	mock->renamed = false;
	assert_ok(vmm_register(w->m, path, false, again_id, &err), &err);
	world_assert_state(w, id, "key_state", "ok");
}

/* ---- what was altered -------------------------------------------------------------- */

static void test_altered_bundle(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], path[PATH_MAX], *data, *at;
	size_t len;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	assert_ok(fs_read(path, BUNDLE_SIZE_MAX, &data, &len, &err), &err);
	at = strstr(data, "web-root.img");
	world_flip(path, at - data);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "was altered");
	assert_contains(err.text, path);
	assert_contains(err.hint, "--from-headers");
	world_assert_state(w, id, "power", "off");
	world_flip(path, at - data);
	world_flip(path, 0);		/* not even JSON */
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "altered or damaged");
	assert_ok(vmm_register(w->m, test_path(w->dir, "web-root.img"), true, id, &err), &err);
	assert_int_equal(access(test_path(w->dir, "web.vmcrypt.old"), F_OK), 0);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	free(data);
}

static void test_altered_wrapped(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], path[PATH_MAX];
	struct bundle b;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	assert_ok(bundle_read(path, &b, &err), &err);
	b.v[1].wrapped[40] ^= 4;
	assert_ok(bundle_sign(&b, platform_kernel(), &err), &err);
	assert_ok(bundle_write(path, &b, &err), &err);
	bundle_clear(&b);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "the header of volume 'root'");
	assert_contains(err.text, "was altered");
	assert_code(vmm_reload(w->m, id, &err), VMC_OK, &err);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "the wrapped key of volume 'root' was altered");
}

static void test_altered_token(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	struct luks_header h;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(luks_read(test_path(w->dir, "web-root.img"), &h, &err), &err);
	h.token.wrapped[50] ^= 1;
	assert_ok(luks_set_token(test_path(w->dir, "web-root.img"), &h.token, &err), &err);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "web-root.img");
	assert_contains(err.hint, "reload");
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

static void test_swapped_files(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], a[PATH_MAX], b[PATH_MAX], c[PATH_MAX];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk(w, "web", "data", NULL);
	snprintf(a, sizeof(a), "%s/web-root.img", w->dir);
	snprintf(b, sizeof(b), "%s/web-data.img", w->dir);
	snprintf(c, sizeof(c), "%s/x", w->dir);
	assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "LUKS UUID");
	world_assert_state(w, id, "power", "off");
	assert_int_equal(rename(b, c) | rename(a, b) | rename(c, a), 0);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

static void test_foreign_disk(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR], b[VMC_UUID_STR];

	world_vm(w, "web", a);
	world_vm(w, "db", b);
	world_disk(w, "db", "root", NULL);
	assert_code(vmm_disk_attach(w->m, "web", test_path(w->dir, "db-root.img"), &err), VMC_EINVAL, &err);
	assert_contains(err.text, b);
	assert_code(vmm_disk_attach(w->m, "db", test_path(w->dir, "db-root.img"), &err), VMC_EEXIST, &err);
}

/* ---- disks -------------------------------------------------------------------------- */

static void test_disk_verbs(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], *device;
	struct vmm_disk d = { .name = "root", .size = MIB };
	json_t *o;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_code(vmm_disk_create(w->m, id, &d, NULL, &err), VMC_EEXIST, &err);
	d.name = "home";
	assert_code(vmm_disk_create(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	d.name = "x";
	d.size = 5;
	assert_code(vmm_disk_create(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	d.size = MIB;
	d.path = "rel.img";
	assert_code(vmm_disk_create(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	d.path = test_path(w->dir, "web-root.img");
	assert_code(vmm_disk_create(w->m, id, &d, NULL, &err), VMC_EEXIST, &err);
	assert_int_equal(access(test_path(w->dir, "web-root.img"), F_OK), 0);
	assert_ok(vmm_disk_open(w->m, id, "root", &device, &err), &err);
	world_text(id, "root", "by hand", 0, true);
	free(device);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_code(vmm_disk_close(w->m, id, "root", &err), VMC_ESTATE, &err);
	assert_code(vmm_disk_detach(w->m, id, "root", &err), VMC_ESTATE, &err);
	assert_code(vmm_unregister(w->m, id, &err), VMC_ESTATE, &err);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_ok(vmm_disk_open(w->m, id, "root", &device, &err), &err);
	free(device);
	world_text(id, "root", "by hand", 0, false);
	assert_ok(vmm_disk_close(w->m, id, "root", &err), &err);
	assert_code(vmm_disk_open(w->m, id, "home", &device, &err), VMC_ENOENT, &err);
	assert_ok(vmm_disk_set_flags(w->m, id, "root", "no_read_workqueue", &err), &err);
	assert_code(vmm_disk_set_flags(w->m, id, "root", "bogus", &err), VMC_EINVAL, &err);
	o = vmm_show(w->m, id, &err);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(o, "disks"), 0),
							      "dm_flags")), "no_read_workqueue");
	json_decref(o);
}

/* ---- many ------------------------------------------------------------------------------ */

/* On a real host each takes a file system. */
#define MANY (platform_is_real() ? 12 : 200)

static void test_unlock_many(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], name[16];
	json_t *out, *timing;
	unsigned int gets;
	int i;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		world_vm(w, name, id);
	}
	world_disk(w, "vm7", "root", "kms2");
	world_reboot(w);
	mock->keys[3].state = PKS_DEACTIVATED;
	gets = mock->gets;
	assert_ok(vmm_unlock(w->m, NULL, 0, NULL, &out, &err), &err);
	assert_int_equal(mock->gets - gets, 2);		/* one request to each provider */
	timing = json_object_get(out, "timing");
	assert_int_equal(json_integer_value(json_object_get(timing, "vms")), MANY - 1);
	assert_int_equal(json_integer_value(json_object_get(timing, "deks")), MANY);
	assert_int_equal(json_integer_value(json_object_get(timing, "keks_fetched")), MANY);
	json_decref(out);
	world_assert_state(w, "vm3", "key_state", "locked");
	world_assert_state(w, "vm7", "key_state", "ok");
	assert_ok(vmm_unlock(w->m, (const char *[]){ "vm7" }, 1, NULL, &out, &err), &err);
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(out, "results"), 0), "ok")));
	json_decref(out);
	assert_ok(vmm_power_on(w->m, "vm7", NULL, NULL, &err), &err);
}

static void test_keys(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *o;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	o = vmm_key_show(w->m, "kms/key-1", &err);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "state")), "Active");
	assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(o, "vms"), 0),
							 "volumes")), 2);
	json_decref(o);
	assert_code(vmm_key_remove(w->m, "kms/key-1", false, false, &err), VMC_EBUSY, &err);
	assert_contains(err.text, "web");
	assert_ok(vmm_key_remove(w->m, "kms/key-1", false, true, &err), &err);
	assert_code(vmm_key_remove(w->m, "kms/key-9", false, false, &err), VMC_ENOENT, &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

static void test_moved(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], to[PATH_MAX], path[PATH_MAX + 32], command[3 * PATH_MAX];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	snprintf(to, sizeof(to), "%s/sub", w->dir);
	mkdir(to, 0700);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", to);
	snprintf(command, sizeof(command), "cp --sparse=always %s/web* %s/", w->dir, to);
	assert_int_equal(system(command), 0);
	assert_code(vmm_register(w->m, path, false, id, &err), VMC_EEXIST, &err);
	snprintf(command, sizeof(command), "rm %s/web*", w->dir);
	assert_int_equal(system(command), 0);
	assert_ok(vmm_register(w->m, path, false, id, &err), &err);
	world_assert_state(w, id, "bundle", path);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

#define t(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_create_power), t(test_no_plaintext), t(test_restart_while_on), t(test_create_refused),
		t(test_create_undone), t(test_names), t(test_power_off_busy), t(test_provider_down),
		t(test_key_not_active), t(test_disk_key_missing), t(test_other_key_same_id),
		t(test_renamed_provider), t(test_altered_bundle), t(test_altered_wrapped),
		t(test_altered_token), t(test_swapped_files), t(test_foreign_disk), t(test_disk_verbs),
		t(test_unlock_many), t(test_keys), t(test_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
