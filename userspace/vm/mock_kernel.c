// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module: KEK cache, per-VM DEKs, AES-256-GCM wrapping with associated data. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/client.h"
#include "../lib/secmem.h"
#include "mock_host.h"

#define KEYRING 4242

/* version 1, AES-256-GCM, two reserved bytes */
static const uint8_t format[4] = { 1, 1, 0, 0 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct mock_kek *kek_find(const char *id)
{
	size_t i;

	for (i = 0; i < mock->n_keks; i++)
		if (!strcmp(mock->keks[i].id, id))
			return &mock->keks[i];
	return NULL;
}

static struct mock_kek *kek_need(const char *id, struct vmc_error *err)
{
	struct mock_kek *k = kek_find(id);

	if (!k)
		vmc_fail(err, VMC_ENOKEY, "key '%s' is not in the kernel's cache", id);
	return k;
}

static void kcv_of(const uint8_t *key, uint8_t kcv[VMK_KCV_LEN])
{
	uint8_t digest[32];

	if (!EVP_Digest(key, VMK_KEK_LEN, digest, NULL, EVP_sha256(), NULL))
		abort();
	if (kcv)
		memcpy(kcv, digest, VMK_KCV_LEN);
}

static struct mock_dek *dek_find(const vmc_uuid *vm, const char *volume)
{
	size_t i;

	for (i = 0; i < MOCK_DEKS; i++)
		if (mock->deks[i].serial && vmc_uuid_equal(&mock->deks[i].vm, vm) &&
		    !strcmp(mock->deks[i].volume, volume))
			return &mock->deks[i];
	return NULL;
}

/* Format, algorithm, KEK id, VM id, volume name: what a wrapped DEK is bound to. */
static size_t aad(const char *kek_id, const vmc_uuid *vm, const char *volume, uint8_t out[512])
{
	size_t n = 4;

	memcpy(out, format, sizeof(format));
	memcpy(out + n, kek_id, strlen(kek_id) + 1);
	n += strlen(kek_id) + 1;
	memcpy(out + n, vm->b, sizeof(vm->b));
	n += sizeof(vm->b);
	memcpy(out + n, volume, strlen(volume) + 1);
	return n + strlen(volume) + 1;
}

static int gcm(int enc, const uint8_t *key, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
	       const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, enc) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &n, ad, (int)ad_len) != 1 ||
	    EVP_CipherUpdate(ctx, out, &n, in, VMK_DEK_LEN) != 1)
		abort();
	if (!enc)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag);
	ok = EVP_CipherFinal_ex(ctx, out + n, &n) == 1;
	if (enc)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static void wrap(const struct mock_kek *k, const vmc_uuid *vm, const char *volume, const uint8_t *dek,
		 uint8_t out[VMK_WRAPPED_LEN])
{
	uint8_t ad[512];
	size_t n = aad(k->id, vm, volume, ad);

	memcpy(out, format, sizeof(format));
	RAND_bytes(out + 4, 12);
	gcm(1, k->key, out + 4, ad, n, dek, out + 16, out + 80);
}

