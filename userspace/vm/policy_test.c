// SPDX-License-Identifier: GPL-2.0-or-later
/* Policies of migrations: of encrypted VMs, and of others that a stand-in for libvirt knows or does not. */
#include "../testing/testing.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "mock_world.h"

#define WEB_ID "7d4fa2b0-3b5d-4e0e-9a52-0f3a5b6f9a01"

static struct vmc_error err;
static bool web_is_on, libvirt_fails;

/* "web" and "db-1", "db-2" are domains. */
static int guest(const char *vm, struct vmm_guest *g, struct vmc_error *e)
{
	*g = (struct vmm_guest) { 0 };
	if (libvirt_fails)
		return vmc_fail(e, VMC_EIO, "libvirt does not answer");
	if (!strcmp(vm, "web") || !strcmp(vm, WEB_ID)) {
		*g = (struct vmm_guest) { .known = true, .on = web_is_on, .id = WEB_ID, .name = "web" };
	} else if (!strncmp(vm, "db-", 3)) {
		g->known = true;
		snprintf(g->name, sizeof(g->name), "%s", vm);
	}
	return 0;
}

static json_t *set_many(struct world *w, const char *const *vms, size_t n, enum migration_encryption p, bool live)
{
	struct vmm_policy_set s = { .vms = vms, .n = n, .policy = p, .live = live, .guest = guest };
	json_t *out = NULL, *results;

	assert_ok(vmm_set_policy(w->m, &s, &out, &err), &err);
	results = json_incref(json_object_get(out, "results"));
	json_decref(out);
	return results;
}

/* Code and text of one VM's result, as an error. */
static int set(struct world *w, const char *vm, enum migration_encryption p, bool live)
{
	json_t *results = set_many(w, &vm, 1, p, live), *o = json_array_get(results, 0);
	const char *code = json_string_value(json_object_get(o, "code"));
	int r;

	assert_int_equal(json_array_size(results), 1);
	err = (struct vmc_error) { 0 };
	r = code ? vmc_fail(&err, vmc_code_from_name(code), "%s", json_string_value(json_object_get(o, "error"))) : 0;
	if (json_object_get(o, "hint"))
		vmc_hint(&err, "%s", json_string_value(json_object_get(o, "hint")));
	json_decref(results);
	return r;
}

static void assert_policy(struct world *w, const char *id, const char *name, enum migration_encryption want,
			  bool want_encrypted)
{
	enum migration_encryption p;
	bool encrypted;

	assert_ok(vmm_get_policy(w->m, id, name, &p, &encrypted, &err), &err);
	assert_string_equal(migration_encryption_name(p), migration_encryption_name(want));
	assert_int_equal(encrypted, want_encrypted);
}

static void test_an_encrypted_vm(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR];

	world_vm(w, "a", a);
	assert_policy(w, a, "a", MIGRATION_REQUIRED, true);
	world_assert_state(w, a, "migration", "required");
	assert_ok(set(w, "a", MIGRATION_REQUIRED, false), &err);
	assert_code(set(w, "a", MIGRATION_OPPORTUNISTIC, false), VMC_EREFUSED, &err);
	assert_contains(err.text, "'a' is encrypted");
	assert_code(set(w, a, MIGRATION_DISABLED, true), VMC_EREFUSED, &err);
	/* Not encrypted any more, as far as this host knows. */
	assert_ok(vmm_unregister(w->m, a, &err), &err);
	assert_policy(w, a, "a", MIGRATION_REQUIRED, false);
	world_again(w);
	assert_policy(w, a, "a", MIGRATION_REQUIRED, false);
	assert_ok(set(w, a, MIGRATION_DISABLED, false), &err);
	assert_policy(w, a, "a", MIGRATION_DISABLED, false);
}

static void test_others(void **state)
{
	struct world *w = *state;

	assert_policy(w, WEB_ID, "web", MIGRATION_OPPORTUNISTIC, false);
	assert_ok(set(w, "web", MIGRATION_REQUIRED, false), &err);
	assert_contains(w->events, VMM_EV_POLICY_CHANGED);
	assert_policy(w, WEB_ID, "web", MIGRATION_REQUIRED, false);
	assert_policy(w, WEB_ID, "", MIGRATION_REQUIRED, false);
	world_again(w);
	assert_policy(w, WEB_ID, "", MIGRATION_REQUIRED, false);
	assert_ok(set(w, WEB_ID, MIGRATION_OPPORTUNISTIC, false), &err);
	assert_policy(w, WEB_ID, "web", MIGRATION_OPPORTUNISTIC, false);
	/* Known to nobody: by its name. */
	assert_ok(set(w, "plain", MIGRATION_DISABLED, false), &err);
	assert_policy(w, "", "plain", MIGRATION_DISABLED, false);
	assert_policy(w, WEB_ID, "plain", MIGRATION_DISABLED, false);
	assert_code(set(w, "../x", MIGRATION_DISABLED, false), VMC_EINVAL, &err);
	assert_code(set(w, "", MIGRATION_DISABLED, false), VMC_EINVAL, &err);
}

static void test_off_but_for_tightening(void **state)
{
	struct world *w = *state;

	web_is_on = true;
	assert_code(set(w, "web", MIGRATION_REQUIRED, false), VMC_ESTATE, &err);
	assert_contains(err.hint, "--live makes it stricter at once");
	assert_ok(set(w, "web", MIGRATION_REQUIRED, true), &err);
	assert_code(set(w, "web", MIGRATION_DISABLED, true), VMC_ESTATE, &err);
	assert_contains(err.hint, "power it off first");
	assert_policy(w, WEB_ID, "web", MIGRATION_REQUIRED, false);
	assert_ok(set(w, "web", MIGRATION_REQUIRED, false), &err);
	web_is_on = false;
	assert_ok(set(w, "web", MIGRATION_DISABLED, false), &err);
	libvirt_fails = true;
	assert_code(set(w, "web", MIGRATION_REQUIRED, false), VMC_EIO, &err);
	libvirt_fails = false;
	assert_policy(w, WEB_ID, "web", MIGRATION_DISABLED, false);
}

static unsigned int count_ok(json_t *results)
{
	unsigned int n = 0;
	json_t *o;
	size_t i;

	json_array_foreach(results, i, o)
		n += json_is_true(json_object_get(o, "ok"));
	json_decref(results);
	return n;
}

static void test_many(void **state)
{
	static const char *const names[] = { "db-1", "db-2", "db-1" }, *const pattern[] = { "db-*" };
	static const char *const none[] = { "nothing*" };
	struct world *w = *state;
	char a[VMC_UUID_STR];
	json_t *list;

	world_vm(w, "a", a);
	assert_int_equal(count_ok(set_many(w, names, 3, MIGRATION_DISABLED, false)), 2);
	assert_int_equal(count_ok(set_many(w, pattern, 1, MIGRATION_REQUIRED, false)), 2);
	assert_policy(w, "", "db-2", MIGRATION_REQUIRED, false);
	assert_code(set(w, none[0], MIGRATION_REQUIRED, false), VMC_ENOENT, &err);
	assert_contains(err.hint, "vm policies");
	/* All: the encrypted one cannot be otherwise. */
	assert_int_equal(count_ok(set_many(w, NULL, 0, MIGRATION_REQUIRED, false)), 3);
	assert_int_equal(count_ok(set_many(w, NULL, 0, MIGRATION_DISABLED, false)), 2);
	list = vmm_policies(w->m, &err);
	assert_int_equal(json_array_size(list), 3);
	json_decref(list);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_an_encrypted_vm),
		T(test_others),
		T(test_off_but_for_tightening),
		T(test_many),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
