// SPDX-License-Identifier: GPL-2.0-or-later
#include "libvirt_claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"

#define CLAIM_MAX	4096	/* bytes of a claim's file */

static const char *const mode_names[] = {
	[CLAIM_NONE] = "none", [CLAIM_INCOMING] = "incoming", [CLAIM_POWER] = "power",
	[CLAIM_DISKS] = "disks", [CLAIM_FOUND] = "found",
};

static const char *runtime_dir(void)
{
	const char *dir = getenv("VMCRYPT_RUNTIME_DIR");

	return dir && *dir ? dir : "/run/vmcrypt";
}

static void claims_dir(char *out, size_t n)
{
	snprintf(out, n, "%s/libvirt", runtime_dir());
}

static void claim_parse(struct claim *cl, const char *text, size_t len)
{
	const char *mode, *domain, *name;
	json_int_t since;
	vmc_uuid u;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	size_t i;

	if (o && !json_unpack(o, "{s:s, s:s, s:s, s:I}", "mode", &mode, "domain", &domain, "name",
			      &name, "since", &since) &&
	    !vmc_uuid_parse(domain, &u))
		for (i = 1; i < ARRAY_SIZE(mode_names); i++)
			if (!strcmp(mode, mode_names[i])) {
				cl->mode = i;
				vmc_uuid_format(&u, cl->domain);
				snprintf(cl->name, sizeof(cl->name), "%s", name);
				cl->since = since > 0 ? (uint64_t)since : 0;
			}
	json_decref(o);
}

/* A claim that was cut off by a kill is nobody's; so is one that was not written yet. */
static int claim_read(struct claim *cl, struct vmc_error *err)
{
	char text[CLAIM_MAX];
	ssize_t n = pread(cl->fd, text, sizeof(text), 0);

	cl->mode = CLAIM_NONE;
	*cl->domain = *cl->name = '\0';
	cl->since = 0;
	if (n < 0)
		return vmc_fail_errno(err, errno, "cannot read '%s'", cl->path);
	claim_parse(cl, text, (size_t)n);
	return 0;
}

/* Open and lock; 1 when the file was removed meanwhile. */
static int open_locked(struct claim *cl, int flags, struct vmc_error *err)
{
	struct stat st;
	int e;

	cl->fd = open(cl->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (cl->fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", cl->path);
	e = flock(cl->fd, LOCK_EX | LOCK_NB) ? errno : 0;
	if (!e && fstat(cl->fd, &st))
		e = errno;
	if (!e && st.st_nlink)
		return 0;
	close(cl->fd);
	cl->fd = -1;
	if (!e)
		return 1;
	if (e != EWOULDBLOCK)
		return vmc_fail_errno(err, e, "cannot lock '%s'", cl->path);
	vmc_fail(err, VMC_EBUSY, "another libvirt domain is being started or stopped on the same encrypted VM");
	vmc_hint(err, "'virsh list --all' shows it; one VM is for one domain");
	return VMC_EBUSY;
}

int claim_take(const char *vm, struct claim *cl, struct vmc_error *err)
{
	char dir[2048];
	int r;

	claims_dir(dir, sizeof(dir));
	snprintf(cl->path, sizeof(cl->path), "%s/%s", dir, vm);
	r = fs_mkdirs(runtime_dir(), 0711, err);
	if (!r)
		r = fs_mkdirs(dir, 0700, err);
	if (r)
		return r;
	do {
		r = open_locked(cl, O_CREAT, err);
	} while (r > 0);
	if (!r)
		r = claim_read(cl, err);
	if (r)
		claim_drop(cl);
	return r;
}

static int write_text(struct claim *cl, const char *text, struct vmc_error *err)
{
	size_t len = strlen(text);

	if (len >= CLAIM_MAX)
		return vmc_fail(err, VMC_EINVAL, "the domain's name is too long");
	if (ftruncate(cl->fd, 0) || pwrite(cl->fd, text, len, 0) != (ssize_t)len)
		return vmc_fail_errno(err, errno, "cannot write '%s'", cl->path);
	return 0;
}

int claim_write(struct claim *cl, enum claim_mode mode, const char *domain, const char *name,
		struct vmc_error *err)
{
	uint64_t now = vmc_now_ms();
	json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "mode", mode_names[mode], "domain", domain,
			      "name", name, "since", (json_int_t)now);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r = text ? write_text(cl, text, err) : vmc_fail(err, VMC_ENOMEM, "out of memory");

	if (!r) {
		cl->mode = mode;
		cl->since = now;
		snprintf(cl->domain, sizeof(cl->domain), "%s", domain);
		snprintf(cl->name, sizeof(cl->name), "%s", name);
	}
	free(text);
	json_decref(o);
	return r;
}

void claim_drop(struct claim *cl)
{
	if (cl->fd >= 0)
		close(cl->fd);
	cl->fd = -1;
}

void claim_remove(struct claim *cl)
{
	if (cl->fd >= 0)
		unlink(cl->path);
	claim_drop(cl);
}

/* The claim in the file @vm, if it is one of @domain. */
static int each_one(const char *dir, const char *vm, const char *domain,
		    int (*fn)(struct claim *cl, const char *vm, void *data), void *data,
		    struct vmc_error *err)
{
	struct claim cl = CLAIM_INIT;
	vmc_uuid u;
	int r;

	if (vmc_uuid_parse(vm, &u))
		return 0;
	snprintf(cl.path, sizeof(cl.path), "%s/%s", dir, vm);
	r = open_locked(&cl, 0, err);
	/* gone, or in the hands of another domain's hook */
	if (r > 0 || r == VMC_ENOENT || r == VMC_EBUSY)
		return 0;
	if (!r)
		r = claim_read(&cl, err);
	if (!r && cl.mode != CLAIM_NONE && !strcmp(cl.domain, domain))
		r = fn(&cl, vm, data);
	claim_drop(&cl);
	return r;
}

int claim_each(const char *domain, int (*fn)(struct claim *cl, const char *vm, void *data),
	       void *data, struct vmc_error *err)
{
	struct vmc_error first = VMC_ERROR_INIT;
	const struct dirent *entry;
	char path[2048];
	DIR *dir;
	int r, result = 0;

	claims_dir(path, sizeof(path));
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : vmc_fail_errno(err, errno, "cannot read '%s'", path);
	while ((entry = readdir(dir))) {
		r = each_one(path, entry->d_name, domain, fn, data, err);
		if (r && !result) {
			result = r;
			first = *err;
		}
	}
	closedir(dir);
	if (result)
		*err = first;
	return result;
}
