// SPDX-License-Identifier: GPL-2.0-or-later
/* What the module refuses, in words for an operator. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/message.h"
#include "client_priv.h"

/* "the key of volume 'root' of VM 6b3e... under KEK 'kmip/1'", whatever of it there is. */
static void name_subject(const struct vmk_subject *s, char *out, size_t n)
{
	char id[VMC_UUID_STR];
	size_t len;

	out[0] = '\0';
	if (s->volume)
		snprintf(out, n, " of volume '%s'", s->volume);
	if (s->vm) {
		len = strlen(out);
		vmc_uuid_format(s->vm, id);
		snprintf(out + len, n - len, " of VM %s", id);
	}
	if (s->kek_id) {
		len = strlen(out);
		snprintf(out + len, n - len, "%s '%s'",
			 s->vm || s->volume ? " under KEK" : "", s->kek_id);
	}
	if (s->new_kek_id) {
		len = strlen(out);
		snprintf(out + len, n - len, " to KEK '%s'", s->new_kek_id);
	}
	if (s->migration) {
		len = strlen(out);
		snprintf(out + len, n - len, " of migration %u", s->migration);
	}
}

static void hint_no_key(const struct vmk_subject *s, struct vmc_error *err)
{
	char id[VMC_UUID_STR];

	if (!s->vm) {
		vmc_hint(err, "the KEK is fetched when a VM that uses it is unlocked: 'vmcrypt vm unlock'");
		return;
	}
	vmc_uuid_format(s->vm, id);
	vmc_hint(err, "have the KEK fetched from its provider with 'vmcrypt vm unlock %s'; 'vmcrypt key status' tells what is missing and why",
		 id);
}

static void hint_busy(const struct vmk_subject *s, struct vmc_error *err)
{
	char id[VMC_UUID_STR];

	if (!s->vm) {
		vmc_hint(err, "'vmcrypt key show %s' tells which VMs use it; power them off, or add --force",
			 s->kek_id ? s->kek_id : "ID");
		return;
	}
	vmc_uuid_format(s->vm, id);
	vmc_hint(err, "power the VM off first: 'vmcrypt vm power-off %s'", id);
}

/* The hint for a code, or false when the kernel's own is as good as any. */
static bool hint_for(const struct vmk_subject *s, int code, struct vmc_error *err)
{
	if (s->migration && code != VMC_ENOKEY)		/* the module's own words are best */
		return false;
	switch (code) {
	case VMC_ENOKEY:
		hint_no_key(s, err);
		return true;
	case VMC_EAUTH:
		vmc_hint(err, "it was altered, or wrapped for another VM or volume, or by a KEK with the same id and other bytes; restore it from a backup, and check that the provider is the one it was made with");
		return true;
	case VMC_EBUSY:
		hint_busy(s, err);
		return true;
	case VMC_EEXIST:
		if (s->vm || !s->kek_id)
			return false;
		vmc_hint(err, "two keys have the same id, as after a provider was set up anew; remove the old one from the cache with 'vmcrypt key remove %s'",
			 s->kek_id);
		return true;
	case VMC_EPERM:
		vmc_hint(err, "this needs CAP_NET_ADMIN on the host: run it as root, or through vmcryptd");
		return true;
	default:
		return false;
	}
}

/* The kernel says "reason; what to do". */
static void split_words(const char *why, char *reason, size_t n, const char **advice)
{
	const char *semicolon = strstr(why, "; ");

	*advice = semicolon ? semicolon + 2 : "";
	snprintf(reason, n, "%.*s", semicolon ? (int)(semicolon - why) : (int)strlen(why), why);
}

int vmk_refused(const struct vmk_subject *s, int errnum, const char *why,
		struct vmc_error *err)
{
	int code = vmc_code_from_errno(errnum);
	char subject[512], reason[256], text[128];
	const char *advice = "";

	name_subject(s, subject, sizeof(subject));
	if (why && *why)
		split_words(why, reason, sizeof(reason), &advice);
	else
		snprintf(reason, sizeof(reason), "%s", strerror_r(errnum, text, sizeof(text)));
	vmc_fail(err, code, "cannot %s%s: %s", message_say(s->doing), subject, reason);
	if (!hint_for(s, code, err) && *advice)
		vmc_hint(err, "%s", advice);
	return code;
}
