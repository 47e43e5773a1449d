// SPDX-License-Identifier: GPL-2.0-or-later
/* LUKS2 headers: magic, then a struct; the data begins where it does in real ones. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/luks.h"
#include "../lib/fs.h"
#include "../lib/secmem.h"
#include "mock_luks.h"

#define OFFSET_SECTORS 32768

struct header {
	char magic[8];
	char uuid[40];
	uint8_t digest[32];
	bool has_token;
	struct luks_token token;
};

static const char magic[8] = { 'L', 'U', 'K', 'S', '\xba', '\xbe', 0, 2 };

static int load(const char *path, struct header *h, uint64_t *size, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return vmc_fail_errno(err, errno, "cannot read '%s'", path);
	n = pread(fd, h, sizeof(*h), 0);
	close(fd);
	if (n != sizeof(*h) || memcmp(h->magic, magic, sizeof(magic)))
		return vmc_fail(err, VMC_ENOENT, "'%s' has no LUKS2 header", path);
	*size = (uint64_t)st.st_size;
	return 0;
}

static int store(const char *path, const struct header *h, struct vmc_error *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot write '%s'", path);
	fs_crashpoint("mock luks: before header");
	r = pwrite(fd, h, sizeof(*h), 0) == sizeof(*h) ? fs_sync(fd, path, err) :
		vmc_fail_errno(err, errno, "cannot write '%s'", path);
	fs_crashpoint("mock luks: header written");
	close(fd);
	return r;
}

bool mock_luks_is_key(const char *path, const uint8_t *dek)
{
	uint8_t digest[32];
	struct header h;
	uint64_t size;

	return !load(path, &h, &size, NULL) && EVP_Digest(dek, VMK_DEK_LEN, digest, NULL, EVP_sha256(), NULL) &&
	       !memcmp(digest, h.digest, sizeof(digest));
}

int luks_format(const char *path, const uint8_t *dek, const struct luks_token *t, char uuid[40],
		struct vmc_error *err)
{
	struct header h = { .has_token = true, .token = *t };
	vmc_uuid u;

	if (!secmem_is_secure(dek))
		return vmc_fail(err, VMC_EINTERNAL, "mock: the DEK is not in the secure heap");
	memcpy(h.magic, magic, sizeof(magic));
	vmc_uuid_new(&u);
	vmc_uuid_format(&u, h.uuid);
	EVP_Digest(dek, VMK_DEK_LEN, h.digest, NULL, EVP_sha256(), NULL);
	memcpy(uuid, h.uuid, 40);
	return store(path, &h, err);
}

int luks_read(const char *path, struct luks_header *out, struct vmc_error *err)
{
	struct header h;
	uint64_t size;
	int r = load(path, &h, &size, err);

	if (r)
		return r;
	memset(out, 0, sizeof(*out));
	memcpy(out->uuid, h.uuid, sizeof(out->uuid));
	out->offset_sectors = OFFSET_SECTORS;
	out->data_sectors = size / 512 - OFFSET_SECTORS;
	out->has_token = h.has_token;
	out->token = h.token;
	return 0;
}

int luks_set_token(const char *path, const struct luks_token *t, struct vmc_error *err)
{
	struct header h;
	uint64_t size;
	int r = load(path, &h, &size, err);

	if (r)
		return r;
	h.has_token = true;
	h.token = *t;
	return store(path, &h, err);
}
