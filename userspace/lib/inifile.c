// SPDX-License-Identifier: GPL-2.0-or-later
/* INI files by inih, read strictly. */
#include "inifile.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	FILE *f;
	const char *path;
	int line;
	char section[64], name[64];	/* of the line before */
	int name_line;
	inifile_fn fn;
	void *data;
	struct vmc_error err;		/* the first one */
};

static bool failed(const struct reader *r)
{
	return r->err.code != 0;
}

/* inih cuts long lines in pieces and calls each a line: refuse them here. */
static char *next_line(char *buf, int size, void *stream)
{
	struct reader *r = stream;

	if (failed(r) || !fgets(buf, size, r->f))
		return NULL;
	r->line++;
	if (strlen(buf) > INIFILE_LINE_MAX) {
		vmc_fail(&r->err, VMC_EINVAL, "%s:%d: the line is longer than %d bytes",
			 r->path, r->line, INIFILE_LINE_MAX);
		return NULL;
	}
	return buf;
}

/* inih hands a line that starts with a blank to the handler as more of the name before. */
static bool is_continuation(const struct reader *r, const char *section,
			    const char *name)
{
	return r->name_line && r->line == r->name_line + 1 &&
	       !strcmp(r->section, section) && !strcmp(r->name, name);
}

static int on_entry(void *user, const char *section, const char *name,
		    const char *value)
{
	struct reader *r = user;
	struct inifile_entry e = { r->path, r->line, section, name, value };

	if (failed(r))
		return 0;
	if (is_continuation(r, section, name)) {
		vmc_fail(&r->err, VMC_EINVAL, "%s:%d: '%s' goes on over a second line, or is set twice",
			 r->path, r->line, name);
		return 0;
	}
	snprintf(r->section, sizeof(r->section), "%s", section);
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->name_line = r->line;
	if (r->fn(&e, r->data, &r->err)) {
		vmc_prefix(&r->err, "%s:%d: ", r->path, r->line);
		return 0;
	}
	return 1;
}

int inifile_parse(const char *path, inifile_fn fn, void *data,
		  struct vmc_error *err)
{
	struct reader r = { .path = path, .fn = fn, .data = data };
	int bad;

	r.f = fopen(path, "re");
	if (!r.f)
		return vmc_fail_errno(err, errno, "cannot read '%s'", path);
	bad = ini_parse_stream(next_line, &r, on_entry, &r);
	if (!failed(&r) && ferror(r.f))
		vmc_fail(&r.err, VMC_EIO, "cannot read '%s' to its end", path);
	else if (bad && (!failed(&r) || bad < r.line))	/* reading ends at the first fault of ours */
		vmc_fail(&r.err, VMC_EINVAL, "%s:%d: neither a [section] nor 'name = value'",
			 path, bad);
	fclose(r.f);
	if (failed(&r) && err)
		*err = r.err;
	return r.err.code;
}

int inifile_uint(const struct inifile_entry *e, unsigned long long min,
		 unsigned long long max, unsigned long long *out,
		 struct vmc_error *err)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(e->value, &end, 10);
	if (errno || *e->value < '0' || *e->value > '9' || *end || v < min || v > max)
		return vmc_fail(err, VMC_EINVAL, "%s is '%s', it must be a number from %llu to %llu",
				e->name, e->value, min, max);
	*out = v;
	return 0;
}

int inifile_text(const struct inifile_entry *e, char *out, size_t n,
		 struct vmc_error *err)
{
	size_t len = strlen(e->value);

	if (len >= n)
		return vmc_fail(err, VMC_EINVAL, "%s is longer than %zu bytes",
				e->name, n - 1);
	memcpy(out, e->value, len + 1);
	return 0;
}

int inifile_unknown(const struct inifile_entry *e, struct vmc_error *err)
{
	if (!*e->section)
		return vmc_fail(err, VMC_EINVAL, "'%s' stands before any [section]", e->name);
	return vmc_fail(err, VMC_EINVAL, "unknown setting '%s' in [%s]", e->name, e->section);
}
