// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The netlink face of the module, on the real module, as root:
 *
 *	vmcrypt_netlink				all tests, TAP on stdout
 *	vmcrypt_netlink --fuzz COUNT [SEED [FAULTS]]
 *						random requests; FAULTS, see
 *						failslab.sh, is debugfs' folder
 *						that makes allocations fail
 *
 * Starts and ends with no KEK and no VM in the kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <linux/genetlink.h>
#include <linux/vmcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "nlt.h"
#include "tap.h"

#define KEK_A	"test/kek-a"
#define KEK_B	"test/kek-b"
#define VOL	"disk0"

static struct nlt nl, events;
static struct nlt_answer a;
static uint8_t kek_a[VMCRYPT_KEK_LEN], kek_b[VMCRYPT_KEK_LEN];
static uint8_t dek[VMCRYPT_DEK_LEN];
static const uint8_t vm1[16] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47,
				 0x88, 0x89, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
				 0xff, 0x01 };
static const uint8_t vm2[16] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47,
				 0x88, 0x89, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
				 0xff, 0x02 };
#define DESC1	"vmcrypt:11223344-5566-4788-89aa-bbccddeeff01:disk0"

/* Requests */

static int32_t logon(const uint8_t *bytes, size_t len)
{
	static int n;
	char desc[64];
	int32_t serial;

	snprintf(desc, sizeof(desc), "vmcrypt-test:%d", n++);
	serial = add_key("logon", desc, bytes, len, KEY_SPEC_THREAD_KEYRING);
	if (serial < 0)
		tap_bail("add_key: %s", strerror(errno));
	return serial;
}

static void drop(int32_t serial)
{
	keyctl_revoke(serial);
	keyctl_unlink(serial, KEY_SPEC_THREAD_KEYRING);
}

static int kek_new_serial(const char *id, int32_t serial, uint32_t lease)
{
	struct nl_msg *msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_NEW, 0);

	nla_put_string(msg, VMCRYPT_A_KEK_ID, id);
	nla_put_s32(msg, VMCRYPT_A_KEK_KEY_SERIAL, serial);
	if (lease)
		nla_put_u32(msg, VMCRYPT_A_KEK_LEASE, lease);
	nlt_do(&nl, msg, &a);
	return a.err;
}

static int kek_new(const char *id, const uint8_t *bytes, uint32_t lease)
{
	int32_t serial = logon(bytes, VMCRYPT_KEK_LEN);
	int err = kek_new_serial(id, serial, lease);

	drop(serial);
	return err;
}

static int kek_op(int cmd, const char *id, bool force)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put_string(msg, VMCRYPT_A_KEK_ID, id);
	if (force)
		nla_put_flag(msg, VMCRYPT_A_KEK_FORCE);
	nlt_do(&nl, msg, &a);
	return a.err;
}

static int vm_op(int cmd, const uint8_t *id, bool force)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	nla_put(msg, VMCRYPT_A_VM_ID, 16, id);
	if (force)
		nla_put_flag(msg, VMCRYPT_A_VM_FORCE);
	nlt_do(&nl, msg, &a);
	return a.err;
}

static struct nl_msg *dek_msg(int cmd, const uint8_t *vm, const char *volume,
			      const char *kek, const uint8_t *wrapped)
{
	struct nl_msg *msg = nlt_msg(&nl, cmd, 0);

	if (vm)
		nla_put(msg, VMCRYPT_A_DEK_VM_ID, 16, vm);
	if (volume)
		nla_put_string(msg, VMCRYPT_A_DEK_VOLUME, volume);
	if (kek)
		nla_put_string(msg, VMCRYPT_A_DEK_KEK_ID, kek);
	if (wrapped)
		nla_put(msg, VMCRYPT_A_DEK_WRAPPED, VMCRYPT_WRAPPED_LEN,
			wrapped);
	return msg;
}

static int dek_wrap_len(const uint8_t *vm, const char *volume, const char *kek,
			const uint8_t *bytes, size_t len, uint8_t *wrapped)
{
	struct nl_msg *msg = dek_msg(VMCRYPT_CMD_DEK_WRAP, vm, volume, kek,
				     NULL);
	int32_t serial = logon(bytes, len);

	nla_put_s32(msg, VMCRYPT_A_DEK_KEY_SERIAL, serial);
	nlt_do(&nl, msg, &a);
	drop(serial);
	if (!a.err)
		memcpy(wrapped, nla_data(a.attrs[VMCRYPT_A_DEK_WRAPPED]),
		       VMCRYPT_WRAPPED_LEN);
	return a.err;
}

static int dek_wrap(const uint8_t *vm, const char *volume, const char *kek,
		    uint8_t *wrapped)
{
	return dek_wrap_len(vm, volume, kek, dek, sizeof(dek), wrapped);
}

static int dek_load(const uint8_t *vm, const char *volume, const char *kek,
		    const uint8_t *wrapped)
{
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, vm, volume, kek, wrapped),
	       &a);
	return a.err;
}

static int dek_op(int cmd, const uint8_t *vm, const char *volume)
{
	nlt_do(&nl, dek_msg(cmd, vm, volume, NULL, NULL), &a);
	return a.err;
}

static int dek_rewrap(const char *kek, const char *new_kek,
		      const uint8_t *wrapped, uint8_t *to)
{
	struct nl_msg *msg = dek_msg(VMCRYPT_CMD_DEK_REWRAP, vm1, VOL, kek,
				     wrapped);

	nla_put_string(msg, VMCRYPT_A_DEK_NEW_KEK_ID, new_kek);
	nlt_do(&nl, msg, &a);
	if (!a.err)
		memcpy(to, nla_data(a.attrs[VMCRYPT_A_DEK_WRAPPED]),
		       VMCRYPT_WRAPPED_LEN);
	return a.err;
}

static int dek_mac(const uint8_t *wrapped, const void *digest, size_t len)
{
	struct nl_msg *msg = dek_msg(VMCRYPT_CMD_DEK_MAC, vm1, VOL, KEK_A,
				     wrapped);

	nla_put(msg, VMCRYPT_A_DEK_DIGEST, len, digest);
	nlt_do(&nl, msg, &a);
	return a.err;
}

static struct nlattr *get_info(int attr)
{
	nlt_do(&nl, nlt_msg(&nl, VMCRYPT_CMD_INFO_GET, 0), &a);
	if (a.err || !a.attrs[attr])
		tap_bail("info-get: %d %s", a.err, a.text);
	return a.attrs[attr];
}

