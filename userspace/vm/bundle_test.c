// SPDX-License-Identifier: GPL-2.0-or-later
/* NAME.vmcrypt: what is taken, what is refused, and the mac. */
#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/secmem.h"
#include "bundle.h"
#include "mock_host.h"

static struct vmc_error err;

static void set_volume(struct bundle_volume *v, const char *name, const char *path)
{
	memset(v, 0, sizeof(*v));
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(v->path, sizeof(v->path), "%s", path);
	snprintf(v->luks_uuid, sizeof(v->luks_uuid), "a1a2a3a4-0001-4002-8003-0123456789ab");
	snprintf(v->kek_id, sizeof(v->kek_id), "kms/key-1");
	memset(v->kcv, 0xab, sizeof(v->kcv));
	memset(v->wrapped, 0x5a, sizeof(v->wrapped));
	v->generation = 1;
	v->flags = DM_NO_READ_WORKQUEUE | DM_ALLOW_DISCARDS;
}

static void sample(struct bundle *b)
{
	struct bundle_volume v;

	memset(b, 0, sizeof(*b));
	assert_int_equal(vmc_uuid_parse("01234567-89ab-4cde-8f01-23456789abcd", &b->id), 0);
	strcpy(b->name, "web");
	strcpy(b->migration, "required");
	b->serial = 7;
	set_volume(&v, "home", "web.home");
	assert_ok(bundle_add(b, &v, &err), &err);
	set_volume(&v, "root", "/srv/other/web root.img");
	assert_ok(bundle_add(b, &v, &err), &err);
	memset(b->mac, 0x11, sizeof(b->mac));
	b->has_mac = true;
}

static char *sample_text(void)
{
	struct bundle b;
	char *text;

	sample(&b);
	text = bundle_format(&b);
	bundle_clear(&b);
	assert_non_null(text);
	return text;
}

static void test_round(void **state)
{
	struct bundle b, c;
	char *text = sample_text(), *again;
	uint8_t d1[BUNDLE_DIGEST_LEN], d2[BUNDLE_DIGEST_LEN];

	(void)state;
	sample(&b);
	assert_ok(bundle_parse(text, strlen(text), &c, &err), &err);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.serial, 7);
	assert_string_equal(c.v[1].path, "/srv/other/web root.img");
	assert_memory_equal(b.v, c.v, 2 * sizeof(*b.v));
	assert_memory_equal(b.mac, c.mac, sizeof(b.mac));
	again = bundle_format(&c);
	assert_string_equal(text, again);
	assert_ok(bundle_digest(&b, d1, &err), &err);
	assert_ok(bundle_digest(&c, d2, &err), &err);
	assert_memory_equal(d1, d2, sizeof(d1));
	free(text);
	free(again);
	bundle_clear(&b);
	bundle_clear(&c);
}

/* Every field counts for the digest, so the mac covers it. */
static void test_digest_covers(void **state)
{
	uint8_t want[BUNDLE_DIGEST_LEN], got[BUNDLE_DIGEST_LEN];
	struct bundle b;
	int i;

	(void)state;
	sample(&b);
	assert_ok(bundle_digest(&b, want, &err), &err);
	for (i = 0; i < 11; i++) {
		struct bundle c;

		assert_ok(bundle_copy(&b, &c, &err), &err);
		switch (i) {
		case 0: c.id.b[3] ^= 1; break;
		case 1: c.name[0]++; break;
		case 2: c.serial++; break;
		case 3: c.v[1].name[0]++; break;
		case 4: c.v[1].path[1]++; break;
		case 5: c.v[1].luks_uuid[0] = 'b'; break;
		case 6: c.v[1].kek_id[4]++; break;
		case 7: c.v[1].kcv[0] ^= 1; break;
		case 8: c.v[1].wrapped[95] ^= 1; break;
		case 9: c.v[1].generation++; break;
		case 10: c.v[1].flags ^= DM_ALLOW_DISCARDS; break;
		}
		assert_ok(bundle_digest(&c, got, &err), &err);
		assert_memory_not_equal(want, got, sizeof(want));
		bundle_clear(&c);
	}
	bundle_clear(&b);
}

