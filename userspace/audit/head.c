// SPDX-License-Identifier: GPL-2.0-or-later
#include "head.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_DIGITS	20
#define DIGITS		"0123456789"
#define HEX		DIGITS "abcdef"

void audit_file_name(uint64_t first_seq, char out[AUDIT_FILE_MAX])
{
	snprintf(out, AUDIT_FILE_MAX, "%0*" PRIu64 ".log", SEQ_DIGITS, first_seq);
}

/* Decimal digits up to @end, without a sign; false when it is none, or too large. */
static bool number(const char *s, const char *end, uint64_t *out)
{
	uint64_t n = 0;

	if (s == end || end - s > SEQ_DIGITS)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return false;
	}
	*out = n;
	return true;
}

uint64_t audit_file_seq(const char *name)
{
	uint64_t seq;

	if (strlen(name) != SEQ_DIGITS + 4 || strcmp(name + SEQ_DIGITS, ".log") ||
	    !number(name, name + SEQ_DIGITS, &seq))
		return 0;
	return seq;
}

size_t audit_head_format(const struct audit_head *h, char out[AUDIT_HEAD_MAX])
{
	char sum[AUDIT_HASH_STR];
	size_t n;

	n = (size_t)snprintf(out, AUDIT_HEAD_MAX, "%" PRIu64 " %s %s %" PRIu64 " ", h->chain.seq, h->chain.hash,
			     h->file, h->size);
	audit_digest(out, n, sum);
	return n + (size_t)snprintf(out + n, AUDIT_HEAD_MAX - n, "%s\n", sum);
}

/* The next word of @text, cut off with a NUL; NULL: there is none. */
static char *word(char **text)
{
	char *w = *text, *space = w ? strchr(w, ' ') : NULL;

	*text = space ? space + 1 : NULL;
	if (space)
		*space = '\0';
	return w;
}

int audit_head_parse(const char *data, size_t len, struct audit_head *h, struct vmc_error *err)
{
	char text[AUDIT_HEAD_MAX], again[AUDIT_HEAD_MAX], *at = text, *seq, *hash, *file, *size;

	memset(h, 0, sizeof(*h));
	if (len && len < sizeof(text) && !memchr(data, '\0', len)) {
		memcpy(text, data, len);
		text[len] = '\0';
		seq = word(&at);
		hash = word(&at);
		file = word(&at);
		size = word(&at);
		if (size && number(seq, seq + strlen(seq), &h->chain.seq) &&
		    number(size, size + strlen(size), &h->size) && strlen(hash) == AUDIT_HASH_STR - 1 &&
		    audit_file_seq(file)) {
			memcpy(h->chain.hash, hash, AUDIT_HASH_STR);
			snprintf(h->file, sizeof(h->file), "%s", file);
			if (audit_head_format(h, again) == len && !memcmp(again, data, len))
				return 0;
		}
	}
	return vmc_fail(err, VMC_EAUTH, "the head of the audit log is damaged");
}

int audit_anchor_parse(const char *s, struct audit_chain *c, struct vmc_error *err)
{
	const char *colon = strchr(s, ':');

	if (colon && number(s, colon, &c->seq) && c->seq && strlen(colon + 1) == AUDIT_HASH_STR - 1 &&
	    strspn(colon + 1, HEX) == AUDIT_HASH_STR - 1) {
		memcpy(c->hash, colon + 1, AUDIT_HASH_STR);
		return 0;
	}
	vmc_fail(err, VMC_EINVAL, "'%.100s' is not an anchor", s);
	vmc_hint(err, "an anchor is SEQ:HASH, as 'vmcrypt audit head' shows it");
	return VMC_EINVAL;
}
