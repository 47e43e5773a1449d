// SPDX-License-Identifier: GPL-2.0-or-later
/* DEKs into the keyrings of their VMs, by the hundred. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

/* Loads in flight: two requests each, at most, and their answers are memory. */
#define LOAD_CHUNK	512

static int on_loaded(struct nlmsghdr *h, struct nlattr **tb, void *data,
		     struct vmc_error *err)
{
	struct vmk_load *l = data;
	int rc;

	(void)h;
	rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEY_DESC], l->key_desc, sizeof(l->key_desc),
			     N_("key description"), err);
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_KCV], l->kcv, sizeof(l->kcv),
				    N_("key check value"), err);
	if (!rc && (!tb[VMCRYPT_A_DEK_KEY_SERIAL] || !tb[VMCRYPT_A_DEK_KEYRING]))
		rc = vmc_fail(err, VMC_EPROTO, "the vmcrypt module's reply has no key serials");
	if (rc)
		return rc;
	l->key_serial = nla_get_s32(tb[VMCRYPT_A_DEK_KEY_SERIAL]);
	l->keyring = nla_get_s32(tb[VMCRYPT_A_DEK_KEYRING]);
	return 0;
}

static int req_load(struct vmk *k, struct vmk_req *r, struct vmk_load *l)
{
	int rc = vmk_req_dek_new(k, r, VMCRYPT_CMD_DEK_LOAD, &l->vm, l->volume, l->kek_id,
				 &l->err);

	if (rc)
		return rc;
	NLA_PUT(r->msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, l->wrapped);
	r->reply = on_loaded;
	r->data = l;
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, &l->err);
}

static void settle_load(struct vmk_load *l, const struct vmk_req *r)
{
	const struct vmk_subject subject = {
		.doing = N_("load the key"), .vm = &l->vm, .volume = l->volume,
		.kek_id = l->kek_id,
	};

	if (r->errnum)
		l->code = vmk_refused(&subject, r->errnum, r->why, &l->err);
	else if (r->code) {
		l->err = r->err;
		l->code = r->code;
	} else if (!r->replies)
		l->code = vmc_fail(&l->err, VMC_EPROTO, "the vmcrypt module did not say where it loaded the key");
	if (l->code != VMC_EEXIST)	/* that one was told when it was loaded */
		vmk_audit(VMCRYPT_CMD_DEK_LOAD, &subject, l->code, &l->err);
}

/*
 * Before the loads of a VM comes a request to make it, which is refused when
 * it is there: cheaper than to ask. That answer is of no interest; the load
 * tells what is wrong.
 */
static int load_chunk(struct vmk *k, struct vmk_load *l, size_t n, struct vmk_req *r,
		      struct vmc_error *err)
{
	size_t at[LOAD_CHUNK], used = 0;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		memset(&l[i].err, 0, sizeof(l[i].err));
		l[i].code = 0;
		if (!i || !vmc_uuid_equal(&l[i].vm, &l[i - 1].vm))
			rc = vmk_req_vm_new(k, &r[used++], &l[i].vm, err);
		at[i] = used;
		if (!rc)
			l[i].code = req_load(k, &r[used], &l[i]);
		if (!rc && !l[i].code)
			used++;
	}
	if (!rc)
		rc = vmk_exchange(k, r, used, err);
	for (size_t i = 0; i < n && !rc; i++)
		if (!l[i].code)
			settle_load(&l[i], &r[at[i]]);
	while (used)
		vmk_req_free(&r[--used]);
	return rc;
}

int vmk_dek_load_many(struct vmk *k, struct vmk_load *l, size_t n, struct vmc_error *err)
{
	struct vmk_req *r = calloc(2 * (n < LOAD_CHUNK ? n : LOAD_CHUNK) + 1, sizeof(*r));
	int rc = 0;

	if (!r)
		return vmc_fail(err, VMC_ENOMEM, "no memory to load %zu keys", n);
	for (size_t i = 0; i < n && !rc; i += LOAD_CHUNK)
		rc = load_chunk(k, l + i, n - i < LOAD_CHUNK ? n - i : LOAD_CHUNK, r, err);
	free(r);
	return rc;
}

/* What a load would have said, of a DEK that is loaded. */
static int describe_loaded(struct vmk *k, struct vmk_load *l, struct vmc_error *err)
{
	struct vmk_volume v;
	struct vmk_kek kek;
	int rc = vmk_dek_get(k, &l->vm, l->volume, &v, &l->keyring, err);

	if (rc)
		return rc;
	l->key_serial = v.key_serial;
	memcpy(l->key_desc, v.key_desc, sizeof(l->key_desc));
	/* the KEK may have left the cache since */
	if (!vmk_kek_get(k, v.kek_id, &kek, NULL))
		memcpy(l->kcv, kek.kcv, sizeof(l->kcv));
	else
		memset(l->kcv, 0, sizeof(l->kcv));
	return 0;
}

int vmk_dek_load(struct vmk *k, struct vmk_load *l, struct vmc_error *err)
{
	int rc = vmk_dek_load_many(k, l, 1, err);

	if (rc)
		return rc;
	if (l->code == VMC_EEXIST)
		l->code = describe_loaded(k, l, &l->err);
	if (l->code && err)
		*err = l->err;
	return l->code;
}
