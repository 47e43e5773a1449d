// SPDX-License-Identifier: GPL-2.0-or-later
/* What a quote says, see quote.h; TPM 2.0 Library, part 2, 10.12. */
#include "quote.h"

#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "pubkey.h"

static int malformed(const char *what, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EINVAL, "the quote is malformed: %s", message_say(what));
}

static int refuse(const char *why, struct vmc_error *err)
{
	return vmc_fail(err, VMC_EAUTH, "the quote is refused: %s", message_say(why));
}

/* ---- the signature ------------------------------------------------------------ */

static int parse_signature(const struct quote_evidence *q, uint8_t **der, size_t *n, struct vmc_error *err)
{
	const TPMS_SIGNATURE_ECC *e;
	TPMT_SIGNATURE sig = { 0 };
	ECDSA_SIG *ecdsa;
	BIGNUM *r, *s;
	size_t used = 0;
	int len = 0;

	if (!q->signature || q->n_signature > QUOTE_SIGNATURE_MAX ||
	    Tss2_MU_TPMT_SIGNATURE_Unmarshal(q->signature, q->n_signature, &used, &sig) || used != q->n_signature)
		return malformed(N_("its signature is none"), err);
	e = &sig.signature.ecdsa;
	if (sig.sigAlg != TPM2_ALG_ECDSA || e->hash != TPM2_ALG_SHA256)
		return refuse(N_("it is not signed by ECDSA with SHA-256"), err);
	*der = NULL;
	ecdsa = ECDSA_SIG_new();
	r = BN_bin2bn(e->signatureR.buffer, e->signatureR.size, NULL);
	s = BN_bin2bn(e->signatureS.buffer, e->signatureS.size, NULL);
	if (ecdsa && r && s && ECDSA_SIG_set0(ecdsa, r, s) == 1) {
		r = s = NULL;
		len = i2d_ECDSA_SIG(ecdsa, der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(ecdsa);
	*n = len > 0 ? (size_t)len : 0;
	return len > 0 ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory to check a quote");
}

static int check_signature(const struct quote_evidence *q, struct vmc_error *err)
{
	EVP_MD_CTX *c = NULL;
	EVP_PKEY *key = NULL;
	uint8_t *der = NULL;
	size_t n = 0;
	int rc;

	rc = parse_signature(q, &der, &n, err);
	if (!rc)
		rc = pubkey_from_tpm(&q->ak->pub, &key, err);
	if (!rc)
		c = EVP_MD_CTX_new();
	if (!rc && (!c || EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) != 1))
		rc = vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot check a quote");
	if (!rc && EVP_DigestVerify(c, der, n, q->attest, q->n_attest) != 1)
		rc = refuse(N_("it is not signed by this host's attestation key"), err);
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(key);
	OPENSSL_free(der);
	return rc;
}

/* ---- what was signed ------------------------------------------------------------ */

static int parse_attest(const struct quote_evidence *q, TPMS_ATTEST *a, struct vmc_error *err)
{
	static const uint8_t magic[] = { 0xff, 'T', 'C', 'G' };
	size_t used = 0;

	*a = (TPMS_ATTEST){ 0 };
	if (!q->attest || q->n_attest < sizeof(magic) + 2 || q->n_attest > QUOTE_ATTEST_MAX)
		return malformed(N_("it is too short or too long"), err);
	if (memcmp(q->attest, magic, sizeof(magic)))
		return refuse(N_("it was not made by a TPM"), err);
	if (q->attest[4] != TPM2_ST_ATTEST_QUOTE >> 8 || q->attest[5] != (TPM2_ST_ATTEST_QUOTE & 0xff))
		return refuse(N_("it is another statement of the TPM, not a quote"), err);
	if (Tss2_MU_TPMS_ATTEST_Unmarshal(q->attest, q->n_attest, &used, a) || used != q->n_attest)
		return malformed(N_("it is cut, or longer than it says"), err);
	return 0;
}

/* One bank, and of it what was asked for. */
static int check_selection(const TPML_PCR_SELECTION *s, const struct pcrs *want, struct vmc_error *err)
{
	const TPMS_PCR_SELECTION *one = &s->pcrSelections[0];
	uint32_t mask = 0;

	if (s->count != 1)
		return refuse(N_("it is not about exactly one PCR bank"), err);
	if (one->hash != want->bank)
		return refuse(N_("it is about another PCR bank than was asked for"), err);
	for (unsigned int i = 0; i < one->sizeofSelect && i < sizeof(one->pcrSelect); i++)
		mask |= (uint32_t)one->pcrSelect[i] << (8 * i);
	if (mask != want->mask)
		return refuse(N_("it is about other PCRs than were asked for"), err);
	return 0;
}

static int check_digest(const TPM2B_DIGEST *d, const struct pcrs *want, struct vmc_error *err)
{
	uint8_t all[PCRS * sizeof(want->value[0])], digest[32];
	size_t n = 0, size = pcrs_size(want->bank);

	for (unsigned int i = 0; i < PCRS; i++)
		if (want->mask & 1u << i) {
			memcpy(all + n, want->value[i], size);
			n += size;
		}
	if (EVP_Digest(all, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot check a quote");
	if (d->size != sizeof(digest) || CRYPTO_memcmp(d->buffer, digest, sizeof(digest)))
		return refuse(N_("the PCR values that came with it are not those that were quoted"), err);
	return 0;
}

int quote_check(const struct quote_evidence *q, struct quote_facts *facts, struct vmc_error *err)
{
	TPMS_ATTEST a;
	int rc;

	*facts = (struct quote_facts){ 0 };
	rc = parse_attest(q, &a, err);
	if (!rc && (a.extraData.size != QUOTE_EXTRA || CRYPTO_memcmp(a.extraData.buffer, q->extra, QUOTE_EXTRA)))
		rc = refuse(N_("it answers another challenge, or was made for another key or audience"), err);
	if (!rc)
		rc = check_selection(&a.attested.quote.pcrSelect, q->pcrs, err);
	if (!rc)
		rc = check_digest(&a.attested.quote.pcrDigest, q->pcrs, err);
	if (!rc)
		rc = check_signature(q, err);
	if (rc)
		return rc;
	*facts = (struct quote_facts){
		.reset_count = a.clockInfo.resetCount, .restart_count = a.clockInfo.restartCount,
		.clock = a.clockInfo.clock, .safe = a.clockInfo.safe, .firmware = a.firmwareVersion,
	};
	return 0;
}

int quote_follows(const struct quote_facts *before, const struct quote_facts *now, struct vmc_error *err)
{
	if (now->reset_count < before->reset_count)
		return vmc_fail(err, VMC_EREPLAY, "the TPM has started %u times, but had started %u times before",
				now->reset_count, before->reset_count);
	if (now->reset_count == before->reset_count && now->restart_count < before->restart_count)
		return vmc_fail(err, VMC_EREPLAY, "the TPM has resumed %u times since its start, but had resumed %u times before",
				now->restart_count, before->restart_count);
	if (now->safe && now->clock < before->clock)
		return vmc_fail(err, VMC_EREPLAY, "the TPM's clock is at %llu ms, but was at %llu ms before",
				(unsigned long long)now->clock, (unsigned long long)before->clock);
	return 0;
}
