// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's KEK cache, played by a list. */
#include "mock_vmk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/secmem.h"

static int find(const struct vmk *k, const char *id)
{
	for (unsigned int i = 0; i < k->n; i++)
		if (!strcmp(k->keks[i].id, id))
			return (int)i;
	return -1;
}

int vmk_kek_get(struct vmk *k, const char *id, struct vmk_kek *out, struct vmc_error *err)
{
	int i = find(k, id);

	k->asked++;
	if (i < 0)
		return vmc_fail(err, VMC_ENOKEY, "the kernel does not have key '%s'", id);
	*out = k->keks[i];
	return 0;
}

int vmk_kek_new(struct vmk *k, const char *id, const uint8_t *kek, uint32_t lease,
		uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct vmk_kek *e;

	if (k->fail)
		return vmc_fail(err, k->fail, "the kernel refuses key '%s'", id);
	k->secure += secmem_is_secure(kek);
	if (k->racer && !strcmp(k->racer, id)) {
		k->racer = NULL;
		vmk_kek_new(k, id, kek, 0, kcv, err);
	}
	if (find(k, id) >= 0)
		return vmc_fail(err, VMC_EEXIST, "the kernel has key '%s' already", id);
	e = &k->keks[k->n];
	memcpy(k->keys[k->n++], kek, VMK_KEK_LEN);
	snprintf(e->id, sizeof(e->id), "%s", id);
	e->has_lease = lease;
	e->lease_left = lease;
	for (int i = 0; i < VMK_KCV_LEN; i++)
		e->kcv[i] = kek[i] ^ kek[i + 8];
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
	int i = find(k, id);

	(void)force;
	if (i < 0)
		return vmc_fail(err, VMC_ENOKEY, "the kernel does not have key '%s'", id);
	k->n--;
	k->keks[i] = k->keks[k->n];
	memcpy(k->keys[i], k->keys[k->n], VMK_KEK_LEN);
	return 0;
}