static uint64_t get_stat(int attr)
{
	struct nlattr *tb[VMCRYPT_A_STATS_MAX + 1];

	nla_parse_nested(tb, VMCRYPT_A_STATS_MAX,
			 get_info(VMCRYPT_A_INFO_STATS), NULL);
	return tb[attr] ? nla_get_u64(tb[attr]) : 0;
}

/* Everything away. */

struct names {
	char (*ids)[VMCRYPT_KEK_ID_MAX + 1];
	int n, max;
};

static void add_kek_name(struct nlattr **attrs, void *ctx)
{
	struct names *names = ctx;

	if (names->n < names->max)
		nla_strlcpy(names->ids[names->n++], attrs[VMCRYPT_A_KEK_ID],
			    sizeof(names->ids[0]));
}

static void add_vm_name(struct nlattr **attrs, void *ctx)
{
	struct names *names = ctx;

	if (names->n < names->max)
		memcpy(names->ids[names->n++],
		       nla_data(attrs[VMCRYPT_A_VM_ID]), 16);
}

static void clear(void)
{
	struct names names = { .max = 1 << 17 };
	int i;

	names.ids = calloc(names.max, sizeof(names.ids[0]));
	if (!names.ids)
		tap_bail("out of memory");
	nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_VM_GET, 0), add_vm_name, &names);
	for (i = 0; i < names.n; i++)
		vm_op(VMCRYPT_CMD_VM_DEL, (uint8_t *)names.ids[i], true);
	names.n = 0;
	nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0), add_kek_name,
		 &names);
	for (i = 0; i < names.n; i++)
		kek_op(VMCRYPT_CMD_KEK_DEL, names.ids[i], true);
	free(names.ids);
	nlt_drain(&events);
}

/* Checks */

static bool refused(int err, const char *text)
{
	bool ok = a.err == err && strstr(a.text, text);

	if (!ok)
		tap_note("got %d '%s', want %d '%s'", a.err, a.text, err, text);
	return ok;
}

static bool str_is(int attr, const char *want)
{
	return a.attrs[attr] && !strcmp(nla_get_string(a.attrs[attr]), want);
}

static bool u32_is(int attr, uint32_t want)
{
	return a.attrs[attr] && nla_get_u32(a.attrs[attr]) == want;
}

static bool bytes_are(int attr, const void *want, int len)
{
	return a.attrs[attr] && nla_len(a.attrs[attr]) == len &&
	       !memcmp(nla_data(a.attrs[attr]), want, len);
}

/* A VM with one DEK loaded under KEK A. */
static void load_one(uint8_t *wrapped)
{
	clear();
	if (kek_new(KEK_A, kek_a, 0) || dek_wrap(vm1, VOL, KEK_A, wrapped) ||
	    vm_op(VMCRYPT_CMD_VM_NEW, vm1, false) ||
	    dek_load(vm1, VOL, KEK_A, wrapped))
		tap_bail("cannot load a DEK: %d %s", a.err, a.text);
}

/* Tests */

static void test_info(void)
{
	clear();
	get_info(VMCRYPT_A_INFO_MODULE_VERSION);
	tap_ok(u32_is(VMCRYPT_A_INFO_PROTOCOL_VERSION,
		      VMCRYPT_PROTOCOL_VERSION) &&
	       strstr(nla_get_string(a.attrs[VMCRYPT_A_INFO_WRAP_CIPHER]),
		      "gcm"), "info tells the protocol and the cipher");
	tap_note("cipher %s",
		 nla_get_string(a.attrs[VMCRYPT_A_INFO_WRAP_CIPHER]));
	tap_ok(u32_is(VMCRYPT_A_INFO_KEKS, 0) &&
	       u32_is(VMCRYPT_A_INFO_VMS, 0) &&
	       u32_is(VMCRYPT_A_INFO_DEKS, 0) &&
	       u32_is(VMCRYPT_A_INFO_MAX_VOLUMES, 64),
	       "info tells limits, and that there is nothing");
}

static void test_kek(void)
{
	clear();
	tap_ok(!kek_new(KEK_A, kek_a, 0) && str_is(VMCRYPT_A_KEK_ID, KEK_A) &&
	       a.attrs[VMCRYPT_A_KEK_KCV], "a KEK is cached");
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false) &&
	       u32_is(VMCRYPT_A_KEK_USERS, 0) &&
	       !a.attrs[VMCRYPT_A_KEK_LEASE_LEFT],
	       "a KEK is told, without a lease");
	tap_ok(!kek_new(KEK_A, kek_a, 0), "the same KEK may come again");
	kek_new(KEK_A, kek_b, 0);
	tap_ok(refused(-EEXIST, "cached with other bytes"),
	       "a KEK with the id of another is refused");
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, false), "a KEK is removed");
	kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false);
	tap_ok(refused(-ENOENT, "not cached"), "a removed KEK is not told");
	kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, false);
	tap_ok(refused(-ENOENT, "not cached"),
	       "a removed KEK is not removed again");
}

static void test_kek_ids(void)
{
	static const char * const bad[] = {
		"", "/", "noslash", "/key", "provider/", "pro vider/key",
		"pro:vider/key", "provider/\x01", "provider/k\xc3\xa9y",
	};
	char longest[VMCRYPT_KEK_ID_MAX + 1];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kek_new(bad[i], kek_a, 0);
		tap_ok(refused(-EINVAL, "KEK id is not"),
		       "KEK id number %u of bad ones is refused", i);
	}
	memset(longest, 'x', sizeof(longest));
	longest[1] = '/';
	longest[VMCRYPT_KEK_ID_MAX] = 0;
	tap_ok(!kek_new(longest, kek_a, 0) &&
	       !kek_op(VMCRYPT_CMD_KEK_DEL, longest, false),
	       "a KEK id may have 255 bytes");
}

static void test_kek_keys(void)
{
	static const uint8_t zeros[64];
	int32_t serial;

	clear();
	serial = add_key("user", "vmcrypt-test", kek_a, sizeof(kek_a),
			 KEY_SPEC_THREAD_KEYRING);
	kek_new_serial(KEK_A, serial, 0);
	tap_ok(refused(-EINVAL, "not of type \"logon\""),
	       "a key that can be read back is refused");
	drop(serial);

	serial = logon(zeros, 31);
	kek_new_serial(KEK_A, serial, 0);
	tap_ok(refused(-EINVAL, "wrong length"), "a short KEK is refused");
	drop(serial);

	serial = logon(zeros, 64);
	kek_new_serial(KEK_A, serial, 0);
	tap_ok(refused(-EINVAL, "wrong length"), "a long KEK is refused");
	keyctl_revoke(serial);
	kek_new_serial(KEK_A, serial, 0);
	tap_ok(refused(-EKEYREVOKED, "no such"), "a revoked key is refused");
	drop(serial);

	kek_new_serial(KEK_A, 0x7ffffff0, 0);
	tap_ok(refused(-ENOKEY, "no such"), "a key that is not there is refused");
	kek_new_serial(KEK_A, KEY_SPEC_THREAD_KEYRING, 0);
	tap_ok(refused(-ERANGE, "range"), "a special serial is refused");
}

