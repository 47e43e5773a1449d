/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backup of a native provider: PKCS#12 with one secret bag, encrypted by
 * PBES2 (PBKDF2-HMAC-SHA-256, AES-256-CBC), whole under a MAC of SHA-256. The
 * bag holds a version byte, the KDK and its check value; its friendlyName is
 * the provider's name and its localKeyID the key id.
 */
#ifndef VMC_NATIVE_BACKUP_H
#define VMC_NATIVE_BACKUP_H

#include <stddef.h>

#include "../provider.h"
#include "kdk.h"

#define BACKUP_SIZE_MAX		16384
#define BACKUP_PASSWORD_MIN	8	/* bytes of UTF-8 */
#define BACKUP_PASSWORD_MAX	1024
#define BACKUP_ITERATIONS	600000
#define BACKUP_ITERATIONS_MAX	10000000	/* of a file that is read: seconds, not hours */

struct backup {
	char name[PROVIDER_NAME_MAX + 1];	/* as the file says; not checked */
	struct kdk kdk;
};
void backup_clear(struct backup *b);	/* wipes */

/* VMC_EINVAL when it cannot be the password of a backup: too short, too long, a control character. */
int backup_password_check(const char *password, struct vmc_error *err);
/* DER of at most BACKUP_SIZE_MAX bytes into @*der; OPENSSL_free() it. */
int backup_make(const struct backup *b, const char *password, int iterations, uint8_t **der, size_t *len,
		struct vmc_error *err);
/* Bytes to struct: pure, strict, whole or not at all. VMC_EAUTH: wrong password, or altered. */
int backup_parse(const uint8_t *der, size_t len, const char *password, int iterations_max,
		 struct backup *b, struct vmc_error *err);
/* What is inside, once decrypted: a DER sequence of safe bags. */
int backup_parse_bags(const uint8_t *der, size_t len, struct backup *b, struct vmc_error *err);

#endif
