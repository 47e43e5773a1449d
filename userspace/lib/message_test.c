// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages taken apart, kept, and told in English and in German; errors and logs of a German. */
#include "../testing/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../testing/german.h"
#include "i18n.h"
#include "message.h"
#include "util.h"

static const char catalog[] =
	TEST_PO("VM '%s' is locked: %s", "%2$s: VM »%1$s« ist gesperrt")
	TEST_PO("the key is gone", "der Schlüssel fehlt")
	TEST_PO("%s needs %.*s, not %zu", "statt %4$zu braucht %1$s %3$.*2$s")
	TEST_PO("cannot open '%s'", "»%s« kann nicht geöffnet werden")
	TEST_PO("disk '%s': ", "Festplatte »%s«: ")
	TEST_PO("ask the administrator", "den Administrator fragen")
	TEST_PO("%d%% of %s", "%d %% von %s");

static char *folder;
static locale_t german;

static int setup(void **state)
{
	(void)state;
	folder = test_mkdir();
	test_german(folder, catalog);
	german = i18n_locale(TEST_GERMAN);
	assert_true(german != (locale_t)0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_rmdir(folder);
	return 0;
}

static json_t * __attribute__((format(printf, 1, 2))) make(const char *fmt, ...)
{
	json_t *m;
	va_list ap;

	va_start(ap, fmt);
	m = message_format(fmt, ap);
	va_end(ap);
	return m;
}

/* @m, which is used up, in both languages; NULL: do not look. */
static void told(json_t *m, const char *english, const char *deutsch)
{
	char text[MESSAGE_MAX];
	locale_t before;

	assert_non_null(m);
	if (english)
		assert_string_equal(message_render_english(m, text, sizeof(text)), english);
	before = i18n_speak(german);
	if (deutsch)
		assert_string_equal(message_render(m, text, sizeof(text)), deutsch);
	i18n_restore(before);
	json_decref(m);
}

static void test_both_languages(void **state)
{
	(void)state;
	told(make("VM '%s' is locked: %s", "web", "so it is"), "VM 'web' is locked: so it is",
	     "so it is: VM »web« ist gesperrt");
	told(make("%s needs %.*s, not %zu", "a", 2, "xyz", (size_t)7), "a needs xy, not 7", "statt 7 braucht a xy");
	told(make("%d%% of %s", 42, "it"), "42% of it", "42 % von it");
	told(make("nobody translated %s", "this"), "nobody translated this", "nobody translated this");
}

/* Every conversion comes out as printf has it. */
static void test_conversions(void **state)
{
	char want[512];

	(void)state;
#define SAME(...) do {						\
		snprintf(want, sizeof(want), __VA_ARGS__);	\
		told(make(__VA_ARGS__), want, want);		\
	} while (0)
	SAME("%d %i %u %x %X %o %c", -5, 6, 7u, 0xabcu, 0xABCu, 8u, 'z');
	SAME("%ld %lu %lld %llu %zu %jd %hhu %hd", -1L, 2UL, INT64_MIN + 0LL, ~0ULL, (size_t)3, (intmax_t)-4,
	     (unsigned char)200, (short)-9);
	SAME("[%5d] [%-5d] [%05d] [%.3d] [%8.3d] [%-8x] [%02x]", 42, 42, -42, 7, -7, 255u, 10u);
	SAME("[%*d] [%*s] [%-*s] [%.*s] [%8.2s]", 6, 1, 5, "ab", 5, "cd", 2, "xyz", "xyz");
	SAME("%.1f %5.2f %f %g %e", 1.25, 2.5, 3.5, 1e10, 12345.678);
	SAME("100%% %s", "sure");
#undef SAME
	errno = ENOSPC;
	told(make("no: %m"), "no: No space left on device", NULL);
	assert_null(make("%p", (void *)folder));
	assert_null(make("%+d", 1));
	assert_null(make("%#x", 1u));
}

