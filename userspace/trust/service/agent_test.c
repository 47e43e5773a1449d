// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A trusted host as it is, with a software TPM, and the two services behind HTTPS:
 * from a services-info file to a key, and each way that the host may lose its trust.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keys/trusted/host_image.h"
#include "../../keys/trusted/trusted.h"
#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../testing/swtpm.h"
#include "../../testing/testing.h"
#include "../attest/attest_priv.h"
#include "../http/server.h"
#include "../kmx/service.h"
#include "../state/sign.h"

#define PCR 4	/* what the host's loader is measured into */

static struct world {
	char *dir;
	struct swtpm sw;
	struct vmc_config host, kmxd;
	struct attest_service *attest;
	struct kmx_service *kmx;
	struct http_identity id;
	struct http_server *attest_server, *kmx_server;
	json_t *state;
	struct providers *ps, *kms;
	struct provider *p;
} w;
static struct vmc_error err;

/* ---- the authority -------------------------------------------------------------- */

static char *pem_of(const char *dir)
{
	char *pem;
	size_t n;

	assert_ok(fs_read(test_path(dir, "host.pem"), 16384, &pem, &n, &err), &err);
	return pem;
}

/* As the authority would give it: with @also while its certificate becomes another. */
static json_t *services_info(void)
{
	const char *also = json_string_value(json_object_get(json_array_get(json_object_get(w.state, "authorities"), 0),
							     "attest_also"));
	char attest[64], kmx[64], *pem = pem_of(test_path(w.dir, "ta"));
	json_t *o;

	snprintf(attest, sizeof(attest), "127.0.0.1:%u", http_server_port(w.attest_server));
	snprintf(kmx, sizeof(kmx), "127.0.0.1:%u", http_server_port(w.kmx_server));
	o = json_pack("{s:i, s:s, s:O, s:[{s:s, s:s, s:s, s:s*, s:s, s:s, s:s*}], s:[{s:s, s:b}]}", "v", 1, "cluster", "lab",
		      "serial", json_object_get(w.state, "serial"), "authorities", "name", "ta1", "attest", attest,
		      "attest_cert", pem, "attest_also", also, "kmx", kmx, "kmx_cert", pem, "kmx_also", also, "key_providers",
		      "name", "kms", "default", 1);
	free(pem);
	return o;
}

