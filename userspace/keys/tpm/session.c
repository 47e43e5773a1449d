// SPDX-License-Identifier: GPL-2.0-or-later
/* Salted sessions, see session.h. */
#include "session.h"

#include "../../lib/i18n.h"

static const TPMT_SYM_DEF aes = {
	.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB,
};

#define ALL_USES (TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_AUDIT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT)

static int start(struct tpm *t, TPM2_SE kind, TPMA_SESSION what, TPMI_ALG_HASH hash, ESYS_TR *s,
		 struct vmc_error *err)
{
	TSS2_RC rc = Esys_StartAuthSession(t->esys, t->srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, NULL, kind, &aes, hash, s);

	if (rc) {
		*s = ESYS_TR_NONE;
		return tpm_fail(t, rc, N_("open a session"), err);
	}
	Esys_TRSess_SetAttributes(t->esys, *s, TPMA_SESSION_CONTINUESESSION | what, ALL_USES);
	return 0;
}

int session_open(struct tpm *t, struct vmc_error *err)
{
	return start(t, TPM2_SE_HMAC, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT, TPM2_ALG_SHA256,
		     &t->hmac, err);
}

void session_set(struct tpm *t, TPMA_SESSION what)
{
	Esys_TRSess_SetAttributes(t->esys, t->hmac, TPMA_SESSION_CONTINUESESSION | what, ALL_USES);
}

int session_policy(struct tpm *t, bool trial, ESYS_TR *s, struct vmc_error *err)
{
	return start(t, trial ? TPM2_SE_TRIAL : TPM2_SE_POLICY, trial ? 0 : TPMA_SESSION_ENCRYPT,
		     TPM2_ALG_SHA256, s, err);
}

int session_policy_by(struct tpm *t, TPMI_ALG_HASH hash, ESYS_TR *s, struct vmc_error *err)
{
	return start(t, TPM2_SE_POLICY, 0, hash, s, err);
}
