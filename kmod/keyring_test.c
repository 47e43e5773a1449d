// SPDX-License-Identifier: GPL-2.0-only
/* KEK cache and keyrings: what they refuse, and who outlives whom. */

#include <keys/user-type.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/key-type.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "keyring.h"
#include "name.h"

#define KEK_A		"kunit/a"
#define KEK_B		"kunit/b"
#define DEADLINE	msecs_to_jiffies(20000)
#define MAX_EVENTS	16

static const u8 vm1[VMCRYPT_VM_ID_LEN] = { 0xaa, 1 };
static const u8 vm2[VMCRYPT_VM_ID_LEN] = { 0xaa, 2 };
static const u8 bytes_a[VMCRYPT_KEK_LEN] = { 0xa };
static const u8 bytes_b[VMCRYPT_KEK_LEN] = { 0xb };

/* What the notifier saw; all in one place, as suites run one by one. */
static struct {
	unsigned long cmd;
	enum vmcrypt_reason reason;
	u32 count;
} seen[MAX_EVENTS];
static int n_seen;
static struct completion one_seen;

static u8 kcv[VMCRYPT_KCV_LEN];
static u8 dek[VMCRYPT_DEK_LEN];
static u8 wrapped[VMCRYPT_WRAPPED_LEN];
static struct vmcrypt_loaded loaded;

static int see(struct notifier_block *nb, unsigned long cmd, void *data)
{
	const struct vmcrypt_event *event = data;

	if (n_seen < MAX_EVENTS) {
		seen[n_seen].cmd = cmd;
		seen[n_seen].reason = event->reason;
		seen[n_seen].count = event->count;
	}
	n_seen++;
	complete(&one_seen);
	return NOTIFY_DONE;
}

static struct notifier_block see_nb = { .notifier_call = see };

static void forget_events(void)
{
	n_seen = 0;
	reinit_completion(&one_seen);
}

static int keyring_test_init(struct kunit *test)
{
	int i;

	for (i = 0; i < sizeof(dek); i++)
		dek[i] = i;
	n_seen = 0;
	init_completion(&one_seen);
	return blocking_notifier_chain_register(&vmcrypt_events, &see_nb);
}

static void keyring_test_exit(struct kunit *test)
{
	vmcrypt_vm_del(vm1, true, NULL);
	vmcrypt_vm_del(vm2, true, NULL);
	vmcrypt_kek_del(KEK_A, true, NULL);
	vmcrypt_kek_del(KEK_B, true, NULL);
	blocking_notifier_chain_unregister(&vmcrypt_events, &see_nb);
}

static int add(const char *id, const u8 *bytes, ktime_t lease)
{
	return vmcrypt_kek_add(id, bytes, lease, kcv, NULL);
}

static struct vmcrypt_bind bind_to(const u8 *vm, const char *volume)
{
	struct vmcrypt_bind bind = {
		.kek_id = KEK_A, .vm_id = vm, .volume = volume,
	};

	return bind;
}

static int load(const u8 *vm, const char *volume)
{
	struct vmcrypt_bind bind = bind_to(vm, volume);
	int ret = vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, NULL);

	return ret ?: vmcrypt_dek_load(&bind, wrapped, &loaded, NULL);
}

/* KEK A, VM 1 and its volume "disk0". */
static void load_one(struct kunit *test)
{
	key_serial_t ring;

	KUNIT_ASSERT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_ASSERT_EQ(test, vmcrypt_vm_add(vm1, &ring, NULL), 0);
	KUNIT_ASSERT_EQ(test, load(vm1, "disk0"), 0);
	KUNIT_ASSERT_EQ(test, loaded.ring, ring);
	forget_events();
}

static int copy_kek(const struct vmcrypt_kek *kek, void *ctx)
{
	memcpy(ctx, kek, sizeof(*kek));
	return 0;
}

static u32 users_of(const char *id)
{
	struct vmcrypt_kek kek = { .users = U32_MAX };

	vmcrypt_kek_show(id, copy_kek, &kek, NULL);
	return kek.users;
}

static int hold_key(const struct vmcrypt_vm *vm, const struct vmcrypt_dek *d,
		    void *ctx)
{
	*(struct key **)ctx = key_get(d->key);
	return 0;
}

/* A reference to the key of a loaded DEK, as another user of it has. */
static struct key *key_of(struct kunit *test, const u8 *vm, const char *volume)
{
	struct key *key = NULL;

