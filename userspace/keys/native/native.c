// SPDX-License-Identifier: GPL-2.0-or-later
/* A native key provider. See native.h. */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/secmem.h"
#include "keylist.h"
#include "seal.h"

struct native {
	struct provider_base base;
	struct native_conf conf;
	struct vmc_config cfg;
	char dir[PATH_MAX];
	pthread_mutex_t lock;
	struct kdk kdk;			/* under @lock until it is there, constant then */
};

/* keys.json is the truth, and several objects of one provider may live at once. */
static pthread_mutex_t keylist_lock = PTHREAD_MUTEX_INITIALIZER;

static struct native *of(struct provider *p)
{
	return (struct native *)p;	/* base.p is the first thing in it */
}

/* ---- the KDK ------------------------------------------------------------------- */

static int load_sealed(const char *dir, const struct vmc_config *cfg, uint8_t *key, struct vmc_error *err)
{
	char path[PATH_MAX], *blob;
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, KDK_TPM_FILE);
	rc = fs_read(path, SEAL_BLOB_MAX, &blob, &len, err);
	if (rc)
		return rc;
	rc = native_sealer->unseal(cfg, blob, len, key, KDK_LEN, err);
	free(blob);
	/* there are no providers to take it from anew, as there are for kept keys */
	if (rc == VMC_ETPMPOLICY)
		vmc_hint(err, "if that change was meant, 'vmcrypt provider import FILE' seals the KDK anew, from the backup of the provider; if not, find out what changed before you trust this host");
	else if (rc == VMC_ETPMROOT || rc == VMC_ETPMCLEARED || rc == VMC_EAUTH)
		vmc_hint(err, "if the TPM was cleared or replaced on purpose, 'vmcrypt provider import FILE --new-tpm' seals the KDK to it, from the backup of the provider; if not, have the machine looked at");
	return rc;
}

/* Into the secure heap by read(2) itself. */
static int load_plain(const char *dir, uint8_t *key, struct vmc_error *err)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, KDK_PLAIN_FILE);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & 077 || st.st_size != KDK_LEN ||
	    read(fd, key, KDK_LEN) != KDK_LEN) {
		rc = vmc_fail(err, VMC_EINVAL, "'%s' is not a file of %d bytes with mode 0600", path, KDK_LEN);
		vmc_hint(err, "if others may have read it, move the VMs to another provider: vmcrypt vm recrypt --deep");
	}
	close(fd);
	return rc;
}

int native_load_kdk(const char *dir, const struct native_conf *c, const struct vmc_config *cfg,
		    struct kdk *kdk, struct vmc_error *err)
{
	uint8_t *key = secmem_alloc(KDK_LEN), check[KDK_CHECK_LEN];
	int rc;

	memset(kdk, 0, sizeof(*kdk));
	if (!key)
		return vmc_fail(err, VMC_ENOMEM, "no room in the secure heap for a key derivation key");
	rc = c->tpm ? load_sealed(dir, cfg, key, err) : load_plain(dir, key, err);
	if (!rc)
		rc = kdk_set(kdk, &c->key_id, key, err);
	secmem_free(key, KDK_LEN);
	if (!rc)
		rc = kdk_check(kdk, check, err);
	if (!rc && CRYPTO_memcmp(check, c->check, sizeof(check)))
		rc = vmc_fail(err, VMC_EAUTH, "what lies in '%s' is not the KDK that '%s' describes",
			      c->tpm ? KDK_TPM_FILE : KDK_PLAIN_FILE, PROVIDER_CONF);
	if (!rc)
		return 0;
	kdk_clear(kdk);
	if (err && !err->hint[0])
		vmc_hint(err, "'vmcrypt provider import FILE' puts it back from the backup of the provider");
	return vmc_prefix(err, "cannot get the KDK: ");
}

