// SPDX-License-Identifier: GPL-2.0-or-later
/* Native providers: derivation, states, keys that stay refused, backups, other hosts, crashes. */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/secmem.h"
#include "../../testing/testing.h"
#include "backup.h"
#include "keylist.h"
#include "mock_seal.h"
#include "native.h"

#define PASSWORD "correct horse battery"

/* Two hosts: each its own folder. */
static struct host {
	char *dir;
	struct vmc_config cfg;
	struct providers *ps;
} a, b;
static struct vmc_error err;

static void host_start(struct host *h)
{
	h->dir = test_mkdir();
	memset(&h->cfg, 0, sizeof(h->cfg));
	snprintf(h->cfg.config_dir, sizeof(h->cfg.config_dir), "%s", h->dir);
	snprintf(h->cfg.tls_min, sizeof(h->cfg.tls_min), "1.2");
	h->cfg.connect_timeout_ms = h->cfg.request_timeout_ms = 1000;
	assert_ok(providers_open(&h->ps, &h->cfg, &err), &err);
}

static void host_stop(struct host *h)
{
	providers_close(h->ps);
	test_rmdir(h->dir);
}

static void host_restart(struct host *h)
{
	providers_close(h->ps);
	assert_ok(providers_open(&h->ps, &h->cfg, &err), &err);
}