static void test_kek_missing(void)
{
	struct nl_msg *msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_NEW, 0);

	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "KEK id is missing"), "kek-new needs an id");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_NEW, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "serial number of the \"logon\" key is missing"),
	       "kek-new needs a key");
	nlt_do(&nl, nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0), &a);
	tap_ok(refused(-EINVAL, "KEK id is missing"), "kek-get needs an id");
}

static void test_lease(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	clear();
	tap_ok(!kek_new(KEK_A, kek_a, 100) &&
	       !kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false) &&
	       a.attrs[VMCRYPT_A_KEK_LEASE_LEFT] &&
	       nla_get_u32(a.attrs[VMCRYPT_A_KEK_LEASE_LEFT]) > 50,
	       "a KEK has a lease");
	tap_ok(!kek_new(KEK_A, kek_a, 0) &&
	       !kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false) &&
	       !a.attrs[VMCRYPT_A_KEK_LEASE_LEFT],
	       "the same KEK again renews the lease, here for ever");
	kek_new(KEK_A, kek_a, 1);
	tap_ok(nlt_event(&events, &a, NLT_DEADLINE) &&
	       a.cmd == VMCRYPT_CMD_KEK_DEL_NTF &&
	       str_is(VMCRYPT_A_KEK_ID, KEK_A) &&
	       u32_is(VMCRYPT_A_KEK_REASON, VMCRYPT_REASON_LEASE),
	       "the end of a lease is notified with its reason");
	tap_ok(dek_wrap(vm1, VOL, KEK_A, wrapped) == -ENOKEY,
	       "a KEK whose lease is over does not wrap");
	tap_ok(get_stat(VMCRYPT_A_STATS_LEASE_ENDS) > 0,
	       "the end of a lease is counted");
}

static void test_vm(void)
{
	static const uint8_t nil[16];

	clear();
	tap_ok(!vm_op(VMCRYPT_CMD_VM_NEW, vm1, false) &&
	       bytes_are(VMCRYPT_A_VM_ID, vm1, 16) &&
	       a.attrs[VMCRYPT_A_VM_KEYRING], "a VM is made");
	vm_op(VMCRYPT_CMD_VM_NEW, vm1, false);
	tap_ok(refused(-EEXIST, "there already"), "a VM is not made twice");
	tap_ok(!vm_op(VMCRYPT_CMD_VM_GET, vm1, false) &&
	       u32_is(VMCRYPT_A_VM_VOLUMES, 0) &&
	       !a.attrs[VMCRYPT_A_VM_LOCKED] && a.attrs[VMCRYPT_A_VM_STATS],
	       "a VM is told");
	vm_op(VMCRYPT_CMD_VM_GET, vm2, false);
	tap_ok(refused(-ENOENT, "no such VM"), "a VM that is not is not told");
	vm_op(VMCRYPT_CMD_VM_LOCK, vm2, false);
	tap_ok(refused(-ENOENT, "no such VM"), "nor is it locked");
	vm_op(VMCRYPT_CMD_VM_DEL, vm2, false);
	tap_ok(refused(-ENOENT, "no such VM"), "nor is it deleted");
	vm_op(VMCRYPT_CMD_VM_NEW, nil, false);
	tap_ok(refused(-EINVAL, "nil UUID"), "the nil UUID is refused");
	nlt_do(&nl, nlt_msg(&nl, VMCRYPT_CMD_VM_NEW, 0), &a);
	tap_ok(refused(-EINVAL, "VM id is missing"), "vm-new needs an id");
	tap_ok(!vm_op(VMCRYPT_CMD_VM_DEL, vm1, false), "a VM is deleted");
}

static void test_load(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], again[VMCRYPT_WRAPPED_LEN];

	clear();
	dek_wrap(vm1, VOL, KEK_A, wrapped);
	tap_ok(refused(-ENOKEY, "KEK is not cached"),
	       "wrapping needs a cached KEK");
	kek_new(KEK_A, kek_a, 0);
	tap_ok(!dek_wrap(vm1, VOL, KEK_A, wrapped) &&
	       a.attrs[VMCRYPT_A_DEK_KCV], "a DEK is wrapped without a VM");
	tap_ok(!dek_wrap(vm1, VOL, KEK_A, again) &&
	       memcmp(wrapped, again, sizeof(again)),
	       "the same DEK is wrapped with another nonce");
	dek_load(vm1, VOL, KEK_A, wrapped);
	tap_ok(refused(-ENOENT, "no such VM"), "loading needs a VM");
	vm_op(VMCRYPT_CMD_VM_NEW, vm1, false);
	tap_ok(!dek_load(vm1, VOL, KEK_A, wrapped) &&
	       str_is(VMCRYPT_A_DEK_KEY_DESC, DESC1) &&
	       str_is(VMCRYPT_A_DEK_VOLUME, VOL) &&
	       a.attrs[VMCRYPT_A_DEK_KEY_SERIAL] &&
	       a.attrs[VMCRYPT_A_DEK_KEYRING] && a.attrs[VMCRYPT_A_DEK_KCV],
	       "a DEK is loaded");
	dek_load(vm1, VOL, KEK_A, wrapped);
	tap_ok(refused(-EEXIST, "loaded already"), "a DEK is not loaded twice");
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_GET, vm1, VOL) &&
	       str_is(VMCRYPT_A_DEK_KEK_ID, KEK_A), "a DEK is told");
	tap_ok(!vm_op(VMCRYPT_CMD_VM_GET, vm1, false) &&
	       u32_is(VMCRYPT_A_VM_VOLUMES, 1) && a.attrs[VMCRYPT_A_VM_VOLUME],
	       "a VM tells its volumes");
	kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, false);
	tap_ok(refused(-EBUSY, "in use"), "a KEK in use is not removed");
	vm_op(VMCRYPT_CMD_VM_DEL, vm1, false);
	tap_ok(refused(-EBUSY, "DEKs loaded"), "a VM in use is not deleted");
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_DEL, vm1, VOL), "a DEK is unloaded");
	dek_op(VMCRYPT_CMD_DEK_DEL, vm1, VOL);
	tap_ok(refused(-ENOENT, "not loaded"), "a DEK is not unloaded twice");
	dek_op(VMCRYPT_CMD_DEK_GET, vm1, VOL);
	tap_ok(refused(-ENOENT, "not loaded"), "an unloaded DEK is not told");
}

