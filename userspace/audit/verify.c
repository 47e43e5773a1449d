// SPDX-License-Identifier: GPL-2.0-or-later
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/fs.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "log_priv.h"

#define PROBLEMS_MAX	100	/* told; the others are counted */

struct check {
	struct audit_chain chain;
	const struct audit_head *head;
	struct audit_chain anchor;	/* seq 0: none */
	bool anchored, head_seen;
	const char *file;
	size_t line;			/* of the entry that is looked at is not known: of the last problem */
	uint64_t entries, first, unnamed;
	char time[AUDIT_TIME_STR];	/* of the last entry */
	json_t *files, *problems, *notes;
};

static void add_problem(struct check *k, size_t line, size_t offset, uint64_t seq, const char *what)
{
	json_t *o;

	if (json_array_size(k->problems) >= PROBLEMS_MAX) {
		k->unnamed++;
		return;
	}
	o = json_pack("{s:s*, s:s}", "file", k->file, "what", what);
	if (line)
		json_object_set_new(o, "line", json_integer((json_int_t)line));
	if (line)
		json_object_set_new(o, "offset", json_integer((json_int_t)offset));
	if (seq)
		json_object_set_new(o, "seq", json_integer((json_int_t)seq));
	json_array_append_new(k->problems, o);
}

static void on_problem(size_t line, size_t offset, uint64_t seq, const char *what, void *data)
{
	add_problem(data, line, offset, seq, what);
}

static void on_torn(size_t line, size_t offset, size_t bytes, void *data)
{
	struct check *k = data;

	json_array_append_new(k->notes, json_sprintf(_("%s, line %zu: %zu bytes at %zu were cut short by a crash, and closed"),
						     k->file, line, bytes, offset));
}

static void on_entry(const struct audit_line *l, const char *line, size_t len, void *data)
{
	struct check *k = data;
	char what[640];

	(void)line;
	(void)len;
	k->entries++;
	if (!k->first)
		k->first = l->seq;
	memcpy(k->time, l->time, sizeof(k->time));
	if (k->head && l->seq == k->head->chain.seq && !strcmp(l->hash, k->head->chain.hash))
		k->head_seen = true;
	if (l->seq == k->anchor.seq && !strcmp(l->hash, k->anchor.hash))
		k->anchored = true;
	if (strcmp(l->action, AUDIT_LOG_DAMAGED) && strcmp(l->action, AUDIT_LOG_LOST))
		return;
	snprintf(what, sizeof(what), _("at %s vmcryptd noted: %s"), l->time, l->text);
	add_problem(k, 0, 0, l->seq, what);
}

/* What comes first hangs on nothing, or on entries that were moved away: an anchor says what they ended with. */
static void start_chain(struct check *k, uint64_t first)
{
	char what[320];

	audit_chain_start(&k->chain);
	if (first <= 1)
		return;
	k->chain.seq = first - 1;
	k->chain.hash[0] = '\0';
	if (k->anchor.seq == first - 1) {
		k->chain = k->anchor;
		k->anchored = true;
		return;
	}
	snprintf(what, sizeof(what), _("entries 1 to %" PRIu64 " are not here"), first - 1);
	add_problem(k, 0, 0, 0, what);
}

/* The number that the first line of a file has; files of the log have it as their name. */
static uint64_t first_seq(const char *data, size_t len)
{
	const char *newline = memchr(data, '\n', len);
	struct audit_line l;

	if (!newline || audit_line_parse(data, (size_t)(newline - data), &l, NULL) == VMC_EINVAL)
		return 0;
	return l.seq;
}

static void check_data(struct check *k, const char *data, size_t len, bool last)
{
	const struct audit_walk w = {
		.entry = on_entry, .problem = on_problem, .torn = on_torn, .data = k,
	};
	size_t end = audit_chain_walk(&k->chain, data, len, &w);

	if (end == len)
		return;
	if (last)
		json_array_append_new(k->notes, json_sprintf(_("%s ends in the middle of an entry (%zu bytes), as a "
							     "crash leaves it; vmcryptd closes that at its next start"),
							     k->file, len - end));
	else
		add_problem(k, 0, 0, 0, _("the file ends in the middle of an entry"));
}

