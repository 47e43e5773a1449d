/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's TPM 2.0, by the ESAPI of tpm2-tss, for the time of one operation.
 *
 * Open it, do what there is to do, close it: some TPMs serve one user at a
 * time. Nothing here retries what the TPM refused, so that a TPM that guards
 * itself is not kept busy. Not for use from two threads at once.
 */
#ifndef VMC_TPM_TPM_H
#define VMC_TPM_TPM_H

#include <stdbool.h>
#include <stdint.h>
#include <tss2/tss2_esys.h>

#include "../../lib/config.h"
#include "../../lib/error.h"

#define TPM_DEADLINE_MS	60000u		/* for one command; making a key takes the slow ones seconds */

struct tpm {
	char name[256];			/* the TCTI, for texts */
	char pin[320];			/* file of the pin, see srk.h */
	TSS2_TCTI_CONTEXT *link;
	ESYS_CONTEXT *esys;
	ESYS_TR srk;			/* ESYS_TR_NONE until srk_open() */
	bool srk_transient;
	TPM2B_NAME srk_name;
	ESYS_TR hmac;			/* salted, see session.h */
};

/* VMC_ENOTPM when there is none, VMC_ETPMOFF when it does not work. */
int tpm_open(struct tpm *t, const struct vmc_config *cfg, struct vmc_error *err);
void tpm_close(struct tpm *t);		/* also after a tpm_open() that failed */

/* The error of a command that was to do @what ("seal the key"). Never returns 0. */
int tpm_fail(const struct tpm *t, TSS2_RC rc, const char *what, struct vmc_error *err);

/*
 * ESAPI keeps the last answer, decrypted, in a buffer of its own: write over it
 * with an answer that is longer and of no worth.
 */
void tpm_scrub(struct tpm *t);

/* What is worth to know of it without a key: for status and the doctor. */
struct tpm_facts {
	char maker[5];			/* "IBM" */
	bool locked_out;
	bool owner_enabled, owner_password;
	uint32_t lockout_count, lockout_max;
};
int tpm_facts(struct tpm *t, struct tpm_facts *f, struct vmc_error *err);

struct tpm_clock {
	uint64_t ms;			/* counts while the TPM has power; goes back only by a clear */
	uint32_t resets;		/* starts of the host since the TPM was last cleared */
	uint32_t restarts;		/* resumes since the last start */
	bool safe;			/* false: @ms may repeat up to some 70 minutes, after a power cut */
};
int tpm_clock(struct tpm *t, struct tpm_clock *c, struct vmc_error *err);

#endif
