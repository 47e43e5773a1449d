// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that are only appended to, and the head beside them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "log_priv.h"

#define GROWTH	(1u << 20)

static void file_path(const struct audit_log *l, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", l->dir, name);
}

/* ---- the files there are ---------------------------------------------------- */

static int is_log(const struct dirent *e)
{
	return audit_file_seq(e->d_name) != 0;
}

int log_files(const char *dir, char ***names, size_t *n, struct vmc_error *err)
{
	struct dirent **list;
	int count = scandir(dir, &list, is_log, alphasort), i;
	char **out;

	if (count < 0)
		return vmc_fail_errno(err, errno, "cannot list '%s'", dir);
	out = calloc((size_t)count + 1, sizeof(*out));
	for (i = 0; i < count; i++) {
		if (out)
			out[i] = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (i = 0; out && i < count; i++)
		if (!out[i]) {
			log_files_free(out, (size_t)count);
			out = NULL;
		}
	if (!out)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	*names = out;
	*n = (size_t)count;
	return 0;
}

void log_files_free(char **names, size_t n)
{
	while (n)
		free(names[--n]);
	free(names);
}

int log_read(const char *path, char **data, size_t *len, struct vmc_error *err)
{
	size_t max = AUDIT_READ_MAX;
	struct stat st;

	/* it may grow meanwhile; room for the most it may have would be far too much */
	if (!stat(path, &st) && (uint64_t)st.st_size + GROWTH < max)
		max = (size_t)st.st_size + GROWTH;
	return fs_read(path, max, data, len, err);
}

/* ---- the head ---------------------------------------------------------------- */

int log_read_head(const char *path, struct audit_head *h, struct vmc_error *err)
{
	size_t len;
	char *data;
	int r = fs_read(path, AUDIT_HEAD_MAX, &data, &len, err);

	if (r)
		return r;
	r = audit_head_parse(data, len, h, err);
	free(data);
	if (r)
		vmc_prefix(err, "'%s': ", path);
	return r;
}

static int write_head(struct audit_log *l, struct vmc_error *err)
{
	char text[AUDIT_HEAD_MAX];
	size_t n = audit_head_format(&l->head, text);

	return fs_replace(l->head_path, text, n, 0600, err);
}

/* ---- one file ----------------------------------------------------------------- */

/* The file system says no to all but appending, to root too until root says chattr -a. Not all of them can. */
static void set_append_only(int fd, const char *path)
{
	int flags, r = ioctl(fd, FS_IOC_GETFLAGS, &flags);

	if (!r && !(flags & FS_APPEND_FL)) {
		flags |= FS_APPEND_FL;
		r = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	if (r)
		log_debug("'%s' cannot be made append-only: %s", path, strerror(errno));
}

static int open_file(struct audit_log *l, struct vmc_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	file_path(l, l->head.file, path);
	l->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", path);
	if (fstat(l->fd, &st) || !S_ISREG(st.st_mode)) {
		log_close(l);
		return vmc_fail(err, VMC_EINVAL, "'%s' is not a file", path);
	}
	if (l->append_only)
		set_append_only(l->fd, path);
	return 0;
}

static int sync_dir(const struct audit_log *l, struct vmc_error *err)
{
	int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return vmc_fail_errno(err, errno, "cannot open '%s'", l->dir);
	r = fs_sync(fd, l->dir, err);
	close(fd);
	return r;
}

/* The next entry begins another file. */
static int next_file(struct audit_log *l, struct vmc_error *err)
{
	int r;

	log_close(l);
	audit_file_name(l->head.chain.seq + 1, l->head.file);
	l->head.size = 0;
	r = open_file(l, err);
	return r ? r : sync_dir(l, err);
}

static int write_all(struct audit_log *l, const char *data, size_t len, struct vmc_error *err)
{
	ssize_t n;

	fs_crashpoint("audit: before write");
	while (len) {
		n = write(l->fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return vmc_fail_errno(err, n ? errno : ENOSPC, "cannot write to '%s/%s'", l->dir,
					      l->head.file);
		data += n;
		len -= (size_t)n;
	}
	fs_crashpoint("audit: written");
	return 0;
}

/* ---- appending ------------------------------------------------------------------ */

/* As many of @n as fit @buf; they hang on @c, which goes along. */
static size_t format_some(struct audit_chain *c, struct audit_line *lines, size_t n, char *buf, size_t room,
			  size_t *len)
{
	size_t i;

	*len = 0;
	for (i = 0; i < n && room - *len >= AUDIT_LINE_MAX; i++) {
		lines[i].seq = c->seq + 1;
		memcpy(lines[i].prev, c->hash, AUDIT_HASH_STR);
		*len += audit_line_format(&lines[i], buf + *len);
		c->seq = lines[i].seq;
		memcpy(c->hash, lines[i].hash, AUDIT_HASH_STR);
	}
	return i;
}

static int append_lines(struct audit_log *l, struct audit_line *lines, size_t n, bool other_file,
			struct vmc_error *err)
{
	const size_t room = 64 * AUDIT_LINE_MAX;
	char *buf = malloc(room);
	struct audit_chain c;
	size_t done, len;
	int r = 0;

	if (!buf)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (; n && !r; lines += done, n -= done) {
		if (other_file && l->head.size >= l->file_bytes) {
			r = fs_sync(l->fd, l->head.file, err);
			if (!r)
				r = next_file(l, err);
			if (r)
				break;
		}
		c = l->head.chain;
		done = format_some(&c, lines, n, buf, room, &len);
		r = write_all(l, buf, len, err);
		if (!r) {
			l->head.chain = c;
			l->head.size += len;
		}
	}
	free(buf);
	return r;
}

static int commit(struct audit_log *l, struct vmc_error *err)
{
	int r = fs_sync(l->fd, l->head.file, err);

	return r ? r : write_head(l, err);
}

static int append_own(struct audit_log *l, const char *action, const char *object, const char *text,
		      struct vmc_error *err)
{
	struct audit_line line = { .user = "vmcryptd" };
	int r;

	audit_time(line.time);
	snprintf(line.action, sizeof(line.action), "%s", action);
	snprintf(line.object, sizeof(line.object), "%s", object);
	snprintf(line.result, sizeof(line.result), "ok");
	snprintf(line.text, sizeof(line.text), "%s", text);
	r = append_lines(l, &line, 1, false, err);
	return r ? r : commit(l, err);
}

/* ---- what is there at the start ---------------------------------------------------- */

static int damaged(struct audit_log *l, const char *what, struct vmc_error *err)
{
	log_err("audit log: %s", what);
	return append_own(l, AUDIT_LOG_DAMAGED, l->head.file, what, err);
}

/* Behind the head: whole entries are good; the rest was cut short, and is closed by an entry that says so. */
static int close_rest(struct audit_log *l, const char *rest, size_t len, struct vmc_error *err)
{
	char object[32 + AUDIT_HASH_STR], hash[AUDIT_HASH_STR];
	size_t n = audit_chain_good(&l->head.chain, rest, len);
	int r;

	l->head.size += n;
	if (n == len)
		return 0;
	r = write_all(l, "\n", 1, err);
	if (r)
		return r;
	l->head.size += len - n + 1;
	if (audit_chain_add(&l->head.chain, rest + n, len - n))
		return 0;	/* only its newline was missing */
	audit_digest(rest + n, len - n, hash);
	snprintf(object, sizeof(object), "%zu:%s", len - n, hash);
	return append_own(l, AUDIT_LOG_CLOSED, object, "a write was cut short", err);
}

static int read_rest(struct audit_log *l, size_t len, char **rest, struct vmc_error *err)
{
	size_t at = 0;
	ssize_t n;

	*rest = malloc(len + 1);
	if (!*rest)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (; at < len; at += (size_t)n) {
		n = pread(l->fd, *rest + at, len - at, (off_t)(l->head.size + at));
		if (n > 0)
			continue;
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		free(*rest);
		return vmc_fail_errno(err, n ? errno : EIO, "cannot read '%s/%s'", l->dir, l->head.file);
	}
	return 0;
}

static int close_torn(struct audit_log *l, struct vmc_error *err)
{
	struct stat st;
	char *rest;
	int r;

	if (fstat(l->fd, &st))
		return vmc_fail_errno(err, errno, "cannot look at '%s/%s'", l->dir, l->head.file);
	if ((uint64_t)st.st_size == l->head.size)
		return 0;
	if ((uint64_t)st.st_size < l->head.size) {
		r = next_file(l, err);
		return r ? r : damaged(l, "the file before this one is shorter than it was", err);
	}
	if ((uint64_t)st.st_size - l->head.size > AUDIT_READ_MAX) {
		r = next_file(l, err);
		return r ? r : damaged(l, "the file before this one is far longer than it was", err);
	}
	r = read_rest(l, (size_t)st.st_size - l->head.size, &rest, err);
	if (r)
		return r;
	r = close_rest(l, rest, (size_t)st.st_size - l->head.size, err);
	free(rest);
	return r;
}

static bool exists(const struct audit_log *l, const char *name)
{
	char path[PATH_MAX];

	file_path(l, name, path);
	return !access(path, F_OK);
}

/* A crash may come between the beginning of a file and the head that knows it: the file begins where the head ends. */
static int take_new_files(struct audit_log *l, struct vmc_error *err)
{
	char name[AUDIT_FILE_MAX];
	int r = 0;

	for (;;) {
		audit_file_name(l->head.chain.seq + 1, name);
		if (r || !strcmp(name, l->head.file) || !exists(l, name))
			return r;
		log_close(l);
		memcpy(l->head.file, name, sizeof(name));
		l->head.size = 0;
		r = open_file(l, err);
		if (!r)
			r = close_torn(l, err);
	}
}

/* From the head to the end of what is there. */
static int go_on(struct audit_log *l, struct vmc_error *err)
{
	char **names, what[96] = "";
	size_t n;
	int r;

	r = open_file(l, err);
	if (!r)
		r = close_torn(l, err);
	if (!r)
		r = take_new_files(l, err);
	if (!r)
		r = log_files(l->dir, &names, &n, err);
	if (r)
		return r;
	if (n && audit_file_seq(names[n - 1]) > audit_file_seq(l->head.file))
		snprintf(what, sizeof(what), "the log did not have the file '%s'", names[n - 1]);
	log_files_free(names, n);
	return what[0] ? damaged(l, what, err) : commit(l, err);
}

int log_append(struct audit_log *l, struct audit_line *lines, size_t n, struct vmc_error *err)
{
	struct audit_head was = l->head;
	int r = 0;

	if (l->fd < 0)
		r = go_on(l, err);
	if (!r) {
		was = l->head;
		r = append_lines(l, lines, n, true, err);
	}
	if (!r)
		r = commit(l, err);
	if (!r)
		return 0;
	/* What reached the disk is not known: it is looked at before the next write. */
	l->head = was;
	log_close(l);
	return r;
}

/* The head is gone: what the files end with is the best that is known. */
static int without_head(struct audit_log *l, char **names, size_t n, struct vmc_error *err)
{
	static const struct audit_walk nothing = { 0 };
	char path[PATH_MAX], *data;
	size_t len, i;
	int r = 0;

	audit_chain_start(&l->head.chain);
	for (i = 0; i < n && !r; i++) {
		file_path(l, names[i], path);
		r = log_read(path, &data, &len, err);
		if (r)
			break;
		audit_chain_walk(&l->head.chain, data, len, &nothing);
		free(data);
	}
	if (!l->head.chain.hash[0])
		audit_digest("", 0, l->head.chain.hash);
	if (!r && l->head.chain.seq < audit_file_seq(names[n - 1]))
		l->head.chain.seq = audit_file_seq(names[n - 1]);	/* the next file must have another name */
	if (!r)
		r = next_file(l, err);
	return r ? r : damaged(l, "the head of the log was gone, or not to be read: entries may be missing here", err);
}

/* The head first: a crash must not leave a log without one. */
static int begin(struct audit_log *l, struct vmc_error *err)
{
	int r;

	audit_chain_start(&l->head.chain);
	audit_file_name(1, l->head.file);
	l->head.size = 0;
	r = write_head(l, err);
	if (!r)
		r = open_file(l, err);
	if (!r)
		r = sync_dir(l, err);
	return r ? r : append_own(l, AUDIT_LOG_STARTED, "", "the audit log begins", err);
}

static int resume(struct audit_log *l, struct vmc_error *err)
{
	struct vmc_error why = VMC_ERROR_INIT;
	char **names;
	size_t n;
	int r, head;

	r = log_files(l->dir, &names, &n, err);
	if (r)
		return r;
	head = log_read_head(l->head_path, &l->head, &why);
	if (head && head != VMC_ENOENT && head != VMC_EAUTH && head != VMC_EINVAL) {
		if (err)
			*err = why;
		r = head;
	} else if (!n && (head ? head == VMC_ENOENT : !l->head.chain.seq)) {
		r = begin(l, err);
	} else if (head && n) {
		r = without_head(l, names, n, err);
	} else if (head) {
		r = begin(l, err);
		if (!r)
			r = damaged(l, "all files of the log and its head are gone or not to be read", err);
	} else if (!exists(l, l->head.file)) {
		r = next_file(l, err);
		if (!r)
			r = damaged(l, "the file before this one is gone", err);
	} else {
		r = go_on(l, err);
		if (!r && !l->head.chain.seq)	/* nothing but the file had been made */
			r = append_own(l, AUDIT_LOG_STARTED, "", "the audit log begins", err);
	}
	log_files_free(names, n);
	return r;
}

int log_open(struct audit_log *l, const struct audit_options *o, struct vmc_error *err)
{
	int r;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	l->append_only = o->append_only;
	l->file_bytes = o->file_bytes ? o->file_bytes : AUDIT_FILE_BYTES;
	snprintf(l->dir, sizeof(l->dir), "%s/audit", o->state_dir);
	snprintf(l->head_path, sizeof(l->head_path), "%s/audit.head", o->state_dir);
	r = fs_mkdirs(l->dir, 0700, err);
	if (!r)
		r = resume(l, err);
	if (r)
		log_close(l);
	return r;
}

void log_close(struct audit_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}
