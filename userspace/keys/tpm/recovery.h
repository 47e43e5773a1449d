/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The recovery key: opens the store when the TPM does not. 256 random bits, as
 * 16 groups of six digits; each group is a multiple of 11, so that a slip of the
 * pen is found where it was made. It is shown once and kept nowhere; what is
 * kept is the master key, encrypted by it.
 */
#ifndef VMC_TPM_RECOVERY_H
#define VMC_TPM_RECOVERY_H

#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define RECOVERY_KEY		32
#define RECOVERY_TEXT		(16 * 7)	/* with the closing NUL: groups with dashes between them */
#define RECOVERY_FILE		68		/* magic 8, nonce 12, key 32, tag 16 */

/* @text in the secure heap. */
void recovery_format(const uint8_t *key, char *text);
/* Dashes, spaces and a line's end are overlooked. VMC_EINVAL tells which group is wrong. */
int recovery_parse(const char *text, uint8_t *key, struct vmc_error *err);

/* @key, @master in the secure heap. */
int recovery_wrap(const uint8_t *key, const uint8_t *master, uint8_t file[RECOVERY_FILE], struct vmc_error *err);
int recovery_unwrap(const uint8_t *key, const uint8_t *file, size_t len, uint8_t *master, struct vmc_error *err);

#endif
