// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The states an operator lives with: each row of the table of states, each cause,
 * each way back, locking by hand, alarms. Over the mock host, and in a lab over the
 * real kernel.
 */
#include "../testing/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../keys/fetch.h"
#include "../lib/util.h"
#include "mock_world.h"
#include "vm_priv.h"

static struct vmc_error err;

#define REFUSAL "The disk [%s] is encrypted and a required key was not found."

/* What vmm_show() says of @vm in one line: crypto_state shows_as cause. */
static void assert_shows(struct world *w, const char *vm, const char *want)
{
	json_t *o = vmm_show(w->m, vm, &err);
	const char *cause;
	char got[128];

	assert_non_null(o);
	cause = json_string_value(json_object_get(o, "cause"));
	snprintf(got, sizeof(got), "%s %s %s", world_field(o, "crypto_state"), world_field(o, "shows_as"),
		 cause ? cause : "-");
	assert_string_equal(got, want);
	json_decref(o);
}

/* The one alarm of that type, or NULL; a new reference. */
static json_t *alarm_of(struct world *w, const char *type, bool history)
{
	json_t *list = vmm_alarms(w->m, history, &err), *o, *found = NULL;
	size_t i;

	assert_non_null(list);
	json_array_foreach(list, i, o)
		if (!strcmp(world_field(o, "type"), type)) {
			assert_true(history || !found);
			if (!found)
				found = json_incref(o);
		}
	json_decref(list);
	return found;
}

static void assert_alarms(struct world *w, size_t n)
{
	json_t *list = vmm_alarms(w->m, false, &err);

	assert_int_equal(json_array_size(list), n);
	json_decref(list);
}

static void assert_alarm(struct world *w, const char *type, const char *key, const char *want)
{
	json_t *o = alarm_of(w, type, false);

	assert_non_null(o);
	assert_string_equal(world_field(o, key), want);
	json_decref(o);
}

static void unlock(struct world *w, const char *vm, bool ok)
{
	json_t *out = NULL;

	assert_ok(vmm_unlock(w->m, &vm, 1, NULL, &out, &err), &err);
	world_assert_result(out, ok);
}

static json_t *health(struct world *w)
{
	json_t *out = NULL;

	assert_ok(vmm_health(w->m, &out, &err), &err);
	assert_non_null(out);
	return out;
}

static size_t count(const json_t *o, const char *list)
{
	return json_array_size(json_object_get(o, list));
}

/* ---- the table -------------------------------------------------------------------- */

/* VM key missing, the provider has it: fetched at need, by each of the verbs that need it. */
static void test_fetched_at_need(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], path[PATH_MAX];

	world_vm(w, "web", id);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	world_reboot(w);
	assert_shows(w, id, "unlocked ok -");
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_reboot(w);
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_shows(w, id, "unlocked ok -");
	world_reboot(w);
	assert_ok(vmm_register(w->m, path, false, id, &err), &err);
	assert_shows(w, id, "unlocked ok -");
	assert_alarms(w, 0);
}

static void refused(int r, const char *why)
{
	assert_code(r, VMC_ESTATE, &err);
	assert_contains(err.text, "VM 'web' is locked");
	assert_contains(err.text, why);
	assert_contains(err.hint, "vmcrypt vm unlock web");
}

/* VM key missing and not to be had: invalid; what is refused, and what is not. */
static void test_invalid(void **state)
{
	static const char why[] = "Virtual machine is locked because of a KMS cluster error";
	struct world *w = *state;
	struct vmm_disk d = { .name = "more", .size = MIB };
	char id[VMC_UUID_STR], path[PATH_MAX], *device;
	json_t *out = NULL;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EUNREACH, &err);
	assert_contains(err.text, why);
	assert_contains(err.hint, "vmcrypt provider test kms");
	assert_shows(w, id, "locked invalid kms-error");
	world_again(w);
	assert_shows(w, id, "locked invalid kms-error");

	refused(vmm_disk_create(w->m, id, &d, NULL, &err), why);
	refused(vmm_disk_encrypt(w->m, id, &(struct vmm_disk){ .name = "x", .source = path }, NULL, &err), why);
	refused(vmm_disk_attach(w->m, id, path, &err), why);
	refused(vmm_disk_detach(w->m, id, "root", &err), why);
	refused(vmm_disk_open(w->m, id, "root", &device, &err), why);
	refused(vmm_disk_close(w->m, id, "root", &err), why);
	refused(vmm_disk_set_flags(w->m, id, "root", "", &err), why);
	refused(vmm_recrypt_deep(w->m, id, NULL, NULL, &err), why);
	assert_ok(vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err), &err);
	assert_string_equal(world_field(json_array_get(json_object_get(out, "results"), 0), "code"), "WrongState");
	json_decref(out);

	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_shows(w, id, "locked invalid kms-error");
	unlock(w, id, false);
	assert_ok(vmm_unregister(w->m, id, &err), &err);
	assert_alarms(w, 0);
	assert_ok(vmm_register(w->m, path, false, id, &err), &err);
	assert_shows(w, id, "locked invalid kms-error");
	assert_alarms(w, 1);
}

