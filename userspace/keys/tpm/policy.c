// SPDX-License-Identifier: GPL-2.0-or-later
/* When the TPM gives a secret back, see policy.h. */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "pcrsig.h"
#include "session.h"
#include "signer.h"

#define RESET_COUNT_OFFSET	16	/* in TPMS_TIME_INFO: time 8, clock 8 */
#define READS_MAX		8	/* a TPM gives eight PCRs at most in one answer */

static const struct {
	const char *name;
	TPMI_ALG_HASH alg;
} banks[] = {
	{ "sha1", TPM2_ALG_SHA1 }, { "sha256", TPM2_ALG_SHA256 },
	{ "sha384", TPM2_ALG_SHA384 }, { "sha512", TPM2_ALG_SHA512 },
};

const char *policy_bank_name(TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (banks[i].alg == bank)
			return banks[i].name;
	return "?";
}

int policy_from_config(const struct vmc_config *cfg, struct seal_policy *p, struct vmc_error *err)
{
	*p = (struct seal_policy){ .kind = POLICY_PCR, .pcrs = cfg->tpm_pcrs };
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (!strcmp(banks[i].name, cfg->tpm_bank))
			p->bank = banks[i].alg;
	if (!cfg->tpm_public_key[0])
		return 0;
	p->kind = POLICY_SIGNED;
	p->pcrs = 0;
	return signer_read(cfg->tpm_public_key, p->signer, &p->n_signer, err);
}

static void describe_pcrs(const struct seal_policy *p, char out[128])
{
	size_t at = (size_t)snprintf(out, 128, "PCR ");
	const char *sep = "";

	for (unsigned int i = 0; i < POLICY_PCRS && at < 96; i++) {
		if (!(p->pcrs & 1u << i))
			continue;
		at += (size_t)snprintf(out + at, 128 - at, "%s%u", sep, i);
		sep = "+";
	}
	snprintf(out + at, 128 - at, " (%s)", policy_bank_name(p->bank));
}

void policy_describe(const struct seal_policy *p, char out[128])
{
	uint8_t fp[32] = { 0 };
	char hex[17];

	switch (p->kind) {
	case POLICY_PCR:
		describe_pcrs(p, out);
		return;
	case POLICY_SIGNED:
		(void)signer_fingerprint(p->signer, p->n_signer, fp, NULL);
		vmc_hex_encode(fp, 8, hex);
		snprintf(out, 128, "PCR policies signed by %s (%s)", hex, policy_bank_name(p->bank));
		return;
	default:
		snprintf(out, 128, "no PCR");
	}
}

static TPML_PCR_SELECTION selection(TPMI_ALG_HASH bank, uint32_t pcrs)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections = { {
			.hash = bank, .sizeofSelect = 3,
			.pcrSelect = { (BYTE)pcrs, (BYTE)(pcrs >> 8), (BYTE)(pcrs >> 16) },
		} },
	};
}

/* ---- reading PCRs ------------------------------------------------------- */

static uint32_t selected(const TPML_PCR_SELECTION *s, TPMI_ALG_HASH bank)
{
	uint32_t mask = 0;

	for (UINT32 i = 0; i < s->count; i++)
		if (s->pcrSelections[i].hash == bank)
			for (int b = 0; b < 3; b++)
				mask |= (uint32_t)s->pcrSelections[i].pcrSelect[b] << (8 * b);
	return mask;
}

static int no_bank(const struct tpm *t, TPMI_ALG_HASH bank, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOTSUP, "the TPM at '%s' has no PCR bank %s", t->name, policy_bank_name(bank));
	vmc_hint(err, "activate the bank in the firmware setup, or set bank= of [tpm] in vmcrypt.conf to one that is");
	return VMC_ENOTSUP;
}

int policy_read_pcrs(struct tpm *t, TPMI_ALG_HASH bank, uint32_t pcrs, TPM2B_DIGEST *digests, size_t *n,
		     struct vmc_error *err)
{
	*n = 0;
	for (int reads = 0; pcrs && reads < READS_MAX; reads++) {
		TPML_PCR_SELECTION want = selection(bank, pcrs), *got = NULL;
		TPML_DIGEST *values = NULL;
		TSS2_RC rc = Esys_PCR_Read(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want, NULL,
					   &got, &values);
		uint32_t mask;

		if (rc)
			return tpm_fail(t, rc, N_("read its PCRs"), err);
		mask = selected(got, bank) & pcrs;
		for (UINT32 i = 0; i < values->count && *n < POLICY_PCRS; i++)
			digests[(*n)++] = values->digests[i];
		Esys_Free(got);
		Esys_Free(values);
		if (!mask)
			break;
		pcrs &= ~mask;
	}
	return pcrs ? no_bank(t, bank, err) : 0;
}

