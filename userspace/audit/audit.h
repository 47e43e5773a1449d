/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit log: who did what with which key, and what came of it. Entries are
 * hash-chained lines (entry.h) in files that are only ever appended to, below
 * STATE_DIR/audit; STATE_DIR/audit.head says where the log ends.
 *
 * audit_record() only queues. A thread writes what has gathered, with one fsync
 * for all of it, when somebody waits for it (audit_flush(), at the end of a call
 * of the API) or half a second after the first of it.
 */
#ifndef VMC_AUDIT_AUDIT_H
#define VMC_AUDIT_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/error.h"
#include "head.h"

struct audit;

struct audit_options {
	const char *state_dir;
	bool append_only;	/* have the file system enforce it, where it can (chattr +a) */
	uint64_t file_bytes;	/* begin another file after so many; 0: 16 MiB */
	/* For anchors elsewhere; called by the writing thread at the start and now and then. May be NULL. */
	void (*anchor)(const struct audit_chain *c, void *data);
	void *data;
};

/* Goes on with the log that is there, after closing what a crash cut short; begins one where there is none. */
int audit_open(struct audit **a, const struct audit_options *o, struct vmc_error *err);
void audit_close(struct audit *a);	/* writes what is queued; NULL is fine */

/* For whom this thread acts. It is vmcryptd itself until something else is said. */
struct audit_actor {
	uint32_t uid, pid;		/* pid 0: not known */
	char sender[32];		/* unique name on the bus */
	char cmd[32];			/* what the process calls itself, which proves nothing */
};
void audit_set_actor(const struct audit_actor *actor);	/* copied; NULL: vmcryptd itself */

struct audit_entry {
	const char *action;		/* "kek-fetch" ... */
	const char *vm, *volume, *key, *object;	/* each may be NULL */
	int code;			/* enum vmc_code; 0: it was done */
	const char *text;		/* or NULL */
	const struct audit_actor *actor;	/* NULL: the thread's */
};

/*
 * To the log of the process, which audit_open() makes the first that is open;
 * without one nothing happens. Never blocks, may be called from any thread.
 */
void audit_record(const struct audit_entry *e);
/* What this thread recorded is on disk when this returns 0. VMC_ETIMEDOUT, or why it cannot be written. */
int audit_flush(struct vmc_error *err);

/* ---- reading: of the process's log; every function writes what is queued first ---- */

struct audit_filter {
	const char *since;		/* time as in an entry, or a beginning of one; NULL: any */
	const char *vm, *key, *actor;	/* actor: uid, user or sender; key: id, or what it begins with and a '*' */
	unsigned int limit;		/* the newest so many */
};
/* Array of entries as objects, oldest first. NULL and @err filled in otherwise. */
json_t *audit_list(const struct audit_filter *f, struct vmc_error *err);
/*
 * {ok, entries, first, last, head: {seq, hash, time}, files: [...], problems: [{file, line, offset, seq, what}],
 *  notes: [...]}. @anchor: "SEQ:HASH" that the log must have, or NULL. Succeeds when the log could be read.
 */
json_t *audit_verify(const char *anchor, struct vmc_error *err);
/* {seq, hash, anchor: "SEQ:HASH", file, size} */
json_t *audit_head_json(struct vmc_error *err);
/* Whole log to @fd, file by file. */
int audit_export(int fd, struct vmc_error *err);

#endif
