// SPDX-License-Identifier: GPL-2.0-or-later
#include "../../testing/testing.h"

#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../keys/cert.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "sign.h"
#include "tstate.h"

static struct vmc_error err;

struct world {
	char *dir;
	struct trust_state *s;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = test_mkdir();
	assert_ok(trust_state_open(&w->s, w->dir, &err), &err);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	trust_state_close(w->s);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

static char *make_cert(void)
{
	EVP_PKEY *key;
	char *pem;

	assert_ok(cert_key_new(&key, &err), &err);
	assert_ok(cert_self_signed(key, "authority", CERT_PEER, 30, &pem, &err), &err);
	EVP_PKEY_free(key);
	return pem;
}

static void make_key(char **pub, char id[65])
{
	char *cert = make_cert();
	STACK_OF(X509) *chain;

	assert_ok(cert_chain_from_pem(cert, "certificate", &chain, &err), &err);
	assert_ok(sign_public_pem(X509_get0_pubkey(sk_X509_value(chain, 0)), pub, &err), &err);
	assert_int_equal(cert_spki_fingerprint(sk_X509_value(chain, 0), id), 0);
	cert_chain_free(chain);
	free(cert);
}

/* A state with something in every list but the CAs. */
static json_t *full(void)
{
	char *cert = make_cert(), *pub, id[65];
	json_t *s = tstate_new("blue", 1700000000);

	make_key(&pub, id);
	assert_int_equal(json_array_append_new(json_object_get(s, "authorities"), json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", "ta-1", "attest", "ta-1.example:5700", "attest_cert", cert,
		"kmx", "[fd00::1]:5701", "kmx_cert", cert, "token_key", pub, "version", "0.6")), 0);
	json_array_append_new(json_object_get(json_object_get(s, "tpm2"), "eks"),
			      json_pack("{s:s, s:s, s:s}", "name", "host-1", "ek", id, "pub", pub));
	json_array_append_new(json_object_get(s, "images"), json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:s, s:[{s:i, s:s, s:s}]}", "v", 1, "bank", "sha256", "id", id, "name",
		"Debian 12 (6.1.0-30)", "imported", "2026-01-01T00:00:00Z", "kernel", "6.1.0-30-amd64", "events", "pcr", 4, "type", "boot", "digest", "00"));
	json_array_append_new(json_object_get(s, "key_providers"), json_pack(
		"{s:s, s:s, s:[s], s:b}", "name", "kms", "kind", "kmip", "servers", "kms.example:5696", "default", 1));
	json_array_append_new(json_object_get(s, "principals"), json_pack(
		"{s:s, s:s, s:s}", "name", "alice", "fingerprint", id, "role", "auditor"));
	free(cert);
	free(pub);
	return s;
}

/* ---- the shape ---------------------------------------------------------------------- */

static void test_full_state_passes(void **state)
{
	json_t *s = full(), *again;
	char *text;
	size_t n;

	(void)state;
	assert_ok(tstate_check(s, &err), &err);
	assert_ok(tstate_canonical(s, &text, &n, &err), &err);
	assert_ok(tstate_parse(text, n, &again, &err), &err);
	assert_true(json_equal(s, again));
	assert_int_equal(strncmp(text, "{\"authorities\":[", 16), 0);
	free(text);
	json_decref(again);
	json_decref(s);
}

/* @set: "path=JSON" of what is altered; a path is member names and numbers with dots between. */
static void alter(json_t *s, const char *set)
{
	char path[200], *eq, *last, *word, *save;
	json_t *v, *at = s;

	snprintf(path, sizeof(path), "%s", set);
	eq = strchr(path, '=');
	*eq = '\0';
	v = json_loads(set + (eq - path) + 1, JSON_DECODE_ANY, NULL);
	last = strrchr(path, '.');
	if (last)
		*last++ = '\0';
	for (word = last ? strtok_r(path, ".", &save) : NULL; word; word = strtok_r(NULL, ".", &save))
		at = json_is_array(at) ? json_array_get(at, strtoul(word, NULL, 10)) : json_object_get(at, word);
	word = last ? last : path;
	assert_non_null(at);
	if (json_is_array(at) && !strcmp(word, "+"))
		json_array_append_new(at, v ? v : json_deep_copy(json_array_get(at, 0)));
	else if (v)
		json_object_set_new(at, word, v);
	else
		json_object_del(at, word);
}