	KUNIT_ASSERT_EQ(test, vmcrypt_dek_show(vm, volume, hold_key, &key,
					       NULL), 0);
	return key;
}

static int hold_ring(const struct vmcrypt_vm *vm, void *ctx)
{
	*(struct key **)ctx = key_get(vm->ring);
	return 0;
}

/* KEKs */

static void a_kek_comes_again_with_the_same_bytes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
}

static void a_kek_with_other_bytes_is_refused(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_b, 0), -EEXIST);
}

static void a_removed_kek_is_gone(struct kunit *test)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");

	add(KEK_A, bytes_a, 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_del(KEK_A, false, NULL), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_del(KEK_A, false, NULL), -ENOENT);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, NULL),
			-ENOKEY);
	KUNIT_EXPECT_EQ(test, n_seen, 1);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_REMOVED);
}

static void a_kek_in_use_is_removed_by_force_only(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_del(KEK_A, false, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, n_seen, 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_del(KEK_A, true, NULL), 0);
	KUNIT_EXPECT_EQ(test, n_seen, 1);
	KUNIT_EXPECT_EQ(test, seen[0].cmd, VMCRYPT_CMD_KEK_DEL_NTF);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_FORCED);
	KUNIT_EXPECT_EQ(test, seen[0].count, 1);
}

static void a_removed_kek_leaves_its_deks_loaded(struct kunit *test)
{
	struct key *key;

	load_one(test);
	vmcrypt_kek_del(KEK_A, true, NULL);
	key = key_of(test, vm1, "disk0");
	KUNIT_EXPECT_EQ(test, key_validate(key), 0);
	key_put(key);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_del(vm1, "disk0", NULL), 0);
}

static void a_kek_that_comes_back_has_its_users(struct kunit *test)
{
	load_one(test);
	vmcrypt_kek_del(KEK_A, true, NULL);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_b, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 1);
	vmcrypt_dek_del(vm1, "disk0", NULL);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
}

static void a_kek_without_users_that_went_leaves_its_id(struct kunit *test)
{
	load_one(test);
	vmcrypt_kek_del(KEK_A, true, NULL);
	vmcrypt_dek_del(vm1, "disk0", NULL);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_b, 0), 0);
}

static void the_cache_is_bounded(struct kunit *test)
{
	unsigned int max = vmcrypt_max_keks;
	struct vmcrypt_totals totals;

	vmcrypt_totals_get(&totals);
	vmcrypt_max_keks = totals.keks + 1;
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	KUNIT_EXPECT_EQ(test, add(KEK_B, bytes_b, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	vmcrypt_max_keks = max;
}

static int stop_at_first(const struct vmcrypt_kek *kek, void *ctx)
{
	int *steps = ctx;

	return (*steps)++ ? -EMSGSIZE : 0;
}

static int count_ours(const struct vmcrypt_kek *kek, void *ctx)
{
	if (!strcmp(kek->id, KEK_A) || !strcmp(kek->id, KEK_B))
		++*(int *)ctx;
	return 0;
}

static void a_walk_goes_on_where_it_stopped(struct kunit *test)
{
	struct vmcrypt_cursor cursor = { 0 };
	struct vmcrypt_totals totals;
	unsigned int generation;
	int steps, rounds = 0;

	add(KEK_A, bytes_a, 0);
	add(KEK_B, bytes_b, 0);
	vmcrypt_totals_get(&totals);
	do {
		steps = 0;
		rounds++;
	} while (vmcrypt_kek_walk(&cursor, &generation, stop_at_first,
				  &steps));
	KUNIT_EXPECT_EQ(test, rounds, totals.keks);
}

static void a_walk_visits_each_kek_once(struct kunit *test)
{
	struct vmcrypt_cursor cursor = { 0 };
	unsigned int generation;
	int n = 0;

	add(KEK_A, bytes_a, 0);
	add(KEK_B, bytes_b, 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_walk(&cursor, &generation,
					       count_ours, &n), 0);
	KUNIT_EXPECT_EQ(test, n, 2);
}

/* Leases */

static void a_lease_that_ends_drops_the_kek(struct kunit *test)
{
	struct vmcrypt_totals before, after;

	vmcrypt_totals_get(&before);
	KUNIT_ASSERT_EQ(test, add(KEK_A, bytes_a, ms_to_ktime(20)), 0);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&one_seen, DEADLINE),
			0);
	KUNIT_EXPECT_EQ(test, seen[0].cmd, VMCRYPT_CMD_KEK_DEL_NTF);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_LEASE);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), U32_MAX);
	vmcrypt_totals_get(&after);
	KUNIT_EXPECT_EQ(test, after.keks, before.keks);
	KUNIT_EXPECT_EQ(test, after.stats.lease_ends,
			before.stats.lease_ends + 1);
}

