// SPDX-License-Identifier: GPL-2.0-or-later
/* What mappings there are, and what is below them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dm_priv.h"

bool dm_exists(const char *name)
{
	struct dm_info info;

	return !dm_info_of(name, &info, NULL) && info.exists;
}

/* The one device below a mapping. Not from the table, which may hold a key. */
int dm_device_below(const char *name, dev_t *dev, struct vmc_error *err)
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

	rc = dm_check_name(name, err);
	if (!rc)
		rc = dm_device_below(name, &dev, err);
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