static int check_file(struct check *k, const char *path, const char *name, bool first, bool last,
		      struct vmc_error *err)
{
	uint64_t named = audit_file_seq(name), seq;
	size_t len;
	char *data;
	int r = log_read(path, &data, &len, err);

	if (r)
		return r;
	k->file = name;
	seq = first_seq(data, len);
	if (first)
		start_chain(k, named ? named : seq);
	if (named && seq && seq != named)
		add_problem(k, 1, 0, seq, _("the file has the name of another"));
	/* what was appended since the head was looked at is not part of the question */
	if (k->head && !strcmp(name, k->head->file) && len > k->head->size && last)
		len = (size_t)k->head->size;
	check_data(k, data, len, last);
	free(data);
	return json_array_append_new(k->files, json_string(name)) ? vmc_fail(err, VMC_ENOMEM, "out of memory") : 0;
}

static int check_folder(struct check *k, const char *dir, struct vmc_error *err)
{
	char path[PATH_MAX], **names;
	size_t n, i;
	int r = log_files(dir, &names, &n, err);

	if (r)
		return r;
	if (!n)
		add_problem(k, 0, 0, 0, _("there are no files of a log"));
	for (i = 0; i < n && !r; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		r = check_file(k, path, names[i], !i, i + 1 == n, err);
	}
	log_files_free(names, n);
	return r;
}

static void check_end(struct check *k)
{
	char what[320];

	k->file = NULL;
	if (k->head && k->chain.seq < k->head->chain.seq) {
		snprintf(what, sizeof(what), _("the log ends with entry %" PRIu64 ", it had %" PRIu64
			 ": the end was cut off"), k->chain.seq, k->head->chain.seq);
		add_problem(k, 0, 0, k->chain.seq, what);
	} else if (k->head && !k->head_seen) {
		snprintf(what, sizeof(what), _("entry %" PRIu64 " is not the one that the head of the log has"),
			 k->head->chain.seq);
		add_problem(k, 0, 0, k->head->chain.seq, what);
	}
	if (k->anchor.seq && !k->anchored) {
		snprintf(what, sizeof(what), _("the log has no entry %" PRIu64 " with the hash of the anchor"),
			 k->anchor.seq);
		add_problem(k, 0, 0, k->anchor.seq, what);
	}
	if (k->unnamed) {
		snprintf(what, sizeof(what), "and %" PRIu64 " more", k->unnamed);
		json_array_append_new(k->problems, json_pack("{s:s}", "what", what));
	}
}

static json_t *answer(struct check *k)
{
	json_t *head = k->chain.hash[0] ? json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)k->chain.seq, "hash",
						    k->chain.hash, "time", k->time) : json_null();

	return json_pack("{s:b, s:I, s:I, s:I, s:o, s:O, s:O, s:O}", "ok", !json_array_size(k->problems),
			 "entries", (json_int_t)k->entries, "first", (json_int_t)k->first,
			 "last", (json_int_t)k->chain.seq, "head", head, "files", k->files,
			 "problems", k->problems, "notes", k->notes);
}

json_t *audit_verify_files(const char *dir, const struct audit_head *head, const char *anchor,
			   struct vmc_error *err)
{
	struct check k = { .head = head, .files = json_array(), .problems = json_array(), .notes = json_array() };
	const char *slash = strrchr(dir, '/');
	json_t *o = NULL;
	struct stat st;
	int r = 0;

	if (anchor)
		r = audit_anchor_parse(anchor, &k.anchor, err);
	if (!r && !stat(dir, &st) && !S_ISDIR(st.st_mode))
		r = check_file(&k, dir, slash ? slash + 1 : dir, true, true, err);
	else if (!r)
		r = check_folder(&k, dir, err);
	if (!r) {
		check_end(&k);
		o = answer(&k);
		if (!o)
			vmc_fail(err, VMC_ENOMEM, "out of memory");
	}
	json_decref(k.files);
	json_decref(k.problems);
	json_decref(k.notes);
	return o;
}
