// SPDX-License-Identifier: GPL-2.0-or-later
/* dm-crypt mappings whose key comes from the VM's keyring. */
#include "dm.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../lib/util.h"
#include "client.h"
#include "dm_priv.h"

#define NAME_MAX_DM	127	/* the kernel's */

/* A udev worker may have the node open for a moment. */
#define REMOVE_TRIES	10
#define REMOVE_PAUSE_NS	100000000

static int check_name(const char *name, struct vmc_error *err)
{
	if (!name || !*name || strlen(name) > NAME_MAX_DM || strchr(name, '/'))
		return vmc_fail(err, VMC_EINVAL, "'%.140s' is no name for a mapping", name ? name : "");
	return 0;
}

/*
 * dm-crypt looks for its key in the keyrings of the thread that loads the table
 * or sends the message, so the VM's keyring is linked there for just as long.
 */
static int keyring_link(int32_t keyring, const char *name, struct vmc_error *err)
{
	int rc;

	if (!keyctl_link(keyring, KEY_SPEC_THREAD_KEYRING))
		return 0;
	rc = vmc_fail_errno(err, errno, "cannot use the VM's keyring %d for mapping '%s'",
			    keyring, name);
	vmc_hint(err, "load the VM's keys anew with 'vmcrypt vm unlock'");
	return rc;
}

static void keyring_unlink(int32_t keyring)
{
	keyctl_unlink(keyring, KEY_SPEC_THREAD_KEYRING);
}

static int no_dek(const char *name, const char *key_desc, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOKEY, "cannot open mapping '%s': the key '%s' is not in the VM's keyring",
		 name, key_desc);
	vmc_hint(err, "the VM is locked; load its keys with 'vmcrypt vm unlock'");
	return VMC_ENOKEY;
}

static int run_type(int type, const char *doing, const char *name, struct vmc_error *err)
{
	struct dm_task *t;

	dm_lock();
	t = dm_task_for(type, name, err);
	dm_unlock();
	return t ? dm_run_udev(t, doing, name, err) : VMC_ENOMEM;
}

/* ---- open ---- */

struct device {
	dev_t dev;
	uint64_t sectors;
};

static int inspect(int fd, const char *path, struct device *d, struct vmc_error *err)
{
	uint64_t bytes = 0;
	struct stat st;

	if (fstat(fd, &st) || ioctl(fd, BLKGETSIZE64, &bytes))
		return vmc_fail_errno(err, errno, "cannot tell the size of '%s'", path);
	d->dev = st.st_rdev;
	d->sectors = bytes / DM_SECTOR;
	return 0;
}

static int explain_open(const struct dm_crypt *c, dev_t dev, struct vmc_error *err)
{
	char holders[512];
	struct utsname u;

	switch (err->code) {
	case VMC_ENOKEY:
		return no_dek(c->name, c->key_desc, err);
	case VMC_EBUSY:
		dm_holders(dev, holders, sizeof(holders));
		vmc_fail(err, VMC_EBUSY, "cannot open mapping '%s': '%s' is in use%s%s", c->name,
			 c->path, *holders ? " by " : "", holders);
		vmc_hint(err, "close what uses it first");
		return VMC_EBUSY;
	case VMC_EINVAL:
		if (!(c->flags & DM_HIGH_PRIORITY) || uname(&u))
			return err->code;
		vmc_fail(err, VMC_ENOTSUP, "dm-crypt of kernel %s does not take the flags of mapping '%s', most likely high_priority",
			 u.release, c->name);
		vmc_hint(err, "high_priority came with kernel 6.10; leave it out of the disk's flags");
		return VMC_ENOTSUP;
	default:
		return err->code;
	}
}