static int setup(void **state)
{
	(void)state;
	memset(&err, 0, sizeof(err));
	assert_ok(secmem_init(1 << 20, &err), &err);
	mock_seal_use();
	host_start(&a);
	host_start(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	host_stop(&a);
	host_stop(&b);
	return 0;
}

static const char *file(const struct host *h, const char *name)
{
	char rel[128];

	snprintf(rel, sizeof(rel), "providers/nkp/%s", name);
	return test_path(h->dir, rel);
}

static int add(struct host *h, bool insecure)
{
	json_t *o = json_pack("{s:b}", "insecure_no_tpm", insecure);
	int rc = providers_add_native(h->ps, "nkp", o, &err);

	json_decref(o);
	return rc;
}

static int export(struct host *h, const char *password, const char *out)
{
	const char *path = test_path(h->dir, out);
	int rc, fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	rc = providers_export(h->ps, "nkp", password, fd, &err);
	close(fd);
	return rc;
}

/* The file @in of @from on @h; @options as JSON or NULL. */
static int import(struct host *h, const struct host *from, const char *in, const char *password,
		  const char *options)
{
	json_t *o = json_loads(options ? options : "{}", 0, NULL), *result = NULL;
	char *data;
	size_t len;
	int rc;

	assert_non_null(o);
	assert_ok(fs_read(test_path(from->dir, in), 65536, &data, &len, &err), &err);
	rc = providers_import(h->ps, data, len, password, o, &result, &err);
	assert_int_equal(!result, !!rc);
	if (result)
		assert_string_equal(json_string_value(json_object_get(result, "name")), "nkp");
	json_decref(result);
	json_decref(o);
	free(data);
	return rc;
}

static struct provider *use(struct host *h)
{
	struct provider *p = NULL;

	assert_ok(providers_get(h->ps, "nkp", &p, &err), &err);
	return p;
}

static int create(struct host *h, char id[PROVIDER_KEY_ID_MAX + 1])
{
	struct provider *p = use(h);
	int rc = p->ops->create(p, "vm\n1", id, &err);

	provider_put(p);
	return rc;
}

/* The key's bytes as hexadecimal digits. */
static int get(struct host *h, const char *id, char hex[2 * PROVIDER_KEY_LEN + 1])
{
	struct provider_key k = { .code = 0 };
	struct provider *p = use(h);
	int rc;

	snprintf(k.id, sizeof(k.id), "%s", id);
	rc = p->ops->get(p, &k, 1, &err);
	assert_int_equal(rc, k.code);
	assert_int_equal(!k.material, !!rc);
	if (k.material) {
		assert_true(secmem_is_secure(k.material));
		vmc_hex_encode(k.material, PROVIDER_KEY_LEN, hex);
	}
	provider_keys_clear(&k, 1);
	provider_put(p);
	return rc;
}

static enum provider_key_state state_of(struct host *h, const char *id)
{
	struct provider_key k = { .code = 0 };
	struct provider *p = use(h);
	enum provider_key_state s;

	snprintf(k.id, sizeof(k.id), "%s", id);
	assert_ok(p->ops->state(p, &k, 1, &err), &err);
	assert_null(k.material);
	s = k.state;
	provider_put(p);
	return s;
}

static json_t *described(struct host *h)
{
	json_t *list, *o;

	assert_ok(providers_list(h->ps, &list, &err), &err);
	assert_int_equal(json_array_size(list), 1);
	o = json_incref(json_array_get(list, 0));
	json_decref(list);
	return o;
}

static void expect_state(struct host *h, const char *state, size_t n_warnings)
{
	json_t *o = described(h);

	assert_string_equal(json_string_value(json_object_get(o, "kind")), "native");
	assert_string_equal(json_string_value(json_object_get(o, "state")), state);
	assert_int_equal(json_array_size(json_object_get(o, "warnings")), n_warnings);
	json_decref(o);
}

/* One that may be used, with its backup "nkp.p12". */
static void add_active(struct host *h)
{
	assert_ok(add(h, false), &err);
	assert_ok(export(h, PASSWORD, "nkp.p12"), &err);
}

static bool holds(const char *path, const void *what, size_t len)
{
	char *data;
	size_t n;
	bool found;

	assert_ok(fs_read(path, 1 << 20, &data, &n, &err), &err);
	found = memmem(data, n, what, len);
	free(data);
	return found;
}

/* ---- derivation ----------------------------------------------------------------- */

/* Computed by another implementation of RFC 5869. */
static void test_vector(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef-3c521019c0550659";
	char hex[65], foreign[sizeof(id)];
	uint8_t key[KDK_LEN], kek[32];
	vmc_uuid uuid;
	struct kdk k;

	(void)state;
	for (int i = 0; i < KDK_LEN; i++)
		key[i] = (uint8_t)i;
	assert_int_equal(vmc_uuid_parse("00112233-4455-6677-8899-aabbccddeeff", &uuid), 0);
	assert_ok(kdk_set(&k, &uuid, key, &err), &err);
	assert_ok(kdk_own_id(&k, id, &err), &err);
	assert_ok(kdk_derive(&k, id, kek, &err), &err);
	vmc_hex_encode(kek, sizeof(kek), hex);
	assert_string_equal(hex, "9ae51c172b16bc346f9c4025409a4e9635c2c8b2d3a9654e46c5c4dc7754b4ee");
	assert_ok(kdk_check(&k, kek, &err), &err);
	vmc_hex_encode(kek, KDK_CHECK_LEN, hex);
	assert_string_equal(hex, "74b371a7d11b7265f237ecf1c4073e52");
	/* every character counts */
	for (size_t i = 0; i < sizeof(id) - 1; i++) {
		memcpy(foreign, id, sizeof(id));
		foreign[i] = foreign[i] == 'a' ? 'b' : 'a';
		assert_code(kdk_own_id(&k, foreign, &err), VMC_ENOKEY, &err);
	}
	assert_code(kdk_own_id(&k, "", &err), VMC_ENOKEY, &err);
	assert_code(kdk_own_id(&k, "0123456789abcdef0123456789abcdef-3c521019c05506590", &err), VMC_ENOKEY, &err);
	kdk_clear(&k);
}

/* ---- states ------------------------------------------------------------------------ */

static void test_needs_tpm(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct stat st;

	(void)state;
	mock_tpm.absent = true;
	assert_code(add(&a, false), VMC_ENOTSUP, &err);
	assert_contains(err.text, "no TPM");
	assert_contains(err.hint, "--insecure-no-tpm");
	assert_int_equal(access(file(&a, ""), F_OK), -1);
	assert_ok(add(&a, true), &err);
	assert_int_equal(stat(file(&a, KDK_PLAIN_FILE), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	expect_state(&a, "Not backed up", 2);
	assert_ok(export(&a, PASSWORD, "nkp.p12"), &err);
	expect_state(&a, "Active", 1);
	/* others could have read it */
	assert_int_equal(chmod(file(&a, KDK_PLAIN_FILE), 0644), 0);
	assert_code(create(&a, id), VMC_EINVAL, &err);
	assert_contains(err.text, "mode 0600");
}

static void test_backup_comes_first(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65], again[65];

	(void)state;
	assert_ok(add(&a, false), &err);
	expect_state(&a, "Not backed up", 1);
	assert_code(create(&a, id), VMC_ESTATE, &err);
	assert_contains(err.hint, "provider export nkp --out");
	assert_code(export(&a, "short", "nkp.p12"), VMC_EINVAL, &err);
	expect_state(&a, "Not backed up", 1);
	assert_ok(export(&a, PASSWORD, "nkp.p12"), &err);
	expect_state(&a, "Active", 0);
	assert_ok(create(&a, id), &err);
	assert_ok(get(&a, id, hex), &err);
	host_restart(&a);
	assert_ok(get(&a, id, again), &err);
	assert_string_equal(hex, again);
	assert_int_equal(state_of(&a, id), PKS_ACTIVE);
}

/* The target must be empty, a file, and open for writing; else nothing is marked as backed up. */
static void test_export_target(void **state)
{
	int fd[2], ro;

	(void)state;
	assert_ok(add(&a, false), &err);
	test_write_text(test_path(a.dir, "full"), "x");
	ro = open(test_path(a.dir, "full"), O_RDWR);
	assert_code(providers_export(a.ps, "nkp", PASSWORD, ro, &err), VMC_EINVAL, &err);
	close(ro);
	assert_int_equal(truncate(test_path(a.dir, "full"), 0), 0);
	ro = open(test_path(a.dir, "full"), O_RDONLY);
	assert_code(providers_export(a.ps, "nkp", PASSWORD, ro, &err), VMC_EINVAL, &err);
	close(ro);
	assert_int_equal(pipe(fd), 0);
	assert_code(providers_export(a.ps, "nkp", PASSWORD, fd[1], &err), VMC_EINVAL, &err);
	close(fd[0]);
	close(fd[1]);
	expect_state(&a, "Not backed up", 1);
}

static void test_unsealed_once(void **state)
{
	struct provider_key k[3] = { 0 };
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct provider *p;

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	host_restart(&a);
	mock_tpm.unsealed = 0;
	p = use(&a);
	for (int i = 0; i < 3; i++)
		snprintf(k[i].id, sizeof(k[i].id), "%s", id);
	snprintf(k[1].id, sizeof(k[1].id), "7");
	for (int i = 0; i < 5; i++)
		assert_code(p->ops->get(p, k, 3, &err), VMC_ENOKEY, &err);
	assert_int_equal(mock_tpm.unsealed, 1);
	assert_non_null(k[0].material);
	assert_int_equal(k[1].state, PKS_MISSING);
	assert_memory_equal(k[0].material, k[2].material, PROVIDER_KEY_LEN);
	provider_keys_clear(k, 3);
	provider_put(p);
}

static void test_destroyed_stays_so(void **state)
{
	char one[PROVIDER_KEY_ID_MAX + 1], two[PROVIDER_KEY_ID_MAX + 1], hex[65], **ids;
	struct provider *p;
	size_t n;

	(void)state;
	add_active(&a);
	assert_ok(create(&a, one), &err);
	assert_ok(create(&a, two), &err);
	p = use(&a);
	assert_ok(p->ops->destroy(p, one, &err), &err);
	assert_code(p->ops->destroy(p, one, &err), VMC_ENOKEY, &err);
	assert_code(p->ops->destroy(p, "nonsense", &err), VMC_ENOKEY, &err);
	assert_ok(p->ops->list(p, &ids, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], two);
	free(ids[0]);
	free(ids);
	provider_put(p);
	host_restart(&a);
	assert_code(get(&a, one, hex), VMC_ENOKEY, &err);
	assert_contains(err.text, "destroyed");
	assert_int_equal(state_of(&a, one), PKS_DESTROYED);
	/* nor does its backup bring it back here */
	assert_ok(import(&a, &a, "nkp.p12", PASSWORD, NULL), &err);
	assert_code(get(&a, one, hex), VMC_ENOKEY, &err);
	assert_ok(get(&a, two, hex), &err);
	/* without the list nobody knows what was destroyed */
	assert_int_equal(unlink(file(&a, KEYLIST_FILE)), 0);
	assert_code(get(&a, two, hex), VMC_ENOENT, &err);
	assert_contains(err.hint, KEYLIST_FILE);
}

static void test_report(void **state)
{
	struct provider *p;
	json_t *r;

	(void)state;
	add_active(&a);
	p = use(&a);
	assert_ok(p->ops->test(p, &r, &err), &err);
	assert_true(json_is_true(json_object_get(r, "reachable")));
	json_decref(r);
	provider_put(p);
	host_restart(&a);
	mock_tpm.absent = true;
	p = use(&a);
	assert_ok(p->ops->test(p, &r, &err), &err);
	assert_true(json_is_false(json_object_get(r, "reachable")));
	assert_contains(json_string_value(json_object_get(r, "error")), "no TPM");
	json_decref(r);
	provider_put(p);
}

/* Beside others: the registry tells the kinds apart. */
static void test_beside_kmip(void **state)
{
	json_t *o = json_pack("{s:[s]}", "servers", "127.0.0.1:1"), *r = NULL, *args = json_object();
	struct provider *p;
	int fd;

	(void)state;
	assert_ok(providers_add_kmip(a.ps, "kms", o, &err), &err);
	json_decref(o);
	add_active(&a);
	assert_code(providers_trust(a.ps, "nkp", "csr", args, &r, &err), VMC_ENOTSUP, &err);
	json_decref(args);
	assert_ok(providers_set_default(a.ps, "nkp", &err), &err);
	assert_ok(providers_get(a.ps, NULL, &p, &err), &err);
	assert_string_equal(p->ops->kind, "native");
	provider_put(p);
	fd = open(test_path(a.dir, "kms.p12"), O_RDWR | O_CREAT, 0600);
	assert_code(providers_export(a.ps, "kms", PASSWORD, fd, &err), VMC_ENOTSUP, &err);
	close(fd);
	assert_ok(providers_remove(a.ps, "nkp", &err), &err);
	assert_int_equal(access(file(&a, ""), F_OK), -1);
}

/* ---- secrets ------------------------------------------------------------------------- */

static void test_no_secret_in_files(void **state)
{
	static const char *const files[] = { PROVIDER_CONF, KEYLIST_FILE, KDK_TPM_FILE };
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65];
	struct native_conf c;
	struct kdk k;

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	assert_ok(get(&a, id, hex), &err);
	assert_ok(native_conf_load(&c, file(&a, PROVIDER_CONF), &err), &err);
	assert_ok(native_load_kdk(file(&a, ""), &c, &a.cfg, &k, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		assert_false(holds(file(&a, files[i]), k.key, KDK_LEN));
		assert_false(holds(file(&a, files[i]), hex, 64));
	}
	assert_false(holds(test_path(a.dir, "nkp.p12"), k.key, KDK_LEN));
	assert_false(holds(test_path(a.dir, "nkp.p12"), "nkp", 3));	/* the name is inside */
	/* the check finds what is there */
	test_write(test_path(a.dir, "planted"), k.key, KDK_LEN);
	assert_true(holds(test_path(a.dir, "planted"), k.key, KDK_LEN));
	kdk_clear(&k);
}

/* ---- other hosts ------------------------------------------------------------------------ */

static void test_second_host(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], late[PROVIDER_KEY_ID_MAX + 1], here[65], there[65];

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	mock_tpm.mask = mock_tpm.pinned = 0x33;
	assert_code(import(&b, &a, "nkp.p12", "not this one", NULL), VMC_EAUTH, &err);
	assert_contains(err.text, "password is wrong");
	assert_code(import(&b, &a, "nkp.p12", PASSWORD,
			   "{\"key_id\": \"00112233-4455-6677-8899-aabbccddeeff\"}"), VMC_ENOKEY, &err);
	assert_code(import(&b, &a, "nkp.p12", PASSWORD, "{\"nonsense\": true}"), VMC_EINVAL, &err);
	assert_int_equal(access(file(&b, ""), F_OK), -1);
	assert_ok(import(&b, &a, "nkp.p12", PASSWORD, NULL), &err);
	expect_state(&b, "Active", 0);
	assert_ok(get(&b, id, there), &err);
	mock_tpm.mask = 0x5a;
	assert_ok(get(&a, id, here), &err);
	assert_string_equal(here, there);
	/* also keys that are younger than the backup */
	assert_ok(create(&a, late), &err);
	assert_ok(get(&b, late, there), &err);
	assert_ok(get(&a, late, here), &err);
	assert_string_equal(here, there);
	assert_string_not_equal(id, late);
}

static void test_other_kdk_of_that_name(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65];
	json_t *o;

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	add_active(&b);
	assert_code(import(&b, &a, "nkp.p12", PASSWORD, NULL), VMC_EEXIST, &err);
	assert_contains(err.text, "another KDK");
	/* a key of that other one is not taken for one of ours */
	assert_code(get(&b, id, hex), VMC_ENOKEY, &err);
	assert_ok(providers_remove(b.ps, "nkp", &err), &err);
	o = json_pack("{s:[s]}", "servers", "127.0.0.1:1");
	assert_ok(providers_add_kmip(b.ps, "nkp", o, &err), &err);
	json_decref(o);
	assert_code(import(&b, &a, "nkp.p12", PASSWORD, NULL), VMC_ENOTSUP, &err);
}

