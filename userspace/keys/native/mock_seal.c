// SPDX-License-Identifier: GPL-2.0-or-later
/* A TPM for the tests of native providers. See mock_seal.h. */
#include "mock_seal.h"

#include <stdlib.h>
#include <string.h>

#include "seal.h"

#define HEAD 2	/* 'T' and the mask */

struct mock_tpm mock_tpm;

static int absent(struct vmc_error *err)
{
	int rc = vmc_fail(err, VMC_ENOTSUP, "this host has no TPM 2.0");

	vmc_hint(err, "turn it on in the firmware");
	return rc;
}

static int mock_seal(const struct vmc_config *cfg, const uint8_t *secret, size_t len, char **blob,
		     size_t *blob_len, struct vmc_error *err)
{
	(void)cfg;
	if (mock_tpm.absent)
		return absent(err);
	if (mock_tpm.pinned && mock_tpm.pinned != mock_tpm.mask)
		return vmc_fail(err, VMC_ETPMROOT, "not the TPM that this host knows");
	*blob_len = HEAD + len;
	*blob = malloc(*blob_len);
	if (!*blob)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	(*blob)[0] = 'T';
	(*blob)[1] = (char)mock_tpm.mask;
	for (size_t i = 0; i < len; i++)
		(*blob)[HEAD + i] = (char)(secret[i] ^ mock_tpm.mask);
	return 0;
}

static int mock_unseal(const struct vmc_config *cfg, const char *blob, size_t blob_len, uint8_t *secret,
		       size_t len, struct vmc_error *err)
{
	(void)cfg;
	if (mock_tpm.absent)
		return absent(err);
	if (blob_len != HEAD + len || blob[0] != 'T' || (uint8_t)blob[1] != mock_tpm.mask)
		return vmc_fail(err, VMC_ETPMROOT, "sealed to another TPM");
	for (size_t i = 0; i < len; i++)
		secret[i] = (uint8_t)blob[HEAD + i] ^ mock_tpm.mask;
	mock_tpm.unsealed++;
	return 0;
}

static int mock_adopt(const struct vmc_config *cfg, struct vmc_error *err)
{
	(void)cfg, (void)err;
	mock_tpm.pinned = mock_tpm.mask;
	return 0;
}

static const struct native_sealer mock_sealer = { mock_seal, mock_unseal, mock_adopt };

void mock_seal_use(void)
{
	mock_tpm = (struct mock_tpm){ .mask = 0x5a, .pinned = 0x5a };
	native_sealer = &mock_sealer;
}
