// SPDX-License-Identifier: GPL-2.0-or-later
/* A provider and its mock servers. See mock_fixture.h. */
#include "mock_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../lib/secmem.h"
#include "../../testing/testing.h"
#include "../cert.h"
#include "mock_pki.h"

static void must(int ok, const char *what, const struct vmc_error *err)
{
	if (ok)
		return;
	fprintf(stderr, "fixture: %s: %s\n", what, err ? err->text : "failed");
	abort();
}

void fixture_start(struct fixture *f, unsigned int n)
{
	struct vmc_error err = VMC_ERROR_INIT;

	memset(f, 0, sizeof(*f));
	must(!secmem_init(1 << 20, &err), "secure heap", &err);
	f->pki = test_mkdir();
	f->dir = test_mkdir();
	must(!mock_pki(f->pki), "certificates", NULL);
	snprintf(f->cfg.config_dir, sizeof(f->cfg.config_dir), "%s", f->dir);
	snprintf(f->cfg.tls_min, sizeof(f->cfg.tls_min), "1.2");
	f->cfg.connect_timeout_ms = 1500;
	f->cfg.request_timeout_ms = 3000;
	f->cfg.cert_warn_days = 30;
	f->store = mock_store_new();
	must(f->store != NULL, "store", NULL);
	for (unsigned int i = 0; i < n; i++)
		fixture_restart(f, i, NULL);
	must(!providers_open(&f->ps, &f->cfg, &err), "registry", &err);
}

void fixture_kill(struct fixture *f, unsigned int i)
{
	mock_kmip_stop(f->m[i]);
	f->m[i] = NULL;
}

void fixture_restart(struct fixture *f, unsigned int i, const struct mock_config *c)
{
	char cert[512], key[512], ca[512];
	struct mock_config own = {
		.cert = cert, .key = key, .ca = ca, .store = f->store, .port = f->port[i],
	};

	snprintf(cert, sizeof(cert), "%s/%s.pem", f->pki, c && c->cert ? c->cert : "server");
	snprintf(key, sizeof(key), "%s/%s.key", f->pki, c && c->cert ? c->cert : "server");
	snprintf(ca, sizeof(ca), "%s/ca.pem", f->pki);
	if (c) {
		own.script = c->script;
		own.tls12_only = c->tls12_only;
		own.tls13_only = c->tls13_only;
		if (c->store)
			own.store = c->store;
	}
	fixture_kill(f, i);
	f->m[i] = mock_kmip_start(&own);
	must(f->m[i] != NULL, "mock server", NULL);
	f->port[i] = mock_kmip_port(f->m[i]);
}

void fixture_stop(struct fixture *f)
{
	providers_close(f->ps);
	for (unsigned int i = 0; i < FIXTURE_SERVERS; i++)
		fixture_kill(f, i);
	mock_store_free(f->store);
	test_rmdir(f->pki);
	test_rmdir(f->dir);
}

static void copy(const char *from, const char *to)
{
	char data[16384];
	size_t n;
	FILE *in = fopen(from, "r"), *o = fopen(to, "w");

	must(in && o, from, NULL);
	n = fread(data, 1, sizeof(data), in);
	must(fwrite(data, 1, n, o) == n, to, NULL);
	fclose(in);
	must(!fclose(o) && !chmod(to, 0600), to, NULL);
}

const char *fixture_path(const char *dir, const char *name)
{
	return test_path(dir, name);
}

void fixture_file(struct fixture *f, const char *file, const char *from)
{
	char to[512];

	snprintf(to, sizeof(to), "%s/providers/kms/%s", f->dir, file);
	copy(fixture_path(f->pki, from), to);
}

void fixture_provider(struct fixture *f, const char *options)
{
	struct vmc_error err = VMC_ERROR_INIT;
	json_t *o = json_object(), *list = json_array();
	json_t *more = options ? json_loads(options, 0, NULL) : NULL;

	must(!options || more, "options", NULL);
	for (unsigned int i = 0; i < FIXTURE_SERVERS; i++)
		if (f->port[i])
			json_array_append_new(list, json_sprintf("127.0.0.1:%d", (int)f->port[i]));
	json_object_set_new(o, "servers", list);
	json_object_update(o, more);
	must(!providers_add_kmip(f->ps, "kms", o, &err), "add", &err);
	json_decref(more);
	json_decref(o);
	fixture_file(f, "client.key", "client.key");
	fixture_file(f, "client.pem", "client.pem");
	fixture_file(f, "ca.pem", "ca.pem");
}

struct provider *fixture_get(struct fixture *f)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *p = NULL;

	must(!providers_get(f->ps, "kms", &p, &err), "get", &err);
	return p;
}
