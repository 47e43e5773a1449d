// SPDX-License-Identifier: GPL-2.0-only
/* Migrations: both ends in one kernel. */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "migration.h"
#include "vectors.h"

#define KEK		"kunit/m"
#define SOCKET_A	4711
#define SOCKET_B	4712
#define VOLUME		"disk0"

static const u8 vm1[VMCRYPT_VM_ID_LEN] = { 0xbb, 1 };
static const u8 vm2[VMCRYPT_VM_ID_LEN] = { 0xbb, 2 };
static const u8 bytes[VMCRYPT_KEK_LEN] = { 0xa };
static const u8 other_bytes[VMCRYPT_KEK_LEN] = { 0xb };
static const struct vmcrypt_bind bind1 = {
	.kek_id = KEK,
	.vm_id = vm1,
	.volume = VOLUME,
};

static u8 dek[VMCRYPT_DEK_LEN] = { 1, 2, 3 };
static u8 kcv[VMCRYPT_KCV_LEN];
static u8 sealed[VMCRYPT_SEALED_LEN];
static u8 public_a[VMCRYPT_PUBLIC_LEN], public_b[VMCRYPT_PUBLIC_LEN];
static u32 source, destination;
static struct netlink_ext_ack extack;
static enum vmcrypt_end last_end;
static u32 last_ended;

static int see(struct notifier_block *nb, unsigned long cmd, void *data)
{
	const struct vmcrypt_migration_event *event = data;

	if (cmd == VMCRYPT_CMD_MIGRATION_END_NTF) {
		last_ended = event->migration->id;
		last_end = event->reason;
	}
	return NOTIFY_DONE;
}

static struct notifier_block see_nb = { .notifier_call = see };

static int add(const u8 *vm, enum vmcrypt_role role,
	       enum vmcrypt_policy policy, u32 portid, u32 *id, u8 *public)
{
	struct vmcrypt_migration_new new = {
		.vm_id = vm,
		.role = role,
		.policy = policy,
		.portid = portid,
	};

	return vmcrypt_migration_add(&new, id, public, &extack);
}

static int agree(u32 id, u32 portid, const u8 *peer)
{
	struct vmcrypt_agreement agreement = {
		.id = id,
		.portid = portid,
		.peer = peer,
		.binding = vector_binding,
		.binding_len = sizeof(vector_binding),
	};

	return vmcrypt_migration_agree(&agreement, &extack);
}

/* Both ends, not agreed. */
static void two_ends(struct kunit *test, enum vmcrypt_policy policy)
{
	KUNIT_ASSERT_EQ(test, 0, add(vm1, VMCRYPT_ROLE_SOURCE, policy,
				     SOCKET_A, &source, public_a));
	KUNIT_ASSERT_EQ(test, 0, add(vm1, VMCRYPT_ROLE_DESTINATION, policy,
				     SOCKET_B, &destination, public_b));
}

static void two_agreed_ends(struct kunit *test, enum vmcrypt_policy policy)
{
	two_ends(test, policy);
	KUNIT_ASSERT_EQ(test, 0, agree(source, SOCKET_A, public_b));
	KUNIT_ASSERT_EQ(test, 0, agree(destination, SOCKET_B, public_a));
}

static void load_dek(struct kunit *test)
{
	u8 wrapped[VMCRYPT_WRAPPED_LEN];
	struct vmcrypt_loaded loaded;
	key_serial_t ring;

	KUNIT_ASSERT_EQ(test, 0, vmcrypt_kek_add(KEK, bytes, 0, kcv, &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_vm_add(vm1, &ring, &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_wrap(&bind1, dek, wrapped, kcv,
						  &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_load(&bind1, wrapped, &loaded,
						  &extack));
}

static int export(void)
{
	char kek_id[VMCRYPT_KEK_ID_MAX + 1];

	return vmcrypt_migration_export(source, vm1, VOLUME, kek_id, sealed,
					&extack);
}

static int import_as(u32 id, const struct vmcrypt_bind *bind)
{
	struct vmcrypt_loaded loaded;

	return vmcrypt_migration_import(id, bind, sealed, &loaded, &extack);
}

static int copy_master(const struct vmcrypt_migration *mig, void *ctx)
{
	memcpy(ctx, mig->master, sizeof(mig->master));
	return mig->kpp ? -EEXIST : 0;
}

static void both_ends_have_the_same_secret(struct kunit *test)
{
	u8 a[VMCRYPT_SECRET_LEN], b[VMCRYPT_SECRET_LEN];

	two_agreed_ends(test, VMCRYPT_POLICY_OPPORTUNISTIC);
	/* The private half is gone. */
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_migration_show(source, copy_master, a,
							&extack));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_migration_show(destination,
							copy_master, b,
							&extack));
	KUNIT_EXPECT_MEMEQ(test, a, b, sizeof(a));
	KUNIT_EXPECT_NOT_NULL(test, memchr_inv(a, 0, sizeof(a)));
}

static void a_key_is_agreed_once(struct kunit *test)
{
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, -EALREADY, agree(source, SOCKET_A, public_b));
	KUNIT_EXPECT_EQ(test, -ENOENT, agree(source + 1000, SOCKET_A,
					     public_b));
}