/* The sample with @from replaced by @to is refused with @code. */
static void refuse(const char *from, const char *to, int code)
{
	char *text = sample_text(), *at = strstr(text, from), *bad;
	struct bundle b;

	assert_non_null(at);
	assert_true(asprintf(&bad, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
	if (bundle_parse(bad, strlen(bad), &b, &err) != code)
		fail_msg("'%s' instead of '%s': %s", to, from, err.text);
	assert_null(b.v);
	free(bad);
	free(text);
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "\"serial\": 7", "\"serial\": 0" }, { "\"serial\": 7", "\"serial\": -7" },
		{ "\"serial\": 7", "\"serial\": 7.5" }, { "\"serial\": 7", "\"serial\": \"7\"" },
		{ "\"serial\": 7", "\"serial\": 7, \"serial\": 8" }, { "\"serial\": 7", "\"serial\": 7, \"x\": 1" },
		{ "\"serial\": 7", "\"serial\": 99999999999999999999" },
		{ "\"web\"", "\"../web\"" }, { "\"web\"", "\"\"" }, { "\"web\"", "\"a b\"" },
		{ "\"web\"", "\"we\\u0000b\"" },
		{ "\"required\"", "\"disabled\"" }, { "vmcrypt-bundle", "other" },
		{ "01234567-89ab", "01234567-89AB" }, { "01234567-89ab", "1234567-89ab" },
		{ "web.home", "../web.home" }, { "web.home", "a/../b" }, { "web.home", "./web.home" },
		{ "web.home", "a//b" }, { "web.home", "" }, { "web.home", "a/" }, { "web.home", "a\\nb" },
		{ "/srv/other", "/srv/../etc" },
		{ "\"root\"", "\"home\"" }, { "\"root\"", "\"a/b\"" }, { "\"root\"", "\"-x\"" },
		{ "\"home\"", "\"first\"" },
		{ "kms/key-1", "key-1" }, { "kms/key-1", "/key-1" }, { "kms/key-1", "kms/" },
		{ "kms/key-1", "k ms/key-1" },
		{ "abababab", "ababab" }, { "abababab", "abababxx" },
		{ "WlpaWlpa", "WlpaWlp" }, { "WlpaWlpa", "Wlpa!lpa" },
		{ "\"generation\": 1", "\"generation\": 0" },
		{ "no_read_workqueue", "bogus_flag" },
		{ "1111111111", "11111111" }, { "{", "[" }, { "}", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(cases[i].from, cases[i].to, VMC_EINVAL);
	refuse("\"version\": 1", "\"version\": 3", VMC_ENOTSUP);
	refuse("\"version\": 1", "\"version\": 2", VMC_EINVAL);
	refuse("\"version\": 1", "\"version\": \"1\"", VMC_ENOTSUP);
}

static void test_sizes(void **state)
{
	struct bundle_volume v;
	struct bundle b;
	char name[16];
	int i;

	(void)state;
	sample(&b);
	for (i = 2; i < BUNDLE_VOLUMES_MAX; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		set_volume(&v, name, name);
		assert_ok(bundle_add(&b, &v, &err), &err);
	}
	set_volume(&v, "more", "more");
	assert_code(bundle_add(&b, &v, &err), VMC_EINVAL, &err);
	set_volume(&v, "root", "x");
	assert_code(bundle_add(&b, &v, &err), VMC_EEXIST, &err);
	assert_ok(bundle_remove(&b, "d9", &err), &err);
	assert_null(bundle_find(&b, "d9"));
	assert_non_null(bundle_find(&b, "d10"));
	assert_code(bundle_remove(&b, "d9", &err), VMC_ENOENT, &err);
	bundle_clear(&b);
}

static void test_every_prefix(void **state)
{
	char *text = sample_text();
	size_t n = strlen(text), i;
	struct bundle b;

	(void)state;
	for (i = 0; i < n - 1; i++)
		assert_int_not_equal(bundle_parse(text, i, &b, NULL), 0);
	free(text);
}

static void test_paths(void **state)
{
	char full[PATH_MAX], rel[BUNDLE_PATH_MAX];

	(void)state;
	assert_ok(bundle_volume_path("/srv/vms/web.vmcrypt", "web.home", full, &err), &err);
	assert_string_equal(full, "/srv/vms/web.home");
	assert_ok(bundle_volume_path("/srv/vms/web.vmcrypt", "/dev/vg/x", full, &err), &err);
	assert_string_equal(full, "/dev/vg/x");
	assert_ok(bundle_relative("/srv/vms/web.vmcrypt", "/srv/vms/sub/a.img", rel, &err), &err);
	assert_string_equal(rel, "sub/a.img");
	assert_ok(bundle_relative("/srv/vms/web.vmcrypt", "/srv/vmsX/a.img", rel, &err), &err);
	assert_string_equal(rel, "/srv/vmsX/a.img");
	assert_code(bundle_relative("/srv/vms/web.vmcrypt", "/srv/vms/../a.img", rel, &err), VMC_EINVAL, &err);
}

/* ---- the mac, on a mock kernel --------------------------------------------------- */

static int with_kernel(void **state)
{
	uint8_t *kek;

	assert_ok(secmem_init(64 * 1024, &err), &err);
	*state = test_mkdir();
	mock_attach(*state);
	kek = secmem_alloc(VMK_KEK_LEN);
	memset(kek, 3, VMK_KEK_LEN);
	assert_ok(vmk_kek_new(NULL, "kms/key-1", kek, 0, NULL, &err), &err);
	secmem_free(kek, VMK_KEK_LEN);
	return 0;
}

static int without_kernel(void **state)
{
	mock_detach();
	test_rmdir(*state);
	return 0;
}

static void signed_sample(struct bundle *b)
{
	uint8_t *dek = secmem_alloc(VMK_DEK_LEN), kcv[VMK_KCV_LEN];

	sample(b);
	memset(dek, 9, VMK_DEK_LEN);
	assert_ok(vmk_dek_wrap(NULL, &b->id, "home", "kms/key-1", dek, b->v[0].wrapped, kcv, &err), &err);
	secmem_free(dek, VMK_DEK_LEN);
	assert_ok(bundle_sign(b, NULL, &err), &err);
}

/* Whatever bit of the file is flipped: refused, or without effect (white space). */
static void test_each_bit(void **state)
{
	struct bundle good, b;
	size_t n, bit, refused = 0;
	char *text;

	(void)state;
	signed_sample(&good);
	assert_ok(bundle_verify(&good, NULL, "web.vmcrypt", &err), &err);
	text = bundle_format(&good);
	n = strlen(text);
	for (bit = 0; bit < 8 * n; bit++) {
		text[bit / 8] ^= (char)(1 << (bit % 8));
		if (bundle_parse(text, n, &b, NULL)) {
			refused++;
		} else {
			if (bundle_verify(&b, NULL, "web.vmcrypt", &err))
				refused++;
			else
				assert_memory_equal(b.v, good.v, 2 * sizeof(*b.v));
			bundle_clear(&b);
		}
		text[bit / 8] ^= (char)(1 << (bit % 8));
	}
	assert_true(refused > 8 * n * 9 / 10);
	free(text);
	bundle_clear(&good);
}

static void test_write_read(void **state)
{
	const char *path = test_path(*state, "web.vmcrypt");
	struct bundle b, c;

	signed_sample(&b);
	assert_ok(bundle_write(path, &b, &err), &err);
	assert_ok(bundle_read(path, &c, &err), &err);
	assert_ok(bundle_verify(&c, NULL, path, &err), &err);
	bundle_clear(&c);
	test_write_text(path, "{ not json");
	assert_code(bundle_read(path, &c, &err), VMC_EAUTH, &err);
	assert_contains(err.text, path);
	assert_contains(err.hint, "--from-headers");
	assert_code(bundle_read("/nonexistent", &c, &err), VMC_ENOENT, &err);
	assert_ok(vmk_kek_del(NULL, "kms/key-1", true, &err), &err);
	assert_code(bundle_verify(&b, NULL, path, &err), VMC_ENOKEY, &err);
	bundle_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round), cmocka_unit_test(test_digest_covers),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_every_prefix), cmocka_unit_test(test_paths),
		cmocka_unit_test_setup_teardown(test_each_bit, with_kernel, without_kernel),
		cmocka_unit_test_setup_teardown(test_write_read, with_kernel, without_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
