// SPDX-License-Identifier: GPL-2.0-or-later
/* The registry of providers and its trust verbs: files, names, half-made things, crashes. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "../../testing/testing.h"
#include "../cert.h"
#include "conf.h"
#include "mock_fixture.h"
#include "mock_pki.h"

static struct fixture f;
static struct vmc_error err;

static int setup(void **state)
{
	(void)state;
	fixture_start(&f, 1);
	memset(&err, 0, sizeof(err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&f);
	return 0;
}

static int add(const char *name, const char *options)
{
	json_t *o = json_loads(options, 0, NULL);
	int rc;

	assert_non_null(o);
	rc = providers_add_kmip(f.ps, name, o, &err);
	json_decref(o);
	return rc;
}

/* Add "kms" of the one server, with nothing else. */
static void add_bare(void)
{
	char options[128];

	snprintf(options, sizeof(options), "{\"servers\": [\"127.0.0.1:%d\"]}", f.port[0]);
	assert_ok(add("kms", options), &err);
}

static int trust(const char *verb, json_t *args, json_t **out)
{
	json_t *result = NULL;
	int rc = providers_trust(f.ps, "kms", verb, args, &result, &err);

	json_decref(args);
	if (out)
		*out = result;
	else
		json_decref(result);
	return rc;
}

static char *read_text(const char *path)
{
	size_t len;
	char *data;

	assert_ok(fs_read(path, 1 << 20, &data, &len, &err), &err);
	return data;
}

static char *pki(const char *name)
{
	return read_text(test_path(f.pki, name));
}

static const char *file(const char *name)
{
	char rel[256];

	snprintf(rel, sizeof(rel), "providers/kms/%s", name);
	return test_path(f.dir, rel);
}

/* One member of the description of "kms". */
static char *describe(const char *member)
{
	json_t *list, *o;
	char *s = NULL;
	size_t i;

	assert_ok(providers_list(f.ps, &list, &err), &err);
	json_array_foreach(list, i, o)
		if (!strcmp(json_string_value(json_object_get(o, "name")), "kms"))
			s = json_dumps(json_object_get(o, member), JSON_ENCODE_ANY);
	json_decref(list);
	assert_non_null(s);
	return s;
}

static void expect(const char *member, const char *part)
{
	char *s = describe(member);

	assert_contains(s, part);
	free(s);
}

static int usable(void)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct provider *p;
	int rc = providers_get(f.ps, "kms", &p, &err);

	if (rc)
		return rc;
	rc = p->ops->create(p, NULL, id, &err);
	provider_put(p);
	return rc;
}

/* ---- names, options, default ---------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", "default", ".new-x", "..", "a/b", "-x", "a b", "a\n",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(add(bad[i], "{\"servers\": [\"h\"]}"), VMC_EINVAL, &err);
	assert_ok(add("kms", "{\"servers\": [\"h\"]}"), &err);
	assert_code(add("kms", "{\"servers\": [\"h\"]}"), VMC_EEXIST, &err);
}

static void test_options(void **state)
{
	static const char *const bad[] = {
		"[]", "{}", "{\"servers\": []}", "{\"servers\": \"h\"}", "{\"servers\": [1]}",
		"{\"servers\": [\"h:0\"]}", "{\"servers\": [\"h:65536\"]}", "{\"servers\": [\"h:x\"]}",
		"{\"servers\": [\"\"]}", "{\"servers\": [\"a b\"]}", "{\"servers\": [\"h\", \"H:5696\"]}",
		"{\"servers\": [\"h\\n[kmip]\"]}", "{\"servers\": [\"[::1\"]}",
		"{\"servers\": [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}",
		"{\"servers\": [\"h\"], \"tls_min\": \"1.1\"}", "{\"servers\": [\"h\"], \"protocol\": \"1.0\"}",
		"{\"servers\": [\"h\"], \"batch\": 0}", "{\"servers\": [\"h\"], \"batch\": 65}",
		"{\"servers\": [\"h\"], \"nonsense\": 1}", "{\"servers\": [\"h\"], \"username\": \"a\\nb\"}",
		"{\"servers\": [\"h\"], \"username\": \"a;b\"}", "{\"servers\": [\"h\"], \"installation\": \"x\"}",
		"{\"servers\": [\"h\"], \"protocol\": \"2.0\", \"operation_policy\": \"p\"}",
	};
	struct kmip_conf c, back;
	char *text;
	json_t *o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (add("kms", bad[i]) != VMC_EINVAL)
			fail_msg("accepted: %s", bad[i]);
	o = json_loads("{\"servers\": [\"kms1.example\", \"192.0.2.1:7\", \"[2001:db8::7]:8\", \"::1\"],"
		       "\"username\": \"joe\", \"tls_min\": \"1.3\", \"protocol\": \"1.2\", \"batch\": 5,"
		       "\"operation_policy\": \"pol\", \"server_name\": \"kms\", \"max_reply\": 65536,"
		       "\"connections\": 2, \"connect_timeout_ms\": 700, \"request_timeout_ms\": 800}", 0, NULL);
	assert_ok(kmip_conf_from_json(&c, o, &f.cfg, &err), &err);
	json_decref(o);
	snprintf(c.installation, sizeof(c.installation), "here");
	/* what is written is read again as it was */
	text = kmip_conf_text(&c, &f.cfg);
	test_write_text(test_path(f.dir, "conf"), text);
	free(text);
	assert_ok(kmip_conf_load(&back, test_path(f.dir, "conf"), &f.cfg, &err), &err);
	assert_memory_equal(&c, &back, sizeof(c));
	assert_string_equal(c.servers[2].host, "2001:db8::7");
	assert_int_equal(c.servers[2].port, 8);
	assert_int_equal(c.servers[3].port, KMIP_PORT);
}

