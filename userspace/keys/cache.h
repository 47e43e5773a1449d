/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KEK cache is the kernel's; this brings into it what is missing, from the providers. */
#ifndef VMC_KEYS_CACHE_H
#define VMC_KEYS_CACHE_H

#include "../kernel/client.h"
#include "provider.h"

struct kek_need {
	char id[VMK_KEK_ID_MAX + 1];	/* provider/key-id */
	/* out */
	bool was_cached;
	uint8_t kcv[VMK_KCV_LEN];
	enum provider_key_state state;	/* on the provider; PKS_UNKNOWN when it was not asked or did not say */
	bool kept;			/* by cache_kept() */
	bool trusted;			/* the provider is one that gives keys to attested hosts only */
	int code;			/* 0, VMC_ENOKEY, VMC_EKEYSTATE, VMC_EUNREACH, VMC_ENOENT (unknown provider) ... */
	struct vmc_error err;
};

/*
 * Make each KEK present in the kernel: looks there first (no server is asked
 * for a cached key; but those of a provider that refuses this host go first,
 * and it is asked again), groups the rest by provider, fetches in batches,
 * adds, wipes. Returns 0 when all are there, else the first failing code, with
 * each need's own code and text filled in.
 */
int cache_ensure(struct vmk *k, struct providers *ps, struct kek_need *needs, size_t n, struct vmc_error *err);
/* New KEK on a provider (NULL: default), into the cache; @id gets "provider/key-id". */
int cache_create(struct vmk *k, struct providers *ps, const char *provider, const char *label,
		 char id[VMK_KEK_ID_MAX + 1], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);
/* How long keys stay that come into the cache from now on: seconds, 0 until a reboot. VMs that are on run on. */
void cache_set_lease(uint32_t seconds);
uint32_t cache_lease(void);

/*
 * Fetch the keys of @p anew that are in the kernel with a lease, so that it begins anew. Stops at the first that is not to
 * be had: what ends, ends. How many were renewed.
 */
size_t cache_renew(struct vmk *k, struct provider *p);
/* @provider does not trust this host any more: its keys go, but for those that running VMs need. How many went. */
size_t cache_drop(struct vmk *k, const char *provider);

/* A key that the operator took out of the cache: whoever keeps it forgets it. */
void cache_forget(const char *id);

/* Which of @needs would be back in the cache after a reboot with no provider: what keeps them is tried for that. */
void cache_kept(struct kek_need *needs, size_t n);

/* Who is told of keys that come into the cache, and of those that are to be forgotten; see persist.h. */
struct cache_key {
	const char *id;
	const uint8_t *material;	/* secure heap */
	uint32_t lease;			/* seconds, 0 none */
};
struct cache_sink {
	/* All of one provider. From any thread; must not call back into the cache. */
	void (*store)(const struct cache_key *keys, size_t n, const char *provider, const char *kind, void *data);
	void (*forget)(const char *id, void *data);
	void (*kept)(struct kek_need *needs, size_t n, void *data);
	void *data;
};
/* One in a process; NULL: none. Returns when the one from before is not being told any more. */
void cache_set_sink(const struct cache_sink *sink);

/* "provider/key-id" in its two parts; the key id may itself contain '/'. */
int kek_id_split(const char *id, char provider[PROVIDER_NAME_MAX + 1], char key[PROVIDER_KEY_ID_MAX + 1],
		 struct vmc_error *err);

#endif
