// SPDX-License-Identifier: GPL-2.0-or-later
#include "../../testing/testing.h"

#include "admin.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../keys/cert.h"
#include "../../keys/trusted/conf.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../http/identity.h"
#include "backup.h"

static struct vmc_error err;

/* An authority, as the network of this test has it. */
struct authority {
	char *dir, *name;
	struct trust_state *s;
	struct trust_admin *a;
	bool down, kmx_down;
	const char *kms_error;		/* what its Key Provider Service says of the key servers; NULL: they are fine */
	const char *made, *not_given;	/* the key that it made last; the one that the key server does not give it */
	const char *refused;		/* why it does not get its own */
	bool old;			/* it cannot tell which those are */
	const char *version;		/* NULL: its own */
	char *etc, config[256];		/* trust.conf is in @etc */
	bool named;
};

#define HOSTS 2
static struct authority net[HOSTS];

/* ---- the network ---------------------------------------------------------------------- */

static json_t *kmx_health(struct authority *h)
{
	json_t *o = trust_health_base(h->s, "key-provider"), *state = trust_state_json(h->s), *all = json_array(), *p;
	bool ok = !h->kms_error;
	size_t i;

	json_array_foreach(json_object_get(state, "key_providers"), i, p)
		json_array_append_new(all, json_pack("{s:O, s:b, s:[{s:s, s:i, s:b, s:s*}], s:s*, s:s*}", "name",
						     json_object_get(p, "name"), "reachable", (int)ok, "servers", "host",
						     "kms", "port", 5696, "ok", (int)ok, "error", h->kms_error, "made",
						     h->made, "refused", h->refused));
	json_object_set_new(o, "providers", all);
	json_decref(state);
	return o;
}

static int kmx_gets(const struct authority *h, const char *path, const json_t *body, json_t **out, struct vmc_error *e)
{
	const char *id = json_string_value(json_array_get(json_object_get(body, "ids"), 0));
	bool not = h->not_given && !strcmp(id, h->not_given);

	assert_string_equal(path, "/v1/health/keys");
	if (h->old)
		return vmc_fail(e, VMC_ENOENT, "nothing answers to '%s'", path);
	*out = json_pack("{s:O, s:[{s:s, s:s, s:o*}]}", "provider", json_object_get(body, "provider"), "keys", "id", id,
			 "state", not ? "Unknown" : "Active", "error",
			 not ? json_pack("{s:s, s:s}", "code", "ProviderRefused", "text", "it is another's") : NULL);
	return 0;
}

static int answer(struct authority *h, bool kmx, const char *path, const json_t *body, json_t **out,
		  struct vmc_error *e)
{
	enum trust_role role = TRUST_ROLE_AUDITOR;	/* as authorities are to each other */
	int rc;

	if (kmx && body)
		return kmx_gets(h, path, body, out, e);
	if (body)
		return trust_admin(h->a, role, path + strlen("/v1/admin/"), body, out, e);
	assert_string_equal(path, "/v1/health");
	if (kmx)
		*out = kmx_health(h);
	rc = kmx ? 0 : trust_admin_health(h->a, out, e);
	if (!rc && h->version)
		json_object_set_new(*out, "version", json_string(h->version));
	return rc;
}

static int remote(void *data, const char *where, const char *cert, const char *path, const json_t *body,
		  json_t **out, struct vmc_error *e)
{
	bool kmx = strstr(where, ":5701");

	(void)data;
	assert_contains(cert, "BEGIN CERTIFICATE");
	for (size_t i = 0; i < HOSTS; i++) {
		size_t n = strlen(net[i].name);

		if (strncmp(where, net[i].name, n) || where[n] != ':')
			continue;
		if (net[i].down || (kmx && net[i].kmx_down))
			return vmc_fail(e, VMC_EUNREACH, "cannot connect to %s: Connection refused", where);
		return answer(&net[i], kmx, path, body, out, e);
	}
	return vmc_fail(e, VMC_EUNREACH, "no such host: %s", where);
}

/* What a service thinks of a trust.conf; and what a test has it do meanwhile. */
static void (*meanwhile)(const char *path);

static int check_config(const char *path, struct vmc_error *e)
{
	char *text;
	int rc;

	assert_ok(fs_read(path, 4096, &text, NULL, e), e);
	rc = strstr(text, "nonsense") ? vmc_fail(e, VMC_EINVAL, "%s:1: nonsense", path) : 0;
	free(text);
	if (meanwhile)
		meanwhile(path);
	return rc;
}

static void up(struct authority *h)
{
	const struct trust_admin_options o = { .host = h->name, .remote = remote, .named = h->named,
					       .config = h->config, .config_check = check_config };

	snprintf(h->config, sizeof(h->config), "%s/trust.conf", h->etc);
	assert_ok(trust_state_open(&h->s, h->dir, &err), &err);
	assert_ok(trust_admin_open(&h->a, h->s, &o, &err), &err);
}

static void down(struct authority *h)
{
	trust_admin_close(h->a);
	trust_state_close(h->s);
	h->a = NULL;
	h->s = NULL;
}

