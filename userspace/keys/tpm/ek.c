// SPDX-License-Identifier: GPL-2.0-or-later
/* This TPM's endorsement key, see ek.h; TCG EK Credential Profile for TPM Family 2.0, 2.2 and B. */
#include "ek.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "session.h"

#define NV_CHAIN	0x01c00100u	/* the CAs' certificates, one index after the other */
#define NV_CHAIN_LAST	0x01c001ffu
#define NV_CHUNK	512u		/* what every TPM reads at once */

#define EK_LOW	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
		 TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)
#define EK_HIGH	(EK_LOW | TPMA_OBJECT_USERWITHAUTH)

/* PolicyA with SHA-256: TPM2_PolicySecret(TPM_RH_ENDORSEMENT). */
#define POLICY_A \
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, \
	0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, \
	0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa
/* PolicyB with SHA-384: PolicyA or PolicyC. */
#define POLICY_B \
	0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, \
	0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, \
	0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, \
	0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12

static const struct {
	uint32_t nv;		/* of the certificate */
	TPM2B_PUBLIC template;
} kinds[] = {
	[TPM_EK_P256] = { 0x01c0000a, { .publicArea = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_LOW,
		.authPolicy = { 32, { POLICY_A } },
		.parameters.eccDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256, .kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { { .size = 32 }, { .size = 32 } },
	} } },
	[TPM_EK_P384] = { 0x01c00016, { .publicArea = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA384, .objectAttributes = EK_HIGH,
		.authPolicy = { 48, { POLICY_B } },
		.parameters.eccDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 256, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P384, .kdf.scheme = TPM2_ALG_NULL,
		},
	} } },
	[TPM_EK_RSA] = { 0x01c00002, { .publicArea = {
		.type = TPM2_ALG_RSA, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_LOW,
		.authPolicy = { 32, { POLICY_A } },
		.parameters.rsaDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048,
		},
		.unique.rsa = { .size = 256 },
	} } },
};

/* ---- certificates -------------------------------------------------------- */

/* Some makers fill what is left of the index: only what is one DER value counts. 0: there is none. */
static size_t der_size(const uint8_t *p, size_t n)
{
	size_t len, head = 4;

	if (n < head || p[0] != 0x30 || p[1] != 0x82)	/* a SEQUENCE of 256 bytes or more, as each certificate is */
		return 0;
	len = head + ((size_t)p[2] << 8 | p[3]);
	return len <= n ? len : 0;
}

static int nv_read_at(struct tpm *t, ESYS_TR nv, UINT16 size, uint8_t *out, struct vmc_error *err)
{
	for (UINT16 at = 0, n; at < size; at = (UINT16)(at + n)) {
		TPM2B_MAX_NV_BUFFER *data = NULL;
		TSS2_RC rc;

		n = (UINT16)(size - at < (int)NV_CHUNK ? size - at : (int)NV_CHUNK);
		session_set(t, 0);
		rc = Esys_NV_Read(t->esys, nv, nv, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, n, at, &data);
		if (rc)
			return tpm_fail(t, rc, N_("give the certificate of its endorsement key"), err);
		if (data->size != n) {
			Esys_Free(data);
			return vmc_fail(err, VMC_EIO, "the TPM at '%s' gives a part of the certificate of its endorsement key only", t->name);
		}
		memcpy(out + at, data->buffer, n);
		Esys_Free(data);
	}
	return 0;
}

/* @n: 0 when there is none, or none that anybody may read. */
static int nv_read(struct tpm *t, uint32_t index, uint8_t out[TPM_EK_CERT_MAX], size_t *n, struct vmc_error *err)
{
	TPM2B_NV_PUBLIC *pub = NULL;
	UINT16 size = 0;
	ESYS_TR nv;
	int rc = 0;

	*n = 0;
	if (Esys_TR_FromTPMPublic(t->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv))
		return 0;
	if (!Esys_NV_ReadPublic(t->esys, nv, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL)) {
		if ((pub->nvPublic.attributes & (TPMA_NV_AUTHREAD | TPMA_NV_WRITTEN)) ==
		    (TPMA_NV_AUTHREAD | TPMA_NV_WRITTEN) && pub->nvPublic.dataSize <= TPM_EK_CERT_MAX)
			size = pub->nvPublic.dataSize;
		Esys_Free(pub);
	}
	if (size)
		rc = nv_read_at(t, nv, size, out, err);
	Esys_TR_Close(t->esys, &nv);
	if (!rc)
		*n = der_size(out, size);
	return rc;
}

