// SPDX-License-Identifier: GPL-2.0-or-later
/* Running libdevmapper's tasks: its lock, its words, udev. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"
#include "dm_priv.h"

#define UDEV_DEADLINE_MS	30000
#define UDEV_POLL_NS		1000000

/*
 * What is in a VM's disk is the VM's: the host must neither probe it for file
 * systems nor assemble volume groups or arrays that it finds there.
 */
#define UDEV_FLAGS	(DM_UDEV_DISABLE_LIBRARY_FALLBACK | DM_UDEV_DISABLE_DISK_RULES_FLAG | \
			 DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char words[256];		/* the first complaint of the task that runs */

__attribute__((format(printf, 5, 0)))
static void on_log(int level, const char *file, int line, int errnum,
		   const char *fmt, ...)
{
	va_list ap;

	(void)file;
	(void)line;
	(void)errnum;
	/* bits above the level say where else to log */
	if ((level & 7) > 4 || words[0])
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
}

void dm_lock(void)
{
	pthread_mutex_lock(&lock);
	/* libcryptsetup puts its own function there */
	dm_log_with_errno_init(on_log);
	words[0] = '\0';
}

void dm_unlock(void)
{
	dm_lib_release();
	pthread_mutex_unlock(&lock);
}

static int no_task(const char *name, struct vmc_error *err)
{
	return vmc_fail(err, VMC_ENOMEM, "no memory for a device-mapper task on '%s'", name);
}

struct dm_task *dm_task_for(int type, const char *name, struct vmc_error *err)
{
	struct dm_task *t = dm_task_create(type);

	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		vmc_fail(err, VMC_EINVAL, "'%s' is no name for a mapping", name);
		return NULL;
	}
	if (!t)
		no_task(name ? name : "", err);
	return t;
}

static int explain(int errnum, const char *doing, const char *name, struct vmc_error *err)
{
	int rc;

	if (!errnum)	/* it failed before it asked the kernel */
		rc = vmc_fail(err, VMC_EIO, "cannot %s '%s': %s", message_say(doing), name,
			      words[0] ? words : _("device-mapper is not available"));
	else
		rc = vmc_fail_errno(err, errnum, "cannot %s '%s'", message_say(doing), name);
	if (!errnum || errnum == ENXIO || errnum == ENODEV)
		vmc_hint(err, "is the kernel's device-mapper there? modprobe dm-mod; modprobe dm-crypt; the kernel log ('dmesg') may tell more");
	else if (errnum == EINVAL || errnum == EIO)
		vmc_hint(err, "the kernel log ('dmesg') tells more");
	return rc;
}

/* Lock held. */
static int run_locked(struct dm_task *t, const char *doing, const char *name,
		      struct vmc_error *err)
{
	if (dm_task_run(t))
		return 0;
	return explain(dm_task_get_errno(t), doing, name, err);
}

int dm_run(struct dm_task *t, const char *doing, const char *name, struct vmc_error *err)
{
	int rc = run_locked(t, doing, name, err);

	dm_task_destroy(t);
	return rc;
}

/* The library cannot wait with a deadline; it can tell whether udev is done. */
static void wait_udev(uint32_t cookie)
{
	static const struct timespec pause = { .tv_nsec = UDEV_POLL_NS };
	uint64_t deadline = vmc_now_ms() + UDEV_DEADLINE_MS;
	int ready = 0;

	while (vmc_now_ms() < deadline) {
		dm_lock();
		if (!dm_udev_wait_immediate(cookie, &ready))
			ready = 1;
		dm_unlock();
		if (ready)
			return;
		nanosleep(&pause, NULL);
	}
	/* udev hangs: make the nodes ourselves, and do not leave the semaphore behind */
	dm_lock();
	dm_udev_complete(cookie);
	dm_udev_wait_immediate(cookie, &ready);
	dm_mknodes(NULL);
	dm_unlock();
}

int dm_run_udev(struct dm_task *t, const char *doing, const char *name, struct vmc_error *err)
{
	uint32_t cookie = 0;
	bool udev;
	int rc = 0;

	dm_lock();
	udev = dm_udev_get_sync_support();
	if (udev && !dm_task_set_cookie(t, &cookie, UDEV_FLAGS))
		rc = vmc_fail(err, VMC_EIO, "cannot %s '%s': no udev cookie: %s", message_say(doing), name, words);
	if (!rc)
		rc = run_locked(t, doing, name, err);
	dm_task_destroy(t);
	if (!udev)	/* make or remove the node now */
		dm_task_update_nodes();
	dm_unlock();
	if (cookie)
		wait_udev(cookie);
	return rc;
}

int dm_run_type(int type, const char *doing, const char *name, struct vmc_error *err)
{
	struct dm_task *t;

	dm_lock();
	t = dm_task_for(type, name, err);
	dm_unlock();
	return t ? dm_run_udev(t, doing, name, err) : VMC_ENOMEM;
}

int dm_info_of(const char *name, struct dm_info *info, struct vmc_error *err)
{
	struct dm_task *t;
	int rc;

	dm_lock();
	t = dm_task_for(DM_DEVICE_INFO, name, err);
	if (!t) {
		dm_unlock();
		return VMC_ENOMEM;
	}
	rc = run_locked(t, N_("look at mapping"), name, err);
	if (!rc && !dm_task_get_info(t, info))
		rc = vmc_fail(err, VMC_EIO, "cannot look at mapping '%s'", name);
	dm_task_destroy(t);
	dm_unlock();
	return rc;
}