static int setup(void **state)
{
	static char *const names[] = { "ta-1", "ta-2" };

	(void)state;
	for (size_t i = 0; i < HOSTS; i++) {
		net[i] = (struct authority){ .dir = test_mkdir(), .etc = test_mkdir(), .name = names[i] };
		up(&net[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < HOSTS; i++) {
		down(&net[i]);
		test_rmdir(net[i].dir);
		test_rmdir(net[i].etc);
	}
	return 0;
}

/* ---- calls ------------------------------------------------------------------------------ */

static int role_of_pem(const json_t *state, const char *pem, enum trust_role *role)
{
	STACK_OF(X509) *chain;
	char fp[CERT_FINGERPRINT];

	assert_ok(cert_chain_from_pem(pem, "certificate", &chain, &err), &err);
	assert_int_equal(cert_fingerprint(sk_X509_value(chain, 0), fp), 0);
	cert_chain_free(chain);
	return trust_state_role(state, fp, role);
}

static const struct trust_files none = { -1, -1, -1 };

/* @params is consumed. */
static json_t *call(struct authority *h, const char *verb, json_t *params)
{
	json_t *out = NULL;
	char what[64];

	snprintf(what, sizeof(what), "%s", verb);
	test_assert_code(trust_admin_local(h->a, TRUST_ROLE_ADMIN, verb, params, &none, &out, &err), 0, &err, what,
			 __FILE__, __LINE__);
	json_decref(params);
	assert_true(json_is_object(out));
	return out;
}

static void do_call(struct authority *h, const char *verb, json_t *params)
{
	json_decref(call(h, verb, params));
}

static void fail_call(struct authority *h, int code, const char *verb, json_t *params)
{
	json_t *out = NULL;

	assert_code(trust_admin_local(h->a, TRUST_ROLE_ADMIN, verb, params, &none, &out, &err), code, &err);
	json_decref(params);
	assert_null(out);
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static json_t *element(const json_t *o, const char *list, size_t i)
{
	return json_array_get(json_object_get(o, list), i);
}

/* The cluster "blue" of ta-1 and ta-2, in step. */
static void make_cluster(void)
{
	json_t *info, *self;

	do_call(&net[0], "init", json_pack("{s:s}", "cluster", "blue"));
	info = call(&net[0], "services-info", NULL);
	assert_string_equal(text(info, "audience"), "vmcrypt-kmxd:blue");
	do_call(&net[1], "join", json_pack("{s:O}", "cluster_key", json_object_get(info, "cluster_key")));
	json_decref(info);
	self = call(&net[1], "authority-show", NULL);
	assert_string_equal(text(self, "attest"), "ta-2:5700");
	do_call(&net[0], "authority-add", json_pack("{s:o}", "authority", self));
	do_call(&net[0], "remediate", NULL);
}

static json_t *make_image(const char *name, const char *digest)
{
	char line[200], id[65], hex[65];
	uint8_t hash[32];

	for (int i = 0; i < 64; i++)
		hex[i] = *digest;
	hex[64] = '\0';
	snprintf(line, sizeof(line), "sha256\n4 EV_X %s\n", hex);
	SHA256((uint8_t *)line, strlen(line), hash);
	vmc_hex_encode(hash, sizeof(hash), id);
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:[{s:i, s:s, s:s, s:s}]}", "v", 1, "id", id, "name", name,
			 "bank", "sha256", "secure_boot", "yes", "quick_boot", 0, "events", "pcr", 4, "type", "EV_X",
			 "digest", hex, "text", "kernel");
}

static char *make_ca(void)
{
	EVP_PKEY *key;
	char *pem;

	assert_ok(cert_key_new(&key, &err), &err);
	assert_ok(cert_self_signed(key, "ca", CERT_PEER, 30, &pem, &err), &err);
	EVP_PKEY_free(key);
	return pem;
}

/* ---- roles and parameters ------------------------------------------------------------------ */

static void test_roles(void **state)
{
	json_t *out = NULL;

	(void)state;
	make_cluster();
	assert_code(trust_admin(net[0].a, TRUST_ROLE_HOST, "status", NULL, &out, &err), VMC_EPERM, &err);
	assert_contains(err.text, "needs the role auditor, and the caller has the role host");
	assert_code(trust_admin(net[0].a, TRUST_ROLE_AUDITOR, "remediate", NULL, &out, &err), VMC_EPERM, &err);
	assert_contains(err.hint, "--role trust-admin");
	assert_code(trust_admin(net[0].a, TRUST_ROLE_ADMIN, "backup", NULL, &out, &err), VMC_EPERM, &err);
	assert_contains(err.text, "on the authority itself only");
	assert_ok(trust_admin(net[0].a, TRUST_ROLE_AUDITOR, "status", NULL, &out, &err), &err);
	assert_string_equal(text(out, "cluster"), "blue");
	assert_int_equal(json_integer_value(json_object_get(out, "authorities")), 2);
	json_decref(out);
	out = NULL;
	fail_call(&net[0], VMC_ENOENT, "reboot", NULL);
	fail_call(&net[0], VMC_EINVAL, "ca-remove", json_pack("{s:s, s:b}", "name", "x", "forces", 1));
	assert_contains(err.text, "takes no parameter 'forces'");
	fail_call(&net[0], VMC_EINVAL, "ca-remove", NULL);
	assert_contains(err.text, "'name' is missing");
	fail_call(&net[0], VMC_ENOENT, "ca-remove", json_pack("{s:s}", "name", "x"));
	assert_contains(err.text, "no CA certificate 'x'");
}

static void test_before_a_cluster(void **state)
{
	(void)state;
	fail_call(&net[0], VMC_ENOENT, "policy-show", NULL);
	assert_contains(err.hint, "trust init");
	fail_call(&net[0], VMC_ENOENT, "authority-list", NULL);
	fail_call(&net[0], VMC_EINVAL, "init", json_pack("{s:s}", "cluster", "a/b"));
	do_call(&net[0], "init", json_pack("{s:s, s:s}", "cluster", "blue", "address", "fd00::1"));
	fail_call(&net[0], VMC_EEXIST, "init", json_pack("{s:s}", "cluster", "blue"));
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void test_lists(void **state)
{
	char *pem = make_ca(), fp[CERT_FINGERPRINT];
	json_t *o;

	(void)state;
	make_cluster();
	/* one that signed nothing but itself for TLS: still marked as no CA */
	fail_call(&net[0], VMC_EINVAL, "ca-add", json_pack("{s:s, s:s}", "name", "maker", "pem", "x"));
	do_call(&net[0], "principal-add", json_pack("{s:s, s:s, s:s}", "name", "alice", "role", "auditor", "pem", pem));
	fail_call(&net[0], VMC_EEXIST, "principal-add",
		  json_pack("{s:s, s:s, s:s}", "name", "alice", "role", "host", "pem", pem));
	fail_call(&net[0], VMC_EINVAL, "principal-add",
		  json_pack("{s:s, s:s, s:s}", "name", "bob", "role", "root", "fingerprint", "00"));
	o = call(&net[0], "principal-list", NULL);
	snprintf(fp, sizeof(fp), "%s", text(element(o, "principals", 0), "fingerprint"));
	json_decref(o);
	fail_call(&net[0], VMC_EINVAL, "principal-add",
		  json_pack("{s:s, s:s, s:s}", "name", "bob", "role", "root", "fingerprint", fp));
	assert_contains(err.text, "none of host|auditor|trust-admin");
	do_call(&net[0], "principal-remove", json_pack("{s:s}", "name", "alice"));
	o = call(&net[0], "policy-set", json_pack("{s:i, s:[i,i], s:b}", "token_lifetime", 300, "pcrs", 4, 7,
						  "require_ek_certificate", 0));
	assert_int_equal(json_integer_value(json_object_get(o, "token_lifetime")), 300);
	assert_true(json_is_false(json_object_get(o, "require_ek_certificate")));
	json_decref(o);
	fail_call(&net[0], VMC_EINVAL, "policy-set", json_pack("{s:i}", "token_lifetime", 60));
	assert_contains(err.text, "from 300 to 600");
	fail_call(&net[0], VMC_EINVAL, "policy-set", NULL);
	/* only the authority with the key changes anything */
	fail_call(&net[1], VMC_ENOTSUP, "policy-set", json_pack("{s:i}", "token_lifetime", 400));
	assert_contains(err.text, "the key of the cluster is not on this authority");
	free(pem);
}

static void test_endorsement_keys(void **state)
{
	json_t *self, *o;

	(void)state;
	make_cluster();
	self = call(&net[0], "authority-show", NULL);
	fail_call(&net[0], VMC_EINVAL, "ek-add", json_pack("{s:s, s:O, s:s}", "name", "host-1", "pub",
							   json_object_get(self, "token_key"), "ek", "00"));
	assert_contains(err.text, "not 00");
	do_call(&net[0], "ek-add", json_pack("{s:s, s:O}", "name", "host-1", "pub", json_object_get(self, "token_key")));
	fail_call(&net[0], VMC_EINVAL, "ek-add",
		  json_pack("{s:s, s:O}", "name", "host-2", "pub", json_object_get(self, "token_key")));
	assert_contains(err.text, "another one has the same");
	o = call(&net[0], "ek-list", NULL);
	assert_int_equal(strlen(text(element(o, "eks", 0), "ek")), 64);
	json_decref(o);
	do_call(&net[0], "ek-remove", json_pack("{s:s}", "name", "host-1"));
	json_decref(self);
}

/* ---- authorities ------------------------------------------------------------------------------ */

static const char *state_of(size_t i)
{
	static char s[64];
	json_t *o = call(&net[0], "authority-list", NULL);

	snprintf(s, sizeof(s), "%s", text(element(o, "authorities", i), "state"));
	json_decref(o);
	return s;
}

static void test_drift_and_remediate(void **state)
{
	json_t *o;

	(void)state;
	make_cluster();
	assert_string_equal(state_of(0), "in step");
	assert_string_equal(state_of(1), "in step");
	do_call(&net[0], "policy-set", json_pack("{s:i}", "lease", 60));
	assert_string_equal(state_of(1), "drifted");
	net[1].down = true;
	assert_string_equal(state_of(1), "unreachable");
	o = call(&net[0], "remediate", NULL);
	assert_true(json_is_false(json_object_get(o, "ok")));
	assert_contains(text(element(o, "authorities", 1), "error"), "Connection refused");
	json_decref(o);
	net[1].down = false;
	o = call(&net[0], "remediate", NULL);
	assert_true(json_is_true(json_object_get(o, "ok")));
	assert_string_equal(text(element(o, "authorities", 0), "result"), "in step");
	assert_string_equal(text(element(o, "authorities", 1), "result"), "remediated");
	json_decref(o);
	assert_string_equal(state_of(1), "in step");
}

/* After an upgrade that failed: out, back to the old version, in again. */
static void test_remove_revert_readd(void **state)
{
	json_t *self;

	(void)state;
	make_cluster();
	do_call(&net[0], "authority-remove", json_pack("{s:s}", "name", "ta-2"));
	fail_call(&net[0], VMC_ESTATE, "authority-remove", json_pack("{s:s}", "name", "ta-1"));
	assert_contains(err.text, "the last one");
	fail_call(&net[0], VMC_ENOENT, "authority-remove", json_pack("{s:s}", "name", "ta-2"));
	down(&net[1]);
	up(&net[1]);
	self = call(&net[1], "authority-show", NULL);
	do_call(&net[0], "authority-add", json_pack("{s:O}", "authority", self));
	/* a second time, for instance with a new certificate, replaces the first */
	do_call(&net[0], "authority-add", json_pack("{s:o}", "authority", self));
	assert_string_equal(state_of(1), "drifted");
	do_call(&net[0], "remediate", NULL);
	assert_string_equal(state_of(1), "in step");
}

/* ---- base images -------------------------------------------------------------------------------- */

static void test_images(void **state)
{
	json_t *old = make_image("old", "a"), *new = make_image("new", "b"), *o, *e;

	(void)state;
	make_cluster();
	do_call(&net[0], "base-image-import", json_pack("{s:O}", "image", old));
	do_call(&net[0], "base-image-import", json_pack("{s:O}", "image", new));
	do_call(&net[0], "remediate", NULL);
	fail_call(&net[0], VMC_EEXIST, "base-image-import", json_pack("{s:O}", "image", old));
	e = json_deep_copy(old);
	json_object_set_new(element(e, "events", 0), "digest", json_string(text(element(new, "events", 0), "digest")));
	fail_call(&net[0], VMC_EINVAL, "base-image-import", json_pack("{s:o}", "image", e));
	assert_contains(err.text, "its id is not that of its events");

	trust_admin_attested(net[1].a, "e1", "host-1", text(old, "id"), true);
	trust_admin_attested(net[0].a, "e2", "host-2", text(old, "id"), false);
	trust_admin_attested(net[0].a, "e2", "host-2", text(new, "id"), false);
	o = call(&net[0], "base-image-list", NULL);
	e = element(o, "images", 0);
	assert_string_equal(text(e, "name"), "old");
	assert_contains(text(e, "last_attested"), "T");
	assert_string_equal(text(e, "last_host"), "host-1");
	assert_string_equal(json_string_value(element(e, "quick_boot_hosts", 0)), "host-1");
	assert_null(json_object_get(element(o, "images", 1), "quick_boot_hosts"));
	json_decref(o);
	o = call(&net[0], "base-image-show", json_pack("{s:s}", "image", "new"));
	assert_int_equal(json_array_size(json_object_get(o, "events")), 1);
	json_decref(o);

	fail_call(&net[0], VMC_EBUSY, "base-image-remove", json_pack("{s:s}", "image", "old"));
	assert_contains(err.text, "upgraded by Quick Boot, 'host-1' among them");
	assert_contains(err.hint, "full reboot");
	/* the host boots in full */
	trust_admin_attested(net[1].a, "e1", "host-1", text(new, "id"), false);
	net[1].down = true;
	fail_call(&net[0], VMC_EBUSY, "base-image-remove", json_pack("{s:s}", "image", "old"));
	assert_contains(err.text, "'ta-2' cannot be asked");
	net[1].down = false;
	do_call(&net[0], "base-image-remove", json_pack("{s:s}", "image", "old"));
	trust_admin_attested(net[1].a, "e1", "host-1", text(new, "id"), true);
	do_call(&net[0], "base-image-remove", json_pack("{s:O, s:b}", "image", json_object_get(new, "id"), "force", 1));
	fail_call(&net[0], VMC_ENOENT, "base-image-show", json_pack("{s:s}", "image", "new"));
	json_decref(old);
	json_decref(new);
}

/* Who attested when is there after a restart. */
static void test_attested_kept(void **state)
{
	json_t *image = make_image("one", "a"), *o;

	(void)state;
	make_cluster();
	do_call(&net[0], "base-image-import", json_pack("{s:O}", "image", image));
	trust_admin_attested(net[0].a, "e1", "host-1", text(image, "id"), false);
	trust_admin_attested(net[0].a, "e2", "host-2", text(image, "id"), true);
	down(&net[0]);
	up(&net[0]);
	o = call(&net[0], "base-image-list", NULL);
	assert_int_equal(json_array_size(json_object_get(element(o, "images", 0), "quick_boot_hosts")), 1);
	json_decref(o);
	json_decref(image);
}

/* ---- key providers --------------------------------------------------------------------------------- */

/* All bytes of a file below the folder of @h. */
static char *content(const struct authority *h, const char *file)
{
	char path[4096], *data;

	snprintf(path, sizeof(path), "%s/%s", h->dir, file);
	assert_ok(fs_read(path, 1 << 20, &data, NULL, &err), &err);
	return data;
}

static json_t *kms(const char *name)
{
	return json_pack("{s:s, s:s, s:[s]}", "name", name, "kind", "kmip", "servers", "127.0.0.1:1");
}

static json_t *pin(const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s}}", "name", name, "verb", "pin", "args", "fingerprint",
			 "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static bool has_file(const struct authority *h, const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/kmxd/providers/%s", h->dir, file);
	return !access(path, F_OK);
}

