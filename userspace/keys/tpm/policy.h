/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the TPM gives a sealed secret back: while the PCRs are as they were, or
 * as the owner of a key has signed that they may be; and, on top of either, only
 * while an NV counter has a value (so that an old blob dies for good), and only
 * up to a number of starts of the host.
 */
#ifndef VMC_TPM_POLICY_H
#define VMC_TPM_POLICY_H

#include "tpm.h"

#define POLICY_SIGNER_MAX	1024	/* DER of an RSA key of 4096 bits: some 550 */
#define POLICY_PCRS		24

enum policy_kind {
	POLICY_PCR = 1,		/* the PCRs as they are now */
	POLICY_SIGNED = 2,	/* what @signer signs, in systemd's tpm2-pcr-signature.json */
	POLICY_OPEN = 3,	/* no PCR at all: whatever this host boots */
};

struct seal_policy {
	enum policy_kind kind;
	TPMI_ALG_HASH bank;
	uint32_t pcrs;			/* bit n: PCR n; POLICY_PCR only */
	uint8_t signer[POLICY_SIGNER_MAX];	/* SubjectPublicKeyInfo; POLICY_SIGNED only */
	size_t n_signer;
	uint32_t epoch_index;		/* 0: none; else the NV counter that must be at @epoch */
	uint64_t epoch;
	uint32_t max_resets;		/* 0: any; else the last TPM reset count that will do */
};

/* What [tpm] says: pcrs and bank, or public_key. Reads the key's file. */
int policy_from_config(const struct vmc_config *cfg, struct seal_policy *p, struct vmc_error *err);
/* "PCR 7 (sha256)", "PCR policies signed by 1a2b3c4d5e6f7081 (sha256)", "no PCR" */
void policy_describe(const struct seal_policy *p, char out[128]);
const char *policy_bank_name(TPMI_ALG_HASH bank);

/* The digest to seal to. Needs srk_open(). */
int policy_digest(struct tpm *t, const struct seal_policy *p, TPM2B_DIGEST *digest, struct vmc_error *err);
/*
 * A session that satisfies @p, or VMC_ETPMPOLICY (what was booted differs; no
 * signature for it; too many starts) or VMC_EREPLAY (the counter went on).
 * @cfg tells where signatures are. Caller flushes @s.
 */
int policy_session(struct tpm *t, const struct vmc_config *cfg, const struct seal_policy *p, ESYS_TR *s,
		   struct vmc_error *err);

/* Values of @pcrs now, in ascending order: @digests needs POLICY_PCRS places. VMC_ENOTSUP: no such bank. */
int policy_read_pcrs(struct tpm *t, TPMI_ALG_HASH bank, uint32_t pcrs, TPM2B_DIGEST *digests, size_t *n,
		     struct vmc_error *err);

#endif
