// SPDX-License-Identifier: GPL-2.0-or-later
/* The cache: asks nobody for what is there, groups and batches the rest, tells of each key by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"
#include "../../testing/testing.h"
#include "../cache.h"
#include "mock_fixture.h"
#include "mock_vmk.h"

static struct fixture f;
static struct vmk *k;
static struct vmc_error err;

static int setup(void **state)
{
	(void)state;
	fixture_start(&f, 1);
	fixture_provider(&f, NULL);
	k = calloc(1, sizeof(*k));
	return k ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(k);
	fixture_stop(&f);
	return 0;
}

static struct kek_need need(const char *id)
{
	struct kek_need n = { .code = 0 };

	snprintf(n.id, sizeof(n.id), "%s", id);
	return n;
}

static void test_split(void **state)
{
	char p[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1], long_id[400];

	(void)state;
	assert_ok(kek_id_split("kms/a/b", p, key, &err), &err);
	assert_string_equal(p, "kms");
	assert_string_equal(key, "a/b");
	assert_code(kek_id_split("kms", p, key, &err), VMC_EINVAL, &err);
	assert_code(kek_id_split("kms/", p, key, &err), VMC_EINVAL, &err);
	assert_code(kek_id_split("/x", p, key, &err), VMC_EINVAL, &err);
	snprintf(long_id, sizeof(long_id), "kms/%0200d", 1);
	assert_code(kek_id_split(long_id, p, key, &err), VMC_EINVAL, &err);
	snprintf(long_id, sizeof(long_id), "%064d/x", 1);
	assert_code(kek_id_split(long_id, p, key, &err), VMC_EINVAL, &err);
}

static void test_create_then_ensure(void **state)
{
	char id[VMK_KEK_ID_MAX + 1];
	uint8_t kcv[VMK_KCV_LEN];
	struct kek_need n[2];
	struct vmk_kek kek;

	(void)state;
	assert_ok(cache_create(k, f.ps, NULL, "vm", id, kcv, &err), &err);
	assert_string_equal(id, "kms/1");
	/* this reference also makes the linker take the mock, not the real client */
	assert_ok(vmk_kek_get(k, id, &kek, &err), &err);
	assert_memory_equal(kek.kcv, kcv, VMK_KCV_LEN);
	n[0] = need(id);
	assert_ok(cache_ensure(k, f.ps, n, 1, &err), &err);
	assert_true(n[0].was_cached);
	assert_memory_equal(n[0].kcv, kcv, VMK_KCV_LEN);
	/* the server may go: what is cached is there */
	fixture_kill(&f, 0);
	n[1] = need("kms/2");
	assert_ok(cache_ensure(k, f.ps, n, 1, &err), &err);
	assert_code(cache_ensure(k, f.ps, n, 2, &err), VMC_EUNREACH, &err);
	assert_int_equal(n[0].code, 0);
	assert_int_equal(n[1].code, VMC_EUNREACH);
}

static void test_many(void **state)
{
	struct kek_need *n = calloc(1000, sizeof(*n));
	uint8_t want[PROVIDER_KEY_LEN];
	char id[32];

	(void)state;
	for (int i = 0; i < 500; i++) {
		mock_store_add(f.store, PKS_ACTIVE, id);
		snprintf(n[i].id, sizeof(n[i].id), "kms/%s", id);
		snprintf(n[999 - i].id, sizeof(n[i].id), "kms/%s", id);
	}
	assert_ok(cache_ensure(k, f.ps, n, 1000, &err), &err);
	assert_int_equal(k->n, 500);
	assert_int_equal(k->secure, 500);
	assert_int_equal(mock_kmip_requests(f.m[0], KMIP_GET), 500);	/* each once */
	assert_in_range(mock_kmip_requests(f.m[0], 0), 16, 20);		/* in few messages */
	for (int i = 0; i < 500; i++) {
		mock_store_material(f.store, n[i].id + 4, want);
		for (unsigned int j = 0; j < k->n; j++)
			if (!strcmp(k->keks[j].id, n[i].id))
				assert_memory_equal(k->keys[j], want, sizeof(want));
		assert_memory_equal(n[i].kcv, n[999 - i].kcv, VMK_KCV_LEN);
	}
	free(n);
}

static void test_each_tells_for_itself(void **state)
{
	struct kek_need n[6];
	char id[32];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	mock_store_add(f.store, PKS_COMPROMISED, id);
	n[0] = need("kms/2");
	n[1] = need("kms/77");
	n[2] = need("other/1");
	n[3] = need("kms/1");
	n[4] = need("nonsense");
	n[5] = need("kms/77");
	assert_code(cache_ensure(k, f.ps, n, 6, &err), VMC_EKEYSTATE, &err);
	assert_contains(n[0].err.text, "Compromised");
	assert_int_equal(n[1].code, VMC_ENOKEY);
	assert_int_equal(n[2].code, VMC_ENOENT);
	assert_contains(n[2].err.text, "there is kms");
	assert_ok(n[3].code, &n[3].err);
	assert_int_equal(n[4].code, VMC_EINVAL);
	assert_int_equal(n[5].code, VMC_ENOKEY);
	assert_contains(n[5].err.text, "77");
	assert_int_equal(k->n, 1);
}

static void test_kernel_says_no(void **state)
{
	struct kek_need n[1];
	char id[32];

	(void)state;
	mock_store_add(f.store, PKS_ACTIVE, id);
	n[0] = need("kms/1");
	k->fail = VMC_ENOSPC;
	assert_code(cache_ensure(k, f.ps, n, 1, &err), VMC_ENOSPC, &err);
	k->fail = 0;
	k->racer = "kms/1";
	assert_ok(cache_ensure(k, f.ps, n, 1, &err), &err);
	assert_memory_equal(n[0].kcv, k->keks[0].kcv, VMK_KCV_LEN);
}

/* A dead provider is waited for once, not once for every batch. */
static void test_dead_provider(void **state)
{
	struct kek_need *n = calloc(1000, sizeof(*n));
	uint64_t start;

	(void)state;
	for (int i = 0; i < 1000; i++)
		snprintf(n[i].id, sizeof(n[i].id), "kms/%d", i);
	fixture_restart(&f, 0, &(struct mock_config){ .script = "stall-handshake" });
	start = vmc_now_ms();
	assert_code(cache_ensure(k, f.ps, n, 1000, &err), VMC_ETIMEDOUT, &err);
	assert_in_range(vmc_now_ms() - start, 0, 4500);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(n[i].code, VMC_ETIMEDOUT);
	free(n);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_split), T(test_create_then_ensure), T(test_many), T(test_each_tells_for_itself),
		T(test_kernel_says_no), T(test_dead_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