static void test_key_providers(void **state)
{
	json_t *o;

	(void)state;
	make_cluster();
	fail_call(&net[0], VMC_ENOTSUP, "key-provider-add", json_pack("{s:s, s:s, s:[s]}", "name", "n", "kind", "native",
								      "servers", "a:1"));
	do_call(&net[0], "key-provider-add", kms("kms"));
	fail_call(&net[0], VMC_EEXIST, "key-provider-add", kms("kms"));
	do_call(&net[0], "key-provider-trust", pin("kms"));
	fail_call(&net[0], VMC_ENOENT, "key-provider-trust", pin("other"));
	o = call(&net[0], "key-provider-trust", json_pack("{s:s, s:s}", "name", "kms", "verb", "csr"));
	assert_contains(text(o, "pem"), "BEGIN CERTIFICATE REQUEST");
	json_decref(o);
	o = call(&net[0], "key-provider-list", NULL);
	assert_true(json_is_true(json_object_get(element(o, "key_providers", 0), "default")));
	assert_int_equal(json_array_size(json_object_get(element(o, "key_providers", 0), "pins")), 1);
	assert_contains(text(element(o, "key_providers", 0), "state"), "vmcrypt trust key-provider trust kms csr");
	json_decref(o);
	/* the other authority gets the provider and what its servers are trusted by, and no credentials */
	do_call(&net[0], "remediate", NULL);
	assert_true(has_file(&net[1], "kms/provider.conf") && has_file(&net[1], "kms/pin"));
	assert_true(has_file(&net[0], "kms/client.key") && !has_file(&net[1], "kms/client.key"));
	do_call(&net[0], "key-provider-remove", json_pack("{s:s}", "name", "kms"));
	assert_false(has_file(&net[0], "kms/provider.conf"));
	do_call(&net[0], "remediate", NULL);
	assert_false(has_file(&net[1], "kms/provider.conf"));
}

