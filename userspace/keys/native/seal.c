// SPDX-License-Identifier: GPL-2.0-or-later
/* The KDK of a native provider, sealed to the host's TPM. See seal.h. */
#include "seal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "../tpm/seal.h"
#include "../tpm/srk.h"

/* Some TPMs serve one user at a time. */
static pthread_mutex_t tpm_lock = PTHREAD_MUTEX_INITIALIZER;

static int seal(const struct vmc_config *cfg, const uint8_t *secret, size_t len, char *blob, size_t *blob_len,
		struct vmc_error *err)
{
	struct seal_policy policy;
	struct tpm t;
	int rc;

	rc = policy_from_config(cfg, &policy, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&tpm_lock);
	rc = tpm_open(&t, cfg, err);
	if (!rc)
		rc = tpm_seal(&t, &policy, secret, len, (uint8_t *)blob, blob_len, err);
	tpm_close(&t);
	pthread_mutex_unlock(&tpm_lock);
	return rc;
}

static int host_seal(const struct vmc_config *cfg, const uint8_t *secret, size_t len, char **blob,
		     size_t *blob_len, struct vmc_error *err)
{
	int rc;

	*blob = malloc(BLOB_MAX);
	if (!*blob)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a sealed key");
	rc = seal(cfg, secret, len, *blob, blob_len, err);
	if (rc) {
		free(*blob);
		*blob = NULL;
	}
	return rc;
}

static int unseal(const struct vmc_config *cfg, const char *blob, size_t blob_len, uint8_t *secret, size_t *n,
		  struct vmc_error *err)
{
	struct tpm t;
	int rc;

	pthread_mutex_lock(&tpm_lock);
	rc = tpm_open(&t, cfg, err);
	if (!rc)
		rc = tpm_unseal(&t, cfg, (const uint8_t *)blob, blob_len, secret, n, err);
	tpm_close(&t);
	pthread_mutex_unlock(&tpm_lock);
	return rc;
}

static int host_unseal(const struct vmc_config *cfg, const char *blob, size_t blob_len, uint8_t *secret,
		       size_t len, struct vmc_error *err)
{
	uint8_t *whole = secmem_alloc(SEAL_MAX);
	size_t n = 0;
	int rc;

	if (!whole)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a sealed key");
	rc = unseal(cfg, blob, blob_len, whole, &n, err);
	if (!rc && n != len)
		rc = vmc_fail(err, VMC_EINVAL, "the sealed key has %zu bytes, not %zu", n, len);
	if (!rc)
		memcpy(secret, whole, len);
	secmem_free(whole, SEAL_MAX);
	return rc;
}

static const struct native_sealer host = { host_seal, host_unseal, srk_unpin };

const struct native_sealer *native_sealer = &host;
