// SPDX-License-Identifier: GPL-2.0-or-later
/* Two key providers, "kms" and "kms2", that keep their keys in the mock host. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "../keys/provider.h"
#include "../lib/secmem.h"
#include "mock_host.h"

struct mock_key *mock_key_find(const char *provider, const char *id)
{
	size_t i;

	for (i = 0; i < mock->n_keys; i++)
		if (!strcmp(mock->keys[i].provider, provider) && !strcmp(mock->keys[i].id, id))
			return &mock->keys[i];
	return NULL;
}

static int reachable(struct provider *p, struct vmc_error *err)
{
	int i;

	for (i = 0; i < MOCK_PROVIDERS; i++)
		if (!strcmp(mock_providers[i], p->name) && mock->unreachable[i])
			return vmc_fail(err, VMC_EUNREACH, "no server of provider '%s' can be reached", p->name);
	return 0;
}

static int create(struct provider *p, const char *label, char id[PROVIDER_KEY_ID_MAX + 1],
		  struct vmc_error *err)
{
	struct mock_key *k;
	int r = reachable(p, err);

	if (r)
		return r;
	k = &mock->keys[mock->n_keys];
	memset(k, 0, sizeof(*k));
	snprintf(k->provider, sizeof(k->provider), "%s", p->name);
	snprintf(k->id, sizeof(k->id), "key-%zu", mock->n_keys + 1);
	snprintf(k->label, sizeof(k->label), "%s", label);
	RAND_bytes(k->key, sizeof(k->key));
	k->state = PKS_ACTIVE;
	mock->n_keys++;
	snprintf(id, PROVIDER_KEY_ID_MAX + 1, "%s", k->id);
	return 0;
}

static void tell(struct provider *p, struct provider_key *key, bool material)
{
	struct mock_key *k = mock_key_find(p->name, key->id);

	key->state = k ? k->state : PKS_MISSING;
	if (!k)
		key->code = vmc_fail(&key->err, VMC_ENOKEY, "provider '%s' has no key '%s'", p->name, key->id);
	else if (k->state != PKS_ACTIVE)
		key->code = vmc_fail(&key->err, VMC_EKEYSTATE, "key '%s' of provider '%s' is not active",
				     key->id, p->name);
	else if (material && (key->material = secmem_alloc(PROVIDER_KEY_LEN)))
		memcpy(key->material, k->key, PROVIDER_KEY_LEN);
}

static int get(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	int r = reachable(p, err);
	size_t i;

	mock->gets++;
	for (i = 0; !r && i < n; i++)
		tell(p, &keys[i], true);
	return r;
}

static int state(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err)
{
	int r = reachable(p, err);
	size_t i;

	for (i = 0; !r && i < n; i++)
		tell(p, &keys[i], false);
	return r;
}

static int destroy(struct provider *p, const char *id, struct vmc_error *err)
{
	struct mock_key *k = mock_key_find(p->name, id);
	int r = reachable(p, err);

	if (r)
		return r;
	if (!k)
		return vmc_fail(err, VMC_ENOKEY, "provider '%s' has no key '%s'", p->name, id);
	k->state = PKS_DESTROYED;
	return 0;
}

static int test(struct provider *p, json_t **report, struct vmc_error *err)
{
	bool ok = !reachable(p, NULL);
	int i, days = 365;

	for (i = 0; i < MOCK_PROVIDERS; i++)
		if (!strcmp(mock_providers[i], p->name) && mock->cert_days[i])
			days = mock->cert_days[i];
	*report = json_pack("{s:b, s:[{s:s, s:b, s:s?, s:i, s:i}], s:{s:i}}", "reachable", ok, "servers",
			    "host", p->name, "ok", ok, "error", ok ? NULL : "connection refused", "latency_ms", 3,
			    "cert_days_left", 300, "client_cert", "days_left", days);
	return *report ? 0 : vmc_fail(err, VMC_ENOMEM, "out of memory");
}

static const struct provider_ops ops = {
	.kind = "mock", .create = create, .get = get, .state = state, .destroy = destroy, .test = test,
};

static struct provider all[MOCK_PROVIDERS] = { { &ops, "kms" }, { &ops, "kms2" } };

int providers_get(struct providers *ps, const char *name, struct provider **p, struct vmc_error *err)
{
	int i;

	(void)ps;
	for (i = 0; i < MOCK_PROVIDERS; i++) {
		if (strcmp(all[i].name, name ? name : "kms") || (!i && mock->renamed))
			continue;
		*p = &all[i];
		return 0;
	}
	return vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'; there are: kms2", name);
}

int providers_list(struct providers *ps, json_t **list, struct vmc_error *err)
{
	(void)ps;
	(void)err;
	*list = mock->renamed ? json_pack("[{s:s}]", "name", "kms2") :
		json_pack("[{s:s}, {s:s}]", "name", "kms", "name", "kms2");
	return 0;
}

void provider_put(struct provider *p)
{
	(void)p;
}

void provider_keys_clear(struct provider_key *keys, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		secmem_free(keys[i].material, PROVIDER_KEY_LEN);
		keys[i].material = NULL;
	}
}

const char *provider_key_state_name(enum provider_key_state s)
{
	static const char *const names[] = {
		"Unknown", "Pre-Active", "Active", "Deactivated", "Compromised", "Destroyed",
		"Destroyed Compromised", "Missing",
	};

	return names[s];
}