/* What an authority tells is what a host takes. */
static void test_services_info(void **state)
{
	struct trusted_conf conf;
	json_t *o;
	char *info;

	(void)state;
	make_cluster();
	do_call(&net[0], "key-provider-add", kms("kms"));
	do_call(&net[0], "key-provider-add", kms("other"));
	o = call(&net[0], "services-info", NULL);
	info = json_dumps(o, JSON_COMPACT);
	assert_ok(trusted_conf_from_info(&conf, "ta", info, strlen(info), &err), &err);
	assert_string_equal(conf.key_provider, "kms");
	assert_string_equal(conf.cluster, text(o, "cluster"));
	assert_int_equal(conf.n, HOSTS);
	assert_int_equal(conf.serial, json_integer_value(json_object_get(o, "serial")));
	assert_true(conf.serial > 2);
	free(info);
	json_decref(o);
}

#define OTHER_PIN "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static ino_t inode(const struct authority *h, const char *file)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", h->dir, file);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* Removed and added again before the other authority heard of it: nothing of the one that it has is the new one's. */
static void test_key_provider_comes_again(void **state)
{
	char *conf;
	json_t *o;
	ino_t before;

	(void)state;
	make_cluster();
	do_call(&net[0], "key-provider-add", kms("kms"));
	do_call(&net[0], "key-provider-trust", pin("kms"));
	do_call(&net[0], "remediate", NULL);
	do_call(&net[1], "key-provider-trust", json_pack("{s:s, s:s}", "name", "kms", "verb", "csr"));
	/* the same state once more changes no file: whoever has it may send it as often as he likes */
	o = call(&net[0], "state-get", NULL);
	before = inode(&net[1], "kmxd/providers/kms/pin");
	do_call(&net[1], "state-put", json_pack("{s:O}", "state", json_object_get(o, "state")));
	assert_int_equal(inode(&net[1], "kmxd/providers/kms/pin"), before);
	json_decref(o);
	/* another state with the same provider changes nothing of it */
	do_call(&net[0], "policy-set", json_pack("{s:i}", "lease", 60));
	do_call(&net[0], "remediate", NULL);
	assert_true(has_file(&net[1], "kms/pin") && has_file(&net[1], "kms/client.key"));
	/* a pin in place of all others */
	do_call(&net[0], "key-provider-trust",
		json_pack("{s:s, s:s, s:{s:s, s:b}}", "name", "kms", "verb", "pin", "args", "fingerprint", OTHER_PIN,
			  "replace", 1));
	do_call(&net[0], "key-provider-add", kms("other"));
	do_call(&net[0], "remediate", NULL);
	for (size_t i = 0; i < HOSTS; i++) {
		conf = content(&net[i], "kmxd/providers/kms/pin");
		assert_string_equal(conf, OTHER_PIN "\n");
		free(conf);
	}
	assert_true(has_file(&net[1], "kms/client.key"));
	do_call(&net[0], "key-provider-remove", json_pack("{s:s}", "name", "kms"));
	do_call(&net[0], "key-provider-add", json_pack("{s:s, s:s, s:[s]}", "name", "kms", "kind", "kmip", "servers",
						       "127.0.0.1:2"));
	do_call(&net[0], "remediate", NULL);
	conf = content(&net[1], "kmxd/providers/kms/provider.conf");
	assert_contains(conf, "127.0.0.1:2");
	free(conf);
	assert_false(has_file(&net[1], "kms/pin") || has_file(&net[1], "kms/client.key"));
	/* the same servers, and no longer trusted by what they were */
	do_call(&net[0], "key-provider-trust", pin("kms"));
	do_call(&net[0], "remediate", NULL);
	assert_true(has_file(&net[1], "kms/pin"));
	do_call(&net[0], "key-provider-remove", json_pack("{s:s}", "name", "kms"));
	do_call(&net[0], "key-provider-add", json_pack("{s:s, s:s, s:[s]}", "name", "kms", "kind", "kmip", "servers",
						       "127.0.0.1:2"));
	do_call(&net[0], "remediate", NULL);
	assert_false(has_file(&net[1], "kms/pin"));
}

/* The private key comes as a file, and is in no parameter. */
static void test_import_key(void **state)
{
	struct trust_files files = none;
	char path[4096], *pem, *key_pem;
	json_t *out = NULL, *params;
	EVP_PKEY *key;
	size_t n;

	(void)state;
	make_cluster();
	do_call(&net[0], "key-provider-add", kms("kms"));
	assert_ok(cert_key_new(&key, &err), &err);
	assert_ok(cert_self_signed(key, "client", CERT_CLIENT, 30, &pem, &err), &err);
	snprintf(path, sizeof(path), "%s/given.key", net[0].dir);
	assert_ok(cert_key_save(key, path, &err), &err);
	assert_ok(fs_read(path, 4096, &key_pem, &n, &err), &err);
	free(key_pem);
	params = json_pack("{s:s, s:s, s:{s:s}}", "name", "kms", "verb", "import", "args", "pem", pem);
	fail_call(&net[0], VMC_EINVAL, "key-provider-trust", json_incref(params));
	assert_contains(err.text, "no file for the private key");
	files.key = open(path, O_RDONLY | O_CLOEXEC);
	assert_ok(trust_admin_local(net[0].a, TRUST_ROLE_ADMIN, "key-provider-trust", params, &files, &out, &err), &err);
	assert_true(has_file(&net[0], "kms/client.pem"));
	close(files.key);
	json_decref(out);
	json_decref(params);
	EVP_PKEY_free(key);
	free(pem);
}

