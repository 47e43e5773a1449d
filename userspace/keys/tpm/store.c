// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys kept over reboots: the file and its counter. See store.h; the seal is in store_seal.c. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "counter.h"
#include "srk.h"
#include "store_priv.h"

int store_new(struct store **out, const struct vmc_config *cfg, struct vmc_error *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the stored keys");
	s->cfg = cfg;
	snprintf(s->dir, sizeof(s->dir), "%s/persist", cfg->state_dir);
	*out = s;
	return 0;
}

void store_path(const struct store *s, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", s->dir, name);
}

bool store_has_file(const struct store *s, const char *name)
{
	char path[PATH_MAX];

	store_path(s, name, path);
	return !access(path, F_OK);
}

int store_unlink(const struct store *s, const char *name, struct vmc_error *err)
{
	char path[PATH_MAX];

	store_path(s, name, path);
	return store_has_file(s, name) ? fs_unlink(path, err) : 0;
}

bool store_there(const struct store *s)
{
	return store_has_file(s, FILE_MASTER) || store_has_file(s, FILE_NEW) || store_has_file(s, FILE_KEYS);
}

bool store_is_open(const struct store *s)
{
	return s->master;
}

int store_tpm(struct store *s, struct tpm *t, bool pin, struct vmc_error *err)
{
	int rc = tpm_open(t, s->cfg, err);

	return rc ? rc : srk_open(t, pin, err);
}

int store_learn_clock(struct store *s, struct tpm *t, struct vmc_error *err)
{
	struct tpm_clock c;
	int rc = tpm_clock(t, &c, err);

	if (rc)
		return rc;
	/* After a power cut the TPM may have lost some of the time that it told before. */
	s->clock = c.ms > s->f.clock ? c.ms : s->f.clock;
	s->clock_at = vmc_now_ms();
	return 0;
}

static uint64_t clock_now(const struct store *s)
{
	return s->clock + (vmc_now_ms() - s->clock_at);
}

/* ---- the file ------------------------------------------------------------- */

int store_read(struct store *s, struct vmc_error *err)
{
	char path[PATH_MAX], *data;
	size_t len;
	int rc;

	store_path(s, FILE_KEYS, path);
	rc = fs_read(path, KEYFILE_MAX, &data, &len, err);
	if (rc)
		return rc;
	rc = keyfile_parse((const uint8_t *)data, len, &s->f, err);
	free(data);
	return rc;
}

int store_write(struct store *s, struct vmc_error *err)
{
	char path[PATH_MAX];
	uint8_t *data;
	size_t len;
	int rc;

	s->f.clock = clock_now(s);
	rc = keyfile_write(&s->f, s->master, &data, &len, err);
	if (rc)
		return rc;
	store_path(s, FILE_KEYS, path);
	rc = fs_replace(path, data, len, 0600, err);
	free(data);
	return rc;
}

int store_count_up(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc;

	fs_crashpoint("count of stored keys");
	rc = counter_increment(t, store_nv(s), &s->counter, err);
	if (rc || s->counter == s->f.generation)
		return rc;
	s->f.generation = s->counter;	/* somebody else counted, too */
	return store_write(s, err);
}

/* What is in memory is not to be ahead of what is on disk. */
static void go_back(struct store *s)
{
	keyfile_clear(&s->f);
	if (store_read(s, NULL) || keyfile_check(&s->f, s->master, NULL))
		store_shut(s);
}

/* The generation that what is changed now will have. */
static void begin_change(struct store *s)
{
	if (s->f.generation == s->counter)
		s->f.generation++;
}

/* @needed: the change takes something away. */
static int end_change(struct store *s, bool needed, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	struct tpm t;
	int rc;

	rc = store_write(s, err);
	if (rc) {
		go_back(s);
		return rc;
	}
	if (!bucket_take(&s->bucket, vmc_now_ms(), needed))
		return 0;
	rc = store_tpm(s, &t, false, &why);
	if (!rc)
		rc = store_count_up(s, &t, &why);
	tpm_close(&t);
	if (rc)	/* the file is right; the count is made up for later */
		log_warn("the TPM did not count a change of the stored keys: %s", why.text);
	return 0;
}

void store_shut(struct store *s)
{
	secmem_free(s->master, KEYFILE_KEY_LEN);
	s->master = NULL;
}

