// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters in the TPM's own memory, see counter.h. */
#include "counter.h"

#include "../../lib/i18n.h"
#include "session.h"

#define COUNTER_SIZE	8
#define ATTRIBUTES	(TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_OWNERREAD | TPMA_NV_OWNERWRITE | \
			 TPMA_NV_NO_DA | (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT))

static bool no_such_handle(TSS2_RC rc)
{
	return (rc & 0xfff & ~TPM2_RC_N_MASK) == TPM2_RC_HANDLE;
}

static int not_there(const struct tpm *t, uint32_t index, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOENT, "the TPM at '%s' has no counter 0x%x any more", t->name, index);
	vmc_hint(err, "somebody removed it, so that it cannot be told whether the stored keys are the latest: vmcrypt host persistence reseal");
	return VMC_ENOENT;
}

/* 0: it is there; 1: it is not; or an error, VMC_EEXIST when it is somebody else's. */
static int find(struct tpm *t, uint32_t index, ESYS_TR *nv, struct vmc_error *err)
{
	TPM2B_NV_PUBLIC *pub = NULL;
	TPMA_NV attributes;
	TSS2_RC rc;

	rc = Esys_TR_FromTPMPublic(t->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nv);
	if (no_such_handle(rc))
		return 1;
	if (rc)
		return tpm_fail(t, rc, N_("find its counter"), err);
	session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_NV_ReadPublic(t->esys, *nv, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL);
	if (rc) {
		Esys_TR_Close(t->esys, nv);
		return tpm_fail(t, rc, N_("describe its counter"), err);
	}
	attributes = pub->nvPublic.attributes;
	Esys_Free(pub);
	if ((attributes & ~TPMA_NV_WRITTEN) == ATTRIBUTES)
		return 0;
	Esys_TR_Close(t->esys, nv);
	vmc_fail(err, VMC_EEXIST, "something else is at the index 0x%x of the TPM at '%s'", index, t->name);
	vmc_hint(err, "set nv_index= of [tpm] in vmcrypt.conf so that it and the next are free; tpm2_getcap handles-nv-index lists those in use");
	return VMC_EEXIST;
}

static int find_needed(struct tpm *t, uint32_t index, ESYS_TR *nv, struct vmc_error *err)
{
	int rc = find(t, index, nv, err);

	return rc > 0 ? not_there(t, index, err) : rc;
}

static int define(struct tpm *t, uint32_t index, struct vmc_error *err)
{
	const TPM2B_NV_PUBLIC pub = {
		.nvPublic = {
			.nvIndex = index, .nameAlg = TPM2_ALG_SHA256, .attributes = ATTRIBUTES,
			.dataSize = COUNTER_SIZE,
		},
	};
	static const TPM2B_AUTH none;
	ESYS_TR nv;
	TSS2_RC rc;

	session_set(t, 0);
	rc = Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &none, &pub, &nv);
	if (rc)
		return tpm_fail(t, rc, N_("make a counter"), err);
	Esys_TR_Close(t->esys, &nv);
	return 0;
}

int counter_make(struct tpm *t, uint32_t index, bool *made, struct vmc_error *err)
{
	uint64_t value;
	ESYS_TR nv;
	int rc;

	rc = find(t, index, &nv, err);
	if (made)
		*made = rc > 0;
	if (rc < 0)
		return rc;
	if (!rc) {
		Esys_TR_Close(t->esys, &nv);
		if (!counter_read(t, index, &value, NULL))
			return 0;
	} else {
		rc = define(t, index, err);
		if (rc)
			return rc;
	}
	return counter_increment(t, index, &value, err);	/* one that never counted cannot be read */
}

int counter_read(struct tpm *t, uint32_t index, uint64_t *value, struct vmc_error *err)
{
	TPM2B_MAX_NV_BUFFER *data = NULL;
	ESYS_TR nv;
	TSS2_RC rc;
	int r;

	r = find_needed(t, index, &nv, err);
	if (r)
		return r;
	session_set(t, 0);	/* the answer is authenticated: nobody gives us an old one */
	rc = Esys_NV_Read(t->esys, nv, nv, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, COUNTER_SIZE, 0, &data);
	Esys_TR_Close(t->esys, &nv);
	if (rc)
		return tpm_fail(t, rc, N_("read its counter"), err);
	*value = 0;
	for (UINT16 i = 0; i < data->size && i < COUNTER_SIZE; i++)
		*value = *value << 8 | data->buffer[i];
	Esys_Free(data);
	return 0;
}

int counter_increment(struct tpm *t, uint32_t index, uint64_t *value, struct vmc_error *err)
{
	ESYS_TR nv;
	TSS2_RC rc;
	int r;

	r = find_needed(t, index, &nv, err);
	if (r)
		return r;
	session_set(t, 0);
	rc = Esys_NV_Increment(t->esys, nv, nv, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE);
	Esys_TR_Close(t->esys, &nv);
	return rc ? tpm_fail(t, rc, N_("count"), err) : counter_read(t, index, value, err);
}

int counter_remove(struct tpm *t, uint32_t index, struct vmc_error *err)
{
	ESYS_TR nv;
	TSS2_RC rc;
	int r;

	r = find(t, index, &nv, err);
	if (r == VMC_EEXIST || r > 0)
		return 0;
	if (r)
		return r;
	session_set(t, 0);
	rc = Esys_NV_UndefineSpace(t->esys, ESYS_TR_RH_OWNER, nv, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE);
	return rc ? tpm_fail(t, rc, N_("remove its counter"), err) : 0;
}