/* The TPM was cleared or changed: the backup puts the KDK back, sealed to the new one. */
static void test_restore(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65], again[65];

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	assert_ok(get(&a, id, hex), &err);
	mock_tpm.mask = 0x77;
	host_restart(&a);
	assert_code(get(&a, id, again), VMC_ETPMROOT, &err);
	assert_contains(err.text, "nkp");
	assert_contains(err.hint, "provider import FILE --new-tpm");
	/* nobody slips a TPM in unnoticed */
	assert_code(import(&a, &a, "nkp.p12", PASSWORD, NULL), VMC_ETPMROOT, &err);
	assert_ok(import(&a, &a, "nkp.p12", PASSWORD, "{\"new_tpm\": true}"), &err);
	assert_ok(get(&a, id, again), &err);
	assert_string_equal(hex, again);
	/* from the TPM to a file and back */
	assert_ok(import(&a, &a, "nkp.p12", PASSWORD, "{\"insecure_no_tpm\": true}"), &err);
	expect_state(&a, "Active", 1);
	assert_int_equal(access(file(&a, KDK_TPM_FILE), F_OK), -1);
	assert_ok(get(&a, id, again), &err);
	assert_ok(import(&a, &a, "nkp.p12", PASSWORD, NULL), &err);
	expect_state(&a, "Active", 0);
	assert_int_equal(access(file(&a, KDK_PLAIN_FILE), F_OK), -1);
}