static void bad_public_keys_are_refused(struct kunit *test)
{
	u8 bad[VMCRYPT_PUBLIC_LEN];

	two_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, agree(source, SOCKET_A,
						   public_a));
	memcpy(bad, public_b, sizeof(bad));
	bad[5] ^= 1;
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, agree(source, SOCKET_A, bad));
	/* It is not spoiled by that. */
	KUNIT_EXPECT_EQ(test, 0, agree(source, SOCKET_A, public_b));
}

static void a_migration_belongs_to_its_socket(struct kunit *test)
{
	two_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, -EPERM, agree(source, SOCKET_B, public_b));
	KUNIT_EXPECT_EQ(test, 0, agree(source, SOCKET_A, public_b));
	/* Agreed: the socket may go. */
	vmcrypt_migration_orphan(SOCKET_A);
	KUNIT_EXPECT_EQ(test, 2, vmcrypt_migrations());
	vmcrypt_migration_orphan(SOCKET_B);
	KUNIT_EXPECT_EQ(test, 1, vmcrypt_migrations());
	KUNIT_EXPECT_EQ(test, last_ended, destination);
	KUNIT_EXPECT_EQ(test, last_end, VMCRYPT_END_OWNER_DIED);
}

static void the_policy_is_kept(struct kunit *test)
{
	u32 id;

	KUNIT_EXPECT_EQ(test, -EINVAL, add(vm1, VMCRYPT_ROLE_SOURCE,
					   VMCRYPT_POLICY_DISABLED, SOCKET_A,
					   &id, public_a));
	load_dek(test);
	KUNIT_EXPECT_EQ(test, -EPERM, add(vm1, VMCRYPT_ROLE_SOURCE,
					  VMCRYPT_POLICY_OPPORTUNISTIC,
					  SOCKET_A, &id, public_a));
	KUNIT_EXPECT_EQ(test, 0, add(vm2, VMCRYPT_ROLE_SOURCE,
				     VMCRYPT_POLICY_OPPORTUNISTIC, SOCKET_A,
				     &id, public_a));
	KUNIT_EXPECT_EQ(test, 0, add(vm1, VMCRYPT_ROLE_SOURCE,
				     VMCRYPT_POLICY_REQUIRED, SOCKET_A, &id,
				     public_a));
}

static void there_are_not_too_many(struct kunit *test)
{
	u32 id;

	while (vmcrypt_migrations() < vmcrypt_max_migrations)
		KUNIT_ASSERT_EQ(test, 0, add(vm1, VMCRYPT_ROLE_SOURCE,
					     VMCRYPT_POLICY_REQUIRED, SOCKET_A,
					     &id, public_a));
	KUNIT_EXPECT_EQ(test, -ENOSPC, add(vm1, VMCRYPT_ROLE_SOURCE,
					   VMCRYPT_POLICY_REQUIRED, SOCKET_A,
					   &id, public_a));
	vmcrypt_migration_orphan(SOCKET_A);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_migrations());
}

static void a_dek_moves(struct kunit *test)
{
	load_dek(test);
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_ASSERT_EQ(test, 0, export());
	/* The VM runs here still. */
	KUNIT_EXPECT_EQ(test, -EEXIST, import_as(destination, &bind1));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_del(vm1, VOLUME, &extack));
	KUNIT_EXPECT_EQ(test, 0, import_as(destination, &bind1));
	KUNIT_EXPECT_TRUE(test, vmcrypt_vm_encrypted(vm1));
}

static void a_dek_moves_without_its_kek(struct kunit *test)
{
	struct vmcrypt_totals totals;

	load_dek(test);
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_ASSERT_EQ(test, 0, export());
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_del(vm1, VOLUME, &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_kek_del(KEK, false, &extack));
	KUNIT_EXPECT_EQ(test, 0, import_as(destination, &bind1));
	vmcrypt_totals_get(&totals);
	KUNIT_EXPECT_EQ(test, totals.keks, 0);
	/* When it comes it must be the one that it was at the source. */
	KUNIT_EXPECT_EQ(test, -EEXIST, vmcrypt_kek_add(KEK, other_bytes, 0,
						       kcv, &extack));
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_kek_add(KEK, bytes, 0, kcv,
						 &extack));
	KUNIT_EXPECT_EQ(test, -EBUSY, vmcrypt_kek_del(KEK, false, &extack));
}

