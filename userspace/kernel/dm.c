// SPDX-License-Identifier: GPL-2.0-or-later
/* dm-crypt mappings whose key comes from the VM's keyring. */
#include "dm.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "client.h"
#include "dm_priv.h"

#define NAME_MAX_DM	127	/* the kernel's */

/* A udev worker may have the node open for a moment. */
#define REMOVE_TRIES	10
#define REMOVE_PAUSE_NS	100000000

int dm_check_name(const char *name, struct vmc_error *err)
{
	if (!name || !*name || strlen(name) > NAME_MAX_DM || strchr(name, '/'))
		return vmc_fail(err, VMC_EINVAL, "'%.140s' is no name for a mapping", name ? name : "");
	return 0;
}

int dm_keyring_link(int32_t keyring, const char *name, struct vmc_error *err)
{
	int rc;

	if (!keyctl_link(keyring, KEY_SPEC_THREAD_KEYRING))
		return 0;
	rc = vmc_fail_errno(err, errno, "cannot use the VM's keyring %d for mapping '%s'",
			    keyring, name);
	vmc_hint(err, "load the VM's keys anew with 'vmcrypt vm unlock'");
	return rc;
}

void dm_keyring_unlink(int32_t keyring)
{
	keyctl_unlink(keyring, KEY_SPEC_THREAD_KEYRING);
}

int dm_no_dek(const char *name, const char *key_desc, struct vmc_error *err)
{
	vmc_fail(err, VMC_ENOKEY, "cannot open mapping '%s': the key '%s' is not in the VM's keyring",
		 name, key_desc);
	vmc_hint(err, "the VM is locked; load its keys with 'vmcrypt vm unlock'");
	return VMC_ENOKEY;
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
		return dm_no_dek(c->name, c->key_desc, err);
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
		rc = dm_run(t, N_("make mapping"), c->name, err);
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
		rc = dm_run(t, N_("open mapping"), c->name, err);
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
		rc = dm_run_type(DM_DEVICE_RESUME, N_("open mapping"), c->name, err);
	if (rc)
		dm_run_type(DM_DEVICE_REMOVE, N_("close mapping"), c->name, NULL);
	return rc;
}

static int map_with_key(const struct dm_crypt *c, const struct device *d,
			struct vmc_error *err)
{
	int rc = dm_keyring_link(c->keyring, c->name, err);

	if (rc)
		return rc;
	rc = map(c, d, err);
	dm_keyring_unlink(c->keyring);
	return rc ? explain_open(c, d->dev, err) : 0;
}

static int open_with_key(const struct dm_crypt *c, struct vmc_error *err)
{
	struct device d = { 0, 0 };
	int fd, rc;

	rc = loop_or_device(c, &fd, err);
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
	rc = dm_check_name(c->name, err);
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
		rc = dm_run_type(DM_DEVICE_REMOVE, N_("close mapping"), name, err);
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

	rc = dm_check_name(name, err);
	if (!rc)
		rc = dm_info_of(name, &info, err);
	if (rc || !info.exists)
		return rc;
	below = !dm_device_below(name, &dev, NULL);
	rc = remove_mapping(name, &info, err);
	if (!rc && below)
		loop_wait_gone(dev);
	return rc;
}
