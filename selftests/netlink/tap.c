// SPDX-License-Identifier: GPL-2.0-or-later
/* The Test Anything Protocol: one line for each test. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

static int tests, failed;

static void say(const char *what, const char *fmt, va_list ap)
{
	printf("%s %d - ", what, ++tests);
	vprintf(fmt, ap);
}

/* Tell the outcome of a test; returns it. */
bool tap_ok(bool ok, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ok ? "ok" : "not ok", fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	failed += !ok;
	return ok;
}

/* A line for who reads the log. */
void tap_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* A test that cannot be made here, and why. */
void tap_skip(const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("ok", fmt, ap);
	va_end(ap);
	printf(" # SKIP %s\n", reason);
	fflush(stdout);
}

/* Nothing that follows makes sense. */
void tap_bail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

/* The plan, at the end; returns the exit status. */
int tap_end(void)
{
	printf("1..%d\n# %d passed, %d failed\n", tests, tests - failed,
	       failed);
	return failed ? 1 : 0;
}