/* ---- the parts of a policy -------------------------------------------------- */

/* An empty digest is "as they are now"; in a session that unseals it is the sealed policy that decides. */
static int add_pcrs(struct tpm *t, ESYS_TR s, TPMI_ALG_HASH bank, uint32_t pcrs, struct vmc_error *err)
{
	TPML_PCR_SELECTION sel = selection(bank, pcrs);
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_PolicyPCR(t->esys, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &sel);
	return rc ? tpm_fail(t, rc, N_("tie a policy to PCRs"), err) : 0;
}

static int digest_of(struct tpm *t, ESYS_TR s, TPM2B_DIGEST *digest, struct vmc_error *err)
{
	TPM2B_DIGEST *d = NULL;
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_ENCRYPT);	/* and so nobody can give us another digest to seal to */
	rc = Esys_PolicyGetDigest(t->esys, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &d);
	if (rc)
		return tpm_fail(t, rc, N_("tell the digest of a policy"), err);
	*digest = *d;
	Esys_Free(d);
	return 0;
}

static int load_signer(struct tpm *t, const struct seal_policy *p, ESYS_TR *key, TPM2B_NAME *name,
		       struct vmc_error *err)
{
	TPM2B_NAME *n = NULL;
	TPM2B_PUBLIC pub;
	TSS2_RC rc;
	int r;

	r = signer_public(p->signer, p->n_signer, &pub, err);
	if (r)
		return r;
	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_LoadExternal(t->esys, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &pub, ESYS_TR_RH_OWNER, key);
	if (rc)
		return tpm_fail(t, rc, N_("load the key that signs PCR policies"), err);
	rc = Esys_TR_GetName(t->esys, *key, &n);
	if (rc) {
		Esys_FlushContext(t->esys, *key);
		return tpm_fail(t, rc, N_("name the key that signs PCR policies"), err);
	}
	*name = *n;
	Esys_Free(n);
	return 0;
}

static int authorize(struct tpm *t, ESYS_TR s, const TPM2B_DIGEST *approved, const TPM2B_NAME *signer,
		     const TPMT_TK_VERIFIED *ticket, struct vmc_error *err)
{
	static const TPM2B_NONCE no_ref;
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_PolicyAuthorize(t->esys, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, approved, &no_ref, signer, ticket);
	return rc ? tpm_fail(t, rc, N_("approve of a policy"), err) : 0;
}

/* In a trial session nothing has to be signed yet. */
static int trial_authorize(struct tpm *t, ESYS_TR s, const struct seal_policy *p, struct vmc_error *err)
{
	static const TPM2B_DIGEST none;
	const TPMT_TK_VERIFIED ticket = { .tag = TPM2_ST_VERIFIED, .hierarchy = TPM2_RH_OWNER };
	TPM2B_NAME name;
	ESYS_TR key;
	int rc;

	rc = load_signer(t, p, &key, &name, err);
	if (rc)
		return rc;
	Esys_FlushContext(t->esys, key);
	return authorize(t, s, &none, &name, &ticket, err);
}

/* 1: the TPM says that this is the condition that does not hold. */
static int is_refusal(TSS2_RC rc)
{
	return (rc & 0xffff) == TPM2_RC_POLICY;
}

static int add_epoch(struct tpm *t, ESYS_TR s, const struct seal_policy *p, struct vmc_error *err)
{
	TPM2B_OPERAND want = { .size = 8 };
	ESYS_TR nv;
	TSS2_RC rc;

	for (int i = 0; i < 8; i++)
		want.buffer[i] = (BYTE)(p->epoch >> (56 - 8 * i));
	rc = Esys_TR_FromTPMPublic(t->esys, p->epoch_index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv);
	if (!rc) {
		session_set(t, 0);
		rc = Esys_PolicyNV(t->esys, nv, nv, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &want, 0, TPM2_EO_EQ);
		Esys_TR_Close(t->esys, &nv);
	} else if ((rc & 0xfff & ~TPM2_RC_N_MASK) == TPM2_RC_HANDLE) {
		rc = TPM2_RC_POLICY;	/* gone: nothing sealed with it opens any more */
	}
	if (!rc)
		return 0;
	if (!is_refusal(rc))
		return tpm_fail(t, rc, N_("tie a policy to its counter"), err);
	vmc_fail(err, VMC_EREPLAY, "what is to be unsealed is out of date: the TPM at '%s' has been told to forget it since",
		 t->name);
	vmc_hint(err, "an old state folder was put back: vmcrypt host persistence reseal takes the keys from their providers anew");
	return VMC_EREPLAY;
}