static void a_kek_of_the_same_name_is_noticed(struct kunit *test)
{
	load_dek(test);
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_ASSERT_EQ(test, 0, export());
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_del(vm1, VOLUME, &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_kek_del(KEK, false, &extack));
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_kek_add(KEK, other_bytes, 0, kcv,
						 &extack));
	KUNIT_EXPECT_EQ(test, -EEXIST, import_as(destination, &bind1));
	KUNIT_EXPECT_FALSE(test, vmcrypt_vm_encrypted(vm1));
}

static void a_sealed_dek_opens_in_its_place_only(struct kunit *test)
{
	struct vmcrypt_bind bind = bind1;
	size_t i;

	load_dek(test);
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_ASSERT_EQ(test, 0, export());
	KUNIT_ASSERT_EQ(test, 0, vmcrypt_dek_del(vm1, VOLUME, &extack));
	bind.volume = "disk1";
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, import_as(destination, &bind));
	bind = bind1;
	bind.kek_id = "kunit/n";
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, import_as(destination, &bind));
	bind = bind1;
	bind.vm_id = vm2;
	KUNIT_EXPECT_EQ(test, -EPERM, import_as(destination, &bind));
	for (i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 0x20;
		KUNIT_EXPECT_NE_MSG(test, 0, import_as(destination, &bind1),
				    "byte %zu", i);
		sealed[i] ^= 0x20;
	}
	/* Nor in another migration of the same VM. */
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, -EKEYREJECTED, import_as(destination, &bind1));
	KUNIT_EXPECT_FALSE(test, vmcrypt_vm_encrypted(vm1));
}

static void deks_go_one_way_only(struct kunit *test)
{
	load_dek(test);
	two_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, -ENOKEY, export());
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, 0, export());
	KUNIT_EXPECT_EQ(test, -EPERM, import_as(source, &bind1));
	swap(source, destination);
	KUNIT_EXPECT_EQ(test, -EPERM, export());
}

static void no_dek_goes_with_a_lax_migration(struct kunit *test)
{
	/* Made while the VM had no DEK. */
	two_agreed_ends(test, VMCRYPT_POLICY_OPPORTUNISTIC);
	load_dek(test);
	KUNIT_EXPECT_EQ(test, -EPERM, export());
}

static void a_deleted_migration_is_told(struct kunit *test)
{
	two_agreed_ends(test, VMCRYPT_POLICY_REQUIRED);
	KUNIT_EXPECT_EQ(test, 0, vmcrypt_migration_del(source, false,
						       &extack));
	KUNIT_EXPECT_EQ(test, last_ended, source);
	KUNIT_EXPECT_EQ(test, last_end, VMCRYPT_END_REMOVED);
	KUNIT_EXPECT_EQ(test, -ENOENT, vmcrypt_migration_del(source, false,
							     &extack));
}

static int take_id(const struct vmcrypt_migration *mig, void *ctx)
{
	*(u32 *)ctx = mig->id;
	return 0;
}

static int migration_init(struct kunit *test)
{
	last_ended = 0;
	return blocking_notifier_chain_register(&vmcrypt_events, &see_nb);
}

static void migration_exit(struct kunit *test)
{
	struct vmcrypt_cursor cursor;
	unsigned int generation;
	u32 id;

	do {
		id = 0;
		memset(&cursor, 0, sizeof(cursor));
		vmcrypt_migration_walk(&cursor, &generation, take_id, &id);
	} while (id && !vmcrypt_migration_del(id, true, &extack));
	vmcrypt_vm_del(vm1, true, &extack);
	vmcrypt_kek_del(KEK, true, &extack);
	blocking_notifier_chain_unregister(&vmcrypt_events, &see_nb);
}

static struct kunit_case migration_cases[] = {
	KUNIT_CASE(both_ends_have_the_same_secret),
	KUNIT_CASE(a_key_is_agreed_once),
	KUNIT_CASE(bad_public_keys_are_refused),
	KUNIT_CASE(a_migration_belongs_to_its_socket),
	KUNIT_CASE(the_policy_is_kept),
	KUNIT_CASE(there_are_not_too_many),
	KUNIT_CASE(a_dek_moves),
	KUNIT_CASE(a_dek_moves_without_its_kek),
	KUNIT_CASE(a_kek_of_the_same_name_is_noticed),
	KUNIT_CASE(a_sealed_dek_opens_in_its_place_only),
	KUNIT_CASE(deks_go_one_way_only),
	KUNIT_CASE(no_dek_goes_with_a_lax_migration),
	KUNIT_CASE(a_deleted_migration_is_told),
	{}
};

static struct kunit_suite migration_suite = {
	.name = "vmcrypt_migration",
	.init = migration_init,
	.exit = migration_exit,
	.test_cases = migration_cases,
};

kunit_test_suite(migration_suite);
