// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys kept over reboots: the seal of their master key. See store.h. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "counter.h"
#include "seal.h"
#include "srk.h"
#include "store_priv.h"

int store_new_master(struct store *s, struct vmc_error *err)
{
	if (!s->master)
		s->master = secmem_alloc(KEYFILE_KEY_LEN);
	if (!s->master)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	if (RAND_priv_bytes(s->master, KEYFILE_KEY_LEN) == 1)
		return 0;
	return vmc_fail(err, VMC_EINTERNAL, "no random numbers");
}

static int seal_to_file(struct store *s, struct tpm *t, const struct seal_policy *p, const char *name,
			struct vmc_error *err)
{
	uint8_t blob[BLOB_MAX];
	char path[PATH_MAX];
	size_t len;
	int rc;

	rc = tpm_seal(t, p, s->master, KEYFILE_KEY_LEN, blob, &len, err);
	store_path(s, name, path);
	return rc ? rc : fs_replace(path, blob, len, 0600, err);
}

static int read_blob(const struct store *s, const char *name, char **data, size_t *len, struct vmc_error *err)
{
	char path[PATH_MAX];

	store_path(s, name, path);
	return fs_read(path, BLOB_MAX, data, len, err);
}

static int read_policy(const struct store *s, const char *name, struct blob *b)
{
	char *data;
	size_t len;
	int rc = read_blob(s, name, &data, &len, NULL);

	if (rc)
		return rc;
	rc = blob_parse((const uint8_t *)data, len, b, NULL);
	free(data);
	return rc;
}

uint32_t store_nv(const struct store *s)
{
	struct blob b;

	if (!read_policy(s, FILE_MASTER, &b) && b.policy.epoch_index)
		return b.policy.epoch_index - 1;
	return s->cfg->tpm_nv_index;
}

static uint32_t epoch_index(const struct store *s)
{
	return store_nv(s) + 1;
}

static int take_new(struct store *s, struct vmc_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc;

	store_path(s, FILE_NEW, from);
	store_path(s, FILE_MASTER, to);
	rc = fs_rename(from, to, err);
	return rc ? rc : store_unlink(s, FILE_SUSPENDED, err);
}

/* Let file and counter meet anew: what they were before has no say. */
static int establish_file(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc = counter_read(t, store_nv(s), &s->counter, err);

	s->f.generation = s->counter + 1;
	if (!rc)
		rc = store_write(s, err);
	return rc ? rc : store_count_up(s, t, err);
}

int store_establish(struct store *s, struct tpm *t, struct vmc_error *err)
{
	struct seal_policy p;
	uint64_t epoch;
	int rc;

	rc = policy_from_config(s->cfg, &p, err);
	if (!rc)
		rc = counter_make(t, store_nv(s), NULL, err);
	if (!rc)
		rc = counter_make(t, epoch_index(s), NULL, err);
	if (!rc)
		rc = counter_read(t, epoch_index(s), &epoch, err);
	if (rc)
		return rc;
	p.epoch_index = epoch_index(s);
	p.epoch = epoch + 1;
	rc = seal_to_file(s, t, &p, FILE_NEW, err);
	if (rc)
		return rc;
	fs_crashpoint("epoch of the seal");
	rc = counter_increment(t, epoch_index(s), &epoch, err);
	if (!rc && epoch != p.epoch)
		rc = vmc_fail(err, VMC_EBUSY, "somebody else counts with the counter 0x%x of the TPM", epoch_index(s));
	if (!rc)
		rc = take_new(s, err);
	return rc ? rc : establish_file(s, t, err);
}

/* A kill between sealing for the next epoch and the end of it: forward if the epoch counted, else back. */
static int finish_reseal(struct store *s, struct tpm *t, struct vmc_error *err)
{
	struct blob b;
	uint64_t epoch;
	int rc;

	if (!store_has_file(s, FILE_NEW))
		return 0;
	rc = counter_read(t, epoch_index(s), &epoch, err);
	if (rc)
		return rc;
	if (!read_policy(s, FILE_NEW, &b) && b.policy.epoch == epoch)
		return take_new(s, err);
	return store_unlink(s, FILE_NEW, err);
}