/* ---- health -------------------------------------------------------------------------------------------- */

/* The first element that is not healthy, and why; "" when all are. */
static const char *unhealthy_at(struct authority *h, const char **why)
{
	static char s[200], reason[800];
	json_t *o = call(h, "health", NULL), *last;
	size_t n = json_array_size(json_object_get(o, "elements"));

	last = element(o, "elements", n - 1);
	snprintf(s, sizeof(s), "%s", text(o, "text"));
	snprintf(reason, sizeof(reason), "%s", text(last, "error"));
	assert_int_equal(json_is_true(json_object_get(o, "healthy")), !*s);
	/* all before it were healthy */
	for (size_t i = 0; i + 1 < n; i++)
		assert_true(json_is_true(json_object_get(element(o, "elements", i), "healthy")));
	json_decref(o);
	if (why)
		*why = reason;
	return s;
}

static const char *unhealthy(const char **why)
{
	return unhealthy_at(&net[0], why);
}

/* Who is removed is told, if it can be; whoever asks there hears of it. */
static void test_removed(void **state)
{
	const char *why;
	json_t *o;

	(void)state;
	make_cluster();
	o = call(&net[0], "authority-remove", json_pack("{s:s}", "name", "ta-2"));
	assert_true(json_is_true(json_object_get(o, "told")));
	json_decref(o);
	assert_string_equal(unhealthy_at(&net[1], &why), "The TrustAuthorityCluster is not healthy, please fix it first!");
	assert_contains(why, "this authority is not in the Trust Authority cluster");
	o = call(&net[1], "authority-show", NULL);
	do_call(&net[0], "authority-add", json_pack("{s:o}", "authority", o));
	net[1].down = true;
	o = call(&net[0], "authority-remove", json_pack("{s:s}", "name", "ta-2"));
	assert_false(json_is_true(json_object_get(o, "told")));
	assert_contains(text(o, "error"), "Connection refused");
	json_decref(o);
}

static void test_health_walk(void **state)
{
	json_t *image = make_image("one", "a"), *self;
	const char *why;

	(void)state;
	assert_string_equal(unhealthy(NULL), "The TrustAuthorityCluster is not healthy, please fix it first!");
	make_cluster();
	net[1].down = true;
	assert_string_equal(unhealthy(&why), "The AttestationServiceStatus is not healthy, please fix it first!");
	assert_contains(why, "Connection refused");
	net[1].down = false;
	do_call(&net[0], "key-provider-add", kms("kms"));
	assert_string_equal(unhealthy(&why), "The AttestationServiceStatus is not healthy, please fix it first!");
	assert_contains(why, "has the state of serial 3, and not that of serial 4");
	do_call(&net[0], "remediate", NULL);
	net[1].kmx_down = true;
	net[0].kms_error = "no route to host";
	assert_string_equal(unhealthy(&why), "The KeyProviderServiceStatus is not healthy, please fix it first!");
	net[1].kmx_down = false;
	assert_string_equal(unhealthy(&why), "The KeyProvider is not healthy, please fix it first!");
	assert_contains(why, "authority 'ta-1' cannot use server kms:5696 of key provider 'kms': no route to host");
	net[0].kms_error = NULL;
	net[0].made = net[1].not_given = "k-1";
	assert_string_equal(unhealthy(&why), "The KeyProvider is not healthy, please fix it first!");
	assert_contains(why, "authority 'ta-2' does not get key 'k-1' of key provider 'kms', which authority 'ta-1' made: it is another's");
	net[1].old = true;
	assert_string_equal(unhealthy(NULL), "The Tpm2AttestationSettings is not healthy, please fix it first!");
	net[1].old = false;
	net[1].not_given = "k-0";
	net[1].made = net[0].refused = "k-2";
	assert_string_equal(unhealthy(&why), "The KeyProvider is not healthy, please fix it first!");
	assert_contains(why, "authority 'ta-1' does not get a key any more that it made with key provider 'kms': k-2");
	net[0].refused = NULL;
	assert_string_equal(unhealthy(&why), "The Tpm2AttestationSettings is not healthy, please fix it first!");
	self = call(&net[0], "authority-show", NULL);
	do_call(&net[0], "ek-add", json_pack("{s:s, s:O}", "name", "host-1", "pub", json_object_get(self, "token_key")));
	json_decref(self);
	do_call(&net[0], "remediate", NULL);
	assert_string_equal(unhealthy(&why), "The Tpm2AttestationSettings is not healthy, please fix it first!");
	assert_contains(why, "an EK certificate is required");
	do_call(&net[0], "policy-set", json_pack("{s:b}", "require_ek_certificate", 0));
	do_call(&net[0], "remediate", NULL);
	assert_string_equal(unhealthy(&why), "The VMHostBaseImage is not healthy, please fix it first!");
	do_call(&net[0], "base-image-import", json_pack("{s:o}", "image", image));
	do_call(&net[0], "remediate", NULL);
	assert_string_equal(unhealthy(NULL), "");
}

/* ---- upgrades -------------------------------------------------------------------------------------------- */

static json_t *upgrade(const char *step, const char *name, const char *image, bool force)
{
	return call(&net[0], "upgrade-check", json_pack("{s:s, s:s*, s:s*, s:s, s:b}", "step", step, "name", name, "image",
							image, "to", "0.2", "force", (int)force));
}

static void test_upgrade_order(void **state)
{
	json_t *o;

	(void)state;
	make_cluster();
	/* the trusted hosts first: no */
	o = upgrade("host", NULL, NULL, false);
	assert_true(json_is_false(json_object_get(o, "allowed")));
	assert_contains(json_string_value(element(o, "refusals", 0)),
			"upgrade the Trust Authority hosts before the trusted hosts");
	json_decref(o);
	o = upgrade("host", NULL, NULL, true);
	assert_true(json_is_true(json_object_get(o, "allowed")));
	assert_int_equal(json_array_size(json_object_get(o, "warnings")), 3);
	json_decref(o);
	/* one authority, while the other serves */
	o = upgrade("authority", "ta-2", NULL, false);
	assert_true(json_is_true(json_object_get(o, "allowed")));
	json_decref(o);
	net[1].down = true;
	o = upgrade("authority", "ta-1", NULL, false);
	assert_contains(json_string_value(element(o, "refusals", 0)), "'ta-2' cannot be reached");
	json_decref(o);
	net[1].down = false;
	net[0].version = net[1].version = "0.10";
	/* this one asks itself what it is, so ta-1 is of its own version */
	o = upgrade("host", NULL, "new", false);
	assert_int_equal(json_array_size(json_object_get(o, "refusals")), 2);
	assert_contains(json_string_value(element(o, "refusals", 0)), "'ta-1' runs version");
	assert_contains(json_string_value(element(o, "refusals", 1)), "base image 'new' is not imported");
	json_decref(o);
	fail_call(&net[0], VMC_EINVAL, "upgrade-check", json_pack("{s:s}", "step", "guest"));
	fail_call(&net[0], VMC_ENOENT, "upgrade-check", json_pack("{s:s, s:s}", "step", "authority", "name", "x"));
}

