// SPDX-License-Identifier: GPL-2.0-or-later
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../lib/fs.h"
#include "../lib/message.h"
#include "mount_unit.h"

bool mount_is(const char *where)
{
	struct statx stx;

	return !statx(AT_FDCWD, where, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0, &stx) &&
	       (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* systemd mounts in the host's namespace; what it mounts must come through to this one. */
static int must_be_visible(const struct mount_spec *s, struct vmc_error *err)
{
	if (mount_is(s->where))
		return 0;
	mount_unit_stop(s->where, NULL);
	vmc_fail(err, VMC_EINTERNAL, "%s was mounted at '%s', but vmcryptd's mount namespace does "
		 "not get to see it", message_say(s->what), s->where);
	vmc_hint(err, "Mounts of the host must propagate: 'mount --make-rshared /', then 'systemctl restart vmcryptd'");
	return VMC_EINTERNAL;
}

int mount_start(const struct mount_spec *s, struct vmc_error *err)
{
	int r = 0;

	if (mount_is(s->where))
		return 0;
	fs_crashpoint("home: before mount");
	if (mount_unit_wanted())
		r = mount_unit_start(s, err);
	else if (mount(s->device, s->where, s->fs, s->flags, NULL))
		r = vmc_fail_errno(err, errno, "cannot mount '%s' at '%s'", s->device, s->where);
	fs_crashpoint("home: mounted");
	return r ? r : must_be_visible(s, err);
}

static int unmount(const char *where, const char *what, struct vmc_error *err)
{
	int e;

	if (!umount2(where, UMOUNT_NOFOLLOW))
		return 0;
	e = errno;
	vmc_fail_errno(err, e, "cannot unmount %s at '%s'", message_say(what), where);
	if (e != EBUSY)
		return err ? err->code : VMC_EIO;
	vmc_hint(err, "End what still uses it ('fuser -vm %s' tells), swtpm for instance", where);
	return VMC_EBUSY;
}

int mount_stop(const char *where, const char *what, struct vmc_error *err)
{
	int r;

	if (!mount_is(where))
		return 0;
	fs_crashpoint("home: before unmount");
	r = mount_unit_wanted() ? mount_unit_stop(where, err) : unmount(where, what, err);
	fs_crashpoint("home: unmounted");
	return r;
}