static void test_default(void **state)
{
	struct provider *p;

	(void)state;
	assert_code(providers_get(f.ps, NULL, &p, &err), VMC_ENOENT, &err);
	assert_true(err.hint[0] != '\0');
	fixture_provider(&f, NULL);
	assert_ok(add("other", "{\"servers\": [\"h\"]}"), &err);
	assert_ok(providers_get(f.ps, NULL, &p, &err), &err);	/* the first one became it */
	assert_string_equal(p->name, "kms");
	provider_put(p);
	expect("default", "true");
	assert_ok(providers_set_default(f.ps, "other", &err), &err);
	expect("default", "false");
	assert_code(providers_set_default(f.ps, "third", &err), VMC_ENOENT, &err);
	assert_contains(err.text, "kms, other");
	assert_ok(providers_remove(f.ps, "other", &err), &err);
	assert_code(providers_get(f.ps, NULL, &p, &err), VMC_ENOENT, &err);
	assert_code(providers_remove(f.ps, "other", &err), VMC_ENOENT, &err);
}

/* An object in use outlives its provider, and a change of files makes a new one. */
static void test_references(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct provider *a, *b;

	(void)state;
	fixture_provider(&f, NULL);
	a = fixture_get(&f);
	b = fixture_get(&f);
	assert_ptr_equal(a, b);
	provider_put(b);
	fixture_file(&f, "ca.pem", "ca.pem");
	b = fixture_get(&f);
	assert_ptr_not_equal(a, b);
	provider_put(b);
	assert_ok(providers_remove(f.ps, "kms", &err), &err);
	assert_ok(a->ops->create(a, "last", id, &err), &err);
	provider_put(a);
}

/* ---- trust -------------------------------------------------------------------------------- */

/* Sign a request with the test CA. */
static char *sign(const char *csr_pem)
{
	BIO *in = BIO_new_mem_buf(csr_pem, -1), *out = BIO_new(BIO_s_mem());
	X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	STACK_OF(X509_EXTENSION) *ext = req ? X509_REQ_get_extensions(req) : NULL;
	FILE *kf = fopen(test_path(f.pki, "ca.key"), "r"), *cf = fopen(test_path(f.pki, "ca.pem"), "r");
	EVP_PKEY *key = PEM_read_PrivateKey(kf, NULL, NULL, NULL);
	X509 *ca = PEM_read_X509(cf, NULL, NULL, NULL), *x = X509_new();
	char *data, *pem;
	long n;

	assert_true(req && key && ca && ext && X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 77);
	X509_set_subject_name(x, X509_REQ_get_subject_name(req));
	X509_set_issuer_name(x, X509_get_subject_name(ca));
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400 * 30);
	X509_set_pubkey(x, X509_REQ_get0_pubkey(req));
	for (int i = 0; i < sk_X509_EXTENSION_num(ext); i++)
		X509_add_ext(x, sk_X509_EXTENSION_value(ext, i), -1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0 && PEM_write_bio_X509(out, x));
	n = BIO_get_mem_data(out, &data);
	pem = strndup(data, n);
	sk_X509_EXTENSION_pop_free(ext, X509_EXTENSION_free);
	X509_REQ_free(req);
	X509_free(ca);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	fclose(kf);
	fclose(cf);
	return pem;
}

