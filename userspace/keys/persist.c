// SPDX-License-Identifier: GPL-2.0-or-later
/* Key persistence, see persist.h. */
#include "persist.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "cache.h"
#include "lapse.h"
#include "tpm/srk.h"
#include "tpm/store.h"
#include "tpm/tpm.h"

#define CHUNK		256	/* keys in the secure heap at a time */
#define SETTING_FILE	"persist"
#define SETTING_MAX	16

struct persist {
	struct vmc_config cfg;
	struct providers *ps;
	pthread_mutex_t lock;		/* the store and the fault */
	struct store *store;
	struct vmc_error fault;		/* code 0: all is well */
	bool refused;			/* the fault is that a trial failed */
	struct persist_hooks hooks;
};

/* ---- faults -------------------------------------------------------------- */

static void tell(struct persist *p, const struct vmc_error *err)
{
	bool was = p->fault.code;

	p->refused = false;
	if (err) {
		log_warn("key persistence: %s%s%s", err->text, err->hint[0] ? ". Hint: " : "", err->hint);
		p->fault = *err;
	} else {
		p->fault = (struct vmc_error)VMC_ERROR_INIT;
	}
	if (p->hooks.fault && (err || was))
		p->hooks.fault(err, p->hooks.data);
}

void persist_set_hooks(struct persist *p, const struct persist_hooks *hooks)
{
	pthread_mutex_lock(&p->lock);
	p->hooks = hooks ? *hooks : (struct persist_hooks){ NULL, NULL };
	if (p->hooks.fault)
		p->hooks.fault(p->fault.code ? &p->fault : NULL, p->hooks.data);
	pthread_mutex_unlock(&p->lock);
}

/* ---- which providers -------------------------------------------------------- */

static void setting_path(const struct persist *p, const char *provider, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/providers/%s/%s", p->cfg.config_dir, provider, SETTING_FILE);
}

/* What attested hosts only may have is not kept for whatever this host boots next. */
static bool is_trusted(const char *kind)
{
	return !strcmp(kind, "trusted");
}

static bool is_kept(const struct persist *p, const char *provider, const char *kind)
{
	char path[PATH_MAX], *text;
	bool on = strcmp(kind, "native") != 0;

	if (is_trusted(kind))
		return false;
	setting_path(p, provider, path);
	if (fs_read(path, SETTING_MAX, &text, NULL, NULL))
		return on;
	text[strcspn(text, "\n")] = '\0';
	if (!strcmp(text, "on") || !strcmp(text, "off"))
		on = !strcmp(text, "on");
	free(text);
	return on;
}

static bool is_of(const char *id, const char *provider)
{
	size_t n = strlen(provider);

	return !strncmp(id, provider, n) && id[n] == '/';
}

static void ids_free(char **ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
}

/* Under the lock. */
static int remove_of(struct persist *p, const char *provider, struct vmc_error *err)
{
	char **ids;
	size_t n, kept = 0;
	int rc;

	if (!store_is_open(p->store))
		return 0;
	rc = store_ids(p->store, &ids, &n, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (is_of(ids[i], provider)) {
			char *id = ids[i];

			ids[i] = ids[kept];
			ids[kept++] = id;
		}
	}
	rc = store_remove(p->store, (const char *const *)ids, kept, err);
	ids_free(ids, n);
	return rc;
}

static int refuse_trusted(struct persist *p, const char *provider, struct vmc_error *err)
{
	struct provider *pr;
	int rc = 0;

	if (providers_get(p->ps, provider, &pr, NULL))
		return 0;
	if (is_trusted(pr->ops->kind)) {
		rc = vmc_fail(err, VMC_ENOTSUP, "keys of '%s' are not kept on this host: it is a trusted key provider, whose keys are for hosts that are attested after each boot",
			      provider);
		vmc_hint(err, "a VM that must open without it can have a second provider: 'vmcrypt vm recrypt --shallow VM --add-provider NAME'");
	}
	provider_put(pr);
	return rc;
}