/* ---- backups ------------------------------------------------------------------------------- */

static void make(struct backup *k, int iterations, uint8_t **der, size_t *len)
{
	memset(k, 0, sizeof(*k));
	snprintf(k->name, sizeof(k->name), "nkp");
	assert_ok(kdk_new(&k->kdk, &err), &err);
	assert_ok(backup_make(k, PASSWORD, iterations, der, len, &err), &err);
}

static void test_backup_round_trip(void **state)
{
	struct backup k, back;
	uint8_t *der;
	size_t len;

	(void)state;
	make(&k, 2, &der, &len);
	assert_ok(backup_parse(der, len, PASSWORD, 2, &back, &err), &err);
	assert_string_equal(back.name, "nkp");
	assert_true(vmc_uuid_equal(&back.kdk.id, &k.kdk.id));
	assert_memory_equal(back.kdk.key, k.kdk.key, KDK_LEN);
	assert_true(secmem_is_secure(back.kdk.key));
	backup_clear(&back);
	/* more work than one is ready to do is not begun */
	assert_code(backup_parse(der, len, PASSWORD, 1, &back, &err), VMC_EINVAL, &err);
	/* not a byte more or less */
	assert_code(backup_parse(der, len - 1, PASSWORD, 2, &back, &err), VMC_EINVAL, &err);
	der = OPENSSL_realloc(der, len + 1);
	der[len] = 0;
	assert_code(backup_parse(der, len + 1, PASSWORD, 2, &back, &err), VMC_EINVAL, &err);
	OPENSSL_free(der);
	backup_clear(&k);
}

