/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of an audit log: its last entry and where that ends, kept apart from
 * the log, so that entries cut off at the end are missed. Text of one line,
 * "SEQ HASH FILE SIZE SUM", where SUM is the SHA-256 of what is before it.
 */
#ifndef VMC_AUDIT_HEAD_H
#define VMC_AUDIT_HEAD_H

#include "chain.h"

#define AUDIT_FILE_MAX	32	/* "00000000000000000001.log" */
#define AUDIT_HEAD_MAX	256
#define AUDIT_ANCHOR_MAX 96	/* "SEQ:HASH" */

struct audit_head {
	struct audit_chain chain;
	char file[AUDIT_FILE_MAX];
	uint64_t size;			/* of the file, behind that entry */
};

void audit_file_name(uint64_t first_seq, char out[AUDIT_FILE_MAX]);
/* The first entry that a file of that name has; 0 when it is not the name of one. */
uint64_t audit_file_seq(const char *name);

size_t audit_head_format(const struct audit_head *h, char out[AUDIT_HEAD_MAX]);
int audit_head_parse(const char *data, size_t len, struct audit_head *h, struct vmc_error *err);

/* An entry as somebody wrote it down elsewhere: "SEQ:HASH". */
int audit_anchor_parse(const char *s, struct audit_chain *c, struct vmc_error *err);

#endif
