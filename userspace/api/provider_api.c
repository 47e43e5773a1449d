// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Provider: one cluster of key servers. */
#include "provider_api.h"

#include <string.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/secmem.h"
#include "attest_api.h"
#include "call.h"
#include "event_api.h"
#include "fd_read.h"
#include "model.h"
#include "provider_backup.h"

#define KEY_FILE_MAX	(16u << 10)	/* PEM of an RSA key of 16384 bits has 13 KiB */

int provider_refuse_secrets(const json_t *o, struct vmc_error *err)
{
	static const char *const secrets[] = { "key_pem", "password", "passphrase", "secret" };

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		if (!json_object_get(o, secrets[i]))
			continue;
		vmc_fail(err, VMC_EINVAL, "'%s' must not travel over the bus", secrets[i]);
		vmc_hint(err, "a private key goes in by the method Import, as an open file");
		return VMC_EINVAL;
	}
	return 0;
}

static int run_describe(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *list = NULL, *p;
	size_t i;
	int rc;

	rc = providers_list(b->ps, &list, err);
	if (rc)
		return rc;
	json_array_foreach(list, i, p) {
		const char *name = json_string_value(json_object_get(p, "name"));

		if (!name || strcmp(name, c->key))
			continue;
		json_incref(p);
		json_decref(list);
		return call_answer_json(c, p, err);
	}
	json_decref(list);
	return vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'", c->key);
}

static int run_test(struct call *c, struct backend *b, struct vmc_error *err)
{
	struct provider *p;
	json_t *report = NULL;
	int rc;

	rc = providers_get(b->ps, c->key, &p, err);
	if (rc)
		return rc;
	rc = p->ops->test(p, &report, err);
	provider_put(p);
	return rc ? rc : call_answer_json(c, report, err);
}

static int trust(struct call *c, struct backend *b, const char *verb, const json_t *args,
		 struct vmc_error *err)
{
	json_t *result = NULL, *d;
	int rc;

	rc = providers_trust(b->ps, c->key, verb, args, &result, err);
	if (rc)
		return rc;
	if (strcmp(verb, "show")) {
		call_poke(c);
		d = json_pack("{s:s, s:s}", "provider", c->key, "verb", verb);
		event_tell(c->api, "provider-trust", VMC_MSG_PROVIDER_TRUST, NULL, d,
			   "trust of key provider '%s' was changed: %s", c->key, verb);
		json_decref(d);
	}
	return call_answer_json(c, result ? result : json_object(), err);
}

static int run_trust(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *args;
	int rc;

	if (!strcmp(c->s[0], "import")) {
		vmc_fail(err, VMC_EINVAL, "a private key must not travel over the bus");
		vmc_hint(err, "call Import, which takes the key as an open file");
		return VMC_EINVAL;
	}
	args = call_parse_object(c->s[1], N_("the argument of Trust"), err);
	if (!args)
		return VMC_EINVAL;
	rc = provider_refuse_secrets(args, err);
	if (!rc)
		rc = trust(c, b, c->s[0], args, err);
	json_decref(args);
	return rc;
}

static int run_import(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *args;
	size_t len = 0;
	char *key = NULL;
	int rc;

	rc = fd_read_secret(c->fd, "the private key", KEY_FILE_MAX, &key, &len, err);
	if (rc)
		return rc;
	args = json_object();
	if (json_object_set_new(args, "pem", json_string(c->s[0])) ||
	    json_object_set_new(args, "key_pem", json_stringn(key, len)))
		rc = vmc_fail(err, VMC_EINVAL, "the certificate or the private key is not PEM text");
	secmem_free(key, len + 1);
	if (!rc)
		rc = trust(c, b, "import", args, err);
	json_decref(args);	/* wiped, see json_memory.h */
	return rc;
}

static const struct method provider_methods[] = {
	METHOD("Describe", "read-key-servers", POOL_READ, NULL, NULL, LOOK_NOT, run_describe, 's'),
	METHOD("Test", "read-key-servers", POOL_ACT, NULL, NULL, LOOK_NOT, run_test, 's'),
	METHOD("Trust", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS, run_trust, 's'),
	METHOD("Import", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS, run_import, 's'),
	METHOD("Export", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS, provider_run_export, 0),
	METHOD("Attestation", "read-key-servers", POOL_READ, NULL, NULL, LOOK_NOT, provider_run_attestation, 's'),
	METHOD("Attest", "manage-key-servers", POOL_ACT, NULL, NULL, LOOK_PROVIDERS, provider_run_attest, 's'),
	{ 0 }
};

const struct interface provider_interface = { "org.vmcrypt1.Provider", provider_methods };

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED		/* auth.c decides, not a capability */
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable provider_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", NULL, offsetof(struct provider_object, name), SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Kind", "s", NULL, offsetof(struct provider_object, kind), CHANGES),
	SD_BUS_PROPERTY("Default", "b", NULL, offsetof(struct provider_object, is_default), CHANGES),
	SD_BUS_PROPERTY("Servers", "as", NULL, offsetof(struct provider_object, servers), CHANGES),
	SD_BUS_PROPERTY("State", "s", NULL, offsetof(struct provider_object, state), CHANGES),
	SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Test", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Trust", SD_BUS_ARGS("s", verb, "s", args), SD_BUS_RESULT("s", json),
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Import", SD_BUS_ARGS("s", pem, "h", key), SD_BUS_RESULT("s", json),
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Export", SD_BUS_ARGS("h", password, "h", backup), SD_BUS_NO_RESULT,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Attestation", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("Attest", SD_BUS_ARGS("s", how), SD_BUS_RESULT("s", json), call_dispatch, OPEN),
	SD_BUS_VTABLE_END
};

static int find_provider(sd_bus *bus, const char *path, const char *interface, void *data, void **found,
			 sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)interface, (void)e;
	*found = model_find_provider_path(a->model, path);
	return !!*found;
}

static int list_providers(sd_bus *bus, const char *prefix, void *data, char ***nodes, sd_bus_error *e)
{
	struct api *a = data;

	(void)bus, (void)prefix, (void)e;
	return model_provider_paths(a->model, nodes);
}

int provider_api_add(struct api *a, struct vmc_error *err)
{
	int r;

	r = sd_bus_add_fallback_vtable(a->bus, NULL, API_PATH "/provider", provider_interface.name,
				       provider_vtable, find_provider, a);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(a->bus, NULL, API_PATH "/provider", list_providers, a);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the provider objects") : 0;
}