static void test_backup_altered(void **state)
{
	struct backup k, back;
	size_t len, opened = 0;
	uint8_t *der;

	(void)state;
	make(&k, 1, &der, &len);
	for (size_t i = 0; i < len; i++) {
		der[i] ^= 0x04;
		if (!backup_parse(der, len, PASSWORD, 1000, &back, &err)) {
			/* only what OpenSSL does not look at, and never another KDK */
			assert_memory_equal(back.kdk.key, k.kdk.key, KDK_LEN);
			backup_clear(&back);
			opened++;
		}
		assert_null(back.kdk.key);
		der[i] ^= 0x04;
	}
	assert_true(opened < 8);
	OPENSSL_free(der);
	backup_clear(&k);
}

static void test_backup_parameters(void **state)
{
	struct backup k;
	uint8_t *der;
	size_t len;

	(void)state;
	make(&k, BACKUP_ITERATIONS, &der, &len);
	/* 600000 as an INTEGER, for the key and for the MAC */
	assert_non_null(memmem(der, len, "\x02\x03\x09\x27\xc0", 5));
	/* id-PBES2, id-PBKDF2, hmacWithSHA256, aes256-CBC */
	assert_non_null(memmem(der, len, "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", 9));
	assert_non_null(memmem(der, len, "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c", 9));
	assert_non_null(memmem(der, len, "\x2a\x86\x48\x86\xf7\x0d\x02\x09", 8));
	assert_non_null(memmem(der, len, "\x60\x86\x48\x01\x65\x03\x04\x01\x2a", 9));
	OPENSSL_free(der);
	backup_clear(&k);
}

