/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every cmocka program here needs: include this and nothing of cmocka's. */
#ifndef VMC_TESTING_TESTING_H
#define VMC_TESTING_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/error.h"

/* A call that must succeed; its error text is what a failure prints. */
#define assert_ok(call, err) \
	test_assert_code((call), VMC_OK, (err), #call, __FILE__, __LINE__)
/* A call that must fail with @code. */
#define assert_code(call, want, err) \
	test_assert_code((call), (want), (err), #call, __FILE__, __LINE__)
#define assert_contains(text, part) \
	test_assert_contains((text), (part), __FILE__, __LINE__)

void test_assert_code(int got, int want, const struct vmc_error *err, const char *call,
		      const char *file, int line);
void test_assert_contains(const char *text, const char *part, const char *file, int line);

/* A new empty folder below $TMPDIR or /tmp; test_rmdir() removes it with all that is in it and frees the name. */
char *test_mkdir(void);
void test_rmdir(char *dir);
/* PATH/NAME in a static buffer, four of which are used in turn. */
const char *test_path(const char *dir, const char *name);
/* Write a file, fail the test when that does not work. */
void test_write(const char *path, const void *data, size_t len);
void test_write_text(const char *path, const char *text);

#endif