static void a_lease_ends_also_when_the_kek_is_in_use(struct kunit *test)
{
	load_one(test);
	KUNIT_ASSERT_EQ(test, add(KEK_A, bytes_a, ms_to_ktime(20)), 0);
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&one_seen, DEADLINE),
			0);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_LEASE);
	KUNIT_EXPECT_EQ(test, seen[0].count, 1);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_del(vm1, "disk0", NULL), 0);
}

static void a_lease_that_is_over_does_not_wait_for_its_timer(struct kunit *test)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");

	add(KEK_A, bytes_a, ns_to_ktime(1));
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, NULL),
			-ENOKEY);
}

static void a_kek_whose_lease_is_over_is_not_counted(struct kunit *test)
{
	struct vmcrypt_totals before, after;
	int i;

	vmcrypt_totals_get(&before);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, add(KEK_A, bytes_a, ns_to_ktime(1)), 0);
		vmcrypt_totals_get(&after);
		KUNIT_ASSERT_EQ(test, after.keks, before.keks);
	}
}

static int timer_is_armed(const struct vmcrypt_kek *kek, void *ctx)
{
	*(bool *)ctx = hrtimer_active(&kek->timer);
	return 0;
}

static void a_renewed_lease_replaces_the_old_one(struct kunit *test)
{
	bool armed = false;

	add(KEK_A, bytes_a, ms_to_ktime(3600 * 1000));
	vmcrypt_kek_show(KEK_A, timer_is_armed, &armed, NULL);
	KUNIT_EXPECT_TRUE(test, armed);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, 0), 0);
	vmcrypt_kek_show(KEK_A, timer_is_armed, &armed, NULL);
	KUNIT_EXPECT_FALSE(test, armed);
}

static void a_kek_goes_while_its_lease_ends(struct kunit *test)
{
	struct vmcrypt_totals before, after;
	int i;

	vmcrypt_totals_get(&before);
	for (i = 0; i < 200; i++) {
		add(KEK_A, bytes_a, ns_to_ktime(i * 500));
		vmcrypt_kek_del(KEK_A, true, NULL);
	}
	vmcrypt_totals_get(&after);
	KUNIT_EXPECT_EQ(test, after.keks, before.keks);
	KUNIT_EXPECT_EQ(test, n_seen, 200);
}

static void the_longest_lease_is_no_short_one(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, ktime_set(U32_MAX, 0)), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
	KUNIT_EXPECT_EQ(test, add(KEK_A, bytes_a, KTIME_MAX), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
}

/* DEKs */

static void a_loaded_dek_has_the_bytes_that_were_wrapped(struct kunit *test)
{
	struct user_key_payload *payload;
	struct key *key;

	load_one(test);
	key = key_of(test, vm1, "disk0");
	down_read(&key->sem);
	payload = user_key_payload_locked(key);
	KUNIT_EXPECT_EQ(test, payload->datalen, sizeof(dek));
	KUNIT_EXPECT_MEMEQ(test, payload->data, dek, sizeof(dek));
	up_read(&key->sem);
	key_put(key);
}

static void a_loaded_dek_may_be_searched_and_no_more(struct kunit *test)
{
	struct key *key;

	load_one(test);
	key = key_of(test, vm1, "disk0");
	KUNIT_EXPECT_PTR_EQ(test, key->type, &key_type_logon);
	KUNIT_EXPECT_EQ(test, key->perm, KEY_POS_SEARCH);
	KUNIT_EXPECT_TRUE(test, test_bit(KEY_FLAG_KEEP, &key->flags));
	key_put(key);
}

static void a_keyring_may_be_searched_and_linked_by_root(struct kunit *test)
{
	struct key *ring;

	load_one(test);
	KUNIT_ASSERT_EQ(test, vmcrypt_vm_show(vm1, hold_ring, &ring, NULL), 0);
	KUNIT_EXPECT_EQ(test, ring->perm, KEY_POS_SEARCH | KEY_USR_LINK);
	KUNIT_EXPECT_TRUE(test, uid_eq(ring->uid, GLOBAL_ROOT_UID));
	KUNIT_EXPECT_TRUE(test, test_bit(KEY_FLAG_KEEP, &ring->flags));
	key_put(ring);
}