static void test_password_rules(void **state)
{
	char longest[BACKUP_PASSWORD_MAX + 2];

	(void)state;
	assert_code(backup_password_check("", &err), VMC_EINVAL, &err);
	assert_code(backup_password_check("1234567", &err), VMC_EINVAL, &err);
	assert_ok(backup_password_check("12345678", &err), &err);
	assert_ok(backup_password_check("Grüße aus Köln", &err), &err);
	assert_code(backup_password_check("with\na line", &err), VMC_EINVAL, &err);
	memset(longest, 'x', sizeof(longest));
	longest[BACKUP_PASSWORD_MAX + 1] = '\0';
	assert_code(backup_password_check(longest, &err), VMC_EINVAL, &err);
	longest[BACKUP_PASSWORD_MAX] = '\0';
	assert_ok(backup_password_check(longest, &err), &err);
}

/* ---- keys.json and provider.conf ------------------------------------------------------------- */

#define ID1 "00000000000000000000000000000000-0000000000000000"
#define ID2 "00000000000000000000000000000000-0000000000000001"

static int parse(const char *text)
{
	struct keylist l;
	int rc = keylist_parse(text, strlen(text), &l, &err);

	keylist_clear(&l);
	return rc;
}

static void test_keylist(void **state)
{
	struct keylist l = { 0 };
	char *text;

	(void)state;
	assert_ok(keylist_add(&l, ID2, "b", &err), &err);
	assert_ok(keylist_add(&l, ID1, "tab\there", &err), &err);
	assert_code(keylist_add(&l, ID1, "", &err), VMC_EEXIST, &err);
	assert_string_equal(l.k[0].id, ID1);
	assert_string_equal(l.k[0].label, "tab?here");
	text = keylist_format(&l);
	keylist_clear(&l);
	assert_ok(keylist_parse(text, strlen(text), &l, &err), &err);
	assert_int_equal(l.n, 2);
	assert_non_null(keylist_find(&l, ID2));
	assert_null(keylist_find(&l, "x"));
	keylist_clear(&l);
	free(text);
	assert_ok(parse("{\"version\":1,\"keys\":[]}"), &err);
	assert_code(parse(""), VMC_EINVAL, &err);
	assert_code(parse("[]"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":2,\"keys\":[]}"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":1,\"keys\":[],\"more\":1}"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":1,\"keys\":[{}]}"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":1,\"keys\":[{\"id\":\"" ID1 "\",\"x\":1}]}"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":1,\"keys\":[{\"id\":\"" ID2 "\"},{\"id\":\"" ID1 "\"}]}"), VMC_EINVAL, &err);
	assert_code(parse("{\"version\":1,\"keys\":[{\"id\":\"" ID1 "\"},{\"id\":\"" ID1 "\"}]}"), VMC_EINVAL, &err);
}