static int unseal_file(struct store *s, struct tpm *t, const char *name, struct vmc_error *err)
{
	uint8_t *secret = secmem_alloc(SEAL_MAX);
	size_t len, n = 0;
	char *data;
	int rc;

	if (!secret)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = read_blob(s, name, &data, &len, err);
	if (!rc) {
		rc = tpm_unseal(t, s->cfg, (const uint8_t *)data, len, secret, &n, err);
		free(data);
	}
	if (!rc && n != KEYFILE_KEY_LEN)
		rc = vmc_fail(err, VMC_EINVAL, "'%s/%s' does not hold a key", s->dir, name);
	if (!rc)
		rc = store_new_master(s, err);
	if (!rc)
		memcpy(s->master, secret, KEYFILE_KEY_LEN);
	secmem_free(secret, SEAL_MAX);
	return rc;
}

int store_unseal(struct store *s, struct tpm *t, struct vmc_error *err)
{
	int rc = finish_reseal(s, t, err);

	if (!rc)
		rc = unseal_file(s, t, FILE_MASTER, err);
	if (rc != VMC_ETPMPOLICY || !store_has_file(s, FILE_SUSPENDED))
		return rc;
	rc = unseal_file(s, t, FILE_SUSPENDED, err);
	if (!rc)
		log_info("this host booted something else than what its keys were sealed to, as was announced");
	return rc;
}

/* ---- suspension --------------------------------------------------------------- */

int store_end_suspension(struct store *s, struct tpm *t, struct vmc_error *err)
{
	struct tpm_clock c;
	struct blob b;
	int rc;

	if (!store_has_file(s, FILE_SUSPENDED))
		return 0;
	rc = tpm_clock(t, &c, err);
	if (rc)
		return rc;
	if (!read_policy(s, FILE_SUSPENDED, &b) && c.resets < b.policy.max_resets)
		return 0;
	log_info("the suspension of the seal ends with this start of the host: sealing to what it booted");
	return store_establish(s, t, err);
}

static int need_open(const struct store *s, struct vmc_error *err)
{
	if (s->master)
		return 0;
	vmc_fail(err, VMC_ESTATE, "the stored keys in '%s' are not open", s->dir);
	vmc_hint(err, "vmcrypt host persistence status tells why; reseal takes the keys from their providers anew");
	return VMC_ESTATE;
}

int store_suspend(struct store *s, unsigned int reboots, struct vmc_error *err)
{
	struct seal_policy p = { .kind = POLICY_OPEN, .epoch_index = epoch_index(s) };
	struct tpm_clock c;
	struct tpm t;
	int rc = need_open(s, err);

	if (rc)
		return rc;
	if (!reboots || reboots > STORE_REBOOTS_MAX)
		return vmc_fail(err, VMC_EINVAL, "the seal can be suspended for 1 to %u reboots, not %u",
				STORE_REBOOTS_MAX, reboots);
	rc = store_tpm(s, &t, false, err);
	if (!rc)
		rc = tpm_clock(&t, &c, err);
	if (!rc)
		rc = counter_read(&t, epoch_index(s), &p.epoch, err);
	if (!rc) {
		p.max_resets = c.resets + reboots;
		rc = seal_to_file(s, &t, &p, FILE_SUSPENDED, err);
	}
	tpm_close(&t);
	return rc;
}

/* ---- reseal and renew ------------------------------------------------------------ */

int store_reseal(struct store *s, struct vmc_error *err)
{
	struct tpm t;
	int rc = need_open(s, err);

	if (rc)
		return rc;
	rc = store_tpm(s, &t, false, err);
	if (!rc)
		rc = store_establish(s, &t, err);
	tpm_close(&t);
	return rc;
}

/* The TPM that is there now, be it the one it was or not. */
static int meet_tpm(struct store *s, struct tpm *t, bool new_tpm, struct vmc_error *err)
{
	int rc = tpm_open(t, s->cfg, err);

	if (!rc && new_tpm)
		rc = srk_unpin(s->cfg, err);
	if (!rc)
		rc = srk_open(t, true, err);
	return rc ? rc : store_learn_clock(s, t, err);
}

int store_renew(struct store *s, bool new_tpm, struct vmc_error *err)
{
	struct tpm t;
	int rc;

	keyfile_clear(&s->f);
	s->f.enabled = true;
	if (RAND_bytes(s->f.id, sizeof(s->f.id)) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "no random numbers");
	rc = meet_tpm(s, &t, new_tpm, err);
	if (!rc)
		rc = fs_mkdirs(s->dir, 0700, err);
	if (!rc)
		rc = store_new_master(s, err);
	if (!rc)
		rc = store_unlink(s, FILE_RECOVERY, err);
	if (!rc)
		rc = store_establish(s, &t, err);
	tpm_close(&t);
	if (rc)
		store_shut(s);
	return rc;
}

/* ---- recovery ----------------------------------------------------------------------- */