/* The device without a table yet. */
static int create(const struct dm_crypt *c, struct vmc_error *err)
{
	char uuid[DM_UUID_MAX];
	struct dm_task *t;
	int rc;

	rc = dm_crypt_uuid(c->luks_uuid, c->name, uuid, err);
	if (rc)
		return rc;
	dm_lock();
	t = dm_task_for(DM_DEVICE_CREATE, c->name, err);
	if (!t) {
		rc = VMC_ENOMEM;
	} else if (!dm_task_set_uuid(t, uuid)) {
		dm_task_destroy(t);
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for mapping '%s'", c->name);
	} else {
		rc = dm_run(t, "make mapping", c->name, err);
	}
	dm_unlock();
	return rc;
}

/* dm-crypt looks for its key here. */
static int load_table(const struct dm_crypt *c, const struct device *d, struct vmc_error *err)
{
	char params[DM_TABLE_MAX];
	struct dm_task *t;
	uint64_t sectors;
	int rc;

	rc = dm_crypt_size(c, d->sectors, &sectors, err);
	if (!rc)
		rc = dm_crypt_params(c, d->dev, params, err);
	if (rc)
		return rc;
	dm_lock();
	t = dm_task_for(DM_DEVICE_RELOAD, c->name, err);
	if (!t) {
		rc = VMC_ENOMEM;
	} else if (!dm_task_add_target(t, 0, sectors, "crypt", params) ||
		   (c->readonly && !dm_task_set_ro(t))) {
		dm_task_destroy(t);
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for mapping '%s'", c->name);
	} else {
		rc = dm_run(t, "open mapping", c->name, err);
	}
	dm_unlock();
	return rc;
}

/* In three steps, because in one libdevmapper forgets why it failed. */
static int map(const struct dm_crypt *c, const struct device *d, struct vmc_error *err)
{
	int rc = create(c, err);

	if (rc)
		return rc;
	rc = load_table(c, d, err);
	if (!rc)
		rc = run_type(DM_DEVICE_RESUME, "open mapping", c->name, err);
	if (rc)
		run_type(DM_DEVICE_REMOVE, "close mapping", c->name, NULL);
	return rc;
}

static int map_with_key(const struct dm_crypt *c, const struct device *d,
			struct vmc_error *err)
{
	int rc = keyring_link(c->keyring, c->name, err);

	if (rc)
		return rc;
	rc = map(c, d, err);
	keyring_unlink(c->keyring);
	return rc ? explain_open(c, d->dev, err) : 0;
}

static int open_with_key(const struct dm_crypt *c, struct vmc_error *err)
{
	struct device d = { 0, 0 };
	int fd, rc;

	rc = loop_or_device(c->path, c->readonly, &fd, err);
	if (rc)
		return rc;
	rc = inspect(fd, c->path, &d, err);
	if (!rc)
		rc = map_with_key(c, &d, err);
	close(fd);
	if (rc)
		loop_wait_gone(d.dev);
	return rc;
}

int dm_crypt_open(const struct dm_crypt *c, struct vmc_error *err)
{
	struct vmc_error own = VMC_ERROR_INIT;
	int rc;

	if (!err)	/* the words are needed below */
		err = &own;
	rc = check_name(c->name, err);
	if (rc)
		return rc;
	if (dm_exists(c->name)) {
		vmc_fail(err, VMC_EEXIST, "mapping '%s' is there already", c->name);
		vmc_hint(err, "'dmsetup info %s' tells of it", c->name);
		return VMC_EEXIST;
	}
	return open_with_key(c, err);
}

/* ---- close ---- */

/* The one device below a mapping. Not from the table, which may hold a key. */
static int device_below(const char *name, dev_t *dev, struct vmc_error *err)
{
	struct dm_deps *deps;
	struct dm_task *t;
	int rc = 0;

	dm_lock();
	t = dm_task_for(DM_DEVICE_DEPS, name, err);
	if (!t)
		rc = VMC_ENOMEM;
	else if (!dm_task_run(t))
		rc = vmc_fail_errno(err, dm_task_get_errno(t), "cannot look below mapping '%s'", name);
	else if (!(deps = dm_task_get_deps(t)) || deps->count != 1)
		rc = vmc_fail(err, VMC_ENOTSUP, "mapping '%s' does not stand on one device", name);
	else
		*dev = (dev_t)deps->device[0];	/* the kernel's encoding is glibc's */
	if (t)
		dm_task_destroy(t);
	dm_unlock();
	return rc;
}

