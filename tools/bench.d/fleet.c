// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fleet: a thousand VMs for tools/bench, without the days that a thousand
 * installations would take. What is timed is real: keys on the key server,
 * DEKs wrapped by the kernel, authentic bundles, an inventory, dm-crypt tables.
 * Only the containers are left out, as unlocking does not read them.
 *
 *	fleet make DIR VMS DISKS	keys, bundles and inventory entries
 *	fleet dm DIR N			N mappings on sparse files; then closed
 *	fleet idle			requests that ask the module for next to nothing
 *
 * Prints "NAME MILLISECONDS" lines, and NANOSECONDS for each of the idle ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/dm.h"
#include "keys/cache.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/secmem.h"
#include "vm/bundle.h"
#include "vm/manager.h"

#define DATA_OFFSET	32768		/* sectors */
#define DM_BYTES	(64ull << 20)
#define IDLE_REQUESTS	1000

struct fleet {
	struct vmc_config cfg;
	struct vmk *k;
	struct providers *ps;
	const char *dir;
};

static int fail(const struct vmc_error *err)
{
	fprintf(stderr, "fleet: %s\n", err->text);
	if (err->hint[0])
		fprintf(stderr, "Hint: %s\n", err->hint);
	return EXIT_FAILURE;
}

static void report(const char *name, uint64_t since)
{
	printf("%s %llu\n", name, (unsigned long long)(vmc_now_ms() - since));
	fflush(stdout);
}

static int add_volume(struct fleet *f, struct bundle *b, const char *name, const char *kek,
		      const uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err)
{
	struct bundle_volume v = { .generation = 1 };
	uint8_t *dek = secmem_alloc(VMK_DEK_LEN);
	vmc_uuid luks;
	int r;

	if (!dek || RAND_priv_bytes(dek, VMK_DEK_LEN) != 1 || vmc_uuid_new(&luks)) {
		secmem_free(dek, VMK_DEK_LEN);
		return vmc_fail(err, VMC_ENOMEM, "no memory or no randomness for a key");
	}
	snprintf(v.name, sizeof(v.name), "%s", name);
	snprintf(v.path, sizeof(v.path), "%s-%s.img", b->name, name);
	snprintf(v.kek_id, sizeof(v.kek_id), "%s", kek);
	vmc_uuid_format(&luks, v.luks_uuid);
	memcpy(v.kcv, kcv, sizeof(v.kcv));
	r = vmk_dek_wrap(f->k, &b->id, name, kek, dek, v.wrapped, NULL, err);
	secmem_free(dek, VMK_DEK_LEN);
	return r ? r : bundle_add(b, &v, err);
}

static int make_vm(struct fleet *f, unsigned int i, unsigned int disks, char path[PATH_MAX],
		   struct vmc_error *err)
{
	struct bundle b = { .migration = "required", .serial = 1 };
	char kek[VMK_KEK_ID_MAX + 1], folder[PATH_MAX - 128], disk[16];
	uint8_t kcv[VMK_KCV_LEN];
	unsigned int d;
	int r;

	snprintf(b.name, sizeof(b.name), "vm%04u", i);
	snprintf(folder, sizeof(folder), "%s/%s", f->dir, b.name);
	snprintf(path, PATH_MAX, "%s/%s" BUNDLE_SUFFIX, folder, b.name);
	if (vmc_uuid_new(&b.id))
		return vmc_fail(err, VMC_EINTERNAL, "no randomness for an id");
	r = fs_mkdirs(folder, 0700, err);
	if (!r)
		r = cache_create(f->k, f->ps, NULL, b.name, kek, kcv, err);
	if (!r)
		r = add_volume(f, &b, VOLUME_HOME, kek, kcv, err);
	for (d = 0; !r && d < disks; d++) {
		snprintf(disk, sizeof(disk), "disk%u", d);
		r = add_volume(f, &b, disk, kek, kcv, err);
	}
	if (!r)
		r = bundle_sign(&b, f->k, err);
	if (!r)
		r = bundle_write(path, &b, err);
	bundle_clear(&b);
	return r;
}

static int make(struct fleet *f, unsigned int vms, unsigned int disks, struct vmc_error *err)
{
	char (*paths)[PATH_MAX] = calloc(vms, sizeof(*paths));
	char id[VMC_UUID_STR];
	struct vmm *m = NULL;
	uint64_t start;
	unsigned int i;
	int r = 0;

	if (!paths)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	start = vmc_now_ms();
	for (i = 0; !r && i < vms; i++)
		r = make_vm(f, i, disks, paths[i], err);
	if (!r)
		report("make", start);
	start = vmc_now_ms();
	if (!r)
		r = vmm_open(&m, &f->cfg, f->k, f->ps, NULL, NULL, err);
	for (i = 0; !r && i < vms; i++)
		r = vmm_register(m, paths[i], false, id, err);
	if (!r)
		report("register", start);
	if (m)
		vmm_close(m);
	free(paths);
	return r;
}

