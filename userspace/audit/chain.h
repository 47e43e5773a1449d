/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries that hang on one another: what belongs, and what does not. Pure functions, no I/O. */
#ifndef VMC_AUDIT_CHAIN_H
#define VMC_AUDIT_CHAIN_H

#include "entry.h"

/* The last entry that was seen. */
struct audit_chain {
	uint64_t seq;			/* 0: none */
	char hash[AUDIT_HASH_STR];	/* "": not known, so anything may hang on it */
	bool gap;			/* after it comes a line that could not be read: one entry may be missing */
};
void audit_chain_start(struct audit_chain *c);	/* before the first entry of all */

/* What audit_chain_walk() comes upon, in the order of the file. */
struct audit_walk {
	/* An entry that hangs on the one before. @line has @len bytes. */
	void (*entry)(const struct audit_line *l, const char *line, size_t len, void *data);
	/* Something that has no business there; @seq 0: not known. */
	void (*problem)(size_t line, size_t offset, uint64_t seq, const char *what, void *data);
	/* @bytes that a crash cut short, closed since; no problem. May be NULL, as may the others. */
	void (*torn)(size_t line, size_t offset, size_t bytes, void *data);
	void *data;
};

/*
 * Through the @len bytes of a file, going on from @c. Returns the offset behind
 * the last whole line; less than @len means that the file ends in the middle of one.
 */
size_t audit_chain_walk(struct audit_chain *c, const char *data, size_t len, const struct audit_walk *w);

/*
 * How far @data goes on from @c without a fault: the offset behind the last good
 * entry, which is in @c then. What follows is what a crash may have left.
 */
size_t audit_chain_good(struct audit_chain *c, const char *data, size_t len);

/* Goes on from @c with the one entry in @data, @len bytes without a newline; false, and nothing done, if it is none. */
bool audit_chain_add(struct audit_chain *c, const char *data, size_t len);

#endif
