// SPDX-License-Identifier: GPL-2.0-or-later
/* Attestation keys, see ak.h. */
#include "ak.h"

#include <openssl/evp.h>
#include <tss2/tss2_mu.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "pubkey.h"

static int with_hint(int code, struct vmc_error *err)
{
	vmc_hint(err, "have the host make a new one and enrol it: vmcrypt trust host enroll");
	return code;
}

static int malformed(struct vmc_error *err)
{
	return with_hint(vmc_fail(err, VMC_EINVAL, "the attestation key is malformed"), err);
}

static int refuse(const char *why, struct vmc_error *err)
{
	return with_hint(vmc_fail(err, VMC_ETRUST, "the attestation key cannot be relied upon: %s", message_say(why)), err);
}

static int check_attributes(TPMA_OBJECT a, struct vmc_error *err)
{
	static const struct {
		TPMA_OBJECT bit;
		const char *why;
	} needs[] = {
		{ TPMA_OBJECT_RESTRICTED, N_("it is not restricted, so that it signs whatever it is given") },
		{ TPMA_OBJECT_SIGN_ENCRYPT, N_("it does not sign") },
		{ TPMA_OBJECT_FIXEDTPM, N_("it is not fixed to its TPM") },
		{ TPMA_OBJECT_FIXEDPARENT, N_("it is not fixed to its parent") },
		{ TPMA_OBJECT_SENSITIVEDATAORIGIN, N_("it was not made by the TPM") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (!(a & needs[i].bit))
			return refuse(needs[i].why, err);
	return a & TPMA_OBJECT_DECRYPT ? refuse(N_("it decrypts, too"), err) : 0;
}

static int check_kind(const TPMT_PUBLIC *p, struct vmc_error *err)
{
	const TPMT_ECC_SCHEME *s = &p->parameters.eccDetail.scheme;

	if (p->type != TPM2_ALG_ECC || p->parameters.eccDetail.curveID != TPM2_ECC_NIST_P256)
		return refuse(N_("it is not on curve P-256"), err);
	if (p->nameAlg != TPM2_ALG_SHA256)
		return refuse(N_("its name is not by SHA-256"), err);
	if (s->scheme != TPM2_ALG_ECDSA || s->details.ecdsa.hashAlg != TPM2_ALG_SHA256)
		return refuse(N_("it does not sign by ECDSA with SHA-256"), err);
	return 0;
}

int ak_parse(const uint8_t *bytes, size_t len, struct ak *ak, struct vmc_error *err)
{
	EVP_PKEY *key;
	size_t used = 0;
	int rc;

	*ak = (struct ak){ 0 };
	if (!bytes || len > AK_PUBLIC_MAX || Tss2_MU_TPMT_PUBLIC_Unmarshal(bytes, len, &used, &ak->pub) || used != len)
		return malformed(err);
	rc = check_kind(&ak->pub, err);
	if (!rc)
		rc = check_attributes(ak->pub.objectAttributes, err);
	if (!rc)
		rc = pubkey_from_tpm(&ak->pub, &key, err);
	if (rc)
		return rc;
	EVP_PKEY_free(key);
	return pubkey_name(&ak->pub, &ak->name, err);
}
