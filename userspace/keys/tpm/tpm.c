// SPDX-License-Identifier: GPL-2.0-or-later
/* This host's TPM 2.0, see tpm.h. */
#include "tpm.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/util.h"
#include "link.h"
#include "session.h"

static int absent(struct tpm *t, TSS2_RC rc, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOTPM, "there is no TPM 2.0 at '%s' (0x%x)", t->name, rc);
	vmc_hint(err, "turn it on in the firmware setup and see that /dev/tpmrm0 is there; [tpm] tcti= in vmcrypt.conf names another");
	return VMC_ENOTPM;
}

int tpm_open(struct tpm *t, const struct vmc_config *cfg, struct vmc_error *err)
{
	TSS2_RC rc;

	*t = (struct tpm){ .srk = ESYS_TR_NONE, .hmac = ESYS_TR_NONE };
	snprintf(t->name, sizeof(t->name), "%s", cfg->tpm_tcti);
	snprintf(t->pin, sizeof(t->pin), "%s/tpm/srk", cfg->state_dir);
	rc = link_open(t->name, TPM_DEADLINE_MS, &t->link);
	if (rc)
		return absent(t, rc, err);
	rc = Esys_Initialize(&t->esys, t->link, NULL);
	return rc ? absent(t, rc, err) : 0;
}

static void flush(struct tpm *t, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, *handle);
	*handle = ESYS_TR_NONE;
}

void tpm_close(struct tpm *t)
{
	if (t->esys) {
		flush(t, &t->hmac);
		if (t->srk_transient)
			flush(t, &t->srk);
		Esys_Finalize(&t->esys);
	}
	link_close(&t->link);
}

void tpm_scrub(struct tpm *t)
{
	TPMS_CAPABILITY_DATA *data = NULL;

	Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_COMMANDS,
			   TPM2_CC_FIRST, TPM2_MAX_CAP_CC, NULL, &data);
	Esys_Free(data);
}

/* ---- facts ------------------------------------------------------------ */

static int capability(struct tpm *t, UINT32 first, UINT32 n, TPMS_CAPABILITY_DATA **data,
		      struct vmc_error *err)
{
	TSS2_RC rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					TPM2_CAP_TPM_PROPERTIES, first, n, NULL, data);

	return rc ? tpm_fail(t, rc, N_("tell about itself"), err) : 0;
}

static void take_fact(struct tpm_facts *f, const TPMS_TAGGED_PROPERTY *p)
{
	switch (p->property) {
	case TPM2_PT_MANUFACTURER:
		for (int i = 0; i < 4; i++) {
			char c = (char)(p->value >> (24 - 8 * i));

			f->maker[i] = c > ' ' && c < 127 ? c : '\0';
		}
		break;
	case TPM2_PT_PERMANENT:
		f->locked_out = p->value & TPMA_PERMANENT_INLOCKOUT;
		f->owner_password = p->value & TPMA_PERMANENT_OWNERAUTHSET;
		break;
	case TPM2_PT_STARTUP_CLEAR:
		f->owner_enabled = p->value & TPMA_STARTUP_CLEAR_SHENABLE;
		break;
	case TPM2_PT_LOCKOUT_COUNTER:
		f->lockout_count = p->value;
		break;
	case TPM2_PT_MAX_AUTH_FAIL:
		f->lockout_max = p->value;
		break;
	default:
		break;
	}
}

int tpm_facts(struct tpm *t, struct tpm_facts *f, struct vmc_error *err)
{
	static const struct {
		UINT32 first, n;
	} ranges[] = {
		{ TPM2_PT_MANUFACTURER, 1 }, { TPM2_PT_PERMANENT, 2 }, { TPM2_PT_LOCKOUT_COUNTER, 2 },
	};

	*f = (struct tpm_facts){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		TPMS_CAPABILITY_DATA *data = NULL;
		int rc = capability(t, ranges[i].first, ranges[i].n, &data, err);

		if (rc)
			return rc;
		for (UINT32 j = 0; j < data->data.tpmProperties.count; j++)
			take_fact(f, &data->data.tpmProperties.tpmProperty[j]);
		Esys_Free(data);
	}
	return 0;
}

int tpm_clock(struct tpm *t, struct tpm_clock *c, struct vmc_error *err)
{
	TPMS_TIME_INFO *now = NULL;
	TSS2_RC rc;

	/* Authenticated when there is a session: nothing between may turn the clock. */
	if (t->hmac != ESYS_TR_NONE)
		session_set(t, TPMA_SESSION_AUDIT);
	rc = Esys_ReadClock(t->esys, t->hmac, ESYS_TR_NONE, ESYS_TR_NONE, &now);
	if (rc)
		return tpm_fail(t, rc, N_("tell the time"), err);
	*c = (struct tpm_clock){
		.ms = now->clockInfo.clock, .resets = now->clockInfo.resetCount,
		.restarts = now->clockInfo.restartCount, .safe = now->clockInfo.safe,
	};
	Esys_Free(now);
	return 0;
}
