// SPDX-License-Identifier: GPL-2.0-or-later
/* Helpers of the cmocka programs. */
#include "testing.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_assert_code(int got, int want, const struct vmc_error *err, const char *call,
		      const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s: %s, not %s%s%s\n", call, vmc_code_name(got),
		    vmc_code_name(want), err && got ? ": " : "", err && got ? err->text : "");
	_fail(file, line);
}

void test_assert_contains(const char *text, const char *part, const char *file, int line)
{
	if (text && strstr(text, part))
		return;
	print_error("\"%s\" does not contain \"%s\"\n", text ? text : "(null)", part);
	_fail(file, line);
}

char *test_mkdir(void)
{
	const char *base = getenv("TMPDIR");
	char *dir;

	if (asprintf(&dir, "%s/vmcrypt-test.XXXXXX", base && *base ? base : "/tmp") < 0 ||
	    !mkdtemp(dir)) {
		fail_msg("cannot make a folder to test in");
		return NULL;
	}
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(path);
}

void test_rmdir(char *dir)
{
	if (!dir)
		return;
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(dir);
}

const char *test_path(const char *dir, const char *name)
{
	static char paths[4][4096];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

void test_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd))
		fail_msg("cannot write '%s'", path);
}

void test_write_text(const char *path, const char *text)
{
	test_write(path, text, strlen(text));
}
