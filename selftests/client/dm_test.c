// SPDX-License-Identifier: GPL-2.0-or-later
/* Volumes from the header to the mapping and back, on files and block devices. */
#include "fixture.h"

#include <fcntl.h>
#include <keyutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/dm.h"
#include "kernel/luks.h"

#define IMAGE_BYTES	(64 << 20)
#define BLOCK		4096
#define MARK		"the plain text that must not be on the disk "

struct volume {
	char path[256], name[64], uuid[40];
	struct luks_token token;
	struct luks_header header;
	struct vmk_load load;
	struct dm_crypt dm;
};

static char *dir;

static int setup(void **state)
{
	dir = test_mkdir();
	return fx_setup(state);
}

static int teardown(void **state)
{
	char **names;
	size_t n;

	if (!dm_list("vmcrypt-selftest-", &names, &n, NULL)) {
		for (size_t i = 0; i < n; i++) {
			dm_crypt_close(names[i], NULL);
			free(names[i]);
		}
		free(names);
	}
	test_rmdir(dir);
	return fx_teardown(state);
}

static void load_key(struct volume *v)
{
	struct vmc_error e = VMC_ERROR_INIT;

	v->load = (struct vmk_load) {
		.vm = v->token.vm, .volume = v->token.volume,
		.kek_id = v->token.kek_id, .wrapped = v->token.wrapped,
	};
	assert_ok(vmk_dek_load(fx_k, &v->load, &e), &e);
	v->dm.key_desc = v->load.key_desc;
	v->dm.keyring = v->load.keyring;
}

/* A file with a header, its key loaded; the mapping is still to be opened. */
static void make_volume(struct volume *v, const char *name)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *dek = fx_random(VMK_DEK_LEN);
	int fd;

	memset(v, 0, sizeof(*v));
	assert_true(snprintf(v->path, sizeof(v->path), "%s/%s.img", dir, name) < (int)sizeof(v->path));
	snprintf(v->name, sizeof(v->name), "vmcrypt-selftest-%s", name);
	fd = open(v->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	fx_uuid(&v->token.vm);
	snprintf(v->token.volume, sizeof(v->token.volume), "root");
	snprintf(v->token.kek_id, sizeof(v->token.kek_id), "%s", fx_kek());
	v->token.generation = 1;
	assert_ok(vmk_dek_wrap(fx_k, &v->token.vm, "root", v->token.kek_id, dek,
			       v->token.wrapped, v->token.kcv, &e), &e);
	assert_ok(luks_format(v->path, dek, &v->token, v->uuid, &e), &e);
	fx_free(dek, VMK_DEK_LEN);
	assert_ok(luks_read(v->path, &v->header, &e), &e);
	v->dm = (struct dm_crypt) {
		.name = v->name, .luks_uuid = v->header.uuid, .path = v->path,
		.offset_sectors = v->header.offset_sectors,
	};
	load_key(v);
}

static void device_path(const struct volume *v, char out[128])
{
	snprintf(out, 128, "/dev/mapper/%s", v->name);
}

static void fill(char block[BLOCK], unsigned int n)
{
	for (size_t at = 0; at < BLOCK; at += sizeof(MARK) - 1)
		memcpy(block + at, MARK, at + sizeof(MARK) - 1 <= BLOCK ? sizeof(MARK) - 1 : BLOCK - at);
	memcpy(block, &n, sizeof(n));
}

