// SPDX-License-Identifier: GPL-2.0-or-later
/* DEKs: wrapping, loading by the hundred, moving to another KEK. */
#include <stdlib.h>
#include <string.h>

#include "client_priv.h"

_Static_assert(VMK_DEK_LEN == VMCRYPT_DEK_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_WRAPPED_LEN == VMCRYPT_WRAPPED_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_MAC_LEN == VMCRYPT_MAC_LEN, "client.h and the uapi header differ");
_Static_assert(VMK_VOLUME_MAX == VMCRYPT_VOLUME_MAX, "client.h and the uapi header differ");

/* Loads in flight: two requests each, at most, and their answers are memory. */
#define LOAD_CHUNK	512

int vmk_check_volume(const char *volume, struct vmc_error *err)
{
	size_t n = volume ? strlen(volume) : 0;

	if (!n || n > VMK_VOLUME_MAX)
		return vmc_fail(err, VMC_EINVAL, "a volume's name has 1 to %d bytes, this one has %zu",
				VMK_VOLUME_MAX, n);
	return 0;
}

static int no_room(struct vmk_req *r, struct vmc_error *err)
{
	vmk_req_free(r);
	return vmc_fail(err, VMC_EINTERNAL, "a request about a DEK does not fit its message");
}

/* A request with the VM, the volume and, if there is one, the KEK. */
static int new_request(struct vmk *k, struct vmk_req *r, uint8_t cmd, const vmc_uuid *vm,
		       const char *volume, const char *kek_id, struct vmc_error *err)
{
	int rc = vmk_check_volume(volume, err);

	if (!rc && kek_id)
		rc = vmk_check_kek_id(kek_id, err);
	if (!rc)
		rc = vmk_req_new(k, r, cmd, false, err);
	if (rc)
		return rc;
	r->policy = vmk_dek_policy;
	r->max_attr = VMCRYPT_A_DEK_MAX;
	NLA_PUT(r->msg, VMCRYPT_A_DEK_VM_ID, sizeof(vm->b), vm->b);
	NLA_PUT_STRING(r->msg, VMCRYPT_A_DEK_VOLUME, volume);
	if (kek_id)
		NLA_PUT_STRING(r->msg, VMCRYPT_A_DEK_KEK_ID, kek_id);
	return 0;

nla_put_failure:
	return no_room(r, err);
}

/* ---- wrap, rewrap ---- */

struct sealed {
	uint8_t *wrapped, *kcv;		/* kcv may be NULL */
};

static int on_sealed(struct nlmsghdr *h, struct nlattr **tb, void *data,
		     struct vmc_error *err)
{
	struct sealed *s = data;
	uint8_t kcv[VMK_KCV_LEN];
	int rc;

	(void)h;
	rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_WRAPPED], s->wrapped, VMK_WRAPPED_LEN,
			    "wrapped key", err);
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_KCV], kcv, sizeof(kcv),
				    "key check value", err);
	if (!rc && s->kcv)
		memcpy(s->kcv, kcv, sizeof(kcv));
	return rc;
}

static int ask_wrap(struct vmk *k, const struct vmk_subject *s, int32_t serial,
		    struct sealed *out, struct vmc_error *err)
{
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_DEK_WRAP, s->vm, s->volume, s->kek_id, err);

	if (rc)
		return rc;
	NLA_PUT_S32(r.msg, VMCRYPT_A_DEK_KEY_SERIAL, serial);
	r.reply = on_sealed;
	r.data = out;
	return vmk_ask(k, &r, s, err);

nla_put_failure:
	return no_room(&r, err);
}

int vmk_dek_wrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		 const uint8_t *dek, uint8_t wrapped[VMK_WRAPPED_LEN],
		 uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = "wrap the key", .vm = vm, .volume = volume, .kek_id = kek_id,
	};
	struct sealed out = { wrapped, kcv };
	int32_t serial;
	int rc;

	rc = vmk_material_add(dek, VMK_DEK_LEN, &serial, err);
	if (rc)
		return rc;
	rc = ask_wrap(k, &subject, serial, &out, err);
	vmk_material_drop(serial);
	return rc;
}

int vmk_dek_rewrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const char *new_kek_id, const uint8_t wrapped[VMK_WRAPPED_LEN],
		   uint8_t out[VMK_WRAPPED_LEN], uint8_t kcv[VMK_KCV_LEN],
		   struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = "move the key", .vm = vm, .volume = volume, .kek_id = kek_id,
		.new_kek_id = new_kek_id,
	};
	struct sealed sealed = { out, kcv };
	struct vmk_req r;
	int rc = vmk_check_kek_id(new_kek_id, err);

	if (!rc)
		rc = new_request(k, &r, VMCRYPT_CMD_DEK_REWRAP, vm, volume, kek_id, err);
	if (rc)
		return rc;
	NLA_PUT_STRING(r.msg, VMCRYPT_A_DEK_NEW_KEK_ID, new_kek_id);
	NLA_PUT(r.msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, wrapped);
	r.reply = on_sealed;
	r.data = &sealed;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return no_room(&r, err);
}

