// SPDX-License-Identifier: GPL-2.0-or-later
/* Flags, table lines and UUIDs of mappings. */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../testing/testing.h"
#include "dm_priv.h"

#define UUID	"01234567-89ab-cdef-0123-456789abcdef"

static const struct dm_crypt sample = {
	.name = "vmcrypt-x-root", .luks_uuid = UUID, .path = "/x.img",
	.key_desc = "vmcrypt:" UUID ":root", .offset_sectors = 32768,
};

static void flags_both_ways(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint32_t f;
	char out[256];

	(void)state;
	assert_ok(dm_flags_parse("", &f, &e), &e);
	assert_int_equal(f, 0);
	assert_ok(dm_flags_parse(NULL, &f, &e), &e);
	assert_int_equal(f, 0);
	dm_flags_format(0, out, sizeof(out));
	assert_string_equal(out, "");
	assert_ok(dm_flags_parse("no_write_workqueue,no_read_workqueue", &f, &e), &e);
	assert_int_equal(f, DM_NO_READ_WORKQUEUE | DM_NO_WRITE_WORKQUEUE);
	dm_flags_format(f, out, sizeof(out));
	assert_string_equal(out, "no_read_workqueue,no_write_workqueue");
	for (uint32_t i = 0; i < 64; i++) {
		dm_flags_format(i, out, sizeof(out));
		assert_ok(dm_flags_parse(out, &f, &e), &e);
		assert_int_equal(f, i);
	}
	dm_flags_format(63, out, 10);
	assert_int_equal(strlen(out), 9);
}

static void flags_refused(void **state)
{
	static const char *const bad[] = {
		"fast", "no_read_workqueue,", ",no_read_workqueue", "no_read_workqueue,,allow_discards",
		"no_read_workqueue allow_discards", "No_read_workqueue", "no_read", "high_priorityx",
	};
	struct vmc_error e = VMC_ERROR_INIT;
	uint32_t f = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_code(dm_flags_parse(bad[i], &f, &e), VMC_EINVAL, &e);
	assert_int_equal(f, 99);
	assert_contains(e.hint, "no_write_workqueue");
}

static void table_line(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct dm_crypt c = sample;
	char out[DM_TABLE_MAX];

	(void)state;
	assert_ok(dm_crypt_params(&c, makedev(7, 3), out, &e), &e);
	assert_string_equal(out, "aes-xts-plain64 :64:logon:vmcrypt:" UUID ":root 0 7:3 32768 1 sector_size:4096");
	c.flags = DM_ALLOW_DISCARDS | DM_NO_READ_WORKQUEUE | DM_HIGH_PRIORITY;
	assert_ok(dm_crypt_params(&c, makedev(259, 70000), out, &e), &e);
	assert_string_equal(out, "aes-xts-plain64 :64:logon:vmcrypt:" UUID ":root 0 259:70000 32768 4 "
			    "sector_size:4096 no_read_workqueue allow_discards high_priority");
}

static void key_descriptions_refused(void **state)
{
	static const char *const bad[] = { "", "a b", "a\n", "a\tb", "\xc3\xa4" };
	struct vmc_error e = VMC_ERROR_INIT;
	struct dm_crypt c = sample;
	char out[DM_TABLE_MAX], longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c.key_desc = bad[i];
		assert_code(dm_crypt_params(&c, makedev(7, 3), out, &e), VMC_EINVAL, &e);
	}
	c.key_desc = NULL;
	assert_code(dm_crypt_params(&c, makedev(7, 3), out, &e), VMC_EINVAL, &e);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	c.key_desc = longest;
	assert_code(dm_crypt_params(&c, makedev(7, 3), out, &e), VMC_EINVAL, &e);
}

static void sizes(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct dm_crypt c = sample;
	uint64_t n;

	(void)state;
	assert_ok(dm_crypt_size(&c, 32768 + 8, &n, &e), &e);
	assert_int_equal(n, 8);
	assert_ok(dm_crypt_size(&c, 32768 + 8007, &n, &e), &e);
	assert_int_equal(n, 8000);
	assert_code(dm_crypt_size(&c, 32768 + 7, &n, &e), VMC_EINVAL, &e);
	assert_code(dm_crypt_size(&c, 0, &n, &e), VMC_EINVAL, &e);
	c.size_sectors = 800;
	assert_ok(dm_crypt_size(&c, 32768 + 8000, &n, &e), &e);
	assert_int_equal(n, 800);
	c.size_sectors = 8008;
	assert_code(dm_crypt_size(&c, 32768 + 8000, &n, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "/x.img");
	c.size_sectors = 1;
	assert_code(dm_crypt_size(&c, 32768 + 8000, &n, &e), VMC_EINVAL, &e);
	c.size_sectors = 0;
	c.offset_sectors = 4;
	assert_code(dm_crypt_size(&c, 8000, &n, &e), VMC_EINVAL, &e);
	c.offset_sectors = UINT64_MAX - 7;
	assert_code(dm_crypt_size(&c, 8000, &n, &e), VMC_EINVAL, &e);
}

static void uuids(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char out[DM_UUID_MAX], name[128];

	(void)state;
	assert_ok(dm_crypt_uuid(UUID, "vmcrypt-x", out, &e), &e);
	assert_string_equal(out, "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-vmcrypt-x");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_ok(dm_crypt_uuid(UUID, name, out, &e), &e);
	assert_int_equal(strlen(out), DM_UUID_MAX - 1);
	assert_code(dm_crypt_uuid("nonsense", "x", out, &e), VMC_EINVAL, &e);
	assert_code(dm_crypt_uuid(NULL, "x", out, &e), VMC_EINVAL, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_both_ways),
		cmocka_unit_test(flags_refused),
		cmocka_unit_test(table_line),
		cmocka_unit_test(key_descriptions_refused),
		cmocka_unit_test(sizes),
		cmocka_unit_test(uuids),
	};

	return cmocka_run_group_tests_name("kernel/dm_table", tests, NULL, NULL);
}