static int handle_attest(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	static const struct {
		const char *path;
		int (*fn)(struct attest_service *s, const struct attest_call *c, json_t **result, struct attest_note *note,
			  struct refusal *r);
	} routes[] = {
		{ "/v1/enroll", attest_enroll }, { "/v1/enroll/confirm", attest_confirm },
		{ "/v1/attest/challenge", attest_challenge }, { "/v1/attest", attest_evidence },
	};
	const struct attest_call call = { .state = w.state, .body = c->body, .now = vmc_time() };
	struct attest_note note = { .quick_boot = false };

	(void)data;
	if (!strcmp(c->head->path, "/v1/services")) {
		*result = services_info();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (!strcmp(routes[i].path, c->head->path))
			return routes[i].fn(w.attest, &call, result, &note, r);
	*result = json_pack("{s:s}", "status", "ok");
	return 0;
}

static int handle_kmx(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	const struct kmx_call call = {
		.state = w.state, .body = c->body, .token = c->head->bearer, .now = vmc_time(),
	};
	struct kmx_note note = { .keys = 0 };

	(void)data;
	if (!strncmp(c->head->path, "/v1/keys/", 9))
		return kmx_keys(w.kmx, c->head->path + 9, &call, result, &note, r);
	*result = json_pack("{s:s}", "status", "ok");
	return 0;
}

static void add_ca(const char *file)
{
	char *pem;
	size_t n;

	assert_ok(fs_read(test_path(test_path(w.dir, "ca"), file), 16384, &pem, &n, &err), &err);
	json_array_append_new(json_object_get(json_object_get(w.state, "tpm2"), "ca_certificates"),
			      json_pack("{s:s, s:s}", "name", file, "pem", pem));
	free(pem);
}

static void make_state(void)
{
	char *pem;

	assert_ok(sign_public_pem(w.attest->token_key, &pem, &err), &err);
	w.state = json_pack("{s:i, s:s, s:i, s:i, s:[{s:s, s:s}], s:{s:b, s:[], s:[]}, s:{s:[i], s:b, s:i, s:i}, s:[], s:[{s:s, s:s, s:b}], s:[]}",
			    "v", 1, "cluster", "lab", "serial", 1, "changed", 0, "authorities", "name", "ta1", "token_key",
			    pem, "tpm2", "require_ek_certificate", 1, "ca_certificates", "eks", "policy", "pcrs", PCR,
			    "secure_boot", 0, "token_lifetime", 300, "lease", 600, "images", "key_providers", "name", "kms",
			    "kind", "kmip", "default", 1, "principals");
	free(pem);
	add_ca("issuercert.pem");
	add_ca("swtpm-localca-rootca-cert.pem");
}

/* A provider that needs no key server, in place of the authority's. */
static void make_kms(void)
{
	json_t *o = json_pack("{s:b}", "insecure_no_tpm", 1);
	const char *file = test_path(w.dir, "backup");
	int fd = open(file, O_RDWR | O_CREAT | O_EXCL, 0600);

	snprintf(w.kmxd.config_dir, sizeof(w.kmxd.config_dir), "%s/kmxd", w.dir);
	assert_ok(providers_open(&w.kms, &w.kmxd, &err), &err);
	assert_ok(providers_add_native(w.kms, "kms", o, &err), &err);
	assert_ok(providers_export(w.kms, "kms", "correct horse battery", fd, &err), &err);
	close(fd);
	json_decref(o);
}

/* ---- the host -------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		*at++ = (uint8_t)(v >> (8 * i));
	return at;
}

/* A log in the crypto-agile form, with what swtpm_extend() does to PCR in it. */
static void make_log(void)
{
	static const uint8_t spec[] = "Spec ID Event03";
	uint8_t log[512], *at = log;

	at = put(at, 0, 4);			/* PCR 0 */
	at = put(at, 3, 4);			/* EV_NO_ACTION */
	memset(at, 0, 20);
	at = put(at + 20, 16 + 4 + 4 + 4 + 4 + 1, 4);
	memcpy(at, spec, 16);
	at = put(at + 16, 0, 4);		/* platform class */
	at = put(at, 0x02000200, 4);		/* version 2.0, 64-bit */
	at = put(at, 1, 4);			/* one bank */
	at = put(at, TPM2_ALG_SHA256, 2);
	at = put(at, 32, 2);
	at = put(at, 0, 1);			/* no vendor's words */
	at = put(at, PCR, 4);
	at = put(at, 0xd, 4);			/* EV_IPL */
	at = put(at, 1, 4);
	at = put(at, TPM2_ALG_SHA256, 2);
	memset(at, 0, 32);
	at[0] = 1;
	at = put(at + 32, 7, 4);
	memcpy(at, "loader1", 7);
	test_write(test_path(w.dir, "log"), log, (size_t)(at + 7 - log));
	setenv("VMCRYPT_EVENT_LOG", test_path(w.dir, "log"), 1);
}

/* @loader: 176 is QEMU's own, 208 kexec's. */
static void make_proc(const char *loader)
{
	const char *dir = test_path(w.dir, "proc");
	char path[512];

	snprintf(path, sizeof(path), "%s/sys/kernel/random", dir);
	assert_ok(fs_mkdirs(path, 0700, &err), &err);
	snprintf(path, sizeof(path), "%s/sys/kernel/bootloader_type", dir);
	test_write_text(path, loader);
	snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", dir);
	test_write_text(path, "6f0bd1c5-8b0d-4b64-9d3c-0d3f6d1b0c11\n");
	setenv("VMCRYPT_PROC_DIR", dir, 1);
}

static void make_host(void)
{
	swtpm_manufacture(w.dir, "maker");
	swtpm_start(&w.sw, w.dir, "maker");
	swtpm_extend(&w.sw, PCR);
	make_log();
	make_proc("176\n");
	snprintf(w.host.config_dir, sizeof(w.host.config_dir), "%s/host", w.dir);
	snprintf(w.host.state_dir, sizeof(w.host.state_dir), "%s/host.state", w.dir);
	snprintf(w.host.tpm_tcti, sizeof(w.host.tpm_tcti), "%s", w.sw.tcti);
	w.host.connect_timeout_ms = w.host.request_timeout_ms = 10000;
	assert_ok(providers_open(&w.ps, &w.host, &err), &err);
}

static void add_provider(void)
{
	json_t *o = services_info(), *options;
	char *info = json_dumps(o, JSON_COMPACT);

	options = json_pack("{s:s}", "services_info", info);
	assert_ok(providers_add_trusted(w.ps, "ta", options, &err), &err);
	assert_ok(providers_get(w.ps, "ta", &w.p, &err), &err);
	json_decref(options);
	json_decref(o);
	free(info);
}

static int group_setup(void **state)
{
	(void)state;
	assert_ok(secmem_init(1 << 20, &err), &err);
	w.dir = test_mkdir();
	assert_ok(attest_open(&w.attest, test_path(w.dir, "attestd"), "ta1", &err), &err);
	make_host();
	make_state();
	make_kms();
	assert_ok(kmx_open(&w.kmx, &w.kmxd, &err), &err);
	assert_ok(http_identity_open(test_path(w.dir, "ta"), "ta1", &w.id, &err), &err);
	assert_ok(http_server_start("127.0.0.1", 0, &w.id, handle_attest, NULL, &w.attest_server, &err), &err);
	assert_ok(http_server_start("127.0.0.1", 0, &w.id, handle_kmx, NULL, &w.kmx_server, &err), &err);
	add_provider();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	provider_put(w.p);
	providers_close(w.ps);
	http_server_stop(w.attest_server);
	http_server_stop(w.kmx_server);
	http_identity_close(&w.id);
	kmx_close(w.kmx);
	attest_close(w.attest);
	providers_close(w.kms);
	json_decref(w.state);
	swtpm_stop(&w.sw, 1);
	test_rmdir(w.dir);
	return 0;
}

/* ---- the tests: each goes on where the one before ended --------------------------- */

static const char *reason(void)
{
	static char text[64];
	json_t *o;

	assert_ok(trusted_status(w.p, &o, &err), &err);
	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(o, "reason")) ?: "");
	json_decref(o);
	return text;
}