static bool udev_runs(void)
{
	bool runs;

	dm_lock();
	runs = dm_udev_get_sync_support();
	dm_unlock();
	return runs;
}

static int explain_busy(const char *name, dev_t dev, struct vmc_error *err)
{
	char holders[512];

	dm_holders(dev, holders, sizeof(holders));
	vmc_fail(err, VMC_EBUSY, "mapping '%s' is in use%s%s", name,
		 *holders ? " by " : "", holders);
	vmc_hint(err, *holders ? "end what uses it, then close it again" :
		 "who holds it cannot be seen from here; 'dmsetup info %s' counts its users", name);
	return VMC_EBUSY;
}

static int remove_mapping(const char *name, const struct dm_info *info, struct vmc_error *err)
{
	static const struct timespec pause = { .tv_nsec = REMOVE_PAUSE_NS };
	int tries = udev_runs() ? REMOVE_TRIES : 1;
	int rc;

	for (;;) {
		rc = run_type(DM_DEVICE_REMOVE, "close mapping", name, err);
		if (rc != VMC_EBUSY)
			break;
		if (!--tries)
			return explain_busy(name, makedev(info->major, (unsigned int)info->minor), err);
		nanosleep(&pause, NULL);
	}
	return rc == VMC_ENOENT ? 0 : rc;	/* somebody else removed it */
}

int dm_crypt_close(const char *name, struct vmc_error *err)
{
	struct dm_info info;
	bool below;
	dev_t dev = 0;
	int rc;

	rc = check_name(name, err);
	if (!rc)
		rc = dm_info_of(name, &info, err);
	if (rc || !info.exists)
		return rc;
	below = !device_below(name, &dev, NULL);
	rc = remove_mapping(name, &info, err);
	if (!rc && below)
		loop_wait_gone(dev);
	return rc;
}

bool dm_exists(const char *name)
{
	struct dm_info info;

	return !dm_info_of(name, &info, NULL) && info.exists;
}

/* ---- lock now, and back ---- */

static int need(const char *name, struct dm_info *info, struct vmc_error *err)
{
	int rc = check_name(name, err);

	if (!rc)
		rc = dm_info_of(name, info, err);
	if (!rc && !info->exists)
		rc = vmc_fail(err, VMC_ENOENT, "there is no mapping '%s'", name);
	return rc;
}

/* Nothing that udev would hear of. */
static int suspend(const char *name, struct vmc_error *err)
{
	struct dm_task *t;
	int rc;

	dm_lock();
	t = dm_task_for(DM_DEVICE_SUSPEND, name, err);
	rc = t ? dm_run(t, "suspend mapping", name, err) : VMC_ENOMEM;
	dm_unlock();
	return rc;
}

static int message(const char *doing, const char *name, const char *text, struct vmc_error *err)
{
	struct dm_task *t;
	int rc;

	dm_lock();
	t = dm_task_for(DM_DEVICE_TARGET_MSG, name, err);
	if (!t)
		rc = VMC_ENOMEM;
	else if (!dm_task_set_sector(t, 0) || !dm_task_set_message(t, text)) {
		dm_task_destroy(t);
		rc = vmc_fail(err, VMC_ENOMEM, "no memory to %s '%s'", doing, name);
	} else {
		rc = dm_run(t, doing, name, err);
	}
	dm_unlock();
	return rc;
}

int dm_suspend_wipe(const char *name, struct vmc_error *err)
{
	struct dm_info info;
	int rc = need(name, &info, err);

	if (!rc && !info.suspended)
		rc = suspend(name, err);
	if (!rc)
		rc = message("wipe the key of mapping", name, "key wipe", err);
	return rc;
}

