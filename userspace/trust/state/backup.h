/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backup of an authority: all files of its folder, signed by the cluster's
 * key, in one file under a password. Pure: bytes in and out.
 *
 *	header	magic, log2 of scrypt's N, salt, nonce, tag		in clear, authenticated
 *	body	AES-256-GCM under scrypt(password, salt, N, r 8, p 1) of
 *		records: path length (2), data length (4), path, data; big endian;
 *		the last has the path "signature": a JWS over the SHA-256 of those before
 */
#ifndef VMC_TRUST_BACKUP_H
#define VMC_TRUST_BACKUP_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define BACKUP_FILE_MAX		(16u << 20)	/* bytes of all records together */
#define BACKUP_FILES_MAX	4096
#define BACKUP_PATH_MAX		255
#define BACKUP_HEADER		76
#define BACKUP_SCRYPT_LOG2N	15		/* 32 MiB */
#define BACKUP_PASSWORD_BYTES_MIN	8
#define BACKUP_PASSWORD_BYTES_MAX	1024

/* Records that are gathered; the memory is wiped when it is let go. */
struct backup_body {
	uint8_t *bytes;
	size_t n;
	unsigned int files;
};

int backup_body_new(struct backup_body *b, struct vmc_error *err);
void backup_body_free(struct backup_body *b);
/* VMC_ENOSPC: more than a backup may have. */
int backup_body_add(struct backup_body *b, const char *path, const void *data, size_t len, struct vmc_error *err);
int backup_body_sign(struct backup_body *b, EVP_PKEY *key, struct vmc_error *err);
/* With the key that signed: VMC_EAUTH. */
int backup_body_verify(const struct backup_body *b, EVP_PKEY *key, struct vmc_error *err);

/* One record; @path and @data point into the body. */
struct backup_record {
	char path[BACKUP_PATH_MAX + 1];
	const uint8_t *data;
	size_t len;
};
/* The record at *@at, which goes on to the next. False at the end; for bodies that backup_body_check() took. */
bool backup_next(const struct backup_body *b, size_t *at, struct backup_record *r);
/* VMC_EINVAL: records that are cut, that come twice, or whose paths lead out of a folder. */
int backup_body_check(const struct backup_body *b, struct vmc_error *err);

/* @password: @n bytes. The file's bytes are new; free() them. */
int backup_lock(const struct backup_body *b, const char *password, size_t n, uint8_t **file, size_t *len,
		struct vmc_error *err);
/* VMC_EINVAL: no such backup; VMC_EAUTH: another password, or altered. @b is new. */
int backup_unlock(const uint8_t *file, size_t len, const char *password, size_t n, struct backup_body *b,
		  struct vmc_error *err);

#endif
