// SPDX-License-Identifier: GPL-2.0-or-later
/* The backup of an authority as bytes. See backup.h. */
#include "backup.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/tpm/aead.h"
#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "sign.h"

#define MAGIC_LEN	23
#define SALT		24
#define LOG2N_AT	MAGIC_LEN
#define SALT_AT		(LOG2N_AT + 1)
#define NONCE_AT	(SALT_AT + SALT)
#define TAG_AT		(NONCE_AT + AEAD_NONCE)
#define RECORD_HEAD	6
#define LOG2N_MIN	14
#define LOG2N_MAX	20
#define SCRYPT_R	8
#define SIGNATURE	"signature"
#define SIGN_TYPE	"vmcrypt-backup+jws"

_Static_assert(TAG_AT + AEAD_TAG == BACKUP_HEADER, "the header's parts are the header");

/* What a file begins with; no NUL closes it. */
static const char magic[MAGIC_LEN] = "vmcrypt-trust-backup-1\n";

/* ---- records -------------------------------------------------------------------------- */

int backup_body_new(struct backup_body *b, struct vmc_error *err)
{
	memset(b, 0, sizeof(*b));
	b->bytes = malloc(BACKUP_FILE_MAX);
	return b->bytes ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for a backup");
}

void backup_body_free(struct backup_body *b)
{
	if (b->bytes)
		OPENSSL_cleanse(b->bytes, b->n);
	free(b->bytes);
	memset(b, 0, sizeof(*b));
}

int backup_body_add(struct backup_body *b, const char *path, const void *data, size_t len, struct vmc_error *err)
{
	size_t n = strnlen(path, BACKUP_PATH_MAX + 1);
	uint8_t *p;

	if (n > BACKUP_PATH_MAX || b->files == BACKUP_FILES_MAX || len > BACKUP_FILE_MAX ||
	    RECORD_HEAD + n + len > BACKUP_FILE_MAX - b->n)
		return vmc_fail(err, VMC_ENOSPC, "'%.100s' does not fit into a backup of at most %u MiB", path,
				BACKUP_FILE_MAX >> 20);
	p = b->bytes + b->n;
	*p++ = n >> 8;
	*p++ = n;
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = len >> shift;
	memcpy(p, path, n);
	if (len)
		memcpy(p + n, data, len);
	b->n += RECORD_HEAD + n + len;
	b->files++;
	return 0;
}

static bool cut(const struct backup_body *b, size_t *at, struct backup_record *r)
{
	const uint8_t *p = b->bytes + *at;
	size_t left = b->n - *at, n;

	if (left < RECORD_HEAD)
		return false;
	n = (size_t)p[0] << 8 | p[1];
	r->len = (size_t)p[2] << 24 | (size_t)p[3] << 16 | (size_t)p[4] << 8 | p[5];
	if (n > BACKUP_PATH_MAX || left - RECORD_HEAD < n || left - RECORD_HEAD - n < r->len)
		return false;
	memcpy(r->path, p + RECORD_HEAD, n);
	r->path[n] = '\0';
	r->data = p + RECORD_HEAD + n;
	*at += RECORD_HEAD + n + r->len;
	return strlen(r->path) == n;
}

bool backup_next(const struct backup_body *b, size_t *at, struct backup_record *r)
{
	return *at < b->n && cut(b, at, r);
}

/* "a/b/c", each a name that hides nothing and leads nowhere else. */
static bool path_ok(const char *path)
{
	char part[BACKUP_PATH_MAX + 1];
	size_t n;

	for (;; path += n + 1) {
		n = strcspn(path, "/");
		memcpy(part, path, n);
		part[n] = '\0';
		if (!vmc_name_ok(part, BACKUP_PATH_MAX))
			return false;
		if (!path[n])
			return true;
	}
}

/* Is the path of the record before @at that of another one, too? */
static bool comes_again(const struct backup_body *b, size_t at, const char *path)
{
	struct backup_record r;

	while (backup_next(b, &at, &r))
		if (!strcmp(r.path, path))
			return true;
	return false;
}

int backup_body_check(const struct backup_body *b, struct vmc_error *err)
{
	struct backup_record r = { 0 };
	unsigned int files = 0;
	size_t at = 0;

	while (at < b->n)
		if (++files > BACKUP_FILES_MAX || !cut(b, &at, &r) || !path_ok(r.path))
			return vmc_fail(err, VMC_EINVAL, "the backup is refused: its record %u makes no sense", files);
	if (strcmp(r.path, SIGNATURE))
		return vmc_fail(err, VMC_EINVAL, "the backup is refused: it is not signed");
	for (at = 0; backup_next(b, &at, &r);)
		if (comes_again(b, at, r.path))
			return vmc_fail(err, VMC_EINVAL, "the backup is refused: '%s' is in it twice", r.path);
	return 0;
}

/* ---- the signature ------------------------------------------------------------------------ */

