// SPDX-License-Identifier: GPL-2.0-or-later
/* The client against the module's VMs and DEKs. */
#include "fixture.h"

#include <keyutils.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vmk_load a_load(const vmc_uuid *vm, const char *volume, const char *kek,
			      const uint8_t *wrapped)
{
	struct vmk_load l = { .vm = *vm, .volume = volume, .kek_id = kek, .wrapped = wrapped };

	return l;
}

static void load_tells_where(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN], no_kcv[VMK_KCV_LEN] = { 0 };
	char id[VMC_UUID_STR], desc[VMK_DESC_MAX];
	struct vmk_load l, again;
	const char *kek = fx_kek();
	struct vmk_volume v;
	struct vmk_kek got;
	int32_t keyring;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	vmc_uuid_format(&vm, id);
	fx_wrap(&vm, "root", kek, wrapped);
	l = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	snprintf(desc, sizeof(desc), "vmcrypt:%s:root", id);
	assert_string_equal(l.key_desc, desc);
	assert_true(l.key_serial > 0 && l.keyring > 0);
	assert_memory_not_equal(l.kcv, no_kcv, sizeof(no_kcv));

	/* a second time: there, and described the same */
	again = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &again, &e), &e);
	assert_string_equal(again.key_desc, desc);
	assert_int_equal(again.key_serial, l.key_serial);
	assert_int_equal(again.keyring, l.keyring);
	assert_memory_equal(again.kcv, l.kcv, sizeof(l.kcv));

	assert_ok(vmk_dek_get(fx_k, &vm, "root", &v, &keyring, &e), &e);
	assert_string_equal(v.name, "root");
	assert_string_equal(v.kek_id, kek);
	assert_int_equal(keyring, l.keyring);
	assert_ok(vmk_kek_get(fx_k, kek, &got, &e), &e);
	assert_int_equal(got.users, 1);
}

static void key_cannot_be_read_back(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN];
	const char *kek = fx_kek();
	struct vmk_load l;
	void *raw = NULL;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	fx_wrap(&vm, "root", kek, wrapped);
	l = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	assert_true(keyctl_read_alloc(l.key_serial, &raw) < 0);
	assert_true(keyctl_read_alloc(l.keyring, &raw) < 0);
}

static void not_authentic_is_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN];
	const char *kek = fx_kek(), *other = fx_kek();
	struct vmk_load l;
	vmc_uuid vm, vm2;
	char id[VMC_UUID_STR];

	(void)state;
	fx_uuid(&vm);
	fx_uuid(&vm2);
	vmc_uuid_format(&vm, id);
	fx_wrap(&vm, "root", kek, wrapped);

	l = a_load(&vm, "root", other, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EAUTH, &e);
	assert_contains(e.text, "'root'");
	assert_contains(e.text, id);
	assert_contains(e.text, other);
	assert_contains(e.hint, "backup");
	l = a_load(&vm2, "root", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EAUTH, &e);
	l = a_load(&vm, "data", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EAUTH, &e);
	wrapped[40] ^= 1;
	l = a_load(&vm, "root", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EAUTH, &e);
	wrapped[40] ^= 1;
	l = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
}

static void missing_kek_is_told(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN], *dek = fx_random(VMK_DEK_LEN), kcv[VMK_KCV_LEN];
	const char *kek = fx_kek();
	char id[VMC_UUID_STR];
	struct vmk_load l;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	vmc_uuid_format(&vm, id);
	fx_wrap(&vm, "root", kek, wrapped);
	assert_ok(vmk_kek_del(fx_k, kek, false, &e), &e);
	l = a_load(&vm, "root", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_ENOKEY, &e);
	assert_contains(e.text, kek);
	assert_contains(e.hint, "vmcrypt vm unlock");
	assert_contains(e.hint, id);
	assert_code(vmk_dek_wrap(fx_k, &vm, "root", kek, dek, wrapped, kcv, &e), VMC_ENOKEY, &e);
	fx_free(dek, VMK_DEK_LEN);
}

