// SPDX-License-Identifier: GPL-2.0-or-later
/* The KEK cache is the kernel's; this brings into it what is missing, from the providers. See cache.h. */
#include "cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../audit/audit.h"

#include "fetch.h"
#include "lapse.h"

#define CHUNK	256	/* keys in the secure heap at a time */

int kek_id_split(const char *id, char provider[PROVIDER_NAME_MAX + 1],
		 char key[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err)
{
	const char *slash = strchr(id, '/');
	size_t n = slash ? slash - id : 0;
	int code;

	if (!n || n > PROVIDER_NAME_MAX || !slash[1] || strlen(slash + 1) > PROVIDER_KEY_ID_MAX) {
		code = vmc_fail(err, VMC_EINVAL, "'%.255s' is not a key id", id);
		vmc_hint(err, "a key id is PROVIDER/KEY, as 'vmcrypt key list' shows it");
		return code;
	}
	memcpy(provider, id, n);
	provider[n] = '\0';
	snprintf(key, PROVIDER_KEY_ID_MAX + 1, "%s", slash + 1);
	return 0;
}

/* Look in the kernel. 0 when @n is settled, well or not; 1 when its key must be fetched. */
static int look(struct vmk *k, struct kek_need *n)
{
	struct vmk_kek kek;

	memset(n->kcv, 0, sizeof(n->kcv));
	n->was_cached = false;
	n->state = PKS_UNKNOWN;
	n->trusted = false;
	n->err = (struct vmc_error)VMC_ERROR_INIT;
	n->code = vmk_kek_get(k, n->id, &kek, &n->err);
	if (n->code == VMC_ENOKEY)
		return 1;
	if (!n->code) {
		memcpy(n->kcv, kek.kcv, sizeof(n->kcv));
		n->was_cached = true;
	}
	return 0;
}

static atomic_uint lease;

void cache_set_lease(uint32_t seconds)
{
	atomic_store(&lease, seconds);
}

uint32_t cache_lease(void)
{
	return atomic_load(&lease);
}

/* The shorter of what the host's administrator and the provider allow. */
static uint32_t lease_of(const struct provider_key *key)
{
	uint32_t own = cache_lease();

	return key->lease && (!own || key->lease < own) ? key->lease : own;
}

/* Into the kernel. Another thread may have been faster with the same key. */
static int add(struct vmk *k, const char *id, const struct provider_key *key, uint8_t kcv[VMK_KCV_LEN],
	       struct vmc_error *err)
{
	struct vmk_kek kek;
	int rc = vmk_kek_new(k, id, key->material, lease_of(key), kcv, err);

	if (rc != VMC_EEXIST)
		return rc;
	rc = vmk_kek_get(k, id, &kek, err);
	if (!rc && kcv)
		memcpy(kcv, kek.kcv, VMK_KCV_LEN);
	return rc;
}

/* ---- who keeps what comes in ------------------------------------------------- */

static pthread_rwlock_t sink_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct cache_sink sink;

void cache_set_sink(const struct cache_sink *new)
{
	pthread_rwlock_wrlock(&sink_lock);
	sink = new ? *new : (struct cache_sink){ .data = NULL };
	pthread_rwlock_unlock(&sink_lock);
}

void cache_forget(const char *id)
{
	pthread_rwlock_rdlock(&sink_lock);
	if (sink.forget)
		sink.forget(id, sink.data);
	pthread_rwlock_unlock(&sink_lock);
}

void cache_kept(struct kek_need *needs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		needs[i].kept = false;
	pthread_rwlock_rdlock(&sink_lock);
	if (sink.kept && n)
		sink.kept(needs, n, sink.data);
	pthread_rwlock_unlock(&sink_lock);
}

static void keep(const struct cache_key *keys, size_t n, const struct provider *p)
{
	pthread_rwlock_rdlock(&sink_lock);
	if (sink.store && n)
		sink.store(keys, n, p->name, p->ops->kind, sink.data);
	pthread_rwlock_unlock(&sink_lock);
}

/* Those of @needs that got into the kernel; their material is in @keys. */
static void keep_chunk(struct kek_need **needs, const struct provider_key *keys, size_t n, const struct provider *p)
{
	struct cache_key *list = calloc(n, sizeof(*list));
	size_t got = 0;

	for (size_t i = 0; list && i < n; i++)
		if (!needs[i]->code && keys[i].material)
			list[got++] = (struct cache_key){ needs[i]->id, keys[i].material, lease_of(&keys[i]) };
	if (list)
		keep(list, got, p);
	free(list);
}

/* Whether the provider gave it, whatever the kernel says of it then; that is told by itself. */
static void tell_audit(const char *action, const char *provider, const char *key, const char *label, int code,
		       const struct vmc_error *why)
{
	audit_record(&(struct audit_entry){ .action = action, .key = key, .object = label ? label : provider,
					    .code = code, .text = code && why ? why->text : NULL });
}

/* Fetch up to CHUNK keys of one provider and hand them to the kernel. */
static void fetch_chunk(struct vmk *k, struct provider *p, struct kek_need **needs, size_t n)
{
	struct provider_key *keys = calloc(n, sizeof(*keys));
	struct vmc_error err = VMC_ERROR_INIT;
	char name[PROVIDER_NAME_MAX + 1];

	for (size_t i = 0; keys && i < n; i++)
		kek_id_split(needs[i]->id, name, keys[i].id, NULL);
	if (keys)
		p->ops->get(p, keys, n, &err);	/* each key tells for itself */
	for (size_t i = 0; i < n; i++) {
		struct kek_need *need = needs[i];

		need->trusted = !strcmp(p->ops->kind, "trusted");
		need->state = keys ? keys[i].state : PKS_UNKNOWN;
		if (!keys) {
			need->code = vmc_fail(&need->err, VMC_ENOMEM, "no memory for key '%s'", need->id);
		} else if (keys[i].material) {
			need->code = add(k, need->id, &keys[i], need->kcv, &need->err);
		} else if (keys[i].code) {
			need->code = keys[i].code;
			need->err = keys[i].err;
		} else {
			need->err = err;
			need->code = err.code ? err.code :
				     vmc_fail(&need->err, VMC_EINTERNAL, "provider '%s' gave no answer for key '%s'",
					      p->name, keys[i].id);
		}
		tell_audit("kek-fetch", p->name, need->id, NULL, keys && keys[i].material ? 0 : need->code,
			   &need->err);
	}
	if (keys) {
		keep_chunk(needs, keys, n, p);
		provider_keys_clear(keys, n);
	}
	free(keys);
}

static void all_fail(struct kek_need **needs, size_t n, const struct vmc_error *err)
{
	for (size_t i = 0; i < n; i++) {
		needs[i]->code = err->code;
		needs[i]->err = *err;
	}
}

/* Nobody answered for any of them. */
static bool out_of_reach(struct kek_need **needs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (needs[i]->code != VMC_EUNREACH && needs[i]->code != VMC_ETIMEDOUT &&
		    needs[i]->code != VMC_ETRUST)
			return false;
	return true;
}

/* All @needs are of the same provider. */
static void fetch_group(struct vmk *k, struct providers *ps, const char *provider,
			struct kek_need **needs, size_t n)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *p;
	size_t size;

	if (providers_get(ps, provider, &p, &err)) {
		all_fail(needs, n, &err);
		return;
	}
	for (size_t i = 0; i < n; i += size) {
		size = n - i < CHUNK ? n - i : CHUNK;
		fetch_chunk(k, p, needs + i, size);
		if (out_of_reach(needs + i, size)) {
			/* do not wait for the deadline once per chunk */
			all_fail(needs + i + size, n - i - size, &needs[i]->err);
			for (size_t j = i + size; j < n; j++)
				needs[j]->trusted = needs[i]->trusted;
			break;
		}
	}
	provider_put(p);
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(struct kek_need *const *)a)->id, (*(struct kek_need *const *)b)->id);
}

