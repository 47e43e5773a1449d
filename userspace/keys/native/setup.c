// SPDX-License-Identifier: GPL-2.0-or-later
/* Native providers are added, backed up and brought to other hosts. See provider.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "backup.h"
#include "keylist.h"
#include "native.h"
#include "seal.h"

#define EMPTY_LIST "{\"version\":1,\"keys\":[]}"

struct setup {
	bool no_tpm, new_tpm;
	const char *key_id;		/* "key_id" of the options, or NULL */
};

static int read_options(const json_t *options, bool import, struct setup *s, struct vmc_error *err)
{
	const char *name;
	json_t *v;

	memset(s, 0, sizeof(*s));
	json_object_foreach((json_t *)options, name, v) {
		if (!strcmp(name, "insecure_no_tpm") && json_is_boolean(v))
			s->no_tpm = json_is_true(v);
		else if (import && !strcmp(name, "new_tpm") && json_is_boolean(v))
			s->new_tpm = json_is_true(v);
		else if (import && !strcmp(name, "key_id") && json_is_string(v))
			s->key_id = json_string_value(v);
		else
			return vmc_fail(err, VMC_EINVAL, "a native provider has no option '%.64s' of that kind", name);
	}
	return 0;
}

/* ---- a KDK as its file ------------------------------------------------------------ */

/* What goes into the file of the KDK. Plain, it is in the secure heap. */
struct kdk_file {
	const char *name;
	char *data;
	size_t len;
	bool tpm;
};

static void kdk_file_clear(struct kdk_file *f)
{
	if (f->tpm)
		free(f->data);
	else
		secmem_free(f->data, f->len);
	memset(f, 0, sizeof(*f));
}

static int without_tpm(struct vmc_error *err)
{
	vmc_prefix(err, "cannot seal the KDK to this host's TPM: ");
	vmc_hint(err, "%s%swith --insecure-no-tpm the KDK lies unsealed in a file, and whoever gets this host's disk opens its VMs",
		 err && err->hint[0] ? err->hint : "", err && err->hint[0] ? "; or " : "");
	return err ? err->code : VMC_ENOTSUP;
}

static int kdk_file_make(const struct kdk *k, const struct setup *s, const struct vmc_config *cfg,
			 struct kdk_file *f, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;

	memset(f, 0, sizeof(*f));
	f->tpm = !s->no_tpm;
	f->name = f->tpm ? KDK_TPM_FILE : KDK_PLAIN_FILE;
	if (f->tpm) {
		if (s->new_tpm && native_sealer->adopt(cfg, err))
			return err ? err->code : VMC_EIO;
		if (!native_sealer->seal(cfg, k->key, KDK_LEN, &f->data, &f->len, &why))
			return 0;
		without_tpm(&why);
		if (err)
			*err = why;
		return why.code;
	}
	f->len = KDK_LEN;
	f->data = secmem_alloc(f->len);
	if (!f->data)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a key derivation key");
	memcpy(f->data, k->key, KDK_LEN);
	return 0;
}

static int conf_for(const struct kdk *k, const struct kdk_file *f, struct native_conf *c, struct vmc_error *err)
{
	memset(c, 0, sizeof(*c));
	c->key_id = k->id;
	c->tpm = f->tpm;
	vmc_time_format(vmc_time(), c->created);
	return kdk_check(k, c->check, err);
}

/* ---- add ------------------------------------------------------------------------------ */

/* Under ps->change. */
static int add_whole(struct providers *ps, const char *name, const struct native_conf *c,
		     const struct kdk_file *f, struct vmc_error *err)
{
	char *text = native_conf_text(c);
	struct registry_file files[] = {
		{ f->name, f->data, f->len },
		{ KEYLIST_FILE, EMPTY_LIST, strlen(EMPTY_LIST) },
		{ PROVIDER_CONF, text, text ? strlen(text) : 0 },
	};
	int rc;

	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	rc = registry_add(ps, name, files, ARRAY_SIZE(files), err);
	free(text);
	return rc;
}

