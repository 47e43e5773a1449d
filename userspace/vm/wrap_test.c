// SPDX-License-Identifier: GPL-2.0-or-later
/* VMs that two providers open: made so, opened by either, changed, undone. */
#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "mock_world.h"
#include "vm_priv.h"

static struct vmc_error err;

/* "home" or a disk's number: one of its texts. "" when it is not there. */
static void volume_text(struct world *w, int disk, const char *key, char out[256])
{
	json_t *o = vmm_show(w->m, "a", &err), *v;

	assert_non_null(o);
	v = disk < 0 ? json_object_get(o, "home") : json_array_get(json_object_get(o, "disks"), (size_t)disk);
	snprintf(out, 256, "%s", json_string_value(json_object_get(v, key)) ?: "");
	json_decref(o);
}

static void assert_keys(struct world *w, int disk, const char *first, const char *second)
{
	char text[256];

	volume_text(w, disk, "key", text);
	assert_memory_equal(text, first, strlen(first));
	volume_text(w, disk, "second_key", text);
	if (*second)
		assert_memory_equal(text, second, strlen(second));
	else
		assert_string_equal(text, "");
}

typedef int (*change_fn)(struct vmm *m, const char *const *vms, size_t n, const char *provider,
			 struct progress *p, json_t **out, struct vmc_error *e);

/* The error of the one VM, or "". */
static void change(struct world *w, change_fn fn, const char *provider, char why[512])
{
	json_t *out, *result;

	assert_ok(fn(w->m, NULL, 0, provider, NULL, &out, &err), &err);
	result = json_array_get(json_object_get(out, "results"), 0);
	snprintf(why, 512, "%s", json_string_value(json_object_get(result, "error")) ?: "");
	assert_int_equal(json_is_true(json_object_get(result, "ok")), !why[0]);
	json_decref(out);
}

static void must_change(struct world *w, change_fn fn, const char *provider)
{
	char why[512];

	change(w, fn, provider, why);
	assert_string_equal(why, "");
}

/* "a" with the disk "root", which says "kept"; on kms. */
static void make_vm(struct world *w, char id[VMC_UUID_STR])
{
	world_vm(w, "a", id);
	world_disk(w, "a", "root", NULL);
	world_disk_text(w, id, "root", "kept", 0, true);
}

static void make_double(struct world *w, char id[VMC_UUID_STR])
{
	make_vm(w, id);
	must_change(w, vmm_add_provider, "kms2");
}

static void reboot_with(struct world *w, bool kms, bool kms2)
{
	world_reboot(w);
	mock->unreachable[0] = !kms;
	mock->unreachable[1] = !kms2;
}

static void assert_opens(struct world *w, const char *id)
{
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_text(id, "root", "kept", 0, false);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
}

/* ---- opening --------------------------------------------------------------------- */

static void test_either_opens(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	make_vm(w, id);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	must_change(w, vmm_add_provider, "kms2");	/* while it is on */
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_keys(w, -1, "kms/", "kms2/");
	assert_keys(w, 0, "kms/", "kms2/");
	reboot_with(w, true, true);
	assert_opens(w, id);
	reboot_with(w, false, true);
	assert_opens(w, id);
	world_assert_state(w, id, "key_state", "ok");
	assert_keys(w, 0, "kms/", "kms2/");	/* as the files say, whichever was used */
	reboot_with(w, true, false);
	assert_opens(w, id);
	reboot_with(w, false, false);
	assert_true(vmm_power_on(w->m, id, NULL, NULL, &err) != 0);
	world_assert_state(w, id, "key_state", "locked");
	reboot_with(w, false, true);
	assert_opens(w, id);
}

static void test_either_attaches(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], path[PATH_MAX];

	make_double(w, id);
	snprintf(path, sizeof(path), "%s/a-root.img", w->dir);
	assert_ok(vmm_disk_detach(w->m, id, "root", &err), &err);
	reboot_with(w, false, true);
	assert_ok(vmm_disk_attach(w->m, id, path, &err), &err);
	assert_keys(w, 0, "kms/", "kms2/");
	assert_opens(w, id);
	reboot_with(w, true, false);
	assert_opens(w, id);
}

static void test_first_is_asked_first(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	make_double(w, id);
	reboot_with(w, true, true);
	mock->gets = 0;
	assert_opens(w, id);
	assert_int_equal(mock->gets, 1);
	reboot_with(w, false, true);
	mock->gets = 0;
	assert_opens(w, id);
	assert_true(mock->gets >= 2);
}

