// SPDX-License-Identifier: GPL-2.0-or-later
/* All of an authority in one file. */
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

#define DEPTH_MAX	6

/* ---- the password ----------------------------------------------------------------------- */

int call_password(struct trust_call *c, char **password, size_t *n, size_t *size)
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
	if (!strcmp(to, CONFIG_NAME))
		return 0;	/* the record of that name is the real one */
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

	snprintf(path, sizeof(path), "%s/" CLUSTER_KEY, trust_state_dir(c->a->state));
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

/*
 * The configuration beside the state. It always has the authority's name, which is otherwise the machine's: a fresh machine
 * may be called something else.
 */
static int add_config(struct backup_body *b, const struct trust_admin *a, struct vmc_error *err)
{
	char *text = NULL, *all = NULL;
	size_t n = 0;
	int rc = a->o.config ? fs_read(a->o.config, CONFIG_MAX, &text, &n, err) : VMC_ENOENT;

	if (rc && rc != VMC_ENOENT)
		return rc;
	if (asprintf(&all, a->o.named ? "%s" : "%s\n[authority]\nname = %s\n", rc ? "" : text, a->host) < 0)
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for a backup");
	else
		rc = backup_body_add(b, CONFIG_NAME, all, strlen(all), err);
	free(all);
	free(text);
	return rc;
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
		rc = add_config(&b, c->a, c->err);
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
		rc = call_password(c, &password, &n, &size);
	if (rc)
		return rc;
	rc = make(c, password, n);
	secmem_free(password, size + 1);
	return rc;
}