/* VM key there, disk key missing: not invalid; refused with the words; without the disk it powers on. */
static void test_disk_key_missing(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], want[PATH_MAX + 128];
	json_t *o, *key;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk(w, "web", "data", "kms2");
	world_reboot(w);
	mock->keys[1].state = PKS_DESTROYED;
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_ENOKEY, &err);
	snprintf(want, sizeof(want), REFUSAL, test_path(w->dir, "web-data.img"));
	assert_string_equal(err.text, want);
	assert_contains(err.hint, "vmcrypt disk detach web data");
	assert_shows(w, id, "unlocked disk-key-missing keys-missing-on-kms");
	assert_alarm(w, "disk-key-missing", "text", want);
	world_assert_event(w, "disk-key-missing", want);
	o = vmm_show(w->m, id, &err);
	assert_int_equal(count(o, "missing_keys"), 1);
	key = json_array_get(json_object_get(o, "missing_keys"), 0);
	assert_string_equal(world_field(key, "id"), "kms2/key-2");
	assert_string_equal(world_field(key, "state"), "Destroyed");
	assert_string_equal(json_string_value(json_array_get(json_object_get(key, "volumes"), 0)), "data");
	json_decref(o);
	assert_ok(vmm_disk_set_flags(w->m, id, "root", "no_read_workqueue", &err), &err);	/* not invalid */
	assert_ok(vmm_disk_detach(w->m, id, "data", &err), &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_shows(w, id, "unlocked ok -");
	assert_alarms(w, 0);
}

/* Keys on the host, the provider gone: losing the KMS locks nothing; nor does it stop what runs. */
static void test_provider_gone(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], other[VMC_UUID_STR];
	json_t *out;

	world_vm(w, "web", id);
	world_vm(w, "db", other);
	assert_ok(vmm_power_on(w->m, other, NULL, NULL, &err), &err);
	mock->unreachable[0] = true;
	out = health(w);
	assert_int_equal(count(out, "would_lock"), 2);
	json_decref(out);
	assert_shows(w, id, "unlocked ok -");
	assert_shows(w, other, "unlocked ok -");
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);	/* the key is on the host */
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_shows(w, id, "unlocked ok -");
	assert_alarms(w, 1);
	assert_alarm(w, "provider-down", "severity", "critical");
}

/* One that runs goes on, whatever is done to its keys; it is known as locked when it needs them. */
static void test_running_goes_on(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_key_remove(w->m, "kms/key-1", false, true, &err), &err);
	mock->unreachable[0] = true;
	assert_ok(vmm_reload(w->m, id, &err) == VMC_EUNREACH ? 0 : VMC_EINTERNAL, &err);
	unlock(w, id, false);
	world_assert_state(w, id, "power", "on");
	assert_shows(w, id, "unlocked ok -");
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EUNREACH, &err);
	assert_shows(w, id, "locked invalid kms-error");
}

/* ---- causes ------------------------------------------------------------------------- */

static void lock_with(struct world *w, const char *id, const char *cause, const char *sentence)
{
	char want[128];
	json_t *o;

	assert_int_not_equal(vmm_power_on(w->m, id, NULL, NULL, &err), 0);
	snprintf(want, sizeof(want), "locked invalid %s", cause);
	assert_shows(w, id, want);
	world_assert_event(w, "vm-locked", sentence);
	assert_alarms(w, 1);
	assert_alarm(w, "vm-locked", "text", sentence);
	assert_alarm(w, "vm-locked", "cause", cause);
	o = alarm_of(w, "vm-locked", false);
	assert_contains(world_field(o, "remedy"), "vmcrypt vm unlock web");
	assert_string_equal(world_field(json_object_get(o, "entity"), "name"), "web");
	assert_string_equal(world_field(json_array_get(json_object_get(o, "keys"), 0), "id"), "kms/key-1");
	json_decref(o);
	o = vmm_show(w->m, id, &err);
	assert_string_equal(world_field(o, "cause_text"), sentence);
	assert_int_equal(json_integer_value(json_object_get(o, "alarms")), 1);
	json_decref(o);
}

