// SPDX-License-Identifier: GPL-2.0-or-later
/* This host's attestation key, see ak.h. */
#include "ak.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "akfile.h"
#include "session.h"
#include "srk.h"

static const TPM2B_PUBLIC template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
				    TPMA_OBJECT_SIGN_ENCRYPT,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = { .scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
	},
};

static void path_of(const struct vmc_config *cfg, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/tpm/ak", cfg->state_dir);
}

/* ---- the file ------------------------------------------------------------- */

/* 1: there is one below @parent; 0: there is none, or none of use; or an error. */
static int read_file(const TPM2B_NAME *parent, const char *path, struct akfile *f, struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	char *data;
	size_t len;
	int rc;

	rc = fs_read(path, AKFILE_MAX, &data, &len, &local);
	if (rc == VMC_ENOENT)
		return 0;
	if (rc) {
		if (err)
			*err = local;
		return rc;
	}
	rc = akfile_parse((const uint8_t *)data, len, f, &local);
	free(data);
	return !rc && f->parent.size == parent->size && !memcmp(f->parent.name, parent->name, parent->size);
}

static int write_file(const char *path, const struct akfile *f, struct vmc_error *err)
{
	uint8_t data[AKFILE_MAX];
	char dir[PATH_MAX];
	size_t len;
	int rc;

	rc = akfile_write(f, data, &len, err);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (!rc)
		rc = fs_mkdirs(dir, 0700, err);
	if (!rc)
		rc = fs_remove_temps(dir, err);
	return rc ? rc : fs_replace(path, data, len, 0600, err);
}

int tpm_ak_remove(const struct vmc_config *cfg, struct vmc_error *err)
{
	char path[PATH_MAX];

	path_of(cfg, path);
	return fs_unlink(path, err);
}

/* ---- the key ---------------------------------------------------------------- */

struct parent {
	ESYS_TR key;
	TPM2B_NAME name;
};

static int parent_open(struct tpm *t, struct parent *p, struct vmc_error *err)
{
	TPM2B_NAME *name = NULL;
	TSS2_RC rc;
	int code;

	*p = (struct parent){ .key = ESYS_TR_NONE };
	code = srk_primary(t, ESYS_TR_RH_ENDORSEMENT, &p->key, err);
	if (code)
		return code;
	rc = Esys_TR_GetName(t->esys, p->key, &name);
	if (rc)
		return tpm_fail(t, rc, N_("name a key"), err);
	p->name = *name;
	Esys_Free(name);
	return 0;
}

static void parent_close(struct tpm *t, struct parent *p)
{
	if (p->key != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, p->key);
}

static int load(struct tpm *t, const struct parent *p, const struct akfile *f, ESYS_TR *key, struct vmc_error *err)
{
	TSS2_RC rc;

	session_set(t, 0);
	rc = Esys_Load(t->esys, p->key, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &f->priv, &f->pub, key);
	if (!rc)
		return 0;
	*key = ESYS_TR_NONE;
	return tpm_fail(t, rc, N_("load the attestation key"), err);
}

static int make(struct tpm *t, const struct parent *p, struct akfile *f, struct vmc_error *err)
{
	static const TPM2B_SENSITIVE_CREATE no_auth;
	static const TPM2B_DATA no_info;
	static const TPML_PCR_SELECTION no_pcrs;
	TPM2B_PRIVATE *priv = NULL;
	TPM2B_PUBLIC *pub = NULL;
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT);
	rc = Esys_Create(t->esys, p->key, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &template, &no_info, &no_pcrs,
			 &priv, &pub, NULL, NULL, NULL);
	if (rc)
		return tpm_fail(t, rc, N_("make an attestation key"), err);
	*f = (struct akfile){ .parent = p->name, .pub = *pub, .priv = *priv };
	Esys_Free(priv);
	Esys_Free(pub);
	return 0;
}

/* One that does not load is none: what the TPM has not made so it does not sign with. */
static int load_or_make(struct tpm *t, const struct parent *p, const char *path, struct akfile *f, struct tpm_ak *ak,
			struct vmc_error *err)
{
	int there = read_file(&p->name, path, f, err), rc;

	if (there < 0)
		return there;
	rc = there ? load(t, p, f, &ak->handle, err) : 0;
	if (there && (!rc || rc != VMC_EIO))
		return rc;
	ak->made = true;
	rc = make(t, p, f, err);
	if (!rc)
		rc = load(t, p, f, &ak->handle, err);
	return rc ? rc : write_file(path, f, err);
}

int tpm_ak_open(struct tpm *t, const struct vmc_config *cfg, struct tpm_ak *ak, struct vmc_error *err)
{
	struct parent p = { .key = ESYS_TR_NONE };
	struct akfile f = { 0 };
	char path[PATH_MAX];
	int rc;

	*ak = (struct tpm_ak){ .handle = ESYS_TR_NONE };
	path_of(cfg, path);
	rc = srk_open(t, true, err);
	if (!rc)
		rc = parent_open(t, &p, err);
	if (!rc)
		rc = load_or_make(t, &p, path, &f, ak, err);
	parent_close(t, &p);
	if (!rc && Tss2_MU_TPMT_PUBLIC_Marshal(&f.pub.publicArea, ak->pub, sizeof(ak->pub), &ak->n_pub))
		rc = vmc_fail(err, VMC_EINTERNAL, "the attestation key cannot be written down");
	if (rc)
		tpm_ak_close(t, ak);
	return rc;
}