static void test_what_is_not_text(void **state)
{
	char text[MESSAGE_MAX];
	json_t *m;

	(void)state;
	/* no catalog is asked for the empty format, which is its own description */
	m = json_pack("{s:s, s:[]}", "format", "", "args");
	told(m, "", "");
	/* what was altered alters words only */
	m = json_pack("{s:s, s:[s]}", "format", "%n %s %9$s %100$s %*5$d %", "args", "x");
	told(m, "%n x  %100$s  %", NULL);
	assert_string_equal(message_render(NULL, text, sizeof(text)), "");
	m = json_pack("[s, i, n, {}, {s:i}, [s]]", "a", 1, "errno", 99999, "b");
	told(m, "ab", "ab");
	/* cut after a whole character */
	m = json_string("ab\xc3\xbc");
	assert_string_equal(message_render(m, text, 4), "ab");
	assert_string_equal(message_render(m, text, 5), "ab\xc3\xbc");
	assert_string_equal(message_render(m, text, 1), "");
	json_decref(m);
	/* bytes that JSON cannot hold */
	told(make("'%s'", "a\xff" "b"), "'a?b'", "'a?b'");
}

static void test_bounds(void **state)
{
	json_t *deep = json_string("x"), *wide = json_array();
	char text[MESSAGE_MAX], longer[3 * MESSAGE_MAX];

	(void)state;
	for (int i = 0; i < 100; i++)
		deep = json_pack("[s, o]", ".", deep);
	assert_in_range(strlen(message_render(deep, text, sizeof(text))), 1, 16);
	json_decref(deep);
	for (int i = 0; i < 5000; i++)
		json_array_append_new(wide, json_string("y"));
	assert_in_range(strlen(message_render(wide, text, sizeof(text))), 100, 256);
	json_decref(wide);
	memset(longer, 'z', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	deep = make("%s", longer);
	assert_int_equal(strlen(message_render(deep, text, sizeof(text))), MESSAGE_MAX - 1);
	json_decref(deep);
}

/* ---- errors ------------------------------------------------------------- */

static void test_error_of_a_german(void **state)
{
	struct vmc_error why = VMC_ERROR_INIT, err = VMC_ERROR_INIT;
	locale_t before = i18n_speak(german);
	char text[MESSAGE_MAX];

	(void)state;
	vmc_fail(&why, VMC_ENOKEY, "the key is gone");
	vmc_fail(&err, VMC_ESTATE, "VM '%s' is locked: %s", "web", why.text);
	vmc_hint(&err, "ask the administrator");
	vmc_prefix(&err, "disk '%s': ", "root");
	assert_string_equal(err.text, "Festplatte »root«: der Schlüssel fehlt: VM »web« ist gesperrt");
	assert_string_equal(err.hint, "den Administrator fragen");
	/* and what is kept of it */
	assert_string_equal(message_english(err.text, text, sizeof(text)),
			    "disk 'root': VM 'web' is locked: the key is gone");
	assert_string_equal(message_english(err.hint, text, sizeof(text)), "ask the administrator");
	assert_string_equal(message_english("not an error", text, sizeof(text)), "not an error");

	vmc_fail_errno(&err, ENOENT, "cannot open '%s'", "/x");
	assert_contains(err.text, "»/x« kann nicht geöffnet werden: ");
	assert_string_equal(message_english(err.text, text, sizeof(text)),
			    "cannot open '/x': No such file or directory");
	i18n_restore(before);
	vmc_fail(&err, VMC_ESTATE, "VM '%s' is locked: %s", "web", "so");
	assert_string_equal(err.text, "VM 'web' is locked: so");
}

/* An error of somebody who speaks English, read by somebody who does not. */
static void test_pack(void **state)
{
	char packed[MESSAGE_MAX], text[MESSAGE_MAX], small[24];
	struct vmc_error err = VMC_ERROR_INIT;
	locale_t before;

	(void)state;
	vmc_fail(&err, VMC_ESTATE, "VM '%s' is locked: %s", "web", "so");
	message_pack(err.text, packed, sizeof(packed));
	assert_string_equal(message_unpack(packed, text, sizeof(text)), "VM 'web' is locked: so");
	before = i18n_speak(german);
	assert_string_equal(message_unpack(packed, text, sizeof(text)), "so: VM »web« ist gesperrt");
	assert_string_equal(message_english(text, small, sizeof(small)), "VM 'web' is locked: so");
	assert_string_equal(message_unpack("as it was", text, sizeof(text)), "as it was");
	assert_string_equal(message_unpack("\1{broken", text, sizeof(text)), "");
	assert_string_equal(message_pack(err.text, small, sizeof(small)), "VM 'web' is locked: so");
	i18n_restore(before);
}

/* A sentence from a table, said to a German, kept for all. */
static void test_say(void **state)
{
	locale_t before = i18n_speak(german);
	json_t *m = make("VM '%s' is locked: %s", "web", message_say("the key is gone"));

	(void)state;
	i18n_restore(before);
	told(m, "VM 'web' is locked: the key is gone", "der Schlüssel fehlt: VM »web« ist gesperrt");
}

static void test_memory_is_short(void **state)
{
	struct vmc_error first = VMC_ERROR_INIT, other = VMC_ERROR_INIT;
	locale_t before = i18n_speak(german);
	char text[MESSAGE_MAX];

	(void)state;
	vmc_fail(&first, VMC_EIO, "the key is gone");
	for (int i = 0; i < 15; i++)
		vmc_fail(&other, VMC_EIO, "number %d", i);
	assert_string_equal(message_english(first.text, text, sizeof(text)), "the key is gone");
	vmc_fail(&other, VMC_EIO, "one more");
	assert_string_equal(message_english(first.text, text, sizeof(text)), "der Schlüssel fehlt");
	i18n_restore(before);
}

/* ---- answers --------------------------------------------------------------- */

static void test_localize(void **state)
{
	json_t *answer = json_pack("{s:[{s:s, s:{s:i, s:{s:s, s:[]}}}, {s:s, s:{s:s, s:[]}}, {s:s}]}", "events",
		"text", "the key is gone", "details", "n", 1, "message", "format", "the key is gone", "args",
		"text", "the key is gone", "message", "format", "the key is gone", "args",
		"text", "as it is");
	json_t *events = json_object_get(answer, "events"), *e;
	locale_t before = i18n_speak(german);

	(void)state;
	assert_non_null(answer);
	message_localize(answer);
	i18n_restore(before);
	e = json_array_get(events, 0);
	assert_string_equal(json_string_value(json_object_get(e, "text")), "der Schlüssel fehlt");
	assert_int_equal(json_object_size(json_object_get(e, "details")), 1);
	e = json_array_get(events, 1);
	assert_string_equal(json_string_value(json_object_get(e, "text")), "der Schlüssel fehlt");
	assert_null(json_object_get(e, "message"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(events, 2), "text")), "as it is");
	json_decref(answer);
}

/* ---- locales ------------------------------------------------------------------ */

static void test_locales(void **state)
{
	static const char *const english[] = {
		"C", "POSIX", "C.UTF-8", "", "xx_XX.UTF-8", "../../etc/passwd", "de_DE.UTF-8/..", ".hidden",
		"de DE", "a-name-that-is-longer-than-any-locale-has-and-so-is-not-looked-for-at-all",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(english); i++)
		assert_true(i18n_locale(english[i]) == (locale_t)0);
	assert_true(i18n_locale(NULL) == (locale_t)0);
	/* made once */
	assert_true(i18n_locale(TEST_GERMAN) == german);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_languages),
		cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_what_is_not_text),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_error_of_a_german),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_say),
		cmocka_unit_test(test_memory_is_short),
		cmocka_unit_test(test_localize),
		cmocka_unit_test(test_locales),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
