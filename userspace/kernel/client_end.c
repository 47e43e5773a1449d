// SPDX-License-Identifier: GPL-2.0-or-later
/* Why a migration or a channel ended. */
#include <linux/vmcrypt.h>

#include "../lib/i18n.h"
#include "client.h"

static const struct {
	const char *name, *text;
} ends[] = {
	[VMCRYPT_END_REMOVED] = { "removed", N_("it was ended by command") },
	[VMCRYPT_END_OWNER_DIED] = { "owner-died", N_("vmcryptd ended before the keys were agreed") },
	[VMCRYPT_END_COMPLETED] = { "completed", N_("all was passed on") },
	[VMCRYPT_END_PEER_CLOSED] = { "peer-closed", N_("the other host gave up") },
	[VMCRYPT_END_PLAIN_CLOSED] = { "plain-closed", N_("the hypervisor closed its side before all was passed on") },
	[VMCRYPT_END_TRUNCATED] = { "truncated", N_("the connection was cut before its authentic end") },
	[VMCRYPT_END_AUTH_FAILED] = {
		"auth-failed", N_("what came over the wire was not authentic: altered, repeated, left out or moved")
	},
	[VMCRYPT_END_MALFORMED] = { "malformed", N_("what came over the wire has no place there") },
	[VMCRYPT_END_POLICY] = { "policy", N_("the other host went on with a key that had done enough") },
	[VMCRYPT_END_FREEZE] = { "freeze", N_("the host was being suspended") },
	[VMCRYPT_END_ERROR] = { "error", N_("the kernel had no memory, or its cipher failed") },
};

const char *vmk_end_name(uint32_t reason)
{
	return reason < ARRAY_SIZE(ends) ? ends[reason].name : "unknown";
}

const char *vmk_end_text(uint32_t reason)
{
	return reason < ARRAY_SIZE(ends) ? ends[reason].text : N_("for a reason that this version does not know");
}

bool vmk_end_good(uint32_t reason)
{
	return reason == VMCRYPT_END_COMPLETED;
}
