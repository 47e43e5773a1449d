// SPDX-License-Identifier: GPL-2.0-or-later
/* The desired state on disk and in memory. See state.h. */
#include "state.h"

#include <limits.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/util.h"
#include "sign.h"
#include "store.h"
#include "tstate.h"

#define STATE_FILE	"state.jws"
#define KEY_DIR		"attestd"	/* which no other service sees */
#define KEY_FILE	KEY_DIR "/cluster.key"
#define PUBLIC_FILE	"cluster.pub"
#define PUBLIC_MAX	4096

/* What a file was when it was read: another one is read anew. */
struct mark {
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct trust_state {
	char dir[PATH_MAX - 64];
	pthread_mutex_t lock;
	struct mark mark;
	EVP_PKEY *public;		/* NULL: in no cluster yet */
	json_t *json;			/* NULL: no state yet */
	char *jws;
	struct trust_store *store;	/* NULL: each authority has only its file */
	uint64_t seen;			/* mark of what of it was taken last; under the lock */
};

/* ---- roles ------------------------------------------------------------------------- */

static const char *const role_names[] = {
	[TRUST_ROLE_NONE] = "none", [TRUST_ROLE_HOST] = "host",
	[TRUST_ROLE_AUDITOR] = "auditor", [TRUST_ROLE_ADMIN] = "trust-admin",
};

const char *trust_role_name(enum trust_role r)
{
	return role_names[r];
}

int trust_role_parse(const char *name, enum trust_role *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(role_names); i++) {
		if (strcmp(role_names[i], name))
			continue;
		*r = i;
		return 0;
	}
	return VMC_EINVAL;
}

static bool has_fingerprint(const json_t *authority, const char *member, const char *sha256)
{
	const char *pem = json_string_value(json_object_get(authority, member));
	STACK_OF(X509) *chain = NULL;
	char fp[CERT_FINGERPRINT];
	bool same;

	if (!pem || cert_chain_from_pem(pem, "certificate", &chain, NULL))
		return false;
	same = !cert_fingerprint(sk_X509_value(chain, 0), fp) && !strcmp(fp, sha256);
	cert_chain_free(chain);
	return same;
}

static const char *const certificates[] = { "attest_cert", "attest_also", "kmx_cert", "kmx_also" };

bool trust_state_lists(const json_t *snapshot, const char *cert_sha256)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(snapshot, "authorities"), i, e)
		for (size_t k = 0; k < ARRAY_SIZE(certificates); k++)
			if (has_fingerprint(e, certificates[k], cert_sha256))
				return true;
	return false;
}

int trust_state_role(const json_t *snapshot, const char *cert_sha256, enum trust_role *role)
{
	const json_t *p = tstate_find(json_object_get(snapshot, "principals"), "fingerprint", cert_sha256, NULL);

	*role = TRUST_ROLE_NONE;
	if (p)
		return trust_role_parse(json_string_value(json_object_get(p, "role")), role);
	if (trust_state_lists(snapshot, cert_sha256))
		*role = TRUST_ROLE_AUDITOR;
	return 0;
}

/* ---- files ------------------------------------------------------------------------- */

const char *trust_dir(void)
{
	const char *dir = secure_getenv("VMCRYPT_TRUST_STATE_DIR");

	return dir && *dir == '/' ? dir : TRUST_DIR;
}

static void path_of(const struct trust_state *s, const char *file, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", s->dir, file);
}

static bool look(const struct trust_state *s, struct mark *m)
{
	char path[PATH_MAX];
	struct stat st;

	memset(m, 0, sizeof(*m));
	path_of(s, STATE_FILE, path);
	if (stat(path, &st))
		return false;
	m->ino = st.st_ino;
	m->size = st.st_size;
	m->mtime = st.st_mtim;
	return true;
}