/* ---- certificates that become others ------------------------------------------------------------- */

static int rotate(struct authority *h, const char *step, bool force, json_t **out)
{
	json_t *params = json_pack("{s:s, s:s, s:b}", "service", "attestation", "step", step, "force", (int)force);
	int rc;

	*out = NULL;
	rc = trust_admin_local(h->a, TRUST_ROLE_ADMIN, "certificate-rotate", params, &none, out, &err);
	json_decref(params);
	return rc;
}

static void do_rotate(struct authority *h, const char *step, bool force)
{
	json_t *o;

	assert_ok(rotate(h, step, force, &o), &err);
	assert_true(json_is_true(json_object_get(o, "changed")));
	json_decref(o);
}

/* A member of the first authority; "": it is not there. */
static void member_of_first(const char *name, char out[4096])
{
	json_t *state = trust_state_json(net[0].s);
	const char *v = json_string_value(json_object_get(element(state, "authorities", 0), name));

	snprintf(out, 4096, "%s", v ? v : "");
	json_decref(state);
}

static void test_rotate_certificate(void **state)
{
	char first[4096], next[4096], now[4096];
	enum trust_role role;
	json_t *o, *s;
	char *file;

	(void)state;
	make_cluster();
	member_of_first("attest_cert", first);
	assert_code(rotate(&net[0], "switch", true, &o), VMC_ESTATE, &err);
	assert_contains(err.hint, "rotate-certificate attestation announce");
	do_rotate(&net[0], "announce", false);
	do_rotate(&net[0], "announce", false);
	member_of_first("attest_also", next);
	assert_contains(next, "BEGIN CERTIFICATE");
	assert_string_not_equal(next, first);
	/* not before the others know, and not before hosts do */
	assert_code(rotate(&net[0], "switch", false, &o), VMC_ESTATE, &err);
	assert_contains(err.text, "'ta-2' may not have heard");
	do_call(&net[0], "remediate", NULL);
	assert_code(rotate(&net[0], "switch", false, &o), VMC_ESTATE, &err);
	assert_contains(err.text, "hosts may not have heard");
	do_rotate(&net[0], "switch", true);
	member_of_first("attest_cert", now);
	assert_string_equal(now, next);
	member_of_first("attest_also", now);
	assert_string_equal(now, first);
	/* the service still shows the old one, and is known by it; and the old one is not taken away from under it */
	assert_code(rotate(&net[0], "finish", true, &o), VMC_ESTATE, &err);
	assert_contains(err.text, "does not show its new certificate yet");
	assert_ok(http_identity_follow(test_path(net[0].dir, "attestd"), next, &err), &err);
	file = content(&net[0], "attestd/host.pem");
	assert_string_equal(file, next);
	free(file);
	s = trust_state_json(net[0].s);
	assert_int_equal(role_of_pem(s, first, &role), 0);
	assert_int_equal(role, TRUST_ROLE_AUDITOR);
	do_rotate(&net[0], "finish", false);
	json_decref(s);
	s = trust_state_json(net[0].s);
	assert_int_equal(role_of_pem(s, first, &role), 0);
	assert_int_equal(role, TRUST_ROLE_NONE);
	json_decref(s);
	member_of_first("attest_also", now);
	assert_string_equal(now, "");
	/* one that is given up was never shown */
	do_rotate(&net[0], "announce", false);
	do_rotate(&net[0], "finish", false);
	member_of_first("attest_cert", now);
	assert_string_equal(now, next);
	assert_int_not_equal(access(test_path(net[0].dir, "attestd/next"), F_OK), 0);
}

/* An authority that makes no changes says what is to be changed elsewhere. */
static void test_rotate_elsewhere(void **state)
{
	json_t *o, *bad = json_pack("{s:s, s:s}", "service", "attestation", "step", "dance");

	(void)state;
	make_cluster();
	assert_ok(rotate(&net[1], "announce", false, &o), &err);
	assert_true(json_is_false(json_object_get(o, "changed")));
	do_call(&net[0], "authority-add", json_pack("{s:O}", "authority", json_object_get(o, "authority")));
	json_decref(o);
	do_call(&net[0], "remediate", NULL);
	assert_ok(rotate(&net[1], "switch", true, &o), &err);
	do_call(&net[0], "authority-add", json_pack("{s:O}", "authority", json_object_get(o, "authority")));
	json_decref(o);
	do_call(&net[0], "remediate", NULL);
	assert_code(trust_admin_local(net[0].a, TRUST_ROLE_ADMIN, "certificate-rotate", bad, &none, &o, &err), VMC_EINVAL,
		    &err);
	json_decref(bad);
}

/* ---- backup ---------------------------------------------------------------------------------------------- */

static int memory_file(const void *data, size_t n)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	return fd;
}

static int backup(struct authority *h, const char *password, int *fd)
{
	struct trust_files files = { memory_file(password, strlen(password)), -1, memory_file("", 0) };
	json_t *out = NULL;
	int rc = trust_admin_local(h->a, TRUST_ROLE_ADMIN, "backup", NULL, &files, &out, &err);

	close(files.password);
	json_decref(out);
	*fd = files.data;
	return rc;
}

static int restored;	/* files, by the last one */

static int restore(struct authority *h, const char *password, int fd, bool force)
{
	struct trust_files files = { memory_file(password, strlen(password)), -1, fd };
	json_t *out = NULL, *params = json_pack("{s:b}", "force", (int)force);
	int rc = trust_admin_local(h->a, TRUST_ROLE_ADMIN, "restore", params, &files, &out, &err);

	close(files.password);
	json_decref(params);
	restored = (int)json_integer_value(json_object_get(out, "files"));
	json_decref(out);
	return rc;
}

static void same_content(const struct authority *a, const struct authority *b, const char *file)
{
	char *x = content(a, file), *y = content(b, file);

	assert_string_equal(x, y);
	free(x);
	free(y);
}

static void assert_config(const struct authority *h, const char *want)
{
	char *text;

	assert_ok(fs_read(test_path(h->etc, "trust.conf"), 4096, &text, NULL, &err), &err);
	assert_string_equal(text, want);
	free(text);
}