int persist_set_provider(struct persist *p, const char *provider, bool on, struct vmc_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int rc = 0;

	snprintf(dir, sizeof(dir), "%s/providers/%s", p->cfg.config_dir, provider);
	if (!vmc_name_ok(provider, PROVIDER_NAME_MAX) || access(dir, F_OK)) {
		vmc_fail(err, VMC_ENOENT, "there is no key provider '%.80s'", provider);
		vmc_hint(err, "'vmcrypt provider list' shows those there are");
		return VMC_ENOENT;
	}
	rc = on ? refuse_trusted(p, provider, err) : 0;
	if (rc)
		return rc;
	setting_path(p, provider, path);
	pthread_mutex_lock(&p->lock);
	rc = fs_replace(path, on ? "on\n" : "off\n", on ? 3 : 4, 0600, err);
	if (!rc && !on)
		rc = remove_of(p, provider, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* ---- what the cache tells ---------------------------------------------------- */

static void on_store(const struct cache_key *keys, size_t n, const char *provider, const char *kind, void *data)
{
	struct store_key *list = calloc(n ? n : 1, sizeof(*list));
	struct vmc_error err = VMC_ERROR_INIT;
	struct persist *p = data;

	pthread_mutex_lock(&p->lock);
	if (list && store_is_open(p->store) && is_kept(p, provider, kind)) {
		for (size_t i = 0; i < n; i++)
			list[i] = (struct store_key){ keys[i].id, keys[i].material, keys[i].lease };
		if (store_put(p->store, list, n, &err))
			tell(p, &err);
	}
	pthread_mutex_unlock(&p->lock);
	free(list);
}

static void on_forget(const char *id, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct persist *p = data;

	pthread_mutex_lock(&p->lock);
	if (store_is_open(p->store) && store_remove(p->store, &id, 1, &err))
		tell(p, &err);
	pthread_mutex_unlock(&p->lock);
}

/* With each check of health: that the seal does not open any more is told before a reboot that needs it. */
static void on_kept(struct kek_need *needs, size_t n, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct persist *p = data;

	pthread_mutex_lock(&p->lock);
	if (store_is_open(p->store) && store_is_enabled(p->store)) {
		if (store_try(p->store, &err)) {
			tell(p, &err);
			p->refused = true;
		} else {
			for (size_t i = 0; i < n; i++)
				needs[i].kept = store_has(p->store, needs[i].id);
			if (p->refused)
				tell(p, NULL);
		}
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- open, close, restore ------------------------------------------------------- */

int persist_open(struct persist **out, const struct vmc_config *cfg, struct providers *ps, struct vmc_error *err)
{
	struct persist *p = calloc(1, sizeof(*p));
	struct cache_sink sink = { on_store, on_forget, on_kept, p };
	int rc;

	if (!p)
		return vmc_fail(err, VMC_ENOMEM, "no memory for key persistence");
	p->cfg = *cfg;
	p->ps = ps;
	rc = store_new(&p->store, &p->cfg, err);
	if (rc) {
		free(p);
		return rc;
	}
	pthread_mutex_init(&p->lock, NULL);
	cache_set_lease(cfg->lease);
	cache_set_sink(&sink);
	*out = p;
	return 0;
}

void persist_close(struct persist *p)
{
	if (!p)
		return;
	cache_set_sink(NULL);
	store_free(p->store);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct restore {
	struct vmk *k;
	size_t n;
};

static int restore_one(const char *id, const uint8_t *material, uint32_t lease, void *data)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct restore *r = data;
	int rc = vmk_kek_new(r->k, id, material, lease, NULL, &err);

	if (!rc)
		r->n++;
	else if (rc != VMC_EEXIST)	/* one that the kernel does not take does not keep the others away */
		log_warn("key persistence: key '%s' is not restored: %s", id, err.text);
	return 0;
}

/* Under the lock. Those whose lease has ended are not in the store any more after that. */
static int restore_all(struct persist *p, struct restore *r, struct vmc_error *err)
{
	size_t n = 0, ended = 0;
	char **ids = NULL;
	int rc = store_ids(p->store, &ids, &n, err);

	if (!rc)
		rc = store_each(p->store, restore_one, r, err);
	for (size_t i = 0; !rc && i < n; i++) {
		if (store_has(p->store, ids[i]))
			continue;
		lapse_note(ids[i]);
		ended++;
	}
	if (ended)
		log_info("key persistence: %zu keys are not restored, since their lease has ended", ended);
	ids_free(ids, n);
	return rc;
}

size_t persist_restore(struct persist *p, struct vmk *k)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct restore r = { k, 0 };
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	if (store_is_enabled(p->store)) {
		rc = store_open(p->store, &err);
		if (!rc && !store_is_enabled(p->store))
			store_shut(p->store);
		else if (!rc && k)
			rc = restore_all(p, &r, &err);
		tell(p, rc && rc != VMC_ENOENT ? &err : NULL);
	}
	pthread_mutex_unlock(&p->lock);
	if (r.n)
		log_info("key persistence: %zu keys are back from the host's TPM", r.n);
	return r.n;
}

/* ---- fetching anew ----------------------------------------------------------------- */

struct fetched {
	json_t *failed;
	json_int_t stored;
};

static void note_failed(struct fetched *f, const char *id, const struct vmc_error *err)
{
	json_array_append_new(f->failed, json_pack("{s:s, s:s, s:s}", "key", id, "error", err->text, "hint", err->hint));
}

/* Under the lock. All of one provider. */
static void fetch_chunk(struct persist *p, struct provider *pr, char **ids, size_t n, struct fetched *f)
{
	struct provider_key *keys = calloc(n, sizeof(*keys));
	struct store_key *list = calloc(n, sizeof(*list));
	struct vmc_error err = VMC_ERROR_INIT;
	char name[PROVIDER_NAME_MAX + 1];
	size_t got = 0;

	if (keys && list) {
		for (size_t i = 0; i < n; i++)
			kek_id_split(ids[i], name, keys[i].id, NULL);
		pr->ops->get(pr, keys, n, &err);	/* each key tells for itself */
		for (size_t i = 0; i < n; i++) {
			if (keys[i].material)
				list[got++] = (struct store_key){ ids[i], keys[i].material, cache_lease() };
			else
				note_failed(f, ids[i], keys[i].code ? &keys[i].err : &err);
		}
		if (store_put(p->store, list, got, &err))
			for (size_t i = 0; i < got; i++)
				note_failed(f, list[i].id, &err);
		else
			f->stored += (json_int_t)got;
		provider_keys_clear(keys, n);
	}
	free(keys);
	free(list);
}

static void fetch_group(struct persist *p, const char *provider, char **ids, size_t n, struct fetched *f)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct provider *pr;

	if (providers_get(p->ps, provider, &pr, &err)) {
		for (size_t i = 0; i < n; i++)
			note_failed(f, ids[i], &err);
		return;
	}
	if (is_kept(p, provider, pr->ops->kind))
		for (size_t i = 0; i < n; i += CHUNK)
			fetch_chunk(p, pr, ids + i, n - i < CHUNK ? n - i : CHUNK, f);
	provider_put(pr);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Under the lock, the store is open. Those that are stored are left out. */
static void fetch_all(struct persist *p, char **ids, size_t n, struct fetched *f)
{
	char provider[PROVIDER_NAME_MAX + 1], key[PROVIDER_KEY_ID_MAX + 1];
	size_t end, left = 0;

	qsort(ids, n, sizeof(*ids), by_text);
	for (size_t i = 0; i < n; i++) {
		bool wanted = !store_has(p->store, ids[i]) && (!left || strcmp(ids[left - 1], ids[i])) &&
			      !kek_id_split(ids[i], provider, key, NULL);
		char *id = ids[i];

		ids[i] = ids[left];
		ids[left] = id;
		left += wanted;
	}
	for (size_t i = 0; i < left; i = end) {
		kek_id_split(ids[i], provider, key, NULL);
		for (end = i + 1; end < left && is_of(ids[end], provider); )
			end++;
		fetch_group(p, provider, ids + i, end - i, f);
	}
}

/* Append the ids of the kernel's keys to @ids. */
static int add_cached(struct vmk *k, char ***ids, size_t *n, struct vmc_error *err)
{
	struct vmk_kek *keks = NULL;
	size_t n_keks = 0;
	char **more;
	int rc = k ? vmk_kek_list(k, &keks, &n_keks, err) : 0;

	if (rc)
		return rc;
	more = realloc(*ids, (*n + n_keks + 1) * sizeof(*more));
	if (more)
		*ids = more;
	for (size_t i = 0; more && i < n_keks; i++) {
		more[*n] = strdup(keks[i].id);
		if (more[*n])
			(*n)++;
	}
	free(keks);
	return more ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for %zu key ids", n_keks);
}

/* The store is open. @ids is consumed. */
static int fill(struct persist *p, struct vmk *k, char **ids, size_t n, json_t **out, struct vmc_error *err)
{
	struct fetched f = { json_array(), 0 };
	int rc = add_cached(k, &ids, &n, err);

	if (!rc)
		fetch_all(p, ids, n, &f);
	ids_free(ids, n);
	*out = json_pack("{s:I, s:o}", "stored", f.stored, "failed", f.failed);
	return rc;
}

/* ---- verbs ---------------------------------------------------------------------------- */

int persist_enable(struct persist *p, struct vmk *k, json_t **out, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = store_enable(p->store, err);
	if (!rc) {
		tell(p, NULL);
		rc = fill(p, k, NULL, 0, out, err);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int persist_disable(struct persist *p, bool remove, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = remove ? store_erase(p->store, err) : store_disable(p->store, err);
	if (rc == VMC_ENOENT)	/* it is off */
		rc = 0;
	if (!rc)
		tell(p, NULL);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int renew(struct persist *p, struct vmk *k, bool new_tpm, json_t **out, struct vmc_error *err)
{
	char **ids = NULL;
	size_t n = 0;
	int rc;

	(void)store_ids(p->store, &ids, &n, NULL);	/* a damaged file: then what the kernel has */
	rc = store_renew(p->store, new_tpm, err);
	if (!rc)
		return fill(p, k, ids, n, out, err);
	ids_free(ids, n);
	return rc;
}

static int reseal(struct persist *p, struct vmk *k, const char *recovery_key, bool new_tpm, json_t **out,
		  struct vmc_error *err)
{
	int rc;

	if (!store_there(p->store) && new_tpm) {	/* else "enable" would refuse it for ever */
		rc = srk_unpin(&p->cfg, err);
		if (rc)
			return rc;
		vmc_fail(err, VMC_ESTATE, "the TPM that is there is this host's from now on; key persistence is not enabled, so there is nothing to seal anew");
		vmc_hint(err, "vmcrypt host persistence enable");
		return VMC_ESTATE;
	}
	if (!store_there(p->store)) {
		rc = vmc_fail(err, VMC_ESTATE, "key persistence is not enabled on this host");
		vmc_hint(err, "vmcrypt host persistence enable");
		return rc;
	}
	if (recovery_key)
		rc = store_recover(p->store, recovery_key, new_tpm, err);
	else if (!new_tpm && !store_open(p->store, NULL))
		rc = store_reseal(p->store, err);
	else
		return renew(p, k, new_tpm, out, err);
	return rc ? rc : fill(p, k, NULL, 0, out, err);
}

int persist_reseal(struct persist *p, struct vmk *k, const char *recovery_key, bool new_tpm, json_t **out,
		   struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = reseal(p, k, recovery_key, new_tpm, out, err);
	if (!rc)
		tell(p, NULL);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int persist_suspend(struct persist *p, unsigned int reboots, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = store_suspend(p->store, reboots, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

int persist_export_recovery(struct persist *p, bool again, char *text, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = store_export_recovery(p->store, again, text, err);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* ---- status -------------------------------------------------------------------------------- */

static json_t *describe_tpm(const struct vmc_config *cfg)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct tpm_facts f = { 0 };
	json_t *o;
	struct tpm t;
	int rc;

	rc = tpm_open(&t, cfg, &err);
	if (!rc)
		rc = tpm_facts(&t, &f, &err);
	tpm_close(&t);
	o = json_pack("{s:b, s:s}", "present", !rc, "tcti", cfg->tpm_tcti);
	if (rc) {
		json_object_set_new(o, "error", json_string(err.text));
		json_object_set_new(o, "hint", json_string(err.hint));
		return o;
	}
	json_object_set_new(o, "maker", json_string(f.maker));
	json_object_set_new(o, "locked_out", json_boolean(f.locked_out));
	json_object_set_new(o, "disabled", json_boolean(!f.owner_enabled));
	json_object_set_new(o, "owner_password", json_boolean(f.owner_password));
	return o;
}

static json_t *describe_providers(struct persist *p)
{
	json_t *list = NULL, *out = json_array(), *o;
	size_t i;

	if (providers_list(p->ps, &list, NULL))
		return out;
	json_array_foreach(list, i, o) {
		const char *name = json_string_value(json_object_get(o, "name"));
		const char *kind = json_string_value(json_object_get(o, "kind"));

		if (name && kind)
			json_array_append_new(out, json_pack("{s:s, s:s, s:b}", "name", name, "kind", kind,
							     "persist", is_kept(p, name, kind)));
	}
	json_decref(list);
	return out;
}

int persist_status(struct persist *p, json_t **out, struct vmc_error *err)
{
	struct store_status st;
	json_t *o;

	pthread_mutex_lock(&p->lock);
	store_status(p->store, true, &st);
	o = json_pack("{s:b, s:b, s:b, s:I, s:s, s:i, s:b, s:b, s:I, s:o, s:o}", "enabled", st.enabled,
		      "stored", st.there, "open", st.open, "keys", (json_int_t)st.keys, "policy", st.policy,
		      "reboots_left", (int)st.reboots_left, "recovery_key_exported", st.recovery_exported,
		      "count_put_off", st.count_put_off, "generation", (json_int_t)st.generation,
		      "tpm", describe_tpm(&p->cfg), "providers", describe_providers(p));
	if (o && p->fault.code) {
		json_object_set_new(o, "error", json_string(p->fault.text));
		json_object_set_new(o, "hint", json_string(p->fault.hint));
		json_object_set_new(o, "code", json_string(vmc_code_name(p->fault.code)));
	}
	pthread_mutex_unlock(&p->lock);
	*out = o;
	return o ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory for the status of key persistence");
}