static int export_with(struct store *s, uint8_t *key, char *text, struct vmc_error *err)
{
	uint8_t file[RECOVERY_FILE];
	char path[PATH_MAX];
	int rc;

	if (RAND_priv_bytes(key, RECOVERY_KEY) != 1)
		return vmc_fail(err, VMC_EINTERNAL, "no random numbers");
	rc = recovery_wrap(key, s->master, file, err);
	store_path(s, FILE_RECOVERY, path);
	if (!rc)
		rc = fs_replace(path, file, sizeof(file), 0600, err);
	if (!rc)
		recovery_format(key, text);
	return rc;
}

int store_export_recovery(struct store *s, bool again, char *text, struct vmc_error *err)
{
	uint8_t *key;
	int rc = need_open(s, err);

	if (rc)
		return rc;
	if (!again && store_has_file(s, FILE_RECOVERY)) {
		vmc_fail(err, VMC_ESTATE, "the recovery key was exported before, and is kept nowhere");
		vmc_hint(err, "vmcrypt host persistence recovery-key --force makes a new one; the old one opens nothing then");
		return VMC_ESTATE;
	}
	key = secmem_alloc(RECOVERY_KEY);
	if (!key)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = export_with(s, key, text, err);
	secmem_free(key, RECOVERY_KEY);
	return rc;
}

static int open_by_key(struct store *s, const char *text, struct vmc_error *err)
{
	uint8_t *key = secmem_alloc(RECOVERY_KEY);
	char path[PATH_MAX], *data = NULL;
	size_t len = 0;
	int rc;

	if (!key)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = recovery_parse(text, key, err);
	store_path(s, FILE_RECOVERY, path);
	if (!rc) {
		rc = fs_read(path, RECOVERY_FILE, &data, &len, err);
		if (rc == VMC_ENOENT)
			vmc_fail(err, VMC_ENOENT, "no recovery key was ever exported for the stored keys in '%s'", s->dir);
	}
	if (!rc)
		rc = store_new_master(s, err);
	if (!rc)
		rc = recovery_unwrap(key, (const uint8_t *)data, len, s->master, err);
	free(data);
	secmem_free(key, RECOVERY_KEY);
	return rc;
}

/* A TPM that was cleared or replaced has no counter, and nothing to say. */
static int refuse_replay(struct store *s, struct tpm *t, struct vmc_error *err)
{
	uint64_t value;

	if (counter_read(t, store_nv(s), &value, NULL) == VMC_ENOENT)
		return 0;
	return store_check_generation(s, t, err);
}

int store_recover(struct store *s, const char *text, bool new_tpm, struct vmc_error *err)
{
	struct tpm t;
	int rc;

	store_shut(s);
	keyfile_clear(&s->f);
	rc = store_read(s, err);
	if (!rc)
		rc = open_by_key(s, text, err);
	if (!rc)
		rc = keyfile_check(&s->f, s->master, err);
	if (!rc) {
		rc = meet_tpm(s, &t, new_tpm, err);
		if (!rc)
			rc = refuse_replay(s, &t, err);
		if (!rc)
			rc = store_establish(s, &t, err);
		tpm_close(&t);
	}
	if (rc)
		store_shut(s);
	return rc;
}

/* ---- status --------------------------------------------------------------------------- */

static unsigned int reboots_left(struct store *s)
{
	struct tpm_clock c;
	struct blob b;
	struct tpm t;
	int rc;

	if (read_policy(s, FILE_SUSPENDED, &b))
		return 0;
	rc = tpm_open(&t, s->cfg, NULL);
	if (!rc)
		rc = tpm_clock(&t, &c, NULL);
	tpm_close(&t);
	return rc || c.resets >= b.policy.max_resets ? 0 : b.policy.max_resets - c.resets;
}

void store_status(struct store *s, bool ask_tpm, struct store_status *st)
{
	struct store copy = *s;
	struct blob b;

	*st = (struct store_status){ .there = store_there(s), .open = s->master };
	if (!st->there)
		return;
	if (!s->master) {	/* hearsay, for people */
		copy.f = (struct keyfile){ 0 };
		(void)store_read(&copy, NULL);
	}
	st->enabled = store_is_enabled(s);
	st->keys = copy.f.n;
	st->generation = copy.f.generation;
	if (!s->master)
		keyfile_clear(&copy.f);
	if (!read_policy(s, FILE_MASTER, &b))
		policy_describe(&b.policy, st->policy);
	st->recovery_exported = store_has_file(s, FILE_RECOVERY);
	st->count_put_off = s->master && s->f.generation != s->counter;
	if (ask_tpm)
		st->reboots_left = reboots_left(s);
}
