// SPDX-License-Identifier: GPL-2.0-or-later
/* Quotes of this host's PCRs, see quote.h. */
#include "quote.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/i18n.h"
#include "policy.h"
#include "session.h"

#define TRIES	4	/* PCRs change while the host starts, hardly ever later */

static int read_values(struct tpm *t, struct tpm_quote *q, struct vmc_error *err)
{
	TPM2B_DIGEST digests[POLICY_PCRS];
	size_t n, next = 0;
	int rc = policy_read_pcrs(t, q->bank, q->mask, digests, &n, err);

	for (unsigned int i = 0; !rc && i < TPM_QUOTE_PCRS; i++)
		if (q->mask & 1u << i && next < n) {
			memcpy(q->value[i], digests[next].buffer, digests[next].size);
			next++;
		}
	return rc;
}

static int quote(struct tpm *t, const struct tpm_ak *ak, const uint8_t extra[TPM_QUOTE_EXTRA], struct tpm_quote *q,
		 struct vmc_error *err)
{
	static const TPMT_SIG_SCHEME by_key = { .scheme = TPM2_ALG_NULL };
	const TPML_PCR_SELECTION sel = {
		.count = 1,
		.pcrSelections = { {
			.hash = q->bank, .sizeofSelect = 3,
			.pcrSelect = { (BYTE)q->mask, (BYTE)(q->mask >> 8), (BYTE)(q->mask >> 16) },
		} },
	};
	TPM2B_DATA data = { .size = TPM_QUOTE_EXTRA };
	TPMT_SIGNATURE *sig = NULL;
	TPM2B_ATTEST *attest = NULL;
	TSS2_RC rc;

	memcpy(data.buffer, extra, TPM_QUOTE_EXTRA);
	session_set(t, 0);
	rc = Esys_Quote(t->esys, ak->handle, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &data, &by_key, &sel, &attest, &sig);
	if (rc)
		return tpm_fail(t, rc, N_("quote its PCRs"), err);
	q->n_signature = 0;
	q->n_attest = attest->size;
	memcpy(q->attest, attest->attestationData, attest->size);
	rc = Tss2_MU_TPMT_SIGNATURE_Marshal(sig, q->signature, sizeof(q->signature), &q->n_signature);
	Esys_Free(attest);
	Esys_Free(sig);
	return rc ? vmc_fail(err, VMC_EINTERNAL, "a quote cannot be written down") : 0;
}

/* 1: what was read is what was quoted; 0: it is not; or an error. */
static int consistent(const struct tpm_quote *q, struct vmc_error *err)
{
	uint8_t all[TPM_QUOTE_PCRS * sizeof(q->value[0])], digest[32];
	TPMS_ATTEST a = { 0 };
	size_t used = 0, n = 0, size = q->bank == TPM2_ALG_SHA384 ? 48 : 32;

	if (Tss2_MU_TPMS_ATTEST_Unmarshal(q->attest, q->n_attest, &used, &a) || a.type != TPM2_ST_ATTEST_QUOTE)
		return vmc_fail(err, VMC_EIO, "the TPM made no quote when it was to make one");
	for (unsigned int i = 0; i < TPM_QUOTE_PCRS; i++)
		if (q->mask & 1u << i) {
			memcpy(all + n, q->value[i], size);
			n += size;
		}
	if (EVP_Digest(all, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot do what it is asked for");
	return a.attested.quote.pcrDigest.size == sizeof(digest) &&
	       !CRYPTO_memcmp(a.attested.quote.pcrDigest.buffer, digest, sizeof(digest));
}

int tpm_quote(struct tpm *t, const struct tpm_ak *ak, TPMI_ALG_HASH bank, uint32_t mask,
	      const uint8_t extra[TPM_QUOTE_EXTRA], struct tpm_quote *q, struct vmc_error *err)
{
	*q = (struct tpm_quote){ .bank = bank, .mask = mask };
	if (!mask || mask >> TPM_QUOTE_PCRS || (bank != TPM2_ALG_SHA256 && bank != TPM2_ALG_SHA384))
		return vmc_fail(err, VMC_ENOTSUP, "a quote is of PCRs 0 to %u, of bank sha256 or sha384", TPM_QUOTE_PCRS - 1);
	for (int i = 0; i < TRIES; i++) {
		int rc = read_values(t, q, err);

		if (!rc)
			rc = quote(t, ak, extra, q, err);
		if (!rc)
			rc = consistent(q, err);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	vmc_fail(err, VMC_EBUSY, "the PCRs of the TPM at '%s' change all the time", t->name);
	vmc_hint(err, "something on this host measures without end; try again when it has started");
	return VMC_EBUSY;
}
