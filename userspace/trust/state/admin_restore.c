// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An authority from its backup. All is checked and written beside what there is; then the two change places, or nothing
 * does.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/secmem.h"
#include "admin_priv.h"
#include "backup.h"
#include "restore.h"
#include "sign.h"
#include "tstate.h"

/* ---- is it one? ------------------------------------------------------------------------- */

static bool find_record(const struct backup_body *b, const char *path, struct backup_record *r)
{
	size_t at = 0;

	while (backup_next(b, &at, r))
		if (!strcmp(r->path, path))
			return true;
	return false;
}

/* A record as text. */
static char *text_of(const struct backup_record *r, struct vmc_error *err)
{
	char *text = strndup((const char *)r->data, r->len);

	if (!text)
		vmc_fail(err, VMC_ENOMEM, "no memory for a backup");
	return text;
}

/* Before anything of what is here is replaced: is it a state, and of the cluster with this key? */
static int check_state(const struct backup_record *r, EVP_PKEY *key, struct vmc_error *err)
{
	char *jws = text_of(r, err), *text = NULL;
	json_t *state;
	size_t n;
	int rc = jws ? sign_open(key, TRUST_STATE_TYPE, jws, &text, &n, err) : VMC_ENOMEM;

	if (!rc)
		rc = tstate_parse(text, n, &state, err);
	if (!rc)
		json_decref(state);
	free(text);
	free(jws);
	return rc ? vmc_prefix(err, "the backup is refused: ") : 0;
}

/* Is it the private half of @key? */
static int check_key(const struct backup_record *r, EVP_PKEY *key, struct vmc_error *err)
{
	char *pem = text_of(r, err);
	EVP_PKEY *private = NULL;
	int rc = pem ? cert_key_from_pem(pem, &private, err) : VMC_ENOMEM;

	if (!rc && EVP_PKEY_eq(private, key) != 1)
		rc = vmc_fail(err, VMC_EINVAL, "its private key is not that of its cluster");
	EVP_PKEY_free(private);
	if (pem)
		OPENSSL_cleanse(pem, strlen(pem));
	free(pem);
	return rc ? vmc_prefix(err, "the backup is refused: ") : 0;
}

/* By the key that it brings along; that this is the cluster's, the password and the state's signature tell. */
static int check_signature(const struct backup_body *b, struct vmc_error *err)
{
	struct backup_record r, private, state;
	EVP_PKEY *key = NULL;
	char *pem;
	int rc;

	if (!find_record(b, PUBLIC_NAME, &r) || !find_record(b, CLUSTER_KEY, &private) || !find_record(b, STATE_NAME, &state))
		return vmc_fail(err, VMC_EINVAL, "the backup is refused: the cluster's state or key is not in it");
	pem = text_of(&r, err);
	rc = pem ? sign_public_load(pem, &key, err) : VMC_ENOMEM;
	free(pem);
	if (!rc)
		rc = backup_body_verify(b, key, err);
	if (!rc)
		rc = check_key(&private, key, err);
	if (!rc)
		rc = check_state(&state, key, err);
	EVP_PKEY_free(key);
	return rc;
}

static int check_free(struct trust_call *c)
{
	json_t *state = trust_state_json(c->a->state);
	int rc = 0;

	if (state && !call_flag(c, "force")) {
		rc = vmc_fail(c->err, VMC_EEXIST, "this authority is in the cluster '%s' already",
			      json_string_value(json_object_get(state, "cluster")));
		vmc_hint(c->err, "restore on a fresh machine; or give --force, and what is here is replaced by what is in the backup");
	}
	json_decref(state);
	return rc;
}

static int take(struct trust_call *c, const struct backup_body *b)
{
	json_t *state;
	int rc = check_signature(b, c->err);

	if (!rc)
		rc = restore_files(c->a, b, c->err);
	if (!rc)
		rc = trust_state_reopen(c->a->state, c->err);
	if (!rc)
		rc = call_state(c, &state);
	if (rc)
		return rc;
	rc = call_give(c, json_pack("{s:O, s:O, s:i, s:O}", "cluster", json_object_get(state, "cluster"), "serial",
				    json_object_get(state, "serial"), "files", (int)b->files - 1, "authorities",
				    json_object_get(state, "authorities")));
	json_decref(state);
	return rc;
}

int verb_restore(struct trust_call *c)
{
	struct backup_body b = { 0 };
	char *password, *file;
	size_t n, size, len;
	int rc = check_free(c);

	if (!rc)
		rc = call_file(c, c->files->data, N_("backup"));
	if (!rc)
		rc = call_bytes(c, c->files->data, BACKUP_HEADER + BACKUP_FILE_MAX, N_("backup"), &file, &len);
	if (rc)
		return rc;
	rc = call_password(c, &password, &n, &size);
	if (!rc) {
		rc = backup_unlock((uint8_t *)file, len, password, n, &b, c->err);
		secmem_free(password, size + 1);
	}
	free(file);
	if (!rc)
		rc = take(c, &b);
	backup_body_free(&b);
	return rc;
}