static void test_not_authentic(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], bad[VMCRYPT_WRAPPED_LEN];
	uint64_t before;
	int at, wrong = 0;

	clear();
	kek_new(KEK_A, kek_a, 0);
	kek_new(KEK_B, kek_b, 0);
	vm_op(VMCRYPT_CMD_VM_NEW, vm1, false);
	vm_op(VMCRYPT_CMD_VM_NEW, vm2, false);
	dek_wrap(vm1, VOL, KEK_A, wrapped);
	before = get_stat(VMCRYPT_A_STATS_AUTH_FAILURES);

	dek_load(vm2, VOL, KEK_A, wrapped);
	tap_ok(refused(-EKEYREJECTED, "not authentic"),
	       "a DEK of another VM is refused");
	dek_load(vm1, "disk1", KEK_A, wrapped);
	tap_ok(refused(-EKEYREJECTED, "not authentic"),
	       "a DEK of another volume is refused");
	dek_load(vm1, VOL, KEK_B, wrapped);
	tap_ok(refused(-EKEYREJECTED, "not authentic"),
	       "a DEK of another KEK is refused");
	tap_ok(get_stat(VMCRYPT_A_STATS_AUTH_FAILURES) == before + 3,
	       "refusals are counted");

	for (at = 4; at < VMCRYPT_WRAPPED_LEN; at++) {
		memcpy(bad, wrapped, sizeof(bad));
		bad[at] ^= 1 << (at % 8);
		wrong += dek_load(vm1, VOL, KEK_A, bad) != -EKEYREJECTED;
	}
	tap_ok(!wrong, "a flipped bit in any byte is refused");
	memcpy(bad, wrapped, sizeof(bad));
	bad[0] = 2;
	dek_load(vm1, VOL, KEK_A, bad);
	tap_ok(refused(-EOPNOTSUPP, "unknown version"),
	       "another version is refused");
	memcpy(bad, wrapped, sizeof(bad));
	bad[1] = 0;
	dek_load(vm1, VOL, KEK_A, bad);
	tap_ok(refused(-EOPNOTSUPP, "unknown algorithm"),
	       "another algorithm is refused");
	memcpy(bad, wrapped, sizeof(bad));
	bad[3] = 0x80;
	dek_load(vm1, VOL, KEK_A, bad);
	tap_ok(refused(-EINVAL, "reserved bytes"),
	       "reserved bytes that are not zero are refused");
	tap_ok(!dek_load(vm1, VOL, KEK_A, wrapped),
	       "the DEK itself is loaded after all of that");
}

static void test_wrap_refusals(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], same[VMCRYPT_DEK_LEN];
	static const char * const bad[] = {
		"", ".hidden", "a/b", "a b", "a:b", "\xc3\xa9",
	};
	unsigned int i;

	clear();
	kek_new(KEK_A, kek_a, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dek_wrap(vm1, bad[i], KEK_A, wrapped);
		tap_ok(refused(-EINVAL, "volume name may have"),
		       "volume name number %u of bad ones is refused", i);
	}
	memset(same, 7, sizeof(same));
	dek_wrap_len(vm1, VOL, KEK_A, same, sizeof(same), wrapped);
	tap_ok(refused(-EINVAL, "halves"), "a DEK of two same halves is refused");
	dek_wrap_len(vm1, VOL, KEK_A, dek, 32, wrapped);
	tap_ok(refused(-EINVAL, "wrong length"), "a short DEK is refused");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_WRAP, vm1, VOL, KEK_A, NULL), &a);
	tap_ok(refused(-EINVAL, "\"logon\" key is missing"),
	       "dek-wrap needs a key");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, vm1, VOL, KEK_A, NULL), &a);
	tap_ok(refused(-EINVAL, "wrapped DEK is missing"),
	       "dek-load needs a wrapped DEK");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, vm1, NULL, KEK_A, NULL), &a);
	tap_ok(refused(-EINVAL, "volume name is missing"),
	       "dek-load needs a volume");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, vm1, VOL, NULL, NULL), &a);
	tap_ok(refused(-EINVAL, "KEK id is missing"), "dek-load needs a KEK");
	nlt_do(&nl, dek_msg(VMCRYPT_CMD_DEK_LOAD, NULL, VOL, KEK_A, NULL), &a);
	tap_ok(refused(-EINVAL, "VM id is missing"), "dek-load needs a VM");
}

static void test_rewrap(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], to[VMCRYPT_WRAPPED_LEN];

	load_one(wrapped);
	dek_rewrap(KEK_A, KEK_B, wrapped, to);
	tap_ok(refused(-ENOKEY, "new KEK is not cached"),
	       "rewrapping needs the new KEK");
	kek_new(KEK_B, kek_b, 0);
	tap_ok(!dek_rewrap(KEK_A, KEK_B, wrapped, to), "a DEK is rewrapped");
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_GET, vm1, VOL) &&
	       str_is(VMCRYPT_A_DEK_KEK_ID, KEK_B),
	       "the loaded DEK is a user of the new KEK");
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, false),
	       "the old KEK is not in use any more");
	dek_op(VMCRYPT_CMD_DEK_DEL, vm1, VOL);
	tap_ok(!dek_load(vm1, VOL, KEK_B, to), "the rewrapped DEK is loaded");
	kek_new(KEK_A, kek_a, 0);
	dek_rewrap(KEK_A, KEK_B, to, to);
	tap_ok(refused(-EKEYREJECTED, "not authentic"),
	       "a DEK is rewrapped from its own KEK only");
}

static void test_mac(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], mac[VMCRYPT_MAC_LEN];
	struct nl_msg *msg;
	uint8_t digest[65];

	clear();
	memset(digest, 5, sizeof(digest));
	kek_new(KEK_A, kek_a, 0);
	dek_wrap(vm1, VOL, KEK_A, wrapped);
	tap_ok(!dek_mac(wrapped, digest, 32) && a.attrs[VMCRYPT_A_DEK_MAC],
	       "a digest is authenticated without a VM");
	memcpy(mac, nla_data(a.attrs[VMCRYPT_A_DEK_MAC]), sizeof(mac));
	dek_wrap(vm1, VOL, KEK_A, wrapped);
	tap_ok(!dek_mac(wrapped, digest, 32) &&
	       bytes_are(VMCRYPT_A_DEK_MAC, mac, sizeof(mac)),
	       "the same DEK gives the same code");
	digest[0]++;
	tap_ok(!dek_mac(wrapped, digest, 32) &&
	       !bytes_are(VMCRYPT_A_DEK_MAC, mac, sizeof(mac)),
	       "another digest gives another code");
	wrapped[95] ^= 1;
	dek_mac(wrapped, digest, 32);
	tap_ok(refused(-EKEYREJECTED, "not authentic"),
	       "a changed DEK authenticates nothing");
	dek_mac(wrapped, digest, 65);
	tap_ok(a.err < 0 && a.text[0], "a digest of 65 bytes is refused");
	dek_mac(wrapped, digest, 0);
	tap_ok(a.err < 0 && a.text[0], "a digest of no bytes is refused");
	msg = dek_msg(VMCRYPT_CMD_DEK_MAC, vm1, VOL, KEK_A, wrapped);
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "digest is missing"), "dek-mac needs a digest");
}

