// SPDX-License-Identifier: GPL-2.0-or-later
/* The set of configured providers: a folder each below CONFIG_DIR/providers. See provider.h. */
#include "provider.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/inifile.h"
#include "../lib/log.h"
#include "../lib/secmem.h"
#include "../lib/util.h"
#include "kmip/cluster.h"
#include "kmip/conf.h"
#include "native/native.h"
#include "registry.h"
#include "trusted/trusted.h"

#define PROVIDERS_MAX	256

static const struct provider_kind *const kinds[] = { &kmip_kind, &native_kind, &trusted_kind };

/* What an object was made from; it is made anew when any of it changes. */
static const char *const made_from[] = {
	PROVIDER_CONF, CLIENT_KEY, CLIENT_CERT, CA_FILE, PIN_FILE, PASSWORD_FILE,
	KDK_TPM_FILE, KDK_PLAIN_FILE,
};

struct file_mark {
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct provider_entry {
	struct provider_entry *next;
	struct provider_base *p;
	struct file_mark marks[ARRAY_SIZE(made_from)];
};

const char *provider_key_state_name(enum provider_key_state s)
{
	switch (s) {
	case PKS_PRE_ACTIVE:		return "Pre-Active";
	case PKS_ACTIVE:		return "Active";
	case PKS_DEACTIVATED:		return "Deactivated";
	case PKS_COMPROMISED:		return "Compromised";
	case PKS_DESTROYED:		return "Destroyed";
	case PKS_DESTROYED_COMPROMISED:	return "Destroyed Compromised";
	case PKS_MISSING:		return "Missing";
	default:			return "Unknown";
	}
}

void provider_keys_clear(struct provider_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		secmem_free(keys[i].material, PROVIDER_KEY_LEN);
		keys[i].material = NULL;
		keys[i].state = PKS_UNKNOWN;
		keys[i].lease = 0;
		keys[i].code = 0;
		keys[i].err = (struct vmc_error)VMC_ERROR_INIT;
	}
}

/* ---- names and folders ---------------------------------------------------------- */

static int name_check(const char *name, struct vmc_error *err)
{
	int code;

	if (vmc_name_ok(name, PROVIDER_NAME_MAX) && strcmp(name, DEFAULT_FILE))
		return 0;
	code = vmc_fail(err, VMC_EINVAL, "'%.80s' cannot be the name of a provider", name);
	vmc_hint(err, "1 to %d of A-Z a-z 0-9 . _ -, not beginning with . or -, and not 'default'",
		 PROVIDER_NAME_MAX);
	return code;
}

int registry_path(const struct providers *ps, const char *name, const char *file, char out[PATH_MAX],
		  struct vmc_error *err)
{
	int rc = name_check(name, err);

	if (!rc)
		snprintf(out, PATH_MAX, "%s/%s%s%s", ps->dir, name, *file ? "/" : "", file);
	return rc;
}

static bool exists(const struct providers *ps, const char *name)
{
	char path[PATH_MAX];

	return !registry_path(ps, name, PROVIDER_CONF, path, NULL) && !access(path, F_OK);
}

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(char **names, size_t n)
{
	while (n)
		free(names[--n]);
	free(names);
}

/* The providers there are, sorted. */
static int names_read(const struct providers *ps, char ***names, size_t *n, struct vmc_error *err)
{
	char **list = calloc(PROVIDERS_MAX, sizeof(*list));
	DIR *d = opendir(ps->dir);
	struct dirent *e;

	*n = 0;
	if (!list || !d) {
		if (d)
			closedir(d);
		free(list);
		return list ? vmc_fail_errno(err, errno, "cannot read '%s'", ps->dir) :
			      vmc_fail(err, VMC_ENOMEM, "no memory for the list of providers");
	}
	while (*n < PROVIDERS_MAX && (e = readdir(d))) {
		if (!exists(ps, e->d_name))
			continue;
		list[*n] = strdup(e->d_name);
		if (list[*n])
			(*n)++;
	}
	closedir(d);
	qsort(list, *n, sizeof(*list), name_order);
	*names = list;
	return 0;
}

int registry_find(struct providers *ps, const char *name, struct vmc_error *err)
{
	char **names, all[512] = "";
	size_t n, used = 0;
	int rc;

	rc = name_check(name, err);
	if (rc || exists(ps, name))
		return rc;
	rc = names_read(ps, &names, &n, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < n && used + PROVIDER_NAME_MAX + 3 < sizeof(all); i++)
		used += snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", names[i]);
	names_free(names, n);
	if (n)
		rc = vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'; there is %s", name, all);
	else
		rc = vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'; there is none at all", name);
	vmc_hint(err, "the name is that of the cluster a VM was encrypted with: vmcrypt provider add kmip %s --server HOST",
		 name);
	return rc;
}