static size_t provider_len(const char *id)
{
	return strchr(id, '/') - id;
}

/* Sorted by id, so that those of one provider lie together, and so do repetitions of one key. */
static void fetch_sorted(struct vmk *k, struct providers *ps, struct kek_need **m, size_t n)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	size_t end;

	for (size_t i = 0; i < n; i = end) {
		size_t len = provider_len(m[i]->id);

		for (end = i + 1; end < n && !strncmp(m[end]->id, m[i]->id, len + 1); )
			end++;
		kek_id_split(m[i]->id, provider, key, NULL);
		fetch_group(k, ps, provider, m + i, end - i);
	}
}

/* @needs that repeat an earlier id get its result. */
static size_t unique(struct kek_need **m, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (!left || strcmp(m[left - 1]->id, m[i]->id))
			m[left++] = m[i];
	return left;
}

static void copy_results(struct kek_need *needs, size_t n, struct kek_need **m, size_t n_missing)
{
	for (size_t i = 0; i < n; i++) {
		struct kek_need *need = &needs[i], **hit;

		hit = bsearch(&need, m, n_missing, sizeof(*m), by_id);
		if (!hit || *hit == need)
			continue;
		need->code = (*hit)->code;
		need->state = (*hit)->state;
		need->trusted = (*hit)->trusted;
		need->err = (*hit)->err;
		memcpy(need->kcv, (*hit)->kcv, sizeof(need->kcv));
	}
}

static void refuse_all(struct kek_need **needs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct kek_need *need = needs[i];

		need->code = vmc_fail(&need->err, VMC_EPERM, "key '%s' is not on this host, and who asked may not have it fetched",
				      need->id);
		vmc_hint(&need->err, "have somebody who may register VMs type 'vmcrypt vm unlock --all'");
	}
}

static bool distrusts(struct providers *ps, const char *provider)
{
	struct provider *p;
	bool yes;

	if (providers_get(ps, provider, &p, NULL))
		return false;
	yes = p->ops->distrusts && p->ops->distrusts(p);
	provider_put(p);
	return yes;
}

