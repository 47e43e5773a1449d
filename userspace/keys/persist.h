/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Key persistence: what reaches the kernel's KEK cache is also kept, sealed by
 * the host's TPM, and is back in the cache after a reboot before any key
 * provider is asked. Off until somebody enables it.
 *
 * It is a second path, never the only one: a broken seal costs a warning and an
 * alarm, and the keys come from their providers as they would without it.
 * Calls may come from several threads at once.
 */
#ifndef VMC_KEYS_PERSIST_H
#define VMC_KEYS_PERSIST_H

#include <jansson.h>

#include "../kernel/client.h"
#include "../lib/config.h"
#include "provider.h"

struct persist;

struct persist_hooks {
	/* Something is wrong with the seal (@err), or no more (NULL). From any thread, with no lock held that matters. */
	void (*fault)(const struct vmc_error *err, void *data);
	void *data;
};

/*
 * Touches neither TPM nor kernel. From here on it hears of the cache's keys, which get the lease of @cfg. One at a
 * time in a process.
 */
int persist_open(struct persist **p, const struct vmc_config *cfg, struct providers *ps, struct vmc_error *err);
void persist_close(struct persist *p);		/* NULL is fine */
void persist_set_hooks(struct persist *p, const struct persist_hooks *hooks);

/*
 * When it is enabled: unseal, and give each key to the kernel (@k NULL: it is not there yet). Call it before
 * anything asks a provider. Returns how many keys there were; what is wrong goes
 * to the log and to the hook, and stands in the status.
 */
size_t persist_restore(struct persist *p, struct vmk *k);

/*
 * VMC_ENOTPM and the like: nothing was changed. *@out: {stored: n, failed: [{key, error, hint}]}: the keys that are in
 * the kernel already are fetched again from their providers, since nobody can read them out of the kernel.
 */
int persist_enable(struct persist *p, struct vmk *k, json_t **out, struct vmc_error *err);
/* @remove: leave nothing behind, neither here nor in the TPM. Else they stay, sealed, and are not restored. */
int persist_disable(struct persist *p, bool remove, struct vmc_error *err);
/*
 * Seal to what was booted now. When the old seal does not open, by @recovery_key (text, secure heap; NULL: none), or else
 * by fetching each key anew. @new_tpm: this TPM is the host's from now on. *@out as persist_enable().
 */
int persist_reseal(struct persist *p, struct vmk *k, const char *recovery_key, bool new_tpm, json_t **out,
		   struct vmc_error *err);
int persist_suspend(struct persist *p, unsigned int reboots, struct vmc_error *err);
/* @text: RECOVERY_TEXT bytes (tpm/recovery.h) in the secure heap. Once, unless @again. */
int persist_export_recovery(struct persist *p, bool again, char *text, struct vmc_error *err);
/* Whether the keys of @provider are kept. By default they are, but for the native kind, which needs no help. Off removes them. */
int persist_set_provider(struct persist *p, const char *provider, bool on, struct vmc_error *err);

/*
 * {enabled, stored: bool, open, keys: n, policy, reboots_left, recovery_key_exported, count_put_off, generation,
 *  error?, hint?, code?, tpm: {present, tcti, maker?, locked_out?, disabled?, owner_password?, error?, hint?},
 *  providers: [{name, kind, persist}]}
 */
int persist_status(struct persist *p, json_t **out, struct vmc_error *err);

#endif
