// SPDX-License-Identifier: GPL-2.0-only
/* What holds for all ops. */

#include <kunit/test.h>
#include <uapi/linux/vmcrypt.h>

#include "netlink.h"

static const struct genl_ops *op_of(u32 cmd)
{
	int i;

	for (i = 0; i < vmcrypt_family.n_ops; i++)
		if (vmcrypt_family.ops[i].cmd == cmd)
			return &vmcrypt_family.ops[i];
	return NULL;
}

static void every_request_of_the_spec_has_an_op(struct kunit *test)
{
	u32 cmd;

	for (cmd = VMCRYPT_CMD_INFO_GET; cmd <= VMCRYPT_CMD_CHANNEL_DEL; cmd++) {
		KUNIT_ASSERT_NOT_NULL_MSG(test, op_of(cmd), "command %u", cmd);
		KUNIT_EXPECT_NOT_NULL_MSG(test, op_of(cmd)->doit,
					  "command %u", cmd);
	}
	KUNIT_EXPECT_EQ(test, vmcrypt_family.n_ops, VMCRYPT_CMD_CHANNEL_DEL);
}

static void no_notification_is_a_request(struct kunit *test)
{
	u32 cmd;

	for (cmd = VMCRYPT_CMD_KEK_DEL_NTF; cmd <= VMCRYPT_CMD_MAX; cmd++)
		KUNIT_EXPECT_NULL_MSG(test, op_of(cmd), "command %u", cmd);
}

static void every_op_is_for_the_admin(struct kunit *test)
{
	int i;

	for (i = 0; i < vmcrypt_family.n_ops; i++)
		KUNIT_EXPECT_TRUE_MSG(test, vmcrypt_family.ops[i].flags &
				      GENL_ADMIN_PERM, "command %u",
				      vmcrypt_family.ops[i].cmd);
	for (i = 0; i < vmcrypt_family.n_mcgrps; i++)
		KUNIT_EXPECT_TRUE(test, vmcrypt_family.mcgrps[i].flags &
				  GENL_MCAST_CAP_NET_ADMIN);
}

static void every_op_validates_strictly(struct kunit *test)
{
	const struct genl_ops *op;
	int i;

	/* Ops below resv_start_op would take attributes without a policy. */
	KUNIT_EXPECT_EQ(test, vmcrypt_family.resv_start_op, 0);
	for (i = 0; i < vmcrypt_family.n_ops; i++) {
		op = &vmcrypt_family.ops[i];
		KUNIT_EXPECT_EQ_MSG(test, op->validate, 0, "command %u",
				    op->cmd);
		KUNIT_EXPECT_EQ_MSG(test, !op->policy, !op->maxattr,
				    "command %u", op->cmd);
	}
}

static void no_other_network_namespace_gets_in(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, vmcrypt_family.netnsok);
}

static struct kunit_case netlink_cases[] = {
	KUNIT_CASE(every_request_of_the_spec_has_an_op),
	KUNIT_CASE(no_notification_is_a_request),
	KUNIT_CASE(every_op_is_for_the_admin),
	KUNIT_CASE(every_op_validates_strictly),
	KUNIT_CASE(no_other_network_namespace_gets_in),
	{}
};

static struct kunit_suite netlink_suite = {
	.name = "vmcrypt_netlink",
	.test_cases = netlink_cases,
};

kunit_test_suite(netlink_suite);