static void test_cause_kms_error(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	world_reboot(w);
	mock->unreachable[0] = true;
	lock_with(w, id, "kms-error", "Virtual machine is locked because of a KMS cluster error.");
	mock->unreachable[0] = false;
	unlock(w, id, true);
	assert_shows(w, id, "unlocked ok -");
	world_assert_event(w, "vm-unlocked", "Virtual machine is unlocked.");
	assert_alarms(w, 0);
}

static void test_cause_missing_on_kms(void **state)
{
	static const char sentence[] = "Virtual machine is locked because keys are missing on KMS cluster.";
	static const struct { enum provider_key_state state; const char *name; } states[] = {
		{ PKS_PRE_ACTIVE, "Pre-Active" }, { PKS_DEACTIVATED, "Deactivated" },
		{ PKS_COMPROMISED, "Compromised" }, { PKS_DESTROYED, "Destroyed" },
		{ PKS_DESTROYED_COMPROMISED, "Destroyed Compromised" },
	};
	struct world *w = *state;
	char id[VMC_UUID_STR], words[64];
	json_t *o, *key;
	size_t i;

	world_vm(w, "web", id);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		world_reboot(w);
		mock->keys[0].state = states[i].state;
		lock_with(w, id, "keys-missing-on-kms", sentence);
		o = vmm_show(w->m, id, &err);
		key = json_array_get(json_object_get(o, "missing_keys"), 0);
		assert_string_equal(world_field(key, "state"), states[i].name);
		snprintf(words, sizeof(words), "'kms' the key key-1 (%s)", states[i].name);
		assert_contains(world_field(o, "remedy"), words);
		json_decref(o);
		mock->keys[0].state = PKS_ACTIVE;
		/* the next power-on fetches a restored key without further action */
		assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
		assert_shows(w, id, "unlocked ok -");
		assert_alarms(w, 0);
	}
	world_reboot(w);
	snprintf(mock->keys[0].id, sizeof(mock->keys[0].id), "gone");
	lock_with(w, id, "keys-missing-on-kms", sentence);
	o = vmm_show(w->m, id, &err);
	assert_string_equal(world_field(json_array_get(json_object_get(o, "missing_keys"), 0), "state"), "Missing");
	json_decref(o);
	snprintf(mock->keys[0].id, sizeof(mock->keys[0].id), "key-1");	/* the database was restored */
	unlock(w, id, true);
}

/* Removed from the host by force: VMs lock, and nothing has to be recovered by hand. */
static void test_cause_missing_on_host(void **state)
{
	static const char sentence[] = "Virtual machine is locked because keys are missing on host.";
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	assert_code(vmm_key_remove(w->m, "kms/key-1", false, false, &err), VMC_EBUSY, &err);
	assert_ok(vmm_key_remove(w->m, "kms/key-1", false, true, &err), &err);
	assert_shows(w, id, "locked invalid keys-missing-on-host");
	world_assert_event(w, "vm-locked", sentence);
	assert_alarm(w, "vm-locked", "text", sentence);
	unlock(w, id, true);
	assert_alarms(w, 0);

	world_reboot(w);
	fetch_forbid(true);	/* who may register no VMs does not get keys fetched */
	lock_with(w, id, "keys-missing-on-host", sentence);
	fetch_forbid(false);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	fetch_forbid(true);	/* the key is here now */
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	fetch_forbid(false);
}

static void test_key_destroyed(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	assert_ok(vmm_key_remove(w->m, "kms/key-1", true, true, &err), &err);
	assert_shows(w, id, "locked invalid keys-missing-on-kms");
}

static void test_cause_provider_unknown(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *o;

	world_vm(w, "web", id);
	world_reboot(w);
	mock->renamed = true;
	lock_with(w, id, "provider-unknown",
		  "Virtual machine is locked because its key provider is not known to this host.");
	o = vmm_show(w->m, id, &err);
	assert_contains(world_field(o, "remedy"), "'vmcrypt provider add kmip kms --server HOST'");
	json_decref(o);
	json_decref(health(w));
	assert_alarms(w, 1);	/* there is no provider that could be down */
	mock->renamed = false;
	json_decref(health(w));
	assert_shows(w, id, "unlocked ok -");
}