static void an_unloaded_dek_is_wiped_for_who_still_holds_it(struct kunit *test)
{
	struct key *key;

	load_one(test);
	key = key_of(test, vm1, "disk0");
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_del(vm1, "disk0", NULL), 0);
	KUNIT_EXPECT_EQ(test, key_validate(key), -EKEYREVOKED);
	down_read(&key->sem);
	KUNIT_EXPECT_NULL(test, user_key_payload_locked(key));
	up_read(&key->sem);
	key_put(key);
}

static void a_dek_is_not_loaded_twice(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, load(vm1, "disk0"), -EEXIST);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 1);
}

static void a_dek_is_not_loaded_without_its_vm(struct kunit *test)
{
	add(KEK_A, bytes_a, 0);
	KUNIT_EXPECT_EQ(test, load(vm1, "disk0"), -ENOENT);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
}

static void a_refused_dek_is_counted_and_leaves_nothing(struct kunit *test)
{
	struct vmcrypt_bind other = bind_to(vm1, "disk1");
	struct vmcrypt_totals before, after;

	load_one(test);
	vmcrypt_totals_get(&before);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_load(&other, wrapped, &loaded, NULL),
			-EKEYREJECTED);
	vmcrypt_totals_get(&after);
	KUNIT_EXPECT_EQ(test, after.deks, before.deks);
	KUNIT_EXPECT_EQ(test, after.stats.auth_failures,
			before.stats.auth_failures + 1);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 1);
}

static void a_dek_of_two_same_halves_is_refused(struct kunit *test)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");

	add(KEK_A, bytes_a, 0);
	memcpy(dek + VMCRYPT_DEK_LEN / 2, dek, VMCRYPT_DEK_LEN / 2);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, NULL),
			-EINVAL);
}

static void the_volumes_of_a_vm_are_bounded(struct kunit *test)
{
	unsigned int max = vmcrypt_max_volumes;

	load_one(test);
	vmcrypt_max_volumes = 1;
	KUNIT_EXPECT_EQ(test, load(vm1, "disk1"), -ENOSPC);
	vmcrypt_max_volumes = max;
}

static int rewrap(const char *from, const char *to)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");

	bind.kek_id = from;
	return vmcrypt_dek_rewrap(&bind, to, wrapped, wrapped, kcv, NULL);
}

static void a_rewrapped_dek_is_a_user_of_the_new_kek(struct kunit *test)
{
	load_one(test);
	add(KEK_B, bytes_b, 0);
	KUNIT_EXPECT_EQ(test, rewrap(KEK_A, KEK_B), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_B), 1);
	KUNIT_EXPECT_EQ(test, vmcrypt_kek_del(KEK_A, false, NULL), 0);
}

static void another_dek_of_the_volume_does_not_move_its_user(struct kunit *test)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");

	load_one(test);
	add(KEK_B, bytes_b, 0);
	dek[0] ^= 1;
	KUNIT_ASSERT_EQ(test, vmcrypt_dek_wrap(&bind, dek, wrapped, kcv, NULL),
			0);
	KUNIT_EXPECT_EQ(test, rewrap(KEK_A, KEK_B), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 1);
	KUNIT_EXPECT_EQ(test, users_of(KEK_B), 0);
}

static void a_dek_is_rewrapped_under_the_same_kek(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, rewrap(KEK_A, KEK_A), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 1);
}

static void rewrapping_needs_both_keks(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, rewrap(KEK_A, KEK_B), -ENOKEY);
	KUNIT_EXPECT_EQ(test, rewrap(KEK_B, KEK_A), -ENOKEY);
}

static void the_mac_of_a_digest_needs_the_right_dek(struct kunit *test)
{
	struct vmcrypt_bind bind = bind_to(vm1, "disk0");
	u8 mac[VMCRYPT_MAC_LEN], want[VMCRYPT_MAC_LEN];

	load_one(test);
	KUNIT_ASSERT_EQ(test, vmcrypt_dek_mac_digest(dek, kcv, sizeof(kcv),
						     want), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_mac(&bind, wrapped, kcv, sizeof(kcv),
					      mac, loaded.kcv, NULL), 0);
	KUNIT_EXPECT_MEMEQ(test, mac, want, sizeof(mac));
	bind.volume = "disk1";
	KUNIT_EXPECT_EQ(test, vmcrypt_dek_mac(&bind, wrapped, kcv, sizeof(kcv),
					      mac, loaded.kcv, NULL),
			-EKEYREJECTED);
}