static int unwrap(const char *kek_id, const vmc_uuid *vm, const char *volume, const uint8_t *wrapped,
		  uint8_t dek[VMK_DEK_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct mock_kek *k = kek_need(kek_id, err);
	uint8_t ad[512], tag[16];

	if (!k)
		return VMC_ENOKEY;
	kcv_of(k->key, kcv);
	memcpy(tag, wrapped + 80, sizeof(tag));
	if (memcmp(wrapped, format, sizeof(format)) ||
	    !gcm(0, k->key, wrapped + 4, ad, aad(kek_id, vm, volume, ad), wrapped + 16, dek, tag))
		return vmc_fail(err, VMC_EAUTH, "the wrapped DEK is not authentic");
	return 0;
}

int vmk_kek_new(struct vmk *vk, const char *id, const uint8_t *kek, uint32_t lease,
		uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct mock_kek *k;
	int r = 0;

	(void)vk;
	(void)lease;
	pthread_mutex_lock(&lock);
	k = kek_find(id);
	if (!secmem_is_secure(kek)) {
		r = vmc_fail(err, VMC_EINTERNAL, "mock: the KEK is not in the secure heap");
	} else if (k && memcmp(k->key, kek, VMK_KEK_LEN)) {
		r = vmc_fail(err, VMC_EEXIST, "another key is cached under '%s'", id);
	} else if (!k && mock->n_keks < MOCK_KEKS) {
		k = &mock->keks[mock->n_keks++];
		snprintf(k->id, sizeof(k->id), "%s", id);
		memcpy(k->key, kek, VMK_KEK_LEN);
	}
	kcv_of(kek, kcv);
	pthread_mutex_unlock(&lock);
	return r;
}

static void kek_tell(const struct mock_kek *k, struct vmk_kek *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	memcpy(out->id, k->id, sizeof(out->id));
	kcv_of(k->key, out->kcv);
	for (i = 0; i < MOCK_DEKS; i++)
		out->users += mock->deks[i].serial && !strcmp(mock->deks[i].kek_id, k->id);
}

int vmk_kek_get(struct vmk *vk, const char *id, struct vmk_kek *out, struct vmc_error *err)
{
	struct mock_kek *k;

	(void)vk;
	pthread_mutex_lock(&lock);
	k = kek_need(id, err);
	if (k)
		kek_tell(k, out);
	pthread_mutex_unlock(&lock);
	return k ? 0 : VMC_ENOKEY;
}

int vmk_kek_list(struct vmk *vk, struct vmk_kek **out, size_t *n, struct vmc_error *err)
{
	size_t i;

	(void)vk;
	(void)err;
	pthread_mutex_lock(&lock);
	*n = mock->n_keks;
	*out = calloc(*n + 1, sizeof(**out));
	for (i = 0; i < *n; i++)
		kek_tell(&mock->keks[i], &(*out)[i]);
	pthread_mutex_unlock(&lock);
	return 0;
}

int vmk_kek_del(struct vmk *vk, const char *id, bool force, struct vmc_error *err)
{
	struct mock_kek *k;
	struct vmk_kek now;
	int r = 0;

	(void)vk;
	pthread_mutex_lock(&lock);
	k = kek_need(id, err);
	if (!k) {
		r = VMC_ENOKEY;
	} else {
		kek_tell(k, &now);
		if (now.users && !force)
			r = vmc_fail(err, VMC_EBUSY, "key '%s' is in use by %u DEKs", id, now.users);
		else
			*k = mock->keks[--mock->n_keks];
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int vmk_vm_list(struct vmk *vk, struct vmk_vm **out, size_t *n, struct vmc_error *err)
{
	size_t i, j, count = 0;
	struct vmk_vm *list = calloc(MOCK_DEKS, sizeof(*list));

	(void)vk;
	(void)err;
	pthread_mutex_lock(&lock);
	for (i = 0; i < MOCK_DEKS; i++) {
		if (!mock->deks[i].serial)
			continue;
		for (j = 0; j < count && !vmc_uuid_equal(&list[j].id, &mock->deks[i].vm); j++)
			;
		list[j].id = mock->deks[i].vm;
		list[j].n_volumes++;
		count += j == count;
	}
	pthread_mutex_unlock(&lock);
	*out = list;
	*n = count;
	return 0;
}

int vmk_vm_del(struct vmk *vk, const vmc_uuid *vm, bool force, struct vmc_error *err)
{
	size_t i;

	(void)vk;
	(void)force;
	(void)err;
	pthread_mutex_lock(&lock);
	for (i = 0; i < MOCK_DEKS; i++)
		if (vmc_uuid_equal(&mock->deks[i].vm, vm))
			memset(&mock->deks[i], 0, sizeof(mock->deks[i]));
	pthread_mutex_unlock(&lock);
	return 0;
}

int vmk_vm_lock(struct vmk *vk, const vmc_uuid *vm, struct vmc_error *err)
{
	return vmk_vm_del(vk, vm, true, err);
}

int vmk_dek_wrap(struct vmk *vk, const vmc_uuid *vm, const char *volume, const char *kek_id,
		 const uint8_t *dek, uint8_t wrapped[VMK_WRAPPED_LEN], uint8_t kcv[VMK_KCV_LEN],
		 struct vmc_error *err)
{
	struct mock_kek *k;

	(void)vk;
	if (!secmem_is_secure(dek))
		return vmc_fail(err, VMC_EINTERNAL, "mock: the DEK is not in the secure heap");
	pthread_mutex_lock(&lock);
	k = kek_need(kek_id, err);
	if (k) {
		wrap(k, vm, volume, dek, wrapped);
		kcv_of(k->key, kcv);
	}
	pthread_mutex_unlock(&lock);
	return k ? 0 : VMC_ENOKEY;
}

static int load_one(struct vmk_load *l)
{
	struct mock_dek *d = dek_find(&l->vm, l->volume);
	uint8_t dek[VMK_DEK_LEN];
	char id[VMC_UUID_STR];
	size_t i;
	int r;

	if (d)
		return vmc_fail(&l->err, VMC_EEXIST, "volume '%s' is loaded", l->volume);
	r = unwrap(l->kek_id, &l->vm, l->volume, l->wrapped, dek, l->kcv, &l->err);
	if (r)
		return r;
	for (i = 0; i < MOCK_DEKS && mock->deks[i].serial; i++)
		;
	if (i == MOCK_DEKS)
		return vmc_fail(&l->err, VMC_ENOSPC, "mock: too many DEKs");
	d = &mock->deks[i];
	d->vm = l->vm;
	snprintf(d->volume, sizeof(d->volume), "%s", l->volume);
	snprintf(d->kek_id, sizeof(d->kek_id), "%s", l->kek_id);
	memcpy(d->key, dek, sizeof(dek));
	d->serial = l->key_serial = ++mock->serial;
	l->keyring = KEYRING;
	vmc_uuid_format(&l->vm, id);
	snprintf(l->key_desc, sizeof(l->key_desc), "vmcrypt:%s:%s", id, l->volume);
	return 0;
}

int vmk_dek_load_many(struct vmk *vk, struct vmk_load *l, size_t n, struct vmc_error *err)
{
	size_t i;

	(void)vk;
	(void)err;
	pthread_mutex_lock(&lock);
	for (i = 0; i < n; i++)
		l[i].code = load_one(&l[i]);
	pthread_mutex_unlock(&lock);
	return 0;
}

int vmk_dek_load(struct vmk *vk, struct vmk_load *l, struct vmc_error *err)
{
	vmk_dek_load_many(vk, l, 1, err);
	if (err)
		*err = l->err;
	return l->code == VMC_EEXIST ? 0 : l->code;
}

int vmk_dek_rewrap(struct vmk *vk, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const char *new_kek_id, const uint8_t wrapped[VMK_WRAPPED_LEN],
		   uint8_t out[VMK_WRAPPED_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	uint8_t dek[VMK_DEK_LEN];
	struct mock_kek *k;
	struct mock_dek *d;
	int r;

	(void)vk;
	pthread_mutex_lock(&lock);
	r = unwrap(kek_id, vm, volume, wrapped, dek, NULL, err);
	k = r ? NULL : kek_need(new_kek_id, err);
	if (k) {
		wrap(k, vm, volume, dek, out);
		kcv_of(k->key, kcv);
		d = dek_find(vm, volume);
		if (d)
			snprintf(d->kek_id, sizeof(d->kek_id), "%s", new_kek_id);
	} else if (!r) {
		r = VMC_ENOKEY;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int vmk_dek_mac(struct vmk *vk, const vmc_uuid *vm, const char *volume, const char *kek_id,
		const uint8_t wrapped[VMK_WRAPPED_LEN], const uint8_t *digest, size_t n,
		uint8_t mac[VMK_MAC_LEN], struct vmc_error *err)
{
	uint8_t dek[VMK_DEK_LEN];
	unsigned int len = VMK_MAC_LEN;
	int r;

	(void)vk;
	pthread_mutex_lock(&lock);
	r = unwrap(kek_id, vm, volume, wrapped, dek, NULL, err);
	if (!r && !HMAC(EVP_sha256(), dek, sizeof(dek), digest, n, mac, &len))
		abort();
	pthread_mutex_unlock(&lock);
	return r;
}

int vmk_dek_get(struct vmk *vk, const vmc_uuid *vm, const char *volume, struct vmk_volume *out,
		int32_t *keyring, struct vmc_error *err)
{
	struct mock_dek *d;
	char id[VMC_UUID_STR];

	(void)vk;
	pthread_mutex_lock(&lock);
	d = dek_find(vm, volume);
	if (d) {
		memset(out, 0, sizeof(*out));
		memcpy(out->name, d->volume, sizeof(out->name));
		memcpy(out->kek_id, d->kek_id, sizeof(out->kek_id));
		vmc_uuid_format(vm, id);
		snprintf(out->key_desc, sizeof(out->key_desc), "vmcrypt:%s:%s", id, volume);
		*keyring = KEYRING;
	}
	pthread_mutex_unlock(&lock);
	return d ? 0 : vmc_fail(err, VMC_ENOENT, "volume '%s' is not loaded", volume);
}

/* Sealed as nobody would: what matters is that it comes out again where it belongs. */
int vmk_dek_export(struct vmk *vk, uint32_t migration, const vmc_uuid *vm, const char *volume,
		   char kek_id[VMK_KEK_ID_MAX + 1], uint8_t sealed[VMK_SEALED_LEN], struct vmc_error *err)
{
	struct mock_dek *d;

	(void)vk, (void)migration;
	pthread_mutex_lock(&lock);
	d = dek_find(vm, volume);
	if (d) {
		memcpy(kek_id, d->kek_id, sizeof(d->kek_id));
		memset(sealed, 0, VMK_SEALED_LEN);
		memcpy(sealed, vm->b, sizeof(vm->b));
		for (size_t i = 0; i < sizeof(d->key); i++)
			sealed[64 + i] = d->key[i] ^ 0x5a;
	}
	pthread_mutex_unlock(&lock);
	return d ? 0 : vmc_fail(err, VMC_ENOENT, "volume '%s' is not loaded", volume);
}

int vmk_dek_import(struct vmk *vk, uint32_t migration, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const uint8_t sealed[VMK_SEALED_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct mock_dek *d = mock->deks;

	(void)vk, (void)migration;
	memset(kcv, 0, VMK_KCV_LEN);
	if (memcmp(sealed, vm->b, sizeof(vm->b)))
		return vmc_fail(err, VMC_EAUTH, "the sealed DEK is not authentic");
	pthread_mutex_lock(&lock);
	while (d < mock->deks + MOCK_DEKS - 1 && d->serial)
		d++;
	d->vm = *vm;
	snprintf(d->volume, sizeof(d->volume), "%s", volume);
	snprintf(d->kek_id, sizeof(d->kek_id), "%s", kek_id);
	for (size_t i = 0; i < sizeof(d->key); i++)
		d->key[i] = sealed[64 + i] ^ 0x5a;
	d->serial = ++mock->serial;
	pthread_mutex_unlock(&lock);
	return 0;
}

int vmk_dek_del(struct vmk *vk, const vmc_uuid *vm, const char *volume, struct vmc_error *err)
{
	struct mock_dek *d;

	(void)vk;
	pthread_mutex_lock(&lock);
	d = dek_find(vm, volume);
	if (d)
		memset(d, 0, sizeof(*d));
	pthread_mutex_unlock(&lock);
	return d ? 0 : vmc_fail(err, VMC_ENOENT, "volume '%s' is not loaded", volume);
}

void vmk_times(struct vmk_times *t)
{
	memset(t, 0, sizeof(*t));
}

int vmk_vm_get(struct vmk *vk, const vmc_uuid *vm, struct vmk_vm *out, struct vmc_error *err)
{
	size_t i;

	(void)vk;
	memset(out, 0, sizeof(*out));
	out->id = *vm;
	out->keyring = KEYRING;
	out->volumes = calloc(MOCK_DEKS, sizeof(*out->volumes));
	pthread_mutex_lock(&lock);
	for (i = 0; i < MOCK_DEKS; i++)
		if (mock->deks[i].serial && vmc_uuid_equal(&mock->deks[i].vm, vm))
			memcpy(out->volumes[out->n_volumes++].name, mock->deks[i].volume, VMK_VOLUME_MAX + 1);
	pthread_mutex_unlock(&lock);
	if (out->n_volumes)
		return 0;
	vmk_vm_clear(out);
	return vmc_fail(err, VMC_ENOENT, "no such VM");
}

void vmk_vm_clear(struct vmk_vm *vm)
{
	free(vm->volumes);
	memset(vm, 0, sizeof(*vm));
}