static void test_backup_and_restore(void **state)
{
	static const char *const kept[] = {
		"state.jws", "attestd/cluster.key", "cluster.pub", "attestd/host.key", "attestd/host.pem", "attestd/token.key",
		"kmxd/host.key", "kmxd/host.pem", "kmxd/providers/kms/client.key", "kmxd/providers/kms/provider.conf",
		"kmxd/providers/default",
	};
	uint8_t byte;
	int fd, other;

	(void)state;
	do_call(&net[0], "init", json_pack("{s:s}", "cluster", "blue"));
	test_write_text(test_path(net[0].etc, "trust.conf"), "[kmx]\nlisten = 127.0.0.1:5801\n");
	do_call(&net[0], "key-provider-add", kms("kms"));
	do_call(&net[0], "key-provider-trust", json_pack("{s:s, s:s}", "name", "kms", "verb", "csr"));
	assert_code(backup(&net[0], "short\n", &fd), VMC_EINVAL, &err);
	close(fd);
	assert_ok(backup(&net[0], "correct horse battery\n", &fd), &err);
	assert_code(restore(&net[1], "correct horse batterY", fd, false), VMC_EAUTH, &err);
	assert_contains(err.text, "the password is another");
	/* a fresh machine has no folder for the configuration yet */
	assert_int_equal(rmdir(net[1].etc), 0);
	assert_ok(restore(&net[1], "correct horse battery", fd, false), &err);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		same_content(&net[0], &net[1], kept[i]);
	/* it is called what the first one is, also when that had its name of the machine */
	assert_config(&net[1], "[kmx]\nlisten = 127.0.0.1:5801\n\n[authority]\nname = ta-1\n");
	/* the new machine is the authority, and makes changes */
	do_call(&net[1], "policy-set", json_pack("{s:i}", "lease", 60));
	assert_code(restore(&net[1], "correct horse battery", fd, false), VMC_EEXIST, &err);
	assert_ok(restore(&net[1], "correct horse battery", fd, true), &err);
	same_content(&net[0], &net[1], "state.jws");
	/* one bit */
	assert_int_equal(pread(fd, &byte, 1, BACKUP_HEADER + 100), 1);
	byte ^= 1;
	other = fd;
	assert_int_equal(pwrite(other, &byte, 1, BACKUP_HEADER + 100), 1);
	assert_code(restore(&net[1], "correct horse battery", other, true), VMC_EAUTH, &err);
	assert_code(restore(&net[1], "correct horse battery", memory_file("x", 1), true), VMC_EINVAL, &err);
	close(fd);
}

