// SPDX-License-Identifier: GPL-2.0-or-later
#include "chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
struct walker {
	struct audit_chain *c;
	const struct audit_walk *w;
	const char *data;
	size_t len, at, line;		/* the line that is looked at, and its number from 1 */
};

void audit_chain_start(struct audit_chain *c)
{
	c->seq = 0;
	c->gap = false;
	memset(c->hash, '0', AUDIT_HASH_STR - 1);
	c->hash[AUDIT_HASH_STR - 1] = '\0';
}

static void advance(struct audit_chain *c, const struct audit_line *l)
{
	c->seq = l->seq;
	c->gap = false;
	memcpy(c->hash, l->hash, sizeof(c->hash));
}

static bool follows(const struct audit_chain *c, const struct audit_line *l)
{
	return l->seq == c->seq + 1 && (!c->hash[0] || !strcmp(l->prev, c->hash));
}

static void problem(const struct walker *k, uint64_t seq, const char *what)
{
	if (k->w->problem)
		k->w->problem(k->line, k->at, seq, what, k->w->data);
}

/* ---- what a crash left, closed by a later start ---------------------------- */

/* Does @l, which begins at @at, say that the bytes from @from on were cut short? */
static bool closes(const struct walker *k, const struct audit_line *l, size_t from, size_t at)
{
	char want[sizeof(l->object)], hash[AUDIT_HASH_STR];

	if (strcmp(l->action, AUDIT_LOG_CLOSED) || !follows(k->c, l) || at < from + 1)
		return false;
	audit_digest(k->data + from, at - 1 - from, hash);
	snprintf(want, sizeof(want), "%zu:%s", at - 1 - from, hash);
	return !strcmp(l->object, want);
}

/* The length that a closing line at @line claims for what is before it; cheaper than to read the line. */
static bool claims(const char *line, size_t len, size_t bytes)
{
	static const char mark[] = "\"object\":\"";
	const char *object;
	char want[32];
	int n = snprintf(want, sizeof(want), "%zu:", bytes);

	if (!memmem(line, len, "\"" AUDIT_LOG_CLOSED "\"", sizeof(AUDIT_LOG_CLOSED) + 1))
		return false;
	object = memmem(line, len, mark, sizeof(mark) - 1);
	return object && len - (size_t)(object - line) > sizeof(mark) + (size_t)n &&
	       !memcmp(object + sizeof(mark) - 1, want, (size_t)n);
}

/* Bytes from k->at on up to the line that closes them, or 0. */
static size_t closed_bytes(const struct walker *k)
{
	const char *end = k->data + k->len, *line = k->data + k->at, *newline;
	struct audit_line l;
	size_t at;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			break;
		at = (size_t)(line - k->data);
		if (at > k->at && claims(line, (size_t)(newline - line), at - 1 - k->at) &&
		    !audit_line_parse(line, (size_t)(newline - line), &l, NULL) && closes(k, &l, k->at, at))
			return at - k->at;
	}
	return 0;
}

static size_t count_lines(const char *data, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += data[i] == '\n';
	return n;
}

/* ---- what does not belong ---------------------------------------------------- */

static void stray(struct walker *k, const struct audit_line *l)
{
	struct audit_chain *c = k->c;
	char what[320];

	if (l->seq <= c->seq) {		/* what follows hangs on the highest, not on this one */
		snprintf(what, sizeof(what), _("entry %" PRIu64 " comes after entry %" PRIu64
			 ": it was moved, or is here a second time"), l->seq, c->seq);
		problem(k, l->seq, what);
		return;
	}
	if (l->seq == c->seq + 1)
		snprintf(what, sizeof(what), _("entry %" PRIu64 " hangs on another entry %" PRIu64
			 " than the one before it: one of them was replaced"), l->seq, c->seq);
	else if (l->seq == c->seq + 2)
		snprintf(what, sizeof(what), _("entry %" PRIu64 " is missing before this one"), c->seq + 1);
	else
		snprintf(what, sizeof(what), _("entries %" PRIu64 " to %" PRIu64 " are missing before this one"),
			 c->seq + 1, l->seq - 1);
	problem(k, l->seq, what);
	advance(c, l);
}

static void unreadable(struct walker *k, int code, const struct audit_line *l)
{
	if (code == VMC_EAUTH) {
		problem(k, l->seq, _("the entry was altered: its hash is not that of its words"));
		if (l->seq > k->c->seq)
			advance(k->c, l);
		return;
	}
	problem(k, 0, _("the line is not an entry: it was altered or put in"));
	/* an altered entry leaves a gap, one that was put in does not: the next one tells */
	k->c->gap = true;
}

static bool after_unreadable(const struct audit_chain *c, const struct audit_line *l)
{
	return c->gap && l->seq == c->seq + 2;
}

static void look(struct walker *k, const char *line, size_t len)
{
	struct audit_line l;
	int r = audit_line_parse(line, len, &l, NULL);

	if (!r && (follows(k->c, &l) || after_unreadable(k->c, &l))) {
		advance(k->c, &l);
		if (k->w->entry)
			k->w->entry(&l, line, len, k->w->data);
	} else if (r) {
		unreadable(k, r, &l);
	} else {
		stray(k, &l);
		if (k->w->entry)
			k->w->entry(&l, line, len, k->w->data);
	}
}

static bool good(const struct audit_chain *c, const char *line, size_t len)
{
	struct audit_line l;

	return !audit_line_parse(line, len, &l, NULL) && follows(c, &l);
}

size_t audit_chain_walk(struct audit_chain *c, const char *data, size_t len, const struct audit_walk *w)
{
	struct walker k = { .c = c, .w = w, .data = data, .len = len, .line = 1 };
	bool may_close = memmem(data, len, AUDIT_LOG_CLOSED, sizeof(AUDIT_LOG_CLOSED) - 1);
	const char *newline;
	size_t n, bytes;

	while (k.at < len) {
		newline = memchr(data + k.at, '\n', len - k.at);
		if (!newline)
			break;
		n = (size_t)(newline - data) - k.at;
		bytes = may_close && !good(c, data + k.at, n) ? closed_bytes(&k) : 0;
		if (bytes) {
			if (w->torn)
				w->torn(k.line, k.at, bytes - 1, w->data);
			k.line += count_lines(data + k.at, bytes);
			k.at += bytes;
			continue;
		}
		look(&k, data + k.at, n);
		k.at += n + 1;
		k.line++;
	}
	return k.at;
}

bool audit_chain_add(struct audit_chain *c, const char *data, size_t len)
{
	struct audit_line l;

	if (audit_line_parse(data, len, &l, NULL) || !follows(c, &l))
		return false;
	advance(c, &l);
	return true;
}

size_t audit_chain_good(struct audit_chain *c, const char *data, size_t len)
{
	const char *newline;
	size_t at = 0, n;

	for (; at < len; at += n + 1) {
		newline = memchr(data + at, '\n', len - at);
		if (!newline)
			break;
		n = (size_t)(newline - data) - at;
		if (!audit_chain_add(c, data + at, n))
			break;
	}
	return at;
}
