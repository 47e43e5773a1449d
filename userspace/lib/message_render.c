// SPDX-License-Identifier: GPL-2.0-or-later
/* A kept message becomes text: looked up and substituted, never given to printf. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conversion.h"
#include "i18n.h"
#include "message.h"
#include "util.h"

#define DEPTH_MAX	8
#define NODES_MAX	256u	/* all that one message may be made of */

struct rendering {
	char *out;
	size_t size, used;
	unsigned int nodes;
	bool english;
	bool full;
};

static void put(struct rendering *r, const char *s, size_t len)
{
	if (r->full)
		return;
	if (len > r->size - 1 - r->used) {
		len = r->size - 1 - r->used;
		r->full = true;
	}
	memcpy(r->out + r->used, s, len);
	r->used += len;
}

static void put_errno(struct rendering *r, const json_t *number)
{
	json_int_t n = json_integer_value(number);
	char why[128];
	const char *s;

	if (!json_is_integer(number) || n < 0 || n > 4095)
		return;
	s = strerror_r((int)n, why, sizeof(why));
	put(r, s, strlen(s));
}

static void put_message(struct rendering *r, const json_t *m, unsigned int depth);

/* The argument that @c stands for; @next counts those taken in turn. */
static const json_t *argument(const struct conversion *c, const json_t *args, size_t *next)
{
	if (c->position)
		return json_array_get(args, c->position - 1);
	if (!c->star_position)
		*next += c->star_width + c->star_precision;
	return json_array_get(args, (*next)++);
}

static void put_format(struct rendering *r, const char *fmt, const json_t *m, unsigned int depth)
{
	const json_t *args = json_object_get(m, "args");
	struct conversion c;
	const char *end;
	size_t next = 0;

	while (*fmt && !r->full) {
		size_t len = strcspn(fmt, "%");

		put(r, fmt, len);
		fmt += len;
		if (!*fmt)
			break;
		end = conversion_parse(fmt, &c);
		if (!end) {		/* no conversion: as it is */
			put(r, fmt++, 1);
			continue;
		}
		fmt = end;
		if (c.kind == '%')
			put(r, "%", 1);
		else if (c.kind == 'm')
			put_errno(r, json_object_get(m, "errno"));
		else
			put_message(r, argument(&c, args, &next), depth + 1);
	}
}

static void put_object(struct rendering *r, const json_t *m, unsigned int depth)
{
	const char *fmt = json_string_value(json_object_get(m, "format"));

	if (!fmt)
		put_errno(r, json_object_get(m, "errno"));
	else if (*fmt)	/* of the empty one, the catalog has its own description */
		put_format(r, r->english ? fmt : _(fmt), m, depth);
}

static void put_message(struct rendering *r, const json_t *m, unsigned int depth)
{
	const json_t *part;
	size_t i;

	if (!m || depth > DEPTH_MAX || r->nodes++ >= NODES_MAX || r->full)
		return;
	if (json_is_string(m)) {
		put(r, json_string_value(m), strlen(json_string_value(m)));
	} else if (json_is_array(m)) {
		json_array_foreach(m, i, part)
			put_message(r, part, depth + 1);
	} else if (json_is_object(m)) {
		put_object(r, m, depth);
	}
}

/* A sequence whose end was cut off goes as a whole. */
static size_t whole(const char *s, size_t len)
{
	size_t at = len;

	while (at && ((unsigned char)s[at - 1] & 0xc0) == 0x80)
		at--;
	if (at && (unsigned char)s[at - 1] >= 0xc0)
		at--;
	return at;
}

static const char *render(const json_t *m, char *out, size_t size, bool english)
{
	struct rendering r = { .out = out, .size = size, .english = english };

	if (!size)
		return out;
	put_message(&r, m, 0);
	if (r.full)
		r.used = whole(out, r.used);
	out[r.used] = '\0';
	return out;
}

const char *message_render(const json_t *m, char *out, size_t size)
{
	return render(m, out, size, false);
}

const char *message_render_english(const json_t *m, char *out, size_t size)
{
	locale_t before = i18n_speak((locale_t)0);

	render(m, out, size, true);
	i18n_restore(before);
	return out;
}

/* ---- answers ---------------------------------------------------------------- */

static void localize_object(json_t *o)
{
	json_t *details = json_object_get(o, "details"), *m = json_object_get(o, "message");
	char text[MESSAGE_MAX];

	if (!m)
		m = json_object_get(details, "message");
	if (!json_is_string(json_object_get(o, "text")) || !json_is_object(m))
		return;
	message_render(m, text, sizeof(text));
	if (*text)
		json_object_set_new(o, "text", json_string(text));
	json_object_del(o, "message");
	json_object_del(details, "message");
}

static void localize(json_t *answer, unsigned int depth)
{
	const char *key;
	json_t *v;
	size_t i;

	if (depth > DEPTH_MAX)
		return;
	json_array_foreach(answer, i, v)
		localize(v, depth + 1);
	if (!json_is_object(answer))
		return;
	localize_object(answer);
	json_object_foreach(answer, key, v)
		localize(v, depth + 1);
}

void message_localize(json_t *answer)
{
	localize(answer, 0);
}
