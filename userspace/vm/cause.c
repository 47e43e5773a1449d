// SPDX-License-Identifier: GPL-2.0-or-later
/* Why a VM is locked: names, sentences, remedies. See cause.h. */
#include "cause.h"

#include <stdio.h>
#include <string.h>

#include "../lib/error.h"
#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"

struct cause {
	const char *name, *message_id;
	const char *text[2];		/* by enum vmc_wording */
	const char *remedy;
};

/* The sentences are known to operators and looked for in logs: they keep their closing full stop and their spelling. */
static const struct cause causes[VM_CAUSE_COUNT] = {
	[VM_CAUSE_NONE] = { NULL, VMC_MSG_VM_LOCKED, { "", "" }, "" },
	[VM_CAUSE_KMS_ERROR] = {
		"kms-error", VMC_MSG_VM_LOCKED_KMS_ERROR,
		{ N_("Virtual machine is locked because of a KMS cluster error."),
		  N_("Virtual machine is locked because an error occurred on the key provider.") },
		N_("Check the keys in the KMS cluster and restore the connection to it: 'vmcrypt provider test {provider}' says what is wrong. The VM unlocks when the provider is healthy again, or at once with 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_KEYS_MISSING_KMS] = {
		"keys-missing-on-kms", VMC_MSG_VM_LOCKED_KEYS_KMS,
		{ N_("Virtual machine is locked because keys are missing on KMS cluster."),
		  N_("Virtual machine is locked because keys were missing on the key provider.") },
		N_("Ask the KMS administrator to restore or reactivate on '{provider}' the key {keys}. The next power-on fetches a restored key; 'vmcrypt vm unlock {vm}' does so at once"),
	},
	[VM_CAUSE_KEYS_MISSING_HOST] = {
		"keys-missing-on-host", VMC_MSG_VM_LOCKED_KEYS_HOST,
		{ N_("Virtual machine is locked because keys are missing on host."),
		  N_("Virtual machine is locked because keys were missing on the host.") },
		N_("The keys need not be recovered by hand, provider '{provider}' can supply them: 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_PROVIDER_UNKNOWN] = {
		"provider-unknown", VMC_MSG_VM_LOCKED_PROVIDER,
		{ N_("Virtual machine is locked because its key provider is not known to this host."),
		  N_("Virtual machine is locked because its key provider is not known to this host.") },
		N_("Add the key provider again under its original name, the address may be another: 'vmcrypt provider add kmip {provider} --server HOST'; establish trust, then 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_TRUSTED_UNAVAILABLE] = {
		"trusted-provider-unavailable", VMC_MSG_VM_LOCKED_TRUSTED,
		{ N_("Virtual machine is locked because the required Trusted Key Provider(s) is unavailable."),
		  N_("Virtual machine is locked because the required Trusted Key Provider(s) is unavailable.") },
		N_("Start the services of trusted key provider '{provider}' and their key servers, and restore the connection to them: 'vmcrypt provider test {provider}' says what is wrong; then 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_ATTESTATION_FAILED] = {
		"attestation-failed", VMC_MSG_VM_LOCKED_ATTESTATION,
		{ N_("Virtual machine is locked because Trust Authority managed key(s) are missing on the required host."),
		  N_("Virtual machine is locked because Trust Authority managed key(s) are missing on the required host.") },
		N_("'vmcrypt trust host status {provider}' says why its attestation service does not trust this host: export what this host boots ('vmcrypt trust host-image export'), have it imported at the authority and the old image removed there, or boot what it trusts; then 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_BY_HAND] = {
		"by-hand", VMC_MSG_VM_LOCKED_BY_HAND,
		{ N_("Virtual machine is locked because an administrator locked it."),
		  N_("Virtual machine is locked because an administrator locked it.") },
		N_("When it may run again: 'vmcrypt vm unlock {vm}'"),
	},
	[VM_CAUSE_HOST_TPM] = {
		"host-tpm", VMC_MSG_VM_LOCKED_HOST_TPM,
		{ N_("Virtual machine is locked because the TPM of this host does not open its key provider."),
		  N_("Virtual machine is locked because the TPM of this host does not open its key provider.") },
		N_("'vmcrypt provider test {provider}' says what is wrong with the TPM; the backup of '{provider}' brings its key back whatever that is: 'vmcrypt provider import FILE'. The VM unlocks then, or at once with 'vmcrypt vm unlock {vm}'"),
	},
};

/* Of a datastore. Nobody locks one by hand: closing it takes its key from the kernel. */
static const struct {
	const char *text, *remedy;
} stores[VM_CAUSE_COUNT] = {
	[VM_CAUSE_NONE] = { "", "" },
	[VM_CAUSE_KMS_ERROR] = {
		N_("Datastore is locked because of an error of the key provider."),
		N_("Restore the connection to the key provider: 'vmcrypt provider test {provider}' says what is wrong. The datastore unlocks when the provider is healthy again, or at once with 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_KEYS_MISSING_KMS] = {
		N_("Datastore is locked because its key is missing on the key provider."),
		N_("Ask the KMS administrator to restore or reactivate on '{provider}' the key {keys}; then 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_KEYS_MISSING_HOST] = {
		N_("Datastore is locked because its key is missing on the host."),
		N_("The key need not be recovered by hand, provider '{provider}' can supply it: 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_PROVIDER_UNKNOWN] = {
		N_("Datastore is locked because its key provider is not known to this host."),
		N_("Add the key provider again under its original name, the address may be another: 'vmcrypt provider add kmip {provider} --server HOST'; establish trust, then 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_TRUSTED_UNAVAILABLE] = {
		N_("Datastore is locked because its trusted key provider is not available."),
		N_("Start the services of trusted key provider '{provider}' and their key servers, and restore the connection to them: 'vmcrypt provider test {provider}' says what is wrong; then 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_ATTESTATION_FAILED] = {
		N_("Datastore is locked because this host is not trusted with its key."),
		N_("'vmcrypt trust host status {provider}' says why its attestation service does not trust this host: export what this host boots ('vmcrypt trust host-image export'), have it imported at the authority and the old image removed there, or boot what it trusts; then 'vmcrypt datastore unlock {vm}'"),
	},
	[VM_CAUSE_BY_HAND] = { "", "" },
	[VM_CAUSE_HOST_TPM] = {
		N_("Datastore is locked because the TPM of this host does not give the key provider's key."),
		N_("'vmcrypt host persistence status' and 'vmcrypt provider show {provider}' tell more; then 'vmcrypt datastore unlock {vm}'"),
	},
};

static const struct cause *get(enum vm_cause cause)
{
	return &causes[cause < VM_CAUSE_COUNT ? cause : VM_CAUSE_NONE];
}

/* Remembered, for events that have it as an argument; gettext("") is the catalog's header. */
static const char *say(const char *msgid)
{
	return *msgid ? message_say(msgid) : "";
}

const char *vm_cause_name(enum vm_cause cause)
{
	return get(cause)->name;
}

enum vm_cause vm_cause_from_name(const char *name)
{
	int i;

	for (i = 1; name && i < VM_CAUSE_COUNT; i++)
		if (!strcmp(causes[i].name, name))
			return (enum vm_cause)i;
	return VM_CAUSE_NONE;
}

const char *vm_cause_text(enum vm_cause cause, enum vmc_wording wording)
{
	return say(get(cause)->text[wording == VMC_WORDING_70U2]);
}

const char *store_cause_text(enum vm_cause cause)
{
	return say(stores[cause < VM_CAUSE_COUNT ? cause : VM_CAUSE_NONE].text);
}

const char *vm_cause_remedy(enum vm_cause cause)
{
	return say(get(cause)->remedy);
}

const char *vm_cause_message_id(enum vm_cause cause)
{
	return get(cause)->message_id;
}

struct mark {
	const char *mark, *name;
};

static const struct mark *mark_at(const char *s, const struct mark *marks, size_t n)
{
	size_t i;

	for (i = 0; *s == '{' && i < n; i++)
		if (!strncmp(s, marks[i].mark, strlen(marks[i].mark)))
			return &marks[i];
	return NULL;
}

void vm_fill_names(const char *text, const char *vm, const char *provider, const char *keys, char *out, size_t n)
{
	const struct mark marks[] = {
		{ "{vm}", vm ? vm : "VM" }, { "{provider}", provider ? provider : "PROVIDER" },
		{ "{keys}", keys ? keys : "KEY" },
	};
	size_t used = 0;

	if (!n)
		return;
	while (*text && used + 1 < n) {
		const struct mark *m = mark_at(text, marks, ARRAY_SIZE(marks));

		if (m) {
			snprintf(out + used, n - used, "%s", m->name);
			used += strlen(out + used);
			text += strlen(m->mark);
		} else {
			out[used++] = *text++;
		}
	}
	out[used] = '\0';
}

void vm_cause_remedy_for(enum vm_cause cause, const char *vm, const char *provider, const char *keys,
			 char *out, size_t n)
{
	vm_fill_names(vm_cause_remedy(cause), vm, provider, keys, out, n);
}

void store_cause_remedy_for(enum vm_cause cause, const char *store, const char *provider, const char *keys,
			    char *out, size_t n)
{
	vm_fill_names(say(stores[cause < VM_CAUSE_COUNT ? cause : VM_CAUSE_NONE].remedy), store, provider, keys, out, n);
}

enum vm_cause vm_cause_of(int code, bool trusted)
{
	switch (code) {
	case 0:
	case VMC_ENOMODULE:
	case VMC_ENOMEM:
	case VMC_EINTERNAL:
	case VMC_ECANCELED:
		return VM_CAUSE_NONE;
	case VMC_ENOENT:
		return VM_CAUSE_PROVIDER_UNKNOWN;
	case VMC_ENOKEY:
	case VMC_EKEYSTATE:
		return VM_CAUSE_KEYS_MISSING_KMS;
	case VMC_EAUTH:		/* another key under the id; a trusted provider: one that is not for this host */
		return trusted ? VM_CAUSE_TRUSTED_UNAVAILABLE : VM_CAUSE_KEYS_MISSING_KMS;
	case VMC_EINVAL:
		return VM_CAUSE_KEYS_MISSING_KMS;
	case VMC_ENOTATTESTED:
		return VM_CAUSE_ATTESTATION_FAILED;
	case VMC_EPERM:		/* it was not asked, since the caller may not fetch */
	case VMC_ENOSPC:	/* the kernel's cache is full */
		return VM_CAUSE_KEYS_MISSING_HOST;
	case VMC_ENOTPM:
	case VMC_ETPMOFF:
	case VMC_ETPMLOCKOUT:
	case VMC_ETPMCLEARED:
	case VMC_ETPMROOT:
	case VMC_ETPMPOLICY:	/* a trusted provider: there is no evidence without it */
		return trusted ? VM_CAUSE_ATTESTATION_FAILED : VM_CAUSE_HOST_TPM;
	default:		/* with a trusted provider, what the services say of their key servers, too */
		return trusted ? VM_CAUSE_TRUSTED_UNAVAILABLE : VM_CAUSE_KMS_ERROR;
	}
}