/* Each index holds one certificate or more, one behind the other. */
static void take_chain(struct tpm_ek *ek, const uint8_t *p, size_t n)
{
	size_t len;

	while (ek->n_chain < TPM_EK_CHAIN_MAX && (len = der_size(p, n)) > 0) {
		memcpy(ek->chain[ek->n_chain], p, len);
		ek->n_chain_der[ek->n_chain++] = len;
		p += len;
		n -= len;
	}
}

static int read_chain(struct tpm *t, struct tpm_ek *ek, struct vmc_error *err)
{
	TPMS_CAPABILITY_DATA *caps = NULL;
	uint8_t der[TPM_EK_CERT_MAX];
	size_t n;
	int rc = 0;

	if (Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, NV_CHAIN,
			       TPM_EK_CHAIN_MAX, NULL, &caps))
		return 0;
	for (UINT32 i = 0; !rc && i < caps->data.handles.count; i++) {
		if (caps->data.handles.handle[i] > NV_CHAIN_LAST)
			break;
		memset(der, 0, sizeof(der));
		rc = nv_read(t, caps->data.handles.handle[i], der, &n, err);
		if (!rc && n)
			take_chain(ek, der, sizeof(der));
	}
	Esys_Free(caps);
	return rc;
}

/* ---- the key ------------------------------------------------------------------ */

static int make(struct tpm *t, struct tpm_ek *ek, struct vmc_error *err)
{
	static const TPM2B_SENSITIVE_CREATE no_auth;
	static const TPM2B_DATA no_info;
	static const TPML_PCR_SELECTION no_pcrs;
	TPM2B_PUBLIC *pub = NULL;
	TSS2_RC rc;

	session_set(t, 0);
	rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth,
				&kinds[ek->kind].template, &no_info, &no_pcrs, &ek->handle, &pub, NULL, NULL, NULL);
	if (rc) {
		ek->handle = ESYS_TR_NONE;
		return tpm_fail(t, rc, N_("make its endorsement key"), err);
	}
	ek->n_pub = 0;
	rc = Tss2_MU_TPM2B_PUBLIC_Marshal(pub, ek->pub, sizeof(ek->pub), &ek->n_pub);
	Esys_Free(pub);
	return rc ? tpm_fail(t, rc, N_("make its endorsement key"), err) : 0;
}

/* The first kind with a certificate. */
static int choose(struct tpm *t, struct tpm_ek *ek, struct vmc_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int rc = nv_read(t, kinds[i].nv, ek->cert, &ek->n_cert, err);

		if (rc)
			return rc;
		ek->kind = (enum tpm_ek_kind)i;
		if (ek->n_cert)
			return 0;
	}
	ek->kind = TPM_EK_P256;
	return 0;
}

int tpm_ek_open(struct tpm *t, enum tpm_ek_kind kind, struct tpm_ek *ek, struct vmc_error *err)
{
	int rc;

	*ek = (struct tpm_ek){ .kind = kind, .handle = ESYS_TR_NONE };
	if (kind == TPM_EK_ANY)
		rc = choose(t, ek, err);
	else
		rc = nv_read(t, kinds[kind].nv, ek->cert, &ek->n_cert, err);
	if (!rc && ek->n_cert)
		rc = read_chain(t, ek, err);
	return rc ? rc : make(t, ek, err);
}

void tpm_ek_close(struct tpm *t, struct tpm_ek *ek)
{
	if (ek->handle != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, ek->handle);
	ek->handle = ESYS_TR_NONE;
}