static int set_key(const char *name, const char *key_desc, int32_t keyring,
		   struct vmc_error *err)
{
	char text[VMK_DESC_MAX + 64];
	int rc;

	if (strlen(key_desc) >= VMK_DESC_MAX)
		return vmc_fail(err, VMC_EINVAL, "mapping '%s': the key's description is not usable", name);
	snprintf(text, sizeof(text), "key set :%d:logon:%s", VMK_DEK_LEN, key_desc);
	rc = keyring_link(keyring, name, err);
	if (rc)
		return rc;
	rc = message("set the key of mapping", name, text, err);
	keyring_unlink(keyring);
	return rc == VMC_ENOKEY ? no_dek(name, key_desc, err) : rc;
}

int dm_set_resume(const char *name, const char *key_desc, int32_t keyring, struct vmc_error *err)
{
	struct dm_info info;
	int rc = need(name, &info, err);

	if (rc || !info.suspended)
		return rc;
	rc = set_key(name, key_desc, keyring, err);
	return rc ? rc : run_type(DM_DEVICE_RESUME, "resume mapping", name, err);
}

/* ---- what is there ---- */

static bool read_sysfs(dev_t dev, const char *what, char *out, size_t n)
{
	char path[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, out, n - 1);
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return false;
	out[got] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

int dm_backing(const char *name, char *out, size_t n, struct vmc_error *err)
{
	char path[128], link[PATH_MAX];
	const char *base;
	ssize_t len;
	dev_t dev = 0;
	int rc;

	rc = check_name(name, err);
	if (!rc)
		rc = device_below(name, &dev, err);
	if (rc)
		return rc;
	if (read_sysfs(dev, "loop/backing_file", out, n))
		return 0;
	if (read_sysfs(dev, "dm/name", link, sizeof(link))) {
		snprintf(out, n, "/dev/mapper/%s", link);
		return 0;
	}
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return vmc_fail_errno(err, errno, "cannot tell what is below mapping '%s'", name);
	link[len] = '\0';
	base = strrchr(link, '/');
	snprintf(out, n, "/dev/%s", base ? base + 1 : link);
	return 0;
}

/* Entries follow one another, each telling how far the next is away; a first one with no device says "none". */
static int collect(const struct dm_names *d, const char *prefix, char ***names, size_t *n)
{
	size_t plen = strlen(prefix);
	char **more;

	for (;;) {
		if (d->dev && !strncmp(d->name, prefix, plen)) {
			more = reallocarray(*names, *n + 1, sizeof(**names));
			if (!more)
				return VMC_ENOMEM;
			*names = more;
			more[*n] = strdup(d->name);
			if (!more[*n])
				return VMC_ENOMEM;
			(*n)++;
		}
		if (!d->next)
			return 0;
		d = (const void *)((const char *)d + d->next);
	}
}

int dm_list(const char *prefix, char ***names, size_t *n, struct vmc_error *err)
{
	struct dm_names *all;
	struct dm_task *t;
	int rc = 0;

	*names = NULL;
	*n = 0;
	dm_lock();
	t = dm_task_for(DM_DEVICE_LIST, NULL, err);
	if (!t)
		rc = VMC_ENOMEM;
	else if (!dm_task_run(t) || !(all = dm_task_get_names(t)))
		rc = vmc_fail_errno(err, dm_task_get_errno(t), "cannot list the mappings");
	else if (collect(all, prefix, names, n))
		rc = vmc_fail(err, VMC_ENOMEM, "no memory to list the mappings");
	if (t)
		dm_task_destroy(t);
	dm_unlock();
	if (rc) {
		for (size_t i = 0; i < *n; i++)
			free((*names)[i]);
		free(*names);
		*names = NULL;
		*n = 0;
	}
	return rc;
}