/* Another cause is another alarm; the same one stays the same. */
static void test_cause_changes(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], first[24];
	json_t *o;

	world_vm(w, "web", id);
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	o = alarm_of(w, "vm-locked", false);
	snprintf(first, sizeof(first), "%s", world_field(o, "id"));
	json_decref(o);
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_alarm(w, "vm-locked", "id", first);
	mock->unreachable[0] = false;
	mock->keys[0].state = PKS_DEACTIVATED;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_shows(w, id, "locked invalid keys-missing-on-kms");
	o = alarm_of(w, "vm-locked", false);
	assert_string_not_equal(world_field(o, "id"), first);
	json_decref(o);
	assert_alarms(w, 1);
}

static void test_wording(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	w->cfg.wording = VMC_WORDING_70U2;
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	world_assert_event(w, "vm-locked", "Virtual machine is locked because an error occurred on the key provider.");
	assert_alarm(w, "vm-locked", "text", "Virtual machine is locked because an error occurred on the key provider.");
}

/* ---- ways back ------------------------------------------------------------------------- */

static void test_unlock_some(void **state)
{
	const char *two[] = { "vm0", "vm2" };
	struct world *w = *state;
	char id[VMC_UUID_STR], name[8];
	json_t *out = NULL;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		world_vm(w, name, id);
	}
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_ok(vmm_unlock(w->m, NULL, 0, NULL, &out, &err), &err);
	json_decref(out);
	assert_alarms(w, 3);
	mock->unreachable[0] = false;
	assert_ok(vmm_unlock(w->m, two, 2, NULL, &out, &err), &err);
	json_decref(out);
	assert_shows(w, "vm0", "unlocked ok -");
	assert_shows(w, "vm1", "locked invalid kms-error");
	assert_alarms(w, 1);
	assert_ok(vmm_unlock(w->m, NULL, 0, NULL, &out, &err), &err);
	json_decref(out);
	assert_shows(w, "vm1", "unlocked ok -");
	assert_alarms(w, 0);
}

/* By itself, when the provider is back; not what was locked by hand. */
static void test_health_unlocks(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], by_hand[VMC_UUID_STR];
	json_t *out;

	world_vm(w, "web", id);
	world_disk(w, "web", "data", "kms2");
	world_vm(w, "db", by_hand);
	assert_ok(vmm_lock(w->m, by_hand, false, NULL, &err), &err);
	world_reboot(w);
	mock->unreachable[0] = true;
	mock->unreachable[1] = true;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	out = health(w);
	assert_int_equal(count(out, "unlocked"), 0);
	json_decref(out);
	assert_shows(w, id, "locked invalid kms-error");
	assert_alarms(w, 4);	/* two VMs, two providers */
	mock->unreachable[0] = false;
	json_decref(health(w));
	assert_shows(w, id, "unlocked disk-key-missing kms-error");
	mock->unreachable[1] = false;
	out = health(w);
	assert_int_equal(count(out, "unlocked"), 1);
	assert_int_equal(count(out, "would_lock"), 1);
	assert_string_equal(world_field(json_array_get(json_object_get(out, "would_lock"), 0), "cause"), "by-hand");
	json_decref(out);
	assert_shows(w, id, "unlocked ok -");
	assert_shows(w, by_hand, "locked invalid by-hand");
	assert_alarms(w, 1);
}

static void test_key_state_alarm(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *out, *o;

	world_vm(w, "web", id);
	world_vm(w, "db", id);
	mock->keys[1].state = PKS_DEACTIVATED;
	out = health(w);
	assert_int_equal(count(out, "keys"), 2);
	assert_string_equal(world_field(json_array_get(json_object_get(out, "keys"), 1), "state"), "Deactivated");
	assert_int_equal(count(out, "would_lock"), 1);
	json_decref(out);
	assert_shows(w, "db", "unlocked ok -");		/* before it is needed */
	o = alarm_of(w, "key-state", false);
	assert_string_equal(world_field(o, "severity"), "warning");
	assert_string_equal(world_field(json_object_get(o, "entity"), "name"), "db");
	assert_contains(world_field(o, "remedy"), "vmcrypt vm recrypt --shallow db");
	json_decref(o);
	out = vmm_forecast(w->m, &err);
	assert_int_equal(count(out, "vms"), 1);
	assert_int_equal(json_integer_value(json_object_get(out, "ok")), 1);
	assert_string_equal(world_field(json_array_get(json_object_get(out, "vms"), 0), "name"), "db");
	json_decref(out);
	mock->keys[1].state = PKS_ACTIVE;
	json_decref(health(w));
	assert_alarms(w, 0);
}

/* Keys that this host keeps for itself do not make a VM that would lock. */
static void keep_all_but_second(struct kek_need *needs, size_t n, void *data)
{
	(void)data;
	for (size_t i = 0; i < n; i++)
		needs[i].kept = strncmp(needs[i].id, "kms2/", 5);
}

