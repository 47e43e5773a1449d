// SPDX-License-Identifier: GPL-2.0-or-later
/* All of an authority in one file, and back. */
#include <dirent.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "admin_priv.h"
#include "backup.h"
#include "sign.h"
#include "tstate.h"

#define DEPTH_MAX	6
#define STATE_NAME	"state.jws"
#define PUBLIC_NAME	"cluster.pub"
#define KEY_NAME	"cluster.key"

/* ---- the password ----------------------------------------------------------------------- */

/* The first line, without what ends it. */
static int read_password(struct trust_call *c, char **password, size_t *n, size_t *size)
{
	int rc = call_file(c, c->files->password, N_("password"));

	if (!rc)
		rc = call_secret(c, c->files->password, BACKUP_PASSWORD_BYTES_MAX + 2, N_("password"), password, size);
	if (rc)
		return rc;
	*n = strcspn(*password, "\r\n");
	if (*n >= BACKUP_PASSWORD_BYTES_MIN && *n <= BACKUP_PASSWORD_BYTES_MAX)
		return 0;
	rc = vmc_fail(c->err, VMC_EINVAL, "the password has %zu bytes, it must have %d to %d", *n,
		      BACKUP_PASSWORD_BYTES_MIN, BACKUP_PASSWORD_BYTES_MAX);
	vmc_hint(c->err, "whoever has the file and the password is this Trust Authority: take a long one, of several words");
	secmem_free(*password, *size + 1);
	return rc;
}

/* ---- backup --------------------------------------------------------------------------------- */

static int add_file(struct backup_body *b, const char *path, const char *name, struct vmc_error *err)
{
	char *data;
	size_t n;
	int rc = fs_read(path, BACKUP_FILE_MAX, &data, &n, err);

	if (rc)
		return rc;
	rc = backup_body_add(b, name, data, n, err);
	OPENSSL_cleanse(data, n);
	free(data);
	return rc;
}

static int add_folder(struct backup_body *b, const char *dir, const char *below, int depth, struct vmc_error *err);

/* What is being written, and would be in no backup a moment later, begins with no letter or ends in vmctmp. */
static bool is_kept(const char *name)
{
	size_t n = strlen(name);

	return vmc_name_ok(name, BACKUP_PATH_MAX) && !(n > 7 && !strcmp(name + n - 7, ".vmctmp"));
}

static int add_entry(struct backup_body *b, const char *dir, const char *below, const char *name, int depth,
		     struct vmc_error *err)
{
	char path[PATH_MAX], to[BACKUP_PATH_MAX + 1];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    snprintf(to, sizeof(to), "%s%s%s", below, *below ? "/" : "", name) >= (int)sizeof(to))
		return vmc_fail(err, VMC_ENOSPC, "the path '%.100s/%.100s' is too long for a backup", dir, name);
	if (lstat(path, &st))
		return errno == ENOENT ? 0 : vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return add_folder(b, path, to, depth + 1, err);
	return S_ISREG(st.st_mode) ? add_file(b, path, to, err) : 0;
}

static int add_folder(struct backup_body *b, const char *dir, const char *below, int depth, struct vmc_error *err)
{
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return vmc_fail(err, VMC_ENOSPC, "folder '%s' is too deep for a backup", dir);
	d = opendir(dir);
	if (!d)
		return vmc_fail_errno(err, errno, "cannot open folder '%s'", dir);
	while (!rc && (e = readdir(d)))
		if (is_kept(e->d_name))
			rc = add_entry(b, dir, below, e->d_name, depth, err);
	closedir(d);
	return rc;
}

static int load_cluster_key(struct trust_call *c, EVP_PKEY **key)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/" KEY_NAME, trust_state_dir(c->a->state));
	rc = cert_key_load(path, key, c->err);
	if (rc != VMC_ENOENT)
		return rc;
	vmc_fail(c->err, VMC_ENOTSUP, "the key of the cluster is not on this authority: a backup made here could not bring the cluster back");
	vmc_hint(c->err, "make it on the authority where 'vmcrypt trust init' was done");
	return VMC_ENOTSUP;
}

