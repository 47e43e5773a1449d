// SPDX-License-Identifier: GPL-2.0-or-later
/* A bundle made anew from the tokens in the headers of a VM's volumes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/dm.h"
#include "../lib/fs.h"
#include "../lib/log.h"
#include "device.h"
#include "recrypt.h"
#include "register.h"

#define NEIGHBOURS_MAX 4096	/* files of a folder that are looked at */

struct rebuild {
	struct bundle b;
	char dir[PATH_MAX], bundle[PATH_MAX];
	uint32_t flags;
};

/* A quick look before libcryptsetup's long one: LUKS2 begins with this. */
static bool looks_like_luks(const char *path)
{
	static const char magic[8] = { 'L', 'U', 'K', 'S', '\xba', '\xbe', 0, 2 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	char head[sizeof(magic)];
	struct stat st;
	bool is;

	if (fd < 0)
		return false;
	is = !fstat(fd, &st) && S_ISREG(st.st_mode) && pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	     !memcmp(head, magic, sizeof(magic));
	close(fd);
	return is;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), e = strlen(end);

	return n >= e && !strcmp(s + n - e, end);
}

static int set_volume(struct rebuild *rb, const char *path, const struct luks_header *h,
		      struct bundle_volume *v, struct vmc_error *err)
{
	memset(v, 0, sizeof(*v));
	snprintf(v->name, sizeof(v->name), "%s", h->token.volume);
	snprintf(v->luks_uuid, sizeof(v->luks_uuid), "%.36s", h->uuid);
	volume_keys_of_token(&h->token, v);
	v->flags = strcmp(v->name, VOLUME_HOME) ? rb->flags : 0;
	return bundle_relative(rb->bundle, path, v->path, err);
}

/* Take @path in when it is a volume of the VM. */
static int consider(struct rebuild *rb, const char *path, struct vmc_error *err)
{
	struct bundle_volume v, *same;
	struct luks_header h;
	int r;

	if (luks_read(path, &h, NULL) || !h.has_token || !vmc_uuid_equal(&h.token.vm, &rb->b.id))
		return 0;
	same = bundle_find(&rb->b, h.token.volume);
	r = set_volume(rb, path, &h, &v, err);
	if (r)
		return r;
	if (!same)
		return bundle_add(&rb->b, &v, err);
	if (!strcmp(same->path, v.path))
		return 0;
	vmc_fail(err, VMC_EEXIST, "'%s' and '%s' both say that they are volume '%s' of the VM", same->path,
		 v.path, v.name);
	vmc_hint(err, "Move the one that is not to be used to another folder");
	return VMC_EEXIST;
}

static int scan(struct rebuild *rb, struct vmc_error *err)
{
	DIR *dir = opendir(rb->dir);
	unsigned int seen = 0;
	char path[PATH_MAX];
	struct dirent *e;
	int r = 0;

	if (!dir)
		return vmc_fail_errno(err, errno, "cannot list folder '%s'", rb->dir);
	while (!r && (e = readdir(dir))) {
		if (++seen > NEIGHBOURS_MAX)
			r = vmc_fail(err, VMC_EINVAL, "folder '%s' has more than %d files", rb->dir,
				     NEIGHBOURS_MAX);
		else if (snprintf(path, sizeof(path), "%s/%s", rb->dir, e->d_name) < PATH_MAX &&
			 !ends_with(path, RECRYPT_SUFFIX) && looks_like_luks(path))
			r = consider(rb, path, err);
	}
	closedir(dir);
	return r;
}

/* Home first, as bundles have it; the VM's name is that of the home's file. */
static int order(struct rebuild *rb, struct vmc_error *err)
{
	struct bundle_volume *home = bundle_find(&rb->b, VOLUME_HOME), swap;
	const char *base;
	size_t n;

	if (!home)
		return vmc_fail(err, VMC_ENOENT, "folder '%s' has no home volume of the VM: without its key a bundle cannot be made",
				rb->dir);
	swap = rb->b.v[0];
	rb->b.v[0] = *home;
	*home = swap;
	base = strrchr(rb->b.v[0].path, '/');
	base = base ? base + 1 : rb->b.v[0].path;
	n = strlen(base) - (ends_with(base, ".home") ? strlen(".home") : 0);
	snprintf(rb->b.name, sizeof(rb->b.name), "%.*s", (int)n, base);
	if (n > BUNDLE_NAME_MAX || !vmc_name_ok(rb->b.name, BUNDLE_NAME_MAX))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not the name of a home volume, NAME.home", base);
	if (snprintf(rb->bundle, sizeof(rb->bundle), "%s/%s" BUNDLE_SUFFIX, rb->dir, rb->b.name) >= PATH_MAX)
		return vmc_fail(err, VMC_EINVAL, "the path of folder '%s' is too long", rb->dir);
	return 0;
}

