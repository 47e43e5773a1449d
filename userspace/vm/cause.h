/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a VM is locked. Two conditions must hold before it is: the key is not on
 * the host, and it cannot be had. Losing the key provider locks nothing by itself.
 */
#ifndef VMC_VM_CAUSE_H
#define VMC_VM_CAUSE_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/config.h"

/* The inventory keeps the numbers: new ones go to the end. */
enum vm_cause {
	VM_CAUSE_NONE,
	VM_CAUSE_KMS_ERROR,		/* the provider cannot be reached, is not trusted, or talks nonsense */
	VM_CAUSE_KEYS_MISSING_KMS,	/* it answered: the key is gone there, or not active */
	VM_CAUSE_KEYS_MISSING_HOST,	/* it could give the key, and the host does not have it */
	VM_CAUSE_PROVIDER_UNKNOWN,	/* no provider of that cluster name is configured here */
	VM_CAUSE_TRUSTED_UNAVAILABLE,	/* a trusted provider cannot be reached */
	VM_CAUSE_ATTESTATION_FAILED,	/* a trusted provider does not trust this host */
	VM_CAUSE_BY_HAND,		/* an administrator locked it (a VM): nothing but an unlock ends that */
	VM_CAUSE_HOST_TPM,		/* its provider has no server: what it keeps here is sealed, and the TPM does not open it */
	VM_CAUSE_COUNT,
};

/* For JSON and metrics: "kms-error" ...; NULL for VM_CAUSE_NONE. */
const char *vm_cause_name(enum vm_cause cause);
enum vm_cause vm_cause_from_name(const char *name);	/* VM_CAUSE_NONE when unknown */

/* The sentence of the event, in the reader's language; "" for VM_CAUSE_NONE. */
const char *vm_cause_text(enum vm_cause cause, enum vmc_wording wording);
/* The same of a datastore, for which there is one wording only. */
const char *store_cause_text(enum vm_cause cause);
/* What to do, in the reader's language, with "{vm}", "{provider}" and "{keys}" where the names go. */
const char *vm_cause_remedy(enum vm_cause cause);
/* The same with the names; NULL for one that is not known. Cut to @n bytes. */
void vm_cause_remedy_for(enum vm_cause cause, const char *vm, const char *provider, const char *keys,
			 char *out, size_t n);
/* Of a datastore: "{vm}" is its name. */
void store_cause_remedy_for(enum vm_cause cause, const char *store, const char *provider, const char *keys,
			    char *out, size_t n);
/* Any text with such marks. */
void vm_fill_names(const char *text, const char *vm, const char *provider, const char *keys, char *out, size_t n);
/* MESSAGE_ID of the event that says so. */
const char *vm_cause_message_id(enum vm_cause cause);

/*
 * From what became of one key, as cache_ensure() tells it. VM_CAUSE_NONE: the
 * failure is our own (no memory, no module) and says nothing about the key.
 * @trusted: its provider is a trusted one.
 */
enum vm_cause vm_cause_of(int code, bool trusted);

#endif
