/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INI files, read strictly: the first bad line refuses the file and is named. */
#ifndef VMC_LIB_INIFILE_H
#define VMC_LIB_INIFILE_H

#include <stddef.h>

#include "error.h"

#define INIFILE_LINE_MAX	190	/* bytes; a longer line is refused */

struct inifile_entry {
	const char *file;
	int line;
	const char *section, *name, *value;
};

/*
 * Called for each "name = value". To refuse one, return a vmc_code after
 * vmc_fail(); inifile_parse() puts "FILE:LINE: " in front of the text.
 */
typedef int (*inifile_fn)(const struct inifile_entry *e, void *data, struct vmc_error *err);

/* VMC_ENOENT when there is no such file. A name that comes twice in a row is a continued line: refused. */
int inifile_parse(const char *path, inifile_fn fn, void *data, struct vmc_error *err);

/* For handlers: the whole of @e->value as a number from @min to @max. */
int inifile_uint(const struct inifile_entry *e, unsigned long long min,
		 unsigned long long max, unsigned long long *out, struct vmc_error *err);
/* Text of at most @n - 1 bytes into @out. */
int inifile_text(const struct inifile_entry *e, char *out, size_t n, struct vmc_error *err);
int inifile_unknown(const struct inifile_entry *e, struct vmc_error *err);

#endif
