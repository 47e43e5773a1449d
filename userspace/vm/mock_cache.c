// SPDX-License-Identifier: GPL-2.0-or-later
/* The KEK cache over the mock providers; asks each once for all that is missing. */
#include <stdlib.h>
#include <string.h>

#include "../keys/cache.h"
#include "../lib/secmem.h"
#include "mock_host.h"

int kek_id_split(const char *id, char provider[PROVIDER_NAME_MAX + 1], char key[PROVIDER_KEY_ID_MAX + 1],
		 struct vmc_error *err)
{
	const char *slash = strchr(id, '/');

	if (!slash || slash == id || !slash[1])
		return vmc_fail(err, VMC_EINVAL, "'%s' is not PROVIDER/KEY-ID", id);
	snprintf(provider, PROVIDER_NAME_MAX + 1, "%.*s", (int)(slash - id), id);
	snprintf(key, PROVIDER_KEY_ID_MAX + 1, "%s", slash + 1);
	return 0;
}

static void fetch_one(struct vmk *k, struct kek_need *need, const struct provider_key *pk)
{
	need->code = pk->code;
	need->err = pk->err;
	if (!need->code)
		need->code = vmk_kek_new(k, need->id, pk->material, 0, need->kcv, &need->err);
}

static void fetch(struct vmk *k, struct providers *ps, const char *name, struct kek_need *needs, size_t n)
{
	struct provider_key *keys = calloc(n, sizeof(*keys));
	struct vmc_error err = VMC_ERROR_INIT;
	size_t *at = calloc(n, sizeof(*at)), count = 0, i;
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct provider *p;
	int r;

	for (i = 0; i < n; i++) {
		if (needs[i].was_cached || needs[i].code || kek_id_split(needs[i].id, provider, key, NULL) ||
		    strcmp(provider, name))
			continue;
		at[count] = i;
		snprintf(keys[count++].id, sizeof(keys[0].id), "%s", key);
	}
	r = providers_get(ps, name, &p, &err);
	if (!r)
		r = p->ops->get(p, keys, count, &err);
	for (i = 0; i < count; i++) {
		if (r) {
			keys[i].code = r;
			keys[i].err = err;
		}
		fetch_one(k, &needs[at[i]], &keys[i]);
	}
	provider_keys_clear(keys, count);
	free(keys);
	free(at);
}

int cache_ensure(struct vmk *k, struct providers *ps, struct kek_need *needs, size_t n, struct vmc_error *err)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct vmk_kek kek;
	size_t i;

	for (i = 0; i < n; i++) {
		needs[i].code = kek_id_split(needs[i].id, provider, key, &needs[i].err);
		needs[i].was_cached = !vmk_kek_get(k, needs[i].id, &kek, NULL);
		if (needs[i].was_cached)
			memcpy(needs[i].kcv, kek.kcv, sizeof(kek.kcv));
	}
	for (i = 0; i < n; i++) {
		struct vmk_kek now;

		if (needs[i].was_cached || needs[i].code || !vmk_kek_get(k, needs[i].id, &now, NULL))
			continue;
		kek_id_split(needs[i].id, provider, key, NULL);
		fetch(k, ps, provider, needs, n);
	}
	for (i = 0; i < n; i++) {
		if (!needs[i].code)
			continue;
		if (err)
			*err = needs[i].err;
		return needs[i].code;
	}
	return 0;
}

int cache_create(struct vmk *k, struct providers *ps, const char *name, const char *label,
		 char id[VMK_KEK_ID_MAX + 1], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	char key[PROVIDER_KEY_ID_MAX + 1];
	struct kek_need need = { 0 };
	struct provider *p;
	int r;

	r = providers_get(ps, name, &p, err);
	if (!r)
		r = p->ops->create(p, label, key, err);
	if (r)
		return r;
	snprintf(need.id, sizeof(need.id), "%s/%s", p->name, key);
	r = cache_ensure(k, ps, &need, 1, err);
	memcpy(kcv, need.kcv, VMK_KCV_LEN);
	memcpy(id, need.id, sizeof(need.id));
	return r;
}