static void write_data(const struct volume *v)
{
	char path[128], block[BLOCK];
	int fd;

	device_path(v, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < 64; i++) {
		fill(block, i);
		assert_int_equal(pwrite(fd, block, BLOCK, (off_t)i * 16 * BLOCK), BLOCK);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(close(fd), 0);
}

static void check_data(const struct volume *v)
{
	char path[128], block[BLOCK], want[BLOCK];
	int fd;

	device_path(v, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (unsigned int i = 0; i < 64; i++) {
		fill(want, i);
		assert_int_equal(pread(fd, block, BLOCK, (off_t)i * 16 * BLOCK), BLOCK);
		assert_memory_equal(block, want, BLOCK);
	}
	close(fd);
}

static int count_loops(void)
{
	char out[16];

	fx_run(out, sizeof(out), "ls -d /sys/block/loop*/loop 2>/dev/null | wc -l");
	return atoi(out);
}

static long thread_keys(void)
{
	void *raw = NULL;
	long n = keyctl_read_alloc(KEY_SPEC_THREAD_KEYRING, &raw);

	free(raw);
	return n;
}

/* ---- */

static void open_write_close_reopen(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char path[128], backing[4096], cmd[4300], out[4096];
	struct volume v;
	int loops = count_loops();

	(void)state;
	make_volume(&v, "life");
	assert_false(dm_exists(v.name));
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	assert_true(dm_exists(v.name));
	assert_int_equal(thread_keys(), 0);
	device_path(&v, path);
	assert_int_equal(access(path, F_OK), 0);
	write_data(&v);
	check_data(&v);
	assert_ok(dm_backing(v.name, backing, sizeof(backing), &e), &e);
	assert_string_equal(backing, v.path);
	assert_int_equal(count_loops(), loops + 1);

	assert_ok(dm_crypt_close(v.name, &e), &e);
	assert_false(dm_exists(v.name));
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(count_loops(), loops);
	assert_ok(dm_crypt_close(v.name, &e), &e);	/* not there: fine */

	snprintf(cmd, sizeof(cmd), "grep -c -a '%.20s' %s", MARK, v.path);
	fx_run(out, sizeof(out), cmd);
	assert_string_equal(out, "0\n");

	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	check_data(&v);
	assert_ok(dm_crypt_close(v.name, &e), &e);
}

static void cryptsetup_knows_it(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char cmd[4300], out[8192];
	struct volume v;

	(void)state;
	make_volume(&v, "status");
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	snprintf(cmd, sizeof(cmd), "cryptsetup status %s 2>&1", v.name);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_contains(out, "type:    LUKS2");
	assert_contains(out, "cipher:  aes-xts-plain64");
	assert_contains(out, "key location: keyring");
	assert_contains(out, "sector size:  4096");
	snprintf(cmd, sizeof(cmd), "dmsetup table --showkeys %s 2>&1", v.name);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_contains(out, ":64:logon:vmcrypt:");
	snprintf(cmd, sizeof(cmd), "cryptsetup luksDump %s 2>&1; blkid -p %s", v.path, v.path);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_contains(out, "0: vmcrypt");
	assert_contains(out, v.uuid);
	assert_contains(out, "crypto_LUKS");
	snprintf(cmd, sizeof(cmd), "cryptsetup close %s 2>&1", v.name);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_false(dm_exists(v.name));
}

static void all_flags_arrive(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char cmd[256], out[4096];
	struct volume v;

	(void)state;
	make_volume(&v, "flags");
	assert_ok(dm_flags_parse("no_read_workqueue,no_write_workqueue,same_cpu_crypt,submit_from_crypt_cpus,allow_discards",
				 &v.dm.flags, &e), &e);
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	snprintf(cmd, sizeof(cmd), "dmsetup table %s", v.name);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	for (char *name = strtok((char [256]) { "no_read_workqueue no_write_workqueue same_cpu_crypt submit_from_crypt_cpus allow_discards sector_size:4096" }, " ");
	     name; name = strtok(NULL, " "))
		assert_contains(out, name);
	write_data(&v);
	check_data(&v);
	assert_ok(dm_crypt_close(v.name, &e), &e);
}

static void high_priority_where_the_kernel_has_it(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	unsigned int ma, mi;
	struct utsname u;
	struct volume v;
	int loops;

	(void)state;
	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%u.%u", &ma, &mi), 2);
	make_volume(&v, "prio");
	loops = count_loops();
	v.dm.flags = DM_HIGH_PRIORITY;
	if (ma > 6 || (ma == 6 && mi >= 10)) {
		assert_ok(dm_crypt_open(&v.dm, &e), &e);
		write_data(&v);
		check_data(&v);
		assert_ok(dm_crypt_close(v.name, &e), &e);
		return;
	}
	assert_code(dm_crypt_open(&v.dm, &e), VMC_ENOTSUP, &e);
	assert_contains(e.text, u.release);
	assert_false(dm_exists(v.name));
	assert_int_equal(count_loops(), loops);
}

static void readonly_is_readonly(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume v;
	char path[128], cmd[512], out[512];

	(void)state;
	make_volume(&v, "ro");
	v.dm.readonly = true;
	assert_int_equal(chmod(v.path, 0400), 0);
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	device_path(&v, path);
	snprintf(cmd, sizeof(cmd), "blockdev --getro %s && ! dd if=/dev/zero of=%s bs=4096 count=1 oflag=direct 2>&1", path, path);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_contains(out, "1\n");
	assert_ok(dm_crypt_close(v.name, &e), &e);
}

static void one_file_one_mapping(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume v;
	struct dm_crypt second;
	int loops;

	(void)state;
	make_volume(&v, "twice");
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	loops = count_loops();
	assert_code(dm_crypt_open(&v.dm, &e), VMC_EEXIST, &e);
	second = v.dm;
	second.name = "vmcrypt-selftest-twice2";
	assert_code(dm_crypt_open(&second, &e), VMC_EBUSY, &e);
	assert_contains(e.text, v.path);
	second.readonly = true;
	assert_code(dm_crypt_open(&second, &e), VMC_EBUSY, &e);
	assert_int_equal(count_loops(), loops);
	/* as of a VM that comes from another host, which has it locked */
	second.readonly = false;
	second.shared = true;
	assert_ok(dm_crypt_open(&second, &e), &e);
	assert_ok(dm_crypt_close(second.name, &e), &e);
	assert_int_equal(count_loops(), loops);
	/* the header can be read and its token replaced meanwhile */
	assert_ok(luks_read(v.path, &v.header, &e), &e);
	v.token.generation = 2;
	assert_ok(luks_set_token(v.path, &v.token, &e), &e);
	assert_ok(dm_crypt_close(v.name, &e), &e);
	assert_ok(luks_read(v.path, &v.header, &e), &e);
	assert_int_equal(v.header.token.generation, 2);
}

static void without_the_key_nothing_opens(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume v;
	int loops;

	(void)state;
	make_volume(&v, "nokey");
	loops = count_loops();
	assert_ok(vmk_vm_lock(fx_k, &v.token.vm, &e), &e);
	assert_code(dm_crypt_open(&v.dm, &e), VMC_ENOKEY, &e);
	assert_contains(e.text, v.load.key_desc);
	assert_contains(e.hint, "vmcrypt vm unlock");
	assert_false(dm_exists(v.name));
	assert_int_equal(count_loops(), loops);
	assert_int_equal(thread_keys(), 0);
	/* no keyring at all */
	assert_ok(vmk_vm_del(fx_k, &v.token.vm, true, &e), &e);
	assert_int_not_equal(dm_crypt_open(&v.dm, &e), 0);
	assert_contains(e.text, v.name);
	assert_int_equal(count_loops(), loops);
}

static void wrong_key_is_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume a, b;
	struct vmk_load l;

	(void)state;
	make_volume(&a, "wrong1");
	make_volume(&b, "wrong2");
	/* the wrapped key of one volume does not load for the other */
	assert_ok(vmk_vm_lock(fx_k, &a.token.vm, &e), &e);
	l = a.load;
	l.wrapped = b.token.wrapped;
	l.kek_id = b.token.kek_id;
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EAUTH, &e);
	assert_code(dm_crypt_open(&a.dm, &e), VMC_ENOKEY, &e);
}