int providers_add_native(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err)
{
	struct kdk_file f = { 0 };
	struct native_conf c;
	struct setup s;
	struct kdk k = { .key = NULL };
	int rc;

	rc = read_options(options, false, &s, err);
	if (!rc)
		rc = kdk_new(&k, err);
	if (!rc)
		rc = kdk_file_make(&k, &s, &ps->cfg, &f, err);
	if (!rc)
		rc = conf_for(&k, &f, &c, err);
	if (!rc) {
		pthread_mutex_lock(&ps->change);
		rc = add_whole(ps, name, &c, &f, err);
		pthread_mutex_unlock(&ps->change);
	}
	kdk_file_clear(&f);
	kdk_clear(&k);
	return rc;
}

/* ---- one that is there ------------------------------------------------------------------- */

struct place {
	char dir[PATH_MAX - 64], conf_path[PATH_MAX];
	struct native_conf conf;
};

/* Under ps->change. */
static int find_native(struct providers *ps, const char *name, struct place *at, struct vmc_error *err)
{
	const struct provider_kind *kind;
	char dir[PATH_MAX];
	int rc;

	rc = registry_find(ps, name, err);
	if (!rc)
		rc = registry_kind(ps, name, &kind, err);
	if (!rc && kind != &native_kind) {
		rc = vmc_fail(err, VMC_ENOTSUP, "key provider '%s' is of the kind %s: its keys are on its servers", name,
			      kind->name);
		vmc_hint(err, "only native providers are exported and imported; back the servers up where they are");
	}
	if (!rc)
		rc = registry_path(ps, name, "", dir, err);
	if (!rc)
		rc = registry_path(ps, name, PROVIDER_CONF, at->conf_path, err);
	if (!rc) {
		snprintf(at->dir, sizeof(at->dir), "%s", dir);
		rc = native_conf_load(&at->conf, at->conf_path, err);
	}
	return rc;
}

static int save_conf(const struct place *at, struct vmc_error *err)
{
	char *text = native_conf_text(&at->conf);
	int rc;

	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for '%s'", at->conf_path);
	rc = fs_replace(at->conf_path, text, strlen(text), 0600, err);
	free(text);
	return rc;
}

/* ---- export -------------------------------------------------------------------------------- */

static int check_target(int fd, struct vmc_error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st))
		return vmc_fail_errno(err, errno, "cannot look at the file for the backup");
	if (S_ISREG(st.st_mode) && !st.st_size && (flags & O_ACCMODE) != O_RDONLY)
		return 0;
	return vmc_fail(err, VMC_EINVAL, "the backup goes into an empty regular file, open for writing");
}

static int write_all(int fd, const uint8_t *data, size_t len, struct vmc_error *err)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n) {
		n = pwrite(fd, data + at, len - at, (off_t)at);
		if (n <= 0)
			return vmc_fail_errno(err, n ? errno : EIO, "cannot write the backup");
	}
	return fs_sync(fd, "the backup", err);
}

static int make_backup(struct providers *ps, const char *name, const struct place *at, const char *password,
		       uint8_t **der, size_t *len, struct vmc_error *err)
{
	struct backup b = { .name = "" };
	int rc = native_load_kdk(at->dir, &at->conf, &ps->cfg, &b.kdk, err);

	snprintf(b.name, sizeof(b.name), "%s", name);
	if (!rc)
		rc = backup_make(&b, password, BACKUP_ITERATIONS, der, len, err);
	backup_clear(&b);
	return rc;
}

static int export_to(struct providers *ps, const char *name, const char *password, int fd,
		     struct vmc_error *err)
{
	uint8_t *der = NULL;
	struct place at;
	size_t len;
	int rc;

	rc = find_native(ps, name, &at, err);
	if (!rc)
		rc = make_backup(ps, name, &at, password, &der, &len, err);
	if (!rc)
		rc = write_all(fd, der, len, err);
	OPENSSL_free(der);
	if (rc)
		return rc;
	vmc_time_format(vmc_time(), at.conf.backed_up);
	return save_conf(&at, err);
}

int providers_export(struct providers *ps, const char *name, const char *password, int fd, struct vmc_error *err)
{
	int rc = backup_password_check(password, err);

	if (!rc)
		rc = check_target(fd, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&ps->change);
	rc = export_to(ps, name, password, fd, err);
	pthread_mutex_unlock(&ps->change);
	return rc ? vmc_prefix(err, "key provider '%s' is not exported: ", name) : 0;
}

/* ---- import ----------------------------------------------------------------------------------- */

static int same_kdk(const struct backup *b, const struct native_conf *there, const struct native_conf *c,
		    struct vmc_error *err)
{
	char mine[VMC_UUID_STR], other[VMC_UUID_STR];
	int rc;