static void test_broken_files(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	json_t *o;

	(void)state;
	add_active(&a);
	test_write_text(file(&a, KEYLIST_FILE), "{");
	assert_code(create(&a, id), VMC_EINVAL, &err);
	test_write_text(file(&a, PROVIDER_CONF), "[provider]\nkind = native\n[native]\nkey_id = 7\n");
	o = described(&a);
	assert_contains(json_string_value(json_object_get(o, "state")), "provider.conf:4");
	json_decref(o);
	test_write_text(file(&a, PROVIDER_CONF), "[provider]\nkind = native\n");
	o = described(&a);
	assert_contains(json_string_value(json_object_get(o, "state")), "missing");
	json_decref(o);
}

/* The blob of another provider, put in this one's place. */
static void test_swapped_kdk(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65], *data;
	size_t len;

	(void)state;
	add_active(&a);
	assert_ok(create(&a, id), &err);
	add_active(&b);
	assert_ok(fs_read(file(&b, KDK_TPM_FILE), 4096, &data, &len, &err), &err);
	test_write(file(&a, KDK_TPM_FILE), data, len);
	free(data);
	assert_code(get(&a, id, hex), VMC_EAUTH, &err);
}

/* ---- crashes ------------------------------------------------------------------------------------ */

#ifdef VMC_CRASHPOINTS
enum step { STEP_ADD, STEP_EXPORT, STEP_CREATE, STEP_RESEAL, STEP_REMOVE, STEPS };

static int do_step(enum step s)
{
	char id[PROVIDER_KEY_ID_MAX + 1];

	switch (s) {
	case STEP_ADD:
		return add(&a, false);
	case STEP_EXPORT:
		return export(&a, PASSWORD, "again.p12");
	case STEP_CREATE:
		return create(&a, id);
	case STEP_RESEAL:
		return import(&a, &a, "nkp.p12", PASSWORD, "{\"insecure_no_tpm\": true}");
	default:
		return providers_remove(a.ps, "nkp", &err);
	}
}

static int wait_for(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* All that this process does itself passes no crash points, so that they can be counted. */
static void reset(const char *from)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s' '%s' && cp -a '%s' '%s'", test_path(a.dir, "providers"),
		 test_path(a.dir, "again.p12"), test_path(a.dir, from), test_path(a.dir, "providers"));
	assert_int_equal(system(cmd), 0);
}