static void busy_names_the_holder(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char path[128], me[64], cmd[512], out[512];
	struct volume v;
	int fd;

	(void)state;
	make_volume(&v, "busy");
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	device_path(&v, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_code(dm_crypt_close(v.name, &e), VMC_EBUSY, &e);
	snprintf(me, sizeof(me), "process %d (dm_test)", getpid());
	assert_contains(e.text, me);
	close(fd);
	/* a mount, and a mapping on top */
	snprintf(cmd, sizeof(cmd), "mkfs.ext4 -q %s && mkdir -p %s/mnt && mount %s %s/mnt 2>&1", path, dir, path, dir);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_code(dm_crypt_close(v.name, &e), VMC_EBUSY, &e);
	assert_contains(e.text, "mounted at");
	assert_contains(e.text, "/mnt");
	snprintf(cmd, sizeof(cmd), "umount %s/mnt && dmsetup create vmcrypt-selftest-top --table '0 8 linear %s 0' 2>&1", dir, path);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_code(dm_crypt_close(v.name, &e), VMC_EBUSY, &e);
	assert_contains(e.text, "vmcrypt-selftest-top");
	assert_int_equal(fx_run(out, sizeof(out), "dmsetup remove vmcrypt-selftest-top 2>&1"), 0);
	assert_ok(dm_crypt_close(v.name, &e), &e);
}

static void lock_now_and_back(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char cmd[256], out[4096];
	struct volume v;

	(void)state;
	make_volume(&v, "lock");
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	write_data(&v);
	assert_ok(vmk_vm_lock(fx_k, &v.token.vm, &e), &e);
	assert_ok(dm_suspend_wipe(v.name, &e), &e);
	assert_ok(dm_suspend_wipe(v.name, &e), &e);
	/* nothing resumes it, nothing is left of the key */
	snprintf(cmd, sizeof(cmd), "dmsetup resume %s 2>&1", v.name);
	assert_int_not_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_code(dm_set_resume(v.name, v.load.key_desc, v.load.keyring, &e), VMC_ENOKEY, &e);
	snprintf(cmd, sizeof(cmd), "dmsetup info -c --noheadings -o suspended %s", v.name);
	assert_int_equal(fx_run(out, sizeof(out), cmd), 0);
	assert_contains(out, "Suspended");
	assert_int_equal(thread_keys(), 0);
	load_key(&v);
	assert_ok(dm_set_resume(v.name, v.load.key_desc, v.load.keyring, &e), &e);
	check_data(&v);
	assert_ok(dm_set_resume(v.name, v.load.key_desc, v.load.keyring, &e), &e);
	assert_ok(dm_crypt_close(v.name, &e), &e);
	assert_code(dm_suspend_wipe(v.name, &e), VMC_ENOENT, &e);
	assert_code(dm_set_resume(v.name, v.load.key_desc, v.load.keyring, &e), VMC_ENOENT, &e);
}

static void a_locked_mapping_can_be_closed(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume v;

	(void)state;
	make_volume(&v, "lockclose");
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	assert_ok(dm_suspend_wipe(v.name, &e), &e);
	assert_ok(dm_crypt_close(v.name, &e), &e);
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	assert_ok(dm_crypt_close(v.name, &e), &e);
}

static void block_devices_too(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char cmd[4300], loop[64], backing[4096];
	struct volume v;
	struct dm_crypt other;

	(void)state;
	make_volume(&v, "block");
	snprintf(cmd, sizeof(cmd), "losetup -f --show %s", v.path);
	assert_int_equal(fx_run(loop, sizeof(loop), cmd), 0);
	loop[strcspn(loop, "\n")] = '\0';
	v.dm.path = loop;
	assert_ok(luks_read(loop, &v.header, &e), &e);
	assert_int_equal(v.header.data_sectors, (IMAGE_BYTES - (16 << 20)) / 512);
	assert_ok(dm_crypt_open(&v.dm, &e), &e);
	write_data(&v);
	check_data(&v);
	other = v.dm;
	other.name = "vmcrypt-selftest-block2";
	assert_code(dm_crypt_open(&other, &e), VMC_EBUSY, &e);
	assert_contains(e.text, v.name);
	assert_ok(dm_backing(v.name, backing, sizeof(backing), &e), &e);
	assert_string_equal(backing, v.path);
	v.token.generation = 5;
	assert_ok(luks_set_token(loop, &v.token, &e), &e);
	assert_ok(dm_crypt_close(v.name, &e), &e);
	assert_ok(luks_read(loop, &v.header, &e), &e);
	assert_int_equal(v.header.token.generation, 5);
	/* read only, as a snapshot is */
	snprintf(cmd, sizeof(cmd), "blockdev --setro %s", loop);
	assert_int_equal(fx_run(NULL, 0, cmd), 0);
	assert_ok(luks_read(loop, &v.header, &e), &e);
	assert_true(v.header.has_token);
	/* it would outlive the loop device's use */
	snprintf(cmd, sizeof(cmd), "blockdev --setrw %s && losetup -d %s", loop, loop);
	assert_int_equal(fx_run(NULL, 0, cmd), 0);
}

static void nonsense_is_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume v;
	struct dm_crypt c;
	int loops;

	(void)state;
	make_volume(&v, "odd");
	loops = count_loops();
	c = v.dm;
	c.path = "/nonexistent/file";
	assert_code(dm_crypt_open(&c, &e), VMC_ENOENT, &e);
	assert_contains(e.text, "/nonexistent/file");
	c = v.dm;
	c.path = "/dev/null";
	assert_code(dm_crypt_open(&c, &e), VMC_EINVAL, &e);
	c = v.dm;
	c.name = "a/b";
	assert_code(dm_crypt_open(&c, &e), VMC_EINVAL, &e);
	c = v.dm;
	c.offset_sectors = IMAGE_BYTES / 512;
	assert_code(dm_crypt_open(&c, &e), VMC_EINVAL, &e);
	c = v.dm;
	c.size_sectors = IMAGE_BYTES / 512;
	assert_code(dm_crypt_open(&c, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "cut short");
	c = v.dm;
	c.luks_uuid = "no-uuid";
	assert_code(dm_crypt_open(&c, &e), VMC_EINVAL, &e);
	assert_int_equal(count_loops(), loops);
	assert_false(dm_exists("vmcrypt-selftest-odd"));
	assert_code(dm_backing("vmcrypt-selftest-none", v.path, sizeof(v.path), &e), VMC_ENOENT, &e);
}

static void list_by_prefix(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct volume a, b;
	char **names;
	size_t n;

	(void)state;
	make_volume(&a, "list-a");
	make_volume(&b, "list-b");
	assert_ok(dm_list("vmcrypt-selftest-list-", &names, &n, &e), &e);
	assert_int_equal(n, 0);
	free(names);
	assert_ok(dm_crypt_open(&a.dm, &e), &e);
	assert_ok(dm_crypt_open(&b.dm, &e), &e);
	assert_ok(dm_list("vmcrypt-selftest-list-", &names, &n, &e), &e);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_contains(names[i], "vmcrypt-selftest-list-");
		free(names[i]);
	}
	free(names);
	assert_ok(dm_crypt_close(a.name, &e), &e);
	assert_ok(dm_crypt_close(b.name, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_write_close_reopen),
		cmocka_unit_test(cryptsetup_knows_it),
		cmocka_unit_test(all_flags_arrive),
		cmocka_unit_test(high_priority_where_the_kernel_has_it),
		cmocka_unit_test(readonly_is_readonly),
		cmocka_unit_test(one_file_one_mapping),
		cmocka_unit_test(without_the_key_nothing_opens),
		cmocka_unit_test(wrong_key_is_refused),
		cmocka_unit_test(busy_names_the_holder),
		cmocka_unit_test(lock_now_and_back),
		cmocka_unit_test(a_locked_mapping_can_be_closed),
		cmocka_unit_test(block_devices_too),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(list_by_prefix),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("client/dm", tests, setup, teardown);
}
