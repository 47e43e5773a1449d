// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * persist TCTI DIR KEYS - stores KEYS keys under the TPM at TCTI, forgets them
 * as a reboot does, and gets them back. Prints "NAME MICROSECONDS" lines.
 */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keys/tpm/store.h"
#include "lib/secmem.h"

#define CHUNK 256	/* keys at a time, as the cache stores them */

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void must(int rc, const struct vmc_error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "persist: %s\n", err->text);
	exit(1);
}

static int count(const char *id, const uint8_t *material, uint32_t lease, void *data)
{
	(void)id, (void)material, (void)lease;
	++*(size_t *)data;
	return 0;
}

static void put_all(struct store *s, size_t n, struct vmc_error *err)
{
	uint8_t *material = secmem_alloc(CHUNK * KEYFILE_KEY_LEN);
	struct store_key keys[CHUNK];
	char ids[CHUNK][32];

	for (size_t i = 0; i < n; ) {
		size_t k = 0;

		for (; k < CHUNK && i < n; k++, i++) {
			uint8_t *m = material + k * KEYFILE_KEY_LEN;

			RAND_bytes(m, KEYFILE_KEY_LEN);
			snprintf(ids[k], sizeof(ids[k]), "kms/%zu", i);
			keys[k] = (struct store_key){ ids[k], m, 0 };
		}
		must(store_put(s, keys, k, err), err);
	}
	secmem_free(material, CHUNK * KEYFILE_KEY_LEN);
}

int main(int argc, char **argv)
{
	struct vmc_config cfg = { .tpm_pcrs = 1 << 7, .tpm_bank = "sha256", .tpm_nv_index = 0x1b0c2e0 };
	struct vmc_error err = VMC_ERROR_INIT;
	size_t n, got = 0;
	struct store *s;
	double t[5];

	if (argc != 4) {
		fputs("usage: persist TCTI DIR KEYS\n", stderr);
		return 2;
	}
	setenv("TSS2_LOG", "all+NONE", 0);
	snprintf(cfg.tpm_tcti, sizeof(cfg.tpm_tcti), "%s", argv[1]);
	snprintf(cfg.state_dir, sizeof(cfg.state_dir), "%s", argv[2]);
	n = strtoul(argv[3], NULL, 10);
	must(secmem_init(1 << 20, &err), &err);
	must(store_new(&s, &cfg, &err), &err);
	t[0] = now_us();
	must(store_enable(s, &err), &err);
	t[1] = now_us();
	put_all(s, n, &err);
	t[2] = now_us();
	store_free(s);
	must(store_new(&s, &cfg, &err), &err);
	t[3] = now_us();
	must(store_open(s, &err), &err);
	t[4] = now_us();
	must(store_each(s, count, &got, &err), &err);
	printf("keys %zu\nenable %.0f\nstore %.0f\nunseal %.0f\nrestore %.0f\n", got, t[1] - t[0], t[2] - t[1],
	       t[4] - t[3], now_us() - t[3]);
	must(store_erase(s, &err), &err);
	store_free(s);
	return got != n;
}