static int add_resets(struct tpm *t, ESYS_TR s, const struct seal_policy *p, struct vmc_error *err)
{
	TPM2B_OPERAND most = { .size = 4 };
	TSS2_RC rc;

	for (int i = 0; i < 4; i++)
		most.buffer[i] = (BYTE)(p->max_resets >> (24 - 8 * i));
	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_PolicyCounterTimer(t->esys, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &most,
				     RESET_COUNT_OFFSET, TPM2_EO_UNSIGNED_LE);
	if (!rc)
		return 0;
	if (!is_refusal(rc))
		return tpm_fail(t, rc, N_("tie a policy to its count of starts"), err);
	vmc_fail(err, VMC_ETPMPOLICY, "this host was started more often than the suspended seal allows");
	vmc_hint(err, "vmcrypt host persistence reseal");
	return VMC_ETPMPOLICY;
}

static int add_rest(struct tpm *t, ESYS_TR s, const struct seal_policy *p, struct vmc_error *err)
{
	int rc = p->epoch_index ? add_epoch(t, s, p, err) : 0;

	return !rc && p->max_resets ? add_resets(t, s, p, err) : rc;
}

int policy_digest(struct tpm *t, const struct seal_policy *p, TPM2B_DIGEST *digest, struct vmc_error *err)
{
	TPM2B_DIGEST values[POLICY_PCRS];
	size_t n;
	ESYS_TR s;
	int rc;

	if (p->kind == POLICY_PCR) {	/* a bank that is not there would be a policy that says nothing */
		rc = policy_read_pcrs(t, p->bank, p->pcrs, values, &n, err);
		if (rc)
			return rc;
	}
	rc = session_policy(t, true, &s, err);
	if (rc)
		return rc;
	if (p->kind == POLICY_PCR)
		rc = add_pcrs(t, s, p->bank, p->pcrs, err);
	else if (p->kind == POLICY_SIGNED)
		rc = trial_authorize(t, s, p, err);
	if (!rc)
		rc = add_rest(t, s, p, err);
	if (!rc)
		rc = digest_of(t, s, digest, err);
	Esys_FlushContext(t->esys, s);
	return rc;
}

/* ---- signed policies --------------------------------------------------------- */

static int read_signatures(const struct vmc_config *cfg, TPMI_ALG_HASH bank, struct pcrsig **sigs, size_t *n,
			   struct vmc_error *err)
{
	static const char *const where[] = {
		"/etc/systemd/tpm2-pcr-signature.json", "/run/systemd/tpm2-pcr-signature.json",
		"/usr/local/lib/systemd/tpm2-pcr-signature.json", "/usr/lib/systemd/tpm2-pcr-signature.json",
	};
	const char *path = cfg->tpm_signature;
	struct vmc_error local = VMC_ERROR_INIT;
	char *text = NULL;
	size_t len = 0;
	int rc = VMC_ENOENT;

	if (*path)
		rc = fs_read(path, PCRSIG_FILE_MAX, &text, &len, &local);
	for (size_t i = 0; !*path && rc == VMC_ENOENT && i < ARRAY_SIZE(where); i++)
		rc = fs_read(where[i], PCRSIG_FILE_MAX, &text, &len, &local);
	if (rc == VMC_ENOENT) {
		vmc_fail(err, VMC_ETPMPOLICY, "there is no file of signed PCR policies%s%s", *path ? ": " : "", path);
		vmc_hint(err, "sign what this host boots with systemd-measure sign, or ukify, and put it at %s",
			 *path ? path : where[0]);
		return VMC_ETPMPOLICY;
	}
	if (!rc) {
		rc = pcrsig_parse(text, len, policy_bank_name(bank), sigs, n, &local);
		free(text);
	}
	if (rc && err)
		*err = local;
	return rc;
}

static int restart(struct tpm *t, ESYS_TR s, struct vmc_error *err)
{
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_PolicyRestart(t->esys, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE);
	return rc ? tpm_fail(t, rc, N_("start a policy anew"), err) : 0;
}