/* ---- what is half made -------------------------------------------------------------- */

/* Folders that a crash left behind while a provider was added or removed. */
static void sweep(const struct providers *ps)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(ps->dir);

	while (d && (e = readdir(d)))
		if ((!strncmp(e->d_name, ".new-", 5) || !strncmp(e->d_name, ".old-", 5)) &&
		    snprintf(path, sizeof(path), "%s/%s", ps->dir, e->d_name) < (int)sizeof(path))
			(void)fs_remove_tree(path, NULL);
	if (d)
		closedir(d);
}

/* ---- kinds ------------------------------------------------------------------------ */

struct kind_reading {
	const char *name;
	char kind[32];
};

/* What else there is, is for the kind itself to read. */
static int on_kind(const struct inifile_entry *e, void *data, struct vmc_error *err)
{
	struct kind_reading *r = data;

	if (!strcmp(e->section, "provider") && !strcmp(e->name, "kind"))
		return inifile_text(e, r->kind, sizeof(r->kind), err);
	return 0;
}

int registry_kind(const struct providers *ps, const char *name, const struct provider_kind **kind,
		  struct vmc_error *err)
{
	struct kind_reading r = { .kind = "kmip" };
	char path[PATH_MAX];
	int rc = registry_path(ps, name, PROVIDER_CONF, path, err);

	*kind = NULL;
	if (!rc)
		rc = inifile_parse(path, on_kind, &r, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->name, r.kind))
			*kind = kinds[i];
	if (*kind)
		return 0;
	rc = vmc_fail(err, VMC_ENOTSUP, "%s: kind is '%s', this vmcrypt knows kmip, native and trusted", path, r.kind);
	vmc_hint(err, "a newer vmcrypt may know it");
	return rc;
}

void registry_lacks(const struct providers *ps, const char *name, char out[256])
{
	const struct provider_kind *kind;

	out[0] = '\0';
	if (!registry_kind(ps, name, &kind, NULL))
		kind->lacks(ps, name, out);
}

/* ---- open and close --------------------------------------------------------------------- */

static void recover_all(struct providers *ps)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char **names;
	size_t n;

	if (names_read(ps, &names, &n, &err))
		return;
	for (size_t i = 0; i < n; i++)
		if (trust_recover(ps, names[i], &err))
			log_warn("provider %s: %s", names[i], err.text);
	names_free(names, n);
}

int providers_open(struct providers **out, const struct vmc_config *cfg, struct vmc_error *err)
{
	struct providers *ps = calloc(1, sizeof(*ps));
	int rc;

	*out = NULL;
	if (!ps)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the list of providers");
	ps->cfg = *cfg;
	snprintf(ps->dir, sizeof(ps->dir), "%s/providers", cfg->config_dir);
	rc = fs_mkdirs(ps->dir, 0700, err);
	if (rc) {
		free(ps);
		return rc;
	}
	pthread_mutex_init(&ps->lock, NULL);
	pthread_mutex_init(&ps->change, NULL);
	sweep(ps);
	recover_all(ps);
	*out = ps;
	return 0;
}

static void entry_free(struct provider_entry *e)
{
	provider_put(&e->p->p);
	free(e);
}

void providers_close(struct providers *ps)
{
	struct provider_entry *e;

	if (!ps)
		return;
	while ((e = ps->list)) {
		ps->list = e->next;
		entry_free(e);
	}
	pthread_mutex_destroy(&ps->change);
	pthread_mutex_destroy(&ps->lock);
	free(ps);
}

/* ---- get and put ---------------------------------------------------------------------------- */

static void marks_read(const struct providers *ps, const char *name, struct file_mark *m)
{
	char path[PATH_MAX];
	struct stat st;

	memset(m, 0, sizeof(*m) * ARRAY_SIZE(made_from));
	for (size_t i = 0; i < ARRAY_SIZE(made_from); i++, m++) {
		if (registry_path(ps, name, made_from[i], path, NULL) || lstat(path, &st))
			continue;
		m->ino = st.st_ino;
		m->size = st.st_size;
		m->mtime = st.st_mtim;
		m->ctime = st.st_ctim;
	}
}

static struct provider_entry **entry_find(struct providers *ps, const char *name)
{
	struct provider_entry **e = &ps->list;

	while (*e && strcmp((*e)->p->p.name, name))
		e = &(*e)->next;
	return e;
}

/* Under the lock: those who hold the old object keep it until they put it. */
static void entry_drop(struct providers *ps, const char *name)
{
	struct provider_entry **at = entry_find(ps, name), *e = *at;

	if (!e)
		return;
	*at = e->next;
	entry_free(e);
}

static int entry_make(struct providers *ps, const char *name, const struct file_mark *marks,
		      struct provider_base **p, struct vmc_error *err)
{
	const struct provider_kind *kind;
	struct provider_entry *e;
	char dir[PATH_MAX], lacks[256];
	int rc;

