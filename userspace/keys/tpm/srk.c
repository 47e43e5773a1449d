// SPDX-License-Identifier: GPL-2.0-or-later
/* The storage root key and its pin, see srk.h. */
#include "srk.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "session.h"

#define SRK_HANDLE	0x81000001	/* TCG TPM v2.0 Provisioning Guidance, 7.8 */
#define PIN_MAX		4096
#define NAME_HEX	(2 * sizeof(((TPM2B_NAME *)NULL)->name) + 1)

struct pin {
	TPM2B_NAME srk, ek;
};

/* The same under the owner (SRK) and under the endorsement hierarchy, where it tells one TPM from another. */
static const TPM2B_PUBLIC template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
				    TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
		.parameters.eccDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
	},
};

int srk_primary(struct tpm *t, ESYS_TR hierarchy, ESYS_TR *key, struct vmc_error *err)
{
	static const TPM2B_SENSITIVE_CREATE no_auth;
	static const TPM2B_DATA no_info;
	static const TPML_PCR_SELECTION no_pcrs;
	TPM2B_PUBLIC *pub = NULL;
	TSS2_RC rc;

	rc = Esys_CreatePrimary(t->esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth,
				&template, &no_info, &no_pcrs, key, &pub, NULL, NULL, NULL);
	Esys_Free(pub);
	if (!rc)
		return 0;
	*key = ESYS_TR_NONE;
	return tpm_fail(t, rc, N_("make its storage root key"), err);
}

static int name_of(struct tpm *t, ESYS_TR key, TPM2B_NAME *name, struct vmc_error *err)
{
	TPM2B_NAME *n = NULL;
	TSS2_RC rc = Esys_TR_GetName(t->esys, key, &n);

	if (rc)
		return tpm_fail(t, rc, N_("name a key"), err);
	*name = *n;
	Esys_Free(n);
	return 0;
}

static bool same(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && !memcmp(a->name, b->name, a->size);
}

/* ---- the pin ---------------------------------------------------------- */

static bool name_parse(const json_t *o, const char *key, TPM2B_NAME *name)
{
	const char *hex = json_string_value(json_object_get(o, key));
	size_t n = 0;

	*name = (TPM2B_NAME){ 0 };
	if (!hex || vmc_hex_decode(hex, name->name, sizeof(name->name), &n))
		return false;
	name->size = (UINT16)n;
	return true;
}

/* 1: there is one; 0: none; or an error. */
static int pin_read(const struct tpm *t, struct pin *p, struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	char *text;
	size_t len;
	json_t *o;
	int rc;

	rc = fs_read(t->pin, PIN_MAX, &text, &len, &local);
	if (rc == VMC_ENOENT)
		return 0;
	if (rc) {
		if (err)
			*err = local;
		return rc;
	}
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	rc = name_parse(o, "srk", &p->srk) && p->srk.size && name_parse(o, "ek", &p->ek);
	json_decref(o);
	if (rc)
		return 1;
	vmc_fail(err, VMC_EINVAL, "'%s' is damaged: it is to name the root key of this host's TPM", t->pin);
	vmc_hint(err, "bring it back from a backup; if there is none: vmcrypt host persistence reseal --new-tpm");
	return VMC_EINVAL;
}

static int pin_write(const struct tpm *t, const struct pin *p, struct vmc_error *err)
{
	char srk[NAME_HEX], ek[NAME_HEX], dir[PATH_MAX], text[PIN_MAX];
	int rc, n;

	vmc_hex_encode(p->srk.name, p->srk.size, srk);
	vmc_hex_encode(p->ek.name, p->ek.size, ek);
	n = snprintf(text, sizeof(text), "{\"srk\": \"%s\", \"ek\": \"%s\"}\n", srk, ek);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(t->pin, '/') - t->pin), t->pin);
	rc = fs_mkdirs(dir, 0700, err);
	if (!rc)
		rc = fs_remove_temps(dir, err);
	return rc ? rc : fs_replace(t->pin, text, (size_t)n, 0600, err);
}

