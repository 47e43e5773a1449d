// SPDX-License-Identifier: GPL-2.0-or-later
#include "secmem.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../testing/testing.h"

#define HEAP	(1 << 16)

/* First: nothing may come from ordinary memory. */
static void nothing_before_init(void **state)
{
	(void)state;
	assert_null(secmem_alloc(32));
	secmem_free(NULL, 0);
}

static void odd_sizes_are_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_code(secmem_init(0, &e), VMC_EINVAL, &e);
	assert_code(secmem_init(100000, &e), VMC_EINVAL, &e);
	assert_code(secmem_init(1024, &e), VMC_EINVAL, &e);
	assert_code(secmem_init((size_t)1 << 40, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "power of two");
}

static void init_forbids_dumps(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct rlimit l;

	(void)state;
	assert_ok(secmem_init(HEAP, &e), &e);
	assert_ok(secmem_init(HEAP, &e), &e);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &l), 0);
	assert_int_equal(l.rlim_max, 0);
}

static void memory_is_secure_and_zeroed(void **state)
{
	uint8_t *p = secmem_alloc(64);
	char ordinary[8];

	(void)state;
	assert_non_null(p);
	assert_true(secmem_is_secure(p));
	assert_false(secmem_is_secure(ordinary));
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0xaa, 64);
	secmem_wipe(p, 32);
	assert_int_equal(p[31], 0);
	assert_int_equal(p[32], 0xaa);
	secmem_free(p, 64);
}

static void freed_memory_is_wiped(void **state)
{
	uint8_t *p = secmem_alloc(4096), *q;

	(void)state;
	assert_non_null(p);
	memset(p, 0xaa, 4096);
	secmem_free(p, 4096);
	q = secmem_alloc(4096);
	assert_non_null(q);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(q[i], 0);
	secmem_free(q, 4096);
}

static void full_heap_says_so(void **state)
{
	void *p[HEAP / 4096 + 1];
	size_t n = 0;

	(void)state;
	while (n < sizeof(p) / sizeof(p[0]) && (p[n] = secmem_alloc(4096)))
		n++;
	assert_in_range(n, 1, HEAP / 4096);
	while (n)
		secmem_free(p[--n], 4096);
	assert_null(secmem_alloc(2 * HEAP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_before_init),
		cmocka_unit_test(odd_sizes_are_refused),
		cmocka_unit_test(init_forbids_dumps),
		cmocka_unit_test(memory_is_secure_and_zeroed),
		cmocka_unit_test(freed_memory_is_wiped),
		cmocka_unit_test(full_heap_says_so),
	};

	return cmocka_run_group_tests_name("lib/secmem", tests, NULL, NULL);
}