static void test_kept_keys_are_no_forecast(void **state)
{
	const struct cache_sink sink = { .kept = keep_all_but_second };
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *out;

	world_vm(w, "web", id);
	world_vm(w, "db", id);
	world_disk(w, "db", "d", "kms2");
	mock->unreachable[0] = mock->unreachable[1] = true;
	out = health(w);
	assert_int_equal(count(out, "would_lock"), 2);
	json_decref(out);
	cache_set_sink(&sink);
	out = vmm_forecast(w->m, &err);
	assert_int_equal(count(out, "vms"), 1);
	assert_string_equal(world_field(json_array_get(json_object_get(out, "vms"), 0), "name"), "db");
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(out, "vms"), 0), "disk_only")));
	json_decref(out);
	/* but that is no reason to try to unlock one, which asks the kernel and the providers */
	world_reboot(w);
	assert_ok(vmm_reload(w->m, "web", &err), &err);
	assert_shows(w, "web", "locked invalid kms-error");
	out = health(w);
	assert_int_equal(count(out, "unlocked"), 0);
	json_decref(out);
	cache_set_sink(NULL);
}

static void test_certificate_alarm(void **state)
{
	struct world *w = *state;

	w->cfg.cert_warn_days = 30;
	mock->cert_days[0] = 12;
	json_decref(health(w));
	assert_alarms(w, 1);
	assert_alarm(w, "provider-certificate", "severity", "warning");
	mock->cert_days[0] = 0;
	json_decref(health(w));
	assert_alarms(w, 0);
}

static void forget_inventory(struct world *w)
{
	world_down(w);
	platform_reboot();
	unlink(test_path(w->dir, "state/inventory.db"));
	unlink(test_path(w->dir, "state/inventory.db-wal"));
	unlink(test_path(w->dir, "state/inventory.db-shm"));
	world_up(w);
}

static json_t *register_many(struct world *w, bool headers)
{
	json_t *out = NULL;

	assert_ok(vmm_register_many(w->m, w->dir, headers, NULL, &out, &err), &err);
	assert_non_null(out);
	return out;
}

static size_t registered(struct world *w)
{
	json_t *list = vmm_list(w->m, &err);
	size_t n = json_array_size(list);

	json_decref(list);
	return n;
}

/* A helper on a rebuilt host: it knows the cluster's name, and nothing else. */
static void many(struct world *w, bool headers)
{
	struct vmm_create c = { .name = "deep" };
	char id[VMC_UUID_STR], name[8];
	unsigned int gets;
	json_t *out;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		world_vm(w, name, id);
	}
	world_disk(w, "vm1", "data", "kms2");
	c.dir = test_path(w->dir, "folder");
	assert_int_equal(mkdir(c.dir, 0700), 0);
	assert_ok(vmm_create(w->m, &c, NULL, id, &err), &err);
	forget_inventory(w);
	assert_int_equal(registered(w), 0);
	mock->unreachable[0] = true;
	gets = mock->gets;
	out = register_many(w, headers);
	assert_int_equal(mock->gets - gets, 2);		/* one question to each provider, whatever it says */
	assert_int_equal(count(out, "results"), 4);
	json_decref(out);
	assert_int_equal(registered(w), headers ? 0 : 4);
	if (!headers)
		assert_shows(w, "deep", "locked invalid kms-error");
	mock->unreachable[0] = false;
	out = register_many(w, headers);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(out, "timing"), "vms")), 4);
	json_decref(out);
	assert_int_equal(registered(w), 4);
	assert_shows(w, "vm1", "unlocked ok -");
	assert_shows(w, "deep", "unlocked ok -");
	assert_alarms(w, 0);
	assert_ok(vmm_power_on(w->m, "vm1", NULL, NULL, &err), &err);
	json_decref(register_many(w, headers));		/* once more does no harm */
	world_assert_state(w, "vm1", "power", "on");
}

static void test_register_many(void **state)
{
	many(*state, false);
}

static void test_register_many_headers(void **state)
{
	many(*state, true);
}

/* What is lost with a provider is its disks, not the VM whose home is on another. */
static void test_register_many_headers_disk(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	world_disk(w, "web", "data", "kms2");
	assert_ok(vmm_unregister(w->m, id, &err), &err);
	unlink(test_path(w->dir, "web.vmcrypt"));
	forget_inventory(w);
	mock->unreachable[1] = true;
	json_decref(register_many(w, true));
	assert_shows(w, "web", "unlocked disk-key-missing kms-error");
	assert_code(vmm_power_on(w->m, "web", NULL, NULL, &err), VMC_ENOKEY, &err);
	mock->unreachable[1] = false;
	assert_ok(vmm_power_on(w->m, "web", NULL, NULL, &err), &err);
	assert_shows(w, "web", "unlocked ok -");
}

