// SPDX-License-Identifier: GPL-2.0-or-later
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../testing/testing.h"
#include "util.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = test_mkdir();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_rmdir(dir);
	return 0;
}

static size_t count_entries(void)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void read_whole_files(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	const char *path = test_path(dir, "f");
	char *data;
	size_t len;

	(void)state;
	test_write(path, "a\0b", 3);
	assert_ok(fs_read(path, 3, &data, &len, &e), &e);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "a\0b", 4);
	free(data);
	assert_code(fs_read(path, 2, &data, &len, &e), VMC_EINVAL, &e);
	assert_contains(e.text, path);
	test_write(path, "", 0);
	assert_ok(fs_read(path, 0, &data, NULL, &e), &e);
	assert_string_equal(data, "");
	free(data);
}

static void read_refuses(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	const char *fifo = test_path(dir, "fifo");
	char *data;

	(void)state;
	assert_code(fs_read(test_path(dir, "none"), 10, &data, NULL, &e), VMC_ENOENT, &e);
	assert_code(fs_read(dir, 10, &data, NULL, &e), VMC_EINVAL, &e);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_code(fs_read(fifo, 10, &data, NULL, &e), VMC_EINVAL, &e);
}

static void replace_is_whole(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	const char *path = test_path(dir, "f");
	struct stat st;
	char *data;

	(void)state;
	assert_ok(fs_replace(path, "one", 3, 0600, &e), &e);
	assert_ok(fs_replace(path, "second", 6, 0640, &e), &e);
	assert_ok(fs_read(path, 100, &data, NULL, &e), &e);
	assert_string_equal(data, "second");
	free(data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count_entries(), 1);
}

static void replace_replaces_a_link(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	const char *target = test_path(dir, "target"), *link = test_path(dir, "link");
	char *data;

	(void)state;
	test_write_text(target, "untouched");
	assert_int_equal(symlink(target, link), 0);
	assert_ok(fs_replace(link, "new", 3, 0600, &e), &e);
	assert_ok(fs_read(target, 100, &data, NULL, &e), &e);
	assert_string_equal(data, "untouched");
	free(data);
}

static void replace_that_fails_leaves_nothing(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char below[4096];

	(void)state;
	assert_code(fs_replace(test_path(dir, "no/such/f"), "x", 1, 0600, &e), VMC_ENOENT, &e);
	snprintf(below, sizeof(below), "%s/sub", dir);
	assert_int_equal(mkdir(below, 0700), 0);
	assert_int_not_equal(fs_replace(below, "x", 1, 0600, &e), 0);
	assert_int_equal(count_entries(), 1);
}

static void temps_are_removed(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	test_write_text(test_path(dir, ".f.abcdef.vmctmp"), "half");
	test_write_text(test_path(dir, "f.vmctmp"), "somebody's own");
	test_write_text(test_path(dir, ".f"), "somebody's own");
	assert_ok(fs_remove_temps(dir, &e), &e);
	assert_int_equal(count_entries(), 2);
	assert_ok(fs_remove_temps(test_path(dir, "none"), &e), &e);
}

