// SPDX-License-Identifier: GPL-2.0-or-later
/* What a TPM answers, as an error with its remedy. See tpm_fail() in tpm.h. */
#include <tss2/tss2_rc.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "link.h"
#include "tpm.h"

/* Without the layer, the handle and the parameter that it came from. */
static TSS2_RC bare(TSS2_RC rc)
{
	rc &= 0xffff;
	return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

static bool from_tpm(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

static int off(const struct tpm *t, const char *why, const char *what, struct vmc_error *err)
{
	vmc_fail(err, VMC_ETPMOFF, "the TPM at '%s' is turned off: %s, so it cannot %s", t->name, why, message_say(what));
	vmc_hint(err, "turn the TPM and its storage (owner) hierarchy on in the firmware setup, and start the host anew");
	return VMC_ETPMOFF;
}

static int busy(const struct tpm *t, const char *what, const char *why, struct vmc_error *err)
{
	vmc_fail(err, VMC_EBUSY, "the TPM at '%s' cannot %s now: %s", t->name, message_say(what), why);
	vmc_hint(err, "use the kernel's resource manager (tcti=device:/dev/tpmrm0), or try again when other users of the TPM are done");
	return VMC_EBUSY;
}

static int not_from_tpm(const struct tpm *t, TSS2_RC rc, const char *what, struct vmc_error *err)
{
	switch (rc & ~TSS2_RC_LAYER_MASK) {
	case TSS2_BASE_RC_IO_ERROR:
	case TSS2_BASE_RC_NO_CONNECTION:
	case TSS2_BASE_RC_TRY_AGAIN:
		if (t->link && link_timed_out(t->link)) {
			vmc_fail(err, VMC_ETIMEDOUT, "the TPM at '%s' did not answer within %u s when it was to %s",
				 t->name, TPM_DEADLINE_MS / 1000, message_say(what));
			vmc_hint(err, "if it stays so, start the host anew; the kernel log tells more about a TPM that hangs");
			return VMC_ETIMEDOUT;
		}
		vmc_fail(err, VMC_ENOTPM, "the TPM at '%s' is gone; it was to %s", t->name, message_say(what));
		vmc_hint(err, "see the kernel log for /dev/tpm0; [tpm] tcti= in vmcrypt.conf names the TPM");
		return VMC_ENOTPM;
	case TSS2_BASE_RC_MEMORY:
		return vmc_fail(err, VMC_ENOMEM, "no memory to have the TPM %s", message_say(what));
	case TSS2_ESYS_RC_RSP_AUTH_FAILED & ~TSS2_RC_LAYER_MASK:
	case TSS2_BASE_RC_MALFORMED_RESPONSE:
		vmc_fail(err, VMC_ETPMROOT, "what came for an answer when the TPM at '%s' was to %s is not from that TPM",
			 t->name, message_say(what));
		vmc_hint(err, "something between this host and its TPM alters the traffic: have the machine looked at before it gets a key");
		return VMC_ETPMROOT;
	default:
		return vmc_fail(err, VMC_EIO, "the TPM at '%s' cannot %s: %s", t->name, message_say(what), Tss2_RC_Decode(rc));
	}
}

int tpm_fail(const struct tpm *t, TSS2_RC rc, const char *what, struct vmc_error *err)
{
	if (!from_tpm(rc))
		return not_from_tpm(t, rc, what, err);
	switch (bare(rc)) {
	case TPM2_RC_LOCKOUT:
		vmc_fail(err, VMC_ETPMLOCKOUT, "the TPM at '%s' is in lockout after too many wrong passwords, so it cannot %s",
			 t->name, message_say(what));
		vmc_hint(err, "wait for its recovery time, or end it: tpm2_dictionarylockout --clear-lockout; then look for what tries passwords");
		return VMC_ETPMLOCKOUT;
	case TPM2_RC_INITIALIZE:
		return off(t, _("the firmware did not start it"), what, err);
	case TPM2_RC_DISABLED:
	case TPM2_RC_FAILURE:
		return off(t, Tss2_RC_Decode(rc), what, err);
	case TPM2_RC_HIERARCHY:
		return off(t, _("its hierarchy is disabled"), what, err);
	case TPM2_RC_BAD_AUTH:
	case TPM2_RC_AUTH_FAIL:
		vmc_fail(err, VMC_EPERM, "the owner of the TPM at '%s' has set a password, so it cannot %s", t->name, message_say(what));
		vmc_hint(err, "take the owner's password away (tpm2_changeauth -c owner), or clear the TPM");
		return VMC_EPERM;
	case TPM2_RC_OBJECT_MEMORY:
	case TPM2_RC_SESSION_MEMORY:
	case TPM2_RC_MEMORY:
		return busy(t, what, _("others have filled it"), err);
	case TPM2_RC_NV_RATE:
	case TPM2_RC_RETRY:
	case TPM2_RC_YIELDED:
	case TPM2_RC_TESTING:
		return busy(t, what, Tss2_RC_Decode(rc), err);
	case TPM2_RC_NV_SPACE:
		vmc_fail(err, VMC_ENOSPC, "the TPM at '%s' has no room to %s", t->name, message_say(what));
		vmc_hint(err, "tpm2_getcap handles-nv-index lists what fills it, tpm2_nvundefine removes one");
		return VMC_ENOSPC;
	default:
		return vmc_fail(err, VMC_EIO, "the TPM at '%s' cannot %s: %s", t->name, message_say(what), Tss2_RC_Decode(rc));
	}
}