static void test_lock(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];
	bool ok;

	load_one(wrapped);
	tap_ok(!vm_op(VMCRYPT_CMD_VM_LOCK, vm1, false), "a VM is locked");
	ok = nlt_event(&events, &a, NLT_DEADLINE) &&
	     a.cmd == VMCRYPT_CMD_DEK_DEL_NTF &&
	     bytes_are(VMCRYPT_A_DEK_VM_ID, vm1, 16) &&
	     str_is(VMCRYPT_A_DEK_VOLUME, VOL) &&
	     str_is(VMCRYPT_A_DEK_KEK_ID, KEK_A) &&
	     u32_is(VMCRYPT_A_DEK_REASON, VMCRYPT_REASON_LOCKED);
	tap_ok(ok, "locking notifies of the DEK");
	ok = nlt_event(&events, &a, NLT_DEADLINE) &&
	     a.cmd == VMCRYPT_CMD_VM_LOCK_NTF &&
	     bytes_are(VMCRYPT_A_VM_ID, vm1, 16) &&
	     u32_is(VMCRYPT_A_VM_VOLUMES, 1) &&
	     u32_is(VMCRYPT_A_VM_REASON, VMCRYPT_REASON_LOCKED);
	tap_ok(ok, "and then of the VM");
	tap_ok(!vm_op(VMCRYPT_CMD_VM_GET, vm1, false) &&
	       a.attrs[VMCRYPT_A_VM_LOCKED] && u32_is(VMCRYPT_A_VM_VOLUMES, 0),
	       "a locked VM says so");
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false) &&
	       u32_is(VMCRYPT_A_KEK_USERS, 0), "its KEK has no user any more");
	tap_ok(!dek_load(vm1, VOL, KEK_A, wrapped) &&
	       !vm_op(VMCRYPT_CMD_VM_GET, vm1, false) &&
	       !a.attrs[VMCRYPT_A_VM_LOCKED], "loading a DEK unlocks it");
}

static bool kek_event(uint32_t reason, uint32_t users)
{
	return nlt_event(&events, &a, NLT_DEADLINE) &&
	       a.cmd == VMCRYPT_CMD_KEK_DEL_NTF &&
	       u32_is(VMCRYPT_A_KEK_REASON, reason) &&
	       u32_is(VMCRYPT_A_KEK_USERS, users) &&
	       a.attrs[VMCRYPT_A_KEK_KCV];
}

static bool dek_event(uint32_t reason)
{
	return nlt_event(&events, &a, NLT_DEADLINE) &&
	       a.cmd == VMCRYPT_CMD_DEK_DEL_NTF &&
	       u32_is(VMCRYPT_A_DEK_REASON, reason);
}

static void test_force(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	load_one(wrapped);
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, true) &&
	       kek_event(VMCRYPT_REASON_FORCED, 1),
	       "a KEK in use is removed by force, with that reason");
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_GET, vm1, VOL) &&
	       str_is(VMCRYPT_A_DEK_KEK_ID, KEK_A),
	       "its DEK stays loaded and knows its id");
	kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false);
	tap_ok(refused(-ENOENT, "not cached"), "the KEK itself is gone");
	kek_new(KEK_A, kek_b, 0);
	tap_ok(refused(-EEXIST, "DEKs are loaded with other bytes"),
	       "other bytes do not take its place");
	tap_ok(!kek_new(KEK_A, kek_a, 0) &&
	       !kek_op(VMCRYPT_CMD_KEK_GET, KEK_A, false) &&
	       u32_is(VMCRYPT_A_KEK_USERS, 1),
	       "when it comes back it has its users");
	tap_ok(!vm_op(VMCRYPT_CMD_VM_DEL, vm1, true) &&
	       dek_event(VMCRYPT_REASON_FORCED),
	       "a VM in use is deleted by force, with that reason");
	tap_ok(!kek_op(VMCRYPT_CMD_KEK_DEL, KEK_A, false) &&
	       kek_event(VMCRYPT_REASON_REMOVED, 0),
	       "a KEK is removed, with that reason");
	load_one(wrapped);
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_DEL, vm1, VOL) &&
	       dek_event(VMCRYPT_REASON_REMOVED),
	       "a DEK is unloaded, with that reason");
}

static void test_volumes_limit(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];
	char volume[VMCRYPT_VOLUME_MAX + 1];
	struct nlattr *at;
	int i, err = 0, told = 0;

	clear();
	kek_new(KEK_A, kek_a, 0);
	vm_op(VMCRYPT_CMD_VM_NEW, vm1, false);
	for (i = 0; !err && i < 64; i++) {
		memset(volume, 'v', VMCRYPT_VOLUME_MAX);
		volume[VMCRYPT_VOLUME_MAX] = 0;
		volume[0] = 'A' + i / 8;
		volume[1] = 'A' + i % 8;
		err = dek_wrap(vm1, volume, KEK_A, wrapped) ?:
		      dek_load(vm1, volume, KEK_A, wrapped);
	}
	tap_ok(!err, "a VM has 64 volumes with names of 63 bytes");
	dek_wrap(vm1, VOL, KEK_A, wrapped);
	dek_load(vm1, VOL, KEK_A, wrapped);
	tap_ok(refused(-ENOSPC, "too many volumes"), "the 65th is refused");
	vm_op(VMCRYPT_CMD_VM_GET, vm1, false);
	at = a.attrs[VMCRYPT_A_VM_ID];
	for (i = 1 << 16; at && nla_ok(at, i); at = nla_next(at, &i)) {
		told += nla_type(at) == VMCRYPT_A_VM_VOLUME;
		if (nla_type(at) == VMCRYPT_A_VM_VOLUME && told == 64)
			break;
	}
	tap_ok(!a.err && u32_is(VMCRYPT_A_VM_VOLUMES, 64) && told == 64,
	       "all 64 are told in one reply");
	vm_op(VMCRYPT_CMD_VM_LOCK, vm1, false);
	tap_ok(!a.err, "all are unloaded at once");
	clear();
}

