// SPDX-License-Identifier: GPL-2.0-or-later
/* A KMIP provider. See cluster.h. */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "pool.h"
#include "report.h"

#define NAMESPACE	"vmcrypt"
#define PASSWORD_MAX	256

struct cluster {
	struct provider_base base;
	struct kmip_conf conf;
	struct kmip_settings set;
	unsigned int warn_days;
	char *password;			/* secure heap, PASSWORD_MAX bytes, or NULL */
	struct pool pool;
};

static struct cluster *of(struct provider *p)
{
	return (struct cluster *)p;	/* base.p is the first thing in it */
}

static int id_check(const char *id, struct vmc_error *err)
{
	size_t n = strnlen(id, PROVIDER_KEY_ID_MAX + 1);

	if (!n || n > PROVIDER_KEY_ID_MAX)
		return vmc_fail(err, VMC_EINVAL, "a key id has 1 to %d bytes", PROVIDER_KEY_ID_MAX);
	return 0;
}

/* ---- get and state ------------------------------------------------------------- */

struct fetch {
	struct provider_key **pending;
	size_t n;
	bool material;
};

/* Not there: not the last word while another server has not been asked (they may lag behind each other). */
static bool unsettled(const struct provider_key *k)
{
	return k->code == VMC_EUNREACH || k->code == VMC_ENOKEY;
}

static int fetch_fn(struct kmip_client *c, struct kmip_server *s, void *data, uint64_t deadline,
		    struct vmc_error *err)
{
	struct fetch *f = data;
	size_t left = 0;
	int rc = kmip_fetch(c, f->pending, f->n, f->material, deadline, err);

	(void)s;
	for (size_t i = 0; i < f->n; i++)
		if (unsettled(f->pending[i]))
			f->pending[left++] = f->pending[i];
	f->n = left;
	if (rc)
		return rc;
	return left ? VMC_EAGAIN_ELSEWHERE : 0;
}

/* What the servers that failed mean for the keys that have no answer, or "not there" as their only one. */
static void spread(struct provider_key *keys, size_t n, const struct vmc_error *why)
{
	for (size_t i = 0; i < n; i++) {
		if (keys[i].code == VMC_EUNREACH && !keys[i].err.text[0]) {
			keys[i].err = *why;
			keys[i].code = why->code;
			vmc_prefix(&keys[i].err, "cannot get key '%s': ", keys[i].id);
		} else if (keys[i].code == VMC_ENOKEY) {
			vmc_hint(&keys[i].err, "not every server could be asked for the key (%s)", why->text);
		}
	}
}