/* ---- mac ---- */

static int on_mac(struct nlmsghdr *h, struct nlattr **tb, void *data,
		  struct vmc_error *err)
{
	(void)h;
	return vmk_take_bytes(tb[VMCRYPT_A_DEK_MAC], data, VMK_MAC_LEN, "code", err);
}

int vmk_dek_mac(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		const uint8_t wrapped[VMK_WRAPPED_LEN], const uint8_t *digest, size_t n,
		uint8_t mac[VMK_MAC_LEN], struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = "authenticate with the key", .vm = vm, .volume = volume,
		.kek_id = kek_id,
	};
	struct vmk_req r;
	int rc;

	if (!n || n > VMCRYPT_DIGEST_MAX)
		return vmc_fail(err, VMC_EINVAL, "a digest has 1 to %d bytes, this one has %zu",
				VMCRYPT_DIGEST_MAX, n);
	rc = new_request(k, &r, VMCRYPT_CMD_DEK_MAC, vm, volume, kek_id, err);
	if (rc)
		return rc;
	NLA_PUT(r.msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, wrapped);
	NLA_PUT(r.msg, VMCRYPT_A_DEK_DIGEST, (int)n, digest);
	r.reply = on_mac;
	r.data = mac;
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return no_room(&r, err);
}

/* ---- load ---- */

static int on_loaded(struct nlmsghdr *h, struct nlattr **tb, void *data,
		     struct vmc_error *err)
{
	struct vmk_load *l = data;
	int rc;

	(void)h;
	rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEY_DESC], l->key_desc, sizeof(l->key_desc),
			     "key description", err);
	if (!rc)
		rc = vmk_take_bytes(tb[VMCRYPT_A_DEK_KCV], l->kcv, sizeof(l->kcv),
				    "key check value", err);
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
	int rc = new_request(k, r, VMCRYPT_CMD_DEK_LOAD, &l->vm, l->volume, l->kek_id, &l->err);

	if (rc)
		return rc;
	NLA_PUT(r->msg, VMCRYPT_A_DEK_WRAPPED, VMK_WRAPPED_LEN, l->wrapped);
	r->reply = on_loaded;
	r->data = l;
	return 0;

nla_put_failure:
	return no_room(r, &l->err);
}

static void settle_load(struct vmk_load *l, const struct vmk_req *r)
{
	const struct vmk_subject subject = {
		.doing = "load the key", .vm = &l->vm, .volume = l->volume,
		.kek_id = l->kek_id,
	};

	if (r->errnum)
		l->code = vmk_refused(&subject, r->errnum, r->why, &l->err);
	else if (r->code) {
		l->err = r->err;
		l->code = r->code;
	} else if (!r->replies)
		l->code = vmc_fail(&l->err, VMC_EPROTO, "the vmcrypt module did not say where it loaded the key");
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

/* ---- get, del ---- */

struct found {
	struct vmk_volume *v;
	int32_t *keyring;		/* may be NULL */
};

static int on_found(struct nlmsghdr *h, struct nlattr **tb, void *data,
		    struct vmc_error *err)
{
	struct found *f = data;
	int rc;

	(void)h;
	rc = vmk_take_string(tb[VMCRYPT_A_DEK_VOLUME], f->v->name, sizeof(f->v->name),
			     "volume name", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEK_ID], f->v->kek_id,
				     sizeof(f->v->kek_id), "KEK id", err);
	if (!rc)
		rc = vmk_take_string(tb[VMCRYPT_A_DEK_KEY_DESC], f->v->key_desc,
				     sizeof(f->v->key_desc), "key description", err);
	if (!rc && (!tb[VMCRYPT_A_DEK_KEY_SERIAL] || !tb[VMCRYPT_A_DEK_KEYRING]))
		rc = vmc_fail(err, VMC_EPROTO, "the vmcrypt module's reply has no key serials");
	if (rc)
		return rc;
	f->v->key_serial = nla_get_s32(tb[VMCRYPT_A_DEK_KEY_SERIAL]);
	if (f->keyring)
		*f->keyring = nla_get_s32(tb[VMCRYPT_A_DEK_KEYRING]);
	return 0;
}

int vmk_dek_get(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmk_volume *out,
		int32_t *keyring, struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = "find in the kernel the key", .vm = vm, .volume = volume,
	};
	struct found f = { out, keyring };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_DEK_GET, vm, volume, NULL, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	r.reply = on_found;
	r.data = &f;
	return vmk_ask(k, &r, &subject, err);
}

int vmk_dek_del(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmc_error *err)
{
	const struct vmk_subject subject = {
		.doing = "revoke the key", .vm = vm, .volume = volume,
	};
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_DEK_DEL, vm, volume, NULL, err);

	return rc ? rc : vmk_ask(k, &r, &subject, err);
}
