/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seal a short secret to this host's TPM, and get it back.
 *
 *	struct seal_policy policy;
 *	struct tpm t;
 *
 *	rc = policy_from_config(cfg, &policy, err);
 *	if (!rc)
 *		rc = tpm_open(&t, cfg, err);
 *	if (!rc)
 *		rc = tpm_seal(&t, &policy, kdk, 32, blob, &len, err);
 *	tpm_close(&t);
 *
 * The blob goes to a file; it is not secret. The objects are exempt from the
 * TPM's guard against guessing (noDA): there is nothing to guess.
 */
#ifndef VMC_TPM_SEAL_H
#define VMC_TPM_SEAL_H

#include "blob.h"
#include "policy.h"
#include "tpm.h"

#define SEAL_MAX	128	/* bytes of secret; what every TPM can do */

/* Pins the SRK when there is no pin yet. @secret: 1 to SEAL_MAX bytes. */
int tpm_seal(struct tpm *t, const struct seal_policy *p, const uint8_t *secret, size_t n,
	     uint8_t blob[BLOB_MAX], size_t *len, struct vmc_error *err);

/*
 * @secret: SEAL_MAX bytes in the secure heap. Each with its own remedy:
 * VMC_ENOTPM, VMC_ETPMOFF, VMC_ETPMLOCKOUT, VMC_ETPMCLEARED, VMC_ETPMROOT
 * (another TPM), VMC_ETPMPOLICY (the PCRs differ; the text names those that
 * do), VMC_EREPLAY (superseded blob), VMC_EINVAL (damaged), VMC_EAUTH (altered).
 */
int tpm_unseal(struct tpm *t, const struct vmc_config *cfg, const uint8_t *blob, size_t len,
	       uint8_t *secret, size_t *n, struct vmc_error *err);

#endif
