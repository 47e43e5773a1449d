// SPDX-License-Identifier: GPL-2.0-or-later
/* VMs that start with the host: each once in a start of it, whatever becomes of the others. */
#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/util.h"
#include "mock_world.h"

static struct vmc_error err;

static json_t *start_all(struct world *w, bool ask)
{
	json_t *out = NULL, *results;

	assert_ok(vmm_autostart(w->m, ask, NULL, &out, &err), &err);
	results = json_incref(json_object_get(out, "results"));
	json_decref(out);
	return results;
}

/* Names of those that were tried, "!" before one that failed. */
static void assert_started(struct world *w, bool ask, const char *want)
{
	json_t *results = start_all(w, ask), *o;
	char got[256] = "";
	size_t i;

	json_array_foreach(results, i, o)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s ", json_is_true(json_object_get(o, "ok")) ?
			 "" : "!", json_string_value(json_object_get(o, "name")));
	assert_string_equal(got, want);
	json_decref(results);
}

static bool alarmed(struct world *w, const char *type)
{
	json_t *list = vmm_alarms(w->m, false, &err), *o;
	bool found = false;
	size_t i;

	json_array_foreach(list, i, o)
		found |= !strcmp(json_string_value(json_object_get(o, "type")), type);
	json_decref(list);
	return found;
}

static void auto_vm(struct world *w, const char *name, const char *unit, char id[VMC_UUID_STR])
{
	world_vm(w, name, id);
	assert_ok(vmm_set_autostart(w->m, id, true, unit, &err), &err);
}

static void test_from_the_next_start_on_and_once(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR], b[VMC_UUID_STR], c[VMC_UUID_STR];

	auto_vm(w, "a", NULL, a);
	auto_vm(w, "b", NULL, b);
	world_vm(w, "c", c);
	assert_started(w, true, "");	/* the host is up already */
	world_reboot(w);
	assert_started(w, true, "a b ");
	world_assert_state(w, a, "power", "on");
	world_assert_state(w, c, "power", "off");
	assert_started(w, true, "");
	assert_ok(vmm_power_off(w->m, a, &err), &err);
	world_again(w);			/* the helper, not the host */
	assert_started(w, true, "");
	world_assert_state(w, a, "power", "off");

	assert_ok(vmm_set_autostart(w->m, a, false, NULL, &err), &err);
	world_reboot(w);
	assert_started(w, true, "b ");
}

static void test_one_that_was_on_by_hand_is_left_alone(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR];

	auto_vm(w, "a", "qemu.service", a);
	world_reboot(w);
	assert_ok(vmm_power_on(w->m, a, NULL, NULL, &err), &err);
	assert_started(w, true, "");
	assert_ok(vmm_power_off(w->m, a, &err), &err);
	assert_started(w, true, "");
}

/* One fetch for all; one that fails stops nobody, and starts when its keys are there. */
static void test_keys_that_come_late(void **state)
{
	char a[VMC_UUID_STR], b[VMC_UUID_STR];
	struct world *w = *state;

	auto_vm(w, "a", NULL, a);
	world_vm(w, "b", b);
	assert_ok(vmm_set_autostart(w->m, b, true, NULL, &err), &err);
	world_reboot(w);
	mock->unreachable[0] = true;
	mock->gets = 0;
	assert_started(w, true, "!a !b ");
	assert_int_equal(mock->gets, 1);
	assert_true(alarmed(w, VMM_ALARM_VM_LOCKED));
	assert_false(alarmed(w, VMM_ALARM_AUTOSTART));	/* the lock says it */
	assert_contains(w->events, VMM_EV_VM_NOT_STARTED);
	assert_started(w, false, "");	/* still locked */
	mock->unreachable[0] = false;
	assert_ok(vmm_health(w->m, NULL, &err), &err);
	assert_started(w, false, "a b ");
	world_assert_state(w, b, "power", "on");
}

static void test_a_lost_file_stops_nobody(void **state)
{
	char a[VMC_UUID_STR], b[VMC_UUID_STR], from[PATH_MAX], to[PATH_MAX];
	struct world *w = *state;

	auto_vm(w, "a", NULL, a);
	auto_vm(w, "b", NULL, b);
	snprintf(from, sizeof(from), "%s/a.home", w->dir);
	snprintf(to, sizeof(to), "%s/elsewhere", w->dir);
	world_reboot(w);
	assert_false(rename(from, to));
	assert_started(w, true, "!a b ");
	assert_true(alarmed(w, VMM_ALARM_AUTOSTART));
	assert_false(rename(to, from));
	assert_started(w, false, "a ");
	assert_false(alarmed(w, VMM_ALARM_AUTOSTART));
}

static void test_locked_by_hand_stays_so(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR];

	auto_vm(w, "a", NULL, a);
	assert_ok(vmm_lock(w->m, a, false, NULL, &err), &err);
	world_reboot(w);
	mock->gets = 0;
	assert_started(w, true, "!a ");
	assert_int_equal(mock->gets, 0);
	world_assert_state(w, a, "cause", "by-hand");
}

static void test_a_kill_before_the_unit(void **state)
{
	struct vmc_error failed = VMC_ERROR_INIT;
	struct world *w = *state;
	char a[VMC_UUID_STR];
	json_t *results;

	auto_vm(w, "a", "qemu@a.service", a);
	world_reboot(w);
	json_decref(start_all(w, true));
	world_again(w);			/* it is on, and nobody said that its unit is */
	results = start_all(w, true);
	assert_int_equal(json_array_size(results), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(results, 0), "unit")), "qemu@a.service");
	json_decref(results);
	vmc_fail(&failed, VMC_EIO, "unit 'qemu@a.service' did not start: failed");
	assert_ok(vmm_autostart_done(w->m, a, &failed, &err), &err);
	assert_true(alarmed(w, VMM_ALARM_AUTOSTART));
	assert_started(w, true, "");
	assert_ok(vmm_power_off(w->m, a, &err), &err);
	assert_false(alarmed(w, VMM_ALARM_AUTOSTART));
}

static void test_names_of_units(void **state)
{
	static const char *const bad[] = {
		"qemu", "qemu.socket", ".service", "../x.service", "a b.service", "qemu@.service", "@a.service", "ä.service",
	};
	struct world *w = *state;
	char a[VMC_UUID_STR];

	world_vm(w, "a", a);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vmm_set_autostart(w->m, a, true, bad[i], &err), VMC_EINVAL);
	assert_int_equal(vmm_set_autostart(w->m, a, false, "qemu.service", &err), VMC_EINVAL);
	assert_ok(vmm_set_autostart(w->m, a, true, "qemu@a-1.service", &err), &err);
	world_assert_state(w, a, "unit", "qemu@a-1.service");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_from_the_next_start_on_and_once),
		T(test_one_that_was_on_by_hand_is_left_alone),
		T(test_keys_that_come_late),
		T(test_a_lost_file_stops_nobody),
		T(test_locked_by_hand_stays_so),
		T(test_a_kill_before_the_unit),
		T(test_names_of_units),
	};

	return cmocka_run_group_tests_name("autostart", tests, NULL, NULL);
}
