// SPDX-License-Identifier: GPL-2.0-or-later
/* The fallback on stderr, seen from outside by way of a pipe. */
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../testing/testing.h"

static int saved_stderr, pipe_fds[2];

static int setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(pipe(pipe_fds), 0);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	close(pipe_fds[1]);
	return 0;
}

/* What was written since, with stderr as it was. */
static void take(char *out, size_t n)
{
	ssize_t got;

	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	got = read(pipe_fds[0], out, n - 1);
	out[got > 0 ? got : 0] = '\0';
}

static int teardown(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fds[0]);
	return 0;
}

static int no_journal(void)
{
	if (access("/run/systemd/journal/socket", W_OK))
		return 1;
	skip();
	return 0;
}

static void level_goes_in_front(void **state)
{
	char out[512];

	(void)state;
	if (!no_journal())
		return;
	log_init("test", LOG_INFO);
	log_warn("disk '%s'", "root");
	take(out, sizeof(out));
	assert_string_equal(out, "<4>disk 'root'\n");
}

static void what_is_too_fine_is_left_out(void **state)
{
	char out[512];

	(void)state;
	if (!no_journal())
		return;
	log_init("test", LOG_WARNING);
	log_info("no");
	log_debug("no");
	log_err("yes");
	take(out, sizeof(out));
	assert_string_equal(out, "<3>yes\n");
}

static void no_text_forges_a_line(void **state)
{
	char out[512];

	(void)state;
	if (!no_journal())
		return;
	log_init("test", LOG_INFO);
	log_info("name 'a\n<0>forged\x1b[2J'");
	take(out, sizeof(out));
	assert_string_equal(out, "<6>name 'a <0>forged [2J'\n");
}

static void long_text_is_cut(void **state)
{
	char out[8192], text[6000];

	(void)state;
	if (!no_journal())
		return;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("test", LOG_INFO);
	log_info("%s", text);
	take(out, sizeof(out));
	assert_in_range(strlen(out), 1000, 2100);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

static void event_tells_its_text(void **state)
{
	static const struct log_field fields[] = { { "VM", "v" }, { "DISK", NULL }, { NULL, NULL } };
	char out[512];

	(void)state;
	if (!no_journal())
		return;
	log_init("test", LOG_INFO);
	log_event(LOG_NOTICE, "0123456789abcdef0123456789abcdef", fields, "VM %s", "v");
	take(out, sizeof(out));
	assert_string_equal(out, "<5>VM v\n");
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(level_goes_in_front),
		TEST(what_is_too_fine_is_left_out),
		TEST(no_text_forges_a_line),
		TEST(long_text_is_cut),
		TEST(event_tells_its_text),
	};

	return cmocka_run_group_tests_name("lib/log", tests, NULL, NULL);
}