void tpm_ak_close(struct tpm *t, struct tpm_ak *ak)
{
	if (ak->handle != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, ak->handle);
	ak->handle = ESYS_TR_NONE;
}

/* ---- credentials -------------------------------------------------------------- */

/* The other branch of the high range's policy, PolicyC with SHA-384: what an NV index of the maker authorizes. */
static const TPM2B_DIGEST policy_c = { 48, {
	0xd6, 0x03, 0x2c, 0xe6, 0x1f, 0x2f, 0xb3, 0xc2, 0x40, 0xeb, 0x3c, 0xf6,
	0xa3, 0x32, 0x37, 0xef, 0x2b, 0x6a, 0x16, 0xf4, 0x29, 0x3c, 0x22, 0xb4,
	0x55, 0xe2, 0x61, 0xcf, 0xfd, 0x21, 0x7a, 0xd5, 0xb4, 0x94, 0x7c, 0x2d,
	0x73, 0xe6, 0x30, 0x05, 0xee, 0xd2, 0xdc, 0x2b, 0x35, 0x93, 0xd1, 0x65,
} };

static int satisfy(struct tpm *t, enum tpm_ek_kind kind, ESYS_TR s, struct vmc_error *err)
{
	TPML_DIGEST branches = { .count = 2 };
	TPM2B_DIGEST *now = NULL;
	TSS2_RC rc;

	session_set(t, 0);
	rc = Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, s, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL,
			       NULL, 0, NULL, NULL);
	if (!rc && kind == TPM_EK_P384) {
		rc = Esys_PolicyGetDigest(t->esys, s, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now);
		if (!rc) {
			branches.digests[0] = *now;
			branches.digests[1] = policy_c;
			rc = Esys_PolicyOR(t->esys, s, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches);
		}
		Esys_Free(now);
	}
	return rc ? tpm_fail(t, rc, N_("use its endorsement key"), err) : 0;
}

/* Did the TPM find that it was made for another? */
static bool is_foreign(TSS2_RC rc)
{
	TSS2_RC bare = rc & 0xfff & ~(TPM2_RC_N_MASK | TPM2_RC_P);

	return bare == TPM2_RC_INTEGRITY || bare == TPM2_RC_VALUE || bare == TPM2_RC_SIZE || bare == TPM2_RC_ECC_POINT ||
	       (rc & 0xffff) == TPM2_RC_FAILURE;
}

static int activate(struct tpm *t, const struct tpm_ak *ak, const struct tpm_ek *ek, ESYS_TR policy,
		    const TPM2B_ID_OBJECT *id, const TPM2B_ENCRYPTED_SECRET *enc, uint8_t *secret, size_t *n,
		    struct vmc_error *err)
{
	TPM2B_DIGEST *info = NULL;
	TSS2_RC rc;

	session_set(t, TPMA_SESSION_ENCRYPT);
	rc = Esys_ActivateCredential(t->esys, ak->handle, ek->handle, t->hmac, policy, ESYS_TR_NONE, id, enc, &info);
	if (rc && !is_foreign(rc))
		return tpm_fail(t, rc, N_("activate a credential"), err);
	if (rc) {
		vmc_fail(err, VMC_EAUTH, "the credential was made for another TPM, or for another attestation key");
		vmc_hint(err, "enrol this host anew: vmcrypt trust host enroll");
		return VMC_EAUTH;
	}
	tpm_scrub(t);
	memcpy(secret, info->buffer, info->size);
	*n = info->size;
	OPENSSL_cleanse(info, sizeof(*info));
	Esys_Free(info);
	return 0;
}

int tpm_ak_activate(struct tpm *t, const struct tpm_ak *ak, const struct tpm_ek *ek, const uint8_t *id_object,
		    size_t n_id_object, const uint8_t *enc_secret, size_t n_enc_secret, uint8_t *secret, size_t *n,
		    struct vmc_error *err)
{
	TPM2B_ENCRYPTED_SECRET enc = { 0 };
	TPM2B_ID_OBJECT id = { 0 };
	size_t a = 0, b = 0;
	ESYS_TR policy;
	int rc;

	*n = 0;
	if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(id_object, n_id_object, &a, &id) || a != n_id_object ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(enc_secret, n_enc_secret, &b, &enc) || b != n_enc_secret)
		return vmc_fail(err, VMC_EINVAL, "a credential is malformed");
	rc = session_policy_by(t, ek->kind == TPM_EK_P384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256, &policy, err);
	if (rc)
		return rc;
	rc = satisfy(t, ek->kind, policy, err);
	if (!rc)
		rc = activate(t, ak, ek, policy, &id, &enc, secret, n, err);
	Esys_FlushContext(t->esys, policy);
	return rc;
}
