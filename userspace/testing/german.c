// SPDX-License-Identifier: GPL-2.0-or-later
/* For tests: a German locale, and a small German catalog of the test's own. */
#include "german.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "testing.h"

/* glibc 2.36: newlocale() of a name that is not there leaks what it made of $LOCPATH. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:argz_add_sep\nleak:newlocale\n";
}

static const char header[] =
	"msgid \"\"\n"
	"msgstr \"Content-Type: text/plain; charset=UTF-8\\n\"\n\n";

/* The folder "locale" beside the folder that this program is in. */
static void use_locale(void)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *folder;

	assert_true(n > 0);
	path[n] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(path, '/');
		assert_non_null(slash);
		*slash = '\0';
	}
	assert_true(asprintf(&folder, "%s/locale", path) > 0);
	assert_int_equal(setenv("LOCPATH", folder, 1), 0);
	free(folder);
	unsetenv("LANGUAGE");
}

static void compile(const char *from, const char *to)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execlp("msgfmt", "msgfmt", "--check-format", "-o", to, from, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void test_german(const char *dir, const char *po)
{
	char *text;

	assert_int_equal(mkdir(test_path(dir, "de"), 0700), 0);
	assert_int_equal(mkdir(test_path(dir, "de/LC_MESSAGES"), 0700), 0);
	assert_true(asprintf(&text, "%s%s", header, po) > 0);
	test_write_text(test_path(dir, "de.po"), text);
	free(text);
	compile(test_path(dir, "de.po"), test_path(dir, "de/LC_MESSAGES/vmcrypt.mo"));
	use_locale();
	assert_int_equal(setenv("VMCRYPT_LOCALEDIR", dir, 1), 0);
	i18n_init();
}