static int collect(struct vmm *m, const char *path, struct rebuild *rb, struct vmc_error *err)
{
	struct luks_header h;
	int r;

	r = luks_read(path, &h, err);
	if (r)
		return r;
	if (!h.has_token)
		return vmc_fail(err, VMC_EINVAL, "'%s' has no vmcrypt token in its LUKS2 header", path);
	if (!strcmp(h.token.volume, VOLUME_DATASTORE))
		return register_refuse_datastore(path, err);
	rb->b.id = h.token.vm;
	strcpy(rb->b.migration, "required");
	/* Until home tells its name: any file of the folder, for relative paths. */
	memcpy(rb->bundle, path, strlen(path) + 1);
	if (vm_dir(path, rb->dir))
		return vmc_fail(err, VMC_EINVAL, "'%s' is not an absolute path", path);
	r = dm_flags_parse(m->cfg->dm_flags, &rb->flags, err);
	if (!r)
		r = consider(rb, path, err);
	if (!r)
		r = scan(rb, err);
	return r ? r : order(rb, err);
}

/*
 * Each key must open its volume: a token is not authenticated, the wrapped DEK in
 * it is. A disk whose key is not to be had is taken in as it is: it keeps the VM
 * from being powered on, as if its key had been lost later.
 */
int register_try_keys(struct vmm *m, struct bundle *b, struct key_set *s, struct vmc_error *err)
{
	struct vmk_load l;
	size_t i;
	int r;

	r = keys_add_bundle(s, b, err);
	if (!r)
		r = keys_fetch(m, s, err);
	if (!r)
		keys_pick(s, b);
	for (i = 0; !r && i < b->n; i++) {
		r = keys_check(s, &b->v[i], err);
		if (!r)
			r = volume_load(m->k, &b->id, &b->v[i], &l, err);
		else if (i > 0 && r != VMC_EAUTH && vm_cause_of(r, false) != VM_CAUSE_NONE)
			r = 0;
	}
	if (r)
		vmc_prefix(err, "cannot rebuild the bundle: ");
	return r;
}

/* The bundle that was there is kept as NAME.vmcrypt.old; its serial, if it can be read, is the least for the new one. */
static int keep_old(struct rebuild *rb, struct vmc_error *err)
{
	char old[PATH_MAX + 8];
	struct bundle b;
	size_t len;
	char *data;
	int r;

	r = fs_read(rb->bundle, BUNDLE_SIZE_MAX, &data, &len, err);
	if (r)
		return r == VMC_ENOENT ? 0 : r;
	if (!bundle_parse(data, len, &b, NULL)) {
		if (b.serial < (UINT64_MAX >> 2))
			rb->b.serial = b.serial;
		bundle_clear(&b);
	}
	snprintf(old, sizeof(old), "%s.old", rb->bundle);
	r = fs_replace(old, data, len, 0600, err);
	free(data);
	return r;
}

static int take(struct vmm *m, struct rebuild *rb, struct vm **vm, bool *added, struct vmc_error *err)
{
	char id[VMC_UUID_STR], there[VMC_UUID_STR];
	int r;

	vmc_uuid_format(&rb->b.id, id);
	*added = vmm_resolve(m, id, there, NULL) != 0;
	if (*added)
		return vm_add(m, INV_VM, &rb->b.id, rb->b.name, rb->bundle, "register", vm, err);
	r = vm_take(m, id, "register", TAKE_LOCKED, vm, err);
	if (r)
		return r;
	r = vm_must_be_off(*vm, "register --from-headers", err);
	if (!r && strcmp((*vm)->bundle, rb->bundle))
		r = vmc_fail(err, VMC_EEXIST, "VM '%s' (%s) is registered already, from '%s'",
			     (*vm)->row.name, id, (*vm)->bundle);
	if (r)
		vm_drop(m, *vm);
	return r;
}

/* The old bundle or the new one is there; the job is for the temporary files of a process that is killed. */
static int write_bundle(struct vmm *m, struct vm *vm, struct rebuild *rb, struct vmc_error *err)
{
	struct inv_job job;
	int r, r2;

	r = job_begin(m, JOB_VM_REBUILD, vm->id, json_pack("{s:s}", "dir", rb->dir), &job, err);
	if (r)
		return r;
	r = keep_old(rb, err);
	if (!r)
		r = vm_write(m, vm, &rb->b, err);
	r2 = job_end(m, &job, r ? NULL : err);
	return r ? r : r2;
}

static int recover(struct vmm *m, struct inv_job *job, bool *pending, struct vmc_error *err)
{
	*pending = false;
	fs_remove_temps(job_text(job, "dir"), NULL);
	return job_end(m, job, err);
}

const struct job_kind job_kind_vm_rebuild = { .kind = JOB_VM_REBUILD, .recover = recover };

int register_from_headers(struct vmm *m, const char *path, char id[VMC_UUID_STR], struct vmc_error *err)
{
	struct rebuild rb = { 0 };
	struct key_set s = { 0 };
	struct vm *vm;
	bool added;
	int r;

	r = collect(m, path, &rb, err);
	if (!r)
		r = take(m, &rb, &vm, &added, err);
	if (r)
		goto out;
	r = register_try_keys(m, &rb.b, &s, err);
	if (!r)
		r = write_bundle(m, vm, &rb, err);
	if (!r)
		r = register_commit(m, vm, err);
	if (!r && !vm_locked_by_hand(vm))
		vm_check_keys(m, vm, &s, true, NULL);	/* it is registered, whatever that says */
	vmk_vm_del(m->k, &vm->uuid, true, NULL);
	if (r && added) {
		vm_forget(m, vm);
		goto out;
	}
	if (!r)
		memcpy(id, vm->id, VMC_UUID_STR);
	vm_drop(m, vm);
out:
	keys_clear(&s);
	bundle_clear(&rb.b);
	return r;
}