static int fetch_all(struct cluster *cl, struct provider_key *keys, size_t n, bool material,
		     struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct fetch f = { .material = material };
	int rc;

	if (!n)
		return 0;
	f.pending = calloc(n, sizeof(*f.pending));
	if (!f.pending)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu keys", n);
	provider_keys_clear(keys, n);
	for (size_t i = 0; i < n; i++) {
		keys[i].code = id_check(keys[i].id, &keys[i].err);
		if (keys[i].code)
			continue;
		keys[i].code = VMC_EUNREACH;
		f.pending[f.n++] = &keys[i];
	}
	rc = f.n ? pool_run(&cl->pool, fetch_fn, &f, cl->conf.request_timeout_ms, &why) : 0;
	if (rc < 0)
		spread(keys, n, &why);
	free(f.pending);
	return 0;
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

static int cluster_get(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	int rc = fetch_all(of(p), keys, n, true, err);

	return rc ? rc : first_failure(keys, n, err);
}

/* A key that is gone has a state, too. */
static int cluster_state(struct provider *p, struct provider_key *keys, size_t n,
			 struct vmc_error *err)
{
	int rc = fetch_all(of(p), keys, n, false, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (keys[i].code && keys[i].code != VMC_ENOKEY)
			return first_failure(&keys[i], 1, err);
	return 0;
}

/* The state of one key on one server. */
static int key_state(struct kmip_client *c, const char *id, enum provider_key_state *state,
		     uint64_t deadline, struct vmc_error *err)
{
	struct provider_key k = { .state = PKS_UNKNOWN }, *one = &k;
	int rc;

	snprintf(k.id, sizeof(k.id), "%s", id);
	rc = kmip_fetch(c, &one, 1, false, deadline, err);
	if (!rc)
		rc = first_failure(&k, 1, err);
	*state = k.state;
	return rc;
}

/* ---- create --------------------------------------------------------------------- */

struct create {
	struct cluster *cl;
	struct kmip_new_key want;
	char name[KMIP_TEXT_MAX + 1];
	char id[PROVIDER_KEY_ID_MAX + 1];	/* empty: not known to be made */
	bool maybe_made;		/* a Create was cut off: a key of that name may be there */
};

static bool flag_get(struct kmip_server *s, const bool *flag)
{
	bool v;

	pthread_mutex_lock(&s->lock);
	v = *flag;
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void flag_set(struct kmip_server *s, bool *flag)
{
	pthread_mutex_lock(&s->lock);
	*flag = true;
	pthread_mutex_unlock(&s->lock);
}

static int keep_id(const char *id, void *data)
{
	snprintf(data, PROVIDER_KEY_ID_MAX + 1, "%s", id);
	return 0;
}

/* The name is unique to this call: whatever carries it is ours. A server that cannot search makes a second key. */
static int find_made(struct create *cr, struct kmip_client *c, uint64_t deadline,
		     struct vmc_error *err)
{
	struct kmip_new_key by_name = { .name = cr->name };
	int rc = kmip_locate(c, &by_name, 2, 0, keep_id, cr->id, deadline, err);

	if (rc && kmip_usable(c)) {
		cr->id[0] = '\0';
		rc = 0;
	}
	return rc;
}

/* Do the server's words mean "not with this attribute"? */
static bool attribute_refused(const struct kmip_client *c)
{
	switch (kmip_reason(c)) {
	case KMIP_R_NAMESPACE_NOT_SUPPORTED:
	case KMIP_R_INVALID_FIELD:
	case KMIP_R_FEATURE_NOT_SUPPORTED:
	case KMIP_R_UNSUPPORTED_ATTRIBUTE:
	case KMIP_R_INVALID_ATTRIBUTE:
	case KMIP_R_INVALID_ATTRIBUTE_VALUE:
	case KMIP_R_INVALID_MESSAGE:
		return kmip_usable(c);
	default:
		return false;
	}
}

static int make(struct create *cr, struct kmip_client *c, struct kmip_server *s, uint64_t deadline,
		struct vmc_error *err)
{
	struct vmc_error again = VMC_ERROR_INIT;
	struct kmip_new_key want = cr->want;
	int rc;

	if (flag_get(s, &s->no_app_info))
		want.app_namespace = NULL;
	rc = kmip_create(c, &want, deadline, cr->id, err);
	if (rc && want.app_namespace && attribute_refused(c)) {
		want.app_namespace = NULL;
		if (!kmip_create(c, &want, deadline, cr->id, &again)) {
			flag_set(s, &s->no_app_info);
			rc = 0;
		}
	}
	if (rc) {
		cr->id[0] = '\0';
		cr->maybe_made |= kmip_maybe_done(c);
	}
	return rc;
}

/* Servers that make keys Pre-Active want a word more; those that make them Active refuse it. */
static int make_active(struct kmip_client *c, const char *id, uint64_t deadline,
		       struct vmc_error *err)
{
	struct vmc_error refused = VMC_ERROR_INIT;
	enum provider_key_state state;
	int rc;

	rc = key_state(c, id, &state, deadline, err);
	if (rc || state == PKS_ACTIVE)
		return rc;
	rc = kmip_activate(c, id, deadline, &refused);
	if (rc && !kmip_usable(c)) {
		if (err)
			*err = refused;
		return rc;
	}
	if (!rc)
		return 0;
	rc = key_state(c, id, &state, deadline, err);
	if (rc || state == PKS_ACTIVE)
		return rc;
	if (err)
		*err = refused;
	return vmc_prefix(err, "key '%s' was made but is %s: ", id, provider_key_state_name(state));
}

/* Nice to have, and often refused. */
static void tag(struct kmip_client *c, struct kmip_server *s, const char *id, uint64_t deadline)
{
	static const struct {
		const char *name, *value;
	} tags[] = {
		{ "Vendor", "vmcrypt" }, { "Product", "vmcrypt: encrypted virtual machines on KVM" },
	};
	struct vmc_error ignored;

	if (flag_get(s, &s->no_attribute))
		return;
	if (!flag_get(s, &s->queried) && kmip_query(c, deadline, &ignored)) {
		flag_set(s, &s->no_attribute);
		return;
	}
	/* some servers cannot even read a request that they do not support: ask first */
	if (!(s->info.operations & 1ULL << KMIP_ADD_ATTRIBUTE)) {
		flag_set(s, &s->no_attribute);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		if (kmip_add_attribute(c, id, tags[i].name, tags[i].value, deadline, &ignored)) {
			flag_set(s, &s->no_attribute);
			return;
		}
	}
}

static int create_fn(struct kmip_client *c, struct kmip_server *s, void *data, uint64_t deadline,
		     struct vmc_error *err)
{
	struct create *cr = data;
	int rc = 0;

	if (!cr->id[0] && cr->maybe_made)
		rc = find_made(cr, c, deadline, err);
	if (!rc && !cr->id[0])
		rc = make(cr, c, s, deadline, err);
	if (!rc)
		rc = make_active(c, cr->id, deadline, err);
	if (!rc)
		tag(c, s, cr->id, deadline);
	return rc;
}

static int cluster_create(struct provider *p, const char *label, char id[PROVIDER_KEY_ID_MAX + 1],
			  struct vmc_error *err)
{
	struct cluster *cl = of(p);
	char unique[VMC_UUID_STR];
	struct create cr = {
		.cl = cl,
		.want = {
			.name = cr.name, .app_namespace = NAMESPACE,
			.app_data = cl->conf.installation[0] ? cl->conf.installation : NAMESPACE,
			.operation_policy = cl->set.operation_policy,
			.usage = KMIP_USE_ENCRYPT | KMIP_USE_DECRYPT | KMIP_USE_WRAP | KMIP_USE_UNWRAP,
		},
	};
	vmc_uuid u;
	int rc;

	if (vmc_uuid_new(&u))
		return vmc_fail(err, VMC_EINTERNAL, "no random numbers for the name of a key");
	vmc_uuid_format(&u, unique);
	snprintf(cr.name, sizeof(cr.name), "vmcrypt-%.64s%s%s", label && *label ? label : "",
		 label && *label ? "-" : "", unique);
	rc = pool_run(&cl->pool, create_fn, &cr, cl->conf.request_timeout_ms, err);
	if (rc && cr.id[0])
		vmc_hint(err, "key '%s' stays on the key server and is not used; activate it or destroy it there",
			 cr.id);
	else if (rc && cr.maybe_made)
		vmc_hint(err, "a key named '%s' may have been made on the key server; it is not used and may be destroyed",
			 cr.name);
	if (!rc)
		memcpy(id, cr.id, sizeof(cr.id));
	return rc;
}

/* ---- list and destroy ------------------------------------------------------------------ */

struct ids {
	struct kmip_new_key by;
	char **ids;
	size_t n, room;
};

static void ids_free(struct ids *l)
{
	while (l->n)
		free(l->ids[--l->n]);
	free(l->ids);
	l->ids = NULL;
	l->room = 0;
}

static int ids_add(const char *id, void *data)
{
	struct ids *l = data;

	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		char **more = realloc(l->ids, room * sizeof(*more));

		if (!more)
			return VMC_ENOMEM;
		l->ids = more;
		l->room = room;
	}
	l->ids[l->n] = strdup(id);
	return l->ids[l->n] ? l->n++, 0 : VMC_ENOMEM;
}

static int list_fn(struct kmip_client *c, struct kmip_server *s, void *data, uint64_t deadline,
		   struct vmc_error *err)
{
	struct ids *l = data;

	(void)s;
	ids_free(l);
	return kmip_locate(c, &l->by, 0, 0, ids_add, l, deadline, err);
}

static int cluster_list(struct provider *p, char ***ids, size_t *n, struct vmc_error *err)
{
	struct cluster *cl = of(p);
	struct ids l = {
		.by = {
			.app_namespace = NAMESPACE,
			.app_data = cl->conf.installation[0] ? cl->conf.installation : NAMESPACE,
		},
	};
	int rc = pool_run(&cl->pool, list_fn, &l, cl->conf.request_timeout_ms, err);

	if (rc) {
		ids_free(&l);
		return rc;
	}
	*ids = l.ids;
	*n = l.n;
	return 0;
}

struct destroy {
	const char *id;
	bool maybe_done;		/* a Destroy was cut off: "gone" is then what was wanted */
};

static int destroy_fn(struct kmip_client *c, struct kmip_server *s, void *data, uint64_t deadline,
		      struct vmc_error *err)
{
	struct destroy *d = data;
	enum provider_key_state state;
	int rc = key_state(c, d->id, &state, deadline, err);

	(void)s;
	if (!rc && (state == PKS_DESTROYED || state == PKS_DESTROYED_COMPROMISED))
		rc = vmc_fail(err, VMC_ENOKEY, "key '%s' is destroyed already", d->id);
	if (!rc && state == PKS_ACTIVE)
		rc = kmip_revoke(c, d->id, KMIP_REVOKE_CESSATION, deadline, err);
	if (!rc) {
		rc = kmip_destroy(c, d->id, deadline, err);
		d->maybe_done |= rc && kmip_maybe_done(c);
	}
	return rc == VMC_ENOKEY && d->maybe_done ? 0 : rc;
}

static int cluster_destroy(struct provider *p, const char *id, struct vmc_error *err)
{
	struct cluster *cl = of(p);
	struct destroy d = { .id = id };
	int rc = id_check(id, err);

	if (rc)
		return rc;
	return pool_run(&cl->pool, destroy_fn, &d, cl->conf.request_timeout_ms, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int cluster_test(struct provider *p, json_t **report, struct vmc_error *err)
{
	struct cluster *cl = of(p);

	return kmip_report(&cl->pool, cl->warn_days, report, err);
}

static void cluster_free(struct provider *p)
{
	struct cluster *cl = of(p);

	pool_clear(&cl->pool);
	tls_context_free(cl->set.tls);
	secmem_free(cl->password, PASSWORD_MAX);
	free(cl);
}

static const struct provider_ops cluster_ops = {
	.kind = "kmip",
	.create = cluster_create,
	.get = cluster_get,
	.state = cluster_state,
	.list = cluster_list,
	.destroy = cluster_destroy,
	.test = cluster_test,
	.free = cluster_free,
};

/* The password lies in a file of its own, which an administrator puts there. */
static int load_password(struct cluster *cl, const char *path, struct vmc_error *err)
{
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & 077) {
		rc = vmc_fail(err, VMC_EPERM, "password file '%s' must be a file with mode 0600", path);
		vmc_hint(err, "chmod 0600 '%s', and change the password if others may have read it", path);
		goto out;
	}
	cl->password = secmem_alloc(PASSWORD_MAX);
	if (!cl->password) {
		rc = vmc_fail(err, VMC_ENOMEM, "no secure memory for a password");
		goto out;
	}
	n = read(fd, cl->password, PASSWORD_MAX);
	if (n < 0 || n == PASSWORD_MAX)
		rc = vmc_fail(err, VMC_EINVAL, "password file '%s' cannot be read, or is longer than %d bytes",
			      path, PASSWORD_MAX - 1);
	else
		cl->password[strcspn(cl->password, "\r\n")] = '\0';
out:
	close(fd);
	return rc;
}

static int load_tls(struct cluster *cl, const char *dir, struct vmc_error *err)
{
	char ca[PATH_MAX], pin[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	struct tls_settings t = {
		.provider = cl->base.p.name, .ca_file = ca, .pin_file = pin, .cert_file = cert,
		.key_file = key, .tls13 = cl->conf.tls13,
		.server_name = cl->conf.server_name[0] ? cl->conf.server_name : NULL,
	};

	snprintf(ca, sizeof(ca), "%s/%s", dir, CA_FILE);
	snprintf(pin, sizeof(pin), "%s/%s", dir, PIN_FILE);
	snprintf(cert, sizeof(cert), "%s/%s", dir, CLIENT_CERT);
	snprintf(key, sizeof(key), "%s/%s", dir, CLIENT_KEY);
	return tls_context_new(&t, &cl->set.tls, err);
}

static void settings(struct cluster *cl)
{
	const struct kmip_conf *c = &cl->conf;

	cl->set.provider = cl->base.p.name;
	cl->set.connect_timeout_ms = c->connect_timeout_ms;
	cl->set.request_timeout_ms = c->request_timeout_ms;
	cl->set.max_reply = c->max_reply;
	cl->set.batch = c->batch;
	cl->set.version = c->version;
	cl->set.operation_policy = c->operation_policy[0] ? c->operation_policy : NULL;
	cl->set.auth.username = c->username[0] ? c->username : NULL;
	cl->set.auth.password = cl->password;
}

int cluster_new(const char *name, const char *dir, const struct vmc_config *cfg,
		struct provider_base **out, struct vmc_error *err)
{
	struct cluster *cl = calloc(1, sizeof(*cl));
	char path[PATH_MAX];
	int rc;

	*out = NULL;
	if (!cl)
		return vmc_fail(err, VMC_ENOMEM, "no memory for provider '%s'", name);
	cl->base.p.ops = &cluster_ops;
	atomic_init(&cl->base.refs, 1);
	cl->warn_days = cfg->cert_warn_days;
	snprintf(cl->base.p.name, sizeof(cl->base.p.name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", dir, PROVIDER_CONF);
	rc = kmip_conf_load(&cl->conf, path, cfg, err);
	if (!rc && cl->conf.username[0]) {
		snprintf(path, sizeof(path), "%s/%s", dir, PASSWORD_FILE);
		rc = load_password(cl, path, err);
	}
	if (!rc)
		rc = load_tls(cl, dir, err);
	if (!rc) {
		settings(cl);
		rc = pool_init(&cl->pool, cl->base.p.name, &cl->conf, &cl->set, err);
	}
	if (rc) {
		tls_context_free(cl->set.tls);
		secmem_free(cl->password, PASSWORD_MAX);
		free(cl);
		return vmc_prefix(err, "provider '%s': ", name);
	}
	*out = &cl->base;
	return 0;
}
