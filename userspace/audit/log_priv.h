/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the log share. Nobody else includes it. */
#ifndef VMC_AUDIT_LOG_PRIV_H
#define VMC_AUDIT_LOG_PRIV_H

#include <limits.h>
#include <pthread.h>

#include "audit.h"

#define AUDIT_FILE_BYTES	(16ull << 20)
#define AUDIT_READ_MAX		(64ull << 20)	/* of one file */

/* The file that is appended to, and how far it is known to be good. Used by one thread at a time. */
struct audit_log {
	char dir[PATH_MAX - 64], head_path[PATH_MAX - 64];
	struct audit_head head;		/* as on disk */
	uint64_t file_bytes;
	bool append_only;
	int fd;				/* -1: to be opened anew, as the last write failed */
};

/* ---- log.c ---- */

int log_open(struct audit_log *l, const struct audit_options *o, struct vmc_error *err);
void log_close(struct audit_log *l);
/* Append @n entries, which get their seq, prev and hash here, and make them last; all of them, or an error. */
int log_append(struct audit_log *l, struct audit_line *lines, size_t n, struct vmc_error *err);
/* Names of the files, in their order; free each, then *@names. */
int log_files(const char *dir, char ***names, size_t *n, struct vmc_error *err);
void log_files_free(char **names, size_t n);
/* All of a file of the log. */
int log_read(const char *path, char **data, size_t *len, struct vmc_error *err);
int log_read_head(const char *path, struct audit_head *h, struct vmc_error *err);

/* ---- read.c ---- */

json_t *list_log(const char *dir, const struct audit_filter *f, struct vmc_error *err);
/* Up to @head, and no further. */
int export_log(const char *dir, const struct audit_head *head, int fd, struct vmc_error *err);

#endif