/* VMs */

static void a_vm_is_not_made_twice(struct kunit *test)
{
	key_serial_t ring;

	KUNIT_EXPECT_EQ(test, vmcrypt_vm_add(vm1, &ring, NULL), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_add(vm1, &ring, NULL), -EEXIST);
}

static void vms_are_bounded(struct kunit *test)
{
	unsigned int max = vmcrypt_max_vms;
	struct vmcrypt_totals totals;
	key_serial_t ring;

	vmcrypt_totals_get(&totals);
	vmcrypt_max_vms = totals.vms + 1;
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_add(vm1, &ring, NULL), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_add(vm2, &ring, NULL), -ENOSPC);
	vmcrypt_max_vms = max;
}

static void a_locked_vm_has_no_deks(struct kunit *test)
{
	load_one(test);
	load(vm1, "disk1");
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_lock(vm1, NULL), 0);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
	KUNIT_ASSERT_EQ(test, n_seen, 3);
	KUNIT_EXPECT_EQ(test, seen[0].cmd, VMCRYPT_CMD_DEK_DEL_NTF);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_LOCKED);
	KUNIT_EXPECT_EQ(test, seen[1].cmd, VMCRYPT_CMD_DEK_DEL_NTF);
	KUNIT_EXPECT_EQ(test, seen[2].cmd, VMCRYPT_CMD_VM_LOCK_NTF);
	KUNIT_EXPECT_EQ(test, seen[2].count, 2);
}

static int is_locked(const struct vmcrypt_vm *vm, void *ctx)
{
	return vm->locked;
}

static void loading_a_dek_unlocks_its_vm(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_show(vm1, is_locked, NULL, NULL), 0);
	vmcrypt_vm_lock(vm1, NULL);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_show(vm1, is_locked, NULL, NULL), 1);
	KUNIT_EXPECT_EQ(test, load(vm1, "disk0"), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_show(vm1, is_locked, NULL, NULL), 0);
}

static void a_vm_in_use_is_deleted_by_force_only(struct kunit *test)
{
	load_one(test);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_del(vm1, false, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_del(vm1, true, NULL), 0);
	KUNIT_EXPECT_EQ(test, n_seen, 1);
	KUNIT_EXPECT_EQ(test, seen[0].reason, VMCRYPT_REASON_FORCED);
	KUNIT_EXPECT_EQ(test, users_of(KEK_A), 0);
	KUNIT_EXPECT_EQ(test, vmcrypt_vm_del(vm1, true, NULL), -ENOENT);
}

static void the_keyring_of_a_deleted_vm_is_revoked(struct kunit *test)
{
	struct key *ring;

	load_one(test);
	KUNIT_ASSERT_EQ(test, vmcrypt_vm_show(vm1, hold_ring, &ring, NULL), 0);
	vmcrypt_vm_del(vm1, true, NULL);
	KUNIT_EXPECT_EQ(test, key_validate(ring), -EKEYREVOKED);
	key_put(ring);
}

/* The caller's keys */

static struct key *key_new(struct kunit *test, struct key_type *type,
			   size_t len)
{
	struct key *key = key_alloc(type, "kunit:key", GLOBAL_ROOT_UID,
				    GLOBAL_ROOT_GID, current_cred(),
				    KEY_USR_SEARCH, KEY_ALLOC_NOT_IN_QUOTA,
				    NULL);

	KUNIT_ASSERT_FALSE(test, IS_ERR(key));
	KUNIT_ASSERT_EQ(test, key_instantiate_and_link(key, dek, len, NULL,
						       NULL), 0);
	return key;
}

static int copy(struct key *key, size_t len)
{
	return vmcrypt_copy_key(key_serial(key), wrapped, len, NULL);
}

static void a_logon_key_is_copied(struct kunit *test)
{
	struct key *key = key_new(test, &key_type_logon, VMCRYPT_KEK_LEN);

	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_KEK_LEN), 0);
	KUNIT_EXPECT_MEMEQ(test, wrapped, dek, VMCRYPT_KEK_LEN);
	key_put(key);
}

static void a_key_of_another_length_is_refused(struct kunit *test)
{
	struct key *key = key_new(test, &key_type_logon, VMCRYPT_KEK_LEN);

	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_KEK_LEN - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_DEK_LEN), -EINVAL);
	key_put(key);
}

