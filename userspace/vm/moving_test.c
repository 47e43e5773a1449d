// SPDX-License-Identifier: GPL-2.0-or-later
/* An encrypted VM leaves a mock host and comes back to it. */
#include "../testing/testing.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "mock_world.h"
#include "moving.h"
#include "vm_priv.h"

#define TEXT	"written before it left"

static struct vmc_error err;

/* One with a disk, on. */
static void running(struct world *w, char id[VMC_UUID_STR])
{
	world_vm(w, "web", id);
	world_disk(w, id, "root", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_text(id, "root", TEXT, 4096, true);
}

static struct vm_leaving *leave(struct world *w, const char *id, json_t **what)
{
	struct vm_leaving *l = NULL;

	assert_ok(vmm_leave_begin(w->m, id, &l, what, &err), &err);
	return l;
}

static bool loaded(const char *id, const char *volume)
{
	struct vmk_volume v;
	vmc_uuid u;
	int32_t keyring;

	assert_int_equal(vmc_uuid_parse(id, &u), 0);
	return !vmk_dek_get(NULL, &u, volume, &v, &keyring, NULL);
}

static void test_staying(void **state)
{
	struct world *w = *state;
	struct vm_leaving *l;
	char id[VMC_UUID_STR];
	json_t *what;

	world_vm(w, "web", id);
	assert_code(vmm_leave_begin(w->m, id, &l, &what, &err), VMC_ESTATE, &err);
	assert_contains(err.text, "is off");
	assert_code(vmm_leave_begin(w->m, "nobody", &l, &what, &err), VMC_ENOENT, &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	l = leave(w, id, &what);
	/* nobody else has it meanwhile */
	assert_code(vmm_power_off(w->m, id, &err), VMC_EBUSY, &err);
	assert_contains(err.text, "migration");
	assert_ok(vmm_leave_end(l, false, &err), &err);
	world_assert_state(w, id, "power", "on");
	assert_true(loaded(id, "home"));
	json_decref(what);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
}

/* What a host that is mistaken, or worse, says of a VM that runs here does nothing to it. */
static void test_on_here(void **state)
{
	struct world *w = *state;
	struct vm_coming *c = NULL;
	json_t *what, *none = json_array();
	char id[VMC_UUID_STR];

	running(w, id);
	assert_ok(vmm_leave_end(leave(w, id, &what), false, &err), &err);
	assert_code(vmm_come_begin(w->m, what, none, 1, &c, &err), VMC_ESTATE, &err);
	assert_contains(err.text, "is on, on this host");
	json_object_set_new(what, "bundle", json_string("/elsewhere/web.vmcrypt"));
	assert_code(vmm_come_begin(w->m, what, none, 1, &c, &err), VMC_EEXIST, &err);
	assert_true(loaded(id, "home"));
	assert_true(loaded(id, "root"));
	world_text(id, "root", TEXT, 4096, false);
	world_assert_state(w, id, "power", "on");
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	json_decref(what);
	json_decref(none);
}

static void go_and_come(struct world *w, const char *id, json_t *sealed)
{
	struct vm_coming *c = NULL;
	struct vm_leaving *l;
	json_t *what, *keys = NULL;

	l = leave(w, id, &what);
	/* where it is on it does not come */
	assert_code(vmm_come_check(w->m, what, &keys, &err), VMC_ESTATE, &err);
	assert_ok(vmm_leave_end(l, true, &err), &err);
	assert_null(vmm_show(w->m, id, &err));
	assert_false(loaded(id, "home"));
	assert_false(loaded(id, "root"));
	assert_ok(vmm_come_check(w->m, what, &keys, &err), &err);
	assert_int_equal(json_array_size(keys), 2);
	json_decref(keys);
	assert_ok(vmm_come_begin(w->m, what, sealed, 1, &c, &err), &err);
	assert_true(loaded(id, "root"));
	world_text(id, "root", TEXT, 4096, false);
	assert_ok(vmm_come_running(c, &err), &err);
	assert_ok(vmm_come_home(c, &err), &err);
	world_assert_state(w, id, "power", "on");
	world_assert_state(w, id, "key_state", "ok");
	json_decref(what);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_false(loaded(id, "root"));
}

static void test_keys_of_the_provider(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *none = json_array();

	running(w, id);
	go_and_come(w, id, none);
	json_decref(none);
}

static void test_sealed_keys(void **state)
{
	struct world *w = *state;
	struct vm_leaving *l;
	json_t *what, *names = json_pack("[s, s]", "home", "root"), *sealed = NULL;
	char id[VMC_UUID_STR];

	running(w, id);
	l = leave(w, id, &what);
	assert_ok(vmm_leave_keys(l, 1, names, &sealed, &err), &err);
	assert_int_equal(json_array_size(sealed), 2);
	assert_ok(vmm_leave_end(l, false, &err), &err);
	json_decref(what);
	go_and_come(w, id, sealed);
	json_decref(sealed);
	/* what the VM does not have is not sealed */
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	l = leave(w, id, &what);
	json_array_append_new(names, json_string("other"));
	assert_code(vmm_leave_keys(l, 1, names, &sealed, &err), VMC_EPROTO, &err);
	assert_ok(vmm_leave_end(l, false, &err), &err);
	json_decref(what);
	json_decref(names);
}

static void test_what_cannot_come(void **state)
{
	struct world *w = *state;
	struct vm_coming *c = NULL;
	json_t *what, *keys = NULL, *none = json_array(), *bad;
	char id[VMC_UUID_STR], disk[PATH_MAX], away[PATH_MAX + 8];

	running(w, id);
	assert_ok(vmm_leave_end(leave(w, id, &what), true, &err), &err);
	/* its disk is not here */
	snprintf(disk, sizeof(disk), "%s", json_string_value(json_object_get(json_array_get(json_object_get(what, "volumes"), 1),
									     "path")));
	snprintf(away, sizeof(away), "%s.away", disk);
	assert_int_equal(rename(disk, away), 0);
	assert_int_not_equal(vmm_come_check(w->m, what, &keys, &err), 0);
	assert_contains(err.text, "disk 'root' of VM 'web' is not to be had on this host");
	assert_int_not_equal(vmm_come_begin(w->m, what, none, 1, &c, &err), 0);
	assert_null(vmm_show(w->m, id, &err));
	assert_int_equal(rename(away, disk), 0);
	/* it comes, and goes again before it ran */
	assert_ok(vmm_come_begin(w->m, what, none, 1, &c, &err), &err);
	vmm_come_cancel(c);
	assert_null(vmm_show(w->m, id, &err));
	assert_false(loaded(id, "root"));
	/* to a place where no bundle is */
	bad = json_deep_copy(what);
	snprintf(away, sizeof(away), "%s/authorized_keys", w->dir);
	json_object_set_new(bad, "bundle", json_string(away));
	assert_code(vmm_come_begin(w->m, bad, none, 1, &c, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "it is no name of a bundle");
	assert_int_not_equal(access(away, F_OK), 0);
	json_decref(bad);
	/* keys of nothing, another bundle, none at all */
	bad = json_pack("[{s:s, s:s, s:s}]", "volume", "root", "key", "x/1", "sealed", "AAAA");
	assert_code(vmm_come_begin(w->m, what, bad, 1, &c, &err), VMC_EPROTO, &err);
	json_decref(bad);
	json_object_set_new(what, "id", json_string("11111111-1111-4111-8111-111111111111"));
	assert_code(vmm_come_check(w->m, what, &keys, &err), VMC_EPROTO, &err);
	json_object_del(what, "text");
	assert_code(vmm_come_check(w->m, what, &keys, &err), VMC_EPROTO, &err);
	json_decref(what);
	json_decref(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_staying, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_on_here, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_keys_of_the_provider, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_sealed_keys, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_come, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
