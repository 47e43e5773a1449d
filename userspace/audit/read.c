// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries for a person to read, and the whole log for another machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/util.h"
#include "log_priv.h"

/* ---- which of them ------------------------------------------------------------- */

struct search {
	const struct audit_filter *f;
	json_t **ring;			/* the newest f->limit that match, of one file */
	size_t at, n;
};

static bool key_matches(const char *key, const char *want)
{
	size_t n = strlen(want);

	return n && want[n - 1] == '*' ? !strncmp(key, want, n - 1) : !strcmp(key, want);
}

static bool actor_matches(const struct audit_line *l, const char *want)
{
	char uid[16] = "";

	if (l->has_uid)
		snprintf(uid, sizeof(uid), "%u", l->uid);
	return !strcmp(l->user, want) || !strcmp(l->sender, want) || (uid[0] && !strcmp(uid, want));
}

static bool matches(const struct audit_filter *f, const struct audit_line *l)
{
	return (!f->since || strcmp(l->time, f->since) >= 0) && (!f->vm || !strcmp(l->vm, f->vm)) &&
	       (!f->key || key_matches(l->key, f->key)) && (!f->actor || actor_matches(l, f->actor));
}

static void on_entry(const struct audit_line *l, const char *line, size_t len, void *data)
{
	struct search *s = data;
	json_t *o;

	if (!matches(s->f, l))
		return;
	o = json_loadb(line, len, 0, NULL);
	if (!o)
		return;
	json_decref(s->ring[s->at]);
	s->ring[s->at] = o;
	s->at = (s->at + 1) % s->f->limit;
	s->n += s->n < s->f->limit;
}

/* The newest of one file to the front of @list, at most so many that it has f->limit. */
static int prepend(struct search *s, json_t *list)
{
	size_t i, room = s->f->limit - json_array_size(list), n = s->n < room ? s->n : room;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		size_t at = (s->at + 2 * s->f->limit - 1 - i) % s->f->limit;

		r = json_array_insert(list, 0, s->ring[at]);
	}
	for (i = 0; i < s->f->limit; i++) {
		json_decref(s->ring[i]);
		s->ring[i] = NULL;
	}
	s->at = s->n = 0;
	return r;
}

static int read_file(const char *dir, const char *name, char **data, size_t *len, struct vmc_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return log_read(path, data, len, err);
}

static int search_file(const char *dir, const char *name, struct search *s, json_t *list, struct vmc_error *err)
{
	const struct audit_walk w = { .entry = on_entry, .data = s };
	struct audit_chain c;
	size_t len;
	char *data;
	int r = read_file(dir, name, &data, &len, err);

	if (r)
		return r;
	audit_chain_start(&c);
	c.seq = audit_file_seq(name) - 1;
	c.hash[0] = '\0';	/* whether it hangs on the file before is for verify to say */
	audit_chain_walk(&c, data, len, &w);
	free(data);
	return prepend(s, list) ? vmc_fail(err, VMC_ENOMEM, "out of memory") : 0;
}

json_t *list_log(const char *dir, const struct audit_filter *f, struct vmc_error *err)
{
	struct search s = { .f = f, .ring = calloc(f->limit + 1, sizeof(*s.ring)) };
	json_t *list = json_array();
	char **names;
	size_t n, i;
	int r;

	r = !s.ring || !list ? vmc_fail(err, VMC_ENOMEM, "out of memory") : log_files(dir, &names, &n, err);
	if (!r) {
		for (i = n; i-- > 0 && !r && json_array_size(list) < f->limit;)
			r = search_file(dir, names[i], &s, list, err);
		log_files_free(names, n);
	}
	free(s.ring);
	if (!r)
		return list;
	json_decref(list);
	return NULL;
}

/* ---- all of them, elsewhere ------------------------------------------------------- */

static int write_out(int fd, const char *data, size_t len, struct vmc_error *err)
{
	ssize_t n;

	for (; len; data += n, len -= (size_t)n) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return vmc_fail_errno(err, n ? errno : ENOSPC, "cannot write the exported log");
	}
	return 0;
}

int export_log(const char *dir, const struct audit_head *head, int fd, struct vmc_error *err)
{
	char **names, *data;
	size_t n, len, i;
	int r = log_files(dir, &names, &n, err);

	if (r)
		return r;
	for (i = 0; i < n && !r; i++) {
		r = read_file(dir, names[i], &data, &len, err);
		if (r)
			break;
		if (!strcmp(names[i], head->file) && len > head->size)
			len = (size_t)head->size;
		r = write_out(fd, data, len, err);
		free(data);
	}
	log_files_free(names, n);
	if (!r && fsync(fd) && errno != EINVAL && errno != EROFS)
		r = vmc_fail_errno(err, errno, "cannot write the exported log");
	return r;
}
