// SPDX-License-Identifier: GPL-2.0-or-later
/* LUKS2 headers on files: needs neither root nor the module. */
#include "luks.h"

#include <fcntl.h>
#include <libcryptsetup.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/secmem.h"
#include "../testing/testing.h"

#define IMAGE_BYTES	(20 << 20)

static char *dir;
static uint8_t *dek;
static struct luks_token token = {
	.volume = "root", .kek_id = "kmip/1", .generation = 1,
};

static int setup(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_ok(secmem_init(1 << 16, &e), &e);
	dir = test_mkdir();
	dek = secmem_alloc(VMK_DEK_LEN);
	for (size_t i = 0; i < VMK_DEK_LEN; i++)
		dek[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < VMK_WRAPPED_LEN; i++)
		token.wrapped[i] = (uint8_t)i;
	return vmc_uuid_new(&token.vm);
}

static int teardown(void **state)
{
	(void)state;
	secmem_free(dek, VMK_DEK_LEN);
	test_rmdir(dir);
	return 0;
}

static const char *new_image(const char *name, off_t bytes)
{
	const char *path = test_path(dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
	return path;
}

static void formatted(const char *path, struct luks_header *h)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char uuid[40];

	assert_ok(luks_format(path, dek, &token, uuid, &e), &e);
	assert_ok(luks_read(path, h, &e), &e);
	assert_string_equal(h->uuid, uuid);
}