	rc = registry_kind(ps, name, &kind, err);
	if (rc)
		return rc;
	kind->lacks(ps, name, lacks);
	if (*lacks) {
		rc = vmc_fail(err, VMC_ETRUST, "key provider '%s' %.*s", name,
			      (int)strcspn(lacks, ":"), lacks);
		vmc_hint(err, "%s", lacks + strcspn(lacks, ":") + 2);
		return rc;
	}
	rc = registry_path(ps, name, "", dir, err);
	if (rc)
		return rc;
	e = calloc(1, sizeof(*e));
	if (!e)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	rc = kind->make(name, dir, &ps->cfg, &e->p, err);
	if (rc) {
		free(e);
		return rc;
	}
	memcpy(e->marks, marks, sizeof(e->marks));
	e->next = ps->list;
	ps->list = e;
	*p = e->p;
	return 0;
}

static int get_locked(struct providers *ps, const char *name, struct provider **p,
		      struct vmc_error *err)
{
	struct file_mark marks[ARRAY_SIZE(made_from)];
	struct provider_entry *e = *entry_find(ps, name);
	struct provider_base *b;
	int rc;

	marks_read(ps, name, marks);
	if (e && memcmp(marks, e->marks, sizeof(marks))) {
		entry_drop(ps, name);
		e = NULL;
	}
	if (e) {
		b = e->p;
	} else {
		rc = entry_make(ps, name, marks, &b, err);
		if (rc)
			return rc;
	}
	atomic_fetch_add(&b->refs, 1);
	*p = &b->p;
	return 0;
}

static int default_read(const struct providers *ps, char name[PROVIDER_NAME_MAX + 1],
			struct vmc_error *err)
{
	struct vmc_error local = VMC_ERROR_INIT;
	char path[PATH_MAX], *data;
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", ps->dir, DEFAULT_FILE);
	rc = fs_read(path, 256, &data, &len, &local);
	if (rc == VMC_ENOENT) {
		rc = vmc_fail(err, VMC_ENOENT, "no key provider was named, and there is no default one");
		vmc_hint(err, "vmcrypt provider list shows those there are; vmcrypt provider default NAME makes one of them the default");
		return rc;
	}
	if (rc) {
		if (err)
			*err = local;
		return rc;
	}
	data[strcspn(data, "\n")] = '\0';
	rc = name_check(data, err);
	if (!rc)
		snprintf(name, PROVIDER_NAME_MAX + 1, "%s", data);
	free(data);
	return rc;
}

int providers_get(struct providers *ps, const char *name, struct provider **p,
		  struct vmc_error *err)
{
	char def[PROVIDER_NAME_MAX + 1];
	int rc;

	*p = NULL;
	if (!name) {
		rc = default_read(ps, def, err);
		if (rc)
			return rc;
		name = def;
	}
	rc = registry_find(ps, name, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&ps->lock);
	rc = get_locked(ps, name, p, err);
	pthread_mutex_unlock(&ps->lock);
	return rc;
}

void provider_put(struct provider *p)
{
	struct provider_base *b = (struct provider_base *)p;

	if (p && atomic_fetch_sub(&b->refs, 1) == 1)
		p->ops->free(p);
}

/* ---- list ---------------------------------------------------------------------------------------- */

static json_t *describe(struct providers *ps, const char *name, bool is_default)
{
	struct vmc_error err = VMC_ERROR_INIT;
	const struct provider_kind *kind;
	json_t *o = NULL;

	if (registry_kind(ps, name, &kind, &err))
		o = json_pack("{s:[], s:n, s:o}", "servers", "client_cert", "state",
			      json_sprintf("cannot be used: %s", err.text));
	else
		o = kind->describe(ps, name);
	if (json_object_set_new(o, "name", json_string(name)) |
	    json_object_set_new(o, "kind", json_string(kind ? kind->name : "?")) |
	    json_object_set_new(o, "default", json_boolean(is_default))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

int providers_list(struct providers *ps, json_t **list, struct vmc_error *err)
{
	char **names, def[PROVIDER_NAME_MAX + 1] = "";
	json_t *a = json_array();
	size_t n;
	int rc;

	*list = NULL;
	rc = names_read(ps, &names, &n, err);
	if (rc) {
		json_decref(a);
		return rc;
	}
	default_read(ps, def, NULL);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, describe(ps, names[i], !strcmp(def, names[i])));
	names_free(names, n);
	if (json_array_size(a) != n) {
		json_decref(a);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the list of providers");
	}
	*list = a;
	return 0;
}

/* ---- changes ------------------------------------------------------------------------------------------ */

static int default_write(struct providers *ps, const char *name, struct vmc_error *err)
{
	char path[PATH_MAX], line[PROVIDER_NAME_MAX + 2];

	snprintf(path, sizeof(path), "%s/%s", ps->dir, DEFAULT_FILE);
	snprintf(line, sizeof(line), "%s\n", name);
	return fs_replace(path, line, strlen(line), 0600, err);
}

int providers_set_default(struct providers *ps, const char *name, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&ps->change);
	rc = registry_find(ps, name, err);
	if (!rc)
		rc = default_write(ps, name, err);
	pthread_mutex_unlock(&ps->change);
	return rc;
}