static void test_bad_states_refused(void **state)
{
	static const struct { const char *set, *where, *why; } cases[] = {
		{ "v=2", "v", "must be from 1 to 1" },
		{ "extra=1", "extra", "no such member" },
		{ "cluster=", "cluster", "missing" },
		{ "cluster=\"../etc\"", "cluster", "not a name" },
		{ "serial=0", "serial", "must be from 1" },
		{ "serial=1.0", "serial", "not a whole number" },
		{ "changed=-1", "changed", "must be from 0" },
		{ "authorities={}", "authorities", "not a list" },
		{ "authorities.0.root=true", "authorities[0].root", "no such member" },
		{ "authorities.0.attest=\"ta-1\"", "authorities[0].attest", "not HOST:PORT" },
		{ "authorities.0.attest=\"ta 1:5700\"", "authorities[0].attest", "not HOST:PORT" },
		{ "authorities.0.kmx=\"ta-1:0\"", "authorities[0].kmx", "not HOST:PORT" },
		{ "authorities.0.kmx=\"ta-1:65536\"", "authorities[0].kmx", "not HOST:PORT" },
		{ "authorities.0.kmx_cert=\"x\"", "authorities[0].kmx_cert", "not one certificate" },
		{ "authorities.0.token_key=\"x\"", "authorities[0].token_key", "not a public key" },
		{ "authorities.+=", "authorities[1].name", "another one has the same" },
		{ "tpm2.require_ek_certificate=1", "tpm2.require_ek_certificate", "neither true nor false" },
		{ "tpm2.ca_certificates.+={\"name\":\"ca\",\"pem\":\"x\"}", "tpm2.ca_certificates[0].pem", "not one certificate" },
		{ "tpm2.eks.0.ek=\"AB\"", "tpm2.eks[0].ek", "SHA-256" },
		{ "tpm2.eks.0.ek=\"0000000000000000000000000000000000000000000000000000000000000000\"", "tpm2.eks[0].ek",
		  "not the SHA-256 of the key beside it" },
		{ "policy.pcrs=[]", "policy.pcrs", "empty" },
		{ "policy.pcrs=[16]", "policy.pcrs[0]", "must be from 0 to 15" },
		{ "policy.pcrs=[7,7]", "policy.pcrs", "comes twice" },
		{ "policy.token_lifetime=299", "policy.token_lifetime", "must be from 300 to 600" },
		{ "policy.token_lifetime=601", "policy.token_lifetime", "must be from 300 to 600" },
		{ "policy.lease=-1", "policy.lease", "must be from 0" },
		{ "images.0.name=\"a\\u001bb\"", "images[0].name", "control characters" },
		{ "images.0.name=\"a\\u0000b\"", "", "not JSON" },
		{ "images.0.events.0.deep=[]", "images[0].events[0].deep", "no text, whole number or truth" },
		{ "images.0.events=[]", "images[0].events", "empty" },
		{ "key_providers.0.kind=\"native\"", "key_providers[0].kind", "none of kmip" },
		{ "key_providers.0.servers=[]", "key_providers[0].servers", "empty" },
		{ "key_providers.0.pins=[\"x\"]", "key_providers[0].pins[0]", "not a fingerprint" },
		{ "key_providers.+={\"name\":\"b\",\"kind\":\"kmip\",\"servers\":[\"k:1\"],\"default\":true}", "key_providers",
		  "more than one is the default" },
		{ "principals.0.role=\"none\"", "principals[0].role", "none of host|auditor|trust-admin" },
		{ "principals.0.role=\"host|auditor\"", "principals[0].role", "none of" },
		{ "principals.0.role=\"\"", "principals[0].role", "none of" },
		{ "principals.0.fingerprint=\"AA\"", "principals[0].fingerprint", "SHA-256" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *s = full();

		if (strstr(cases[i].set, "u0000")) {
			static const char text[] = "{\"v\":1,\"cluster\":\"a\\u0000b\"}";
			json_t *none;

			assert_code(tstate_parse(text, strlen(text), &none, &err), VMC_EINVAL, &err);
		} else {
			alter(s, cases[i].set);
			assert_code(tstate_check(s, &err), VMC_EINVAL, &err);
		}
		assert_contains(err.text, cases[i].where);
		assert_contains(err.text, cases[i].why);
		json_decref(s);
	}
}

static void test_names_twice_refused(void **state)
{
	static const char text[] = "{\"v\":1,\"v\":1}";
	json_t *none;

	(void)state;
	assert_code(tstate_parse(text, strlen(text), &none, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "not JSON");
}

static void test_too_large_refused(void **state)
{
	json_t *s = full(), *events, *images = json_object_get(s, "images");
	char filler[1001], name[32];

	(void)state;
	memset(filler, 'a', 1000);
	filler[1000] = '\0';
	events = json_object_get(json_array_get(images, 0), "events");
	for (int i = 0; i < 720; i++)
		json_array_append_new(events, json_pack("{s:s}", "text", filler));
	assert_code(tstate_check(s, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "are the most");
	assert_contains(err.hint, "remove base images");
	json_array_clear(images);
	for (int i = 0; i < TSTATE_IMAGES_MAX + 1; i++) {
		snprintf(name, sizeof(name), "i%d", i);
		json_array_append_new(images, json_pack("{s:s}", "name", name));
	}
	assert_code(tstate_check(s, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "images: more than 64");
	json_decref(s);
}

/* ---- signing -------------------------------------------------------------------------- */

static void test_signatures(void **state)
{
	EVP_PKEY *key, *other;
	char *jws, *payload, *p;
	size_t n;

	(void)state;
	assert_ok(cert_key_new(&key, &err), &err);
	assert_ok(cert_key_new(&other, &err), &err);
	assert_ok(sign_make(key, "a+jws", "hello", 5, &jws, &err), &err);
	assert_ok(sign_open(key, "a+jws", jws, &payload, &n, &err), &err);
	assert_int_equal(n, 5);
	assert_string_equal(payload, "hello");
	free(payload);
	assert_code(sign_open(other, "a+jws", jws, &payload, &n, &err), VMC_EAUTH, &err);
	assert_code(sign_open(key, "b+jws", jws, &payload, &n, &err), VMC_EAUTH, &err);
	/* every byte counts */
	for (p = jws; *p; p++) {
		char keep = *p;

		*p = keep == 'A' ? 'B' : 'A';
		/* the last digit of 64 bytes has four bits that mean nothing, and must be zero */
		assert_code(sign_open(key, "a+jws", jws, &payload, &n, &err), VMC_EAUTH, &err);
		*p = keep;
	}
	for (n = strlen(jws); n-- > 0;) {
		jws[n] = '\0';
		assert_code(sign_open(key, "a+jws", jws, &payload, &(size_t){ 0 }, &err), VMC_EAUTH, &err);
	}
	free(jws);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* ---- the store -------------------------------------------------------------------------- */

static int set_lease(json_t *state, void *data, struct vmc_error *e)
{
	(void)e;
	json_object_set_new(json_object_get(state, "policy"), "lease", json_integer(*(int *)data));
	return 0;
}

static int refuse(json_t *state, void *data, struct vmc_error *e)
{
	(void)data;
	json_object_clear(state);
	return vmc_fail(e, VMC_EBUSY, "not now");
}

static json_int_t serial_of(struct trust_state *s)
{
	json_t *j = trust_state_json(s);
	json_int_t n = json_integer_value(json_object_get(j, "serial"));

	json_decref(j);
	return n;
}

static json_int_t lease_of(struct trust_state *s)
{
	json_t *j = trust_state_json(s);
	json_int_t n = json_integer_value(json_object_get(json_object_get(j, "policy"), "lease"));

	json_decref(j);
	return n;
}

static void test_edit_and_reopen(void **state)
{
	struct world *w = *state;
	int lease = 600;
	json_t *before;

	assert_null(trust_state_json(w->s));
	assert_code(trust_state_edit(w->s, set_lease, &lease, &err), VMC_ENOENT, &err);
	assert_contains(err.hint, "trust init");
	assert_code(trust_state_init(w->s, "a b", &err), VMC_EINVAL, &err);
	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	assert_code(trust_state_init(w->s, "red", &err), VMC_EEXIST, &err);
	assert_contains(err.text, "'blue'");
	before = trust_state_json(w->s);
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_int_equal(serial_of(w->s), 2);
	/* a snapshot stays what it was */
	assert_int_equal(json_integer_value(json_object_get(before, "serial")), 1);
	json_decref(before);
	assert_code(trust_state_edit(w->s, refuse, NULL, &err), VMC_EBUSY, &err);
	lease = -1;
	assert_code(trust_state_edit(w->s, set_lease, &lease, &err), VMC_EINVAL, &err);
	assert_int_equal(serial_of(w->s), 2);
	trust_state_close(w->s);
	assert_ok(trust_state_open(&w->s, w->dir, &err), &err);
	assert_int_equal(lease_of(w->s), 600);
	assert_true(trust_state_can_change(w->s));
}

static void test_altered_file_refused(void **state)
{
	struct world *w = *state;
	char *jws, path[4096], *at;
	struct trust_state *other;

	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	assert_ok(trust_state_get(w->s, &jws, &err), &err);
	at = strchr(jws, '.') + 40;
	*at = *at == 'A' ? 'B' : 'A';
	snprintf(path, sizeof(path), "%s/state.jws", w->dir);
	assert_ok(fs_replace(path, jws, strlen(jws), 0600, &err), &err);
	free(jws);
	assert_code(trust_state_open(&other, w->dir, &err), VMC_EAUTH, &err);
	assert_contains(err.text, "state.jws");
	/* who has it open goes on with what it has */
	assert_code(trust_state_reload(w->s, &err), VMC_EAUTH, &err);
	assert_int_equal(serial_of(w->s), 1);
}

/* A second authority, which has the public key only. */
static struct trust_state *follower(struct world *w, char **dir)
{
	struct trust_state *b;
	char *pem;

	*dir = test_mkdir();
	assert_ok(trust_state_open(&b, *dir, &err), &err);
	assert_ok(trust_state_public(w->s, &pem, &err), &err);
	assert_ok(trust_state_join(b, pem, &err), &err);
	assert_ok(trust_state_join(b, pem, &err), &err);
	free(pem);
	return b;
}

static void test_push_and_rollback(void **state)
{
	struct world *w = *state;
	char *dir, *first, *second, *again;
	struct trust_state *b, *c;
	int lease = 60;

	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	b = follower(w, &dir);
	assert_ok(trust_state_get(w->s, &first, &err), &err);
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_ok(trust_state_get(w->s, &second, &err), &err);
	assert_ok(trust_state_put(b, first, &err), &err);
	assert_ok(trust_state_put(b, second, &err), &err);
	assert_ok(trust_state_put(b, second, &err), &err);
	assert_code(trust_state_put(b, first, &err), VMC_EREPLAY, &err);
	assert_contains(err.text, "serial 1 is older than 2");
	assert_int_equal(lease_of(b), 60);
	/* it makes no changes, having no key */
	assert_false(trust_state_can_change(b));
	assert_code(trust_state_edit(b, set_lease, &lease, &err), VMC_ENOTSUP, &err);
	assert_code(trust_state_init(b, "red", &err), VMC_EEXIST, &err);
	/* another process sees what came */
	assert_ok(trust_state_open(&c, dir, &err), &err);
	lease = 120;
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_ok(trust_state_get(w->s, &again, &err), &err);
	assert_ok(trust_state_put(b, again, &err), &err);
	assert_ok(trust_state_reload(c, &err), &err);
	assert_int_equal(lease_of(c), 120);
	trust_state_close(c);
	trust_state_close(b);
	test_rmdir(dir);
	free(first);
	free(second);
	free(again);
}

/* So that it takes a while to be read. */
static int make_large(json_t *state, void *data, struct vmc_error *e)
{
	json_t *events = json_array(), *image = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:O}", "v", 1, "bank", "sha256", "id", (char *)data, "name", "large",
		"imported", "2026-01-01T00:00:00Z", "events", events);

	(void)e;
	for (int i = 0; i < 4096; i++)
		json_array_append_new(events, json_pack("{s:s%}", "text", (char *)data, (size_t)64));
	json_decref(events);
	return json_array_append_new(json_object_get(state, "images"), image);
}

static void *reload_thread(void *data)
{
	assert_ok(trust_state_reload(data, &err), &err);
	return NULL;
}

static void test_change_while_reading_is_seen(void **state)
{
	char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char *dir, *jws[3], path[4096], next[4096], event[4096];
	struct world *w = *state;
	struct trust_state *b, *c;
	int lease = 60, watch = inotify_init1(IN_CLOEXEC);
	pthread_t t;

	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	b = follower(w, &dir);
	snprintf(path, sizeof(path), "%s/state.jws", dir);
	snprintf(next, sizeof(next), "%s/next", dir);
	assert_ok(trust_state_get(w->s, &jws[0], &err), &err);
	assert_ok(trust_state_edit(w->s, make_large, id, &err), &err);
	assert_ok(trust_state_get(w->s, &jws[1], &err), &err);
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_ok(trust_state_get(w->s, &jws[2], &err), &err);
	assert_ok(trust_state_put(b, jws[0], &err), &err);
	assert_ok(trust_state_open(&c, dir, &err), &err);
	assert_ok(fs_replace(path, jws[1], strlen(jws[1]), 0600, &err), &err);
	assert_ok(fs_replace(next, jws[2], strlen(jws[2]), 0600, &err), &err);
	assert_true(inotify_add_watch(watch, path, IN_CLOSE_NOWRITE) >= 0);
	assert_int_equal(pthread_create(&t, NULL, reload_thread, c), 0);
	/* its bytes were read, and are being looked at */
	assert_true(read(watch, event, sizeof(event)) > 0);
	assert_int_equal(rename(next, path), 0);
	pthread_join(t, NULL);
	assert_ok(trust_state_reload(c, &err), &err);
	assert_int_equal(serial_of(c), 3);
	close(watch);
	trust_state_close(c);
	trust_state_close(b);
	test_rmdir(dir);
	for (int i = 0; i < 3; i++)
		free(jws[i]);
}

/* Two that were signed under one serial, as after a restore. */
static void test_fork_refused(void **state)
{
	struct world *w = *state;
	char *dir, *mine, *theirs, path[4096];
	struct trust_state *b;
	int lease = 60;

	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	b = follower(w, &dir);
	assert_ok(trust_state_get(w->s, &mine, &err), &err);
	assert_ok(trust_state_put(b, mine, &err), &err);
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_ok(trust_state_get(w->s, &theirs, &err), &err);
	assert_ok(trust_state_put(b, theirs, &err), &err);
	free(theirs);
	snprintf(path, sizeof(path), "%s/state.jws", w->dir);
	assert_ok(fs_replace(path, mine, strlen(mine), 0600, &err), &err);
	trust_state_close(w->s);
	assert_ok(trust_state_open(&w->s, w->dir, &err), &err);
	lease = 61;
	assert_ok(trust_state_edit(w->s, set_lease, &lease, &err), &err);
	assert_ok(trust_state_get(w->s, &theirs, &err), &err);
	assert_code(trust_state_put(b, theirs, &err), VMC_EREPLAY, &err);
	assert_contains(err.text, "another one of the same serial 2");
	trust_state_close(b);
	test_rmdir(dir);
	free(mine);
	free(theirs);
}

static void test_other_cluster_refused(void **state)
{
	struct world *w = *state;
	char *dir = test_mkdir(), *jws, *pem;
	struct trust_state *b;

	assert_ok(trust_state_open(&b, dir, &err), &err);
	assert_ok(trust_state_init(w->s, "blue", &err), &err);
	assert_ok(trust_state_init(b, "blue", &err), &err);
	assert_ok(trust_state_get(w->s, &jws, &err), &err);
	assert_code(trust_state_put(b, jws, &err), VMC_EAUTH, &err);
	assert_ok(trust_state_public(w->s, &pem, &err), &err);
	assert_code(trust_state_join(b, pem, &err), VMC_EEXIST, &err);
	assert_code(trust_state_join(b, "x", &err), VMC_EINVAL, &err);
	free(pem);
	free(jws);
	trust_state_close(b);
	test_rmdir(dir);
}

static void test_roles(void **state)
{
	json_t *s = full(), *a = json_array_get(json_object_get(s, "authorities"), 0);
	json_t *p = json_array_get(json_object_get(s, "principals"), 0);
	char fp[CERT_FINGERPRINT];
	STACK_OF(X509) *chain;
	enum trust_role r;

	(void)state;
	assert_int_equal(trust_state_role(s, json_string_value(json_object_get(p, "fingerprint")), &r), 0);
	assert_int_equal(r, TRUST_ROLE_AUDITOR);
	json_object_set_new(p, "role", json_string("trust-admin"));
	assert_int_equal(trust_state_role(s, json_string_value(json_object_get(p, "fingerprint")), &r), 0);
	assert_int_equal(r, TRUST_ROLE_ADMIN);
	assert_ok(cert_chain_from_pem(json_string_value(json_object_get(a, "kmx_cert")), "certificate", &chain, &err), &err);
	cert_fingerprint(sk_X509_value(chain, 0), fp);
	cert_chain_free(chain);
	assert_int_equal(trust_state_role(s, fp, &r), 0);
	assert_int_equal(r, TRUST_ROLE_AUDITOR);
	fp[0] = fp[0] == '0' ? '1' : '0';
	assert_int_equal(trust_state_role(s, fp, &r), 0);
	assert_int_equal(r, TRUST_ROLE_NONE);
	assert_int_equal(trust_state_role(NULL, fp, &r), 0);
	assert_int_equal(r, TRUST_ROLE_NONE);
	json_decref(s);
}

#ifdef VMC_CRASHPOINTS
/* How many crash points this process has passed: a child goes on counting there. */
static int points_passed(const char *dir)
{
	const char *path = test_path(dir, "points");
	char *data;
	int n;

	setenv("VMCRYPT_CRASH_LOG", path, 1);
	fs_crashpoint("state_test");
	unsetenv("VMCRYPT_CRASH_LOG");
	assert_ok(fs_read(path, 4096, &data, NULL, &err), &err);
	n = atoi(data);
	free(data);
	unlink(path);
	return n;
}

/* init, then a change; a step that was done before the crash is not done again. */
static void scenario(const char *dir)
{
	struct trust_state *s;
	int lease = 60;
	json_t *j;

	assert_ok(trust_state_open(&s, dir, &err), &err);
	j = trust_state_json(s);
	if (!j)
		assert_ok(trust_state_init(s, "blue", &err), &err);
	json_decref(j);
	assert_ok(trust_state_edit(s, set_lease, &lease, &err), &err);
	trust_state_close(s);
}

/* Whatever the crash left opens, or is no state yet, and goes on. */
static void test_crash_points(void **state)
{
	int status = 0, n = 0;

	(void)state;
	do {
		char *dir = test_mkdir(), at[16];
		struct trust_state *s;
		pid_t pid;

		snprintf(at, sizeof(at), "%d", points_passed(dir) + ++n);
		pid = fork();
		if (!pid) {
			setenv("VMCRYPT_CRASH_AT", at, 1);
			scenario(dir);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		scenario(dir);
		assert_ok(trust_state_open(&s, dir, &err), &err);
		assert_int_equal(lease_of(s), 60);
		assert_in_range(serial_of(s), 2, 3);
		trust_state_close(s);
		test_rmdir(dir);
	} while (WIFSIGNALED(status) && n < 1000);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_in_range(n, 12, 100);
	print_message("# %d crash points\n", n - 1);
}
#endif

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_state_passes),
		cmocka_unit_test(test_bad_states_refused),
		cmocka_unit_test(test_names_twice_refused),
		cmocka_unit_test(test_too_large_refused),
		cmocka_unit_test(test_signatures),
		TEST(test_edit_and_reopen),
		TEST(test_altered_file_refused),
		TEST(test_push_and_rollback),
		TEST(test_change_while_reading_is_seen),
		TEST(test_fork_refused),
		TEST(test_other_cluster_refused),
		cmocka_unit_test(test_roles),
#ifdef VMC_CRASHPOINTS
		cmocka_unit_test(test_crash_points),
#endif
	};

	return secmem_init(1u << 20, NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
