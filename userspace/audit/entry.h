/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One entry of the audit log, a line of JSON. Pure functions, no I/O.
 *
 *	{"seq":N,"time":"...","prev":"HASH", ... ,"hash":"HASH"}
 *
 * "hash" is the SHA-256 of all bytes of the line before ,"hash": and "prev" is
 * that of the entry before, 64 zeros in the first. There is one way to write
 * an entry down: members in a fixed order, empty ones left out, no spaces. A
 * line that is written in another way is not read.
 */
#ifndef VMC_AUDIT_ENTRY_H
#define VMC_AUDIT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

#define AUDIT_HASH_STR	65	/* hex, with the closing NUL */
#define AUDIT_TIME_STR	25	/* 2026-01-31T12:00:00.000Z */
#define AUDIT_LINE_MAX	8192	/* more than the longest, with its newline */

/* Actions of the log itself. */
#define AUDIT_LOG_STARTED	"log-started"	/* the first entry of all */
#define AUDIT_LOG_CLOSED	"log-closed"	/* bytes before it were cut short by a crash; object: BYTES:SHA-256 */
#define AUDIT_LOG_DAMAGED	"log-damaged"	/* vmcryptd found the log other than it had left it */
#define AUDIT_LOG_LOST		"log-lost"	/* entries that could not be written; object: how many */

struct audit_line {
	uint64_t seq;
	char time[AUDIT_TIME_STR];		/* UTC */
	char prev[AUDIT_HASH_STR];
	/* who; without a uid it was vmcryptd itself */
	bool has_uid;
	uint32_t uid, pid;			/* pid 0: not known */
	char user[64], sender[32], cmd[32];
	/* what */
	char action[48], vm[37], volume[64], key[256], object[256];
	char result[32];			/* "ok", or the name of a vmc_code */
	char text[512];
	char hash[AUDIT_HASH_STR];
};

/*
 * The line of @l, newline included, into @out; fills in l->hash. Returns its
 * length. Bytes that are not UTF-8, and control characters, become '?'.
 */
size_t audit_line_format(struct audit_line *l, char out[AUDIT_LINE_MAX]);

/*
 * From the @len bytes of a line, without its newline. VMC_EINVAL: not an entry;
 * VMC_EAUTH: an entry whose hash is of other bytes (@l is filled in all the same).
 */
int audit_line_parse(const char *data, size_t len, struct audit_line *l, struct vmc_error *err);

/* The moment as an entry has it. */
void audit_time(char out[AUDIT_TIME_STR]);

/* SHA-256 in hex. */
void audit_digest(const void *data, size_t len, char out[AUDIT_HASH_STR]);

#endif
