// SPDX-License-Identifier: GPL-2.0-or-later
/* What the client's self-tests share. */
#include "fixture.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/secmem.h"

struct vmk *fx_k;

int fx_setup(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	if (secmem_init(1 << 20, &e) || vmk_open(&fx_k, &e)) {
		print_error("%s (%s)\n", e.text, e.hint);
		return -1;
	}
	fx_clear_module();
	return 0;
}

int fx_teardown(void **state)
{
	(void)state;
	fx_clear_module();
	vmk_close(fx_k);
	return 0;
}

uint8_t *fx_random(size_t n)
{
	uint8_t *p = secmem_alloc(n);

	assert_non_null(p);
	assert_int_equal(RAND_priv_bytes(p, (int)n), 1);
	return p;
}

void fx_free(uint8_t *p, size_t n)
{
	secmem_free(p, n);
}

const char *fx_kek_id(const char *name)
{
	static char ids[16][VMK_KEK_ID_MAX + 1];
	static unsigned int n;
	char *id = ids[n % 16];

	snprintf(id, sizeof(ids[0]), "test/%s-%u", name, n++);
	return id;
}

const char *fx_kek(void)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *kek = fx_random(VMK_KEK_LEN);
	const char *id = fx_kek_id("kek");

	assert_ok(vmk_kek_new(fx_k, id, kek, 0, NULL, &e), &e);
	fx_free(kek, VMK_KEK_LEN);
	return id;
}

void fx_uuid(vmc_uuid *u)
{
	assert_int_equal(vmc_uuid_new(u), 0);
}

void fx_wrap(const vmc_uuid *vm, const char *volume, const char *kek,
	     uint8_t wrapped[VMK_WRAPPED_LEN])
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t *dek = fx_random(VMK_DEK_LEN), kcv[VMK_KCV_LEN];

	assert_ok(vmk_dek_wrap(fx_k, vm, volume, kek, dek, wrapped, kcv, &e), &e);
	fx_free(dek, VMK_DEK_LEN);
}

void fx_clear_module(void)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_kek *keks;
	struct vmk_vm *vms;
	size_t n;

	assert_ok(vmk_vm_list(fx_k, &vms, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		assert_ok(vmk_vm_del(fx_k, &vms[i].id, true, &e), &e);
	free(vms);
	assert_ok(vmk_kek_list(fx_k, &keks, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		assert_ok(vmk_kek_del(fx_k, keks[i].id, true, &e), &e);
	free(keks);
}

int fx_run(char *out, size_t n, const char *cmd)
{
	FILE *f = popen(cmd, "re");
	size_t got = 0;
	int status;

	assert_non_null(f);
	if (n) {
		got = fread(out, 1, n - 1, f);
		out[got] = '\0';
	}
	while (fgetc(f) != EOF)	/* so that it does not die of SIGPIPE */
		;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
