// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KMIP provider against a real server. kmip.sh starts the servers and runs
 * this: one step a call, TAP-less; prints what it did, ends with 0 or 1.
 *
 *	kmip-selftest CONFIG_DIR COMMAND [ARG...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys/kmip/client.h"
#include "keys/provider.h"
#include "lib/fs.h"
#include "lib/secmem.h"
#include "lib/util.h"

static struct vmc_error err;
static struct providers *ps;
static struct provider *p;

static int say(int rc)
{
	if (rc)
		printf("%s: %s | %s\n", vmc_code_name(rc), err.text, err.hint);
	return rc ? 1 : 0;
}

/* add SERVER... with options as JSON in $KMIP_OPTIONS */
static int cmd_add(int n, char **arg)
{
	const char *text = getenv("KMIP_OPTIONS");
	json_t *o = json_loads(text ? text : "{}", 0, NULL), *servers = json_array();
	int rc;

	for (int i = 0; i < n; i++)
		json_array_append_new(servers, json_string(arg[i]));
	json_object_set_new(o, "servers", servers);
	rc = providers_add_kmip(ps, "kms", o, &err);
	json_decref(o);
	return say(rc);
}

static char *slurp(const char *path)
{
	size_t len;
	char *s;

	return fs_read(path, 1 << 20, &s, &len, &err) ? NULL : s;
}

/* trust VERB [NAME FILE|=TEXT]...: prints the result, or its PEM */
static int cmd_trust(int n, char **arg)
{
	json_t *args = json_object(), *result = NULL;
	const char *pem;
	int rc;

	for (int i = 1; i + 1 < n; i += 2) {
		char *v = arg[i + 1][0] == '=' ? strdup(arg[i + 1] + 1) : slurp(arg[i + 1]);

		json_object_set_new(args, arg[i], json_string(v));
		free(v);
	}
	rc = providers_trust(ps, "kms", arg[0], args, &result, &err);
	json_decref(args);
	if (rc)
		return say(rc);
	pem = json_string_value(json_object_get(result, "pem"));
	if (pem)
		fputs(pem, stdout);
	else
		json_dumpf(result, stdout, JSON_INDENT(1));
	json_decref(result);
	return 0;
}

static int cmd_test(int n, char **arg)
{
	json_t *r;
	int rc = p->ops->test(p, &r, &err);

	(void)n;
	(void)arg;
	if (rc)
		return say(rc);
	json_dumpf(r, stdout, JSON_INDENT(1));
	rc = !json_is_true(json_object_get(r, "reachable"));
	json_decref(r);
	return rc;
}

static int cmd_create(int n, char **arg)
{
	char id[PROVIDER_KEY_ID_MAX + 1];
	int rc = p->ops->create(p, n ? arg[0] : NULL, id, &err);

	if (!rc)
		printf("%s\n", id);
	return say(rc);
}

static struct provider_key *keys_of(int n, char **arg)
{
	struct provider_key *k = calloc(n ? n : 1, sizeof(*k));

	for (int i = 0; k && i < n; i++)
		snprintf(k[i].id, sizeof(k[i].id), "%s", arg[i]);
	return k;
}

/* get ID...: a check value per key, never the key */
static int cmd_get(int n, char **arg)
{
	struct provider_key *k = keys_of(n, arg);
	uint64_t start = vmc_now_ms();
	unsigned char md[32];
	char hex[65];
	int bad = 0;

	p->ops->get(p, k, n, &err);
	for (int i = 0; i < n; i++) {
		if (k[i].code) {
			printf("%s %s: %s | %s\n", k[i].id, vmc_code_name(k[i].code), k[i].err.text,
			       k[i].err.hint);
			bad = 1;
			continue;
		}
		if (!EVP_Digest(k[i].material, PROVIDER_KEY_LEN, md, NULL, EVP_sha256(), NULL))
			return 1;
		vmc_hex_encode(md, 4, hex);
		printf("%s Active %s secure=%d\n", k[i].id, hex, secmem_is_secure(k[i].material));
	}
	fprintf(stderr, "%d keys in %llu ms\n", n, (unsigned long long)(vmc_now_ms() - start));
	provider_keys_clear(k, n);
	free(k);
	return bad;
}

static int cmd_state(int n, char **arg)
{
	struct provider_key *k = keys_of(n, arg);
	int rc = p->ops->state(p, k, n, &err);

	for (int i = 0; !rc && i < n; i++)
		printf("%s %s\n", k[i].id, provider_key_state_name(k[i].state));
	provider_keys_clear(k, n);
	free(k);
	return say(rc);
}

static int cmd_list(int n, char **arg)
{
	size_t count;
	char **ids;
	int rc = p->ops->list(p, &ids, &count, &err);

	(void)n;
	(void)arg;
	if (rc)
		return say(rc);
	while (count) {
		printf("%s\n", ids[--count]);
		free(ids[count]);
	}
	free(ids);
	return 0;
}

static int cmd_destroy(int n, char **arg)
{
	int rc = 0;

	for (int i = 0; i < n && !rc; i++)
		rc = p->ops->destroy(p, arg[i], &err);
	return say(rc);
}

/* ---- below the provider: what it does not use itself ------------------------------------- */

static int found(const char *id, void *data)
{
	(void)id;
	++*(int *)data;
	return 0;
}

/* raw PORT CA CERT KEY VERSION: Register, wrapped Get, Activate twice, revoke as compromised */
static int cmd_raw(int n, char **arg)
{
	struct tls_settings tls = { .provider = "kms", .ca_file = arg[1], .cert_file = arg[2],
				    .key_file = arg[3] };
	struct kmip_settings set = { .provider = "kms", .connect_timeout_ms = 3000,
				     .request_timeout_ms = 10000, .max_reply = 1 << 20, .batch = 8 };
	struct kmip_new_key named = { .name = "selftest", .usage = 0x3c }, by_name = { .name = "selftest" };
	struct provider_key k = { .code = 0 }, *one = &k;
	char kek[PROVIDER_KEY_ID_MAX + 1], dek[PROVIDER_KEY_ID_MAX + 1];
	uint8_t *key = secmem_alloc(PROVIDER_KEY_LEN), wrapped[64];
	uint64_t end = vmc_now_ms() + 20000;
	struct kmip_client *c = NULL;
	struct kmip_server s;
	int rc, hits = 0;
	size_t len = 0;

	if (n != 5 || !key || kmip_version_parse(arg[4], &set.version))
		return 1;
	for (int i = 0; i < PROVIDER_KEY_LEN; i++)
		key[i] = i;
	kmip_server_init(&s, "127.0.0.1", atoi(arg[0]));
	rc = tls_context_new(&tls, &set.tls, &err);
	if (!rc)
		rc = kmip_open(&set, &s, end, &c, &err);
	if (!rc)
		rc = kmip_register(c, &named, key, end, kek, &err);
	if (!rc)
		rc = kmip_activate(c, kek, end, &err);
	if (!rc && kmip_activate(c, kek, end, &err) != VMC_EREFUSED)
		rc = vmc_fail(&err, VMC_EINTERNAL, "a second Activate was not refused");
	if (!rc)
		rc = kmip_locate(c, &by_name, 10, 0, found, &hits, end, &err);
	if (!rc && hits < 1)
		rc = vmc_fail(&err, VMC_EINTERNAL, "Locate did not find it");
	if (!rc)
		rc = kmip_create(c, &named, end, dek, &err);
	if (!rc)
		rc = kmip_get_wrapped(c, dek, kek, wrapped, sizeof(wrapped), &len, end, &err);
	if (!rc && len != PROVIDER_KEY_LEN + 8)	/* NIST SP 800-38F: eight bytes more */
		rc = vmc_fail(&err, VMC_EINTERNAL, "a wrapped key of %zu bytes", len);
	snprintf(k.id, sizeof(k.id), "%s", rc ? "0" : kek);
	if (!rc)
		rc = kmip_fetch(c, &one, 1, true, end, &err);
	if (!rc && (k.code || memcmp(k.material, key, PROVIDER_KEY_LEN)))
		rc = vmc_fail(&err, VMC_EINTERNAL, "not the key that was registered: %s", k.err.text);
	if (!rc)
		rc = kmip_revoke(c, kek, KMIP_REVOKE_COMPROMISE, end, &err);
	if (!rc)
		rc = kmip_fetch(c, &one, 1, true, end, &err);
	if (!rc && (k.code != VMC_EKEYSTATE || k.state != PKS_COMPROMISED))
		rc = vmc_fail(&err, VMC_EINTERNAL, "a compromised key was handed out");
	if (!rc)
		rc = kmip_destroy(c, kek, end, &err);
	if (!rc)
		rc = kmip_destroy(c, dek, end, &err);
	if (!rc)
		printf("KMIP %d.%d\n", kmip_client_version(c).major, kmip_client_version(c).minor);
	provider_keys_clear(&k, 1);
	secmem_free(key, PROVIDER_KEY_LEN);
	kmip_close(c);
	kmip_server_clear(&s);
	tls_context_free(set.tls);
	return say(rc);
}

static const struct {
	const char *name;
	int (*fn)(int n, char **arg);
	bool needs_provider;
} commands[] = {
	{ "add", cmd_add, false }, { "trust", cmd_trust, false }, { "raw", cmd_raw, false },
	{ "test", cmd_test, true }, { "create", cmd_create, true }, { "get", cmd_get, true },
	{ "state", cmd_state, true }, { "list", cmd_list, true }, { "destroy", cmd_destroy, true },
};

int main(int argc, char **argv)
{
	struct vmc_config cfg = { .tls_min = "1.2", .connect_timeout_ms = 3000,
				  .request_timeout_ms = 10000, .cert_warn_days = 30 };
	size_t i = 0;
	int rc;

	if (argc < 3) {
		fprintf(stderr, "usage: %s CONFIG_DIR COMMAND [ARG...]\n", argv[0]);
		return 2;
	}
	while (i < ARRAY_SIZE(commands) && strcmp(commands[i].name, argv[2]))
		i++;
	if (i == ARRAY_SIZE(commands))
		return 2;
	snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s", argv[1]);
	if (secmem_init(1 << 20, &err) || providers_open(&ps, &cfg, &err) ||
	    (commands[i].needs_provider && providers_get(ps, "kms", &p, &err)))
		return say(err.code);
	rc = commands[i].fn(argc - 3, argv + 3);
	provider_put(p);
	providers_close(ps);
	return rc;
}