/* What userspace may do with the keys */

static void test_keyring(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], buf[128];
	int32_t ring, key, mine;
	struct nl_msg *msg;

	load_one(wrapped);
	ring = nla_get_s32(a.attrs[VMCRYPT_A_DEK_KEYRING]);
	key = nla_get_s32(a.attrs[VMCRYPT_A_DEK_KEY_SERIAL]);
	mine = logon(kek_b, sizeof(kek_b));

	tap_ok(keyctl_search(KEY_SPEC_THREAD_KEYRING, "logon", DESC1, 0) < 0 &&
	       errno == ENOKEY, "a DEK is not found before the VM's keyring is linked");
	tap_ok(keyctl_read(ring, (char *)buf, sizeof(buf)) < 0 &&
	       errno == EACCES, "nor is the keyring listed");
	tap_ok(!keyctl_link(ring, KEY_SPEC_THREAD_KEYRING),
	       "root links the VM's keyring");
	tap_ok(request_key("logon", DESC1, NULL, 0) == key,
	       "then the DEK is found, as dm-crypt does");
	tap_ok(keyctl_read(key, (char *)buf, sizeof(buf)) < 0,
	       "a DEK is not read");
	tap_ok(keyctl_describe(key, (char *)buf, sizeof(buf)) < 0 &&
	       errno == EACCES, "a DEK is not described");
	tap_ok(keyctl_setperm(key, KEY_POS_ALL | KEY_USR_ALL) < 0 &&
	       errno == EACCES, "the permissions of a DEK are not changed");
	tap_ok(keyctl_setperm(ring, KEY_POS_ALL | KEY_USR_ALL) < 0 &&
	       errno == EACCES, "nor those of a VM's keyring");
	tap_ok(keyctl_chown(key, 1, 1) < 0 && keyctl_chown(ring, 1, 1) < 0,
	       "nor their owner");
	tap_ok(keyctl_update(key, wrapped, 64) < 0 && errno == EACCES,
	       "a DEK is not replaced");
	tap_ok(add_key("logon", DESC1, wrapped, 64, ring) < 0 &&
	       errno == EACCES, "nor by a key of the same name");
	tap_ok(add_key("logon", "vmcrypt:planted", wrapped, 64, ring) < 0 &&
	       errno == EACCES, "no key is planted in a VM's keyring");
	tap_ok(keyctl_link(mine, ring) < 0 && errno == EACCES,
	       "no key is linked into it");
	tap_ok(keyctl_unlink(key, ring) < 0, "no key is unlinked from it");
	tap_ok(keyctl_clear(ring) < 0, "it is not cleared");
	tap_ok(keyctl_link(key, KEY_SPEC_THREAD_KEYRING) < 0 &&
	       errno == EACCES, "a DEK is not linked elsewhere");
	tap_ok(keyctl_revoke(key) < 0 && keyctl_revoke(ring) < 0,
	       "neither is revoked");
	tap_ok(keyctl_invalidate(key) < 0 && keyctl_invalidate(ring) < 0,
	       "neither is invalidated");
	tap_ok(keyctl_set_timeout(key, 1) < 0 &&
	       keyctl_set_timeout(ring, 1) < 0, "neither gets a timeout");
	tap_ok(keyctl_restrict_keyring(ring, NULL, NULL) < 0,
	       "a VM's keyring is not restricted");

	msg = dek_msg(VMCRYPT_CMD_DEK_WRAP, vm2, VOL, KEK_A, NULL);
	nla_put_s32(msg, VMCRYPT_A_DEK_KEY_SERIAL, key);
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EPERM, "belongs to a VM"),
	       "a loaded DEK is not wrapped anew by its serial");

	vm_op(VMCRYPT_CMD_VM_LOCK, vm1, false);
	tap_ok(request_key("logon", DESC1, NULL, 0) < 0,
	       "a locked VM's DEK is not found, keyring linked or not");
	dek_load(vm1, VOL, KEK_A, wrapped);
	key = nla_get_s32(a.attrs[VMCRYPT_A_DEK_KEY_SERIAL]);
	tap_ok(request_key("logon", DESC1, NULL, 0) == key,
	       "a DEK loaded anew is found in the keyring linked before");
	vm_op(VMCRYPT_CMD_VM_DEL, vm1, true);
	tap_ok(request_key("logon", DESC1, NULL, 0) < 0,
	       "nor is that of a deleted VM");
	keyctl_unlink(ring, KEY_SPEC_THREAD_KEYRING);
	drop(mine);
}

