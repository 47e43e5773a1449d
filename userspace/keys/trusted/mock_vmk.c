// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's KEK cache, played by a list. */
#include "mock_vmk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vmk_kek *find(struct vmk *k, const char *id)
{
	for (unsigned int i = 0; i < k->n; i++)
		if (!strcmp(k->keks[i].id, id))
			return &k->keks[i];
	return NULL;
}

int vmk_kek_get(struct vmk *k, const char *id, struct vmk_kek *out, struct vmc_error *err)
{
	const struct vmk_kek *e = find(k, id);

	if (!e)
		return vmc_fail(err, VMC_ENOKEY, "the kernel does not have key '%s'", id);
	*out = *e;
	return 0;
}

/* The same key again has its lease renewed. */
int vmk_kek_new(struct vmk *k, const char *id, const uint8_t *kek, uint32_t lease, uint8_t kcv[VMK_KCV_LEN],
		struct vmc_error *err)
{
	struct vmk_kek *e = find(k, id);

	if (e && memcmp(e->kcv, kek, VMK_KCV_LEN))
		return vmc_fail(err, VMC_EEXIST, "the kernel has another key '%s'", id);
	if (!e)
		e = &k->keks[k->n++];
	snprintf(e->id, sizeof(e->id), "%s", id);
	e->has_lease = lease;
	e->lease_left = lease;
	memcpy(e->kcv, kek, VMK_KCV_LEN);
	if (kcv)
		memcpy(kcv, e->kcv, VMK_KCV_LEN);
	return 0;
}

int vmk_kek_list(struct vmk *k, struct vmk_kek **out, size_t *n, struct vmc_error *err)
{
	*out = calloc(k->n + 1, sizeof(**out));
	if (!*out)
		return vmc_fail(err, VMC_ENOMEM, "no memory");
	memcpy(*out, k->keks, k->n * sizeof(**out));
	*n = k->n;
	return 0;
}

int vmk_kek_del(struct vmk *k, const char *id, bool force, struct vmc_error *err)
{
	struct vmk_kek *e = find(k, id);

	if (!e)
		return vmc_fail(err, VMC_ENOKEY, "the kernel does not have key '%s'", id);
	if (k->in_use && !strcmp(k->in_use, id) && !force)
		return vmc_fail(err, VMC_EBUSY, "key '%s' is in use", id);
	*e = k->keks[--k->n];
	return 0;
}
