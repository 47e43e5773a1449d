/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is this migration encrypted, in clear, or refused? Pure: asks nobody. */
#ifndef VMC_MIGRATE_POLICY_H
#define VMC_MIGRATE_POLICY_H

#include <stdbool.h>

#include "../lib/error.h"
#include "../vm/policy.h"

enum migration_way {
	MIGRATION_ENCRYPT,	/* over channels, or not at all */
	MIGRATION_CLEAR,	/* straight; an event says so, with the reason */
	MIGRATION_REFUSE,
};

/* What is known of one migration before any byte of the VM moves. */
struct migration_facts {
	enum migration_encryption policy;
	bool vm_encrypted;	/* has keys of ours: as MIGRATION_REQUIRED, whatever the policy says */
	const char *vm, *peer;	/* names, for the texts */
	/* NULL: this host, or the other one, can; else why not, "the module vmcrypt is not loaded". */
	const char *local_cannot, *peer_cannot;
};

/*
 * What to do, and why, in the caller's language: *@why (never NULL) has text for MIGRATION_CLEAR ("... because ...") and
 * for MIGRATION_REFUSE (code VMC_EREFUSED, with a hint), and is empty for MIGRATION_ENCRYPT.
 */
enum migration_way migration_decide(const struct migration_facts *f, struct vmc_error *why);

#endif