/* Run @fn in a child as nobody; true when it returned 0. */
static bool as_nobody(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		/* Not setresuid(3): a test has no other threads. */
		if (syscall(SYS_setresuid, 65534, 65534, 65534))
			_exit(2);
		_exit(fn());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static int32_t nobody_ring, nobody_key;

static int nobody_asks(void)
{
	struct nlt own;
	int cmd;

	nlt_open(&own);
	for (cmd = VMCRYPT_CMD_INFO_GET; cmd <= VMCRYPT_CMD_DEK_DEL; cmd++) {
		nlt_do(&own, nlt_msg(&own, cmd, 0), &a);
		if (a.err != -EPERM)
			return 1;
	}
	if (nlt_dump(&own, nlt_msg(&own, VMCRYPT_CMD_KEK_GET, 0), NULL,
		     NULL) != -EPERM ||
	    nlt_dump(&own, nlt_msg(&own, VMCRYPT_CMD_VM_GET, 0), NULL,
		     NULL) != -EPERM)
		return 1;
	return 0;
}

static int nobody_listens(void)
{
	struct nlt own;

	nlt_open(&own);
	return nl_socket_add_membership(own.sk, own.group) ? 0 : 1;
}

static int nobody_links(void)
{
	char buf[128];

	return keyctl_link(nobody_ring, KEY_SPEC_THREAD_KEYRING) < 0 &&
	       keyctl_link(nobody_key, KEY_SPEC_THREAD_KEYRING) < 0 &&
	       keyctl_read(nobody_key, buf, sizeof(buf)) < 0 &&
	       keyctl_describe(nobody_ring, buf, sizeof(buf)) < 0 ? 0 : 1;
}

static void test_unprivileged(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	load_one(wrapped);
	nobody_ring = nla_get_s32(a.attrs[VMCRYPT_A_DEK_KEYRING]);
	nobody_key = nla_get_s32(a.attrs[VMCRYPT_A_DEK_KEY_SERIAL]);
	tap_ok(as_nobody(nobody_asks), "an unprivileged user may not ask");
	tap_ok(as_nobody(nobody_listens), "nor listen to events");
	tap_ok(as_nobody(nobody_links), "nor reach a VM's keyring");
}

/* Crooked messages */

static void test_malformed(void)
{
	struct nl_msg *msg;

	clear();
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	nla_put_u32(msg, 31, 0);
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "Unknown attribute"),
	       "an unknown attribute is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_DEL, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	nla_put_u32(msg, VMCRYPT_A_KEK_LEASE, 1);
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "attribute"),
	       "an attribute of another op is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_INFO_GET, 0);
	nla_put_u32(msg, VMCRYPT_A_INFO_KEKS, 1);
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -EINVAL && a.text[0], "info-get takes no attribute");
	msg = nlt_msg(&nl, VMCRYPT_CMD_VM_GET, 0);
	nla_put(msg, VMCRYPT_A_VM_ID, 15, vm1);
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -ERANGE && a.text[0], "a VM id of 15 bytes is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_VM_GET, 0);
	nla_put(msg, VMCRYPT_A_VM_ID, 17, (uint8_t[17]){ 1 });
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -ERANGE && a.text[0], "a VM id of 17 bytes is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put(msg, VMCRYPT_A_KEK_ID, 4, "a/bc");
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -EINVAL && a.text[0],
	       "a string without its NUL is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put(msg, VMCRYPT_A_KEK_ID, 8, "a/b\0more");
	nlt_do(&nl, msg, &a);
	tap_ok(refused(-EINVAL, "KEK id is not"),
	       "a string with more after its NUL is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put(msg, VMCRYPT_A_KEK_ID, 300, (char[300]){ "a/b" });
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -ERANGE && a.text[0], "an oversize string is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_DEL, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	nla_put_u32(msg, VMCRYPT_A_KEK_FORCE, 1);
	nlt_do(&nl, msg, &a);
	tap_ok(a.err < 0 && a.text[0], "a flag with a value is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	((struct nlattr *)genlmsg_attrdata(nlmsg_data(nlmsg_hdr(msg)), 0))
		->nla_len += 40;
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -EINVAL && a.text[0],
	       "an attribute longer than the message is refused");
	msg = nlt_msg(&nl, VMCRYPT_CMD_INFO_GET, 0);
	((struct genlmsghdr *)nlmsg_data(nlmsg_hdr(msg)))->reserved = 1;
	nlt_do(&nl, msg, &a);
	tap_ok(a.err == -EINVAL, "a reserved field that is not zero is refused");
	nlt_do(&nl, nlt_msg(&nl, VMCRYPT_CMD_KEK_DEL_NTF, 0), &a);
	tap_ok(a.err == -EOPNOTSUPP, "a notification is no request");
	nlt_do(&nl, nlt_msg(&nl, 99, 0), &a);
	tap_ok(a.err == -EOPNOTSUPP, "an unknown op is refused");
	tap_ok(nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_DEK_GET, 0), NULL,
			NULL) == -EOPNOTSUPP, "an op without dump is not dumped");
	msg = nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0);
	nla_put_string(msg, VMCRYPT_A_KEK_ID, KEK_A);
	tap_ok(nlt_dump(&nl, msg, NULL, NULL) == -EINVAL,
	       "a dump with attributes is refused");
}

/* Many */

static void count_keks(struct nlattr **attrs, void *ctx)
{
	uint8_t *seen = ctx;
	unsigned int n;

	if (sscanf(nla_get_string(attrs[VMCRYPT_A_KEK_ID]), "many/%u", &n) == 1 &&
	    n < 5000)
		seen[n]++;
}

static void test_many(void)
{
	uint8_t bytes[VMCRYPT_KEK_LEN], seen[5000] = { 0 };
	unsigned int i, once = 0;
	char id[32];
	int n;

	clear();
	memcpy(bytes, kek_a, sizeof(bytes));
	for (i = 0; i < sizeof(seen); i++) {
		memcpy(bytes, &i, sizeof(i));
		snprintf(id, sizeof(id), "many/%u", i);
		if (kek_new(id, bytes, 3600))
			tap_bail("KEK %u: %d %s", i, a.err, a.text);
	}
	n = nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_KEK_GET, 0), count_keks,
		     seen);
	for (i = 0; i < sizeof(seen); i++)
		once += seen[i] == 1;
	tap_ok(n == 5000 && once == 5000, "5,000 KEKs are dumped, each once");
	clear();
	get_info(VMCRYPT_A_INFO_KEKS);
	tap_ok(u32_is(VMCRYPT_A_INFO_KEKS, 0), "all are removed");
}

static void test_batch(void)
{
	static uint8_t buf[1 << 17];
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN], vm[16];
	unsigned int i, loaded = 0;
	struct nlmsghdr *nlh;
	struct nl_msg *msg;
	size_t len = 0;

	clear();
	memcpy(vm, vm1, sizeof(vm));
	kek_new(KEK_A, kek_a, 0);
	for (i = 0; i < 300; i++) {
		vm[14] = i >> 8;
		vm[15] = i;
		if (vm_op(VMCRYPT_CMD_VM_NEW, vm, false) ||
		    dek_wrap(vm, VOL, KEK_A, wrapped))
			tap_bail("VM %u: %d %s", i, a.err, a.text);
		msg = dek_msg(VMCRYPT_CMD_DEK_LOAD, vm, VOL, KEK_A, wrapped);
		nlh = nlmsg_hdr(msg);
		nlh->nlmsg_flags |= NLM_F_ACK;
		memcpy(buf + len, nlh, nlh->nlmsg_len);
		len += NLMSG_ALIGN(nlh->nlmsg_len);
		nlmsg_free(msg);
	}
	if (nlt_send(&nl, buf, len))
		tap_bail("send: %s", strerror(errno));
	for (i = 0; i < 300; i++) {
		nlt_answer(&nl, &a);
		loaded += !a.err && a.replies == 1;
	}
	tap_ok(loaded == 300, "300 DEKs are loaded by one send");
	get_info(VMCRYPT_A_INFO_DEKS);
	tap_ok(u32_is(VMCRYPT_A_INFO_DEKS, 300), "and counted");
	tap_ok(nlt_dump(&nl, nlt_msg(&nl, VMCRYPT_CMD_VM_GET, 0), NULL,
			NULL) == 300, "their VMs are dumped");
	clear();
}

/* Module */

static int rmmod(void)
{
	return syscall(SYS_delete_module, "vmcrypt", O_NONBLOCK) ? -errno : 0;
}

static void test_rmmod(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	load_one(wrapped);
	tap_ok(rmmod() == -EWOULDBLOCK,
	       "the module stays while a DEK is loaded");
	tap_ok(!dek_op(VMCRYPT_CMD_DEK_GET, vm1, VOL), "and works on");
	clear();
}

