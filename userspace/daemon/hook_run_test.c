// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that the administrator has run: what they get, and how they end. */
#include "hook_run.h"

#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/util.h"

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

static const char *script(const char *text)
{
	const char *path = test_path(dir, "hook");

	test_write_text(path, text);
	assert_false(chmod(path, 0700));
	return path;
}

static int run(const char *text, const char *input, unsigned int ms, int cancel, struct vmc_error *err)
{
	char out[512], *env[] = { (char *)"PATH=/usr/bin:/bin", out, NULL };
	struct hook_run r = {
		.path = script(text), .env = env, .input = input, .deadline_ms = ms, .cancel_fd = cancel,
	};

	snprintf(out, sizeof(out), "OUT=%s", test_path(dir, "out"));
	return hook_run(&r, err);
}

static void assert_out(const char *want)
{
	char *text = NULL;

	assert_ok(fs_read(test_path(dir, "out"), 1 << 20, &text, NULL, NULL), NULL);
	assert_string_equal(text, want);
	free(text);
}

static void test_environment_and_input(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char expected[600], *large = malloc(200001);

	(void)state;
	setenv("SECRET", "of the daemon", 1);
	assert_ok(run("#!/bin/sh\nenv | grep -v '^PWD\\|^_\\|^SHLVL' | sort > $OUT\ncat >> $OUT; pwd >> $OUT\n", "{}\n", 20000, 0,
		      &err), &err);
	snprintf(expected, sizeof(expected), "OUT=%s\nPATH=/usr/bin:/bin\n{}\n/\n", test_path(dir, "out"));
	assert_out(expected);

	/* more than a pipe holds, to one that reads nothing, and to one that counts */
	assert_non_null(large);
	memset(large, 'x', 200000);
	large[200000] = '\0';
	assert_ok(run("#!/bin/sh\nexit 0\n", large, 20000, 0, &err), &err);
	assert_ok(run("#!/bin/sh\nwc -c > $OUT\n", large, 20000, 0, &err), &err);
	assert_out("200000\n");
	free(large);
}

static void test_files_of_the_daemon_are_not_passed_on(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	assert_ok(run("#!/bin/sh\nls /proc/self/fd | wc -l > $OUT\n", "", 20000, 0, &err), &err);
	assert_out("4\n");	/* 0, 1, 2, and the folder that ls reads */
}

static void test_failure_is_told(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	assert_code(run("#!/bin/sh\necho no mail server >&2; exit 3\n", "", 20000, 0, &err), VMC_EIO, &err);
	assert_contains(err.text, "failed (status 3): no mail server");
	assert_contains(err.hint, "by hand");
	assert_code(run("#!/bin/sh\nkill -SEGV $$\n", "", 20000, 0, &err), VMC_EIO, &err);
	assert_contains(err.text, "(signal 11)");
	/* the end of it, when it talks much */
	assert_code(run("#!/bin/sh\nseq 1 100000; echo end; exit 1\n", "", 20000, 0, &err), VMC_EIO, &err);
	assert_contains(err.text, "99999 100000 end");
	assert_code(run("#!/no/such/thing\n", "", 20000, 0, &err), VMC_ENOENT, &err);
	assert_contains(err.hint, "first line");
}

static void test_deadline(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	uint64_t start = vmc_now_ms();

	(void)state;
	assert_code(run("#!/bin/sh\necho $$ > $OUT; echo thinking; exec sleep 100\n", "", 1000, 0, &err),
		    VMC_ETIMEDOUT, &err);
	assert_contains(err.text, "longer than 1 s; it said: thinking");
	assert_true(vmc_now_ms() - start < 20000);
}

/* It ended; that a child of it lives and holds the output is not waited for. */
static void test_children_that_stay(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	uint64_t start = vmc_now_ms();

	(void)state;
	assert_ok(run("#!/bin/sh\nsleep 30 &\nexit 0\n", "", 25000, 0, &err), &err);
	assert_true(vmc_now_ms() - start < 20000);
}

static void test_cancel(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int fd = eventfd(1, EFD_CLOEXEC);

	(void)state;
	assert_code(run("#!/bin/sh\nexec sleep 100\n", "", 100000, fd, &err), VMC_ECANCELED, &err);
	close(fd);
}

static void test_what_others_can_write_is_not_run(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	const char *path = script("#!/bin/sh\n");

	(void)state;
	assert_ok(hook_check(path, &err), &err);
	assert_ok(hook_check(dir, &err), &err);
	assert_false(chmod(path, 0720));
	assert_code(hook_check(path, &err), VMC_EPERM, &err);
	assert_contains(err.hint, "chmod go-w");
	assert_false(chmod(path, 0702));
	assert_code(hook_check(path, &err), VMC_EPERM, &err);
	assert_false(chmod(path, 0600));
	assert_code(hook_check(path, &err), VMC_EPERM, &err);
	assert_contains(err.text, "no executable file");
	if (!geteuid()) {
		assert_false(chmod(path, 0700));
		assert_false(chown(path, 65534, 65534));
		assert_code(hook_check(path, &err), VMC_EPERM, &err);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_environment_and_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_of_the_daemon_are_not_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_that_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_others_can_write_is_not_run, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
