/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys that a VM lacks, as persons and the inventory see them: an array of
 * {id, state, volumes: [name ...], error?, hint?}; id is PROVIDER/KEY, state what
 * the provider says it is in: "Deactivated", "Missing", "Unknown" (not to be
 * asked) ..., or "Another Key" when other bytes are there under the id.
 */
#ifndef VMC_VM_MISSING_H
#define VMC_VM_MISSING_H

#include "vm_priv.h"

/* Those of @s that @b needs and that are not there. NULL: no memory. */
json_t *missing_keys(const struct key_set *s, const struct bundle *b);
/* The same for every key of @b: none is on the host, and nobody was asked. */
json_t *missing_all(const struct bundle *b);
/* "12 (Deactivated), 13 (Missing)", a few of them and how many more. */
void missing_words(const json_t *keys, char *out, size_t n);
/* Of the first: its provider ("" when there is none). */
void missing_provider(const json_t *keys, char out[PROVIDER_NAME_MAX + 1]);
/* What to do about @cause for the VM, or the datastore, called @name; what the TPM itself asks for comes first. */
void missing_remedy(bool store, enum vm_cause cause, const char *name, const json_t *keys, char *out, size_t n);
const char *missing_first(const json_t *keys);	/* its id, or NULL */

#endif
