// SPDX-License-Identifier: GPL-2.0-or-later
/* Loop devices for image files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "../lib/util.h"
#include "dm_priv.h"

#define TRIES		64	/* somebody else may take the free one first */
#define GONE_DEADLINE_MS	5000
#define LOCK_TRIES		100

static const struct timespec nap = { .tv_nsec = 2000000 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/*
 * Two mappings of one file would destroy it. The lock belongs to the open file,
 * which the loop device keeps, and so lasts as long as that; QEMU respects it.
 */
static int lock_file(int fd, const char *path, bool readonly, struct vmc_error *err)
{
	struct flock l = {
		.l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET,
	};

	/* a loop device lets go of its file a moment after it is gone */
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!fcntl(fd, F_OFD_SETLK, &l))
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return 0;	/* a file system that has no locks */
		nanosleep(&nap, NULL);
	}
	vmc_fail(err, VMC_EBUSY, "image '%s' is in use", path);
	vmc_hint(err, "another mapping or a running QEMU has it: 'losetup -j %s' and 'lsof %s' tell which",
		 path, path);
	return VMC_EBUSY;
}

static int no_loop(struct vmc_error *err, const char *path, const char *why)
{
	int rc = vmc_fail_errno(err, errno, "cannot attach image '%s': %s", path, why);

	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		vmc_hint(err, "modprobe loop");
	return rc;
}

static int free_loop(const char *path, struct vmc_error *err)
{
	int control VMC_CLEANUP(close_fd) = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	return n >= 0 ? n : no_loop(err, path, "no free loop device");
}

/* The device's descriptor, or a negative code; VMC_EBUSY when somebody was faster. */
static int configure(int n, int file, const char *path, bool readonly, uint64_t size,
		     struct vmc_error *err)
{
	struct loop_config c = {
		.fd = (uint32_t)file,
		.block_size = size % DM_CRYPT_SECTOR ? 0 : DM_CRYPT_SECTOR,
		/* the kernel leaves direct I/O out where the file system has none */
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
				 (readonly ? LO_FLAGS_READ_ONLY : 0),
	};
	char name[32];
	int fd, rc;

	snprintf(name, sizeof(name), "/dev/loop%d", n);
	snprintf((char *)c.info.lo_file_name, LO_NAME_SIZE, "%s", path);
	fd = open(name, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return no_loop(err, path, name);
	if (!ioctl(fd, LOOP_CONFIGURE, &c))
		return fd;
	rc = no_loop(err, path, name);
	close(fd);
	return rc;
}

static int attach(int file, const char *path, bool readonly, uint64_t size,
		  struct vmc_error *err)
{
	int rc = VMC_EBUSY;

	for (int i = 0; i < TRIES && rc == VMC_EBUSY; i++) {
		int n = free_loop(path, err);

		if (n < 0)
			return n;
		rc = configure(n, file, path, readonly, size, err);
	}
	return rc;
}

static bool is_passing(dev_t dev)
{
	char path[128], flag = '0';
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/autoclear", major(dev), minor(dev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &flag, 1) != 1)
		flag = '0';
	close(fd);
	return flag == '1';
}

void loop_wait_gone(dev_t dev)
{
	uint64_t deadline = vmc_now_ms() + GONE_DEADLINE_MS;

	/* neither /sys nor the device tells when */
	while (is_passing(dev) && vmc_now_ms() < deadline)
		nanosleep(&nap, NULL);
}

/* Device-mapper would share it with another mapping; whoever opens it exclusively does not. */
static int check_free(const char *path, dev_t dev, struct vmc_error *err)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	char holders[512];

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno != EBUSY)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	dm_holders(dev, holders, sizeof(holders));
	vmc_fail(err, VMC_EBUSY, "device '%s' is in use%s%s", path, *holders ? " by " : "", holders);
	vmc_hint(err, "close what uses it first");
	return VMC_EBUSY;
}

/* On a network file system the lock of another host counts, from which a VM comes with its disks open. */
static int attach_file(int fd, const struct dm_crypt *c, uint64_t size, struct vmc_error *err)
{
	int rc = lock_file(fd, c->path, c->readonly, c->shared ? NULL : err);

	if (rc == VMC_EBUSY && c->shared)
		rc = 0;
	return rc ? rc : attach(fd, c->path, c->readonly, size, err);
}

int loop_or_device(const struct dm_crypt *c, int *out, struct vmc_error *err)
{
	const char *path = c->path;
	int fd = open(path, (c->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st)) {
		rc = vmc_fail_errno(err, errno, "cannot look at '%s'", path);
	} else if (S_ISBLK(st.st_mode)) {
		rc = check_free(path, st.st_rdev, err);
		if (!rc) {
			*out = fd;
			return 0;
		}
	} else if (S_ISREG(st.st_mode)) {
		rc = attach_file(fd, c, (uint64_t)st.st_size, err);
		if (rc >= 0) {
			*out = rc;
			rc = 0;
		}
	} else {
		rc = vmc_fail(err, VMC_EINVAL, "'%s' is neither a file nor a block device", path);
	}
	close(fd);
	return rc;
}
