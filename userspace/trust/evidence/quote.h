/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a quote say what it is held to say? Pure; needs no TPM. */
#ifndef VMC_EVIDENCE_QUOTE_H
#define VMC_EVIDENCE_QUOTE_H

#include <stdbool.h>

#include "ak.h"
#include "pcrs.h"

#define QUOTE_EXTRA	32	/* bytes of extraData: a digest over nonce and all that is bound to it */
#define QUOTE_ATTEST_MAX	1024
#define QUOTE_SIGNATURE_MAX	256

struct quote_evidence {
	const struct ak *ak;
	const uint8_t *attest;		/* TPMS_ATTEST, whole: what was signed */
	size_t n_attest;
	const uint8_t *signature;	/* TPMT_SIGNATURE, whole */
	size_t n_signature;
	const uint8_t *extra;		/* QUOTE_EXTRA bytes that it must carry */
	const struct pcrs *pcrs;	/* exactly those that were asked for, and their values */
};

/* In what a key of the owner hierarchy signs, counts and firmware are disguised: keys/tpm/ak.h has one that is not. */
struct quote_facts {
	uint32_t reset_count;		/* starts since the TPM was last cleared */
	uint32_t restart_count;		/* resumes since the last start */
	uint64_t clock;			/* ms */
	bool safe;			/* false: @clock may repeat, see struct tpm_clock */
	uint64_t firmware;		/* the TPM's own version */
};

/*
 * VMC_EINVAL: malformed; VMC_EAUTH: not signed by @ak, or not about this; its
 * own text each. Nothing is told (@facts) unless all of it holds.
 */
int quote_check(const struct quote_evidence *q, struct quote_facts *facts, struct vmc_error *err);

/*
 * Can @now follow @before in the life of one TPM? VMC_EREPLAY: the counts or the
 * clock went back, as they do when the TPM is cleared: then the host has to enrol anew.
 */
int quote_follows(const struct quote_facts *before, const struct quote_facts *now, struct vmc_error *err);

#endif
