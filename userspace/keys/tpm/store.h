/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys kept over reboots in STATE_DIR/persist: one master key sealed by the TPM
 * (master), and the keys encrypted under it (keys). Ten thousand keys cost one
 * unseal.
 *
 * Two counters in the TPM go with it. The first counts states of the file, so
 * that an older one that was put back is found out; to spare the TPM's memory,
 * changes share a count when they come fast. The second, the epoch, is part of
 * the policy of the sealed master key: when it counts, every sealed copy from
 * before is dead in the TPM itself, whatever else the host boots.
 *
 * Not for use from two threads at once. Survives a kill at any point.
 */
#ifndef VMC_TPM_STORE_H
#define VMC_TPM_STORE_H

#include "../../lib/config.h"
#include "keyfile.h"
#include "recovery.h"

#define STORE_REBOOTS_MAX	32u

struct store;

/* Touches neither TPM nor files. @cfg must outlive it. */
int store_new(struct store **s, const struct vmc_config *cfg, struct vmc_error *err);
void store_free(struct store *s);	/* makes up for counts that were put off; wipes */

bool store_there(const struct store *s);	/* something is stored, whether it opens or not */
bool store_is_open(const struct store *s);
bool store_is_enabled(const struct store *s);	/* as the file says; believe it when it is open */

/* Make it, or enable the one that was disabled. Fails with nothing left behind. Then it is open. */
int store_enable(struct store *s, struct vmc_error *err);
/* Unseal, check. VMC_ENOENT: there is none. The codes of tpm_unseal(), and VMC_EREPLAY, VMC_EAUTH, VMC_EINVAL. */
int store_open(struct store *s, struct vmc_error *err);
/* It is open. Would it open now? The codes of store_open(). Makes up for a count that was put off, too, if there is one to spare. */
int store_try(struct store *s, struct vmc_error *err);
void store_shut(struct store *s);		/* forget the master key */
/* Keep what is there, sealed, and neither add to it nor take of it until it is enabled again. */
int store_disable(struct store *s, struct vmc_error *err);
/* Leave nothing: not the files, not the counters; and no copy of them opens. Needs no unseal. */
int store_erase(struct store *s, struct vmc_error *err);

/* ---- keys: it must be open ------------------------------------------------ */

struct store_key {
	const char *id;
	const uint8_t *material;	/* KEYFILE_KEY_LEN bytes, secure heap */
	uint32_t lease;			/* seconds, 0 none */
};
int store_put(struct store *s, const struct store_key *keys, size_t n, struct vmc_error *err);
int store_remove(struct store *s, const char *const *ids, size_t n, struct vmc_error *err);
/* Each key and what is left of its lease; those whose lease has ended are removed instead. @fn: not 0 ends it. */
typedef int (*store_fn)(const char *id, const uint8_t *material, uint32_t lease, void *data);
int store_each(struct store *s, store_fn fn, void *data, struct vmc_error *err);
size_t store_count(const struct store *s);
bool store_has(const struct store *s, const char *id);	/* and its lease has not ended */
/* The ids in the file, even of one that does not open; then they are hearsay. Caller frees each and the list. */
int store_ids(struct store *s, char ***ids, size_t *n, struct vmc_error *err);

/* ---- the seal ---------------------------------------------------------------- */

/* Seal the master key anew, to the PCRs as they are and by the configuration as it is. Must be open. Ends a suspension. */
int store_reseal(struct store *s, struct vmc_error *err);
/* Begin anew with no keys, when nothing opens the old ones. @new_tpm: also forget which TPM it was. */
int store_renew(struct store *s, bool new_tpm, struct vmc_error *err);
/* For the next @reboots starts it opens whatever is booted; at the last of them it is resealed. Must be open. */
int store_suspend(struct store *s, unsigned int reboots, struct vmc_error *err);
/* @text: RECOVERY_TEXT bytes, secure heap. VMC_ESTATE when it was exported before, unless @again. Must be open. */
int store_export_recovery(struct store *s, bool again, char *text, struct vmc_error *err);
/* Open by the recovery key, and seal anew. */
int store_recover(struct store *s, const char *text, bool new_tpm, struct vmc_error *err);

struct store_status {
	bool there, enabled, open;
	size_t keys;
	char policy[128];		/* of the sealed master key */
	unsigned int reboots_left;	/* of a suspension; 0: not suspended */
	bool recovery_exported;
	bool count_put_off;		/* an older state from the last half hour would not be noticed yet */
	uint64_t generation;
};
/* @ask_tpm: also what needs the TPM (reboots_left). */
void store_status(struct store *s, bool ask_tpm, struct store_status *st);

#endif