static int write_out(struct trust_call *c, const uint8_t *file, size_t len)
{
	struct stat st;
	size_t at = 0;
	ssize_t n;

	if (fstat(c->files->data, &st) || !S_ISREG(st.st_mode) || st.st_size)
		return vmc_fail(c->err, VMC_EINVAL, "a backup is written into a new, empty file only");
	while (at < len) {
		n = pwrite(c->files->data, file + at, len - at, at);
		if (n < 0 && errno != EINTR)
			return vmc_fail_errno(c->err, errno, "cannot write the backup");
		at += n > 0 ? n : 0;
	}
	return fs_sync(c->files->data, "backup", c->err);
}

static int make(struct trust_call *c, const char *password, size_t n)
{
	struct backup_body b = { 0 };
	EVP_PKEY *key = NULL;
	uint8_t *file = NULL;
	size_t len = 0;
	int rc = load_cluster_key(c, &key);

	if (!rc)
		rc = backup_body_new(&b, c->err);
	if (!rc)
		rc = add_folder(&b, trust_state_dir(c->a->state), "", 1, c->err);
	if (!rc)
		rc = backup_body_sign(&b, key, c->err);
	if (!rc)
		rc = backup_lock(&b, password, n, &file, &len, c->err);
	if (!rc)
		rc = write_out(c, file, len);
	if (!rc)
		rc = call_give(c, json_pack("{s:i, s:I}", "files", (int)b.files - 1, "bytes", (json_int_t)len));
	backup_body_free(&b);
	EVP_PKEY_free(key);
	free(file);
	return rc;
}

int verb_backup(struct trust_call *c)
{
	json_t *state;
	char *password;
	size_t n, size;
	int rc = call_state(c, &state);

	if (rc)
		return rc;
	json_decref(state);
	rc = call_file(c, c->files->data, N_("backup"));
	if (!rc)
		rc = read_password(c, &password, &n, &size);
	if (rc)
		return rc;
	rc = make(c, password, n);
	secmem_free(password, size + 1);
	return rc;
}

/* ---- restore ---------------------------------------------------------------------------------- */

static bool find(const struct backup_body *b, const char *path, struct backup_record *r)
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

	if (!find(b, PUBLIC_NAME, &r) || !find(b, KEY_NAME, &private) || !find(b, STATE_NAME, &state))
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

static int put_file(const char *dir, const struct backup_record *r, struct vmc_error *err)
{
	char path[PATH_MAX], *slash;
	int rc;

	if (snprintf(path, sizeof(path), "%s/%s", dir, r->path) >= (int)sizeof(path))
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", dir);
	slash = strrchr(path, '/');
	*slash = '\0';
	rc = fs_mkdirs(path, 0700, err);
	*slash = '/';
	return rc ? rc : fs_replace(path, r->data, r->len, strcmp(r->path, PUBLIC_NAME) ? 0600 : 0644, err);
}

/*
 * The state goes first and comes last: a restore that was cut short leaves an authority without one, which says so, and
 * takes the same restore again.
 */
static int put_all(const struct backup_body *b, const char *dir, struct vmc_error *err)
{
	struct backup_record r;
	char state[PATH_MAX];
	size_t at = 0;
	int rc;

	snprintf(state, sizeof(state), "%s/" STATE_NAME, dir);
	rc = fs_unlink(state, err);
	while (!rc && backup_next(b, &at, &r))
		if (strcmp(r.path, STATE_NAME) && at < b->n)	/* the last one is the signature */
			rc = put_file(dir, &r, err);
	if (!rc && find(b, STATE_NAME, &r))
		rc = put_file(dir, &r, err);
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
		rc = put_all(b, trust_state_dir(c->a->state), c->err);
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
	rc = read_password(c, &password, &n, &size);
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