	if (vmc_uuid_equal(&there->key_id, &c->key_id) && !CRYPTO_memcmp(there->check, c->check, KDK_CHECK_LEN))
		return 0;
	vmc_uuid_format(&there->key_id, mine);
	vmc_uuid_format(&c->key_id, other);
	rc = vmc_fail(err, VMC_EEXIST, "there is a native key provider '%s' already, with another KDK: its key id is %s, that of the backup %s",
		      b->name, mine, other);
	vmc_hint(err, "VMs name their provider, so two KDKs never share a name. If no VM of this host uses it: vmcrypt provider remove %s, then import again",
		 b->name);
	return rc;
}

/* The new file first, then the word which one counts, then the old one goes. */
static int restore(struct place *at, const struct kdk_file *f, struct vmc_error *err)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", at->dir, f->name);
	rc = fs_replace(path, f->data, f->len, 0600, err);
	at->conf.tpm = f->tpm;
	if (!rc)
		rc = save_conf(at, err);
	snprintf(path, sizeof(path), "%s/%s", at->dir, f->tpm ? KDK_PLAIN_FILE : KDK_TPM_FILE);
	return rc ? rc : fs_unlink(path, err);
}

/* Under ps->change. */
static int import_backup(struct providers *ps, const struct backup *b, const struct kdk_file *f, bool *restored,
			 struct vmc_error *err)
{
	struct vmc_error missing = VMC_ERROR_INIT;
	struct native_conf c;
	struct place at;
	int rc = conf_for(&b->kdk, f, &c, err);

	if (rc)
		return rc;
	snprintf(c.backed_up, sizeof(c.backed_up), "%s", c.created);	/* it came out of one */
	*restored = !registry_find(ps, b->name, &missing);
	if (!*restored)
		return missing.code == VMC_ENOENT ? add_whole(ps, b->name, &c, f, err) :
		       vmc_fail(err, missing.code, "%s", missing.text);
	rc = find_native(ps, b->name, &at, err);
	if (!rc)
		rc = same_kdk(b, &at.conf, &c, err);
	if (!rc && !at.conf.backed_up[0])
		memcpy(at.conf.backed_up, c.backed_up, sizeof(c.backed_up));
	return rc ? rc : restore(&at, f, err);
}

static int check_key_id(const struct backup *b, const struct setup *s, char uuid[VMC_UUID_STR],
			struct vmc_error *err)
{
	int rc;

	vmc_uuid_format(&b->kdk.id, uuid);
	if (!s->key_id || !strcasecmp(s->key_id, uuid))
		return 0;
	rc = vmc_fail(err, VMC_ENOKEY, "the backup is of provider '%s' with the key id %s, not %.64s", b->name, uuid,
		      s->key_id);
	vmc_hint(err, "'vmcrypt provider show %s' on the host it comes from shows the key id", b->name);
	return rc;
}

static int import_checked(struct providers *ps, const struct backup *b, const struct setup *s, bool *restored,
			  struct vmc_error *err)
{
	struct kdk_file f;
	int rc = kdk_file_make(&b->kdk, s, &ps->cfg, &f, err);

	if (!rc) {
		pthread_mutex_lock(&ps->change);
		rc = import_backup(ps, b, &f, restored, err);
		pthread_mutex_unlock(&ps->change);
	}
	kdk_file_clear(&f);
	return rc;
}

int providers_import(struct providers *ps, const void *backup, size_t len, const char *password,
		     const json_t *options, json_t **result, struct vmc_error *err)
{
	char uuid[VMC_UUID_STR];
	struct backup b = { .name = "" };
	bool restored = false;
	struct setup s;
	int rc;

	*result = NULL;
	rc = read_options(options, true, &s, err);
	if (!rc)
		rc = backup_parse(backup, len, password, BACKUP_ITERATIONS_MAX, &b, err);
	if (!rc)
		rc = check_key_id(&b, &s, uuid, err);
	if (!rc)
		rc = import_checked(ps, &b, &s, &restored, err);
	if (!rc) {
		*result = json_pack("{s:s, s:s, s:b}", "name", b.name, "key_id", uuid, "restored", restored);
		if (!*result)
			rc = vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
	}
	backup_clear(&b);
	return rc;
}
