// SPDX-License-Identifier: GPL-2.0-or-later
#include "entry.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/util.h"

void audit_digest(const void *data, size_t len, char out[AUDIT_HASH_STR])
{
	uint8_t md[32];

	if (EVP_Digest(data, len, md, NULL, EVP_sha256(), NULL) != 1)
		memset(md, 0, sizeof(md));	/* no memory: an entry that nobody takes for one */
	vmc_hex_encode(md, sizeof(md), out);
}

void audit_time(char out[AUDIT_TIME_STR])
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	snprintf(out, AUDIT_TIME_STR, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned int)(tm.tm_year + 1900) % 10000,
		 (unsigned int)(tm.tm_mon + 1) % 100, (unsigned int)tm.tm_mday % 100, (unsigned int)tm.tm_hour % 100,
		 (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100,
		 (unsigned int)(now.tv_nsec / 1000000) % 1000);
}

/* ---- writing ------------------------------------------------------------- */

struct out {
	char *at;
	size_t n;
};

static void put(struct out *o, const char *s, size_t n)
{
	memcpy(o->at + o->n, s, n);
	o->n += n;
}

/* Length of the UTF-8 sequence at @s that is whole, shortest form, and no surrogate; 0 otherwise. */
static size_t utf8_len(const unsigned char *s)
{
	uint32_t c;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0)
		return (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		c = (uint32_t)(s[0] & 0xf) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3fu);
		return c >= 0x800 && (c < 0xd800 || c > 0xdfff) ? 3 : 0;
	}
	if (s[0] >= 0xf0 && s[0] < 0xf5) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
			return 0;
		c = (uint32_t)(s[0] & 7) << 18 | (uint32_t)(s[1] & 0x3f) << 12;
		return c >= 0x10000 && c < 0x110000 ? 4 : 0;
	}
	return 0;
}

static void put_text(struct out *o, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		size_t n = utf8_len(p);

		if (!n || *p < 0x20 || *p == 0x7f) {
			put(o, "?", 1);
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			put(o, "\\", 1);
		put(o, (const char *)p, n);
		p += n;
	}
}

static void put_name(struct out *o, const char *name)
{
	o->n += (size_t)sprintf(o->at + o->n, ",\"%s\":", name);
}

static void put_string(struct out *o, const char *name, const char *value)
{
	if (!value[0])
		return;
	put_name(o, name);
	put(o, "\"", 1);
	put_text(o, value);
	put(o, "\"", 1);
}

static void put_number(struct out *o, const char *name, uint32_t value)
{
	put_name(o, name);
	o->n += (size_t)sprintf(o->at + o->n, "%" PRIu32, value);
}

/* The texts of an entry, in their order; room for all of them twice over is less than AUDIT_LINE_MAX. */
_Static_assert(2 * sizeof(struct audit_line) + 512 < AUDIT_LINE_MAX, "an entry must fit its line");

size_t audit_line_format(struct audit_line *l, char out[AUDIT_LINE_MAX])
{
	struct out o = { out, 0 };

	o.n = (size_t)sprintf(out, "{\"seq\":%" PRIu64, l->seq);
	put_string(&o, "time", l->time);
	put_string(&o, "prev", l->prev);
	if (l->has_uid)
		put_number(&o, "uid", l->uid);
	put_string(&o, "user", l->user);
	put_string(&o, "sender", l->sender);
	if (l->pid)
		put_number(&o, "pid", l->pid);
	put_string(&o, "cmd", l->cmd);
	put_string(&o, "action", l->action);
	put_string(&o, "vm", l->vm);
	put_string(&o, "volume", l->volume);
	put_string(&o, "key", l->key);
	put_string(&o, "object", l->object);
	put_string(&o, "result", l->result);
	put_string(&o, "text", l->text);
	audit_digest(out, o.n, l->hash);
	put_string(&o, "hash", l->hash);
	put(&o, "}\n", 2);
	return o.n;
}

/* ---- reading ------------------------------------------------------------- */

static const struct text_member {
	const char *name;
	size_t offset, size;
} texts[] = {
#define TEXT(member_) { #member_, offsetof(struct audit_line, member_), sizeof(((struct audit_line *)0)->member_) }
	TEXT(time), TEXT(prev), TEXT(user), TEXT(sender), TEXT(cmd), TEXT(action), TEXT(vm), TEXT(volume),
	TEXT(key), TEXT(object), TEXT(result), TEXT(text), TEXT(hash),
#undef TEXT
};

static bool take_text(struct audit_line *l, const char *name, const json_t *v)
{
	size_t i, n = json_string_length(v);

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].name, name))
			continue;
		if (!json_is_string(v) || n >= texts[i].size)
			return false;
		memcpy((char *)l + texts[i].offset, json_string_value(v), n + 1);
		return true;
	}
	return false;
}

static bool take_member(struct audit_line *l, const char *name, const json_t *v)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v))
		return take_text(l, name, v);
	if (n < 0)
		return false;
	if (!strcmp(name, "seq")) {
		l->seq = (uint64_t)n;
		return true;
	}
	if (n > UINT32_MAX)
		return false;
	if (!strcmp(name, "uid")) {
		l->uid = (uint32_t)n;
		l->has_uid = true;
	} else if (!strcmp(name, "pid")) {
		l->pid = (uint32_t)n;
	} else {
		return false;
	}
	return true;
}

static bool is_hash(const char *s)
{
	return strlen(s) == AUDIT_HASH_STR - 1 && strspn(s, "0123456789abcdef") == AUDIT_HASH_STR - 1;
}

static bool is_time(const char *s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return !s[i];
}

static bool read_members(const char *data, size_t len, struct audit_line *l)
{
	json_t *o = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL), *v;
	const char *name;
	bool good = json_is_object(o);

	json_object_foreach(o, name, v)
		good = good && take_member(l, name, v);
	json_decref(o);
	return good && l->seq && l->action[0] && l->result[0] && is_time(l->time) && is_hash(l->prev) &&
	       is_hash(l->hash);
}

int audit_line_parse(const char *data, size_t len, struct audit_line *l, struct vmc_error *err)
{
	char again[AUDIT_LINE_MAX], hash[AUDIT_HASH_STR];
	size_t n, tail = sizeof("\"}") - 1 + AUDIT_HASH_STR - 1;

	memset(l, 0, sizeof(*l));
	if (len >= AUDIT_LINE_MAX || !read_members(data, len, l))
		return vmc_fail(err, VMC_EINVAL, "it is not an entry of an audit log");
	memcpy(hash, l->hash, sizeof(hash));
	n = audit_line_format(l, again) - 1;
	if (n != len || memcmp(again, data, n - tail))
		return vmc_fail(err, VMC_EINVAL, "it is not written as an entry is");
	if (!memcmp(again, data, n))
		return 0;
	memcpy(l->hash, hash, sizeof(hash));	/* as the line says */
	return vmc_fail(err, VMC_EAUTH, "its hash is not that of its words");
}
