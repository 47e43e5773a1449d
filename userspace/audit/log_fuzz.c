// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a file of a log, and as a head. What is accepted must come back
 * the same; no walk goes beyond its data; a file without a problem must have
 * nothing in it but entries that hang on one another, and what was closed.
 */
#include <stdlib.h>
#include <string.h>

#include "head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t last;
	size_t entries, problems, torn;
};

static void on_entry(const struct audit_line *l, const char *line, size_t len, void *data)
{
	char again[AUDIT_LINE_MAX];
	struct audit_line copy = *l;
	struct seen *s = data;

	if (audit_line_format(&copy, again) != len + 1 || memcmp(again, line, len))
		abort();
	if (!s->problems && s->entries && l->seq != s->last + 1)
		abort();
	s->last = l->seq;
	s->entries++;
}

static void on_problem(size_t line, size_t offset, uint64_t seq, const char *what, void *data)
{
	(void)line;
	(void)offset;
	(void)seq;
	if (!*what)
		abort();
	((struct seen *)data)->problems++;
}

static void on_torn(size_t line, size_t offset, size_t bytes, void *data)
{
	(void)line;
	(void)offset;
	(void)bytes;
	((struct seen *)data)->torn++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = { 0 };
	const struct audit_walk w = { on_entry, on_problem, on_torn, &s };
	char *text = malloc(size + 1), again[AUDIT_HEAD_MAX];
	struct audit_chain c, strict;
	struct audit_head head;
	size_t end;

	if (!text)
		return 0;
	memcpy(text, data, size);
	audit_chain_start(&c);
	end = audit_chain_walk(&c, text, size, &w);
	if (end > size || (end < size && memchr(text + end, '\n', size - end)))
		abort();
	audit_chain_start(&strict);
	if (audit_chain_good(&strict, text, size) == size && (s.problems || s.torn || strict.seq != c.seq))
		abort();
	if (!audit_head_parse(text, size, &head, NULL) &&
	    (audit_head_format(&head, again) != size || memcmp(again, text, size)))
		abort();
	free(text);
	return 0;
}