struct unlocking {
	struct world *w;
	struct vmc_error err;
	const char *id;
	int r;
};

static void *power_on_meanwhile(void *data)
{
	struct unlocking *u = data;

	u->r = vmm_power_on(u->w->m, u->id, NULL, NULL, &u->err);
	return NULL;
}

/* The helper's own unlock must not make a verb fail that comes at that moment. */
static void test_power_on_during_unlock(void **state)
{
	struct world *w = *state;
	struct unlocking u = { .w = w };
	char id[VMC_UUID_STR];
	pthread_t thread;
	struct vm *vm;

	world_vm(w, "web", id);
	u.id = id;
	assert_ok(vm_take(w->m, id, "unlock", TAKE_ANY | TAKE_LOCKED, &vm, &err), &err);
	assert_int_equal(pthread_create(&thread, NULL, power_on_meanwhile, &u), 0);
	assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
	vm_drop(w->m, vm);
	pthread_join(thread, NULL);
	assert_ok(u.r, &u.err);
	world_assert_state(w, id, "power", "on");
}

static void test_register_many_bad(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *out, *o;

	world_vm(w, "web", id);
	assert_ok(vmm_unregister(w->m, id, &err), &err);
	test_write_text(test_path(w->dir, "bad.vmcrypt"), "{ not a bundle");
	assert_int_equal(symlink("/nonexistent", test_path(w->dir, "link.vmcrypt")), 0);
	out = register_many(w, false);
	assert_int_equal(count(out, "results"), 2);
	o = json_array_get(json_object_get(out, "results"), 0);
	assert_true(json_is_true(json_object_get(o, "ok")) != json_is_true(json_object_get(
		    json_array_get(json_object_get(out, "results"), 1), "ok")));
	json_decref(out);
	assert_int_equal(registered(w), 1);
	assert_code(vmm_register_many(w->m, "relative", false, NULL, NULL, &err), VMC_EINVAL, &err);
	assert_code(vmm_register_many(w->m, "/nonexistent", false, NULL, NULL, &err), VMC_ENOENT, &err);
}

/* ---- locked by hand --------------------------------------------------------------------- */

static void test_lock_off(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], path[PATH_MAX];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk_text(w, id, "root", "hello", 4096, true);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_lock(w->m, id, false, NULL, &err), &err);
	world_assert_state(w, id, "power", "off");
	assert_int_equal(platform_mappings(), 0);
	assert_shows(w, id, "locked invalid by-hand");
	assert_alarm(w, "vm-locked", "cause", "by-hand");
	/* the provider is well, and nothing but an unlock ends it */
	refused(vmm_power_on(w->m, id, NULL, NULL, &err), "an administrator locked it");
	assert_ok(vmm_reload(w->m, id, &err), &err);
	snprintf(path, sizeof(path), "%s/web.vmcrypt", w->dir);
	assert_ok(vmm_register(w->m, path, false, id, &err), &err);
	json_decref(register_many(w, false));
	json_decref(health(w));
	world_reboot(w);
	assert_shows(w, id, "locked invalid by-hand");
	mock->unreachable[0] = true;
	unlock(w, id, false);
	assert_shows(w, id, "locked invalid by-hand");
	mock->unreachable[0] = false;
	unlock(w, id, true);
	assert_shows(w, id, "unlocked ok -");
	assert_alarms(w, 0);
	world_disk_text(w, id, "root", "hello", 4096, false);
}

/* Somebody uses a volume: it is not locked, and runs. */
static void test_lock_busy(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], name[128];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	snprintf(name, sizeof(name), "vmcrypt-%s-root", id);
	platform_hold(name, true);
	assert_code(vmm_lock(w->m, id, false, NULL, &err), VMC_EBUSY, &err);
	assert_shows(w, id, "unlocked ok -");
	world_assert_state(w, id, "power", "on");
	platform_hold(name, false);
}

struct guest {
	int fd;
	atomic_uint done;
};

/* A guest that writes: each block with its number. */
static void *write_on(void *data)
{
	struct guest *g = data;
	unsigned int i;
	char block[4096];

	for (i = 0; i < 64; i++) {
		memset(block, (int)i + 1, sizeof(block));
		if (pwrite(g->fd, block, sizeof(block), (off_t)(i * sizeof(block))) != sizeof(block) ||
		    fdatasync(g->fd))
			return (void *)1;
		atomic_store(&g->done, i + 1);
	}
	return NULL;
}

