/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-256-GCM for one key, and keys that come of another, by OpenSSL. */
#ifndef VMC_TPM_AEAD_H
#define VMC_TPM_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define AEAD_KEY	32
#define AEAD_NONCE	12
#define AEAD_TAG	16

/* HKDF-SHA256 of @key (AEAD_KEY bytes) with @label; @out: AEAD_KEY bytes in the secure heap. */
int aead_derive(const uint8_t *key, const char *label, uint8_t *out, struct vmc_error *err);
/* A new nonce is made. */
int aead_seal(const uint8_t *key, const void *aad, size_t n_aad, const uint8_t *in, size_t n,
	      uint8_t nonce[AEAD_NONCE], uint8_t *out, uint8_t tag[AEAD_TAG], struct vmc_error *err);
/* VMC_EAUTH, and @out wiped, when any of it is not as it was. */
int aead_open(const uint8_t *key, const void *aad, size_t n_aad, const uint8_t *in, size_t n,
	      const uint8_t nonce[AEAD_NONCE], const uint8_t tag[AEAD_TAG], uint8_t *out, struct vmc_error *err);

#endif
