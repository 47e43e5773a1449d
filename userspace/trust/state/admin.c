// SPDX-License-Identifier: GPL-2.0-or-later
/* The verbs of an authority: who may call what, and those that are about the cluster as a whole. See admin.h. */
#include "admin_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keys/cert.h"
#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../lib/version.h"
#include "../http/advice.h"
#include "tstate.h"

/* ---- the table ---------------------------------------------------------------------- */

#define LOCAL	1	/* only on the machine itself: begins, or handles secrets */
#define READS	2	/* changes nothing: need not wait for those that do */
#define KEYS	4	/* its result has texts of the key library */

static const struct verb {
	const char *name;
	enum trust_role role;
	unsigned int flags;
	const char *params;		/* the names it takes, spaces between them */
	trust_verb_fn run;
} verbs[] = {
	{ "init", TRUST_ROLE_ADMIN, LOCAL, "cluster address", verb_init },
	{ "join", TRUST_ROLE_ADMIN, LOCAL, "cluster_key", verb_join },
	{ "status", TRUST_ROLE_AUDITOR, READS, "", verb_status },
	{ "health", TRUST_ROLE_AUDITOR, READS | KEYS, "", verb_health },
	{ "remediate", TRUST_ROLE_ADMIN, 0, "force", verb_remediate },
	{ "state-put", TRUST_ROLE_NONE, 0, "state", verb_state_put },
	{ "state-get", TRUST_ROLE_AUDITOR, READS, "", verb_state_get },
	{ "services-info", TRUST_ROLE_AUDITOR, READS, "", verb_services_info },
	{ "metrics", TRUST_ROLE_AUDITOR, READS, "", verb_metrics },
	{ "authority-show", TRUST_ROLE_AUDITOR, READS, "address", verb_authority_show },
	{ "authority-add", TRUST_ROLE_ADMIN, 0, "authority", verb_authority_add },
	{ "authority-list", TRUST_ROLE_AUDITOR, READS, "", verb_authority_list },
	{ "authority-remove", TRUST_ROLE_ADMIN, 0, "name", verb_authority_remove },
	{ "certificate-rotate", TRUST_ROLE_ADMIN, LOCAL, "service step force", verb_rotate },
	{ "ca-add", TRUST_ROLE_ADMIN, 0, "name pem", verb_ca_add },
	{ "ca-list", TRUST_ROLE_AUDITOR, READS, "", verb_ca_list },
	{ "ca-show", TRUST_ROLE_AUDITOR, READS, "name", verb_ca_show },
	{ "ca-remove", TRUST_ROLE_ADMIN, 0, "name", verb_ca_remove },
	{ "ek-add", TRUST_ROLE_ADMIN, 0, "name pub ek", verb_ek_add },
	{ "ek-list", TRUST_ROLE_AUDITOR, READS, "", verb_ek_list },
	{ "ek-remove", TRUST_ROLE_ADMIN, 0, "name", verb_ek_remove },
	{ "base-image-import", TRUST_ROLE_ADMIN, 0, "image name", verb_image_import },
	{ "base-image-list", TRUST_ROLE_AUDITOR, READS, "", verb_image_list },
	{ "base-image-show", TRUST_ROLE_AUDITOR, READS, "image", verb_image_show },
	{ "base-image-remove", TRUST_ROLE_ADMIN, 0, "image force", verb_image_remove },
	{ "key-provider-add", TRUST_ROLE_ADMIN, 0, "name kind servers username tls_min operation_policy default", verb_provider_add },
	{ "key-provider-list", TRUST_ROLE_AUDITOR, READS | KEYS, "", verb_provider_list },
	{ "key-provider-remove", TRUST_ROLE_ADMIN, 0, "name", verb_provider_remove },
	{ "key-provider-trust", TRUST_ROLE_ADMIN, LOCAL | KEYS, "name verb args", verb_provider_trust },
	{ "principal-add", TRUST_ROLE_ADMIN, 0, "name role fingerprint pem", verb_principal_add },
	{ "principal-list", TRUST_ROLE_AUDITOR, READS, "", verb_principal_list },
	{ "principal-remove", TRUST_ROLE_ADMIN, 0, "name", verb_principal_remove },
	{ "policy-show", TRUST_ROLE_AUDITOR, READS, "", verb_policy_show },
	{ "policy-set", TRUST_ROLE_ADMIN, 0, "pcrs secure_boot token_lifetime lease require_ek_certificate hosts_destroy_keys",
	  verb_policy_set },
	{ "backup", TRUST_ROLE_ADMIN, LOCAL, "", verb_backup },
	{ "restore", TRUST_ROLE_ADMIN, LOCAL, "force", verb_restore },
	{ "upgrade-check", TRUST_ROLE_AUDITOR, READS, "step name to image force", verb_upgrade_check },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

int trust_admin_role(const char *verb, enum trust_role *role)
{
	const struct verb *v = find_verb(verb);

	if (!v)
		return VMC_ENOENT;
	*role = v->role;
	return 0;
}

/* Is @name one of the words of @list? */
static bool is_word(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; n && (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static int check_params(const struct verb *v, const json_t *params, struct vmc_error *err)
{
	const char *name;
	json_t *value;

	if (params && !json_is_object(params))
		return vmc_fail(err, VMC_EINVAL, "the parameters of '%s' are not an object", v->name);
	json_object_foreach((json_t *)params, name, value)
		if (!is_word(v->params, name))
			return vmc_fail(err, VMC_EINVAL, "'%s' takes no parameter '%.40s'", v->name, name);
	return 0;
}

static int check_role(const struct verb *v, enum trust_role role, const struct trust_files *files,
		      struct vmc_error *err)
{
	if (v->flags & LOCAL && !files) {
		vmc_fail(err, VMC_EPERM, "'%s' is done on the authority itself only", v->name);
		vmc_hint(err, "log in there and call 'vmcrypt trust'");
		return VMC_EPERM;
	}
	if (role >= v->role)
		return 0;
	vmc_fail(err, VMC_EPERM, "'%s' needs the role %s, and the caller has the role %s", v->name,
		 trust_role_name(v->role), trust_role_name(role));
	vmc_hint(err, "vmcrypt trust principal add NAME --role %s --fingerprint SHA256", trust_role_name(v->role));
	return VMC_EPERM;
}

int trust_admin_local(struct trust_admin *a, enum trust_role role, const char *verb, const json_t *params,
		      const struct trust_files *files, json_t **result, struct vmc_error *err)
{
	struct trust_call c = { .a = a, .params = params, .files = files, .err = err };
	const struct verb *v = find_verb(verb);
	int rc;

	if (!v)
		return vmc_fail(err, VMC_ENOENT, "there is no verb '%.40s'", verb);
	rc = check_role(v, role, files, err);
	if (!rc)
		rc = check_params(v, params, err);
	if (!rc)
		rc = trust_state_reload(a->state, err);
	if (rc)
		return rc;
	if (!(v->flags & READS))
		pthread_mutex_lock(&a->change);
	rc = v->run(&c);
	if (!(v->flags & READS))
		pthread_mutex_unlock(&a->change);
	if (!rc && !c.result)
		rc = call_give(&c, json_object());
	if (rc && err)
		advice_fit_error(err);
	else if (v->flags & KEYS)
		advice_fit_json(c.result);
	if (!rc)
		*result = c.result;
	else
		json_decref(c.result);
	return rc;
}

int trust_admin(struct trust_admin *a, enum trust_role role, const char *verb, const json_t *params, json_t **result,
		struct vmc_error *err)
{
	return trust_admin_local(a, role, verb, params, NULL, result, err);
}

/* ---- for the verbs -------------------------------------------------------------------- */

int call_no_memory(const struct trust_call *c)
{
	return vmc_fail(c->err, VMC_ENOMEM, "no memory for the answer");
}

const char *call_text_or_null(const struct trust_call *c, const char *name)
{
	return json_string_value(json_object_get(c->params, name));
}

int call_text(const struct trust_call *c, const char *name, const char **v)
{
	*v = call_text_or_null(c, name);
	if (*v && json_string_length(json_object_get(c->params, name)) == strlen(*v))
		return 0;
	return vmc_fail(c->err, VMC_EINVAL, "the parameter '%s' is missing, or is not a text", name);
}

bool call_flag(const struct trust_call *c, const char *name)
{
	return json_is_true(json_object_get(c->params, name));
}

int call_file(const struct trust_call *c, int fd, const char *what)
{
	return fd >= 0 ? 0 : vmc_fail(c->err, VMC_EINVAL, "the call brings no file for the %s", message_say(what));
}

/* The size of a regular file that may be read. */
static int file_size(const struct trust_call *c, int fd, size_t max, const char *what, size_t *n)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= max) {
		*n = st.st_size;
		return 0;
	}
	return vmc_fail(c->err, VMC_EINVAL, "the %s is not a file of 1 to %zu bytes", message_say(what), max);
}

static int read_file(const struct trust_call *c, int fd, const char *what, char *data, size_t n)
{
	if (pread(fd, data, n, 0) == (ssize_t)n)
		return 0;
	return vmc_fail(c->err, VMC_EIO, "the %s cannot be read", message_say(what));
}

int call_secret(const struct trust_call *c, int fd, size_t max, const char *what, char **data, size_t *n)
{
	int rc = file_size(c, fd, max, what, n);

	if (rc)
		return rc;
	*data = secmem_alloc(*n + 1);
	if (!*data)
		return vmc_fail(c->err, VMC_ENOMEM, "no room in the secure heap for the %s", message_say(what));
	rc = read_file(c, fd, what, *data, *n);
	if (rc)
		secmem_free(*data, *n + 1);
	return rc;
}

int call_bytes(const struct trust_call *c, int fd, size_t max, const char *what, char **data, size_t *n)
{
	int rc = file_size(c, fd, max, what, n);

	if (rc)
		return rc;
	*data = calloc(1, *n + 1);
	if (!*data)
		return call_no_memory(c);
	rc = read_file(c, fd, what, *data, *n);
	if (rc)
		free(*data);
	return rc;
}

int call_give(struct trust_call *c, json_t *v)
{
	json_decref(c->result);
	c->result = v;
	return v ? 0 : call_no_memory(c);
}

int call_state(const struct trust_call *c, json_t **state)
{
	*state = trust_state_json(c->a->state);
	if (*state)
		return 0;
	vmc_fail(c->err, VMC_ENOENT, "this authority is in no cluster yet");
	vmc_hint(c->err, "make one with 'vmcrypt trust init CLUSTER', or let it into one with 'vmcrypt trust join FILE'");
	return VMC_ENOENT;
}

int call_edit(struct trust_call *c, trust_edit_fn edit)
{
	return trust_state_edit(c->a->state, edit, c, c->err);
}

int no_such(struct vmc_error *err, const char *what, const char *name, const char *verb)
{
	vmc_fail(err, VMC_ENOENT, "there is no %s '%.80s'", message_say(what), name);
	vmc_hint(err, "'vmcrypt trust %s' tells which there are", verb);
	return VMC_ENOENT;
}

/* ---- the cluster ---------------------------------------------------------------------- */

static int add_self(json_t *state, void *data, struct vmc_error *err)
{
	struct trust_call *c = data;
	json_t *self;
	int rc = authority_self(c->a, call_text_or_null(c, "address"), &self, err);

	if (!rc && json_array_append_new(json_object_get(state, "authorities"), self))
		rc = call_no_memory(c);
	return rc;
}

/* The authority that makes a cluster is its first; when this was cut short in between, it is taken up again. */
int verb_init(struct trust_call *c)
{
	json_t *state = trust_state_json(c->a->state);
	bool resumed = state && !json_array_size(json_object_get(state, "authorities"));
	const char *cluster;
	int rc = call_text(c, "cluster", &cluster);

	resumed = resumed && !rc && !strcmp(cluster, json_string_value(json_object_get(state, "cluster")));
	json_decref(state);
	if (!rc && !resumed)
		rc = trust_state_init(c->a->state, cluster, c->err);
	return rc ? rc : call_edit(c, add_self);
}

int verb_join(struct trust_call *c)
{
	const char *pem;
	int rc = call_text(c, "cluster_key", &pem);

	return rc ? rc : trust_state_join(c->a->state, pem, c->err);
}

json_t *trust_health_base(struct trust_state *s, const char *service)
{
	json_t *state = trust_state_json(s), *o;
	char hash[TRUST_HASH] = "";

	if (state && trust_state_hash(state, hash, NULL)) {
		json_decref(state);
		return NULL;
	}
	o = json_pack("{s:s, s:s, s:s, s:s?, s:I, s:s?}", "status", state ? "ok" : "not-configured", "service", service,
		      "version", VMC_VERSION, "cluster", json_string_value(json_object_get(state, "cluster")), "serial",
		      json_integer_value(json_object_get(state, "serial")), "hash", state ? hash : NULL);
	json_decref(state);
	return o;
}

int trust_admin_health(struct trust_admin *a, json_t **health, struct vmc_error *err)
{
	json_t *o = trust_health_base(a->state, "attestation");

	if (!o || json_object_set_new(o, "images", attested_images(a->attested))) {
		json_decref(o);
		return vmc_fail(err, VMC_ENOMEM, "no memory for the answer");
	}
	*health = o;
	return 0;
}

static json_t *count(const json_t *of, const char *name)
{
	return json_integer(json_array_size(json_object_get(of, name)));
}

int verb_status(struct trust_call *c)
{
	json_t *o = trust_health_base(c->a->state, "attestation"), *s;
	const json_t *tpm2;
	char when[32];
	int bad = 0;

	if (!o)
		return call_no_memory(c);
	json_object_del(o, "service");
	bad |= json_object_set_new(o, "authority", json_string(c->a->host));
	s = trust_state_json(c->a->state);
	if (s) {
		tpm2 = json_object_get(s, "tpm2");
		vmc_time_format(json_integer_value(json_object_get(s, "changed")), when);
		bad |= json_object_set_new(o, "changed", json_string(when));
		bad |= json_object_set_new(o, "can_change", json_boolean(trust_state_can_change(c->a->state)));
		bad |= json_object_set_new(o, "authorities", count(s, "authorities"));
		bad |= json_object_set_new(o, "ca_certificates", count(tpm2, "ca_certificates"));
		bad |= json_object_set_new(o, "endorsement_keys", count(tpm2, "eks"));
		bad |= json_object_set_new(o, "base_images", count(s, "images"));
		bad |= json_object_set_new(o, "key_providers", count(s, "key_providers"));
		bad |= json_object_set_new(o, "principals", count(s, "principals"));
	}
	json_decref(s);
	if (!bad)
		return call_give(c, o);
	json_decref(o);
	return call_no_memory(c);
}

int verb_state_put(struct trust_call *c)
{
	json_t *before = trust_state_json(c->a->state);
	const char *jws;
	int rc = call_text(c, "state", &jws);

	if (!rc)
		rc = trust_state_put(c->a->state, jws, c->err);
	if (!rc)
		rc = providers_follow(c->a, before, c->err);
	json_decref(before);
	return rc ? rc : call_give(c, trust_health_base(c->a->state, "attestation"));
}

int trust_admin_sync(struct trust_admin *a, struct vmc_error *err)
{
	json_t *before;
	bool changed;
	int rc;

	pthread_mutex_lock(&a->change);
	before = trust_state_json(a->state);
	rc = trust_state_sync(a->state, &changed, err);
	if (!rc && changed)
		rc = providers_follow(a, before, err);
	json_decref(before);
	pthread_mutex_unlock(&a->change);
	return rc;
}

int verb_state_get(struct trust_call *c)
{
	char *jws;
	int rc = trust_state_get(c->a->state, &jws, c->err);

	if (rc)
		return rc;
	rc = call_give(c, json_pack("{s:s}", "state", jws));
	free(jws);
	return rc;
}

/* What hosts take their keys from: {name, default} each. */
static json_t *provider_names(const json_t *state)
{
	json_t *list = json_array(), *p;
	size_t i;

	json_array_foreach(json_object_get(state, "key_providers"), i, p)
		json_array_append_new(list, json_pack("{s:O, s:O}", "name", json_object_get(p, "name"), "default",
						      json_object_get(p, "default")));
	return list;
}

/* What a trusted host, and an authority that joins, must know; nothing of it is secret. */
int trust_admin_services_info(struct trust_admin *a, json_t **info, struct vmc_error *err)
{
	struct trust_call c = { .a = a, .err = err };
	int rc = verb_services_info(&c);

	*info = c.result;
	return rc;
}

int verb_services_info(struct trust_call *c)
{
	char audience[TRUST_NAME_MAX + 16], *pem = NULL;
	const char *cluster;
	json_t *state;
	int rc = call_state(c, &state);

	if (rc)
		return rc;
	cluster = json_string_value(json_object_get(state, "cluster"));
	snprintf(audience, sizeof(audience), "vmcrypt-kmxd:%s", cluster);
	rc = trust_state_public(c->a->state, &pem, c->err);
	if (!rc)
		rc = call_give(c, json_pack("{s:i, s:s, s:O, s:s, s:s, s:O, s:o}", "v", 1, "cluster", cluster, "serial",
					    json_object_get(state, "serial"), "audience", audience, "cluster_key", pem,
					    "authorities", json_object_get(state, "authorities"), "key_providers",
					    provider_names(state)));
	free(pem);
	json_decref(state);
	return rc;
}

int verb_metrics(struct trust_call *c)
{
	char *text;
	int rc = trust_admin_metrics(c->a, &text, c->err);

	if (rc)
		return rc;
	rc = call_give(c, json_pack("{s:s}", "text", text));
	free(text);
	return rc;
}

/* ---- life ------------------------------------------------------------------------------- */

static void set_host(struct trust_admin *a)
{
	char name[256] = "";
	size_t n = 0;

	if (a->o.host)
		snprintf(name, sizeof(name), "%s", a->o.host);
	else
		gethostname(name, sizeof(name) - 1);
	for (const char *p = name; *p && n < TRUST_NAME_MAX; p++)
		if (isalnum((unsigned char)*p) || (n && strchr("._-", *p)))
			a->host[n++] = *p;
	if (!n)
		strcpy(a->host, "authority");
}

static int open_providers(struct trust_admin *a, struct vmc_error *err)
{
	struct vmc_config cfg;
	int rc = config_load(&cfg, NULL, err);

	if (rc)
		return rc;
	if (snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s/" KMXD_DIR, trust_state_dir(a->state)) >=
	    (int)sizeof(cfg.config_dir))
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", trust_state_dir(a->state));
	return providers_open(&a->providers, &cfg, err);
}

int trust_admin_open(struct trust_admin **ret, struct trust_state *s, const struct trust_admin_options *o,
		     struct vmc_error *err)
{
	struct trust_admin *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the verbs of an authority");
	pthread_mutex_init(&a->change, NULL);
	a->state = s;
	a->o = *o;
	if (!a->o.attest_port)
		a->o.attest_port = TRUST_ATTEST_PORT;
	if (!a->o.kmx_port)
		a->o.kmx_port = TRUST_KMX_PORT;
	set_host(a);
	rc = open_providers(a, err);
	if (!rc)
		rc = attested_open(&a->attested, trust_state_dir(s), err);
	if (rc) {
		trust_admin_close(a);
		return rc;
	}
	*ret = a;
	return 0;
}

void trust_admin_close(struct trust_admin *a)
{
	if (!a)
		return;
	attested_close(a->attested);
	providers_close(a->providers);
	pthread_mutex_destroy(&a->change);
	free(a);
}

void trust_admin_attested(struct trust_admin *a, const char *ek, const char *host, const char *image, bool quick_boot)
{
	attested_note(a->attested, ek, host, image, quick_boot);
}