static void check_blocks(int fd)
{
	unsigned int i;
	char block[4096];

	for (i = 0; i < 64; i++) {
		assert_int_equal(pread(fd, block, sizeof(block), (off_t)(i * sizeof(block))), sizeof(block));
		assert_int_equal(block[0], (int)i + 1);
		assert_int_equal(block[4095], (int)i + 1);
	}
}

static void disk_path(const char *id, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "/dev/mapper/vmcrypt-%s-root", id);
}

/* What a guest writes while its VM is locked waits, and is there after the unlock. */
static void test_guest_waits(void **state)
{
	struct timespec moment = { 0, 300000000 };
	struct world *w = *state;
	struct guest g = { 0 };
	char id[VMC_UUID_STR], path[PATH_MAX];
	pthread_t guest;
	void *bad;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_lock(w->m, id, true, NULL, &err), &err);
	disk_path(id, path);
	g.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(g.fd >= 0);
	assert_int_equal(pthread_create(&guest, NULL, write_on, &g), 0);
	nanosleep(&moment, NULL);	/* it has every chance to get on */
	assert_int_equal(atomic_load(&g.done), 0);
	unlock(w, id, true);
	pthread_join(guest, &bad);
	assert_null(bad);
	assert_int_equal(atomic_load(&g.done), 64);
	close(g.fd);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	world_reboot(w);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	g.fd = open(path, O_RDONLY | O_CLOEXEC);
	check_blocks(g.fd);
	close(g.fd);
}

static void test_lock_now(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *o;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk_text(w, id, "root", "hello", 4096, true);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_lock(w->m, id, true, NULL, &err), &err);
	world_assert_state(w, id, "power", "on");
	assert_shows(w, id, "locked suspended by-hand");
	o = vmm_show(w->m, id, &err);
	assert_true(json_is_false(json_object_get(json_object_get(o, "home"), "loaded")));
	assert_true(json_is_false(json_object_get(json_object_get(o, "home"), "cached")));
	json_decref(o);
	refused(vmm_power_off(w->m, id, &err), "an administrator locked it");
	refused(vmm_disk_open(w->m, id, "root", &(char *){ NULL }, &err), "an administrator locked it");
	assert_code(vmm_unregister(w->m, id, &err), VMC_ESTATE, &err);
	refused(vmm_lock(w->m, id, false, NULL, &err), "an administrator locked it");
	assert_ok(vmm_lock(w->m, id, true, NULL, &err), &err);
	world_again(w);		/* known as such by the next process */
	assert_shows(w, id, "locked suspended by-hand");
	world_assert_state(w, id, "power", "on");
	mock->unreachable[0] = true;
	json_decref(health(w));
	unlock(w, id, false);
	assert_shows(w, id, "locked suspended by-hand");
	mock->unreachable[0] = false;
	json_decref(health(w));
	assert_shows(w, id, "locked suspended by-hand");
	unlock(w, id, true);
	assert_shows(w, id, "unlocked ok -");
	world_assert_state(w, id, "power", "on");
	world_text(id, "root", "hello", 4096, false);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_alarms(w, 0);
}

/* Suspended, and the host goes down: what it was is over, locked it stays. */
static void test_lock_now_reboot(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_lock(w->m, id, true, NULL, &err), &err);
	world_reboot(w);
	assert_shows(w, id, "locked invalid by-hand");
	world_assert_state(w, id, "power", "off");
	unlock(w, id, true);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

/* The KEK of another VM stays when that needs it. */
static void test_lock_spares_others(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], other[VMC_UUID_STR];
	json_t *out = NULL;

	world_vm(w, "web", id);
	world_vm(w, "db", other);
	assert_ok(vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err), &err);	/* one key for both */
	json_decref(out);
	assert_ok(vmm_lock(w->m, id, false, NULL, &err), &err);
	mock->unreachable[0] = true;
	assert_ok(vmm_power_on(w->m, other, NULL, NULL, &err), &err);
	assert_shows(w, id, "locked invalid by-hand");
}

/* ---- alarms --------------------------------------------------------------------------------- */