static void kek_in_use_stays(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN];
	const char *kek = fx_kek();
	struct vmk_load l;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	fx_wrap(&vm, "root", kek, wrapped);
	l = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	assert_code(vmk_kek_del(fx_k, kek, false, &e), VMC_EBUSY, &e);
	assert_contains(e.hint, "--force");
	assert_ok(vmk_kek_del(fx_k, kek, true, &e), &e);
	/* the DEK that is loaded goes on */
	assert_ok(vmk_dek_get(fx_k, &vm, "root", &(struct vmk_volume){ 0 }, NULL, &e), &e);
	/* and is found, without its KEK's check value */
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
}

static void rewrap_moves_to_another_kek(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN], moved[VMK_WRAPPED_LEN], kcv[VMK_KCV_LEN];
	const char *kek = fx_kek(), *new_kek = fx_kek();
	uint8_t digest[32] = { 7 }, mac[VMK_MAC_LEN], mac2[VMK_MAC_LEN];
	struct vmk_kek got;
	struct vmk_load l;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	fx_wrap(&vm, "root", kek, wrapped);
	l = a_load(&vm, "root", kek, wrapped);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	assert_ok(vmk_dek_rewrap(fx_k, &vm, "root", kek, new_kek, wrapped, moved, kcv, &e), &e);
	assert_ok(vmk_kek_get(fx_k, new_kek, &got, &e), &e);
	assert_int_equal(got.users, 1);
	assert_memory_equal(got.kcv, kcv, sizeof(kcv));
	assert_ok(vmk_kek_del(fx_k, kek, false, &e), &e);
	/* the same DEK: it makes the same code */
	assert_ok(vmk_dek_del(fx_k, &vm, "root", &e), &e);
	l = a_load(&vm, "root", new_kek, moved);
	assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	assert_ok(vmk_dek_mac(fx_k, &vm, "root", new_kek, moved, digest, sizeof(digest), mac, &e), &e);
	assert_ok(vmk_dek_mac(fx_k, &vm, "root", new_kek, moved, digest, sizeof(digest), mac2, &e), &e);
	assert_memory_equal(mac, mac2, sizeof(mac));
	digest[0]++;
	assert_ok(vmk_dek_mac(fx_k, &vm, "root", new_kek, moved, digest, sizeof(digest), mac2, &e), &e);
	assert_memory_not_equal(mac, mac2, sizeof(mac));
	assert_code(vmk_dek_mac(fx_k, &vm, "root", kek, moved, digest, sizeof(digest), mac2, &e),
		    VMC_ENOKEY, &e);
	assert_code(vmk_dek_mac(fx_k, &vm, "root", new_kek, moved, digest, 0, mac2, &e),
		    VMC_EINVAL, &e);
	assert_code(vmk_dek_mac(fx_k, &vm, "root", new_kek, moved, digest, 65, mac2, &e),
		    VMC_EINVAL, &e);
	assert_code(vmk_dek_rewrap(fx_k, &vm, "root", new_kek, "test/none", moved, wrapped, kcv, &e),
		    VMC_ENOKEY, &e);
	assert_contains(e.text, "test/none");
}

