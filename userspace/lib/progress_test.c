// SPDX-License-Identifier: GPL-2.0-or-later
#include "progress.h"

#include <stdbool.h>
#include <string.h>

#include "../testing/testing.h"

static unsigned int calls;
static uint64_t last_done;

static void on_report(struct progress *p, const char *phase, uint64_t done, uint64_t total)
{
	(void)total;
	assert_string_equal(phase, "copy");
	assert_ptr_equal(p->data, &calls);
	calls++;
	last_done = done;
}

static void nobody_listens(void **state)
{
	struct progress p = { 0 };

	(void)state;
	progress_report(NULL, "copy", 1, 2);
	progress_report(&p, "copy", 1, 2);
	assert_false(progress_canceled(NULL));
}

static void few_calls_get_through(void **state)
{
	struct progress p = { .report = on_report, .data = &calls };

	(void)state;
	calls = 0;
	for (uint64_t i = 0; i <= 1000000; i++)
		progress_report(&p, "copy", i, 1000000);
	assert_in_range(calls, 2, 20);	/* the ends, and ten a second */
	assert_int_equal(last_done, 1000000);
}

static void anybody_may_cancel(void **state)
{
	struct progress p = { 0 };

	(void)state;
	assert_false(progress_canceled(&p));
	atomic_store(&p.cancel, true);
	assert_true(progress_canceled(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(few_calls_get_through),
		cmocka_unit_test(anybody_may_cancel),
	};

	return cmocka_run_group_tests_name("lib/progress", tests, NULL, NULL);
}