/* The signature for what is in the PCRs now; @s then holds that policy. NULL with code 0: there is none. */
static int find_signature(struct tpm *t, ESYS_TR s, const struct seal_policy *p, const struct pcrsig *sigs,
			  size_t n, const struct pcrsig **found, TPM2B_DIGEST *now, struct vmc_error *err)
{
	uint32_t loaded = 0;
	uint8_t fp[32];
	int rc;

	*found = NULL;
	rc = signer_fingerprint(p->signer, p->n_signer, fp, err);
	for (size_t i = 0; !rc && i < n; i++) {
		if (memcmp(sigs[i].pkfp, fp, sizeof(fp)))
			continue;
		if (loaded != sigs[i].pcrs) {
			rc = loaded ? restart(t, s, err) : 0;
			if (!rc)
				rc = add_pcrs(t, s, p->bank, sigs[i].pcrs, err);
			if (!rc)
				rc = digest_of(t, s, now, err);
			loaded = sigs[i].pcrs;
		}
		if (rc || now->size != sizeof(sigs[i].pol) || memcmp(now->buffer, sigs[i].pol, now->size))
			continue;
		*found = &sigs[i];
		break;
	}
	return rc;
}

static int verify(struct tpm *t, ESYS_TR key, const struct pcrsig *sig, TPMT_TK_VERIFIED **ticket,
		  struct vmc_error *err)
{
	TPMT_SIGNATURE s = {
		.sigAlg = TPM2_ALG_RSASSA,
		.signature.rsassa = { .hash = TPM2_ALG_SHA256, .sig.size = (UINT16)sig->n_sig },
	};
	TPM2B_MAX_BUFFER pol = { .size = sizeof(sig->pol) };
	TPM2B_DIGEST *digest = NULL;
	TSS2_RC rc;

	memcpy(s.signature.rsassa.sig.buffer, sig->sig, sig->n_sig);
	memcpy(pol.buffer, sig->pol, sizeof(sig->pol));
	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_Hash(t->esys, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &pol, TPM2_ALG_SHA256, ESYS_TR_RH_OWNER,
		       &digest, NULL);
	if (!rc) {
		session_set(t, TPMA_SESSION_AUDIT);
		rc = Esys_VerifySignature(t->esys, key, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, digest, &s, ticket);
	}
	Esys_Free(digest);
	if (!rc)
		return 0;
	if ((rc & 0xfff & ~(TPM2_RC_N_MASK | TPM2_RC_P)) != TPM2_RC_SIGNATURE)
		return tpm_fail(t, rc, N_("verify the signature of a PCR policy"), err);
	vmc_fail(err, VMC_EAUTH, "the signature of the PCR policy for what this host booted is not right");
	vmc_hint(err, "have it signed anew with the key of [tpm] public_key");
	return VMC_EAUTH;
}

static int authorize_with(struct tpm *t, ESYS_TR s, const struct seal_policy *p, const struct pcrsig *sig,
			  const TPM2B_DIGEST *now, struct vmc_error *err)
{
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME name;
	ESYS_TR key;
	int rc;

	rc = load_signer(t, p, &key, &name, err);
	if (rc)
		return rc;
	rc = verify(t, key, sig, &ticket, err);
	Esys_FlushContext(t->esys, key);
	if (!rc)
		rc = authorize(t, s, now, &name, ticket, err);
	Esys_Free(ticket);
	return rc;
}

static int add_signed(struct tpm *t, const struct vmc_config *cfg, ESYS_TR s, const struct seal_policy *p,
		      struct vmc_error *err)
{
	const struct pcrsig *found;
	struct pcrsig *sigs;
	TPM2B_DIGEST now = { 0 };
	size_t n;
	int rc;

	rc = read_signatures(cfg, p->bank, &sigs, &n, err);
	if (rc)
		return rc;
	rc = find_signature(t, s, p, sigs, n, &found, &now, err);
	if (!rc && found) {
		rc = authorize_with(t, s, p, found, &now, err);
	} else if (!rc) {
		rc = vmc_fail(err, VMC_ETPMPOLICY, "none of %zu signed PCR policies is for what this host booted", n);
		vmc_hint(err, "if this kernel and firmware are meant to be: sign them with the key of [tpm] public_key (systemd-measure sign); or vmcrypt host persistence reseal");
	}
	free(sigs);
	return rc;
}

int policy_session(struct tpm *t, const struct vmc_config *cfg, const struct seal_policy *p, ESYS_TR *s,
		   struct vmc_error *err)
{
	int rc = session_policy(t, false, s, err);

	if (rc)
		return rc;
	if (p->kind == POLICY_PCR)
		rc = add_pcrs(t, *s, p->bank, p->pcrs, err);
	else if (p->kind == POLICY_SIGNED)
		rc = add_signed(t, cfg, *s, p, err);
	if (!rc)
		rc = add_rest(t, *s, p, err);
	if (rc) {
		Esys_FlushContext(t->esys, *s);
		*s = ESYS_TR_NONE;
	}
	return rc;
}
