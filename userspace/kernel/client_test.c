// SPDX-License-Identifier: GPL-2.0-or-later
/* Replies taken apart and refusals worded: what of the client needs no module. */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <string.h>

#include "../testing/testing.h"
#include "client_priv.h"

static struct nl_msg *new_msg(uint8_t cmd)
{
	struct nl_msg *m = nlmsg_alloc();

	assert_non_null(m);
	assert_non_null(genlmsg_put(m, 0, 0, 32, 0, 0, cmd, 1));
	return m;
}

static void put_string(struct nl_msg *m, int type, const char *s)
{
	assert_int_equal(nla_put_string(m, type, s), 0);
}

static void put_u32(struct nl_msg *m, int type, uint32_t v)
{
	assert_int_equal(nla_put_u32(m, type, v), 0);
}

static void put_bytes(struct nl_msg *m, int type, int n)
{
	uint8_t b[128];

	for (int i = 0; i < n; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(nla_put(m, type, n, b), 0);
}

static void put_stats(struct nl_msg *m, int type)
{
	struct nlattr *nest = nla_nest_start(m, type);

	for (int i = VMCRYPT_A_STATS_WRAPS; i <= VMCRYPT_A_STATS_LEASE_ENDS; i++)
		assert_int_equal(nla_put_u64(m, i, 1000000000000ull + (uint64_t)i), 0);
	nla_nest_end(m, nest);
}

static void put_volume(struct nl_msg *m, const char *name)
{
	struct nlattr *nest = nla_nest_start(m, VMCRYPT_A_VM_VOLUME);

	put_string(m, VMCRYPT_A_VOLUME_NAME, name);
	put_string(m, VMCRYPT_A_VOLUME_KEK_ID, "p/1");
	put_string(m, VMCRYPT_A_VOLUME_KEY_DESC, "vmcrypt:x:y");
	put_u32(m, VMCRYPT_A_VOLUME_KEY_SERIAL, 77);
	nla_nest_end(m, nest);
}

static void parse(struct nl_msg *m, struct nlattr **tb, int max, const struct nla_policy *policy)
{
	assert_int_equal(genlmsg_parse(nlmsg_hdr(m), 0, tb, max, policy), 0);
}

static void kek_reply(void **state)
{
	struct nlattr *tb[VMCRYPT_A_KEK_MAX + 1];
	struct nl_msg *m = new_msg(VMCRYPT_CMD_KEK_GET);
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_kek k;

	(void)state;
	put_string(m, VMCRYPT_A_KEK_ID, "kmip/1");
	parse(m, tb, VMCRYPT_A_KEK_MAX, vmk_kek_policy);
	assert_code(vmk_parse_kek(tb, &k, &e), VMC_EPROTO, &e);
	assert_contains(e.text, "key check value");
	put_bytes(m, VMCRYPT_A_KEK_KCV, VMCRYPT_KCV_LEN);
	put_u32(m, VMCRYPT_A_KEK_USERS, 3);
	parse(m, tb, VMCRYPT_A_KEK_MAX, vmk_kek_policy);
	assert_ok(vmk_parse_kek(tb, &k, &e), &e);
	assert_string_equal(k.id, "kmip/1");
	assert_int_equal(k.users, 3);
	assert_int_equal(k.kcv[7], 7);
	assert_false(k.has_lease);
	put_u32(m, VMCRYPT_A_KEK_LEASE_LEFT, 0);
	parse(m, tb, VMCRYPT_A_KEK_MAX, vmk_kek_policy);
	assert_ok(vmk_parse_kek(tb, &k, &e), &e);
	assert_true(k.has_lease);
	nlmsg_free(m);
}

static void info_reply(void **state)
{
	struct nlattr *tb[VMCRYPT_A_INFO_MAX + 1];
	struct nl_msg *m = new_msg(VMCRYPT_CMD_INFO_GET);
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_info i;

	(void)state;
	memset(&i, 0, sizeof(i));
	put_string(m, VMCRYPT_A_INFO_MODULE_VERSION, "1.2");
	put_string(m, VMCRYPT_A_INFO_WRAP_CIPHER, "gcm");
	put_u32(m, VMCRYPT_A_INFO_PROTOCOL_VERSION, 1);
	parse(m, tb, VMCRYPT_A_INFO_MAX, vmk_info_policy);
	assert_code(vmk_parse_info(tb, &i, &e), VMC_EPROTO, &e);
	assert_contains(e.text, "counters");
	put_stats(m, VMCRYPT_A_INFO_STATS);
	put_u32(m, VMCRYPT_A_INFO_DEKS, 9);
	parse(m, tb, VMCRYPT_A_INFO_MAX, vmk_info_policy);
	assert_ok(vmk_parse_info(tb, &i, &e), &e);
	assert_int_equal(i.deks, 9);
	assert_true(i.stats.auth_failures == 1000000000000ull + VMCRYPT_A_STATS_AUTH_FAILURES);
	nlmsg_free(m);
}

static void vm_reply_with_volumes(void **state)
{
	struct nlattr *tb[VMCRYPT_A_VM_MAX + 1];
	struct nl_msg *m = new_msg(VMCRYPT_CMD_VM_GET);
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_vm vm;

	(void)state;
	memset(&vm, 0, sizeof(vm));
	put_bytes(m, VMCRYPT_A_VM_ID, VMCRYPT_VM_ID_LEN);
	put_u32(m, VMCRYPT_A_VM_KEYRING, 0x7ffffffe);
	put_u32(m, VMCRYPT_A_VM_VOLUMES, 3);
	put_volume(m, "home");
	put_volume(m, "root");
	put_volume(m, "data");
	put_stats(m, VMCRYPT_A_VM_STATS);
	parse(m, tb, VMCRYPT_A_VM_MAX, vmk_vm_policy);
	assert_ok(vmk_parse_vm(tb, &vm, &e), &e);
	assert_ok(vmk_parse_volumes(nlmsg_hdr(m), &vm, &e), &e);
	assert_int_equal(vm.n_volumes, 3);
	assert_string_equal(vm.volumes[0].name, "home");
	assert_string_equal(vm.volumes[2].name, "data");
	assert_int_equal(vm.volumes[1].key_serial, 77);
	assert_int_equal(vm.keyring, 0x7ffffffe);
	assert_int_equal(vm.id.b[15], 15);
	vmk_vm_clear(&vm);
	assert_null(vm.volumes);
	nlmsg_free(m);
}

static void odd_replies_are_refused(void **state)
{
	struct nlattr *tb[VMCRYPT_A_VM_MAX + 1];
	struct vmc_error e = VMC_ERROR_INIT;
	struct nl_msg *m;
	struct vmk_vm vm = { 0 };
	char out[8];

	(void)state;
	/* an id of another length does not even pass the policy */
	m = new_msg(VMCRYPT_CMD_VM_GET);
	put_bytes(m, VMCRYPT_A_VM_ID, 15);
	assert_int_not_equal(genlmsg_parse(nlmsg_hdr(m), 0, tb, VMCRYPT_A_VM_MAX, vmk_vm_policy), 0);
	nlmsg_free(m);
	/* a volume whose name does not fit */
	m = new_msg(VMCRYPT_CMD_VM_GET);
	put_volume(m, "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
	assert_code(vmk_parse_volumes(nlmsg_hdr(m), &vm, &e), VMC_EPROTO, &e);
	nlmsg_free(m);
	/* a string without its end, and one that is too long */
	m = new_msg(VMCRYPT_CMD_VM_GET);
	assert_int_equal(nla_put(m, 1, 3, "abc"), 0);
	assert_code(vmk_take_string(genlmsg_attrdata(genlmsg_hdr(nlmsg_hdr(m)), 0), out, sizeof(out), "x", &e),
		    VMC_EPROTO, &e);
	assert_code(vmk_take_string(NULL, out, sizeof(out), "x", &e), VMC_EPROTO, &e);
	assert_contains(e.hint, "version");
	nlmsg_free(m);
}

static void events(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_event ev;
	struct nl_msg *m;

	(void)state;
	m = new_msg(VMCRYPT_CMD_DEK_DEL_NTF);
	put_bytes(m, VMCRYPT_A_DEK_VM_ID, VMCRYPT_VM_ID_LEN);
	put_string(m, VMCRYPT_A_DEK_VOLUME, "root");
	assert_code(vmk_parse_event(nlmsg_hdr(m), &ev, &e), VMC_EPROTO, &e);
	put_string(m, VMCRYPT_A_DEK_KEK_ID, "p/1");
	put_u32(m, VMCRYPT_A_DEK_REASON, VMCRYPT_REASON_LOCKED);
	assert_ok(vmk_parse_event(nlmsg_hdr(m), &ev, &e), &e);
	assert_int_equal(ev.type, VMK_EV_DEK_DEL);
	assert_int_equal(ev.reason, VMCRYPT_REASON_LOCKED);
	assert_string_equal(ev.volume, "root");
	nlmsg_free(m);

	m = new_msg(VMCRYPT_CMD_KEK_DEL_NTF);
	put_string(m, VMCRYPT_A_KEK_ID, "p/2");
	assert_ok(vmk_parse_event(nlmsg_hdr(m), &ev, &e), &e);
	assert_int_equal(ev.type, VMK_EV_KEK_DEL);
	assert_string_equal(ev.kek_id, "p/2");
	nlmsg_free(m);

	m = new_msg(VMCRYPT_CMD_VM_LOCK_NTF);
	put_bytes(m, VMCRYPT_A_VM_ID, VMCRYPT_VM_ID_LEN);
	assert_ok(vmk_parse_event(nlmsg_hdr(m), &ev, &e), &e);
	assert_int_equal(ev.type, VMK_EV_VM_LOCK);
	nlmsg_free(m);

	m = new_msg(VMCRYPT_CMD_MIGRATION_END_NTF);
	put_u32(m, VMCRYPT_A_MIGRATION_ID, 7);
	assert_code(vmk_parse_event(nlmsg_hdr(m), &ev, &e), VMC_EPROTO, &e);
	put_bytes(m, VMCRYPT_A_MIGRATION_VM_ID, VMCRYPT_VM_ID_LEN);
	put_u32(m, VMCRYPT_A_MIGRATION_REASON, VMCRYPT_END_COMPLETED);
	assert_ok(vmk_parse_event(nlmsg_hdr(m), &ev, &e), &e);
	assert_int_equal(ev.type, VMK_EV_MIGRATION_END);
	assert_int_equal(ev.migration, 7);
	assert_true(vmk_end_good(ev.reason));
	nlmsg_free(m);

	m = new_msg(VMCRYPT_CMD_CHANNEL_CLOSE_NTF);
	put_u32(m, VMCRYPT_A_CHANNEL_MIGRATION, 7);
	assert_code(vmk_parse_event(nlmsg_hdr(m), &ev, &e), VMC_EPROTO, &e);
	put_u32(m, VMCRYPT_A_CHANNEL_NUMBER, 3);
	put_u32(m, VMCRYPT_A_CHANNEL_REASON, VMCRYPT_END_AUTH_FAILED);
	put_u32(m, VMCRYPT_A_CHANNEL_ERROR, EBADMSG);
	assert_int_equal(nla_put_u64(m, VMCRYPT_A_CHANNEL_SENT, 5000000000ull), 0);
	assert_ok(vmk_parse_event(nlmsg_hdr(m), &ev, &e), &e);
	assert_int_equal(ev.type, VMK_EV_CHANNEL_CLOSE);
	assert_int_equal(ev.migration, 7);
	assert_int_equal(ev.channel.number, 3);
	assert_int_equal(ev.error, EBADMSG);
	assert_true(ev.channel.sent == 5000000000ull);
	assert_string_equal(vmk_end_name(ev.reason), "auth-failed");
	assert_false(vmk_end_good(ev.reason));
	assert_string_equal(vmk_end_name(99), "unknown");
	assert_contains(vmk_end_text(VMCRYPT_END_TRUNCATED), "cut");
	nlmsg_free(m);

	m = new_msg(200);	/* of a later module */
	assert_code(vmk_parse_event(nlmsg_hdr(m), &ev, &e), VMC_ENOENT, &e);
	nlmsg_free(m);
}

static void refusals_name_and_advise(void **state)
{
	const vmc_uuid vm = { { 1, 2, 3 } };
	const struct vmk_subject dek = {
		.doing = "load the key", .vm = &vm, .volume = "root", .kek_id = "kmip/1",
	}, kek = { .doing = "remove from the kernel the KEK", .kek_id = "kmip/1" };
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_code(vmk_refused(&dek, ENOKEY, "KEK is not cached; get it", &e), VMC_ENOKEY, &e);
	assert_string_equal(e.text, "cannot load the key of volume 'root' of VM 01020300-0000-0000-0000-000000000000 "
			    "under KEK 'kmip/1': KEK is not cached");
	assert_contains(e.hint, "vmcrypt vm unlock 01020300-");
	assert_code(vmk_refused(&dek, EKEYREJECTED, "", &e), VMC_EAUTH, &e);
	assert_contains(e.text, "Key was rejected");
	assert_contains(e.hint, "backup");
	assert_code(vmk_refused(&kek, EBUSY, NULL, &e), VMC_EBUSY, &e);
	assert_contains(e.hint, "vmcrypt key show kmip/1");
	assert_code(vmk_refused(&kek, EEXIST, "other bytes", &e), VMC_EEXIST, &e);
	assert_contains(e.hint, "vmcrypt key remove kmip/1");
	assert_code(vmk_refused(&kek, EPERM, "", &e), VMC_EPERM, &e);
	assert_contains(e.hint, "CAP_NET_ADMIN");
	/* what we have no better words for, the kernel's are */
	assert_code(vmk_refused(&dek, ENOSPC, "too many volumes; raise max_volumes", &e), VMC_ENOSPC, &e);
	assert_contains(e.text, ": too many volumes");
	assert_string_equal(e.hint, "raise max_volumes");
	assert_int_equal(vmk_refused(&dek, ENOKEY, "x", NULL), VMC_ENOKEY);
}

static void arguments_are_checked_first(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char text[300];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	assert_code(vmk_check_kek_id(text, &e), VMC_EINVAL, &e);
	text[255] = '\0';
	assert_ok(vmk_check_kek_id(text, &e), &e);
	assert_code(vmk_check_kek_id("", &e), VMC_EINVAL, &e);
	assert_code(vmk_check_kek_id(NULL, &e), VMC_EINVAL, &e);
	text[64] = '\0';
	assert_code(vmk_check_volume(text, &e), VMC_EINVAL, &e);
	text[63] = '\0';
	assert_ok(vmk_check_volume(text, &e), &e);
	assert_code(vmk_check_volume("", &e), VMC_EINVAL, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kek_reply),
		cmocka_unit_test(info_reply),
		cmocka_unit_test(vm_reply_with_volumes),
		cmocka_unit_test(odd_replies_are_refused),
		cmocka_unit_test(events),
		cmocka_unit_test(refusals_name_and_advise),
		cmocka_unit_test(arguments_are_checked_first),
	};

	return cmocka_run_group_tests_name("kernel/client", tests, NULL, NULL);
}