static void a_key_that_can_be_read_is_refused(struct kunit *test)
{
	struct key *key = key_new(test, &key_type_user, VMCRYPT_KEK_LEN);

	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_KEK_LEN), -EINVAL);
	key_put(key);
}

static void a_revoked_key_is_refused(struct kunit *test)
{
	struct key *key = key_new(test, &key_type_logon, VMCRYPT_KEK_LEN);

	key_revoke(key);
	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_KEK_LEN), -EKEYREVOKED);
	key_put(key);
}

static void a_dek_in_a_keyring_is_not_copied(struct kunit *test)
{
	struct key *key;

	load_one(test);
	key = key_of(test, vm1, "disk0");
	/* As if its permissions let it be found. */
	key->perm |= KEY_USR_SEARCH;
	KUNIT_EXPECT_EQ(test, copy(key, VMCRYPT_DEK_LEN), -EPERM);
	key_put(key);
}

static struct kunit_case keyring_cases[] = {
	KUNIT_CASE(a_kek_comes_again_with_the_same_bytes),
	KUNIT_CASE(a_kek_with_other_bytes_is_refused),
	KUNIT_CASE(a_removed_kek_is_gone),
	KUNIT_CASE(a_kek_in_use_is_removed_by_force_only),
	KUNIT_CASE(a_removed_kek_leaves_its_deks_loaded),
	KUNIT_CASE(a_kek_that_comes_back_has_its_users),
	KUNIT_CASE(a_kek_without_users_that_went_leaves_its_id),
	KUNIT_CASE(the_cache_is_bounded),
	KUNIT_CASE(a_walk_goes_on_where_it_stopped),
	KUNIT_CASE(a_walk_visits_each_kek_once),
	KUNIT_CASE(a_lease_that_ends_drops_the_kek),
	KUNIT_CASE(a_lease_ends_also_when_the_kek_is_in_use),
	KUNIT_CASE(a_lease_that_is_over_does_not_wait_for_its_timer),
	KUNIT_CASE(a_kek_whose_lease_is_over_is_not_counted),
	KUNIT_CASE(a_renewed_lease_replaces_the_old_one),
	KUNIT_CASE(a_kek_goes_while_its_lease_ends),
	KUNIT_CASE(the_longest_lease_is_no_short_one),
	KUNIT_CASE(a_loaded_dek_has_the_bytes_that_were_wrapped),
	KUNIT_CASE(a_loaded_dek_may_be_searched_and_no_more),
	KUNIT_CASE(a_keyring_may_be_searched_and_linked_by_root),
	KUNIT_CASE(an_unloaded_dek_is_wiped_for_who_still_holds_it),
	KUNIT_CASE(a_dek_is_not_loaded_twice),
	KUNIT_CASE(a_dek_is_not_loaded_without_its_vm),
	KUNIT_CASE(a_refused_dek_is_counted_and_leaves_nothing),
	KUNIT_CASE(a_dek_of_two_same_halves_is_refused),
	KUNIT_CASE(the_volumes_of_a_vm_are_bounded),
	KUNIT_CASE(a_rewrapped_dek_is_a_user_of_the_new_kek),
	KUNIT_CASE(another_dek_of_the_volume_does_not_move_its_user),
	KUNIT_CASE(a_dek_is_rewrapped_under_the_same_kek),
	KUNIT_CASE(rewrapping_needs_both_keks),
	KUNIT_CASE(the_mac_of_a_digest_needs_the_right_dek),
	KUNIT_CASE(a_vm_is_not_made_twice),
	KUNIT_CASE(vms_are_bounded),
	KUNIT_CASE(a_locked_vm_has_no_deks),
	KUNIT_CASE(loading_a_dek_unlocks_its_vm),
	KUNIT_CASE(a_vm_in_use_is_deleted_by_force_only),
	KUNIT_CASE(the_keyring_of_a_deleted_vm_is_revoked),
	KUNIT_CASE(a_logon_key_is_copied),
	KUNIT_CASE(a_key_of_another_length_is_refused),
	KUNIT_CASE(a_key_that_can_be_read_is_refused),
	KUNIT_CASE(a_revoked_key_is_refused),
	KUNIT_CASE(a_dek_in_a_keyring_is_not_copied),
	{}
};

static struct kunit_suite keyring_suite = {
	.name = "vmcrypt_keyring",
	.init = keyring_test_init,
	.exit = keyring_test_exit,
	.test_cases = keyring_cases,
};

kunit_test_suite(keyring_suite);