void store_free(struct store *s)
{
	struct tpm t;

	if (!s)
		return;
	if (s->master && s->f.generation != s->counter) {
		if (!store_tpm(s, &t, false, NULL))
			(void)store_count_up(s, &t, NULL);
		tpm_close(&t);
	}
	store_shut(s);
	keyfile_clear(&s->f);
	free(s);
}

/* ---- open -------------------------------------------------------------------- */

int store_check_generation(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc = counter_read(t, store_nv(s), &s->counter, err);

	if (rc || s->f.generation == s->counter)
		return rc;
	if (s->f.generation == s->counter + 1)	/* killed in between, or put off */
		return store_count_up(s, t, err);
	vmc_fail(err, VMC_EREPLAY, "the stored keys in '%s' are not the latest: state %llu, and the TPM has counted to %llu",
		 s->dir, (unsigned long long)s->f.generation, (unsigned long long)s->counter);
	vmc_hint(err, "an old state folder was put back; none of it is used. vmcrypt host persistence reseal takes the keys from their providers anew");
	return VMC_EREPLAY;
}

static int open_with(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc = store_tpm(s, t, false, err);

	if (!rc)
		rc = store_unseal(s, t, err);
	if (!rc)
		rc = keyfile_check(&s->f, s->master, err);
	if (!rc)
		rc = store_learn_clock(s, t, err);
	if (!rc)
		rc = store_check_generation(s, t, err);
	return rc ? rc : store_end_suspension(s, t, err);
}

static int nothing_there(const struct store *s, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOENT, "no keys are stored in '%s'", s->dir);
	vmc_hint(err, "vmcrypt host persistence enable");
	return VMC_ENOENT;
}

int store_open(struct store *s, struct vmc_error *err)
{
	struct tpm t;
	int rc;

	if (s->master)
		return 0;
	if (store_has_file(s, FILE_UNFINISHED)) {
		rc = store_erase(s, err);
		if (rc)
			return rc;
	}
	fs_remove_temps(s->dir, NULL);
	if (!store_there(s)) {
		rmdir(s->dir);	/* of one that was killed as it began */
		return nothing_there(s, err);
	}
	keyfile_clear(&s->f);
	rc = store_read(s, err);
	if (rc)
		return rc;
	rc = open_with(s, &t, err);
	tpm_close(&t);
	if (rc)
		store_shut(s);
	return rc;
}

static int try_with(struct store *s, struct tpm *t, struct vmc_error *err)
{
	struct store copy = { .cfg = s->cfg };
	struct vmc_error why = VMC_ERROR_INIT;
	int rc = store_tpm(s, t, false, err);

	memcpy(copy.dir, s->dir, sizeof(copy.dir));
	if (!rc)
		rc = store_unseal(&copy, t, err);
	if (!rc && CRYPTO_memcmp(copy.master, s->master, KEYFILE_KEY_LEN))
		rc = vmc_fail(err, VMC_EAUTH, "what is sealed in '%s' is not the key of the stored keys", s->dir);
	store_shut(&copy);
	if (!rc && s->f.generation != s->counter && bucket_take(&s->bucket, vmc_now_ms(), false) &&
	    store_count_up(s, t, &why))
		log_warn("the TPM did not count a change of the stored keys: %s", why.text);
	return rc;
}

int store_try(struct store *s, struct vmc_error *err)
{
	struct tpm t;
	int rc;

	if (!s->master)
		return store_open(s, err);
	rc = try_with(s, &t, err);
	tpm_close(&t);
	return rc;
}

bool store_is_enabled(const struct store *s)
{
	struct store copy = *s;
	bool enabled;

	if (s->master)
		return s->f.enabled;
	if (!store_there(s) || store_has_file(s, FILE_UNFINISHED))
		return false;
	copy.f = (struct keyfile){ 0 };
	enabled = store_read(&copy, NULL) || copy.f.enabled;	/* a damaged one is to be complained about */
	keyfile_clear(&copy.f);
	return enabled;
}

/* ---- enable, disable, erase ------------------------------------------------------ */

static int mark_unfinished(struct store *s, struct vmc_error *err)
{
	char path[PATH_MAX];
	int rc = fs_mkdirs(s->dir, 0700, err);

	store_path(s, FILE_UNFINISHED, path);
	return rc ? rc : fs_replace(path, "", 0, 0600, err);
}

