// SPDX-License-Identifier: GPL-2.0-or-later
/* Seal a short secret to this host's TPM, see seal.h. */
#include "seal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "session.h"
#include "srk.h"

/* ---- seal ---------------------------------------------------------------- */

static int create(struct tpm *t, const TPM2B_DIGEST *policy, const uint8_t *secret, size_t n, struct blob *b,
		  struct vmc_error *err)
{
	const TPM2B_PUBLIC want = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA |
					    TPMA_OBJECT_ADMINWITHPOLICY,
			.authPolicy = *policy,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
	};
	static const TPM2B_DATA no_info;
	static const TPML_PCR_SELECTION no_pcrs;
	TPM2B_SENSITIVE_CREATE in = { .sensitive.data.size = (UINT16)n };
	TPM2B_PRIVATE *priv = NULL;
	TPM2B_PUBLIC *pub = NULL;
	TSS2_RC rc;

	memcpy(in.sensitive.data.buffer, secret, n);
	session_set(t, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT);
	rc = Esys_Create(t->esys, t->srk, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &in, &want, &no_info, &no_pcrs,
			 &priv, &pub, NULL, NULL, NULL);
	OPENSSL_cleanse(&in, sizeof(in));
	if (rc)
		return tpm_fail(t, rc, N_("seal a secret"), err);
	b->priv = *priv;
	b->pub = *pub;
	Esys_Free(priv);
	Esys_Free(pub);
	return 0;
}

int tpm_seal(struct tpm *t, const struct seal_policy *p, const uint8_t *secret, size_t n,
	     uint8_t out[BLOB_MAX], size_t *len, struct vmc_error *err)
{
	struct blob b = { .policy = *p };
	TPM2B_DIGEST digest;
	int rc;

	if (!n || n > SEAL_MAX)
		return vmc_fail(err, VMC_EINVAL, "%zu bytes cannot be sealed; 1 to %d can", n, SEAL_MAX);
	rc = srk_open(t, true, err);
	if (!rc)
		rc = policy_digest(t, p, &digest, err);
	if (!rc && p->kind == POLICY_PCR)
		rc = policy_read_pcrs(t, p->bank, p->pcrs, b.pcr, &b.n_pcr, err);
	if (!rc)
		rc = create(t, &digest, secret, n, &b, err);
	b.srk = t->srk_name;
	return rc ? rc : blob_write(&b, out, len, err);
}

/* ---- unseal -------------------------------------------------------------- */

static bool same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && !memcmp(a->name, b->name, a->size);
}

/* "PCR 4 and 7", those whose values are not as they were. */
static void name_changed(struct tpm *t, const struct blob *b, char out[128])
{
	TPM2B_DIGEST now[POLICY_PCRS];
	size_t n, at = 0, i = 0;

	out[0] = '\0';
	if (policy_read_pcrs(t, b->policy.bank, b->policy.pcrs, now, &n, NULL) || n != b->n_pcr)
		return;
	for (unsigned int pcr = 0; pcr < POLICY_PCRS && at < 112; pcr++) {
		if (!(b->policy.pcrs & 1u << pcr))
			continue;
		if (now[i].size != b->pcr[i].size || memcmp(now[i].buffer, b->pcr[i].buffer, now[i].size))
			at += (size_t)snprintf(out + at, 128 - at, "%s%u", at ? ", " : "PCR ", pcr);
		i++;
	}
}

static int refused(struct tpm *t, const struct blob *b, struct vmc_error *err)
{
	char which[128], policy[128];

	name_changed(t, b, which);
	policy_describe(&b->policy, policy);
	if (*which)
		vmc_fail(err, VMC_ETPMPOLICY, "this host booted something else than what was sealed to: %s changed (%s)",
			 which, policy);
	else
		vmc_fail(err, VMC_ETPMPOLICY, "the TPM at '%s' does not accept what this host booted (%s)", t->name,
			 policy);
	vmc_hint(err, "after a change of firmware, Secure Boot keys or kernel that you made: vmcrypt host persistence reseal; if you made none, find out what changed before you trust this host");
	return VMC_ETPMPOLICY;
}

static bool is_policy_refusal(TSS2_RC rc)
{
	TSS2_RC base = rc & 0xffff & ~(TPM2_RC_N_MASK | TPM2_RC_P);

	return base == TPM2_RC_POLICY_FAIL || (rc & 0xffff) == TPM2_RC_PCR_CHANGED;
}

static int load(struct tpm *t, const struct blob *b, ESYS_TR *object, struct vmc_error *err)
{
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT);
	rc = Esys_Load(t->esys, t->srk, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &b->priv, &b->pub, object);
	if (!rc)
		return 0;
	if ((rc & 0xffff & ~(TPM2_RC_N_MASK | TPM2_RC_P)) != TPM2_RC_INTEGRITY)
		return tpm_fail(t, rc, N_("load what was sealed"), err);
	vmc_fail(err, VMC_EAUTH, "what is to be unsealed was altered: the TPM at '%s' did not make it like that", t->name);
	vmc_hint(err, "bring the state folder back from a backup of this host; or vmcrypt host persistence reseal takes the keys from their providers anew");
	return VMC_EAUTH;
}

static int unseal(struct tpm *t, const struct blob *b, ESYS_TR object, ESYS_TR policy, uint8_t *secret, size_t *n,
		  struct vmc_error *err)
{
	TPM2B_SENSITIVE_DATA *data = NULL;
	int code = 0;
	TSS2_RC rc;

	rc = Esys_Unseal(t->esys, object, policy, ESYS_TR_NONE, ESYS_TR_NONE, &data);
	if (rc)
		return is_policy_refusal(rc) ? refused(t, b, err) : tpm_fail(t, rc, N_("unseal a secret"), err);
	tpm_scrub(t);
	if (data->size > SEAL_MAX || !data->size) {
		code = vmc_fail(err, VMC_EINVAL, "what was sealed is of %u bytes", data->size);
	} else {
		memcpy(secret, data->buffer, data->size);
		*n = data->size;
	}
	OPENSSL_cleanse(data, sizeof(*data));
	Esys_Free(data);
	return code;
}

int tpm_unseal(struct tpm *t, const struct vmc_config *cfg, const uint8_t *blob, size_t len,
	       uint8_t *secret, size_t *n, struct vmc_error *err)
{
	ESYS_TR object = ESYS_TR_NONE, policy = ESYS_TR_NONE;
	struct blob b;
	int rc;

	rc = blob_parse(blob, len, &b, err);
	if (!rc)
		rc = srk_open(t, false, err);
	if (rc)
		return rc;
	if (!same_name(&b.srk, &t->srk_name)) {
		vmc_fail(err, VMC_ETPMROOT, "what is to be unsealed was sealed by another TPM than the one at '%s'", t->name);
		vmc_hint(err, "it opens on the host that sealed it, and there only; take the keys from their providers: vmcrypt host persistence reseal");
		return VMC_ETPMROOT;
	}
	rc = load(t, &b, &object, err);
	if (rc)
		return rc;
	rc = policy_session(t, cfg, &b.policy, &policy, err);
	if (!rc) {
		rc = unseal(t, &b, object, policy, secret, n, err);
		Esys_FlushContext(t->esys, policy);
	}
	Esys_FlushContext(t->esys, object);
	return rc;
}