int backup_body_sign(struct backup_body *b, EVP_PKEY *key, struct vmc_error *err)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	char *jws;
	int rc;

	SHA256(b->bytes, b->n, hash);
	rc = sign_make(key, SIGN_TYPE, hash, sizeof(hash), &jws, err);
	if (rc)
		return rc;
	rc = backup_body_add(b, SIGNATURE, jws, strlen(jws), err);
	free(jws);
	return rc;
}

/* Where the last record begins. */
static size_t last_record(const struct backup_body *b, struct backup_record *r)
{
	size_t at = 0, begin = 0;

	while (at < b->n) {
		begin = at;
		if (!backup_next(b, &at, r))
			break;
	}
	return begin;
}

int backup_body_verify(const struct backup_body *b, EVP_PKEY *key, struct vmc_error *err)
{
	struct backup_record r = { 0 };
	uint8_t hash[SHA256_DIGEST_LENGTH];
	size_t begin = last_record(b, &r), n = 0;
	char *jws = r.data ? strndup((const char *)r.data, r.len) : NULL, *signed_hash = NULL;
	int rc;

	if (!jws)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a backup");
	rc = sign_open(key, SIGN_TYPE, jws, &signed_hash, &n, err);
	free(jws);
	if (rc)
		return rc;
	SHA256(b->bytes, begin, hash);
	if (n != sizeof(hash) || memcmp(hash, signed_hash, n))
		rc = vmc_fail(err, VMC_EAUTH, "the backup is refused: its files are not those that were signed");
	free(signed_hash);
	return rc;
}

/* ---- the password -------------------------------------------------------------------------- */

/* AEAD_KEY bytes in the secure heap. */
static int derive(const char *password, size_t n, const uint8_t *header, uint8_t **key, struct vmc_error *err)
{
	uint64_t cost = 1ull << header[LOG2N_AT];
	uint8_t *k = secmem_alloc(AEAD_KEY);

	if (!k)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a backup's key");
	if (EVP_PBE_scrypt(password, n, header + SALT_AT, SALT, cost, SCRYPT_R, 1, cost * SCRYPT_R * 128 + (1 << 20), k,
			   AEAD_KEY) == 1) {
		*key = k;
		return 0;
	}
	secmem_free(k, AEAD_KEY);
	ERR_clear_error();
	return vmc_fail(err, VMC_ENOMEM, "no memory to make a key of the password");
}

int backup_lock(const struct backup_body *b, const char *password, size_t n, uint8_t **file, size_t *len,
		struct vmc_error *err)
{
	uint8_t *f = malloc(BACKUP_HEADER + b->n), *key = NULL;
	int rc;

	if (!f)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a backup");
	memcpy(f, magic, sizeof(magic));
	f[LOG2N_AT] = BACKUP_SCRYPT_LOG2N;
	rc = RAND_bytes(f + SALT_AT, SALT) == 1 ? 0 : vmc_fail(err, VMC_EINTERNAL, "no random numbers");
	if (!rc)
		rc = derive(password, n, f, &key, err);
	if (!rc)
		rc = aead_seal(key, f, NONCE_AT, b->bytes, b->n, f + NONCE_AT, f + BACKUP_HEADER, f + TAG_AT, err);
	secmem_free(key, AEAD_KEY);
	if (rc) {
		free(f);
		return rc;
	}
	*file = f;
	*len = BACKUP_HEADER + b->n;
	return 0;
}

static int check_header(const uint8_t *file, size_t len, struct vmc_error *err)
{
	if (len > BACKUP_HEADER && len <= BACKUP_HEADER + BACKUP_FILE_MAX && !memcmp(file, magic, sizeof(magic)) &&
	    file[LOG2N_AT] >= LOG2N_MIN && file[LOG2N_AT] <= LOG2N_MAX)
		return 0;
	vmc_fail(err, VMC_EINVAL, "this is not the backup of a Trust Authority");
	vmc_hint(err, "give the file that 'vmcrypt trust backup' wrote, as it is");
	return VMC_EINVAL;
}

static unsigned int count(const struct backup_body *b)
{
	struct backup_record r;
	unsigned int n = 0;

	for (size_t at = 0; backup_next(b, &at, &r);)
		n++;
	return n;
}

int backup_unlock(const uint8_t *file, size_t len, const char *password, size_t n, struct backup_body *b,
		  struct vmc_error *err)
{
	uint8_t *key = NULL;
	int rc = check_header(file, len, err);

	if (!rc)
		rc = backup_body_new(b, err);
	if (rc)
		return rc;
	rc = derive(password, n, file, &key, err);
	if (!rc)
		rc = aead_open(key, file, NONCE_AT, file + BACKUP_HEADER, len - BACKUP_HEADER, file + NONCE_AT,
			       file + TAG_AT, b->bytes, err);
	secmem_free(key, AEAD_KEY);
	b->n = rc ? 0 : len - BACKUP_HEADER;
	if (rc == VMC_EAUTH) {
		vmc_fail(err, rc, "the backup does not open: the password is another, or the file was altered");
		vmc_hint(err, "give the password that the backup was made with");
	}
	if (!rc)
		rc = backup_body_check(b, err);
	if (rc)
		backup_body_free(b);
	else
		b->files = count(b);
	return rc;
}