static void test_acknowledge(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], alarm[24];
	json_t *o;

	world_vm(w, "web", id);
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	o = alarm_of(w, "vm-locked", false);
	assert_true(json_is_null(json_object_get(o, "acknowledged")));
	snprintf(alarm, sizeof(alarm), "%s", world_field(o, "id"));
	json_decref(o);
	assert_ok(vmm_alarm_acknowledge(w->m, alarm, "alice", &err), &err);
	assert_ok(vmm_alarm_acknowledge(w->m, NULL, "bob", &err), &err);	/* the first counts */
	assert_alarm(w, "vm-locked", "acknowledged_by", "alice");
	assert_shows(w, id, "locked invalid kms-error");
	world_assert_event(w, "alarm-acknowledged",
		     "VM 'web': Virtual machine is locked because of a KMS cluster error.");
	assert_code(vmm_alarm_acknowledge(w->m, "4711", "alice", &err), VMC_ENOENT, &err);
	assert_ok(vmm_reload(w->m, id, &err), &err);
	assert_alarm(w, "vm-locked", "acknowledged_by", "alice");	/* still the same */
	mock->unreachable[0] = false;
	unlock(w, id, true);
	assert_alarms(w, 0);
	assert_code(vmm_alarm_acknowledge(w->m, alarm, "alice", &err), VMC_ENOENT, &err);
	o = alarm_of(w, "vm-locked", true);
	assert_string_equal(world_field(o, "id"), alarm);
	assert_string_not_equal(world_field(o, "cleared"), "");
	json_decref(o);
}

static void test_alarm_of_others(void **state)
{
	struct vmm_alarm a = {
		.type = VMM_ALARM_PERSISTENCE, .severity = VMM_WARNING, .entity_kind = "host",
		.entity_id = "h1", .text = "The keys cannot be unsealed.", .remedy = "Look at '{vm}'",
		.reason = "PCR 7 changed",
	};
	struct world *w = *state;
	json_t *o;

	assert_ok(vmm_alarm_raise(w->m, &a, &err), &err);
	assert_ok(vmm_alarm_raise(w->m, &a, &err), &err);
	assert_alarms(w, 1);
	world_again(w);
	o = alarm_of(w, "host-persistence", false);
	assert_string_equal(world_field(o, "text"), "The keys cannot be unsealed.");
	assert_string_equal(world_field(o, "remedy"), "Look at 'h1'");
	assert_string_equal(world_field(o, "reason"), "PCR 7 changed");
	assert_true(json_is_null(json_object_get(o, "cause")));
	json_decref(o);
	assert_ok(vmm_alarm_clear(w->m, a.type, a.entity_kind, a.entity_id, &err), &err);
	assert_ok(vmm_alarm_clear(w->m, a.type, a.entity_kind, a.entity_id, &err), &err);
	assert_alarms(w, 0);
	assert_contains(w->events, "alarm-raised alarm-cleared ");
}

static void test_events_since(void **state)
{
	struct vmm_event_filter f = { .vm = "web", .type = "vm-locked" };
	struct world *w = *state;
	char id[VMC_UUID_STR];
	json_t *list;
	json_int_t last;

	world_vm(w, "web", id);
	list = vmm_events(w->m, 1, &err);
	last = json_integer_value(json_object_get(json_array_get(list, 0), "id"));
	assert_true(last > 0);
	json_decref(list);
	world_reboot(w);
	mock->unreachable[0] = true;
	assert_ok(vmm_reload(w->m, id, &err), &err);
	list = vmm_events_since(w->m, last, 10, &f, &err);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(world_field(json_array_get(list, 0), "vm_name"), "web");
	json_decref(list);
	list = vmm_events_since(w->m, last, 10, NULL, &err);
	assert_true(json_array_size(list) >= 3);	/* locked, alarm, reloaded */
	json_decref(list);
}

#define t(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_fetched_at_need), t(test_invalid), t(test_disk_key_missing), t(test_provider_gone),
		t(test_running_goes_on),
		t(test_cause_kms_error), t(test_cause_missing_on_kms), t(test_cause_missing_on_host),
		t(test_key_destroyed), t(test_cause_provider_unknown), t(test_cause_changes), t(test_wording),
		t(test_unlock_some), t(test_health_unlocks), t(test_key_state_alarm), t(test_kept_keys_are_no_forecast),
		t(test_certificate_alarm),
		t(test_register_many), t(test_register_many_headers), t(test_register_many_headers_disk),
		t(test_power_on_during_unlock), t(test_register_many_bad),
		t(test_lock_off), t(test_lock_busy), t(test_lock_now), t(test_lock_now_reboot),
		t(test_lock_spares_others),
		t(test_acknowledge), t(test_alarm_of_others), t(test_events_since),
		t(test_guest_waits),	/* the last one: a mock has no device to write to */
	};

	return _cmocka_run_group_tests("states", tests, ARRAY_SIZE(tests) - !platform_is_real(), NULL, NULL);
}