static void test_unlock_many(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *out;

	make_double(w, id);
	reboot_with(w, false, true);
	assert_ok(vmm_unlock(w->m, NULL, 0, NULL, &out, &err), &err);
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(out, "results"), 0), "ok")));
	json_decref(out);
	world_assert_state(w, id, "key_state", "ok");
}

/* One that is gone on its provider is as good as one that cannot be reached; a wrong one too. */
static void test_first_key_is_gone(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	make_double(w, id);
	reboot_with(w, true, true);
	for (size_t i = 0; i < mock->n_keys; i++)
		if (!strcmp(mock->keys[i].provider, "kms"))
			mock->keys[i].state = PKS_DESTROYED;
	assert_opens(w, id);
	reboot_with(w, true, true);
	for (size_t i = 0; i < mock->n_keys; i++) {
		if (strcmp(mock->keys[i].provider, "kms"))
			continue;
		mock->keys[i].state = PKS_ACTIVE;
		mock->keys[i].key[0] ^= 1;
	}
	assert_opens(w, id);
}

static void test_disk_alone(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	make_double(w, id);
	reboot_with(w, false, true);
	world_disk_text(w, id, "root", "kept", 0, false);
}

/* ---- files --------------------------------------------------------------------------- */

static void test_bundle_is_lost(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], again[VMC_UUID_STR];

	make_double(w, id);
	assert_ok(vmm_unregister(w->m, id, &err), &err);
	assert_int_equal(unlink(test_path(w->dir, "a.vmcrypt")), 0);
	reboot_with(w, false, true);
	assert_ok(vmm_register(w->m, test_path(w->dir, "a.home"), true, again, &err), &err);
	assert_string_equal(id, again);
	assert_keys(w, 0, "kms/", "kms2/");
	assert_opens(w, id);
	reboot_with(w, true, false);
	assert_opens(w, id);
}

static json_t *read_json(const char *path)
{
	json_t *o = json_load_file(path, 0, NULL);

	assert_non_null(o);
	return o;
}

static void write_json(const char *path, json_t *o)
{
	char *text = json_dumps(o, JSON_INDENT(2));

	test_write_text(path, text);
	free(text);
	json_decref(o);
}

/* The mac is over the second key, too. */
static void test_altered_second_key(void **state)
{
	struct world *w = *state;
	const char *path;
	char id[VMC_UUID_STR];
	json_t *o, *home;

	make_double(w, id);
	path = test_path(w->dir, "a.vmcrypt");
	o = read_json(path);
	assert_int_equal(json_integer_value(json_object_get(o, "version")), 2);
	home = json_array_get(json_object_get(o, "volumes"), 1);
	json_object_set_new(json_object_get(home, "second"), "kek", json_string("kms2/other"));
	write_json(path, o);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EAUTH, &err);
}

static int parse(json_t *o)
{
	char *text = json_dumps(o, 0);
	struct bundle b;
	int r = bundle_parse(text, strlen(text), &b, &err);

	if (!r)
		bundle_clear(&b);
	free(text);
	return r;
}

/* Version 1 has one key for each volume, and version 2 a second one somewhere. */
static void test_versions(void **state)
{
	struct world *w = *state;
	json_t *one, *two, *v, *second;
	char id[VMC_UUID_STR];

	make_vm(w, id);
	one = read_json(test_path(w->dir, "a.vmcrypt"));
	assert_int_equal(json_integer_value(json_object_get(one, "version")), 1);
	must_change(w, vmm_add_provider, "kms2");
	two = read_json(test_path(w->dir, "a.vmcrypt"));
	assert_ok(parse(one), &err);
	assert_ok(parse(two), &err);
	json_object_set_new(one, "version", json_integer(2));
	assert_code(parse(one), VMC_EINVAL, &err);
	json_object_set_new(two, "version", json_integer(1));
	assert_code(parse(two), VMC_EINVAL, &err);
	json_object_set_new(two, "version", json_integer(3));
	assert_code(parse(two), VMC_ENOTSUP, &err);
	json_object_set_new(two, "version", json_integer(2));
	v = json_array_get(json_object_get(two, "volumes"), 0);
	second = json_object_get(v, "second");
	json_object_set_new(second, "more", json_integer(1));
	assert_code(parse(two), VMC_EINVAL, &err);
	json_object_del(second, "more");
	json_object_set(second, "kek", json_object_get(v, "kek"));
	assert_code(parse(two), VMC_EINVAL, &err);
	json_object_set_new(v, "second", json_true());
	assert_code(parse(two), VMC_EINVAL, &err);
	json_decref(one);
	json_decref(two);
}

/* ---- changing ------------------------------------------------------------------------------ */