/* Unsealed once, at the first need; a failure is tried anew at the next. */
static int need_kdk(struct native *n, struct vmc_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&n->lock);
	if (!n->kdk.key)
		rc = native_load_kdk(n->dir, &n->conf, &n->cfg, &n->kdk, err);
	pthread_mutex_unlock(&n->lock);
	return rc ? vmc_prefix(err, "native key provider '%s': ", n->base.p.name) : 0;
}

/* ---- keys ------------------------------------------------------------------------ */

static int read_keys(struct native *n, struct keylist *l, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&keylist_lock);
	rc = keylist_read(n->dir, l, err);
	pthread_mutex_unlock(&keylist_lock);
	return rc ? vmc_prefix(err, "native key provider '%s': ", n->base.p.name) : 0;
}

/* KDK and list at hand; what fails here fails for every key. */
static int prepare(struct native *n, struct keylist *l, struct vmc_error *err)
{
	int rc = need_kdk(n, err);

	memset(l, 0, sizeof(*l));
	return rc ? rc : read_keys(n, l, err);
}

static int destroyed(const struct native *n, const char *id, struct vmc_error *err)
{
	int rc = vmc_fail(err, VMC_ENOKEY, "key '%s' of native key provider '%s' was destroyed", id,
			  n->base.p.name);

	vmc_hint(err, "what is encrypted under it is lost on this host");
	return rc;
}

static int key_state(const struct native *n, const struct keylist *l, struct provider_key *k)
{
	const struct native_key *known = keylist_find(l, k->id);
	int rc = kdk_own_id(&n->kdk, k->id, &k->err);

	k->state = rc == VMC_ENOKEY ? PKS_MISSING : rc ? PKS_UNKNOWN : PKS_ACTIVE;
	if (!rc && known && known->destroyed[0]) {
		k->state = PKS_DESTROYED;
		rc = destroyed(n, k->id, &k->err);
	}
	return rc;
}

static int derive(const struct native *n, struct provider_key *k)
{
	int rc;

	k->material = secmem_alloc(PROVIDER_KEY_LEN);
	if (!k->material)
		return vmc_fail(&k->err, VMC_ENOMEM, "no room in the secure heap for key '%s'", k->id);
	rc = kdk_derive(&n->kdk, k->id, k->material, &k->err);
	if (rc) {
		secmem_free(k->material, PROVIDER_KEY_LEN);
		k->material = NULL;
	}
	return rc;
}

static int first_failure(const struct provider_key *keys, size_t n, struct vmc_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!keys[i].code)
			continue;
		if (err)
			*err = keys[i].err;
		return keys[i].code;
	}
	return 0;
}

static void fail_all(struct provider_key *keys, size_t n, const struct vmc_error *why)
{
	for (size_t i = 0; i < n; i++) {
		keys[i].code = why->code;
		keys[i].err = *why;
	}
}

static int native_get(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct native *na = of(p);
	struct keylist l;

	provider_keys_clear(keys, n);
	if (prepare(na, &l, &why)) {
		fail_all(keys, n, &why);
		return first_failure(keys, n, err);
	}
	for (size_t i = 0; i < n; i++) {
		keys[i].code = key_state(na, &l, &keys[i]);
		if (!keys[i].code)
			keys[i].code = derive(na, &keys[i]);
	}
	keylist_clear(&l);
	return first_failure(keys, n, err);
}

/* A key that is gone has a state, too. */
static int native_key_states(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	struct native *na = of(p);
	struct keylist l;
	int rc = prepare(na, &l, err);

	if (rc)
		return rc;
	provider_keys_clear(keys, n);
	for (size_t i = 0; i < n && (!rc || rc == VMC_ENOKEY); i++) {
		rc = keys[i].code = key_state(na, &l, &keys[i]);
		if (rc && rc != VMC_ENOKEY && err)
			*err = keys[i].err;
	}
	keylist_clear(&l);
	return rc == VMC_ENOKEY ? 0 : rc;
}