static int make_file(const char *path, struct vmc_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0 || ftruncate(fd, (off_t)DM_BYTES))
		r = vmc_fail_errno(err, errno, "cannot make '%s'", path);
	if (fd >= 0)
		close(fd);
	return r;
}

static int map(const char *name, const char *path, const struct vmk_load *l, struct vmc_error *err)
{
	const struct dm_crypt c = {
		.name = name, .path = path, .luks_uuid = "00000000-0000-4000-8000-000000000000",
		.key_desc = l->key_desc, .keyring = l->keyring, .offset_sectors = DATA_OFFSET,
	};

	return dm_crypt_open(&c, err);
}

static int dm(struct fleet *f, unsigned int n, struct vmc_error *err)
{
	char kek[VMK_KEK_ID_MAX + 1], path[PATH_MAX], name[64];
	struct vmk_load l = { .volume = "bench", .kek_id = kek };
	uint8_t wrapped[VMK_WRAPPED_LEN], *dek = secmem_alloc(VMK_DEK_LEN);
	unsigned int i, made = 0;
	uint64_t start;
	int r;

	if (!dek || RAND_priv_bytes(dek, VMK_DEK_LEN) != 1 || vmc_uuid_new(&l.vm))
		return vmc_fail(err, VMC_ENOMEM, "no memory or no randomness for a key");
	r = cache_create(f->k, f->ps, NULL, "bench", kek, NULL, err);
	if (!r)
		r = vmk_dek_wrap(f->k, &l.vm, l.volume, kek, dek, wrapped, NULL, err);
	secmem_free(dek, VMK_DEK_LEN);
	l.wrapped = wrapped;
	if (!r)
		r = vmk_dek_load(f->k, &l, err);
	for (i = 0; !r && i < n; i++) {
		snprintf(path, sizeof(path), "%s/dm%u.img", f->dir, i);
		r = make_file(path, err);
	}
	start = vmc_now_ms();
	for (; !r && made < n; made++) {
		snprintf(path, sizeof(path), "%s/dm%u.img", f->dir, made);
		snprintf(name, sizeof(name), "vmcrypt-bench-%u", made);
		r = map(name, path, &l, err);
	}
	if (!r)
		report("dm-open", start);
	start = vmc_now_ms();
	for (i = 0; i < made; i++) {
		snprintf(name, sizeof(name), "vmcrypt-bench-%u", i);
		dm_crypt_close(name, r ? NULL : err);
	}
	if (!r)
		report("dm-close", start);
	vmk_vm_del(f->k, &l.vm, true, NULL);
	return r;
}

static int idle(struct fleet *f, struct vmc_error *err)
{
	struct vmk_times before, after;
	struct vmk_info info;
	unsigned int i;
	int r = 0;

	vmk_times(&before);
	for (i = 0; !r && i < IDLE_REQUESTS; i++)
		r = vmk_info(f->k, &info, err);
	vmk_times(&after);
	if (!r)
		printf("idle-ns %llu\n", (unsigned long long)(after.kernel_ns - before.kernel_ns) / IDLE_REQUESTS);
	return r;
}

static unsigned int number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	return *end || end == s || n > 100000 ? 0 : (unsigned int)n;
}

int main(int argc, char **argv)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct fleet f = { 0 };
	int r;

	if (!(argc == 5 && !strcmp(argv[1], "make") && number(argv[3]) && number(argv[4])) &&
	    !(argc == 4 && !strcmp(argv[1], "dm") && number(argv[3])) &&
	    !(argc == 2 && !strcmp(argv[1], "idle"))) {
		fputs("usage: fleet make DIR VMS DISKS | fleet dm DIR N | fleet idle\n", stderr);
		return 2;
	}
	f.dir = argc > 2 ? argv[2] : "";
	log_init("fleet", LOG_WARNING);
	r = config_load(&f.cfg, NULL, &err);
	if (!r)
		r = secmem_init(f.cfg.secure_heap, &err);
	if (!r)
		r = vmk_open(&f.k, &err);
	if (!r)
		r = providers_open(&f.ps, &f.cfg, &err);
	if (!r)
		r = argc == 5 ? make(&f, number(argv[3]), number(argv[4]), &err) :
		    argc == 4 ? dm(&f, number(argv[3]), &err) : idle(&f, &err);
	if (f.ps)
		providers_close(f.ps);
	if (f.k)
		vmk_close(f.k);
	return r ? fail(&err) : EXIT_SUCCESS;
}