/* What this host is refused now it does not have from before, either. */
static void drop_distrusted(struct vmk *k, struct providers *ps, const struct kek_need *needs, size_t n)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1], last[PROVIDER_NAME_MAX + 1] = "";

	for (size_t i = 0; i < n; i++) {
		if (kek_id_split(needs[i].id, provider, key, NULL) || !strcmp(provider, last))
			continue;
		if (distrusts(ps, provider))
			cache_drop(k, provider);
		snprintf(last, sizeof(last), "%s", provider);
	}
}

int cache_ensure(struct vmk *k, struct providers *ps, struct kek_need *needs, size_t n,
		 struct vmc_error *err)
{
	struct kek_need **missing = calloc(n ? n : 1, sizeof(*missing));
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	size_t n_missing = 0;

	if (!missing)
		return vmc_fail(err, VMC_ENOMEM, "no memory for %zu keys", n);
	drop_distrusted(k, ps, needs, n);
	for (size_t i = 0; i < n; i++) {
		struct kek_need *need = &needs[i];

		need->err = (struct vmc_error)VMC_ERROR_INIT;
		need->code = kek_id_split(need->id, provider, key, &need->err);
		if (!need->code && look(k, need))
			missing[n_missing++] = need;
	}
	qsort(missing, n_missing, sizeof(*missing), by_id);
	n_missing = unique(missing, n_missing);
	if (fetch_is_forbidden())
		refuse_all(missing, n_missing);
	else
		fetch_sorted(k, ps, missing, n_missing);
	for (size_t i = 0; i < n_missing; i++) {
		if (missing[i]->code)
			lapse_explain(missing[i]->id, &missing[i]->err);
		else
			lapse_forget(missing[i]->id);
	}
	copy_results(needs, n, missing, n_missing);
	free(missing);
	for (size_t i = 0; i < n; i++) {
		if (!needs[i].code)
			continue;
		if (err)
			*err = needs[i].err;
		return needs[i].code;
	}
	return 0;
}

int cache_create(struct vmk *k, struct providers *ps, const char *provider, const char *label,
		 char id[VMK_KEK_ID_MAX + 1], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct provider_key key = { .code = 0 };
	struct provider *p;
	int rc;

	rc = providers_get(ps, provider, &p, err);
	if (rc)
		return rc;
	rc = p->ops->create(p, label, key.id, err);
	snprintf(id, VMK_KEK_ID_MAX + 1, "%s/%s", p->name, rc ? "" : key.id);
	tell_audit("kek-create", p->name, rc ? "" : id, label, rc, err);
	if (!rc) {
		rc = p->ops->get(p, &key, 1, err);
		tell_audit("kek-fetch", p->name, id, NULL, rc, err);
	}
	if (!rc)
		rc = add(k, id, &key, kcv, err);
	if (!rc)
		keep(&(struct cache_key){ id, key.material, lease_of(&key) }, 1, p);
	provider_keys_clear(&key, 1);
	provider_put(p);
	return rc;
}

/* ---- leases of a provider -------------------------------------------------------- */

/* Ids of the keys of @provider that are in the kernel; @leased: with a lease. NULL: no memory, or no module. */
static struct provider_key *cached_of(struct vmk *k, const char *provider, bool leased, size_t *n)
{
	char name[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	struct provider_key *keys = NULL;
	struct vmk_kek *list = NULL;
	size_t n_list = 0;

	*n = 0;
	if (vmk_kek_list(k, &list, &n_list, NULL))
		return NULL;
	keys = calloc(n_list ? n_list : 1, sizeof(*keys));
	for (size_t i = 0; keys && i < n_list; i++) {
		if (kek_id_split(list[i].id, name, key, NULL) || strcmp(name, provider) || (leased && !list[i].has_lease))
			continue;
		memcpy(keys[(*n)++].id, key, sizeof(key));
	}
	free(list);
	return keys;
}

static void full_id(const char *provider, const char *key, char id[VMK_KEK_ID_MAX + 1])
{
	snprintf(id, VMK_KEK_ID_MAX + 1, "%s/%s", provider, key);
}

size_t cache_renew(struct vmk *k, struct provider *p)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char id[VMK_KEK_ID_MAX + 1];
	struct provider_key *keys;
	size_t n, size, before, renewed = 0;

	keys = cached_of(k, p->name, true, &n);
	for (size_t i = 0; keys && i < n; i += size) {
		size = n - i < CHUNK ? n - i : CHUNK;
		before = renewed;
		p->ops->get(p, keys + i, size, &err);
		for (size_t j = i; j < i + size; j++) {
			full_id(p->name, keys[j].id, id);
			renewed += keys[j].material && !add(k, id, &keys[j], NULL, &err);
		}
		provider_keys_clear(keys + i, size);
		if (renewed == before)	/* it gives none, and each asking may take its deadline */
			break;
	}
	free(keys);
	return renewed;
}

size_t cache_drop(struct vmk *k, const char *provider)
{
	char id[VMK_KEK_ID_MAX + 1];
	struct provider_key *keys;
	size_t n, gone = 0;

	keys = cached_of(k, provider, false, &n);
	for (size_t i = 0; keys && i < n; i++) {
		full_id(provider, keys[i].id, id);
		if (!vmk_kek_del(k, id, false, NULL))	/* what a running VM needs stays */
			gone++;
	}
	free(keys);
	return gone;
}