static int refuse_without_backup(const struct native *n, struct vmc_error *err)
{
	int rc;

	if (n->conf.backed_up[0])
		return 0;
	rc = vmc_fail(err, VMC_ESTATE, "native key provider '%s' is not backed up, so it makes no keys yet",
		      n->base.p.name);
	vmc_hint(err, "vmcrypt provider export %s --out FILE, and keep FILE and its password in a safe place off this host",
		 n->base.p.name);
	return rc;
}

/* Read, change, write; nobody else between. @l is the caller's to clear. */
static int change_keys(struct native *n, int (*change)(struct native *n, struct keylist *l, void *data,
						       struct vmc_error *err),
		       void *data, struct vmc_error *err)
{
	struct keylist l;
	int rc;

	pthread_mutex_lock(&keylist_lock);
	rc = keylist_read(n->dir, &l, err);
	if (!rc)
		rc = change(n, &l, data, err);
	if (!rc)
		rc = keylist_write(n->dir, &l, err);
	pthread_mutex_unlock(&keylist_lock);
	keylist_clear(&l);
	return rc;
}

struct new_key {
	const char *label;
	char *id;
};

static int add_key(struct native *n, struct keylist *l, void *data, struct vmc_error *err)
{
	struct new_key *k = data;

	(void)n;
	return keylist_add(l, k->id, k->label, err);
}

static int native_create(struct provider *p, const char *label, char id[PROVIDER_KEY_ID_MAX + 1],
			 struct vmc_error *err)
{
	struct native *n = of(p);
	struct new_key k = { .label = label, .id = id };
	int rc = refuse_without_backup(n, err);

	if (!rc)
		rc = need_kdk(n, err);
	if (!rc)
		rc = kdk_new_id(&n->kdk, id, err);
	if (!rc)
		rc = change_keys(n, add_key, &k, err);
	return rc;
}

static int native_list(struct provider *p, char ***ids, size_t *n_ids, struct vmc_error *err)
{
	struct native *n = of(p);
	struct keylist l;
	int rc = read_keys(n, &l, err);

	*n_ids = 0;
	*ids = NULL;
	if (rc)
		return rc;
	*ids = calloc(l.n ? l.n : 1, sizeof(**ids));
	for (size_t i = 0; *ids && i < l.n; i++) {
		if (l.k[i].destroyed[0])
			continue;
		(*ids)[*n_ids] = strdup(l.k[i].id);
		if ((*ids)[*n_ids])
			(*n_ids)++;
	}
	keylist_clear(&l);
	return *ids ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the list of keys");
}

/* Also of a key that another host gave out: from now on it is refused here. */
static int mark_destroyed(struct native *n, struct keylist *l, void *data, struct vmc_error *err)
{
	const char *id = data;
	struct native_key *k = keylist_find(l, id);
	int rc;

	if (k && k->destroyed[0])
		return vmc_fail(err, VMC_ENOKEY, "key '%s' is destroyed already", id);
	rc = k ? 0 : keylist_add(l, id, "", err);
	(void)n;
	if (rc)
		return rc;
	k = keylist_find(l, id);
	vmc_time_format(vmc_time(), k->destroyed);
	return 0;
}

static int native_destroy(struct provider *p, const char *id, struct vmc_error *err)
{
	struct native *n = of(p);
	int rc = need_kdk(n, err);

	if (!rc)
		rc = kdk_own_id(&n->kdk, id, err);
	return rc ? rc : change_keys(n, mark_destroyed, (void *)id, err);
}

/* ---- what people see ---------------------------------------------------------------- */

const char *native_state(const struct native_conf *c)
{
	return c->backed_up[0] ? "Active" : "Not backed up";
}