static char *request(const char *cn)
{
	json_t *r;
	char *pem;

	assert_ok(trust("csr", cn ? json_pack("{s:s}", "cn", cn) : json_object(), &r), &err);
	pem = strdup(json_string_value(json_object_get(r, "pem")));
	json_decref(r);
	return pem;
}

static void pin_ca(void)
{
	char *ca = pki("ca.pem");

	assert_ok(trust("pin", json_pack("{s:s}", "ca_pem", ca), NULL), &err);
	free(ca);
}

/* From nothing to a working provider, the way an administrator goes; each step says the next. */
static void test_half_made(void **state)
{
	char *csr, *pem;
	struct stat st;

	(void)state;
	add_bare();
	expect("state", "trust kms csr");
	assert_code(usable(), VMC_ETRUST, &err);
	assert_contains(err.hint, "csr");
	csr = request("host-1");
	assert_int_equal(stat(file("client.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	expect("state", "needs a signed client certificate");
	expect("client_cert", "null");
	assert_code(usable(), VMC_ETRUST, &err);
	pem = sign(csr);
	assert_ok(trust("upload", json_pack("{s:s}", "pem", pem), NULL), &err);
	expect("state", "trust kms show");
	expect("client_cert", "CN=host-1");
	assert_code(usable(), VMC_ETRUST, &err);
	pin_ca();
	expect("state", "ready");
	assert_ok(usable(), &err);
	free(csr);
	free(pem);
}

/* Renewal: the old pair works until the new certificate is there, however often the request is made. */
static void test_renewal(void **state)
{
	char *csr, *again, *pem, *old;

	(void)state;
	fixture_provider(&f, NULL);
	assert_ok(usable(), &err);
	old = read_text(file("client.key"));
	csr = request("host-2");
	again = request("host-2");
	assert_ok(usable(), &err);
	expect("client_cert", "CN=host-a");
	free(again);
	again = read_text(file("client.key"));
	assert_string_equal(old, again);
	pem = sign(csr);
	assert_ok(trust("upload", json_pack("{s:s}", "pem", pem), NULL), &err);
	expect("client_cert", "CN=host-2");
	assert_ok(usable(), &err);
	free(again);
	again = read_text(file("client.key"));
	assert_string_not_equal(old, again);
	free(old);
	free(again);
	free(csr);
	free(pem);
}

static void refuse_upload(const char *cert, int code, const char *text)
{
	char *pem = pki(cert);

	assert_code(trust("upload", json_pack("{s:s}", "pem", pem), NULL), code, &err);
	assert_contains(err.text, text);
	free(pem);
}

static void test_wrong_certificates(void **state)
{
	char *cert, *key;

	(void)state;
	fixture_provider(&f, NULL);
	refuse_upload("foreign.pem", VMC_ETRUST, "not made for a private key");
	refuse_upload("server.pem", VMC_EINVAL, "not for TLS clients");
	refuse_upload("client-expired.pem", VMC_EINVAL, "has expired");
	refuse_upload("client.key", VMC_EINVAL, "not a certificate");
	assert_code(trust("upload", json_object(), NULL), VMC_EINVAL, &err);
	cert = pki("client.pem");
	key = pki("foreign.key");
	assert_code(trust("import", json_pack("{s:s, s:s}", "pem", cert, "key_pem", key), NULL),
		    VMC_ETRUST, &err);
	assert_code(trust("import", json_pack("{s:s, s:s}", "pem", cert, "key_pem", "nonsense"), NULL),
		    VMC_EINVAL, &err);
	assert_code(trust("bless", json_object(), NULL), VMC_EINVAL, &err);
	free(cert);
	free(key);
	assert_ok(usable(), &err);	/* nothing was changed by all that */
}

static void test_import_and_self_signed(void **state)
{
	char *cert, *key;
	json_t *r;

	(void)state;
	add_bare();
	pin_ca();
	cert = pki("client.pem");
	key = pki("client.key");
	assert_ok(trust("import", json_pack("{s:s, s:s}", "pem", cert, "key_pem", key), NULL), &err);
	assert_ok(usable(), &err);
	assert_ok(trust("self-signed", json_pack("{s:s, s:i}", "cn", "host-s", "days", 40), &r), &err);
	assert_contains(json_string_value(json_object_get(r, "pem")), "BEGIN CERTIFICATE");
	json_decref(r);
	expect("client_cert", "CN=host-s");
	assert_code(usable(), VMC_ETRUST, &err);	/* the server does not know it */
	assert_code(trust("self-signed", json_pack("{s:i}", "days", 0), NULL), VMC_EINVAL, &err);
	assert_code(trust("self-signed", json_pack("{s:s}", "cn", ""), NULL), VMC_EINVAL, &err);
	free(cert);
	free(key);
}

static void test_key_file_must_be_private(void **state)
{
	(void)state;
	fixture_provider(&f, NULL);
	assert_int_equal(chmod(file("client.key"), 0644), 0);
	assert_code(usable(), VMC_EPERM, &err);
	assert_contains(err.text, "0644");
	assert_contains(err.text, "0600 is wanted");
	assert_contains(err.hint, "chmod 0600");
	assert_int_equal(chmod(file("client.key"), 0600), 0);
	assert_ok(usable(), &err);
	assert_int_equal(unlink(file("client.key")), 0);
	assert_int_equal(symlink(test_path(f.pki, "client.key"), file("client.key")), 0);
	assert_int_not_equal(usable(), 0);
	assert_int_equal(unlink(file("client.key")), 0);
	fixture_file(&f, "client.key", "foreign.key");
	assert_code(usable(), VMC_ETRUST, &err);
	assert_contains(err.text, "not made for the private key");
}

static void test_show_and_pin(void **state)
{
	json_t *r, *s, *c;
	char *fp;

	(void)state;
	fixture_provider(&f, NULL);
	assert_ok(trust("show", json_object(), &r), &err);
	s = json_array_get(json_object_get(r, "servers"), 0);
	assert_true(json_is_true(json_object_get(s, "trusted")));
	c = json_array_get(json_object_get(s, "chain"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "subject")), "CN=localhost");
	fp = strdup(json_string_value(json_object_get(c, "sha256")));
	json_decref(r);
	assert_int_equal(unlink(file("ca.pem")), 0);
	assert_ok(trust("show", json_object(), &r), &err);
	s = json_array_get(json_object_get(r, "servers"), 0);
	assert_false(json_is_true(json_object_get(s, "trusted")));
	assert_contains(json_string_value(json_object_get(s, "verdict")), fp);
	json_decref(r);
	assert_code(trust("pin", json_pack("{s:s}", "fingerprint", "abc"), NULL), VMC_EINVAL, &err);
	assert_code(trust("pin", json_object(), NULL), VMC_EINVAL, &err);
	assert_code(trust("pin", json_pack("{s:s}", "ca_pem", "abc"), NULL), VMC_EINVAL, &err);
	assert_ok(trust("pin", json_pack("{s:s}", "fingerprint", fp), NULL), &err);
	assert_ok(trust("pin", json_pack("{s:s}", "fingerprint", fp), NULL), &err);	/* twice is once */
	assert_ok(usable(), &err);
	fixture_kill(&f, 0);
	assert_ok(trust("show", json_object(), &r), &err);
	s = json_array_get(json_object_get(r, "servers"), 0);
	assert_non_null(json_object_get(s, "error"));
	json_decref(r);
	free(fp);
}

static void test_pin_texts(void **state)
{
	static const char hex[] = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";
	struct cert_pin pin;
	char colons[100], *at = colons;

	(void)state;
	assert_ok(cert_pin_parse(hex, &pin, &err), &err);
	assert_string_equal(pin.hex, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	for (int i = 0; i < 64; i += 2)
		at += sprintf(at, "%s%.2s", i ? ":" : "", hex + i);
	assert_ok(cert_pin_parse(colons, &pin, &err), &err);
	assert_false(pin.spki);
	assert_code(cert_pin_parse("spki:00", &pin, &err), VMC_EINVAL, &err);
	assert_code(cert_pin_parse("", &pin, &err), VMC_EINVAL, &err);
	snprintf(at, 3, "00");
	assert_code(cert_pin_parse(colons, &pin, &err), VMC_EINVAL, &err);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void test_broken_conf(void **state)
{
	(void)state;
	fixture_provider(&f, NULL);
	test_write_text(file("provider.conf"), "[kmip]\nserver1 = h\nnonsense = 1\n");
	assert_code(usable(), VMC_EINVAL, &err);
	assert_contains(err.text, "provider.conf:3");
	expect("state", "cannot be used");
	test_write_text(file("provider.conf"), "[provider]\nkind = other\n");
	assert_code(usable(), VMC_ENOTSUP, &err);
}

static void reopen(void)
{
	providers_close(f.ps);
	f.ps = NULL;
	assert_ok(providers_open(&f.ps, &f.cfg, &err), &err);
}

/* What a crash leaves between two steps is put right by the next start. */
static void test_leftovers(void **state)
{
	(void)state;
	fixture_provider(&f, NULL);
	/* the new key was in place, its certificate not yet */
	fixture_file(&f, "client.pem", "foreign.pem");
	fixture_file(&f, "client.pem.new", "client.pem");
	/* a provider half removed, another half added */
	assert_int_equal(mkdir(test_path(f.dir, "providers/.old-x"), 0700), 0);
	assert_int_equal(mkdir(test_path(f.dir, "providers/.new-y"), 0700), 0);
	test_write_text(test_path(f.dir, "providers/.new-y/provider.conf"), "[provider]\n");
	reopen();
	assert_ok(usable(), &err);
	assert_int_equal(access(test_path(f.dir, "providers/.old-x"), F_OK), -1);
	assert_int_equal(access(test_path(f.dir, "providers/.new-y"), F_OK), -1);
	/* the certificate was written, its key not yet in place: back to the old pair */
	fixture_file(&f, "client.pem.new", "foreign.pem");
	reopen();
	assert_ok(usable(), &err);
	assert_int_equal(access(file("client.pem.new"), F_OK), -1);
}

#ifdef VMC_CRASHPOINTS
/* In a process of its own: take a new pair, and die at crash point @n on the way. True when it died. */
static bool die_at(int n, const char *verb, const char *cert, const char *key)
{
	json_t *args = json_pack("{s:s, s:s}", "pem", cert, "key_pem", key), *r = NULL;
	pid_t pid = fork();
	char at[16];
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		snprintf(at, sizeof(at), "%d", n);
		setenv("VMCRYPT_CRASH_AT", at, 1);
		_exit(providers_trust(f.ps, "kms", verb, args, &r, NULL) ? 1 : 0);
	}
	json_decref(args);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Start anew, also in a process of its own, so that ours passes no crash points. */
static void check_pair(void)
{
	struct providers *ps;
	struct provider *p;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid)
		_exit(providers_open(&ps, &f.cfg, NULL) || providers_get(ps, "kms", &p, NULL) ||
		      !access(file("client.pem.new"), F_OK));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* kill -9 at every point of a renewal: after the next start there is a pair, and it fits. */
static void test_crashes(void **state)
{
	(void)state;
	char *cert, *key;
	int killed = 0, survived = 0;

	fixture_provider(&f, NULL);
	cert = pki("client.pem");
	key = pki("client.key");
	/* points are counted from the start of the process, so the first ones are past */
	for (int n = 1; n < 2000 && (!killed || survived < 20); n++) {
		if (die_at(n, n % 2 ? "import" : "self-signed", cert, key)) {
			killed++;
			survived = 0;
		} else {
			survived++;
		}
		check_pair();
	}
	free(cert);
	free(key);
	assert_true(killed >= 10);
}
#endif

static void test_split(void **state)
{
	uint16_t port = 1;
	char host[256];

	(void)state;
	assert_ok(net_split("kms", host, sizeof(host), &port, &err), &err);
	assert_int_equal(port, 1);
	assert_ok(net_split("[::1]", host, sizeof(host), &port, &err), &err);
	assert_string_equal(host, "::1");
	assert_ok(net_split("fe80::1%eth0", host, sizeof(host), &port, &err), &err);
	assert_code(net_split("[::1]x", host, sizeof(host), &port, &err), VMC_EINVAL, &err);
	assert_code(net_split("kms:", host, sizeof(host), &port, &err), VMC_EINVAL, &err);
	assert_code(net_split("kms:+5", host, sizeof(host), &port, &err), VMC_EINVAL, &err);
	assert_code(net_split(":5696", host, sizeof(host), &port, &err), VMC_EINVAL, &err);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_names), T(test_options), T(test_default), T(test_references), T(test_half_made),
		T(test_renewal), T(test_wrong_certificates), T(test_import_and_self_signed),
		T(test_key_file_must_be_private), T(test_show_and_pin), T(test_pin_texts),
		T(test_broken_conf), T(test_leftovers), T(test_split),
#ifdef VMC_CRASHPOINTS
		T(test_crashes),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