/* A provider that works, with one key, below "made"; nothing at all below "empty". */
static void make_states(char id[PROVIDER_KEY_ID_MAX + 1], char hex[65])
{
	struct found {
		char id[PROVIDER_KEY_ID_MAX + 1], hex[65];
	} f;
	int fd[2];
	pid_t pid;

	assert_int_equal(mkdir(test_path(a.dir, "empty"), 0700), 0);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (!pid) {
		add_active(&a);
		_exit(create(&a, f.id) || get(&a, f.id, f.hex) || write(fd[1], &f, sizeof(f)) != sizeof(f) ||
		      rename(test_path(a.dir, "providers"), test_path(a.dir, "made")));
	}
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(read(fd[0], &f, sizeof(f)), sizeof(f));
	close(fd[0]);
	close(fd[1]);
	memcpy(id, f.id, sizeof(f.id));
	memcpy(hex, f.hex, sizeof(f.hex));
}

/* In a process of its own; true when it died at crash point @n. */
static bool die_at(int n, enum step s)
{
	pid_t pid = fork();
	char at[16];
	int status;

	if (!pid) {
		snprintf(at, sizeof(at), "%d", n);
		setenv("VMCRYPT_CRASH_AT", at, 1);
		if (!do_step(s))
			_exit(0);
		fprintf(stderr, "step %d, point %d: %s\n", s, n, err.text);
		_exit(1);
	}
	status = wait_for(pid);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : !WEXITSTATUS(status));
	return WIFSIGNALED(status);
}

enum found { FOUND_NOTHING, FOUND_WHOLE, FOUND_BROKEN };

/* What the next start finds; @id "" when there was no key yet. */
static enum found next_start(const char *id, const char *hex)
{
	pid_t pid = fork();
	struct provider *p;
	json_t *report;
	char now[65];
	int status;

	if (!pid) {
		host_restart(&a);
		if (access(file(&a, ""), F_OK))
			_exit(FOUND_NOTHING);
		p = use(&a);
		if (p->ops->test(p, &report, &err) || !json_is_true(json_object_get(report, "reachable")) ||
		    (*id && (get(&a, id, now) || strcmp(now, hex))))
			_exit(FOUND_BROKEN);
		_exit(FOUND_WHOLE);
	}
	status = wait_for(pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* kill -9 at every point of every change: the old or the new state, never a lost KDK or key. */
static void test_crashes(void **state)
{
	char id[PROVIDER_KEY_ID_MAX + 1], hex[65];

	(void)state;
	make_states(id, hex);
	for (enum step s = STEP_ADD; s < STEPS; s++) {
		int killed = 0, survived = 0;

		for (int n = 1; n < 1000 && (!killed || survived < 3); n++) {
			enum found found;

			reset(s == STEP_ADD ? "empty" : "made");
			if (die_at(n, s)) {
				killed++;
				survived = 0;
			} else {
				survived++;
			}
			found = next_start(s == STEP_ADD ? "" : id, hex);
			assert_int_not_equal(found, FOUND_BROKEN);
			if (s != STEP_ADD && s != STEP_REMOVE)
				assert_int_equal(found, FOUND_WHOLE);
		}
		assert_true(killed >= 2);
	}
}
#endif

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef VMC_CRASHPOINTS
		T(test_crashes),	/* first: it counts the points of this process */
#endif
		T(test_vector), T(test_needs_tpm), T(test_backup_comes_first), T(test_export_target),
		T(test_unsealed_once), T(test_destroyed_stays_so), T(test_report), T(test_beside_kmip),
		T(test_no_secret_in_files), T(test_second_host), T(test_other_kdk_of_that_name),
		T(test_restore), T(test_backup_round_trip), T(test_backup_altered), T(test_backup_parameters),
		T(test_password_rules), T(test_keylist), T(test_broken_files), T(test_swapped_kdk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
