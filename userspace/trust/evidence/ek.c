// SPDX-License-Identifier: GPL-2.0-or-later
/* Endorsement keys, see ek.h. Their certificates: ek_cert.c. */
#include "ek.h"

#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "pubkey.h"

/* What the standard templates have in common; userWithAuth is in those of the high range only. */
#define EK_HAS (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
		TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)
#define EK_MAY (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA)

void ek_id(const uint8_t *spki, size_t len, char id[EK_ID_LEN])
{
	uint8_t digest[32] = { 0 };

	EVP_Digest(spki, len, digest, NULL, EVP_sha256(), NULL);
	vmc_hex_encode(digest, sizeof(digest), id);
}

static int refuse(const char *why, struct vmc_error *err)
{
	vmc_fail(err, VMC_ETRUST, "the endorsement key is not by a standard template: %s", message_say(why));
	vmc_hint(err, "it must be the key of the TPM's maker: ECC P-256, ECC P-384 or RSA 2048 of the TCG EK Credential Profile");
	return VMC_ETRUST;
}

static const char *ecc_kind(const TPMT_PUBLIC *p)
{
	const TPMS_ECC_PARMS *e = &p->parameters.eccDetail;

	if (e->scheme.scheme != TPM2_ALG_NULL || e->kdf.scheme != TPM2_ALG_NULL)
		return NULL;
	if (e->curveID == TPM2_ECC_NIST_P256 && p->nameAlg == TPM2_ALG_SHA256 && e->symmetric.keyBits.aes == 128)
		return "ECC P-256";
	if (e->curveID == TPM2_ECC_NIST_P384 && p->nameAlg == TPM2_ALG_SHA384 && e->symmetric.keyBits.aes == 256)
		return "ECC P-384";
	return NULL;
}

static const char *rsa_kind(const TPMT_PUBLIC *p)
{
	const TPMS_RSA_PARMS *r = &p->parameters.rsaDetail;

	if (r->scheme.scheme == TPM2_ALG_NULL && r->keyBits == 2048 && (!r->exponent || r->exponent == 65537) &&
	    p->nameAlg == TPM2_ALG_SHA256 && r->symmetric.keyBits.aes == 128)
		return "RSA 2048";
	return NULL;
}

static bool is_aes_cfb(const TPMT_SYM_DEF_OBJECT *s)
{
	return s->algorithm == TPM2_ALG_AES && s->mode.aes == TPM2_ALG_CFB;
}

static int check_template(struct ek *ek, struct vmc_error *err)
{
	const TPMT_PUBLIC *p = &ek->pub;

	if (p->type == TPM2_ALG_ECC && is_aes_cfb(&p->parameters.eccDetail.symmetric))
		ek->kind = ecc_kind(p);
	else if (p->type == TPM2_ALG_RSA && is_aes_cfb(&p->parameters.rsaDetail.symmetric))
		ek->kind = rsa_kind(p);
	if (!ek->kind)
		return refuse(N_("it is of another kind"), err);
	if ((p->objectAttributes & EK_HAS) != EK_HAS)
		return refuse(N_("it is not a restricted decryption key that is fixed to its TPM"), err);
	if (p->objectAttributes & ~(TPMA_OBJECT)(EK_HAS | EK_MAY))
		return refuse(N_("it may be used for more than an endorsement key may"), err);
	return 0;
}

int ek_parse(const uint8_t *bytes, size_t len, struct ek *ek, struct vmc_error *err)
{
	uint8_t spki[PUBKEY_SPKI_MAX];
	TPM2B_PUBLIC pub = { 0 };
	EVP_PKEY *key = NULL;
	size_t used = 0, n;
	int rc;

	*ek = (struct ek){ 0 };
	if (!bytes || len > sizeof(pub) || Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, len, &used, &pub) || used != len)
		return vmc_fail(err, VMC_EINVAL, "the endorsement key is malformed");
	ek->pub = pub.publicArea;
	rc = check_template(ek, err);
	if (!rc)
		rc = pubkey_from_tpm(&ek->pub, &key, err);
	if (!rc)
		rc = pubkey_spki(key, spki, &n, err);
	EVP_PKEY_free(key);
	if (!rc)
		ek_id(spki, n, ek->id);
	return rc;
}