static void poke(const char *path, off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void format_and_read(void **state)
{
	const char *path = new_image("a.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	/* what is no whole sector does not count */
	assert_int_equal(truncate(path, IMAGE_BYTES + 512), 0);
	assert_ok(luks_read(path, &h, &e), &e);
	assert_int_equal(h.offset_sectors, 32768);
	assert_int_equal(h.data_sectors, (IMAGE_BYTES >> 9) - 32768);
	assert_int_equal(h.keyslots, 0);
	assert_true(h.has_token);
	assert_string_equal(h.token.volume, "root");
	assert_string_equal(h.token.kek_id, "kmip/1");
	assert_true(vmc_uuid_equal(&h.token.vm, &token.vm));
	assert_memory_equal(h.token.wrapped, token.wrapped, VMK_WRAPPED_LEN);
}

/* By libcryptsetup itself: the digest tells the right DEK from another. */
static void digest_tells_the_key(void **state)
{
	const char *path = new_image("digest.img", IMAGE_BYTES);
	struct crypt_device *cd;
	struct luks_header h;
	char other[VMK_DEK_LEN];

	(void)state;
	formatted(path, &h);
	memcpy(other, dek, sizeof(other));
	other[5] ^= 1;
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_volume_key_verify(cd, (const char *)dek, VMK_DEK_LEN), 0);
	assert_true(crypt_volume_key_verify(cd, other, VMK_DEK_LEN) < 0);
	crypt_free(cd);
}

static void token_is_replaced_in_place(void **state)
{
	const char *path = new_image("token.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_token t = token;
	struct crypt_device *cd;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	for (unsigned int i = 2; i < 12; i++) {
		t.generation = i;
		snprintf(t.kek_id, sizeof(t.kek_id), "kmip/%u", i);
		assert_ok(luks_set_token(path, &t, &e), &e);
	}
	assert_ok(luks_read(path, &h, &e), &e);
	assert_int_equal(h.token.generation, 11);
	assert_string_equal(h.token.kek_id, "kmip/11");
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_token_status(cd, 1, NULL), CRYPT_TOKEN_INACTIVE);
	crypt_free(cd);
}

static void readonly_file_can_be_read(void **state)
{
	const char *path = new_image("ro.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	assert_int_equal(chmod(path, 0400), 0);
	assert_ok(luks_read(path, &h, &e), &e);
	assert_true(h.has_token);
}

static void keyslot_is_counted(void **state)
{
	const char *path = new_image("slot.img", IMAGE_BYTES);
	static const struct crypt_pbkdf_type fast = {
		.type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000,
		.flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
	struct vmc_error e = VMC_ERROR_INIT;
	struct crypt_device *cd;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_set_pbkdf_type(cd, &fast), 0);
	assert_true(crypt_keyslot_add_by_volume_key(cd, CRYPT_ANY_SLOT, (const char *)dek,
						    VMK_DEK_LEN, "recovery", 8) >= 0);
	crypt_free(cd);
	assert_ok(luks_read(path, &h, &e), &e);
	assert_int_equal(h.keyslots, 1);
	assert_true(h.has_token);
}

static void plain_file_has_no_header(void **state)
{
	const char *path = new_image("plain.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_header h;

	(void)state;
	assert_code(luks_read(path, &h, &e), VMC_ENOENT, &e);
	assert_contains(e.text, path);
	assert_code(luks_read(test_path(dir, "none.img"), &h, &e), VMC_ENOENT, &e);
	assert_code(luks_read(dir, &h, &e), VMC_EINVAL, &e);
	assert_code(luks_read("/dev/null", &h, &e), VMC_EINVAL, &e);
	assert_code(luks_set_token(path, &token, &e), VMC_ENOENT, &e);
}

static void one_damaged_copy_is_mended(void **state)
{
	const char *path = new_image("mend.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	poke(path, 4096 + 100, "XXXX", 4);
	assert_ok(luks_read(path, &h, &e), &e);
	assert_true(h.has_token);
}

static void two_damaged_copies_are_told(void **state)
{
	const char *path = new_image("broken.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	poke(path, 4096 + 100, "XXXX", 4);
	poke(path, 16384 + 4096 + 100, "XXXX", 4);
	assert_code(luks_read(path, &h, &e), VMC_EAUTH, &e);
	assert_contains(e.text, path);
	assert_contains(e.hint, "backup");
}

static void too_small_is_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char uuid[40];

	(void)state;
	assert_code(luks_format(new_image("small.img", 16 << 20), dek, &token, uuid, &e),
		    VMC_ENOSPC, &e);
	assert_contains(e.text, "small.img");
	assert_ok(luks_format(new_image("least.img", (16 << 20) + 4096), dek, &token, uuid, &e), &e);
}

static void foreign_tokens_are_refused(void **state)
{
	const char *path = new_image("foreign.img", IMAGE_BYTES);
	struct vmc_error e = VMC_ERROR_INIT;
	struct crypt_device *cd;
	struct luks_header h;

	(void)state;
	formatted(path, &h);
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_token_json_set(cd, 0, "{\"type\":\"vmcrypt\",\"keyslots\":[],\"version\":3}"), 0);
	crypt_free(cd);
	assert_code(luks_read(path, &h, &e), VMC_ENOTSUP, &e);
	assert_contains(e.text, "version 3");
	assert_contains(e.text, path);
	/* and a second one of ours */
	assert_ok(luks_set_token(path, &token, &e), &e);
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	assert_int_equal(crypt_token_json_set(cd, 3, "{\"type\":\"vmcrypt\",\"keyslots\":[]}"), 3);
	crypt_free(cd);
	assert_code(luks_read(path, &h, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "more than one");
	assert_code(luks_set_token(path, &token, &e), VMC_EINVAL, &e);
}

static void other_ciphers_are_refused(void **state)
{
	const char *path = new_image("cipher.img", IMAGE_BYTES);
	struct crypt_params_luks2 p = { .sector_size = 512 };
	struct vmc_error e = VMC_ERROR_INIT;
	struct crypt_device *cd;
	struct luks_header h;
	char *json;

	(void)state;
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_format(cd, CRYPT_LUKS2, "aes", "xts-plain64", NULL,
				      (const char *)dek, VMK_DEK_LEN, &p), 0);
	crypt_free(cd);
	assert_ok(luks_read(path, &h, &e), &e);
	assert_false(h.has_token);
	assert_int_equal(crypt_init(&cd, path), 0);
	assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
	json = luks_token_format(&token);
	assert_true(crypt_token_json_set(cd, CRYPT_ANY_TOKEN, json) >= 0);
	free(json);
	crypt_free(cd);
	assert_code(luks_read(path, &h, &e), VMC_ENOTSUP, &e);
	assert_contains(e.text, "512-byte sectors");
}

/* ---- from several threads ---- */

static void *reader(void *data)
{
	struct luks_header h;
	size_t bad = 0;

	for (int i = 0; i < 50; i++)
		bad += luks_read(data, &h, NULL) != 0 || !h.has_token;
	return (void *)bad;
}

static void threads_may_read_and_write(void **state)
{
	char *path = strdup(new_image("threads.img", IMAGE_BYTES));
	struct vmc_error e = VMC_ERROR_INIT;
	struct luks_token t = token;
	struct luks_header h;
	pthread_t threads[3];
	void *bad;

	(void)state;
	formatted(path, &h);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, path), 0);
	for (unsigned int i = 2; i < 30; i++) {
		t.generation = i;
		assert_ok(luks_set_token(path, &t, &e), &e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_and_read),
		cmocka_unit_test(digest_tells_the_key),
		cmocka_unit_test(token_is_replaced_in_place),
		cmocka_unit_test(readonly_file_can_be_read),
		cmocka_unit_test(keyslot_is_counted),
		cmocka_unit_test(plain_file_has_no_header),
		cmocka_unit_test(one_damaged_copy_is_mended),
		cmocka_unit_test(two_damaged_copies_are_told),
		cmocka_unit_test(too_small_is_refused),
		cmocka_unit_test(foreign_tokens_are_refused),
		cmocka_unit_test(other_ciphers_are_refused),
		cmocka_unit_test(threads_may_read_and_write),
	};

	return cmocka_run_group_tests_name("kernel/luks", tests, setup, teardown);
}
