// SPDX-License-Identifier: GPL-2.0-or-later
/* Device-mapper: AES-XTS-256 with 4 KiB sectors between a container and a plain file. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "../kernel/luks.h"
#include "device.h"
#include "mock_host.h"
#include "mock_luks.h"
#include "mock_platform.h"
#include "store_fs.h"

#define SECTOR 4096

static struct mock_map *map_find(const char *name)
{
	size_t i;

	for (i = 0; i < MOCK_MAPS; i++)
		if (!strcmp(mock->maps[i].name, name))
			return &mock->maps[i];
	return NULL;
}

static void crypt_sector(const uint8_t *key, uint64_t sector, const uint8_t *in, uint8_t *out, int enc)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { 0 };
	int n, i;

	/* plain64 counts 512-byte sectors */
	for (i = 0; i < 8; i++)
		iv[i] = (uint8_t)((sector * (SECTOR / 512)) >> (8 * i));
	if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key, iv, enc) != 1 ||
	    EVP_CipherUpdate(ctx, out, &n, in, SECTOR) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

/* All of it, one way or the other. */
static void pump(const struct mock_map *m, const char *plain, int enc)
{
	int c = open(m->path, (enc ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	int p = open(plain, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint8_t in[SECTOR], out[SECTOR];
	uint64_t i;

	if (c < 0 || p < 0 || (!enc && ftruncate(p, (off_t)m->size)))
		abort();
	for (i = 0; i < m->size / SECTOR; i++) {
		off_t at = (off_t)(i * SECTOR), there = (off_t)(m->offset + i * SECTOR);

		if (pread(enc ? p : c, in, SECTOR, enc ? at : there) != SECTOR)
			abort();
		crypt_sector(m->key, i, in, out, enc);
		if (pwrite(enc ? c : p, out, SECTOR, enc ? there : at) != SECTOR)
			abort();
	}
	close(c);
	close(p);
}

static const struct mock_dek *dek_of(const char *key_desc)
{
	size_t i;

	for (i = 0; i < MOCK_DEKS; i++) {
		char id[VMC_UUID_STR], desc[VMK_DESC_MAX];

		if (!mock->deks[i].serial)
			continue;
		vmc_uuid_format(&mock->deks[i].vm, id);
		snprintf(desc, sizeof(desc), "vmcrypt:%s:%s", id, mock->deks[i].volume);
		if (!strcmp(desc, key_desc))
			return &mock->deks[i];
	}
	return NULL;
}

int dm_crypt_open(const struct dm_crypt *c, struct vmc_error *err)
{
	struct mock_map *m = map_find("");
	const struct mock_dek *dek = dek_of(c->key_desc);
	char plain[PATH_MAX];

	if (!dek || !m)
		return vmc_fail(err, VMC_ENOKEY, "mock: key '%s' is not in the keyring", c->key_desc);
	if (map_find(c->name))
		return vmc_fail(err, VMC_EEXIST, "mock: mapping '%s' exists", c->name);
	if (!mock_luks_is_key(c->path, dek->key))
		return vmc_fail(err, VMC_EINTERNAL, "mock: '%s' would be opened with a wrong DEK", c->path);
	if (!realpath(c->path, m->path))
		return vmc_fail_errno(err, errno, "cannot open '%s'", c->path);
	memcpy(m->key, dek->key, sizeof(m->key));
	m->offset = c->offset_sectors * 512;
	m->size = c->size_sectors * 512;
	device_of_mapping(c->name, plain);
	pump(m, plain, 0);
	snprintf(m->name, sizeof(m->name), "%s", c->name);
	return 0;
}

/* What is in flight gets to the container first, as it does when the kernel suspends. */
int dm_suspend_wipe(const char *name, struct vmc_error *err)
{
	struct mock_map *m = map_find(name);
	char plain[PATH_MAX];

	if (!m)
		return vmc_fail(err, VMC_ENOENT, "no mapping '%s'", name);
	if (m->suspended)
		return 0;
	device_of_mapping(name, plain);
	if (!access(m->path, F_OK))
		pump(m, plain, 1);
	memset(m->key, 0, sizeof(m->key));
	m->suspended = true;
	return 0;
}

int dm_set_resume(const char *name, const char *key_desc, int32_t keyring, struct vmc_error *err)
{
	struct mock_map *m = map_find(name);
	const struct mock_dek *dek = dek_of(key_desc);

	(void)keyring;
	if (!m)
		return vmc_fail(err, VMC_ENOENT, "no mapping '%s'", name);
	if (!m->suspended)
		return 0;
	if (!dek)
		return vmc_fail(err, VMC_ENOKEY, "mock: key '%s' is not in the keyring", key_desc);
	if (!mock_luks_is_key(m->path, dek->key))
		return vmc_fail(err, VMC_EINTERNAL, "mock: '%s' would go on with a wrong DEK", m->path);
	memcpy(m->key, dek->key, sizeof(m->key));
	m->suspended = false;
	return 0;
}

int dm_crypt_close(const char *name, struct vmc_error *err)
{
	struct mock_map *m = map_find(name);
	char plain[PATH_MAX];

	if (!m)
		return 0;
	if (m->busy)
		return vmc_fail(err, VMC_EBUSY, "mapping '%s' is in use by qemu (4711)", name);
	device_of_mapping(name, plain);
	if (!m->suspended && !access(m->path, F_OK))
		pump(m, plain, 1);
	unlink(plain);
	memset(m, 0, sizeof(*m));
	return 0;
}

bool dm_exists(const char *name)
{
	return map_find(name) != NULL;
}

int dm_list(const char *prefix, char ***names, size_t *n, struct vmc_error *err)
{
	size_t i;

	(void)err;
	*n = 0;
	*names = calloc(MOCK_MAPS, sizeof(**names));
	for (i = 0; i < MOCK_MAPS; i++)
		if (mock->maps[i].name[0] && !strncmp(mock->maps[i].name, prefix, strlen(prefix)))
			(*names)[(*n)++] = strdup(mock->maps[i].name);
	return 0;
}

int dm_backing(const char *name, char *out, size_t n, struct vmc_error *err)
{
	struct mock_map *m = map_find(name);

	if (!m)
		return vmc_fail(err, VMC_ENOENT, "no mapping '%s'", name);
	snprintf(out, n, "%s", m->path);
	return 0;
}

void device_of_mapping(const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.4000s/dm/%s", mock->dir, name);
}

bool platform_is_real(void)
{
	return false;
}

struct vmk *platform_kernel(void)
{
	return NULL;
}

void platform_reboot(void)
{
	size_t i;

	for (i = 0; i < MOCK_MOUNTS; i++)
		if (strstr(mock->mounts[i], "/datastores/"))
			store_unmount(mock->mounts[i], NULL);
	memset(mock->mounts, 0, sizeof(mock->mounts));
	for (i = 0; i < MOCK_MAPS; i++) {
		mock->maps[i].busy = false;
		if (mock->maps[i].name[0] && dm_crypt_close(mock->maps[i].name, NULL))
			abort();
	}
	mock->n_keks = 0;
	memset(mock->deks, 0, sizeof(mock->deks));
}

void platform_hold(const char *mapping, bool hold)
{
	map_find(mapping)->busy = hold;
}

size_t platform_mappings(void)
{
	size_t i, n = 0;

	for (i = 0; i < MOCK_MAPS; i++)
		n += mock->maps[i].name[0] != 0;
	return n;
}
