// SPDX-License-Identifier: GPL-2.0-or-later
/* Who holds a block device open, as far as /sys and /proc tell. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dm_priv.h"

struct list {
	char *out;
	size_t n, len;
};

__attribute__((format(printf, 2, 3)))
static void add(struct list *l, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (l->len && l->n - l->len > 2) {
		memcpy(l->out + l->len, ", ", 3);
		l->len += 2;
	}
	va_start(ap, fmt);
	len = vsnprintf(l->out + l->len, l->n - l->len, fmt, ap);
	va_end(ap);
	l->len += (size_t)len;
	if (l->len >= l->n)
		l->len = l->n - 1;
}

/* First line of a file of /sys or /proc. */
static bool first_line(int dir, const char *path, char *out, size_t n)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, out, n - 1);

	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return false;
	out[got] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

static void add_devices(struct list *l, dev_t dev)
{
	char path[128], name[128];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(dev), minor(dev));
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char sub[sizeof(e->d_name) + 16];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/dm/name", e->d_name);
		if (first_line(dirfd(d), sub, name, sizeof(name)))
			add(l, "mapping '%s'", name);
		else
			add(l, "device %s", e->d_name);
	}
	if (d)
		closedir(d);
}

/* The mount point in "ID PARENT MAJ:MIN ROOT MOUNTPOINT ...", if it is one of @dev ("MAJ:MIN"). */
static const char *mount_point(char *line, const char *dev)
{
	char *save = NULL, *field = strtok_r(line, " ", &save);

	for (int i = 1; field && i < 3; i++)
		field = strtok_r(NULL, " ", &save);
	if (!field || strcmp(field, dev) || !strtok_r(NULL, " ", &save))
		return NULL;
	return strtok_r(NULL, " ", &save);
}

static void add_mounts(struct list *l, dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, text[32];
	const char *where;
	size_t room = 0;

	snprintf(text, sizeof(text), "%u:%u", major(dev), minor(dev));
	while (f && getline(&line, &room, f) > 0) {
		where = mount_point(line, text);
		if (where)
			add(l, "mounted at %s", where);
	}
	free(line);
	if (f)
		fclose(f);
}

static bool process_has(int proc, const char *pid, dev_t dev)
{
	char path[64];
	bool found = false;
	struct dirent *e;
	DIR *d;
	int fd;

	snprintf(path, sizeof(path), "%.16s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !d)
		close(fd);
	while (d && !found && (e = readdir(d))) {
		struct stat st;

		found = e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, 0) &&
			S_ISBLK(st.st_mode) && st.st_rdev == dev;
	}
	if (d)
		closedir(d);
	return found;
}

static void add_processes(struct list *l, dev_t dev)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[sizeof(e->d_name) + 8], name[64] = "?";

		if (!isdigit((unsigned char)e->d_name[0]) || !process_has(dirfd(d), e->d_name, dev))
			continue;
		snprintf(path, sizeof(path), "%s/comm", e->d_name);
		first_line(dirfd(d), path, name, sizeof(name));
		add(l, "process %.16s (%s)", e->d_name, name);
	}
	if (d)
		closedir(d);
}

void dm_holders(dev_t dev, char *out, size_t n)
{
	struct list l = { out, n, 0 };

	out[0] = '\0';
	add_devices(&l, dev);
	add_mounts(&l, dev);
	add_processes(&l, dev);
}