/* The file that is to become trust.conf vanishes: that is noticed when all else is in place already. */
static void lose_config(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

/* Something is in the way when the key that was there is put aside. */
static void block_old(const char *path)
{
	char at[4096];

	(void)path;
	snprintf(at, sizeof(at), "%s/attestd/.restore/old/attestd", net[1].dir);
	assert_int_equal(mkdir(at, 0700), 0);
	snprintf(at, sizeof(at), "%s/attestd/.restore/old/attestd/cluster.key", net[1].dir);
	assert_int_equal(mkdir(at, 0700), 0);
}

static void refuse_restore(int fd, const char *why)
{
	char *state = content(&net[1], "state.jws"), *key = content(&net[1], "attestd/cluster.key"), *now;

	assert_int_not_equal(restore(&net[1], "correct horse battery", fd, true), 0);
	assert_contains(err.text, why);
	meanwhile = NULL;
	now = content(&net[1], "state.jws");
	assert_string_equal(now, state);
	free(now);
	now = content(&net[1], "attestd/cluster.key");
	assert_string_equal(now, key);
	free(now);
	free(key);
	free(state);
	assert_int_not_equal(access(test_path(net[1].dir, "kmxd/providers/kms"), F_OK), 0);
	assert_int_not_equal(access(test_path(net[1].dir, "attestd/.restore"), F_OK), 0);
	assert_int_not_equal(access(test_path(net[1].etc, "trust.conf.restore"), F_OK), 0);
	/* it is still the authority that it was */
	do_call(&net[1], "policy-set", json_pack("{s:i}", "lease", 60));
}

/* Whatever goes wrong, and wherever: all that was there is there, and nothing else. */
static void test_restore_is_whole(void **state)
{
	int fd;

	(void)state;
	do_call(&net[0], "init", json_pack("{s:s}", "cluster", "blue"));
	do_call(&net[0], "key-provider-add", kms("kms"));
	test_write_text(test_path(net[0].etc, "trust.conf"), "[authority]\nname = ta-1\n");
	net[0].named = true;
	down(&net[0]);
	up(&net[0]);
	assert_ok(backup(&net[0], "correct horse battery", &fd), &err);
	do_call(&net[1], "init", json_pack("{s:s}", "cluster", "red"));
	meanwhile = block_old;
	refuse_restore(fd, "cannot rename");
	test_write_text(test_path(net[1].etc, "trust.conf"), "[authority]\nname = ta-2\n");
	meanwhile = lose_config;
	refuse_restore(fd, "cannot rename");
	assert_config(&net[1], "[authority]\nname = ta-2\n");
	assert_ok(restore(&net[1], "correct horse battery", fd, true), &err);
	assert_config(&net[1], "[authority]\nname = ta-1\n");
	same_content(&net[0], &net[1], "attestd/cluster.key");
	close(fd);
	test_write_text(test_path(net[0].etc, "trust.conf"), "nonsense");
	assert_ok(backup(&net[0], "correct horse battery", &fd), &err);
	assert_code(restore(&net[1], "correct horse battery", fd, true), VMC_EINVAL, &err);
	assert_contains(err.text, "its configuration is none for this version");
	assert_config(&net[1], "[authority]\nname = ta-1\n");
	close(fd);
}

/* What others have got since the backup: the restored state comes after it only when that is wanted. */
static void test_restore_then_win(void **state)
{
	json_t *o;
	int fd;

	(void)state;
	make_cluster();
	assert_ok(backup(&net[0], "correct horse battery", &fd), &err);
	do_call(&net[0], "policy-set", json_pack("{s:i}", "lease", 60));
	do_call(&net[0], "remediate", NULL);
	assert_ok(restore(&net[0], "correct horse battery", fd, true), &err);
	close(fd);
	o = call(&net[0], "remediate", NULL);
	assert_true(json_is_false(json_object_get(o, "ok")));
	assert_contains(text(element(o, "authorities", 1), "error"), "is older than");
	json_decref(o);
	o = call(&net[0], "remediate", json_pack("{s:b}", "force", 1));
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	o = call(&net[1], "policy-show", NULL);
	assert_int_equal(json_integer_value(json_object_get(o, "lease")), 0);
	json_decref(o);
	/* one that has no key makes no backup that would bring nothing back */
	assert_code(backup(&net[1], "correct horse battery", &fd), VMC_ENOTSUP, &err);
	close(fd);
}

/* A backup of these files, signed by the cluster's key of net[0]. */
static int craft(const char *const files[][2], size_t n)
{
	struct backup_body b;
	EVP_PKEY *key;
	uint8_t *file;
	char path[4096];
	size_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/attestd/cluster.key", net[0].dir);
	assert_ok(cert_key_load(path, &key, &err), &err);
	assert_ok(backup_body_new(&b, &err), &err);
	for (size_t i = 0; i < n; i++)
		assert_ok(backup_body_add(&b, files[i][0], files[i][1], strlen(files[i][1]), &err), &err);
	assert_ok(backup_body_sign(&b, key, &err), &err);
	assert_ok(backup_lock(&b, "correct horse battery", 21, &file, &len, &err), &err);
	fd = memory_file(file, len);
	free(file);
	backup_body_free(&b);
	EVP_PKEY_free(key);
	return fd;
}

typedef const char *const file_list[][2];	/* names and contents */

static void refuse_backup(const char *const files[][2], size_t n, int code, const char *why)
{
	int fd = craft(files, n);

	assert_code(restore(&net[1], "correct horse battery", fd, true), code, &err);
	assert_contains(err.text, why);
	close(fd);
}

/* What is refused replaces nothing of what is there. */
static void test_crafted_backups(void **state)
{
	char *pub, *key, *jws, *other_key, *other_jws, *now;
	int fd;

	(void)state;
	do_call(&net[0], "init", json_pack("{s:s}", "cluster", "blue"));
	do_call(&net[1], "init", json_pack("{s:s}", "cluster", "red"));
	pub = content(&net[0], "cluster.pub");
	key = content(&net[0], "attestd/cluster.key");
	jws = content(&net[0], "state.jws");
	other_key = content(&net[1], "attestd/cluster.key");
	other_jws = content(&net[1], "state.jws");
	refuse_backup((file_list){ { "cluster.pub", pub }, { "attestd/cluster.key", key }, { "state.jws", other_jws } },
		      3, VMC_EAUTH, "signature was not made with");
	refuse_backup((file_list){ { "cluster.pub", pub }, { "attestd/cluster.key", other_key }, { "state.jws", jws } },
		      3, VMC_EINVAL, "private key is not that of its cluster");
	refuse_backup((file_list){ { "cluster.pub", pub }, { "attestd/cluster.key", key }, { "state.jws", jws },
						{ "cluster.pub", other_key } }, 4, VMC_EINVAL, "'cluster.pub' is in it twice");
	now = content(&net[1], "state.jws");
	assert_string_equal(now, other_jws);
	free(now);
	do_call(&net[1], "policy-set", json_pack("{s:i}", "lease", 60));
	fd = craft((file_list){ { "cluster.pub", pub }, { "attestd/cluster.key", key }, { "state.jws", jws } }, 3);
	assert_ok(restore(&net[1], "correct horse battery", fd, true), &err);
	assert_int_equal(restored, 3);
	same_content(&net[0], &net[1], "state.jws");
	close(fd);
	free(pub);
	free(key);
	free(jws);
	free(other_key);
	free(other_jws);
}

static void test_backup_records(void **state)
{
	static const char *const bad[] = { "../x", "/x", "a//b", "a/../b", ".x", "a/.ssh", "" };
	struct backup_body b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_ok(backup_body_new(&b, &err), &err);
		assert_ok(backup_body_add(&b, bad[i], "x", 1, &err), &err);
		assert_ok(backup_body_add(&b, "signature", "x", 1, &err), &err);
		assert_code(backup_body_check(&b, &err), VMC_EINVAL, &err);
		backup_body_free(&b);
	}
	assert_ok(backup_body_new(&b, &err), &err);
	assert_ok(backup_body_add(&b, "a/b.c-d", "x", 1, &err), &err);
	assert_code(backup_body_check(&b, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "not signed");
	assert_ok(backup_body_add(&b, "signature", "x", 1, &err), &err);
	assert_ok(backup_body_check(&b, &err), &err);
	for (size_t n = b.n - 1; n > 0; n--) {
		struct backup_body part = { b.bytes, n, 0 };

		assert_code(backup_body_check(&part, &err), VMC_EINVAL, &err);
	}
	backup_body_free(&b);
}

static void test_metrics(void **state)
{
	json_t *o;

	(void)state;
	o = call(&net[0], "metrics", NULL);
	assert_contains(text(o, "text"), "\nvmcrypt_trust_configured 0\n");
	json_decref(o);
	make_cluster();
	o = call(&net[0], "metrics", NULL);
	assert_contains(text(o, "text"), "\nvmcrypt_trust_authorities 2\n");
	assert_contains(text(o, "text"), "vmcrypt_trust_certificate_days_left{kind=\"attestation\",name=\"ta-2\"} 36");
	json_decref(o);
}

#ifdef VMC_CRASHPOINTS
static int points_passed(const char *dir)
{
	const char *path = test_path(dir, "points");
	char *data;
	int n;

	setenv("VMCRYPT_CRASH_LOG", path, 1);
	fs_crashpoint("admin_test");
	unsetenv("VMCRYPT_CRASH_LOG");
	assert_ok(fs_read(path, 4096, &data, NULL, &err), &err);
	n = atoi(data);
	free(data);
	unlink(path);
	return n;
}

/* A restore that was cut anywhere leaves an authority that starts, has no state or all of it, and takes it again. */
static void test_restore_crash_points(void **state)
{
	int fd, status = 0, n = 0;

	(void)state;
	do_call(&net[0], "init", json_pack("{s:s}", "cluster", "blue"));
	assert_ok(backup(&net[0], "correct horse battery", &fd), &err);
	do {
		char at[16];
		json_t *j;
		pid_t pid;

		snprintf(at, sizeof(at), "%d", points_passed(net[1].dir) + ++n);
		pid = fork();
		if (!pid) {
			setenv("VMCRYPT_CRASH_AT", at, 1);
			_exit(restore(&net[1], "correct horse battery", fd, true) ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		down(&net[1]);
		up(&net[1]);
		j = trust_state_json(net[1].s);
		if (!WIFSIGNALED(status))
			assert_non_null(j);
		json_decref(j);
		assert_ok(restore(&net[1], "correct horse battery", fd, true), &err);
		same_content(&net[0], &net[1], "state.jws");
	} while (WIFSIGNALED(status) && n < 1000);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_in_range(n, 20, 500);
	close(fd);
}
#endif

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_roles),
		TEST(test_before_a_cluster),
		TEST(test_lists),
		TEST(test_endorsement_keys),
		TEST(test_drift_and_remediate),
		TEST(test_remove_revert_readd),
		TEST(test_images),
		TEST(test_attested_kept),
		TEST(test_key_providers),
		TEST(test_key_provider_comes_again),
		TEST(test_services_info),
		TEST(test_import_key),
		TEST(test_health_walk), TEST(test_removed),
		TEST(test_upgrade_order),
		TEST(test_rotate_certificate),
		TEST(test_rotate_elsewhere),
		TEST(test_backup_and_restore),
		TEST(test_restore_is_whole),
		TEST(test_restore_then_win),
		TEST(test_crafted_backups),
		TEST(test_metrics),
		cmocka_unit_test(test_backup_records),
#ifdef VMC_CRASHPOINTS
		TEST(test_restore_crash_points),
#endif
	};

	return secmem_init(1u << 20, NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
