// SPDX-License-Identifier: GPL-2.0-or-later
/* Key persistence without a TPM, for the tests of the daemon: remembers what it was told. */
#include <stdlib.h>
#include <string.h>

#include "../keys/persist.h"
#include "../keys/tpm/recovery.h"

struct persist {
	bool enabled, exported;
	unsigned int reboots;
};

int persist_open(struct persist **p, const struct vmc_config *cfg, struct providers *ps, struct vmc_error *err)
{
	(void)cfg, (void)ps;
	*p = calloc(1, sizeof(**p));
	return *p ? 0 : vmc_fail(err, VMC_ENOMEM, "no memory");
}

void persist_close(struct persist *p)
{
	free(p);
}

void persist_set_hooks(struct persist *p, const struct persist_hooks *hooks)
{
	(void)p, (void)hooks;
}

size_t persist_restore(struct persist *p, struct vmk *k)
{
	(void)p, (void)k;
	return 0;
}

static int answer(json_t **out)
{
	*out = json_pack("{s:i, s:[]}", "stored", 3, "failed");
	return 0;
}

int persist_enable(struct persist *p, struct vmk *k, json_t **out, struct vmc_error *err)
{
	(void)k, (void)err;
	p->enabled = true;
	return answer(out);
}

int persist_disable(struct persist *p, bool remove, struct vmc_error *err)
{
	(void)err, (void)remove;
	p->enabled = false;
	return 0;
}

int persist_reseal(struct persist *p, struct vmk *k, const char *recovery_key, bool new_tpm, json_t **out,
		   struct vmc_error *err)
{
	(void)k;
	if (recovery_key && strcmp(recovery_key, "right"))
		return vmc_fail(err, VMC_EAUTH, "this is not the recovery key");
	if (!p->enabled && !new_tpm)
		return vmc_fail(err, VMC_ESTATE, "key persistence is not enabled on this host");
	return answer(out);
}

int persist_suspend(struct persist *p, unsigned int reboots, struct vmc_error *err)
{
	if (!p->enabled)
		return vmc_fail(err, VMC_ESTATE, "the stored keys are not open");
	p->reboots = reboots;
	return 0;
}

int persist_export_recovery(struct persist *p, bool again, char *text, struct vmc_error *err)
{
	if (p->exported && !again)
		return vmc_fail(err, VMC_ESTATE, "the recovery key was exported before");
	p->exported = true;
	memset(text, '1', RECOVERY_TEXT - 1);
	return 0;
}

int persist_set_provider(struct persist *p, const char *provider, bool on, struct vmc_error *err)
{
	(void)p, (void)on;
	return strcmp(provider, "kms") ? vmc_fail(err, VMC_ENOENT, "there is no key provider '%s'", provider) : 0;
}

int persist_status(struct persist *p, json_t **out, struct vmc_error *err)
{
	(void)err;
	*out = json_pack("{s:b, s:i}", "enabled", p->enabled, "reboots_left", (int)p->reboots);
	return 0;
}