static int make(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc;

	keyfile_clear(&s->f);
	s->f.enabled = true;
	if (RAND_bytes(s->f.id, sizeof(s->f.id)) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "no random numbers");
	rc = store_new_master(s, err);
	if (!rc)
		rc = store_learn_clock(s, t, err);
	if (!rc)
		rc = mark_unfinished(s, err);
	if (!rc)
		rc = store_establish(s, t, err);
	return rc ? rc : store_unlink(s, FILE_UNFINISHED, err);
}

static int enable_again(struct store *s, struct vmc_error *err)
{
	int rc = store_open(s, err);

	if (rc || s->f.enabled)
		return rc;
	begin_change(s);
	s->f.enabled = true;
	return end_change(s, true, err);
}

int store_enable(struct store *s, struct vmc_error *err)
{
	struct vmc_error later = VMC_ERROR_INIT;
	struct tpm t;
	int rc;

	if (store_there(s) && !store_has_file(s, FILE_UNFINISHED))
		return enable_again(s, err);
	rc = store_tpm(s, &t, true, err);
	if (!rc)
		rc = make(s, &t, err);
	tpm_close(&t);
	if (!rc)
		return 0;
	store_shut(s);
	if (store_has_file(s, FILE_UNFINISHED) && store_erase(s, &later))
		log_warn("what was begun to be made in '%s' is not all removed: %s", s->dir, later.text);
	rmdir(s->dir);
	return rc;
}

int store_disable(struct store *s, struct vmc_error *err)
{
	int rc = store_open(s, err);

	if (rc) {
		if (err && rc != VMC_ENOENT)
			vmc_hint(err, "vmcrypt host persistence disable --remove-all-stored-keys works without opening it");
		return rc;
	}
	if (s->f.enabled) {
		begin_change(s);
		s->f.enabled = false;
		rc = end_change(s, true, err);
	}
	store_shut(s);
	return rc;
}

/* 0 also when the TPM is not the one it was: then nothing of ours is in it. */
static int erase_counters(struct store *s, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	uint64_t value;
	struct tpm t;
	int rc;

	rc = store_tpm(s, &t, false, &why);
	if (!rc) {
		/* first: from here on no copy of the sealed master key opens, wherever it is */
		(void)counter_increment(&t, store_nv(s) + 1, &value, NULL);
		rc = counter_remove(&t, store_nv(s) + 1, &why);
	}
	if (!rc)
		rc = counter_remove(&t, store_nv(s), &why);
	tpm_close(&t);
	if (rc == VMC_ENOTPM || rc == VMC_ETPMCLEARED || rc == VMC_ETPMROOT) {
		log_warn("no counter was removed from the TPM: %s", why.text);
		return 0;
	}
	if (rc && err)
		*err = why;
	return rc;
}

int store_erase(struct store *s, struct vmc_error *err)
{
	static const char *const files[] = {
		FILE_MASTER, FILE_NEW, FILE_SUSPENDED, FILE_RECOVERY, FILE_KEYS,
	};
	int rc;

	if (access(s->dir, F_OK))
		return 0;
	rc = mark_unfinished(s, err);
	if (!rc)
		rc = erase_counters(s, err);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(files); i++)
		rc = store_unlink(s, files[i], err);
	if (!rc)
		rc = fs_remove_temps(s->dir, err);
	if (!rc)
		rc = store_unlink(s, FILE_UNFINISHED, err);
	if (rc)
		return rc;
	store_shut(s);
	keyfile_clear(&s->f);
	if (rmdir(s->dir) && errno != ENOTEMPTY)
		return vmc_fail_errno(err, errno, "cannot remove folder '%s'", s->dir);
	return 0;
}

/* ---- keys --------------------------------------------------------------------------- */

static int need_open(const struct store *s, struct vmc_error *err)
{
	if (s->master)
		return 0;
	vmc_fail(err, VMC_ESTATE, "the stored keys in '%s' are not open", s->dir);
	vmc_hint(err, "vmcrypt host persistence status tells why");
	return VMC_ESTATE;
}

static int put_one(struct store *s, const struct store_key *k, struct vmc_error *err)
{
	struct record *r;
	int rc = keyfile_add(&s->f, k->id, &r, err);

	if (rc)
		return rc;
	r->generation = s->f.generation;
	r->end_clock = k->lease ? clock_now(s) + k->lease * 1000ull : 0;
	r->end_time = k->lease ? vmc_time() + k->lease : 0;
	return record_seal(&s->f, r, s->master, k->material, err);
}