static int remove_files(struct providers *ps, const char *name, struct vmc_error *err)
{
	char path[PATH_MAX], old[PATH_MAX], def[PROVIDER_NAME_MAX + 1] = "";
	int rc;

	default_read(ps, def, NULL);
	if (!strcmp(def, name)) {
		snprintf(path, sizeof(path), "%s/%s", ps->dir, DEFAULT_FILE);
		rc = fs_unlink(path, err);
		if (rc)
			return rc;
	}
	rc = registry_path(ps, name, "", path, err);
	if (rc)
		return rc;
	/* gone by one rename; what is left of it after a crash is swept up by the next start */
	snprintf(old, sizeof(old), "%s/.old-%s", ps->dir, name);
	(void)fs_remove_tree(old, NULL);
	rc = fs_rename(path, old, err);
	if (!rc)
		(void)fs_remove_tree(old, NULL);
	return rc;
}

int providers_remove(struct providers *ps, const char *name, struct vmc_error *err)
{
	const struct provider_kind *kind = NULL;
	int rc;

	pthread_mutex_lock(&ps->change);
	rc = registry_find(ps, name, err);
	if (!rc && registry_kind(ps, name, &kind, NULL))
		kind = NULL;		/* broken as it is, it may go */
	if (!rc)
		rc = remove_files(ps, name, err);
	if (!rc && kind && kind->forget)
		kind->forget(ps, name);
	if (!rc) {
		pthread_mutex_lock(&ps->lock);
		entry_drop(ps, name);
		pthread_mutex_unlock(&ps->lock);
	}
	pthread_mutex_unlock(&ps->change);
	return rc;
}

/* The whole folder under another name first, so that a provider is there whole or not at all. */
static int add_files(struct providers *ps, const char *name, const struct registry_file *files, size_t n,
		     struct vmc_error *err)
{
	char fresh[PATH_MAX - 64], path[PATH_MAX];
	int rc;

	snprintf(fresh, sizeof(fresh), "%s/.new-%s", ps->dir, name);
	(void)fs_remove_tree(fresh, NULL);
	rc = fs_mkdirs(fresh, 0700, err);
	for (size_t i = 0; !rc && i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", fresh, files[i].name);
		rc = fs_replace(path, files[i].data, files[i].len, 0600, err);
	}
	if (!rc)
		rc = registry_path(ps, name, "", path, err);
	if (!rc)
		rc = fs_rename(fresh, path, err);
	if (rc)
		(void)fs_remove_tree(fresh, NULL);
	return rc;
}

int registry_add(struct providers *ps, const char *name, const struct registry_file *files, size_t n,
		 struct vmc_error *err)
{
	char def[PROVIDER_NAME_MAX + 1];
	int rc = name_check(name, err);

	if (rc)
		return rc;
	if (exists(ps, name)) {
		rc = vmc_fail(err, VMC_EEXIST, "there is a key provider '%s' already", name);
		vmc_hint(err, "vmcrypt provider show %s; the name is recorded in every VM that it encrypts, so two providers never share one",
			 name);
		return rc;
	}
	rc = add_files(ps, name, files, n, err);
	if (!rc && default_read(ps, def, NULL))
		rc = default_write(ps, name, err);
	return rc;
}

static int add_kmip(struct providers *ps, const char *name, const struct kmip_conf *conf,
		    struct vmc_error *err)
{
	char *text = kmip_conf_text(conf, &ps->cfg);
	struct registry_file file = { PROVIDER_CONF, text, text ? strlen(text) : 0 };
	int rc;

	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	pthread_mutex_lock(&ps->change);
	rc = registry_add(ps, name, &file, 1, err);
	pthread_mutex_unlock(&ps->change);
	free(text);
	return rc;
}

int providers_add_kmip(struct providers *ps, const char *name, const json_t *options,
		       struct vmc_error *err)
{
	struct kmip_conf conf;
	vmc_uuid u;
	int rc;

	rc = name_check(name, err);
	if (!rc)
		rc = kmip_conf_from_json(&conf, options, &ps->cfg, err);
	if (!rc && vmc_uuid_new(&u))
		rc = vmc_fail(err, VMC_EINTERNAL, "no random numbers");
	if (rc)
		return rc;
	vmc_uuid_format(&u, conf.installation);
	return add_kmip(ps, name, &conf, err);
}