json_t *native_warnings(const char *name, const struct native_conf *c)
{
	json_t *a = json_array();
	int bad = 0;

	if (!c->backed_up[0])
		bad |= json_array_append_new(a, json_sprintf(
			_("key provider '%s' is not backed up: it makes no keys until it is, and without a backup its VMs are lost with this host. Type: vmcrypt provider export %s --out FILE"),
			name, name));
	if (!c->tpm)
		bad |= json_array_append_new(a, json_sprintf(
			_("the KDK of key provider '%s' is not sealed to a TPM: whoever gets this host's disk opens its VMs. On a host with a TPM 2.0, type: vmcrypt provider import FILE, with its backup"),
			name));
	if (!bad)
		return a;
	json_decref(a);
	return NULL;
}

/* What list, show and test all say. Used up: nothing; new reference. */
static json_t *describe_conf(const char *name, const struct native_conf *c)
{
	char uuid[VMC_UUID_STR];

	vmc_uuid_format(&c->key_id, uuid);
	return json_pack("{s:[], s:n, s:s, s:s, s:s, s:s, s:s*, s:o}", "servers", "client_cert", "state",
			 native_state(c), "key_id", uuid, "kdk", c->tpm ? "tpm" : "file", "created", c->created,
			 "backed_up", c->backed_up[0] ? c->backed_up : NULL, "warnings",
			 native_warnings(name, c));
}

static json_t *native_describe(struct providers *ps, const char *name)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct native_conf conf;
	char path[PATH_MAX];

	if (registry_path(ps, name, PROVIDER_CONF, path, &err) || native_conf_load(&conf, path, &err))
		return json_pack("{s:[], s:n, s:o}", "servers", "client_cert", "state",
				 json_sprintf("cannot be used: %s", err.text));
	return describe_conf(name, &conf);
}

static int native_test(struct provider *p, json_t **report, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct native *n = of(p);
	struct keylist l = { 0 };
	bool usable = !prepare(n, &l, &why);
	json_t *o = describe_conf(p->name, &n->conf);
	int bad;

	bad = json_object_set_new(o, "kind", json_string("native")) |
	      json_object_set_new(o, "reachable", json_boolean(usable)) |
	      json_object_set_new(o, "keys", json_integer((json_int_t)l.n));
	if (!usable)
		bad |= json_object_set_new(o, "error", json_string(why.text)) |
		       json_object_set_new(o, "code", json_string(vmc_code_name(why.code))) |
		       json_object_set_new(o, "hint", json_string(why.hint));
	keylist_clear(&l);
	if (!bad) {
		*report = o;
		return 0;
	}
	json_decref(o);
	return vmc_fail(err, VMC_ENOMEM, "no memory for the report about provider '%s'", p->name);
}

/* ---- life ------------------------------------------------------------------------------ */

static void native_free(struct provider *p)
{
	struct native *n = of(p);

	kdk_clear(&n->kdk);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static const struct provider_ops native_ops = {
	.kind = "native",
	.create = native_create,
	.get = native_get,
	.state = native_key_states,
	.list = native_list,
	.destroy = native_destroy,
	.test = native_test,
	.free = native_free,
};

static int native_make(const char *name, const char *dir, const struct vmc_config *cfg,
		       struct provider_base **out, struct vmc_error *err)
{
	struct native *n = calloc(1, sizeof(*n));
	char path[PATH_MAX];
	int rc;

	*out = NULL;
	if (!n)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	n->base.p.ops = &native_ops;
	atomic_init(&n->base.refs, 1);
	n->cfg = *cfg;
	snprintf(n->base.p.name, sizeof(n->base.p.name), "%s", name);
	snprintf(n->dir, sizeof(n->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/%s", dir, PROVIDER_CONF);
	rc = native_conf_load(&n->conf, path, err);
	if (rc) {
		free(n);
		return vmc_prefix(err, "provider '%s': ", name);
	}
	pthread_mutex_init(&n->lock, NULL);
	*out = &n->base;
	return 0;
}

/* It is made whole. */
static void native_lacks(const struct providers *ps, const char *name, char out[256])
{
	(void)ps, (void)name;
	out[0] = '\0';
}

const struct provider_kind native_kind = {
	.name = "native",
	.lacks = native_lacks,
	.make = native_make,
	.describe = native_describe,
};
