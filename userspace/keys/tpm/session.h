/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions whose salt only the pinned SRK can read: nobody on the bus sees a secret or forges an answer. */
#ifndef VMC_TPM_SESSION_H
#define VMC_TPM_SESSION_H

#include "tpm.h"

/* The HMAC session t->hmac. Needs the SRK. */
int session_open(struct tpm *t, struct vmc_error *err);
/* What t->hmac does in the next command: TPMA_SESSION_AUDIT, _ENCRYPT (answer), _DECRYPT (question). */
void session_set(struct tpm *t, TPMA_SESSION what);
/* A policy session (answers encrypted), or a trial one. Caller flushes. */
int session_policy(struct tpm *t, bool trial, ESYS_TR *s, struct vmc_error *err);
/* A policy session of another hash, for a key whose policy is by that. It encrypts nothing; t->hmac may. Caller flushes. */
int session_policy_by(struct tpm *t, TPMI_ALG_HASH hash, ESYS_TR *s, struct vmc_error *err);

#endif