static int attest_again(enum agent_how how)
{
	err = (struct vmc_error)VMC_ERROR_INIT;
	return trusted_attest(w.p, how, &err);
}

static void import_image(void)
{
	json_t *image;

	assert_ok(host_image(&w.host, "0.1.0", &image, &err), &err);
	assert_false(json_is_true(json_object_get(image, "quick_boot")));
	json_array_append_new(json_object_get(w.state, "images"), image);
}

static void test_unknown_image(void **state)
{
	(void)state;
	assert_code(attest_again(AGENT_NOW), VMC_ENOTATTESTED, &err);
	assert_string_equal(reason(), REASON_POLICY_MISMATCH);
	assert_contains(err.text, "(correlation ");
}

static void test_key(void **state)
{
	struct provider_key k = { .code = 0 }, direct = { .code = 0 };
	struct provider *kms;

	(void)state;
	import_image();
	assert_ok(w.p->ops->create(w.p, "vm web", k.id, &err), &err);
	assert_ok(w.p->ops->get(w.p, &k, 1, &err), &err);
	assert_int_equal(k.state, PKS_ACTIVE);
	assert_int_equal(k.lease, 600);
	memcpy(direct.id, k.id, sizeof(k.id));
	assert_ok(providers_get(w.kms, "kms", &kms, &err), &err);
	assert_ok(kms->ops->get(kms, &direct, 1, &err), &err);
	assert_memory_equal(direct.material, k.material, PROVIDER_KEY_LEN);
	provider_keys_clear(&direct, 1);
	provider_keys_clear(&k, 1);
	snprintf(k.id, sizeof(k.id), "11111111-2222-3333-4444-555555555555");
	assert_int_not_equal(w.p->ops->get(w.p, &k, 1, &err), 0);
	assert_null(k.material);
	provider_put(kms);
}