static void test_rotate_both(void **state)
{
	char id[VMC_UUID_STR], first[256], second[256], text[256];
	struct world *w = *state;

	make_double(w, id);
	volume_text(w, 0, "key", first);
	volume_text(w, 0, "second_key", second);
	must_change(w, vmm_recrypt_shallow, NULL);
	assert_keys(w, 0, "kms/", "kms2/");
	volume_text(w, 0, "key", text);
	assert_string_not_equal(text, first);
	volume_text(w, 0, "second_key", text);
	assert_string_not_equal(text, second);
	reboot_with(w, false, true);
	assert_opens(w, id);
	reboot_with(w, true, false);
	assert_opens(w, id);
}

static void test_add_again_and_move(void **state)
{
	char id[VMC_UUID_STR], before[256], after[256], why[512];
	struct world *w = *state;

	make_double(w, id);
	volume_text(w, 0, "second_key", before);
	must_change(w, vmm_add_provider, "kms2");
	must_change(w, vmm_add_provider, "kms");
	volume_text(w, 0, "second_key", after);
	assert_string_equal(before, after);
	/* a disk that came later gets its second key by asking again */
	world_disk(w, "a", "late", NULL);
	assert_keys(w, 1, "kms/", "");
	must_change(w, vmm_add_provider, "kms2");
	assert_keys(w, 1, "kms/", "kms2/");
	/* both on one provider would be one only */
	change(w, vmm_recrypt_shallow, "kms2", why);
	assert_contains(why, "beside another one");
	assert_code(vmm_add_provider(w->m, NULL, 0, "nowhere", NULL, NULL, &err), VMC_ENOENT, &err);
}

static void test_remove(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], old[256], why[512];
	json_t *o;

	make_double(w, id);
	volume_text(w, 0, "key", old);
	/* the first one, which is dead: what a recovery ends with */
	reboot_with(w, false, true);
	must_change(w, vmm_remove_provider, "kms");
	assert_keys(w, -1, "kms2/", "");
	assert_keys(w, 0, "kms2/", "");
	o = read_json(test_path(w->dir, "a.vmcrypt"));
	assert_int_equal(json_integer_value(json_object_get(o, "version")), 1);
	json_decref(o);
	assert_opens(w, id);
	o = vmm_key_show(w->m, old, &err);
	assert_contains(json_string_value(json_object_get(o, "note")), "replaced by kms2/");
	json_decref(o);
	must_change(w, vmm_remove_provider, "kms");	/* it is not there any more: fine */
	change(w, vmm_remove_provider, "kms2", why);
	assert_contains(why, "the only one");
	reboot_with(w, true, false);
	assert_true(vmm_power_on(w->m, id, NULL, NULL, &err) != 0);
}

/* What would stay must open the VM, or nothing goes. */
static void test_remove_needs_the_other(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], why[512];

	make_double(w, id);
	reboot_with(w, false, true);
	change(w, vmm_remove_provider, "kms2", why);
	assert_contains(why, "can be reached");
	assert_keys(w, 0, "kms/", "kms2/");
	assert_opens(w, id);
}

static void test_deep_is_refused(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	make_double(w, id);
	assert_code(vmm_recrypt_deep(w->m, id, NULL, NULL, &err), VMC_ESTATE, &err);
	assert_contains(err.hint, "--remove-provider kms2");
	must_change(w, vmm_remove_provider, "kms2");
	assert_ok(vmm_recrypt_deep(w->m, id, NULL, NULL, &err), &err);
	assert_opens(w, id);
}

/* Both keys count as used, and taking one locks nothing. */
static void test_keys_in_use(void **state)
{
	char id[VMC_UUID_STR], first[256], second[256];
	struct world *w = *state;

	make_double(w, id);
	volume_text(w, 0, "key", first);
	volume_text(w, 0, "second_key", second);
	assert_code(vmm_key_remove(w->m, first, false, false, &err), VMC_EBUSY, &err);
	assert_code(vmm_key_remove(w->m, second, false, false, &err), VMC_EBUSY, &err);
	assert_ok(vmm_key_remove(w->m, first, true, true, &err), &err);
	world_assert_state(w, id, "key_state", "ok");
	assert_opens(w, id);
}

#define t(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_either_opens), t(test_either_attaches), t(test_first_is_asked_first), t(test_unlock_many),
		t(test_first_key_is_gone), t(test_disk_alone), t(test_bundle_is_lost),
		t(test_altered_second_key), t(test_versions), t(test_rotate_both),
		t(test_add_again_and_move), t(test_remove), t(test_remove_needs_the_other),
		t(test_deep_is_refused), t(test_keys_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