int srk_unpin(const struct vmc_config *cfg, struct vmc_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/tpm/srk", cfg->state_dir);
	return fs_unlink(path, err);
}

/* ---- finding it ------------------------------------------------------- */

/* A name of no length when the endorsement hierarchy is not ours to use: then nothing tells the TPMs apart. */
static void ek_name(struct tpm *t, TPM2B_NAME *name)
{
	ESYS_TR key;

	*name = (TPM2B_NAME){ 0 };
	if (srk_primary(t, ESYS_TR_RH_ENDORSEMENT, &key, NULL))
		return;
	(void)name_of(t, key, name, NULL);
	Esys_FlushContext(t->esys, key);
}

static int changed(struct tpm *t, const struct pin *p, struct vmc_error *err)
{
	TPM2B_NAME ek = { 0 };

	ek_name(t, &ek);
	if (ek.size && same(&ek, &p->ek)) {
		vmc_fail(err, VMC_ETPMCLEARED, "the TPM at '%s' was cleared: it is the same TPM, and it has a new root key",
			 t->name);
		vmc_hint(err, "what was sealed by it is lost, the key providers still have the keys: vmcrypt host persistence reseal --new-tpm");
		return VMC_ETPMCLEARED;
	}
	vmc_fail(err, VMC_ETPMROOT, "the TPM at '%s' does not have the root key that this host knows it by", t->name);
	vmc_hint(err, "if the TPM or its board was replaced on purpose: vmcrypt host persistence reseal --new-tpm; if not, have the machine looked at: something may sit between it and its TPM");
	return VMC_ETPMROOT;
}

/* Only a key that can be a parent is of use; others put what they like at that handle. */
static bool is_parent(struct tpm *t, ESYS_TR key)
{
	const TPMA_OBJECT need = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM;
	TPM2B_PUBLIC *pub = NULL;
	bool ok;

	if (Esys_ReadPublic(t->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &pub, NULL, NULL))
		return false;
	ok = (pub->publicArea.objectAttributes & need) == need;
	Esys_Free(pub);
	return ok;
}

/* The persistent one, if it is there and is the pinned one or the first one. */
static bool take_persistent(struct tpm *t, const struct pin *p)
{
	TPM2B_NAME name = { 0 };
	ESYS_TR key;

	if (Esys_TR_FromTPMPublic(t->esys, SRK_HANDLE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &key))
		return false;
	if (name_of(t, key, &name, NULL) || (p && !same(&name, &p->srk)) || !is_parent(t, key)) {
		Esys_TR_Close(t->esys, &key);
		return false;
	}
	t->srk = key;
	t->srk_name = name;
	return true;
}

static int take_made(struct tpm *t, const struct pin *p, struct vmc_error *err)
{
	TPM2B_NAME name = { 0 };
	ESYS_TR key;
	int rc;

	rc = srk_primary(t, ESYS_TR_RH_OWNER, &key, err);
	if (rc)
		return rc;
	rc = name_of(t, key, &name, err);
	if (!rc && p && !same(&name, &p->srk))
		rc = changed(t, p, err);
	if (rc) {
		Esys_FlushContext(t->esys, key);
		return rc;
	}
	t->srk = key;
	t->srk_transient = true;
	t->srk_name = name;
	return 0;
}

int srk_open(struct tpm *t, bool pin, struct vmc_error *err)
{
	struct pin p = { 0 };
	int there, rc = 0;

	if (t->srk != ESYS_TR_NONE)
		return 0;
	there = pin_read(t, &p, err);
	if (there < 0)
		return there;
	if (!take_persistent(t, there ? &p : NULL))
		rc = take_made(t, there ? &p : NULL, err);
	if (!rc && !there && pin) {
		p.srk = t->srk_name;
		ek_name(t, &p.ek);
		rc = pin_write(t, &p, err);
	}
	return rc ? rc : session_open(t, err);
}