static void vm_life(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN];
	const char *kek = fx_kek();
	char id[VMC_UUID_STR];
	struct vmk_load l;
	struct vmk_vm got;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	vmc_uuid_format(&vm, id);
	assert_code(vmk_vm_get(fx_k, &vm, &got, &e), VMC_ENOENT, &e);
	assert_contains(e.text, id);
	assert_code(vmk_vm_lock(fx_k, &vm, &e), VMC_ENOENT, &e);
	assert_code(vmk_dek_del(fx_k, &vm, "root", &e), VMC_ENOENT, &e);
	assert_ok(vmk_vm_new(fx_k, &vm, &e), &e);
	assert_ok(vmk_vm_new(fx_k, &vm, &e), &e);
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "v%d", i);
		fx_wrap(&vm, name, kek, wrapped);
		l = a_load(&vm, name, kek, wrapped);
		assert_ok(vmk_dek_load(fx_k, &l, &e), &e);
	}
	assert_ok(vmk_vm_get(fx_k, &vm, &got, &e), &e);
	assert_true(vmc_uuid_equal(&got.id, &vm));
	assert_int_equal(got.n_volumes, 3);
	assert_false(got.locked);
	assert_int_equal(got.keyring, l.keyring);
	assert_int_equal(got.stats.loads, 3);
	assert_string_equal(got.volumes[0].kek_id, kek);
	assert_true(got.volumes[2].key_serial > 0);
	vmk_vm_clear(&got);
	assert_code(vmk_vm_del(fx_k, &vm, false, &e), VMC_EBUSY, &e);
	assert_contains(e.hint, "power-off");
	assert_ok(vmk_vm_lock(fx_k, &vm, &e), &e);
	assert_ok(vmk_vm_get(fx_k, &vm, &got, &e), &e);
	assert_true(got.locked);
	assert_int_equal(got.n_volumes, 0);
	vmk_vm_clear(&got);
	assert_ok(vmk_vm_del(fx_k, &vm, false, &e), &e);
	assert_code(vmk_vm_del(fx_k, &vm, true, &e), VMC_ENOENT, &e);
}

static void bad_volumes_are_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t wrapped[VMK_WRAPPED_LEN] = { 0 };
	char name[VMK_VOLUME_MAX + 2];
	const char *kek = fx_kek();
	struct vmk_load l;
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	l = a_load(&vm, name, kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EINVAL, &e);
	l = a_load(&vm, "", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EINVAL, &e);
	l = a_load(&vm, "../x", kek, wrapped);
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_EINVAL, &e);
	l = a_load(&vm, "root", kek, wrapped);	/* no such format */
	assert_code(vmk_dek_load(fx_k, &l, &e), VMC_ENOTSUP, &e);
}

static void weak_dek_is_refused(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *dek = fx_random(VMK_DEK_LEN), wrapped[VMK_WRAPPED_LEN], kcv[VMK_KCV_LEN];
	vmc_uuid vm;

	(void)state;
	fx_uuid(&vm);
	memcpy(dek + VMK_DEK_LEN / 2, dek, VMK_DEK_LEN / 2);
	assert_code(vmk_dek_wrap(fx_k, &vm, "root", fx_kek(), dek, wrapped, kcv, &e),
		    VMC_EINVAL, &e);
	fx_free(dek, VMK_DEK_LEN);
}

#define THREADS		4
#define EACH		50

static void *worker(void *data)
{
	uint8_t wrapped[VMK_WRAPPED_LEN], kcv[VMK_KCV_LEN];
	uint8_t *dek = fx_random(VMK_DEK_LEN);
	const char *kek = data;
	struct vmk_load l;
	size_t bad = 0;
	vmc_uuid vm;

	vmc_uuid_new(&vm);
	for (int i = 0; i < EACH; i++) {
		char name[16];

		snprintf(name, sizeof(name), "v%d", i);
		bad += vmk_dek_wrap(fx_k, &vm, name, kek, dek, wrapped, kcv, NULL) != 0;
		l = a_load(&vm, name, kek, wrapped);
		bad += vmk_dek_load(fx_k, &l, NULL) != 0;
	}
	fx_free(dek, VMK_DEK_LEN);
	return (void *)bad;
}

static void threads_do_not_mix(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	pthread_t t[THREADS];
	const char *kek = fx_kek();
	struct vmk_kek got;
	void *bad;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, worker, (void *)kek), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_ok(vmk_kek_get(fx_k, kek, &got, &e), &e);
	assert_int_equal(got.users, THREADS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_tells_where),
		cmocka_unit_test(key_cannot_be_read_back),
		cmocka_unit_test(not_authentic_is_refused),
		cmocka_unit_test(missing_kek_is_told),
		cmocka_unit_test(kek_in_use_stays),
		cmocka_unit_test(rewrap_moves_to_another_kek),
		cmocka_unit_test(vm_life),
		cmocka_unit_test(bad_volumes_are_refused),
		cmocka_unit_test(weak_dek_is_refused),
		cmocka_unit_test(threads_do_not_mix),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("client/dek", tests, fx_setup, fx_teardown);
}