static void mkdirs_makes_all(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	static const char *const wide[] = { "d", "d/e" };
	const char *deep = test_path(dir, "a//b/c/");
	struct stat st;
	mode_t old;

	(void)state;
	assert_ok(fs_mkdirs(deep, 0700, &e), &e);
	assert_ok(fs_mkdirs(deep, 0700, &e), &e);
	assert_int_equal(stat(test_path(dir, "a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	old = umask(0077);
	assert_ok(fs_mkdirs(test_path(dir, "d/e"), 0711, &e), &e);
	umask(old);
	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		assert_int_equal(stat(test_path(dir, wide[i]), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0711);
	}
	test_write_text(test_path(dir, "file"), "");
	assert_code(fs_mkdirs(test_path(dir, "file"), 0700, &e), VMC_EEXIST, &e);
	assert_int_not_equal(fs_mkdirs(test_path(dir, "file/x"), 0700, &e), 0);
	assert_code(fs_mkdirs("", 0700, &e), VMC_EINVAL, &e);
}

static void unlink_and_rename(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	const char *a = test_path(dir, "a"), *b = test_path(dir, "sub/b");

	(void)state;
	assert_int_equal(mkdir(test_path(dir, "sub"), 0700), 0);
	test_write_text(a, "x");
	assert_ok(fs_rename(a, b, &e), &e);
	assert_int_equal(access(b, F_OK), 0);
	assert_code(fs_rename(a, b, &e), VMC_ENOENT, &e);
	assert_ok(fs_unlink(b, &e), &e);
	assert_ok(fs_unlink(b, &e), &e);
	assert_int_not_equal(access(b, F_OK), 0);
}

static void free_space(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint64_t n = 0;

	(void)state;
	assert_ok(fs_free_bytes(dir, &n, &e), &e);
	assert_true(n > 0);
	assert_code(fs_free_bytes(test_path(dir, "none"), &n, &e), VMC_ENOENT, &e);
}

/* ---- crash points ---- */

#ifdef VMC_CRASHPOINTS

/* Points that this process has passed, which a child inherits. */
static int passed;

/* In a child that is to die at its point @n, or at none (0): its wait status. */
static int crash_at(int n, const char *path, const char *text)
{
	char at[16];
	int status;
	pid_t pid;

	snprintf(at, sizeof(at), "%d", n ? passed + n : 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setenv("VMCRYPT_CRASH_AT", at, 1);
		_exit(fs_replace(path, text, strlen(text), 0600, NULL) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void crash_log_lists_the_points(void **state)
{
	const char *path = test_path(dir, "f"), *log = test_path(dir, "log");
	struct vmc_error e = VMC_ERROR_INIT;
	char *data, want[8400];
	int first;

	(void)state;
	setenv("VMCRYPT_CRASH_LOG", log, 1);
	assert_int_equal(crash_at(0, path, "x"), 0);
	unsetenv("VMCRYPT_CRASH_LOG");
	assert_ok(fs_read(log, 10000, &data, NULL, &e), &e);
	assert_int_equal(sscanf(data, "%d ", &first), 1);
	snprintf(want, sizeof(want), "\n%d %s\n%d %s\n", first + 1, path, first + 2, dir);
	assert_contains(data, want);
	free(data);
	passed = first - 1;
}

/* After the one above, which counts. */
static void killed_anywhere_it_is_old_or_new(void **state)
{
	const char *path = test_path(dir, "f");
	struct vmc_error e = VMC_ERROR_INIT;
	int points = 0, status;
	char *data;

	(void)state;
	for (;;) {
		test_write_text(path, "old");
		status = crash_at(points + 1, path, "new");
		assert_ok(fs_read(path, 10, &data, NULL, &e), &e);
		assert_string_equal(data, points < 2 ? "old" : "new");
		free(data);
		if (WIFEXITED(status))
			break;
		assert_int_equal(WTERMSIG(status), SIGKILL);
		points++;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(points, 3);	/* fsync, rename, fsync of the folder */
	assert_int_equal(count_entries(), 3);	/* two that were cut short left their temporary */
	assert_ok(fs_remove_temps(dir, &e), &e);
	assert_int_equal(count_entries(), 1);
}

#else

static void without_crash_points_nothing_dies(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	setenv("VMCRYPT_CRASH_AT", "1", 1);
	assert_ok(fs_replace(test_path(dir, "f"), "x", 1, 0600, &e), &e);
	unsetenv("VMCRYPT_CRASH_AT");
}

#endif

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(read_whole_files),
		TEST(read_refuses),
		TEST(replace_is_whole),
		TEST(replace_replaces_a_link),
		TEST(replace_that_fails_leaves_nothing),
		TEST(temps_are_removed),
		TEST(mkdirs_makes_all),
		TEST(unlink_and_rename),
		TEST(free_space),
#ifdef VMC_CRASHPOINTS
		TEST(crash_log_lists_the_points),
		TEST(killed_anywhere_it_is_old_or_new),
#else
		TEST(without_crash_points_nothing_dies),
#endif
	};

	return cmocka_run_group_tests_name("lib/fs", tests, NULL, NULL);
}