/* The same key, without a lease then and now: nothing to write. */
static bool is_known(const struct store *s, const struct store_key *k)
{
	const struct record *r = keyfile_find(&s->f, k->id);
	uint8_t *old;
	bool known;

	if (!r || k->lease || r->end_clock || r->end_time)
		return false;
	old = secmem_alloc(KEYFILE_KEY_LEN);
	known = old && !record_open(&s->f, r, s->master, old, NULL) && !memcmp(old, k->material, KEYFILE_KEY_LEN);
	secmem_free(old, KEYFILE_KEY_LEN);
	return known;
}

int store_put(struct store *s, const struct store_key *keys, size_t n, struct vmc_error *err)
{
	size_t changed = 0;
	int rc = need_open(s, err);

	for (size_t i = 0; !rc && i < n; i++) {
		if (is_known(s, &keys[i]))
			continue;
		if (!changed++)
			begin_change(s);
		rc = put_one(s, &keys[i], err);
	}
	if (rc && changed)
		go_back(s);
	return !rc && changed ? end_change(s, false, err) : rc;
}

int store_remove(struct store *s, const char *const *ids, size_t n, struct vmc_error *err)
{
	size_t changed = 0;
	int rc = need_open(s, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct record *r = keyfile_find(&s->f, ids[i]);

		if (!r)
			continue;
		if (!changed++)
			begin_change(s);
		keyfile_remove(&s->f, r);
	}
	return changed ? end_change(s, true, err) : 0;
}

/* What is left of the lease in seconds; 0: none; -1: it has ended. The earlier of the two ends holds. */
static int64_t lease_left(const struct store *s, const struct record *r)
{
	uint64_t now = clock_now(s);
	int64_t by_time, by_clock;

	if (!r->end_clock && !r->end_time)
		return 0;
	by_time = r->end_time - vmc_time();
	by_clock = r->end_clock > now ? (int64_t)((r->end_clock - now) / 1000) : 0;
	if (by_clock < by_time)
		by_time = by_clock;
	return by_time > 0 ? by_time : -1;
}

static void drop_ended(struct store *s)
{
	struct vmc_error err = VMC_ERROR_INIT;
	size_t kept = 0;

	begin_change(s);
	for (size_t i = 0; i < s->f.n; i++)
		if (lease_left(s, &s->f.records[i]) >= 0)
			s->f.records[kept++] = s->f.records[i];
	s->f.n = kept;
	if (end_change(s, true, &err))
		log_warn("stored keys whose lease has ended are still there: %s", err.text);
}

int store_each(struct store *s, store_fn fn, void *data, struct vmc_error *err)
{
	uint8_t *key = secmem_alloc(KEYFILE_KEY_LEN);
	bool ended = false;
	int rc = need_open(s, err);

	if (!rc && !key)
		rc = vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	for (size_t i = 0; !rc && i < s->f.n; i++) {
		const struct record *r = &s->f.records[i];
		int64_t left = lease_left(s, r);

		if (left < 0) {
			ended = true;
			continue;
		}
		rc = record_open(&s->f, r, s->master, key, err);
		if (!rc)
			rc = fn(r->id, key, left > UINT32_MAX ? UINT32_MAX : (uint32_t)left, data);
	}
	secmem_free(key, KEYFILE_KEY_LEN);
	if (ended)
		drop_ended(s);
	return rc;
}

size_t store_count(const struct store *s)
{
	return s->f.n;
}

bool store_has(const struct store *s, const char *id)
{
	const struct record *r = keyfile_find(&s->f, id);

	return r && lease_left(s, r) >= 0;
}

int store_ids(struct store *s, char ***out, size_t *n, struct vmc_error *err)
{
	struct store copy = *s;
	char **ids;
	int rc = 0;

	*out = NULL;
	*n = 0;
	if (!s->master) {
		copy.f = (struct keyfile){ 0 };
		rc = store_read(&copy, err);
		if (rc)
			return rc;
	}
	ids = calloc(copy.f.n + 1, sizeof(*ids));
	for (size_t i = 0; ids && i < copy.f.n; i++) {
		ids[i] = strdup(copy.f.records[i].id);
		if (!ids[i])
			break;
		(*n)++;
	}
	if (!ids || *n != copy.f.n)
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for %zu key ids", copy.f.n);
	if (!s->master)
		keyfile_clear(&copy.f);
	*out = ids;
	return rc;
}