static void test_quick_boot(void **state)
{
	char path[512];
	json_t *o;

	(void)state;
	make_proc("208\n");
	/* it was attested before the kexec, and has the receipt */
	assert_ok(attest_again(AGENT_NOW), &err);
	assert_ok(trusted_status(w.p, &o, &err), &err);
	assert_true(json_is_true(json_object_get(o, "quick_boot")));
	json_decref(o);
	assert_ok(host_image(&w.host, NULL, &o, &err), &err);
	assert_true(json_is_true(json_object_get(o, "quick_boot")));
	json_decref(o);
	/* one that was added later has none */
	provider_put(w.p);
	providers_close(w.ps);
	snprintf(path, sizeof(path), "%s/trust/ta/boot.receipt", w.host.state_dir);
	assert_int_equal(unlink(path), 0);
	assert_ok(providers_open(&w.ps, &w.host, &err), &err);
	assert_ok(providers_get(w.ps, "ta", &w.p, &err), &err);
	assert_code(attest_again(AGENT_NOW), VMC_ENOTATTESTED, &err);
	assert_string_equal(reason(), REASON_QUICK_BOOT);
	assert_true(err.hint[0]);
	/* a full boot cures that */
	swtpm_reboot(&w.sw);
	swtpm_extend(&w.sw, PCR);
	make_proc("176\n");
	assert_ok(attest_again(AGENT_NOW), &err);
}

/* A new certificate is announced and then shown; the host hears of it from the authority, and goes on. */
static void test_another_certificate(void **state)
{
	struct http_identity next;
	char path[512], *pem, *conf;
	json_t *old = w.state;

	(void)state;
	assert_ok(http_identity_next(test_path(w.dir, "ta"), "ta1", &next, &err), &err);
	assert_ok(http_identity_pem(&next, &pem, &err), &err);
	w.state = json_deep_copy(old);
	json_decref(old);
	json_object_set_new(json_array_get(json_object_get(w.state, "authorities"), 0), "attest_also", json_string(pem));
	json_object_set_new(w.state, "serial", json_integer(2));
	assert_ok(attest_again(AGENT_NOW), &err);
	snprintf(path, sizeof(path), "%s/providers/ta/provider.conf", w.host.config_dir);
	assert_ok(fs_read(path, 65536, &conf, NULL, &err), &err);
	assert_contains(conf, "\nattest_also = ");
	assert_contains(conf, "\nkmx_also = ");
	assert_contains(conf, next.fingerprint);
	assert_contains(conf, "serial = 2\n");
	free(conf);
	/* both are shown by nobody but the new one */
	assert_ok(http_server_identity(w.attest_server, &next, &err), &err);
	assert_ok(http_server_identity(w.kmx_server, &next, &err), &err);
	assert_code(attest_again(AGENT_NOW), VMC_ETRUST, &err);
	provider_put(w.p);
	assert_ok(providers_get(w.ps, "ta", &w.p, &err), &err);
	assert_ok(attest_again(AGENT_NOW), &err);
	free(pem);
	http_identity_close(&next);
}

static void test_altered_log(void **state)
{
	(void)state;
	swtpm_extend(&w.sw, PCR);	/* something ran that the log does not tell of */
	assert_code(attest_again(AGENT_NOW), VMC_ENOTATTESTED, &err);
	assert_string_equal(reason(), REASON_EVIDENCE_INVALID);
	swtpm_reboot(&w.sw);
	swtpm_extend(&w.sw, PCR);
	assert_ok(attest_again(AGENT_NOW), &err);
}

static void test_strange_maker(void **state)
{
	json_t *old = w.state;

	(void)state;
	/* a state that services have does not change */
	w.state = json_deep_copy(old);
	json_decref(old);
	json_array_clear(json_object_get(json_object_get(w.state, "tpm2"), "ca_certificates"));
	json_object_set_new(w.state, "serial", json_integer(3));
	assert_code(attest_again(AGENT_ENROL), VMC_ENOTATTESTED, &err);
	assert_string_equal(reason(), REASON_EK_UNTRUSTED);
}

static void test_nobody_there(void **state)
{
	(void)state;
	http_server_stop(w.attest_server);
	w.attest_server = NULL;
	assert_code(attest_again(AGENT_NOW), VMC_EUNREACH, &err);
	assert_string_equal(reason(), REASON_UNAVAILABLE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_image), cmocka_unit_test(test_key), cmocka_unit_test(test_quick_boot),
		cmocka_unit_test(test_another_certificate),
		cmocka_unit_test(test_altered_log), cmocka_unit_test(test_strange_maker),
		cmocka_unit_test(test_nobody_there),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