static bool same_mark(const struct mark *a, const struct mark *b)
{
	return a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int load_public(struct trust_state *s, struct vmc_error *err)
{
	char path[PATH_MAX], *pem;
	int rc;

	if (s->public)
		return 0;
	path_of(s, PUBLIC_FILE, path);
	rc = fs_read(path, PUBLIC_MAX, &pem, NULL, err);
	if (rc)
		return rc;
	rc = sign_public_load(pem, &s->public, err);
	free(pem);
	return rc ? vmc_prefix(err, "'%s': ", path) : 0;
}

static json_int_t serial_of(const json_t *state)
{
	return json_integer_value(json_object_get(state, "serial"));
}

/* A signed document as a state. */
static int unseal(struct trust_state *s, const char *jws, json_t **state, struct vmc_error *err)
{
	char *text;
	size_t n;
	int rc = sign_open(s->public, TRUST_STATE_TYPE, jws, &text, &n, err);

	if (rc)
		return rc;
	rc = tstate_parse(text, n, state, err);
	free(text);
	return rc;
}

/* May @state come after what there is? 0: yes; 1: it is what there is. */
static int check_newer(const struct trust_state *s, const json_t *state, struct vmc_error *err)
{
	long long have, come = serial_of(state);

	if (!s->json)
		return 0;
	have = serial_of(s->json);
	if (come > have)
		return 0;
	if (come == have && json_equal(state, s->json))
		return 1;
	if (come == have)
		vmc_fail(err, VMC_EREPLAY, "the desired state is refused: this authority has another one of the same serial %lld",
			 have);
	else
		vmc_fail(err, VMC_EREPLAY, "the desired state is refused: its serial %lld is older than %lld, which this authority has",
			 come, have);
	vmc_hint(err, "see 'vmcrypt trust status'; changes are made on the authority that has the cluster's key");
	return VMC_EREPLAY;
}

/* @state and @jws are taken over. @m: of the file that they are in. */
static void adopt(struct trust_state *s, json_t *state, char *jws, const struct mark *m)
{
	json_decref(s->json);
	free(s->jws);
	s->json = state;
	s->jws = jws;
	s->mark = *m;
}

/* Under the lock. */
static int reload(struct trust_state *s, struct vmc_error *err)
{
	char path[PATH_MAX], *jws;
	json_t *state;
	struct mark m;
	int rc;

	if (!look(s, &m) || same_mark(&m, &s->mark))
		return 0;
	path_of(s, STATE_FILE, path);
	rc = load_public(s, err);
	if (!rc)
		rc = fs_read(path, SIGN_MAX, &jws, NULL, err);
	if (rc)
		return rc;
	rc = unseal(s, jws, &state, err);
	if (!rc) {
		rc = check_newer(s, state, err);
		if (!rc) {
			/* as it was before it was read: what came since is for the next time */
			adopt(s, state, jws, &m);
			return 0;
		}
		json_decref(state);
	}
	free(jws);
	if (rc != 1)
		return vmc_prefix(err, "'%s': ", path);
	s->mark = m;
	return 0;
}

int trust_state_open(struct trust_state **ret, const char *dir, struct vmc_error *err)
{
	struct trust_state *s;
	int rc;

	if (strlen(dir) >= sizeof(s->dir))
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", dir);
	s = calloc(1, sizeof(*s));
	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	pthread_mutex_init(&s->lock, NULL);
	rc = fs_mkdirs(dir, 0700, err);
	if (!rc)
		rc = load_public(s, err);
	if (rc == VMC_ENOENT)
		rc = 0;		/* in no cluster yet */
	if (!rc)
		rc = reload(s, err);
	if (rc) {
		trust_state_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int trust_state_reopen(struct trust_state *s, struct vmc_error *err)
{
	const struct mark none = { .ino = 0 };
	int rc;

	pthread_mutex_lock(&s->lock);
	EVP_PKEY_free(s->public);
	s->public = NULL;
	s->seen = 0;
	adopt(s, NULL, NULL, &none);
	rc = reload(s, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void trust_state_close(struct trust_state *s)
{
	if (!s)
		return;
	EVP_PKEY_free(s->public);
	json_decref(s->json);
	free(s->jws);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *trust_state_dir(const struct trust_state *s)
{
	return s->dir;
}

int trust_state_reload(struct trust_state *s, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = reload(s, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

json_t *trust_state_json(struct trust_state *s)
{
	json_t *j;

	pthread_mutex_lock(&s->lock);
	j = json_incref(s->json);
	pthread_mutex_unlock(&s->lock);
	return j;
}

int trust_state_hash(const json_t *snapshot, char out[TRUST_HASH], struct vmc_error *err)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	char *text;
	size_t n;
	int rc = tstate_canonical(snapshot, &text, &n, err);

	if (rc)
		return rc;
	SHA256((uint8_t *)text, n, hash);
	free(text);
	vmc_hex_encode(hash, sizeof(hash), out);
	return 0;
}

/* ---- changes ------------------------------------------------------------------------- */

static int no_cluster(struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOENT, "this authority is in no cluster yet");
	vmc_hint(err, "make one with 'vmcrypt trust init CLUSTER', or let it into one with 'vmcrypt trust join FILE'");
	return VMC_ENOENT;
}

/* On disk, then in memory. @state and @jws are taken over. */
static int put(struct trust_state *s, json_t *state, char *jws, struct vmc_error *err)
{
	char path[PATH_MAX];
	struct mark m;
	int rc;

	path_of(s, STATE_FILE, path);
	rc = fs_replace(path, jws, strlen(jws), 0600, err);
	if (!rc) {
		look(s, &m);
		adopt(s, state, jws, &m);
		return 0;
	}
	json_decref(state);
	free(jws);
	return rc;
}

int trust_state_put(struct trust_state *s, const char *jws, struct vmc_error *err)
{
	json_t *state;
	char *copy;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = s->public ? unseal(s, jws, &state, err) : no_cluster(err);
	if (!rc) {
		rc = check_newer(s, state, err);
		copy = rc ? NULL : strdup(jws);
		if (!rc && copy) {
			rc = put(s, state, copy, err);
		} else {
			json_decref(state);
			if (!rc)
				rc = vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rc == 1 ? 0 : rc;
}

int trust_state_get(struct trust_state *s, char **jws, struct vmc_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	*jws = s->jws ? strdup(s->jws) : NULL;
	if (!s->jws)
		rc = no_cluster(err);
	else if (!*jws)
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int load_key(const struct trust_state *s, EVP_PKEY **key, struct vmc_error *err)
{
	char path[PATH_MAX];
	int rc;

	path_of(s, KEY_FILE, path);
	rc = cert_key_load(path, key, err);
	if (rc != VMC_ENOENT)
		return rc;
	vmc_fail(err, VMC_ENOTSUP, "the key of the cluster is not on this authority, which therefore makes no changes");
	vmc_hint(err, "make them on the authority where 'vmcrypt trust init' was done; if that is lost, 'vmcrypt trust restore FILE' brings the key here");
	return VMC_ENOTSUP;
}

/* ---- a shared store --------------------------------------------------------------------- */

void trust_state_share(struct trust_state *s, struct trust_store *store)
{
	pthread_mutex_lock(&s->lock);
	s->store = store;
	s->seen = 0;
	pthread_mutex_unlock(&s->lock);
}

/* Under the lock: @state is the next one, if what is shared comes before it. */
static int share(struct trust_state *s, const json_t *state, const char *jws, struct vmc_error *err)
{
	json_t *there = NULL;
	uint64_t mark = 0;
	char *old = NULL;
	int rc = s->store->ops->load(s->store, &old, &mark, err);

	if (rc == VMC_ENOENT)
		return s->store->ops->put(s->store, jws, 0, err);
	if (!rc)
		rc = unseal(s, old, &there, err);
	free(old);
	if (rc)
		return vmc_prefix(err, "the shared desired state: ");
	if (serial_of(there) < serial_of(state)) {
		rc = s->store->ops->put(s->store, jws, mark, err);
	} else {
		rc = vmc_fail(err, VMC_EREPLAY, "the shared desired state has the serial %lld already",
			      (long long)serial_of(there));
		vmc_hint(err, "another authority has changed it; try again when this one has it, see 'vmcrypt trust status'");
	}
	json_decref(there);
	return rc;
}

/* This authority's own in place of what has @mark. */
static int put_back(struct trust_state *s, uint64_t mark, struct vmc_error *err)
{
	char *jws;
	int rc = trust_state_get(s, &jws, err);

	if (rc == VMC_ENOENT)
		return 0;		/* it has none either */
	if (rc)
		return rc;
	rc = s->store->ops->put(s->store, jws, mark, err);
	free(jws);
	return rc;
}

/* What was loaded, under the lock. *@behind: it is to be put back. */
static int consider(struct trust_state *s, const char *jws, uint64_t mark, bool *changed, bool *behind,
		    struct vmc_error *err)
{
	json_t *state;
	char *copy;
	int rc = s->public ? unseal(s, jws, &state, err) : no_cluster(err);

	if (rc)
		return rc;
	rc = check_newer(s, state, err);
	*behind = rc < 0 && serial_of(state) < serial_of(s->json);
	copy = rc ? NULL : strdup(jws);
	if (copy) {
		rc = put(s, state, copy, err);
		*changed = !rc;
	} else {
		json_decref(state);
		if (!rc)
			rc = vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	}
	if (rc >= 0)
		s->seen = mark;
	return rc == 1 ? 0 : rc;
}

int trust_state_sync(struct trust_state *s, bool *changed, struct vmc_error *err)
{
	bool behind = false, seen;
	uint64_t mark = 0;
	char *jws = NULL;
	int rc = s->store->ops->load(s->store, NULL, &mark, err);

	*changed = false;
	if (rc == VMC_ENOENT)
		return put_back(s, 0, err);
	pthread_mutex_lock(&s->lock);
	seen = !rc && mark == s->seen;
	pthread_mutex_unlock(&s->lock);
	if (!rc && !seen)
		rc = s->store->ops->load(s->store, &jws, &mark, err);
	if (rc || seen)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = consider(s, jws, mark, changed, &behind, err);
	pthread_mutex_unlock(&s->lock);
	free(jws);
	if (!behind)
		return rc;
	log_warn("the shared desired state was set back, which is not followed: it is replaced by that of this authority");
	return put_back(s, mark, err);
}

/* Check, sign, keep. @state is taken over. */
static int commit(struct trust_state *s, EVP_PKEY *key, json_t *state, struct vmc_error *err)
{
	char *text, *jws;
	size_t n;
	int rc = tstate_check(state, err);

	if (!rc)
		rc = tstate_canonical(state, &text, &n, err);
	if (rc) {
		json_decref(state);
		return rc;
	}
	rc = sign_make(key, TRUST_STATE_TYPE, text, n, &jws, err);
	free(text);
	if (!rc && s->store) {
		rc = share(s, state, jws, err);
		if (rc)
			free(jws);
	}
	if (!rc)
		return put(s, state, jws, err);
	json_decref(state);
	return rc;
}

static int edit_locked(struct trust_state *s, EVP_PKEY *key, trust_edit_fn edit, void *data, struct vmc_error *err)
{
	json_t *copy = json_deep_copy(s->json);
	int rc;

	if (!copy)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	rc = edit(copy, data, err);
	if (!rc && (json_object_set_new(copy, "serial", json_integer(serial_of(copy) + 1)) ||
		    json_object_set_new(copy, "changed", json_integer(vmc_time()))))
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	if (!rc)
		return commit(s, key, copy, err);
	json_decref(copy);
	return rc;
}

int trust_state_edit(struct trust_state *s, trust_edit_fn edit, void *data, struct vmc_error *err)
{
	EVP_PKEY *key = NULL;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = reload(s, err);
	if (!rc && !s->json)
		rc = no_cluster(err);
	if (!rc)
		rc = load_key(s, &key, err);
	if (!rc)
		rc = edit_locked(s, key, edit, data, err);
	pthread_mutex_unlock(&s->lock);
	EVP_PKEY_free(key);
	return rc;
}

/* ---- beginnings ------------------------------------------------------------------------ */

static int make_dir(const struct trust_state *s, const char *name, struct vmc_error *err)
{
	char path[PATH_MAX];

	path_of(s, name, path);
	return fs_mkdirs(path, 0700, err);
}

/* The key of an init that was cut short is taken up again: nothing was signed for others with it. */
static int make_key(struct trust_state *s, EVP_PKEY **key, struct vmc_error *err)
{
	char path[PATH_MAX];
	int rc;

	path_of(s, KEY_FILE, path);
	rc = cert_key_load(path, key, err);
	if (rc != VMC_ENOENT)
		return rc;
	rc = make_dir(s, KEY_DIR, err);
	if (!rc)
		rc = cert_key_new(key, err);
	return rc ? rc : cert_key_save(*key, path, err);
}

static int save_public(struct trust_state *s, EVP_PKEY *key, struct vmc_error *err)
{
	char path[PATH_MAX], *pem;
	int rc = sign_public_pem(key, &pem, err);

	if (rc)
		return rc;
	path_of(s, PUBLIC_FILE, path);
	rc = fs_replace(path, pem, strlen(pem), 0644, err);
	free(pem);
	return rc;
}

static int in_cluster(const struct trust_state *s, struct vmc_error *err)
{
	const char *name = json_string_value(json_object_get(s->json, "cluster"));

	vmc_fail(err, VMC_EEXIST, "this authority is in the cluster '%s' already", name ? name : "?");
	vmc_hint(err, "to have it leave, remove it on another authority ('vmcrypt trust authority remove'), stop its services and empty '%s'",
		 s->dir);
	return VMC_EEXIST;
}

static int init_locked(struct trust_state *s, const char *cluster, struct vmc_error *err)
{
	EVP_PKEY *key = NULL;
	json_t *first;
	int rc;

	if (s->json)
		return in_cluster(s, err);
	if (!vmc_name_ok(cluster, TRUST_NAME_MAX))
		return vmc_fail(err, VMC_EINVAL, "'%.80s' is not a name for a cluster: 1 to %d of A-Z a-z 0-9 . _ -",
				cluster, TRUST_NAME_MAX);
	rc = make_key(s, &key, err);
	if (!rc && s->public && EVP_PKEY_eq(s->public, key) != 1)
		rc = in_cluster(s, err);
	if (!rc)
		rc = save_public(s, key, err);
	if (!rc)
		rc = load_public(s, err);
	if (!rc) {
		first = tstate_new(cluster, vmc_time());
		rc = first ? commit(s, key, first, err) :
		     vmc_fail(err, VMC_ENOMEM, "no memory for the desired state");
	}
	EVP_PKEY_free(key);
	return rc;
}

int trust_state_init(struct trust_state *s, const char *cluster, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = init_locked(s, cluster, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int trust_state_join(struct trust_state *s, const char *pem, struct vmc_error *err)
{
	EVP_PKEY *key = NULL;
	int rc = sign_public_load(pem, &key, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	if (s->public && EVP_PKEY_eq(s->public, key) != 1)
		rc = in_cluster(s, err);
	else if (!s->public)
		rc = save_public(s, key, err);
	if (!rc)
		rc = load_public(s, err);
	pthread_mutex_unlock(&s->lock);
	EVP_PKEY_free(key);
	return rc;
}

int trust_state_public(struct trust_state *s, char **pem, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = s->public ? sign_public_pem(s->public, pem, err) : no_cluster(err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

bool trust_state_can_change(struct trust_state *s)
{
	EVP_PKEY *key = NULL;
	bool can = !load_key(s, &key, NULL);

	EVP_PKEY_free(key);
	return can;
}