static bool reload(void)
{
	int ret = rmmod();

	if (ret) {
		tap_note("rmmod: %s", strerror(-ret));
		return false;
	}
	return !system("modprobe vmcrypt");
}

static void test_reload(void)
{
	int i, done = 0;

	for (i = 0; i < 10; i++) {
		clear();
		/* What is left must be wiped by the module's exit. */
		kek_new(KEK_A, kek_a, 3600);
		vm_op(VMCRYPT_CMD_VM_NEW, vm1, false);
		if (!reload())
			break;
		nlt_close(&nl);
		nlt_close(&events);
		nlt_open(&nl);
		nlt_open(&events);
		nl_socket_add_membership(events.sk, events.group);
		get_info(VMCRYPT_A_INFO_KEKS);
		done += u32_is(VMCRYPT_A_INFO_KEKS, 0) &&
			u32_is(VMCRYPT_A_INFO_VMS, 0);
	}
	tap_ok(done == 10, "the module goes with KEKs and VMs, and comes empty, 10 times");
}

#define TRACING	"/sys/kernel/tracing/"

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Is @bytes in @text, as it is or in hexadecimal digits? */
static bool tells(const char *text, size_t len, const uint8_t *bytes)
{
	char hex[17];
	int i;

	for (i = 0; i < 8; i++)
		sprintf(hex + 2 * i, "%02x", bytes[i]);
	return nlt_has_secret(text, len) || strcasestr(text, hex);
}

static void test_log(const char *what, int fd, const char *must_have)
{
	static char text[4 << 20];
	size_t len = 0;
	ssize_t n;

	/* Of the kernel's log one read is one line; EPIPE: lines were lost. */
	while (fd >= 0 && len < sizeof(text) - 1 &&
	       ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0 ||
		(n < 0 && errno == EPIPE)))
		len += n > 0 ? n : 0;
	text[len] = 0;
	tap_ok(strstr(text, must_have) && !tells(text, len, kek_a) &&
	       !tells(text, len, kek_b) && !tells(text, len, dek) &&
	       !tells(text, len, dek + 32), "%s has no key bytes", what);
	if (fd >= 0)
		close(fd);
}

static void test_trace(void)
{
	uint8_t wrapped[VMCRYPT_WRAPPED_LEN];

	if (!write_file(TRACING "events/vmcrypt/enable", "1")) {
		tap_skip("this kernel does not trace", "trace");
		return;
	}
	write_file(TRACING "tracing_on", "1");
	load_one(wrapped);
	kek_new(KEK_B, kek_b, 0);
	dek_rewrap(KEK_A, KEK_B, wrapped, wrapped);
	dek_mac(wrapped, "digest", 6);
	vm_op(VMCRYPT_CMD_VM_LOCK, vm1, false);
	clear();
	write_file(TRACING "events/vmcrypt/enable", "0");
	test_log("the trace", open(TRACING "trace", O_RDONLY),
		 "vmcrypt_dek_load: vm=11223344-5566-4788-89aa-bbccddeeff01 volume=disk0 kek=test/kek-a");
	test_log("the kernel's log", open("/dev/kmsg", O_RDONLY | O_NONBLOCK),
		 "Linux version");
}

static void test_secrets(void)
{
	uint8_t planted[100] = { 0 };

	memcpy(planted + 50, dek + 20, 8);
	tap_ok(nlt_has_secret(planted, sizeof(planted)),
	       "the search finds planted key bytes");
	tap_ok(!nlt_leaks(), "no message had key bytes (%lu bytes searched)",
	       nlt_searched());
}

static void setup(void)
{
	if (getrandom(kek_a, sizeof(kek_a), 0) != sizeof(kek_a) ||
	    getrandom(kek_b, sizeof(kek_b), 0) != sizeof(kek_b) ||
	    getrandom(dek, sizeof(dek), 0) != sizeof(dek))
		tap_bail("getrandom: %s", strerror(errno));
	nlt_secret(kek_a, sizeof(kek_a));
	nlt_secret(kek_b, sizeof(kek_b));
	nlt_secret(dek, sizeof(dek));
	nlt_open(&nl);
	nlt_open(&events);
	if (nl_socket_add_membership(events.sk, events.group))
		tap_bail("cannot listen to events");
}

static void fuzz_mode(int argc, char **argv)
{
	uint64_t seed = argc > 3 && *argv[3] ? strtoull(argv[3], NULL, 0) :
					       (uint64_t)time(NULL);
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 10000;
	unsigned long no_memory;
	char path[256];

	clear();
	nl_socket_drop_membership(events.sk, events.group);
	if (argc > 4) {
		snprintf(path, sizeof(path), "%s/probability", argv[4]);
		if (!write_file(path, "5"))
			tap_bail("%s: %s", path, strerror(errno));
	}
	no_memory = fuzz(&nl, count, seed);
	if (argc > 4) {
		write_file(path, "0");
		tap_ok(no_memory, "allocations did fail (%lu requests of %lu)",
		       no_memory, count / 8);
	}
	clear();
	get_info(VMCRYPT_A_INFO_KEKS);
	tap_ok(u32_is(VMCRYPT_A_INFO_KEKS, 0) &&
	       u32_is(VMCRYPT_A_INFO_VMS, 0) && u32_is(VMCRYPT_A_INFO_DEKS, 0),
	       "%lu random requests (seed %llu) leave nothing behind", count,
	       (unsigned long long)seed);
	tap_note("%u KEKs, %u VMs, %u DEKs",
		 nla_get_u32(a.attrs[VMCRYPT_A_INFO_KEKS]),
		 nla_get_u32(a.attrs[VMCRYPT_A_INFO_VMS]),
		 nla_get_u32(a.attrs[VMCRYPT_A_INFO_DEKS]));
	test_not_authentic();
	clear();
	test_secrets();
}

int main(int argc, char **argv)
{
	setup();
	if (argc > 1 && !strcmp(argv[1], "--fuzz")) {
		fuzz_mode(argc, argv);
		return tap_end();
	}
	test_info();
	test_kek();
	test_kek_ids();
	test_kek_keys();
	test_kek_missing();
	test_lease();
	test_vm();
	test_load();
	test_not_authentic();
	test_wrap_refusals();
	test_rewrap();
	test_mac();
	test_lock();
	test_force();
	test_volumes_limit();
	test_keyring();
	test_unprivileged();
	test_malformed();
	test_many();
	test_batch();
	test_trace();
	test_rmmod();
	test_reload();
	clear();
	test_secrets();
	return tap_end();
}
